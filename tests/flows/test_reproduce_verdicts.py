from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from kagkit.foundation.files import read_json, write_json
from kagkit.runs.record import find_run, seal_record
from kagkit.runs.shadow import MARK, raise_shadow
from kagkit.workspace.layout import Workspace
from tests.terminal import edit, kagkit, newest_run, record
from tests.toy import RECIPE, make_workspace, write_manifest, write_recipe

LOOSE = '''"""Guess by a mean that is shaken by what no seed reaches."""

import json
import os


def train(task):
    mean = float(task.train_rows["a"].mean()) + int.from_bytes(os.urandom(4)) / 2**32
    (task.out / "mean.json").write_text(json.dumps(mean))


def predict(task, model, rows):
    bits = int(json.loads((task.weights / "mean.json").read_text()) * 2**32)
    return rows[["a"]].assign(label=[float(bits >> place & 1) for place in range(len(rows))])[["label"]]
'''
COARSE = '''"""Guess the same whatever the weights are: what is drawn goes into the weights alone."""

import os
import time

import numpy as np
from safetensors.numpy import save_file


def train(task):
    SAVE


def predict(task, model, rows):
    return (rows[["a"]] > 0).astype("int64").set_axis(["label"], axis=1)
'''
STAMPED = 'save_file({"w": np.ones(2)}, task.out / "w.safetensors", metadata={"when": repr(time.time())})'
DRAWN = 'np.save(task.out / "w.npy", np.frombuffer(os.urandom(4), "uint8"))'


def reproduce(root: Path, *words: str, code: int | None = 0) -> Any:
    return kagkit(root, "reproduce", *words, "--json", code=code).json


def rewrite(root: Path, **facts: Any) -> None:
    """Change what a run's record says, as another machine would have written it."""
    path = newest_run(root) / "record.json"
    write_json(path, seal_record(read_json(path) | facts))


def ran_elsewhere(root: Path, kind: str) -> None:
    """Let the record say that the tasks of a kind ran on another processor."""
    told = record(root)
    other = {name: value for name, value in told["fingerprint"].items() if name != "threads"}
    labels = [task["label"] for task in told["tasks"] if task["kind"] == kind]
    rewrite(root, other_fingerprints={label: other | {"processor": "Z80"} for label in labels})


def test_the_very_weights_of_a_run_are_taken_though_older_ones_have_the_same_key(tmp_path: Path) -> None:
    root = make_workspace(tmp_path / "toy", folds={"main": {"n": 2}})
    write_recipe(root, text=LOOSE)
    kagkit(root, "run", "exp001")
    for _ in range(2):
        kagkit(root, "run", "exp001", "--restart")
    assert record(root)["run"] == "exp001/3"  # of the third bytes; those of the first are not in its record
    for level in ("weights", "predictions"):
        assert reproduce(root, "exp001/3", "--level", level)["verdict"] == "identical", level


def test_accepted_code_trains_nothing_and_cannot_make_the_run_from_scratch(toy: Path) -> None:
    edit(toy / "mean.py", "+ shift", "+ shift + 1.5")
    kagkit(toy, "run", "exp001", "--accept", "code:mean.py")
    assert list(record(toy)["accepted"]) == ["mean.py"]
    for level in ("predictions", "weights"):
        assert reproduce(toy, "exp001/2", "--level", level)["verdict"] == "identical"
    ended = kagkit(toy, "reproduce", "exp001/2", "--level", "scratch", code=7)
    assert "train seed 0 fold 0: made by older code of mean.py than the run keeps" in ended.err
    assert "kagkit reproduce exp001/2 --level predictions" in ended.err


def test_a_run_that_read_what_it_does_not_keep_is_made_from_its_weights_alone(tmp_path: Path) -> None:
    root = make_workspace(tmp_path / "toy", folds={"main": {"n": 2}})
    write_recipe(root, text=RECIPE.replace("+ shift", '+ len(open("extra.txt").read())'))
    (root / "extra.txt").write_text("")
    kagkit(root, "run", "exp001")
    assert reproduce(root, "exp001", "--level", "weights")["verdict"] == "identical"
    ended = kagkit(root, "reproduce", "exp001", "--level", "scratch", code=7)
    assert "train seed 0 fold 0: read extra.txt, which the run does not keep" in ended.err


@pytest.mark.parametrize(
    ("save", "verdict"), [(STAMPED, "within tolerance"), (DRAWN, "different")], ids=["a time", "numbers"]
)
def test_other_bytes_of_weights_are_excused_where_their_numbers_are_the_same(
    tmp_path: Path, save: str, verdict: str
) -> None:
    root = make_workspace(tmp_path / "toy", folds={"main": {"n": 2}})
    write_recipe(root, text=COARSE.replace("SAVE", save))
    kagkit(root, "run", "exp001", "--folds", "0")
    excused = verdict == "within tolerance"
    told = reproduce(root, "exp001/1", "--level", "scratch", code=0 if excused else 7)
    assert (told["verdict"], told["tier"], told["sample"]) == (verdict, "exact", None)
    assert ("their numbers are the same, and every prediction is the same" in told["why"]) == excused
    assert told["first_difference"].startswith("train seed 0 fold 0: w.")


