from __future__ import annotations

import tempfile
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from kagkit.data.keys import text_keys
from kagkit.data.predictions import Predictions, write
from kagkit.foundation.errors import DataError

IDS = ["007", "NA", "画像", "a b", "nan", "7", "", "Ω"]
WIDE = settings(max_examples=40, deadline=None)


def keep(path: Path, output: Any, keys: Any, names: tuple[str, ...] = ("id",), **options: Any) -> Predictions:
    write(path, output, text_keys(keys, names), key_names=names, **options)
    return Predictions.open(path)


def digest(output: Any, keys: Any, names: tuple[str, ...] = ("id",)) -> str:
    with tempfile.TemporaryDirectory() as folder:
        return keep(Path(folder, "p"), output, keys, names).content_sha256()


def chunked(keys: list[Any], values: Any, sizes: list[int]) -> Iterator[tuple[list[Any], Any]]:
    start = 0
    for size in [*sizes, len(keys)]:
        if start < len(keys):
            yield keys[start : start + size], values[start : start + size]
        start += size


@st.composite
def answers(draw: st.DrawFn) -> tuple[list[str], Any]:
    """Keys, and values of any of the three kinds for them."""
    keys = draw(st.lists(st.sampled_from(IDS), min_size=1, unique=True))
    floats = draw(st.sampled_from([np.float16, np.float32, np.float64]))
    elements = hnp.from_dtype(np.dtype(floats), allow_nan=False, allow_infinity=False)
    kind = draw(st.sampled_from(["scalar", "array", "ragged"]))
    if kind == "ragged":
        lengths = [draw(st.integers(0, 3)) for _ in keys]
        return keys, [draw(hnp.arrays(floats, (length, 4), elements=elements)) for length in lengths]
    shape = () if kind == "scalar" else draw(hnp.array_shapes(min_dims=1, max_dims=3, max_side=3))
    return keys, draw(hnp.arrays(floats, (len(keys), *shape), elements=elements))


def read(predictions: Predictions, keys: Any) -> list[Any]:
    if predictions.kind("prediction") == "ragged":
        return predictions.ragged("prediction", keys)
    return list(predictions.array("prediction", keys))


@WIDE
@given(answers(), st.lists(st.integers(1, 3), max_size=3), st.randoms())
def test_what_is_written_is_read_by_key(answer: tuple[list[str], Any], sizes: list[int], random: Any) -> None:
    keys, values = answer
    asked = random.sample(keys, len(keys))
    with tempfile.TemporaryDirectory() as folder:
        predictions = keep(Path(folder, "p"), chunked(keys, values, sizes), asked)
        for key, value in zip(asked, read(predictions, asked), strict=True):
            expected = values[keys.index(key)]
            assert value.dtype == expected.dtype or not len(value)
            assert value.tobytes() == expected.tobytes()


@WIDE
@given(answers(), st.lists(st.integers(1, 3), max_size=3), st.randoms())
def test_identity_depends_on_neither_order_nor_chunks(
    answer: tuple[list[str], Any], sizes: list[int], random: Any
) -> None:
    keys, values = answer
    order = random.sample(range(len(keys)), len(keys))
    shuffled = [keys[place] for place in order]
    moved: Any = [values[place] for place in order]
    if isinstance(values, np.ndarray):
        moved = np.stack(moved)
    assert digest(iter([(keys, values)]), keys) == digest(chunked(shuffled, moved, sizes), keys)


@WIDE
@given(answers(), st.data())
def test_identity_changes_with_any_value_and_any_key(
    answer: tuple[list[str], Any], data: st.DataObject
) -> None:
    keys, values = answer
    before = digest(iter([(keys, values)]), keys)
    other_keys = [*keys[:-1], "another"]
    assert digest(iter([(other_keys, values)]), other_keys) != before
    full = [place for place in range(len(keys)) if np.size(values[place])]
    if full:
        place = data.draw(st.sampled_from(full))
        changed = [np.array(value) for value in values]
        changed[place].reshape(-1)[-1] = 0.5 if changed[place].reshape(-1)[-1] != 0.5 else 0.25
        altered = np.stack(changed) if isinstance(values, np.ndarray) else changed
        assert digest(iter([(keys, altered)]), keys) != before


