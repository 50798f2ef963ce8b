from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kagkit import metrics
from kagkit.data.combining import combine
from kagkit.data.predictions import Predictions, write
from kagkit.foundation.errors import DataError, ManifestError
from kagkit.judgement import blending
from kagkit.judgement.blending import Blend, blend_members
from kagkit.judgement.climbing import solve_least_squares
from kagkit.judgement.losses import Scored, make_losses
from kagkit.judgement.stacking import Member, stack_members
from kagkit.judgement.weighing import METHODS, Method
from kagkit.metrics.truth import Truth

FITTED = ("hill_climbing", "least_squares", "direct")
GREATER = {"auc", "accuracy"}


def keys_of(rows: int) -> pd.Index[Any]:
    return pd.Index([f"r{row:05d}" for row in range(rows)], name="id")


def folds_of(rows: int, folds: int = 5) -> pd.Series[Any]:
    return pd.Series(np.arange(rows) % folds, index=keys_of(rows))


def truth_of(values: Any, metric: str = "rmse", **args: Any) -> Truth:
    table = pd.DataFrame({"y": values}, index=keys_of(len(values)))
    return Truth(table, getattr(metrics, metric), metric in GREATER, args)


def member(name: str, values: Any, test: Any = None) -> Member:
    def table(cells: Any) -> pd.DataFrame:
        return pd.DataFrame({"y": np.asarray(cells, float)}, index=keys_of(len(cells)))

    return Member.of(name, table(values), None if test is None else table(test))


def chances(members: int, rows: int, seed: int = 0) -> tuple[list[Member], pd.Series[Any]]:
    """Probabilities that know something of labels, and the labels."""
    rng = np.random.default_rng(seed)
    signal = rng.normal(size=rows)
    labels = pd.Series((signal + rng.normal(size=rows) > 0).astype(int), index=keys_of(rows))
    odds = signal + rng.normal(size=(members, rows)) * rng.uniform(0.5, 2, (members, 1))
    return [member(f"m{i}", 1 / (1 + np.exp(-one))) for i, one in enumerate(odds)], labels


def weights_of(blend: Blend) -> dict[str, float]:
    return {str(name): float(weight) for name, weight in blend.weights["y"].items()}


@pytest.mark.parametrize("method", METHODS)
def test_every_method_blends_predicts_and_tells_its_optimism(method: str) -> None:
    given, labels = chances(4, 60)
    given = [replace(one, test=one.oof.iloc[:7]) for one in given]
    blend = blend_members(given, truth_of(labels.to_numpy(), "log_loss"), folds_of(60), method)
    assert np.isclose(blend.weights["y"].sum(), 1)
    assert (blend.weights["y"] >= 0).all()
    assert sorted(blend.oof.index) == list(labels.index)
    assert blend.test is not None
    assert len(blend.test) == 7
    assert blend.optimism == blend.nested - blend.in_sample
    assert list(blend.members.values()) == [one.name for one in given]
    assert blend.as_json()["optimism"] == blend.optimism


def test_means_have_no_optimism_and_are_means() -> None:
    given = [member("a", [0.1, 0.4, 0.9, 0.5]), member("b", [0.9, 0.1, 0.4, 0.5])]
    truth, folds = truth_of([0.0, 0.0, 1.0, 1.0]), folds_of(4, 2)
    mean = blend_members(given, truth, folds, "mean")
    assert mean.optimism == 0
    assert mean.oof["y"].sort_index().tolist() == pytest.approx([0.5, 0.25, 0.65, 0.5])
    geometric = blend_members(given, truth, folds, "geometric_mean")
    assert geometric.oof["y"].sort_index().tolist() == pytest.approx([0.3, 0.2, 0.6, 0.5])
    ranks = blend_members(given, truth, folds, "rank_mean")
    assert ranks.oof["y"].sort_index().tolist() == pytest.approx([0.625, 0.375, 0.75, 0.75])


def test_least_squares_are_those_of_a_search_over_all_weights() -> None:
    rng = np.random.default_rng(3)
    errors = rng.normal(size=(3, 50)) + np.array([[0.5], [-0.4], [0.0]])
    found = solve_least_squares(errors @ errors.T / 50)
    grid = [(a, b, 1 - a - b) for a in np.arange(0, 1.001, 0.01) for b in np.arange(0, 1.001 - a, 0.01)]
    best = min(float(((np.array(weights) @ errors) ** 2).mean()) for weights in grid)
    assert found.loss <= best + 1e-12


