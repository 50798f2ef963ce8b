from __future__ import annotations

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest

from kagkit.data.predictions import Predictions
from kagkit.judgement.blending import blend_members
from kagkit.judgement.stacking import Member
from kagkit.metrics import log_loss
from kagkit.metrics.truth import Truth
from kagkit.workspace.shipped import ShippedRecipe
from tests.terminal import edit, kagkit, newest_run, plan, record, run
from tests.toy import make_workspace, write_competition, write_data, write_manifest, write_recipe

FOLDS = {"main": {"n": 2}}
LOSS = {"score": "kagkit.metrics:log_loss", "greater_is_better": False}
SOFT = '''"""A chance that rises with one column."""

import numpy as np


def train(task, *, column="a"):
    return float(np.mean(task.train_rows[column]))


def predict(task, model, rows, *, column="a", slope=1.0):
    return (1 / (1 + np.exp(-slope * (rows[column] - model)))).to_frame("label")
'''
BLEND = "kagkit.recipes.blend"
SCORING = '''"""Choose the slope that scores best."""

import json

import numpy as np


def chances(rows, slope):
    return (1 / (1 + np.exp(-slope * rows["a"]))).to_frame("label")


def loss(task, slope):
    return task.score(chances(task.train_rows, slope), task.train_rows)


def train(task):
    best = min([0.5, 1.0, 2.0, 4.0], key=lambda slope: loss(task, slope))
    (task.out / "slope.json").write_text(json.dumps(best))


def predict(task, model, rows):
    return chances(rows, json.loads((model / "slope.json").read_text()))
'''
OWN_METRIC = """import numpy as np


def score(solution, submission, row_id_column_name, *, least=1e-15):
    given = submission["label"].clip(least, 1 - least)
    right = np.where(solution["label"] == 1, given, 1 - given)
    return float(-np.log(right).mean())
"""


