"""Find every file of a source's declared parts, follow links, tell at once all that cannot be used."""

from __future__ import annotations

import errno
import os
import posixpath
import stat
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from io import FileIO
from pathlib import Path
from typing import Literal, NamedTuple

from kagkit.foundation.errors import DataError, Problem, samples

FILES = "files"
# What desktops and notebooks leave behind on their own; every other file counts, hidden or not.
IGNORED = frozenset({".DS_Store", "Thumbs.db", ".ipynb_checkpoints"})


class Found(NamedTuple):
    """A file that belongs to a part: its path from the workspace, the part, and its name inside the part."""

    path: str
    part: str
    name: str


class Reason(NamedTuple):
    """Why a path cannot be used, and what to do about it."""

    found: str
    hint: str = ""


MISSING = Reason("not there", "download it, or correct the path in competition.yaml")
ABSOLUTE = Reason("an absolute path", "link it into the workspace with ln -s, and declare the link")
OUTSIDE = Reason("leaves the workspace", "link it into the workspace with ln -s, and declare the link")
WHOLE = Reason("the workspace itself", "declare the folders that hold data")
REPEATED = Reason("declared twice, by itself or by a folder above it", "declare it once")
SEVERAL = Reason("several paths for one part", "declare one file; others belong to files:")
NOT_ONE_FILE = Reason("a folder where one file belongs", "declare the file; folders belong to files:")
NOTHING = Reason("no file or folder is declared", "declare train, test or files in competition.yaml")
EMPTY = Reason("a folder without a file", "download its files, or correct the path in competition.yaml")
DANGLING = Reason("a link to nothing", "mount or download what it points to, or remove it")
CYCLE = Reason("a link that leads back to where it is", "remove it")
SPECIAL = Reason("neither a file nor a folder", "remove it: a pipe, socket or device is no data")
NOT_UTF8 = Reason("a name that is not UTF-8", "rename it, for instance with convmv")

Kind = Literal["file", "folder"] | Reason


def unreadable(error: OSError) -> Reason:
    """The reason the operating system gave."""
    return Reason(f"cannot be read ({error.strerror})", "check its permissions and the disk")


@dataclass(frozen=True)
class Troubles:
    """What cannot be used, collected so that it can be told at once.

    Example:
        >>> troubles = Troubles()
        >>> troubles.add("data/a.png", DANGLING)
        >>> troubles.add("data/b.png", DANGLING)
        >>> troubles.tell("stage1")
        Traceback (most recent call last):
        ...
        kagkit.foundation.errors.DataError: the data of stage1 cannot be used
          data/a.png, data/b.png: a link to nothing
            hint: mount or download what it points to, or remove it
    """

    _paths: dict[Reason, list[str]] = field(default_factory=lambda: defaultdict(list))

    def add(self, path: str, reason: Reason) -> None:
        """Note a path, relative to the workspace, and why it cannot be used."""
        self._paths[reason].append(printable(path))

    def tell(self, source: str) -> None:
        """Do nothing where nothing was noted.

        Raises:
            DataError: A problem for each reason, with up to five of its paths.
        """
        if self._paths:
            problems = [
                Problem(samples(sorted(paths)), reason.found, hint=reason.hint)
                for reason, paths in self._paths.items()
            ]
            raise DataError(f"the data of {source} cannot be used", problems)

    def __len__(self) -> int:
        return sum(map(len, self._paths.values()))


def printable(path: str) -> str:
    r"""A path as it can be shown on one line of a terminal.

    Example:
        >>> print(printable("画像/a\nb.png"))
        画像/a\nb.png
    """
    return "".join(character if character.isprintable() else ascii(character)[1:-1] for character in path)


def find_files(root: Path, source: str, declared: Mapping[str, Sequence[str]]) -> list[Found]:
    """Every file of a source, in the order of the paths as UTF-8 (which is the order of their characters).

    Links are followed, empty folders do not count, and neither does what `IGNORED` names.

    Args:
        root: The workspace.
        source: The source's name, for messages.
        declared: The paths, relative to the workspace, of each part: one file for `train` and `test`,
            any number of files and folders for `files`.

    Raises:
        DataError: All declared paths, links, names and files that cannot be used.
    """
    troubles = Troubles()
    if not any(declared.values()):
        troubles.add(source, NOTHING)
    found = [file for part in declared for file in _files_of(root, part, declared[part], troubles)]
    if troubles:
        _add_unreadable(root, found, troubles)
    troubles.tell(source)
    return sorted(found)


