"""Keep the team's places on the host's boards in the ledger, draw the medal lines, say how far each is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from kagkit.foundation.errors import DataError, Problem
from kagkit.workspace.layout import Workspace
from kagkit.workspace.ledger import add_event, moment_of, read_events

EVENT = "board"
BOARDS = ("public", "private")


@dataclass(frozen=True)
class MedalLine:
    """The last place of a medal, and the score that stands there."""

    medal: str
    rank: int
    score: float | None


@dataclass(frozen=True)
class Standing:
    """The team's place on a board at a moment.

    Attributes:
        board: `public` or `private`.
        time: When the host was asked.
        teams: How many teams are on the board.
        rank: Ours, from 1; None where the team is not on it.
        score: Ours, as the board shows it.
        lines: The last place of each medal, gold first.
        awarded: Whether the competition awards medals at all; where not, the lines only tell where they were.
    """

    board: str
    time: datetime
    teams: int
    rank: int | None
    score: float | None
    lines: tuple[MedalLine, ...]
    awarded: bool

    @property
    def zone(self) -> str | None:
        """The medal that the place earns; None where it earns none."""
        if self.rank is None:
            return None
        return next((line.medal for line in self.lines if self.rank <= line.rank), None)

    def ahead(self, line: MedalLine, greater_is_better: bool) -> float | None:
        """By how much our score is better than that of a line; negative is how much is missing."""
        if self.score is None or line.score is None:
            return None
        return self.score - line.score if greater_is_better else line.score - self.score


def medal_ranks(teams: int) -> dict[str, int]:
    """The last place that earns each medal; shares are rounded down, and one place at least is golden.

    Args:
        teams: How many teams are on the board.

    Returns:
        By medal, gold first; a medal that no place is left for is not in it.

    References:
        Kaggle's progression system: below 100 teams 10, 20 and 40 %; below 250 the first 10, 20 and 40 %;
        below 1,000 the first 10 and one more for every 500 teams, 50, 100; from there on the same gold, 5
        and 10 %.

    Example:
        >>> medal_ranks(50), medal_ranks(200)
        ({'gold': 5, 'silver': 10, 'bronze': 20}, {'gold': 10, 'silver': 40, 'bronze': 80})
        >>> medal_ranks(999), medal_ranks(1500)
        ({'gold': 11, 'silver': 50, 'bronze': 100}, {'gold': 13, 'silver': 75, 'bronze': 150})
    """
    if teams < 100:
        ranks = teams // 10, teams // 5, teams * 2 // 5
    elif teams < 250:
        ranks = 10, teams // 5, teams * 2 // 5
    else:
        ranks = 10 + teams // 500, *((50, 100) if teams < 1000 else (teams // 20, teams // 10))
    found = dict(zip(("gold", "silver", "bronze"), ranks, strict=True))
    found["gold"] = max(found["gold"], 1)
    better = {"gold": 0, "silver": found["gold"], "bronze": max(found["gold"], found["silver"])}
    return {medal: rank for medal, rank in found.items() if teams >= rank > better[medal]}


def note_standing(
    workspace: Workspace, host: str, standing: Standing, *, known: Sequence[dict[str, Any]]
) -> bool:
    """Append a standing to the ledger, unless the newest one of this board there says the same.

    Args:
        workspace: The workspace.
        host: `kaggle`, or `loopback` for a host on this machine.
        standing: What to note; its time is that of the line, the present.
        known: The ledger's events.

    Returns:
        Whether it was appended.

    Raises:
        RunError: The ledger cannot be written.
    """
    facts = asdict(standing) | {"host": host, "lines": [asdict(line) for line in standing.lines]}
    del facts["time"]
    told = [line for line in known if line.get("event") == EVENT and line.get("board") == standing.board]
    if told and {name: told[-1].get(name) for name in facts} == facts:
        return False
    add_event(workspace, EVENT, facts)
    return True


def read_standings(workspace: Workspace) -> list[Standing]:
    """Every standing that was noted, oldest first; those at a host on this machine are another's history.

    The host asked last is the one whose standings are told.

    Raises:
        DataError: The ledger is damaged.
    """
    told = [line for line in read_events(workspace) if line.get("event") == EVENT]
    return [_read(line) for line in told if line.get("host") == told[-1].get("host")]


def newest_standings(workspace: Workspace) -> dict[str, dict[str, Any] | None]:
    """By board, the newest standing as plain data, with what is ahead and behind; None where none was noted.

    Returns:
        By `public` and `private`: `time`, `teams`, `rank`, `score`, `zone`, `awarded`; `before`, the latest
        other `rank` and its `time`, or None; `lines`, each with `medal`, `rank`, `score` and `ahead`.
    """
    standings = read_standings(workspace)
    greater = workspace.competition.metric.greater_is_better
    found: dict[str, dict[str, Any] | None] = {}
    for board in BOARDS:
        of_board = [standing for standing in standings if standing.board == board]
        found[board] = _told(of_board, greater) if of_board else None
    return found


def _told(standings: Sequence[Standing], greater_is_better: bool) -> dict[str, Any]:
    now = standings[-1]
    before = next((s for s in reversed(standings) if s.rank not in (None, now.rank)), None)
    return {
        "time": _spelled(now.time),
        "teams": now.teams,
        "rank": now.rank,
        "score": now.score,
        "zone": now.zone,
        "awarded": now.awarded,
        "before": None if before is None else {"rank": before.rank, "time": _spelled(before.time)},
        "lines": [asdict(line) | {"ahead": now.ahead(line, greater_is_better)} for line in now.lines],
    }


def _spelled(time: datetime) -> str:
    return time.isoformat(timespec="minutes").replace("+00:00", "Z")


def _read(line: dict[str, Any]) -> Standing:
    try:
        lines = tuple(MedalLine(**told) for told in line["lines"])
        facts = {name: line[name] for name in ("board", "teams", "rank", "score", "awarded")}
        return Standing(**facts, time=moment_of(line), lines=lines)
    except (KeyError, TypeError) as error:
        where = f"leaderboard.jsonl, {line.get('time')}"
        problem = Problem(where, "not a place on a board", hint="restore the line, or remove it")
        raise DataError("leaderboard.jsonl is damaged", [problem]) from error
