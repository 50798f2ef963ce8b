"""Find a blend's weights by climbing with replacement, by least squares, or by trying moves on the metric."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kagkit.foundation.errors import ManifestError, Problem
from kagkit.judgement.losses import Losses
from kagkit.judgement.stacking import Values

PATIENCE = 10  # rounds of climbing that may bring next to nothing before it ends
WORTH = 1e-5  # the gain of a round, as a share of the loss, that is worth going on for
MOVES = (0.5, 0.25, 0.1, 0.05, 0.02, 0.01)
LEAST_GAIN = 1e-12  # a gain below it is rounding


@dataclass(frozen=True)
class Found:
    """Weights, and how they were found.

    Attributes:
        weights: (n_members,), 0 or more, their sum 1.
        loss: Their loss on the rows they were fitted on.
        calls: How often the metric itself was called.
        stopped: Whether the search ended because it may not call the metric more often.
    """

    weights: Values
    loss: float
    calls: int = 0
    stopped: bool = False


def climb(losses: Losses, members: int, rounds: int, calls: int) -> Found:
    """Start from the best member; each round add the member that helps most, again and again; keep the best.

    Args:
        losses: The losses of candidates.
        members: How many members there are.
        rounds: How often a member is added at most; it ends earlier where ten rounds brought next to nothing.
        calls: How often the metric may be called.

    References:
        R. Caruana et al., "Ensemble Selection from Libraries of Models", ICML 2004: selection with
        replacement.
    """
    losses.begin(np.zeros(members))
    counts = np.zeros(members)
    best, best_counts = np.inf, counts
    goal, since, stopped = np.inf, 0, False
    for size in range(rounds):
        stopped = losses.calls + members > max(calls, members + 1)
        if stopped or since >= PATIENCE:
            break
        share = 1 / (size + 1)
        tried = losses.candidates(1 - share, share)
        member = int(np.argmin(tried))
        losses.move(member, 1 - share, share)
        counts = counts + np.eye(1, members, member)[0]
        if tried[member] < best - LEAST_GAIN:
            best, best_counts = float(tried[member]), counts
        since += 1
        if best < goal:
            goal, since = best - WORTH * abs(best), 0
    return Found(best_counts / best_counts.sum(), best, losses.calls, stopped)


def try_moves(losses: Losses, start: Values, calls: int) -> Found:
    """Move weight towards a member or away from it, the best move first, in ever smaller steps.

    No weight goes below 0. A step size is left when no move of that size helps.

    Args:
        losses: The losses of candidates.
        start: (n_members,) weights to start from.
        calls: How often candidates may be tried.
    """
    weights, best, spent = start, losses.begin(start), 1
    for size in MOVES:
        while True:
            if spent + 2 * len(weights) > calls:
                return Found(weights, best, losses.calls, stopped=True)
            spent += 2 * len(weights)
            towards = losses.candidates(1 - size, size)
            heavy = (1 + size) * weights >= size
            away = np.where(heavy, losses.candidates(1 + size, -size, heavy), np.inf)
            member, step = int(towards.argmin()), size
            if away.min() < towards.min():
                member, step = int(away.argmin()), -size
            loss = min(float(towards.min()), float(away.min()))
            if not loss < best - LEAST_GAIN:
                break
            losses.move(member, 1 - step, step)
            weights = (1 - step) * weights
            weights[member] = max(weights[member] + step, 0.0)
            best = loss
    return Found(weights / weights.sum(), best, losses.calls)


def solve_least_squares(products: Values) -> Found:
    """The weights of 0 or more, their sum 1, with the least mean squared error.

    Args:
        products: (n_members, n_members) mean products of the members' errors.

    Raises:
        ManifestError: The solver did not come to an end.

    References:
        L. Breiman, "Stacked regressions", Machine Learning 24 (1996), 49-64. For v >= 0 the least
        v'Gv + (sum(v) - 1)² has the direction of the weights: with v = s w the least over s is
        q / (1 + q) for q = w'Gw, which rises with q.

    Example:
        >>> solve_least_squares(np.array([[1.0, 0.0], [0.0, 3.0]])).weights.round(6).tolist()
        [0.75, 0.25]
    """
    from scipy.optimize import nnls

    scale = float(np.diag(products).mean()) or 1.0
    sizes, directions = np.linalg.eigh(products / scale)
    root = np.sqrt(sizes.clip(0))[:, None] * directions.T
    members = len(products)
    ones = np.ones((1, members))
    try:
        solution, _ = nnls(np.vstack([root, ones]), np.append(np.zeros(members), 1.0), maxiter=100 * members)
    except RuntimeError as error:
        problem = Problem("least_squares", str(error), hint="take hill_climbing")
        raise ManifestError("no weights were found", [problem]) from error
    weights: Values = solution / solution.sum()
    return Found(weights, float(weights @ products @ weights))
