from __future__ import annotations

import math
from typing import Any

import pytest
import sklearn.metrics
from hypothesis import given, settings
from hypothesis import strategies as st

from kagkit.foundation.errors import ManifestError, SubmissionError
from kagkit.metrics import laplace_log_likelihood, pinball
from tests.metric_examples import table

BOUNDED = settings(max_examples=20, deadline=None)
VALUES = st.floats(-1e6, 1e6)
PAIRS = st.lists(st.tuples(VALUES, VALUES), min_size=1, max_size=20)
PATIENT = table(FVC=[3000])


# --- pinball ---


@BOUNDED
@given(PAIRS, st.floats(0.01, 0.99))
def test_pinball_is_that_of_scikit_learn(pairs: list[Any], quantile: float) -> None:
    truth, guess = map(list, zip(*pairs, strict=True))
    expected = sklearn.metrics.mean_pinball_loss(truth, guess, alpha=quantile)
    assert pinball(table(y=truth), table(y=guess), "id", quantile=quantile) == pytest.approx(expected)


def test_quantile_columns_score_beside_one_column_of_values_or_beside_their_own() -> None:
    submission = table(high=[12, 22], low=[9, 21])
    quantile = {"low": 0.1, "high": 0.9}
    alone = [
        pinball(table(y=[10, 20]), table(y=submission[name]), "id", quantile=level)
        for name, level in quantile.items()
    ]
    one = pinball(table(y=[10, 20]), submission, "id", quantile=quantile)
    assert one == pytest.approx(sum(alone) / 2)
    assert pinball(table(low=[10, 20], high=[10, 20]), submission, "id", quantile=quantile) == one


def test_quantiles_that_make_no_sense_are_manifest_errors() -> None:
    with pytest.raises(ManifestError, match=r"quantile: 1.2; expected numbers between 0 and 1"):
        pinball(PATIENT, PATIENT, "id", quantile=1.2)
    both = table(low=[1], high=[2])
    with pytest.raises(ManifestError, match="quantile: high; expected a quantile for every column"):
        pinball(both, both, "id", quantile={"low": 0.1})
    with pytest.raises(SubmissionError, match="no column high"):
        pinball(table(y=[1]), table(low=[1]), "id", quantile={"low": 0.1, "high": 0.9})


# --- Laplace log likelihood ---


@pytest.mark.parametrize(
    ("guess", "sigma", "expected"),
    [
        (3100, 200, -math.sqrt(2) * 100 / 200 - math.log(math.sqrt(2) * 200)),
        (3000, 5, -math.log(math.sqrt(2) * 70)),  # the best there is
        (3000, -9, -math.log(math.sqrt(2) * 70)),
        (9000, 100, -math.sqrt(2) * 1000 / 100 - math.log(math.sqrt(2) * 100)),
    ],
)
def test_the_likelihood_has_the_bounds_of_osic(guess: float, sigma: float, expected: float) -> None:
    submission = table(Confidence=[sigma], FVC=[guess])
    assert laplace_log_likelihood(PATIENT, submission, "id") == pytest.approx(expected)
    with_one = PATIENT.assign(Confidence=math.nan)
    assert laplace_log_likelihood(with_one, submission, "id") == pytest.approx(expected)


def test_bounds_and_the_column_of_spreads_may_be_others() -> None:
    args: dict[str, Any] = {"sigma": "sd", "min_sigma": 1, "max_error": 10}
    found = laplace_log_likelihood(PATIENT, table(FVC=[2000], sd=[2]), "id", **args)
    assert found == pytest.approx(-math.sqrt(2) * 10 / 2 - math.log(math.sqrt(2) * 2))


def test_what_cannot_be_a_likelihood_is_refused() -> None:
    with pytest.raises(SubmissionError, match="submission: no column Confidence"):
        laplace_log_likelihood(PATIENT, table(FVC=[1]), "id")
    with pytest.raises(
        SubmissionError, match="submission, column Confidence: wide for r0; expected a finite"
    ):
        laplace_log_likelihood(PATIENT, table(FVC=[1], Confidence=["wide"]), "id")
    two = table(FVC=[1], FEV=[1])
    with pytest.raises(SubmissionError, match="solution: 2 columns of values; expected one"):
        laplace_log_likelihood(two, two.assign(Confidence=1), "id")
    with pytest.raises(ManifestError, match=r"metric.args.min_sigma: 0; expected a number above 0"):
        laplace_log_likelihood(PATIENT, PATIENT, "id", min_sigma=0)
