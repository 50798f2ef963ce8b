"""Fetch a competition's data: go on after a kill, prove them whole, put them in place at once, pin them."""

from __future__ import annotations

import base64
import hashlib
import shutil
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import requests

from kagkit.data import versions
from kagkit.foundation.errors import DataError, HostError, Problem
from kagkit.foundation.files import (
    commit_folder,
    file_sha256,
    held,
    read_json,
    sync_tree,
    told_when_unwritable,
    write_json,
)
from kagkit.foundation.unpacking import refuse_small_disk, unpack
from kagkit.host.asking import Host
from kagkit.host.refusals import BusyHostError, UnclearHostError, UnreachableHostError
from kagkit.host.wire import stream_into
from kagkit.workspace.competition import Competition

BOARD = "leaderboard"
FETCH = "fetch it again: kagkit data download"
FRUITLESS = 4  # broken connections in a row that bring nothing new
SURELY_GONE = 2  # refused connections in a row, where the host is on this machine
Progress = Callable[[int, int], object]


@dataclass(frozen=True)
class Downloaded:
    """Data that came.

    Attributes:
        folder: Where the files are.
        files: How many there are.
        bytes: The size of the file they came in.
        sha256: Its digest.
        resumed: How many of its bytes were here from an earlier try.
        unchanged: Files that were here already, with the same bytes.
    """

    folder: str
    files: int
    bytes: int
    sha256: str
    resumed: int
    unchanged: int


@dataclass(frozen=True)
class _Offer:
    """A file at the host: its address, what tells it from another version, its size, perhaps its digest."""

    url: str
    validator: str
    size: int | None
    md5: str | None
    ranges: bool

    @classmethod
    def of(cls, response: requests.Response) -> _Offer:
        headers = response.headers
        length = headers.get("Content-Length", "")
        sums = dict(item.strip().split("=", 1) for item in headers.get("x-goog-hash", "").split(",") if item)
        strong = headers.get("ETag", "")
        return cls(
            response.url,
            strong if strong and not strong.startswith("W/") else headers.get("Last-Modified", ""),
            int(length) if length.isdigit() else None,
            sums.get("md5"),
            headers.get("Accept-Ranges") == "bytes",
        )


def download(
    host: Host, cache: Path, folder: Path, progress: Progress = lambda done, total: None
) -> Downloaded:
    """Fetch all of a competition's data and unpack them into a folder.

    The files come into place only when all of them are here and whole. Files that are in the folder already
    stay where they have the same bytes.

    Args:
        host: The host.
        cache: Where what is unfinished is kept, unless the folder is on another disk.
        folder: Where the files go.
        progress: Called with the bytes that are here and the bytes there are, 0 where not told.

    Raises:
        HostError: The host does not give them; what came is kept, and the next try goes on there.
        DataError: They are damaged or may not be unpacked, or other files are in the way.
        RunError: The disk is too small, or cannot be written.
    """
    cache = _on_the_disk_of(folder, cache)
    work = cache / "download" / host.door.competition
    with held(cache / "download.lock"):
        work.mkdir(parents=True, exist_ok=True)
        archive, resumed = _fetch(host, work, progress)
        sha256, size = file_sha256(archive), archive.stat().st_size
        aside = work / "unpacked"
        shutil.rmtree(aside, ignore_errors=True)
        try:
            names = unpack(archive, aside, FETCH)
        except DataError:
            archive.unlink()  # a damaged file would never get better
            raise
        unchanged = _put_in_place(aside, folder.resolve(), names)
        shutil.rmtree(work)
    return Downloaded(folder.name, len(names), size, sha256, resumed, unchanged)


def download_board(
    host: Host, cache: Path, folder: Path, progress: Progress = lambda done, total: None
) -> Downloaded:
    """Fetch the leaderboard into a folder of its own: the host calls its file as it calls the data.

    An older leaderboard of the same name is replaced, and no other file.
    """
    cache = _on_the_disk_of(folder, cache)
    work = cache / "download" / f"{host.door.competition} leaderboard"
    with held(cache / "download.lock"):
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(parents=True)
        archive = work / "leaderboard.zip"
        with host.board_file() as response:
            _append(response, archive, 0, lambda done: progress(done, 0))
        aside = work / "unpacked"
        names = unpack(archive, aside, FETCH)
        sha256, size = file_sha256(archive), archive.stat().st_size
        older = [name for name in names if BOARD in name and (folder / name).is_file()]
        _put_in_place(aside, folder.resolve(), [name for name in names if name not in older])
        for name in older:
            (aside / name).replace(folder / name)
        shutil.rmtree(work)
    return Downloaded(folder.name, len(names), size, sha256, 0, 0)


def pin_what_is_there(root: Path, competition: Competition) -> dict[str, versions.Pinned]:
    """Pin every stage whose files are all there, as `kagkit data pin` does.

    Raises:
        DataError: A file cannot be used.
    """
    stages = {name: parts for name, parts in competition.sources.items() if name.startswith("stage")}
    return {
        name: versions.pin(root, name, parts)
        for name, parts in stages.items()
        if all((root / path).exists() for paths in parts.values() for path in paths)
    }


