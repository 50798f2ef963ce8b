from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kagkit.foundation.environment import numeric_environment
from kagkit.foundation.files import read_json
from kagkit.runs.record import read_run, verify_run
from kagkit.runs.store import Stored, read_task, verify_task
from tests.flows import kill_points
from tests.patience import wait_for
from tests.workshop import Workshop, end_of

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc, and forks")

STEPS = 40
ALONE, ALL = "kagkit alone", "kagkit with its server and its workers"


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workshop]:
    """A run that nothing disturbs, to compare with."""
    with Workshop.open(tmp_path_factory.mktemp("undisturbed") / "toy", args={"steps": STEPS}) as shop:
        shop.run("run", "exp001")
        yield shop


@pytest.mark.parametrize("whom", [ALONE, ALL])
def test_a_run_killed_again_and_again_ends_as_if_nothing_had_been(
    whom: str, undisturbed: Workshop, tmp_path: Path
) -> None:
    chance = random.Random(whom)
    kept: dict[int, int] = {}
    seen = 0
    with Workshop.open(tmp_path / "elsewhere" / "toy", pause=0.04, args={"steps": STEPS}) as shop:
        for wait_for_training in (True, False) * 4:  # benchmarks/exactness.py kills two hundred times
            _kill_a_run(shop, whom, chance, wait_for_training)
            _nothing_is_torn(shop)
            _each_went_on_from(kept, shop.notes("train")[seen:])
            kept, seen = _checkpoints(shop), len(shop.notes("train"))
        shop.run("run", "exp001")
        _each_went_on_from(kept, shop.notes("train")[seen:])
        assert any(note["first"] for note in shop.notes("train"))
        assert shop.outcome() == undisturbed.outcome()
        assert not shop.living()


def _kill_a_run(shop: Workshop, whom: str, chance: random.Random, wait_for_training: bool) -> None:
    """Start a run, and kill it some time after it began, or after it kept its first step."""
    seen = len(shop.notes("train"))
    process = shop.start("run", "exp001")
    if wait_for_training:
        wait_for(
            lambda: (len(shop.notes("train")) > seen and shop.states()) or process.poll() is not None,
            "a step is kept",
        )
        time.sleep(chance.uniform(0.0, 0.5))
    else:
        time.sleep(chance.uniform(0.0, 2.0))
    shop.kill(process.pid, *(shop.living() if whom == ALL else ()))
    process.communicate()


def _nothing_is_torn(shop: Workshop) -> None:
    """Whatever has its final name is whole, wherever the kill fell."""
    for folder in shop.tasks():
        assert verify_task(Stored(folder, read_task(folder))) == []
    for folder in shop.runs():
        assert verify_run(read_run(folder)) == []
    for path in (shop.root / "runs/.work").rglob("*.json"):
        read_json(path)


def _checkpoints(shop: Workshop) -> dict[int, int]:
    """By fold, the step that an unfinished training had kept."""
    return {
        read_json(state.parents[1] / "spec.json")["fold"]: int(np.load(state)[0]) for state in shop.states()
    }


def _each_went_on_from(kept: dict[int, int], notes: list[dict[str, Any]]) -> None:
    for note in notes:
        assert note["first"] == kept.get(note["fold"], 0)


def test_a_killed_worker_costs_its_own_task_alone(undisturbed: Workshop, tmp_path: Path) -> None:
    with Workshop.open(tmp_path / "toy", pause=0.03, args={"steps": STEPS}) as shop:
        process = shop.start("run", "exp001")
        wait_for(lambda: any(note["fold"] == 1 for note in shop.notes("train")), "the training of fold 1")
        (victim,) = (note["pid"] for note in shop.notes("train") if note["fold"] == 1)
        assert victim in shop.holders()
        os.kill(victim, signal.SIGKILL)
        printed = end_of(process, code=4)
        assert "train seed 0 fold 1 failed: " in printed
        assert "train seed 0 fold 1: ended by signal 9" in printed
        assert len(shop.tasks()) == 6  # two trainings, and the two predictions of each
        _nothing_is_torn(shop)
        seen = len(shop.notes("train"))
        assert "3 tasks to do, 6 done" in shop.run("run", "exp001")
        assert [note["fold"] for note in shop.notes("train")[seen:]] == [1]
        assert shop.outcome() == undisturbed.outcome()


