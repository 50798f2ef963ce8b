"""Digest every file of a source, read again only what was touched, refuse what changes meanwhile."""

from __future__ import annotations

import gc
import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from io import FileIO
from pathlib import Path
from typing import Any, NamedTuple

from kagkit.data.listings import Entry, Listing
from kagkit.data.sources import FILES, Found, Reason, Troubles, find_files, unreadable
from kagkit.foundation.errors import RunError
from kagkit.foundation.files import CHUNK, canonical_json, digest_of, write_file

CACHE = ".kagkit/stat.json"
CACHE_FORMAT = 1
RACY_NS = 100_000_000
TELL_EVERY_SECONDS = 0.1

CHANGING = Reason(
    "changed while it was read, twice", "wait until it is written, then run the same command again"
)

Progress = Callable[[int, int], None]
State = tuple[int, int, int, int]
Sights = dict[str, list[str] | None]


@dataclass(frozen=True)
class Survey:
    """What a source consists of now.

    Attributes:
        listing: Its files and their digests.
        hashed: How many files were read.
        unchanged: How many were known from before, and not read.
        seconds: How long it took.
    """

    listing: Listing
    hashed: int
    unchanged: int
    seconds: float


class Glance(NamedTuple):
    """A source in which nothing was touched since it was surveyed: its version, files, and their bytes."""

    version: str
    files: int
    bytes: int


class Known(NamedTuple):
    """What is kept of a file: how the disk described it, its digest, and a table's with LF line ends."""

    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int
    sha256: str
    lf_sha256: str | None


def survey(
    root: Path,
    source: str,
    declared: Mapping[str, Sequence[str]],
    *,
    deep: bool = False,
    progress: Progress | None = None,
) -> Survey:
    r"""Find and digest every file of a source.

    A file that the disk describes as it did when it was last digested (size, both times, inode) is not read
    again, unless it was touched less than 0.1 seconds before that. The memory of this, `.kagkit/stat.json`,
    may be deleted at any time.

    Args:
        root: The workspace.
        source: The source's name: `stage1`, `chexpert`.
        declared: The paths, relative to the workspace, of each part: one file for `train` and `test`,
            any number of files and folders for `files`.
        deep: Read every file, whatever the disk says.
        progress: Called with the files and bytes done so far, at most ten times a second, and at the end.

    Raises:
        DataError: All declared paths, links, names and files that cannot be used, or that change meanwhile.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as root:
        ...     _ = Path(root, "train.csv").write_bytes(b"id,y\r\n1,0\r\n")
        ...     train = survey(Path(root), "stage1", {"train": ["train.csv"]}).listing.entries[0]
        >>> train.lf_sha256 == hashlib.sha256(b"id,y\n1,0\n").hexdigest()
        True
    """
    began, began_ns = time.perf_counter(), time.time_ns()
    with collector_paused():
        found = find_files(root, source, declared)
        memory, sights = _read_memory(root)
        rows = memory.get(source, {})
        before = {file.path: Known(*rows[file.path]) for file in found if file.path in rows}
        after, sight = dict(before), None
        reader = _Reader(root, after, began_ns, _Tally(progress))
        try:
            known = reader.settle(found, deep=deep)
            reader.troubles.tell(source)
            listing = Listing(source, tuple(_entry(file, known[file.path]) for file in found))
            if len(after) == len(known):
                sight = [_sight(found, [known[file.path][:4] for file in found]), listing.version]
        finally:
            # Also after Ctrl-C or an error: what was digested need not be digested again.
            if after != before or len(before) < len(rows) or sight != sights.get(source):
                _write_memory(root, {**memory, source: after}, {**sights, source: sight})
    seconds = time.perf_counter() - began
    return Survey(listing, reader.hashed, len(known) - reader.hashed, seconds)


def glance(root: Path, source: str, declared: Mapping[str, Sequence[str]]) -> Glance | None:
    """Say a source's version where the disk describes all its files as when they were last surveyed.

    It trusts what `survey` trusts, and takes half its time: one digest of all descriptions is compared.

    Returns:
        None where a file was added, removed, touched, or too young to be trusted: `survey` says more.

    Raises:
        DataError: All declared paths, links, names and files that cannot be used.
    """
    remembered = _read_sights(root).get(source)
    if not remembered:
        return None
    base = os.fspath(root)
    with collector_paused():
        found = find_files(root, source, declared)
        try:
            states = [_state(os.stat(f"{base}/{path}")) for path, _, _ in found]  # noqa: PTH116 - as in _holds
        except OSError:
            return None
        seen = Glance(remembered[1], len(found), sum(state[0] for state in states))
        return seen if _sight(found, states) == remembered[0] else None


@contextmanager
def collector_paused() -> Iterator[None]:
    """Look for no garbage in cycles while the block runs."""
    # A survey makes small objects for every file and no cycles; to look for them takes a tenth of its time.
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _entry(file: Found, known: Known) -> Entry:
    differs = file.part != FILES and known.lf_sha256 != known.sha256
    lf_sha256 = known.lf_sha256 if differs else None
    return Entry(file.part, file.path, file.name, known.sha256, known.size, lf_sha256)


