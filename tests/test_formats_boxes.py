from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kagkit.formats.boxes import FIELDS, XYWH, box_problems, read_boxes, to_xywh, to_xyxy, write_boxes
from kagkit.foundation.errors import DataError, SubmissionError

BOUNDED = settings(max_examples=30, deadline=None)
NUMBERS = st.floats(allow_nan=False, allow_infinity=False, width=32)
ROWS = st.lists(st.tuples(st.sampled_from("abc"), *[NUMBERS] * 5), max_size=8)
LENGTHS = st.floats(0.5, 1000)


def table(*rows: tuple[Any, ...]) -> pd.DataFrame:
    """Boxes as rows of an id, x, y, width, height."""
    return pd.DataFrame([row[1:] for row in rows], [row[0] for row in rows], list(XYWH))


# --- cells ---


@BOUNDED
@given(ROWS)
def test_boxes_are_written_and_read_back_exactly(rows: list[tuple[Any, ...]]) -> None:
    values = np.array([row[1:] for row in rows], np.float64).reshape(-1, 5)
    boxes = pd.DataFrame(values, [row[0] for row in rows], list(FIELDS))
    cells = write_boxes(boxes, list("abcd"))
    assert cells.index.tolist() == list("abcd")
    assert cells["d"] == ""
    for key, cell in cells.items():
        found = read_boxes(pd.Series({key: cell}))
        assert found.to_numpy().tolist() == values[boxes.index == key].tolist()


def test_numbers_are_written_short_in_their_own_precision() -> None:
    conf = np.array([0.9], np.float32)
    boxes = pd.DataFrame({"conf": conf, "x": [1e-7], "y": [12.0], "width": [3], "height": [2.50]}, ["a"])
    assert write_boxes(boxes, ["a"])["a"] == "0.9 0.0000001 12 3 2.5"
    assert write_boxes(boxes, ["a"], decimals=1)["a"] == "0.9 0 12 3 2.5"


def test_fields_may_be_others_in_another_order() -> None:
    fields = ["class", "x", "conf"]
    cells = pd.Series({"a": "14 3 .5 2 4 1e0", "b": None})
    boxes = read_boxes(cells, fields)
    assert boxes["class"].tolist() == [14, 2]
    assert write_boxes(boxes, cells.index, fields).to_dict() == {"a": "14 3 0.5 2 4 1", "b": ""}


def test_cells_without_any_box_give_an_empty_table() -> None:
    boxes = read_boxes(pd.Series({"a": "", "b": math.nan}))
    assert boxes.shape == (0, 5)
    assert write_boxes(boxes, ["a", "b"]).tolist() == ["", ""]


def test_every_fault_of_the_cells_is_told() -> None:
    cells = pd.Series(["1 2 3", "nan 1 2 3 4", "1e999 0 0 1_0 0x1", True, ""], list("abcdd"), name="Boxes")
    with pytest.raises(DataError) as caught:
        read_boxes(cells)
    assert [str(problem) for problem in caught.value.problems] == [
        "ids: more than once: d",
        "Boxes: a part of a box in a (a: 3 numbers); expected 5 numbers a box: conf x y width height",
        "Boxes: no numbers in b, c (b: nan); expected finite numbers between spaces",
        "Boxes: neither text nor a whole number in d; expected a cell as the host writes it",
    ]


def test_every_fault_of_boxes_to_write_is_told() -> None:
    boxes = pd.DataFrame({"conf": [math.nan], "x": ["1"], "y": [0], "width": [1]}, index=["z"])
    with pytest.raises(SubmissionError) as caught:
        write_boxes(boxes, ["a", "a"])
    assert [str(problem).splitlines()[0] for problem in caught.value.problems] == [
        "ids: more than once: a",
        "column conf: no finite number for z",
        "column x: values of str; expected numbers",
        "boxes: no column height",
        "boxes: boxes of unknown ids: z",
    ]


# --- corners and sizes ---


@BOUNDED
@given(st.lists(st.tuples(st.floats(-1e6, 1e6), st.floats(0, 1e6), LENGTHS, LENGTHS), max_size=6))
def test_sizes_become_corners_and_sizes_again(rows: list[tuple[float, ...]]) -> None:
    boxes = np.array(rows, np.float64).reshape(-1, 4)
    corners = to_xyxy(boxes)
    assert to_xywh(corners) == pytest.approx(boxes, abs=1e-6)
    assert (corners[:, 2:] > corners[:, :2]).all()


@pytest.mark.parametrize(
    ("boxes", "message"),
    [
        ([1, 2, 3, 4], r"an array of shape \(4,\); expected \(n_boxes, 4\)"),
        ([[1, 2, 3]], r"an array of shape \(1, 3\)"),
        ([[0, 0, 5, 5], [1, 2, math.nan, 9]], "no finite numbers in rows 1"),
        ([[6, 6, 0, 0]], r"no area in rows 0; expected width and height above 0\n.*for sizes"),
    ],
)
@pytest.mark.parametrize("turn", [to_xyxy, to_xywh])
def test_what_is_no_box_is_not_turned(boxes: Any, message: str, turn: Any) -> None:
    with pytest.raises(DataError, match=message):
        turn(boxes)


# --- boxes that cannot be right ---


def test_sound_boxes_have_no_problem() -> None:
    boxes = table(("a", 0, 0, 20, 10), ("a", 19.5, 9, 0.5, 1), ("b", 0, 0, 20, 10)).assign(conf=[0, 1, 0.5])
    assert box_problems(boxes, (10, 20), most=2) == []


def test_a_box_in_float32_may_touch_the_border() -> None:
    boxes = table(("a", 1023.9, 0, 0.1, 1)).astype("float32")
    assert box_problems(boxes, (10, 1024)) == []


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (("z", 0, 0, 0, 5), "boxes: without an area for z; expected width and height above 0"),
        (("z", 5, 5, 2, -1), "boxes: without an area for z"),
        (("z", -1, 0, 5, 5), "boxes: outside the image for z; expected 0 to 20 across, 0 to 10 down"),
        (("z", 0, 8, 5, 5), "boxes: outside the image for z"),
        (("z", 18, 0, 5, 5), "boxes: outside the image for z"),
        (("a", 1, 1, 2, 2), "boxes: there twice for a"),
    ],
)
def test_a_planted_fault_is_told(row: tuple[Any, ...], message: str) -> None:
    (problem,) = box_problems(table(("a", 1, 1, 2, 2), ("b", 1, 1, 2, 2), row), (10, 20))
    assert str(problem).startswith(message)


def test_too_many_boxes_and_strange_confidences_are_told() -> None:
    boxes = table(("a", 0, 0, 1, 1), ("a", 1, 1, 1, 1), ("b", 0, 0, 1, 1)).assign(conf=[0.5, 0.5, 1.5])
    assert [str(problem) for problem in box_problems(boxes, (10, 20), most=1)] == [
        "boxes: too many for a; expected at most 1",
        "boxes: of strange conf for b; expected 0 to 1",
    ]
    assert str(box_problems(boxes, (10, 20), most=0)[0]) == "boxes: too many for a, b; expected at most 0"


def test_boxes_without_their_columns_are_told() -> None:
    (problem,) = box_problems(table(("a", 0, 0, 1, 1)).drop(columns="width"), (10, 20))
    assert problem.found == "no column width"
