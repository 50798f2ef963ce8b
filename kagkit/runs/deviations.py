"""Compare two runs file by file: which task and step came out otherwise first, and by how much."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kagkit.foundation.files import read_json_lines
from kagkit.runs.decisions import compare_decisions
from kagkit.runs.record import SUBMISSION, Run
from kagkit.runs.store import read_task
from kagkit.runs.usable import competition_of
from kagkit.workspace.layout import Workspace

if TYPE_CHECKING:
    from kagkit.data.predictions import Predictions

Measured = tuple[float | None, float | None]
GONE = "other content; its own files are gone"
KINDS = ("prepare", "train", "predict")
PREDICTED = ("oof", "test")
SCORE = "score "


@dataclass(frozen=True)
class Compared:
    """One thing that was held against the record.

    Attributes:
        what: A task by its label, or `oof`, `test`, `cv`, `submission`; of a sample `score seed 0 fold 1`.
        recorded: What the record says: a digest, a score; None where it says nothing.
        now: What came out now.
        max_abs_diff: The largest difference of a number; None where something differs that is none. Of a
            submission 0.0 where the order of its lines is all that differs, else None.
        rank_correlation: The least Spearman correlation of a column; None likewise.
        flipped: How many keys of a submission have another label, or numbers on the other side of 0.5; None
            for anything else.
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

    @property
    def is_score(self) -> bool:
        """Whether it is the CV, or the score of a fold of a sample."""
        return self.what == "cv" or self.what.startswith(SCORE)


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


def compare_attempts(old: Attempt, new: Attempt, kinds: Sequence[str]) -> tuple[Compared, ...]:
    """Hold a run that was made again against its record.

    Args:
        old: The run on record.
        new: The run made again.
        kinds: The kinds of task that were done again, each of which is compared; OOF, test, CV and
            submission are compared where both runs are of the same seeds and folds, else each fold's score.
    """
    compared = list(_tasks(old, new, kinds))
    before, now = old.run.data, new.run.data
    if old.tasks().keys() == new.tasks().keys():
        for name in PREDICTED:
            if before[name] or now[name]:
                compared.append(_predicted(name, old.run, new.run))
        compared.append(Compared("cv", before["cv"], now["cv"], _distance(before["cv"], now["cv"])))
        compared += _submitted(old.run, new.run)
    else:
        compared += _fold_scores(old.run, new.run)
    return tuple(compared)


def first_difference(old: Attempt, new: Attempt) -> str | None:
    """The first task, in the order of work, that left other bytes, in words: which, what, from which step."""
    before = old.tasks()
    for identity, task in new.tasks().items():
        known = before.get(identity)
        if known is None:
            return f"{task['label']}: not in the record"
        if known["content"] != task["content"]:
            was, now = old.folder(known), new.folder(task)
            # The files of a task that is gone cannot be told.
            files = ", ".join(differing_files(was, now)) if was.is_dir() else GONE
            found = [f"{task['label']}: {files}"]
            changed = _changed_ingredients(known, task)
            found += [f"changed: {', '.join(changed)}"] if changed else []
            step = _first_other_step(was, now)
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
    before, now = ({path.name for path in (each / "out").glob("*.arrow")} for each in (old, new))
    if before != now:
        return None, None
    return _furthest([measure(old / "out" / name, new / "out" / name) for name in sorted(now)])


def _furthest(measured: Sequence[Measured]) -> Measured:
    """The largest distance, None where one of them could not be measured; the least correlation."""
    distances = [distance for distance, _ in measured if distance is not None]
    correlations = [correlation for _, correlation in measured if correlation is not None]
    known = len(distances) == len(measured)
    return max(distances, default=None) if known else None, min(correlations, default=None)


def _predicted(name: str, old: Run, new: Run) -> Compared:
    recorded, now = (run.data[name]["content_sha256"] if run.data[name] else None for run in (old, new))
    if recorded == now or None in (recorded, now):
        return Compared(name, recorded, now)
    return Compared(name, recorded, now, *measure(*(run.folder / f"{name}.arrow" for run in (old, new))))


