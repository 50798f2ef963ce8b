"""Pin the version of a source in data.lock.yaml, prove the data unchanged, say what changed."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from kagkit.data.listings import (
    Change,
    Entry,
    Listing,
    PartVersion,
    compare,
    read_listing,
    write_listing,
)
from kagkit.data.surveys import Progress, Survey, collector_paused, glance, survey
from kagkit.foundation.errors import DataError, Problem
from kagkit.foundation.files import held, write_file

__all__ = [
    "Change",
    "Entry",
    "Listing",
    "Locked",
    "PartVersion",
    "Pinned",
    "Progress",
    "Survey",
    "Verified",
    "compare",
    "pin",
    "read_listing",
    "read_lock",
    "survey",
    "verify",
    "write_listing",
]

LOCK = "data.lock.yaml"
LOCK_FORMAT = 1
_DIGEST = re.compile(r"[0-9a-f]{64}")
HEADER = """\
# The data this workspace works with: written by `kagkit data pin`, checked by `kagkit data verify`.
# Commit it to git. To come back to these data, put them where competition.yaml says and verify.
"""


@dataclass(frozen=True)
class Locked:
    """What data.lock.yaml says of a source: its version, and every part by name."""

    version: str
    parts: dict[str, PartVersion]


@dataclass(frozen=True)
class Pinned:
    """A source as it was pinned: its version, how much it is, and how much work it took.

    A file in two parts counts twice in `files` and `bytes`, and once in `hashed` (read) or `unchanged`.
    """

    version: str
    files: int
    bytes: int
    seconds: float
    hashed: int
    unchanged: int


@dataclass(frozen=True)
class Verified:
    """A source compared with its pin: its version now, and what changed; no changes, the same version."""

    version: str
    changes: tuple[Change, ...]
    files: int
    bytes: int
    seconds: float
    hashed: int


def pin(
    root: Path,
    source: str,
    declared: Mapping[str, Sequence[str]],
    *,
    deep: bool = False,
    progress: Progress | None = None,
) -> Pinned:
    r"""Make the source's present content the one this workspace works with.

    Writes the listing of the version, then the source's entry in data.lock.yaml; other sources keep theirs.

    Args:
        root: The workspace.
        source: The source's name: `stage1`, `chexpert`.
        declared: The paths of each part, as for `survey`.
        deep: Read every file, whatever the disk says of it.
        progress: Called with the files and bytes done so far.

    Raises:
        DataError: Something declared cannot be used, or data.lock.yaml is damaged.
        RunError: The disk is full, or the workspace cannot be written.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as root:
        ...     train = Path(root, "train.csv")
        ...     _ = train.write_bytes(b"id,y\n1,0\n")
        ...     pinned = pin(Path(root), "stage1", {"train": ["train.csv"]})
        ...     _ = train.write_bytes(b"id,y\n1,0\n2,1\n")
        ...     verified = verify(Path(root), "stage1", {"train": ["train.csv"]})
        >>> pinned.bytes, verified.changes[0].detail
        (9, '9 bytes -> 13 bytes')
    """
    began = time.perf_counter()
    read_lock(root)  # a damaged lock is told before the work, not after it
    with collector_paused():
        now = survey(root, source, declared, deep=deep, progress=progress)
        listing, parts = now.listing, now.listing.parts
        write_listing(root, listing)
    with held(root / ".kagkit" / "data.lock"):
        write_lock(root, {**read_lock(root), source: Locked(listing.version, parts)})
    seconds = time.perf_counter() - began
    return Pinned(listing.version, *_amount(listing), seconds, now.hashed, now.unchanged)


def verify(
    root: Path,
    source: str,
    declared: Mapping[str, Sequence[str]],
    *,
    deep: bool = False,
    progress: Progress | None = None,
) -> Verified:
    """Compare a source with its pin, file by file, or by part where the pinned version's listing is not here.

    Args:
        root: The workspace.
        source: The source's name.
        declared: The paths of each part, as for `survey`.
        deep: Read every file, whatever the disk says of it.
        progress: Called with the files and bytes done so far.

    Raises:
        DataError: The source was never pinned, something declared cannot be used, or the lock or the listing
            is damaged.
    """
    began = time.perf_counter()
    locked = read_lock(root).get(source)
    if locked is None:
        problem = Problem(f"{LOCK}: {source}", "not there", hint="kagkit data pin")
        raise DataError(f"the data of {source} were never pinned", [problem])
    seen = None if deep else glance(root, source, declared)
    if seen is not None and seen.version == locked.version:
        if progress is not None:
            progress(seen.files, seen.bytes)
        return Verified(seen.version, (), seen.files, seen.bytes, time.perf_counter() - began, 0)
    now = survey(root, source, declared, deep=deep, progress=progress)
    changes = _changes(root, locked, now.listing, declared)
    seconds = time.perf_counter() - began
    return Verified(now.listing.version, changes, *_amount(now.listing), seconds, now.hashed)


def _amount(listing: Listing) -> tuple[int, int]:
    return len(listing.entries), sum(entry.size for entry in listing.entries)


def _changes(
    root: Path, locked: Locked, now: Listing, declared: Mapping[str, Sequence[str]]
) -> tuple[Change, ...]:
    if now.version == locked.version:
        return ()
    then = read_listing(root, locked.version)
    changes = tuple(compare(then, now) if then else _part_changes(locked, now, declared))
    if not changes:
        raise _damaged(f"the version of {now.source} is not that of its parts")
    return changes


def _part_changes(locked: Locked, now: Listing, declared: Mapping[str, Sequence[str]]) -> Iterator[Change]:
    lf_sha256 = {entry.part: entry.lf_sha256 for entry in now.entries if entry.lf_sha256}
    for part, new in now.parts.items():
        old, where = locked.parts.get(part), ", ".join(declared[part])
        if old is None:
            yield Change("added", part, where, _in_words(new))
        elif old.sha256 == lf_sha256.get(part):
            yield Change("line ends", part, where, "only the line ends differ (CRLF now, LF then)")
        elif old != new:
            yield Change("changed", part, where, f"{_in_words(old)} -> {_in_words(new)}")
    for part in sorted(locked.parts.keys() - now.parts.keys()):
        yield Change("removed", part, f"{now.source}/{part}", _in_words(locked.parts[part]))


def _in_words(part: PartVersion) -> str:
    files = "1 file" if part.files == 1 else f"{part.files:,} files"
    return f"{files}, {part.bytes:,} bytes"


def write_lock(root: Path, locked: Mapping[str, Locked]) -> None:
    """Write data.lock.yaml anew: these sources and no others.

    Raises:
        RunError: The disk is full, or the workspace cannot be written.
    """
    import yaml

    sources = {source: asdict(locked[source]) for source in locked}
    body = yaml.safe_dump({"kagkit": LOCK_FORMAT, "sources": sources}, allow_unicode=True, sort_keys=True)
    write_file(root / LOCK, HEADER + str(body))


def read_lock(root: Path) -> dict[str, Locked]:
    """What data.lock.yaml says of every source; nothing where there is no lock yet.

    Raises:
        DataError: The lock is damaged, or of a format this kagkit does not know.
    """
    import yaml

    try:
        lock = yaml.safe_load((root / LOCK).read_text(encoding="utf-8"))
        if lock["kagkit"] != LOCK_FORMAT:
            raise _unknown_format(lock["kagkit"])
        return {str(source): _locked(entry) for source, entry in lock["sources"].items()}
    except FileNotFoundError:
        return {}
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise _damaged(f"line {line} is not YAML") from error
    except (yaml.YAMLError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise _damaged("not as kagkit writes it") from error


def _locked(entry: Any) -> Locked:
    parts = {str(part): PartVersion(**amounts) for part, amounts in entry["parts"].items()}
    digests = [entry["version"], *(part.sha256 for part in parts.values())]
    amounts = [amount for part in parts.values() for amount in (part.files, part.bytes)]
    if not all(_DIGEST.fullmatch(digest) for digest in digests) or not all(type(n) is int for n in amounts):
        raise ValueError("digests are 64 hex digits, amounts are whole numbers")
    return Locked(entry["version"], parts)


def _damaged(found: str) -> DataError:
    hint = f"git checkout {LOCK}; or remove it, and run kagkit data pin"
    return DataError(f"{LOCK} is damaged", [Problem(LOCK, found, hint=hint)])


def _unknown_format(number: object) -> DataError:
    hint = "a newer kagkit wrote it: pip install --upgrade kagkit"
    problem = Problem(f"{LOCK}: kagkit", f"format {number}", f"format {LOCK_FORMAT}", hint)
    return DataError(f"{LOCK} is of a format this kagkit does not know", [problem])