@dataclass
class _Tally:
    progress: Progress | None
    files: int = 0
    bytes: int = 0
    told: float = field(default_factory=time.monotonic)

    def add(self, size: int) -> None:
        self.files += 1
        self.bytes += size
        self.tell()

    def tell(self, partly: int = 0, *, last: bool = False) -> None:
        if self.progress is None:
            return
        now = time.monotonic()
        if last or now - self.told >= TELL_EVERY_SECONDS:
            self.told = now
            self.progress(self.files, self.bytes + partly)


class _Reader:
    def __init__(self, root: Path, memory: dict[str, Known], began_ns: int, tally: _Tally) -> None:
        self.troubles = Troubles()
        self.hashed = 0
        self._root = os.fspath(root)
        self._memory = memory
        self._began_ns = began_ns
        self._tally = tally
        self._scratch = memoryview(bytearray(CHUNK))

    def settle(self, found: Sequence[Found], *, deep: bool) -> dict[str, Known]:
        """What is known of every path, read where it must be; what could not be read goes to `troubles`."""
        tables = {file.path for file in found if file.part != FILES}
        settled = {}
        for path in dict.fromkeys(file.path for file in found):
            known = self._memory.get(path)
            try:
                if deep or known is None or not self._holds(path, known, path in tables):
                    known = self._read(path, path in tables)
            except OSError as error:
                self.troubles.add(path, unreadable(error))
                continue
            if known is None:
                self.troubles.add(path, CHANGING)
                continue
            settled[path] = known
            self._tally.add(known.size)
        self._tally.tell(last=True)
        return settled

    def _holds(self, path: str, known: Known, is_table: bool) -> bool:
        if is_table and known.lf_sha256 is None:
            return False
        return known[:4] == _state(os.stat(f"{self._root}/{path}"))  # noqa: PTH116 - a Path costs more than the call

    def _read(self, path: str, is_table: bool) -> Known | None:
        self.hashed += 1
        self._memory.pop(path, None)
        known = self._read_once(path, is_table) or self._read_once(path, is_table)
        # A file touched within one tick of the clock after it was read looks as it did before (git calls
        # such entries racy): what is so young is read again next time. 100 ms is many ticks.
        if known and max(known.mtime_ns, known.ctime_ns) < self._began_ns - RACY_NS:
            self._memory[path] = known
        return known

    def _read_once(self, path: str, is_table: bool) -> Known | None:
        sha256, lf_sha256 = hashlib.sha256(), hashlib.sha256() if is_table else None
        size, after_cr = 0, False
        with FileIO(f"{self._root}/{path}") as stream:
            before = _state(os.fstat(stream.fileno()))
            # One that grows as fast as it is read has no end; longer than it was is enough to refuse it.
            while size <= before[0] and (count := stream.readinto(self._scratch)):
                block = self._scratch[:count]
                sha256.update(block)
                if lf_sha256:
                    lf_sha256.update(_with_lf(bytes(block), after_cr=after_cr))
                    after_cr = block[-1] == ord("\r")
                size += count
                self._tally.tell(size)
            if before != _state(os.fstat(stream.fileno())) or size != before[0]:
                return None
        return Known(*before, sha256.hexdigest(), lf_sha256.hexdigest() if lf_sha256 else None)


def _state(status: os.stat_result) -> State:
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino


def _sight(found: Sequence[Found], states: Sequence[State]) -> str:
    return digest_of([file + state for file, state in zip(found, states, strict=True)])


def _with_lf(block: bytes, *, after_cr: bool) -> bytes:
    if after_cr:
        block = block.removeprefix(b"\n")  # its CR ended the block before, and became an LF there
    return block.replace(b"\r\n", b"\n").replace(b"\r", b"\n")


def _read_memory(root: Path) -> tuple[dict[str, Any], Sights]:
    """By source: the rows of `Known` by path; and what all files together looked like."""
    sights = _read_sights(root)
    try:
        seal, _, body = (root / CACHE).read_bytes().partition(b"\n")
    except OSError:
        return {}, {}
    # Damaged or of another format: everything is read.
    return (dict(json.loads(body)), sights) if seal == _seal(sights, body) else ({}, {})


def _read_sights(root: Path) -> Sights:
    """The first line's; not proved whole, since damage would have to agree with both the disk and the pin."""
    try:
        with (root / CACHE).open("rb") as stream:
            seal = json.loads(stream.readline())
        return dict(seal["sights"]) if seal["kagkit"] == CACHE_FORMAT else {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _write_memory(root: Path, memory: Mapping[str, Any], sights: Sights) -> None:
    body = canonical_json(memory).encode()
    # It only saves time: where it cannot be kept (a full or read-only disk), the work goes on without.
    with suppress(RunError, OSError):
        write_file(root / CACHE, _seal(sights, body) + b"\n" + body)


def _seal(sights: Sights, body: bytes) -> bytes:
    sha256 = hashlib.sha256(canonical_json(sights).encode() + body).hexdigest()
    return canonical_json({"kagkit": CACHE_FORMAT, "sha256": sha256, "sights": sights}).encode()
