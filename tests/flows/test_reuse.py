from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from kagkit.data.predictions import Predictions
from kagkit.foundation.files import file_sha256
from kagkit.metrics import auc
from tests.terminal import edit, kagkit, kept, newest_run, plan, record, run
from tests.toy import RECIPE, write_competition, write_data, write_manifest, write_recipe

FOLDS = {"main": {"n": 2}}
TRAINS = {"train seed 0 fold 0", "train seed 0 fold 1"}
PREDICTS = {f"predict seed 0 fold {fold} {rows}" for fold in (0, 1) for rows in ("valid", "test")}
MAKE = "def labels(predictions, rows, *, least=0.5):\n    return (predictions >= least).astype(int)\n"
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


def test_the_same_manifest_again_does_nothing(toy: Path) -> None:
    before = kept(toy)
    again = kagkit(toy, "run", "exp001")
    assert again.err.startswith("nothing to do: exp001/1, CV 0.")
    assert kept(toy) == before
    facts = run(toy)
    assert facts["tasks"] == {"planned": 6, "done": 0, "reused": 6, "failed": 0}


def test_nothing_to_do_is_found_out_without_pandas(toy: Path) -> None:
    code = (
        "import sys\nfrom kagkit.cli import main\n"
        "try:\n    main(['run', 'exp001'])\nfinally:\n    print(sorted({'pandas', 'numpy'} & set(sys.modules)))"
    )
    ended = subprocess.run([sys.executable, "-c", code], cwd=toy, capture_output=True, text=True, check=True)
    assert ended.stderr.startswith("nothing to do: exp001/1")
    assert ended.stdout == "[]\n"


def change_cell(table: Path, key: str) -> None:
    """Give a row another number in its first column."""
    lines = table.read_text().splitlines()
    changed = [",".join([key, "0.12345", *line.split(",")[2:]]) if line.startswith(f"{key},") else line
               for line in lines]  # fmt: skip
    assert changed != lines
    table.write_text("\n".join([*changed, ""]))


def _explain(root: Path) -> None:
    edit(root / "mean.py", "mean = float(", "# The mean of what it may see.\n    mean = float(")
    edit(root / "mean.py", "def predict(", "\ndef predict(\n    ")
    edit(root / "mean.py", '"""Guess 1', '"""Guess one')


@pytest.mark.parametrize(
    ("change", "tasks", "reason"),
    [
        (_explain, set(), ""),
        (lambda root: write_manifest(root, note="the same again"), set(), ""),
        (lambda root: write_manifest(root, save={"dtype": None}, combine="rank_mean"), set(), ""),
        (lambda root: write_manifest(root, args={"shift": 0.1}), TRAINS, "changed: args.shift"),
        (lambda root: write_manifest(root, args={"flip": True}), PREDICTS, "changed: args.flip"),
        (lambda root: write_manifest(root, save={"dtype": "float32"}), PREDICTS, "changed: save.dtype"),
        (lambda root: write_manifest(root, resources={"cpus": 2}), TRAINS, "changed: threads"),
        (lambda root: write_manifest(root, determinism="seeded"), TRAINS, "changed: determinism"),
        (lambda root: edit(root / "mean.py", ") + shift", ") + 1 * shift"), TRAINS, "changed: code mean.py:train"),
        (lambda root: edit(root / "mean.py", "!= flip", "is not flip"), PREDICTS, "changed: code mean.py:predict"),
        (lambda root: edit(root / "mean.py", "import numpy as np\n", "import numpy as np\n\nprint()\n"),
         TRAINS, "changed: code mean.py:(module)"),
    ],
)  # fmt: skip
def test_exactly_what_depends_on_a_change_is_to_do(
    toy: Path, change: Callable[[Path], object], tasks: set[str], reason: str
) -> None:
    change(toy)
    assert plan(toy) == dict.fromkeys(tasks, reason)


def test_a_deadline_and_the_share_of_the_public_board_change_nothing(toy: Path) -> None:
    edit(toy / "competition.yaml", "    test: data/test.csv\n",
         "    test: data/test.csv\n    public_share: 0.5\n    deadline: 2019-08-26T23:59:00Z\n")  # fmt: skip
    assert kagkit(toy, "run", "exp001").err.startswith("nothing to do: exp001/1")


def test_an_argument_of_predict_predicts_again_from_the_weights_that_are_there(toy: Path) -> None:
    before = record(toy)["cv"]
    write_manifest(toy, args={"flip": True})
    facts = run(toy)
    assert facts["run"] == "exp001/2"
    assert facts["tasks"] == {"planned": 6, "done": 4, "reused": 2, "failed": 0}
    assert facts["cv"] == pytest.approx(1 - before)


def test_a_threshold_makes_a_run_and_its_old_value_another_but_no_task_is_done(toy: Path) -> None:
    (toy / "post.py").write_text(MAKE)
    made = []
    for least in (0.5, 1.5, 0.5):
        write_manifest(toy, submission={"make": "post:labels", "args": {"least": least}})
        made.append(run(toy))
    assert [facts["run"] for facts in made] == ["exp001/2", "exp001/3", "exp001/4"]
    assert [facts["tasks"]["done"] for facts in made] == [0, 0, 0]
    assert made[0]["cv"] == made[2]["cv"] != made[1]["cv"]
    assert plan(toy) == {}


def test_a_changed_cell_stops_the_run_until_it_is_pinned(toy: Path) -> None:
    before = kept(toy)
    change_cell(toy / "data/train.csv", "id_003")
    stopped = kagkit(toy, "run", "exp001", code=3)
    for told in ("data/train.csv: changed", "exp001 would be stale", "kagkit data pin"):
        assert told in stopped.err
    assert kept(toy) == before
    kagkit(toy, "data", "pin")
    reasons = plan(toy)
    assert set(reasons) == TRAINS
    assert set(reasons.values()) == {"changed: rows to train on", "changed: rows to validate on"}


