from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from kagkit.foundation.files import append_json_line, write_file
from kagkit.judgement.chronicle import end_of, list_made, list_sent
from kagkit.workspace.layout import Workspace
from kagkit.workspace.ledger import Scores, add_scores
from tests.toy import COMPETITION, make_workspace, write_competition, write_run

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
STAGE = COMPETITION["stages"][1]


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(make_workspace(tmp_path, stages={1: STAGE | {"deadline": "2026-03-02T00:00:00Z"}}))


def score(workspace: Workspace, ref: int, day: int, **facts: Any) -> None:
    date = f"2026-03-{day:02d}T12:00:00+00:00"
    line = {"event": "score", "time": f"2026-03-{day:02d}T12:01:00+00:00", "ref": ref, "date": date}
    append_json_line(
        workspace.leaderboard, line | {"run": None, "file": "a.csv", "public": None, "private": None} | facts
    )


def test_what_tasks_took_counts_once_and_on_every_gpu(workspace: Workspace) -> None:
    folder = write_run(workspace.root, cv=0.7)
    write_file(folder / "manifest.yaml", "kagkit: 1\nrecipe: mean.py\nresources: {gpus: 2}\n")
    (folder / "events.jsonl").unlink()
    for seconds, reused in ((10.0, False), (99.0, True), (5.0, False)):
        task = {"event": "task", "identity": "train 0 0 ", "seconds": seconds, "reused": reused}
        append_json_line(folder / "events.jsonl", task)
    append_json_line(folder / "events.jsonl", {"event": "assembled", "time": NOON.timestamp()})
    (made,) = list_made(workspace)
    assert (made.run, made.time, made.cv, made.tasks) == ("exp001/1", NOON, 0.7, 2)
    assert (made.seconds, made.gpu_seconds) == (15.0, 30.0)


def test_runs_stand_by_time_and_one_whose_events_do_not_tell_comes_first(workspace: Workspace) -> None:
    for number, hour in ((1, 5), (2, 3), (3, None)):
        folder = write_run(workspace.root, number=number)
        if hour is not None:
            time = NOON.replace(hour=hour).timestamp()
            append_json_line(folder / "events.jsonl", {"event": "assembled", "time": time})
    assert [made.run for made in list_made(workspace)] == ["exp001/3", "exp001/2", "exp001/1"]


def test_a_submission_is_told_once_with_its_newest_scores(workspace: Workspace) -> None:
    score(workspace, 7, 1, run="exp001/1", public=0.5)
    score(workspace, 7, 1, run="exp001/1", public=0.5, private=0.4)
    score(workspace, 8, 3, public=0.6)
    score(workspace, 9, 1, status="ERROR")
    first, late = list_sent(workspace)
    assert (first.name, first.run, first.public, first.private) == ("exp001/1", "exp001/1", 0.5, 0.4)
    assert first.time == NOON
    assert not first.late
    assert (late.name, late.run, late.late) == ("a.csv", None, True)


def test_a_score_noted_by_hand_belongs_to_its_runs_newest_submission(workspace: Workspace) -> None:
    score(workspace, 7, 1, run="exp001/1", public=0.5)
    add_scores(workspace, "exp001/1", Scores(None, 0.4))
    add_scores(workspace, "exp002/1", Scores(0.3, None))
    add_scores(workspace, "exp002/1", Scores(None, 0.2))
    told = [(sent.name, sent.public, sent.private) for sent in list_sent(workspace)]
    assert told == [("exp001/1", 0.5, 0.4), ("exp002/1", 0.3, 0.2)]


def test_the_end_is_the_last_deadline_where_every_stage_has_one(workspace: Workspace) -> None:
    assert end_of(workspace.competition) == datetime(2026, 3, 2, tzinfo=UTC)
    write_competition(workspace.root, stages={1: STAGE})
    assert end_of(Workspace(workspace.root).competition) is None
