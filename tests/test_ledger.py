from __future__ import annotations

import math
from datetime import datetime
from pathlib import Path

import pytest

from kagkit.foundation.errors import DataError, ManifestError
from kagkit.workspace.layout import Workspace
from kagkit.workspace.ledger import Scores, add_scores, read_scores
from tests.toy import make_workspace


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(make_workspace(tmp_path))


def test_without_a_ledger_there_are_no_scores(workspace: Workspace) -> None:
    assert read_scores(workspace) == {}


def test_a_score_is_appended_with_its_time_in_utc(workspace: Workspace) -> None:
    line = add_scores(workspace, "exp001/3", Scores(public=0.812))
    assert (line["run"], line["public"], line["private"]) == ("exp001/3", 0.812, None)
    offset = datetime.fromisoformat(line["time"]).utcoffset()
    assert offset is not None
    assert not offset
    assert read_scores(workspace) == {"exp001/3": Scores(0.812, None)}


def test_the_newest_score_wins_and_none_keeps_what_was_told(workspace: Workspace) -> None:
    add_scores(workspace, "exp001/1", Scores(public=0.5))
    add_scores(workspace, "exp002/1", Scores(public=0.6, private=0.7))
    add_scores(workspace, "exp001/1", Scores(private=0.0))
    add_scores(workspace, "exp002/1", Scores(public=0.65))
    assert read_scores(workspace) == {"exp001/1": Scores(0.5, 0.0), "exp002/1": Scores(0.65, 0.7)}


def test_the_ledger_only_grows(workspace: Workspace) -> None:
    seen = b""
    for score in (0.1, 0.2, 0.3):
        add_scores(workspace, "exp001/1", Scores(score))
        text = workspace.leaderboard.read_bytes()
        assert text.startswith(seen)
        assert text.count(b"\n") == seen.count(b"\n") + 1
        seen = text


def test_a_line_cut_by_a_crash_loses_no_other(workspace: Workspace) -> None:
    add_scores(workspace, "exp001/1", Scores(0.1))
    with workspace.leaderboard.open("ab") as stream:
        stream.write(b'{"event":"score","private":null,"pub')
    assert read_scores(workspace) == {"exp001/1": Scores(0.1)}
    add_scores(workspace, "exp002/1", Scores(0.2))
    assert read_scores(workspace) == {"exp001/1": Scores(0.1), "exp002/1": Scores(0.2)}


def test_a_damaged_line_is_told_and_not_passed_over(workspace: Workspace) -> None:
    workspace.leaderboard.write_text('{"event":"score","run":"exp001/1","public":0.1\n')
    with pytest.raises(DataError, match=r"leaderboard\.jsonl line 1: not JSON"):
        read_scores(workspace)


def test_lines_of_other_kinds_and_lines_written_by_hand_are_read(workspace: Workspace) -> None:
    workspace.leaderboard.write_text(
        '{"event":"intent","run":"exp001/1"}\n{"event":"score","run":"exp001/1","public":0.1}\n'
    )
    assert read_scores(workspace) == {"exp001/1": Scores(0.1)}


@pytest.mark.parametrize("score", [math.nan, math.inf])
def test_what_is_not_a_number_is_no_score(score: float, workspace: Workspace) -> None:
    with pytest.raises(ManifestError, match=r"not a score\n  private: .*; expected a finite number"):
        add_scores(workspace, "exp001/1", Scores(0.5, score))
    assert not workspace.leaderboard.exists()


@pytest.mark.parametrize(
    "line",
    [
        '{"event":"score","public":0.5}',
        '{"event":"score","run":1,"public":0.5}',
        '{"event":"score","run":"exp001/1","public":"0.5"}',
        '{"event":"score","run":"exp001/1","private":true}',
        '{"event":"score","run":"exp001/1","private":NaN}',
        "[1]",
        "null",
    ],
)
def test_a_line_of_another_shape_is_told_with_its_number(line: str, workspace: Workspace) -> None:
    add_scores(workspace, "exp001/1", Scores(0.1))
    with workspace.leaderboard.open("a") as stream:
        stream.write(f'\n{line}\n{{"event":"score","ru')
    with pytest.raises(DataError, match=r"leaderboard\.jsonl is damaged\n  leaderboard\.jsonl line 3: not a"):
        read_scores(workspace)
