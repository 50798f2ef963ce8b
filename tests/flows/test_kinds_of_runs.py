from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from kagkit.data.predictions import Predictions
from kagkit.metrics import auc
from tests.terminal import edit, kagkit, kept, newest_run, plan, record, run
from tests.toy import RECIPE, make_workspace, write_competition, write_manifest, write_recipe

FOLDS = {"main": {"n": 2}}
TRAINS = {"train seed 0 fold 0", "train seed 0 fold 1"}
PREDICTS = {f"predict seed 0 fold {fold} {rows}" for fold in (0, 1) for rows in ("valid", "test")}
HELPED = """from helpers import middle, spare


def train(task):
    (task.out / "mean.txt").write_text(str(middle(task.train_rows["a"])))


def predict(task, model, rows):
    mean = float((task.weights / "mean.txt").read_text())
    return (rows["a"] > mean).astype("int64").to_frame("label")
"""
HELPERS = "def middle(values):\n    return values.mean()\n\n\ndef spare():\n    return 1\n"
READS = """def train(task):
    with open("lookup.csv") as stream:
        (task.out / "mean.txt").write_text(stream.read())


def predict(task, model, rows):
    mean = float((task.weights / "mean.txt").read_text())
    return (rows["a"] > mean).astype("int64").to_frame("label")
"""
CHANCE = """import os


def train(task):
    (task.out / "noise.bin").write_bytes(b"noise" + os.urandom(8))


def predict(task, model, rows):
    return (rows["a"] > 0).astype("int64").to_frame("label")
"""
RETURNED = """def train(task, *, shift=0.0):
    return float(task.train_rows["a"].mean()) + shift


def predict(task, model, rows, *, flip=False):
    return ((rows["a"] > model) != flip).astype("int64").to_frame("label")
"""


def test_a_partial_run_is_told_apart_and_does_not_hide_the_whole_one(toy: Path) -> None:
    facts = run(toy, "exp001", "--folds", "0")
    assert (facts["run"], facts["complete"], facts["coverage"]) == ("exp001/2", False, 0.5)
    assert facts["tasks"] == {"planned": 3, "done": 0, "reused": 3, "failed": 0}
    assert [row["run"] for row in kagkit(toy, "compare", "--json").json["rows"]] == ["exp001/1"]
    assert (
        "exp001/2: some of its folds or seeds are missing" in kagkit(toy, "compare", "exp001/2", code=2).err
    )
    assert "exp001/2: a partial run" in kagkit(toy, "package", "exp001/2", code=2).err
    assert "nothing to do: exp001/1" in kagkit(toy, "run", "exp001").err
    assert "nothing to do: exp001/2" in kagkit(toy, "run", "exp001", "--folds", "0").err
    assert kagkit(toy, "package", "exp001", "--json").json["path"] == "submissions/exp001-001/submission.csv"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--folds", "9"], "folds: 9; expected some of 0, 1"),
        (["--seeds", "3"], "seeds: 3; expected some of 0"),
        (["--folds", "a"], "--folds a: not numbers; write --folds 0,1"),
        (["--accept", "utils.py"], "write --accept code:FILE.py"),
        (["--accept", "code:utils.py"], "utils.py"),
    ],
)
def test_a_choice_that_is_none_is_refused(toy: Path, words: list[str], told: str) -> None:
    before = kept(toy)
    assert told in kagkit(toy, "run", "exp001", *words, code=2).err
    assert kept(toy) == before


def test_seeds_are_chosen_and_averaged(toy: Path) -> None:
    write_manifest(toy, seeds=[0, 1])
    half = run(toy, "exp001", "--seeds", "1")
    assert (half["complete"], [fold["seed"] for fold in half["folds"]]) == (False, [1, 1])
    whole = run(toy)
    assert whole["complete"]
    assert [(fold["seed"], fold["fold"]) for fold in whole["folds"]] == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert whole["tasks"] == {"planned": 12, "done": 0, "reused": 12, "failed": 0}


def test_fits_on_all_rows_predict_the_test_rows(toy: Path) -> None:
    write_manifest(toy, "full", fit="full")
    full = run(toy, "full")
    assert (full["cv"], full["oof"], full["coverage"]) == (None, None, None)
    assert [weight["fold"] for weight in full["weights"]] == [None]
    assert "fit: full has no folds" in kagkit(toy, "run", "full", "--folds", "0", code=2).err
    write_manifest(toy, "both", fit="both")
    both = run(toy, "both")
    assert both["tasks"]["done"] == 0
    assert both["cv"] == record(toy)["cv"]
    assert both["test"] == full["test"]
    rows = kagkit(toy, "compare").out
    assert rows.index("both/1") < rows.index("full/1")
    kagkit(toy, "package", "full")