def test_identity_tells_types_shapes_names_and_kinds_apart() -> None:
    keys = ["a", "b"]
    outputs: list[Any] = [
        iter([(keys, np.zeros(2))]),
        iter([(keys, np.zeros(2, np.float32))]),
        iter([(keys, {"p": np.zeros(2)})]),
        iter([(keys, np.zeros((2, 1)))]),
        iter([(keys, np.zeros((2, 2, 3)))]),
        iter([(keys, np.zeros((2, 3, 2)))]),
        iter([(keys, np.zeros((2, 6)))]),
        iter([(keys, [np.zeros((1, 1))] * 2)]),
        iter([(keys, [np.zeros((2, 1)), np.zeros((0, 1))])]),
        iter([(keys, [np.zeros((0, 1)), np.zeros((2, 1))])]),
        iter([(keys, ["ab", "c"])]),
        iter([(keys, ["a", "bc"])]),
    ]
    digests = [digest(output, keys) for output in outputs]
    assert len(set(digests)) == len(digests)
    assert digest(pd.DataFrame({"x": [1, 2], "y": [3, 4]}, index=keys), keys) == digest(
        pd.DataFrame({"y": [3, 4], "x": [1, 2]}, index=keys), keys
    )


def test_identity_reads_every_row_where_it_takes_several_chunks(tmp_path: Path) -> None:
    keys = [f"k{number:02}" for number in range(20)]
    masks = np.zeros((20, 512, 512), np.float16)
    before = keep(tmp_path / "p", iter([(keys, masks)]), keys)
    step = before.chunk_rows
    assert 1 < step < 20
    digests = {before.content_sha256()}
    for row in (0, step - 1, step, 19):
        masks[row, -1, -1] = 1
        digests.add(keep(tmp_path / "p", iter([(keys, masks)]), keys).content_sha256())
    assert len(digests) == 5


def test_an_identity_never_changes_between_releases() -> None:
    boxes = [np.array([[1, 2, 3, 4]], np.float32), np.zeros((0, 4), np.float32)]
    output = iter([(["007", "画像"], {"p": np.array([0.25, 0.5]), "text": ["", "x"], "boxes": boxes})])
    assert (
        digest(output, ["画像", "007"]) == "9d11f0746483317170387c34470e829857c91f3994c83be3c8522803a4472c19"
    )


def test_composite_keys_that_look_alike_are_two_rows(tmp_path: Path) -> None:
    keys = [("a", "1"), ("a", "01"), ("a1", "")]
    predictions = keep(tmp_path / "p", iter([(keys, np.array([1.0, 2.0, 3.0]))]), keys, ("study", "slice"))
    assert predictions.frame([("a", "01"), ("a", "1")])["prediction"].tolist() == [2.0, 1.0]
    assert predictions.keys.names == ["study", "slice"]
    assert predictions.keys.tolist() == keys


def test_a_table_may_have_unnamed_whole_number_keys_and_several_types(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {"p": [0.5, 0.25], "rle": ["", "1 2"], "n": [1, 2], "yes": [True, False]}, index=[10, 9]
    )
    predictions = keep(tmp_path / "p", frame, ["9", "10"], dtype="float32")
    back = predictions.frame(["9", "10"])
    assert back.dtypes.astype(str).tolist() == ["float32", "str", "int64", "bool"]
    assert back.to_dict("list") == {"p": [0.25, 0.5], "rle": ["1 2", ""], "n": [2, 1], "yes": [False, True]}
    assert predictions.columns == ("p", "rle", "n", "yes")


