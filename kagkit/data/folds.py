"""Make and extend named fold sets, prove that no old row moved, say which group or class is in the way."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from kagkit.data.rows import counted, is_categorical, key_texts, number_lines, read_table, told
from kagkit.foundation.errors import SAMPLES_SHOWN, DataError, Problem, did_you_mean, samples
from kagkit.foundation.files import write_file
from kagkit.foundation.seeds import draws
from kagkit.workspace.schemes import Scheme

FOLD = "fold"
ONLY_TRAINED = -1
FOLD_NUMBER = "a whole number, -1 or more"
SPLITTERS: dict[str | None, str] = {
    "kfold": "KFold",
    "stratified": "StratifiedKFold",
    "group": "GroupKFold",
    "stratified_group": "StratifiedGroupKFold",
}
COLUMNS: dict[str | None, tuple[str, ...]] = {
    "stratified": ("stratify",),
    "group": ("group",),
    "stratified_group": ("stratify", "group"),
    "time": ("column",),
}
GAP_UNITS = {"w": "weeks", "d": "days", "h": "hours", "min": "minutes", "s": "seconds"}

Own = Callable[[pd.DataFrame], object]


def describe(scheme: Scheme) -> str:
    """A scheme in words.

    Example:
        >>> describe(Scheme(scheme="stratified", stratify="Survived"))
        '5 stratified folds on Survived, seed 0'
        >>> describe(Scheme(scheme="time", column="date", n=4, gap="7d"))
        '4 time folds by date, gap 7d'
    """
    if scheme.file or scheme.function:
        return f"folds from {scheme.file or scheme.function}"
    if scheme.scheme == "time":
        return f"{scheme.n} time folds by {scheme.column}" + (f", gap {scheme.gap}" if scheme.gap else "")
    kinds = {None: "", "kfold": "shuffled ", "stratified_group": "stratified group "}
    words = f"{scheme.n} {kinds.get(scheme.scheme, f'{scheme.scheme} ')}folds"
    used = _used(scheme)
    if used.get("stratify"):
        words += f" on {scheme.stratify}"
    if used.get("group"):
        words += f" by {scheme.group}"
    return f"{words}, seed {scheme.seed}"


def _used(scheme: Scheme) -> dict[str, str | None]:
    """The columns a scheme deals rows by: from role to name."""
    return {role: getattr(scheme, role) for role in COLUMNS.get(scheme.scheme, ())}


def choose(scheme: Scheme, rows: pd.DataFrame, targets: Sequence[str], group: str | None) -> Scheme:
    """Fill in what a scheme leaves open: stratified for classes, by group where there is one.

    Args:
        scheme: As declared. What it says is kept.
        rows: Training rows by key, with targets and group.
        targets: The target columns; the first one whose classes can all stand in every fold is taken.
        group: The column whose equal values never stand in two folds, `rows.group`.

    Returns:
        A scheme that says which splitter, and on which columns.

    Example:
        >>> rows = pd.DataFrame({"alive": [0, 1] * 5}, index=[f"id{i}" for i in range(10)])
        >>> describe(choose(Scheme(), rows, ["alive"], None))
        '5 stratified folds on alive, seed 0'
    """
    if scheme.file or scheme.function or scheme.scheme in ("kfold", "time"):
        return scheme
    by_group = None if scheme.scheme == "stratified" else scheme.group or group
    if scheme.scheme == "group":
        return replace(scheme, group=by_group)
    fits = [name for name in targets if name in rows and _can_stratify(rows, name, by_group, scheme.n)]
    stratify = scheme.stratify or next(iter(fits), None)
    if scheme.scheme:
        return replace(scheme, group=by_group, stratify=stratify or next(iter(targets), None))
    if by_group:
        return replace(
            scheme, scheme="stratified_group" if stratify else "group", group=by_group, stratify=stratify
        )
    return replace(scheme, scheme="stratified" if stratify else "kfold", stratify=stratify)


def _can_stratify(rows: pd.DataFrame, name: str, group: str | None, n: int) -> bool:
    whole = not rows[name].isna().any() and (group is None or group in rows)
    return bool(whole and is_categorical(rows[name]) and (_class_sizes(rows, name, group) >= n).all())


def _labels(rows: pd.DataFrame, name: str) -> pd.Series[str]:
    return rows[name].astype(object).map(str)


def _class_sizes(rows: pd.DataFrame, stratify: str, group: str | None) -> pd.Series[int]:
    """How often each class can be dealt out: its rows, or its groups where rows move by group."""
    classes = _labels(rows, stratify)
    return classes.value_counts() if group is None else _labels(rows, group).groupby(classes).nunique()


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
    folds = _time_folds(rows, scheme) if scheme.scheme == "time" else _split(rows, scheme)
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
    used = _used(scheme)
    group, stratify = used.get("group"), used.get("stratify")
    if group and (count := rows[group].nunique()) < scheme.n:
        problems.append(
            Problem("folds: group", f"{counted(count, 'group')} in {group}", f"at least n: {scheme.n}")
        )
    if stratify:
        problems += _class_problems(_class_sizes(rows, stratify, group), scheme)
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
    problems, used = [], _used(scheme)
    for role, name in used.items():
        if name is None:
            found, hint = f"scheme {scheme.scheme} needs a column", f"add `{role}: NAME`"
            problems.append(Problem(f"folds: {role}", found, hint=hint))
        else:
            problems += _gap_problems(rows, name, f"folds: {role}")
    for role in ("stratify", "group"):
        if role not in used and (name := getattr(scheme, role)):
            found = f"{name}: scheme {scheme.scheme} does not use it"
            problems.append(Problem(f"folds: {role}", found, hint="drop it, or choose another scheme"))
    return problems


def _gap_problems(rows: pd.DataFrame, name: str, where: str) -> list[Problem]:
    if name not in rows.columns:
        return [Problem(where, f"no column {name}", hint=did_you_mean(name, list(map(str, rows.columns))))]
    gaps = rows.index[rows[name].isna()]
    if gaps.empty:
        return []
    found = f"{counted(len(gaps), 'row')} without {name}: {_some(gaps)}"
    return [Problem(where, found, "a value in every row", "fill it in the loader")]


def _some(keys: pd.Index[Any]) -> str:
    return samples(key_texts(keys[:SAMPLES_SHOWN]), len(keys))


def _key_names(index: pd.Index[Any]) -> list[str]:
    return [str(name) for name in index.names]


def _named(folds: Any, index: pd.Index[Any]) -> pd.Series[int]:
    return pd.Series(np.asarray(folds), index, name=FOLD, dtype="int64")


def _split(rows: pd.DataFrame, scheme: Scheme) -> pd.Series[int]:
    from sklearn import model_selection

    used = _used(scheme)
    classes, groups = (
        pd.factorize(_labels(rows, name))[0] if (name := used.get(role)) else None
        for role in ("stratify", "group")
    )
    splitter = getattr(model_selection, SPLITTERS[scheme.scheme])
    splits = splitter(scheme.n, shuffle=True, random_state=scheme.seed)
    folds = np.full(len(rows), ONLY_TRAINED)
    for fold, (_, valid) in enumerate(splits.split(np.zeros(len(rows)), classes, groups)):
        folds[valid] = fold
    return _named(folds, rows.index)


def _read_times(rows: pd.DataFrame, name: str) -> pd.Series[Any]:
    """A column to order by: numbers and times as they are, text as ISO 8601."""
    column = rows[name]
    if pd.api.types.is_numeric_dtype(column) or pd.api.types.is_datetime64_any_dtype(column):
        return column
    times = pd.to_datetime(column, format="ISO8601", utc=True, errors="coerce")
    if times.isna().any():
        unread = rows.index[times.isna()]
        found = f"{name}: {counted(len(unread), 'value')} neither number nor ISO 8601 time: {_some(unread)}"
        hint = "write them as 2019-10-01, or make them times in the loader"
        raise DataError("rows cannot be ordered by time", [Problem("folds: column", found, hint=hint)])
    return times


def _read_gap(gap: float | str | None, times: pd.Series[Any]) -> Any:
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


def _time_folds(rows: pd.DataFrame, scheme: Scheme) -> pd.Series[int]:
    times = _read_times(rows, scheme.column or "")
    _read_gap(scheme.gap, times)
    # Ties share the place of their first row, so equal times never part.
    places = times.rank(method="min") - 1
    return _named(places * (scheme.n + 1) // len(rows) - 1, rows.index)


def _own_folds(rows: pd.DataFrame, scheme: Scheme, function: Own | None, root: Path) -> pd.Series[int]:
    """The folds of exactly these rows, from the user's table or function."""
    summary, rows = f"cannot use {describe(scheme)}", rows.sort_index()
    if scheme.file:
        where, folds = scheme.file, _parse(root / scheme.file, _key_names(rows.index))
    else:
        where, given = f"{scheme.function}", function(rows) if function else None
        if not isinstance(given, pd.Series):
            hint = "rows are joined by key: return pd.Series(folds, index=rows.index)"
            problem = Problem(where, f"gave {type(given).__name__}", "a Series by key", hint)
            raise DataError(summary, [problem])
        folds = given
    problems = [
        *_number_problems(folds, where),
        *_repeat_problems(folds, where),
        *_lost_problems(folds, rows, where),
    ]
    if problems:
        raise DataError(summary, problems)
    return _named(folds.reindex(rows.index), rows.index)


