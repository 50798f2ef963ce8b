from __future__ import annotations

import math
from random import Random
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kagkit.formats.longform import IdForm, join_ids, split_ids, to_long, to_wide, unique_rows
from kagkit.foundation.errors import DataError, ManifestError, SubmissionError

BOUNDED = settings(max_examples=30, deadline=None)
CLOUDS = IdForm(("image", "label"), ("Fish", "Flower", "Gravel", "Sugar"))
HEADS = st.lists(st.text("ab_.0", min_size=1, max_size=5), min_size=1, max_size=6, unique=True)


def long_table(images: list[str], form: IdForm) -> pd.Series[Any]:
    ids = [f"{image}_{name}" for image in images for name in form.classes]
    return pd.Series(range(len(ids)), pd.Index(ids, name="id"))


# --- ids ---


@BOUNDED
@given(HEADS, st.sampled_from([("x", "y"), ("1", "2"), ("a_b", "c_d_e"), ("a_b", "b_a")]))
def test_ids_are_split_and_joined_by_their_declared_classes(
    images: list[str], classes: tuple[str, ...]
) -> None:
    form = IdForm(("image", "label"), classes)
    ids = long_table(images, form).index
    keys = split_ids(ids, form)
    assert keys["label"].tolist() == list(classes) * len(images)
    assert keys["image"].tolist() == [image for image in images for _ in classes]
    assert join_ids(keys, form).tolist() == ids.tolist()


def test_an_id_is_split_at_its_last_separator_where_no_class_is_declared() -> None:
    keys = split_ids(["ID_0a1_any", "x.jpg_1"], IdForm(("image", "label")))
    assert keys.to_numpy().tolist() == [["ID_0a1", "any"], ["x.jpg", "1"]]
    assert keys.index.tolist() == ["ID_0a1_any", "x.jpg_1"]


def test_an_id_of_many_keys_is_split_from_its_end() -> None:
    form = IdForm(("video", "view", "frame"))
    keys = split_ids(["57583_000082_Endzone_7"], form).to_numpy().tolist()
    assert keys == [["57583_000082", "Endzone", "7"]]
    declared = IdForm(("game", "play", "view"), ("End_zone", "Side_line"), "_")
    assert split_ids(["57583_82_End_zone"], declared).to_numpy().tolist() == [["57583", "82", "End_zone"]]


def test_another_separator_may_be_declared() -> None:
    form = IdForm(("image", "label"), separator="::")
    assert join_ids(pd.DataFrame({"image": ["a_b"], "label": ["c_d"]}), form).tolist() == ["a_b::c_d"]


def test_ids_that_are_not_made_so_are_all_told() -> None:
    with pytest.raises(
        DataError, match=r"b\.jpg_Sugr, c, None, _Fish, 7; expected <image>_<label> with label one"
    ):
        split_ids(["a.jpg_Fish", "b.jpg_Sugr", "c", None, "_Fish", 7], CLOUDS)
    with pytest.raises(DataError, match=r"did you mean Sugar\?"):
        split_ids(["b.jpg_Sugr"], CLOUDS)
    with pytest.raises(DataError, match="ids: a_b; expected <game>_<play>_<view>"):
        split_ids(["a_b"], IdForm(("game", "play", "view")))


def test_keys_that_would_be_split_elsewhere_make_no_id() -> None:
    keys = pd.DataFrame({"image": ["a", "a_b"], "label": ["b_c", "c"]})
    with pytest.raises(SubmissionError, match=r"ids: a_b_c; .*\n.*hint: declare the classes"):
        join_ids(keys, IdForm(("image", "label")))
    with pytest.raises(SubmissionError, match=r"ids: a_Fsh; .*\n.*did you mean Fish\?"):
        join_ids(pd.DataFrame({"image": ["a"], "label": ["Fsh"]}), CLOUDS)


@pytest.mark.parametrize("key", [None, math.nan, "", 0.5, True])
def test_a_key_that_is_no_text_makes_no_id(key: object) -> None:
    keys = pd.DataFrame({"image": ["a", key], "label": "Fish"}, index=["first", "second"])
    with pytest.raises(SubmissionError, match="column image: no key in rows second"):
        join_ids(keys, CLOUDS)


def test_a_key_column_that_is_missing_is_told() -> None:
    with pytest.raises(SubmissionError, match=r"no column image\n.*did you mean imag\?"):
        join_ids(pd.DataFrame({"imag": ["a"], "label": ["Fish"]}), CLOUDS)


@pytest.mark.parametrize(
    ("form", "message"),
    [
        ({"parts": ("image",)}, "parts: image; expected two names or more"),
        ({"parts": ("image", "image")}, "parts: image, image; expected two names or more, each once"),
        ({"parts": ("image", "label"), "separator": ""}, "separator: an empty text"),
        ({"parts": ("image", "label"), "classes": ("x", "x")}, "declared twice: x"),
        ({"parts": ("image", "label"), "classes": ("any", "not_any")}, "an id of not_any also ends in _any"),
    ],
)
def test_a_form_that_makes_no_ids_is_refused(form: dict[str, Any], message: str) -> None:
    with pytest.raises(ManifestError, match=message):
        IdForm(**form)


