"""Deal rows into folds, new rows into the folds that are there, and say who trains and who validates."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from kagkit.data.choosing import SPLITTERS, class_labels, class_sizes, columns_used, describe
from kagkit.data.folds import (
    FOLD,
    ONLY_TRAINED,
    as_folds,
    is_in,
    key_names,
    lost_problems,
    missing_problems,
    moved_rows,
    number_problems,
    parse_folds,
    repeat_problems,
)
from kagkit.data.rows import column_of, key_texts
from kagkit.data.timing import folds_by_time, read_gap, read_times, time_folds
from kagkit.foundation.errors import SAMPLES_SHOWN, DataError, Problem, counted, samples
from kagkit.foundation.seeds import draws
from kagkit.workspace.schemes import Scheme


def members(
    folds: pd.Series[int], fold: int | None, rows: pd.DataFrame | None = None, scheme: Scheme | None = None
) -> tuple[pd.Index[Any], pd.Index[Any]]:
    """The keys a fold trains on and is validated on.

    Args:
        folds: (n,) int64 by key.
        fold: Which one; None trains on every row and validates on none.
        rows: The rows there are; keys of others are left out. Needed for time sets.
        scheme: How the set was made. Fold k of a time set trains on -1 and the folds before k, less the
            rows later than `gap` before its first validation row.

    Returns:
        (train keys, valid keys), each in the order of `folds`.

    Raises:
        DataError: No such fold, or rows that have none.

    Example:
        >>> train, valid = members(pd.Series({"a": 0, "b": 1, "c": -1}), 0)
        >>> list(train), list(valid)
        (['b', 'c'], ['a'])
    """
    if rows is not None:
        if problems := lost_problems(folds, rows, "folds"):
            raise DataError("the fold set does not fit the rows", problems)
        folds = folds[is_in(folds.index, rows.index)]
    if fold is None:
        return folds.index, folds.index[:0]
    valid = folds == fold
    if fold < 0 or not valid.any():
        there = sorted({int(number) for number in folds if number >= 0})
        raise DataError(f"no fold {fold}", [Problem("folds", f"{fold}", f"one of {there}")])
    train = ~valid
    if scheme is not None and scheme.scheme == "time":
        if rows is None:
            raise ValueError("a time set needs its rows")
        times = read_times(rows, scheme.column or "").reindex(folds.index)
        train = (folds < fold) & (times <= times[valid].min() - read_gap(scheme.gap, times))
    return folds.index[train], folds.index[valid]


Own = Callable[[pd.DataFrame], object]


def make(
    rows: pd.DataFrame, scheme: Scheme, function: Own | None = None, root: Path = Path()
) -> pd.Series[int]:
    """Deal rows into folds; the order of the rows does not matter.

    Time folds cut the rows, ordered by the scheme's column, into n + 1 blocks as equal as ties allow:
    the first is only trained on (-1), block k is fold k - 1.

    Args:
        rows: Training rows by key, with the scheme's columns.
        scheme: A chosen scheme, see `choose`.
        function: What `scheme.function` names: from rows to a Series of folds by key.
        root: The workspace, below which `scheme.file` lies.

    Returns:
        (n_rows,) int64 named `fold`, sorted by key: 0 to n - 1, or -1 for rows that are only trained on.

    Raises:
        DataError: Every problem at once: n below 2 or above the rows, columns that are not there or
            have gaps, classes or groups too few for n, folds without rows, rows without a fold.

    Example:
        >>> rows = pd.DataFrame(index=pd.Index(["a", "b", "c", "d"], name="id"))
        >>> sorted(make(rows, Scheme(scheme="kfold", n=2)))
        [0, 0, 1, 1]
    """
    if scheme.file or scheme.function:
        return _own_folds(rows, scheme, function, root)
    problems = _scheme_problems(rows, scheme)
    if problems:
        raise DataError(f"cannot make {describe(scheme)}", problems)
    rows = rows.sort_index()
    folds = time_folds(rows, scheme) if scheme.scheme == "time" else _split(rows, scheme)
    empty = sorted(set(range(scheme.n)).difference(folds))
    if empty:
        hint = f"fewer folds than {scheme.n}"
        problem = Problem(
            "folds", f"no rows for fold {samples(empty)}: too many rows belong together", hint=hint
        )
        raise DataError(f"cannot make {describe(scheme)}", [problem])
    return folds


def _scheme_problems(rows: pd.DataFrame, scheme: Scheme) -> list[Problem]:
    """Why a scheme cannot be carried out on these rows."""
    problems = _column_problems(rows, scheme)
    if not 2 <= scheme.n <= len(rows):
        problems.append(Problem("folds: n", f"{scheme.n}", f"from 2 to the number of rows, {len(rows):,}"))
    if problems:
        return problems
    used = columns_used(scheme)
    group, stratify = used.get("group"), used.get("stratify")
    if group and (count := column_of(rows, group).nunique()) < scheme.n:
        problems.append(
            Problem("folds: group", f"{counted(count, 'group')} in {group}", f"at least n: {scheme.n}")
        )
    if stratify:
        problems += _class_problems(class_sizes(rows, stratify, group), scheme)
    return problems


def _class_problems(sizes: pd.Series[int], scheme: Scheme) -> list[Problem]:
    small = sizes[sizes < scheme.n].sort_index()
    if small.empty:
        return []
    unit, plain = ("groups", "group") if scheme.scheme == "stratified_group" else ("rows", "kfold")
    shown = [f"{label} ({size})" for label, size in small[:SAMPLES_SHOWN].items()]
    found = f"classes of {scheme.stratify} with fewer than {scheme.n} {unit}: {samples(shown, len(small))}"
    fewer = f"n: {small.min()}, or " if small.min() >= 2 else ""
    return [Problem("folds: stratify", found, hint=f"{fewer}scheme: {plain}")]


def _column_problems(rows: pd.DataFrame, scheme: Scheme) -> list[Problem]:
    """Columns that the scheme needs and the rows do not have, or not in every row."""
    problems, used = [], columns_used(scheme)
    for role, name in used.items():
        if name is None:
            found, hint = f"scheme {scheme.scheme} needs a column", f"add `{role}: NAME`"
            problems.append(Problem(f"folds: {role}", found, hint=hint))
        else:
            problems += missing_problems(rows, name, f"folds: {role}")
    for role in ("stratify", "group"):
        if role not in used and (name := getattr(scheme, role)):
            found = f"{name}: scheme {scheme.scheme} does not use it"
            problems.append(Problem(f"folds: {role}", found, hint="drop it, or choose another scheme"))
    return problems


def _split(rows: pd.DataFrame, scheme: Scheme) -> pd.Series[int]:
    from sklearn import model_selection

    used = columns_used(scheme)
    classes, groups = (
        pd.factorize(class_labels(rows, name))[0] if (name := used.get(role)) else None
        for role in ("stratify", "group")
    )
    splitter = getattr(model_selection, SPLITTERS[scheme.scheme])
    splits = splitter(scheme.n, shuffle=True, random_state=scheme.seed)
    folds = np.full(len(rows), ONLY_TRAINED)
    for fold, (_, valid) in enumerate(splits.split(np.zeros(len(rows)), classes, groups)):
        folds[valid] = fold
    return as_folds(folds, rows.index)


def _own_folds(rows: pd.DataFrame, scheme: Scheme, function: Own | None, root: Path) -> pd.Series[int]:
    """The folds of exactly these rows, from the user's table or function."""
    summary, rows = f"cannot use {describe(scheme)}", rows.sort_index()
    if scheme.file:
        where, folds = scheme.file, parse_folds(root / scheme.file, key_names(rows.index))
    else:
        where, given = f"{scheme.function}", function(rows) if function else None
        if not isinstance(given, pd.Series):
            hint = "rows are joined by key: return pd.Series(folds, index=rows.index)"
            problem = Problem(where, f"gave {type(given).__name__}", "a Series by key", hint)
            raise DataError(summary, [problem])
        folds = given
    problems = [
        *number_problems(folds, where),
        *repeat_problems(folds, where),
        *lost_problems(folds, rows, where),
    ]
    if problems:
        raise DataError(summary, problems)
    return as_folds(folds.reindex(rows.index), rows.index)


