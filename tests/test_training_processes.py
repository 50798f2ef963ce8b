from __future__ import annotations

import os
import signal
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from safetensors.torch import load_file
from torch import nn

from kagkit.foundation.files import read_json_lines
from kagkit.training import Plan, fit, save_weights
from tests import training_toy as toy
from tests.training_toy import Noisy, digest, dying_at, exit_codes, loss, make_task, plan, train

JUDGED = {"monitor": "valid_loss", "greater_is_better": False, "best": 2}


def together(action: Callable[[Any], Any], last: Any = loss) -> list[int | None]:
    """Do an action in two processes as torchrun starts them; the second one computes its loss by `last`."""
    with tempfile.TemporaryDirectory() as folder:

        def member(rank: int) -> None:
            os.environ.update(WORLD_SIZE="2", RANK=str(rank), LOCAL_RANK=str(rank), GLOO_SOCKET_IFNAME="lo")
            torch.set_num_threads(1)  # a pool that earlier tests made does not survive a fork
            # By a file: no port that somebody else may take meanwhile.
            dist.init_process_group("gloo", f"file://{folder}/meeting", rank=rank, world_size=2)
            action(last if rank == 1 else loss)

        return exit_codes(partial(member, 0), partial(member, 1))


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A training by two processes that nothing disturbs."""
    folder = tmp_path_factory.mktemp("pair")
    assert together(partial(train, folder, plan(**JUDGED, ema=0.9), Noisy())) == [0, 0]
    return folder


def test_two_processes_give_the_same_bytes_again(undisturbed: Path, tmp_path: Path) -> None:
    again = plan(**JUDGED, ema=0.9, workers=1)
    assert together(partial(train, tmp_path, again, Noisy())) == [0, 0]
    assert digest(tmp_path) == digest(undisturbed)


def test_only_the_first_process_logs_and_writes(undisturbed: Path) -> None:
    told = [event for event in read_json_lines(undisturbed / "events.jsonl") if event["event"] == "log"]
    assert [event["step"] for event in told] == [0, 1, 2, 3]
    assert [path.name for path in (undisturbed / "out").iterdir()] == ["model.safetensors"]


def test_two_processes_of_which_one_is_killed_go_on_to_the_same_bytes(
    undisturbed: Path, tmp_path: Path
) -> None:
    action = partial(train, tmp_path, plan(**JUDGED, ema=0.9), Noisy())
    first, second = together(action, dying_at(13))
    assert second == -signal.SIGKILL
    assert first not in (0, None)
    assert list((tmp_path / "checkpoint/fit").glob("step-*"))
    assert together(action) == [0, 0]
    assert digest(tmp_path) == digest(undisturbed)


def test_two_processes_make_the_steps_that_one_would(tmp_path: Path) -> None:
    def train_linear(folder: Path, objective: Any) -> None:
        torch.manual_seed(1)
        model = nn.Linear(6, 1)
        task = make_task(folder)
        fit(task, model, toy.TABLE, objective, Plan(epochs=3, batch_size=8, lr=0.05, clip=0.5))
        save_weights(model, task.out / "model.safetensors")

    assert together(partial(train_linear, tmp_path / "pair")) == [0, 0]
    train_linear(tmp_path / "alone", loss)
    pair, alone = (load_file(tmp_path / name / "out/model.safetensors") for name in ("pair", "alone"))
    for name, tensor in alone.items():
        torch.testing.assert_close(pair[name], tensor, rtol=1e-4, atol=1e-6)
