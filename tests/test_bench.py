from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from kagkit.engine.slots import GpuSlots
from kagkit.foundation.errors import DataError, RunError
from kagkit.foundation.files import held, read_json, write_json
from kagkit.runs.bench import Bench, Ended
from kagkit.runs.choices import Planned
from kagkit.runs.events import Event, Noted, TaskProgressed, TaskWaiting
from kagkit.runs.store import lock_of
from kagkit.workspace.layout import Workspace
from tests.patience import wait_for
from tests.toy import make_workspace, write_manifest, write_recipe
from tests.workshop import plan_of

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the fork server needs Linux")

RECIPE = '''"""Tell of progress, then wait for leave to end."""

import os
import time
from pathlib import Path


def train(task, *, last=False):
    task.progress(1, 4)
    if task.fold == 0:
        while not Path("/proc/self/cwd/leave").exists():
            time.sleep(0.01)
    if task.fold == 1:
        raise ValueError("no")
    (task.out / "gpus.txt").write_text(os.environ["CUDA_VISIBLE_DEVICES"])


def predict(task, model, rows):
    return rows
'''


@contextmanager
def _bench(
    root: Path, gpus: tuple[str, ...] | None = None, **manifest: Any
) -> Iterator[tuple[Bench, list[Planned]]]:
    """A bench, and what to do on it: three trainings."""
    make_workspace(root, folds={"main": {"n": 3}})
    write_recipe(root, "waiting.py", RECIPE)
    write_manifest(root, recipe="waiting.py", **manifest)
    workspace = Workspace(root)
    with Bench(workspace, workspace.experiment("exp001"), gpus) as bench:
        yield bench, plan_of(root)


def _ended(bench: Bench) -> dict[str, Ended]:
    """Every task that was started, when it has ended."""
    found: dict[str, Ended] = {}
    while bench.busy:
        found |= {ended.planned.spec.label: ended for ended in bench.poll()}
    return found


