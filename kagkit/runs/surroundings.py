"""Say what the tasks of a run ran in: packages, processor, numeric libraries as they were built."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kagkit.foundation.environment import installed_packages
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
        `fingerprint`: that of the newest task, with `numerics`, how numpy and torch were built and switched
        in the newest training; `other_fingerprints` by label, of tasks that ran in another; `environment`:
        everything that is installed now.
    """
    told = {"threads": manifest.resources.cpus, "determinism": manifest.determinism}
    found: dict[str, tuple[float, dict[str, Any]]] = {}
    trained: list[tuple[float, dict[str, Any]]] = []
    for part in parts:
        events = read_json_lines(tasks / part.folder / "events.jsonl")
        started = _last(events, "started")
        found[part.label] = (float(started["time"]), started["fingerprint"])
        if part.kind == "train":
            trained.append((float(started["time"]), _last(events, "numerics")))
    _, newest = max(found.values(), key=_time)
    others = {label: other for label, (_, other) in sorted(found.items()) if other != newest}
    _, numerics = max(trained, key=_time)
    built = {name: value for name, value in numerics.items() if name != "event"}
    return {
        "fingerprint": newest | told | {"numerics": built},
        "other_fingerprints": others,
        "environment": installed_packages(),
    }


def _last(events: Sequence[dict[str, Any]], kind: str) -> dict[str, Any]:
    return next((event for event in reversed(events) if event["event"] == kind), {})


def _time(item: tuple[float, Any]) -> float:
    return item[0]
