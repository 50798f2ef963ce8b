from __future__ import annotations

import datetime
import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal

from kagkit.data import contents, rows, tables
from kagkit.data.rows import DataPaths, Part, RowRules
from kagkit.data.tables import read_table
from kagkit.foundation.errors import DataError
from kagkit.foundation.seeds import stream

TRAIN = Part("stage1", "train")
ID = RowRules(("id",))


def table(folder: Path, content: str | bytes, name: str = "train.csv") -> DataPaths:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return DataPaths(train=path, test=None)


def load(folder: Path, content: str | bytes, rules: RowRules = ID, name: str = "train.csv") -> pd.DataFrame:
    return rows.load(TRAIN, table(folder, content, name), rules).frame


def problems_of(caught: pytest.ExceptionInfo[DataError]) -> list[str]:
    assert caught.value.exit_code == 3
    return [str(problem) for problem in caught.value.problems]


# Reading


def test_keys_survive_exactly_as_written(tmp_path: Path) -> None:
    keys = ["007", "NA", "null", "1e5", " a ", "日本語", "1.0", "True", "nan", "-", 'say "hi", ok']
    lines = "".join('"' + key.replace('"', '""') + f'",{i}\n' for i, key in enumerate(keys))
    frame = load(tmp_path, "id,x\n" + lines)
    assert frame.index.tolist() == keys
    assert frame.index.name == "id"
    assert frame.index.dtype == "str"
    assert list(frame.columns) == ["x"]


def test_other_columns_are_as_pandas_reads_them(tmp_path: Path) -> None:
    frame = load(tmp_path, "id,n,f,s\nNA,1,0.5,NA\nb,2,,x\n")
    assert [str(kind) for kind in frame.dtypes] == ["int64", "float64", "str"]
    assert frame.s.isna().tolist() == [True, False]


@pytest.mark.parametrize("bom", ["", "\ufeff"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("name", ["t.csv", "t.tsv", "t.csv.gz"])
def test_marks_line_ends_packing_and_spaces_in_the_header_do_not_matter(
    tmp_path: Path, bom: str, end: str, name: str
) -> None:
    separator = "\t" if name == "t.tsv" else ","
    content = (bom + f"id{separator} EncodedPixels{end}007{separator}1 2{end}").encode()
    frame = load(tmp_path, gzip.compress(content) if name.endswith("gz") else content, name=name)
    assert frame.EncodedPixels.to_dict() == {"007": "1 2"}


def test_parquet_may_hold_the_key_as_a_column_or_as_the_index(tmp_path: Path) -> None:
    frame = pd.DataFrame({"id": [7, 8], "x": [0.5, 1.5]})
    frame.to_parquet(tmp_path / "a.parquet")
    frame.set_index("id").to_parquet(tmp_path / "b.parquet")
    for name in ("a.parquet", "b.parquet"):
        loaded = rows.load(TRAIN, DataPaths(tmp_path / name, None), ID).frame
        assert loaded.x.to_dict() == {"7": 0.5, "8": 1.5}


def test_the_test_part_reads_the_test_table(tmp_path: Path) -> None:
    paths = DataPaths(train=None, test=table(tmp_path, "id\na\n").train)
    assert rows.load(Part("stage1", "test"), paths, ID).frame.index.tolist() == ["a"]
    with pytest.raises(DataError, match="stage1/train: no table is declared"):
        rows.load(TRAIN, paths, ID)


def test_several_key_columns_make_a_multiindex_of_texts(tmp_path: Path) -> None:
    frame = load(tmp_path, "p,x,eye\n01,1,NA\n01,2,r\n", RowRules(("p", "eye")))
    assert frame.index.names == ["p", "eye"]
    assert frame.index.tolist() == [("01", "NA"), ("01", "r")]
    assert list(frame.columns) == ["x"]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "train.csv: an empty file"),
        (b"\xef\xbb\xbf\n", "train.csv: an empty file"),
        (b"id,x\n", "train.csv: no rows"),
        ("id,x\na,1\nテ,2\n".encode("cp932"), "train.csv line 3: not UTF-8"),
        (b"id,x\na,1\nb,1,2\nc,1\nd,1,2,3\n", "train.csv line 3, 5: more cells than the 2 of the header"),
        (b"id,x\na,1,9\nb,1,2\n", "train.csv line 2, 3: more cells than the 2 of the header"),
        (b"id,x,x\na,1,2\n", "more than once: x"),
        (b"id, x,x\na,1,2\n", "more than once: x"),
        (b"idd,x\na,1\n", "no column id\n  hint: did you mean idd?"),
        (b"id,x\na,1\n,2\n \t,3\n", "train.csv: id: 2 blank keys, row 2, 3"),
        (b'id,x\n"a,1\n', "train.csv: Error tokenizing"),
    ],
)
def test_a_bad_file_is_told_by_file_and_line(tmp_path: Path, content: bytes, told: str) -> None:
    with pytest.raises(DataError) as caught:
        load(tmp_path, content)
    assert told in "\n".join(problems_of(caught))
    assert str(tmp_path) not in str(caught.value)


