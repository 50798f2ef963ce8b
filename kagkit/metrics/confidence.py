"""Measure how far predictions are from labels, judge groups as one, label rows where predictions are sure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import pandas as pd
from pandas.api.types import is_numeric_dtype

from kagkit.data.rows import column_of
from kagkit.foundation.errors import DataError, Problem, samples
from kagkit.metrics.labelling import classes_of


def label_distances(
    predicted: pd.DataFrame, rows: pd.DataFrame, targets: Sequence[str], column: str | None = None
) -> pd.Series[float]:
    """How far each prediction is from its label.

    Args:
        predicted: (n, k) predictions by key: numbers.
        rows: Rows by key, with labels; they hold at least the predicted keys.
        targets: The columns a submission is asked for.
        column: The column that is compared; the target where it is the only one.

    Returns:
        (n,) float64 in the order of `predicted`: |prediction - label| where the column is predicted;
        1 - the probability of the label where there is a column for each class. NaN where a label is missing.

    Raises:
        DataError: The column is not clear, not there, or holds no numbers.

    Example:
        >>> rows = pd.DataFrame({"y": [1, 0]}, index=["a", "b"])
        >>> label_distances(pd.DataFrame({"y": [0.25, 0.5]}, index=["b", "a"]), rows, ["y"]).to_dict()
        {'b': 0.25, 'a': 0.5}
    """
    name = column or (targets[0] if len(targets) == 1 else None)
    if name is None or name not in rows:
        found = f"no label {name}" if name else f"several targets: {samples(list(targets))}"
        hint = f"column: one of {samples([str(known) for known in rows])}"
        raise _refused(Problem("column", found, "the column to compare", hint))
    labels = rows[name].loc[predicted.index]
    if name in predicted:
        numeric = is_numeric_dtype(predicted[name].dtype) and is_numeric_dtype(labels.dtype)
        if not numeric:
            raise _refused(Problem(name, "text", "numbers, or a column of probabilities for each class"))
        return (predicted[name].astype("float64") - labels.astype("float64")).abs()
    table = _class_table(predicted, rows[name])
    places = table.columns.get_indexer(pd.Index(labels))
    sure = table.to_numpy()[range(len(table)), places]
    return pd.Series(1 - sure, index=predicted.index).where(places >= 0)


def common_distances(
    distances: pd.Series[float], rows: pd.DataFrame, by: str, how: Literal["mean", "max"]
) -> pd.Series[float]:
    """Each row's distance as that of all rows with its value in a column.

    Args:
        distances: (n,) float64 by key; NaN where a row cannot be judged.
        rows: Rows by key, with the column; they hold at least these keys.
        by: The column.
        how: The mean of the known distances of a value, or their maximum.

    Returns:
        (n,) float64 in the order of `distances`; rows without a value keep their own.

    Raises:
        DataError: There is no such column.

    Example:
        >>> rows = pd.DataFrame({"patient": ["p", "p", "q"]}, index=["a", "b", "c"])
        >>> common_distances(pd.Series({"a": 0.0, "b": 1.0, "c": 0.25}), rows, "patient", "mean").tolist()
        [0.5, 0.5, 0.25]
    """
    if by not in rows.columns and by not in rows.index.names:
        raise _refused(Problem(f"by: {by}", "no such column", samples([str(name) for name in rows])))
    values = column_of(rows, by).loc[distances.index]
    return distances.groupby(values.to_numpy()).transform(how).where(values.notna(), distances)


def sure_labels(
    predicted: pd.DataFrame,
    rows: pd.DataFrame,
    targets: Sequence[str],
    above: float | None = None,
    *,
    soft: bool = False,
) -> pd.DataFrame:
    """Labels for rows that have none, where predictions are sure of them.

    A probability of 1 among two classes 0 and 1 is as sure as it, or what is left of 1, says; of a column for
    each class the largest says so. Other numbers do not say how sure they are.

    Args:
        predicted: (n, k) predictions by key.
        rows: All training rows, which tell the classes.
        targets: The columns a submission is asked for.
        above: The least sureness, not included, 0 to 1; all rows where None.
        soft: The predictions themselves are the labels.

    Returns:
        (m, targets) by key, in the order of `predicted`, of the targets' types; float64 where `soft`.

    Raises:
        DataError: Predictions do not say how sure they are, or are no labels.

    Example:
        >>> predicted = pd.DataFrame({"y": [0.95, 0.5, 0.02]}, index=["a", "b", "c"])
        >>> sure_labels(predicted, pd.DataFrame({"y": [0, 1]}), ["y"], 0.9).y.to_dict()
        {'a': 1, 'c': 0}
    """
    missing = [name for name in targets if name not in rows]
    if missing:
        raise _refused(Problem(", ".join(missing), "no column of the training rows", "a target to label"))
    found: dict[str, pd.Series[Any]] = {}
    sureness = []
    for name in targets:
        if name in predicted:
            labels, sure = _of_column(predicted[name], rows[name], above, soft=soft)
        else:
            labels, sure = _of_classes(_class_table(predicted, rows[name]), rows[name], soft=soft)
        found[name] = labels
        sureness.append(sure)
    labelled = pd.DataFrame(found, index=predicted.index)
    if above is None:
        return labelled
    return labelled[(pd.concat(sureness, axis=1) > above).all(axis=1)]


def _of_column(
    predicted: pd.Series[Any], labels: pd.Series[Any], above: float | None, *, soft: bool
) -> tuple[pd.Series[Any], pd.Series[Any]]:
    """Labels of one predicted column, and how sure each is."""
    name, classes = str(predicted.name), classes_of(labels)
    if not is_numeric_dtype(predicted.dtype):
        if soft or above is not None:
            raise _refused(Problem(name, "predicted as text", "probabilities", "leave soft and above out"))
        return predicted, predicted
    values = predicted.astype("float64")
    binary = set(classes) <= {0, 1} and bool(values.between(0, 1).all())
    if above is not None and not binary:
        expected = "probabilities of two classes 0 and 1, or a column for each class"
        hint = "leave above out: then every row is taken"
        raise _refused(Problem(name, "predictions that do not say how sure they are", expected, hint))
    if soft:
        return values, values.where(values >= 0.5, 1 - values)
    if binary:
        return (values >= 0.5).astype(labels.dtype), values.where(values >= 0.5, 1 - values)
    whole = bool((values == values.round()).all())
    if pd.api.types.is_integer_dtype(labels.dtype) and not whole:
        hint = "predict a column for each class, or take them as they are: soft: true"
        raise _refused(Problem(name, "predictions between the labels", "labels", hint))
    return values.astype(labels.dtype), values


def _of_classes(
    table: pd.DataFrame, labels: pd.Series[Any], *, soft: bool
) -> tuple[pd.Series[Any], pd.Series[Any]]:
    """Labels of a column for each class, and how sure each is."""
    if soft:
        hint = "leave soft out: the most likely class is the label"
        raise _refused(Problem(str(labels.name), "a column for each class", "one column to be soft in", hint))
    winners = pd.Index(table.columns).take(table.to_numpy().argmax(axis=1))
    return pd.Series(winners, index=table.index).astype(labels.dtype), table.max(axis=1)


def _class_table(predicted: pd.DataFrame, labels: pd.Series[Any]) -> pd.DataFrame:
    """The probabilities of each class, their columns named by the classes as the labels write them."""
    classes, target = classes_of(labels), str(labels.name)
    spelled = {str(name).removeprefix(f"{target}_"): name for name in predicted}
    lacking = [str(known) for known in classes if str(known) not in spelled]
    if lacking:
        columns = ", ".join(map(str, predicted.columns))
        expected = f"{target}, or a column for each of its classes: {samples(lacking)}"
        raise _refused(Problem("predictions", f"columns {columns}", expected))
    table = predicted[[spelled[str(known)] for known in classes]].astype("float64")
    return table.set_axis(classes, axis=1)


def _refused(problem: Problem) -> DataError:
    return DataError("predictions cannot be held against labels", [problem])
