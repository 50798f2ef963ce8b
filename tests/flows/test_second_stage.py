from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kagkit.foundation.files import file_sha256
from tests.terminal import kagkit, newest_run, record
from tests.toy import COMPETITION, make_workspace, write_competition, write_manifest, write_recipe

NUMBERS = {f"id_{row:03d}": row for row in range(200)}


def release(root: Path, *, whole: bool = False, **rules: Any) -> None:
    """Stage 2: the labels of stage 1's test rows, and a test of its own."""
    test = (root / "data/test.csv").read_text().splitlines()
    header, rows = test[0], test[1:]
    labels = [f"{row.partition(',')[0]},{int(float(row.split(',')[1]) > 0)}" for row in rows]
    text = "\n".join(["id,label", *labels]) + "\n"
    if whole:
        text = (root / "data/train.csv").read_text() + "".join(
            f"{row},{label.partition(',')[2]}\n" for row, label in zip(rows, labels, strict=True)
        )
    (root / "data/train2.csv").write_text(text)
    later = [row.replace("id_", "x_").replace(",g", ",h") for row in rows]
    (root / "data/test2.csv").write_text("\n".join([header, *later]) + "\n")
    sample = ["id,label", *(f"{row.partition(',')[0]},0" for row in later)]
    (root / "data/sample2.csv").write_text("\n".join(sample) + "\n")
    second = {
        "train": "data/train2.csv",
        "test": "data/test2.csv",
        "sample_submission": "data/sample2.csv",
        "labels_for": "stage1-test",
    }
    write_competition(root, stages=COMPETITION["stages"] | {2: second | rules}, rows=ROWS)


ROWS = {"key": ["id"], "group": "group"}


@pytest.fixture
def toy(tmp_path: Path) -> Path:
    """A workspace whose first stage is run."""
    root = make_workspace(tmp_path / "toy", rows=ROWS)
    kagkit(root, "run", "exp001")
    return root


def oof(root: Path, name: str) -> Any:
    from kagkit.data.predictions import Predictions

    opened = Predictions.open(newest_run(root, name) / "oof.arrow")
    return opened.frame(opened.keys)


def test_the_second_stage_trains_on_both_stages_rows_and_the_first_is_not_stale(toy: Path) -> None:
    folds = (toy / "folds/main.csv").read_bytes()
    release(toy)
    write_manifest(toy, "exp001-s2", stage=2)
    assert "pinned stage2" in kagkit(toy, "run", "exp001-s2").err
    told = record(toy, "exp001-s2")
    assert (told["stage"], told["rows"]["train"], told["rows"]["test"]) == (2, 60, 20)
    assert told["ingested"] == {
        "old": 40,
        "released": 20,
        "new": 0,
        "relabelled": [],
        "vanished": [],
        "excluded": [],
        "unlabelled": 0,
        "renamed": 0,
    }
    assert (toy / "folds/main.csv").read_bytes().startswith(folds)
    assert set(oof(toy, "exp001-s2").index) == {f"id_{row:03d}" for row in range(60)}
    assert "nothing to do" in kagkit(toy, "run", "exp001").err
    assert kagkit(toy, "package", "exp001-s2").out.count("20 rows as in the sample submission") == 1


def test_frozen_folds_keep_their_weights_and_score_released_rows_they_never_saw(toy: Path) -> None:
    release(toy)
    write_manifest(toy, "frozen", stage=2, start="exp001/1", frozen="all")
    told = kagkit(toy, "run", "frozen", "--json").json
    assert told["tasks"]["done"] == 10
    first, frozen = record(toy, "exp001"), record(toy, "frozen")
    assert [each["sha256"] for each in frozen["weights"]] == [each["sha256"] for each in first["weights"]]
    assert frozen["parents"][0]["run"] == "exp001/1"
    before, now = oof(toy, "exp001"), oof(toy, "frozen")
    assert now.loc[before.index].equals(before)
    assert len(now) == 60
    assert "nothing to do" in kagkit(toy, "run", "frozen").err


def test_one_fold_is_retrained_from_its_own_weights_and_the_others_stay(toy: Path) -> None:
    release(toy)
    write_recipe(toy, "warm.py", WARM)
    write_manifest(toy, "warm", recipe="warm.py", stage=2, start="exp001/1", frozen=[1, 2, 3, 4])
    kagkit(toy, "run", "warm")
    first, warm = record(toy, "exp001"), record(toy, "warm")
    before, now = ({each["fold"]: each["sha256"] for each in told["weights"]} for told in (first, warm))
    assert [fold for fold in now if now[fold] != before[fold]] == [0]
    for level in ("weights", "scratch"):
        told = kagkit(toy, "reproduce", "warm", "--level", level, "--json").json
        assert told["verdict"] == "identical"