@pytest.fixture(scope="module")
def blended(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with a blend of two noisy models that has run; for copying only."""
    root = make_workspace(tmp_path_factory.mktemp("blended") / "toy", folds=FOLDS, metric=LOSS)
    write_data(root, rows=60)
    write_recipe(root, "soft.py", SOFT)
    for number, (column, slope) in enumerate([("a", 9.0), ("b", 0.3)], 1):
        write_manifest(root, f"exp00{number}", recipe="soft.py", args={"column": column, "slope": slope})
    write_manifest(root, "final", recipe=BLEND, inputs={"one": "exp001", "two": "exp002"})
    kagkit(root, "run", "final")
    return root


@pytest.fixture
def toy(blended: Path, tmp_path: Path) -> Path:
    return shutil.copytree(blended, tmp_path / "toy")


def told_weights(root: Path, fit: str) -> dict[str, dict[str, float]]:
    told = json.loads((newest_run(root, "final") / f"weights/seed0-{fit}/weights.json").read_text())
    weights: dict[str, dict[str, float]] = told["weights"]
    return weights


def test_its_cv_is_the_nested_score_and_its_optimism_that_of_the_library(blended: Path) -> None:
    rows = pd.read_csv(blended / "data/train.csv", dtype={"id": str}).set_index("id")
    folds = pd.read_csv(blended / "folds/main.csv", dtype={"id": str}).set_index("id")["fold"]
    members = [
        Member.of(name, Predictions.open(newest_run(blended, name) / "oof.arrow").frame())
        for name in ("exp001", "exp002")
    ]
    blend = blend_members(members, Truth(rows[["label"]], log_loss, False), folds)
    told = record(blended, "final")
    assert told["cv"] == pytest.approx(blend.nested, abs=1e-12)
    assert told["optimism"] == pytest.approx(blend.optimism, abs=1e-12)
    assert told["optimism"] > 0
    for fit, weights in {"fold0": blend.fold_weights[0], "full": blend.weights}.items():
        assert [each["label"] for each in told_weights(blended, fit).values()] == pytest.approx(
            weights["label"].tolist()
        )


def test_members_are_named_by_digest_and_the_optimism_is_told_by_run_and_compare(blended: Path) -> None:
    told = record(blended, "final")
    assert [parent["oof"] for parent in told["parents"]] == [
        record(blended, name)["oof"]["content_sha256"] for name in ("exp001", "exp002")
    ]
    optimism = f"{told['optimism']:+.5f}"
    assert f"  optimism {optimism}" in kagkit(blended, "run", "final").err
    assert optimism in kagkit(blended, "compare").out
    compared = kagkit(blended, "compare", "--json").json["rows"]
    assert {row["run"]: row["optimism"] for row in compared} == {
        "final/1": told["optimism"],
        "exp001/1": None,
        "exp002/1": None,
    }


def test_with_fit_both_the_test_is_predicted_by_the_weights_of_all_rows(toy: Path) -> None:
    cv = record(toy, "final")["cv"]
    write_manifest(toy, "final", recipe=BLEND, inputs={"one": "exp001", "two": "exp002"}, fit="both")
    run(toy, "final")
    tests = {
        name: Predictions.open(newest_run(toy, name) / "test.arrow").frame()["label"].sort_index()
        for name in ("exp001", "exp002", "final")
    }
    one, two = (each["label"] for each in told_weights(toy, "full").values())
    assert record(toy, "final")["cv"] == cv
    assert tests["final"].tolist() == pytest.approx((one * tests["exp001"] + two * tests["exp002"]).tolist())


def test_another_metric_finds_weights_anew_and_trains_nothing_else(toy: Path) -> None:
    write_competition(toy, folds=FOLDS, metric=LOSS | {"args": {"clip": 1e-3}})
    assert set(plan(toy, "final").values()) == {"changed: metric"}
    assert plan(toy, "exp001") == {}


def test_another_version_of_the_recipe_finds_weights_anew(toy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ShippedRecipe, "_constant", lambda _, name: {"VERSION": 2}.get(name, "weights.json"))
    assert set(plan(toy, "final").values()) == {f"changed: code {BLEND}:VERSION"}


def test_the_same_run_twice_is_refused(toy: Path) -> None:
    write_manifest(toy, "final", recipe=BLEND, inputs={"one": "exp001", "again": "exp001/1"})
    told = kagkit(toy, "run", "final", code=3).err
    assert "again, one have the same predictions" in told or "one, again have the same predictions" in told


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"recipe": "kagkit.recipes.blnd"}, "did you mean kagkit.recipes.blend?"),
        ({"inputs": None}, f"{BLEND} without inputs; expected the runs that feed it"),
        ({"args": {"methd": "mean"}}, "did you mean method?"),
        ({"args": {"rounds": "many"}}, "expected a whole number"),
    ],
)
def test_what_a_blend_cannot_mean_is_told_before_it_runs(
    blended: Path, tmp_path: Path, changes: dict[str, object], told: str
) -> None:
    root = shutil.copytree(blended, tmp_path / "toy")
    write_manifest(root, "final", **{"recipe": BLEND, "inputs": {"one": "exp001"}} | changes)
    assert told in kagkit(root, "check", "final.yaml", code=2).err


def test_a_recipe_that_scores_trains_again_when_its_metric_changes(toy: Path) -> None:
    write_recipe(toy, "metric.py", OWN_METRIC)
    own = {"score": "metric:score", "greater_is_better": False}
    write_competition(toy, folds=FOLDS, metric=own)
    write_recipe(toy, "scoring.py", SCORING)
    write_manifest(toy, "scoring", recipe="scoring.py")
    run(toy, "scoring")
    assert plan(toy, "scoring") == {}
    edit(toy / "metric.py", "least=1e-15", "least=1e-3")
    assert set(plan(toy, "scoring").values()) == {"changed: code metric.py:score"}
    edit(toy / "scoring.py", "task.score(", "getattr(task, 'score')(")
    told = kagkit(toy, "run", "scoring", code=4).err
    assert "task.score: not seen in the source of train" in told
