from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kagkit.formats.rle import decode
from kagkit.foundation.errors import SubmissionError
from kagkit.metrics import is_readable, mask_ap, mask_f2, mask_f2_rows
from kagkit.metrics.matching import THRESHOLDS
from tests.metric_examples import MASKS, SHAPE, example, table

BOUNDED = settings(max_examples=20, deadline=None)


def objects(**images: list[object]) -> pd.DataFrame:
    """One row per object; None for an image without one."""
    rows = [(name, mask) for name, masks in images.items() for mask in masks]
    return pd.DataFrame(rows, columns=["ImageId", "EncodedPixels"])


def score(metric: Any, solution: pd.DataFrame, submission: pd.DataFrame, **args: Any) -> float:
    result: float = metric(solution, submission, "ImageId", **{**MASKS, **args})
    return result


def count_in_pixels(truth: list[str], guess: list[str], threshold: float) -> tuple[int, int, int]:
    """TP, FN, FP: where no two masks of a side overlap, a threshold of half and more pairs them by itself."""
    masks = [[decode(cell, SHAPE, "usual") for cell in cells if cell] for cells in (truth, guess)]
    hits = sum(
        (one & other).sum() / (one | other).sum() > threshold for one in masks[0] for other in masks[1]
    )
    return hits, len(masks[0]) - hits, len(masks[1]) - hits


@BOUNDED
@given(st.integers(0, 2**32))
def test_scores_are_those_of_the_formulas_of_airbus_and_of_the_bowl_on_pixels(seed: int) -> None:
    drawn = example("mask_f2", seed)
    found: dict[str, list[Any]] = {"f2": [], "ap": []}
    for name in drawn.solution["id"].unique():
        one, other = (
            each.loc[each["id"] == name, "y"].tolist() for each in (drawn.solution, drawn.submission)
        )
        counts = [count_in_pixels(one, other, threshold) for threshold in THRESHOLDS]
        empty = not any(one + other)
        found["f2"].append(1 if empty else np.mean([5 * t / (5 * t + 4 * n + p) for t, n, p in counts]))
        found["ap"].append(1 if empty else np.mean([t / (t + n + p) for t, n, p in counts]))
    assert mask_f2(drawn.solution, drawn.submission, "id", **MASKS) == pytest.approx(np.mean(found["f2"]))
    assert mask_ap(drawn.solution, drawn.submission, "id", **MASKS) == pytest.approx(np.mean(found["ap"]))


@pytest.mark.parametrize(
    ("truth", "guess", "expected"),
    [
        ([None], [None], 1),
        ([None], [""], 1),
        ([None], [math.nan, None], 1),
        ([None], ["1 1"], 0),
        (["1 4"], [None], 0),
        (["1 4"], ["1 4"], 1),
        (["1 4", "9 4"], ["9 4", "1 4"], 1),
        (["1 4", "9 4"], ["1 4"], 5 / (5 + 4)),
        (["1 4"], ["1 4", "9 4"], 5 / (5 + 1)),
        (["1 10"], ["1 8"], 6 / 10),  # 0.8 is above .5 to .75, and not above itself
        (["1 4"], ["3 4"], 0),
    ],
)
def test_f2_of_one_image_by_hand(truth: list[object], guess: list[object], expected: float) -> None:
    assert score(mask_f2, objects(a=truth), objects(a=guess)) == pytest.approx(expected)


def test_images_are_joined_by_id_whatever_their_order_and_number_of_rows() -> None:
    solution = objects(a=["1 4", "9 4"], b=[None], c=["1 2"])
    submission = objects(c=["1 2"], b=["5 1", "7 1"], a=["9 4"])
    rows = mask_f2_rows(solution, submission, "ImageId", **MASKS)
    assert rows["f2"].to_dict() == {"a": pytest.approx(5 / 9), "b": 0, "c": 1}


def test_ids_may_be_numbers_in_one_table_and_text_in_the_other() -> None:
    solution = objects(a=["1 4"], b=[None]).assign(ImageId=[10, 11])
    assert score(mask_f2, solution, objects(a=["1 4"], b=[None]).assign(ImageId=["10", "11"])) == 1


def test_images_may_be_of_several_sizes_below_one_large_shape() -> None:
    solution = objects(a=["1 4"], b=["5000 10"])
    assert score(mask_ap, solution, solution, shape=(1, 10000)) == 1


def test_thresholds_and_the_worth_of_empty_images_may_be_others() -> None:
    solution, submission = objects(a=["1 10"], b=[None]), objects(a=["1 6"], b=[None])
    assert score(mask_ap, solution, submission, thresholds=[0.5], both_empty=0) == 0.5
    assert score(mask_ap, solution, submission, thresholds=[0.5, 0.7], both_empty=None) == 0.5


def test_predicted_masks_that_share_a_pixel_are_refused_and_true_ones_are_not() -> None:
    crossing = objects(a=["1 4", "4 2"])
    with pytest.raises(SubmissionError, match="masks that share pixels in a") as caught:
        score(mask_f2, objects(a=["1 4"]), crossing)
    assert is_readable(caught.value)
    assert score(mask_f2, crossing, objects(a=["1 4"])) == pytest.approx(5 / 9)


@pytest.mark.parametrize(
    ("solution", "submission", "message"),
    [
        (objects(a=["1 4"]), objects(b=["1 4"]), "no row for a\n.*rows the solution does not have: b"),
        (objects(a=["1 4"]), objects(a=["1 4"])[["ImageId"]], "submission: no column EncodedPixels"),
        (objects(a=["1 4"]), objects(a=["1 4"])[:0], "submission: no rows"),
        (objects(a=["1 4"]), objects(a=["1 4", "x"]), "submission, column EncodedPixels: .* in a"),
        (table(p=["1 4"], q=["1 4"]).rename(columns={"id": "ImageId"}),) * 2
        + ("columns p, q; expected one",),
    ],
)
def test_tables_that_do_not_match_are_refused(
    solution: pd.DataFrame, submission: pd.DataFrame, message: str
) -> None:
    with pytest.raises(SubmissionError, match=message):
        score(mask_f2, solution, submission)
