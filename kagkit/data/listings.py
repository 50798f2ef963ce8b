"""List what a source consists of file by file, keep the listing as sha256sum writes it, say what changed."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal, NamedTuple

from kagkit.foundation.errors import DataError, Problem
from kagkit.foundation.files import digest_of, write_file

_HEADER = re.compile(r"# source ([^\n]+)\n")
_ENTRY = re.compile(
    r"# (\d+) (\S+) name:(\d+)(?: lf:([0-9a-f]{64}))?\n"  # what sha256sum passes over
    r"(\\?)([0-9a-f]{64})  ([^\n]+)\n"  # what it reads
)
_ESCAPES = {"\\": "\\\\", "\n": "\\n", "\r": "\\r"}
_UNESCAPES = {escape: character for character, escape in _ESCAPES.items()}


class Entry(NamedTuple):
    """One file of a source.

    Attributes:
        part: `train`, `test` or `files`.
        path: Where the file is: a posix path relative to the workspace.
        name: What the file is called inside its part, wherever the part lies: the end of its path.
            Empty in a part of one file, whose own name does not matter.
        sha256: The digest of its bytes, in hex.
        size: Its length in bytes.
        lf_sha256: The digest it would have if all its lines ended in LF, where they do not; for tables.
    """

    part: str
    path: str
    name: str
    sha256: str
    size: int
    lf_sha256: str | None = None


@dataclass(frozen=True)
class PartVersion:
    """One part of a version: its digest, the number of its files, their bytes together.

    The digest of a part of one file is that file's own, as `sha256sum` prints it.
    """

    sha256: str
    files: int
    bytes: int


@dataclass(frozen=True)
class Listing:
    """Every file of one source, in the order of their paths as UTF-8.

    Example:
        >>> before = Listing("stage1", (Entry("train", "data/train.csv", "", "ab" * 32, 9),))
        >>> moved = Listing("stage1", (Entry("train", "elsewhere/train.csv", "", "ab" * 32, 9),))
        >>> before.version == moved.version
        True
        >>> before.parts["train"].bytes
        9
    """

    source: str
    entries: tuple[Entry, ...]

    @cached_property
    def version(self) -> str:
        """The digest, in hex, of what content has what name in what part; paths and times do not count."""
        return digest_of(sorted((entry.part, entry.name, entry.sha256) for entry in self.entries))

    @cached_property
    def parts(self) -> dict[str, PartVersion]:
        """Every part that has files, by name."""
        members = defaultdict(list)
        for entry in self.entries:
            members[entry.part].append(entry)
        return {part: _part_version(members[part]) for part in sorted(members)}


def _part_version(entries: Sequence[Entry]) -> PartVersion:
    if [entry.name for entry in entries] == [""]:
        sha256 = entries[0].sha256
    else:
        sha256 = digest_of(sorted((entry.name, entry.sha256) for entry in entries))
    return PartVersion(sha256, len(entries), sum(entry.size for entry in entries))


def _listing_name(version: str) -> str:
    return f"runs/.data/{version}.sha256"


def write_listing(root: Path, listing: Listing) -> Path:
    """Keep a listing under its version, so that `sha256sum -c` in the workspace can prove it without kagkit.

    Returns:
        The file, `runs/.data/<version>.sha256`.

    Raises:
        RunError: The disk is full, or the folder cannot be written.
    """
    path = root / _listing_name(listing.version)
    write_file(path, f"# source {listing.source}\n" + "".join(map(_entry_text, listing.entries)))
    return path


def _entry_text(entry: Entry) -> str:
    note = f"# {entry.size} {entry.part} name:{len(entry.path) - len(entry.name)}"
    if entry.lf_sha256:
        note += f" lf:{entry.lf_sha256}"
    path = entry.path
    if "\\" in path or "\n" in path or "\r" in path:
        # sha256sum's rule: a line that starts with a backslash holds a path with escapes.
        path = "".join(_ESCAPES.get(character, character) for character in path)
        return f"{note}\n\\{entry.sha256}  {path}\n"
    return f"{note}\n{entry.sha256}  {path}\n"


def read_listing(root: Path, version: str) -> Listing | None:
    """The listing of a version, or None where this workspace has none, as in a fresh clone.

    Raises:
        DataError: The listing is damaged: it is not what its name says.
    """
    where = _listing_name(version)
    try:
        listing = _parsed((root / where).read_bytes().decode())
    except FileNotFoundError:
        return None
    except ValueError:
        listing = None
    if listing is None or listing.version != version:
        hint = "remove it; kagkit data pin writes the listing of the data as they are now"
        raise DataError(
            "the listing of a data version is damaged",
            [Problem(where, "does not list what its name says", hint=hint)],
        )
    return listing


def _parsed(text: str) -> Listing | None:
    header = _HEADER.match(text)
    position = header.end() if header else 0
    entries = []
    while match := _ENTRY.match(text, position):
        size, part, start, lf_sha256, escaped, sha256, path = match.groups()
        if escaped:
            path = re.sub(r"\\[\\nr]", lambda escape: _UNESCAPES[escape[0]], path)
        entries.append(Entry(part, path, path[int(start) :], sha256, int(size), lf_sha256))
        position = match.end()
    return Listing(header[1], tuple(entries)) if header and position == len(text) else None


@dataclass(frozen=True)
class Change:
    """One difference between two versions of a source.

    Attributes:
        kind: What happened.
        part: The part it happened in.
        path: The file's path now; where it is no more, its path then.
        detail: The difference in words: `61,194 bytes -> 61,195 bytes`.
    """

    kind: Literal["added", "removed", "changed", "renamed", "line ends"]
    part: str
    path: str
    detail: str


def compare(old: Listing, new: Listing) -> list[Change]:
    """Say what became of every file that is not the same in two listings.

    Files are matched by part and name, and those left over by part and content, which makes a renaming.

    Returns:
        The changes in the order of their paths; none where the versions are equal.

    Example:
        >>> old = Listing("stage1", (Entry("train", "train.csv", "", "ab" * 32, 61194),))
        >>> new = Listing("stage1", (Entry("train", "train.csv", "", "cd" * 32, 61195),))
        >>> compare(old, new)
        [Change(kind='changed', part='train', path='train.csv', detail='61,194 bytes -> 61,195 bytes')]
    """
    then = {(entry.part, entry.name): entry for entry in old.entries}
    now = {(entry.part, entry.name): entry for entry in new.entries}
    gone = [entry for key, entry in then.items() if key not in now]
    come = [entry for key, entry in now.items() if key not in then]
    changes = [_content_change(then[key], now[key]) for key in then.keys() & now.keys()]
    return sorted(
        [change for change in changes if change] + list(_name_changes(gone, come)),
        key=lambda change: (change.path, change.part, change.kind),
    )


def _content_change(old: Entry, new: Entry) -> Change | None:
    if old.sha256 == new.sha256:
        return None
    if (old.lf_sha256 or old.sha256) == (new.lf_sha256 or new.sha256):
        return Change("line ends", new.part, new.path, _line_ends(old, new))
    if old.size == new.size:
        return Change("changed", new.part, new.path, f"{new.size:,} bytes as before, with other content")
    return Change("changed", new.part, new.path, f"{old.size:,} bytes -> {new.size:,} bytes")


def _line_ends(old: Entry, new: Entry) -> str:
    if old.lf_sha256 and new.lf_sha256:
        return "only the line ends differ (neither has LF alone)"
    now, then = ("CRLF", "LF") if new.lf_sha256 else ("LF", "CRLF")
    return f"only the line ends differ ({now} now, {then} then)"


def _name_changes(gone: Sequence[Entry], come: Sequence[Entry]) -> Iterator[Change]:
    same = defaultdict(list)
    for entry in reversed(gone):
        same[entry.part, entry.sha256].append(entry)
    for entry in come:
        if former := same[entry.part, entry.sha256]:
            yield Change("renamed", entry.part, entry.path, _former_name(former.pop(), entry))
        else:
            yield Change("added", entry.part, entry.path, f"{entry.size:,} bytes")
    for entry in (entry for left in same.values() for entry in left):
        yield Change("removed", entry.part, entry.path, f"{entry.size:,} bytes")


def _former_name(old: Entry, new: Entry) -> str:
    import unicodedata

    # Copied from macOS, a Japanese or accented name may look the same and be spelled otherwise.
    if unicodedata.normalize("NFC", old.path) == unicodedata.normalize("NFC", new.path):
        return "was the same name in another Unicode form (NFC, NFD)"
    return f"was {old.path}"
