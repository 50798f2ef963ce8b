from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from kagkit.cli.reproduce_command import _draw
from kagkit.foundation.files import read_json, write_json
from kagkit.runs.deviations import Compared
from kagkit.runs.record import seal_record
from kagkit.runs.reproduction import Reproduction
from kagkit.runs.tiers import Tier
from tests.flows.test_damage import flip_a_bit, tasks_of
from tests.terminal import kagkit, kept, newest_run
from tests.toy import make_workspace, write_data, write_manifest, write_recipe

LEVELS = ("predictions", "weights", "scratch")
UNSEEDED = '''"""Guess by a mean that is shaken by what no seed reaches."""

import json
import os


def train(task):
    mean = float(task.train_rows["a"].mean())
    task.log(step=0, mean=mean)
    mean += int.from_bytes(os.urandom(4)) / 2**32
    task.log(step=1, mean=mean)
    (task.out / "mean.json").write_text(json.dumps(mean))


def predict(task, model, rows):
    bits = int(json.loads((task.weights / "mean.json").read_text()) * 2**32)
    labels = [float(bits >> place & 1) for place in range(len(rows))]
    return rows[["a"]].assign(label=labels)[["label"]]
'''

SHAKY = '''"""Guess 0.7, a little more or less each time."""

import os


def train(task):
    (task.out / "guess.txt").write_text("0.7")


def predict(task, model, rows):
    guess = float((model / "guess.txt").read_text())
    return rows[["a"]].assign(label=[guess + SHAKE * os.urandom(1)[0] / 256 for _ in rows.index])[["label"]]
'''


def reproduce(root: Path, *words: str, code: int | None = 0) -> Any:
    return kagkit(root, "reproduce", *words, "--json", code=code).json


def rewrite(root: Path, **facts: Any) -> None:
    """Change what a run's record says, as another machine would have written it."""
    path = newest_run(root) / "record.json"
    write_json(path, seal_record(read_json(path) | facts))


@pytest.mark.parametrize("level", LEVELS)
def test_a_run_comes_out_the_same_from_each_level_and_nothing_is_changed(toy: Path, level: str) -> None:
    before = kept(toy)
    told = reproduce(toy, "exp001", "--level", level)
    assert (told["verdict"], told["level"], told["tier"]) == ("identical", level, "exact")
    assert told["first_difference"] is None
    assert all(item["recorded"] == item["now"] for item in told["compared"])
    assert [item["what"] for item in told["compared"]][-4:] == ["oof", "test", "cv", "submission"]
    done = {"predictions": 0, "weights": 4, "scratch": 6}[level]
    assert len(told["compared"]) == done + 4
    assert kept(toy) == before
    assert not [path for path in (toy / "runs/.work").iterdir() if path.is_dir()]


def test_the_run_is_made_of_its_own_code_whatever_the_workspace_has_now(toy: Path) -> None:
    write_recipe(toy, text="def train(task): raise SystemExit\ndef predict(task, model, rows): ...\n")
    write_manifest(toy, args={"shift": 1.0}, recipe="gone.py")
    assert reproduce(toy, "exp001", "--level", "scratch")["verdict"] == "identical"


def test_what_no_seed_reaches_is_found_with_its_task_and_its_step(tmp_path: Path) -> None:
    root = make_workspace(tmp_path / "toy", folds={"main": {"n": 2}})
    write_recipe(root, text=UNSEEDED)
    kagkit(root, "run", "exp001")
    assert reproduce(root, "exp001", "--level", "weights")["verdict"] == "identical"
    told = reproduce(root, "exp001", "--level", "scratch", code=7)
    assert (told["verdict"], told["tier"]) == ("different", "exact")
    assert told["first_difference"].startswith(
        "train seed 0 fold 0: mean.json; first otherwise: mean at step 1, "
    )
    ended = kagkit(root, "reproduce", "exp001", "--level", "scratch", code=7)
    assert "exp001/1: different, from scratch" in ended.out
    assert "first difference: train seed 0 fold 0: mean.json" in ended.out


def test_predictions_that_no_seed_reaches_are_found_in_a_sample_too(tmp_path: Path) -> None:
    root = make_workspace(tmp_path / "toy", folds={"main": {"n": 2}})
    kept_in_memory = UNSEEDED.replace('(task.out / "mean.json").write_text(json.dumps(mean))', "return mean")
    write_recipe(
        root, text=kept_in_memory.replace('json.loads((task.weights / "mean.json").read_text())', "model")
    )
    kagkit(root, "run", "exp001")
    told = reproduce(root, "exp001", "--folds", "0", code=7)
    assert (told["level"], told["verdict"], told["tier"]) == ("scratch", "different", "exact")
    assert [item["what"] for item in told["compared"]] == ["train seed 0 fold 0", "score seed 0 fold 0"]
    assert told["compared"][0]["max_abs_diff"] == 1.0


def test_what_all_tasks_make_is_drawn_however_many_of_them_differ(capsys: pytest.CaptureFixture[str]) -> None:
    differing = [Compared(f"train seed 0 fold {fold}", "a", "b") for fold in range(20)]
    differing += [Compared("cv", 0.81234567891, 0.8, 0.01), Compared("submission", "a", "b", flipped=1200)]
    tier = Tier("exact", "the same environment", 0.0)
    _draw(Reproduction("exp001/1", "scratch", None, "different", tier, tuple(differing), None, {}, ""))
    told = capsys.readouterr().out
    assert "train seed 0 fold 11" in told
    assert "train seed 0 fold 12" not in told
    assert " 0.8123457 " in told
    assert "at most 0.01" in told
    assert "1,200 other decisions" in told
    assert "and 8 tasks more" in told