def test_a_task_killed_between_any_two_steps_to_the_disk_is_done_once(
    undisturbed: Workshop, tmp_path: Path
) -> None:
    with Workshop.open(tmp_path / "toy", pause=0.05, args={"steps": STEPS}) as shop:
        process = shop.start("run", "exp001")
        # A few steps are left to train: it is what comes after them that matters here.
        wait_for(lambda: max(_checkpoints(shop).values(), default=0) > STEPS - 4, "the last steps")
        shop.kill(process.pid, *shop.living())
        process.communicate()
        newest = max(shop.states(), key=lambda state: float(np.load(state)[0]))
        work = newest.parents[1]
        wanted = {n: d for n, d in kill_points.whole(undisturbed.root).items() if work.name in n}
        _is_the_same_wherever_it_is_killed(shop, "kagkit.runs.worker:do_task", work, wanted)
        shop.run("run", "exp001")
        assert shop.outcome() == undisturbed.outcome()


def test_a_run_killed_between_any_two_steps_of_its_assembly_is_made_once(
    undisturbed: Workshop, tmp_path: Path
) -> None:
    root = Path(shutil.copytree(undisturbed.root, tmp_path / "toy"))
    runs = root / "runs/exp001"
    shutil.rmtree(runs)
    runs.write_text("in the way, so that all is ready to be assembled")
    with Workshop(root) as shop:
        shop.run("run", "exp001", code=4)
        runs.unlink()
        (work,) = (folder for folder in (root / "runs/.work").glob("run-*") if folder.is_dir())
        wanted = kill_points.whole(undisturbed.root)
        _is_the_same_wherever_it_is_killed(shop, "kagkit.runs.assembly:assemble", work, wanted)
        shop.run("run", "exp001")
        assert shop.outcome() == undisturbed.outcome()


def _is_the_same_wherever_it_is_killed(
    shop: Workshop, entry: str, work: Path, wanted: dict[str, str]
) -> None:
    """Kill a job at each of its steps in a copy of the workspace, then near the end in the workspace."""
    spec = (work / "spec.json").relative_to(shop.root).as_posix()
    trials = [json.loads(line) for line in _kill_points(shop, entry, spec).splitlines()]
    assert [trial["killed"] for trial in trials] == [kill_points.KILLED] * (len(trials) - 1) + [0]
    assert len(trials) > 20
    for trial in trials:
        assert (trial["again"], trial["whole"]) == (0, wanted), f"killed at step {trial['number']}"
    _kill_points(shop, entry, spec, str(len(trials) - 3))


def _kill_points(shop: Workshop, *words: str) -> str:
    variables = {"TOY_DIARY": str(shop.diary), "TOY_PAUSE": "0", "CUDA_VISIBLE_DEVICES": ""}
    variables |= {"JE_ARROW_MALLOC_CONF": "background_thread:false"} | numeric_environment(1, "exact")
    return subprocess.run(
        [sys.executable, "-m", "tests.flows.kill_points", str(shop.root), *words],
        env=os.environ | variables,
        cwd=Path(__file__).parents[2],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    ).stdout


def test_lost_tasks_are_done_again_and_make_no_other_run(undisturbed: Workshop, tmp_path: Path) -> None:
    root = Path(shutil.copytree(undisturbed.root, tmp_path / "toy"))
    before = {task.name for task in undisturbed.tasks()}
    shutil.rmtree(root / "runs/.tasks")
    shutil.rmtree(root / ".kagkit")
    with Workshop(root) as shop:
        told = shop.run("run", "exp001", "--explain")
        assert "exp001: 9 tasks to do, 0 done" in told
        assert told.count(": missing\n") == 3  # what follows from them is known when they are done
        assert "nothing to do: exp001/1" in told
        assert {task.name for task in shop.tasks()} == before
        assert shop.outcome() == undisturbed.outcome()
        _nothing_is_torn(shop)
