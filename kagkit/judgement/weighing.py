"""Find a blend's weights on some rows by any method, and mix members by weights that were found before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import pandas as pd

from kagkit.foundation.errors import DataError, ManifestError, Problem, did_you_mean
from kagkit.judgement.climbing import Found, climb, solve_least_squares, try_moves
from kagkit.judgement.losses import Summing, make_losses, mean_products
from kagkit.judgement.stacking import Member, Stack, Values, stack_members
from kagkit.metrics.truth import Judge, Truth, key_problems

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
class Weights:
    """Weights found on some rows.

    Attributes:
        table: (n_members, n_columns), by name of member and column.
        in_sample: What they score on the rows they were found on.
        stopped: Whether the search ended at its number of calls.
    """

    table: pd.DataFrame
    in_sample: float
    stopped: bool


def find_weights(members: Sequence[Member], judge: Judge, method: str | Method) -> Weights:
    """Find weights on all rows of the members; whether other rows are held out is for the caller to see to.

    Args:
        members: One or more, with the same keys and columns.
        judge: The truth of these rows and the metric.
        method: One of `METHODS` by name, or one of your own.

    Raises:
        ManifestError: There is no such method, or it does not fit the values.
        DataError: The members do not hold the same rows, or values are no finite numbers.

    Example:
        >>> from kagkit.metrics import rmse
        >>> keys = pd.Index(["a", "b"], name="id")
        >>> truth = Truth(pd.DataFrame({"y": [1.0, 2.0]}, index=keys), rmse, False)
        >>> members = [Member.of("low", truth.table - 1), Member.of("high", truth.table + 3)]
        >>> find_weights(members, truth, "least_squares").table["y"].round(6).to_dict()
        {'low': 0.75, 'high': 0.25}
    """
    keys = members[0].oof.index if members else pd.Index([])
    stack = stack_members(members, pd.Series(0, index=keys), least_folds=1)
    weighing = Weighing(method, stack, judge)
    found, stopped = weighing.fit([0])
    table = weighing.told(found).loc[[member.name for member in members]]
    mixed = stack.frame(weighing.mixed(weighing.scaled.numbers, found))
    return Weights(table, weighing.score(mixed), stopped)


def mix_members(
    tables: Mapping[str, pd.DataFrame], weights: pd.DataFrame, method: str | Method, keys: pd.Index[Any]
) -> pd.DataFrame:
    """Mix members by weights found before.

    Args:
        tables: Predictions by member and key; where ranks are mixed they are ranks among all rows given.
        weights: (n_members, n_columns), as `find_weights` gives them.
        method: The method they were found by, which says what is mixed.
        keys: The rows to mix, in the order of the answer.

    Raises:
        ManifestError: There is no such method, or it does not fit the values.
        DataError: A member lacks a row.
    """
    chosen, columns = method_of(method), [str(column) for column in weights.columns]
    numbers = []
    known: pd.Index[Any] | None = None
    for name in weights.index:
        table = tables[name][columns]
        if known is None or not table.index.equals(known):  # most have one order, which is looked up once
            known, problems = table.index, key_problems(table.index, keys, str(name), exact=False)
            if problems:
                raise DataError("the members do not hold these rows", problems)
            places = known.get_indexer(keys)
        numbers.append(to_scale(table.to_numpy(np.float64), chosen, columns)[places])
    mixed = _mix(np.stack(numbers), weights.to_numpy(np.float64), _back(chosen))
    return pd.DataFrame(mixed, index=keys, columns=columns)


class Weighing:
    """Finds weights on folds of a stack.

    Args:
        method: How.
        stack: The members.
        judge: Who scores.
    """

    def __init__(self, method: str | Method, stack: Stack, judge: Judge) -> None:
        self.method, self.stack = method_of(method), stack
        self.judge = _in_order(judge, stack)
        numbers = np.stack([to_scale(one, self.method, stack.columns) for one in stack.numbers])
        self.scaled = replace(stack, numbers=numbers)
        self.back = _back(self.method)
        parts = self._parts() if self.method.weights != "equal" else []
        self.makers = [make_losses(part, own, self.back) for part, own in parts]
        self.products = self._products() if self.method.weights == "least_squares" else None

    def fit(self, folds: Sequence[int]) -> tuple[Values, bool]:
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

    def mixed(self, values: Values, weights: Values) -> Values:
        """Predictions (n_rows, n_columns) of values (n_members, n_rows, n_columns) on the method's scale."""
        return _mix(values, weights, self.back)

    def score(self, predictions: pd.DataFrame) -> float:
        """The score of predictions of all rows of the stack."""
        return self.judge.score(predictions, self.stack.keys)

    def told(self, weights: Values) -> pd.DataFrame:
        """Weights by name of member and column."""
        columns = list(self.stack.columns)
        wide = np.broadcast_to(weights, (len(weights), len(columns)))
        return pd.DataFrame(wide.copy(), [member.name for member in self.stack.members], columns)

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

    def _search(self, losses: Any) -> Found:
        members, method = len(self.stack.members), self.method
        if method.weights == "hill_climbing":
            return climb(losses, members, method.rounds, method.calls)
        climbed = climb(losses, members, method.rounds, method.calls // 2)
        equal = np.full(members, 1 / members)
        start = equal if losses.begin(equal) < climbed.loss else climbed.weights
        return try_moves(losses, start, method.calls if losses.calls else method.calls * 10)


def _mix(values: Values, weights: Values, back: Summing | None) -> Values:
    wide = np.broadcast_to(weights, (len(weights), values.shape[2]))
    # Rounding may carry a mean past its members: above 1, a metric would refuse a probability.
    mixed: Values = np.einsum("mnc,mc->nc", values, wide).clip(values.min(axis=0), values.max(axis=0))
    return mixed if back is None else back(mixed)


def _back(method: Method) -> Summing | None:
    return np.exp if method.scale == "log" else None


def method_of(method: str | Method) -> Method:
    """A method by its name, or one's own.

    Raises:
        ManifestError: There is no such method.
    """
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


def to_scale(values: Values, method: Method, columns: Sequence[str]) -> Values:
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
