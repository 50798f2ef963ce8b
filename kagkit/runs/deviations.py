"""Compare two runs file by file: which task and step came out otherwise first, and by how much."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kagkit.foundation.files import read_json_lines
from kagkit.runs.record import SUBMISSION, Run
from kagkit.runs.store import read_task
from kagkit.workspace.layout import Workspace

KINDS = ("prepare", "train", "predict")
PREDICTED = ("oof", "test")


@dataclass(frozen=True)
class Compared:
    """One thing that was held against the record.

    Attributes:
        what: A task by its label, or `oof`, `test`, `cv`, `submission`.
        recorded: What the record says: a digest, a score; None where it says nothing.
        now: What came out now.
        max_abs_diff: The largest difference of a number; None where there are no numbers to compare.
        rank_correlation: The least Spearman correlation of a column; None likewise.
        flipped: How many submission lines are not the same; None for anything else.
    """

    what: str
    recorded: Any
    now: Any
    max_abs_diff: float | None = None
    rank_correlation: float | None = None
    flipped: int | None = None

    @property
    def same(self) -> bool:
        """Whether it came out as it was."""
        return bool(self.recorded == self.now)


@dataclass(frozen=True)
class Attempt:
    """A run as it is kept, with the workspace whose tasks it is made of."""

    workspace: Workspace
    run: Run

    def tasks(self) -> dict[str, dict[str, Any]]:
        """What its record says of each task, by identity, in the order of work."""
        told = self.run.data["tasks"]
        return {task["identity"]: task for task in sorted(told, key=lambda task: KINDS.index(task["kind"]))}

    def folder(self, task: dict[str, Any]) -> Path:
        """The folder of a task."""
        return self.workspace.tasks / str(task["folder"])


def labels_of(attempt: Attempt, kind: str) -> set[str]:
    """The tasks of a kind, by what people call them."""
    return {task["label"] for task in attempt.tasks().values() if task["kind"] == kind}


def compare_attempts(old: Attempt, new: Attempt, kinds: Sequence[str]) -> tuple[Compared, ...]:
    """Hold a run that was made again against its record.

    Args:
        old: The run on record.
        new: The run made again.
        kinds: The kinds of task that were done again, each of which is compared; OOF, test, CV and
            submission are compared where both runs are of the same seeds and folds.
    """
    compared = list(_tasks(old, new, kinds))
    before, now = old.run.data, new.run.data
    if old.tasks().keys() == new.tasks().keys():
        for name in PREDICTED:
            if before[name] or now[name]:
                compared.append(_predicted(name, old.run, new.run))
        compared.append(Compared("cv", before["cv"], now["cv"], _distance(before["cv"], now["cv"])))
        compared += _submitted(old.run, new.run)
    return tuple(compared)


def first_difference(old: Attempt, new: Attempt) -> str | None:
    """The first task, in the order of work, that left other bytes, in words: which, what, from which step."""
    before = old.tasks()
    for identity, task in new.tasks().items():
        known = before.get(identity)
        if known is None:
            return f"{task['label']}: not in the record"
        if known["content"] != task["content"]:
            found = [f"{task['label']}: {_files_told(old.folder(known), new.folder(task))}"]
            changed = _changed_ingredients(known, task)
            found += [f"changed: {', '.join(changed)}"] if changed else []
            step = _first_other_step(old.folder(known), new.folder(task))
            found += [step] if step else []
            return "; ".join(found)
    return None


def _changed_ingredients(known: dict[str, Any], task: dict[str, Any]) -> list[str]:
    before, now = known["ingredients"], task["ingredients"]
    return sorted(name for name in {**before, **now} if before.get(name) != now.get(name))


def _tasks(old: Attempt, new: Attempt, kinds: Sequence[str]) -> Iterator[Compared]:
    """Every task that was done again, against the same one on record."""
    before = old.tasks()
    for identity, task in new.tasks().items():
        if task["kind"] in kinds:
            known = before.get(identity)
            digests = (known["content"] if known else None, task["content"])
            distance, correlation = None, None
            if known and digests[0] != digests[1]:
                distance, correlation = _apart(old.folder(known), new.folder(task))
            yield Compared(task["label"], *digests, distance, correlation)


def _apart(old: Path, new: Path) -> tuple[float | None, float | None]:
    """How far the predictions of two tasks are apart; nothing where there are none."""
    names = [
        path.name for path in sorted((new / "out").glob("*.arrow")) if (old / "out" / path.name).is_file()
    ]
    measured = [measure(old / "out" / name, new / "out" / name) for name in names]
    distances = [distance for distance, _ in measured if distance is not None]
    correlations = [correlation for _, correlation in measured if correlation is not None]
    return max(distances, default=None), min(correlations, default=None)


def _predicted(name: str, old: Run, new: Run) -> Compared:
    recorded, now = (run.data[name]["content_sha256"] if run.data[name] else None for run in (old, new))
    if recorded == now or None in (recorded, now):
        return Compared(name, recorded, now)
    return Compared(name, recorded, now, *measure(*(run.folder / f"{name}.arrow" for run in (old, new))))


def measure(first: Path, second: Path) -> tuple[float | None, float | None]:
    """How far two predictions files are apart, joined by key.

    Returns:
        The largest absolute difference of a number, and the least rank correlation of a column of numbers;
        None each where keys or columns differ, or no column holds a number a row.
    """
    import numpy as np

    from kagkit.data.predictions import Predictions

    a, b = Predictions.open(first), Predictions.open(second)
    if a.columns != b.columns or len(a.keys) != len(b.keys) or len(a.keys.difference(b.keys)):
        return None, None
    distances, correlations = [], []
    for column in a.columns:
        if a.kind(column) == b.kind(column) != "ragged":
            x, y = (each.array(column, a.keys) for each in (a, b))
            if x.shape == y.shape and x.dtype.kind in "biuf" and y.dtype.kind in "biuf":
                distances.append(float(np.nanmax(np.abs(x.astype("f8") - y.astype("f8")), initial=0.0)))
                correlations += _correlation(x, y) if x.ndim == 1 else []
    return max(distances, default=None), min(correlations, default=None)


def _correlation(x: Any, y: Any) -> list[float]:
    import pandas as pd

    found = float(pd.DataFrame({"x": x, "y": y}).corr("spearman").to_numpy()[0, 1])
    return [] if math.isnan(found) else [found]


def _submitted(old: Run, new: Run) -> Iterator[Compared]:
    """Each submission of a run by its file."""
    first, second = ({one.file: one.told["sha256"] for one in run.submissions} for run in (old, new))
    for file in sorted({SUBMISSION, *first, *second}):
        recorded, now, flipped = first.get(file), second.get(file), None
        if recorded != now and None not in (recorded, now):
            before, after = (set((run.folder / file).read_bytes().splitlines()) for run in (old, new))
            flipped = len(after - before)
        yield Compared(file.removesuffix(".csv"), recorded, now, flipped=flipped)


def _distance(first: float | None, second: float | None) -> float | None:
    return None if first is None or second is None else abs(first - second)


def _files_told(old: Path, new: Path) -> str:
    """The files of a task that differ; those of a task that is gone cannot be told."""
    if not old.is_dir():
        return "other content; its own files are gone"
    before, now = ({kept.name: kept.sha256 for kept in read_task(each).files} for each in (old, new))
    return ", ".join(name for name in sorted(before | now) if before.get(name) != now.get(name))


def _first_other_step(old: Path, new: Path) -> str:
    """The first logged value that differs, where both logged."""
    for (step, before), (_, now) in zip(_logged(old), _logged(new), strict=False):
        for name, value in before.items():
            if now.get(name) != value:
                where = "" if step is None else f" at step {step}"
                return f"first otherwise: {name}{where}, {value} then and {now.get(name)} now"
    return ""


def _logged(task: Path) -> list[tuple[int | None, dict[str, Any]]]:
    events = read_json_lines(task / "events.jsonl")
    return [(event.get("step"), event["values"]) for event in events if event.get("event") == "log"]
