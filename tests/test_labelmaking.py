from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kagkit.foundation.errors import ManifestError, RunError
from kagkit.metrics.labelmaking import (
    assign_once,
    cut_ratings,
    match_shares,
    sharpen_shares,
    threshold_labels,
)

KEYS = pd.Index(["a", "b", "c"], name="id")
GIVEN = pd.DataFrame({"cat": [0.9, 0.2, 0.6], "dog": [0.7, 0.1, 0.3]}, index=KEYS)


def test_one_threshold_or_one_for_each_label() -> None:
    assert threshold_labels(GIVEN, GIVEN, at=0.6)["cat"].tolist() == [1, 0, 1]
    assert threshold_labels(GIVEN, GIVEN, at={"dog": 0.1, "cat": 0.7}).to_numpy().tolist() == [
        [1, 1],
        [0, 1],
        [0, 1],
    ]


def test_a_row_has_the_least_and_the_most_labels_it_may_have() -> None:
    told = threshold_labels(GIVEN, GIVEN, at=0.6, least=1, most=1, into="Target")
    assert told["Target"].to_dict() == {"a": "cat", "b": "cat", "c": "cat"}
    assert threshold_labels(GIVEN, GIVEN, at=0.95, into="Target")["Target"].tolist() == ["", "", ""]


def test_rows_are_found_by_key_and_no_others_are_made() -> None:
    rows = pd.DataFrame(index=pd.Index(["c", "a"], name="id"))
    assert threshold_labels(GIVEN, rows, at=0.7)["dog"].to_dict() == {"c": 0, "a": 1}


def test_thresholds_for_no_column_or_a_missing_one_are_refused() -> None:
    with pytest.raises(
        ManifestError, match=r"(?s)at.dogg: no such column.*did you mean dog.*nothing for dog"
    ):
        threshold_labels(GIVEN, GIVEN, at={"cat": 0.5, "dogg": 0.5})


@given(st.lists(st.integers(0, 20), min_size=1, max_size=30), st.floats(0, 1))
@settings(max_examples=50, deadline=None)
def test_a_share_is_met_as_nearly_as_equal_rows_allow(numbers: list[int], share: float) -> None:
    table = pd.DataFrame({"y": np.array(numbers) / 20})
    labels = match_shares(table, table, share=share)["y"]
    possible = [0.0, *(float((table["y"] >= level).mean()) for level in table["y"])]
    assert abs(labels.mean() - share) == pytest.approx(min(abs(one - share) for one in possible))
    assert labels.groupby(table["y"]).nunique().eq(1).all()


def test_a_share_of_each_label() -> None:
    labels = match_shares(GIVEN, GIVEN, share={"cat": 1 / 3, "dog": 2 / 3})
    assert labels.sum().tolist() == [1, 2]
    with pytest.raises(ManifestError, match="numbers from 0 to 1"):
        match_shares(GIVEN, GIVEN, share=1.5)


def test_sharpened_probabilities_have_the_wanted_mean_and_their_order() -> None:
    sharp = sharpen_shares(GIVEN, GIVEN, share={"cat": 0.25, "dog": 0.6})
    assert sharp.mean().tolist() == pytest.approx([0.25, 0.6])
    assert sharp.rank().equals(GIVEN.rank())
    with pytest.raises(RunError, match="no power gives the wanted share"):
        sharpen_shares(GIVEN.round(), GIVEN, share=0.3)


def test_cut_points_make_ratings() -> None:
    table = pd.DataFrame({"prediction": [-1.0, 0.5, 1.49, 9.0]})
    assert cut_ratings(table, table, cuts=[1.5, 0.5], first=1, into="grade")["grade"].tolist() == [1, 2, 2, 3]
    with pytest.raises(RunError, match="one column"):
        cut_ratings(GIVEN, GIVEN, cuts=[0.5])


def test_labels_are_given_once_in_each_group_for_the_largest_sum() -> None:
    keys = pd.MultiIndex.from_tuples([("f1", "x"), ("f2", "x"), ("f1", "y")], names=["frame", "box"])
    scores = pd.DataFrame({"V1": [0.9, 0.1, 0.8], "V2": [0.7, 0.2, 0.1], "H1": [0.0, 0.0, 0.0]}, index=keys)
    labels = assign_once(scores, pd.DataFrame(index=keys), group="frame", into="who")
    assert labels["who"].tolist() == ["V2", "V2", "V1"]


def test_a_crowded_group_and_a_group_that_is_no_column_are_refused() -> None:
    rows = pd.DataFrame({"frame": ["f", "f", "f"]}, index=KEYS)
    with pytest.raises(RunError, match="more rows than the 2 labels in f"):
        assign_once(GIVEN, rows, group="frame", into="who")
    with pytest.raises(ManifestError, match="did you mean frame"):
        assign_once(GIVEN, rows, group="fram", into="who")
