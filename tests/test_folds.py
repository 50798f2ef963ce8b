from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pandas.testing import assert_series_equal

from kagkit.data import choosing, dealing, folds
from kagkit.foundation.errors import DataError
from kagkit.foundation.seeds import stream
from kagkit.workspace.schemes import Scheme

KFOLD = Scheme(scheme="kfold", n=4)
STRATIFIED = Scheme(scheme="stratified", stratify="sick", n=4)
GROUP = Scheme(scheme="group", group="patient", n=4)
BOTH = Scheme(scheme="stratified_group", stratify="sick", group="patient", n=4)
TIME = Scheme(scheme="time", column="day", n=4)
SCHEMES = [KFOLD, STRATIFIED, GROUP, BOTH, TIME]


def patients(count: int = 200, first: int = 0) -> pd.DataFrame:
    number = np.arange(first, first + count)
    columns = {
        "patient": [f"p{i // 3}" for i in number],
        "sick": (number % 5 == 0).astype(int),
        "day": number // 2,
        "dose": number / 7,
    }
    return pd.DataFrame(columns, index=pd.Index([f"id{i:04}" for i in number], name="id"))


def shuffled(rows: pd.DataFrame, seed: int = 0) -> pd.DataFrame:
    return rows.iloc[stream("test", seed).permutation(len(rows))]


def dealt(values: dict[str, int]) -> pd.Series[int]:
    return pd.Series(values, name="fold", dtype="int64").rename_axis("id")


def told(caught: pytest.ExceptionInfo[DataError]) -> str:
    assert caught.value.exit_code == 3
    return str(caught.value)


# Choosing


@pytest.mark.parametrize(
    ("targets", "group", "words"),
    [
        (["sick"], None, "4 stratified folds on sick, seed 0"),
        (["dose", "sick"], None, "4 stratified folds on sick, seed 0"),
        (["dose"], None, "4 shuffled folds, seed 0"),
        (["sick"], "patient", "4 stratified group folds on sick by patient, seed 0"),
        (["dose"], "patient", "4 group folds by patient, seed 0"),
        ([], None, "4 shuffled folds, seed 0"),
    ],
)
def test_a_scheme_is_chosen_by_the_target_and_the_group(
    targets: list[str], group: str | None, words: str
) -> None:
    chosen = choosing.choose(Scheme(n=4), patients(), targets, group)
    assert choosing.describe(chosen) == words
    folds.check(dealing.make(patients(), chosen), patients(), group)


def test_a_class_that_cannot_stand_in_every_fold_or_has_gaps_is_not_stratified_on() -> None:
    rare = patients(40).assign(sick=[1] * 4 + [0] * 36)
    assert choosing.choose(Scheme(n=5), rare, ["sick"], None).scheme == "kfold"
    assert choosing.choose(Scheme(n=4), rare, ["sick"], None).scheme == "stratified"
    assert choosing.choose(Scheme(n=4), rare, ["sick"], "patient").scheme == "group"
    gaps = patients(40).assign(sick=[np.nan, *[1.0, 0.0] * 19, 1.0])
    assert choosing.choose(Scheme(), gaps, ["sick"], None).scheme == "kfold"


def test_what_is_declared_is_kept_and_the_rest_filled_in() -> None:
    rows = patients()
    assert choosing.choose(KFOLD, rows, ["sick"], "patient") == KFOLD
    assert choosing.choose(TIME, rows, ["sick"], "patient") == TIME
    assert choosing.choose(Scheme(scheme="group", n=4), rows, ["sick"], "patient") == GROUP
    assert choosing.choose(Scheme(scheme="stratified", n=4), rows, ["sick"], "patient") == STRATIFIED
    assert choosing.choose(Scheme(scheme="stratified_group", n=4), rows, ["sick"], "patient") == BOTH
    assert choosing.choose(Scheme(stratify="patient"), rows, ["sick"], None).stratify == "patient"
    own = Scheme(file="folds/own.csv")
    assert choosing.choose(own, rows, ["sick"], None) == own
    assert choosing.describe(own) == "folds from folds/own.csv"


# Making


@pytest.mark.parametrize("scheme", SCHEMES, ids=choosing.describe)
def test_folds_do_not_depend_on_the_order_of_rows(scheme: Scheme) -> None:
    made = dealing.make(patients(), scheme)
    assert made.index.is_monotonic_increasing
    assert (made.name, str(made.dtype)) == ("fold", "int64")
    assert_series_equal(dealing.make(shuffled(patients()), scheme), made)


