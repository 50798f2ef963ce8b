from __future__ import annotations

import math
from random import Random

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kagkit.formats.labels import to_cells, to_indicators
from kagkit.foundation.errors import DataError, ManifestError, SubmissionError

BOUNDED = settings(max_examples=30, deadline=None)
LABELS = [str(label) for label in range(6)]
SETS = st.lists(st.sets(st.sampled_from(LABELS)), max_size=6)


@BOUNDED
@given(SETS, st.randoms(use_true_random=False))
def test_cells_become_indicators_and_cells_again(sets: list[set[str]], random: Random) -> None:
    ids = [f"r{row}" for row in range(len(sets))]
    cells = pd.Series([" ".join(random.sample(sorted(each), len(each))) for each in sets], ids, dtype="str")
    table = to_indicators(cells, LABELS)
    assert list(table.columns) == LABELS
    assert [set(table.columns[row]) for row in table.to_numpy()] == sets
    turned = table[random.sample(LABELS, 6)].loc[random.sample(ids, len(ids))]
    back = to_cells(turned, LABELS)
    assert {key: back[key].split() for key in ids} == {
        key: sorted(each) for key, each in zip(ids, sets, strict=True)
    }


def test_cells_of_one_label_may_come_as_numbers() -> None:
    assert to_indicators(pd.Series({"a": 2, "b": 0}), range(3)).to_numpy().tolist() == [
        [False, False, True],
        [True, False, False],
    ]
    with_gap = to_indicators(pd.Series({"a": 2.0, "b": math.nan}), range(3))
    assert with_gap.to_numpy().tolist() == [[False, False, True], [False, False, False]]


def test_labels_keep_the_leading_zeros_they_were_declared_with() -> None:
    assert to_indicators(pd.Series({"a": "01"}), ["01", "1"]).to_numpy().tolist() == [[True, False]]


def test_every_fault_of_the_cells_is_told() -> None:
    cells = pd.Series([1, "7 1 9", "", "1 1", 0.5, "9"], ["a", "b", "c", "d", "e", "e"], name="Target")
    with pytest.raises(DataError) as caught:
        to_indicators(cells, range(6), need_one=True)
    assert [str(problem).splitlines()[0] for problem in caught.value.problems] == [
        "ids: more than once: e",
        "Target: no label in c; expected at least one",
        "Target: a label that comes twice in d (d: 1 comes 2 times); expected each label once",
        "Target: neither text nor a whole number in e; expected a cell as the host writes it",
        "Target: unknown labels 7, 9 in b, e",
    ]


def test_an_unknown_label_is_told_with_the_nearest_known() -> None:
    with pytest.raises(DataError, match=r"unknown labels tag::horse in a\n.*did you mean tag::horses\?"):
        to_indicators(pd.Series({"a": "tag::horse"}), ["tag::horses", "culture::french"])


def test_an_id_without_a_label_is_legal_unless_one_is_needed() -> None:
    table = to_indicators(pd.Series({"a": "", "b": "1"}), range(2))
    assert to_cells(table, range(2)).to_dict() == {"a": "", "b": "1"}
    with pytest.raises(SubmissionError, match="no label for a; expected at least one"):
        to_cells(table, range(2), need_one=True)


@pytest.mark.parametrize("value", [0.3, math.nan, 2, -1, "1"])
def test_a_value_that_is_neither_0_nor_1_is_refused(value: object) -> None:
    table = pd.DataFrame({"0": [0, value], "1": [1, 0]}, index=["a", "b"])
    with pytest.raises(SubmissionError, match=f"values {value} for b; expected 0 or 1\n.*threshold"):
        to_cells(table, range(2))


def test_columns_and_ids_must_be_the_declared_ones_once_each() -> None:
    table = pd.DataFrame([[0, 1, 1], [1, 0, 0]], index=["a", "a"], columns=["0", "0", "2"])
    with pytest.raises(SubmissionError) as caught:
        to_cells(table, range(2))
    assert [str(problem).splitlines()[0] for problem in caught.value.problems] == [
        "ids: more than once: a",
        "columns: more than once: 0",
        "columns: none for 1",
        "columns: not declared: 2",
    ]


def test_a_label_with_a_space_cannot_be_declared() -> None:
    with pytest.raises(ManifestError, match="words with spaces: No finding"):
        to_indicators(pd.Series({"a": "No finding"}), ["No finding"])
