"""Tell for all members at once what a blend would lose with more of each, fast where the metric allows it.

A loss is lower where a blend is better. A candidate is `a * blend + b * member`, one for every member.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from kagkit.judgement.stacking import Stack, Values
from kagkit.metrics.truth import Judge, Truth

BLOCK = 1 << 17  # numbers of a block that stays in the processor's cache
FACTORS = 16  # probabilities of 1e-15 or more whose product is no underflow
SIFTED_ROWS = 8_192
SIFTED = 5
ROUNDING = 1e-6  # how far sums of probabilities kept as float32 are from 1
Summing = Callable[[Values], Values]
Chosen = NDArray[np.bool_] | None  # (n_members,), or all


class Losses(Protocol):
    """The losses of candidates on some rows."""

    calls: int  # how often the metric itself was called

    def begin(self, weights: Values) -> float:
        """Start from a blend (n_members,), and say its loss."""

    def candidates(self, a: float, b: float, only: Chosen = None) -> Values:
        """The losses (n_members,) of `a * blend + b * member`, of those that are asked for."""

    def move(self, member: int, a: float, b: float) -> None:
        """Make a candidate the blend."""


Maker = Callable[[Sequence[int]], Losses]


class Squares:
    """Root mean squared error, from the products of the members' errors alone: rows are read once.

    Args:
        products: (n_columns, n_members, n_members) mean products of errors.
    """

    calls = 0

    def __init__(self, products: Values) -> None:
        self.products = products
        self.diagonal = np.einsum("cmm->cm", products)

    def begin(self, weights: Values) -> float:
        """Start from a blend."""
        self.crossed = self.products @ weights
        self.own = self.crossed @ weights
        return float(np.sqrt(self.own.clip(0)).mean())

    def candidates(self, a: float, b: float, only: Chosen = None) -> Values:
        """The losses of candidates."""
        squares = a * a * self.own[:, None] + 2 * a * b * self.crossed + b * b * self.diagonal
        losses: Values = np.sqrt(squares.clip(0)).mean(axis=0)
        return losses

    def move(self, member: int, a: float, b: float) -> None:
        """Make a candidate the blend."""
        own = a * a * self.own + 2 * a * b * self.crossed[:, member] + b * b * self.diagonal[:, member]
        self.crossed = a * self.crossed + b * self.products[:, :, member]
        self.own = own


class Sums:
    """A loss that is a mean over rows of what a mixture of features loses there.

    Args:
        features: (n_members, n_rows, ...): what is mixed.
        rows: The rows' places, rising.
        summing: From a block (n_members, n, ...) to the sum over its rows, for each member; may overwrite it.
    """

    calls = 0

    def __init__(self, features: Values, rows: NDArray[np.int64], summing: Summing) -> None:
        self.features = features
        self.summing = summing
        self.count = len(rows)
        width = max(BLOCK // (len(features) * int(np.prod(features.shape[2:]))) // FACTORS, 1) * FACTORS
        breaks = np.flatnonzero(np.diff(rows) != 1) + 1
        runs = zip([0, *breaks.tolist()], [*breaks.tolist(), len(rows)], strict=True)
        ranges = [(int(rows[first]), int(rows[last - 1]) + 1) for first, last in runs]
        self.blocks = [
            slice(start, min(start + width, stop))
            for begin, stop in ranges
            for start in range(begin, stop, width)
        ]
        self.buffer = np.empty((len(features), width, *features.shape[2:]))

    def begin(self, weights: Values) -> float:
        """Start from a blend."""
        self.blend = np.tensordot(weights, self.features, axes=1)
        return float(sum(self.summing(self.blend[None, rows].copy())[0] for rows in self.blocks) / self.count)

    def candidates(self, a: float, b: float, only: Chosen = None) -> Values:
        """The losses of candidates."""
        totals = np.zeros(len(self.features))
        for rows in self.blocks:
            block = self.buffer[:, : rows.stop - rows.start]
            np.multiply(self.features[:, rows], b, out=block)
            block += a * self.blend[rows]
            totals += self.summing(block)
        losses: Values = totals / self.count
        return losses

    def move(self, member: int, a: float, b: float) -> None:
        """Make a candidate the blend."""
        self.blend = a * self.blend + b * self.features[member]


class Areas:
    """One minus the area under the ROC curve. Of many rows some tell which members are worth an exact look.

    Args:
        values: (n_members, n_rows, n_columns) of the rows to score.
        truth: (n_rows, n_columns) of 0 and 1.
    """

    calls = 0

    def __init__(self, values: Values, truth: Values) -> None:
        self.whole = np.ascontiguousarray(values.transpose(2, 0, 1))
        self.truth = truth.T.astype(np.int64)
        self.step = max(len(truth) // SIFTED_ROWS, 1)
        self.part = np.ascontiguousarray(self.whole[:, :, :: self.step])

    def begin(self, weights: Values) -> float:
        """Start from a blend."""
        self.blend = np.einsum("m,cmn->cn", weights, self.whole)
        return self._loss(self.blend, 1)

    def candidates(self, a: float, b: float, only: Chosen = None) -> Values:
        """The losses of candidates; infinite where a look at some rows rules a member out."""
        members = range(self.part.shape[1])
        some = a * self.blend[:, :: self.step]
        losses = np.array([self._loss(some + b * self.part[:, m], self.step) for m in members])
        if self.step == 1:
            return losses
        chosen = np.argsort(losses, kind="stable")[:SIFTED]
        exact = np.full(len(losses), np.inf)
        exact[chosen] = [self._loss(a * self.blend + b * self.whole[:, m], 1) for m in chosen]
        return exact

    def move(self, member: int, a: float, b: float) -> None:
        """Make a candidate the blend."""
        self.blend = a * self.blend + b * self.whole[:, member]

    def _loss(self, scores: Values, step: int) -> float:
        truth = self.truth[:, ::step]
        areas = [area_under_curve(one, other) for one, other in zip(truth, scores, strict=True)]
        return 1 - float(np.mean(areas))


def area_under_curve(truth: NDArray[np.int64], scores: Values) -> float:
    """The area under the ROC curve, a tie counting half; one half where the truth is all 0 or all 1.

    Labels ride in the last bit of the scores, so one plain sort does. Where scores tie, a second one, bits
    turned, counts ties the other way, and the mean is exact. Scores that differ in that bit alone tie.

    Example:
        >>> area_under_curve(np.array([0, 0, 1, 1]), np.array([0.1, 0.4, 0.4, 0.8]))
        0.875
    """
    ones = int(truth.sum())
    zeros = len(truth) - ones
    if not (ones and zeros):
        return 0.5
    bits = np.ascontiguousarray(scores + 0.0).view(np.int64) & ~np.int64(1)
    ordered = np.sort((bits | truth).view(np.float64)).view(np.int64)
    wins = int(np.flatnonzero(ordered & 1).sum())
    other = wins
    if (ordered[1:] >> 1 == ordered[:-1] >> 1).any():
        ordered = np.sort((bits | (1 - truth)).view(np.float64)).view(np.int64)
        other = int(np.flatnonzero(~ordered & 1).sum())
    return ((wins + other) / 2 - ones * (ones - 1) / 2) / (ones * zeros)


class Scored:
    """Any metric, called once for each candidate.

    Args:
        stack: The members.
        judge: Who scores.
        rows: The rows' places.
        back: From mixed values to predictions.
    """

    def __init__(self, stack: Stack, judge: Judge, rows: NDArray[np.int64], back: Summing) -> None:
        self.stack, self.judge, self.rows, self.back = stack, judge, rows, back
        self.values = stack.numbers[:, rows]
        self.keys = stack.keys[rows]
        self.bounds = self.values.min(axis=0), self.values.max(axis=0)
        self.calls = 0

    def begin(self, weights: Values) -> float:
        """Start from a blend."""
        self.blend = np.tensordot(weights, self.values, axes=1)
        return self._loss(self.blend)

    def candidates(self, a: float, b: float, only: Chosen = None) -> Values:
        """The losses of candidates."""
        asked = np.ones(len(self.values), np.bool_) if only is None else only
        losses = np.full(len(asked), np.inf)
        losses[asked] = [self._loss(a * self.blend + b * member) for member in self.values[asked]]
        return losses

    def move(self, member: int, a: float, b: float) -> None:
        """Make a candidate the blend."""
        self.blend = a * self.blend + b * self.values[member]

    def _loss(self, mixed: Values) -> float:
        self.calls += 1
        score = self.judge.score(self.stack.frame(self.back(mixed.clip(*self.bounds)), self.rows), self.keys)
        return -score if self.judge.greater_is_better else score


def mean_products(stack: Stack, truth: Values) -> Callable[[Sequence[int]], Values]:
    """From folds to the mean products (n_columns, n_members, n_members) of the members' errors on them."""
    sums = {}
    for fold, rows in stack.fold_rows.items():
        errors = np.moveaxis(stack.numbers[:, rows] - truth[rows], 2, 0)
        sums[fold] = errors @ errors.transpose(0, 2, 1)

    def products(folds: Sequence[int]) -> Values:
        total: Values = sum((sums[fold] for fold in folds), np.zeros_like(sums[folds[0]]))
        return total / len(stack.rows_of(folds))

    return products


