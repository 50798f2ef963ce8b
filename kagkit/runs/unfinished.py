"""List unfinished work: what it is, whether a process is at it, how far it is, why it failed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from kagkit.foundation.errors import KagkitError
from kagkit.foundation.files import held, read_json, read_json_lines
from kagkit.foundation.strictyaml import read_yaml
from kagkit.runs.failing import REASON
from kagkit.runs.record import latest_run
from kagkit.runs.store import lock_of
from kagkit.workspace.layout import Workspace

# What is no task goes by the start of its folder's name.
OTHERS = {
    "rows": "reading the rows",
    "run": "assembling a run",
    "predict": "predicting new rows",
    "reproduce": "making a run again",
}


@dataclass(frozen=True)
class Unfinished:
    """Work that is not finished.

    Attributes:
        folder: Its folder.
        label: What it is: `train seed 0 fold 1`.
        state: `running`, `failed` or `stopped`.
        recipe: The recipe's file; empty for what is no task.
        smoke: Whether it belongs to a smoke run.
        done: How far it is, 0 to 1; None where it does not say.
        seconds: How long it has been running; None where it is not.
        problem: Why it failed; empty where it did not.
    """

    folder: Path
    label: str
    state: Literal["running", "failed", "stopped"]
    recipe: str
    smoke: bool
    done: float | None
    seconds: float | None
    problem: str


def list_unfinished(workspace: Workspace, now: float | None = None) -> list[Unfinished]:
    """All unfinished work of a workspace, smoke runs' too, by label.

    Args:
        workspace: The workspace.
        now: The time, in seconds since 1970; that of the clock by default.
    """
    found = [
        _read(folder, place.smoke, time.time() if now is None else now)
        for place in (workspace.for_smoke(smoke=False), workspace.for_smoke(smoke=True))
        for folder in _folders(place.work)
    ]
    return sorted(found, key=lambda work: (work.label, work.folder.name))


def is_busy(folder: Path) -> bool:
    """Whether a process works in a folder of `runs/.work`: it holds the lock beside it."""
    lock = lock_of(folder)
    if not lock.exists():
        return False
    try:
        with held(lock, wait_seconds=0.0):
            return False
    except TimeoutError:
        return True


def experiment_of(workspace: Workspace, work: Unfinished) -> str | None:
    """The experiments that a task may belong to, those with its recipe; None where there is none."""
    names = [path.stem for path in workspace.manifests() if work.recipe and _recipe(path) == work.recipe]
    return " or ".join(names) or None


def seconds_left(workspace: Workspace, work: Unfinished, experiment: str | None) -> float | None:
    """How long running work takes yet: by its own progress, or else by its time in the latest run.

    None where nobody knows.
    """
    if work.seconds is None:
        return None
    if work.done:
        return work.seconds * (1 - work.done) / work.done
    try:
        run = latest_run(workspace, experiment) if experiment else None
        events = read_json_lines(run.folder / "events.jsonl") if run else []
    except KagkitError:
        return None
    before = [float(event["seconds"]) for event in events if event.get("label") == work.label]
    return max(0.0, before[-1] - work.seconds) if before else None


def _folders(work: Path) -> Iterator[Path]:
    if work.is_dir():
        yield from (path for path in work.iterdir() if path.is_dir())


def _read(folder: Path, smoke: bool, now: float) -> Unfinished:
    spec = _json(folder / "spec.json")
    events = _events(folder / "events.jsonl")
    started = [float(event["time"]) for event in events if event.get("event") == "started"]
    told = [event for event in events if event.get("event") == "progress"]
    busy, error = is_busy(folder), _error(folder)
    failed = "summary" in error and not busy
    problems = [f"{problem['where']}: {problem['found']}" for problem in error.get("problems", [])[:1]]
    return Unfinished(
        folder,
        spec.get("label") or OTHERS.get(folder.name.partition("-")[0], "unknown work"),
        "running" if busy else "failed" if failed else "stopped",
        spec.get("recipe", ""),
        smoke,
        told[-1]["done"] / told[-1]["total"] if told and told[-1]["total"] else None,
        now - started[-1] if busy and started else None,
        (problems or [error["summary"]])[0] if failed else "",
    )


def _error(folder: Path) -> dict[str, Any]:
    """Why work failed: its own reason, or that of a step of it; empty where it did not."""
    return next(filter(None, map(_json, [folder / REASON, *sorted(folder.glob(f"*/{REASON}"))])), {})


def _json(path: Path) -> dict[str, Any]:
    """A JSON file of a folder that may go, or be written, while it is read; empty where it is none."""
    try:
        found = read_json(path)
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _events(path: Path) -> list[dict[str, Any]]:
    try:
        return read_json_lines(path)
    except (OSError, KagkitError):
        return []


def _recipe(manifest: Path) -> Any:
    try:
        return read_yaml(manifest, manifest.name).plain.get("recipe")
    except (KagkitError, AttributeError):
        return None
