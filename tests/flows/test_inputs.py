from __future__ import annotations

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest

from kagkit.data.predictions import Predictions
from tests.flows.test_damage import flip_a_bit
from tests.terminal import edit, kagkit, newest_run, plan, record, run
from tests.toy import make_workspace, write_manifest, write_recipe

FOLDS = {"main": {"n": 2}, "other": {"n": 2, "seed": 1}}
GATE = '''"""Trust the mean where the experiment that feeds this one says so."""

import json

import numpy as np


def train(task, *, least=0.5):
    fed = task.inputs["clf"].frame(task.train_rows.index)["label"]
    held_out = task.inputs["clf"].frame(task.valid_rows.index)["label"]
    told = {"rows": len(fed), "held_out": len(held_out), "share": float(np.mean(fed))}
    (task.out / "told.json").write_text(json.dumps(told))


def predict(task, model, rows, *, high=0.9):
    fed = task.inputs["clf"].frame(rows.index)["label"]
    return (fed * high).to_frame("label")
'''
KEPT = """def train(task):
    return 1


def predict(task, model, rows):
    return (rows["a"] > 0).astype("int64").to_frame("label")
"""
MEASURING = """import json

import numpy as np
import pandas as pd


def train(task):
    (task.out / "mean.json").write_text(json.dumps(float(task.train_rows["a"].mean())))


def predict(task, model, rows):
    mean = json.loads((model / "mean.json").read_text())
    task.probe("distance", rows["a"] - mean)
    for start in range(0, len(rows), 7):
        part = rows.iloc[start : start + 7]
        features = np.stack([np.outer(row, [1, 2]) for row in part[["a", "b", "c"]].to_numpy()])
        task.probe("features", (part.index, features.astype("float32")))
        yield part.index, {"label": 1 / (1 + np.exp(mean - part["a"].to_numpy()))}
"""


