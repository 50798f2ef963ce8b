from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from kagkit import metrics
from kagkit.foundation.errors import DataError, ManifestError
from kagkit.recipes.guessing import LOWER_IS_BETTER, Guess, guess
from kagkit.recipes.reading import read_asked
from tests.hosts import ROWS, small, write_files

TRAIN, TEST, SAMPLE = small()
FLAGS = [0, 1] * (ROWS // 2)
THIRDS = ["C", "CL", "D"] * (ROWS // 3)
VALUES = np.linspace(0.5, 9.7, ROWS)
CLASSES = {"kind_C": 0.3, "kind_CL": 0.3, "kind_D": 0.4}


def guessed(folder: Path, truth: dict[str, Any], sample: dict[str, Any], metric: str | None = None) -> Guess:
    """The guess for training rows with these columns of truth, and a sample submission with those targets."""
    train = TRAIN.drop(columns="y").assign(**truth)
    return guess(read_asked(write_files(folder, train, TEST, SAMPLE[["id"]].assign(**sample))), metric)


@pytest.mark.parametrize(
    ("truth", "sample", "task", "metric", "loss"),
    [
        ({"y": FLAGS}, {"y": 0}, "binary", "accuracy", "binary"),
        ({"y": FLAGS}, {"y": 0.5}, "binary", "auc", "binary"),
        ({"y": FLAGS}, {"y": 0.0}, "binary", "auc", "binary"),
        ({"y": np.array(FLAGS) == 1}, {"y": False}, "binary", "accuracy", "multiclass"),
        ({"y": np.array(FLAGS) == 1}, {"y": 0.5}, "binary", "auc", "binary"),
        ({"y": THIRDS}, {"y": "C"}, "multiclass", "accuracy", "multiclass"),
        ({"y": [3, 4, 6] * 20}, {"y": 3}, "multiclass", "accuracy", "multiclass"),
        ({"y": [3, 4, 6] * 20}, {"y": 4.5}, "regression", "rmse", "regression"),
        ({"y": range(ROWS)}, {"y": 0}, "regression", "rmse", "regression"),
        ({"y": VALUES}, {"y": 4.5}, "regression", "rmse", "regression"),
        ({"p": VALUES, "q": FLAGS}, {"p": 4.5, "q": 0.5}, "regression", "mcrmse", "regression"),
        ({"p": FLAGS, "q": 1 - np.array(FLAGS)}, {"p": 0.5, "q": 0.5}, "multiclass", "log_loss", "binary"),
        ({"p": FLAGS, "q": FLAGS}, {"p": 0, "q": 0}, "multi-label", "fbeta", "binary"),
        ({"kind": THIRDS}, CLASSES, "multiclass", "log_loss", "multiclass"),
    ],
)
def test_task_and_metric_follow_from_the_target_and_the_sample(
    truth: dict[str, Any], sample: dict[str, Any], task: str, metric: str, loss: str, tmp_path: Path
) -> None:
    found = guessed(tmp_path, truth, sample)
    assert (found.task, found.metric, found.loss) == (task, metric, loss)


def test_every_guess_has_its_reason(tmp_path: Path) -> None:
    found = guessed(tmp_path, {"y": THIRDS}, {"y": "C"})
    assert found.because_task == "y has 3 values, C, CL, D"
    assert found.because_metric == "the sample shows labels"
    assert (
        guessed(tmp_path, {"y": range(ROWS)}, {"y": 0}).because_task == "y holds 60 different whole numbers"
    )


def test_auc_of_several_targets_is_guessed_where_no_fold_can_lack_a_value(tmp_path: Path) -> None:
    rare = guessed(tmp_path, {"p": FLAGS, "q": FLAGS}, {"p": 0.5, "q": 0.5})
    assert (rare.metric, rare.args) == ("log_loss", {"multilabel": True})
    train, test, sample = (pd.concat([table] * 4) for table in (TRAIN, TEST, SAMPLE))
    train, test, sample = (table.assign(id=range(len(table))) for table in (train, test, sample))
    often = write_files(tmp_path, train.assign(q=train["y"]), test, sample.assign(y=0.5, q=0.5))
    assert guess(read_asked(often)).metric == "auc"


def test_a_target_with_a_value_too_rare_for_the_folds_is_not_scored_by_auc(tmp_path: Path) -> None:
    assert guessed(tmp_path, {"y": [1] * 4 + [0] * 56}, {"y": 0.5}).metric == "log_loss"
    assert guessed(tmp_path, {"y": [1] * 5 + [0] * 55}, {"y": 0.5}).metric == "auc"


@pytest.mark.parametrize(
    ("metric", "truth", "sample", "loss", "args"),
    [
        ("mae", VALUES, 0.5, "regression_l1", {}),
        ("rmsle", VALUES, 0.5, "poisson", {}),
        ("rmse", [3, 4, 6] * 20, 3, "regression", {}),
        ("quadratic_weighted_kappa", [3, 4, 6] * 20, 4.5, "multiclass", {}),
        ("quadratic_weighted_kappa", range(ROWS), 4, "multiclass", {}),
        ("f1", THIRDS, "C", "multiclass", {"average": "macro"}),
        ("f1", FLAGS, 0, "binary", {}),
        ("log_loss", FLAGS, 0, "binary", {}),
    ],
)
def test_a_named_metric_decides_what_the_target_is(
    metric: str, truth: Any, sample: Any, loss: str, args: dict[str, Any], tmp_path: Path
) -> None:
    found = guessed(tmp_path, {"y": truth}, {"y": sample}, metric)
    assert (found.metric, found.loss, found.args) == (metric, loss, args)
    assert found.because_metric == "named by --metric"


def test_log_loss_of_several_labels_is_told_that_they_are_independent(tmp_path: Path) -> None:
    found = guessed(tmp_path, {"p": FLAGS, "q": FLAGS}, {"p": 0, "q": 0}, "log_loss")
    assert found.args == {"multilabel": True}


@pytest.mark.parametrize(
    ("metric", "truth", "message"),
    [
        ("acuracy", FLAGS, r"--metric: no metric acuracy\n.*did you mean accuracy\?"),
        (
            "mean_dice",
            FLAGS,
            r"--metric: mean_dice scores masks; .*\n.*by hand, with metric: \{score: kagkit",
        ),
        ("map_at_k", FLAGS, r"init writes no recipe that makes rankings"),
        ("auc", THIRDS, r"auc does not score this: y has 3 values, C, CL, D\n.*r000, .*; expected 0 or 1"),
        ("accuracy", VALUES, r"accuracy does not score this: y holds numbers\n.*at most 100 labels"),
        ("rmsle", -VALUES, r"rmsle does not score this: y holds numbers\n.*expected a number, 0 or more"),
        ("laplace_log_likelihood", VALUES, r"does not score this: .*\n.*no column Confidence"),
    ],
)
def test_a_metric_that_does_not_fit_is_refused(metric: str, truth: Any, message: str, tmp_path: Path) -> None:
    sample = 0 if truth is not THIRDS else "C"
    with pytest.raises(ManifestError, match=message):
        guessed(tmp_path, {"y": truth}, {"y": sample}, metric)


def test_words_where_the_sample_has_numbers_are_refused_with_the_line_to_write(tmp_path: Path) -> None:
    answers = {"y": ["No", "Yes"] * (ROWS // 2)}
    with pytest.raises(DataError, match=r'table\["y"\] = \(table\["y"\] == "Yes"\).astype\(int\)'):
        guessed(tmp_path, answers, {"y": 0.5})
    with pytest.raises(DataError, match=r'table\["y"\] = table\["y"\].astype\(int\)'):
        guessed(tmp_path, {"y": np.array(FLAGS) == 1}, {"y": 0})


def test_targets_of_several_kinds_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="several targets, and text in q; expected numbers"):
        guessed(tmp_path, {"p": FLAGS, "q": THIRDS}, {"p": 0, "q": "C"})


@pytest.mark.parametrize("metric", [name for name, takes in metrics.TAKES.items() if takes != "masks"])
def test_the_direction_of_every_metric_is_known(metric: str) -> None:
    if metrics.TAKES[metric] in ("boxes", "rankings") or metric == "laplace_log_likelihood":
        assert metric not in LOWER_IS_BETTER  # none of these is an error to be small
        return
    truth = pd.DataFrame({"id": range(6), "y": [0, 1, 1, 0, 1, 0]})
    wrong = truth.assign(y=[0, 0, 1, 1, 1, 1])
    score = getattr(metrics, metric)
    assert (score(truth, truth, "id") > score(truth, wrong, "id")) == (metric not in LOWER_IS_BETTER)
