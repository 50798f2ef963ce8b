"""Read the host's three tables: what names a row, what is asked for; refuse what no model can be made of."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pandas.api.types import is_bool_dtype, is_numeric_dtype

from kagkit.data.contents import NESTED
from kagkit.data.rows import DataPaths, Part, RowRules, key_texts, load
from kagkit.data.tables import read_table, told
from kagkit.foundation.errors import SAMPLES_SHOWN, DataError, Problem, counted, did_you_mean, samples

MOST_CLASSES = 100
MANY_COLUMNS = 5000
ROWS_A_CLASS = 5
LOOKED_AT, COLUMNS_LOOKED_AT = 1000, 50  # to explain what is wrong, a part of a large table is enough
LOADER = (
    "write competition.yaml by hand with rows: {load: rows:load_rows}, and load_rows(part, data) in rows.py"
)
NAMELESS = f"name the rows: {LOADER}"


@dataclass(frozen=True)
class Given:
    """The host's files: two tables, and the sample submission, a CSV."""

    train: Path
    test: Path
    sample: Path


@dataclass(frozen=True, eq=False)
class Asked:
    """What the three tables say, before anything is guessed.

    Attributes:
        key: The columns that name a row.
        targets: The submission's other columns.
        truth: The training columns that hold the truth: the targets, or the one whose classes these are.
        class_column: In that case how the column of a class is named, such as `Status_{}`.
        absent: Further columns that the test rows lack.
        train: The training rows by key.
        sample: The sample submission's targets.
        notes: What is odd and no fault.
    """

    key: tuple[str, ...]
    targets: tuple[str, ...]
    truth: tuple[str, ...]
    class_column: str | None
    absent: tuple[str, ...]
    train: pd.DataFrame
    sample: pd.DataFrame
    notes: tuple[str, ...]


def read_asked(given: Given) -> Asked:
    """Find key and targets, and prove that ids and targets can be used.

    The key is what sample and test share, the targets are the sample's other columns. A shared column in
    which the two differ is a target as well: the test table gives it away.

    Raises:
        DataError: A table cannot be read; the ids are not the test's; a target is missing, has gaps, never
            changes or is text that makes no classes; there is nothing to learn from.
    """
    if not given.sample.name.endswith((".csv", ".csv.gz")):
        problem = Problem(told(given.sample), "not a CSV by its suffix", ".csv or .csv.gz")
        raise DataError("the sample submission cannot be used", [problem])
    sample, test = read_table(given.sample), read_table(given.test)
    shared = [name for name in _names(sample) if name in test]
    if not shared:
        raise DataError("the test rows have no ids", [_nameless(given, sample, test)])
    # Once more, with the ids as text: "007" keeps its zeros.
    sample, test = (_with_text(path, shared) for path in (given.sample, given.test))
    key = _find_key(sample, test, shared)
    targets = tuple(name for name in _names(sample) if name not in key)
    if problems := list(_id_problems(given, sample, test, key)):
        raise DataError("the sample submission's ids are not the test rows'", problems)
    train = _read_train(given, key)
    truth, class_column = _find_truth(given, train, test, targets)
    if problems := _target_problems(given, train, truth):
        raise DataError("the target cannot be used", problems)
    absent = tuple(name for name in _names(train) if name not in test and name not in truth)
    features = train.drop(columns=[*truth, *absent])
    if features.columns.empty:
        hint = f"images, sounds? name them in stages: {{1: {{files: […]}}}}; columns of your own? {LOADER}"
        problem = Problem(told(given.train), "no column beside ids and target", "columns to learn from", hint)
        raise DataError("there is nothing to learn from", [problem])
    notes = (*_leaks(given, test, targets), *_oddities(given, features, absent))
    return Asked(key, targets, truth, class_column, absent, train, sample[list(targets)], notes)


def is_number(column: pd.Series[Any]) -> bool:
    """Whether a column holds numbers; True and False are none.

    Example:
        >>> is_number(pd.Series([0, 1])), is_number(pd.Series([True, False]))
        (True, False)
    """
    return is_numeric_dtype(column) and not is_bool_dtype(column)


def truth_table(rows: pd.DataFrame, truth: Sequence[str], class_column: str | None) -> pd.DataFrame:
    """The truth as the submission tells it: the targets, or 0 and 1 in a column for each class.

    Example:
        >>> truth_table(pd.DataFrame({"kind": ["C", "D"]}), ["kind"], "kind_{}").to_dict("list")
        {'kind_C': [1, 0], 'kind_D': [0, 1]}
    """
    if class_column is None:
        return rows[list(truth)]
    return pd.get_dummies(rows[truth[0]].astype(object).map(class_column.format), dtype=int)


