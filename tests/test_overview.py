from __future__ import annotations

import os
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from kagkit.foundation.errors import DataError
from kagkit.foundation.files import append_json_line, held, write_json
from kagkit.runs.overview import describe_workspace
from kagkit.workspace.layout import Workspace
from tests.terminal import kagkit
from tests.toy import COMPETITION, make_workspace, write_competition, write_manifest, write_run

NOW = datetime(2026, 3, 1, 22, 0, tzinfo=UTC)
TOKYO = timezone(timedelta(hours=9))


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(make_workspace(tmp_path))


def work_of(workspace: Workspace, name: str = "k1", **facts: object) -> Path:
    folder = workspace.work / name
    write_json(folder / "spec.json", {"label": "train seed 0 fold 1", "recipe": "mean.py"})
    append_json_line(folder / "events.jsonl", {"event": "started", "time": NOW.timestamp() - 60})
    if facts:
        append_json_line(folder / "events.jsonl", {"event": "progress", **facts})
    (workspace.work / f"{name}.lock").touch()
    return folder


def test_deadlines_are_told_in_utc_and_here_with_the_time_left(workspace: Workspace) -> None:
    first = COMPETITION["stages"][1]
    stages = {
        2: first | {"test": "later.csv", "deadline": "2026-03-03T01:00:00+02:00"},
        1: first | {"deadline": "2026-03-01T21:00:00Z"},
    }
    write_competition(workspace.root, stages=stages)
    facts = describe_workspace(Workspace(workspace.root), NOW, TOKYO)
    assert facts["stage"] == 1
    assert facts["deadlines"] == [
        {"what": "stage 1", "utc": "2026-03-01T21:00Z", "local": "2026-03-02T06:00+09:00", "left": -3600},
        {"what": "stage 2", "utc": "2026-03-02T23:00Z", "local": "2026-03-03T08:00+09:00", "left": 90000},
    ]
    (workspace.root / "later.csv").write_text("id\n")
    assert describe_workspace(Workspace(workspace.root), NOW)["stage"] == 2


def test_local_times_are_those_of_the_machines_zone(workspace: Workspace) -> None:
    stage = COMPETITION["stages"][1] | {"deadline": "2999-07-01T00:00:00Z"}
    write_competition(workspace.root, stages={1: stage})
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", "Asia/Tokyo")
        time.tzset()
        told = kagkit(workspace.root, "status").out
    time.tzset()
    assert "deadline of stage 1: 2999-07-01T00:00Z, here 2999-07-01T09:00+09:00, " in told


def test_the_best_runs_are_those_whose_scores_mean_the_same(workspace: Workspace) -> None:
    metric = {"score": "kagkit.metrics:accuracy", "args": {}, "greater_is_better": True, "cv": "pooled"}
    other = metric | {"score": "kagkit.metrics:f1"}
    write_run(workspace.root, "exp001", 1, cv=0.6, metric=metric)
    write_run(workspace.root, "exp001", 2, cv=0.7, metric=metric)
    write_run(workspace.root, "exp001", 3, cv=0.8, metric=metric, complete=False)
    write_run(workspace.root, "exp002", 1, cv=0.9, metric=other)
    write_run(workspace.root, "exp003", 1, cv=0.95, metric=metric, coverage=0.5)
    kagkit(workspace.root, "lb", "add", "exp001/1", "--public", "0.66")
    kagkit(workspace.root, "lb", "add", "exp001/2", "--public", "0.65")
    best = describe_workspace(workspace, NOW)["best"]
    assert best == {"cv": {"run": "exp001/2", "score": 0.7}, "lb": {"run": "exp001/1", "score": 0.66}}


def test_a_damaged_record_is_told_beside_the_rest(workspace: Workspace) -> None:
    (write_run(workspace.root) / "record.json").write_text("{")
    facts = describe_workspace(workspace, NOW)
    assert facts["best"]["cv"] is None
    assert [problem["where"] for problem in facts["problems"]] == ["runs/exp001/001-00000001/record.json"]
    assert "damaged" in kagkit(workspace.root, "status").err


def test_submissions_of_this_day_count_in_utc(workspace: Workspace) -> None:
    for ref, told in enumerate(
        ("2026-03-01T00:00:01+00:00", "2026-03-02T00:30:00+01:00", "2026-02-28T23:59:00+00:00")
    ):
        append_json_line(workspace.leaderboard, {"event": "submitted", "time": told, "ref": ref})
    append_json_line(workspace.leaderboard, {"event": "intent", "time": "2026-03-01T12:00:00+00:00"})
    told = describe_workspace(workspace, NOW, TOKYO)["submissions"]
    assert (told["used_today"], told["left_today"]) == (2, None)
    assert told["day_turns"] == {"utc": "2026-03-02T00:00Z", "local": "2026-03-02T09:00+09:00"}


