"""Train by kagkit.training beside a bare loop that does the same work: same steps, sizes, model and sums.

The steps are small (a network of three layers, 32 rows of 64 numbers), so that what is measured is the loop
and not the arithmetic: with larger steps every ratio below tends to 1. All takes place in one process with
one thread. Checkpoints are written as often as by default, and then every half a second: some ten times as
often as a long training would.

    exactness = the same loop under torch's deterministic algorithms, over the same loop without them
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from measuring import Seconds, ratio, report, take_turns
from torch import nn

from kagkit.runs.task import Task
from kagkit.training import Plan, Table, fit

ROWS, COLUMNS, WIDTH, BATCH, EPOCHS = 6_400, 64, 128, 32, 4
ROUNDS = 9
BARE, OURS, CHECKPOINTS = "bare loop", "kagkit.training", "a checkpoint every 0.5 s"
EXACT, BARE_AVERAGE, AVERAGE = "deterministic algorithms", "bare loop, average", "kagkit.training, average"

torch.manual_seed(0)
INPUTS, WANTED = torch.randn(ROWS, COLUMNS), torch.randn(ROWS, 1)
DATA = Table([f"row{number}" for number in range(ROWS)], INPUTS, WANTED)


def network() -> nn.Module:
    torch.manual_seed(1)
    return nn.Sequential(
        nn.Linear(COLUMNS, WIDTH), nn.ReLU(), nn.Linear(WIDTH, WIDTH), nn.ReLU(), nn.Linear(WIDTH, 1)
    )


def loss(model: nn.Module, batch: Any) -> torch.Tensor:
    return nn.functional.mse_loss(model(batch[0]), batch[1])


def bare(*, average: bool = False) -> None:
    model = network()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    steps = EPOCHS * ROWS // BATCH
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-3, total_steps=steps, cycle_momentum=False)
    averaged = torch.optim.swa_utils.AveragedModel(
        model, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.99)
    )
    for epoch in range(EPOCHS):
        total = torch.zeros(())
        for chosen in torch.randperm(ROWS, generator=torch.Generator().manual_seed(epoch)).split(BATCH):
            value = loss(model, (INPUTS[chosen], WANTED[chosen]))
            value.backward()
            optimizer.step()
            optimizer.zero_grad()
            schedule.step()
            if average:
                averaged.update_parameters(model)
            total += value.detach()


def ours(checkpoint: Path | None = None, **settings: Any) -> None:
    plan = Plan(epochs=EPOCHS, batch_size=BATCH, lr=1e-3, **settings)
    task: Any = SimpleNamespace(seed=0)
    if checkpoint is not None:
        with tempfile.TemporaryDirectory(dir=checkpoint) as folder:
            task = Task(Path(folder, "events.jsonl"), seed=0, checkpoint=Path(folder, "checkpoint"))
            fit(task, network(), DATA, loss, plan)
    else:
        fit(task, network(), DATA, loss, plan)


def exact() -> None:
    torch.use_deterministic_algorithms(mode=True)
    ours()
    torch.use_deterministic_algorithms(mode=False)


def timed(action: Callable[[], None]) -> Callable[[], float]:
    def measure() -> float:
        began = time.perf_counter()
        action()
        return time.perf_counter() - began

    return measure


def main() -> None:
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        actions = {
            BARE: bare,
            OURS: ours,
            CHECKPOINTS: lambda: ours(place, checkpoint_seconds=0.5),
            EXACT: exact,
            BARE_AVERAGE: lambda: bare(average=True),
            AVERAGE: lambda: ours(ema=0.99),
        }
        seconds: Seconds = take_turns({name: timed(action) for name, action in actions.items()}, ROUNDS)
    targets = [
        ratio(seconds, OURS, BARE, at_most=1.1),
        ratio(seconds, CHECKPOINTS, BARE, at_most=1.25),
        ratio(seconds, EXACT, OURS, at_most=1.05),
        ratio(seconds, AVERAGE, BARE_AVERAGE, at_most=1.1),
    ]
    report(f"{EPOCHS * ROWS // BATCH} small steps", seconds, targets)


if __name__ == "__main__":
    main()