def test_classes_may_be_declared_as_numbers() -> None:
    numbers: Any = (1, 2, 3, 4)
    assert IdForm(("image", "label"), numbers).classes == ("1", "2", "3", "4")


# --- long and wide ---


@BOUNDED
@given(HEADS, st.randoms(use_true_random=False))
def test_a_long_table_in_any_order_is_turned_wide_and_back(images: list[str], random: Random) -> None:
    long = long_table(images, CLOUDS)
    mixed = long.iloc[random.sample(range(len(long)), len(long))]
    wide = to_wide(mixed, CLOUDS)
    assert list(wide.columns) == list(CLOUDS.classes)
    assert {(image, name): wide.loc[image, name] for image in images for name in CLOUDS.classes} == {
        (image, name): long[f"{image}_{name}"] for image in images for name in CLOUDS.classes
    }
    turned = wide[random.sample(list(wide.columns), 4)].loc[random.sample(images, len(images))]
    back = to_long(turned, CLOUDS)
    assert back.index.tolist() == [f"{image}_{name}" for image in turned.index for name in CLOUDS.classes]
    assert back.to_dict() == long.to_dict()
    assert (to_wide(long, CLOUDS).dtypes == "int64").all()


def test_cells_without_a_mask_are_rows_like_any_other() -> None:
    long = pd.Series(["1 2", None, None, "3 4"], ["a_x", "a_y", "b_x", "b_y"])
    form = IdForm(("image", "label"), ("x", "y"))
    back = to_long(to_wide(long, form), form)
    assert back.index.tolist() == long.index.tolist()
    assert back.isna().tolist() == [False, True, True, False]


def test_keys_of_several_columns_stay_several_levels() -> None:
    form = IdForm(("game", "play", "view"), ("End", "Side"))
    long = pd.Series([1, 2, 3, 4], ["g_1_Side", "g_1_End", "h_1_End", "h_1_Side"])
    wide = to_wide(long, form)
    assert wide.index.names == ["game", "play"]
    assert wide.loc[("g", "1"), "Side"] == 1
    assert to_long(wide, form).to_dict() == long.to_dict()
    with pytest.raises(SubmissionError, match="index: 2 levels, named play, game; expected game, play"):
        to_long(wide.reorder_levels(["play", "game"]), form)


def test_classes_that_are_not_declared_are_those_that_occur() -> None:
    form = IdForm(("image", "label"))
    wide = to_wide(pd.Series({"a_2": 1, "a_1": 2}), form)
    assert list(wide.columns) == ["2", "1"]
    assert to_long(wide.rename(columns=int), form).to_dict() == {"a_2": 1, "a_1": 2}


def test_rows_that_are_missing_are_told_or_filled() -> None:
    long = pd.Series({"a_Fish": "1 2", "b_Sugar": "3 4"})
    with pytest.raises(
        DataError, match=r"no row for b_Fish, a_Flower, b_Flower, a_Gravel, b_Gravel and 1 more\n.*fill="
    ):
        to_wide(long, CLOUDS)
    filled = to_wide(long, CLOUDS, fill="")
    assert filled.index.tolist() == ["a", "b"]
    assert filled.to_numpy().tolist() == [["1 2", "", "", ""], ["", "", "", "3 4"]]


def test_every_fault_of_a_long_table_is_told() -> None:
    with pytest.raises(DataError, match=r"more than once: a_Fish\n.*no row for a_Flower, a_Gravel, a_Sugar"):
        to_wide(pd.Series([1, 1], ["a_Fish", "a_Fish"]), CLOUDS)


def test_every_fault_of_a_wide_table_is_told() -> None:
    wide = pd.DataFrame({"Fish": [1, 2], "Flower": 0, "Sugar": 0, "Gravl": 0}, index=["a", "a"])
    with pytest.raises(SubmissionError) as caught:
        to_long(wide, CLOUDS)
    assert [problem.found for problem in caught.value.problems] == [
        "more than once: a",
        "none for Gravel",
        "not declared: Gravl",
    ]
    assert caught.value.problems[-1].hint == "did you mean Gravel?"


# --- rows that come again ---


def test_rows_that_repeat_another_are_dropped_or_refused() -> None:
    table = pd.DataFrame({"ID": ["a", "b", "a", "c"], "Label": [0.0, math.nan, 0.0, 1.0]})
    table = pd.concat([table, table.iloc[[1]]])
    kept = unique_rows(table, ["ID"], drop_exact=True)
    assert kept["ID"].tolist() == ["a", "b", "c"]
    with pytest.raises(DataError, match=r"repeat another in every cell: a, b\n.*drop_exact=True"):
        unique_rows(table, ["ID"])


@pytest.mark.parametrize("drop", [True, False])
def test_rows_of_one_key_that_differ_are_always_refused(drop: bool) -> None:
    table = pd.DataFrame({"study": ["s", "s", "s"], "slice": [1, 1, 2], "Label": [0, 1, 0]})
    with pytest.raises(DataError, match=r"rows: different rows for s, 1$"):
        unique_rows(table, ["study", "slice"], drop_exact=drop)


def test_rows_are_unique_by_a_key_there_is() -> None:
    with pytest.raises(DataError, match=r"no column Id\n.*(one of: ID|did you mean ID)"):
        unique_rows(pd.DataFrame({"ID": ["a"]}), ["Id"])
