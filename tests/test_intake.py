from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from kagkit.data.keys import text_keys
from kagkit.data.predictions import write
from kagkit.foundation.errors import Problem, RunError


def refused(
    folder: Path, output: Any, keys: Any = ("a", "b"), dtype: str | None = None
) -> dict[str, Problem]:
    """The problems `write` tells, by check, after a look that it left nothing behind."""
    names = ["study", "slice"] if isinstance(keys[0], tuple) else ["id"]
    with pytest.raises(RunError, match=r"p not written|cannot be kept") as caught:
        write(folder / "p", output, text_keys(keys, names), key_names=names, dtype=dtype)
    assert caught.value.exit_code == 4
    assert list(folder.iterdir()) == []
    return {problem.check: problem for problem in caught.value.problems}


def test_keys_that_lack_are_too_many_or_come_twice_are_told_together(tmp_path: Path) -> None:
    keys = [f"k{number}" for number in range(10)]
    chunks = [(["k0", "k1", "x"], np.zeros(3)), (["k1", "y", "k0"], np.zeros(3))]
    found = refused(tmp_path, iter(chunks), keys)
    assert found["missing"].found == "no prediction for 8 of 10 rows: k2, k3, k4, k5, k6 and 3 more"
    assert found["extra"].found == "keys not asked for (2): x, y"
    assert found["duplicate"].found == "keys with more than one prediction (2): k0, k1"


def test_a_table_with_a_row_twice_is_refused(tmp_path: Path) -> None:
    found = refused(tmp_path, pd.DataFrame({"p": [1.0, 2.0, 3.0]}, index=["a", "b", "a"]))
    assert "a" in found["duplicate"].found


def test_many_extra_keys_are_counted(tmp_path: Path) -> None:
    found = refused(tmp_path, iter([([f"x{n}" for n in range(9)], np.zeros(9))]))
    assert found["extra"].found == "keys not asked for (9): x0, x1, x2, x3, x4 and 4 more"


def test_composite_keys_are_shown_whole(tmp_path: Path) -> None:
    found = refused(tmp_path, iter([([("a", "01")], np.zeros(1))]), [("a", "1")])
    assert found["missing"].found.endswith("(a, 1)")
    assert found["extra"].found.endswith("(a, 01)")


def test_nan_inf_and_missing_text_are_told_by_column(tmp_path: Path) -> None:
    frame = pd.DataFrame({"p": [np.nan, 1.0], "q": [np.inf, 1.0], "rle": ["", None]}, index=["a", "b"])
    with pytest.raises(RunError) as caught:
        write(tmp_path / "p", frame, pd.Index(["a", "b"]), key_names=["id"])
    assert [(problem.where, problem.found) for problem in caught.value.problems] == [
        ("p", "rows with NaN (1): a"),
        ("q", "rows with inf (1): a"),
        ("rle", "rows with NaN (1): b"),
    ]


def test_nan_is_counted_over_chunks(tmp_path: Path) -> None:
    keys = [f"k{number}" for number in range(8)]
    bad = np.full((2, 3, 3), np.nan)
    found = refused(tmp_path, ((keys[start : start + 2], bad) for start in range(0, 8, 2)), keys)
    assert found["nan"].found == "rows with NaN (8): k0, k1, k2, k3, k4 and 3 more"


def test_a_number_beyond_the_kept_type_says_how_to_keep_it(tmp_path: Path) -> None:
    found = refused(tmp_path, iter([(["a", "b"], np.array([1.0, 1e6]))]), dtype="float16")
    assert "float16 ends at 65504; keep larger numbers with save: {dtype: float64}" in found["inf"].hint


@pytest.mark.parametrize(
    ("second", "told"),
    [
        (np.zeros(1, np.float32), "chunk 2: prediction: float32; expected float64"),
        (np.zeros((1, 2)), r"chunk 2: prediction: float64\[2\]; expected float64"),
        (["text"], "chunk 2: prediction: text; expected float64"),
        ([np.zeros((0, 2))], r"chunk 2: prediction: list<float64\[2\]>; expected float64"),
        ({"q": np.zeros(1)}, "chunk 2: columns: q; expected prediction"),
    ],
)
def test_chunks_that_differ_from_those_before_are_refused(tmp_path: Path, second: Any, told: str) -> None:
    problem = refused(tmp_path, iter([(["a"], np.zeros(1)), (["b"], second)]))["changed"]
    assert re.search(told, str(problem))


def test_entries_of_another_width_are_refused(tmp_path: Path) -> None:
    found = refused(tmp_path, iter([(["a"], [np.ones((1, 4))]), (["b"], [np.ones((1, 5))])]))
    assert str(found["changed"]).startswith(
        "chunk 2: prediction: list<float64[5]>; expected list<float64[4]>"
    )


