from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from kagkit.data.columns import describe
from kagkit.data.encoding import encode
from kagkit.foundation.errors import DataError


@pytest.mark.parametrize(
    ("values", "dtype", "described"),
    [
        (np.zeros(3, np.float32), None, "float32"),
        (np.zeros(3), "float16", "float16"),
        (np.zeros(3, ">f4"), None, "float32"),
        (np.zeros(3, np.int8), "float16", "int8"),
        (np.array([True, False]), None, "bool"),
        (np.array(["a", "画"]), None, "text"),
        (np.array(["a", "b"], dtype=object), None, "text"),
        (["a", "b"], None, "text"),
        ([0.5, 1.5], "float32", "float32"),
        (pd.Series(["a", "b"], dtype="category"), None, "text"),
        (pd.Series([1, 2], dtype="Int64"), None, "int64"),
        (np.zeros((2, 1)), None, "float64[1]"),
        (np.zeros((2, 3, 4), bool), None, "bool[3, 4]"),
        ([np.zeros((2, 4), np.float32), np.zeros((0, 4))], None, "list<float32[4]>"),
        ([np.zeros((2, 4), np.float32), np.zeros((1, 4))], "float16", "list<float16[4]>"),
        (
            [pd.DataFrame({"x": [0.5], "label": ["a"]}), pd.DataFrame()],
            None,
            "list<{label: text, x: float64}>",
        ),
        (torch.zeros(2, 3, dtype=torch.float16), None, "float16[3]"),
        ([torch.zeros(2, 3), torch.zeros(0, 3)], None, "list<float32[3]>"),
    ],
)
def test_every_kind_of_value_has_its_type(values: object, dtype: str | None, described: str) -> None:
    assert describe(encode(values, dtype).type) == described


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.zeros(2, np.complex128), "an array of complex128"),
        (np.zeros((2, 3), object), "an array of object"),
        (np.zeros((2, 0)), r"arrays of shape \(0,\)"),
        (np.array(["2019-10-01"], dtype="datetime64[s]"), "an array of datetime64"),
        (pd.Series([[1], [2]]), "cells of list.*\n.*yielding"),
        (pd.Series([1, "a"]), "cells of several types"),
        (3.5, "one float"),
        ([np.zeros((2, 4)), np.zeros((1, 5))], r"entries of float64\[4\], float64\[5\]"),
        ([np.zeros((2, 4)), np.array([])], r"rows of shape \(0,\).*\n.*zeros\(\(0, 4\)\)"),
        ([np.zeros((2, 4)), np.zeros((2, 4, 4))], r"rows of shape \(2, 4, 4\)"),
        ([pd.DataFrame({"x": [1]}), pd.DataFrame({"y": [1]})], "tables of x: int64, y: int64"),
        ([pd.DataFrame(), pd.DataFrame()], "tables of"),
        (torch.ones(2, requires_grad=True), r"not an array.*\n.*detach"),
        (torch.ones(2, dtype=torch.bfloat16), r"not an array.*\n.*float\(\)"),
    ],
)
def test_values_that_cannot_be_kept_are_refused_with_the_way_out(values: object, message: str) -> None:
    with pytest.raises(DataError, match=message):
        encode(values)