@pytest.fixture(scope="module")
def fed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace whose final.yaml is fed by exp001, and both have run; for copying only."""
    root = make_workspace(tmp_path_factory.mktemp("fed") / "toy", folds=FOLDS)
    write_recipe(root, "gate.py", GATE)
    write_manifest(root, "final", recipe="gate.py", inputs={"clf": "exp001"})
    kagkit(root, "run", "final")
    return root


@pytest.fixture
def toy(fed: Path, tmp_path: Path) -> Path:
    return shutil.copytree(fed, tmp_path / "toy")


def parents(root: Path) -> list[str]:
    return [parent["run"] for parent in record(root, "final")["parents"]]


def test_what_is_missing_upstream_is_run_first_and_named_as_parent(toy: Path) -> None:
    assert newest_run(toy, "exp001").is_dir()
    (parent,) = record(toy, "final")["parents"]
    told = record(toy, "exp001")
    assert (parent["input"], parent["run"], parent["plan_key"]) == ("clf", "exp001/1", told["plan_key"])
    assert (parent["oof"], parent["test"]) == (told["oof"]["content_sha256"], told["test"]["content_sha256"])
    assert record(toy, "final")["cv"] == told["cv"]
    assert plan(toy, "final") == {}


def test_another_outcome_upstream_makes_what_it_feeds_stale_by_name(toy: Path) -> None:
    write_manifest(toy, args={"shift": 0.5})
    run(toy)
    todo = plan(toy, "final")
    assert set(todo.values()) == {"changed: inputs.clf"}
    run(toy, "final")
    assert parents(toy) == ["exp001/2"]


def test_a_run_that_is_named_stays_the_one_whatever_comes_later(toy: Path) -> None:
    write_manifest(toy, args={"shift": 0.5})
    write_manifest(toy, "final", recipe="gate.py", inputs={"clf": "exp001/1"})
    assert plan(toy, "final") == {}
    assert len(list((toy / "runs/exp001").iterdir())) == 1


def test_an_argument_of_the_fed_one_alone_trains_nothing_upstream(toy: Path) -> None:
    write_manifest(toy, "final", recipe="gate.py", inputs={"clf": "exp001"}, args={"high": 0.8})
    assert set(plan(toy, "final").values()) == {"changed: args.high"}


@pytest.mark.parametrize("level", ["predictions", "weights", "scratch"])
def test_a_fed_run_is_reproduced_with_what_fed_it(toy: Path, level: str) -> None:
    write_manifest(toy, args={"shift": 0.5})
    run(toy)
    told = kagkit(toy, "reproduce", "final", "--level", level, "--json").json
    assert (told["verdict"], told["tier"]) == ("identical", "exact")


def test_folds_that_were_drawn_again_are_refused_with_the_rows_that_moved(toy: Path) -> None:
    write_manifest(toy, "exp001", folds="other")
    ended = kagkit(toy, "run", "final", code=3)
    assert "exp001/2 is on the folds other" in ended.err
    assert "rows in another fold of other: id_0" in ended.err


def test_a_circle_and_a_name_of_nothing_are_told(toy: Path) -> None:
    write_manifest(toy, inputs={"all": "final"})
    told = kagkit(toy, "run", "final", code=2).err
    assert "experiments feed each other" in told
    assert "exp001 → final → exp001" in told or "final → exp001 → final" in told
    write_manifest(toy, inputs={"all": "finall"})
    told = kagkit(toy, "check", "exp001.yaml", code=2).err
    assert "inputs.all: no experiment finall" in told
    assert "did you mean final?" in told


@pytest.mark.parametrize("file", ["oof.arrow", "test.arrow"])
def test_a_flipped_bit_in_what_feeds_is_found_before_it_is_used(toy: Path, file: str) -> None:
    flip_a_bit(newest_run(toy, "exp001") / file)
    edit(toy / "gate.py", "fed * high", "high * fed")
    ended = kagkit(toy, "run", "final", code=7)
    assert f"{file}: its bytes changed" in ended.err


def test_a_damaged_run_is_told_with_what_it_fed(toy: Path) -> None:
    flip_a_bit(newest_run(toy, "exp001") / "oof.arrow")
    told = kagkit(toy, "check", "exp001/1", code=7).err
    assert "exp001/1: final/1 rest on it" in told


def test_a_partial_run_feeds_nothing(toy: Path) -> None:
    shutil.rmtree(toy / "runs/exp001")
    run(toy, "exp001", "--folds", "0")
    write_manifest(toy, "final", recipe="gate.py", inputs={"clf": "exp001/1"})
    assert "a partial run" in kagkit(toy, "run", "final", code=2).err


def test_clean_keeps_what_feeds_and_what_is_fed(toy: Path) -> None:
    kagkit(toy, "clean", "-y")
    assert plan(toy, "final") == {}


def test_a_smoke_run_of_what_is_fed_is_refused_before_anything_runs(toy: Path) -> None:
    assert "final has no smoke run" in kagkit(toy, "run", "final", "--smoke", code=2).err
    assert not (toy / "runs/.smoke").exists()


def test_a_dry_run_says_what_comes_first(tmp_path: Path) -> None:
    root = make_workspace(tmp_path, folds=FOLDS)
    write_recipe(root, "gate.py", GATE)
    write_manifest(root, "final", recipe="gate.py", inputs={"clf": "exp001"})
    told = kagkit(root, "run", "final", "--dry-run").err
    assert told.startswith("exp001: no run yet\nfinal: no run yet; fed by clf = exp001\n")
    assert "exp001: 6 tasks to do" in told
    assert "final: planned once exp001 is done" in told


def predicted(root: Path, *words: str, code: int = 0) -> str:
    """What `kagkit predict final` says of the test's own rows on both streams."""
    ended = kagkit(root, "predict", "final", "--data", "data", "--out", "out.csv", *words, code=code)
    return ended.out + ended.err


def test_new_rows_are_predicted_by_those_that_feed_a_run_first(toy: Path) -> None:
    told = predicted(toy)
    assert told.index("weights of exp001/1") < told.index("weights of final/1")
    assert (toy / "out.csv").read_bytes() == (newest_run(toy, "final") / "submission.csv").read_bytes()
    assert [path for path in (toy / "runs/.work").iterdir() if path.is_dir()] == []


def test_new_rows_go_through_the_runs_that_fed_it_whatever_came_later(toy: Path) -> None:
    write_manifest(toy, args={"shift": 0.5})
    run(toy)
    assert "weights of exp001/1" in predicted(toy)
    assert (toy / "out.csv").read_bytes() == (newest_run(toy, "final") / "submission.csv").read_bytes()


def test_code_that_changed_upstream_is_refused_until_it_is_accepted(toy: Path) -> None:
    edit(toy / "mean.py", "!= flip", "!= (not flip)")
    assert "mean.py:predict: changed since exp001/1" in predicted(toy, code=4)
    assert "weights of final/1" in predicted(toy, "--accept", "code:mean.py")
    assert "final/1 uses no code of gone.py" in predicted(toy, "--accept", "code:gone.py", code=2)


def test_weights_that_are_damaged_upstream_are_found_before_they_are_used(toy: Path) -> None:
    flip_a_bit(newest_run(toy, "exp001") / "weights/seed0-fold0/mean.json")
    assert "seed0-fold0/mean.json" in predicted(toy, code=7)


def test_what_kept_predictions_alone_feeds_no_new_rows(tmp_path: Path) -> None:
    root = make_workspace(tmp_path, folds=FOLDS)
    write_recipe(root, "gate.py", GATE)
    write_recipe(root, text=KEPT)
    write_manifest(root, "final", recipe="gate.py", inputs={"clf": "exp001"})
    run(root, "final")
    told = predicted(root, code=2)
    assert "exp001/1: it kept its predictions and no weights, and it feeds final/1" in told


