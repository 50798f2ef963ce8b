from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kagkit.data.drift import find_drift
from kagkit.data.parts import Pair
from kagkit.data.telling import deal, score_alone, separation
from kagkit.data.traits import nameless_columns, only_names, read_trait
from kagkit.foundation.seeds import stream

NAMES = ("stage1/train", "stage1/test")


def table(seed: int, rows: int = 150) -> pd.DataFrame:
    random = stream("drift test", seed)
    index = pd.Index([f"{seed}-{row}" for row in range(rows)], name="id")
    frame = pd.DataFrame({f"x{place}": random.normal(size=rows) for place in range(4)}, index)
    frame["colour"] = random.choice(["red", "blue", "green"], rows)
    frame["label"] = random.integers(0, 2, rows)
    return frame


def pair(one: pd.DataFrame, other: pd.DataFrame) -> Pair:
    return Pair(NAMES, (one, other), ("label",))


def test_parts_of_one_source_are_alike() -> None:
    drift = find_drift(pair(table(1), table(2)))
    assert drift.verdict == "alike"
    assert drift.together is not None
    assert drift.together.low < 0.5 < drift.together.high
    assert {each.column for each in drift.columns} == {"x0", "x1", "x2", "x3", "colour"}


def test_the_column_that_moved_is_named_first_and_its_target_apart() -> None:
    other = table(2)
    other["x2"] += 1.0
    other["label"] = 1
    drift = find_drift(pair(table(1), other))
    assert drift.verdict == "different"
    assert drift.together is not None
    assert drift.together.low > 0.55
    assert drift.columns[0].column == "x2"
    assert drift.columns[0].importance == max(each.importance for each in drift.columns)
    assert "standard deviations apart" in drift.columns[0].told
    assert [each.column for each in drift.targets] == ["label"]
    assert "mean" in drift.targets[0].told


def test_the_answer_is_the_same_whichever_part_is_first_and_whatever_the_order_of_rows() -> None:
    one, other = table(1), table(2)
    other.loc[other.index[:60], "colour"] = "violet"
    there = find_drift(pair(one, other))
    back = find_drift(Pair(NAMES[::-1], (other.iloc[::-1], one.iloc[::-1]), ("label",)))
    assert there.together == back.together
    told = [[(each.column, each.alone, each.importance) for each in drift.columns] for drift in (there, back)]
    assert told[0] == told[1]
    assert there.columns[0].told == "a value that only stage1/test has, on 40 % of its rows: violet"


def test_too_few_rows_say_so() -> None:
    drift = find_drift(pair(table(1, 8), table(2, 8)))
    assert drift.verdict == "unknown"
    assert drift.together is None


def test_a_target_that_one_part_alone_has_is_not_what_tells_them_apart() -> None:
    drift = find_drift(pair(table(1, 40), table(2, 40).drop(columns="label")))
    assert drift.only == {"stage1/train": ("label",), "stage1/test": ()}
    assert not drift.targets


def test_many_rows_of_one_patient_make_no_certainty() -> None:
    patients = stream("patients").normal(size=40)
    rows = np.repeat(patients, 50)
    second = np.repeat(np.arange(40) % 2 == 1, 50)
    keys = [f"{row}" for row in range(len(rows))]
    alone = separation(rows, deal(second, keys))
    grouped = separation(rows, deal(second, [f"p{row // 50}" for row in range(len(rows))]))
    assert grouped.high - grouped.low > 3 * (alone.high - alone.low)


def test_groups_stay_whole_and_folds_have_both_sides() -> None:
    groups = [f"g{row // 3}" for row in range(300)]
    dealt = deal(np.arange(300) % 2 == 0, groups)
    assert pd.Series(dealt.folds).groupby(groups).nunique().max() == 1
    assert dealt.is_enough()


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6), st.integers(60, 120))
def test_swapping_the_sides_of_a_column_changes_no_auc(seed: int, rows: int) -> None:
    random = stream("swap", seed)
    values = np.where(random.random((rows, 1)) < 0.1, np.nan, random.normal(size=(rows, 1)))
    second = np.arange(rows) % 2 == 0
    keys = [f"{row}" for row in range(rows)]
    found = [
        separation(score_alone(values, (False,), dealt), dealt)
        for dealt in (deal(second, keys), deal(~second, keys))
    ]
    assert found[0].auc == pytest.approx(found[1].auc)
    assert found[0].high - found[0].low == pytest.approx(found[1].high - found[1].low)


def test_intervals_hold_what_is_true_about_as_often_as_they_say() -> None:
    held = []
    for seed in range(200):
        values = stream("null", seed).normal(size=(200, 1))
        dealt = deal(np.arange(200) % 2 == 0, [f"{seed}-{row}" for row in range(200)])
        found = separation(score_alone(values, (False,), dealt), dealt)
        held.append(found.low <= 0.5)
    assert np.mean(held) > 0.95


def test_columns_are_read_for_what_they_are() -> None:
    dates = pd.Series(["2020-01-01", None])
    assert read_trait("when", [dates, dates]).kind == "date"
    assert read_trait("list", [pd.Series([[1, 2], []])]).numbers.ravel().tolist() == [2.0, 0.0]
    essays = pd.Series([f"some words {number}" for number in range(300)])
    assert read_trait("essay", [essays]).kind == "text"
    assert read_trait("mixed", [pd.Series([1, 2]), pd.Series(["1 year"])]).kind == "category"
    assert read_trait("sure", [pd.Series([True, None], dtype=object), pd.Series([1.5])]).kind == "category"
    assert read_trait("far", [pd.Series([np.inf, 1.0])]).numbers.max() == 1e300


def test_columns_that_only_name_rows_are_left_out_with_a_reason() -> None:
    frame = pd.DataFrame({"serial": range(200), "x": np.linspace(0, 1, 200)})
    assert nameless_columns(["serial", "x"], [frame, frame]) == (
        ["x"],
        {"serial": "names rows: no value stands twice"},
    )
    assert not only_names(pd.Series([f"an essay {number}" for number in range(200)]))
