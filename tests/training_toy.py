"""A small training for tests: its parts can be exchanged, and a process of its own can be killed in it."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from kagkit.foundation.files import file_sha256
from kagkit.runs.task import Task
from kagkit.training import Outcome, Plan, Table, fit, save_weights
from tests.patience import PATIENCE

COUNT = 53
KEYS = [f"row{number:02d}" for number in range(COUNT)]
_DRAW = np.random.default_rng(0)
INPUTS = torch.tensor(_DRAW.normal(size=(COUNT, 6)), dtype=torch.float32)
WANTED = (INPUTS[:, 0] * INPUTS[:, 1] + INPUTS[:, 2] > 0).float()


class Noisy:
    """Samples augmented as libraries do it: by drawing from every global generator."""

    keys = KEYS

    def read(self, key: str) -> tuple[torch.Tensor, torch.Tensor]:
        row = KEYS.index(key)
        noise = random.random() + np.random.rand() + torch.randn(6)  # noqa: NPY002 (what libraries do)
        return INPUTS[row] + 0.1 * noise, WANTED[row]


TABLE = Table(KEYS, INPUTS, WANTED)
# The first optimizer of a process imports a good deal of torch: once here, not in every fork.
torch.optim.SGD([INPUTS.clone()])


def network() -> nn.Sequential:
    """A net with all that has a state of its own: batch norm, dropout, a tied weight."""
    torch.manual_seed(7)
    net = nn.Sequential(nn.Linear(6, 6), nn.BatchNorm1d(6), nn.Tanh(), nn.Dropout(0.2), nn.Linear(6, 6))
    net.append(nn.Linear(6, 1))
    net[4].weight = net[0].weight
    return net


def loss(model: nn.Module, batch: Any) -> torch.Tensor:
    inputs, wanted = batch
    return nn.functional.binary_cross_entropy_with_logits(model(inputs).squeeze(1), wanted)


def dying_at(call: int) -> Callable[[nn.Module, Any], torch.Tensor]:
    """The loss, which kills its process when it is called for the n-th time."""
    calls = iter(range(call))

    def deadly(model: nn.Module, batch: Any) -> torch.Tensor:
        if next(calls, None) is None:
            os.kill(os.getpid(), signal.SIGKILL)
        return loss(model, batch)

    deadly.__qualname__ = loss.__qualname__
    return deadly


def validate(model: nn.Module) -> dict[str, float]:
    return {"valid_loss": float(loss(model, (INPUTS, WANTED)))}


def plan(**changes: Any) -> Plan:
    usual: dict[str, Any] = {
        "epochs": 4,
        "batch_size": 8,
        "lr": 0.02,
        "validate": validate,
        "checkpoint_seconds": 0.0,
    }
    return Plan(**(usual | changes))


def make_task(folder: Path) -> Task:
    out, checkpoint = folder / "out", folder / "checkpoint"
    checkpoint.mkdir(parents=True, exist_ok=True)
    return Task(folder / "events.jsonl", seed=3, out=out, checkpoint=checkpoint, device="cpu")


def train(folder: Path, how: Plan, data: Any = TABLE, objective: Any = loss) -> Outcome:
    """Train, and leave the weights in the task's folder, as a recipe does."""
    torch.set_num_threads(1)
    model = network()
    task = make_task(folder)
    outcome = fit(task, model, data, objective, how)
    save_weights(model, task.out / "model.safetensors")
    return outcome


def digest(folder: Path) -> str:
    return file_sha256(folder / "out/model.safetensors")


def exit_codes(*actions: Callable[[], Any]) -> list[int | None]:
    """Do actions in processes of their own, at once, and say how each ended; -9 where it was killed."""
    context = multiprocessing.get_context("fork")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # later Pythons warn of forks beside threads
        running = [context.Process(target=action) for action in actions]
        for process in running:
            process.start()
    deadline = time.monotonic() + PATIENCE
    for process in running:
        process.join(max(0.0, deadline - time.monotonic()))
    hung = [process for process in running if process.is_alive()]
    for process in hung:
        process.kill()
        process.join()
    assert not hung, f"{len(hung)} of {len(running)} processes never ended"
    return [process.exitcode for process in running]
