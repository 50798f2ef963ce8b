from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kagkit.data.columns import faulty_rows, gather, to_entries, to_numpy
from kagkit.data.encoding import encode


def test_entries_come_back_row_by_row_and_empty_ones_keep_their_width() -> None:
    boxes = [np.zeros((0, 4)), np.arange(8.0).reshape(2, 4), np.zeros((0, 4)), np.ones((1, 4))]
    back = to_entries(encode(boxes))
    assert [b.shape for b in back] == [(0, 4), (2, 4), (0, 4), (1, 4)]
    np.testing.assert_array_equal(back[1], boxes[1])
    assert to_entries(encode(boxes).slice(4)) == []


def test_tables_come_back_by_name_whatever_the_order_of_their_columns() -> None:
    tables = [pd.DataFrame({"x": [1.0, 2.0], "y": ["a", "b"]}), pd.DataFrame({"y": ["c"], "x": [3.0]})]
    first, second = to_entries(encode(tables))
    assert first["x"].tolist() == [1.0, 2.0]
    assert (second["x"].tolist(), second["y"].tolist()) == ([3.0], ["c"])


@pytest.mark.parametrize(
    ("values", "found"),
    [
        (np.array([0.0, np.nan, np.inf]), [("", "NaN", [1]), ("", "inf", [2])]),
        (pd.Series(["a", None, np.nan]), [("", "NaN", [1, 2])]),
        (pd.Series([1, None], dtype="Int64"), [("", "NaN", [1])]),
        (np.array([[1.0, 1.0], [np.nan, np.nan], [1.0, np.nan]]), [("", "NaN", [1, 2])]),
        ([np.zeros((0, 2)), np.ones((3, 2)), np.array([[0, 0], [0, -np.inf]])], [("", "inf", [2])]),
        ([pd.DataFrame({"x": [1.0]}), pd.DataFrame({"x": [1.0, np.nan]})], [(".x", "NaN", [1])]),
    ],
)
def test_rows_with_nan_or_inf_are_found(values: object, found: list[tuple[str, str, list[int]]]) -> None:
    assert [(leaf, fault, rows.tolist()) for leaf, fault, rows in faulty_rows(encode(values))] == found


def test_a_number_beyond_the_float_type_becomes_a_fault_and_no_warning() -> None:
    assert [fault for _, fault, _ in faulty_rows(encode(np.array([1.0, 70_000.0]), "float16"))] == ["inf"]
    assert [fault for _, fault, _ in faulty_rows(encode([np.array([[70_000.0]])], "float16"))] == ["inf"]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 4), min_size=1, max_size=5), st.data())
def test_gathering_is_taking_from_the_joined_chunks(lengths: list[int], data: st.DataObject) -> None:
    total = sum(lengths)
    values = np.arange(total * 6, dtype=np.float16).reshape(total, 2, 3)
    ends = np.cumsum(lengths)
    chunks = [encode(values[end - size : end]) for end, size in zip(ends, lengths, strict=True)]
    rows = data.draw(st.lists(st.integers(0, max(total - 1, 0)), max_size=8)) if total else []
    taken = gather(pa.chunked_array(chunks), np.array(rows, dtype=np.int64))
    np.testing.assert_array_equal(to_numpy(taken), values[rows])
