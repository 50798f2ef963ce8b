"""Load a stage's rows under text keys, find their targets, say what is wrong with them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from pandas.api.types import infer_dtype, is_object_dtype

from kagkit.data.contents import NESTED, json_of
from kagkit.data.tables import name_problems, read_table, told, with_index_as_columns
from kagkit.foundation.errors import SAMPLES_SHOWN, DataError, Problem, counted, did_you_mean, samples
from kagkit.foundation.files import canonical_json
from kagkit.foundation.seeds import draws

MOST_CLASSES = 20


@dataclass(frozen=True)
class Part:
    """A source and a split.

    Example:
        >>> str(Part("stage1", "train"))
        'stage1/train'
    """

    source: str
    split: Literal["train", "test"]

    def __str__(self) -> str:
        return f"{self.source}/{self.split}"


@dataclass(frozen=True)
class DataPaths:
    """Where a source's files lie; None where it has no such table."""

    train: Path | None
    test: Path | None
    files: tuple[Path, ...] = ()


@dataclass(frozen=True)
class RowRules:
    """What names a row, and what may not be lost or leaked.

    Attributes:
        key: The columns whose texts together name a row.
        group: The column whose equal values never stand in two folds.
        targets: The columns declared as targets; empty where they are to be found.
        duplicates: `drop_exact` drops rows that repeat another in every column.
        words: Columns of a table read by default that hold text even where all of it looks like numbers.
    """

    key: tuple[str, ...]
    group: str | None = None
    targets: tuple[str, ...] = ()
    duplicates: Literal["refuse", "drop_exact"] = "refuse"
    words: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Loaded:
    """The rows of a part, indexed by key, and how many exact copies of rows were dropped."""

    frame: pd.DataFrame
    dropped: int = 0


Loader = Callable[[Part, DataPaths], object]


def load(part: Part, paths: DataPaths, rules: RowRules, loader: Loader | None = None) -> Loaded:
    """The rows of a part, under unique text keys.

    Args:
        part: Which rows.
        paths: Where the part's source lies.
        rules: What the key is, and what to do with copies.
        loader: The user's `load_rows(part, data) -> DataFrame`, with the key as index or as columns;
            its own exceptions are let through. By default the part's table is read by `read_table`.

    Returns:
        (n_rows, n_columns without the key), rows in their given order. The index is the key: text,
        unique, never blank; a MultiIndex where the key has several columns.

    Raises:
        DataError: Every problem at once: no rows; key columns missing, blank or neither text nor whole
            numbers; repeated keys or column names; a loader that gives no table.

    Example:
        >>> def load_rows(part, data):
        ...     return pd.DataFrame({"id": ["007", "NA"], "age": [31, 44]})
        >>> part, paths = Part("stage1", "train"), DataPaths(None, None)
        >>> load(part, paths, RowRules(("id",)), load_rows).frame.age.to_dict()
        {'007': 31, 'NA': 44}
    """
    if loader is None:
        frame, where = _read_part(part, paths, rules)
    else:
        where = f"{getattr(loader, '__name__', 'loader')}({part})"
        frame = with_index_as_columns(loader(part, paths), where)
    problems = name_problems(list(frame.columns), rules.key, where)
    if not len(frame):
        problems.append(Problem(where, "no rows", "at least one"))
    keys = {}
    for name in rules.key:
        if list(frame.columns).count(name) == 1:
            keys[name], found = _read_key(frame[name], where)
            problems += found
    if not problems:
        frame = frame.assign(**keys).set_index(list(rules.key))
        kept = _without_copies(frame) if rules.duplicates == "drop_exact" else frame
        problems += _repeat_problems(kept.index, where)
    if problems:
        raise DataError(f"the rows of {part} cannot be used", problems)
    return Loaded(kept, len(frame) - len(kept))


def _read_part(part: Part, paths: DataPaths, rules: RowRules) -> tuple[pd.DataFrame, str]:
    path = paths.train if part.split == "train" else paths.test
    if path is None:
        hint = "name its table in competition.yaml, or write a loader: rows: {load: module:load_rows}"
        raise DataError(f"{part} has no rows", [Problem(str(part), "no table is declared", hint=hint)])
    return read_table(path, rules.key, rules.words), told(path)


def _read_key(column: pd.Series[Any], where: str) -> tuple[pd.Series[Any], list[Problem]]:
    """A key column as text, and what is wrong with it."""
    cells = column.astype(object)
    kind = infer_dtype(cells, skipna=True)
    if kind not in ("string", "integer", "empty"):
        hint = f'read it as text: dtype={{"{column.name}": "str"}}'
        return cells, [Problem(where, f"{column.name}: a key of kind {kind}", "text or whole numbers", hint)]
    texts = cells.map(str, na_action="ignore").astype("str")
    blank = (np.flatnonzero(texts.isna() | (texts.str.strip() == "")) + 1).tolist()
    found = f"{column.name}: {counted(len(blank), 'blank key')}, row {samples(blank)}"
    return texts, [Problem(where, found, "a text in every row")] if blank else []


def key_texts(index: pd.Index[Any]) -> list[str]:
    """Each key as one text: itself, or its columns' texts as JSON, so that no two keys share one.

    Example:
        >>> key_texts(pd.MultiIndex.from_tuples([("p1", "left")], names=["patient", "eye"]))
        ['["p1","left"]']
    """
    return [key if isinstance(key, str) else canonical_json(key) for key in index]


