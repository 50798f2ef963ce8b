"""Cut rows into folds by time, and keep a gap before each."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import numpy as np
import pandas as pd

from kagkit.data.choosing import describe
from kagkit.data.folds import ONLY_TRAINED, as_folds, is_in, some_keys
from kagkit.data.rows import column_of
from kagkit.foundation.errors import DataError, Problem, counted
from kagkit.workspace.schemes import Scheme


def read_times(rows: pd.DataFrame, name: str) -> pd.Series[Any]:
    """A column to order by: numbers and times as they are, text as ISO 8601."""
    column = column_of(rows, name)
    if pd.api.types.is_numeric_dtype(column) or pd.api.types.is_datetime64_any_dtype(column):
        return column
    times = pd.to_datetime(column, format="ISO8601", utc=True, errors="coerce")
    if times.isna().any():
        unread = rows.index[times.isna()]
        found = (
            f"{name}: {counted(len(unread), 'value')} neither number nor ISO 8601 time: {some_keys(unread)}"
        )
        hint = "write them as 2019-10-01, or make them times in the loader"
        raise DataError("rows cannot be ordered by time", [Problem("folds: column", found, hint=hint)])
    return times


def read_gap(gap: float | str | None, times: pd.Series[Any]) -> Any:
    """A gap in the unit of the column it is taken from."""
    numeric = pd.api.types.is_numeric_dtype(times)
    if gap is None:
        return 0 if numeric else timedelta(0)
    if numeric and not isinstance(gap, str):
        return gap
    match = None if numeric else re.fullmatch(r"(\d+(?:\.\d+)?) ?(w|d|h|min|s)", str(gap))
    if match is None:
        expected = "a number, as the column's" if numeric else "a number and w, d, h, min or s, such as 7d"
        raise DataError("rows cannot be ordered by time", [Problem("folds: gap", f"{gap}", expected)])
    return timedelta(**{GAP_UNITS[match[2]]: float(match[1])})


GAP_UNITS = {"w": "weeks", "d": "days", "h": "hours", "min": "minutes", "s": "seconds"}


def time_folds(rows: pd.DataFrame, scheme: Scheme) -> pd.Series[int]:
    """Cut rows, ordered by time, into n + 1 blocks: -1, then folds 0 to n - 1."""
    times = read_times(rows, scheme.column or "")
    read_gap(scheme.gap, times)
    # Ties share the place of their first row, so equal times never part.
    places = times.rank(method="min") - 1
    return as_folds(places * (scheme.n + 1) // len(rows) - 1, rows.index)


def folds_by_time(existing: pd.Series[int], rows: pd.DataFrame, scheme: Scheme) -> pd.Series[int]:
    """The fold of each row by the blocks that are there: its own, that of its time, or the last."""
    times = read_times(rows, scheme.column or "")
    known = times[is_in(times.index, existing.index)].sort_values(kind="stable")
    if known.empty:
        hint = "make a set of another name"
        problem = Problem("folds", "none of the set's rows is there any more", hint=hint)
        raise DataError(f"cannot extend {describe(scheme)}", [problem])
    before = known.searchsorted(times, side="right") - 1
    folds = existing.reindex(known.index).to_numpy()[before]
    return as_folds(np.where(before < 0, ONLY_TRAINED, folds), rows.index)