def test_lines_are_numbered_as_an_editor_does(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"train\.csv line 5, 7: more cells"):
        load(tmp_path, 'id,x\n"a\n\nb",1\nb,1,2\nc,1\nd,1,2,3\n')


def test_places_are_told_from_the_workspace_on(tmp_path: Path) -> None:
    (tmp_path / "competition.yaml").touch()
    (tmp_path / "data").mkdir()
    with pytest.raises(
        DataError, match=r"^the rows of stage1/train cannot be used\n  data/train\.csv: no rows"
    ):
        load(tmp_path / "data", "id\n")


def test_missing_damaged_and_foreign_files_are_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"gone\.csv: no such file"):
        tables.read_table(tmp_path / "gone.csv")
    for name, content in [("t.csv.gz", gzip.compress(b"id\n" + b"a\n" * 999)[:-12]), ("t.parquet", b"PAR1")]:
        with pytest.raises(DataError, match=rf"{name}: damaged, or not what its suffix says"):
            load(tmp_path, content, name=name)
    with pytest.raises(DataError, match=r"t\.xlsx: not a table by its suffix; expected \.csv"):
        load(tmp_path, b"", name="t.xlsx")


# Keys


def test_repeated_keys_are_told_with_five_samples_and_their_count(tmp_path: Path) -> None:
    lines = "".join(f"k{i},{j}\n" for i in range(7) for j in range(2))
    with pytest.raises(DataError, match="7 keys on more than one row: k0, k1, k2, k3, k4 and 2 more"):
        load(tmp_path, "id,x\n" + lines)


def test_exact_copies_are_dropped_and_counted_when_asked(tmp_path: Path) -> None:
    rules = RowRules(("id",), duplicates="drop_exact")
    loaded = rows.load(TRAIN, table(tmp_path, "id,x\na,1\nb,\nb,\na,1\nc,3\n"), rules)
    assert (loaded.frame.index.tolist(), loaded.dropped) == (["a", "b", "c"], 2)
    with pytest.raises(DataError, match="1 key on more than one row: a"):
        rows.load(TRAIN, table(tmp_path, "id,x\na,1\na,1\na,2\n"), rules)


def test_copies_are_found_among_lists_and_long_arrays() -> None:
    long, longer = np.zeros(5000), np.zeros(5000)
    longer[2500] = 1
    rules = RowRules(("id",), duplicates="drop_exact")

    def loading(*cells: object) -> rows.Loader:
        return lambda *_: pd.DataFrame({"id": ["a", "a"], "x": pd.Series(cells, dtype=object)})

    assert rows.load(TRAIN, DataPaths(None, None), rules, loading([1], [1])).dropped == 1
    with pytest.raises(DataError, match="1 key on more than one row"):
        rows.load(TRAIN, DataPaths(None, None), rules, loading(long, longer))


def test_all_problems_are_told_at_once() -> None:
    def load_rows(*_: object) -> pd.DataFrame:
        frame = pd.DataFrame([["a", 1, 2], [None, 1, 2]], columns=["id", "x", "x"])
        return frame.rename_axis(columns=None).set_axis(["id", "x", "x"], axis=1)

    with pytest.raises(DataError) as caught:
        rows.load(TRAIN, DataPaths(None, None), RowRules(("id", "eye")), load_rows)
    told = "\n".join(problems_of(caught))
    assert "load_rows(stage1/train): column names that are there more than once: x" in told
    assert "no column eye" in told
    assert "id: 1 blank key, row 2" in told