@pytest.fixture(autouse=True)
def slots(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> GpuSlots:
    """GPU slots of this test alone, as another kagkit would take them."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    return GpuSlots(["0", "1"], folder / f"kagkit-{os.getuid()}")


def test_tasks_end_apart_each_with_its_outcome(tmp_path: Path) -> None:
    with _bench(tmp_path / "toy") as (bench, plan):
        bench.width = 3
        assert all(bench.start(planned, again=False) for planned in plan)
        assert not bench.start(plan[0], again=True)
        (tmp_path / "toy/leave").touch()
        ended = _ended(bench)
        assert bench.poll() == []
    assert [label for label, end in ended.items() if end.stored is None] == ["train seed 0 fold 1"]
    with pytest.raises(RunError, match=r"waiting\.py line 14: ValueError: no"):
        raise ended["train seed 0 fold 1"].error or AssertionError
    for label, end in ended.items():
        assert end.error is not None or (end.stored and end.stored.record.key == end.planned.spec.key), label


def test_a_killed_task_is_told_with_its_signal_and_can_be_started_again(tmp_path: Path) -> None:
    with _bench(tmp_path / "toy") as (bench, plan):
        bench.start(plan[0], again=False)
        told: list[Event] = []
        while not told:
            told += bench.told()
        assert told == [TaskProgressed("train seed 0 fold 0", 1.0, 4.0)]
        holder = read_json(Workspace(tmp_path / "toy").work / plan[0].spec.key / "holder.json")
        os.kill(holder["pid"], signal.SIGKILL)
        (end,) = _ended(bench).values()
        with pytest.raises(RunError, match="train seed 0 fold 0: ended by signal 9, out of memory perhaps"):
            raise end.error or AssertionError
        (tmp_path / "toy/leave").touch()
        assert bench.start(plan[0], again=False)
        (end,) = _ended(bench).values()
        assert end.stored is not None


def test_what_a_recipe_reads_while_it_is_imported_is_watched_too(tmp_path: Path) -> None:
    with _bench(tmp_path / "toy") as (bench, _):
        recipe = RECIPE.replace("import time\n", "import time\nNOTES = open('notes.txt').read()\n")
        write_recipe(tmp_path / "toy", "waiting.py", recipe)
        (tmp_path / "toy/notes.txt").write_text("width: 8")
        bench.start(plan_of(tmp_path / "toy")[2], again=False)
        (end,) = _ended(bench).values()
        assert end.stored is not None
        assert end.stored.record.undeclared == ("notes.txt",)


def test_whoever_holds_a_task_is_named_and_its_spec_is_left_alone(tmp_path: Path) -> None:
    with _bench(tmp_path / "toy") as (bench, plan):
        work = Workspace(tmp_path / "toy").work / plan[2].spec.key
        with held(lock_of(work)):
            write_json(work / "holder.json", {"pid": 42})
            assert bench.start(plan[2], again=False)
            assert list(bench.told()) == [TaskWaiting("train seed 0 fold 2", "process 42")]
            assert not (work / "spec.json").exists()
            assert bench.busy


def test_a_task_another_kagkit_finished_meanwhile_is_taken_as_it_is(tmp_path: Path) -> None:
    with _bench(tmp_path / "toy") as (bench, plan):
        bench.start(plan[2], again=False)
        (first,) = _ended(bench).values()
        work = Workspace(tmp_path / "toy").work / plan[2].spec.key
        with held(lock_of(work)):  # its folder has become the finished task when ours gets the lock
            bench.start(plan[2], again=False)
        (second,) = _ended(bench).values()
        assert (second.stored, second.error) == (first.stored, None)
        assert not work.exists()


def test_a_damaged_task_is_set_aside_and_done_again(tmp_path: Path) -> None:
    with _bench(tmp_path / "toy") as (bench, plan):
        bench.start(plan[2], again=False)
        (first,) = _ended(bench).values()
        assert first.stored is not None
        (first.stored.out / "gpus.txt").unlink()
        (first.stored.folder / "task.json").unlink()
        bench.start(plan[2], again=False)
        (second,) = _ended(bench).values()
        assert second.stored == first.stored


def test_leaving_the_bench_ends_what_runs_and_gives_the_gpus_back(tmp_path: Path, slots: GpuSlots) -> None:
    with _bench(tmp_path / "toy", ("0", "1"), resources={"gpus": 2}) as (bench, plan):
        assert bench.start(plan[0], again=False)
        assert slots.try_take(1) is None
        wait_for(lambda: list(bench.told()), "progress")
    taken = slots.try_take(2)
    assert taken is not None
    taken.release()
    assert not (tmp_path / "toy/runs/.tasks").exists()


def test_a_task_gets_the_gpus_it_asks_for_and_gives_them_back(tmp_path: Path, slots: GpuSlots) -> None:
    with _bench(tmp_path / "toy", ("0", "1"), resources={"gpus": 1}) as (bench, plan):
        other = slots.try_take(1)
        assert other is not None
        bench.start(plan[2], again=False)
        assert slots.try_take(1) is None
        (end,) = _ended(bench).values()
        assert end.stored is not None
        assert (end.stored.out / "gpus.txt").read_text() == "1"
        free = slots.try_take(1)
        assert free is not None
        assert not bench.start(plan[2], again=True)
        assert not bench.start(plan[2], again=True)
        assert list(bench.told()) == [Noted("waiting for a GPU: another kagkit has them all")]
        free.release()
        other.release()


@pytest.mark.parametrize(
    ("resources", "width"), [({"cpus": 10_000}, 1), ({"memory": "900000GiB"}, 1), ({}, 0)]
)
def test_as_many_tasks_run_beside_each_other_as_fit_and_one_at_least(
    resources: dict[str, Any], width: int, tmp_path: Path
) -> None:
    with _bench(tmp_path / "toy", resources=resources) as (bench, _):
        assert bench.width == (width or len(os.sched_getaffinity(0)))


def test_more_gpus_than_there_are_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    told = r"exp001\.yaml: resources\.gpus: 2; expected at most 1, as many as there are"
    with pytest.raises(RunError, match=told), _bench(tmp_path / "toy", ("0",), resources={"gpus": 2}):
        pass


def test_what_a_job_could_not_do_is_raised_here(tmp_path: Path) -> None:
    with _bench(tmp_path / "toy") as (bench, _):
        (tmp_path / "toy/data/train.csv").write_text("id,label\na,1\na,1\n")
        with pytest.raises(DataError):
            bench.take_stock("another key", "main")
