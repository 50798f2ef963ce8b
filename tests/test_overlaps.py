from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kagkit.formats.dialects import DIALECTS, Dialect
from kagkit.formats.rle import encode
from kagkit.foundation.errors import ManifestError
from kagkit.metrics.overlaps import count_pixels, count_shared, overlap_themselves, read_masks

BOUNDED = settings(max_examples=20, deadline=None)
SHAPE = (5, 4)
SEEDS = st.integers(0, 2**32)


def draw(seed: int, count: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.random((count, *SHAPE)) < rng.choice([0, 0.2, 0.8, 1], (count, 1, 1))


@BOUNDED
@given(SEEDS, st.sampled_from(DIALECTS))
def test_runs_count_what_pixels_count(seed: int, dialect: Dialect) -> None:
    masks = draw(seed, 4)
    cells = pd.Series([encode(mask, dialect) for mask in masks])
    edges, problems = read_masks(cells, "masks", SHAPE, dialect)
    assert problems == []
    assert [count_pixels(each) for each in edges] == [mask.sum() for mask in masks]
    for mask, each in zip(masks, edges, strict=True):
        assert count_shared(each, edges).tolist() == [(mask & other).sum() for other in masks]


@BOUNDED
@given(SEEDS)
def test_masks_overlap_where_a_pixel_is_in_two_of_them(seed: int) -> None:
    rng = np.random.default_rng(seed)
    masks = rng.integers(0, 4, SHAPE) == np.arange(1, 4)[:, None, None]
    masks[0] |= rng.random(SHAPE) < rng.choice([0, 0.05])
    edges, _ = read_masks(pd.Series([encode(mask, "usual") for mask in masks]), "masks", SHAPE, "usual")
    assert overlap_themselves(edges) == (masks.sum(axis=0) > 1).any()


def test_runs_that_touch_each_other_are_read_as_they_are() -> None:
    (edges,), problems = read_masks(pd.Series(["1 2 3 2"]), "masks", SHAPE, "usual")
    assert problems == []
    assert count_shared(np.array([1, 3]), [edges]).tolist() == [2]
    assert count_shared(edges, [np.array([1, 3])]).tolist() == [2]


def test_everything_wrong_with_a_column_is_told_by_id() -> None:
    cells = pd.Series({"a": "3 2", "b": "3 2 7", "c": "20 2", "d": "x"})
    _, problems = read_masks(cells, "submission, column y", SHAPE, "usual")
    assert {problem.where for problem in problems} == {"submission, column y"}
    text = " ".join(problem.found for problem in problems)
    assert all(name in text.split() for name in ("b", "c", "d"))


def test_arguments_that_make_no_sense_are_manifest_errors() -> None:
    cells = pd.Series(["1 2"])
    with pytest.raises(ManifestError, match=r"metric.args.dialect: usal\n.*did you mean usual"):
        read_masks(cells, "masks", SHAPE, "usal")
    for shape in [(0, 4), (4,), (4, 4, 3)]:
        with pytest.raises(ManifestError, match=r"metric.args.shape: .*; expected a height and a width"):
            read_masks(cells, "masks", shape, "usual")