def test_one_file_holds_all_three_kinds(tmp_path: Path) -> None:
    values = {
        "p": np.array([0.5, 1.5]),
        "mask": np.ones((2, 3, 3), bool),
        "boxes": [np.zeros((0, 4)), np.ones((2, 4))],
        "found": [pd.DataFrame({"x": [1.0], "label": ["a"]}), pd.DataFrame()],
    }
    predictions = keep(tmp_path / "p", iter([(["a", "b"], values)]), ["a", "b"])
    kinds = {name: predictions.kind(name) for name in predictions.columns}
    assert kinds == {"p": "scalar", "mask": "array", "boxes": "ragged", "found": "ragged"}
    assert list(predictions.frame().columns) == ["p"]
    assert predictions.array("mask", ["b"]).shape == (1, 3, 3)
    assert [len(table) for table in predictions.ragged("found")] == [1, 0]


def test_a_chunk_may_be_a_table_found_by_its_index(tmp_path: Path) -> None:
    rows = pd.DataFrame({"p": [1.0, 2.0]}, index=["a", "b"])
    predictions = keep(tmp_path / "p", iter([(["b", "a"], rows)]), ["a", "b"])
    assert predictions.array("p", ["a", "b"]).tolist() == [1.0, 2.0]


def test_a_chunk_may_be_a_table_without_index_in_the_order_of_the_keys(tmp_path: Path) -> None:
    predictions = keep(tmp_path / "p", iter([(["b", "a"], pd.DataFrame({"p": [1.0, 2.0]}))]), ["a", "b"])
    assert predictions.array("p", ["a", "b"]).tolist() == [2.0, 1.0]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_chunks_without_entries_take_the_type_of_those_that_have_some(tmp_path: Path, dtype: Any) -> None:
    some = np.ones((2, 4), dtype)
    entries = [np.zeros((0, 4)), np.zeros((0, 4)), some, np.zeros((0, 4))]
    keys = ["a", "b", "c", "d"]
    one_by_one = ((key, entry) for key, entry in zip(keys, entries, strict=True))
    predictions = keep(tmp_path / "p", (([key], [entry]) for key, entry in one_by_one), keys)
    assert [entry.dtype for entry in predictions.ragged("prediction")] == [dtype] * 4
    assert predictions.content_sha256() == digest(iter([(keys, entries)]), keys)
    assert [path.name for path in tmp_path.iterdir()] == ["p"]


def test_no_entries_at_all_keep_their_width(tmp_path: Path) -> None:
    predictions = keep(
        tmp_path / "p", iter([(["a"], [np.zeros((0, 4))]), (["b"], [np.zeros((0, 4))])]), ["a", "b"]
    )
    assert [entry.shape for entry in predictions.ragged("prediction")] == [(0, 4), (0, 4)]


def test_no_rows_asked_for_are_a_file_without_rows(tmp_path: Path) -> None:
    predictions = keep(tmp_path / "p", pd.DataFrame({"p": pd.Series(dtype=float)}), [])
    assert predictions.frame().shape == (0, 1)
    assert [len(keys) for keys, _ in predictions.iterate(3)] == [0]


def test_an_empty_last_chunk_has_no_say(tmp_path: Path) -> None:
    predictions = keep(tmp_path / "p", iter([(["a"], np.ones((1, 2), np.float32)), ([], np.zeros(0))]), ["a"])
    assert predictions.array("prediction").shape == (1, 2)


def test_iterating_gives_every_row_once_in_order(tmp_path: Path) -> None:
    keys = [f"k{number}" for number in range(7)]
    predictions = keep(tmp_path / "p", chunked(keys, np.arange(7.0), [2, 1]), keys)
    parts = list(predictions.iterate(3))
    assert [index.tolist() for index, _ in parts] == [keys[:3], keys[3:6], keys[6:]]
    assert [part.array("prediction").tolist() for _, part in parts] == [[0, 1, 2], [3, 4, 5], [6]]