@pytest.mark.parametrize("scheme", SCHEMES[:4], ids=choosing.describe)
def test_another_seed_makes_other_folds(scheme: Scheme) -> None:
    other = Scheme(**{**vars(scheme), "seed": 1})
    assert (dealing.make(patients(), scheme) != dealing.make(patients(), other)).any()


def test_each_scheme_keeps_its_promise() -> None:
    rows = patients()
    sizes = dealing.make(rows, KFOLD).value_counts()
    assert sizes.to_dict() == dict.fromkeys(range(4), 50)
    assert (rows.sick.groupby(dealing.make(rows, STRATIFIED)).sum() == 10).all()
    for scheme in (GROUP, BOTH):
        assert (dealing.make(rows, scheme).groupby(rows.patient).nunique() == 1).all()
    assert rows.sick.groupby(dealing.make(rows, BOTH)).sum().between(8, 12).all()


def test_keys_of_several_columns_are_dealt_alike() -> None:
    rows = patients(60)
    eyes = rows.set_index(pd.MultiIndex.from_arrays([rows.index, ["l", "r"] * 30], names=["id", "eye"]))
    made = dealing.make(shuffled(eyes), BOTH)
    assert made.index.names == ["id", "eye"]
    folds.check(made, eyes, "patient")


def test_time_folds_are_blocks_in_order_and_equal_times_stay_together() -> None:
    rows = patients(100).assign(day=lambda rows: rows.day // 7)
    made = dealing.make(rows, TIME)
    assert sorted(made.unique()) == [-1, 0, 1, 2, 3]
    assert (made.groupby(rows.day).nunique() == 1).all()
    assert made[rows.sort_values("day").index].is_monotonic_increasing
    even = dealing.make(patients(100).assign(day=range(100)), TIME)
    assert even.value_counts().to_dict() == dict.fromkeys(range(-1, 4), 20)


@pytest.mark.parametrize(
    ("rows", "scheme", "words"),
    [
        (
            patients(),
            Scheme(scheme="stratified", stratify="sik"),
            "no column sik\n    hint: did you mean sick?",
        ),
        (patients(), Scheme(scheme="group", group="patent"), "did you mean patient?"),
        (patients(), Scheme(scheme="time", column="days"), "did you mean day?"),
        (
            patients(),
            Scheme(scheme="stratified"),
            "scheme stratified needs a column\n    hint: add `stratify: NAME`",
        ),
        (patients(), Scheme(scheme="kfold", group="patient"), "patient: scheme kfold does not use it"),
        (patients(), Scheme(scheme="kfold", n=1), "n: 1; expected from 2 to the number of rows, 200"),
        (patients(3), Scheme(scheme="kfold"), "n: 5; expected from 2 to the number of rows, 3"),
        (
            patients(9),
            Scheme(scheme="group", group="patient", n=4),
            "3 groups in patient; expected at least n: 4",
        ),
        (
            patients(40).assign(sick=[1] * 3 + [0] * 37),
            Scheme(scheme="stratified", stratify="sick", n=5),
            "classes of sick with fewer than 5 rows: 1 (3)\n    hint: n: 3, or scheme: kfold",
        ),
        (
            patients(60).assign(sick=[1] * 9 + [0] * 51),
            Scheme(scheme="stratified_group", stratify="sick", group="patient", n=5),
            "classes of sick with fewer than 5 groups: 1 (3)\n    hint: n: 3, or scheme: group",
        ),
        (patients(40).assign(day=1), TIME, "no rows for fold 0, 1, 2, 3"),
        (patients(40).assign(day="soon"), TIME, "day: 40 values neither number nor ISO 8601 time"),
        (patients(), Scheme(scheme="time", column="day", gap="7d"), "gap: 7d; expected a number"),
        (
            patients().assign(day="2020-01-01"),
            Scheme(scheme="time", column="day", gap=7),
            "gap: 7; expected a number and w, d, h, min or s",
        ),
    ],
)
def test_folds_that_cannot_be_made_are_explained(rows: pd.DataFrame, scheme: Scheme, words: str) -> None:
    with pytest.raises(DataError) as caught:
        dealing.make(rows, scheme)
    assert words in told(caught)


def test_rows_without_group_or_class_are_counted_and_named_together() -> None:
    rows = patients()
    rows.loc[rows.index[:7], "patient"] = None
    rows["sick"] = rows.sick.where(rows.index != "id0009")
    with pytest.raises(DataError) as caught:
        dealing.make(rows, BOTH)
    assert "7 rows without patient: id0000, id0001, id0002, id0003, id0004 and 2 more" in told(caught)
    assert "1 row without sick: id0009" in told(caught)


# The user's own


def test_the_users_table_is_read_by_key(tmp_path: Path) -> None:
    (tmp_path / "own.csv").write_text("fold,id,note\n1,id0001,x\n0.0,id0000,y\n-1,id0002,z\n0,other,w\n")
    made = dealing.make(patients(3), Scheme(file="own.csv"), root=tmp_path)
    assert made.to_dict() == {"id0000": 0, "id0001": 1, "id0002": -1}
    with pytest.raises(DataError, match=r"own.csv: 2 rows without a fold: id0003, id0004"):
        dealing.make(patients(5), Scheme(file="own.csv"), root=tmp_path)


def test_the_users_function_gives_a_series_by_key() -> None:
    scheme = Scheme(function="mine:deal")
    made = dealing.make(shuffled(patients(4)), scheme, lambda rows: rows.sick[::-1])
    assert made.to_dict() == {"id0000": 1, "id0001": 0, "id0002": 0, "id0003": 0}
    with pytest.raises(DataError, match="mine:deal: gave ndarray; expected a Series by key"):
        dealing.make(patients(4), scheme, lambda rows: rows.sick.to_numpy())
    with pytest.raises(DataError, match=r"no fold numbers: id0001 in 0.5"):
        dealing.make(patients(2), scheme, lambda rows: pd.Series([0, 0.5], rows.index))
    with pytest.raises(DataError, match="2 rows without a fold: id0000, id0001"):
        dealing.make(patients(2), scheme, lambda rows: pd.Series([0, 1]))


def test_the_users_folds_grow_only_where_rows_are_new(tmp_path: Path) -> None:
    scheme, path = Scheme(file="own.csv"), tmp_path / "own.csv"
    path.write_text("id,fold\nid0000,0\nid0001,1\n")
    existing = dealing.make(patients(2), scheme, root=tmp_path)
    with pytest.raises(DataError, match="1 row without a fold: id0002"):
        dealing.extend(existing, patients(3), scheme, root=tmp_path)
    path.write_text("id,fold\nid0000,0\nid0001,1\nid0002,1\n")
    assert dealing.extend(existing, patients(3), scheme, root=tmp_path).to_dict()["id0002"] == 1
    path.write_text("id,fold\nid0000,1\nid0001,1\nid0002,1\n")
    with pytest.raises(DataError, match="1 row would move to another fold: id0000"):
        dealing.extend(existing, patients(3), scheme, root=tmp_path)


# Members


def test_every_row_is_validated_once_and_never_trained_on_then() -> None:
    made = pd.concat([dealing.make(patients(), KFOLD), dealt({"extra": -1})])
    valid_keys = []
    for fold in range(4):
        train, valid = dealing.members(made, fold)
        assert "extra" in train
        assert not set(train) & set(valid)
        assert set(train) | set(valid) == set(made.index)
        valid_keys += list(valid)
    assert sorted(valid_keys) == sorted(patients().index)
    train, valid = dealing.members(made, None)
    assert (len(train), len(valid)) == (201, 0)


def test_members_are_told_from_the_rows_there_are() -> None:
    made = dealt({"id0000": 0, "id0001": 1, "gone": 1})
    train, valid = dealing.members(made, 0, patients(2))
    assert (list(train), list(valid)) == (["id0001"], ["id0000"])
    with pytest.raises(DataError, match="1 row without a fold: id0002"):
        dealing.members(made, 0, patients(3))
    for fold in (2, -1):
        with pytest.raises(DataError, match=rf"{fold}; expected one of \[0, 1\]"):
            dealing.members(made, fold)


@pytest.mark.parametrize("kind", ["number", "time", "text"])
def test_a_time_fold_trains_on_the_past_less_the_gap(kind: str) -> None:
    rows = patients(100).assign(day=range(100))
    if kind != "number":
        rows["day"] = pd.Timestamp("2020-01-01") + pd.to_timedelta(rows.day, unit="D")
    if kind == "text":
        rows["day"] = rows.day.astype(str)
    scheme = Scheme(scheme="time", column="day", n=4, gap=7 if kind == "number" else "7d")
    made = dealing.make(shuffled(rows), scheme)
    train, valid = dealing.members(made, 1, rows, scheme)
    assert list(valid) == list(rows.index[40:60])
    assert list(train) == list(rows.index[:34])
    last_day = {"w": "1w", "h": "168h", "min": "10080min", "s": "604800s"}
    for gap in last_day.values() if kind != "number" else [7.0]:
        again = Scheme(scheme="time", column="day", n=4, gap=gap)
        assert list(dealing.members(made, 1, rows, again)[0]) == list(train)


def test_a_late_row_that_is_only_trained_on_is_no_past_of_a_time_fold() -> None:
    rows = patients(100).assign(day=range(100))
    made = dealing.make(rows, TIME)
    made["id0099"] = -1
    train, _ = dealing.members(made, 0, rows, TIME)
    assert list(train) == list(rows.index[:20])
    with pytest.raises(ValueError, match="needs its rows"):
        dealing.members(made, 0, None, TIME)


# Extending


@settings(max_examples=30, deadline=None)
@given(
    scheme=st.sampled_from(SCHEMES),
    kept=st.lists(st.booleans(), min_size=90, max_size=90),
    seed=st.integers(0, 9),
)
def test_extending_moves_no_old_row_parts_no_group_and_forgets_order(
    scheme: Scheme, kept: list[bool], seed: int
) -> None:
    base = dealing.make(patients(60), scheme)
    rows = patients(150)[[True] * 60 + kept]
    grown = dealing.extend(base, rows, scheme)
    assert_series_equal(grown[: len(base)], base)
    assert list(grown.index[len(base) :]) == sorted(set(rows.index) - set(base.index))
    assert_series_equal(dealing.extend(base, shuffled(rows, seed), scheme), grown)
    folds.check(grown, rows, "patient" if scheme.group else None)


@pytest.mark.parametrize("scheme", SCHEMES[:4], ids=choosing.describe)
def test_new_rows_keep_the_folds_even(scheme: Scheme) -> None:
    rows = patients(400)
    grown = dealing.extend(dealing.make(patients(100), scheme), rows, scheme)
    assert grown.value_counts().between(94, 106).all()
    if scheme.stratify:
        assert rows.sick.groupby(grown).sum().between(17, 23).all()


def test_a_new_row_joins_its_groups_fold_even_where_that_is_only_trained_on() -> None:
    base = dealt({"id0000": -1, "id0003": 1, "id0006": 0})
    grown = dealing.extend(base, patients(9), Scheme(scheme="group", group="patient", n=2))
    assert grown[patients(9).index].tolist() == [-1] * 3 + [1] * 3 + [0] * 3


def test_the_emptiest_fold_comes_first() -> None:
    base = dealt({f"id{i:04}": 0 if i < 6 else 1 for i in range(8)})
    assert dealing.extend(base, patients(12), Scheme(scheme="kfold", n=2)).value_counts().to_dict() == {
        0: 6,
        1: 6,
    }


def test_rows_that_vanished_stay_in_the_set() -> None:
    base = dealing.make(patients(40), KFOLD)
    grown = dealing.extend(base, patients(60).iloc[20:], KFOLD)
    assert_series_equal(grown[:40], base)
    assert len(grown) == 60


def test_new_rows_of_a_time_set_join_the_block_they_fall_into() -> None:
    rows = patients(100).assign(day=np.arange(100) * 10)
    base = dealing.make(rows, TIME)
    late = pd.DataFrame({"day": [9999, 405, -5]}, index=pd.Index(["late", "within", "early"], name="id"))
    grown = dealing.extend(base, pd.concat([rows, late]), TIME)
    assert grown[["late", "within", "early"]].tolist() == [3, 1, -1]
    with pytest.raises(DataError, match="none of the set's rows is there"):
        dealing.extend(base, late, TIME)


def test_extending_says_which_new_rows_lack_what_the_scheme_needs() -> None:
    rows = patients(62)
    rows.loc["id0061", "patient"] = None
    with pytest.raises(DataError, match="1 row without patient: id0061"):
        dealing.extend(dealing.make(patients(60), GROUP), rows, GROUP)


# Checking


def test_every_fault_of_a_fold_set_is_told() -> None:
    rows = patients(9)
    good = dealt(dict(zip(rows.index, [0] * 3 + [1] * 3 + [-1] * 3, strict=True)))
    folds.check(good, rows, "patient")
    torn = good.copy()
    torn["id0001"] = 3
    with pytest.raises(DataError) as caught:
        folds.check(torn.drop("id0008"), rows, "patient")
    assert "no rows in fold 2" in told(caught)
    assert "1 row without a fold: id0008" in told(caught)
    assert "1 of 3 patient in more than one fold: p0 in [0, 3]" in told(caught)
    faulty = pd.concat([good.astype(float), pd.Series({"x": 0.5, "y": -2.0, "z": np.nan, "id0000": 0.0})])
    with pytest.raises(DataError) as caught:
        folds.check(faulty.rename_axis("id"), rows, "patient")
    assert "no fold numbers: x in 0.5, y in -2.0, z in nan; expected a whole number, -1 or more" in told(
        caught
    )
    assert "1 key more than once: id0000" in told(caught)


@pytest.mark.parametrize("number", [-1, 10**12])
def test_a_set_without_a_first_fold_is_refused(number: int) -> None:
    with pytest.raises(DataError, match="no rows in fold 0"):
        folds.check(dealt({"id0000": number}), patients(1), None)


def test_a_set_may_grow_from_nothing() -> None:
    nothing = dealing.make(patients(), KFOLD)[:0]
    assert dealing.extend(nothing, patients(), KFOLD).value_counts().to_dict() == dict.fromkeys(range(4), 50)


def test_a_set_is_checked_against_the_groups_it_was_not_made_by() -> None:
    rows = patients()
    with pytest.raises(DataError, match=r"of 67 patient in more than one fold: p\d+ in \[\d, \d"):
        folds.check(dealing.make(rows, KFOLD), rows, "patient")
    with pytest.raises(DataError, match="did you mean patient"):
        folds.check(dealing.make(rows, KFOLD), rows, "patientt")


# The file

keys = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1, max_size=6).filter(
    str.strip
)


