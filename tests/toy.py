"""A tiny workspace for tests: forty rows, a metric, a manifest and a recipe of a few lines.

Each piece can be written by itself and again; a keyword replaces a key of the file (`metric={...}`), and
`None` leaves it out.
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

from kagkit.foundation.files import append_json_line, file_sha256, write_json
from kagkit.foundation.strictyaml import dump_yaml
from kagkit.runs.record import events_seal, seal_record

COMPETITION: dict[str, Any] = {
    "kagkit": 1,
    "competition": "toy",
    "rows": {"key": ["id"]},
    "metric": {"score": "kagkit.metrics:accuracy", "greater_is_better": True},
    "submission": {"target": ["label"]},
    "stages": {
        1: {
            "train": "data/train.csv",
            "test": "data/test.csv",
            "sample_submission": "data/sample_submission.csv",
        }
    },
}
MANIFEST: dict[str, Any] = {"kagkit": 1, "recipe": "mean.py"}
RECORD: dict[str, Any] = {
    "kagkit": 1,
    "competition": "toy",
    "stage": 1,
    "note": "",
    "complete": True,
    "plan_key": "0" * 64,
    "manifest_sha256": "0" * 64,
    "data": {"stage1": "0" * 64},
    "fold_set": {"name": "main", "sha256": "0" * 64, "bytes": 0, "made": "2 folds"},
    "metric": {"score": "kagkit.metrics:accuracy", "args": {}, "greater_is_better": True},
    "cv": 0.5,
    "cv_std": 0.1,
    "coverage": 1.0,
    "folds": [],
    "weights": [],
    "tasks": [],
    "parents": [],
}
RECIPE = '''"""Guess 1 where column `a` is above the mean of the rows trained on."""

import json

import numpy as np


def train(task, *, shift=0.0):
    mean = float(np.mean(task.train_rows["a"])) + shift
    (task.out / "mean.json").write_text(json.dumps(mean))


def predict(task, model, rows, *, flip=False):
    mean = json.loads((task.weights / "mean.json").read_text())
    return ((rows["a"] > mean) != flip).astype("int64").to_frame("label")
'''


def make_workspace(root: Path, **changes: Any) -> Path:
    """A whole workspace in `root`; `changes` are those of `write_competition`. Returns `root`."""
    write_data(root)
    write_recipe(root)
    write_manifest(root)
    write_competition(root, **changes)
    return root


def write_competition(root: Path, **changes: Any) -> Path:
    """competition.yaml, with some keys replaced."""
    return _write_yaml(root / "competition.yaml", COMPETITION | changes)


def write_manifest(root: Path, name: str = "exp001", **changes: Any) -> Path:
    """A manifest of the recipe `mean.py`, with some keys replaced."""
    return _write_yaml(root / f"{name}.yaml", MANIFEST | changes)


def write_recipe(root: Path, name: str = "mean.py", text: str = RECIPE) -> Path:
    """A recipe; its arguments are `shift` of train and `flip` of predict."""
    return _write(root / name, text)


def write_data(root: Path, rows: int = 40, seed: int = 0) -> None:
    """train.csv, test.csv half as long, and the sample submission, all under `data/`.

    Columns: `id` (`id_007`), numbers `a`, `b`, `c`, a `group` of about four rows, and in train.csv the
    `label` 0 or 1, which `a` tells most of the time.
    """
    numbers = random.Random(seed)
    table = [_row(number, numbers) for number in range(rows + rows // 2)]
    train, test = table[:rows], table[rows:]
    _write_csv(root / "data/train.csv", train)
    _write_csv(root / "data/test.csv", [{k: v for k, v in row.items() if k != "label"} for row in test])
    _write_csv(root / "data/sample_submission.csv", [{"id": row["id"], "label": 0} for row in test])


def write_run(root: Path, name: str = "exp001", number: int = 1, **facts: Any) -> Path:
    """A run directory as if it had been run: its submission is the sample, its record says `facts`."""
    folder = root / "runs" / name / f"{number:03d}-{number:08x}"
    sample = (root / "data/sample_submission.csv").read_bytes()
    folder.mkdir(parents=True)
    (folder / "submission.csv").write_bytes(sample)
    append_json_line(folder / "events.jsonl", events_seal(b""))
    submission = {"sha256": file_sha256(folder / "submission.csv"), "rows": sample.count(b"\n") - 1}
    files = [{"name": "submission.csv", "sha256": submission["sha256"], "bytes": len(sample)}]
    record = {"experiment": name, "number": number, "files": files, "submission": submission}
    write_json(folder / "record.json", seal_record(RECORD | record | facts))
    return folder


def _row(number: int, numbers: random.Random) -> dict[str, Any]:
    a, b, c, noise = (numbers.gauss(0, 1) for _ in range(4))
    features = {"a": round(a, 4), "b": round(b, 4), "c": round(c, 4), "group": f"g{number // 4}"}
    return {"id": f"id_{number:03d}"} | features | {"label": int(a + 0.3 * noise > 0)}


def _write_csv(path: Path, rows: list[dict[str, Any]]) -> None:
    lines = [list(rows[0]), *(row.values() for row in rows)]
    _write(path, "".join(",".join(map(str, line)) + "\n" for line in lines))


def _write_yaml(path: Path, keys: dict[str, Any]) -> Path:
    return _write(path, dump_yaml({key: value for key, value in keys.items() if value is not None}))


def _write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path
