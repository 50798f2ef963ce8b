"""Turn cells of labels between spaces into a table of indicators and back, refuse unknown labels by name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from kagkit.formats.cells import (
    STRANGE,
    Fault,
    cell_text,
    column_problems,
    declared_words,
    fault_problems,
    name_of,
    repeat_problems,
)
from kagkit.foundation.errors import DataError, Problem, SubmissionError, did_you_mean, samples

NO_LABEL = Fault("no label", expected="at least one")


def to_indicators(cells: pd.Series[Any], labels: Sequence[object], *, need_one: bool = False) -> pd.DataFrame:
    """Read cells of labels as a table of indicators.

    Args:
        cells: Labels with spaces between them, in any order, indexed by id; a missing cell has none.
        labels: Every label there is: texts or whole numbers, without spaces.
        need_one: Whether each id must have a label.

    Returns:
        (n_ids, n_labels) truth values, rows as in `cells`, columns as in `labels`, named by text.

    Raises:
        ManifestError: The labels cannot be used.
        DataError: Ids come twice; cells hold unknown labels, one twice, or none where one is needed.

    Example:
        >>> to_indicators(pd.Series({"a": "2 0", "b": ""}), range(3)).loc["a"].to_dict()
        {'0': True, '1': False, '2': True}
        >>> to_indicators(pd.Series({"a": "2 3", "b": "3"}, name="Target"), range(3))
        Traceback (most recent call last):
        kagkit.foundation.errors.DataError: the labels cannot be read
          Target: unknown labels 3 in a, b
            hint: one of: 0, 1, 2
    """
    known = declared_words(labels, "labels", spaces=False)
    column, where = list(cells.items()), name_of(cells, "labels")
    faults = ((key, fault) for key, cell in column for fault in _faults(cell, need_one=need_one))
    problems = repeat_problems("ids", cells.index) + fault_problems(where, faults)
    problems += _unknown_labels(where, column, known)
    if problems:
        raise DataError("the labels cannot be read", problems)
    places = {label: place for place, label in enumerate(known)}
    values = np.zeros((len(column), len(known)), np.bool_)
    for row, (_, cell) in zip(values, column, strict=True):
        row[[places[label] for label in _labels_in(cell)]] = True
    return pd.DataFrame(values, cells.index, known)


def _labels_in(cell: object) -> list[str]:
    return (cell_text(cell) or "").split()


def _faults(cell: object, *, need_one: bool) -> Iterator[Fault]:
    found = _labels_in(cell)
    if cell_text(cell) is None:
        yield STRANGE
    elif need_one and not found:
        yield NO_LABEL
    if len(set(found)) < len(found):
        twice = next(label for label in found if found.count(label) > 1)
        yield Fault(
            "a label that comes twice", f"{twice} comes {found.count(twice)} times", "each label once"
        )


def _unknown_labels(
    where: str, column: Sequence[tuple[object, object]], known: Sequence[str]
) -> list[Problem]:
    strangers = {key: labels for key, cell in column if (labels := set(_labels_in(cell)) - set(known))}
    if not strangers:
        return []
    names = sorted(set().union(*strangers.values()))
    found = f"unknown labels {samples(names)} in {samples(list(strangers))}"
    return [Problem(where, found, hint=did_you_mean(names[0], known))]


def to_cells(indicators: pd.DataFrame, labels: Sequence[object], *, need_one: bool = False) -> pd.Series[str]:
    """Write a table of indicators as cells of labels.

    Args:
        indicators: (n_ids, n_labels) truth values, or 0 and 1; indexed by id, a column a label, in any order.
        labels: Every label there is: texts or whole numbers, without spaces.
        need_one: Whether each id must have a label.

    Returns:
        The cells, indexed by id as the table is: labels in declared order with one space between them;
        empty where there is none.

    Raises:
        ManifestError: The labels cannot be used.
        SubmissionError: Ids or columns come twice; columns are not the labels; values are neither 0 nor 1; an
            id has no label where one is needed.

    Example:
        >>> to_cells(pd.DataFrame({2: [1, 0], 0: [1, 0], 1: [0, 0]}, index=["a", "b"]), range(3)).to_dict()
        {'a': '0 2', 'b': ''}
    """
    known = declared_words(labels, "labels", spaces=False)
    named = indicators.set_axis(pd.Index([cell_text(name) or "" for name in indicators.columns]), axis=1)
    problems = repeat_problems("ids", named.index) + column_problems(named.columns, known)
    if not problems:
        values = named[known].to_numpy()
        problems = _value_problems(values, named.index, need_one=need_one)
    if problems:
        raise SubmissionError("the labels cannot be written", problems)
    names = np.array(known, dtype=object)
    cells = [" ".join(names[row]) for row in values.astype(np.bool_)]
    return pd.Series(cells, named.index, dtype="str")


def _value_problems(values: NDArray[Any], ids: pd.Index[Any], *, need_one: bool) -> list[Problem]:
    is_set = values == 1
    strange = ~is_set & (values != 0)
    if strange.any():
        strangers = ids[strange.any(axis=1)].tolist()
        found = f"values {samples(pd.unique(values[strange]).tolist())} for {samples(strangers)}"
        hint = "probabilities become labels by a threshold: table > 0.5"
        return [Problem("indicators", found, "0 or 1", hint)]
    bare = ids[~is_set.any(axis=1)].tolist()
    return (
        [Problem("indicators", f"no label for {samples(bare)}", "at least one")] if need_one and bare else []
    )
