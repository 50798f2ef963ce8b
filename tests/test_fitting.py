from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kagkit import metrics
from kagkit.data.predictions import Predictions, write
from kagkit.formats.rle import encode
from kagkit.foundation.errors import DataError, ManifestError
from kagkit.metrics import fitting
from kagkit.metrics.postprocessing import (
    Fit,
    HeldOut,
    Range,
    assign_once,
    cut_ratings,
    fit_args,
    match_shares,
    row_by_row,
    sharpen_shares,
    threshold_labels,
    triplet,
)
from kagkit.metrics.truth import Truth


def keys_of(rows: int) -> pd.Index[Any]:
    return pd.Index([f"r{row:04d}" for row in range(rows)], name="id")


def folds_of(rows: int, folds: int = 4) -> pd.Series[Any]:
    return pd.Series(np.arange(rows) % folds, index=keys_of(rows))


class Quick:
    """Kappa of one column, or the mean F1 of several: as kagkit's metrics, without their checks."""

    greater_is_better = True

    def __init__(self, table: pd.DataFrame) -> None:
        self.table = table

    def score(self, table: pd.DataFrame, keys: pd.Index[Any]) -> float:
        guess = table.to_numpy()[table.index.get_indexer(keys)]
        truth = self.table.to_numpy()[self.table.index.get_indexer(keys)]
        if truth.shape[1] == 1:
            chance = truth.var() + guess.var() + (truth.mean() - guess.mean()) ** 2
            return float(1 - ((truth - guess) ** 2).mean() / chance)
        return float(np.mean(2 * (truth * guess).sum(axis=0) / (truth + guess).sum(axis=0)))


def grades(rows: int = 300, seed: int = 0) -> HeldOut:
    """Numbers that understate grades from 0 to 3, scored by weighted kappa."""
    rng = np.random.default_rng(seed)
    truth = pd.DataFrame({"grade": rng.integers(0, 4, rows)}, index=keys_of(rows))
    given = 0.5 * truth + rng.normal(scale=0.25, size=(rows, 1))
    return HeldOut(given, given, folds_of(rows), Quick(truth))


def labels(rows: int = 200, seed: int = 0, columns: int = 3) -> HeldOut:
    rng = np.random.default_rng(seed)
    names = [f"c{i}" for i in range(columns)]
    truth = pd.DataFrame(rng.random((rows, columns)) < 0.3, keys_of(rows), names).astype(int)
    given = 0.3 * truth + rng.random((rows, columns)) * np.linspace(0.3, 0.7, columns)
    return HeldOut(given, given, folds_of(rows), Quick(truth))


def test_cut_points_are_found_where_the_numbers_are() -> None:
    held_out = grades()
    found = fit_args(cut_ratings, ["cuts"], held_out, {"cuts": [0.5, 1.5, 2.5]}, evaluations=110)
    assert sorted(found.args["cuts"]) == pytest.approx([0.25, 0.75, 1.25], abs=0.15)
    assert found.held_out > found.before + 0.1
    assert found.optimism == found.in_sample - found.held_out
    assert sorted(found.fold_args) == [0, 1, 2, 3]


def test_each_label_gets_a_threshold_of_its_own() -> None:
    start = {"at": dict.fromkeys(["c0", "c1", "c2"], 0.5)}
    found = fit_args(threshold_labels, ["at"], labels(), start, evaluations=50)
    assert found.held_out > found.before
    assert len(set(found.args["at"].values())) == 3