def _on_the_disk_of(folder: Path, cache: Path) -> Path:
    """The cache, or one beside a folder on another disk, to which nothing could be renamed."""
    cache.mkdir(parents=True, exist_ok=True)
    place = folder.resolve()
    near = next(path for path in (place, *place.parents) if path.exists())
    if near.stat().st_dev == cache.stat().st_dev:
        return cache
    is_root = near != place or near.parent.stat().st_dev != near.stat().st_dev
    return (near if is_root else near.parent) / cache.name


def _fetch(host: Host, work: Path, progress: Progress) -> tuple[Path, int]:
    """The whole file, proved, and how much of it was here before."""
    part = work / "data.zip"
    first = part.stat().st_size if part.exists() else 0
    fruitless, left = 0, host.door.patience.busy
    while True:
        before = part.stat().st_size if part.exists() else 0
        try:
            offer, kept = _fetch_some(host, part, progress)
            first = min(first, kept)
            _refuse_parts(part, offer)
            break
        except BusyHostError as busy:
            left = host.door.wait_out(busy, left)
        except (UnclearHostError, UnreachableHostError) as error:
            after = part.stat().st_size if part.exists() else 0
            fruitless = 0 if after > before else fruitless + 1
            gone = host.door.loopback and isinstance(error, UnreachableHostError)
            if fruitless >= (SURELY_GONE if gone else FRUITLESS):
                raise
            pauses = host.door.patience.pauses
            pause = pauses[min(max(fruitless - 1, 0), len(pauses) - 1)]
            host.door.tell(f"{error.summary}; {after:,} bytes are here, going on in {pause:.0f} s")
            time.sleep(pause)
    return part, first


def _fetch_some(host: Host, part: Path, progress: Progress) -> tuple[_Offer, int]:
    """Bring what is missing of the file, as far as the connection goes; what was here and could be kept."""
    facts = part.with_suffix(".json")
    with host.bundle() as response:
        offer = _Offer.of(response)
        kept = _usable(part, facts, offer)
        if offer.size is not None:
            refuse_small_disk(part.parent, offer.size - kept)
        if kept and kept == offer.size:
            return offer, kept
        with ExitStack() as stack:
            if kept:
                rest = stack.enter_context(host.rest_of(offer.url, kept, offer.validator))
                place = rest.headers.get("Content-Range", "")
                if rest.status_code != 206 or not place.startswith(f"bytes {kept}-"):
                    # It has another file by now, which the next try finds out.
                    raise UnclearHostError("downloading: the host does not go on where it was asked to", [])
                response = rest
            else:
                write_json(facts, {"validator": offer.validator, "size": offer.size})
            _append(response, part, kept, lambda done: progress(done, offer.size or 0))
    return offer, kept


def _usable(part: Path, facts: Path, offer: _Offer) -> int:
    """How many bytes of the file are here; 0, and none, where they may be of another version."""
    try:
        told = read_json(facts)
        same = bool(offer.validator) and told == {"validator": offer.validator, "size": offer.size}
        if same and offer.ranges and part.stat().st_size <= (offer.size or 0):
            return part.stat().st_size
    except (OSError, ValueError):
        pass
    part.unlink(missing_ok=True)
    return 0


def _append(response: requests.Response, part: Path, start: int, progress: Callable[[int], object]) -> None:
    done = start

    def write(piece: bytes) -> None:
        nonlocal done
        with told_when_unwritable(part.name):
            target.write(piece)
        done += len(piece)
        progress(done)

    with part.open("ab") as target:
        target.truncate(start)
        stream_into(response, write)


def _refuse_parts(part: Path, offer: _Offer) -> None:
    """Refuse what is not whole; what has all bytes and another digest is thrown away.

    Raises:
        UnclearHostError: Bytes are missing.
        HostError: The digest is another.
    """
    if offer.size is not None and part.stat().st_size < offer.size:
        raise UnclearHostError("downloading: the connection ended early", [])
    with part.open("rb") as stream:
        md5 = hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False))
    if offer.md5 is not None and base64.b64encode(md5.digest()).decode() != offer.md5:
        part.unlink()
        hint = "run the same command again; it begins anew"
        problem = Problem("data", "another MD5 than the host tells", hint=hint)
        raise HostError("the data came damaged", [problem])


def _put_in_place(aside: Path, folder: Path, names: list[str]) -> int:
    """Give every file its place, or none of them where others are in the way; how many were there."""
    if not folder.exists():
        commit_folder(aside, folder)
        return 0
    here = [name for name in names if (folder / name).exists() or (folder / name).is_symlink()]
    other = [name for name in here if not _same(aside / name, folder / name)]
    if other:
        hint = "move them away, or fetch into another folder: kagkit data download DIR"
        problems = [Problem(name, "is here with other content", hint=hint) for name in other]
        raise DataError("other files are in the way: nothing was changed", problems)
    sync_tree(aside)
    with told_when_unwritable(folder.name):
        for name in set(names) - set(here):
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            (aside / name).rename(target)
    return len(here)


def _same(first: Path, second: Path) -> bool:
    return (
        second.is_file()
        and first.stat().st_size == second.stat().st_size
        and file_sha256(first) == file_sha256(second)
    )
