"""Propose the two final submissions, a sound one and a different one, and say why in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any

from kagkit.judgement.alarms import why_nothing
from kagkit.judgement.board import Alarm, Board, Row
from kagkit.judgement.comparison import Comparison
from kagkit.judgement.forecast import Evidence, Forecast, expected_best, forecast_private, gather_evidence

MOST_PAIRED = 60
FEWEST = 2
PAGE = "https://www.kaggle.com/competitions/{}/submissions"


@dataclass(frozen=True)
class Pick:
    """A submission to select.

    Attributes:
        run: The run; in a table the experiment.
        submission: Its packaged submission; None where it was not packaged, or in a table.
        why: The reason, in words.
    """

    run: str
    submission: str | None
    why: str


@dataclass(frozen=True)
class Finals:
    """What to select.

    Attributes:
        picks: Two submissions; fewer where there are not two to choose from.
        rejected_default: What the host would select by itself, and why not; None where that is the same.
        alarms: What to be careful about.
        how: What the choice rests on.
        where: Where to select.
    """

    picks: tuple[Pick, ...]
    rejected_default: dict[str, Any] | None
    alarms: tuple[Alarm, ...]
    how: str
    where: str

    def as_json(self) -> dict[str, Any]:
        """The proposal as plain data, the contract's keys."""
        return asdict(self)


def propose_finals(comparison: Comparison, competition: str | None = None) -> Finals:
    """Choose two submissions for the best expected private score of the better one.

    With predictions, private scores are forecast from CV, public score and the noise of both, and the pair is
    chosen whose better one is expected to score best: what is alike insures little. From a table alone: the
    best CV, and the best public score among the better half by CV.

    Args:
        comparison: What is compared; only the largest set that may be ranked together is chosen from.
        competition: The competition's slug, for the page where one selects.
    """
    board = comparison.board
    candidates = [row for row in board.ranked if row.lb_public is not None or board.noise.get(row.run)]
    candidates = candidates or list(board.ranked)
    alarms = [alarm for alarm in comparison.alarms if alarm.kind != "lb_gain"]
    if len(candidates) < FEWEST:
        picks: tuple[Pick, ...] = tuple(_pick(row, "the only one with a CV") for row in candidates)
        how = "no advice: it takes two submissions with CV"
    else:
        evidence = gather_evidence(board, candidates)
        if evidence is None:
            chosen, how = _choose_by_scores(board, candidates)
        else:
            chosen, how = _choose_by_forecast(board, candidates, evidence)
        picks = tuple(_pick(row, why) for row, why in chosen)
    alarms += _unsubmitted(board, picks)
    page = PAGE.format(competition) if competition else "the host's page of your submissions"
    return Finals(picks, _default(board, picks), tuple(alarms), how, f"select both by hand: {page}")


def _pick(row: Row, why: str) -> Pick:
    return Pick(row.run, row.submission, why)


def _choose_by_scores(board: Board, rows: Sequence[Row]) -> tuple[list[tuple[Row, str]], str]:
    """The best CV, and the best public score among the better half by CV."""

    def by_cv(row: Row) -> tuple[float, float]:
        return board.sign * (row.cv or 0.0), _public(board, row)

    ranked = sorted(rows, key=by_cv, reverse=True)
    safe, half = ranked[0], ranked[: max(-(-len(ranked) // 2), 2)]
    how = "from CV and public scores alone: best CV, and best public score in the better half by CV"
    if why_nothing(board) or all(row.lb_public is None for row in half[1:]):
        why = "second CV; the public scores say nothing here"
        return [(safe, f"best CV: {_told(safe)}"), (half[1], f"{why}: {_told(half[1])}")], how
    other = max(half[1:], key=lambda row: (_public(board, row), board.sign * (row.cv or 0.0)))
    better = _public(board, other) > _public(board, safe)
    why = "best public score" if better else "next best public score after the first"
    return [
        (safe, f"best CV: {_told(safe)}"),
        (other, f"{why} of the {len(half)} better ones by CV, another bet than the first: {_told(other)}"),
    ], how


def _choose_by_forecast(
    board: Board, rows: Sequence[Row], evidence: Evidence
) -> tuple[list[tuple[Row, str]], str]:
    """The pair whose better one is expected to score best on the private board."""
    forecast = forecast_private(evidence)
    safe, other, gain = choose_pair(forecast)
    alike = _likeness(evidence, safe, other)
    expected = f"{board.sign * float(forecast.mean[safe]):.5g}"
    second = f"{board.sign * float(forecast.mean[other]):.5g}"
    different = (
        f"expected {second}, with errors of its own (correlation {alike:.2f} with the first); the pair is "
        f"expected {gain:.2g} better than the first alone: {_told(rows[other])}"
    )
    reasons = [
        f"best expected private score, {expected}: {_told(rows[safe])}",
        different,
    ]
    how = (
        f"from CV and public scores weighed by their noise: one more in CV counts {forecast.weight_cv:.2f}, "
        f"in public {forecast.weight_public:.2f}"
    )
    return [(rows[safe], reasons[0]), (rows[other], reasons[1])], how


def choose_pair(forecast: Forecast) -> tuple[int, int, float]:
    """The pair with the best expected better score: the higher expectation first, and what the pair adds.

    Only the sixty best expectations are paired.
    """
    mean = forecast.mean
    order = [int(i) for i in (-mean).argsort(kind="stable")[:MOST_PAIRED]]
    first, second = max(
        combinations(order, 2), key=lambda pair: expected_best(mean, forecast.covariance, *pair)
    )
    gain = expected_best(mean, forecast.covariance, first, second) - float(mean[first])
    return first, second, gain


def _likeness(evidence: Evidence, first: int, second: int) -> float:
    """The correlation of two submissions' scores over choices of rows."""
    noise = evidence.public_noise
    scale = float(noise[first, first] * noise[second, second]) ** 0.5
    return float(noise[first, second]) / scale if scale else 1.0


def _public(board: Board, row: Row) -> float:
    return float("-inf") if row.lb_public is None else board.sign * row.lb_public


def _told(row: Row) -> str:
    public = "no public score" if row.lb_public is None else f"public {row.lb_public:g}"
    return f"CV {row.cv:.5g}, {public}"


def _unsubmitted(board: Board, picks: Sequence[Pick]) -> list[Alarm]:
    by_run = {row.run: row for row in board.rows}
    names = tuple(pick.run for pick in picks if by_run[pick.run].lb_public is None)
    if not names or not board.scored:
        return []
    text = f"{', '.join(names)} has no public score: the host lets you select only what was submitted"
    return [Alarm("unsubmitted", text, names)]


def _default(board: Board, picks: Sequence[Pick]) -> dict[str, Any] | None:
    """The best two public scores, which a host selects where nobody does."""
    known = [row for row in board.rows if row.lb_public is not None]
    best = sorted(known, key=lambda row: -_public(board, row))[:2]
    if not best or {row.run for row in best} == {pick.run for pick in picks}:
        return None
    why = "the host's default, the best public scores: the luck of the public rows chose them too"
    nothing = why_nothing(board)
    return {"runs": [row.run for row in best], "why": f"{why}; here {nothing}" if nothing else why}