def _without_copies(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows without those that repeat an earlier one in every column."""
    suspects = np.flatnonzero(frame.index.duplicated(keep=False))
    cells = frame.iloc[suspects].reset_index()
    for name in cells.columns[[is_object_dtype(kind) for kind in cells.dtypes]]:
        cells[name] = [json_of(cell) if isinstance(cell, NESTED) else cell for cell in cells[name]]
    kept = np.ones(len(frame), dtype=bool)
    kept[suspects[cells.duplicated()]] = False
    return frame[kept]


def _repeat_problems(index: pd.Index[Any], where: str) -> list[Problem]:
    repeated = index[index.duplicated()].unique()
    if repeated.empty:
        return []
    hint = "make the key longer, or drop exact copies: rows: {duplicates: drop_exact}"
    some = samples(key_texts(repeated[:SAMPLES_SHOWN]), len(repeated))
    found = f"{counted(len(repeated), 'key')} on more than one row: {some}"
    return [Problem(where, found, "one row a key", hint)]


def find_targets(
    train: pd.DataFrame, test: pd.DataFrame | None, declared: Sequence[str], submission_targets: Sequence[str]
) -> tuple[str, ...]:
    """The columns that `predict` must not see.

    Args:
        train: Training rows, with their targets.
        test: Test rows; None where there are none yet.
        declared: The targets the user named; when given, what only `train` has is no longer looked for.
        submission_targets: The columns a submission has beside its key; a target wherever `train` has it.

    Returns:
        The declared targets, then the submission's; where none are declared, what `train` has and `test`
        lacks, with the submission's targets, in the order of `train`'s columns.

    Raises:
        DataError: Declared targets that `train` does not have.

    Example:
        >>> train, test = pd.DataFrame(columns=["age", "sex", "alive"]), pd.DataFrame(columns=["age", "sex"])
        >>> find_targets(train, test, [], ["alive"])
        ('alive',)
    """
    columns = list(train.columns)
    unknown = [name for name in declared if name not in columns]
    if unknown:
        problems = [
            Problem(f"target {name}", "no such column", hint=did_you_mean(name, columns)) for name in unknown
        ]
        raise DataError("the training rows lack declared targets", problems)
    submitted = [name for name in columns if name in submission_targets]
    if declared:
        return tuple(dict.fromkeys([*declared, *submitted]))
    lacked = set(columns).difference(columns if test is None else test.columns)
    return tuple(name for name in columns if name in lacked or name in submitted)


def without_targets(frame: pd.DataFrame, targets: Sequence[str]) -> pd.DataFrame:
    """The rows as `predict` may see them.

    Example:
        >>> list(without_targets(pd.DataFrame(columns=["age", "alive"]), ["alive"]).columns)
        ['age']
    """
    return frame.drop(columns=[name for name in targets if name in frame.columns])


def names_of(frame: pd.DataFrame) -> list[str]:
    """The names of everything a row has: its key's columns, then the others."""
    return [str(name) for name in (*frame.index.names, *frame.columns)]


def column_of(frame: pd.DataFrame, name: str) -> pd.Series[Any]:
    """One column by key, whether it belongs to the key or not: the patient of (patient, eye) is a group.

    Example:
        >>> rows = pd.DataFrame(index=pd.MultiIndex.from_tuples([("p1", "left")], names=["patient", "eye"]))
        >>> column_of(rows, "patient").tolist()
        ['p1']
    """
    if name in frame.columns:
        return frame[name]
    return frame.index.get_level_values(name).to_series(index=frame.index)


def is_categorical(column: pd.Series[Any]) -> bool:
    """Whether a column holds classes: text, booleans or whole numbers, at most 20 distinct ones.

    Example:
        >>> is_categorical(pd.Series([0, 1, 1])), is_categorical(pd.Series([0.5, 1.0, 1.0]))
        (True, False)
    """
    kind = infer_dtype(column, skipna=True)
    if kind == "floating":
        return bool((column.dropna() % 1 == 0).all()) and column.nunique() <= MOST_CLASSES
    return kind in ("string", "boolean", "integer", "categorical") and column.nunique() <= MOST_CLASSES


def smoke_subset(
    frame: pd.DataFrame, targets: Sequence[str], share: float = 0.01, per_class: int = 20
) -> pd.DataFrame:
    """A small part of the rows to try a recipe on: the same rows whatever their order in the file.

    Args:
        frame: Rows by key.
        targets: The target columns; the first categorical one tells the classes, all rows are one
            class where there is none.
        share: The share of each class to keep, 0 to 1.
        per_class: The least to keep of each class; all of it where it has fewer.

    Returns:
        The kept rows in the order of `frame`, chosen by a hash of their keys.

    Example:
        >>> rows = pd.DataFrame({"y": [0, 1] * 500}, index=pd.Index(map(str, range(1000)), name="id"))
        >>> smoke_subset(rows, ["y"]).y.value_counts().to_dict()
        {0: 20, 1: 20}
    """
    target = next((name for name in targets if name in frame and is_categorical(frame[name])), None)
    classes = (
        np.zeros(len(frame)) if target is None else pd.factorize(frame[target], use_na_sentinel=False)[0]
    )
    in_class = pd.Series(draws(key_texts(frame.index), "smoke")).groupby(classes)
    wanted = np.maximum(per_class, np.ceil(share * in_class.transform("size")))
    kept: pd.DataFrame = frame[(in_class.rank() <= wanted).to_numpy()]
    return kept
