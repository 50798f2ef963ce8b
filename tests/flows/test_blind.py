from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from kagkit.foundation.errors import SubmissionError
from kagkit.foundation.strictyaml import read_yaml
from kagkit.host.submitting import parcel_of_file
from kagkit.workspace.layout import Workspace
from tests.flows.test_deciding import CHANCES, FOLDS, run, write_other_test
from tests.flows.test_second_stage import ROWS, release
from tests.terminal import edit, kagkit
from tests.toy import make_workspace, write_competition, write_data, write_recipe

CHANCES_ASKED = {"score": "kagkit.metrics:auc", "greater_is_better": True}


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Stage 2 with a safe file and a retrained run, both packaged. For reading only."""
    root, rules = tmp_path_factory.mktemp("begun") / "toy", {"folds": FOLDS, "metric": CHANCES_ASKED}
    make_workspace(root, rows=ROWS, **rules)
    write_data(root, rows=400)
    write_recipe(root, "chances.py", CHANCES)
    run(root, "exp001")
    release(root)
    write_competition(root, **read_yaml(root / "competition.yaml", "").plain | rules)
    write_other_test(root)
    run(root, "exp001-s1", stage=2, start="exp001/1", frozen="all", parent="exp001")
    run(root, "exp001-s2", stage=2, parent="exp001")
    for name in ("exp001-s1", "exp001-s2"):
        kagkit(root, "package", name)
    return root


@pytest.fixture
def toy(begun: Path, tmp_path: Path) -> Path:
    """A copy, to be changed."""
    return shutil.copytree(begun, tmp_path / "toy")


def levels(root: Path, *words: str, code: int | None = 0) -> dict[str, set[str]]:
    """What `kagkit check` says of a file: the names of the checks by level."""
    told: dict[str, set[str]] = {"ok": set(), "warn": set(), "stop": set()}
    for each in kagkit(root, "check", *words, "--json", code=code).json["blind"]:
        told[each["level"]].add(each["check"])
    return told


def broken(root: Path, change: Any) -> str:
    """The safe file with its values changed."""
    lines = (root / "submissions/exp001-s1-001/submission.csv").read_text().splitlines()
    values = change([line.rpartition(",")[2] for line in lines[1:]])
    ids = [line.partition(",")[0] for line in lines[1:]]
    rows = [f"{name},{value}" for name, value in zip(ids, values, strict=True)]
    (root / "broken.csv").write_text("\n".join([lines[0], *rows]) + "\n")
    return "broken.csv"


def test_the_safe_and_the_retrained_file_are_looked_at_from_all_sides(begun: Path) -> None:
    safe = levels(begun, "submissions/exp001-s1-001/submission.csv")
    assert safe["ok"] >= {
        "readable",
        "recompute",
        "inside",
        "anchor",
        "reload",
        "repeats",
        "stale",
        "raw",
    }
    retrained = levels(begun, "submissions/exp001-s2-001/submission.csv")
    assert retrained["ok"] >= {"readable", "recompute", "inside", "anchor", "ranks", "probes"}
    assert not safe["stop"] | retrained["stop"]


def test_a_file_of_no_run_is_told_so_and_held_against_the_run_it_is_to_be_of(toy: Path) -> None:
    file = broken(toy, lambda values: values[1:] + values[:1])
    assert levels(toy, file)["warn"] >= {"scope", "ranks"}
    found = levels(toy, file, "--of", "exp001-s1", code=5)
    assert found["stop"] >= {"recompute", "inside"}
    assert "package the run again" in kagkit(toy, "check", file, "--of", "exp001-s1/1", code=5).out


def test_pasted_and_filled_files_are_stopped(toy: Path) -> None:
    first = (toy / "runs/exp001").glob("*/submission.csv")
    early = [line.rpartition(",")[2] for line in next(first).read_text().splitlines()[1:]]
    assert "stale" in levels(toy, broken(toy, lambda _: early), "--of", "exp001-s1", code=5)["stop"]
    filled = broken(toy, lambda values: ["0.5"] * 30 + values[30:])
    assert "repeats" in levels(toy, filled, "--of", "exp001-s1", code=5)["stop"]


def test_frozen_weights_that_say_something_else_today_are_stopped(toy: Path) -> None:
    """Stage 2's way to predictions is another: old rows come out otherwise, as do all new ones."""
    edit(toy / "chances.py", "def predict(task, model, rows, *, steepness=4.0):", PREDICT)
    kagkit(toy, "run", "exp001-s1")
    kagkit(toy, "package", "exp001-s1/2")
    found = levels(toy, "submissions/exp001-s1-002/submission.csv", code=5)
    assert found["stop"] >= {"reload", "raw"}
    assert "recompute" in found["ok"]


PREDICT = """def predict(task, model, rows, *, steepness=4.0):
    rows = rows.assign(a=rows["a"] * (task.stage == 1) - 1.5 * rows["a"] * (task.stage == 2))"""


def test_what_is_stopped_is_not_submitted_unless_that_is_accepted(toy: Path) -> None:
    workspace = Workspace(toy)
    path = toy / "submissions/exp001-s1-001/submission.csv"
    assert {each.level for each in parcel_of_file(workspace, path).blind} <= {"ok", "warn"}
    path.chmod(0o644)
    text = path.read_text()
    path.write_text(text.replace(text.splitlines()[1].rpartition(",")[2], "0.123456789", 1))
    with pytest.raises(SubmissionError, match="recompute"):
        parcel_of_file(workspace, path)
    parcel = parcel_of_file(workspace, path, ["recompute"])
    assert parcel.accepted == ("recompute",)
    assert kagkit(toy, "submit", "nothing.csv", "--accept", "anchor", code=2).err
