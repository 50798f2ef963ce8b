from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from kagkit.data.keys import shown, text_keys
from kagkit.foundation.errors import DataError


def test_text_stays_as_it_is_written() -> None:
    keys = ["007", "NA", "nan", "", " a", "画像_1", "None"]
    assert text_keys(keys, ["id"]).tolist() == keys


@pytest.mark.parametrize(
    "keys",
    [[7, 10], np.array([7, 10]), np.array(["7", "10"]), pd.Index([7, 10]), pd.Series(["7", "10"]), ("7", 10)],
)
def test_whole_numbers_become_text(keys: object) -> None:
    index = text_keys(keys, ["id"])
    assert index.tolist() == ["7", "10"]
    assert index.name == "id"


def test_composite_keys_that_look_alike_stay_apart() -> None:
    index = text_keys([("a", "1"), ("a", "01"), ("a", 1)], ["study", "slice"])
    assert index.tolist() == [("a", "1"), ("a", "01"), ("a", "1")]


def test_levels_are_found_by_name_not_by_place() -> None:
    index = pd.MultiIndex.from_tuples([(1, "a"), (2, "b")], names=["slice", "study"])
    assert text_keys(index, ["study", "slice"]).tolist() == [("a", "1"), ("b", "2")]


def test_no_keys_are_an_empty_index_of_the_right_kind() -> None:
    assert text_keys([], ["id"]).tolist() == []
    assert text_keys([], ["study", "slice"]).names == ["study", "slice"]


@pytest.mark.parametrize(
    ("keys", "names", "message"),
    [
        ("abc", ["id"], "a single str"),
        (None, ["id"], "a single NoneType"),
        ([1.0, 2.0], ["id"], r"1\.0, 2\.0; expected text, or whole numbers"),
        ([True], ["id"], "True"),
        ([None, "a"], ["id"], "None; expected text"),
        (pd.Index(["a", None], dtype="str"), ["id"], "nan; expected text"),
        ([("a", "1")], ["id"], "expected text"),
        (["a"], ["study", "slice"], "expected tuples of 2: study, slice"),
        ([("a",)], ["study", "slice"], "expected tuples of 2"),
        (pd.Index(["a"], name="image"), ["id"], "the index is named image; expected id"),
    ],
)
def test_what_could_be_mistaken_for_a_key_is_refused(keys: object, names: list[str], message: str) -> None:
    with pytest.raises(DataError, match=message):
        text_keys(keys, names)


def test_five_keys_are_shown_and_the_rest_counted() -> None:
    assert shown([("a", "1"), ("b", "2")]) == "(a, 1), (b, 2)"
    assert shown(["k"] * 7) == "k, k, k, k, k and 2 more"
