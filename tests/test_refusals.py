from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from kagkit.foundation.component import import_function
from kagkit.foundation.errors import SubmissionError
from kagkit.metrics import ParticipantVisibleError, accuracy, is_readable
from tests.metric_examples import table

HOSTS_FILE = '''"""
Mean absolute distance, for a competition of one target.

Your metric must have a function named score. Kaggle's evaluation system will call that function.
"""

import pandas as pd
import pandas.api.types

import numpy as np
import sklearn.metrics


class ParticipantVisibleError(Exception):
    # If you want an error message to be shown to participants, you must raise the error as this class
    pass


def score(solution: pd.DataFrame, submission: pd.DataFrame, row_id_column_name: str, power: int = 1) -> float:
    """
    >>> row_id_column_name = "id"
    >>> y = pd.DataFrame({"id": range(2), "y": [0.0, 1.0]})
    >>> score(y.copy(), y.copy(), row_id_column_name)
    0.0
    """
    del solution[row_id_column_name]
    del submission[row_id_column_name]

    if list(solution.columns) != list(submission.columns):
        raise ParticipantVisibleError(f"Expected columns {list(solution.columns)}")
    for col in submission.columns:
        if not pandas.api.types.is_numeric_dtype(submission[col]):
            raise ParticipantVisibleError(f"Submission column {col} must be a number")
    if np.isnan(submission.values).any():
        raise ValueError("the host did not think of this")

    errors = [sklearn.metrics.mean_absolute_error(solution[c], submission[c]) for c in solution.columns]
    return float(np.mean(errors) ** power)
'''


@pytest.fixture
def host_score(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., float]:
    (tmp_path / "mean_distance_metric.py").write_text(HOSTS_FILE, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    return import_function(tmp_path, "mean_distance_metric:score")


def test_a_hosts_metric_file_drops_in_unchanged(host_score: Callable[..., float]) -> None:
    assert host_score(table(y=[0, 1]), table(y=[0, 5]), "id") == 2
    assert host_score(table(y=[0, 1]), table(y=[0, 5]), "id", power=2) == 4


def test_what_a_host_says_to_participants_is_told_from_what_went_wrong(
    host_score: Callable[..., float],
) -> None:
    with pytest.raises(Exception, match="Submission column y must be a number") as said:
        host_score(table(y=[0, 1]), table(y=["a", "b"]), "id")
    assert is_readable(said.value)
    assert not isinstance(said.value, SubmissionError)
    with pytest.raises(ValueError, match="did not think of this") as failed:
        host_score(table(y=[0, 1]), table(y=[0, None]), "id")
    assert not is_readable(failed.value)


def test_an_error_derived_from_a_hosts_is_readable_too() -> None:
    host = type("ParticipantVisibleError", (ValueError,), {})
    assert is_readable(type("ShapeError", (host,), {})("wrong shape"))


@pytest.mark.parametrize("error", [KeyError("y"), SubmissionError("no"), KeyboardInterrupt()])
def test_any_other_error_is_not_readable(error: BaseException) -> None:
    assert not is_readable(error)


def test_a_fault_of_the_submission_is_readable_and_stays_a_submission_error() -> None:
    with pytest.raises(ParticipantVisibleError, match="submission: no row for r1") as caught:
        accuracy(table(y=[0, 1]), table(y=[0]), "id")
    assert caught.value.exit_code == SubmissionError.exit_code


def test_a_fault_of_the_solution_is_not_for_participants() -> None:
    solution = pd.DataFrame({"id": ["r0", "r0"], "y": [1, 1]})
    with pytest.raises(SubmissionError, match="solution: ids that come twice") as caught:
        accuracy(solution, table(y=[0, 1]), "id")
    assert not is_readable(caught.value)