def measure(first: Path, second: Path) -> tuple[float | None, float | None]:
    """How far two predictions files are apart, joined by key.

    Returns:
        The largest absolute difference of a number, None where keys or columns differ, or a column that is
        not of numbers of one shape; and the least rank correlation of a column of a number a row, None where
        there is none.
    """
    from kagkit.data.predictions import Predictions

    a, b = Predictions.open(first), Predictions.open(second)
    if a.columns != b.columns or len(a.keys) != len(b.keys) or len(a.keys.difference(b.keys)):
        return None, None
    return _furthest([_measure_column(column, a, b) for column in a.columns])


def _measure_column(column: str, a: Predictions, b: Predictions) -> Measured:
    import numpy as np

    if _content(a, column) == _content(b, column):
        return 0.0, None
    if "ragged" in (a.kind(column), b.kind(column)):
        return None, None
    x, y = (each.array(column, a.keys) for each in (a, b))
    if x.shape != y.shape or x.dtype.kind not in "biuf" or y.dtype.kind not in "biuf":
        return None, None
    with np.errstate(invalid="ignore"):
        distance = float(np.max(np.abs(x.astype("f8") - y.astype("f8")), initial=0.0))
    return None if math.isnan(distance) else distance, _correlation(x, y) if x.ndim == 1 else None


def _content(predictions: Predictions, column: str) -> str:
    table = predictions.table.select([*predictions.key_names, column])
    return replace(predictions, table=table).content_sha256()


def _correlation(x: Any, y: Any) -> float | None:
    import pandas as pd

    found = float(pd.DataFrame({"x": x, "y": y}).corr("spearman").to_numpy()[0, 1])
    return None if math.isnan(found) else found


def _submitted(old: Run, new: Run) -> Iterator[Compared]:
    """Each submission of a run by its file."""
    first, second = ({one.file: one.told["sha256"] for one in run.submissions} for run in (old, new))
    for file in sorted({SUBMISSION, *first, *second}):
        recorded, now = first.get(file), second.get(file)
        flipped, order_alone = None, False
        if recorded != now and None not in (recorded, now):
            key = competition_of(old).submission_key
            flipped, order_alone = compare_decisions(old.folder / file, new.folder / file, key)
        distance = 0.0 if order_alone else None
        yield Compared(file.removesuffix(".csv"), recorded, now, distance, flipped=flipped)


def _fold_scores(old: Run, new: Run) -> list[Compared]:
    """The score of each fold of a sample against the same one of the record."""
    before = {(told["seed"], told["fold"]): told["score"] for told in old.data["folds"]}
    found = []
    for told in new.data["folds"]:
        recorded, now = before.get((told["seed"], told["fold"])), told["score"]
        what = f"{SCORE}seed {told['seed']} fold {told['fold']}"
        found.append(Compared(what, recorded, now, _distance(recorded, now)))
    return found


def _distance(first: float | None, second: float | None) -> float | None:
    return None if first is None or second is None else abs(first - second)


def differing_files(old: Path, new: Path) -> list[str]:
    """The files of two finished tasks that differ, by name."""
    before, now = ({kept.name: kept.sha256 for kept in read_task(each).files} for each in (old, new))
    return [name for name in sorted(before | now) if before.get(name) != now.get(name)]


def _first_other_step(old: Path, new: Path) -> str:
    """The first logged value that differs, where both logged."""
    for (step, before), (_, now) in zip(logged_numbers(old), logged_numbers(new), strict=False):
        for name, value in before.items():
            if now.get(name) != value:
                where = "" if step is None else f" at step {step}"
                return f"first otherwise: {name}{where}, {value} then and {now.get(name)} now"
    return ""


def logged_numbers(task: Path) -> list[tuple[int | None, dict[str, Any]]]:
    """What a task logged, in order: the step and the values."""
    events = read_json_lines(task / "events.jsonl")
    return [(event.get("step"), event["values"]) for event in events if event.get("event") == "log"]
