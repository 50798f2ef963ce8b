from __future__ import annotations

import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from kagkit.foundation.files import held
from kagkit.runs import ranks
from kagkit.runs.ranks import outlast_others
from tests.patience import wait_for
from tests.terminal import kagkit, newest_run, record
from tests.toy import make_workspace, write_manifest, write_recipe

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="forks")

NETWORK = '''"""A linear model that several processes train together."""

import pandas as pd
import torch
from safetensors.torch import load_file
from torch import nn

from kagkit.training import Plan, Table, fit, save_weights


def inputs(rows):
    return torch.tensor(rows[["a", "b", "c"]].to_numpy("float32"))


def loss(model, batch):
    x, y = batch
    return nn.functional.binary_cross_entropy_with_logits(model(x)[:, 0], y)


def train(task, *, epochs=2, fail=False):
    def objective(model, batch):
        if fail and task.rank == 1:
            raise ValueError("the second one gave up")
        return loss(model, batch)

    rows = task.train_rows
    model = nn.Linear(3, 1)
    data = Table(rows.index, inputs(rows), torch.tensor(rows["label"].to_numpy("float32")))
    for name in ("first", "second"):
        fit(task, model, data, objective, Plan(epochs=epochs, batch_size=8, lr=0.1, name=name))
    save_weights(model, task.out / "linear.safetensors")
    (task.out / "said.txt").write_text(f"{task.rank} of the processes, {torch.get_num_threads()} threads")


def predict(task, model, rows):
    net = nn.Linear(3, 1)
    net.load_state_dict(load_file(task.weights / "linear.safetensors"))
    with torch.no_grad():
        return pd.DataFrame({"label": net(inputs(rows))[:, 0].sigmoid().numpy()}, index=rows.index)
'''
TOGETHER: dict[str, Any] = {"recipe": "net.py", "launch": "torchrun", "resources": {"cpus": 2}}


@pytest.fixture
def toy(tmp_path: Path) -> Path:
    root = make_workspace(tmp_path / "toy", folds={"main": {"n": 2}})
    write_recipe(root, "net.py", NETWORK)
    write_manifest(root, **TOGETHER, folds={"set": "main", "only": [0]})
    return root


def test_two_processes_train_one_model_and_the_first_ones_files_are_the_tasks(toy: Path) -> None:
    kagkit(toy, "run", "exp001")
    said = newest_run(toy) / "weights/seed0-fold0/said.txt"
    assert said.read_text() == "0 of the processes, 1 threads"
    facts = record(toy)
    assert facts["reads"] == "unwatched"
    train = next(task for task in facts["tasks"] if task["kind"] == "train")
    assert train["ingredients"]["launch"] == ["torchrun", 2]
    assert "same bytes" in kagkit(toy, "run", "exp001", "--restart").err


def test_a_process_that_fails_ends_the_others_and_says_why(toy: Path) -> None:
    write_manifest(toy, **TOGETHER, args={"fail": True})
    ended = kagkit(toy, "run", "exp001", code=4)
    assert "net.py line 23 (train seed 0 fold 0 and 1 more): ValueError: the second one gave up" in ended.err
    assert "ranks" not in ended.err


RANK = """
import os, subprocess, sys
variables = {"RANK": "1", "KAGKIT_TORCHRUN": str(os.getpid())}
words = [sys.executable, "-m", "kagkit.runs.ranks", "work/spec.json"]
child = subprocess.Popen(words, env=os.environ | variables, start_new_session=True)  # as torchrun does
print(child.pid, flush=True)
child.wait()
"""


def test_a_killed_torchrun_takes_its_processes_along_and_the_next_attempt_waits_for_them(
    tmp_path: Path,
) -> None:
    work = tmp_path / "work"
    work.mkdir()
    os.mkfifo(work / "spec.json")  # whoever reads it waits
    with subprocess.Popen(
        [sys.executable, "-c", RANK], cwd=tmp_path, stdout=subprocess.PIPE, text=True
    ) as agent:
        assert agent.stdout is not None
        rank = int(agent.stdout.readline())
        lock = work / "ranks/1.lock"
        wait_for(lambda: lock.exists() and _is_held(lock), "the process is at work")
        agent.kill()
        outlast_others(work)
    assert not _is_held(lock)
    wait_for(lambda: not Path(f"/proc/{rank}").exists() or _is_zombie(rank), "it has ended")


def _is_held(lock: Path) -> bool:
    try:
        with held(lock, wait_seconds=0):
            return False
    except TimeoutError:
        return True


def _is_zombie(pid: int) -> bool:
    with suppress(OSError):
        return " Z " in Path(f"/proc/{pid}/stat").read_text()
    return True


@pytest.mark.parametrize("first", [0, 1])
def test_the_cause_is_told_and_not_its_echo(first: int, tmp_path: Path) -> None:
    told = ("ValueError: no", "RuntimeError: [gloo/transport/tcp/pair.cc:534] Connection closed by peer")
    paths = [tmp_path / f"{rank}.json" for rank in (0, 1)]
    for moment, rank in enumerate((first, 1 - first)):
        paths[rank].write_text(told[rank])
        os.utime(paths[rank], (moment, moment))
    assert min(paths, key=ranks._rank_of_reason) == paths[0]


def test_a_recipe_that_returns_its_model_is_not_launched(toy: Path) -> None:
    write_recipe(toy, "net.py", "def train(task): return 1\ndef predict(task, model, rows): ...\n")
    ended = kagkit(toy, "run", "exp001", code=2)
    assert "launch: torchrun, and train returns its model" in ended.err
