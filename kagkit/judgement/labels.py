"""Ask of new labels whether their convention moved, and which of them both versions of a model doubt."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from kagkit.data.telling import area_under_curve

# A label is doubted where it is farther from both versions than this share of the old rows' labels are.
ORDINARY = 0.99
OTHER_SIDE = 0.5
FEWEST = 10

Numbers = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Labelled:
    """Labels of some rows as numbers, and what a version of a model predicts of each.

    Attributes:
        truth: By key, a column a target, or a class; numbers.
        frozen: By the same keys and columns, the frozen version's predictions.
        retrained: Likewise the retrained version's.
        group: By the same keys, what a row belongs to.
    """

    truth: pd.DataFrame
    frozen: pd.DataFrame
    retrained: pd.DataFrame
    group: pd.Series[Any]


@dataclass(frozen=True)
class Share:
    """How the mean of the new labels stands to what the frozen version expects.

    Attributes:
        column: The target, or the class.
        found: The mean of the new labels.
        expected: The mean of the frozen version's predictions of them, calibrated on the old rows.
        z: How far these are apart, in standard errors by group.
        ranking: By how many standard errors the frozen version ranks the new rows worse than the old ones
            (AUC); None where that cannot be told.
    """

    column: str
    found: float
    expected: float
    z: float
    ranking: float | None

    @property
    def ratio(self) -> float:
        """The mean of the new labels over what is expected."""
        return self.found / self.expected


def compare_shares(old: Labelled, new: Labelled) -> tuple[Share, ...]:
    """How each column's mean label stands to the frozen version's expectation, the farthest first.

    Only columns of 0 and 1 with rows of both are told: a mean that moved is news where ranks can be held
    against it.
    """
    found = [_share(str(name), old, new) for name in new.truth.columns if _is_binary(old, new, name)]
    return tuple(sorted((share for share in found if share is not None), key=lambda share: -share.z))


def find_mislabelled(old: Labelled, new: Labelled) -> tuple[Any, ...]:
    """Keys of new rows whose label is far from both versions, the farthest first.

    A label's distance is the smaller one of the two versions', over columns the largest. Far is more than
    99 % of the old rows' labels are; of labels 0 and 1 also nearer to the other one. So one honest label in
    a hundred may be listed, and where the old labels are as bad, few of the bad ones are.
    """
    if len(old.truth) < FEWEST or not len(new.truth):
        return ()
    ordinary, own = _distance(old), _distance(new)
    limit = float(np.quantile(ordinary, ORDINARY))
    if np.isin(new.truth.to_numpy(), (0, 1)).all():
        limit = max(limit, OTHER_SIDE)
    far = np.flatnonzero(own > limit)
    return tuple(new.truth.index[far[np.argsort(-own[far], kind="stable")]])


def _distance(rows: Labelled) -> Numbers:
    truth = rows.truth.to_numpy(np.float64)
    both = [
        np.abs(truth - version.to_numpy(np.float64)).max(axis=1) for version in (rows.frozen, rows.retrained)
    ]
    nearer: Numbers = np.minimum(*both)
    return nearer


def _is_binary(old: Labelled, new: Labelled, name: Any) -> bool:
    return all(set(part.truth[name].unique()) == {0, 1} for part in (old, new))


def _share(name: str, old: Labelled, new: Labelled) -> Share | None:
    before, guessed = (table[name].to_numpy(np.float64) for table in (old.truth, old.frozen))
    now, expected = (table[name].to_numpy(np.float64) for table in (new.truth, new.frozen))
    if guessed.mean() <= 0 or expected.mean() <= 0:
        return None
    # Labels that were rounded, or a model that is not calibrated, are off on the old rows alike.
    scale = before.mean() / guessed.mean()
    rest = now - scale * expected
    error = math.hypot(
        _error_of_mean(rest, _clusters(new)),
        _error_of_mean(before - scale * guessed, _clusters(old)) * expected.mean() / guessed.mean(),
    )
    z = abs(float(rest.mean())) / error if error else 0.0
    told = float(now.mean()), float(scale * expected.mean())
    return Share(name, *told, z, _ranking(name, (old, new)))


def _ranking(name: str, parts: Sequence[Labelled]) -> float | None:
    areas = []
    for part in parts:
        scores, ones = part.frozen[name].to_numpy(np.float64), part.truth[name].eq(1).to_numpy()
        if part.group.nunique() < FEWEST:
            return None
        areas.append(area_under_curve(scores, ones, _clusters(part)))
    error = math.sqrt(sum(variance for _, variance in areas))
    return (areas[0][0] - areas[1][0]) / error if error else None


def _clusters(rows: Labelled) -> NDArray[np.int64]:
    return np.asarray(pd.factorize(rows.group)[0], dtype=np.int64)


def _error_of_mean(values: Numbers, clusters: NDArray[np.int64]) -> float:
    """The standard error of a mean whose rows come in groups: the groups' sums vary, not the rows alone."""
    sums = np.bincount(clusters, values - values.mean())
    return float(np.sqrt((sums**2).sum() * len(sums) / max(len(sums) - 1, 1))) / len(values)
