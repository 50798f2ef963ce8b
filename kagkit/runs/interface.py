"""Say what rows a run predicts and what predictions become; bring new rows to it, or refuse them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from kagkit.data.rows import key_texts, without_targets
from kagkit.foundation.errors import SAMPLES_SHOWN, DataError, Problem, did_you_mean, samples
from kagkit.metrics.scoring import Answers

TEXT = ("str", "object")


@dataclass(frozen=True)
class Interface:
    """What a run's test rows looked like, and what was made of their predictions.

    Attributes:
        targets: Columns `predict` never sees.
        columns: The columns `predict` was given, in their order, each with its dtype.
        answers: What predictions become in a submission.
    """

    targets: tuple[str, ...]
    columns: tuple[tuple[str, str], ...]
    answers: Answers

    @property
    def text(self) -> tuple[str, ...]:
        """The columns of text: read so even where every value of the new rows looks like a number."""
        return tuple(name for name, kind in self.columns if kind in TEXT)


@dataclass(frozen=True, eq=False)
class Fitted:
    """New rows as `predict` gets them, and which columns were left out of them."""

    frame: pd.DataFrame
    targets: tuple[str, ...]
    extra: tuple[str, ...]


def read_interface(rows: pd.DataFrame, targets: Sequence[str], answers: Answers) -> Interface:
    """The interface of a run with these test rows."""
    kinds = without_targets(rows, targets).dtypes
    columns = tuple((str(name), str(kind)) for name, kind in kinds.items())
    return Interface(tuple(targets), columns, answers)


def interface_from(recorded: dict[str, Any]) -> Interface:
    """The interface that a record tells of.

    Raises:
        KeyError: It is not one.
    """
    columns = tuple((name, kind) for name, kind in recorded["columns"])
    return Interface(tuple(recorded["targets"]), columns, Answers(**recorded["answers"]))


def fit_rows(frame: pd.DataFrame, interface: Interface) -> Fitted:
    """New rows with the columns, the order and the dtypes of the rows that the run predicted.

    Targets and columns the run did not know are left out. Numbers become the run's kind of number where no
    value changes; a column without any value takes the run's kind.

    Args:
        frame: The new rows by key, in any order of columns.
        interface: What the run knew.

    Raises:
        DataError: Every column that is missing, or holds other than what the run knew.

    Example:
        >>> interface = Interface(("y",), (("a", "float64"), ("b", "str")), Answers(labels=False))
        >>> new = pd.DataFrame({"z": [0], "y": [1], "b": ["x"], "a": [2]}, index=pd.Index(["r1"], name="id"))
        >>> fitted = fit_rows(new, interface)
        >>> fitted.frame.to_dict("records"), fitted.targets, fitted.extra
        ([{'a': 2.0, 'b': 'x'}], ('y',), ('z',))
    """
    problems, columns = [], {}
    known = [str(name) for name in frame.columns]
    for name, kind in interface.columns:
        if name not in known:
            hint = did_you_mean(name, known) if known else ""
            problems.append(Problem(name, "no such column in the new rows", f"a column of {kind}", hint))
            continue
        column = _as_kind(frame[name], kind)
        if column is None:
            problems.append(_other_kind(frame[name], kind))
        else:
            columns[name] = column
    if problems:
        raise DataError("the new rows are not what the run learned to predict", problems)
    names = [name for name, _ in interface.columns]
    return Fitted(
        pd.DataFrame(columns, index=frame.index),
        tuple(name for name in known if name in interface.targets),
        tuple(name for name in known if name not in interface.targets and name not in names),
    )


def _as_kind(column: pd.Series[Any], kind: Any) -> pd.Series[Any] | None:
    """The column as the run knew it; None where that would change a value."""
    if str(column.dtype) == kind or (kind in TEXT and str(column.dtype) in TEXT):
        return column.astype(kind)
    types = pd.api.types
    if column.isna().all():
        # A whole number has no way to say that it is missing; pandas reads such a column as floats.
        return column if types.is_integer_dtype(kind) or kind == "bool" else column.astype(kind)
    numbers = types.is_numeric_dtype(column.dtype) and not types.is_bool_dtype(column.dtype)
    if not numbers or not _is_number(kind):
        return None
    if types.is_integer_dtype(kind) and (column.isna() | column.isin([math.inf, -math.inf])).any():
        return column
    cast = column.astype(kind)
    return cast if (cast.dropna() == column.dropna()).all() else column


def _is_number(kind: str) -> bool:
    return kind.lower().startswith(("int", "uint", "float"))


def _other_kind(column: pd.Series[Any], kind: str) -> Problem:
    values = column.dropna()
    strange = values
    if _is_number(kind) and str(column.dtype) in TEXT:
        strange = values[pd.to_numeric(values, errors="coerce").isna()]
    rows = samples(key_texts(strange.index[:SAMPLES_SHOWN]), len(strange))
    shown = samples([repr(value) for value in strange.iloc[:1]])
    found = f"{column.dtype}: {shown}" + (f" in {rows}" if len(strange) else "")
    return Problem(str(column.name), found, f"{kind}, as in the rows the run was made with")
