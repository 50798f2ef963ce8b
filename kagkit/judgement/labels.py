"""Ask of new labels whether their convention moved, and which of them both versions of a model doubt."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from kagkit.data.telling import area_by_group, area_under_curve, variance_of
from kagkit.judgement.evidence import Gap

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


def to_numbers(rows: pd.DataFrame, targets: Sequence[str], predicted: pd.DataFrame) -> pd.DataFrame | None:
    """Targets that are numbers and predicted as such; or for each class whether a row is of it.

    Args:
        rows: Labelled rows, by key.
        targets: The submission's targets.
        predicted: Predictions: a column a target, or for a single target a column a class.

    Returns:
        By key, float64 in columns that `predicted` has; None where predictions are no such numbers.

    Example:
        >>> rows = pd.DataFrame({"kind": ["cat", "dog"]}, index=["a", "b"])
        >>> to_numbers(rows, ["kind"], pd.DataFrame({"cat": [0.9], "dog": [0.1]}))["dog"].to_dict()
        {'a': 0.0, 'b': 1.0}
    """
    names = [name for name in targets if name in rows]
    if names and set(names) <= set(predicted):
        values = rows[names]
        return values.astype(np.float64) if list(numeric_columns(values)) == names else None
    if len(names) != 1:
        return None
    classes = rows[names[0]].astype("str")
    if not set(classes) <= set(predicted):
        return None
    found = {str(name): classes.eq(str(name)).astype(np.float64) for name in predicted}
    return pd.DataFrame(found, index=rows.index)


def numeric_columns(table: pd.DataFrame) -> pd.DataFrame:
    """The columns of numbers and truth values."""
    return table.select_dtypes(["number", "bool"])


def compare_shares(old: Labelled, new: Labelled) -> tuple[Share, ...]:
    """How each column's mean label stands to the frozen version's expectation, the farthest first.

    Only columns of 0 and 1 with rows of both are told: a mean that moved is news where ranks can be held
    against it.
    """
    found = [_share(str(name), old, new) for name in new.truth.columns if _is_binary(old, new, name)]
    return tuple(sorted((share for share in found if share is not None), key=lambda share: -share.z))


def find_mislabelled(old: Labelled, new: Labelled) -> pd.Index[Any]:
    """Keys of new rows whose label is far from both versions, the farthest first.

    A label's distance is the smaller one of the two versions', over columns the largest. Far is more than
    99 % of the old rows' labels are; of labels 0 and 1 also nearer to the other one. So one honest label in
    a hundred may be listed, and where the old labels are as bad, few of the bad ones are.
    """
    if len(old.truth) < FEWEST or not len(new.truth):
        return new.truth.index[:0]
    ordinary, own = _distance(old), _distance(new)
    limit = float(np.quantile(ordinary, ORDINARY))
    if np.isin(new.truth.to_numpy(), (0, 1)).all():
        limit = max(limit, OTHER_SIDE)
    far = np.flatnonzero(own > limit)
    doubted: pd.Index[Any] = new.truth.index[far[np.argsort(-own[far], kind="stable")]]
    return doubted


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
    return Share(name, *told, z, _ranking(name, old, new))


def rank_gap(old: Labelled, new: Labelled) -> Gap | None:
    """The retrained version's gap by the area under the ROC curve, mean over columns of 0 and 1.

    Returns:
        None where no column has rows of both in either part, or there are too few groups.
    """
    names = [name for name in new.truth.columns if _is_binary(old, new, name)]
    areas = [[_area(part, part.retrained, name) for name in names] for part in (old, new)]
    found = [[area for area in side if area is not None] for side in areas]
    if not names or any(len(side) < len(names) for side in found):
        return None
    before, now = (float(np.mean([area for area, _ in side])) for side in found)
    # Columns of one row go together: their errors are added as if they were the same.
    error = math.hypot(*(float(np.mean([math.sqrt(variance) for _, variance in side])) for side in found))
    if not error:
        return None
    skills, repaired = (2 * before - 1, 2 * now - 1), _repaired(new, names)
    return Gap("AUC", before, now, (before - now) / error, skills, repaired)


def _repaired(new: Labelled, names: Sequence[Any]) -> float:
    """By how many standard errors the retrained version ranks the new rows better than the frozen one."""
    gains, errors = [], []
    for name in names:
        ones, clusters = new.truth[name].eq(1).to_numpy(), _clusters(new)
        areas = [
            area_by_group(version[name].to_numpy(np.float64), ones, clusters)
            for version in (new.frozen, new.retrained)
        ]
        gains.append(areas[1][0] - areas[0][0])
        errors.append(math.sqrt(variance_of(areas[1][1] - areas[0][1])))
    return float(np.mean(gains) / np.mean(errors)) if np.mean(errors) else 0.0


def _ranking(name: str, old: Labelled, new: Labelled) -> float | None:
    """By how many standard errors the frozen version ranks new rows worse than old ones."""
    before, now = (_area(part, part.frozen, name) for part in (old, new))
    if before is None or now is None:
        return None
    error = math.sqrt(before[1] + now[1])
    return (before[0] - now[0]) / error if error else None


def _area(part: Labelled, version: pd.DataFrame, name: str) -> tuple[float, float] | None:
    """The area under the ROC curve, and its variance by groups; None for too few groups."""
    if part.group.nunique() < FEWEST:
        return None
    ones = part.truth[name].eq(1).to_numpy()
    return area_under_curve(version[name].to_numpy(np.float64), ones, _clusters(part))


def _clusters(rows: Labelled) -> NDArray[np.int64]:
    return np.asarray(pd.factorize(rows.group)[0], dtype=np.int64)


def _error_of_mean(values: Numbers, clusters: NDArray[np.int64]) -> float:
    """The standard error of a mean whose rows come in groups: the groups' sums vary, not the rows alone."""
    sums = np.bincount(clusters, values - values.mean())
    return float(np.sqrt((sums**2).sum() * len(sums) / max(len(sums) - 1, 1))) / len(values)