def test_the_same_answer_twice_is_the_same_bytes(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    keys, mask = list("abcde"), rng.random((5, 3, 3)) > 0.5
    boxes = [rng.random((size, 4)) for size in (0, 2, 1, 0, 3)]
    one, two = (
        write(
            tmp_path / name, iter([(keys, {"mask": mask, "boxes": boxes})]), pd.Index(keys), key_names=["id"]
        )
        for name in ("one", "two")
    )
    assert one == two
    assert one.rows == 5
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_ten_thousand_masks_pass_through_little_memory(tmp_path: Path) -> None:
    rows, step = 10_000, 250
    keys = [f"k{number:05}" for number in range(rows)]
    chunks = (
        (keys[start : start + step], np.full((step, 64, 64), start / rows, np.float16))
        for start in range(0, rows, step)
    )
    usual = pa.default_memory_pool()
    pool = pa.proxy_memory_pool(usual)
    pa.set_memory_pool(pool)
    tracemalloc.start()
    try:
        predictions = keep(tmp_path / "masks", chunks, keys)
        assert predictions.array("prediction", [keys[-1]])[0, 0, 0] == np.float16(0.975)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
        pa.set_memory_pool(usual)
    assert (tmp_path / "masks").stat().st_size > 80_000_000
    assert peak < 24 << 20
    assert 0 < pool.max_memory() < 24 << 20


def test_an_absent_key_is_told_and_not_filled(tmp_path: Path) -> None:
    predictions = keep(tmp_path / "p", iter([(["a", "b"], np.zeros(2))]), ["a", "b"])
    for ask in (predictions.frame, lambda keys: predictions.array("prediction", keys)):
        with pytest.raises(DataError, match="lacks 2 of 3 keys: c, d"):
            ask(["c", "a", "d"])


def test_a_column_is_asked_for_by_its_name_and_kind(tmp_path: Path) -> None:
    predictions = keep(tmp_path / "p", iter([(["a"], {"boxes": [np.ones((1, 4))], "p": np.zeros(1)})]), ["a"])
    with pytest.raises(DataError, match=r"no column boxs\n.*did you mean boxes"):
        predictions.kind("boxs")
    with pytest.raises(DataError, match="ragged; expected a scalar or an array column"):
        predictions.array("boxes")
    with pytest.raises(DataError, match="scalar; expected a ragged column"):
        predictions.ragged("p")


@pytest.mark.parametrize("damage", ["missing", "empty", "cut", "text", "other", "newer"])
def test_what_is_no_predictions_file_is_refused(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "p"
    keep(path, iter([(["a"], np.zeros(1))]), ["a"])
    whole = path.read_bytes()
    if damage == "missing":
        path.unlink()
    elif damage in ("other", "newer"):
        header = {"kagkit.predictions": '{"format": 99, "keys": ["id"]}'} if damage == "newer" else None
        table = pa.table({"id": ["a"]}).replace_schema_metadata(header)
        with pa.ipc.new_file(str(path), table.schema) as writer:
            writer.write_table(table)
    else:
        path.write_bytes({"empty": b"", "cut": whole[: len(whole) // 2], "text": b"id,p\na,0\n"}[damage])
    expected = {"missing": "no such file", "newer": "format 99"}.get(damage, "not a whole predictions file")
    with pytest.raises(DataError, match=expected) as caught:
        Predictions.open(path)
    assert str(tmp_path.parent) not in str(caught.value)


def test_a_failure_leaves_nothing_and_no_older_answer(tmp_path: Path) -> None:
    keep(tmp_path / "p", iter([(["a"], np.zeros(1))]), ["a"])

    def predict() -> Iterator[tuple[list[str], Any]]:
        yield ["a"], np.zeros(1)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        keep(tmp_path / "p", predict(), ["a"])
    assert list(tmp_path.iterdir()) == []
