"""Ask the host for its boards, find the team on them, and note its place beside the medal lines."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from kagkit.foundation.errors import HostError, Problem
from kagkit.host.answers import HostSubmission, read_score
from kagkit.host.asking import Host
from kagkit.host.downloading import download_board
from kagkit.host.settling import events_at
from kagkit.workspace.layout import Workspace
from kagkit.workspace.medals import EVENT, MedalLine, Standing, medal_ranks, note_standing

COLUMNS = ("Rank", "TeamId", "TeamName", "Score")
MEMBERS = "TeamMemberUserNames"


@dataclass(frozen=True)
class Placed:
    """A team on a board: its place, the host's number for it, and what the board shows."""

    rank: int
    team_id: int
    team: str
    score: float | None
    members: tuple[str, ...] = ()


def place_team(host: Host, workspace: Workspace, ours: Sequence[HostSubmission]) -> list[Standing]:
    """Note where the team stands: publicly, and after the end privately as well.

    The host's file of the board says by its name which one it is. Once it is the private one, the public
    board is read page by page, a single time, for the place from which the end shook the team.

    Args:
        host: The host.
        workspace: The workspace, whose ledger is written.
        ours: The team's submissions, as the host lists them: they name the team.

    Returns:
        The standings, the current one first.

    Raises:
        HostError: The host does not give its board, or it is of a shape that is not known.
        DataError: The ledger or the file is damaged.
    """
    kind, board = _current_board(host, workspace.cache)
    awarded = host.facts().awards
    team_id = find_team(board, ours)
    boards = {kind: board}
    events = events_at(host, workspace)
    if kind == "private" and not any(_is_private(line) for line in events):
        lines = enumerate(host.board(), 1)
        boards["public"] = [Placed(rank, line.team_id, line.team, line.score) for rank, line in lines]
    standings = [stand(name, placed, team_id, awarded=awarded) for name, placed in boards.items()]
    for standing in reversed(standings):
        note_standing(workspace, host.door.place, standing, known=events)
    return standings


def _is_private(line: dict[str, object]) -> bool:
    return line.get("event") == EVENT and line.get("board") == "private"


def _current_board(host: Host, cache: Path) -> tuple[str, list[Placed]]:
    """The board that the host offers as a file, and whether it is the public or the private one."""
    folder = cache / "board"
    shutil.rmtree(folder, ignore_errors=True)
    download_board(host, cache, folder)
    files = sorted(folder.rglob("*.csv"))
    if len(files) != 1:
        problem = Problem("host", f"{len(files)} tables in its file", "one")
        raise HostError("the leaderboard cannot be read", [problem])
    kind = "private" if "private" in files[0].name.lower() else "public"
    return kind, read_board(files[0])


def read_board(path: Path) -> list[Placed]:
    """The teams of a board's file, in its order.

    Raises:
        HostError: A column is missing, or a line has no rank.
    """
    with path.open(encoding="utf-8-sig", newline="") as stream:
        rows = csv.DictReader(stream)
        missing = [column for column in COLUMNS if column not in (rows.fieldnames or [])]
        if missing:
            problem = Problem(path.name, f"no column {', '.join(missing)}", ", ".join(COLUMNS))
            raise HostError("the leaderboard is of a shape that is not known", [problem])
        try:
            return [
                Placed(
                    int(row["Rank"]),
                    int(row["TeamId"]),
                    row["TeamName"],
                    read_score(row["Score"]),
                    tuple(name.strip() for name in (row.get(MEMBERS) or "").split(",")),
                )
                for row in rows
            ]
        except ValueError as error:
            raise HostError("the leaderboard is damaged", [Problem(path.name, str(error))]) from error


def find_team(board: Collection[Placed], ours: Sequence[HostSubmission]) -> int | None:
    """The team's number; None where it is not on the board, or cannot be told from a namesake.

    Teams may share a name: then it is the one with a member who submitted.
    """
    names = {found.team for found in ours} - {""}
    users = {found.submitted_by for found in ours} - {""}
    named = [placed for placed in board if placed.team in names]
    if len(named) > 1:
        named = [placed for placed in named if users & set(placed.members)]
    return named[0].team_id if len(named) == 1 else None


def stand(name: str, board: Sequence[Placed], team_id: int | None, *, awarded: bool) -> Standing:
    """The team's place on a board, with the score at the last place of each medal.

    Args:
        name: `public` or `private`.
        board: The teams, best first.
        team_id: The host's number for the team; None where it is not on the board.
        awarded: Whether the competition awards medals.
    """
    scores = {placed.rank: placed.score for placed in board}
    ours = next((placed for placed in board if placed.team_id == team_id), None)
    ranks = medal_ranks(len(board))
    return Standing(
        board=name,
        time=datetime.now(UTC),
        teams=len(board),
        rank=ours.rank if ours else None,
        score=ours.score if ours else None,
        lines=tuple(MedalLine(medal, rank, scores.get(rank)) for medal, rank in ranks.items()),
        awarded=awarded,
    )
