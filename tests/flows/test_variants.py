from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.terminal import edit, kagkit, newest_run, plan, record, run
from tests.toy import make_workspace, write_competition, write_manifest, write_recipe

FOLDS = {"main": {"n": 2}}
RECIPE = """import numpy as np


def train(task):
    (task.out / "mean.txt").write_text(str(task.train_rows["a"].mean()))


def predict(task, model, rows):
    mean = float((task.weights / "mean.txt").read_text())
    return (1 / (1 + np.exp(-3 * (rows["a"] - mean)))).to_frame("label") / 2
"""
MAKE = "def labels(predictions, rows, *, least=0.5):\n    return (predictions >= least).astype(int)\n"
FITTED = {"make": "post:labels", "fit_args": ["least"]}
LOW = {"make": "post:labels", "args": {"least": 0.1}}
VARIANTS = {"cv": FITTED, "lb": LOW, "plain": {}}


@pytest.fixture(scope="module")
def varied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace whose probabilities are half of what they should be, with three submissions."""
    root = make_workspace(tmp_path_factory.mktemp("varied") / "toy", folds=FOLDS)
    write_recipe(root, text=RECIPE)
    (root / "post.py").write_text(MAKE)
    write_manifest(root, submissions=VARIANTS)
    kagkit(root, "run", "exp001")
    return root


@pytest.fixture
def toy(varied: Path, tmp_path: Path) -> Path:
    return shutil.copytree(varied, tmp_path / "toy")


def told(root: Path) -> dict[str, Any]:
    return {each["name"]: each for each in record(root)["submissions"]}


def test_arguments_are_found_on_other_folds_and_the_cv_is_the_held_out_one(toy: Path) -> None:
    own = told(toy)["cv"]
    fit = own["fit"]
    assert record(toy)["cv"] == own["cv"] == fit["held_out"]
    assert fit["before"] < fit["held_out"] <= fit["in_sample"]
    assert fit["optimism"] == pytest.approx(fit["in_sample"] - fit["held_out"])
    assert set(fit["fold_args"]) == {"0", "1"}
    # Of each fold's rows only the other fold's may tell: a found argument scores there as it is recorded.
    scores = {score["fold"]: score["score"] for score in record(toy)["folds"]}
    write_manifest(toy, submission={"make": "post:labels", "args": fit["fold_args"]["0"]})
    run(toy)
    assert {s["fold"]: s["score"] for s in record(toy)["folds"]}[0] == scores[0]


def test_each_variant_is_scored_and_written(toy: Path) -> None:
    folder = newest_run(toy)
    files = {name: each["file"] for name, each in told(toy).items()}
    assert files == {"cv": "submission.csv", "lb": "submission-lb.csv", "plain": "submission-plain.csv"}
    assert told(toy)["plain"]["cv"] < told(toy)["lb"]["cv"]
    assert {each["fit"] is None for name, each in told(toy).items() if name != "cv"} == {True}
    assert (folder / "submission-plain.csv").read_bytes() != (folder / "submission-lb.csv").read_bytes()
    assert record(toy)["submission"]["sha256"] == told(toy)["cv"]["sha256"]


def test_what_is_found_is_printed_with_its_optimism(varied: Path, tmp_path: Path) -> None:
    root = shutil.copytree(varied, tmp_path / "toy")
    write_manifest(root, submission=FITTED)
    lines = kagkit(root, "run", "exp001").err.splitlines()
    assert " held out, " in lines[-1]
    assert "in sample: optimism +" in lines[-1]
    assert "; least 0." in lines[-1]


def test_editing_what_makes_submissions_never_trains(toy: Path) -> None:
    edit(toy / "post.py", "least=0.5", "least=0.4")
    assert plan(toy) == {}
    facts = run(toy)
    assert (facts["run"], facts["tasks"]["done"]) == ("exp001/2", 0)
    write_manifest(toy, submissions={"lb": LOW, "cv": FITTED})
    facts = run(toy)
    assert (facts["run"], facts["tasks"]["done"]) == ("exp001/3", 0)
    assert [each["name"] for each in facts["submissions"]] == ["lb", "cv"]
    assert facts["cv"] == facts["submissions"][0]["cv"]


def test_a_variant_is_packaged_scored_and_compared_by_its_name(toy: Path) -> None:
    first = kagkit(toy, "package", "exp001", "--json").json
    other = kagkit(toy, "package", "exp001", "--variant", "lb", "--json").json
    assert other["path"] == "submissions/exp001-001-lb/submission.csv"
    assert other["sha256"] == told(toy)["lb"]["sha256"] != first["sha256"] == told(toy)["cv"]["sha256"]
    provenance = json.loads((toy / other["path"]).with_name("provenance.json").read_text())
    assert (provenance["run"], provenance["variant"]) == ("exp001/1", "lb")
    assert provenance["cv"] == told(toy)["lb"]["cv"]
    kagkit(toy, "lb", "add", "exp001", "--variant", "lb", "--public", "0.9")
    kagkit(toy, "lb", "add", "exp001", "--public", "0.8")
    rows = {row["run"]: row for row in kagkit(toy, "compare", "--json").json["rows"]}
    assert {name: row["lb_public"] for name, row in rows.items()} == {
        "exp001/1": 0.8, "exp001/1:lb": 0.9, "exp001/1:plain": None,
    }  # fmt: skip
    assert rows["exp001/1:lb"]["submission"] == "exp001-001-lb"
    assert run(toy, "exp001", "--restart")["run"] == "exp001/1"


def test_a_variant_of_another_name_is_told_with_the_nearest(toy: Path) -> None:
    ended = kagkit(toy, "package", "exp001", "--variant", "plan", code=2)
    assert "did you mean plain?" in ended.err
    assert "--variant is of a run" in kagkit(toy, "submit", "data/train.csv", "--variant", "lb", code=2).err


@pytest.mark.parametrize("variant", ["cv", "lb", "plain"])
def test_new_rows_are_made_with_what_the_run_found(toy: Path, variant: str) -> None:
    kagkit(toy, "predict", "exp001", "--data", "data", "--out", "new.csv", "--variant", variant)
    assert (toy / "new.csv").read_bytes() == (newest_run(toy) / told(toy)[variant]["file"]).read_bytes()


def test_a_run_with_variants_is_reproduced_with_all_of_them(toy: Path) -> None:
    ended = kagkit(toy, "reproduce", "exp001", "--level", "weights", "--json").json
    assert ended["verdict"] == "identical"
    compared = {one["what"] for one in ended["compared"]}
    assert {"submission", "submission-lb", "submission-plain"} <= compared


def test_the_mean_of_folds_is_what_arguments_are_found_for_where_it_is_the_cv(toy: Path) -> None:
    metric = {"score": "kagkit.metrics:accuracy", "greater_is_better": True, "cv": "fold_mean"}
    write_competition(toy, folds=FOLDS, metric=metric)
    facts = run(toy)
    assert facts["cv"] == pytest.approx(sum(score["score"] for score in facts["folds"]) / 2)


def test_a_part_of_the_folds_keeps_what_it_starts_from_and_a_whole_run_of_one_fold_is_refused(
    toy: Path,
) -> None:
    facts = run(toy, "exp001", "--folds", "0")
    assert facts["submissions"][0]["fit"] is None
    assert kagkit(toy, "run", "exp001", "--smoke").code == 0
    write_manifest(toy, submission=FITTED, folds={"set": "main", "only": [0]})
    assert "nothing is held out" in kagkit(toy, "run", "exp001", code=3).err


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"submission": FITTED | {"fit_args": ["leest"]}}, "did you mean least?"),
        ({"submission": {"fit_args": ["least"]}}, "submission.fit_args without submission.make"),
        ({"submission": LOW, "submissions": VARIANTS}, "submissions beside submission"),
        ({"submissions": {"../lb": LOW}}, "a short name of letters and digits"),
        ({"submission": FITTED, "fit": "full"}, "fit: full has no out-of-fold predictions"),
        ({"submissions": {"cv": {"make": "post:label"}}}, "did you mean labels?"),
        (
            {"submission": FITTED, "search": {"submission": {"least": {"low": 0.0, "high": 1.0}}}},
            "search.submission.least: in submission.fit_args",
        ),
    ],
)
def test_what_cannot_be_made_is_told_before_anything_runs(
    toy: Path, changes: dict[str, Any], told: str
) -> None:
    write_manifest(toy, **changes)
    assert told in kagkit(toy, "check", "exp001.yaml", code=2).err


def test_an_argument_without_a_start_is_told(toy: Path) -> None:
    (toy / "post.py").write_text(MAKE.replace("least=0.5", "least"))
    told = kagkit(toy, "check", "exp001.yaml", code=2).err
    assert "least has no start" in told
    assert "submissions.cv: {args: {least: …}}" in told