def extend(
    existing: pd.Series[int],
    rows: pd.DataFrame,
    scheme: Scheme,
    function: Own | None = None,
    root: Path = Path(),
    *,
    only_trained: bool = False,
) -> pd.Series[int]:
    """Give rows that have no fold one; every other row keeps its own.

    A new row joins its group's fold where the group is known. The others are dealt out largest group
    first, each to the fold with the fewest rows, by class where the scheme is stratified; their order
    does not matter. A new row of a time set joins the fold whose time it falls into, the last one when
    it is later than all; what is earlier than all is only trained on.

    Args:
        existing: (n_existing,) int64 by key. Rows that vanished from `rows` stay.
        rows: All training rows by key, old and new, with the scheme's columns.
        scheme: The chosen scheme the set was made by.
        function: What `scheme.function` names.
        root: The workspace, below which `scheme.file` lies.
        only_trained: Whether new rows get no fold (-1) but are only trained on; those of a known group still
            join its fold, or that fold would be trained on its own group.

    Returns:
        `existing`, then the new rows sorted by key.

    Raises:
        DataError: The scheme's columns are missing or have gaps; the user's own table or function has
            no fold for a new row, or another for an old one.

    Example:
        >>> rows = pd.DataFrame({"who": ["p", "q", "p"]}, index=pd.Index(["a", "b", "c"], name="id"))
        >>> old = pd.Series({"a": 0, "b": 1}, name="fold").rename_axis("id")
        >>> extend(old, rows, Scheme(scheme="group", group="who", n=2)).to_dict()
        {'a': 0, 'b': 1, 'c': 0}
    """
    summary = f"cannot extend {describe(scheme)}"
    if scheme.file or scheme.function:
        folds = _own_folds(rows, scheme, function, root)
        if moved := moved_rows(existing[is_in(existing.index, rows.index)], folds, "folds"):
            raise DataError(summary, moved)
    elif problems := _column_problems(rows, scheme):
        raise DataError(summary, problems)
    elif scheme.scheme == "time":
        folds = folds_by_time(existing, rows, scheme)
    else:
        folds = _folds_by_size(existing, rows, scheme)
    added = folds[~is_in(folds.index, existing.index)].sort_index()
    if only_trained and not (scheme.file or scheme.function):
        added = added.where(_in_known_group(existing, rows, scheme).reindex(added.index), ONLY_TRAINED)
    return pd.concat([existing, added]).rename(FOLD)