def test_only_the_time_folds_that_a_changed_row_touches_are_to_do(toy: Path) -> None:
    write_competition(toy, folds={"main": {"scheme": "time", "column": "number", "n": 3}})
    (toy / "folds/main.csv").unlink()
    table = (toy / "data/train.csv").read_text().splitlines()
    rows = [f"{line},{number}" for number, line in enumerate(table[1:])]
    (toy / "data/train.csv").write_text("\n".join([f"{table[0]},number", *rows, ""]))
    kagkit(toy, "data", "pin")
    assert run(toy)["coverage"] == 0.75
    change_cell(toy / "data/train.csv", "id_022")
    kagkit(toy, "data", "pin")
    assert plan(toy) == {
        "train seed 0 fold 1": "changed: rows to validate on",
        "train seed 0 fold 2": "changed: rows to train on",
    }


def test_new_test_rows_train_nothing(toy: Path) -> None:
    change_cell(toy / "data/test.csv", "id_043")
    kagkit(toy, "data", "pin")
    tests = {task for task in PREDICTS if task.endswith("test")}
    assert plan(toy) == dict.fromkeys(tests, "changed: test rows")


def test_a_row_moved_by_hand_to_another_fold_is_told(toy: Path) -> None:
    lines = (toy / "folds/main.csv").read_text().splitlines()
    key, fold = lines[1].split(",")
    lines[1] = f"{key},{1 - int(fold)}"
    (toy / "folds/main.csv").write_text("\n".join([*lines, ""]))
    told = kagkit(toy, "run", "exp001", "--dry-run").err
    assert "folds/main.csv: old rows changed since exp001/1; CVs before and after do not compare" in told
    assert "changed: rows to train on, rows to validate on" in told


def test_new_training_rows_join_the_folds_and_no_old_row_moves(toy: Path) -> None:
    old = (toy / "folds/main.csv").read_text()
    with (toy / "data/train.csv").open("a") as table:
        table.write("new_1,0.1,0.2,0.3,g0,0\nnew_2,0.4,0.5,0.6,g1,1\n")
    kagkit(toy, "data", "pin")
    told = kagkit(toy, "run", "exp001", "--dry-run").err
    assert "42 training" in told
    assert "old rows changed" not in told
    new = (toy / "folds/main.csv").read_text()
    assert new.startswith(old)
    assert [line.split(",")[0] for line in new[len(old) :].split()] == ["new_1", "new_2"]


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


def test_groups_stay_together_whoever_makes_the_folds(toy: Path) -> None:
    (toy / "folds/main.csv").unlink()
    write_competition(toy, folds=FOLDS, rows={"key": ["id"], "group": "group"})
    assert "2 stratified group folds on label by group" in kagkit(toy, "run", "exp001", "--dry-run").err
    (toy / "folds/main.csv").unlink()
    write_competition(
        toy, folds={"main": {"scheme": "kfold", "n": 2}}, rows={"key": ["id"], "group": "group"}
    )
    torn = kagkit(toy, "run", "exp001", code=3).err
    assert "group in more than one fold" in torn
    assert not (toy / "folds/main.csv").exists()
    keys = [line.split(",")[0] for line in (toy / "data/train.csv").read_text().split()[1:]]
    (toy / "own.csv").write_text("".join(["id,fold\n", *(f"{key},{n % 2}\n" for n, key in enumerate(keys))]))
    write_competition(toy, folds={"main": {"file": "own.csv"}}, rows={"key": ["id"], "group": "group"})
    assert "group in more than one fold" in kagkit(toy, "run", "exp001", code=3).err


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
    assert undeclared == dict.fromkeys(TRAINS, ["lookup.csv"]) | dict.fromkeys(PREDICTS, [])
    reason = "read lookup.csv, which `code:` does not declare"
    assert plan(toy, "reads") == dict.fromkeys(TRAINS, reason)
    (toy / "lookup.csv").write_text("0.0")
    assert run(toy, "reads")["run"] == "reads/2"
    write_manifest(toy, "reads", recipe="reads.py", code=["lookup.csv"])
    run(toy, "reads")
    assert plan(toy, "reads") == {}
    (toy / "lookup.csv").write_text("0.25")
    assert plan(toy, "reads") == dict.fromkeys(TRAINS, "changed: code lookup.csv:(file)")


def test_a_model_that_is_returned_leaves_its_predictions_alone(toy: Path) -> None:
    write_recipe(toy, "returned.py", """def train(task, *, shift=0.0):
    return float(task.train_rows["a"].mean()) + shift


def predict(task, model, rows, *, flip=False):
    return ((rows["a"] > model) != flip).astype("int64").to_frame("label")
""")  # fmt: skip
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
    assert "nothing to do: exp001/1" in told.err


def test_other_data_than_the_run_saw_is_never_scored(toy: Path) -> None:
    write_data(toy, seed=1)
    before = file_sha256(sorted((toy / "runs/exp001").iterdir())[-1] / "record.json")
    assert "data/train.csv" in kagkit(toy, "run", "exp001", code=3).err
    kagkit(toy, "data", "pin")
    assert run(toy)["run"] == "exp001/2"
    assert file_sha256(sorted((toy / "runs/exp001").iterdir())[0] / "record.json") == before
    alarms = kagkit(toy, "compare", "exp001/1", "exp001/2", "--json").json["alarms"]
    assert [alarm["kind"] for alarm in alarms] == ["data"]
