"""Deal the rows of two sides into folds, say by held-out scores how far they can be told apart."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from kagkit.foundation.seeds import draws, seed_of

Truths = NDArray[np.bool_]
Numbers = NDArray[np.float64]
Places = NDArray[np.int64]

FOLDS = 5
LEVEL = 0.95
# Folds are no independent trials, their models share rows: 1 + folds * held out / trained on.
SHARED_TRAINING = 1 + FOLDS / (FOLDS - 1)


@dataclass(frozen=True, eq=False)
class Deal:
    """Which rows are held out together, and which belong together.

    Attributes:
        second: (n,) whether a row is of the second side.
        folds: (n,) the fold a row is held out in, 0 to 4.
        clusters: (n,) the number of the group a row belongs to.
    """

    second: Truths
    folds: Places
    clusters: Places

    def is_enough(self) -> bool:
        """Whether every fold has two groups of either side at least."""
        table = pd.DataFrame({"fold": self.folds, "side": self.second, "cluster": self.clusters})
        sizes = table.groupby(["fold", "side"])["cluster"].nunique()
        return len(sizes) == 2 * FOLDS and bool((sizes >= 2).all())


@dataclass(frozen=True)
class Separation:
    """How well held-out rows of one side are told from the other's: 0.5 is by chance, 1 always.

    Attributes:
        auc: The mean of the folds' areas under the ROC curve.
        low: The lower end of its interval.
        high: The upper end.
    """

    auc: float
    low: float
    high: float


def deal(second: Truths, groups: Sequence[str]) -> Deal:
    """Deal rows into five folds, groups whole, as many of either side in each as can be.

    Args:
        second: (n,) whether a row is of the second side.
        groups: (n,) what a row belongs to; groups may have rows of both sides.

    Returns:
        Folds that depend on the groups' names, never on the order of rows or which side is the first.
    """
    clusters, names = pd.factorize(np.asarray(groups, dtype=object))
    shares = pd.Series(second).groupby(clusters).mean().to_numpy()
    mixture = np.where(shares == 0, 0, np.where(shares == 1, 1, 2))
    luck = draws([str(name) for name in names], "compare folds")
    folds = np.empty(len(names), dtype="int64")
    for kind in range(3):
        members = np.flatnonzero(mixture == kind)
        folds[members[np.argsort(luck[members], kind="stable")]] = np.arange(len(members)) % FOLDS
    return Deal(second, folds[clusters], np.asarray(clusters, dtype="int64"))


def separation(scores: Numbers, deal: Deal, level: float = LEVEL) -> Separation:
    """The mean AUC of the folds and its interval.

    Rows of one group count as one piece of evidence, so that many slices of a patient make no certainty.

    Args:
        scores: (n,) held-out scores, comparable inside a fold.
        deal: The folds, sides and groups.
        level: How often the interval holds the true value.

    References:
        N. Obuchowski, "Nonparametric analysis of clustered ROC curve data", Biometrics 53 (1997), 567-578;
        the variance of E. DeLong et al., Biometrics 44 (1988), 837-845, where every row is its own group;
        corrected for cross-validation as in C. Nadeau, Y. Bengio, "Inference for the generalization error",
        Machine Learning 52 (2003), 239-281.
    """
    parts = [
        area_under_curve(scores[held], deal.second[held], deal.clusters[held]) for held in _held_out(deal)
    ]
    auc = float(np.mean([area for area, _ in parts]))
    error = float(np.sqrt(SHARED_TRAINING * sum(variance for _, variance in parts))) / len(parts)
    reach = NormalDist().inv_cdf((1 + level) / 2) * error
    return Separation(auc, max(0.0, auc - reach), min(1.0, auc + reach))


def _held_out(deal: Deal) -> list[Truths]:
    return [deal.folds == fold for fold in range(FOLDS)]


def area_under_curve(scores: Numbers, second: Truths, clusters: Places) -> tuple[float, float]:
    """The area under the ROC curve of some rows, and its variance by groups.

    Args:
        scores: (n,) larger for the second side.
        second: (n,) whether a row is of the second side; there are rows of both.
        clusters: (n,) the number of the group a row belongs to.

    References:
        Obuchowski, and DeLong et al., as in `separation`.

    Example:
        >>> second = np.array([False, False, True, True])
        >>> area_under_curve(np.array([0.1, 0.4, 0.35, 0.8]), second, np.arange(4))[0]
        0.75
    """
    area, pulls = area_by_group(scores, second, clusters)
    return area, variance_of(pulls)


def area_by_group(scores: Numbers, second: Truths, clusters: Places) -> tuple[float, Numbers]:
    """The area under the ROC curve, and how far each group pulls it from there: arguments as above.

    The pulls of two scores of the same rows, less each other, are those of the difference of their areas.
    """
    from scipy.stats import rankdata

    own = np.empty(len(scores))
    for side in (second, ~second):
        own[side] = rankdata(scores[side])
    sizes = (int(second.sum()), int((~second).sum()))
    size, rest = np.where(second, *sizes), np.where(second, *sizes[::-1])
    beaten = (rankdata(scores) - own) / rest  # the share of the other side that a row stands above
    beaten[~second] = 1 - beaten[~second]
    area = float(beaten[second].mean())
    return area, pd.Series((beaten - area) / size).groupby(clusters).sum().to_numpy()


def variance_of(pulls: Numbers) -> float:
    """The variance of what the pulls of groups add up to."""
    return float((pulls**2).sum()) * len(pulls) / (len(pulls) - 1)


def fit_held_out(values: Numbers, codes: Truths, deal: Deal) -> Iterator[tuple[int, Truths, Any]]:
    """Trees that tell the sides apart, one model for each fold, which it has not seen.

    Args:
        values: (n, n_features), NaN where empty.
        codes: (n_features,) whether a feature's numbers are codes without an order.
        deal: The folds and sides.

    Yields:
        The fold, (n,) whether a row is held out in it, and the model of the other rows, whose
        `decision_function` gives the log odds of the second side.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier
    from threadpoolctl import threadpool_limits

    for fold, held in enumerate(_held_out(deal)):
        model = HistGradientBoostingClassifier(
            max_iter=50,
            max_leaf_nodes=15,
            min_samples_leaf=int(np.clip((~held).sum() // 40, 3, 20)),
            categorical_features=codes,
            early_stopping=False,
            random_state=seed_of("compare", fold) % 2**32,
        )
        # One thread: more of them wait for each other longer than they work where processors are shared.
        with threadpool_limits(1):
            model.fit(values[~held], deal.second[~held])
            yield fold, held, model


def score_alone(values: Numbers, categorical: Sequence[bool], deal: Deal) -> Numbers:
    """Held-out scores by one column: how much more often its values stood on the second side.

    Values are counted in bins of equal size; gaps and every category have a bin of their own; the features of
    a column add up as in naive Bayes.

    Args:
        values: (n, n_features), NaN where empty.
        categorical: Of each feature, whether it is a code.
        deal: The folds, sides and groups.

    Returns:
        (n,) log likelihood ratios.
    """
    bins = [_binned(values[:, place], code) for place, code in enumerate(categorical)]
    scores = np.zeros(len(values))
    for held in _held_out(deal):
        for places in bins:
            most = int(places.max()) + 1
            counts = [
                np.bincount(places[~held & (deal.second == side)], minlength=most) + 1.0
                for side in (True, False)
            ]
            ratios = np.log(counts[0] / counts[0].sum()) - np.log(counts[1] / counts[1].sum())
            scores[held] += ratios[places[held]]
    return scores


def _binned(values: Numbers, categorical: bool) -> Places:
    gaps = np.isnan(values)
    if categorical:
        return np.where(gaps, 0, values + 1).astype("int64")
    number = int(np.clip(np.sqrt(len(values)) / 2, 4, 32))
    there = values[~gaps]
    edges = np.unique(np.quantile(there, np.arange(1, number) / number)) if len(there) else there
    return np.where(gaps, 0, np.searchsorted(edges, values, side="left") + 1).astype("int64")