# Loaders


def by_loader(frame: object, rules: RowRules = ID) -> pd.DataFrame:
    return rows.load(TRAIN, DataPaths(None, None), rules, lambda *_: frame).frame


def test_a_loader_may_give_the_key_as_index_or_as_columns() -> None:
    frame = pd.DataFrame({"id": ["b", "a"], "x": [1, 2]})
    assert_frame_equal(by_loader(frame), by_loader(frame.set_index("id")))
    assert_frame_equal(by_loader(frame[frame.x > 0]), by_loader(frame))
    assert by_loader(frame.astype({"id": object})).index.dtype == "str"
    assert by_loader(frame.astype({"id": "category"})).index.tolist() == ["b", "a"]


def test_a_loader_is_given_the_part_and_its_paths(tmp_path: Path) -> None:
    seen: list[object] = []

    def load_rows(part: Part, data: DataPaths) -> pd.DataFrame:
        seen.extend((part, data))
        return pd.DataFrame({"id": ["a"]})

    paths = DataPaths(tmp_path / "a", None, (tmp_path / "images",))
    rows.load(TRAIN, paths, ID, load_rows)
    assert seen == [TRAIN, paths]


def test_whole_numbers_become_the_text_that_a_file_would_show() -> None:
    assert by_loader(pd.DataFrame({"id": [892, 12]})).index.tolist() == ["892", "12"]


@pytest.mark.parametrize(
    ("returned", "told"),
    [
        (None, "returned NoneType; expected a DataFrame"),
        (pd.DataFrame({"x": [1]}), "no column id"),
        (pd.DataFrame({"x": [1]}, index=pd.Index(["a"])), "no column id"),
        (pd.DataFrame({"id": ["a"]}).set_index("id", drop=False), "id: index and column at once"),
        (pd.DataFrame({"id": [1.0]}), "id: a key of kind floating; expected text or whole numbers"),
        (pd.DataFrame({"id": ["a", 1]}), "id: a key of kind mixed-integer"),
        (pd.DataFrame({"id": ["a"], 0: [1]}), "column names that are not text: 0"),
        (pd.DataFrame({"id": []}), "no rows"),
    ],
)
def test_a_loader_that_gives_no_keyed_table_is_refused(returned: object, told: str) -> None:
    with pytest.raises(DataError) as caught:
        by_loader(returned)
    assert told in "\n".join(problems_of(caught))


def test_the_exception_of_a_loader_is_let_through() -> None:
    def load_rows(*_: object) -> pd.DataFrame:
        raise ZeroDivisionError("mine")

    with pytest.raises(ZeroDivisionError, match="mine"):
        rows.load(TRAIN, DataPaths(None, None), ID, load_rows)


# Targets


def test_targets_are_what_only_train_has_and_what_is_submitted_in_train_order() -> None:
    train = pd.DataFrame(columns=["y2", "age", "y1", "shown"])
    test = pd.DataFrame(columns=["age", "shown"])
    assert rows.find_targets(train, test, [], ["shown", "absent"]) == ("y2", "y1", "shown")
    assert rows.find_targets(train, None, [], ["y1"]) == ("y1",)
    with pytest.raises(DataError, match=r"target shwon: no such column\n.*did you mean shown"):
        rows.find_targets(train, test, ["shwon"], [])


def test_declared_targets_never_show_predict_the_submissions_own() -> None:
    train = pd.DataFrame(columns=["y", "age", "z", "extra"])
    test = pd.DataFrame(columns=["age"])
    assert rows.find_targets(train, test, ["z"], ["y"]) == ("z", "y")
    assert rows.find_targets(train, train, ["z"], ["y", "absent"]) == ("z", "y")


def test_rows_without_targets_have_every_other_column() -> None:
    frame = pd.DataFrame({"a": [1], "y": [2]})
    assert list(rows.without_targets(frame, ["y", "absent"])) == ["a"]
    assert list(frame) == ["a", "y"]


# Digest


