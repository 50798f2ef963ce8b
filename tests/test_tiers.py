from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import pytest

from kagkit.runs.deviations import Compared
from kagkit.runs.record import Run
from kagkit.runs.tiers import Tier, judge_tier, moved, restoring_command

CV = [Compared("cv", 0.5, 0.5, 0.0)]


def run(**facts: Any) -> Run:
    folds = [{"seed": 0, "fold": fold, "score": 0.5, "rows": 1} for fold in range(4)]
    data = {"fingerprint": {"determinism": "exact"}, "deterministic": True, "cv_std": 0.02, "folds": folds}
    return Run(Path("001-00000000"), "exp001", 1, data | facts)


@pytest.mark.parametrize(
    ("facts", "apart", "level", "name"),
    [
        ({}, {}, "weights", "exact"),
        ({}, {}, "scratch", "exact"),
        ({}, {"processor": ("a", "b")}, "predictions", "exact"),
        ({}, {"processor": ("a", "b")}, "weights", "prediction"),
        ({}, {"processor": ("a", "b")}, "scratch", "metric"),
        ({"fingerprint": {"determinism": "seeded"}}, {}, "scratch", "metric"),
        ({"deterministic": False}, {}, "scratch", "metric"),
    ],
)
def test_a_promise_is_as_large_as_the_machines_are_alike(
    facts: dict[str, Any], apart: dict[str, Any], level: str, name: str
) -> None:
    assert judge_tier(run(**facts), apart, level, CV).name == name


def test_the_band_of_a_score_is_two_standard_errors_over_the_folds() -> None:
    assert judge_tier(run(), {"python": ("3", "4")}, "scratch", CV).tolerance == pytest.approx(0.02)
    alone = judge_tier(run(cv_std=None), {"python": ("3", "4")}, "scratch", CV)
    assert alone.tolerance == 0
    assert alone.why.endswith("one fold tells no spread that a score could move in")


def test_the_score_of_one_fold_of_a_sample_may_move_by_two_standard_deviations() -> None:
    apart = {"python": ("3", "4")}
    fold, worse = (Compared("score seed 0 fold 1", 0.5, 0.5 + by, by) for by in (0.03, 0.05))
    tier = judge_tier(run(), apart, "scratch", [fold])
    assert tier.tolerance == pytest.approx(0.04)
    assert tier.holds([fold])
    assert not tier.holds([fold, worse])


def test_a_run_without_any_score_says_that_nothing_can_be_measured() -> None:
    tier = judge_tier(run(), {"python": ("3", "4")}, "scratch", [Compared("cv", None, None)])
    assert tier.why == "another environment; there is no score to hold against the record"
    assert not tier.holds([Compared("cv", None, None)])


def test_predictions_may_move_by_a_hair_and_scores_are_told_not_judged() -> None:
    tier = Tier("prediction", "", 1e-5)
    near, far = (Compared("oof", "a", "b", distance) for distance in (1e-6, 1e-4))
    score = Compared("cv", 0.5, 0.6, 0.1)
    assert tier.holds([near, score])
    assert not tier.holds([near, far])
    assert not tier.holds([Compared("oof", "a", "b")]), "what cannot be measured is not within anything"


def test_a_score_must_stay_in_its_band_and_must_be_there() -> None:
    tier = Tier("metric", "", 0.05)
    weights = Compared("train seed 0 fold 0", "a", "b")
    assert tier.holds([weights, Compared("cv", 0.5, 0.54, 0.04)])
    assert not tier.holds([weights, Compared("cv", 0.5, 0.56, 0.06)])
    assert not tier.holds([weights])


def test_exact_means_equal() -> None:
    assert not Tier("exact", "", 0.0).holds([Compared("oof", "a", "b", 0.0)])


def test_what_moved_is_named() -> None:
    then = {"packages": {"numpy": "1", "kagkit": "0.1", "old": "2"}, "switches": {}}
    now = {"packages": {"numpy": "2", "kagkit": "0.1"}, "switches": {"MKL_CBWR": "AVX2"}}
    expected = {
        "packages.numpy": ("1", "2"),
        "packages.old": ("2", None),
        "switches.MKL_CBWR": (None, "AVX2"),
    }
    assert moved(then, now) == expected


def test_packages_of_then_can_be_brought_back_and_newer_ones_do_no_harm() -> None:
    then, now = ["numpy==1", "old==2", "same==3"], ["new==1", "numpy==2", "same==3"]
    assert restoring_command(then, now) == "python -m pip install numpy==1 old==2"
    assert restoring_command(then, [*then, "new==1"]) == ""


def test_what_no_index_has_is_told_and_the_command_still_runs() -> None:
    told = restoring_command(["kagkit==0.1.0", "torch==2.13.0+cu126", "torchvision==0.28.0+cu126"], [])
    words = shlex.split(told, comments=True)
    assert words[:4] == ["python", "-m", "pip", "install"]
    assert words[4:6] == ["torch==2.13.0+cu126", "torchvision==0.28.0+cu126"]
    assert words[6:] == ["--extra-index-url", "https://download.pytorch.org/whl/cu126"]
    assert told.endswith("  # not on an index: kagkit==0.1.0")
    assert restoring_command(["kagkit==0.1.0"], []) == "# not on an index: kagkit==0.1.0"
    assert restoring_command(["own==1+local"], []) == "# not on an index: own==1+local"
