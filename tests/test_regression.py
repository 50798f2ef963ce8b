from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
import sklearn.metrics
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from kagkit.foundation.errors import SubmissionError
from kagkit.metrics import is_readable, mcrmse, r2, rmse, spearman
from tests.metric_examples import table

BOUNDED = settings(max_examples=20, deadline=None)
PAIRS = st.lists(st.tuples(*[st.integers(-5, 5)] * 2), min_size=3, max_size=20)


@BOUNDED
@given(PAIRS)
def test_r2_and_spearman_are_those_of_the_libraries(pairs: list[Any]) -> None:
    truth, guess = map(list, zip(*pairs, strict=True))
    assume(len(set(truth)) > 1)
    assert r2(table(y=truth), table(y=guess), "id") == pytest.approx(sklearn.metrics.r2_score(truth, guess))
    assume(len(set(guess)) > 1)
    expected = pd.DataFrame({"y": truth, "z": guess}).corr(method="spearman").loc["y", "z"]
    assert spearman(table(y=truth), table(y=guess), "id") == pytest.approx(expected)


@BOUNDED
@given(PAIRS, st.floats(0.1, 10), st.floats(-5, 5))
def test_spearman_sees_only_the_order_of_values(pairs: list[Any], scale: float, shift: float) -> None:
    truth, guess = map(list, zip(*pairs, strict=True))
    assume(len(set(truth)) > 1 and len(set(guess)) > 1)
    moved = [math.exp(scale * value + shift) for value in guess]
    assert spearman(table(y=truth), table(y=moved), "id") == pytest.approx(
        spearman(table(y=truth), table(y=guess), "id")
    )


def test_several_columns_score_as_the_mean_of_their_scores() -> None:
    solution, submission = table(p=[0, 1, 2], q=[1, 0, 3]), table(q=[0.9, 0.4, 0.3], p=[0.2, 0.1, 0.7])
    for metric in (r2, spearman, mcrmse):
        alone = [metric(solution[["id", name]], submission[["id", name]], "id") for name in ("p", "q")]
        assert metric(solution, submission, "id") == pytest.approx(sum(alone) / 2)


def test_mcrmse_is_the_mean_of_roots_not_the_root_of_the_mean() -> None:
    solution, submission = table(p=[0, 0], q=[0, 0]), table(p=[1, 1], q=[3, 3])
    assert mcrmse(solution, submission, "id") == rmse(solution, submission, "id") == 2
    assert math.sqrt(np.mean([1, 1, 9, 9])) != 2


@pytest.mark.parametrize("metric", [r2, spearman])
def test_a_constant_target_is_refused(metric: Any) -> None:
    with pytest.raises(SubmissionError, match="solution, column y: every row is 3") as caught:
        metric(table(y=[3, 3]), table(y=[1, 2]), "id")
    assert not is_readable(caught.value)


def test_constant_predictions_have_no_ranks_and_an_r2() -> None:
    with pytest.raises(SubmissionError, match="submission, column y: every row is 1; expected two") as caught:
        spearman(table(y=[1, 2]), table(y=[1, 1]), "id")
    assert is_readable(caught.value)
    assert r2(table(y=[1, 2, 3]), table(y=[2, 2, 2]), "id") == 0


@pytest.mark.parametrize("metric", [r2, spearman])
@pytest.mark.parametrize("cell", [math.inf, "much"])
def test_what_is_no_finite_number_is_refused(metric: Any, cell: object) -> None:
    with pytest.raises(SubmissionError, match=f"{cell} for r0; expected a finite number"):
        metric(table(y=[1, 2]), table(y=[cell, 1]), "id")
