from __future__ import annotations

import math
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kagkit.foundation.errors import DataError
from kagkit.metrics.scoring import Answers
from kagkit.runs.interface import Interface, fit_rows, read_interface

KNOWN = Interface(
    ("y",), (("n", "int64"), ("x", "float64"), ("t", "str"), ("b", "bool")), Answers(labels=False)
)
ROWS = pd.DataFrame({"n": [1], "x": [0.5], "t": ["a"], "b": [True]}, index=pd.Index(["r"], name="id"))


@given(order=st.permutations(["n", "x", "t", "b", "y", "z"]))
@settings(max_examples=20, deadline=None)
def test_the_order_of_columns_and_what_is_too_much_do_not_count(order: list[str]) -> None:
    fitted = fit_rows(ROWS.assign(y=1, z=2)[order], KNOWN)
    assert fitted.frame.equals(ROWS)
    assert (fitted.targets, fitted.extra) == (("y",), ("z",))


@pytest.mark.parametrize(
    ("column", "values", "kind"),
    [
        ("x", [3], "float64"),
        ("x", [None], "float64"),
        ("n", [2.0], "int64"),
        ("n", [2.5], "float64"),
        ("n", [math.nan], "float64"),
        ("n", [math.inf], "float64"),
        ("t", [math.nan], "str"),
        ("b", [None], "object"),
    ],
)
def test_values_stay_and_kinds_become_the_runs_where_they_can(
    column: str, values: list[Any], kind: str
) -> None:
    fitted = fit_rows(ROWS.assign(**{column: pd.Series(values, index=ROWS.index)}), KNOWN).frame[column]
    assert str(fitted.dtype) == kind
    assert fitted.isna().all() if pd.isna(values[0]) else fitted.tolist() == values


def test_everything_that_does_not_fit_is_told_at_once() -> None:
    rows = ROWS.assign(n=["one"], b=[3], t=[4.5]).drop(columns="x")
    with pytest.raises(DataError, match="not what the run learned") as caught:
        fit_rows(rows, KNOWN)
    assert {problem.where for problem in caught.value.problems} == {"n", "x", "t", "b"}


def test_the_interface_of_rows_fits_them() -> None:
    interface = read_interface(ROWS.assign(y=0), ["y"], Answers(labels=False))
    assert interface == KNOWN
    assert fit_rows(ROWS, interface).frame.equals(ROWS)