@settings(max_examples=50, deadline=None)
@given(values=st.dictionaries(st.tuples(keys, keys), st.integers(-1, 4), max_size=6))
def test_a_written_set_is_read_back_whatever_the_keys(
    tmp_path_factory: pytest.TempPathFactory, values: dict[tuple[str, str], int]
) -> None:
    path = tmp_path_factory.mktemp("folds") / "main.csv"
    index: pd.Index[Any] = pd.MultiIndex.from_tuples(list(values), names=["id", "eye"])
    if not values:
        index = pd.MultiIndex.from_arrays([pd.Index([], dtype="str")] * 2, names=["id", "eye"])
    made = pd.Series(list(values.values()), index, name="fold", dtype="int64")
    folds.write(path, made)
    assert folds.read(path, ["id", "eye"]).to_dict() == values


def test_the_file_is_what_git_likes_to_diff(tmp_path: Path) -> None:
    path = tmp_path / "folds" / "main.csv"
    folds.write(path, dealt({"b": 1, "007": 0}))
    assert path.read_bytes() == b"id,fold\n007,0\nb,1\n"
    folds.write(path, dealt({"a": 1, "NA": 0, "007": 0, "b": 1}))
    assert path.read_bytes() == b"id,fold\n007,0\nb,1\nNA,0\na,1\n"
    assert folds.read(path, ["id"]).to_dict() == {"007": 0, "b": 1, "NA": 0, "a": 1}


