"""Pin what was never pinned, and stop where data changed since: which file, and what would become stale."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

from kagkit.data.versions import Change, pin, read_lock, verify
from kagkit.foundation.errors import DataError, Problem, counted
from kagkit.runs.record import Run, experiments_with_runs, read_run, run_folders
from kagkit.workspace.layout import Workspace


@dataclass(frozen=True)
class Pins:
    """The data an experiment works with.

    Attributes:
        versions: The version of each source.
        parts: The digest of each source's parts.
        notes: What was pinned just now, in words.
    """

    versions: dict[str, str]
    parts: dict[str, dict[str, str]]
    notes: tuple[str, ...]


def settle_data(workspace: Workspace, sources: Sequence[str]) -> Pins:
    """Make sure that the data are the pinned ones; pin those that never were.

    Args:
        workspace: The workspace.
        sources: Names of sources: `stage1`, `chexpert`.

    Raises:
        DataError: Data changed since they were pinned: every file, and the runs that rest on them.
    """
    root, declared = workspace.root, workspace.competition.sources
    locked = read_lock(root)
    problems: list[Problem] = []
    notes = []
    for source in sources:
        if source not in locked:
            pinned = pin(root, source, declared[source])
            notes.append(f"pinned {source}: {counted(pinned.files, 'file')}, version {pinned.version[:12]}")
            continue
        changes = verify(root, source, declared[source]).changes
        problems += [_problem(change) for change in changes]
        if changes:
            problems.append(_stale(workspace, source, locked[source].version))
    if problems:
        raise DataError("the data are not the ones that were pinned", problems)
    locked = read_lock(root)
    return Pins(
        versions={source: locked[source].version for source in sources},
        parts={source: {part: p.sha256 for part, p in locked[source].parts.items()} for source in sources},
        notes=tuple(notes),
    )


def fold_table_then(workspace: Workspace, run: Run) -> bytes | None:
    """The fold table of a run as it was then: rows are only ever appended to it.

    Returns:
        None where the table is gone, or old rows moved since.
    """
    made = run.data["fold_set"]
    path = workspace.fold_file(made["name"])
    then = path.read_bytes()[: made["bytes"]] if path.exists() else b""
    return then if sha256(then).hexdigest() == made["sha256"] else None


def refuse_moved_folds(workspace: Workspace, run: Run, fold_set: str) -> None:
    """Stop where old rows of a run's fold set moved since; new rows below them move nothing.

    Args:
        workspace: The workspace.
        run: The run to hold it against; one on another fold set says nothing.
        fold_set: The name of the fold set in use.

    Raises:
        DataError: Old rows moved.
    """
    if run.data["fold_set"]["name"] == fold_set and fold_table_then(workspace, run) is None:
        found = f"old rows changed since {run.name}: its CV and a new one would not compare"
        hint = "take the change back, or make other folds under another name: folds: {other: …}"
        raise DataError(
            "folds never change once written", [Problem(f"folds/{fold_set}.csv", found, hint=hint)]
        )


def _problem(change: Change) -> Problem:
    return Problem(
        change.path, f"{change.kind}: {change.detail}" if change.detail else change.kind, check="data"
    )


def _stale(workspace: Workspace, source: str, version: str) -> Problem:
    """Which experiments rest on the version that is no longer there."""
    newest = ((name, read_run(run_folders(workspace, name)[-1])) for name in experiments_with_runs(workspace))
    names = [name for name, run in newest if run.data["data"].get(source) == version]
    found = f"{', '.join(names)} would be stale" if names else "no run rests on it"
    hint = "bring the old file back, or accept the new data: kagkit data pin"
    return Problem(f"{source} version {version[:12]}", found, hint=hint, check="data")