def test_the_triplet_is_found_on_masks(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    keys = keys_of(24)
    images = rng.random((24, 8, 8)).astype(np.float32) * 0.6
    images[:12, 2:6, 2:6] += 0.35
    masks = np.zeros((24, 8, 8), bool)
    masks[:12, 2:6, 2:6] = True
    write(tmp_path / "oof", iter([(keys, {"runs": images})]), keys, key_names=["id"])
    truth = pd.DataFrame({"runs": [encode(mask, "usual") for mask in masks]}, index=keys)
    judge = Truth(truth, metrics.mean_dice, True, {"shape": (8, 8), "dialect": "usual"})
    held_out = HeldOut(Predictions.open(tmp_path / "oof"), pd.DataFrame(index=keys), folds_of(24), judge)
    found = fit_args(
        triplet, ["top", "area", "bottom"], held_out, {"dialect": "usual", "area": 4}, evaluations=40
    )
    assert found.held_out > max(found.before, 0.6)
    assert isinstance(found.args["area"], int)
    assert found.args["dialect"] == "usual"


def test_wanted_shares_are_found() -> None:
    held_out = labels(columns=2)
    found = fit_args(match_shares, ["share"], held_out, {"share": 0.5}, evaluations=20)
    assert found.args["share"] == pytest.approx(0.3, abs=0.15)
    chances = held_out.judge.table.clip(0.2, 0.8)  # type: ignore[attr-defined]
    sure = Truth(held_out.judge.table, metrics.log_loss, False, {"multilabel": True})  # type: ignore[attr-defined]
    sharpened = fit_args(
        sharpen_shares, ["share"], HeldOut(chances, chances, held_out.folds, sure), {"share": 0.5}
    )
    assert sharpened.held_out < sharpened.before
    assert sharpened.optimism == sharpened.held_out - sharpened.in_sample


def test_an_assignment_is_scored_held_out_with_nothing_to_fit() -> None:
    keys, rng = keys_of(40), np.random.default_rng(0)
    rows = pd.DataFrame({"frame": np.arange(40) // 2}, index=keys)
    truth = pd.DataFrame({"who": np.where(np.arange(40) % 2, "V1", "V2")}, index=keys)
    given = pd.get_dummies(truth["who"]) + rng.normal(scale=0.5, size=(40, 2))
    folds = pd.Series(np.arange(40) // 2 % 4, index=keys)
    judge = Truth(truth, metrics.accuracy, greater_is_better=True)
    found = fit_args(assign_once, [], HeldOut(given, rows, folds, judge), {"group": "frame", "into": "who"})
    nearest = float((given.idxmax(axis=1) == truth["who"]).mean())
    assert found.held_out == found.in_sample > nearest


def test_any_function_of_ones_own_is_fitted_within_what_it_declares() -> None:
    def shift(
        predictions: pd.DataFrame,
        rows: pd.DataFrame,
        *,
        by: Annotated[float, Range(-1, 1)] = 0.0,
        times: int = 1,
    ) -> pd.DataFrame:
        return predictions.loc[rows.index] * times + by

    keys = keys_of(20)
    truth = pd.DataFrame({"y": np.arange(20.0)}, index=keys)
    judge = Truth(truth, metrics.rmse, greater_is_better=False)
    held_out = HeldOut(truth / 2 + 0.25, truth, folds_of(20), judge)
    found = fit_args(shift, {"times": Range(1, 8), "by": Range(-1, 1)}, held_out, evaluations=80)
    assert found.args == {"times": 2, "by": -0.5}
    assert found.held_out == found.in_sample == pytest.approx(0)


def test_the_bound_is_kept_and_told() -> None:
    calls = []

    def count(predictions: pd.DataFrame, rows: pd.DataFrame, *, at: float = 0.4) -> pd.DataFrame:
        calls.append(at)
        return (predictions.loc[rows.index] >= at).astype(int)

    found = fit_args(count, ["at"], labels(columns=1), evaluations=7)
    assert found.stopped
    assert found.evaluations == 7
    assert len(calls) <= 5 * 7 + 5


def test_a_function_that_goes_row_by_row_is_called_once_for_all_folds() -> None:
    calls = []

    def cut(predictions: pd.DataFrame, rows: pd.DataFrame, *, at: float = 0.4) -> pd.DataFrame:
        calls.append(len(rows))
        return (predictions.loc[rows.index] >= at).astype(int)

    held_out = labels()
    plain = fit_args(cut, {"at": Range(0, 1)}, held_out)
    several, calls[:] = len(calls), []
    assert fit_args(row_by_row(cut), {"at": Range(0, 1)}, held_out) == plain
    assert len(calls) < several / 2


@pytest.mark.parametrize(
    ("names", "args", "message"),
    [
        (["att"], {}, "did you mean at"),
        (["share"], {}, "no such argument"),
        (["into"], {}, "no number to start from"),
        (["at"], {"at": "half"}, "no number to start from"),
    ],
)
def test_what_cannot_be_fitted_is_refused(names: list[str], args: dict[str, Any], message: str) -> None:
    with pytest.raises(ManifestError, match=message):
        fit_args(threshold_labels, names, labels(), args)


def test_folds_of_other_rows_or_a_single_one_are_refused() -> None:
    held_out = labels(rows=10)
    with pytest.raises(DataError, match="lacks 2 of 10 keys: r0008, r0009"):
        fit_args(
            threshold_labels,
            ["at"],
            HeldOut(held_out.predictions, held_out.rows, folds_of(8), held_out.judge),
        )
    with pytest.raises(DataError, match="nothing is held out"):
        fit_args(
            threshold_labels,
            ["at"],
            HeldOut(held_out.predictions, held_out.rows, folds_of(10, 1), held_out.judge),
        )


# --- nothing of a row's own fold decides its arguments ---


def fold_that_tells() -> bool:
    """Whether the truth of a fold changes the arguments that its own rows are made with."""

    def fitted(truth: pd.DataFrame, held_out: HeldOut) -> Fit:
        changed = HeldOut(held_out.predictions, held_out.rows, held_out.folds, Quick(truth))
        return fit_args(cut_ratings, ["cuts"], changed, {"cuts": [0.2, 0.7, 1.2]}, evaluations=45)

    held_out = grades(120)
    truth: pd.DataFrame = held_out.judge.table  # type: ignore[attr-defined]
    before = fitted(truth, held_out)
    after = fitted(truth.where(held_out.folds != 1, 3 - truth), held_out)
    assert after.args != before.args
    return after.fold_args[1] != before.fold_args[1]


def test_the_truth_of_a_fold_never_decides_its_arguments() -> None:
    assert not fold_that_tells()


def test_arguments_fitted_on_their_own_fold_would_be_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fitting, "training_folds", lambda folds, fold: list(folds))
    assert fold_that_tells()


@given(st.integers(0, 1000))
@settings(max_examples=3, deadline=None)
def test_the_order_of_rows_changes_nothing(seed: int) -> None:
    held_out = labels(rows=60, seed=seed)
    assert isinstance(held_out.predictions, pd.DataFrame)
    shuffled = HeldOut(
        held_out.predictions.sample(frac=1, random_state=seed),
        held_out.rows.sample(frac=1, random_state=seed + 1),
        held_out.folds.sample(frac=1, random_state=seed + 2),
        held_out.judge,
    )
    first, other = (fit_args(threshold_labels, ["at"], each, evaluations=14) for each in (held_out, shuffled))
    assert first == other


def test_a_function_that_goes_through_all_it_is_given_is_given_its_rows_alone() -> None:
    def go_through(predictions: Predictions, rows: pd.DataFrame, *, at: float = 0.5) -> pd.DataFrame:
        chances = predictions.frame()
        assert set(chances.index) == set(rows.index)
        return (chances > at).astype(int).set_axis(["y"], axis=1)

    def go_back(predictions: Predictions, rows: pd.DataFrame, *, at: float = 0.5) -> pd.DataFrame:
        return go_through(predictions, rows, at=at)[::-1]

    keys = pd.Index([f"r{place:02d}" for place in range(12)], name="id")
    table = pd.DataFrame({"p": np.linspace(0, 1, 12)}, index=keys)
    labels = (table > 0.6).astype(int).set_axis(["y"], axis=1)
    judge = Truth(labels, metrics.accuracy, greater_is_better=True)
    folds = pd.Series(np.arange(12) % 3, index=keys)
    held_out = HeldOut(Predictions.of(table, ["id"]), table[[]], folds, judge)
    assert fit_args(go_through, {"at": Range(0, 1)}, held_out).in_sample == 1.0
    with pytest.raises(DataError, match="does not go row by row"):
        fit_args(row_by_row(go_back), {"at": Range(0, 1)}, held_out)