def test_a_submission_that_came_home_late_takes_none_of_what_was_left_later(workspace: Workspace) -> None:
    for facts in (
        {"event": "submitted", "time": "2026-03-01T09:00:00+00:00", "ref": 7, "left_today": 3},
        {"event": "score", "time": "2026-03-01T10:00:00+00:00", "ref": 8, "date": "2026-03-01T08:00:00Z"},
        {"event": "score", "time": "2026-03-01T10:00:00+00:00", "ref": 9, "date": "2026-03-01T09:30:00Z"},
    ):
        append_json_line(workspace.leaderboard, facts)
    told = describe_workspace(workspace, NOW, TOKYO)["submissions"]
    assert (told["used_today"], told["left_today"]) == (3, 2)


def test_a_damaged_ledger_is_refused(workspace: Workspace) -> None:
    workspace.leaderboard.write_text("{}\nnot json\n")
    with pytest.raises(DataError, match="line 2"):
        describe_workspace(workspace, NOW)


def test_work_is_running_as_long_as_its_lock_is_held(workspace: Workspace) -> None:
    work_of(workspace, done=1.0, total=4.0)
    with held(workspace.work / "k1.lock"):
        (task,) = describe_workspace(workspace, NOW)["tasks"]
    assert task == {
        "experiment": "exp001",
        "older": False,
        "task": "train seed 0 fold 1",
        "state": "running",
        "progress": 0.25,
        "left": 180.0,
        "problem": "",
    }
    (task,) = describe_workspace(workspace, NOW)["tasks"]
    assert (task["state"], task["left"], task["progress"]) == ("stopped", None, 0.25)


def test_time_left_is_that_of_the_latest_run_where_a_task_does_not_say(workspace: Workspace) -> None:
    folder = write_run(workspace.root)
    append_json_line(
        folder / "events.jsonl", {"event": "task", "label": "train seed 0 fold 1", "seconds": 90}
    )
    work_of(workspace)
    with held(workspace.work / "k1.lock"):
        (task,) = describe_workspace(workspace, NOW)["tasks"]
        told = kagkit(workspace.root, "status").out
    assert (task["progress"], task["left"]) == (None, 30.0)
    assert "exp001: train seed 0 fold 1: running, about 0.0 s left" in told


def test_failed_work_says_why_and_tasks_of_several_experiments_name_them(workspace: Workspace) -> None:
    write_manifest(workspace.root, "exp002")
    folder = work_of(workspace)
    problems = [{"where": "mean.py line 3", "found": "ValueError: no"}]
    write_json(folder / "error.json", {"summary": "failed", "problems": problems})
    (workspace.for_smoke(smoke=True).work / "run-12").mkdir(parents=True)
    (workspace.work / "reproduce-exp001-001-weights").mkdir()
    write_json(workspace.work / "predict-12/rows/error.json", {"summary": "no column a", "problems": []})
    told = kagkit(workspace.root, "status").out
    assert "exp001 or exp002: train seed 0 fold 1: failed: mean.py line 3: ValueError: no\n" in told
    assert "smoke: assembling a run: stopped\n" in told
    assert "\nmaking a run again: stopped\n" in told
    assert "\npredicting new rows: failed: no column a\n" in told


def test_status_is_quick_and_loads_nothing_heavy(workspace: Workspace) -> None:
    write_run(workspace.root)
    work_of(workspace)
    code = (
        "import sys; from kagkit.cli import main\n"
        "try: main(['status', '--json'])\n"
        "except SystemExit: pass\n"
        "print(*({'pandas', 'numpy', 'torch', 'mlflow', 'pyarrow'} & {*sys.modules}), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=workspace.root, env={**os.environ}, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr.strip()) == (0, "")


def test_work_that_failed_alike_is_one_line_and_what_no_manifest_has_is_counted(workspace: Workspace) -> None:
    for fold in range(3):
        folder = work_of(workspace, name=f"f{fold}")
        problem = {"where": "fit.py line 3", "found": "ValueError"}
        write_json(folder / "error.json", {"summary": "no", "problems": [problem]})
    write_json(workspace.work / "gone-1/spec.json", {"label": "train seed 0 fold 0", "recipe": "gone.py"})
    told = kagkit(workspace.root, "status").out
    assert told.count("fit.py line 3: ValueError") == 1
    assert "and 2 more: failed" in told
    assert "1 unfinished folder of no present manifest: kagkit clean" in told
