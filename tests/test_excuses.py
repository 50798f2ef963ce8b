from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from kagkit.foundation.files import append_json_line, write_json
from kagkit.runs.deviations import Attempt, Compared
from kagkit.runs.excuses import find_excuse
from kagkit.runs.record import Run
from kagkit.runs.store import TaskRecord, list_kept
from kagkit.workspace.layout import Workspace

Save = Callable[[Path, float, str], None]
LABEL = "train seed 0 fold 0"


def attempt(
    root: Path, save: Save, value: float = 1.0, when: str = "then", *, logged: float = 0.5
) -> Attempt:
    """A run of one training, whose file says a value and a time."""
    workspace = Workspace(root)
    task = workspace.tasks / "0"
    (task / "out").mkdir(parents=True)
    save(task / "out", value, when)
    append_json_line(task / "events.jsonl", {"event": "log", "step": 0, "values": {"loss": logged}})
    write_json(task / "task.json", asdict(TaskRecord("0", "train", {}, list_kept(task / "out"))))
    told = {"identity": "train 0 0 ", "label": LABEL, "kind": "train", "folder": "0"}
    return Attempt(workspace, Run(root, "exp001", 1, {"tasks": [told]}))


def safetensors(out: Path, value: float, when: str) -> None:
    save_file({"w": np.array([value])}, out / "w.safetensors", metadata={"when": when})


def array(out: Path, value: float, when: str) -> None:
    np.save(out / "w.npy", np.array([value]))
    with (out / "w.npy").open("ab") as stream:
        stream.write(when.encode())  # numpy reads no further than the array


def arrays(out: Path, value: float, when: str) -> None:
    (np.savez if when == "then" else np.savez_compressed)(out / "w.npz", w=np.array([value]))


def catboost(out: Path, value: float, when: str) -> None:
    (out / "w.cbm").write_text(f"{value} {when}")


def text(out: Path, value: float, when: str) -> None:
    (out / "w.json").write_text(json.dumps([value, when]))


def excuse(tmp_path: Path, save: Save, *more: Compared, **now: Any) -> str:
    old = attempt(tmp_path / "old", save)
    new = attempt(tmp_path / "new", save, **{"when": "now", **now})
    return find_excuse(old, new, [Compared(LABEL, "a", "b"), *more])


@pytest.mark.parametrize("save", [safetensors, array, arrays])
def test_other_bytes_of_the_same_numbers_are_excused(tmp_path: Path, save: Save) -> None:
    same = Compared("oof", "a", "a")
    told = excuse(tmp_path, save, same)
    assert told == "other bytes of weights, their numbers are the same, and every prediction is the same"


@pytest.mark.parametrize("save", [safetensors, array, arrays, text])
def test_other_numbers_are_not_excused_however_coarse_the_predictions_are(tmp_path: Path, save: Save) -> None:
    assert not excuse(tmp_path, save, value=1.0000001)


def test_a_format_that_is_the_same_each_time_is_not_excused(tmp_path: Path) -> None:
    assert not excuse(tmp_path, text)


def test_of_a_format_that_holds_its_time_the_predictions_decide(tmp_path: Path) -> None:
    assert excuse(tmp_path, catboost) == "other bytes of weights, and every prediction is the same"


@pytest.mark.parametrize("save", [safetensors, catboost])
def test_another_number_in_the_log_is_no_excuse(tmp_path: Path, save: Save) -> None:
    assert not excuse(tmp_path, save, logged=0.25)


def test_other_predictions_are_no_excuse(tmp_path: Path) -> None:
    assert not excuse(tmp_path, catboost, Compared("oof", "a", "b"))
    assert not find_excuse(attempt(tmp_path / "x", text), attempt(tmp_path / "y", text), [])
