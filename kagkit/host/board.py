"""Rank the teams of a stage, publicly and privately, and say how far the end shook them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from kagkit.host.grading import cut_score
from kagkit.host.register import Submission

FINALS = 2


@dataclass(frozen=True)
class Place:
    """A team's place on a board.

    Attributes:
        rank: From 1; teams of one score stand in the order in which they reached it.
        team: The team's name.
        score: As it is shown.
        time: When the submission behind the score was made.
        entries: How many of the team's submissions count.
    """

    rank: int
    team: str
    score: str
    time: datetime
    entries: int


@dataclass(frozen=True)
class Shake:
    """A team's private place beside its public one.

    Attributes:
        private: The place that counts.
        public_rank: The rank before the end.
        moved: Ranks won at the end; lost where negative.
    """

    private: Place
    public_rank: int

    @property
    def moved(self) -> int:
        """Ranks won at the end; lost where negative."""
        return self.public_rank - self.private.rank


def counting(submissions: Iterable[Submission], stage: str) -> list[Submission]:
    """The submissions that count in a stage: scored, and not late."""
    return [
        item for item in submissions if item.stage == stage and item.status == "COMPLETE" and not item.late
    ]


def public_board(submissions: Iterable[Submission], stage: str, *, greater: bool) -> list[Place]:
    """The teams by their best public score.

    Args:
        submissions: Those of every team and stage.
        stage: The stage to rank.
        greater: Whether greater is better.
    """
    best = {team: items[0] for team, items in _by_public(submissions, stage, greater).items()}
    return _ranked(best, _entries(submissions, stage), "public", greater)


def private_board(submissions: Iterable[Submission], stage: str, *, greater: bool) -> list[Place]:
    """The teams by the better private score of their two publicly best submissions.

    Kaggle takes these two where a team selects none, and its client cannot select.

    Args:
        submissions: Those of every team and stage.
        stage: The stage to rank.
        greater: Whether greater is better.
    """
    finals = {
        team: min(items[:FINALS], key=lambda item: _order(item.private, item, greater))
        for team, items in _by_public(submissions, stage, greater).items()
    }
    return _ranked(finals, _entries(submissions, stage), "private", greater)


def shaken(public: list[Place], private: list[Place]) -> list[Shake]:
    """The private board with each team's public rank."""
    ranks = {place.team: place.rank for place in public}
    return [Shake(place, ranks[place.team]) for place in private]


def _order(score: float | None, item: Submission, greater: bool) -> tuple[Decimal, datetime, int]:
    """Best first by the score as it is shown, then by time."""
    shown = Decimal(cut_score(score or 0.0))
    return (-shown if greater else shown, item.time, item.ref)


def _by_public(submissions: Iterable[Submission], stage: str, greater: bool) -> dict[str, list[Submission]]:
    teams: dict[str, list[Submission]] = {}
    for item in sorted(counting(submissions, stage), key=lambda item: _order(item.public, item, greater)):
        teams.setdefault(item.team, []).append(item)
    return teams


def _entries(submissions: Iterable[Submission], stage: str) -> dict[str, int]:
    counts: dict[str, int] = {}
    for item in counting(submissions, stage):
        counts[item.team] = counts.get(item.team, 0) + 1
    return counts


def _ranked(chosen: dict[str, Submission], entries: dict[str, int], kind: str, greater: bool) -> list[Place]:
    best_first = sorted(chosen.items(), key=lambda pair: _order(getattr(pair[1], kind), pair[1], greater))
    return [
        Place(rank, team, cut_score(getattr(item, kind)), item.time, entries[team])
        for rank, (team, item) in enumerate(best_first, 1)
    ]
