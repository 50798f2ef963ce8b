from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from shutil import copytree
from typing import Any

import pytest

from tests.patience import PATIENCE
from tests.terminal import edit, kagkit, kept, newest_run, plan, record, run
from tests.toy import make_workspace, write_manifest, write_recipe

TRAIN = '''"""Guess 1 where `a` is above the mean of the training rows; knows nothing of kagkit."""

import argparse
import csv
import json
from pathlib import Path

from reading import read

if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--train")
    parser.add_argument("--valid")
    parser.add_argument("--fold", type=int)
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    values = [float(row["a"]) for row in read(args.train)]
    told = {"fold": args.fold, "valid": len(read(args.valid)), "epochs": args.epochs}
    print("training on", len(values), "rows")
    args.out.joinpath("mean.json").write_text(json.dumps(told | {"mean": sum(values) / len(values)}))
    args.out.joinpath("scratch.tmp").write_text("not kept")
'''
PREDICT = """import csv
import json
import sys

from reading import read

folder, rows, out, above = sys.argv[1:]
mean = json.load(open(f"{folder}/mean.json"))["mean"]
with open(out, "w", newline="") as stream:
    writer = csv.writer(stream)
    writer.writerow(["label", "id"])
    for row in reversed(read(rows)):
        assert "label" not in row
        writer.writerow([int((float(row["a"]) > mean) == (above == "true")), row["id"]])
"""
READING = "import csv\n\n\ndef read(path):\n    return list(csv.DictReader(open(path)))\n"
COMMAND = {
    "train": "python train.py --train {train_rows} --valid {valid_rows} --fold {fold} "
    "--epochs {epochs} --out {out}",
    "predict": "python predict.py {weights} {rows} {out} {above}",
}  # fmt: skip
MANIFEST: dict[str, Any] = {
    "recipe": None,
    "command": COMMAND,
    "args": {"epochs": 5, "above": True},
    "outputs": ["*.json"],
}
TRAINS = [f"train seed 0 fold {fold}" for fold in (0, 1)]
PREDICTS = [f"predict seed 0 fold {fold} {rows}" for fold in (0, 1) for rows in ("valid", "test")]


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace whose exp001 is two scripts and has run, beside the same thing as a recipe; to be read."""
    root = make_workspace(tmp_path_factory.mktemp("scripts"), folds={"main": {"n": 2}})
    for name, text in {"train.py": TRAIN, "predict.py": PREDICT, "reading.py": READING}.items():
        write_recipe(root, name, text)
    write_manifest(root, "recipe")
    write_manifest(root, **MANIFEST)
    kagkit(root, "run", "exp001", "recipe")
    return root


@pytest.fixture
def toy(ran: Path, tmp_path: Path) -> Path:
    return copytree(ran, tmp_path / "toy")


def test_a_script_gives_what_the_same_recipe_gives(ran: Path) -> None:
    ours, theirs = record(ran), record(ran, "recipe")
    for name in ("cv", "cv_std", "folds", "coverage", "submission"):
        assert ours[name] == theirs[name], name
    for name in ("oof", "test"):  # the script writes its rows in another order
        assert ours[name]["content_sha256"] == theirs[name]["content_sha256"]
    assert [weight["name"] for weight in ours["weights"]] == [
        f"weights/seed0-fold{fold}/mean.json" for fold in (0, 1)
    ]
    assert (ours["reads"], theirs["reads"]) == ("unwatched", "watched")
    assert sorted(path.name for path in (newest_run(ran) / "code").iterdir()) == [
        "predict.py",
        "reading.py",
        "train.py",
    ]


def test_the_log_has_what_a_script_printed_and_nothing_has_a_private_path(ran: Path) -> None:
    logs = [path.read_text() for path in (ran / "runs/.tasks").glob("*/log.txt")]
    assert sum("training on 20 rows" in log for log in logs) == 2
    texts = [path for path in ran.rglob("*.json*") if "runs" in path.parts]
    assert not [path for path in texts if str(ran) in path.read_text()]


def test_nothing_is_done_twice(toy: Path) -> None:
    before = kept(toy)
    assert "nothing to do: exp001/1" in kagkit(toy, "run", "exp001").err
    assert kept(toy) == before
    assert plan(toy) == {}


def test_what_changed_is_done_again_and_why_is_said(toy: Path) -> None:
    edit(toy / "train.py", '"training on"', '"trained on"')
    assert plan(toy) == dict.fromkeys(TRAINS, "changed: code train.py")
    assert plan(toy, "exp001", "--accept", "code:train.py") == {}
    edit(toy / "train.py", '("trained on"', '(  # to people\n        "training on"')
    assert plan(toy) == {}
    edit(toy / "predict.py", "reversed", "sorted")
    assert plan(toy) == dict.fromkeys(PREDICTS, "changed: code predict.py")
    edit(toy / "predict.py", "sorted", "reversed")
    write_manifest(toy, **MANIFEST | {"args": {"epochs": 5, "above": False}})
    assert plan(toy) == dict.fromkeys(PREDICTS, "changed: args.above")
    write_manifest(toy, **MANIFEST | {"args": {"epochs": 6, "above": True}})
    assert plan(toy) == dict.fromkeys(TRAINS, "changed: args.epochs")
    longer = COMMAND | {"predict": COMMAND["predict"].replace("python", "python -u")}
    write_manifest(toy, **MANIFEST | {"command": longer})
    assert plan(toy) == dict.fromkeys(PREDICTS, "changed: code command:predict")


def test_a_fit_on_all_rows_is_told_fold_minus_one_and_no_rows_to_validate_on(toy: Path) -> None:
    write_manifest(toy, "full", **MANIFEST | {"fit": "full", "args": {"epochs": 2, "above": True}})
    run(toy, "full")
    told = json.loads((newest_run(toy, "full") / "weights/seed0-full/mean.json").read_text())
    assert (told["fold"], told["valid"], told["epochs"]) == (-1, 0, 2)


def test_a_smoke_run_trains_for_one_epoch(toy: Path) -> None:
    kagkit(toy, "run", "exp001", "--smoke")
    (weights,) = (toy / "runs/.smoke/exp001").glob("*/weights/*/mean.json")
    assert json.loads(weights.read_text())["epochs"] == 1


def test_a_script_that_fails_leaves_what_others_did_and_is_told(toy: Path) -> None:
    edit(toy / "train.py", "    values = ", "    assert args.fold == 0, 'only fold 0'\n    values = ")
    ended = kagkit(toy, "run", "exp001", code=4)
    assert "train seed 0 fold 1 failed; kept: 3 finished tasks" in ended.err
    assert "train.py line 18: AssertionError: only fold 0" in ended.err
    assert "`python train.py --train runs/.work/" in ended.err
    edit(toy / "train.py", "    assert args.fold == 0, 'only fold 0'\n", "    assert True\n")
    assert plan(toy)[TRAINS[1]] == "changed: code train.py"


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("reversed(read(rows))", "read(rows)[1:]", "no prediction for 1 of 20 rows"),
        ("reversed(read(rows))", "2 * read(rows)", "keys with more than one prediction (20)"),
        ('row["id"]])', 'row["id"][3:]])', "keys that {rows} has not (20): "),
        ("int((float", "float('nan') * int((float", "label: rows with NaN (20): "),
    ],
)
def test_predictions_that_do_not_fit_are_counted(old: str, new: str, told: str, toy: Path) -> None:
    edit(toy / "predict.py", old, new)
    before = kept(toy)
    assert told in kagkit(toy, "run", "exp001", "--folds", "0", code=4).err
    assert kept(toy) == before


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGKILL])
def test_a_script_ends_with_kagkit_however_that_ends(ending: int, tmp_path: Path) -> None:
    root = make_workspace(tmp_path / "toy", folds={"main": {"n": 2}})
    write_recipe(
        root, "train.py", "import os, time\nopen(f'pid{os.getpid()}', 'w').close()\ntime.sleep(100)\n"
    )
    write_recipe(root, "predict.py", "")
    lines = {"train": "python train.py {train_rows} {out}", "predict": "python predict.py {rows} {out}"}
    write_manifest(root, recipe=None, command=lines)
    words = [sys.executable, "-P", "-c", "from kagkit.cli import main; main()", "run", "exp001"]
    process = subprocess.Popen(words, cwd=root, stderr=subprocess.DEVNULL)
    scripts: list[int] = []
    deadline = time.monotonic() + PATIENCE
    while not scripts and time.monotonic() < deadline:
        scripts = [int(path.name.removeprefix("pid")) for path in root.glob("pid*")]
        time.sleep(0.05)
    process.send_signal(ending)
    process.wait(timeout=PATIENCE)
    while living(scripts) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert scripts
    assert not living(scripts)


def living(pids: list[int]) -> list[int]:
    """Those that still run; zombies do not."""
    found = []
    for pid in pids:
        with suppress(OSError):
            if "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text():
                os.kill(pid, 0)
                found.append(pid)
    return found


def test_scripts_predict_new_rows_as_they_predicted_the_test(toy: Path) -> None:
    kagkit(toy, "predict", "exp001", "--data", "data", "--out", "out.csv")
    assert (toy / "out.csv").read_bytes() == (newest_run(toy) / "submission.csv").read_bytes()
    edit(toy / "predict.py", "reversed(", "sorted(")
    told = kagkit(toy, "predict", "exp001", "--data", "data", "--out", "out.csv", code=4).err
    assert "predict.py" in told