def test_some_of_the_folds_make_a_whole_run_with_its_coverage(toy: Path) -> None:
    write_manifest(toy, "half", folds={"set": "main", "only": [1]})
    ended = kagkit(toy, "run", "half")
    assert "on 50% of the rows" in ended.err
    assert record(toy, "half")["complete"]
    compared = kagkit(toy, "compare")
    assert "rows: CV is on different shares of the rows" in compared.err
    assert "50%" in compared.out


def test_folds_are_combined_as_the_manifest_says(toy: Path) -> None:
    (toy / "mine.py").write_text("def first(parts):\n    return parts[0]\n")
    ways = {how: write_manifest(toy, name, combine=how) for name, how in
            [("average", "mean"), ("ranks", "rank_mean"), ("own", "mine:first")]}  # fmt: skip
    contents = {how: run(toy, path.stem)["test"]["content_sha256"] for how, path in ways.items()}
    assert contents["mean"] == record(toy)["test"]["content_sha256"]
    assert len(set(contents.values())) == 3


def test_the_mean_of_the_folds_is_another_score_than_that_of_the_pool(toy: Path) -> None:
    metric = {"score": "kagkit.metrics:auc", "greater_is_better": True, "cv": "fold_mean"}
    write_competition(toy, folds=FOLDS, metric=metric)
    facts = run(toy)
    assert facts["cv"] == pytest.approx(sum(fold["score"] for fold in facts["folds"]) / 2)
    oof = Predictions.open(newest_run(toy) / "oof.arrow").frame()
    rows = pd.read_csv(toy / "data/train.csv", index_col="id")
    pooled = auc(rows[["label"]].reset_index(), oof.loc[rows.index].reset_index(), "id")
    assert facts["cv"] != pooled
    assert facts["tasks"]["done"] == 0


def test_groups_stay_together_whoever_makes_the_folds(tmp_path: Path) -> None:
    rows = {"key": ["id"], "group": "group"}
    toy = make_workspace(tmp_path, folds={"main": {"scheme": "kfold", "n": 2}}, rows=rows)
    assert "group in more than one fold" in kagkit(toy, "run", "exp001", code=3).err
    assert not (toy / "folds/main.csv").exists()
    keys = [line.split(",")[0] for line in (toy / "data/train.csv").read_text().split()[1:]]
    (toy / "own.csv").write_text("".join(["id,fold\n", *(f"{key},{n % 2}\n" for n, key in enumerate(keys))]))
    write_competition(toy, folds={"main": {"file": "own.csv"}}, rows=rows)
    assert "group in more than one fold" in kagkit(toy, "run", "exp001", code=3).err
    write_competition(toy, folds=FOLDS, rows=rows)
    assert "2 stratified group folds on label by group" in kagkit(toy, "run", "exp001", "--dry-run").err
    lines = (toy / "folds/main.csv").read_text().splitlines()
    lines[1] = f"id_000,{1 - int(lines[1][-1])}"
    (toy / "folds/main.csv").write_text("\n".join([*lines, ""]))
    told = kagkit(toy, "run", "exp001", code=3).err
    assert "1 of 10 group in more than one fold: g0 in [0, 1]; expected one fold for a group" in told


def test_all_done_again_gives_the_same_bytes(toy: Path) -> None:
    before = kept(toy)
    ended = kagkit(toy, "run", "exp001", "--restart")
    assert "train seed 0 fold 0 and 1 more: restart" in ended.err
    assert "same bytes: exp001/1 was done again, 6 tasks" in ended.err
    assert kept(toy) == before


def test_a_recipe_left_to_chance_is_told_when_it_is_done_again(toy: Path) -> None:
    write_recipe(toy, "chance.py", CHANCE)
    write_manifest(toy, "chance", recipe="chance.py")
    first = run(toy, "chance")
    assert record(toy, "chance")["deterministic"]
    ended = kagkit(toy, "run", "chance", "--restart")
    assert "chance/2" in ended.err
    assert "not deterministic: other bytes than before" in ended.err
    facts = record(toy, "chance")
    assert (facts["deterministic"], set(facts["differs"])) == (False, TRAINS)
    assert facts["weights"] != first["weights"]
    assert "nothing to do: chance/2" in kagkit(toy, "run", "chance").err