def test_old_rows_of_a_file_neither_move_nor_vanish(tmp_path: Path) -> None:
    path = tmp_path / "main.csv"
    folds.write(path, dealt({"a": 0, "b": 1, "c": 0}))
    before = path.read_bytes()
    with pytest.raises(DataError) as caught:
        folds.write(path, dealt({"a": 1, "b": 1, "d": 0}))
    assert "main.csv: 1 row would be lost: c" in told(caught)
    assert "main.csv: 1 row would move to another fold: a" in told(caught)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (
            "id,fold\na,0\n\nb,x\nc,1.5\n",
            "main.csv line 4, 5: no fold number; expected a whole number, -1 or more",
        ),
        ('id,fold\n"a\nb",0\nc,-2\n', "main.csv line 4: no fold number"),
        ("id,fold\na,0\nb,\n", "main.csv line 3: no fold number"),
        ("id,fold\na,0\nb,1\na,1\n", "main.csv line 4: a key that is there before; expected every key once"),
        ("id,fold\na,0\n ,1\n", "main.csv line 3: a blank key"),
        ("id,fold\na,0,1\n", "main.csv line 2: more cells than the 2"),
        ("id,fld\na,0\n", "no column fold\n    hint: did you mean fld?"),
        ("fold,id\n0,a\n", "main.csv line 1: fold,id; expected id,fold"),
        ("", "an empty file"),
    ],
)
def test_a_damaged_file_is_told_by_line(tmp_path: Path, content: str, words: str) -> None:
    path = tmp_path / "main.csv"
    path.write_text(content)
    with pytest.raises(DataError) as caught:
        folds.read(path, ["id"])
    assert words in told(caught)


def test_only_a_csv_is_a_fold_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"main.parquet: not a .csv"):
        folds.read(tmp_path / "main.parquet", ["id"])
    with pytest.raises(DataError, match=r"main.csv: no such file"):
        folds.read(tmp_path / "main.csv", ["id"])
