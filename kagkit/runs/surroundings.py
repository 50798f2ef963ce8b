"""Say what a run was made in, task by task: packages, processor, numeric libraries as they were built."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from kagkit.foundation.environment import fingerprint, installed_packages
from kagkit.foundation.files import read_json_lines
from kagkit.runs.assembling import Part
from kagkit.workspace.manifest import Manifest


def describe_surroundings(tasks: Path, parts: Sequence[Part], manifest: Manifest) -> dict[str, Any]:
    """What a record says of the machine; no name of a machine or user is in it.

    Args:
        tasks: The folder of finished tasks.
        parts: The tasks of the run.
        manifest: Its manifest, which says threads and determinism.

    Returns:
        `fingerprint`: that of this process, which puts the run together, with `numerics`, how numpy and
        torch were built and switched in the newest training; `other_fingerprints` by label, of tasks that
        ran in another; `environment`: everything that is installed now.
    """
    told = {"threads": manifest.resources.cpus, "determinism": manifest.determinism}
    ran = {part.label: _ran_in(tasks / part.folder) for part in parts}
    trainings = [ran[part.label] for part in parts if part.kind == "train"]
    _, newest = max(trainings, key=_time)
    here = fingerprint(tuple(newest["packages"])) | {"numerics": newest["numerics"]}
    return {
        "fingerprint": here | told,
        "other_fingerprints": {label: other for label, (_, other) in sorted(ran.items()) if other != here},
        "environment": installed_packages(),
    }


def surroundings_of(record: Mapping[str, Any], label: str) -> dict[str, Any]:
    """What a record says a task ran in, or, for an empty label, what the run was put together in.

    Example:
        >>> record = {"fingerprint": {"python": "3", "numerics": {}}}
        >>> record |= {"other_fingerprints": {"a": {"python": "2"}}}
        >>> surroundings_of(record, "a"), surroundings_of(record, "")
        ({'python': '2', 'numerics': {}}, {'python': '3'})
    """
    own: dict[str, Any] = record["fingerprint"]
    if not label:
        return {name: value for name, value in own.items() if name != "numerics"}
    other: dict[str, Any] = record["other_fingerprints"].get(label, {})
    return own | other


def _ran_in(task: Path) -> tuple[float, dict[str, Any]]:
    """When a finished task was started, and in what."""
    events = read_json_lines(task / "events.jsonl")
    started, numerics = _last(events, "started"), _last(events, "numerics")
    built = {name: value for name, value in numerics.items() if name != "event"}
    return float(started["time"]), started["fingerprint"] | {"numerics": built}


def _last(events: Sequence[dict[str, Any]], kind: str) -> dict[str, Any]:
    return next((event for event in reversed(events) if event["event"] == kind), {})


def _time(item: tuple[float, Any]) -> float:
    return item[0]
