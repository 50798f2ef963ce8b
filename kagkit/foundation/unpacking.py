"""Unpack a zip that came from elsewhere: wholly, inside its folder, and no larger than it said."""

from __future__ import annotations

import errno
import lzma
import re
import shutil
import stat
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from kagkit.foundation.errors import DataError, Problem, RunError
from kagkit.foundation.files import CHUNK, told_when_unwritable

RATIO = 2000  # deflate packs 1,032 times at best; what claims more than this is no data
SPARE = 64 << 20
LONGEST = 1 << 40
LONGEST_NAME = 255  # bytes that a disk takes
DRIVE = re.compile(r"[A-Za-z]:")
DAMAGED = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, NotImplementedError, ValueError, OSError)


def unpack(archive: Path, folder: Path, hint: str = "fetch it again") -> list[str]:
    """Unpack every file into a folder that is made for it.

    Every name, kind and size is looked at before the first byte is written; every file's checksum is
    compared while it is written.

    Args:
        archive: The zip.
        folder: Where the files go; it must not be there.
        hint: What to do about a damaged one.

    Returns:
        The files' names, relative to the folder.

    Raises:
        DataError: It is no zip, is damaged, or holds what may not be unpacked; all that was found.
        RunError: The disk is too small, or cannot be written.
    """
    try:
        with zipfile.ZipFile(archive) as packed:
            members = [member for member in packed.infolist() if not member.filename.endswith("/")]
            problems = list(_problems(members))
            total = sum(member.file_size for member in members)
            if total > RATIO * archive.stat().st_size:
                found = f"claims {total:,} bytes packed into {archive.stat().st_size:,}"
                problems.append(Problem(archive.name, found, check="size"))
            if problems:
                raise DataError(f"{archive.name} is not unpacked", problems)
            refuse_small_disk(folder.parent, total)
            for member in members:
                _write(packed, member, folder / member.filename)
    except DAMAGED as error:
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
            raise  # the disk's, not what bz2 and a place outside the file are
        problem = Problem(archive.name, f"damaged: {error}", hint=hint)
        raise DataError(f"{archive.name} cannot be unpacked", [problem]) from error
    return [member.filename for member in members]


def refuse_small_disk(folder: Path, size: int) -> None:
    """Ask for room before anything is written.

    Raises:
        RunError: There is less than so many bytes, and some to spare.
    """
    free = shutil.disk_usage(folder).free
    if free < size + SPARE:
        found = f"{free / 1e6:,.0f} MB are free, {(size + SPARE) / 1e6:,.0f} MB are needed"
        raise RunError("the disk is too small", [Problem("disk", found, hint="free some space")])


def _problems(members: list[zipfile.ZipInfo]) -> Iterator[Problem]:
    seen: dict[str, str] = {}
    for member in members:
        name, path = member.filename, PurePosixPath(member.filename)
        strange = "\\" in name or "\0" in name or DRIVE.match(name) or not name.isprintable()
        long = any(len(part.encode()) > LONGEST_NAME for part in path.parts)
        if path.is_absolute() or ".." in path.parts or not path.parts or strange or long:
            yield Problem(ascii(name), "a name that leads out of the folder, or is none", check="path")
        kind = stat.S_IFMT(member.external_attr >> 16)
        if kind not in (0, stat.S_IFREG):
            yield Problem(name, "neither a file nor a folder: a link or a device", check="kind")
        if member.file_size > RATIO * max(member.compress_size, 1) or member.file_size > LONGEST:
            found = f"claims {member.file_size:,} bytes packed into {member.compress_size:,}"
            yield Problem(name, found, check="size")
        if member.flag_bits & 1:
            yield Problem(name, "needs a password", check="password")
        folded = str(path).casefold()
        if folded in seen:
            yield Problem(name, f"is {seen[folded]} as well: one name on some disks", check="twins")
        seen[folded] = name
    folders = {str(parent).casefold() for name in seen for parent in PurePosixPath(name).parents}
    for folded in sorted(folders & {*seen}):
        yield Problem(seen[folded], "is a file and a folder", check="twins")


def _write(packed: zipfile.ZipFile, member: zipfile.ZipInfo, path: Path) -> None:
    with told_when_unwritable(path.name):
        path.parent.mkdir(parents=True, exist_ok=True)
        with packed.open(member) as source, path.open("xb") as target:
            written = 0
            while piece := source.read(CHUNK):
                written += len(piece)
                if written > member.file_size:
                    problem = Problem(member.filename, f"more than the {member.file_size:,} bytes it claims")
                    raise DataError("the zip is not what it claims", [problem])
                target.write(piece)