@pytest.mark.parametrize("method", FITTED)
def test_errors_that_cancel_out_are_found(method: str) -> None:
    values = np.linspace(0, 1, 40)
    noise = np.random.default_rng(0).normal(size=40)
    given = [member("up", values + noise), member("down", values - noise), member("bad", noise)]
    blend = blend_members(given, truth_of(values), folds_of(40), method)
    assert weights_of(blend) == pytest.approx({"up": 0.5, "down": 0.5, "bad": 0}, abs=1e-6)
    assert blend.nested == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("method", FITTED)
@pytest.mark.parametrize("metric", ["rmse", "mae", "log_loss", "auc", "accuracy"])
def test_a_perfect_member_gets_all_the_weight(method: str, metric: str) -> None:
    given, labels = chances(3, 50)
    near = np.where(labels == 1, 1 - 1e-9, 1e-9)
    blend = blend_members(
        [*given, member("perfect", near)], truth_of(labels.to_numpy(), metric), folds_of(50), method
    )
    assert weights_of(blend)["perfect"] > 0.99 or metric in GREATER
    assert blend.nested == pytest.approx(1.0 if metric in GREATER else 0.0, abs=1e-6)


@pytest.mark.parametrize("method", METHODS)
def test_one_member_is_itself(method: str) -> None:
    values = np.array([0.2, 0.8, 0.4, 0.6])
    blend = blend_members([member("only", values)], truth_of([0, 1, 0, 1], "auc"), folds_of(4, 2), method)
    assert weights_of(blend) == {"only": 1.0}
    assert blend.optimism == 0
    if method != "rank_mean":
        assert blend.oof["y"].sort_index().tolist() == pytest.approx(values.tolist())


@pytest.mark.parametrize("method", FITTED)
def test_constants_ties_and_members_that_say_the_same_are_blended(method: str) -> None:
    given, labels = chances(2, 60)
    twin = Member("twin", "f" * 64, given[0].oof)
    flat = [member("half", np.full(60, 0.5)), member("turned", 1 - given[1].oof["y"].to_numpy())]
    blend = blend_members([*given, twin, *flat], truth_of(labels.to_numpy(), "auc"), folds_of(60), method)
    assert np.isclose(blend.weights["y"].sum(), 1)
    assert weights_of(blend)["turned"] < 0.2
    assert blend.nested > 0.55


def test_members_named_twice_are_refused() -> None:
    one = member("a", [0.1, 0.2])
    with pytest.raises(DataError, match="a, b have the same predictions"):
        blend_members([one, replace(one, name="b")], truth_of([0, 1]), folds_of(2, 2))
    with pytest.raises(DataError, match="a, a have the same name"):
        blend_members([one, member("a", [0.3, 0.2])], truth_of([0, 1]), folds_of(2, 2))


def test_no_member_is_refused() -> None:
    with pytest.raises(DataError, match="members: none"):
        blend_members([], truth_of([0, 1]), folds_of(2, 2))


def test_missing_and_extra_keys_are_counted_with_the_first() -> None:
    short, long = member("short", np.zeros(8)), member("long", np.ones(12))
    with pytest.raises(DataError) as caught:
        blend_members([short, long], truth_of(np.zeros(10)), folds_of(10))
    told = {problem.where: problem.found for problem in caught.value.problems}
    assert told == {
        "short": "lacks 2 of 10 keys: r00008, r00009",
        "long": "has 2 keys too many: r00010, r00011",
    }


def test_rows_that_were_only_trained_on_need_no_predictions() -> None:
    folds = folds_of(10)
    folds.loc["r00010"] = -1
    folds.index.name = "id"
    blend = blend_members([member("a", np.ones(10))], truth_of(np.zeros(10)), folds)
    assert len(blend.oof) == 10


def test_what_is_no_number_one_fold_and_other_columns_are_refused() -> None:
    with pytest.raises(DataError, match="no finite number for r00001"):
        blend_members([member("a", [0.5, np.nan])], truth_of([0, 1]), folds_of(2, 2))
    with pytest.raises(DataError, match="rows in 1 folds"):
        blend_members([member("a", [0.5, 0.5])], truth_of([0, 1]), folds_of(2, 1))
    other = Member.of("b", member("b", [0.5, 0.5]).oof.rename(columns={"y": "z"}))
    with pytest.raises(DataError, match="columns"):
        blend_members([member("a", [0.5, 0.2]), other], truth_of([0, 1]), folds_of(2, 2))


