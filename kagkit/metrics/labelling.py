"""Turn probabilities into labels, write them as the training rows do, refuse what would be a guess."""

from __future__ import annotations

from typing import Any, NoReturn

import numpy as np
import pandas as pd

from kagkit.foundation.errors import Problem, RunError, samples
from kagkit.metrics.classes import encode, sorted_classes


def name_largest(given: pd.DataFrame, columns: list[str]) -> pd.DataFrame:
    """One column per class becomes the name of the class with the largest value.

    Args:
        given: (n_rows, n_classes) numbers, each column named by its class.
        columns: The submission's target, which must be one.

    Returns:
        (n_rows, 1): the names under the target's name; the first of those that are equally large.

    Raises:
        RunError: There are several targets, or only one column.

    Example:
        >>> name_largest(pd.DataFrame({"cat": [0.25, 0.5], "dog": [0.75, 0.5]}), ["kind"]).kind.tolist()
        ['dog', 'cat']
    """
    if len(columns) != 1 or len(given.columns) < 2:
        problem = Problem(
            "predictions",
            f"columns {', '.join(map(str, given.columns))}",
            f"{', '.join(columns)}, or a column per class of one target",
            "name the columns so, or write `submission: {make: module:function}`",
        )
        raise RunError("predictions do not fit the submission", [problem])
    winners = given.columns.to_numpy()[given.to_numpy().argmax(axis=1)]
    return pd.DataFrame({columns[0]: winners}, index=given.index)


def to_labels(values: pd.DataFrame, truth: pd.DataFrame | None) -> pd.DataFrame:
    """Predictions as labels, written as the training rows write them.

    Args:
        values: One column per target: labels or their names, or probabilities of 1 where 0 and 1 (or False
            and True) are the classes.
        truth: The targets of all training rows; None where they are not known. Then numbers from 0 to 1
            become 0 and 1 at one half, and whole numbers and text stay.

    Returns:
        The same rows and columns; each column of its target's type.

    Raises:
        RunError: Numbers that cannot be rounded without a guess, or labels that are no class of the target.

    Example:
        >>> truth = pd.DataFrame({"y": [True, False]})
        >>> to_labels(pd.DataFrame({"y": [0.25, 0.5]}), truth).y.tolist()
        [False, True]
    """
    if truth is None:
        return values.apply(_at_half)
    return values.apply(lambda column: _among(classes_of(truth[column.name]), column))


def _at_half(column: pd.Series[Any]) -> pd.Series[Any]:
    """Probabilities become 0 or 1 at one half; what is whole-number or text already stays."""
    if pd.api.types.is_bool_dtype(column.dtype):
        return column.astype("int64")
    if not pd.api.types.is_float_dtype(column.dtype):
        return column
    whole = bool((column == column.round()).all())
    if not whole and not column.between(0, 1).all():
        hint = "keep them within 0 and 1 (clip), or write `submission: {make: module:function}`"
        _refuse_labels(column, _range(column), "labels, or probabilities from 0 to 1", hint)
    return (column if whole else column >= 0.5).astype("int64")


def _among(classes: pd.Index[Any], column: pd.Series[Any]) -> pd.Series[Any]:
    """The class that each prediction names, as the training rows write it."""
    binary = set(classes) <= {0, 1}
    if binary or not pd.api.types.is_float_dtype(column.dtype):
        column = _at_half(column)
    elif (column != column.round()).any():
        hint = "name the columns by the classes, or write `submission: {make: module:function}`"
        told = f"{_range(column)} of the classes {samples(classes.tolist())}"
        _refuse_labels(column, told, "a column per class, of which the largest wins", hint)
    if pd.api.types.is_bool_dtype(classes.dtype) and pd.api.types.is_integer_dtype(column.dtype):
        places = pd.Index(classes.astype("int64")).get_indexer(pd.Index(column))
    else:
        places = encode(column, sorted_classes(classes.to_series()))
    strange = column[places < 0].unique().tolist()
    if strange:
        _refuse_labels(
            column, f"{samples(strange)}: no class of the training rows", samples(classes.tolist())
        )
    return pd.Series(classes.to_numpy()[places], index=column.index)


def classes_of(truth: pd.Series[Any]) -> pd.Index[Any]:
    """The different values of a target, sorted; whole numbers as such, though gaps made floats of them."""
    known = pd.Series(np.asarray(truth.dropna())).infer_objects()
    if pd.api.types.is_float_dtype(known.dtype) and (known == known.round()).all():
        known = known.astype("int64")
    classes: pd.Index[Any] = pd.Index(known.unique()).sort_values()
    return classes


def _refuse_labels(column: pd.Series[Any], found: str, expected: str, hint: str = "") -> NoReturn:
    raise RunError("predictions are no labels", [Problem(str(column.name), found, expected, hint)])


def _range(column: pd.Series[Any]) -> str:
    return f"values from {column.min():.4g} to {column.max():.4g} where labels are asked"