@pytest.mark.parametrize("values", [np.zeros(3), pd.DataFrame({"p": [1.0] * 3}), [np.zeros((1, 4))] * 3])
def test_a_chunk_of_other_length_than_its_keys_is_refused(tmp_path: Path, values: Any) -> None:
    found = refused(tmp_path, iter([(["a", "b"], values)]))
    assert set(found) == {"lengths"}
    assert found["lengths"].found == "2 keys, but values for 3"


@pytest.mark.parametrize(
    "output", [None, np.zeros(2), [0.5, 0.5], (["a", "b"], np.zeros(2)), {"p": [1, 2]}, 3]
)
def test_a_return_value_without_keys_is_explained(tmp_path: Path, output: Any) -> None:
    problem = refused(tmp_path, output)["type"]
    assert problem.found == f"returned {type(output).__name__}"
    assert "joined by key: return a DataFrame by key or yield (keys, values)" in problem.expected


def test_a_series_is_told_how_to_become_a_table(tmp_path: Path) -> None:
    assert ".to_frame()" in refused(tmp_path, pd.Series([0.5, 0.5], index=["a", "b"]))["type"].hint


def test_chunks_without_keys_are_explained_and_rows_are_not_called_missing(tmp_path: Path) -> None:
    found = refused(tmp_path, iter([np.zeros(1), np.zeros(1)]))
    assert set(found) == {"type"}
    assert "chunk 2: chunk: ndarray; expected (keys, values)" in str(found["type"])


def test_nothing_yielded_is_told(tmp_path: Path) -> None:
    assert set(refused(tmp_path, iter([]))) == {"type", "missing"}


@pytest.mark.parametrize(
    ("frame", "told"),
    [
        (pd.DataFrame(index=["a", "b"]), "no value columns"),
        (pd.DataFrame({"id": ["a", "b"], "p": [1.0, 2.0]}, index=["a", "b"]), "id is a key column"),
        (pd.DataFrame([[1.0, 2.0]] * 2, index=["a", "b"], columns=["p", "p"]), "p twice"),
        (
            pd.DataFrame({"p": [1.0, 2.0]}, index=pd.Index(["a", "b"], name="image")),
            "the index is named image",
        ),
        (pd.DataFrame({"p": [1.0, 2.0]}, index=[0.5, 1.5]), "0.5, 1.5"),
        (pd.DataFrame({"p": [[1.0], [2.0]]}, index=["a", "b"]), "cells of list"),
    ],
)
def test_a_table_that_cannot_be_kept_says_why(tmp_path: Path, frame: pd.DataFrame, told: str) -> None:
    assert told in "".join(map(str, refused(tmp_path, frame).values()))


@pytest.mark.parametrize("index", [["x", "y"], ["a", "a"], [3, 9]])
def test_a_chunk_with_an_index_that_is_not_its_keys_is_refused(tmp_path: Path, index: list[Any]) -> None:
    frame = pd.DataFrame({"p": [1.0, 2.0]}, index=index)
    assert "an index that is not the keys" in str(refused(tmp_path, iter([(["a", "b"], frame)])))


def test_an_index_that_may_or_may_not_be_the_keys_is_refused(tmp_path: Path) -> None:
    frame = pd.DataFrame({"p": [1.0, 2.0]})
    problem = refused(tmp_path, iter([(["1", "0"], frame)]), ["0", "1"])["columns"]
    assert "frame.index = keys" in problem.hint


def test_a_series_in_a_chunk_is_refused_since_it_has_an_index_of_its_own(tmp_path: Path) -> None:
    series = pd.Series([1.0, 2.0], index=["b", "a"])
    assert "indexes of their own" in str(refused(tmp_path, iter([(["a", "b"], {"p": series})])))


def test_faults_of_all_kinds_are_told_together(tmp_path: Path) -> None:
    chunks = [
        (["a"], np.array([np.nan])),
        (["b"], np.zeros((1, 2))),
        (["b"], np.zeros(2)),
        (["x"], np.array([np.inf])),
    ]
    assert set(refused(tmp_path, iter(chunks), ["a", "b", "c"])) == {
        "nan", "changed", "lengths", "inf", "extra", "duplicate", "missing"
    }  # fmt: skip


def test_a_fault_in_every_chunk_is_told_five_times_and_counted(tmp_path: Path) -> None:
    keys = [str(number) for number in range(100)]
    chunks = (([key], np.zeros(2)) for key in keys)
    with pytest.raises(RunError, match="95 more problems like these") as caught:
        write(tmp_path / "p", chunks, pd.Index(keys), key_names=["id"])
    assert len(caught.value.problems) == 6


@pytest.mark.parametrize("keys", [("1", "0"), ("a", "b")])
def test_a_table_that_was_given_no_index_is_never_joined(tmp_path: Path, keys: Any) -> None:
    problem = refused(tmp_path, pd.DataFrame({"p": [1.0, 2.0]}), keys)["type"]
    assert problem.found == "returned a DataFrame without keys"
    assert "index=rows.index" in problem.hint
