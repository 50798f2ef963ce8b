"""Keep named fold sets in tables that only grow, prove that no old row moved, say who is in the way."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from kagkit.data.choosing import class_labels
from kagkit.data.rows import column_of, key_texts, names_of
from kagkit.data.tables import number_lines, read_table, told
from kagkit.foundation.errors import SAMPLES_SHOWN, DataError, Problem, counted, did_you_mean, samples
from kagkit.foundation.files import csv_line, write_file

FOLD = "fold"


ONLY_TRAINED = -1


FOLD_NUMBER = "a whole number, -1 or more"


def some_keys(keys: pd.Index[Any]) -> str:
    """A few keys, and how many more there are."""
    return samples(key_texts(keys[:SAMPLES_SHOWN]), len(keys))


def key_names(index: pd.Index[Any]) -> list[str]:
    """The names of the key columns."""
    return [str(name) for name in index.names]


def is_in(keys: pd.Index[Any], others: pd.Index[Any]) -> NDArray[np.bool_]:
    """Which keys are among others."""
    # Ten times faster than isin on Arrow's text.
    return others.unique().get_indexer(keys) >= 0


def as_folds(folds: Any, index: pd.Index[Any]) -> pd.Series[int]:
    """Fold numbers by key, as fold sets keep them."""
    return pd.Series(np.asarray(folds), index, name=FOLD, dtype="int64")


def check(folds: pd.Series[Any], rows: pd.DataFrame, group: str | None) -> None:
    """Hold a fold set to what makes its scores honest.

    Args:
        folds: Folds by key, of whatever dtype; rows that vanished may be among them.
        rows: Training rows by key, with the group.
        group: The column whose equal values may not stand in two folds; None where there is none.

    Raises:
        DataError: Every problem at once: groups in two folds, rows without a fold, fold numbers that
            are not whole or below -1, folds without rows, keys on two lines.

    Example:
        >>> rows = pd.DataFrame({"who": ["p", "p"]}, index=pd.Index(["a", "b"], name="id"))
        >>> check(pd.Series({"a": 0, "b": 1}), rows, None)
    """
    where = "folds"
    problems = number_problems(folds, where) + repeat_problems(folds, where)
    if not problems:
        present = set(pd.to_numeric(folds).astype(int))
        top = min(max([0, *present]), len(present))
        empty = sorted(set(range(top + 1)) - present)
        if empty:
            problems.append(
                Problem(where, f"no rows in fold {samples(empty)}", "rows in every fold from 0 on")
            )
        problems += lost_problems(folds, rows, where)
        problems += _group_problems(folds, rows, group) if group else []
    if problems:
        raise DataError("the fold set cannot be used", problems)


def missing_problems(rows: pd.DataFrame, name: str, where: str) -> list[Problem]:
    """A column that is not there, or not filled in every row."""
    if name not in names_of(rows):
        return [Problem(where, f"no column {name}", hint=did_you_mean(name, names_of(rows)))]
    gaps = rows.index[column_of(rows, name).isna().to_numpy()]
    if gaps.empty:
        return []
    found = f"{counted(len(gaps), 'row')} without {name}: {some_keys(gaps)}"
    return [Problem(where, found, "a value in every row", "fill it in the loader")]


def number_problems(folds: pd.Series[Any], where: str) -> list[Problem]:
    """Folds that are no whole numbers from -1."""
    numbers = pd.to_numeric(folds.astype(object), errors="coerce")
    wrong = folds[numbers.isna() | (numbers % 1 != 0) | (numbers < ONLY_TRAINED)]
    if wrong.empty:
        return []
    texts = key_texts(wrong.index[:SAMPLES_SHOWN])
    shown = [f"{key} in {fold}" for key, fold in zip(texts, wrong, strict=False)]
    return [Problem(where, f"no fold numbers: {samples(shown, len(wrong))}", FOLD_NUMBER)]


def repeat_problems(folds: pd.Series[Any], where: str) -> list[Problem]:
    """Keys that stand twice."""
    repeated = folds.index[folds.index.duplicated()].unique()
    if repeated.empty:
        return []
    return [
        Problem(
            where, f"{counted(len(repeated), 'key')} more than once: {some_keys(repeated)}", "every key once"
        )
    ]


def lost_problems(folds: pd.Series[Any], rows: pd.DataFrame, where: str) -> list[Problem]:
    """Rows that have no fold."""
    lost = rows.index[~is_in(rows.index, folds.index)]
    if lost.empty:
        return []
    return [
        Problem(
            where, f"{counted(len(lost), 'row')} without a fold: {some_keys(lost)}", "a fold for every row"
        )
    ]


def _group_problems(folds: pd.Series[Any], rows: pd.DataFrame, group: str) -> list[Problem]:
    if problems := missing_problems(rows, group, "rows: group"):
        return problems
    pairs = pd.DataFrame({"group": class_labels(rows, group), "fold": folds.reindex(rows.index)})
    pairs = pairs.dropna().drop_duplicates().sort_values(["group", "fold"])
    torn = pairs[pairs["group"].duplicated(keep=False)]
    names = torn["group"].unique()
    if not len(names):
        return []
    shown = [
        f"{name} in {torn['fold'][torn['group'] == name].astype(int).tolist()}"
        for name in names[:SAMPLES_SHOWN]
    ]
    count = f"{len(names):,} of {pairs['group'].nunique():,}"
    found = f"{count} {group} in more than one fold: {samples(shown, len(names))}"
    return [Problem("folds", found, "one fold for a group", "scheme: group, or stratified_group")]


def read(path: Path, key: Sequence[str]) -> pd.Series[int]:
    """Read a fold set that `write` wrote.

    Args:
        path: `folds/<name>.csv`.
        key: The names of the key columns.

    Returns:
        (n,) int64 named `fold`, by text key, in the file's order.

    Raises:
        DataError: No such file, or damaged or edited: every bad line.
    """
    return parse_folds(path, key, exact=True)


def parse_folds(path: Path, key: Sequence[str], *, exact: bool = False) -> pd.Series[int]:
    """Read a table of folds: key columns as text, then `fold`.

    Raises:
        DataError: It is damaged, or has other columns.
    """
    columns = [*key, FOLD]
    if path.suffix != ".csv":
        raise DataError(f"{told(path)} is not a fold set", [Problem(told(path), "not a .csv")])
    table = read_table(path, columns)
    problems = []
    if exact and list(table) != columns:
        problems.append(Problem(f"{told(path)} line 1", ",".join(map(str, table)), ",".join(columns)))
    bad = {
        "a blank key": (table[list(key)].map(str.strip) == "").any(axis=1),
        "a key that is there before": table.duplicated(list(key)),
        "no fold number": ~table[FOLD].str.fullmatch(r"(-1|[0-9]+)(\.0+)?"),
    }
    lines = [number for number, _ in number_lines(path)][1:] if any(map(any, bad.values())) else []
    for found, flags in bad.items():
        if flags.any():
            places = samples([lines[place] for place in np.flatnonzero(flags)])
            expected = FOLD_NUMBER if "number" in found else "every key once"
            problems.append(Problem(f"{told(path)} line {places}", found, expected, "restore it from git"))
    if problems:
        raise DataError(f"{told(path)} is not a fold set", problems)
    return table.set_index(list(key))[FOLD].astype("float64").astype("int64")


def write(path: Path, folds: pd.Series[int]) -> None:
    """Write a fold set wholly or not at all; what the file says already stays, line by line.

    Args:
        path: `folds/<name>.csv`.
        folds: (n,) int64 by key. New rows follow the old ones, sorted by key.

    Raises:
        DataError: A row of the file would move to another fold, or be lost.
        RunError: The disk is full, or the folder cannot be written.
    """
    order = folds.index.sort_values()
    if path.exists():
        old = read(path, key_names(folds.index))
        if problems := moved_rows(old, folds, told(path)):
            raise DataError(f"{told(path)} may only grow", problems)
        order = old.index.append(order[~is_in(order, old.index)])
    table = folds.reindex(order).astype("int64").rename(FOLD).reset_index()
    lines = [list(table), *table.itertuples(index=False)]
    write_file(path, "".join(map(csv_line, lines)))


def moved_rows(old: pd.Series[int], new: pd.Series[int], where: str) -> list[Problem]:
    """Old rows that a new version puts elsewhere or leaves out."""
    now, problems = new.reindex(old.index), []
    for found, keys in {
        "would be lost": old.index[now.isna()],
        "would move to another fold": old.index[now.notna() & (now != old)],
    }.items():
        if len(keys):
            hint = "old rows never move: give the new set a name of its own"
            problems.append(
                Problem(where, f"{counted(len(keys), 'row')} {found}: {some_keys(keys)}", hint=hint)
            )
    return problems