def test_smoke_runs_live_apart_and_are_short(toy: Path) -> None:
    write_recipe(toy, "epochs.py", RECIPE.replace("shift=0.0", "shift=0.0, epochs=50").replace(
        "dumps(mean))", "dumps(mean))\n    task.log(epochs=epochs)"))  # fmt: skip
    write_manifest(toy, "epochs", recipe="epochs.py")
    before = kept(toy)
    facts = run(toy, "epochs", "--smoke")
    assert (facts["complete"], [fold["fold"] for fold in facts["folds"]]) == (False, [0])
    assert not (toy / "runs/epochs").exists()
    assert {name: digest for name, digest in kept(toy).items() if not name.startswith(".smoke")} == before
    smoke = record(toy, ".smoke/epochs")
    (args,) = {task["ingredients"].get("args.epochs") for task in smoke["tasks"] if task["kind"] == "train"}
    assert args == 1
    assert "epochs" not in kagkit(toy, "compare").out
    assert kagkit(toy, "package", "epochs", code=2).err.startswith("epochs: no such run")


def test_accepted_code_keeps_old_results_until_it_changes_again(toy: Path) -> None:
    write_recipe(toy, "helped.py", HELPED)
    write_recipe(toy, "helpers.py", HELPERS)
    write_manifest(toy, "helped", recipe="helped.py")
    run(toy, "helped")
    edit(toy / "helpers.py", "values.mean()", "values.mean() + 0")
    assert plan(toy, "helped") == dict.fromkeys(TRAINS, "changed: code helpers.py:middle")
    accepted = run(toy, "helped", "--accept", "code:helpers.py")
    assert (accepted["run"], accepted["tasks"]["done"]) == ("helped/2", 0)
    assert list(record(toy, "helped")["accepted"]) == ["helpers.py"]
    assert "nothing to do: helped/2" in kagkit(toy, "run", "helped").err
    edit(toy / "helpers.py", "values.mean() + 0", "values.median()")
    assert plan(toy, "helped") == dict.fromkeys(TRAINS, "changed: code helpers.py:middle")


def test_a_file_read_and_not_declared_makes_its_tasks_do_again(toy: Path) -> None:
    write_recipe(toy, "reads.py", READS)
    write_manifest(toy, "reads", recipe="reads.py")
    (toy / "lookup.csv").write_text("0.5")
    told = kagkit(toy, "run", "reads").err
    assert "lookup.csv: read and not declared" in told
    assert "add `code: [lookup.csv]` to reads.yaml" in told
    undeclared = {task["label"]: task["undeclared"] for task in record(toy, "reads")["tasks"]}
    assert undeclared == {task: ["lookup.csv"] for task in TRAINS} | {task: [] for task in PREDICTS}
    reason = "read lookup.csv, which `code:` does not declare"
    assert plan(toy, "reads") == dict.fromkeys(TRAINS, reason)
    (toy / "lookup.csv").write_text("0.0")
    assert run(toy, "reads")["run"] == "reads/2"
    write_manifest(toy, "reads", recipe="reads.py", code=["lookup.csv"])
    run(toy, "reads")
    assert plan(toy, "reads") == {}
    (toy / "lookup.csv").write_text("0.25")
    assert plan(toy, "reads") == dict.fromkeys(TRAINS, "changed: code lookup.csv")


def test_a_model_that_is_returned_leaves_its_predictions_alone(toy: Path) -> None:
    write_recipe(toy, "returned.py", RETURNED)
    write_manifest(toy, "returned", recipe="returned.py")
    facts = run(toy, "returned")
    assert facts["tasks"]["planned"] == 2
    assert facts["weights"] == []
    assert facts["oof"] == {"content_sha256": record(toy)["oof"]["content_sha256"]}
    write_manifest(toy, "returned", recipe="returned.py", args={"flip": True})
    assert plan(toy, "returned") == dict.fromkeys(TRAINS, "changed: args.flip")


def test_exact_copies_of_rows_are_dropped_where_that_is_declared(toy: Path) -> None:
    lines = (toy / "data/train.csv").read_text().splitlines()
    (toy / "data/train.csv").write_text("\n".join([*lines, lines[3], ""]))
    kagkit(toy, "data", "pin")
    write_competition(toy, folds=FOLDS, rows={"key": ["id"], "duplicates": "drop_exact"})
    told = kagkit(toy, "run", "exp001")
    assert "40 training and 20 test rows (1 exact duplicate" in told.err
    assert "tasks to do" not in told.err
    assert "exp001/2, CV" in told.err  # a run of its own: other data, though the same rows


def test_weights_with_a_path_of_this_machine_are_kept_and_told_in_the_log(tmp_path: Path) -> None:
    root = make_workspace(tmp_path, folds={"main": {"n": 2}})
    write_recipe(
        root,
        text=RECIPE.replace(
            "dumps(mean))", "dumps(mean))\n    (task.out / 'at.txt').write_text(str(task.out))"
        ),
    )
    run(root)
    logs = [path.read_text() for path in (root / "runs/.tasks").glob("*/log.txt")]
    assert sum("at.txt: holds a path of this machine" in log for log in logs) == 2
    assert not any(str(root) in log for log in logs)