def sample() -> pd.DataFrame:
    index = pd.Index(["a", "b", "日本"], name="id")
    columns = {
        "int": [1, 2, 3],
        "float": [0.5, np.nan, -1.0],
        "flag": [True, False, True],
        "text": ["x", None, ""],
        "time": pd.DatetimeIndex(["2020-01-01", "NaT", "2021-01-01"]),
        "class": pd.Categorical(["p", None, "q"]),
        "whole": pd.array([1, None, 3], dtype="Int64"),
        "zone": pd.DatetimeIndex(["2020-01-01", "NaT", "2021-01-01"]).tz_localize("Asia/Tokyo"),
        "list": [[1, 2.5], {"k": [None]}, None],
        "array": pd.Series([np.arange(2.0), None, np.zeros(0)], dtype=object).to_numpy(),
    }
    return pd.DataFrame(columns, index=index)


def test_the_digest_is_the_one_written_down() -> None:
    assert contents.digest(sample()) == "1641ac9f31dd872d2a1df077e9598a4fe3068a63e2633fac44954c1f37f8d9d3"


OTHER: dict[str, object] = {
    "int": 9, "float": 9.0, "flag": None, "text": "9", "time": pd.Timestamp("2009-09-09"), "class": "q",
    "whole": 9, "zone": pd.Timestamp("2009-09-09", tz="Asia/Tokyo"), "list": [9], "array": np.array([9.0]),
}  # fmt: skip


@pytest.mark.parametrize("column", list(OTHER))
@pytest.mark.parametrize("place", range(3))
def test_changing_any_cell_changes_the_digest(column: str, place: int) -> None:
    frame = sample()
    cells = frame[column].tolist()
    cells[place] = not cells[place] if column == "flag" else OTHER[column]
    changed = frame.copy()
    changed[column] = pd.Series(cells, frame.index, dtype=frame[column].dtype)
    assert list(changed.dtypes) == list(frame.dtypes)
    assert (contents.digest(changed) == contents.digest(frame)) == (column == "class" and place == 2)


def test_names_order_and_kinds_are_part_of_the_digest() -> None:
    frame = sample()
    others = [
        frame[::-1],
        frame[frame.columns[::-1]],
        frame.rename_axis("key"),
        frame.rename(index={"a": "A"}),
        frame.rename(columns={"int": "INT"}),
        frame.astype({"int": "float64"}),
        frame.astype({"int": "int32"}),
        frame.astype({"flag": "int64"}),
        frame.assign(**{"class": frame["class"].cat.reorder_categories(["q", "p"])}),
        frame.assign(**{"class": frame["class"].cat.as_ordered()}),
        frame.reset_index(),
        frame.set_index("text", append=True),
        frame.iloc[:2],
    ]
    assert len({contents.digest(one) for one in [frame, *others]}) == len(others) + 1


def test_how_pandas_stores_a_column_does_not_matter() -> None:
    import pyarrow as pa

    def same(*columns: pd.Series) -> bool:
        return len({contents.digest(pd.DataFrame({"x": column})) for column in columns}) == 1

    text = ["a", None, "日本"]
    kinds: list[Any] = ["str", "string", "string[python]", object, pd.ArrowDtype(pa.string())]
    chunked = pd.concat([pd.Series(["zz", *text[:1]], dtype="str")[1:], pd.Series(text[1:], dtype="str")])
    assert same(*(pd.Series(text, dtype=kind) for kind in kinds), chunked.reset_index(drop=True))
    assert same(*(pd.Series([1, 2], dtype=kind) for kind in ("int64", "Int64", "int64[pyarrow]", ">i8")))
    assert same(pd.Series([1.5, None], dtype="float64"), pd.Series([1.5, None], dtype="Float64"))
    assert same(pd.Series([True], dtype="bool"), pd.Series([True], dtype="boolean"))
    assert same(pd.Series([None, np.nan, pd.NA], dtype=object), pd.Series([None] * 3, dtype="str"))
    assert same(pd.Series([0.0, 1.0]), pd.Series([-0.0, 1.0]))
    assert same(pd.Series([[1, 2.0, None]]), pd.Series([(1, 2.0, np.nan)]))
    assert not same(pd.Series([1, None], dtype="Int64"), pd.Series([1.0, None]))
    assert not same(pd.Series(["ab", "c"]), pd.Series(["a", "bc"]))
    assert not same(pd.Series(["", "a"]), pd.Series([None, "a"]))


