"""Find what is wrong with a submission file before the host does, each fault in one line."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from kagkit.foundation.errors import KagkitError, Problem, samples
from kagkit.metrics.scoring import read_sample, read_submission, takes
from kagkit.workspace.competition import Competition


@dataclass(frozen=True)
class Expected:
    """What a submission must look like.

    Attributes:
        sample: The host's sample submission, key columns as text.
        key: The key columns.
        target: The target columns.
        labels: Whether whole labels are asked, not numbers between them.
        several: Whether an id may stand on several lines: one a mask instance, say.
    """

    sample: pd.DataFrame
    key: tuple[str, ...]
    target: tuple[str, ...]
    labels: bool
    several: bool = False


def expect(root: Path, competition: Competition, stage: int) -> Expected | None:
    """What competition.yaml and a stage's sample submission ask of a file; None where there is no sample.

    Raises:
        SubmissionError: The sample submission cannot be read.
    """
    sample = read_sample(root, competition, stage)
    if sample is None:
        return None
    asked = competition.submission
    labels = takes(competition) == "labels"
    return Expected(
        sample, competition.submission_key, asked.target, labels, several=asked.lines == "several"
    )


def check_submission(path: Path, expected: Expected) -> list[Problem]:
    """Everything wrong with a submission file.

    Args:
        path: The file.
        expected: What it must look like.

    Returns:
        One problem per fault: columns, ids missing, too much or twice, order, empty cells, infinities,
        types. Empty where the file is as asked.
    """
    try:
        table = read_submission(path, expected.key)
    except KagkitError as error:
        return list(error.problems)
    columns = [*expected.key, *expected.target]
    missing = [column for column in columns if column not in table]
    if missing:
        found = f"{', '.join(table.columns)}"
        return [Problem("columns", found, ", ".join(expected.sample.columns), check="columns")]
    problems = list(_column_problems(table, expected))
    problems += _id_problems(table, expected)
    for column in expected.target:
        problems += _value_problems(table, column, expected)
    return problems


def _column_problems(table: pd.DataFrame, expected: Expected) -> Iterator[Problem]:
    found, wanted = list(table.columns), list(expected.sample.columns)
    if found != wanted:
        yield Problem("columns", ", ".join(found), ", ".join(wanted), check="columns")


def _id_problems(table: pd.DataFrame, expected: Expected) -> Iterator[Problem]:
    key = list(expected.key)
    have, want = _ids(table, key), _ids(expected.sample, key)
    several = expected.several or not want.is_unique
    missing, extra = want.difference(have), have.difference(want)
    if len(missing):
        yield Problem(
            "ids", f"{len(missing):,} of {want.nunique():,} missing: {_shown(missing)}", check="ids"
        )
    if len(extra):
        found = f"{len(extra):,} not in the sample submission: {_shown(extra)}"
        yield Problem("ids", found, check="ids")
    if not several and not have.is_unique:
        twice = have[have.duplicated()].unique()
        hint = "are several lines an id meant? competition.yaml: submission: {lines: several}"
        yield Problem("ids", f"{len(twice):,} stand more than once: {_shown(twice)}", hint=hint, check="ids")
    same_ids = not len(missing) and not len(extra) and have.is_unique
    if same_ids and want.is_unique and not have.equals(want):
        first = int(np.argmax(have != want))
        yield Problem(
            "order",
            f"line {first + 2} has {have[first]}",
            f"{want[first]}, as in the sample submission",
            "some hosts score by position: keep the sample's order",
            check="order",
        )


def _value_problems(table: pd.DataFrame, column: str, expected: Expected) -> Iterator[Problem]:
    values, sample = table[column], expected.sample[column]
    ids = _ids(table, list(expected.key))
    numeric = _holds_numbers(sample)
    # Text targets may be empty on purpose: no mask, no label.
    empty = values.isna()
    truths = pd.api.types.is_bool_dtype(sample)
    if truths:
        yield from _truth_problems(values, ids, column)
    if (numeric or truths) and empty.any():
        yield Problem(column, f"{int(empty.sum()):,} empty: {_shown(ids[empty.to_numpy()])}", check="empty")
    if not numeric:
        return
    # True is 1 to pandas, but not to a host.
    told = values.astype(str) if pd.api.types.is_bool_dtype(values) else values
    numbers = _to_numbers(told)
    words = numbers.isna() & ~empty
    if words.any():
        first = told[words].iloc[0]
        many = f"{int(words.sum()):,} of {len(table):,}"
        found = f"{many} are no numbers: {first!r} at {_shown(ids[words.to_numpy()])}"
        yield Problem(column, found, "numbers, as in the sample submission", check="types")
    infinite = np.isinf(numbers.fillna(0.0).to_numpy(dtype="float64"))
    if infinite.any():
        yield Problem(column, f"{int(infinite.sum()):,} infinite: {_shown(ids[infinite])}", check="infinite")
    between = (numbers != numbers.round()).to_numpy() & numbers.notna().to_numpy() & ~infinite
    if expected.labels and between.any():
        first = numbers[between].iloc[0]
        found = f"{int(between.sum()):,} of {len(table):,} are no labels: {first:g} at {_shown(ids[between])}"
        yield Problem(column, found, "whole labels", "round them, or take the likeliest class", check="types")


def _to_numbers(cells: pd.Series[Any]) -> pd.Series[Any]:
    """The cells as numbers: those that are none are missing, those too large for a double are infinite."""
    try:
        return pd.to_numeric(cells, errors="coerce")
    except OverflowError:
        return cells.map(_to_number, na_action="ignore").astype("float64")


def _to_number(cell: object) -> float:
    try:
        return float(str(cell))
    except ValueError:
        return math.nan


def _truth_problems(values: pd.Series[Any], ids: pd.Index[str], column: str) -> Iterator[Problem]:
    strange = (values.notna() & ~values.astype(str).isin(["True", "False"])).to_numpy()
    if strange.any():
        first = values[strange].iloc[0]
        found = f"{int(strange.sum()):,} are not True or False: {first} at {_shown(ids[strange])}"
        yield Problem(column, found, "True or False, as in the sample submission", check="types")


def _holds_numbers(sample: pd.Series[Any]) -> bool:
    """Whether a sample's column is of numbers; nothing, or -1 alone, holds the place of masks or boxes."""
    numeric = pd.api.types.is_numeric_dtype(sample) and not pd.api.types.is_bool_dtype(sample)
    return numeric and not sample.dropna().isin([-1]).all()


def _ids(table: pd.DataFrame, key: list[str]) -> pd.Index[str]:
    texts = table[key].fillna("")
    ids: pd.Index[str] = pd.Index(texts.agg("_".join, axis=1) if len(key) > 1 else texts[key[0]])
    return ids


def _shown(ids: pd.Index[str]) -> str:
    return samples([value or "an empty id" for value in ids[:5]], total=len(ids))