@pytest.fixture(scope="module")
def probed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace whose net.yaml measures rows, and whose final.yaml stacks that; for copying only."""
    root = make_workspace(tmp_path_factory.mktemp("probed") / "toy", folds=FOLDS)
    write_recipe(root, "net.py", MEASURING)
    write_manifest(root, "net", recipe="net.py")
    args = {"model": "lightgbm", "probes": ["net.features"], "columns": ["c"], "rounds": 5}
    write_manifest(root, "final", recipe="kagkit.recipes.stack", inputs={"net": "net"}, args=args)
    kagkit(root, "run", "final")
    return root


def test_what_predict_measures_is_kept_by_key_and_feeds_other_runs(probed: Path, tmp_path: Path) -> None:
    root = shutil.copytree(probed, tmp_path / "toy")
    told = record(root, "net")["probes"]
    assert {name: list(sets) for name, sets in told.items()} == {
        "distance": ["oof", "test"],
        "features": ["oof", "test"],
    }
    features = Predictions.open(newest_run(root, "net") / told["features"]["oof"]["file"])
    train = pd.read_csv(root / "data/train.csv", dtype={"id": str}).set_index("id")
    b = train["b"]["id_007"]
    assert features.array("features", ["id_007"])[0, 1].tolist() == pytest.approx([b, 2 * b], rel=1e-6)
    names = json.loads((newest_run(root, "final") / "weights/seed0-fold0/stack.json").read_text())["features"]
    assert names[:3] == ["net.label", "net.features.0", "net.features.1"]
    assert predicted(root).endswith("\n")
    assert (root / "out.csv").read_bytes() == (newest_run(root, "final") / "submission.csv").read_bytes()
    edit(root / "net.py", "[1, 2]", "[1, 3]")
    run(root, "net")
    assert set(plan(root, "final").values()) == {"changed: inputs.net"}
    assert record(root, "net")["oof"]["content_sha256"] == record(root, "final")["parents"][0]["oof"]


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (
            'rows["a"] - mean',
            'rows["a"].iloc[1:] - mean',
            "probe distance of valid rows, keys: no prediction",
        ),
        ('rows["a"] - mean', 'rows["group"]', "distance is text; expected numbers: they are averaged"),
        ('"distance", rows', '"../distance", rows', "not a name; expected letters, digits and _"),
        ("    (task.out", '    task.probe("x", 1)\n    (task.out', "task.probe: not in predict"),
    ],
)
def test_a_probe_that_cannot_be_kept_is_told(
    probed: Path, tmp_path: Path, old: str, new: str, told: str
) -> None:
    root = shutil.copytree(probed, tmp_path / "toy")
    edit(root / "net.py", old, new)
    assert told in kagkit(root, "run", "net", code=4).err


SPLITTING = {"scheme": "stratified", "n": 2}
REDRAWN = {"scheme": "group", "group": "group", "n": 2, "seed": 3}


@pytest.mark.parametrize("other", [SPLITTING, REDRAWN])
def test_a_stack_on_other_folds_is_refused_whether_they_split_groups_or_were_drawn_again(
    other: dict[str, object], tmp_path: Path
) -> None:
    folds = {"main": {"scheme": "group", "group": "group", "n": 2}, "other": other}
    root = make_workspace(tmp_path, folds=folds)
    write_recipe(root, text=KEPT)
    write_manifest(root, folds="other")
    write_manifest(root, "final", recipe="kagkit.recipes.stack", inputs={"net": "exp001"})
    told = kagkit(root, "run", "final", code=3).err
    assert "what feeds this experiment has seen rows that are held out here" in told
    assert "exp001/1 is on the folds other" in told
    assert "rows in another fold of other: id_0" in told


def test_the_target_among_a_stacks_columns_is_refused(toy: Path) -> None:
    args = {"columns": ["label"]}
    write_manifest(toy, "final", recipe="kagkit.recipes.stack", inputs={"net": "exp001"}, args=args)
    assert "args.columns: label: the target itself" in kagkit(toy, "run", "final", code=2).err


def test_what_is_fed_is_tuned_with_what_feeds_it_which_is_run_first(toy: Path) -> None:
    search = {"trials": 2, "args": {"high": {"choices": [0.9, 0.4]}}}
    write_manifest(toy, "final", recipe="gate.py", inputs={"clf": "exp001"}, search=search)
    shutil.rmtree(toy / "runs/exp001")
    told = kagkit(toy, "tune", "final", "--json").json
    assert newest_run(toy, "exp001").is_dir()
    assert told["trials"]["done"] == 2