def test_a_slice_of_rows_has_the_digest_of_those_rows() -> None:
    frame = sample()
    alone = pd.DataFrame({name: frame[name].tolist()[1:] for name in ("int", "text")}, index=["b", "日本"])
    assert contents.digest(frame[["int", "text"]].iloc[1:].rename_axis(None)) == contents.digest(alone)


def test_what_has_no_canonical_spelling_is_named() -> None:
    frame = pd.DataFrame(
        {"ok": [1], "when": [datetime.date(2020, 1, 1)], "span": pd.PeriodIndex(["2020"], freq="Y")}
    )
    with pytest.raises(DataError) as caught:
        contents.digest(frame)
    assert [problem.where for problem in caught.value.problems] == ["column when", "column span"]


def test_an_empty_table_has_a_digest() -> None:
    assert contents.digest(sample().iloc[:0]) != contents.digest(pd.DataFrame())


# Cache files

cells = {
    "int64": st.integers(-(2**63), 2**63 - 1),
    "uint8": st.integers(0, 255),
    "float64": st.floats(),
    "float32": st.floats(width=32),
    "bool": st.booleans(),
    "str": st.none() | st.text(st.characters(codec="utf-8"), max_size=5),
    "category": st.none() | st.sampled_from(["a", "b"]),
    "Int64": st.none() | st.integers(-9, 9),
    "datetime64[ns]": st.none() | st.integers(0, 10**18).map(pd.Timestamp),
    "object": st.none()
    | st.lists(st.integers() | st.floats() | st.text(st.characters(codec="utf-8"), max_size=2), max_size=3),
}


@st.composite
def frames(draw: st.DrawFn) -> pd.DataFrame:
    size = draw(st.integers(0, 5))
    kinds = draw(st.lists(st.sampled_from(list(cells)), max_size=4))
    columns = {
        f"{kind} {place}": pd.Series(draw(st.lists(cells[kind], min_size=size, max_size=size)), dtype=kind)
        for place, kind in enumerate(kinds)
    }
    texts = st.text(st.characters(codec="utf-8"), max_size=3)
    levels = [draw(st.lists(texts, min_size=size, max_size=size)) for _ in range(draw(st.integers(1, 2)))]
    frame = pd.DataFrame(columns, index=range(size))
    if len(levels) == 1:
        return frame.set_index(pd.Index(levels[0], dtype="str", name="id"))
    keys = pd.DataFrame(dict(zip("pq", levels, strict=True)), dtype="str")
    return frame.set_index(pd.MultiIndex.from_frame(keys))


@settings(max_examples=50, deadline=None)
@given(frame=frames(), data=st.data())
def test_two_tables_have_one_digest_exactly_when_they_are_equal(
    frame: pd.DataFrame, data: st.DataObject
) -> None:
    names = [str(name) for name in frame if "object" not in str(name)]
    assert contents.digest(frame.copy()) == contents.digest(frame)
    if not names or frame.empty:
        return
    name = data.draw(st.sampled_from(names))
    kind, values = name.split(" ")[0], frame[name].tolist()
    values[data.draw(st.integers(0, len(frame) - 1))] = data.draw(cells[kind])
    changed = frame.assign(**{name: pd.Series(values, frame.index, dtype=kind)})
    assert (contents.digest(changed) == contents.digest(frame)) == changed.equals(frame)


@settings(max_examples=50, deadline=None)
@given(frame=frames())
def test_a_saved_table_comes_back_the_same(
    tmp_path_factory: pytest.TempPathFactory, frame: pd.DataFrame
) -> None:
    path = tmp_path_factory.mktemp("cache") / "rows.arrow"
    contents.save(frame, path)
    back = contents.read(path)
    assert_frame_equal(back, frame)
    assert contents.digest(back) == contents.digest(frame)


def test_lists_dicts_and_arrays_come_back_as_what_they_were(tmp_path: Path) -> None:
    frame = sample()
    contents.save(frame, tmp_path / "rows.arrow")
    back = contents.read(tmp_path / "rows.arrow")
    assert back["list"].tolist() == frame["list"].tolist()
    assert [type(cell) for cell in back["array"]] == [np.ndarray, type(None), np.ndarray]
    assert contents.digest(back) == contents.digest(frame)
    assert_frame_equal(back, frame)


