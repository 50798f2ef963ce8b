"""Forecast private scores from CV, public scores and the noise of both, jointly for all submissions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kagkit.judgement.board import Board, Row

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Numbers = NDArray[np.float64]

# The variance of skill, in that of the CVs; that of the shift, in that of skill; and of what is not known.
SKILLS, SHIFTS = (0.05, 0.1, 0.2, 0.4, 0.8, 1.6), (0.0, 0.05, 0.15, 0.4, 1.0)
UNKNOWN, LEAST, TINY = 1e4, 1e-9, 1e-18


@dataclass(frozen=True, eq=False)
class Evidence:
    """What is known of some submissions, in the metric's own direction turned so that greater is better.

    Attributes:
        cv: (n,) CVs.
        public: (n,) public scores, NaN where there is none.
        cv_noise: (n, n) covariance of the CVs by the choice of their rows.
        public_noise: (n, n) covariance of the public scores by the choice of the board's rows.
        private_noise: (n, n) the same for the private board.
    """

    cv: Numbers
    public: Numbers
    cv_noise: Numbers
    public_noise: Numbers
    private_noise: Numbers


@dataclass(frozen=True, eq=False)
class Forecast:
    """What private scores to expect, greater being better.

    Attributes:
        mean: (n,) expected private scores.
        covariance: (n, n) of the private scores about them.
        weight_cv: How much a CV that is one higher raises the expectation, on average.
        weight_public: How much a public score does.
    """

    mean: Numbers
    covariance: Numbers
    weight_cv: float
    weight_public: float


def gather_evidence(board: Board, rows: Sequence[Row]) -> Evidence | None:
    """What the runs' noise says, drawn on the same rows; None where a row's noise is not known."""
    import numpy as np

    noise = [board.noise.get(row.run) for row in rows]
    known = [item for item in noise if item is not None and item.public]
    lengths = {(item.units, len(item.cv), len(item.public)) for item in known}
    if len(known) < len(rows) or len(lengths) != 1:
        return None
    public_noise = np.atleast_2d(np.cov([item.public for item in known]))
    first = known[0]
    share = (first.public_rows or 1) / (first.private_rows or first.public_rows or 1)
    public = [np.nan if row.lb_public is None else row.lb_public for row in rows]
    return Evidence(
        cv=board.sign * np.array([row.cv for row in rows], dtype=np.float64),
        public=board.sign * np.array(public, dtype=np.float64),
        cv_noise=np.atleast_2d(np.cov([item.cv for item in known])),
        public_noise=public_noise,
        private_noise=public_noise * share,
    )


def assume_evidence(board: Board, rows: Sequence[Row]) -> Evidence | None:
    """Evidence without predictions: the spread about the line of CV and LB, half of it each one's noise."""
    import numpy as np

    if board.offset is None or board.offset.residual is None:
        return None
    noise = np.eye(len(rows)) * board.offset.residual**2 / 2
    public = [np.nan if row.lb_public is None else row.lb_public for row in rows]
    return Evidence(
        cv=board.sign * np.array([row.cv for row in rows], dtype=np.float64),
        public=board.sign * np.array(public, dtype=np.float64),
        cv_noise=noise,
        public_noise=noise,
        private_noise=noise,
    )


def forecast_private(evidence: Evidence) -> Forecast:
    """Weigh CV and public scores by their noise, all submissions at once.

    The model: submissions differ in skill, and in a shift that the test rows bring, about levels of their
    own. CV is skill with noise; the public score is skill and shift with noise; so is the private score. How
    much skill and shift differ is not known: every pair of variances on a grid is weighed by how well it
    explains the scores, and their forecasts are averaged. So one lucky public score moves little.

    References:
        Rasmussen and Williams, "Gaussian Processes for Machine Learning", 2006, 2.7: explicit levels.
        Hoeting et al., "Bayesian Model Averaging: A Tutorial", Statistical Science 14, 1999.
    """
    import numpy as np

    told = np.flatnonzero(np.isfinite(evidence.public))
    scores = np.concatenate([evidence.cv, evidence.public[told]])
    base = max(float(evidence.cv.var()), float(np.trace(evidence.cv_noise)) / len(evidence.cv), TINY)
    likelihoods, forecasts = [], []
    for skill in SKILLS:
        for shift in SHIFTS:
            likelihood, forecast = _forecast_given(
                evidence, scores, told, (skill * base, skill * shift * base), base
            )
            likelihoods.append(likelihood)
            forecasts.append(forecast)
    weights = np.exp(np.array(likelihoods) - max(likelihoods))
    weights /= weights.sum()
    mean = np.tensordot(weights, [each.mean for each in forecasts], 1)
    within = np.tensordot(weights, [each.covariance for each in forecasts], 1)
    apart = np.array([each.mean - mean for each in forecasts])
    return Forecast(
        mean,
        within + (weights[:, None] * apart).T @ apart,
        float(weights @ [each.weight_cv for each in forecasts]),
        float(weights @ [each.weight_public for each in forecasts]),
    )


def _forecast_given(
    evidence: Evidence, scores: Numbers, told: NDArray[np.int64], variances: tuple[float, float], base: float
) -> tuple[float, Forecast]:
    """How likely the scores are with these variances of skill and shift, and the forecast they make."""
    import numpy as np

    skill, shift = variances
    count = len(evidence.cv)
    # Levels that nothing is known of: one of all scores, one of what is scored on test rows.
    level, on_test = UNKNOWN * base, UNKNOWN * base
    common = skill * np.eye(count) + level
    test = common + shift * np.eye(count) + on_test
    observed = np.block(
        [
            [common + evidence.cv_noise, common[:, told]],
            [common[told], test[np.ix_(told, told)] + evidence.public_noise[np.ix_(told, told)]],
        ]
    )
    observed += LEAST * base * np.eye(len(observed))
    wanted = np.hstack([common, test[:, told]])
    gains = np.linalg.solve(observed, wanted.T).T
    about = scores - evidence.cv.mean()  # a constant that the level takes up; it keeps digits
    _, volume = np.linalg.slogdet(observed)
    likelihood = -0.5 * float(about @ np.linalg.solve(observed, about) + volume)
    covariance = test - gains @ wanted.T + evidence.private_noise
    weight_public = float(np.mean(np.diag(gains[:, count:][told]))) if len(told) else 0.0
    weight_cv = float(np.mean(np.diag(gains[:, :count])))
    return likelihood, Forecast(evidence.cv.mean() + gains @ about, covariance, weight_cv, weight_public)


def expected_best(mean: Numbers, covariance: Numbers, first: int, second: int) -> float:
    """The expected better score of a pair.

    References:
        Clark, "The Greatest of a Finite Set of Random Variables", Operations Research 9, 1961.

    Example:
        >>> import numpy as np
        >>> round(expected_best(np.zeros(2), np.eye(2), 0, 1), 3)
        0.564
    """
    from statistics import NormalDist

    a, b = float(mean[first]), float(mean[second])
    spread = covariance[first, first] + covariance[second, second] - 2 * covariance[first, second]
    theta = float(max(spread, TINY)) ** 0.5
    normal, alpha = NormalDist(), (a - b) / theta
    return float(a * normal.cdf(alpha) + b * normal.cdf(-alpha) + theta * normal.pdf(alpha))
