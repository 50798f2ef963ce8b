from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
import sklearn.metrics
from hypothesis import given, settings
from hypothesis import strategies as st

from kagkit.foundation.errors import ManifestError, SubmissionError
from kagkit.metrics import fbeta, fbeta_rows, is_readable
from tests.metric_examples import table

BOUNDED = settings(max_examples=20, deadline=None)
NAMES = ["cat", "dog", "eel"]


def lists(flags: np.ndarray) -> list[str]:
    return [" ".join(np.array(NAMES)[row == 1]) for row in flags]


@BOUNDED
@given(st.integers(0, 2**32), st.sampled_from([0.5, 1, 2]), st.sampled_from(["samples", "macro", "micro"]))
def test_both_ways_of_telling_labels_score_as_in_scikit_learn(seed: int, beta: float, average: str) -> None:
    truth, guess = np.random.default_rng(seed).integers(0, 2, (2, 6, 3))
    expected = sklearn.metrics.fbeta_score(truth, guess, beta=beta, average=average, zero_division=0)
    one, other = (table(**dict(zip(NAMES, flags.T, strict=True))) for flags in (truth, guess))
    assert fbeta(one, other, "id", beta=beta, average=average) == pytest.approx(expected)
    one, other = (table(y=lists(flags)) for flags in (truth, guess))
    assert fbeta(one, other, "id", beta=beta, average=average, labels=NAMES) == pytest.approx(expected)


def test_f2_of_a_row_by_hand() -> None:
    solution, submission = table(y=["a b c"]), table(y=["a x"])
    assert fbeta(solution, submission, "id", beta=2) == pytest.approx(5 * 1 / (5 * 1 + 4 * 2 + 1))


@pytest.mark.parametrize("nothing", ["", None, math.nan])
def test_an_empty_cell_has_no_label_and_both_empty_score_zero_as_in_scikit_learn(nothing: object) -> None:
    solution = table(y=["a", "a", nothing, nothing])
    submission = table(y=["a", nothing, "a", nothing])
    assert fbeta_rows(solution, submission, "id")["fbeta"].tolist() == [1, 0, 0, 0]
    assert fbeta(table(y=[nothing]), table(y=[nothing]), "id") == 0


def test_labels_that_are_single_whole_numbers_survive_an_empty_cell_beside_them() -> None:
    solution = table(y=["3 7", "5"])
    submission = pd.DataFrame({"id": ["r0", "r1"], "y": [3, math.nan]})
    assert fbeta_rows(solution, submission, "id")["fbeta"].tolist() == [pytest.approx(2 / 3), 0]


def test_macro_counts_declared_labels_that_nobody_has() -> None:
    solution = table(y=["a", "b"])
    assert fbeta(solution, solution, "id", average="macro") == 1
    assert fbeta(solution, solution, "id", average="macro", labels=["a", "b", "c", "d"]) == 0.5


def test_undeclared_and_repeated_labels_of_both_tables_are_told_at_once() -> None:
    with pytest.raises(SubmissionError) as caught:
        fbeta(table(y=["a x", "b"]), table(y=["a a", "z"]), "id", labels=["a", "b"])
    told = [(problem.where, problem.found) for problem in caught.value.problems]
    assert [where for where, _ in told] == ["solution, column y", *["submission, column y"] * 2]
    assert "x in r0" in told[0][1]
    assert sorted(name in found for _, found in told[1:] for name in ("r0", "r1")) == [
        False,
        False,
        True,
        True,
    ]
    assert not is_readable(caught.value)


def test_a_participant_may_read_what_is_wrong_with_a_cell_of_the_submission() -> None:
    with pytest.raises(SubmissionError, match=r"unknown labels? z in r1") as caught:
        fbeta(table(y=["a", "b"]), table(y=["a", "z"]), "id", labels=["a", "b"])
    assert is_readable(caught.value)


def test_columns_hold_zeros_and_ones() -> None:
    solution = table(p=[0, 1], q=[1, 1])
    with pytest.raises(SubmissionError, match=r"submission, column q: 0.7 for r0; expected 0 or 1"):
        fbeta(solution, solution.assign(q=[0.7, 1]), "id")


def test_arguments_that_make_no_sense_are_manifest_errors() -> None:
    solution = table(y=["a"])
    with pytest.raises(
        ManifestError, match=r"metric.args.average: weighted\n.*one of: macro, micro, samples"
    ):
        fbeta(solution, solution, "id", average="weighted")
    with pytest.raises(ManifestError, match=r"metric.args.beta: 0; expected a number above 0"):
        fbeta(solution, solution, "id", beta=0)
    with pytest.raises(ManifestError, match="average: macro; expected samples, the only mean over rows"):
        fbeta_rows(solution, solution, "id", average="macro")
