"""Blend models with weights that no row's own fold has seen, and say how much the in-sample score flatters.

The weights a row is blended with are fitted on the other folds; the score of these predictions is the nested
one. The weights for test rows are fitted on all rows; their score on the same rows is the in-sample one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from kagkit.judgement.stacking import Member, Values, stack_members, stack_tests
from kagkit.judgement.weighing import Method, Weighing, to_scale
from kagkit.metrics.truth import Judge, flattery


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
        return flattery(self.in_sample, self.nested, self.greater_is_better)

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
        >>> from kagkit.metrics.truth import Truth
        >>> keys = pd.Index(["a", "b", "c", "d"], name="id")
        >>> truth = Truth(pd.DataFrame({"y": [1.0, 2.0, 3.0, 4.0]}, index=keys), rmse, False)
        >>> low, high = truth.table - 1, truth.table + 1
        >>> members = [Member.of("low", low), Member.of("high", high)]
        >>> made = blend_members(members, truth, pd.Series([0, 0, 1, 1], index=keys), "least_squares")
        >>> made.weights["y"].round(6).to_dict(), round(made.nested, 6)
        ({'low': 0.5, 'high': 0.5}, 0.0)
    """
    stack = stack_members(members, folds)
    weighing = Weighing(method, stack, judge)
    numbers, every = weighing.scaled.numbers, list(stack.fold_rows)
    whole, stopped = weighing.fit(every)
    nested = np.empty(stack.numbers.shape[1:])
    by_fold = {}
    for fold, rows in stack.fold_rows.items():
        by_fold[fold], early = weighing.fit(training_folds(every, fold))
        nested[rows] = weighing.mixed(numbers[:, rows], by_fold[fold])
        stopped |= early
    names, oof = [member.name for member in members], stack.frame(nested)
    alone = [weighing.score(stack.frame(values)) for values in stack.numbers]
    return Blend(
        method=weighing.method,
        members={member.sha256: member.name for member in members},
        weights=weighing.told(whole).loc[names],
        fold_weights={fold: weighing.told(weights).loc[names] for fold, weights in by_fold.items()},
        oof=oof,
        test=_test(weighing, whole) if all(member.test is not None for member in members) else None,
        in_sample=weighing.score(stack.frame(weighing.mixed(numbers, whole))),
        nested=weighing.score(oof),
        alone=pd.Series(alone, [member.name for member in stack.members]).loc[names],
        greater_is_better=judge.greater_is_better,
        stopped=stopped,
    )


def training_folds(folds: Sequence[int], fold: int) -> list[int]:
    """The folds whose rows may tell the weights of a fold: all others."""
    return [other for other in folds if other != fold]


def _test(weighing: Weighing, weights: Values) -> pd.DataFrame:
    stack = weighing.stack
    keys, values = stack_tests(stack.members, stack.columns)
    scaled = np.stack([to_scale(one, weighing.method, stack.columns) for one in values])
    return pd.DataFrame(weighing.mixed(scaled, weights), index=keys, columns=list(stack.columns))
