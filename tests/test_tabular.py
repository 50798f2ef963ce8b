from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest
import sklearn.metrics
from hypothesis import given, settings
from hypothesis import strategies as st

from kagkit.foundation.errors import ManifestError, SubmissionError
from kagkit.metrics import accuracy, auc, f1, log_loss, mae, quadratic_weighted_kappa, rmse, rmsle
from tests.metric_examples import table

Metric = Callable[..., float]
BOUNDED = settings(max_examples=30, deadline=None)
GRADES = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=2, max_size=25)
VALUES = st.lists(st.tuples(*[st.floats(0, 1e6)] * 2), min_size=1, max_size=25)
ODDS = st.lists(st.tuples(st.booleans(), st.floats(0, 1)), min_size=2, max_size=25)


def score_lists(metric: Metric, truth: Sequence[object], guess: Sequence[object], **args: Any) -> float:
    return metric(table(y=truth), table(y=guess), "id", **args)


# --- beside hand calculations ---


def test_accuracy_counts_the_rows_that_are_right() -> None:
    assert score_lists(accuracy, ["x", "y", "z", "x"], ["x", "y", "x", "y"]) == 0.5


def test_f1_of_two_hits_one_miss_and_one_false_alarm() -> None:
    assert score_lists(f1, [1, 1, 1, 0, 0], [1, 1, 0, 1, 0]) == pytest.approx(2 * 2 / (2 * 2 + 1 + 1))


def test_kappa_by_hand() -> None:
    # observed: one miss of distance 2 in four rows; by chance: the mean of the sixteen squared distances
    pairs = [(t - g) ** 2 for t in (0, 0, 2, 2) for g in (0, 0, 2, 0)]
    expected = 1 - (4 / 4) / (sum(pairs) / 16)
    assert score_lists(quadratic_weighted_kappa, [0, 0, 2, 2], [0, 0, 2, 0]) == pytest.approx(expected)


def test_log_loss_by_hand() -> None:
    expected = -(math.log(0.9) + math.log(1 - 0.2)) / 2
    assert score_lists(log_loss, [1, 0], [0.9, 0.2]) == pytest.approx(expected)


def test_errors_by_hand() -> None:
    assert score_lists(mae, [0, 0, 0], [1, -2, 3]) == 2
    assert score_lists(rmse, [0, 0], [3, -4]) == pytest.approx(math.sqrt(12.5))
    assert score_lists(rmsle, [math.e - 1, 0], [0, 0]) == pytest.approx(math.sqrt(0.5))


def test_auc_is_the_share_of_pairs_in_order_with_ties_half() -> None:
    assert score_lists(auc, [0, 0, 1, 1], [0.1, 0.5, 0.5, 0.9]) == pytest.approx(3.5 / 4)


# --- beside scikit-learn ---


@BOUNDED
@given(GRADES)
def test_labels_score_as_in_scikit_learn(pairs: list[Any]) -> None:
    truth, guess = map(list, zip(*pairs, strict=True))
    grades = range(5)
    assert score_lists(accuracy, truth, guess, labels=grades) == pytest.approx(
        sklearn.metrics.accuracy_score(truth, guess)
    )
    for average in ("macro", "micro", "weighted"):
        assert score_lists(f1, truth, guess, average=average, labels=grades) == pytest.approx(
            sklearn.metrics.f1_score(truth, guess, average=average, zero_division=0)
        )
    if len({*truth, *guess}) > 1:
        assert score_lists(quadratic_weighted_kappa, truth, guess, labels=grades) == pytest.approx(
            sklearn.metrics.cohen_kappa_score(truth, guess, weights="quadratic", labels=list(grades))
        )


@BOUNDED
@given(VALUES)
def test_values_score_as_in_scikit_learn(pairs: list[Any]) -> None:
    truth, guess = map(list, zip(*pairs, strict=True))
    assert score_lists(mae, truth, guess) == sklearn.metrics.mean_absolute_error(truth, guess)
    assert score_lists(rmse, truth, guess) == sklearn.metrics.root_mean_squared_error(truth, guess)
    assert score_lists(rmsle, truth, guess) == sklearn.metrics.root_mean_squared_log_error(truth, guess)