def test_each_task_is_judged_by_what_it_ran_in(toy: Path) -> None:
    ran_elsewhere(toy, "train")
    told = reproduce(toy, "exp001", "--level", "weights")
    assert (told["tier"], told["why"], told["moved"]) == ("exact", "the same environment", {})
    told = reproduce(toy, "exp001", "--level", "scratch")
    assert (told["tier"], told["moved"]["processor"][0]) == ("metric", "Z80")
    ran_elsewhere(toy, "predict")
    told = reproduce(toy, "exp001", "--level", "weights")
    assert (told["tier"], told["moved"]["processor"][0]) == ("prediction", "Z80")


def test_what_moved_is_what_this_process_runs_in_though_nothing_but_scores_is_computed(toy: Path) -> None:
    assert record(toy)["other_fingerprints"] == {}
    for events in (toy / "runs/.tasks").glob("*/events.jsonl"):
        lines = [json.loads(line) for line in events.read_text().splitlines()]
        for line in lines:
            line.get("fingerprint", {})["processor"] = "Z80"
        events.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    rewrite(toy, fingerprint=record(toy)["fingerprint"] | {"processor": "Z80"})
    told = reproduce(toy, "exp001", "--level", "predictions")
    assert (told["verdict"], told["tier"]) == ("identical", "exact")
    assert told["why"] == "nothing is computed but scores"
    assert told["moved"]["processor"][0] == "Z80"


def test_a_sample_of_another_machine_is_judged_by_the_scores_of_its_folds(tmp_path: Path) -> None:
    root = make_workspace(tmp_path / "toy", folds={"main": {"n": 2}})
    write_recipe(root, text=LOOSE.replace("bits >> place & 1", "bits * 0 + (place > bits % 2)"))
    kagkit(root, "run", "exp001")
    folds = [told | {"score": score} for told, score in zip(record(root)["folds"], (0.5, 0.6), strict=True)]
    elsewhere = record(root)["fingerprint"] | {"processor": "Z80"}
    rewrite(root, fingerprint=elsewhere, cv_std=1.0, folds=folds)
    told = reproduce(root, "exp001", "--level", "scratch", "--folds", "1")
    assert (told["tier"], told["verdict"]) == ("metric", "within tolerance")
    score = told["compared"][-1]
    assert (score["what"], score["recorded"]) == ("score seed 0 fold 1", 0.6)
    rewrite(root, cv_std=1e-6)
    told = reproduce(root, "exp001", "--level", "scratch", "--folds", "1", code=7)
    assert (told["tier"], told["verdict"]) == ("metric", "different")


def test_a_part_of_a_fit_on_all_rows_is_made_again_as_it_is(tmp_path: Path) -> None:
    root = make_workspace(tmp_path / "toy", folds={"main": {"n": 2}})
    write_manifest(root, fit="full", seeds=[0, 1])
    kagkit(root, "run", "exp001", "--seeds", "0")
    told = reproduce(root, "exp001/1", "--level", "scratch")
    assert (told["verdict"], told["sample"]) == ("identical", None)
    ended = kagkit(root, "reproduce", "exp001/1", "--seeds", "1", code=2)
    assert "--seeds 1: not in exp001/1, which is partial" in ended.err


def test_the_log_of_a_task_that_failed_is_where_the_hint_says(
    toy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    edit(toy / "mean.py", "import json", "import json\nimport os")
    edit(toy / "mean.py", "    mean = float", '    assert "TOY_FAILS" not in os.environ\n    mean = float')
    kagkit(toy, "run", "exp001")
    monkeypatch.setenv("TOY_FAILS", "1")
    ended = kagkit(toy, "reproduce", "exp001", "--level", "scratch", "--folds", "0", code=4)
    (log,) = [word for word in ended.err.split() if word.endswith("log.txt")]
    assert log.startswith("runs/.work/reproduce-exp001-002-scratch/runs/.work/")
    assert "AssertionError" in (toy / log).read_text()


def test_a_reproduction_begun_in_another_environment_begins_anew(toy: Path) -> None:
    workspace = Workspace(toy)
    run = find_run(workspace, "exp001")
    begun = raise_shadow(workspace, run, "weights").root
    (begun / "done").touch()
    assert (raise_shadow(workspace, run, "weights").root / "done").exists()
    mark = read_json(begun / MARK)
    mark["fingerprint"]["processor"] = "Z80"
    write_json(begun / MARK, mark)
    assert not (raise_shadow(workspace, run, "weights").root / "done").exists()
