from __future__ import annotations

import shutil
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from kagkit.foundation.errors import Problem
from kagkit.foundation.files import held, write_json
from kagkit.packages import submission
from kagkit.runs import cleaning
from kagkit.runs.presence import alone_in, at_work
from kagkit.runs.record import Run, verify_run
from kagkit.runs.sizes import used_bytes
from kagkit.workspace.layout import Workspace
from tests.terminal import kagkit, kept, newest_run, run
from tests.toy import make_workspace, write_manifest, write_run


def clean(root: Path, *words: str, code: int = 0) -> dict[str, Any]:
    """What `kagkit clean --json` says."""
    facts: dict[str, Any] = kagkit(root, "clean", "--json", *words, code=code).json
    return facts


def names(facts: dict[str, Any], kind: str) -> list[str]:
    return [one["name"] for one in facts["removed"] if one["kind"] == kind]


def orphan(root: Path) -> None:
    """Leave tasks that nothing needs: their run is gone, and the manifest says otherwise."""
    shutil.rmtree(newest_run(root))
    write_manifest(root, args={"shift": 0.5})


def test_what_runs_and_manifests_need_stays_as_it_is(toy: Path) -> None:
    before = kept(toy)
    assert clean(toy) == {"dry_run": False, "freed": 0, "removed": [], "kept": []}
    assert "nothing to clean" in kagkit(toy, "clean").out
    shutil.rmtree(newest_run(toy))  # no run names them, and the manifest would use them
    assert clean(toy)["removed"] == []
    assert run(toy)["tasks"]["reused"] == 6
    assert kept(toy).keys() == before.keys()


def test_tasks_that_nothing_needs_go_and_all_else_is_as_before(toy: Path) -> None:
    write_manifest(toy, args={"shift": 0.5})
    run(toy)
    shutil.rmtree(newest_run(toy))
    write_manifest(toy)
    before, room = kept(toy), used_bytes([toy / "runs"])
    facts = clean(toy)
    assert len(names(facts, "task")) == 6
    gone = tuple(name.removeprefix("runs/") for name in names(facts, "task"))
    assert kept(toy) == {name: told for name, told in before.items() if not name.startswith(gone)}
    assert facts["freed"] == room - used_bytes([toy / "runs"])
    assert "nothing to do: exp001/1" in kagkit(toy, "run", "exp001").err
    assert "no problems" in kagkit(toy, "check", str(newest_run(toy))).out
    assert not (toy / "runs/.trash").exists()


def test_shared_files_free_nothing_as_long_as_a_run_has_them(tmp_path: Path) -> None:
    toy = make_workspace(tmp_path, folds={"main": {"n": 2}})  # not a copy, in which no file is linked
    run(toy)
    (toy / "exp001.yaml").unlink()
    run_folder = newest_run(toy)
    aside = shutil.move(run_folder, toy / "aside")
    facts = clean(toy, "--dry-run")
    sizes = sum(one["bytes"] for one in facts["removed"])
    weights = sum(path.stat().st_size for path in (Path(aside) / "weights").rglob("*.json"))
    assert facts["freed"] == sizes - weights
    assert facts["dry_run"]
    assert len(list((toy / "runs/.tasks").iterdir())) == 6


def test_a_clean_that_is_killed_leaves_nothing_half_and_the_next_ends_it(toy: Path) -> None:
    orphan(toy)

    def pull_the_plug(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shutil, "rmtree", pull_the_plug)
        kagkit(toy, "clean", "-y", code=130)
    assert list((toy / "runs/.tasks").iterdir()) == []
    assert len(list((toy / "runs/.trash").iterdir())) == 6
    assert run(toy)["tasks"]["done"] == 6
    facts = clean(toy)
    assert len(names(facts, "trash")) == 6
    assert facts["freed"] > 0
    assert "nothing to do" in kagkit(toy, "run", "exp001").err


def test_unfinished_work_stays_where_a_manifest_or_a_process_needs_it(toy: Path) -> None:
    work = toy / "runs/.work"
    key = next(path.name for path in (toy / "runs/.tasks").iterdir())
    for name in (key, f"{key}-again", "0" * 32, "1" * 32, "predict-2"):
        write_json(work / name / "spec.json", {"label": "train seed 0 fold 0"})
        (work / f"{name}.lock").touch()
    with held(work / f"{'1' * 32}.lock"):
        facts = clean(toy)
    assert names(facts, "unfinished") == [f"runs/.work/{'0' * 32}", "runs/.work/predict-2"]
    assert (work / f"{'0' * 32}.lock").exists()


def test_damaged_tasks_go_and_smoke_runs_and_rows_of_other_data(toy: Path) -> None:
    run(toy, "exp001", "--smoke")
    (toy / "runs/.tasks/abc.damaged-12345678").mkdir()
    rows = next(path for path in (toy / ".kagkit/rows").iterdir())
    shutil.copytree(rows, rows.with_name("old"))
    told = kagkit(toy, "clean", "-y").out
    assert "task: 1 folder, 0 B: damaged, and set aside\n" in told
    assert "cache: 2 folders, " in told
    assert "freed" in told
    left = {path.name for path in (toy / "runs/.smoke").rglob("*") if path.suffix != ".lock"}
    assert left == {".tasks", ".work"}
    assert "nothing to do: exp001/1" in kagkit(toy, "run", "exp001").err
    assert run(toy, "exp001", "--smoke")["tasks"]["done"] == 3