def _add_unreadable(root: Path, found: Sequence[Found], troubles: Troubles) -> None:
    # Files are read only after this: whoever must come back anyway should come back once.
    for path in sorted({file.path for file in found}):
        try:
            FileIO(root / path).close()
        except OSError as error:
            troubles.add(path, unreadable(error))


def _files_of(root: Path, part: str, paths: Sequence[str], troubles: Troubles) -> Iterator[Found]:
    usable = _usable(part, paths, troubles)
    names = [posixpath.basename(path) for path in usable]
    # Two folders of one name (train/images, test/images) are told apart by what is above them.
    shared = posixpath.commonpath(usable) if len(set(names)) < len(names) else None
    for path in usable:
        base = posixpath.dirname(path) if shared is None else shared
        start = len(base) + 1 if base else 0
        for file in _files_at(root, part, path, troubles):
            yield Found(file, part, file[start:] if part == FILES else "")


def _usable(part: str, paths: Sequence[str], troubles: Troubles) -> list[str]:
    if part != FILES and len(paths) > 1:
        troubles.add(part, SEVERAL)
        return []
    inside = sorted(posixpath.normpath(path) for path in paths if _is_inside(path, troubles))
    usable: list[str] = []
    for path in inside:
        if any(path == other or path.startswith(f"{other}/") for other in usable):
            troubles.add(path, REPEATED)
        else:
            usable.append(path)
    return usable


def _is_inside(path: str, troubles: Troubles) -> bool:
    normal = posixpath.normpath(path)
    if Path(path).is_absolute():
        # Only the last name is told: what is above it may say whose machine this is.
        troubles.add(f".../{posixpath.basename(normal)}", ABSOLUTE)
    elif normal == ".." or normal.startswith("../"):
        troubles.add(path, OUTSIDE)
    elif normal == ".":
        troubles.add(path or ".", WHOLE)
    else:
        return True
    return False


def _files_at(root: Path, part: str, path: str, troubles: Troubles) -> Iterator[str]:
    kind = _kind(root / path)
    if kind == "file":
        yield path
    elif kind != "folder":
        troubles.add(path, kind)
    elif part != FILES:
        troubles.add(path, NOT_ONE_FILE)
    else:
        before = len(troubles)
        files = _files_below(root, path, troubles)
        if not files and len(troubles) == before:
            troubles.add(path, EMPTY)
        yield from files


def _files_below(root: Path, top: str, troubles: Troubles) -> list[str]:
    files: list[str] = []
    waiting: list[tuple[str, frozenset[tuple[int, int]]]] = [(top, frozenset())]
    while waiting:
        folder, above = waiting.pop()
        try:
            status = (root / folder).stat()
            with os.scandir(root / folder) as entries:
                listed = [entry for entry in entries if entry.name not in IGNORED]
        except OSError as error:
            troubles.add(folder, unreadable(error))
            continue
        here = (status.st_dev, status.st_ino)
        if here in above:
            troubles.add(_link_in(root, folder), CYCLE)
            continue
        for entry in listed:
            path, kind = f"{folder}/{entry.name}", _kind_of(entry)
            if kind == "file":
                files.append(path)
            elif kind == "folder":
                waiting.append((path, above | {here}))
            else:
                troubles.add(path, kind)
    return files


def _kind_of(entry: os.DirEntry[str]) -> Kind:
    if not entry.name.isascii() and not _is_utf8(entry.name):
        return NOT_UTF8
    try:
        # Plain files and folders are mostly known without another look at the disk; links are not.
        if entry.is_file(follow_symlinks=False):
            return "file"
        if entry.is_dir(follow_symlinks=False):
            return "folder"
    except OSError as error:
        return unreadable(error)
    return _kind(Path(entry.path))


def _kind(path: Path) -> Kind:
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return DANGLING if path.is_symlink() else MISSING
    except OSError as error:
        return CYCLE if error.errno == errno.ELOOP else unreadable(error)
    if stat.S_ISREG(mode):
        return "file"
    return "folder" if stat.S_ISDIR(mode) else SPECIAL


def _link_in(root: Path, folder: str) -> str:
    while not (root / folder).is_symlink():
        folder = posixpath.dirname(folder)
    return folder


def _is_utf8(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