def make_losses(stack: Stack, judge: Judge, back: Summing | None) -> Maker:
    """How losses on the rows of some folds are found: from the values alone where kagkit knows the metric.

    Args:
        stack: The members.
        judge: Who scores.
        back: From mixed values to predictions; None where they are the same.
    """
    fast = _fast(stack, judge) if isinstance(judge, Truth) and back is None else None
    return fast or (lambda folds: Scored(stack, judge, stack.rows_of(folds), back or (lambda mixed: mixed)))


def _fast(stack: Stack, judge: Truth) -> Maker | None:
    """The quick way for a metric; None where there is none for it, or for these values and arguments."""
    truth = judge.numbers(stack.columns, stack.keys)
    if truth is None or (judge.args and judge.name != "log_loss"):
        return None
    rows_of, values = stack.rows_of, stack.numbers
    match judge.name:
        case "rmse" | "mcrmse":
            products = mean_products(stack, truth)
            return lambda folds: Squares(products(folds))
        case "mae":
            errors = values - truth
            scale = 1 / errors.shape[2]
            return lambda folds: Sums(errors, rows_of(folds), lambda block: scale * _sum_absolute(block))
        case "log_loss":
            given = _given(values, truth, judge.args)
            return None if given is None else lambda folds: Sums(given, rows_of(folds), _sum_logs)
        case "auc":
            return lambda folds: Areas(values[:, rows_of(folds)], truth[rows_of(folds)])
        case "accuracy":
            rights = _rights(values, truth)
            return None if rights is None else lambda folds: Sums(rights, rows_of(folds), _sum_wrong)
    return None


