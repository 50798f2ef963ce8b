"""Write a file or folder wholly or not at all; digests; JSON lines; one holder at a time; link or copy."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import shutil
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from kagkit.foundation.errors import DataError, Problem, RunError

CHUNK = 1 << 20


def canonical_json(value: Any) -> str:
    """One spelling for one value: sorted keys, no spaces, no NaN.

    Example:
        >>> canonical_json({"b": 1, "a": [True, None]})
        '{"a":[true,null],"b":1}'
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def csv_line(cells: Iterable[object]) -> str:
    r"""A line of a CSV, its end included, that reads back as the very same texts.

    Example:
        >>> csv_line(["a,b", 7])
        '"a,b",7\n'
    """
    return ",".join(map(_cell, cells)) + "\n"


def _cell(value: object) -> str:
    # csv.writer leaves a carriage return outside of quotes, where a reader takes it for a line's end.
    text = str(value)
    return '"' + text.replace('"', '""') + '"' if re.search(r'[",\r\n]', text) else text


def digest_of(value: Any) -> str:
    """The sha256, in hex, of a value's canonical JSON.

    Example:
        >>> digest_of({"b": 1, "a": 2}) == digest_of({"a": 2, "b": 1})
        True
    """
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


def file_sha256(path: Path) -> str:
    """The sha256, in hex, of a file's bytes, as `sha256sum` prints it."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _fsync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_file(path: Path, content: str | bytes) -> None:
    """Write a file so that a reader, or a crash, sees the old content or the new, never a part.

    Text is written as UTF-8 with LF line ends on every system. Missing folders are made.

    Raises:
        RunError: The disk is full, or the folder cannot be written.
    """
    data = content.encode() if isinstance(content, str) else content
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.tmp")
    with told_when_unwritable(path.name):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with temporary.open("wb") as stream:
                stream.write(data)
                stream.flush()
                os.fsync(stream.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
        _fsync_folder(path.parent)


def json_text(value: Any) -> str:
    r"""A value as indented, sorted JSON that git can diff.

    Example:
        >>> json_text({"b": 1, "a": []})
        '{\n  "a": [],\n  "b": 1\n}\n'
    """
    return json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"


def write_json(path: Path, value: Any) -> None:
    """Write a value as `json_text` spells it, wholly or not at all."""
    write_file(path, json_text(value))


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is not JSON in UTF-8.
    """
    return json.loads(path.read_text(encoding="utf-8"))


def sync_tree(folder: Path) -> None:
    """Flush every file and folder below `folder` to the disk, so that a rename of it is safe."""
    for parent, _, names in os.walk(folder):
        for name in names:
            descriptor = os.open(Path(parent, name), os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        _fsync_folder(Path(parent))


def commit_folder(work: Path, final: Path) -> bool:
    """Give a finished folder its final name, once.

    Returns:
        True where `work` became `final`; False where `final` was there already, and nothing was done.

    Raises:
        RunError: The disk is full, or the folder cannot be written.
    """
    with told_when_unwritable(final.name):
        sync_tree(work)
        final.parent.mkdir(parents=True, exist_ok=True)
        try:
            work.rename(final)
        except OSError as error:
            if error.errno in (errno.EEXIST, errno.ENOTEMPTY):
                return False
            raise
        _fsync_folder(final.parent)
    return True


def append_json_line(path: Path, value: Any) -> None:
    """Add one JSON document as a line; of a line that a crash cut off before it, nothing stays.

    Raises:
        RunError: The disk is full, or the file cannot be written.
    """
    line = canonical_json(value).encode() + b"\n"
    with told_when_unwritable(path.name):
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab+") as stream:
            _finish_last_line(stream)
            stream.write(line)
            stream.flush()
            os.fsync(stream.fileno())


def _finish_last_line(stream: BinaryIO) -> None:
    """End a last line that lacks its line end where it is whole, and take it away where it was cut."""
    size = stream.seek(0, os.SEEK_END)
    if size == 0:
        return
    stream.seek(-1, os.SEEK_END)
    if stream.read(1) == b"\n":
        return
    stream.seek(0)
    tail = stream.read().rpartition(b"\n")[2]
    if _is_json(tail):
        stream.write(b"\n")
    else:
        stream.truncate(size - len(tail))


def read_json_lines(path: Path) -> list[Any]:
    """Every whole line of a JSON-lines file, in order; a last line cut off by a crash is left out.

    A missing file is an empty one.

    Raises:
        DataError: A line ends properly and is not JSON: the file was edited or damaged.
    """
    if not path.exists():
        return []
    *lines, tail = path.read_bytes().split(b"\n")
    problems = [
        Problem(f"{path.name} line {number}", "not JSON", hint="restore the line, or remove it")
        for number, line in enumerate(lines, 1)
        if line.strip() and not _is_json(line)
    ]
    if problems:
        raise DataError(f"{path.name} is damaged", problems)
    if _is_json(tail):
        lines.append(tail)
    return [json.loads(line) for line in lines if line.strip()]


def _is_json(line: bytes) -> bool:
    try:
        json.loads(line)
    except ValueError:
        return False
    return True


def link_or_copy(source: Path, target: Path) -> None:
    """Give a file a second name, or a copy where the disk cannot link (another file system)."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except OSError as error:
        if error.errno == errno.EEXIST:
            raise
        with told_when_unwritable(target.name):
            shutil.copy2(source, target)


@contextmanager
def held(lock: Path, *, wait_seconds: float = -1.0) -> Iterator[None]:
    """Hold a lock while the block runs: one holder at a time on this machine, freed when the holder dies.

    The lock file stays: whoever unlinks it makes two holders.

    Args:
        lock: The lock's file.
        wait_seconds: How long to wait; for ever when negative.

    Raises:
        TimeoutError: Somebody else still holds it.
    """
    import filelock

    lock.parent.mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(lock, timeout=wait_seconds):
        yield


@contextmanager
def told_when_unwritable(what: str) -> Iterator[None]:
    """Turn a full disk or a forbidden folder into one clear error.

    Raises:
        RunError: `what` could not be written.
    """
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise RunError(
                f"{what} could not be written: the disk is full",
                [Problem("disk", "no space left", hint="free some space and run the same command again")],
            ) from error
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise RunError(
                f"{what} could not be written: {os.strerror(error.errno)}",
                [Problem(what, "may not be written here", hint="check who owns the workspace's folders")],
            ) from error
        raise
