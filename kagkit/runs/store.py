"""Keep tasks: where work goes on, how it is finished once, how a finished task is found and proved whole."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from kagkit.foundation.errors import Problem, ReproductionError
from kagkit.foundation.files import (
    commit_folder,
    digest_of,
    file_sha256,
    read_json,
    read_json_lines,
    write_json,
)

RECORD = "task.json"
# All that a finished task keeps. Where the spec is gone from an unfinished one, the task is finished.
LASTING = ("out", "spec.json", RECORD, "events.jsonl", "log.txt")
KEY_LENGTH = 32


@dataclass(frozen=True)
class Kept:
    """A file a task left: its name below `out/`, sha256 and size in bytes."""

    name: str
    sha256: str
    bytes: int


@dataclass(frozen=True)
class TaskRecord:
    """What a finished task was made from and what it left.

    Attributes:
        key: The digest of the ingredients.
        kind: `prepare`, `train` or `predict`.
        ingredients: All that decided the outcome, by a readable name.
        files: What stands below `out/`, by name.
        contents: Content digests of predictions, by file name.
        undeclared: Files it read that its key does not cover; such a task is not used again.
    """

    key: str
    kind: str
    ingredients: dict[str, Any]
    files: tuple[Kept, ...]
    contents: dict[str, str] = field(default_factory=dict)
    undeclared: tuple[str, ...] = ()

    @property
    def content(self) -> str:
        """One digest for all it left: what a task that builds on it puts into its own key."""
        return digest_of([[kept.name, self.contents.get(kept.name, kept.sha256)] for kept in self.files])


@dataclass(frozen=True)
class Stored:
    """A finished task and its folder."""

    folder: Path
    record: TaskRecord

    @property
    def out(self) -> Path:
        """The folder with what it left."""
        return self.folder / "out"

    @property
    def seconds(self) -> float:
        """How long it took, from its events; 0.0 where they do not tell."""
        events = read_json_lines(self.folder / "events.jsonl")
        return float(next((e["seconds"] for e in reversed(events) if e.get("event") == "finished"), 0.0))


def key_of(ingredients: dict[str, Any]) -> str:
    """The key of a task: a digest of everything that decides its outcome.

    Example:
        >>> key_of({"seed": 0}) == key_of({"seed": 1})
        False
    """
    return digest_of(ingredients)[:KEY_LENGTH]


def lock_of(work: Path) -> Path:
    """The lock of a task's unfinished folder; it stays when the folder has become a finished task."""
    return work.with_name(f"{work.name}.lock")


def list_kept(out: Path) -> tuple[Kept, ...]:
    """Every file below a task's `out/`, with its digest, by name."""
    files = sorted((path for path in out.rglob("*") if path.is_file()), key=lambda path: path.as_posix())
    return tuple(Kept(p.relative_to(out).as_posix(), file_sha256(p), p.stat().st_size) for p in files)


def commit_task(work: Path, tasks: Path, record: TaskRecord) -> Stored:
    """Finish a task: its folder gets its final name once.

    Returns:
        The stored task: this one, or the newest of its key where that left the same bytes. Other bytes than
        the newest's are kept beside it under the next free number, and are the newest then.
    """
    write_json(work / RECORD, asdict(record))
    # Beside the checkpoint there may be files that a crash left half written.
    for path in [path for path in work.iterdir() if path.name not in LASTING]:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
    while True:
        folders = _folders(tasks, record.key)
        newest = read_task(folders[-1]) if folders else None
        if newest is not None and newest.files == record.files:
            shutil.rmtree(work)
            return Stored(folders[-1], newest)
        final = tasks / (f"{record.key}.{len(folders) + 1}" if folders else record.key)
        if commit_folder(work, final):
            return Stored(final, record)


def find_task(tasks: Path, key: str) -> Stored | None:
    """The newest finished task with a key; None where there is none, or its files are not whole.

    Only names and sizes are compared here; `verify_task` reads the bytes.
    """
    folders = _folders(tasks, key)
    if not folders:
        return None
    try:
        record = read_task(folders[-1])
    except ReproductionError:
        return None
    whole = all(_size(folders[-1] / "out" / kept.name) == kept.bytes for kept in record.files)
    return Stored(folders[-1], record) if whole else None


def is_damaged(tasks: Path, key: str) -> bool:
    """Whether a folder for the key is there and cannot be used."""
    return bool(_folders(tasks, key)) and find_task(tasks, key) is None


def set_aside(tasks: Path, key: str) -> None:
    """Move a damaged task out of the way, so that it can be done again; nothing is deleted."""
    for folder in _folders(tasks, key):
        folder.rename(folder.with_name(f"{folder.name}.damaged-{uuid.uuid4().hex[:8]}"))


def _folders(tasks: Path, key: str) -> list[Path]:
    """A key's folders, oldest first: `key`, then `key.2` where doing it again gave other bytes."""
    folders = [tasks / key] if (tasks / key).is_dir() else []
    while folders and (following := tasks / f"{key}.{len(folders) + 1}").is_dir():
        folders.append(following)
    return folders


def read_task(folder: Path) -> TaskRecord:
    """Read a finished task's record.

    Raises:
        ReproductionError: It is missing, or not what kagkit wrote.
    """
    try:
        data = read_json(folder / RECORD)
        files = tuple(Kept(**kept) for kept in data["files"])
        record = TaskRecord(**{**data, "files": files, "undeclared": tuple(data["undeclared"])})
    except (OSError, ValueError, TypeError, KeyError) as error:
        problem = Problem(
            f"runs/.tasks/{folder.name}/{RECORD}",
            f"damaged: {type(error).__name__}",
            hint="remove the folder; the next run does the task again",
        )
        raise ReproductionError("a finished task is damaged", [problem]) from error
    return record


def verify_task(stored: Stored) -> list[Problem]:
    """Read every byte a task left and name what differs from its record."""
    folder = f"runs/.tasks/{stored.folder.name}"
    hint = f"remove {folder}; the next run does the task again"
    problems = verify_files(stored.out, folder, stored.record.files)
    return [replace(problem, hint=hint) for problem in problems]


def verify_files(folder: Path, name: str, files: Sequence[Kept]) -> list[Problem]:
    """Name every file below `folder` that is missing, changed or too much; messages call it `name`."""
    problems = []
    for kept in files:
        path = folder / kept.name
        if not path.is_file():
            problems.append(Problem(f"{name}/{kept.name}", "missing", check="integrity"))
        elif path.stat().st_size != kept.bytes or file_sha256(path) != kept.sha256:
            problems.append(Problem(f"{name}/{kept.name}", "its bytes changed", check="integrity"))
    known = {kept.name for kept in files}
    problems += [
        Problem(f"{name}/{path.relative_to(folder).as_posix()}", "not in the record", check="integrity")
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.relative_to(folder).as_posix() not in known
    ]
    return problems


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return -1