def _in_known_group(existing: pd.Series[int], rows: pd.DataFrame, scheme: Scheme) -> pd.Series[bool]:
    """Which rows are of a group that has rows with a fold already."""
    group = columns_used(scheme).get("group")
    if not group:
        return pd.Series(data=False, index=rows.index)
    labels = class_labels(rows, group)
    return labels.isin(labels[is_in(rows.index, existing.index)])


def _folds_by_size(existing: pd.Series[int], rows: pd.DataFrame, scheme: Scheme) -> pd.Series[int]:
    """The fold of each row: its own, its group's, or the one that most lacks what the group brings."""
    used = columns_used(scheme)
    group, stratify = used.get("group"), used.get("stratify")
    units = class_labels(rows, group).tolist() if group else key_texts(rows.index)
    classes = class_labels(rows, stratify).tolist() if stratify else [""] * len(rows)
    dealt = _Dealt(max(existing, default=ONLY_TRAINED) + 1 or scheme.n)
    fold_of: dict[str, int] = {}
    for unit, fold in zip(units, existing.reindex(rows.index), strict=True):
        if not np.isnan(fold):
            fold_of.setdefault(unit, int(fold))
    waiting: dict[str, list[str]] = defaultdict(list)
    for unit, label in zip(units, classes, strict=True):
        if unit in fold_of:
            dealt.add(fold_of[unit], [label])
        else:
            waiting[unit].append(label)
    drawn = dict(zip(waiting, draws(list(waiting), "folds", scheme.seed), strict=True))
    for unit in sorted(waiting, key=lambda unit: (-len(waiting[unit]), drawn[unit], unit)):
        fold_of[unit] = dealt.emptiest(waiting[unit])
        dealt.add(fold_of[unit], waiting[unit])
    return as_folds([fold_of[unit] for unit in units], rows.index)


class _Dealt:
    """How many rows each fold has, of each class and of all."""

    def __init__(self, n: int) -> None:
        self.of_class: dict[str, list[int]] = defaultdict(lambda: [0] * n)
        self.of_all = [0] * n

    def add(self, fold: int, labels: Sequence[str]) -> None:
        if fold == ONLY_TRAINED:
            return
        self.of_all[fold] += len(labels)
        for label in labels:
            self.of_class[label][fold] += 1

    def emptiest(self, labels: Sequence[str]) -> int:
        """The fold with the fewest rows of these classes, then the fewest rows, then the first."""
        counts = [self.of_class[label] for label in labels]
        return min(
            range(len(self.of_all)),
            key=lambda fold: (sum(count[fold] for count in counts), self.of_all[fold], fold),
        )
