from __future__ import annotations

import json
import os
import random
import shutil
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
from tests.workshop import Workshop, end_of, wait_for

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc, and forks")

STEPS = 40


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workshop]:
    """A run that nothing disturbs, to compare with."""
    with Workshop.open(tmp_path_factory.mktemp("undisturbed") / "toy", args={"steps": STEPS}) as shop:
        shop.run("run", "exp001")
        yield shop


@pytest.mark.parametrize("whom", ["kagkit alone", "kagkit with its server and its workers"])
def test_a_run_killed_again_and_again_ends_as_if_nothing_had_been(
    whom: str, undisturbed: Workshop, tmp_path: Path
) -> None:
    chance = random.Random(whom)
    with Workshop.open(tmp_path / "elsewhere" / "toy", pause=0.03, args={"steps": STEPS}) as shop:
        kept: dict[int, int] = {}
        seen = 0
        for attempt in range(4):
            process = shop.start("run", "exp001")
            if attempt % 2:
                time.sleep(chance.uniform(0.0, 2.0))
            else:
                wait_for(lambda: len(shop.notes("train")) > seen or process.poll() is not None, "training")
                time.sleep(chance.uniform(0.1, 0.6))
            shop.kill(process.pid, *(() if whom == "kagkit alone" else shop.living()))
            process.communicate()
            _nothing_is_torn(shop)
            _each_went_on_from(kept, shop.notes("train")[seen:])
            kept, seen = _checkpoints(shop), len(shop.notes("train"))
        shop.run("run", "exp001")
        _each_went_on_from(kept, shop.notes("train")[seen:])
        assert any(note["first"] for note in shop.notes("train"))
        assert shop.outcome() == undisturbed.outcome()


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
    unfinished = [state for state in shop.states() if (state.parents[1] / "spec.json").exists()]
    return {read_json(state.parents[1] / "spec.json")["fold"]: int(np.load(state)[0]) for state in unfinished}


def _each_went_on_from(kept: dict[int, int], notes: list[dict[str, Any]]) -> None:
    assert {note["fold"]: note["first"] for note in notes} == {
        note["fold"]: kept.get(note["fold"], 0) for note in notes
    }


def test_a_killed_worker_costs_its_own_task_alone(undisturbed: Workshop, tmp_path: Path) -> None:
    with Workshop.open(tmp_path / "toy", pause=0.03, args={"steps": STEPS}) as shop:
        process = shop.start("run", "exp001")
        wait_for(lambda: any(note["fold"] == 1 for note in shop.notes("train")), "the training of fold 1")
        (victim,) = (note["pid"] for note in shop.notes("train") if note["fold"] == 1)
        assert victim in shop.holders()
        os.kill(victim, 9)
        printed = end_of(process, code=4)
        assert "train seed 0 fold 1 failed\n" not in printed  # the others go on, and say so
        assert "train seed 0 fold 1 failed; the others go on" in printed
        assert "train seed 0 fold 1: ended by signal 9" in printed
        assert len(shop.tasks()) == 6  # two trainings, and the two predictions of each
        _nothing_is_torn(shop)
        seen = len(shop.notes("train"))
        assert "3 tasks to do, 6 done" in shop.run("run", "exp001")
        assert [note["fold"] for note in shop.notes("train")[seen:]] == [1]
        assert shop.outcome() == undisturbed.outcome()


def test_a_task_killed_between_any_two_steps_of_its_commit_is_done_once(
    undisturbed: Workshop, tmp_path: Path
) -> None:
    with Workshop.open(tmp_path / "toy", pause=0.05, args={"steps": STEPS}) as shop:
        process = shop.start("run", "exp001")
        # A few steps are left to train: it is what comes after them that matters here.
        wait_for(lambda: max(_checkpoints(shop).values(), default=0) > STEPS - 4, "the last steps")
        shop.kill(process.pid, *shop.living())
        process.communicate()
        left = {state.parents[1]: int(np.load(state)[0]) for state in shop.states()}
        work = max(left, key=left.__getitem__)
        entry, spec = "kagkit.runs.worker:do_task", f"runs/.work/{work.name}/spec.json"
        wanted = {n: d for n, d in kill_points.whole(undisturbed.root).items() if work.name in n}
        trials = _sweep(shop, entry, spec)
        for trial in trials:
            assert (trial["again"], trial["whole"]) == (0, wanted), trial["number"]
        _kill_points(shop, entry, spec, str(len(trials) - 3))
        shop.run("run", "exp001")
        assert shop.outcome() == undisturbed.outcome()


def test_a_run_killed_between_any_two_steps_of_its_assembly_is_made_once(
    undisturbed: Workshop, tmp_path: Path
) -> None:
    root = Path(shutil.copytree(undisturbed.root, tmp_path / "toy"))
    shutil.rmtree(root / "runs/exp001")
    (root / "runs/exp001").write_text("in the way")
    with Workshop(root) as shop:
        shop.run("run", "exp001", code=4)
        (root / "runs/exp001").unlink()
        (spec,) = (root / "runs/.work").glob("run-*/spec.json")
        entry, place = "kagkit.runs.assembly:assemble", spec.relative_to(root).as_posix()
        wanted = kill_points.whole(undisturbed.root)
        trials = _sweep(shop, entry, place)
        for trial in trials:
            assert (trial["again"], trial["whole"]) == (0, wanted), trial["number"]
        _kill_points(shop, entry, place, str(len(trials) - 3))
        shop.run("run", "exp001")
        assert shop.outcome() == undisturbed.outcome()


def _sweep(shop: Workshop, entry: str, spec: str) -> list[dict[str, Any]]:
    """What came out of killing a job at each of its steps and doing it again; the last one was not killed."""
    trials = [json.loads(line) for line in _kill_points(shop, entry, spec).splitlines()]
    assert [trial["killed"] for trial in trials] == [kill_points.KILLED] * (len(trials) - 1) + [0]
    print(len(trials))
    return trials


def _kill_points(shop: Workshop, *words: str) -> str:
    variables = {"TOY_DIARY": str(shop.diary), "TOY_PAUSE": "0", "CUDA_VISIBLE_DEVICES": ""}
    variables |= {"JE_ARROW_MALLOC_CONF": "background_thread:false"} | numeric_environment(1, "exact")
    return subprocess.run(
        [sys.executable, "-m", "tests.flows.kill_points", str(shop.root), *words],
        env=os.environ | variables,
        cwd=Path(__file__).parents[2],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
