"""Choose how to split from the target and the groups, and say it in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pandas as pd

from kagkit.data.rows import column_of, is_categorical, names_of
from kagkit.workspace.schemes import Scheme

COLUMNS: dict[str | None, tuple[str, ...]] = {
    "stratified": ("stratify",),
    "group": ("group",),
    "stratified_group": ("stratify", "group"),
    "time": ("column",),
}


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
    used = columns_used(scheme)
    if used.get("stratify"):
        words += f" on {scheme.stratify}"
    if used.get("group"):
        words += f" by {scheme.group}"
    return f"{words}, seed {scheme.seed}"


def columns_used(scheme: Scheme) -> dict[str, str | None]:
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
    whole = not rows[name].isna().any() and (group is None or group in names_of(rows))
    return bool(whole and is_categorical(rows[name]) and (class_sizes(rows, name, group) >= n).all())


def class_labels(rows: pd.DataFrame, name: str) -> pd.Series[str]:
    """A column's classes as text, by key."""
    return column_of(rows, name).astype(object).map(str)


def class_sizes(rows: pd.DataFrame, stratify: str, group: str | None) -> pd.Series[int]:
    """How often each class can be dealt out: its rows, or its groups where rows move by group."""
    classes = class_labels(rows, stratify)
    return classes.value_counts() if group is None else class_labels(rows, group).groupby(classes).nunique()


SPLITTERS: dict[str | None, str] = {
    "kfold": "KFold",
    "stratified": "StratifiedKFold",
    "group": "GroupKFold",
    "stratified_group": "StratifiedGroupKFold",
}
