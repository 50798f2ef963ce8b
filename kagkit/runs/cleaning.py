"""Find what nothing needs any more, tell how much room it takes, remove it so that no kill leaves a half."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from kagkit.foundation.errors import KagkitError
from kagkit.foundation.files import told_when_unwritable
from kagkit.runs.needed import Keys, keys_in_use, rows_in_use, surplus_runs
from kagkit.runs.presence import alone_in
from kagkit.runs.record import Run, experiments_with_runs, read_run, run_folders
from kagkit.runs.sizes import freed_bytes, used_bytes
from kagkit.runs.unfinished import is_busy
from kagkit.workspace.layout import Workspace

DAMAGED = ".damaged-"
TRASH = ".trash"


@dataclass(frozen=True)
class Waste:
    """A folder that nothing needs.

    Attributes:
        place: The folder.
        kind: `run`, `task`, `unfinished`, `cache`, `smoke` or `trash`.
        name: What it is called, relative to the workspace.
        why: Why it is not needed.
        bytes: What it takes, though another folder may share it.
    """

    place: Path
    kind: str
    name: str
    why: str
    bytes: int


@dataclass(frozen=True)
class Cleaning:
    """What may go.

    Attributes:
        waste: The folders, in the order they go.
        freed: The bytes that are free once all are gone; files that stay under another name free nothing.
        kept: What was not looked at, and why.
    """

    waste: tuple[Waste, ...]
    freed: int
    kept: tuple[str, ...]


def find_waste(workspace: Workspace, best: int | None = None) -> Cleaning:
    """Find what nothing needs; nothing is changed.

    Args:
        workspace: The workspace.
        best: How many runs of each experiment to keep, by CV, beside those that something names; all when
            None.

    Raises:
        ManifestError: competition.yaml has problems.
        DataError: leaderboard.jsonl or data.lock.yaml is damaged.
    """
    notes: list[str] = []
    runs = list(_runs(workspace, notes))
    damaged = bool(notes)
    gone = surplus_runs(workspace, runs, best) if best is not None else []
    going = {run.name for run in gone}
    named = {task["folder"] for run in runs if run.name not in going for task in run.data["tasks"]}
    waste = [_waste(workspace, run.folder, "run", f"not among the best {best}") for run in gone]
    there = [*_folders(workspace.tasks), *_folders(workspace.work)]
    keys = keys_in_use(workspace) if there else Keys(frozenset(), ())
    if keys.unknown or damaged:
        notes += [f"{told}; so tasks and unfinished work of all are kept" for told in keys.unknown]
    else:
        waste += _tasks(workspace, named, keys.tasks)
        waste += _unfinished(workspace, keys.tasks)
    waste += _cached_rows(workspace)
    waste += _smoke(workspace)
    waste += [
        _waste(workspace, place, "trash", "left by a clean that was killed") for place in _trash(workspace)
    ]
    return Cleaning(tuple(waste), freed_bytes([one.place for one in waste]), tuple(notes))


def remove_waste(workspace: Workspace, best: int | None = None) -> Cleaning:
    """Remove what nothing needs, while nobody is at work.

    Each folder is first renamed out of the way, then deleted: a reader, or a kill, sees it whole or not.

    Args:
        workspace: The workspace.
        best: As for `find_waste`, which is asked again: what was shown may have become needed meanwhile.

    Raises:
        RunError: A command is at work, or a folder cannot be removed.
    """
    with alone_in(workspace):
        found = find_waste(workspace, best)
        aside = [_put_aside(workspace, one.place) for one in found.waste]
    for place in aside:
        shutil.rmtree(place, ignore_errors=True)
    for trash in _trash_folders(workspace):
        with suppress(OSError):  # not there, or another clean fills it
            trash.rmdir()
    return found


def _runs(workspace: Workspace, notes: list[str]) -> Iterator[Run]:
    for name in experiments_with_runs(workspace):
        for folder in run_folders(workspace, name):
            try:
                yield read_run(folder)
            except KagkitError as error:
                told = f"runs/{name}/{folder.name}: {error.summary}"
                notes.append(f"{told}; so tasks and unfinished work of all are kept")


def _waste(workspace: Workspace, place: Path, kind: str, why: str) -> Waste:
    name = place.relative_to(workspace.root).as_posix()
    return Waste(place, kind, name, why, used_bytes([place]))


def _tasks(workspace: Workspace, named: set[str], keys: frozenset[str]) -> Iterator[Waste]:
    for folder in _folders(workspace.tasks):
        if DAMAGED in folder.name:
            yield _waste(workspace, folder, "task", "damaged, and set aside")
        elif folder.name not in named and folder.name.partition(".")[0] not in keys:
            yield _waste(workspace, folder, "task", "no run, manifest or search needs it")


def _unfinished(workspace: Workspace, keys: frozenset[str]) -> Iterator[Waste]:
    for folder in _folders(workspace.work):
        if folder.name.partition("-")[0] not in keys and not is_busy(folder):
            yield _waste(workspace, folder, "unfinished", "nobody works on it, and no manifest needs it")


def _cached_rows(workspace: Workspace) -> Iterator[Waste]:
    used = {rows_in_use(workspace, int(number)) for number in workspace.competition.stages}
    for folder in _folders(workspace.cache / "rows"):
        if folder.name not in used:
            yield _waste(workspace, folder, "cache", "rows of other data, another loader or a smoke run")


def _smoke(workspace: Workspace) -> Iterator[Waste]:
    """What smoke runs left, without their locks, which stay."""
    smoke = workspace.for_smoke(smoke=True)
    tops = [folder for folder in _folders(smoke.runs) if folder not in (smoke.work, smoke.tasks)]
    works = [folder for folder in _folders(smoke.work) if not is_busy(folder)]
    for folder in (*tops, *_folders(smoke.tasks), *works):
        yield _waste(workspace, folder, "smoke", "of a smoke run")


def _trash(workspace: Workspace) -> list[Path]:
    return [folder for trash in _trash_folders(workspace) for folder in _folders(trash)]


def _trash_folders(workspace: Workspace) -> Sequence[Path]:
    """Where folders wait to be deleted; one beside each kind, since a rename stays on one disk."""
    return (workspace.runs / TRASH, workspace.cache / TRASH)


def _put_aside(workspace: Workspace, place: Path) -> Path:
    runs, cache = _trash_folders(workspace)
    trash = cache if place.is_relative_to(workspace.cache) else runs
    if place.parent == trash:
        return place
    aside = trash / f"{place.name}-{uuid.uuid4().hex[:8]}"
    with told_when_unwritable(place.name):
        trash.mkdir(exist_ok=True)
        place.rename(aside)
    return aside


def _folders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []
