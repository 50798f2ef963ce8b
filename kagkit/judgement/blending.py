"""Blend models with weights that no row's own fold has seen, and say how much the in-sample score flatters.

The weights a row is blended with are fitted on the other folds; the score of these predictions is the nested
one. The weights for test rows are fitted on all rows; their score on the same rows is the in-sample one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import pandas as pd

from kagkit.foundation.errors import ManifestError, Problem, did_you_mean
from kagkit.judgement.climbing import Found, climb, solve_least_squares, try_moves
from kagkit.judgement.losses import Summing, make_losses, mean_products
from kagkit.judgement.stacking import Member, Stack, Values, stack_members, stack_tests
from kagkit.metrics.truth import Judge, Truth

LEAST_PROBABILITY = 1e-15


@dataclass(frozen=True)
class Method:
    """How a blend is made.

    Attributes:
        weights: `equal`; `hill_climbing`: with replacement, after Caruana; `least_squares`: 0 or more, their
            sum 1; `direct`: from the better of equal weights and climbing, moves tried on the metric itself.
        scale: What is averaged: the `value`, its `rank` among the rows, or its `log` (the geometric mean).
        per_column: Each column has weights of its own.
        rounds: How many rounds climbing has at most.
        calls: How often one search may call the metric, where kagkit has no quicker way for it.
    """

    weights: Literal["equal", "hill_climbing", "least_squares", "direct"]
    scale: Literal["value", "rank", "log"] = "value"
    per_column: bool = False
    rounds: int = 100
    calls: int = 2_000


METHODS = {
    "mean": Method("equal"),
    "rank_mean": Method("equal", "rank"),
    "geometric_mean": Method("equal", "log"),
    "hill_climbing": Method("hill_climbing"),
    "least_squares": Method("least_squares"),
    "direct": Method("direct"),
}


@dataclass(frozen=True, eq=False)
class Blend:
    """Weights, what they predict, and how honest their score is.

    Attributes:
        method: How they were found.
        members: The members' names by digest, in the order they were given.
        weights: Fitted on all rows, for new rows: (n_members, n_columns), by name of member and column.
        fold_weights: By fold: fitted on all other folds.
        oof: Predictions by key, each row by the weights of its fold.
        test: Predictions of the test rows by key, by `weights`; None where a member has none.
        in_sample: The score of `weights` on the rows they were fitted on.
        nested: The score of `oof`.
        alone: The score of each member alone.
        greater_is_better: Whether a larger score is the better one.
        stopped: Whether a search ended at its number of calls.
    """

    method: Method
    members: dict[str, str]
    weights: pd.DataFrame
    fold_weights: dict[int, pd.DataFrame]
    oof: pd.DataFrame
    test: pd.DataFrame | None
    in_sample: float
    nested: float
    alone: pd.Series[float]
    greater_is_better: bool
    stopped: bool

    @property
    def optimism(self) -> float:
        """How much better the in-sample score looks than the nested one: above 0, it flatters."""
        better, worse = self.in_sample, self.nested
        return better - worse if self.greater_is_better else worse - better

    def as_json(self) -> dict[str, Any]:
        """The blend without its predictions, as plain data for a record."""
        return {
            "members": [
                {"name": name, "sha256": sha256, "weight": self.weights.loc[name].to_dict()}
                for sha256, name in self.members.items()
            ],
            "in_sample": self.in_sample,
            "nested": self.nested,
            "optimism": self.optimism,
            "stopped": self.stopped,
        }


def blend_members(
    members: Sequence[Member], judge: Judge, folds: pd.Series[Any], method: str | Method = "hill_climbing"
) -> Blend:
    """Blend members, joined by key.

    Args:
        members: One or more, with the same keys and columns.
        judge: The truth of these rows and the metric.
        folds: The fold of each row by key.
        method: One of `METHODS` by name, or one of your own.

    Raises:
        ManifestError: There is no such method, or it does not fit the values.
        DataError: Members, folds and truth do not hold the same rows, or values are no finite numbers.

    Example:
        >>> from kagkit.metrics import rmse
        >>> keys = pd.Index(["a", "b", "c", "d"], name="id")
        >>> truth = Truth(pd.DataFrame({"y": [1.0, 2.0, 3.0, 4.0]}, index=keys), rmse, False)
        >>> low, high = truth.table - 1, truth.table + 1
        >>> members = [Member.of("low", low), Member.of("high", high)]
        >>> made = blend_members(members, truth, pd.Series([0, 0, 1, 1], index=keys), "least_squares")
        >>> made.weights["y"].round(6).to_dict(), round(made.nested, 6)
        ({'low': 0.5, 'high': 0.5}, 0.0)
    """
    chosen = _chosen(method)
    stack = stack_members(members, folds)
    judge = _in_order(judge, stack)
    scaled = replace(
        stack, numbers=np.stack([_to_scale(one, chosen, stack.columns) for one in stack.numbers])
    )
    return _Blending(chosen, stack, scaled, judge).done(members)


def training_folds(folds: Sequence[int], fold: int) -> list[int]:
    """The folds whose rows may tell the weights of a fold: all others."""
    return [other for other in folds if other != fold]


class _Blending:
    """A blend being made."""

    def __init__(self, method: Method, stack: Stack, scaled: Stack, judge: Judge) -> None:
        self.method, self.stack, self.scaled, self.judge = method, stack, scaled, judge
        self.back: Summing | None = np.exp if method.scale == "log" else None
        parts = self._parts() if method.weights != "equal" else []
        self.makers = [make_losses(part, judge, self.back) for part, judge in parts]
        self.products = self._products() if method.weights == "least_squares" else None

    def done(self, members: Sequence[Member]) -> Blend:
        stack, folds = self.stack, list(self.stack.fold_rows)
        whole, stopped = self._fit(folds)
        nested = np.empty(stack.numbers.shape[1:])
        by_fold = {}
        for fold, rows in stack.fold_rows.items():
            by_fold[fold], early = self._fit(training_folds(folds, fold))
            nested[rows] = self._mixed(self.scaled.numbers[:, rows], by_fold[fold])
            stopped |= early
        oof = stack.frame(nested)
        names = [member.name for member in members]
        in_sample = stack.frame(self._mixed(self.scaled.numbers, whole))
        alone = [self._score(stack.frame(values)) for values in stack.numbers]
        return Blend(
            method=self.method,
            members={member.sha256: member.name for member in members},
            weights=self._told(whole).loc[names],
            fold_weights={fold: self._told(weights).loc[names] for fold, weights in by_fold.items()},
            oof=oof,
            test=self._test(whole) if all(member.test is not None for member in members) else None,
            in_sample=self._score(in_sample),
            nested=self._score(oof),
            alone=pd.Series(alone, [member.name for member in stack.members]).loc[names],
            greater_is_better=self.judge.greater_is_better,
            stopped=stopped,
        )

    def _parts(self) -> list[tuple[Stack, Judge]]:
        """What gets weights of its own: each column, or all of them together."""
        if not self.method.per_column:
            return [(self.scaled, self.judge)]
        judge, numbers = self.judge, self.scaled.numbers
        if not isinstance(judge, Truth):
            problem = Problem("per_column", "a metric that scores whole tables", "one that scores a column")
            raise ManifestError("columns cannot be weighed", [problem])
        return [
            (replace(self.scaled, numbers=numbers[:, :, [place]], columns=(column,)), judge.of_column(column))
            for place, column in enumerate(self.scaled.columns)
        ]

    def _products(self) -> Any:
        truth = (
            self.judge.numbers(self.stack.columns, self.stack.keys) if isinstance(self.judge, Truth) else None
        )
        if truth is None or self.method.scale != "value":
            found = (
                f"the {self.method.scale} of values" if truth is not None else "targets that are no numbers"
            )
            problem = Problem("least_squares", found, "values of the target's unit", "take hill_climbing")
            raise ManifestError("least squares cannot be fitted", [problem])
        return mean_products(self.stack, truth)

    def _fit(self, folds: Sequence[int]) -> tuple[Values, bool]:
        """Weights (n_members, n_columns or 1) found on some folds, and whether a search was stopped."""
        method, members = self.method, len(self.stack.members)
        if method.weights == "equal" or members == 1:
            return np.full((members, 1), 1 / members), False
        if self.products is not None:
            products = self.products(folds)
            parts = products if method.per_column else [products.mean(axis=0)]
            found = [solve_least_squares(part) for part in parts]
        else:
            found = [self._search(make(folds)) for make in self.makers]
        return np.column_stack([one.weights for one in found]), any(one.stopped for one in found)

    def _search(self, losses: Any) -> Found:
        members, method = len(self.stack.members), self.method
        if method.weights == "hill_climbing":
            return climb(losses, members, method.rounds, method.calls)
        climbed = climb(losses, members, method.rounds, method.calls // 2)
        equal = np.full(members, 1 / members)
        start = equal if losses.begin(equal) < climbed.loss else climbed.weights
        return try_moves(losses, start, method.calls if losses.calls else method.calls * 10)

    def _mixed(self, values: Values, weights: Values) -> Values:
        wide = np.broadcast_to(weights, (len(weights), values.shape[2]))
        # Rounding may carry a mean past its members: above 1, a metric would refuse a probability.
        mixed: Values = np.einsum("mnc,mc->nc", values, wide).clip(values.min(axis=0), values.max(axis=0))
        return mixed if self.back is None else self.back(mixed)

    def _test(self, weights: Values) -> pd.DataFrame:
        keys, values = stack_tests(self.stack.members, self.stack.columns)
        scaled = np.stack([_to_scale(one, self.method, self.stack.columns) for one in values])
        return pd.DataFrame(self._mixed(scaled, weights), index=keys, columns=list(self.stack.columns))

    def _score(self, predictions: pd.DataFrame) -> float:
        return self.judge.score(predictions, self.stack.keys)

    def _told(self, weights: Values) -> pd.DataFrame:
        columns = list(self.stack.columns)
        wide = np.broadcast_to(weights, (len(weights), len(columns)))
        return pd.DataFrame(wide.copy(), [member.name for member in self.stack.members], columns)


def _chosen(method: str | Method) -> Method:
    if isinstance(method, Method):
        return method
    if method not in METHODS:
        problem = Problem("method", f"no method {method}", hint=did_you_mean(method, list(METHODS)))
        raise ManifestError("the members cannot be blended", [problem])
    return METHODS[method]


def _in_order(judge: Judge, stack: Stack) -> Judge:
    """The judge, its truth in the stack's order, so that no call has to bring it there."""
    if not isinstance(judge, Truth):
        return judge
    return replace(judge, table=judge.rows(stack.keys))


def _to_scale(values: Values, method: Method, columns: Sequence[str]) -> Values:
    """Values (n_rows, n_columns) as they are averaged."""
    if method.scale == "rank":
        ranks: Values = pd.DataFrame(values).rank().to_numpy() / max(len(values), 1)
        return ranks
    if method.scale == "log":
        if (values < 0).any():
            below = [column for column, cells in zip(columns, values.T, strict=True) if (cells < 0).any()]
            problem = Problem(f"columns {', '.join(below)}", f"{values.min():g}", "numbers of 0 or more")
            raise ManifestError("negative values have no geometric mean", [problem])
        logs: Values = np.log(values.clip(LEAST_PROBABILITY))
        return logs
    return values