def test_a_method_that_does_not_fit_is_refused() -> None:
    given = [member("a", [-0.5, 0.5]), member("b", [0.1, 0.2])]
    with pytest.raises(ManifestError, match="did you mean least_squares"):
        blend_members(given, truth_of([0, 1]), folds_of(2, 2), "least_square")
    with pytest.raises(ManifestError, match="no geometric mean"):
        blend_members(given, truth_of([0, 1]), folds_of(2, 2), "geometric_mean")
    with pytest.raises(ManifestError, match="least squares cannot be fitted"):
        blend_members(given, truth_of(["a", "b"], "accuracy"), folds_of(2, 2), "least_squares")


# --- nothing of a row's own fold decides its weights ---


def fold_that_tells(method: str) -> bool:
    """Whether the truth of a fold changes the weights that its own rows are blended with."""
    given, labels = chances(6, 200, seed=1)
    folds = folds_of(200)
    before = blend_members(given, truth_of(labels.to_numpy(), "log_loss"), folds, method)
    turned = labels.where(folds != 2, 1 - labels)
    after = blend_members(given, truth_of(turned.to_numpy(), "log_loss"), folds, method)
    assert not after.weights.equals(before.weights)
    return not after.fold_weights[2].equals(before.fold_weights[2])


@pytest.mark.parametrize("method", FITTED)
def test_the_truth_of_a_fold_never_decides_its_weights(method: str) -> None:
    assert not fold_that_tells(method)


@pytest.mark.parametrize("method", FITTED)
def test_weights_fitted_on_their_own_fold_would_be_noticed(
    method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blending, "training_folds", lambda folds, fold: list(folds))
    assert fold_that_tells(method)


def test_random_members_bring_nothing_but_optimism() -> None:
    rng = np.random.default_rng(5)
    given = [member(f"m{i}", rng.random(400)) for i in range(40)]
    blend = blend_members(given, truth_of(rng.integers(0, 2, 400), "auc"), folds_of(400))
    noise = 0.5 / np.sqrt(3 * 100)  # of an AUC without skill, on 200 rows of each label
    assert blend.in_sample > float(blend.alone.max()) + noise
    assert blend.nested < float(blend.alone.max()) + noise
    assert blend.optimism > 0.05


@given(seed=st.integers(0, 10_000), method=st.sampled_from(list(METHODS)))
@settings(max_examples=20, deadline=None)
def test_the_order_of_rows_and_members_changes_nothing(seed: int, method: str) -> None:
    rng = np.random.default_rng(seed)
    given, labels = chances(5, 40, seed)
    truth, folds = truth_of(labels.to_numpy(), "log_loss"), folds_of(40)
    first = blend_members(given, truth, folds, method)
    shuffled = [
        replace(one, oof=one.oof.sample(frac=1, random_state=seed + i)) for i, one in enumerate(given)
    ]
    other = replace(truth, table=truth.table.sample(frac=1, random_state=seed))
    order = rng.permutation(5)
    again = blend_members(
        [shuffled[i] for i in order], other, folds.sample(frac=1, random_state=seed), method
    )
    pd.testing.assert_frame_equal(again.weights.loc[first.weights.index], first.weights, check_exact=True)
    pd.testing.assert_frame_equal(again.oof.loc[first.oof.index], first.oof, check_exact=True)
    assert (again.nested, again.in_sample) == (first.nested, first.in_sample)


# --- the quick ways are the metric ---


@pytest.mark.parametrize("metric", ["rmse", "mae", "log_loss", "auc", "accuracy"])
def test_a_quick_loss_is_the_metric(metric: str) -> None:
    given, labels = chances(4, 97)
    given.append(member("coarse", np.round(given[0].oof["y"], 1) * 0.98 + 0.01))
    stack, truth = stack_members(given, folds_of(97)), truth_of(labels.to_numpy(), metric)
    compare_losses(stack, truth, 1.0 if metric in GREATER else 0.0)


@pytest.mark.parametrize("metric", ["log_loss", "accuracy"])
def test_a_quick_loss_of_classes_is_the_metric(metric: str) -> None:
    rng = np.random.default_rng(0)
    labels = rng.choice(["cat", "dog", "eel"], 80)
    tables = [
        pd.DataFrame(rng.dirichlet([1, 1, 1], 80), keys_of(80), ["cat", "dog", "eel"]) for _ in range(3)
    ]
    given = [Member.of(f"m{i}", table) for i, table in enumerate(tables)]
    compare_losses(stack_members(given, folds_of(80)), truth_of(labels, metric), float(metric in GREATER))


