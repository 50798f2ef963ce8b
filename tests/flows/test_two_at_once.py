from __future__ import annotations

import os
import re
import sys
import time
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from kagkit.engine.slots import GpuSlots
from kagkit.foundation.files import held
from kagkit.runs.record import read_run, verify_run
from tests.patience import wait_for
from tests.toy import write_manifest
from tests.workshop import Workshop, end_of

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc, and forks")

FOLDS = [0, 1, 2]


def _each_training_was_done_once(shop: Workshop, seeds: tuple[int, ...] = (0,)) -> None:
    """The diary has every training once, and every prediction: of the held-out rows and of the test's."""
    wanted = Counter((seed, fold) for seed in seeds for fold in FOLDS)
    assert Counter((note["seed"], note["fold"]) for note in shop.notes("train")) == wanted
    assert Counter((note["seed"], note["fold"]) for note in shop.notes("predict")) == wanted + wanted


def _one_run_was_made(shop: Workshop, name: str = "exp001") -> None:
    (folder,) = shop.runs(name)
    assert verify_run(read_run(folder)) == []
    assert not shop.living()


def test_two_commands_that_start_together_do_each_task_once_and_make_one_run(tmp_path: Path) -> None:
    with Workshop.open(tmp_path / "toy", pause=0.01) as shop:
        for process in [shop.start("run", "exp001") for _ in range(2)]:
            assert "exp001/1, CV" in end_of(process)
        _each_training_was_done_once(shop)
        _one_run_was_made(shop)


def test_a_second_command_says_whom_it_waits_for_and_takes_the_result(tmp_path: Path) -> None:
    with Workshop.open(tmp_path / "toy", pause=0.05) as shop:
        first = shop.start("run", "exp001")
        wait_for(lambda: shop.notes("train"), "a task at work")
        printed = end_of(shop.start("run", "exp001"))
        end_of(first)
        waited = re.findall(r"train seed 0 fold (\d): process (\d+) is doing it", printed)
        workers = {(str(note["fold"]), str(note["pid"])) for note in shop.notes("train")}
        assert waited
        assert set(waited) <= workers
        _each_training_was_done_once(shop)
        _one_run_was_made(shop)


def test_two_experiments_at_once_share_what_is_the_same(tmp_path: Path) -> None:
    with Workshop.open(tmp_path / "toy", pause=0.01) as shop:
        write_manifest(shop.root, "exp002", recipe="steps.py", seeds=[0, 1])
        processes = [shop.start("run", name) for name in ("exp001", "exp002")]
        for process in processes:
            end_of(process)
        _each_training_was_done_once(shop, seeds=(0, 1))
        _one_run_was_made(shop, "exp001")
        _one_run_was_made(shop, "exp002")


def test_two_runs_of_one_experiment_are_assembled_one_after_the_other(tmp_path: Path) -> None:
    with Workshop.open(tmp_path / "toy") as shop:
        work = shop.root / "runs/.work"
        with held(work / "exp001.run.lock"):
            processes = [shop.start("run", "exp001", "--folds", fold) for fold in ("0", "1")]
            wait_for(lambda: len(list(work.glob("run-*/log.txt"))) == 2, "both are to be assembled")
            time.sleep(0.5)
            assert shop.runs() == []
        named = [re.findall(r"exp001/\d, CV", end_of(process)) for process in processes]
        by_fold = {run.data["folds"][0]["fold"]: run for run in map(read_run, shop.runs())}
        assert named == [[f"{by_fold[fold].name}, CV"] for fold in (0, 1)]
        assert sorted(run.number for run in by_fold.values()) == [1, 2]


def test_two_commands_never_share_a_gpu(tmp_path: Path) -> None:
    with Workshop.open(tmp_path / "toy", pause=0.01, resources={"gpus": 1}) as shop:
        write_manifest(shop.root, "exp002", recipe="steps.py", resources={"gpus": 1}, args={"rate": 0.2})
        processes = [shop.start("run", name, "--gpus", "0,1") for name in ("exp001", "exp002")]
        for process in processes:
            end_of(process)
        used = _intervals(shop)
        assert set(used) == {"0", "1"}
        for intervals in used.values():
            assert all(ended <= begun for (_, ended), (begun, _) in pairwise(intervals))
        assert sum(map(len, used.values())) == 18


def _intervals(shop: Workshop) -> dict[str, list[tuple[float, float]]]:
    """By GPU, when each task began and ended to use it, in order."""
    begun: dict[int, dict[str, Any]] = {
        note["pid"]: note for kind in ("train", "predict") for note in shop.notes(kind)
    }
    used: dict[str, list[tuple[float, float]]] = {}
    for note in (*shop.notes("trained"), *shop.notes("predicted")):
        used.setdefault(note["gpus"], []).append((begun[note["pid"]]["time"], note["time"]))
    return {gpu: sorted(intervals) for gpu, intervals in used.items()}


def test_a_command_says_that_it_waits_for_a_gpu_and_goes_on_when_it_is_free(tmp_path: Path) -> None:
    with Workshop.open(tmp_path / "toy", resources={"gpus": 1}) as shop:
        held = GpuSlots(["0"], tmp_path / f"kagkit-{os.getuid()}").try_take(1)
        assert held is not None
        process = shop.start("run", "exp001", "--gpus", "0")
        assert process.stdout is not None
        for line in process.stdout:
            if "waiting for a GPU" in line:
                break
        assert not shop.notes("train")
        held.release()
        assert "waiting" not in end_of(process)
        _each_training_was_done_once(shop)


def test_more_gpus_than_named_are_refused_with_a_way_out(tmp_path: Path) -> None:
    with Workshop.open(tmp_path / "toy", resources={"gpus": 2}) as shop:
        printed = shop.run("run", "exp001", "--gpus", "0", code=4)
        assert "exp001.yaml: resources.gpus: 2; expected at most 1, as many as there are" in printed
        assert "hint: set resources: {gpus: 0} to run on the processor, or name them: --gpus 0,1" in printed
