"""Say how much more new rows look like the rows to be predicted than old ones do, by features alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from kagkit.data.drift import groups_of, sampled
from kagkit.data.folds import is_in
from kagkit.data.parts import Pair
from kagkit.data.telling import deal, fit_held_out, separation
from kagkit.data.traits import nameless_columns, read_trait, stack_traits

LEAST, MOST = 0.1, 10.0
# Beyond this held-out AUC odds say that rows differ, and no longer by how much.
TOLD_APART = 0.995


@dataclass(frozen=True)
class Likeness:
    """How much more the new rows are like the test than the old ones.

    Attributes:
        value: The new rows' mean weight over the old rows'; 1 where both are alike. None where it is not
            known.
        told: By what it was measured, or why not.
    """

    value: float | None
    told: str


def measure_likeness(pair: Pair, new: pd.Index[Any]) -> Likeness:
    """Weigh labelled rows by the odds that they are test rows; new rows' mean weight over old rows'.

    A classifier that has not seen a row's group says how likely it stands in the test. Its odds, were there
    as many rows of either part, are the row's weight, from 0.1 to 10.

    Args:
        pair: The labelled rows, and those to be predicted; columns of only one of them say nothing.
        new: The keys of the labelled rows that are new; the others are old.

    References:
        Sugiyama, Krauledat and Müller, "Covariate shift adaptation by importance weighted cross validation",
        Journal of Machine Learning Research 8 (2007); weights by a classifier: Bickel, Brückner and Scheffer,
        "Discriminative learning for differing training and test distributions", ICML 2007.
    """
    frames = tuple(sampled(pair, frame) for frame in pair.frames)
    known = Pair(pair.names, (frames[0], frames[1]), pair.targets, pair.group)
    names, _ = nameless_columns(known.shared_columns(), frames)
    if not names:
        return Likeness(None, "no column says something of labelled and of test rows alike")
    dealt = deal(
        np.repeat([False, True], [len(frame) for frame in frames]),
        [group for frame in frames for group in groups_of(frame, pair.group)],
    )
    fresh = is_in(frames[0].index, new)
    if not dealt.is_enough() or fresh.all() or not fresh.any():
        return Likeness(None, "too few rows, or rows of one kind alone")
    values, codes, _ = stack_traits([read_trait(name, [frame[name] for frame in frames]) for name in names])
    odds = np.empty(len(values))
    for _, held, model in fit_held_out(values, codes, dealt):
        odds[held] = model.decision_function(values[held])
    labelled = ~dealt.second
    even = np.log(labelled.sum() / dealt.second.sum())
    weights = np.exp(np.clip(odds[labelled] + even, np.log(LEAST), np.log(MOST)))
    told = f"by {_counted(names)}"
    if separation(odds, dealt).auc > TOLD_APART:
        told += ", which tell labelled and test rows apart entirely: likeness says little"
    return Likeness(float(weights[fresh].mean() / weights[~fresh].mean()), told)


def _counted(names: Sequence[str]) -> str:
    return f"column {names[0]}" if len(names) == 1 else f"{len(names)} columns"
