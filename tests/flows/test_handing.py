from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.terminal import edit, kagkit, newest_run, plan, record, run, swap
from tests.toy import make_workspace, write_manifest, write_recipe

PREPARES = ["prepare stage1/train", "prepare stage1/test"]
TRAINS = ["train seed 0 fold 0", "train seed 0 fold 1"]
PREDICTS = [f"predict seed 0 fold {fold} {rows}" for fold in (0, 1) for rows in ("valid", "test")]
RECIPE = '''"""Use all that a task can be handed; predict pictures, a few rows at a time."""

import numpy as np

from shapes import squares


def prepare(task, rows, *, power=1):
    assert "label" not in rows
    (task.out / "deep").mkdir()
    np.save(task.out / "deep" / "a.npy", rows["a"].to_numpy() ** power)
    (task.out / "keys.txt").write_text("\\n".join(rows.index))


def train(task, *, shift=0.0):
    assert set(task.train_rows.index).isdisjoint(task.valid_rows.index)
    assert list(task.prepared) == ["stage1/train"]
    keys = (task.prepared["stage1/train"] / "keys.txt").read_text().split()
    known = dict(zip(keys, np.load(task.prepared["stage1/train"] / "deep" / "a.npy"), strict=True))
    mean = np.mean([known[key] for key in task.train_rows.index])
    further = (task.data["further"].files[0] / "offset.txt").read_text()
    with open("lookup.csv") as table:
        mean += float(task.assets["start"].read_text()) + float(further) + float(table.read()) + shift
    task.log(step=1, mean=mean)
    task.progress(1, 1)
    (task.out / "mean.txt").write_text(str(mean))


def load(task, *, scale=1.0):
    return scale * float((task.weights / "mean.txt").read_text())


def predict(task, model, rows, *, size=2):
    assert "label" not in rows
    for start in range(0, len(rows), 7):
        some = rows.iloc[start : start + 7]
        yield some.index, squares(some["a"].to_numpy() - model, size)
'''
SHAPES = """import numpy as np


def squares(values, size):
    return np.broadcast_to(values[:, None, None], (len(values), size, size)).astype("float32")
"""
MAKE = """import pandas as pd


def labels(predictions, rows, *, least=0.0):
    values = predictions.array("prediction", rows.index).mean(axis=(1, 2))
    return pd.DataFrame({"id": rows.index, "label": (values > least).astype(int)})
"""


@pytest.fixture(scope="session")
def rich_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace that has run: its recipe prepares, reads declared files of all kinds, predicts arrays."""
    data = {"further": {"files": ["further"], "source": "made up", "licence": "CC0"}}
    root = make_workspace(tmp_path_factory.mktemp("rich"), folds={"main": {"n": 2}}, data=data)
    for name, text in {"further/offset.txt": "0.5", "start.txt": "-0.25", "lookup.csv": "-0.25"}.items():
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_text(text)
    for name, text in {"rich.py": RECIPE, "shapes.py": SHAPES, "post.py": MAKE}.items():
        write_recipe(root, name, text)
    write_manifest(
        root,
        recipe="rich.py",
        data=["main", "further"],
        assets={"start": {"path": "start.txt", "licence": "mine"}},
        code=["lookup.csv"],
        submission={"make": "post:labels", "args": {"least": 0.0}},
    )
    kagkit(root, "run", "exp001")
    return root


@pytest.fixture
def rich(rich_run: Path, tmp_path: Path) -> Path:
    return shutil.copytree(rich_run, tmp_path / "rich")


def test_a_recipe_is_handed_all_it_declared_and_predicts_arrays_in_parts(rich: Path) -> None:
    facts = record(rich)
    assert (facts["cv"] > 0.7, facts["coverage"]) == (True, 1.0)
    assert {task["kind"] for task in facts["tasks"]} == {"prepare", "train", "predict"}
    assert [task["undeclared"] for task in facts["tasks"]] == [[]] * 8
    assert set(facts["data"]) == {"stage1", "further"}
    kept = {path.relative_to(newest_run(rich)).as_posix() for path in newest_run(rich).glob("code/*")}
    assert kept == {"code/rich.py", "code/shapes.py", "code/post.py", "code/lookup.csv"}
    assert (newest_run(rich) / "submission.csv").read_text().startswith("id,label\nid_040,")
    assert plan(rich) == {}


def args(text: str) -> Callable[[Path], None]:
    return swap("exp001.yaml", "data:\n", f"args: {{{text}}}\ndata:\n")


@pytest.mark.parametrize(
    ("change", "tasks", "reason"),
    [
        (args("power: 3"), PREPARES, "args.power"),
        (args("shift: 1"), TRAINS, "args.shift"),
        (args("scale: 2"), PREDICTS, "args.scale"),
        (args("size: 3"), PREDICTS, "args.size"),
        (swap("exp001.yaml", "least: 0.0", "least: 0.1"), [], ""),
        (swap("shapes.py", "float32", "float64"), PREDICTS, "code shapes.py:squares"),
        (swap("rich.py", ".mkdir()", ".mkdir(parents=True)"), PREPARES, "code rich.py:prepare"),
        (lambda root: (root / "lookup.csv").write_text("0.0"), PREPARES, "code lookup.csv"),
        (lambda root: (root / "start.txt").write_text("0.0"), PREPARES, "asset start"),
    ],
)  # fmt: skip
def test_what_a_task_was_handed_decides_whether_it_is_to_do(
    rich: Path, change: Callable[[Path], object], tasks: list[str], reason: str
) -> None:
    change(rich)
    assert plan(rich) == dict.fromkeys(tasks, f"changed: {reason}")


def test_an_argument_of_prepare_that_changes_no_byte_trains_nothing_again(rich: Path) -> None:
    edit(rich / "exp001.yaml", "data:\n", "args: {power: 1}\ndata:\n")
    facts = run(rich)
    assert facts["run"] == "exp001/2"
    assert facts["tasks"] == {"planned": 8, "done": 2, "reused": 6, "failed": 0}


def test_further_sources_are_pinned_like_the_competitions_own(rich: Path) -> None:
    (rich / "further/offset.txt").write_text("0.25")
    stopped = kagkit(rich, "run", "exp001", code=3).err
    assert "further/offset.txt: changed" in stopped
    assert "exp001 would be stale" in stopped
    write_manifest(rich, "plain")
    assert plan(rich, "plain") == dict.fromkeys(TRAINS, "missing")
    assert kagkit(rich, "data", "pin", "further").out.startswith("further: 1 file")
    assert plan(rich) == dict.fromkeys(PREPARES, "changed: data further")


def test_new_rows_are_not_predicted_with_other_versions_of_further_sources(rich: Path) -> None:
    words = ("predict", "exp001", "--data", "data", "--out", "out.csv")
    kagkit(rich, *words)
    assert (rich / "out.csv").read_bytes() == (newest_run(rich) / "submission.csv").read_bytes()
    (rich / "further/offset.txt").write_text("0.75")
    kagkit(rich, "data", "pin")
    assert "data further: " in kagkit(rich, *words, code=3).err
    (rich / "data.lock.yaml").unlink()
    assert "never pinned" in kagkit(rich, *words, code=3).err