def test_beside_frozen_folds_a_fold_may_begin_from_nothing(toy: Path) -> None:
    release(toy)
    write_manifest(toy, "plain", stage=2)
    write_manifest(toy, "some", stage=2, start="exp001/1", frozen=[1, 2, 3, 4], scratch=True)
    kagkit(toy, "run", "plain")
    tasks = kagkit(toy, "run", "some", "--json").json["tasks"]
    assert tasks["done"] == 8  # two predictions of each frozen fold; fold 0 is the plain run's
    plain, some = (record(toy, name)["weights"] for name in ("plain", "some"))
    assert [mine["sha256"] == its["sha256"] for mine, its in zip(some, plain, strict=True)] == [True] + [
        False
    ] * 4
    assert kagkit(toy, "reproduce", "some", "--level", "scratch", "--json").json["verdict"] == "identical"
    write_manifest(toy, "none", stage=2, start="exp001/1", scratch=True)
    assert "nothing is frozen" in kagkit(toy, "check", "none.yaml", code=2).err


def test_weights_that_changed_since_they_were_frozen_are_refused(toy: Path) -> None:
    release(toy)
    write_manifest(toy, "frozen", stage=2, start="exp001/1", frozen="all")
    folder = next(task["folder"] for task in record(toy, "exp001")["tasks"] if task["kind"] == "train")
    path = toy / "runs/.tasks" / folder / "out/mean.json"
    path.chmod(0o644)
    path.write_text("0.123")
    ended = kagkit(toy, "run", "frozen", code=7)
    assert "mean.json" in ended.err


def test_what_the_host_changed_is_told(toy: Path) -> None:
    release(toy, whole=True, exclude="data/bad.txt")
    lines = (toy / "data/train2.csv").read_text().splitlines()
    flipped = lines[1][:-1] + ("0" if lines[1].endswith("1") else "1")
    (toy / "data/train2.csv").write_text("\n".join([lines[0], flipped, *lines[3:]]) + "\n")
    (toy / "data/bad.txt").write_text("# withdrawn\nid_007\n")
    write_manifest(toy, "exp001-s2", stage=2)
    kagkit(toy, "run", "exp001-s2")
    told = record(toy, "exp001-s2")["ingested"]
    names = {"relabelled": ["id_000"], "vanished": ["id_001"], "excluded": ["id_007"]}
    assert told | names == told
    assert (told["old"], told["released"]) == (38, 20)


def test_rows_the_host_renamed_keep_their_folds(toy: Path) -> None:
    release(toy, whole=True, id_map="data/ids.csv")
    text = (toy / "data/train2.csv").read_text().replace("id_", "n_")
    (toy / "data/train2.csv").write_text(text)
    pairs = "".join(f"id_{row:03d},n_{row:03d}\n" for row in range(60))
    (toy / "data/ids.csv").write_text("stage1,stage2\n" + pairs)
    write_manifest(toy, "exp001-s2", stage=2)
    folds = (toy / "folds/main.csv").read_text()
    kagkit(toy, "run", "exp001-s2")
    assert (toy / "folds/main.csv").read_text().startswith(folds)
    assert record(toy, "exp001-s2")["ingested"]["renamed"] == 60


def test_new_rows_may_be_trained_on_alone(toy: Path) -> None:
    release(toy, new_rows="train_only")
    write_manifest(toy, "exp001-s2", stage=2)
    kagkit(toy, "run", "exp001-s2")
    assert len(oof(toy, "exp001-s2")) == 40
    assert record(toy, "exp001-s2")["coverage"] == pytest.approx(40 / 60)


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"stage": 2}, "competition.yaml has none"),
        ({"start": "exp001/1"}, "start: in stage 1"),
        ({"frozen": "all"}, "frozen, and no start"),
        ({"stage": 2, "start": "exp009"}, "no experiment exp009"),
    ],
)
def test_a_manifest_that_cannot_be_of_a_second_stage_is_refused(
    toy: Path, keys: dict[str, Any], words: str
) -> None:
    write_manifest(toy, "odd", **keys)
    assert words in kagkit(toy, "check", "odd", code=2).err


def test_a_recipe_is_handed_the_paths_of_both_stages_and_its_part(toy: Path) -> None:
    release(toy)
    write_recipe(toy, "told.py", TOLD)
    write_manifest(toy, "told", recipe="told.py", stage=2)
    kagkit(toy, "run", "told")
    kept = next((newest_run(toy, "told") / "weights").rglob("told.json"))
    assert kept.read_text() == '["stage2/train", 2, "train2.csv", null]'
    assert file_sha256(kept)


WARM = '''"""Go on from a mean."""

import json


def train(task, *, shift=0.0):
    before = json.loads((task.start / "mean.json").read_text())
    mean = (before + float(task.train_rows["a"].mean())) / 2
    (task.out / "mean.json").write_text(json.dumps(mean))


def predict(task, model, rows, *, flip=False):
    mean = json.loads((task.weights / "mean.json").read_text())
    return ((rows["a"] > mean) != flip).astype("int64").to_frame("label")
'''
TOLD = '''"""Keep what it is told."""

import json


def train(task):
    told = [task.part, task.stage, task.data["main"].train.name, task.start]
    (task.out / "told.json").write_text(json.dumps(told))


def predict(task, model, rows):
    return rows[[]].assign(label=0)
'''
