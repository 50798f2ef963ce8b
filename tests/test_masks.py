from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
import sklearn.metrics
from hypothesis import given, settings
from hypothesis import strategies as st

from kagkit.formats.rle import decode
from kagkit.foundation.errors import SubmissionError
from kagkit.metrics import dice_rows, global_dice, is_readable, mean_dice, mean_iou
from tests.metric_examples import MASKS, SHAPE, Example, example, table

BOUNDED = settings(max_examples=20, deadline=None)
SEEDS = st.integers(0, 2**32)


def pixels(column: pd.Series[Any]) -> np.ndarray:
    return np.array([decode(cell, SHAPE, "usual").ravel() for cell in column])


def score(metric: Callable[..., float], drawn: Example, **args: Any) -> float:
    return metric(drawn.solution, drawn.submission, "id", **{**drawn.args, **args})


# --- beside scikit-learn on pixels ---


@BOUNDED
@given(SEEDS, st.sampled_from([0.0, 1.0]))
def test_masks_score_as_their_pixels_do(seed: int, both_empty: float) -> None:
    drawn = example("mean_dice", seed)
    truth, guess = pixels(drawn.solution["y"]), pixels(drawn.submission["y"])
    for metric, library in ((mean_dice, sklearn.metrics.f1_score), (mean_iou, sklearn.metrics.jaccard_score)):
        expected = [library(*pair, zero_division=both_empty) for pair in zip(truth, guess, strict=True)]
        assert score(metric, drawn, both_empty=both_empty) == pytest.approx(np.mean(expected))
    pooled = sklearn.metrics.f1_score(truth.ravel(), guess.ravel(), zero_division=1)
    assert score(global_dice, drawn) == pytest.approx(pooled)


@BOUNDED
@given(SEEDS)
def test_dice_does_not_depend_on_which_is_the_truth(seed: int) -> None:
    drawn = example("mean_dice", seed)
    turned = Example(drawn.submission, drawn.solution, drawn.args)
    for metric in (mean_dice, global_dice, mean_iou):
        assert score(metric, turned) == pytest.approx(score(metric, drawn))


# --- what hosts decide at the edges ---


@pytest.mark.parametrize(
    ("truth", "guess", "expected"),
    [
        ("", "", 1),
        (None, math.nan, 1),
        ("", "1 1", 0),
        ("1 1", "", 0),
        ("1 4", "1 4", 1),
        ("1 4", "1 2 3 2", 1),
        ("1 4", "3 4", 0.5),
        ("1 4", "5 4", 0),
        ("30 1", "30 1", 1),
    ],
)
def test_dice_of_one_row_by_hand(truth: object, guess: object, expected: float) -> None:
    assert mean_dice(table(y=[truth]), table(y=[guess]), "id", **MASKS) == expected


def test_both_empty_may_score_nothing() -> None:
    empty = table(y=["", "1 2"])
    assert mean_dice(empty, empty, "id", both_empty=0.0, **MASKS) == 0.5


def test_predicting_nothing_scores_the_share_of_empty_masks() -> None:
    solution = table(y=["1 2", "", "3 1", "", ""])
    assert mean_dice(solution, solution.assign(y=""), "id", **MASKS) == 0.6


def test_a_row_per_image_and_class_is_a_row() -> None:
    solution = pd.DataFrame({"Image_Label": ["a.jpg_Fish", "a.jpg_Sugar"], "EncodedPixels": ["1 2", None]})
    rows = dice_rows(solution, solution.assign(EncodedPixels=["1 6", "1 1"]), "Image_Label", **MASKS)
    assert rows["dice"].to_dict() == {"a.jpg_Fish": 0.5, "a.jpg_Sugar": 0.0}


def test_the_relative_dialect_says_empty_in_its_own_way() -> None:
    solution, submission = table(y=["0 4", "-1", " -1"]), table(y=["2 4", -1, "0 1"])
    assert mean_dice(solution, submission, "id", shape=SHAPE, dialect="relative") == pytest.approx(0.5)
    with pytest.raises(SubmissionError, match=r"submission, column y: .*r1.*-1 where there is no mask"):
        mean_dice(solution, table(y=["2 4", None, "0 1"]), "id", shape=SHAPE, dialect="relative")


def test_global_dice_pools_pixels_and_counts_empty_rows_for_nothing() -> None:
    solution, submission = table(y=["1 4", "", "1 1"]), table(y=["3 4", "", "9 1"])
    assert global_dice(solution, submission, "id", **MASKS) == pytest.approx(2 * 2 / (4 + 4 + 1 + 1))
    nothing = table(y=["", ""])
    assert global_dice(nothing, nothing, "id", **MASKS) == 1


# --- what cannot be scored ---


@pytest.mark.parametrize("cell", ["1", "0 2", "5 1 2 1", "30 2", "one two", "3 -1", 0.5])
def test_a_cell_that_is_no_mask_is_refused_by_id(cell: object) -> None:
    solution = table(y=["1 2", "1 2"])
    with pytest.raises(SubmissionError, match=r"submission, column y: .*r1") as caught:
        mean_dice(solution, table(y=["1 2", cell]), "id", **MASKS)
    assert is_readable(caught.value)


def test_faults_of_both_tables_are_told_at_once_and_not_to_participants() -> None:
    with pytest.raises(SubmissionError, match=r"solution, column y(.|\n)*submission, column y") as caught:
        mean_dice(table(y=["1"]), table(y=["99 1"]), "id", **MASKS)
    assert not is_readable(caught.value)


def test_several_columns_of_masks_are_refused() -> None:
    two = table(p=["1 2"], q=["1 2"])
    with pytest.raises(SubmissionError, match="target columns p, q; expected one column of masks"):
        mean_dice(two, two, "id", **MASKS)
