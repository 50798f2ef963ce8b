from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kagkit.foundation.errors import ManifestError, SubmissionError
from kagkit.metrics import box_ap, box_f2, box_f2_rows, is_readable
from tests.metric_examples import example, table

BOUNDED = settings(max_examples=20, deadline=None)


def score(metric: Any, truth: object, guess: object, **args: Any) -> float:
    result: float = metric(table(y=[truth]), table(y=[guess]), "id", **args)
    return result


@pytest.mark.parametrize(
    ("truth", "guess", "expected"),
    [
        (None, "", 1),
        (math.nan, None, 1),
        ("", "0.9 0 0 1 1", 0),
        ("0 0 1 1", "", 0),
        ("0 0 4 4", "0.9 0 0 4 4", 1),
        ("0 0 4 4 8 8 1 1", "0.2 8 8 1 1 0.9 0 0 4 4", 1),
        ("0 0 4 4", "0.9 0 0 4 4 0.8 0 0 4 4", 1 / 2),  # the second finds nothing free
        ("0 0 10 10", "0.9 0 0 10 8", 6 / 10),  # 0.8 is above .5 to .75, and not above itself
        ("0 0 4 4", "0.9 2 2 4 4", 0),
        ("0 0 4 4", "0.9 40 40 4 4", 0),
        ("0.5 0.5 1e1 4", "1 0.5 0.5 10 4", 1),
    ],
)
def test_average_precision_of_one_image_by_hand(truth: object, guess: object, expected: float) -> None:
    assert score(box_ap, truth, guess) == pytest.approx(expected)


def test_f2_counts_a_missed_object_four_times_an_invented_one() -> None:
    assert score(box_f2, "0 0 4 4 8 8 1 1", "0.9 0 0 4 4") == pytest.approx(5 / 9)
    assert score(box_f2, "0 0 4 4", "0.9 0 0 4 4 0.8 8 8 1 1") == pytest.approx(5 / 6)


def corners(cell: str, size: int) -> str:
    boxes = np.array(cell.split(), dtype=float).reshape(-1, size)
    boxes[:, -2:] += boxes[:, -4:-2]
    return " ".join(map(str, boxes.ravel().tolist()))


@BOUNDED
@given(st.integers(0, 2**32))
def test_corners_score_as_sizes_do(seed: int) -> None:
    drawn = example("box_f2", seed)
    solution = drawn.solution.assign(y=[corners(cell, 4) for cell in drawn.solution["y"]])
    submission = drawn.submission.assign(y=[corners(cell, 5) for cell in drawn.submission["y"]])
    fields = ["conf", "xmin", "ymin", "xmax", "ymax"]
    assert box_f2(solution, submission, "id", fields=fields) == pytest.approx(
        box_f2(drawn.solution, drawn.submission, "id")
    )


@BOUNDED
@given(st.integers(0, 2**32))
def test_overlaps_are_those_of_pixels(seed: int) -> None:
    rng = np.random.default_rng(seed)
    one, other = np.hstack([rng.integers(0, 5, (2, 2)), rng.integers(1, 6, (2, 2))])
    images = np.zeros((2, 12, 12), dtype=bool)
    for image, (x, y, width, height) in zip(images, (one, other), strict=True):
        image[y : y + height, x : x + width] = True
    overlap = images.all(axis=0).sum() / images.any(axis=0).sum()
    told = [" ".join(map(str, box)) for box in (one, other)]
    for threshold in (overlap - 1e-9, overlap + 1e-9):
        if 0 <= threshold < 1:
            args = {"fields": ["x", "y", "width", "height"], "thresholds": [threshold]}
            assert score(box_ap, *told, **args) == (overlap > threshold)


def test_boxes_without_a_confidence_are_served_by_overlap() -> None:
    fields = ["x", "y", "width", "height"]
    assert score(box_ap, "0 0 4 4 0 5 4 4", "0 5 4 4 0 0 4 4", fields=fields) == 1


def test_the_surer_box_comes_first_however_the_cell_is_ordered() -> None:
    # both fit the first object, the wider one alone the second
    truth = "0 0 10 10 0 0 10 14"
    cells = ["0.9 0 0 10 10 0.8 0 0 10 12", "0.8 0 0 10 12 0.9 0 0 10 10"]
    assert score(box_ap, truth, cells[0], thresholds=[0.6]) == score(
        box_ap, truth, cells[1], thresholds=[0.6]
    )


def test_images_are_rated_by_id() -> None:
    solution, submission = table(y=["0 0 4 4", None, ""]), table(y=["0.5 0 0 4 4", "0.5 0 0 4 4", None])
    assert box_f2_rows(solution, submission, "id")["f2"].to_dict() == {"r0": 1, "r1": 0, "r2": 1}
    rows = box_f2_rows(solution, submission, "id", both_empty=None)
    assert rows["f2"].to_dict() == {"r0": 1, "r1": 0}


def test_ids_may_be_numbers_in_one_table_and_text_in_the_other() -> None:
    solution = pd.DataFrame({"id": [10, 11], "y": ["0 0 4 4", None]})
    submission = pd.DataFrame({"id": ["10", "11"], "y": ["0.5 0 0 4 4", None]})
    assert box_f2(solution, submission, "id") == 1


@pytest.mark.parametrize(
    "cell",
    [
        "0.9 0 0 4",
        "0.9 0 0 4 4 1",
        "0.9 0 0 4 x",
        "0.9 0 0 4 nan",
        "0.9 0 0 inf 4",
        "0.9 0 0 4 0",
        "0.9 0 0 -4 4",
    ],
)
def test_a_cell_that_holds_no_boxes_is_refused_by_id(cell: str) -> None:
    with pytest.raises(SubmissionError, match=r"submission, column y: .*r1") as caught:
        box_f2(table(y=["", ""]), table(y=["", cell]), "id")
    assert is_readable(caught.value)


@pytest.mark.parametrize(
    "fields", [["conf"], ["x", "y", "w", "h"], ["x", "y", "width", "height", "conf", "conf"]]
)
def test_fields_that_make_no_box_are_manifest_errors(fields: list[str]) -> None:
    with pytest.raises(
        ManifestError, match=r"metric.args.fields: .*; expected conf, and x y width height or"
    ):
        score(box_f2, "", "", fields=fields)


def test_an_image_has_one_row() -> None:
    twice = table(y=["", ""]).assign(id="a")
    with pytest.raises(SubmissionError, match="ids that come twice: a"):
        box_f2(twice, twice, "id")
