"""Fit arguments of any function that makes a submission on out-of-fold rows, and say how much that flatters.

The arguments a row is made with are found on the other folds; the score of the tables so made is the held-out
one. The arguments for new rows are found on all rows; their score on the same rows is the in-sample one.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from kagkit.data.predictions import Predictions
from kagkit.foundation.errors import DataError, ManifestError, Problem, did_you_mean
from kagkit.foundation.files import canonical_json
from kagkit.metrics.ranges import (
    Place,
    Range,
    ends_of,
    find_ranges,
    numbers_in,
    round_to,
    value_at,
    with_value,
)
from kagkit.metrics.truth import Judge, take_rows

Make = Callable[..., pd.DataFrame]
POINTS = 8  # steps of the first grid across a range
HALVINGS = 4
TABLES_KEPT = 128
ROW_BY_ROW = "_kagkit_row_by_row"


@dataclass(frozen=True, eq=False)
class HeldOut:
    """Out-of-fold predictions with what they are held against.

    Attributes:
        predictions: What `make` takes: a table by key, or predictions on disk.
        rows: The rows by key, without targets.
        folds: The fold of each row by key.
        judge: Who scores a submission table of some rows.
    """

    predictions: pd.DataFrame | Predictions
    rows: pd.DataFrame
    folds: pd.Series[Any]
    judge: Judge


@dataclass(frozen=True)
class Fit:
    """Fitted arguments, and how honest their score is.

    Attributes:
        args: All arguments, those found on all rows among them: for new rows.
        fold_args: By fold: found on all other folds.
        before: The score of the arguments the search started from.
        in_sample: The score of `args` on the rows they were found on.
        held_out: The score where each row is made with the arguments of its fold.
        greater_is_better: Whether a larger score is the better one.
        evaluations: How many arguments the longest search tried.
        stopped: Whether a search ended at its number of evaluations.
    """

    args: dict[str, Any]
    fold_args: dict[int, dict[str, Any]]
    before: float
    in_sample: float
    held_out: float
    greater_is_better: bool
    evaluations: int
    stopped: bool

    @property
    def optimism(self) -> float:
        """How much better the in-sample score looks than the held-out one: above 0, it flatters."""
        better, worse = self.in_sample, self.held_out
        return better - worse if self.greater_is_better else worse - better


def row_by_row(make: Make) -> Make:
    """Mark a function whose result for a row depends on that row alone: one call then serves all folds."""
    setattr(make, ROW_BY_ROW, True)
    return make


def fit_args(
    make: Make,
    names: Sequence[str] | Mapping[str, Range],
    held_out: HeldOut,
    args: Mapping[str, Any] | None = None,
    *,
    evaluations: int = 200,
) -> Fit:
    """Find named arguments of a function that makes submissions.

    One number after another is moved over a grid of its range and then over finer ones around the best, until
    a whole sweep brings nothing. A number is moved only where the score gains, so that ties keep what was.
    In lists and names to numbers, each number is moved. Nothing is drawn at random.

    Args:
        make: `make(predictions, rows, **args) -> table`.
        names: The arguments to find, with their ranges; where a range is not told, by the signature's
            `Annotated[float, Range(...)]`, or else from the start.
        held_out: Out-of-fold predictions, rows, folds and judge.
        args: Arguments to start from or to leave as they are; the signature's defaults where not told.
        evaluations: How many arguments each search may try.

    Raises:
        ManifestError: A name is no argument, has no start, or is no number.
        DataError: Rows and folds do not hold the same keys, or there is but one fold.

    Example:
        >>> from kagkit.metrics import accuracy
        >>> from kagkit.metrics.truth import Truth
        >>> def halve(predictions, rows, *, at=0.5):
        ...     return (predictions.loc[rows.index] >= at).astype(int)
        >>> keys = pd.Index(["a", "b", "c", "d"], name="id")
        >>> given = pd.DataFrame({"y": [0.1, 0.3, 0.1, 0.3]}, index=keys)
        >>> truth = Truth((given > 0.2).astype(int), accuracy, greater_is_better=True)
        >>> out = HeldOut(given, given, pd.Series([0, 0, 1, 1], index=keys), truth)
        >>> found = fit_args(halve, {"at": Range(0, 1)}, out)
        >>> found.args, found.before, found.held_out
        ({'at': 0.25}, 0.5, 1.0)
    """
    folds = _folds_of(held_out)
    start = _start(make, names, dict(args or {}))
    ranges = find_ranges(make, names, start)
    table = _Tables(make, held_out, folds)
    fits = {fold: training_folds(table.every, fold) for fold in table.every}
    whole = _Search(table, table.every, ranges, evaluations).done(start)
    searches = {fold: _Search(table, others, ranges, evaluations) for fold, others in fits.items()}
    found = {fold: search.done(start) for fold, search in searches.items()}
    made = [table.made(found[fold].args, [fold]) for fold in fits]
    order = pd.concat([held_out.rows[folds == fold] for fold in fits]).index
    judge = held_out.judge
    return Fit(
        args=whole.args,
        fold_args={fold: each.args for fold, each in found.items()},
        before=table.score(start, table.every),
        in_sample=whole.score,
        held_out=judge.score(pd.concat(made), order),
        greater_is_better=judge.greater_is_better,
        evaluations=max(each.tried for each in (whole, *found.values())),
        stopped=any(each.stopped for each in (whole, *found.values())),
    )


def training_folds(folds: Sequence[int], fold: int) -> list[int]:
    """The folds whose rows may tell the arguments of a fold: all others."""
    return [other for other in folds if other != fold]


class _Tables:
    """Submission tables of some folds, and their scores, each made once."""

    def __init__(self, make: Make, held_out: HeldOut, folds: pd.Series[Any]) -> None:
        self.make, self.held_out, self.folds = make, held_out, folds
        self.every = sorted(set(folds))
        self.rows: dict[tuple[int, ...], pd.DataFrame] = {}
        self.predicted: dict[tuple[int, ...], pd.DataFrame | Predictions] = {}
        self.scores: dict[str, float] = {}
        self.whole: dict[str, pd.DataFrame] = {}  # the latest tables of all rows, by arguments

    def made(self, args: Mapping[str, Any], folds: Sequence[int]) -> pd.DataFrame:
        """The table of some folds; of a function that goes row by row it is cut from that of all rows."""
        if not hasattr(self.make, ROW_BY_ROW):
            return self.make(self._predicted(folds), self._rows_of(folds), **args)
        said, rows = canonical_json(args), self._rows_of(self.every)
        if said not in self.whole:
            if len(self.whole) >= TABLES_KEPT:
                self.whole.pop(next(iter(self.whole)))
            self.whole[said] = table = self.make(self.held_out.predictions, rows, **args)
            if not table.index.equals(rows.index):  # it is cut by place
                problem = Problem(
                    "row_by_row", "a table of other rows", "a line a row, by key, in their order"
                )
                raise DataError("what is marked row_by_row does not go row by row", [problem])
        return self.whole[said][self.folds.isin(folds).to_numpy()]

    def score(self, args: Mapping[str, Any], folds: Sequence[int]) -> float:
        """The score on some folds."""
        said = canonical_json([args, [int(fold) for fold in folds]])
        if said not in self.scores:
            keys = self._rows_of(folds).index
            self.scores[said] = self.held_out.judge.score(self.made(args, folds), keys)
        return self.scores[said]

    def _predicted(self, folds: Sequence[int]) -> pd.DataFrame | Predictions:
        """The predictions of some folds alone: a function may go through all it is given."""
        chosen, found = tuple(folds), self.held_out.predictions
        if chosen not in self.predicted:
            keys = self._rows_of(folds).index
            own = found.only(keys) if isinstance(found, Predictions) else found.loc[found.index.isin(keys)]
            self.predicted[chosen] = own
        return self.predicted[chosen]

    def _rows_of(self, folds: Sequence[int]) -> pd.DataFrame:
        chosen = tuple(folds)
        if chosen not in self.rows:
            self.rows[chosen] = self.held_out.rows[self.folds.isin(folds).to_numpy()]
        return self.rows[chosen]


@dataclass
class _Search:
    """A search over named numbers on the rows of some folds."""

    tables: _Tables
    folds: Sequence[int]
    ranges: Mapping[Place, Range]
    evaluations: int
    tried: int = 0
    stopped: bool = False
    args: dict[str, Any] = field(default_factory=dict)
    score: float = 0.0

    def done(self, start: Mapping[str, Any]) -> _Search:
        """Search, and keep what was found."""
        self.args, self.score = dict(start), self._evaluate(start)
        gained = True
        while gained and not self.stopped:
            before = self.score
            for place, within in self.ranges.items():
                self._move(place, within)
            gained = self.score != before
        return self

    def _move(self, place: Place, within: Range) -> None:
        """Try a grid across the range, then ever finer ones around the best; of equals the middle one."""
        low, high = ends_of(within)
        step = (high - low) / POINTS
        points = np.linspace(low, high, POINTS + 1).tolist()
        sign = 1 if self.tables.held_out.judge.greater_is_better else -1
        for _ in range(1 + HALVINGS):
            tried = self._try(place, {round_to(point, within) for point in points})
            best = max(tried.values(), key=lambda score: sign * score, default=self.score)
            if sign * best > sign * self.score:
                equals = sorted(value for value, score in tried.items() if score == best)
                self.args, self.score = with_value(self.args, place, equals[len(equals) // 2]), best
            step /= 2
            here = float(value_at(self.args, place))
            points = [point for point in (here - step, here + step) if low <= point <= high]

    def _try(self, place: Place, values: set[float]) -> dict[float, float]:
        """The scores of other values of a number, as many of them as may still be tried."""
        others = sorted(values - {value_at(self.args, place)})
        left = max(self.evaluations - self.tried, 0)
        self.stopped |= len(others) > left
        return {value: self._evaluate(with_value(self.args, place, value)) for value in others[:left]}

    def _evaluate(self, args: Mapping[str, Any]) -> float:
        self.tried += 1
        return self.tables.score(args, self.folds)


def _folds_of(held_out: HeldOut) -> pd.Series[Any]:
    """The fold of each row, in the order of the rows."""
    table = held_out.folds[held_out.folds >= 0].to_frame("fold")
    folds = take_rows(table, held_out.rows.index, "folds", exact=True)["fold"]
    if folds.nunique() < 2:
        expected = "two or more: arguments are found on the folds that a row is not in"
        raise DataError("nothing is held out", [Problem("folds", f"{folds.nunique()} folds", expected)])
    return folds


def _start(make: Make, names: Sequence[str] | Mapping[str, Range], args: dict[str, Any]) -> dict[str, Any]:
    """The arguments the search starts from."""
    known = {
        name: parameter.default
        for name, parameter in inspect.signature(make).parameters.items()
        if parameter.kind is parameter.KEYWORD_ONLY or parameter.default is not parameter.empty
    }
    problems = []
    for name in names:
        where = f"submission.fit_args.{name}"
        start = args.setdefault(name, known.get(name, inspect.Parameter.empty))
        if name not in known:
            problems.append(Problem(where, "no such argument", hint=did_you_mean(name, list(known))))
        elif not numbers_in(name, start):
            hint = f"write where to start: submission.args.{name}"
            problems.append(
                Problem(where, "no number to start from", "a number, or a list or names of them", hint)
            )
    if problems:
        raise ManifestError("arguments cannot be fitted", problems)
    return args
