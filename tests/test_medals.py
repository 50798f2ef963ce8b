from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kagkit.foundation.errors import DataError, HostError
from kagkit.foundation.files import append_json_line
from kagkit.host.answers import HostSubmission
from kagkit.host.placing import Placed, find_team, read_board, stand
from kagkit.workspace.layout import Workspace
from kagkit.workspace.ledger import read_events
from kagkit.workspace.medals import (
    MedalLine,
    Standing,
    medal_ranks,
    newest_standings,
    note_standing,
    read_standings,
)
from tests.terminal import kagkit
from tests.toy import COMPETITION, make_workspace, write_competition

BOARD = """\
Rank,TeamId,TeamName,LastSubmissionDate,Score,SubmissionCount,TeamMemberUserNames
1,11,First,2026-03-01 10:00:00,0.95,3,"zoe"
2,12,Us,2026-03-01 11:00:00,0.90,7,"ann,bob"
3,13,Us,2026-03-01 12:00:00,,1,"eve"
"""


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(make_workspace(tmp_path))


def standing(board: str = "public", **facts: object) -> Standing:
    lines = (MedalLine("gold", 1, 0.9), MedalLine("silver", 4, 0.8), MedalLine("bronze", 8, 0.7))
    told = Standing(board, datetime(2026, 3, 1, tzinfo=UTC), 20, 6, 0.75, lines, True)
    return replace(told, **facts)  # type: ignore[arg-type]


def note(workspace: Workspace, told: Standing, host: str = "kaggle") -> bool:
    return note_standing(workspace, host, told, known=read_events(workspace))


@pytest.mark.parametrize(
    ("teams", "gold", "silver", "bronze"),
    [
        (15, 1, 3, 6),
        (99, 9, 19, 39),
        (100, 10, 20, 40),
        (249, 10, 49, 99),
        (250, 10, 50, 100),
        (500, 11, 50, 100),
        (1000, 12, 50, 100),
        (1475, 12, 73, 147),
        (5000, 20, 250, 500),
    ],
)
def test_medal_lines_are_those_of_kaggles_table(teams: int, gold: int, silver: int, bronze: int) -> None:
    assert medal_ranks(teams) == {"gold": gold, "silver": silver, "bronze": bronze}


@given(st.integers(1, 20_000))
@settings(max_examples=50, deadline=None)
def test_better_medals_are_rarer_and_nobody_stands_beyond_the_board(teams: int) -> None:
    ranks = list(medal_ranks(teams).values())
    assert ranks == sorted(set(ranks))
    assert 1 <= ranks[0] <= ranks[-1] <= teams


def test_few_teams_leave_no_place_for_some_medals() -> None:
    assert [medal_ranks(teams) for teams in (0, 1, 4)] == [{}, {"gold": 1}, {"gold": 1}]
    assert medal_ranks(5) == {"gold": 1, "bronze": 2}


def test_the_zone_is_that_of_the_place_and_lines_are_told_by_what_is_missing() -> None:
    told = standing()
    assert (told.zone, replace(told, rank=1).zone, replace(told, rank=9).zone) == ("bronze", "gold", None)
    assert [told.ahead(line, True) for line in told.lines] == pytest.approx([-0.15, -0.05, 0.05])
    assert [told.ahead(line, False) for line in told.lines] == pytest.approx([0.15, 0.05, -0.05])


def test_places_are_kept_over_time_and_each_once(workspace: Workspace) -> None:
    assert note(workspace, standing(rank=9))
    assert note(workspace, standing())
    assert not note(workspace, standing())
    assert note(workspace, standing("private", rank=2))
    assert [told.rank for told in read_standings(workspace)] == [9, 6, 2]
    newest = newest_standings(workspace)
    assert newest["public"] is not None
    assert (newest["public"]["rank"], newest["public"]["before"]["rank"]) == (6, 9)
    assert newest["private"] is not None
    assert newest["private"]["before"] is None


def test_a_rehearsal_on_this_machine_is_another_history(workspace: Workspace) -> None:
    note(workspace, standing(rank=1), "loopback")
    note(workspace, standing(rank=6))
    assert [told.rank for told in read_standings(workspace)] == [6]


def test_status_tells_the_place_and_how_far_the_medals_are(workspace: Workspace) -> None:
    write_competition(workspace.root, metric=COMPETITION["metric"] | {"greater_is_better": False})
    lines = (MedalLine("gold", 1, 0.2), MedalLine("silver", 4, 0.3), MedalLine("bronze", 8, 0.5))
    note(workspace, standing(rank=7, score=0.4, lines=lines))
    note(workspace, standing(rank=6, score=0.4, lines=lines))
    told = kagkit(workspace.root, "status").out
    assert "public place: 6 of 20 teams" in told
    assert "bronze zone; 7 before" in told
    assert "  silver to place 4, 0.30000: 0.10000 to go\n" in told
    assert "  bronze to place 8, 0.50000: 0.10000 to spare\n" in told
    assert "private" not in told
    note(workspace, standing("private", rank=None, score=None, awarded=False))
    assert "private board: 20 teams, no place of ours" in kagkit(workspace.root, "status").out
    facts = kagkit(workspace.root, "status", "--json").json["standing"]
    assert facts["public"]["zone"] == "bronze"
    assert facts["private"]["lines"][0]["ahead"] is None


def test_a_damaged_place_is_told(workspace: Workspace) -> None:
    append_json_line(workspace.leaderboard, {"event": "board", "time": "2026-03-01T12:00:00+00:00"})
    with pytest.raises(DataError, match="2026-03-01T12:00:00"):
        read_standings(workspace)


def test_the_team_is_found_by_its_name_or_else_by_who_submitted(tmp_path: Path) -> None:
    (tmp_path / "board.csv").write_text(BOARD)
    board = read_board(tmp_path / "board.csv")
    assert board[1] == Placed(2, 12, "Us", 0.9, ("ann", "bob"))
    assert find_team(board, [HostSubmission(1, "COMPLETE", team="First")]) == 11
    assert find_team(board, [HostSubmission(1, "COMPLETE", team="Us", submitted_by="bob")]) == 12
    assert find_team(board, [HostSubmission(1, "COMPLETE", team="Us")]) is None
    assert find_team(board, []) is None
    told = stand("public", board, 13, awarded=True)
    assert (told.teams, told.rank, told.score, told.zone) == (3, 3, None, None)
    assert stand("public", [], None, awarded=True).lines == ()


@pytest.mark.parametrize("text", ["TeamId,TeamName,Score\n1,a,1\n", BOARD.replace("2,12", "x,12")])
def test_a_board_of_another_shape_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "board.csv").write_text(text)
    with pytest.raises(HostError, match=r"board\.csv: "):
        read_board(tmp_path / "board.csv")


def test_no_name_of_a_team_is_kept(workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "board.csv").write_text(BOARD)
    note(workspace, stand("public", read_board(tmp_path / "board.csv"), 12, awarded=True))
    (line,) = workspace.leaderboard.read_text().splitlines()
    assert not {"Us", "First", "ann"} & set(json.dumps(json.loads(line)).replace('"', " ").split())
