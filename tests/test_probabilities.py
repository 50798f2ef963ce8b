from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
import sklearn.metrics
from hypothesis import given, settings
from hypothesis import strategies as st

from kagkit.foundation.errors import ManifestError, SubmissionError
from kagkit.metrics import average_precision, log_loss, log_loss_rows
from tests.metric_examples import table

BOUNDED = settings(max_examples=20, deadline=None)
KINDS = ["epidural", "subdural", "any"]


def long_form(wide: pd.DataFrame) -> pd.DataFrame:
    """One row per image and question, as RSNA's hosts ask: ID_<image>_<question>."""
    rows = wide.melt("id", var_name="kind", value_name="Label")
    return rows.assign(ID="ID_" + rows["id"] + "_" + rows["kind"])[["ID", "Label"]]


# --- weighted questions ---


@BOUNDED
@given(st.integers(0, 2**32))
def test_any_counts_double_as_the_hosts_of_rsna_say(seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth, odds = rng.integers(0, 2, (5, 3)), rng.choice([0, 0.1, 0.5, 1], (5, 3))
    clipped = odds.clip(1e-6, 1 - 1e-6)
    losses = -(truth * np.log(clipped) + (1 - truth) * np.log(1 - clipped))
    expected = (losses * np.array([1, 1, 2]) / 4).sum(axis=1).mean()
    solution = table(**dict(zip(KINDS, truth.T, strict=True)))
    submission = table(**dict(zip(KINDS, odds.T, strict=True)))
    args: dict[str, Any] = {"clip": 1e-6, "weights": {"any": 2}}
    assert log_loss(solution, submission, "id", multilabel=True, **args) == pytest.approx(expected)
    assert log_loss(long_form(solution), long_form(submission), "ID", **args) == pytest.approx(expected)


def test_weights_of_all_questions_may_be_told_in_any_unit() -> None:
    solution, submission = table(p=[1, 0], any=[1, 1]), table(p=[0.9, 0.3], any=[0.8, 0.4])
    scores = [
        log_loss(solution, submission, "id", multilabel=True, weights=weights)
        for weights in ({"any": 2}, {"p": 1, "any": 2}, {"p": 0.5, "any": 1.0})
    ]
    assert scores[0] == pytest.approx(scores[1]) == pytest.approx(scores[2])


def test_the_longer_of_two_endings_names_the_question() -> None:
    solution = pd.DataFrame({"id": ["a_any", "a_not_any"], "y": [1, 1]})
    rows = log_loss_rows(solution, solution.assign(y=0.5), "id", weights={"not_any": 3, "any": 2})
    assert rows["weight"].tolist() == [2, 3]


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({"anny": 2}, r"metric.args.weights: anny; expected questions of the solution\n.*did you mean any"),
        ({"any": 0}, r"metric.args.weights: {'any': 0}; expected numbers above 0"),
        ({"any": math.inf}, "expected numbers above 0"),
    ],
)
def test_weights_that_make_no_sense_are_manifest_errors(weights: dict[str, float], message: str) -> None:
    solution = table(p=[1, 0], any=[1, 1])
    with pytest.raises(ManifestError, match=message):
        log_loss(solution, solution, "id", multilabel=True, weights=weights)


def test_weights_that_no_id_ends_in_are_refused() -> None:
    solution = pd.DataFrame({"ID": ["a_any", "a_subdural"], "Label": [1, 0]})
    with pytest.raises(ManifestError, match="weights: epidural; expected questions of the solution"):
        log_loss(solution, solution, "ID", weights={"epidural": 2})


def test_classes_of_one_question_have_no_weights() -> None:
    solution = table(cat=[1, 0], dog=[0, 1])
    with pytest.raises(ManifestError, match=r"expected none, for classes\n.*multilabel: true"):
        log_loss(solution, solution, "id", weights={"cat": 2})


# --- average precision ---


@BOUNDED
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 4)), min_size=1, max_size=25))
def test_average_precision_is_that_of_scikit_learn(pairs: list[Any]) -> None:
    truth, guess = map(list, zip((True, 2), *pairs, strict=True))
    expected = sklearn.metrics.average_precision_score(truth, guess)
    assert average_precision(table(y=truth), table(y=guess), "id") == pytest.approx(expected)


def test_average_precision_over_columns_is_the_mean_of_theirs() -> None:
    solution, submission = table(p=[1, 0, 1], q=[0, 1, 0]), table(p=[3, 2, 1], q=[1, 2, 3])
    assert average_precision(solution, submission, "id") == pytest.approx(((1 + 2 / 3) / 2 + 1 / 2) / 2)


def test_equal_scores_are_one_step_of_the_precision() -> None:
    assert average_precision(table(y=[1, 0, 0, 0]), table(y=[7] * 4), "id") == 0.25


def test_a_column_without_a_positive_row_has_no_average_precision() -> None:
    solution = table(p=[1, 0], q=[0, 0])
    with pytest.raises(SubmissionError, match="solution, column q: every row is 0; expected rows of 1"):
        average_precision(solution, solution, "id")