def test_a_table_read_back_may_be_changed_without_changing_the_file(tmp_path: Path) -> None:
    frame = pd.DataFrame({"x": [1.0, 2.0], "n": [1, 2]}, index=pd.Index(["a", "b"], name="id"))
    contents.save(frame, tmp_path / "rows.arrow")
    back = contents.read(tmp_path / "rows.arrow")
    back.loc["a", "x"] = 9
    back["n"] += 1
    assert back.to_numpy().tolist() == [[9, 2], [2, 3]]
    assert_frame_equal(contents.read(tmp_path / "rows.arrow"), frame)


def test_columns_that_would_not_come_back_are_all_named(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {
            "ok": [1, 2],
            "wave": [1j, 2],
            "sparse": pd.arrays.SparseArray([0, 1]),
            "pair": [(1, 2), (3, 4)],
            "named": [{1: "a"}, {}],
            "thing": [object(), None],
            "squares": pd.Series([np.zeros((2, 2))] * 2),
            "mixed": pd.Series([np.zeros(2), [1]]),
        }
    )
    with pytest.raises(DataError) as caught:
        contents.save(frame, tmp_path / "rows.arrow")
    named = {problem.where for problem in caught.value.problems}
    assert named == {f"column {name}" for name in frame.columns[1:]}
    assert "JSON values or 1-D arrays" in str(caught.value)
    assert not list(tmp_path.iterdir())
    with pytest.raises(DataError, match="index id: values of kind object"):
        contents.save(
            frame[["ok"]].set_index(pd.Index(["a", "b"], dtype=object, name="id")), tmp_path / "rows.arrow"
        )


@pytest.mark.parametrize("damage", [b"", b"ARROW1", b"id,x\n"])
def test_a_damaged_cache_file_is_told(tmp_path: Path, damage: bytes) -> None:
    path = tmp_path / "rows.arrow"
    path.write_bytes(damage)
    with pytest.raises(DataError, match="no table that kagkit saved"):
        contents.read(path)
    path.unlink()
    with pytest.raises(DataError, match="no table that kagkit saved"):
        contents.read(path)


# Smoke


def test_a_smoke_subset_keeps_a_share_of_each_class_and_twenty_at_least() -> None:
    classes = ["big"] * 5000 + ["small"] * 30 + ["tiny"] * 5
    frame = pd.DataFrame({"z": 0.5, "y": classes}, index=pd.Index([f"k{i}" for i in range(5035)], name="id"))
    kept = rows.smoke_subset(frame, ["z", "y"])
    assert kept.y.value_counts().to_dict() == {"big": 50, "small": 20, "tiny": 5}
    shuffled = rows.smoke_subset(frame.iloc[stream("order").permutation(5035)], ["z", "y"])
    assert_frame_equal(shuffled.sort_index(), kept.sort_index())


def test_without_classes_all_rows_are_one_class() -> None:
    index = pd.MultiIndex.from_product([["a", "b"], map(str, range(100))], names=["p", "q"])
    assert len(rows.smoke_subset(pd.DataFrame({"y": np.linspace(0, 1, 200)}, index=index), ["y"])) == 20
    assert len(rows.smoke_subset(pd.DataFrame({"x": 0}, index=index), ())) == 20


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["a", "b", None], True),
        ([True, False], True),
        ([0.0, 1.0, None], True),
        ([0.5, 1.0], False),
        (list(range(20)), True),
        (list(range(21)), False),
        ([[1], [2]], False),
        (pd.Categorical(["a", "b"]), True),
    ],
)
def test_classes_are_few_texts_booleans_or_whole_numbers(values: object, expected: bool) -> None:
    assert rows.is_categorical(pd.Series(values)) is expected


def test_a_table_that_was_cut_off_in_its_last_line_is_refused(tmp_path: Path) -> None:
    table = tmp_path / "train.csv"
    table.write_text("id,a,b\nr1,1,2\nr2,3")
    with pytest.raises(DataError, match=r"train\.csv line 3: 2 of 3 cells, and no end of the line"):
        read_table(table, ["id"])
    table.write_text("id,a,b\nr1,1,2\nr2,3,4")
    assert read_table(table, ["id"]).to_numpy().tolist() == [["r1", 1, 2], ["r2", 3, 4]]