def compare_losses(stack: Any, truth: Truth, perfect: float) -> None:
    quick = make_losses(stack, truth, None)([0, 2, 3])
    assert not isinstance(quick, Scored)
    slow = Scored(stack, truth, stack.rows_of([0, 2, 3]), lambda mixed: mixed)
    start = np.full(len(stack.members), 1 / len(stack.members))
    for losses in (quick, slow):
        losses.begin(start)
        losses.move(1, 0.75, 0.25)
    expected = slow.candidates(0.6, 0.4) + perfect
    assert quick.candidates(0.6, 0.4) == pytest.approx(expected, abs=1e-9)


def test_any_metric_can_be_climbed_on_and_the_bound_is_told() -> None:
    given, labels = chances(3, 60)
    truth = truth_of(labels.to_numpy(), "f1")
    blend = blend_members(
        given, replace(truth, greater_is_better=True), folds_of(60), Method("direct", calls=20)
    )
    assert blend.stopped
    assert blend.in_sample >= float(blend.alone.max())


def test_columns_may_have_weights_of_their_own() -> None:
    keys, rng = keys_of(60), np.random.default_rng(0)
    table = pd.DataFrame(rng.normal(size=(60, 2)), keys, ["p", "q"])
    noise = pd.DataFrame(rng.normal(size=(60, 2)), keys, ["p", "q"])
    given = [Member.of("a", table.assign(q=noise["q"])), Member.of("b", table.assign(p=noise["p"]))]
    truth = Truth(table, metrics.mcrmse, greater_is_better=False)
    for how in FITTED:
        blend = blend_members(given, truth, folds_of(60), Method(how, per_column=True))  # type: ignore[arg-type]
        assert list(blend.weights.loc["a"]) == pytest.approx([1, 0], abs=1e-3)
        assert blend.nested == pytest.approx(0, abs=1e-3)


def test_masks_are_averaged_by_weight_chunk_by_chunk(tmp_path: Path) -> None:
    keys = keys_of(5)
    for name, value in (("a", 1.0), ("b", 4.0)):
        images = np.full((5, 3, 3), value, np.float32)
        write(tmp_path / name, iter([(keys, {"mask": images})]), keys, key_names=["id"])
    members = [Predictions.open(tmp_path / name) for name in "ab"]
    combine(tmp_path / "out", members, "mean", weights=[2, 1])
    assert (Predictions.open(tmp_path / "out").array("mask") == 2).all()


@pytest.mark.parametrize("weights", [[1.0], [1.0, -1.0], [0.0, 0.0], [1.0, float("nan")]])
def test_weights_that_make_no_mean_are_refused(weights: list[float], tmp_path: Path) -> None:
    keys = keys_of(2)
    write(tmp_path / "a", pd.DataFrame({"p": [0.1, 0.2]}, index=keys), keys, key_names=["id"])
    given = [Predictions.open(tmp_path / "a")] * 2
    with pytest.raises(ManifestError, match="2 numbers of 0 or more"):
        combine(tmp_path / "out", given, "mean", weights=weights)


def test_members_that_are_sure_stay_probabilities() -> None:
    given = [member(f"m{i}", [1.0, 0.0, 1.0, 0.1 * i, 0.0, 1.0]) for i in range(7)]
    truth = truth_of([1, 0, 1, 0, 0, 1], "log_loss")
    for method in METHODS:
        if method != "rank_mean":
            assert blend_members(given, truth, folds_of(6, 3), method).oof["y"].between(0, 1).all()


def test_a_judge_of_ones_own_is_enough() -> None:
    class Nearness:
        greater_is_better = True

        def score(self, table: pd.DataFrame, keys: pd.Index[Any]) -> float:
            return -float((table.loc[keys, "y"] - 0.25).abs().mean())

    given = [member("low", np.zeros(10)), member("high", np.ones(10))]
    blend = blend_members(given, Nearness(), folds_of(10), "direct")
    assert weights_of(blend) == pytest.approx({"low": 0.75, "high": 0.25}, abs=0.01)
    with pytest.raises(ManifestError, match="columns cannot be weighed"):
        blend_members(given, Nearness(), folds_of(10), Method("direct", per_column=True))