@BOUNDED
@given(ODDS)
def test_probabilities_score_as_in_scikit_learn(pairs: list[Any]) -> None:
    truth, guess = map(list, zip(*pairs, strict=True))
    ours = score_lists(log_loss, truth, guess, clip=1e-6)
    clipped = np.clip(guess, 1e-6, 1 - 1e-6)
    assert ours == pytest.approx(sklearn.metrics.log_loss(truth, clipped, labels=[False, True]))
    if len(set(truth)) == 2:
        assert score_lists(auc, truth, guess) == pytest.approx(sklearn.metrics.roc_auc_score(truth, guess))


def test_a_rating_nobody_gave_does_not_shift_the_others() -> None:
    truth, guess = [0, 1, 4, 4, 0], [0, 4, 4, 1, 0]
    expected = sklearn.metrics.cohen_kappa_score(truth, guess, weights="quadratic", labels=[0, 1, 2, 3, 4])
    assert score_lists(quadratic_weighted_kappa, truth, guess) == pytest.approx(expected)


def test_several_columns_score_as_the_mean_of_their_scores() -> None:
    solution, submission = table(p=[0, 1, 1], q=[1, 0, 1]), table(q=[0.9, 0.4, 0.3], p=[0.2, 0.1, 0.7])
    for metric in (auc, mae, rmse, rmsle):
        alone = [metric(solution[["id", name]], submission[["id", name]], "id") for name in ("p", "q")]
        assert metric(solution, submission, "id") == pytest.approx(sum(alone) / 2)


# --- properties ---


@BOUNDED
@given(GRADES)
def test_scores_stay_in_their_bounds_and_perfect_is_best(pairs: list[Any]) -> None:
    truth, guess = map(list, zip(*pairs, strict=True))
    truth, guess = [0, 1, *truth], [0, 1, *guess]
    assert 0 <= score_lists(accuracy, truth, guess, labels=range(5)) <= 1
    assert 0 <= score_lists(f1, truth, guess, average="macro", labels=range(5)) <= 1
    assert -1 <= score_lists(quadratic_weighted_kappa, truth, guess, labels=range(5)) <= 1
    assert score_lists(accuracy, truth, truth) == score_lists(quadratic_weighted_kappa, truth, truth) == 1
    assert score_lists(mae, truth, truth) == score_lists(rmse, truth, truth) == 0


@BOUNDED
@given(ODDS, st.floats(0.1, 10), st.floats(-5, 5))
def test_auc_sees_only_the_order_of_scores(pairs: list[Any], scale: float, shift: float) -> None:
    truth, guess = map(list, zip(*pairs, strict=True))
    truth, guess = [True, False, *truth], [round(value, 3) for value in (0.5, 0.5, *guess)]
    moved = [round(value, 3) * 1000 * scale + shift for value in guess]
    assert score_lists(auc, truth, moved) == pytest.approx(score_lists(auc, truth, guess))


# --- labels as text and as numbers ---


@pytest.mark.parametrize("guess", [["1", "0", "1"], [1, 0, 1], [1.0, 0.0, 1.0], ["1.0", "0.0", "1"]])
@pytest.mark.parametrize("dtype", ["int64", "float32", "Int64", "category"])
def test_a_label_is_one_label_however_its_number_is_written(guess: list[Any], dtype: str) -> None:
    solution = table(y=[1, 0, 1]).astype({"y": dtype})
    assert accuracy(solution, table(y=guess), "id") == 1
    assert f1(solution, table(y=guess), "id") == 1
    assert quadratic_weighted_kappa(solution, table(y=guess), "id") == 1


def test_text_labels_keep_their_leading_zeros() -> None:
    assert score_lists(accuracy, ["01", "02"], [1, "02"]) == 0.5


def test_true_and_false_may_come_as_text() -> None:
    assert score_lists(accuracy, [True, False], ["True", "False"]) == 1
    assert score_lists(f1, [True, False], ["True", "True"]) == pytest.approx(2 / 3)


def test_ids_may_be_numbers_in_one_table_and_text_in_the_other() -> None:
    solution, submission = table(y=[1, 0]).assign(id=[10, 11]), table(y=[1, 0]).assign(id=["10", "11"])
    assert accuracy(solution, submission, "id") == 1


# --- a column per class ---

SPREAD = {"cat": [0.7, 0.2, 0.2], "dog": [0.2, 0.6, 0.1], "eel": [0.1, 0.2, 0.7]}
EXPECTED = -(math.log(0.7) + math.log(0.6) + math.log(0.7)) / 3


