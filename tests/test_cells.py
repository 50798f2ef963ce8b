from __future__ import annotations

import io

import numpy as np
import pandas as pd
import pytest

from kagkit.formats.cells import Fault, cell_text, column_problems, declared_words, fault_problems
from kagkit.foundation.errors import ManifestError


def test_a_column_is_the_same_text_however_pandas_took_its_cells() -> None:
    for text in ("id,mask\na,-1\nb,-1\n", "id,mask\na, -1\nb,\n", "id,mask\na,-1\nb,3 4\n"):
        column = pd.read_csv(io.StringIO(text))["mask"]
        assert cell_text(column[0]) == "-1"
    assert cell_text(pd.Series([3, None], dtype="Int64")[1]) == ""


@pytest.mark.parametrize("cell", [0.5, float("inf"), True, np.True_, ["1"], b"1", object()])
def test_what_is_neither_text_nor_a_whole_number_is_no_cell(cell: object) -> None:
    assert cell_text(cell) is None


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "labels: none declared; expected at least one"),
        (["a", ""], "labels: not words: ''"),
        (["a", None, 0.5], r"labels: not words: None, 0\.5"),
        (["1", 1], "labels: declared twice: 1"),
        (["a b", "c"], "labels: words with spaces: a b"),
    ],
)
def test_words_that_cannot_be_declared_are_told(words: list[object], message: str) -> None:
    with pytest.raises(ManifestError, match=message):
        declared_words(words, "labels", spaces=False)


def test_every_fault_of_a_declaration_is_told() -> None:
    with pytest.raises(ManifestError) as caught:
        declared_words(["a b", "a b", ""], "labels", spaces=False)
    assert len(caught.value.problems) == 3


def test_words_may_have_spaces_where_no_cell_is_split_at_them() -> None:
    assert declared_words(["No finding", 3], "classes") == ["No finding", "3"]


def test_faults_of_one_kind_are_one_problem_in_order_of_the_first() -> None:
    odd, empty = Fault("odd numbers", "3 numbers", "pairs"), Fault("an empty cell")
    problems = fault_problems("Mask", [("a", odd), ("b", empty), ("c", odd)])
    assert [str(problem) for problem in problems] == [
        "Mask: odd numbers in a, c (a: 3 numbers); expected pairs",
        "Mask: an empty cell in b",
    ]


def test_columns_in_another_order_are_the_same() -> None:
    assert column_problems(pd.Index(["b", "a"]), ["a", "b"]) == []
    assert len(column_problems(pd.Index(["b", "b", "c"]), ["a", "b"])) == 3
