"""State one run to assemble, as data that crosses a process border."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from kagkit.foundation.files import read_json, write_json


@dataclass(frozen=True)
class Part:
    """A finished task as the assembly sees it."""

    identity: str
    label: str
    kind: str
    seed: int
    fold: int | None
    row_sets: tuple[str, ...]
    folder: str
    seconds: float
    reused: bool
    reason: str


@dataclass(frozen=True)
class AssemblySpec:
    """A run to assemble, as data that crosses a process border; paths are relative to the workspace.

    Attributes:
        experiment: Its name.
        plan_key: The key of the run.
        complete: Whether all of the manifest is in it.
        parts: Its finished tasks.
        rows: The key of the cached rows.
        fold_set: The name of the fold set.
        origins: sha256 of manifest, competition.yaml and code by path, when the plan was made.
        versions: Data versions by source.
        accepted: Accepted code, by file.
        differs: Tasks that gave other bytes when they were done again.
        keeps: `weights` or `predictions`.
        parents: The runs that fed it, as the record tells them.
        stage: The stage.
        selection: The name of what rules on rows came to; empty where there are none.
        smoke: Whether it is a smoke run.
    """

    experiment: str
    plan_key: str
    complete: bool
    parts: tuple[Part, ...]
    rows: str
    fold_set: str
    origins: dict[str, str]
    versions: dict[str, str]
    accepted: dict[str, str]
    differs: tuple[str, ...]
    keeps: str
    parents: tuple[dict[str, Any], ...] = ()
    stage: int = 1
    selection: str = ""
    smoke: bool = False


def write_assembly(path: Path, spec: AssemblySpec) -> None:
    """Write a spec for the job that assembles."""
    write_json(path, asdict(spec))


def read_assembly(path: Path) -> AssemblySpec:
    """Read a spec that `write_assembly` wrote."""
    data = read_json(path)
    parts = tuple(Part(**{**part, "row_sets": tuple(part["row_sets"])}) for part in data["parts"])
    tuples = {name: tuple(data[name]) for name in ("differs", "parents")}
    return AssemblySpec(**{**data, "parts": parts, **tuples})
