from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from numpy.typing import NDArray

from kagkit.formats.dialects import DIALECTS, Dialect
from kagkit.formats.rle import decode, encode, merge
from kagkit.foundation.errors import DataError, ManifestError, SubmissionError

Mask = NDArray[np.bool_]
BOUNDED = settings(max_examples=50, deadline=None)
MASKS = arrays(np.bool_, array_shapes(min_dims=2, max_dims=2, max_side=9))


def encode_by_loop(mask: Mask, dialect: Dialect) -> str:
    """The host's words as a loop: runs down the columns, then each dialect's own numbers."""
    runs: list[list[int]] = []
    for place, pixel in enumerate(mask.T.ravel()):
        if pixel and runs and sum(runs[-1]) == place:
            runs[-1][1] += 1
        elif pixel:
            runs.append([place, 1])
    if dialect == "usual":
        return " ".join(f"{start + 1} {length}" for start, length in runs)
    ends = [0, *(start + length for start, length in runs)]
    return " ".join(f"{run[0] - end} {run[1]}" for run, end in zip(runs, ends, strict=False)) or "-1"


# --- masks to cells and back ---


@BOUNDED
@given(MASKS, st.sampled_from(DIALECTS), st.booleans())
@example(np.ones((1, 1), np.bool_), "usual", False)
@example(np.ones((1, 7), np.bool_), "relative", False)
@example(np.ones((7, 1), np.bool_), "usual", False)
@example(np.ones((4, 5), np.bool_), "relative", True)
@example(np.zeros((4, 5), np.bool_), "usual", True)
@example(np.zeros((1, 7), np.bool_), "relative", False)
@example(np.arange(20).reshape(4, 5) == 0, "relative", False)
@example(np.arange(20).reshape(4, 5) == 19, "usual", False)
@example(np.arange(20).reshape(4, 5) % 19 == 0, "relative", True)
def test_a_mask_is_written_as_a_loop_would_and_read_back(mask: Mask, dialect: Dialect, turned: bool) -> None:
    text = encode(np.asfortranarray(mask) if turned else mask, dialect)
    assert text == encode_by_loop(mask, dialect)
    read = decode(text, (mask.shape[0], mask.shape[1]), dialect)
    assert read.dtype == np.bool_
    assert np.array_equal(read, mask)


def test_a_run_that_reaches_the_last_pixel_is_kept() -> None:
    mask = np.zeros((3, 4), np.bool_)
    mask[1:, 3] = True
    assert encode(mask, "usual") == "11 2"
    assert encode(mask, "relative") == "10 2"


def test_a_run_goes_on_in_the_next_column() -> None:
    mask = np.zeros((3, 4), np.bool_)
    mask[2, 0] = mask[0, 1] = mask[2, 1] = mask[0, 2] = True
    assert encode(mask, "usual") == "3 2 6 2"


def test_a_window_of_a_larger_mask_is_read_by_its_own_pixels() -> None:
    large = np.random.default_rng(0).random((40, 30)) < 0.5
    window = large[3:35:2, 4:25:3]
    assert encode(window, "usual") == encode_by_loop(window, "usual")
    assert encode(large.T, "relative") == encode_by_loop(large.T, "relative")


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.float32])
def test_numbers_that_are_all_0_or_1_are_a_mask(dtype: Any) -> None:
    assert encode(np.array([[0, 1], [1, 1]], dtype), "usual") == "2 3"


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        ([[0, 255], [3, 0]], "mask: values 3, 255; expected 0 and 1\n.*hint: .*threshold"),
        ([[0.2, 1.0]], r"mask: values 0\.2; expected 0 and 1"),
        ([[np.nan, 1.0]], "mask: values nan; expected 0 and 1"),
        ([["1", "0"]], "mask: an array of <U1; expected truth values"),
        ([1, 0], r"mask: an array of shape \(2,\); expected \(height, width\)"),
        (np.zeros((2, 2, 1)), r"mask: an array of shape \(2, 2, 1\)"),
        (np.zeros((0, 5)), r"mask: an array of shape \(0, 5\)"),
    ],
)
def test_what_is_no_mask_is_not_written(mask: Any, message: str) -> None:
    with pytest.raises(SubmissionError, match=message):
        encode(mask, "usual")


def test_touching_runs_are_one_mask() -> None:
    assert encode(decode("1 2 3 2", (4, 1), "usual"), "usual") == "1 4"
    assert encode(decode("0 2 0 2", (4, 1), "relative"), "relative") == "0 4"


@pytest.mark.parametrize("shape", [(0, 4), (4, 0), (-2, -2)])
def test_an_image_without_pixels_is_refused(shape: tuple[int, int]) -> None:
    with pytest.raises(DataError, match="expected a height and a width of 1 pixel or more"):
        decode("", shape, "usual")


def test_a_dialect_must_be_one_there_is() -> None:
    unknown: Any = "usal"
    for call in (
        lambda: encode(np.ones((2, 2)), unknown),
        lambda: decode("1 2", (2, 2), unknown),
        lambda: merge(["1 2"], (2, 2), unknown),
    ):
        with pytest.raises(ManifestError, match=r"dialect: 'usal'\n.*did you mean usual\?"):
            call()


def test_every_fault_of_a_cell_is_told() -> None:
    with pytest.raises(DataError) as caught:
        decode("19 9 3 0", (4, 5), "usual")
    assert [problem.found for problem in caught.value.problems] == [
        "run 2 has the length 0",
        "run 1 goes from pixel 19 to 27",
        "run 2 starts at pixel 3, run 1 ends at pixel 27",
    ]


# --- instances to one mask ---


@BOUNDED
@given(st.lists(arrays(np.bool_, (4, 5)), max_size=4), st.sampled_from(DIALECTS))
def test_instances_are_joined_where_they_may_overlap_and_refused_where_not(
    masks: list[Mask], dialect: Dialect
) -> None:
    cells, total = [encode(mask, dialect) for mask in masks], sum(masks, np.zeros((4, 5), np.int64))
    assert np.array_equal(merge(cells, (4, 5), dialect, allow_overlap=True), total > 0)
    if total.max() <= 1:
        assert np.array_equal(merge(cells, (4, 5), dialect), total > 0)
    else:
        with pytest.raises(DataError, match="instances: shared pixels in "):
            merge(cells, (4, 5), dialect)


def test_instances_that_overlap_are_named() -> None:
    with pytest.raises(DataError, match=r"shared pixels in 1 and 2, 1 and 4\n.*drop repeated rows"):
        merge(["1 2", "2 1", "4 1", "1 1"], (2, 2), "usual")


def test_instances_that_cannot_be_read_are_all_named() -> None:
    with pytest.raises(DataError) as caught:
        merge(["1 2", "x", "3"], (2, 2), "usual", allow_overlap=True)
    assert [problem.where for problem in caught.value.problems] == ["instance 2", "instance 3"]


def test_no_instance_is_an_empty_mask() -> None:
    assert not merge([], (2, 3), "usual").any()
    assert not merge(["-1", " -1"], (2, 3), "relative").any()
