"""Say what decisions brought: each change beside its parent, and what another choice of finals would have."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from kagkit.judgement.alarms import BEYOND_NOISE
from kagkit.judgement.board import Board, Row
from kagkit.judgement.comparison import Comparison, judge_board
from kagkit.judgement.descent import spell_descent
from kagkit.judgement.finals import propose_finals

FEWEST = 2


@dataclass(frozen=True)
class Decision:
    """A run beside the one it was made from; gains are positive where it is the better one.

    Attributes:
        run: The run.
        parent: The run it was made from.
        changes: What is different, in words.
        cv: What CV gained.
        cv_sd: The standard deviation of that gain by the choice of rows; None where not measured.
        public: What the public score gained.
        private: What the private score gained.
        outcome: What CV said and what came of it; empty while private scores are not known.
    """

    run: str
    parent: str
    changes: str
    cv: float | None
    cv_sd: float | None
    public: float | None
    private: float | None
    outcome: str


@dataclass(frozen=True)
class Choice:
    """A way to choose the final submissions, and where it would have led.

    Attributes:
        how: The way, in words.
        runs: What it chooses among the submissions that counted.
        private: The better private score of these.
        lost: How much better the best one was.
    """

    how: str
    runs: tuple[str, ...]
    private: float
    lost: float


def judge_decisions(board: Board) -> list[Decision]:
    """Every run of a board that was made from another one of it, in the board's order."""
    rows = {row.run: row for row in board.rows}
    return [
        _judge(board, rows[row.descent.parent], row)
        for row in board.rows
        if row.descent is not None and row.descent.parent in rows and row.descent.parent != row.run
    ]


def _judge(board: Board, parent: Row, row: Row) -> Decision:
    # CVs of two sets are of other rows, or of another metric.
    alike = row.comparable is not None and row.comparable == parent.comparable
    cv = _gain(board, parent.cv, row.cv) if alike else None
    sd = board.noise_between(parent, row, "cv") if cv is not None else None
    private = _gain(board, parent.lb_private, row.lb_private)
    return Decision(
        run=row.run,
        parent=parent.run,
        changes=spell_descent(row.descent) if row.descent else "",
        cv=cv,
        cv_sd=sd,
        public=_gain(board, parent.lb_public, row.lb_public),
        private=private,
        outcome=_outcome(cv, sd, private),
    )


def _gain(board: Board, before: float | None, after: float | None) -> float | None:
    return None if before is None or after is None else board.sign * (after - before)


def _outcome(cv: float | None, sd: float | None, private: float | None) -> str:
    """What CV said and what came, in words.

    Example:
        >>> _outcome(0.02, 0.001, 0.01), _outcome(0.02, 0.001, -0.01), _outcome(0.001, 0.01, -0.01)
        ('paid off', 'cost, though CV said better', 'cost; CV said nothing')
    """
    if cv is None or private is None:
        return ""
    if private == 0:
        return "made no difference"
    if cv == 0 or (sd is not None and abs(cv) < BEYOND_NOISE * sd):
        return "gained; CV said nothing" if private > 0 else "cost; CV said nothing"
    if cv > 0:
        return "paid off" if private > 0 else "cost, though CV said better"
    return "gained, though CV said worse" if private > 0 else "cost, as CV said"


def judge_choices(comparison: Comparison, late: Collection[str]) -> list[Choice]:
    """What ways to choose two finals would have led to, by private score, the best one last.

    None of the ways knows private scores, `kagkit finals` least of all: they are hidden from it.

    Args:
        comparison: The runs with their private scores.
        late: Runs that were submitted after the end only: nobody could have chosen them.

    Returns:
        Nothing where fewer than two submissions have all three scores.
    """
    board = comparison.board
    rows = [row for row in board.scored if row.lb_private is not None and row.run not in late]
    if len(rows) < FEWEST:
        return []
    by_cv = sorted(rows, key=lambda row: -board.sign * (row.cv or 0.0))
    by_public = sorted(rows, key=lambda row: -board.sign * (row.lb_public or 0.0))
    by_private = sorted(rows, key=lambda row: -board.sign * (row.lb_private or 0.0))
    ways = {
        "the best CV": by_cv[:1],
        "the best two CVs": by_cv[:2],
        "the best public score": by_public[:1],
        "the best two public scores, the host's own choice": by_public[:2],
        "the best CV and the best public score": [by_cv[0], by_public[0]],
        "the two of kagkit finals": _proposed(comparison, rows),
        "in hindsight": by_private[:1],
    }
    best = by_private[0].lb_private or 0.0
    return [_choice(board, how, chosen, best) for how, chosen in ways.items()]


def _proposed(comparison: Comparison, rows: Sequence[Row]) -> list[Row]:
    """What `kagkit finals` would have proposed before the end."""
    blind = tuple(replace(row, lb_private=None) for row in rows)
    board = replace(comparison.board, rows=blind)
    picks = {pick.run for pick in propose_finals(judge_board(board, comparison.metric)).picks}
    return [row for row in rows if row.run in picks]


def _choice(board: Board, how: str, chosen: Sequence[Row], best: float) -> Choice:
    private = max(((row.lb_private or 0.0) for row in chosen), key=lambda score: board.sign * score)
    names = tuple(dict.fromkeys(row.run for row in chosen))
    return Choice(how, names, private, board.sign * (best - private))
