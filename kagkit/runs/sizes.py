"""Count the bytes that folders take on the disk, and those that are free once some of them are gone."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path


def used_bytes(folders: Iterable[Path]) -> int:
    """The bytes that some folders take, a file of several names once."""
    return sum({(stat.st_dev, stat.st_ino): stat.st_size for stat in _files_below(folders)}.values())


def freed_bytes(places: Iterable[Path]) -> int:
    """The bytes that are free once some folders or files are gone.

    A file that has another name elsewhere, such as weights that a run and a task share, frees nothing.
    """
    names: Counter[tuple[int, int]] = Counter()
    files: dict[tuple[int, int], os.stat_result] = {}
    for stat in _files_below(places):
        place = (stat.st_dev, stat.st_ino)
        names[place] += 1
        files[place] = stat
    return sum(stat.st_size for place, stat in files.items() if names[place] >= stat.st_nlink)


def _files_below(places: Iterable[Path]) -> Iterator[os.stat_result]:
    """The status of every file below some places; what vanishes meanwhile does not count."""
    waiting = [os.fspath(place) for place in places]
    while waiting:
        place = waiting.pop()
        try:
            with os.scandir(place) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
                    else:
                        yield entry.stat(follow_symlinks=False)
        except NotADirectoryError:
            yield os.lstat(place)
        except FileNotFoundError:
            continue