def _find_key(sample: pd.DataFrame, test: pd.DataFrame, shared: Sequence[str]) -> tuple[str, ...]:
    """The shared columns that it takes to name a test row, and those that repeat what the test table says."""
    key = [shared[0]]
    for name in shared[1:]:
        if test.duplicated(key).any():
            key.append(name)
    others = [name for name in shared if name not in key]
    if len(key) + len(others) < len(sample.columns):
        key += [name for name in others if _say_the_same(sample, test, [*key, name])]
    return tuple(name for name in shared if name in key)


def _say_the_same(sample: pd.DataFrame, test: pd.DataFrame, columns: list[str]) -> bool:
    return len(sample[columns].merge(test[columns].drop_duplicates(), on=columns)) == len(sample)


def _with_text(path: Path, names: list[str]) -> pd.DataFrame:
    return read_table(path, names).astype(dict.fromkeys(names, "str"))


def _names(table: pd.DataFrame) -> list[str]:
    return [str(name) for name in table.columns]


def _ids(table: pd.DataFrame, key: Sequence[str]) -> pd.Index[Any]:
    return pd.Index(table[key[0]]) if len(key) == 1 else pd.MultiIndex.from_frame(table[list(key)])


def _some(ids: pd.Index[Any]) -> str:
    return samples(key_texts(ids[:SAMPLES_SHOWN]), len(ids))


def _id_problems(
    given: Given, sample: pd.DataFrame, test: pd.DataFrame, key: Sequence[str]
) -> Iterator[Problem]:
    where, other, name = told(given.sample), told(given.test), ", ".join(key)
    targets = [column for column in _names(sample) if column not in key]
    asked, there = _ids(sample, key), _ids(test, key)
    if not there.is_unique:
        found = f"several rows with one {name}: {_some(there[there.duplicated()].unique())}"
        yield Problem(other, found, "one row an id", f"make one of several, or ids: {LOADER}")
        return
    if not asked.is_unique:
        found = f"several lines with one {name}: {_some(asked[asked.duplicated()].unique())}"
        yield Problem(where, found, "one line an id", _by_hand(name, name, targets, ", lines: several"))
        return
    missing, extra = there.difference(asked, sort=False), asked.difference(there, sort=False)
    if len(extra) and (classes := _classes_in(extra, there)):
        found = f"{len(asked):,} ids for {len(there):,} test rows: <{name}>_<{' or '.join(classes)}>"
        yield Problem(where, found, "the ids of the test rows", _by_hand(name, name, targets))
        return
    hint = f"is it the sample submission of {other}?"
    if len(missing) == len(there):
        yield Problem(where, f"not one id of {other}: {_some(asked)}", f"its ids: {_some(there)}", hint)
        return
    if len(missing):
        found = f"{len(missing):,} of the {len(there):,} ids of {other} are missing: {_some(missing)}"
        yield Problem(where, found, hint=hint)
    if len(extra):
        yield Problem(where, f"{counted(len(extra), 'id')} that {other} lacks: {_some(extra)}", hint=hint)


def _classes_in(ids: pd.Index[Any], rows: pd.Index[Any]) -> list[str]:
    """The classes of ids like `<row>_<class>`; none where one of the ids is not made so."""
    known, classes = set(rows), dict[str, None]()
    for text in ids[:LOOKED_AT]:
        ends = [place for place, letter in enumerate(text) if letter == "_"] if isinstance(text, str) else []
        tails = [text[place + 1 :] for place in ends if text[:place] in known]
        if not tails:
            return []
        classes[tails[-1]] = None
    return [*list(classes)[:SAMPLES_SHOWN], *(["…"] if len(classes) > SAMPLES_SHOWN else [])]


def _by_hand(row: str, name: str, targets: Sequence[str], lines: str = "") -> str:
    submission = f"{{key: [{name}], target: [{samples(targets)}]{lines}}}"
    return (
        f"write competition.yaml by hand: rows: {{key: [{row}]}}, submission: {submission}, "
        "metric: {…, solution: lines:make_solution}; in manifests submission: {make: lines:make_lines}: "
        "two functions that turn labelled rows, and predictions, into such lines"
    )


