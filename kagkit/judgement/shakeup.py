"""Simulate the private board: how far each submission may move there, and after the close, what did."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from kagkit.foundation.seeds import stream
from kagkit.judgement.board import Board, Row, Shake
from kagkit.judgement.forecast import assume_evidence, forecast_private, gather_evidence

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SIMULATED = 4000
LEVEL = 0.9
FEWEST = 2


def shake_board(board: Board) -> tuple[Board, str]:
    """The board with each scored row's private interval and rank interval.

    Private scores are drawn from what CV and public scores let expect, with the noise of a board of the
    private size, paired over submissions: what is hard for all of them moves nobody's rank.

    Returns:
        The board, and a sentence on what was simulated; or on what happened, where private scores are known.
    """
    import numpy as np

    rows = board.scored
    evidence = gather_evidence(board, rows) or assume_evidence(board, rows)
    if len(rows) < FEWEST or evidence is None:
        return board, "no shake-up: it takes two scored runs with OOF and a public_share, or six lines"
    forecast = forecast_private(evidence)
    root = _root(forecast.covariance)
    drawn = forecast.mean + stream("shake").standard_normal((SIMULATED, len(rows))) @ root.T
    ranks = (-drawn).argsort(axis=1, kind="stable").argsort(axis=1) + 1
    tails = [(1 - LEVEL) / 2, (1 + LEVEL) / 2]
    low, high = np.quantile(drawn, tails, axis=0)
    first, last = np.quantile(ranks, tails, axis=0, method="nearest")
    ended = _ranks_after_close(board, rows)
    shakes = {
        row.run: Shake(
            score=(
                float(min(board.sign * low[i], board.sign * high[i])),
                float(max(board.sign * low[i], board.sign * high[i])),
            ),
            rank=(int(first[i]), int(last[i])),
            ended=ended.get(row.run),
        )
        for i, row in enumerate(rows)
    }
    shaken = tuple(replace(row, shake=shakes.get(row.run)) for row in board.rows)
    return replace(board, rows=shaken), _tell(board, rows, shakes)


def _root(covariance: NDArray[np.float64]) -> NDArray[np.float64]:
    """A root of a covariance that rounding may have made a little negative."""
    import numpy as np

    values, vectors = np.linalg.eigh((covariance + covariance.T) / 2)
    return np.asarray(vectors * np.sqrt(np.clip(values, 0, None)))


def _ranks_after_close(board: Board, rows: tuple[Row, ...]) -> dict[str, int]:
    """The rank of each row with a private score among all rows; nothing where one lacks it."""
    if any(row.lb_private is None for row in rows):
        return {}
    order = sorted(rows, key=lambda row: -board.sign * (row.lb_private or 0.0))
    return {row.run: place for place, row in enumerate(order, 1)}


def _tell(board: Board, rows: tuple[Row, ...], shakes: dict[str, Shake]) -> str:
    known = [row for row in rows if row.lb_private is not None]
    if not known:
        widest = max(shakes.values(), key=lambda shake: shake.rank[1] - shake.rank[0])
        places = widest.rank[1] - widest.rank[0]
        return f"shake-up: 90 % intervals on the private board; ranks among these move by up to {places}"
    inside = sum(
        shakes[row.run].score[0] <= (row.lb_private or 0.0) <= shakes[row.run].score[1] for row in known
    )
    rho = board.correlation("lb_public", "lb_private")
    agreed = "" if rho is None else f"; Spearman of public and private {rho:.2f}"
    return f"shake-up: {inside} of {len(known)} private scores ended inside their 90 % interval{agreed}"