def test_a_sample_of_the_folds_is_compared_task_by_task(toy: Path) -> None:
    told = reproduce(toy, "exp001", "--level", "scratch", "--folds", "1")
    assert told["verdict"] == "identical"
    tasks = ["train seed 0 fold 1", "predict seed 0 fold 1 test", "predict seed 0 fold 1 valid"]
    assert sorted(item["what"] for item in told["compared"]) == sorted([*tasks, "score seed 0 fold 1"])
    assert told["sample"] == {"folds": [1], "seeds": None}
    drawn = kagkit(toy, "reproduce", "exp001", "--folds", "1").out
    assert "exp001/1: identical, from weights, fold 1 alone" in drawn


def test_other_data_are_named_and_nothing_is_compared(toy: Path) -> None:
    write_data(toy, seed=1)
    ended = kagkit(toy, "reproduce", "exp001", code=3)
    assert "data/train.csv: changed" in ended.err


@pytest.mark.parametrize("level", ["predictions", "weights"])
def test_a_flipped_bit_in_what_is_taken_over_is_refused(toy: Path, level: str) -> None:
    flip_a_bit(tasks_of(toy, "train")[0] / "out/mean.json")
    ended = kagkit(toy, "reproduce", "exp001", "--level", level, code=7)
    assert "mean.json: its bytes changed" in ended.err


def test_tasks_that_are_gone_are_named_and_training_from_scratch_needs_none(toy: Path) -> None:
    shutil.rmtree(toy / "runs/.tasks")
    ended = kagkit(toy, "reproduce", "exp001", "--level", "weights", code=7)
    assert "gone: train seed 0 fold 0" in ended.err
    assert "--level scratch needs no tasks" in ended.err
    assert reproduce(toy, "exp001", "--level", "scratch")["verdict"] == "identical"


def test_a_record_of_another_machine_is_judged_by_what_can_be_promised(toy: Path) -> None:
    fingerprint = read_json(newest_run(toy) / "record.json")["fingerprint"]
    packages = fingerprint["packages"] | {"numpy": "1.0.0"}
    environment = ["numpy==1.0.0"]
    rewrite(
        toy,
        fingerprint=fingerprint | {"packages": packages, "processor": "Z80"},
        environment=environment,
    )
    told = reproduce(toy, "exp001", "--level", "weights")
    assert (told["verdict"], told["tier"], told["why"]) == ("identical", "prediction", "another environment")
    assert told["moved"]["processor"][0] == "Z80"
    assert told["restore"] == "python -m pip install numpy==1.0.0"
    assert reproduce(toy, "exp001", "--level", "scratch")["tier"] == "metric"


@pytest.mark.parametrize(("shake", "verdict"), [(1e-6, "within tolerance"), (1e-3, "different")])
def test_predictions_of_another_machine_may_move_as_far_as_its_tier_lets_them(
    tmp_path: Path, shake: float, verdict: str
) -> None:
    root = make_workspace(tmp_path / "toy", folds={"main": {"n": 2}})
    write_recipe(root, text=SHAKY.replace("SHAKE", repr(shake)))
    kagkit(root, "run", "exp001")
    fingerprint = read_json(newest_run(root) / "record.json")["fingerprint"]
    rewrite(root, fingerprint=fingerprint | {"processor": "Z80"})
    told = reproduce(root, "exp001", "--level", "weights", code=7 if verdict == "different" else 0)
    assert (told["tier"], told["verdict"]) == ("prediction", verdict)
    assert 0 < max(item["max_abs_diff"] or 0 for item in told["compared"]) <= shake
    again = reproduce(root, "exp001", "--level", "scratch")
    assert (again["tier"], again["verdict"]) == ("metric", "within tolerance")  # the CV is that of then


def test_weights_that_were_not_kept_cannot_predict_again(tmp_path: Path) -> None:
    root = make_workspace(tmp_path / "toy", folds={"main": {"n": 2}})
    text = "def train(task): return float(task.train_rows['a'].mean())\n"
    text += "def predict(task, model, rows): return (rows[['a']] > model).astype(float)"
    write_recipe(root, text=f"{text}.set_axis(['label'], axis=1)\n")
    kagkit(root, "run", "exp001")
    assert reproduce(root, "exp001")["level"] == "scratch"
    ended = kagkit(root, "reproduce", "exp001", "--level", "weights", code=7)
    assert "keeps predictions alone" in ended.err


def test_all_tells_every_experiment_and_one_that_cannot_be_made_stops_no_other(toy: Path) -> None:
    write_manifest(toy, "exp002", args={"shift": 0.25})
    kagkit(toy, "run", "exp002")
    flip_a_bit(newest_run(toy, "exp001") / "oof.arrow")
    told = reproduce(toy, "--all", "--level", "predictions", code=7)
    assert [each.get("verdict", each.get("error")) for each in told] == ["ReproductionError", "identical"]
    table = kagkit(toy, "reproduce", "--all", "--level", "predictions", code=7).out
    assert "not made again" in table
    assert "identical" in table


def test_folds_that_were_redrawn_are_refused_and_appended_rows_are_not(toy: Path) -> None:
    table = toy / "folds/main.csv"
    table.write_text(table.read_text() + "id_900,1\n")
    assert reproduce(toy, "exp001", "--level", "weights")["verdict"] == "identical"
    table.write_text(table.read_text().replace(",0\n", ",1\n", 1))
    ended = kagkit(toy, "reproduce", "exp001", code=7)
    assert "folds/main.csv: old rows changed since exp001/1" in ended.err


def test_usage_names_what_is_missing(toy: Path) -> None:
    assert "give a RUN, or --all" in kagkit(toy, "reproduce", code=2).err
    assert "not numbers" in kagkit(toy, "reproduce", "exp001", "--folds", "x", code=2).err
