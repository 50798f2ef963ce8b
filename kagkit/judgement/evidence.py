"""Hold two versions of one model against each other on the same rows, and say how sure the difference is."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from kagkit.foundation.errors import KagkitError
from kagkit.metrics.resampling import Numbers, Scores, draw_cv, interval_of

RowSet = Literal["train", "released", "pooled"]


@dataclass(frozen=True, eq=False)
class Versions:
    """Two versions of a model on the same rows.

    Attributes:
        old: Scores choices of the rows' units by the frozen version's predictions.
        new: Scores the same units by those of the retrained version.
        units: The name of the units, which the draws follow: both versions are drawn alike.
        nothing: The score of predictions that know nothing of a row; None where that is not known.
        perfect: The score of the truth; None where the metric does not take it.
    """

    old: Scores
    new: Scores
    units: str
    nothing: float | None = None
    perfect: float | None = None

    def __post_init__(self) -> None:
        if not np.array_equal(self.old.rows, self.new.rows):
            raise KagkitError("two versions are compared on the same rows alone, and these are others")


@dataclass(frozen=True)
class Evidence:
    """What one set of rows says of two versions of a model.

    Attributes:
        row_set: `train`, the old training rows; `released`, those with new labels; `pooled`, both.
        rows: How many ids were scored.
        old: The frozen version's score.
        new: The retrained version's score.
        difference: By how much the retrained version is better, whatever the metric's direction.
        se: The standard error of the difference, paired and by group; None where the metric is not defined
            on most draws of the rows.
        ci: The 90 % interval of the difference; None likewise.
        new_se: The standard error of the retrained version's own score.
        skill: How far the retrained version gets from knowing nothing (0) to the truth (1); None where that
            is not known.
    """

    row_set: RowSet
    rows: int
    old: float
    new: float
    difference: float
    se: float | None
    ci: tuple[float, float] | None
    new_se: float | None = None
    skill: float | None = None


def compare_versions(row_set: RowSet, versions: Versions, *, greater_is_better: bool) -> Evidence:
    """Score both versions on the same rows, and on draws of whole groups, the same for both.

    Raises:
        KagkitError: The metric is not defined on these rows.
    """
    sign = 1.0 if greater_is_better else -1.0
    once = np.ones((1, len(versions.old.rows)), dtype=np.int64)
    old, new = (float(scores.score(once)[0]) for scores in (versions.old, versions.new))
    if not math.isfinite(old + new):
        raise KagkitError("the metric is not defined on these rows")
    drawn = [draw_cv(scores, versions.units) for scores in (versions.old, versions.new)]
    differences = sign * (drawn[1] - drawn[0])
    se = _spread(differences)
    return Evidence(
        row_set=row_set,
        rows=int(versions.old.rows.sum()),
        old=old,
        new=new,
        difference=sign * (new - old),
        se=se,
        ci=None if se is None else interval_of(differences),
        new_se=_spread(drawn[1]),
        skill=_skill(new, versions),
    )


@dataclass(frozen=True)
class Gap:
    """How much worse the retrained version does on new rows than on old ones.

    Frozen models do worse on rows of a new kind, too; retrained ones only where labels, or rows, are harder
    to tell.

    Attributes:
        what: What it is measured by.
        old: The score of the old rows.
        new: The score of the new rows.
        errors: By how many standard errors the new rows' is worse; the sign is minus where it is better.
        skills: How far each is from knowing nothing (0) to the truth (1), the old rows' first; None where
            that is not known.
        repaired: By how many standard errors the retrained version does better on new rows than the frozen
            one: what retraining repairs is a change of the rows, and no noise.
    """

    what: str
    old: float
    new: float
    errors: float
    skills: tuple[float, float] | None
    repaired: float = 0.0


def find_gap(metric: str, train: Evidence, released: Evidence, *, greater_is_better: bool) -> Gap | None:
    """The gap by the competition's metric; None where the metric is not defined on most draws.

    A metric that follows the share of labels, as Dice does, has a gap wherever this share is another one.
    Where labels are 0 and 1, `labels.rank_gap` is free of that.
    """
    if train.new_se is None or released.new_se is None:
        return None
    error = math.hypot(train.new_se, released.new_se)
    fell = (train.new - released.new) * (1 if greater_is_better else -1)
    known = train.skill is not None and released.skill is not None
    skills = (float(train.skill or 0), float(released.skill or 0)) if known else None
    repaired = released.difference / released.se if released.se else 0.0
    return Gap(metric, train.new, released.new, fell / error, skills, repaired) if error else None


def _spread(drawn: Numbers) -> float | None:
    found = drawn[np.isfinite(drawn)]
    return float(found.std(ddof=1)) if len(found) > len(drawn) / 2 else None


def _skill(score: float, versions: Versions) -> float | None:
    nothing, perfect = versions.nothing, versions.perfect
    if nothing is None or perfect is None or nothing == perfect:
        return None
    return (score - nothing) / (perfect - nothing)