def extend(
    existing: pd.Series[int],
    rows: pd.DataFrame,
    scheme: Scheme,
    function: Own | None = None,
    root: Path = Path(),
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
    new = ~rows.index.isin(existing.index)
    if scheme.file or scheme.function:
        folds = _own_folds(rows, scheme, function, root)
        if moved := _moved(existing[existing.index.isin(rows.index)], folds, "folds"):
            raise DataError(summary, moved)
    elif problems := _column_problems(rows, scheme):
        raise DataError(summary, problems)
    elif scheme.scheme == "time":
        folds = _folds_by_time(existing, rows, scheme)
    else:
        folds = _folds_by_size(existing, rows, scheme)
    added = folds[folds.index.isin(rows.index[new])].sort_index()
    return pd.concat([existing, added]).rename(FOLD)


def _folds_by_time(existing: pd.Series[int], rows: pd.DataFrame, scheme: Scheme) -> pd.Series[int]:
    times = _read_times(rows, scheme.column or "")
    known = times[times.index.isin(existing.index)].sort_values(kind="stable")
    if known.empty:
        hint = "make a set of another name"
        problem = Problem("folds", "none of the set's rows is there any more", hint=hint)
        raise DataError(f"cannot extend {describe(scheme)}", [problem])
    before = known.searchsorted(times, side="right") - 1
    folds = existing.reindex(known.index).to_numpy()[before]
    return _named(np.where(before < 0, ONLY_TRAINED, folds), rows.index)


def _folds_by_size(existing: pd.Series[int], rows: pd.DataFrame, scheme: Scheme) -> pd.Series[int]:
    """The fold of each row: its own, its group's, or the one that most lacks what the group brings."""
    used = _used(scheme)
    group, stratify = used.get("group"), used.get("stratify")
    units = _labels(rows, group).tolist() if group else key_texts(rows.index)
    classes = _labels(rows, stratify).tolist() if stratify else [""] * len(rows)
    dealt = _Dealt(int(existing.max()) + 1 or scheme.n)
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
    return _named([fold_of[unit] for unit in units], rows.index)


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
        if problems := _lost_problems(folds, rows, "folds"):
            raise DataError("the fold set does not fit the rows", problems)
        folds = folds[folds.index.isin(rows.index)]
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
        times = _read_times(rows, scheme.column or "").reindex(folds.index)
        train = (folds < fold) & (times <= times[valid].min() - _read_gap(scheme.gap, times))
    return folds.index[train], folds.index[valid]


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
    problems = _number_problems(folds, where) + _repeat_problems(folds, where)
    if not problems:
        present = set(pd.to_numeric(folds).astype(int))
        empty = sorted(set(range(max(present, default=0) + 1)) - present)
        if empty:
            problems.append(
                Problem(where, f"no rows in fold {samples(empty)}", "rows in every fold from 0 on")
            )
        problems += _lost_problems(folds, rows, where)
        problems += _group_problems(folds, rows, group) if group else []
    if problems:
        raise DataError("the fold set cannot be used", problems)


def _number_problems(folds: pd.Series[Any], where: str) -> list[Problem]:
    numbers = pd.to_numeric(folds.astype(object), errors="coerce")
    wrong = folds[numbers.isna() | (numbers % 1 != 0) | (numbers < ONLY_TRAINED)]
    if wrong.empty:
        return []
    texts = key_texts(wrong.index[:SAMPLES_SHOWN])
    shown = [f"{key} in {fold}" for key, fold in zip(texts, wrong, strict=False)]
    return [Problem(where, f"no fold numbers: {samples(shown, len(wrong))}", FOLD_NUMBER)]


def _repeat_problems(folds: pd.Series[Any], where: str) -> list[Problem]:
    repeated = folds.index[folds.index.duplicated()].unique()
    if repeated.empty:
        return []
    return [
        Problem(where, f"{counted(len(repeated), 'key')} more than once: {_some(repeated)}", "every key once")
    ]


def _lost_problems(folds: pd.Series[Any], rows: pd.DataFrame, where: str) -> list[Problem]:
    lost = rows.index.difference(folds.index)
    if lost.empty:
        return []
    return [
        Problem(where, f"{counted(len(lost), 'row')} without a fold: {_some(lost)}", "a fold for every row")
    ]


def _group_problems(folds: pd.Series[Any], rows: pd.DataFrame, group: str) -> list[Problem]:
    if problems := _gap_problems(rows, group, "rows: group"):
        return problems
    rows = rows[rows.index.isin(folds.index)]
    spread = folds.reindex(rows.index).groupby(_labels(rows, group)).unique()
    torn = spread[spread.map(len) > 1]
    if torn.empty:
        return []
    shown = [f"{label} in {sorted(map(int, in_folds))}" for label, in_folds in torn[:SAMPLES_SHOWN].items()]
    found = f"{len(torn):,} of {len(spread):,} {group} in more than one fold: {samples(shown, len(torn))}"
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
    return _parse(path, key, exact=True)


def _parse(path: Path, key: Sequence[str], *, exact: bool = False) -> pd.Series[int]:
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
        "no fold number": ~table[FOLD].str.fullmatch(r"(-1|\d+)(\.0+)?"),
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
        old = read(path, _key_names(folds.index))
        if problems := _moved(old, folds, told(path)):
            raise DataError(f"{told(path)} may only grow", problems)
        order = old.index.append(order.difference(old.index))
    table = folds.reindex(order).astype("int64").rename(FOLD).reset_index()
    lines = [list(table), *table.itertuples(index=False)]
    write_file(path, "".join(",".join(map(_cell, line)) + "\n" for line in lines))


def _cell(value: object) -> str:
    # csv.writer leaves a carriage return outside of quotes, where a reader takes it for a line's end.
    text = str(value)
    return '"' + text.replace('"', '""') + '"' if re.search(r'[",\r\n]', text) else text


def _moved(old: pd.Series[int], new: pd.Series[int], where: str) -> list[Problem]:
    """Old rows that a new version puts elsewhere or leaves out."""
    now, problems = new.reindex(old.index), []
    for found, keys in {
        "would be lost": old.index[now.isna()],
        "would move to another fold": old.index[now.notna() & (now != old)],
    }.items():
        if len(keys):
            hint = "old rows never move: give the new set a name of its own"
            problems.append(Problem(where, f"{counted(len(keys), 'row')} {found}: {_some(keys)}", hint=hint))
    return problems