def _nameless(given: Given, sample: pd.DataFrame, test: pd.DataFrame) -> Problem:
    """Why the sample's ids are in no column of the test table, as far as the values tell."""
    name, where, other = str(sample.columns[0]), told(given.sample), told(given.test)
    ids = pd.Index(sample[name].astype(object).map(str))
    for column in test.columns[:COLUMNS_LOOKED_AT]:
        there = pd.Index(test[column].astype(object).map(str))
        if ids[:LOOKED_AT].isin(there).all():
            hint = f"rename it in one of the files, or in a loader: {LOADER}"
            return Problem(where, f"{name} is called {column} in {other}", "one name", hint)
        if classes := _classes_in(ids, there):
            found = f"{len(ids):,} ids for {len(test):,} test rows: <{column}>_<{' or '.join(classes)}>"
            return Problem(where, found, hint=_by_hand(str(column), name, _names(sample)[1:]))
    expected = f"one of {samples(list(sample.columns))}"
    return Problem(other, f"none of the columns of {where}", expected, NAMELESS)


def _read_train(given: Given, key: tuple[str, ...]) -> pd.DataFrame:
    try:
        return load(Part("stage1", "train"), DataPaths(given.train, given.test), RowRules(key)).frame
    except DataError as error:
        nameless = [f"no column {name}" for name in key]
        problems = [replace(p, hint=NAMELESS) if p.found in nameless else p for p in error.problems]
        raise DataError("the training rows cannot be used", problems) from None


def _find_truth(
    given: Given, train: pd.DataFrame, test: pd.DataFrame, targets: tuple[str, ...]
) -> tuple[tuple[str, ...], str | None]:
    """The columns of the truth: the targets; or a column of labels, where the targets are its classes."""
    missing = [name for name in targets if name not in train]
    if not missing:
        return targets, None
    further = [name for name in _names(train) if name not in test and name not in targets]
    for name in further:
        labels = set(train[name].dropna().astype(object).map(str))
        for form in ("{}", name.replace("{", "{{").replace("}", "}}") + "_{}"):
            if len(labels) == len(targets) and {form.format(label) for label in labels} == {*targets}:
                return (name,), form
    hint = did_you_mean(missing[0], further) if further else "is it the training table?"
    found, expected = f"no column {samples(missing)}", f"the targets of {told(given.sample)}"
    raise DataError("the training rows lack the target", [Problem(told(given.train), found, expected, hint)])


def _target_problems(given: Given, train: pd.DataFrame, truth: Sequence[str]) -> list[Problem]:
    where = told(given.train)
    return [
        Problem(where, f"{name}: {found}", expected, hint)
        for name in truth
        for found, expected, hint in _faults(name, train[name])
    ]


def _faults(name: str, column: pd.Series[Any]) -> Iterator[tuple[str, str, str]]:
    """What is wrong with a target, each as (found, expected, hint)."""
    gone = column.isna()
    if is_number(column):
        gone |= np.isinf(column.astype("float64"))
    if gone.any():
        count = f"{int(gone.sum()):,} of {counted(len(column), 'row')}"
        found = f"no value in {count}: {_some(column.index[gone])}"
        hint = f'drop these rows: {LOADER}: if part.split == "train": table = table.dropna(subset=["{name}"])'
        yield found, "a finite value in every row", hint
    elif _holds_lists(column):
        yield "lists", "numbers or text", f"make columns of them: {LOADER}"
    elif (values := column.nunique()) == 1:
        hint = "nothing can be learnt from it: is it the whole training table?"
        yield f"{column.iloc[0]} in every row", "two values or more", hint
    elif not is_numeric_dtype(column) and values > min(MOST_CLASSES, max(2, len(column) / ROWS_A_CLASS)):
        expected = f"numbers, or at most {MOST_CLASSES} classes with {ROWS_A_CLASS} rows or more each"
        hint = f"make numbers or classes of it: {LOADER}"
        yield f"{values:,} different texts in {counted(len(column), 'row')}", expected, hint


def _holds_lists(column: pd.Series[Any]) -> bool:
    return column.dtype == object and any(isinstance(cell, NESTED) for cell in column[:LOOKED_AT])


def _leaks(given: Given, test: pd.DataFrame, targets: Sequence[str]) -> Iterator[str]:
    for name in targets:
        if name in test:
            yield f"{told(given.test)} has the target {name}, hidden from predict: is it the truth?"


def _oddities(given: Given, features: pd.DataFrame, absent: Sequence[str]) -> Iterator[str]:
    if len(features.columns) > MANY_COLUMNS:
        hint = "keep such numbers in a file of stages: {1: {files: […]}}, and read it in prepare"
        yield f"{len(features.columns):,} columns, so that every step takes minutes; {hint}"
    if absent:
        yield f"{samples(absent)}: in {told(given.train)} alone, so no model learns from it"
    if nested := [name for name in _names(features) if _holds_lists(features[name])]:
        yield f"{samples(nested)}: lists, which boosting.py takes for text; make columns of them in a loader"