def _sum_absolute(block: Values) -> Values:
    total: Values = np.abs(block, out=block).sum(axis=(1, 2))
    return total


def _sum_logs(block: Values) -> Values:
    """The sum of -ln: that of products, which are fewer."""
    whole = block.shape[1] // FACTORS * FACTORS
    products = np.multiply.reduce(block[:, :whole].reshape(len(block), FACTORS, -1), axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):  # weights below 0 are tried too, and never taken
        total: Values = -np.log(products).sum(axis=1) - np.log(block[:, whole:]).sum(axis=1)
    return total


def _sum_wrong(block: Values) -> Values:
    counts: Values = np.count_nonzero(block.min(axis=2) <= 0, axis=1).astype(np.float64)
    return counts


def _given(values: Values, truth: Values, args: Any) -> Values | None:
    """The probability (n_members, n_rows) each member gives to what is true; None where clipping may tell."""
    low = float(args.get("clip", 1e-15))
    classes = truth.shape[1] > 1
    if set(args) - {"clip"} or not (low >= 1e-15 and np.isin(truth, (0, 1)).all()):
        return None
    if not classes:
        given = np.where(truth[:, 0] == 1, values[:, :, 0], 1 - values[:, :, 0])
    elif np.abs(values.sum(axis=2) - 1).max() > ROUNDING or (truth.sum(axis=1) != 1).any():
        return None
    else:
        given = values[:, np.arange(len(truth)), truth.argmax(axis=1)]
    return given if given.min() >= low and given.max() <= 1 else None


def _rights(values: Values, truth: Values) -> Values | None:
    """(n_members, n_rows, n): all above 0 where a row's label is right; None where labels are no 0 and 1."""
    if not np.isin(truth, (0, 1)).all():
        return None
    if truth.shape[1] == 1:
        return np.where(truth == 1, values - 0.5 + 1e-12, 0.5 - values)
    own = truth.argmax(axis=1)
    true = np.take_along_axis(values, own[None, :, None], axis=2)
    places = np.arange(truth.shape[1] - 1)
    others = places + (places >= own[:, None])
    rights: Values = true - np.take_along_axis(values, others[None], axis=2)
    return rights
