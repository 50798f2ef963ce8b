from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kagkit.foundation.errors import DataError
from kagkit.metrics.confidence import common_distances, label_distances, sure_labels

KEYS = pd.Index(["a", "b", "c"], name="id")
ROWS = pd.DataFrame({"y": [0, 1, 1], "kind": ["cat", "dog", "cat"], "note": ["p", "q", "q"]}, index=KEYS)
SHARES = pd.DataFrame({"cat": [0.9, 0.3, 0.2], "dog": [0.1, 0.7, 0.8]}, index=KEYS)


def test_distances_follow_the_keys_and_not_the_order() -> None:
    predicted = pd.DataFrame({"y": [0.25, 0.5, 1.0]}, index=["c", "a", "b"])
    assert label_distances(predicted, ROWS, ["y"]).to_dict() == {"c": 0.75, "a": 0.5, "b": 0.0}


def test_a_column_for_each_class_is_as_far_as_its_label_is_improbable() -> None:
    found = label_distances(SHARES, ROWS, ["kind"])
    assert found.to_dict() == pytest.approx({"a": 0.1, "b": 0.3, "c": 0.8})
    named = label_distances(SHARES.add_prefix("kind_"), ROWS, ["kind"])
    pd.testing.assert_series_equal(found, named)


def test_a_missing_label_is_no_distance_at_all() -> None:
    gaps = ROWS.astype({"y": "float64"}).mask(ROWS["note"].eq("q") & ROWS["kind"].eq("dog"))
    assert label_distances(pd.DataFrame({"y": [0.5] * 3}, index=KEYS), gaps, ["y"]).isna().tolist()[1]
    assert label_distances(SHARES, gaps, ["kind"]).isna().tolist() == [False, True, False]


@pytest.mark.parametrize(
    ("predicted", "targets", "column", "words"),
    [
        (pd.DataFrame({"y": [0.5] * 3}, index=KEYS), ["y", "kind"], None, "several targets: y, kind"),
        (pd.DataFrame({"y": [0.5] * 3}, index=KEYS), ["y"], "z", "no label z"),
        (pd.DataFrame({"note": ["p"] * 3}, index=KEYS), ["note"], None, "note: text"),
        (
            pd.DataFrame({"cat": [0.5] * 3}, index=KEYS),
            ["kind"],
            None,
            "a column for each of its classes: dog",
        ),
    ],
)
def test_what_cannot_be_compared_is_refused(
    predicted: pd.DataFrame, targets: list[str], column: str | None, words: str
) -> None:
    with pytest.raises(DataError, match=words):
        label_distances(predicted, ROWS, targets, column)


def test_rows_without_a_value_are_judged_alone() -> None:
    rows = pd.DataFrame({"patient": ["p", None, "p"]}, index=KEYS)
    distances = pd.Series([0.0, 0.75, 1.0], index=KEYS)
    assert common_distances(distances, rows, "patient", "max").tolist() == [1.0, 0.75, 1.0]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=30), st.floats(0.5, 0.99))
def test_sure_labels_are_those_a_submission_would_have_of_rows_sure_enough(
    chances: list[float], above: float
) -> None:
    predicted = pd.DataFrame({"y": chances}, index=[f"t{place}" for place in range(len(chances))])
    found = sure_labels(predicted, ROWS, ["y"], above)["y"]
    wanted = {f"t{n}": int(p >= 0.5) for n, p in enumerate(chances) if max(p, 1 - p) > above}
    assert found.to_dict() == wanted
    assert found.dtype == ROWS["y"].dtype


def test_the_most_likely_class_is_the_label_and_its_share_says_how_sure() -> None:
    assert sure_labels(SHARES, ROWS, ["kind"], 0.75)["kind"].to_dict() == {"a": "cat", "c": "dog"}


def test_soft_labels_are_the_predictions() -> None:
    predicted = pd.DataFrame({"y": np.array([0.25, 0.5, 0.96], dtype="float16")}, index=KEYS)
    assert sure_labels(predicted, ROWS, ["y"], soft=True)["y"].tolist() == [0.25, 0.5, 0.9599609375]
    assert list(sure_labels(predicted, ROWS, ["y"], 0.7, soft=True).index) == ["a", "c"]


def test_predictions_that_do_not_say_how_sure_they_are_are_refused() -> None:
    grades = ROWS.assign(y=[0, 3, 5])
    predicted = pd.DataFrame({"y": [0.5, 2.75, 4.0]}, index=KEYS)
    with pytest.raises(DataError, match="do not say how sure they are"):
        sure_labels(predicted, grades, ["y"], 0.9)
    with pytest.raises(DataError, match="between the labels"):
        sure_labels(predicted, grades, ["y"])
    with pytest.raises(DataError, match="a column for each class"):
        sure_labels(SHARES, ROWS, ["kind"], soft=True)
    with pytest.raises(DataError, match="predicted as text"):
        sure_labels(pd.DataFrame({"kind": ["cat"] * 3}, index=KEYS), ROWS, ["kind"], 0.9)