def test_class_columns_may_be_named_by_label_by_target_and_label_or_be_one_hot() -> None:
    named = table(kind=["cat", "dog", "eel"])
    one_hot = table(cat=[1, 0, 0], dog=[0, 1, 0], eel=[0, 0, 1])
    prefixed = table(**{f"kind_{name}": odds for name, odds in SPREAD.items()})
    assert log_loss(named, table(**SPREAD), "id") == pytest.approx(EXPECTED)
    assert log_loss(named, prefixed, "id") == pytest.approx(EXPECTED)
    assert log_loss(one_hot, table(**SPREAD), "id") == pytest.approx(EXPECTED)


def test_numeric_classes_find_columns_named_by_numbers() -> None:
    submission = table(**{"0": SPREAD["cat"], "1": SPREAD["dog"], "2": SPREAD["eel"]})
    assert log_loss(table(kind=[0, 1, 2]), submission, "id") == pytest.approx(EXPECTED)
    assert log_loss(table(kind=[0.0, 1.0, 2.0]), submission, "id") == pytest.approx(EXPECTED)


def test_the_order_of_class_columns_means_nothing() -> None:
    named, submission = table(kind=["cat", "dog", "eel"]), table(**SPREAD)
    assert log_loss(named, submission[["eel", "id", "cat", "dog"]], "id") == pytest.approx(EXPECTED)


def test_multiclass_log_loss_is_that_of_scikit_learn_once_rows_sum_to_one() -> None:
    rng = np.random.default_rng(0)
    odds = rng.random((20, 3))
    truth = rng.integers(0, 3, 20)
    submission = table(**{str(name): odds[:, name] for name in range(3)})
    expected = sklearn.metrics.log_loss(truth, odds / odds.sum(axis=1, keepdims=True))
    assert log_loss(table(kind=truth), submission, "id") == pytest.approx(expected)


def test_independent_questions_are_scored_as_the_mean_of_their_losses() -> None:
    solution, submission = table(p=[1, 0], q=[1, 1]), table(p=[0.9, 0.3], q=[0.8, 0.4])
    alone = [log_loss(solution[["id", name]], submission[["id", name]], "id") for name in ("p", "q")]
    assert log_loss(solution, submission, "id", multilabel=True) == pytest.approx(sum(alone) / 2)
    with pytest.raises(SubmissionError, match=r"no class or several for r0; .*\n.*multilabel: true"):
        log_loss(solution, submission, "id")


def test_a_class_without_a_column_is_named() -> None:
    with pytest.raises(SubmissionError, match="no column for the class fox among cat, dog, eel"):
        log_loss(table(kind=["cat", "fox", "eel"]), table(**SPREAD), "id")


def test_a_row_of_zeros_gives_no_class_a_chance() -> None:
    submission = table(**SPREAD).assign(cat=0.0, dog=[0, 1, 1], eel=[0, 1, 1])
    with pytest.raises(SubmissionError, match="probabilities that sum to 0 for r0"):
        log_loss(table(kind=["cat", "dog", "eel"]), submission, "id")


def test_clipping_bounds_the_loss_of_a_sure_miss() -> None:
    assert score_lists(log_loss, [1, 0], [0.0, 0.0], clip=0.01) == pytest.approx(
        -(math.log(0.01) + math.log(0.99)) / 2
    )
    assert score_lists(log_loss, [1], [0.0]) == pytest.approx(15 * math.log(10))


# --- what cannot be scored ---


def test_missing_and_unknown_ids_are_told_together_with_five_samples() -> None:
    solution, submission = table(y=[0] * 9), table(y=[0, 0]).assign(id=["r0", "stranger"])
    with pytest.raises(SubmissionError) as caught:
        mae(solution, submission, "id")
    assert [problem.found for problem in caught.value.problems] == [
        "no row for r1, r2, r3, r4, r5 and 3 more",
        "rows the solution does not have: stranger",
    ]