@pytest.mark.parametrize("fault", ["manifest", "record", "cache", "lock", "folds", "damage"])
def test_where_it_is_not_known_what_is_needed_tasks_stay(fault: str, toy: Path) -> None:
    orphan(toy)
    if fault == "manifest":
        (toy / "exp002.yaml").write_text("kagkit: 1\nrecipe: nowhere.py\n")
    elif fault == "record":
        (write_run(toy, "exp002") / "record.json").write_text("{}")
    elif fault == "cache":
        shutil.rmtree(toy / ".kagkit/rows")
    elif fault == "damage":
        write_manifest(toy)
        next((toy / "runs/.tasks").glob("*/out/mean.json")).unlink()
    else:
        (toy / {"lock": "data.lock.yaml", "folds": "folds/main.csv"}[fault]).unlink()
    facts = clean(toy)
    assert names(facts, "task") == []
    assert "so tasks and unfinished work of all are kept" in facts["kept"][0]


def test_nothing_is_cleaned_under_a_run_and_no_run_starts_under_a_clean(toy: Path) -> None:
    orphan(toy)
    with at_work(Workspace(toy)), at_work(Workspace(toy).for_smoke(smoke=True)):
        assert "a kagkit command is at work" in kagkit(toy, "clean", "-y", code=4).err
        assert clean(toy, "--dry-run")["removed"]
    began: list[float] = []

    def work() -> None:
        with at_work(Workspace(toy)):
            began.append(time.monotonic())

    worker = threading.Thread(target=work)
    with alone_in(Workspace(toy)):
        worker.start()
        time.sleep(0.2)
        assert not began
    worker.join()
    assert began


def test_no_run_is_cleaned_away_while_it_is_packaged(toy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []

    def clean_meanwhile(run: Run) -> list[Problem]:
        told.append(kagkit(toy, "clean", "-y", code=4).err)
        return verify_run(run)

    (toy / "runs/.tasks/abc.damaged-12345678").mkdir()
    monkeypatch.setattr(submission, "verify_run", clean_meanwhile)
    assert "exp001-001/submission.csv" in kagkit(toy, "package", "exp001").out
    assert "a kagkit command is at work" in told[0]


def test_two_cleans_at_once_clean_once(toy: Path) -> None:
    orphan(toy)
    found: list[int] = []

    def work() -> None:
        waste = cleaning.remove_waste(Workspace(toy)).waste
        found.append(sum(one.kind == "task" for one in waste))

    workers = [threading.Thread(target=work) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert sorted(found) == [0, 6]


def test_runs_go_only_beyond_the_best_that_were_asked_for(tmp_path: Path) -> None:
    root = make_workspace(tmp_path)
    metric = {"score": "kagkit.metrics:accuracy"}
    runs: dict[int, dict[str, Any]] = {
        1: {"cv": 0.9},
        2: {"cv": 0.1},
        3: {"cv": 0.2},
        4: {"cv": 0.15, "parents": ["exp001/3"]},
        5: {"cv": 0.3, "metric": {"score": "kagkit.metrics:f1"}},
        6: {"cv": None},
        7: {"cv": 0.12},
        8: {"cv": 0.8, "complete": False},
        9: {"cv": 0.7},
        10: {"cv": 0.05},
        11: {"cv": 0.6, "complete": False},
    }
    for number, facts in runs.items():
        write_run(root, "exp001", number, **{"metric": metric, "parents": []} | facts)
    kagkit(root, "lb", "add", "exp001/4", "--public", "0.5")
    (root / "submissions/exp001-007").mkdir(parents=True)
    facts = clean(root, "--keep", "best:2", "--dry-run")
    assert names(facts, "run") == ["runs/exp001/008-00000008", "runs/exp001/002-00000002"]
    write_manifest(root, "exp002", note="exp001/2")
    (root / "stage1.lock.yaml").write_text("members:\n- {run_folder: runs/exp001/008-00000008}\n")
    assert names(clean(root, "--keep", "best:2", "--dry-run"), "run") == []
    (root / "stage1.lock.yaml").unlink()
    told = kagkit(root, "clean", "--keep", "best:2", "-y").out
    assert "runs/exp001/008-00000008: not among the best 2" in told
    assert len(list((root / "runs/exp001").iterdir())) == 10


def test_a_run_that_goes_takes_its_tasks_along(toy: Path) -> None:
    for shift in (3.0, 0.0):  # the worse one is older, and no longer the latest
        write_manifest(toy, args={"shift": shift})
        run(toy)
    assert len(list((toy / "runs/exp001").iterdir())) == 3
    assert "say -y" in kagkit(toy, "clean", "--keep", "best:1", code=2).err
    facts = clean(toy, "--keep", "best:1", "-y")
    assert names(facts, "run")
    assert len(names(facts, "task")) >= 6
    assert "nothing to do: exp001/3" in kagkit(toy, "run", "exp001").err
    assert kagkit(toy, "check").out == "no problems\n"


@pytest.mark.parametrize("keep", ["5", "best:0", "worst:3"])
def test_another_way_to_keep_is_refused(keep: str, tmp_path: Path) -> None:
    assert "write --keep best:5" in kagkit(make_workspace(tmp_path), "clean", "--keep", keep, code=2).err
