"""Hold what frozen weights say of stage 1's rows today against what they said then, fold by fold."""

from __future__ import annotations

from collections.abc import Iterator
from math import inf
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kagkit.data.folds import is_in
from kagkit.data.predictions import Predictions
from kagkit.judgement.suspicions import Suspicion
from kagkit.judgement.witnesses import Fit, Which, Witness

# Of a column's spread. Other processors and library versions move predictions by less.
TOLERANCE = 1e-3


def compare_reloaded(now: Witness, start: Witness) -> Suspicion:
    """Whether the present way from rows to predictions is stage 1's, by the rows that both have predicted.

    A run of stage 2 predicts by frozen weights the rows that each fold held out, those of stage 1's test
    among them: by its files, its loader, its preparation. The same weights spoke of them in stage 1.

    Args:
        now: A run of stage 2 with frozen folds.
        start: The run of stage 1 that they are of.

    Raises:
        KagkitError: Stored predictions are gone or damaged.
    """
    before = {which: start.tables(which) for which in _rows_fed_alike(start)}
    frozen = _frozen_fits(now, start)
    rows, worst, where = 0, 0.0, ""
    for fit, table in now.tables("valid").items():
        for then in (tables.get(fit) for tables in before.values()):
            if fit not in frozen or then is None:
                continue
            for column, apart, count in _gaps(table, then):
                rows += count
                if apart > worst:
                    worst, where = apart, f"{column}, seed {fit[0]} fold {fit[1]}"
    if not rows:
        return Suspicion("reload", "warn", "no row of stage 1 was predicted again by the frozen weights")
    told = f"{rows:,} values of stage 1's rows predicted again by the frozen weights"
    if worst > TOLERANCE:
        text = f"{told} are up to {worst:.2g} of their spread off ({where})"
        return Suspicion("reload", "stop", f"{text}; loader or preparation are not what they were in stage 1")
    if worst > 0:
        return Suspicion("reload", "ok", f"{told}: off by at most {worst:.1g} of their spread")
    return Suspicion("reload", "ok", f"{told}: the very same")


def _rows_fed_alike(start: Witness) -> tuple[Which, ...]:
    """The rows of stage 1 that came with the same inputs as today.

    Those of its test came with the mean of all folds of what fed the run; now they come out of fold.
    """
    return ("valid",) if start.run.data["parents"] else ("valid", "test")


def _frozen_fits(now: Witness, start: Witness) -> set[Fit]:
    """The seeds and folds whose weights are those of stage 1."""
    digests = [
        {
            (told["seed"], told["fold"], told["name"].rpartition("/")[2]): told["sha256"]
            for told in each.run.data["weights"]
        }
        for each in (now, start)
    ]
    fits = {(seed, fold) for seed, fold, _ in digests[0]}
    moved = {name[:2] for name, sha256 in digests[0].items() if digests[1].get(name) != sha256}
    return fits - moved


def _gaps(now: Predictions, then: Predictions) -> Iterator[tuple[str, float, int]]:
    """The largest difference of each column on the rows of both, in its spread, and how many values."""
    keys = now.keys[is_in(now.keys, then.keys)]
    for column in now.columns if len(keys) else ():
        if column not in then.columns:
            yield column, inf, len(keys)
        elif now.kind(column) == "ragged":
            pairs = zip(now.ragged(column, keys), then.ragged(column, keys), strict=True)
            same = [np.array_equal(np.asarray(one), np.asarray(other)) for one, other in pairs]
            yield column, 0.0 if all(same) else inf, len(same)
        else:
            yield column, *_gap(now, then, column, keys)


def _gap(now: Predictions, then: Predictions, column: str, keys: object) -> tuple[float, int]:
    ours, theirs = now.array(column, keys), then.array(column, keys)
    if ours.dtype.kind not in "biuf" or theirs.dtype.kind not in "biuf":
        return (0.0 if np.array_equal(ours, theirs) else inf), len(ours)
    return find_gap(ours, theirs), ours.size


def find_gap(now: NDArray[Any], then: NDArray[Any]) -> float:
    """The largest difference of two arrays of numbers, in the standard deviation of the second.

    What the coarser of their types rounds away does not count: numbers that are alike in all but the last bit
    are stored as neighbours.

    Example:
        >>> round(find_gap(np.array([0.0, 3.0]), np.array([0.0, 2.0])), 6)
        1.0
        >>> find_gap(np.array([0.0, 0.7500], np.float16), np.array([0.0, 0.7505], np.float16))
        0.0
    """
    if now.shape != then.shape:
        return inf
    first, second = now.astype(np.float64), then.astype(np.float64)
    rounded = _rounding(now, then) * np.maximum(np.abs(first), np.abs(second))
    spread = float(second.std()) or 1.0
    return float((np.abs(first - second) - rounded).max(initial=0.0)) / spread


def _rounding(*stored: NDArray[Any]) -> float:
    """How far apart neighbours of the coarsest type are, beside their size; 0 where all are whole numbers."""
    return max((float(np.finfo(each.dtype).eps) for each in stored if each.dtype.kind == "f"), default=0.0)