@pytest.mark.parametrize(
    ("solution", "submission", "message"),
    [
        (table(y=[1, 0]), table(y=[1, 0]).rename(columns={"id": "Id"}), "submission: no column id"),
        (table(y=[1, 0]), table(Y=[1, 0]), "no column y(.|\n)*columns the solution does not have: Y"),
        (table(y=[1, 0]), table(y=[1, 0], z=[1, 0]), "columns the solution does not have: z"),
        (table(y=[1, 0])[["id"]], table(y=[1, 0])[["id"]], "solution: no target column"),
        (table(y=[1, 0]), table(y=[1, 0]).assign(id="r0"), "submission: ids that come twice: r0"),
        (table(y=[1, 0]), table(y=[1, 0]).assign(id=["r0", math.nan]), "submission: a row without an id"),
        (table(y=[1, 0])[:0], table(y=[1, 0])[:0], "solution: no rows"),
        (table(y=[None, 0]), table(y=[1, 0]), "solution, column y: no value for r0"),
        (table(y=[1, 0]), pd.concat([table(y=[1, 0]), table(y=[1, 0])[["y"]]], axis=1), "y comes twice"),
    ],
)
def test_tables_that_do_not_match_are_refused(
    solution: pd.DataFrame, submission: pd.DataFrame, message: str
) -> None:
    with pytest.raises(SubmissionError, match=message):
        accuracy(solution, submission, "id")


@pytest.mark.parametrize(
    ("metric", "truth", "guess", "message"),
    [
        (accuracy, [0, 1], [0.2, 1], "labels never seen: 0.2 for r0; expected one of 0, 1"),
        (f1, [0, 1, 2], [0, 1, 2], "labels 2; expected 0 and 1\n.*average: macro"),
        (quadratic_weighted_kappa, ["low", "high"], ["low", "high"], "expected ratings that are numbers"),
        (quadratic_weighted_kappa, [3, 3], [3, 3], "every rating is 3"),
        (log_loss, [0, 1], [-0.1, 1.2], "-0.1, 1.2 for r0, r1; expected a probability from 0 to 1"),
        (log_loss, [0, 2], [0.1, 0.2], "solution, column y: 2 for r1; expected 0 or 1"),
        (log_loss, ["no", "yes"], [0.1, 0.2], "no, yes for r0, r1; expected 0 or 1"),
        (auc, [1, 1], [0.1, 0.2], "solution, column y: every row is 1; expected rows of 0 and rows of 1"),
        (auc, [0, 1], ["low", 0.5], "low for r0; expected a finite number"),
        (mae, [0, 1], [math.inf, 1], "inf for r0; expected a finite number"),
        (rmse, [0, 1], ["much", 1], "much for r0; expected a finite number"),
        (rmsle, [0, 1], [-0.5, 1], "-0.5 for r0; expected a number, 0 or more"),
        (rmsle, [-1, 1], [0.5, 1], "solution, column y: -1 for r0"),
    ],
)
def test_cells_of_another_kind_are_refused(
    metric: Metric, truth: list[Any], guess: list[Any], message: str
) -> None:
    with pytest.raises(SubmissionError, match=message):
        score_lists(metric, truth, guess)


def test_labels_of_several_columns_are_refused() -> None:
    with pytest.raises(SubmissionError, match="target columns p, q; expected one column of labels"):
        accuracy(table(p=[1, 0], q=[1, 0]), table(p=[1, 0], q=[1, 0]), "id")


def test_a_rare_label_that_a_fold_lacks_is_only_wrong() -> None:
    assert score_lists(accuracy, [0, 1], [0, 2]) == 0.5
    assert score_lists(accuracy, ["cat", "dog"], ["cat", "cow"]) == 0.5


def test_labels_of_which_none_is_known_are_refused() -> None:
    with pytest.raises(
        SubmissionError, match="labels never seen: yes, no for r0, r1; expected one of cat, dog"
    ):
        score_lists(accuracy, ["cat", "dog"], ["yes", "no"])


def test_where_labels_are_declared_no_other_is_taken() -> None:
    with pytest.raises(SubmissionError, match="labels never seen: 3 for r1; expected one of 0, 1, 2"):
        score_lists(accuracy, [0, 1], [0, 3], labels=[0, 1, 2])


def test_f1_without_a_positive_row_is_zero() -> None:
    assert score_lists(f1, [0, 0], [0, 1], labels=[0, 1]) == 0
    assert score_lists(f1, [0, 0], [0, 0]) == 0


def test_arguments_that_make_no_sense_are_manifest_errors() -> None:
    with pytest.raises(ManifestError, match=r"metric.args.average: makro\n.*did you mean macro"):
        score_lists(f1, [0, 1], [0, 1], average="makro")
    with pytest.raises(ManifestError, match=r"metric.args.clip: 0; expected a number between 0 and 0.5"):
        score_lists(log_loss, [0, 1], [0, 1], clip=0)
