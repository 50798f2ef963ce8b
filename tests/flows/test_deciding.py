from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from kagkit.foundation.errors import ManifestError
from kagkit.foundation.strictyaml import read_yaml
from kagkit.judgement.decisions import decide
from kagkit.judgement.ruling import Decision
from kagkit.judgement.versions import Both
from kagkit.runs.record import find_run
from kagkit.workspace.layout import Workspace
from kagkit.workspace.manifest import Policy
from tests.flows.test_second_stage import ROWS, release
from tests.terminal import kagkit
from tests.toy import make_workspace, write_competition, write_data, write_manifest, write_recipe

FOLDS = {"main": {"n": 2}}


def run(root: Path, name: str, **keys: Any) -> None:
    write_manifest(root, name, recipe="chances.py", **keys)
    kagkit(root, "run", name)


def freeze_and_retrain(root: Path, flipped: int = 0, **rules: Any) -> Path:
    """Stage 1 run, stage 2 released with some labels flipped, a frozen and a retrained run of the model."""
    make_workspace(root, rows=ROWS, folds=FOLDS)
    write_data(root, rows=200)
    write_recipe(root, "chances.py", CHANCES)
    run(root, "exp001")
    release(root, **rules)
    write_competition(root, **read_yaml(root / "competition.yaml", "").plain | {"folds": FOLDS})
    lines = (root / "data/train2.csv").read_text().splitlines()
    for place in range(1, 2 * flipped + 1, 2):
        lines[place] = lines[place][:-1] + ("0" if lines[place].endswith("1") else "1")
    (root / "data/train2.csv").write_text("\n".join(lines) + "\n")
    write_other_test(root)
    run(root, "exp001-s1", stage=2, start="exp001/1", frozen="all")
    run(root, "exp001-s2", stage=2)
    return root


def write_other_test(root: Path) -> None:
    """Stage 2's test with numbers of its own: `release` gives it those of the released rows."""
    chance, path = random.Random(1), root / "data/test2.csv"
    head, *lines = path.read_text().splitlines()
    for place, line in enumerate(lines):
        numbers = ",".join(f"{chance.gauss(0, 1):.4f}" for _ in range(3))
        lines[place] = f"{line.partition(',')[0]},{numbers},{line.rpartition(',')[2]}"
    path.write_text("\n".join([head, *lines]) + "\n")


@pytest.fixture(scope="module")
def noisy(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A model whose new labels are wrong for forty rows of a hundred; nothing is written there."""
    return Workspace(freeze_and_retrain(tmp_path_factory.mktemp("noisy") / "toy", flipped=40))


def decided(
    workspace: Workspace, policy: Policy = "auto", names: tuple[str, str] = ("exp001-s1", "exp001-s2")
) -> Decision:
    frozen, retrained = (find_run(workspace, name) for name in names)
    return decide(workspace, frozen, retrained, policy)


def test_two_runs_are_held_against_each_other_on_the_same_rows(noisy: Workspace) -> None:
    told = decided(noisy)
    train, released, pooled = (told.evidence[name] for name in ("train", "released", "pooled"))
    assert train is not None
    assert released is not None
    assert pooled is not None
    assert (train.rows, released.rows, pooled.rows) == (200, 100, 300)
    assert pooled.old == pytest.approx((2 * train.old + released.old) / 3)
    assert train.old == find_run(noisy, "exp001").data["cv"]
    assert "by 3 columns" in told.remarks[0]
    assert json.loads(json.dumps(told.as_json()))["evidence"]["train"]["old"] == train.old


def test_flipped_labels_ring_the_alarm_and_are_listed(noisy: Workspace) -> None:
    told = decided(noisy)
    assert (told.decision, [alarm.kind for alarm in told.alarms]) == ("mix", ["noisy"])
    flipped = {f"id_{row:03d}" for row in range(200, 280, 2)}
    assert len(told.mislabelled) > 20
    assert len({*told.mislabelled} & flipped) > 0.9 * len(told.mislabelled)
    assert decided(noisy, "never").decision == "keep"
    assert decided(noisy, "always").decision == "retrain"


def test_what_predict_measured_stands_in_for_columns(noisy: Workspace) -> None:
    both = Both.read(noisy, *(find_run(noisy, name) for name in ("exp001-s1", "exp001-s2")))
    measured = both.features()
    assert measured is not None
    labelled, test = measured
    assert labelled.index.equals(both.rows.index)
    assert list(labelled) == list(test)
    assert len(labelled.columns) == 4
    assert labelled["group"].equals(both.rows["group"])


def test_runs_that_are_no_versions_of_one_model_are_refused(noisy: Workspace) -> None:
    with pytest.raises(ManifestError, match=r"starts from no run(.|\n)*another stage(.|\n)*of the data"):
        decided(noisy, names=("exp001", "exp001-s2"))


def test_rows_that_were_pseudo_labelled_are_no_evidence(noisy: Workspace) -> None:
    rules = {"rows": {"extra": {"from": "test", "labels": "exp001"}}}
    run(noisy.root, "exp002", **rules)
    run(noisy.root, "exp002-s1", stage=2, start="exp002/1", frozen="all")
    told = decided(noisy, names=("exp002-s1", "exp001-s2"))
    assert told.evidence["released"] is None
    expected = "the frozen version was trained on the 100 new rows, labelled by a model"
    assert told.absent["released"] == expected
    assert told.evidence["train"] is not None
    assert (told.decision, told.alarms) == ("retrain", ())


def test_rows_that_are_only_trained_on_are_no_evidence(tmp_path: Path) -> None:
    told = decided(Workspace(freeze_and_retrain(tmp_path / "toy", new_rows="train_only")))
    assert told.evidence["train"] is not None
    assert (told.evidence["released"], told.evidence["pooled"]) == (None, None)
    assert told.absent["released"] == "no new row is held out by a fold"
    assert (told.decision, told.alarms) == ("retrain", ())


CHANCES = '''"""The chance of 1 by column `a`, and what was measured of each row."""

import json

import numpy as np


def train(task, *, steepness=4.0):
    rows = task.train_rows
    ones, zeros = rows[rows["label"] == 1]["a"], rows[rows["label"] == 0]["a"]
    (task.out / "middle.json").write_text(json.dumps((ones.mean() + zeros.mean()) / 2))


def predict(task, model, rows, *, steepness=4.0):
    middle = json.loads((task.weights / "middle.json").read_text())
    task.probe("level", (rows["a"] - middle).to_frame("above"))
    task.probe("pair", (rows.index, rows[["a", "b"]].to_numpy()))
    return (1 / (1 + np.exp(-steepness * (rows["a"] - middle)))).to_frame("label")
'''
