"""See the GPUs without importing torch, share them with every kagkit on this machine, free them at death."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from kagkit.foundation.errors import Problem, RunError
from kagkit.foundation.files import told_when_unwritable

if TYPE_CHECKING:
    from filelock import FileLock

DRIVER = Path("/proc/driver/nvidia/gpus")


def visible_gpus(wanted: Sequence[str] | None = None) -> tuple[str, ...]:
    """Name the GPUs that may be used, in order, each once.

    Args:
        wanted: What the user asked for, as `CUDA_VISIBLE_DEVICES` writes it; None leaves it to that variable
            where it is set, and else to what the NVIDIA driver has, counted from 0.

    Returns:
        Ids for `CUDA_VISIBLE_DEVICES`: numbers, or names such as `GPU-3f2c…`. Name a GPU in one way only: two
        names are two slots.

    Example:
        >>> visible_gpus(["1", "0", "1"])
        ('1', '0')
        >>> visible_gpus([])
        ()
    """
    if wanted is None:
        visible = os.environ.get("CUDA_VISIBLE_DEVICES")
        if visible is None:
            return tuple(str(number) for number in range(_gpus_of_the_driver()))
        wanted = visible.split(",")
    ids = [name.strip() for name in wanted]
    for end in ("", "-1"):  # CUDA looks no further than the first id that is none
        ids = ids[: ids.index(end)] if end in ids else ids
    return tuple(dict.fromkeys(ids))


def _gpus_of_the_driver() -> int:
    return len(list(DRIVER.iterdir())) if DRIVER.is_dir() else 0


@dataclass(frozen=True)
class Taken:
    """GPUs that this process holds until it releases them or dies.

    Attributes:
        ids: Their ids, for `CUDA_VISIBLE_DEVICES`.
    """

    ids: tuple[str, ...]
    _locks: tuple[FileLock, ...] = field(repr=False)

    def release(self) -> None:
        """Let others have them; a second call does nothing."""
        for lock in self._locks:
            lock.release()


class GpuSlots:
    """The machine's GPUs, each held by one process at a time, through a lock file that is never unlinked.

    Args:
        ids: The GPUs to choose from, in order of preference.
        folder: Where the lock files are; a folder of this user's own in the machine's temporary one if None.

    Raises:
        RunError: The folder is not this user's alone, or cannot be made.
    """

    def __init__(self, ids: Sequence[str], folder: Path | None = None) -> None:
        self._ids = tuple(ids)
        self._folder = _folder_of_this_user() if folder is None else folder
        with told_when_unwritable("the folder of GPU locks"), suppress(FileExistsError):
            self._folder.mkdir(mode=0o700, parents=True)
        _refuse_foreign(self._folder)

    def try_take(self, count: int) -> Taken | None:
        """Take `count` GPUs that nobody holds, all of them or none, without waiting.

        Raises:
            RunError: There are fewer GPUs than that, so waiting would not help; or a lock cannot be written.
        """
        if count > len(self._ids):
            raise RunError(
                f"{count} GPUs cannot be taken",
                [
                    Problem(
                        "GPUs", f"{len(self._ids)} to choose from", f"{count}", "ask for fewer, or see --gpus"
                    )
                ],
            )
        locks: dict[str, FileLock] = {}
        for position, gpu in enumerate(self._ids):
            missing = count - len(locks)
            if missing == 0 or missing > len(self._ids) - position:
                break  # enough, or no longer possible: do not touch what another process may be taking
            if lock := self._try_lock(gpu):
                locks[gpu] = lock
        taken = Taken(tuple(locks), tuple(locks.values()))
        if len(locks) < count:
            taken.release()
            return None
        return taken

    def _try_lock(self, gpu: str) -> FileLock | None:
        from filelock import FileLock, Timeout

        name = re.sub(r"[^\w.-]", "_", gpu)
        lock = FileLock(self._folder / f"gpu-{name}.lock", blocking=False, thread_local=False)
        try:
            with told_when_unwritable(f"gpu-{name}.lock"):
                lock.acquire()
        except Timeout:
            return None
        return lock


def _folder_of_this_user() -> Path:
    import tempfile

    return Path(tempfile.gettempdir(), f"kagkit-{os.getuid()}")


def _refuse_foreign(folder: Path) -> None:
    """Whoever can write there can hold our GPUs for ever, or hand them out twice."""
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode):
        problem = "not a folder"
    elif found.st_uid != os.getuid():
        problem = "a folder of another user"
    elif found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        problem = "a folder that other users can write to"
    else:
        return
    raise RunError(
        "GPUs cannot be shared safely",
        [
            Problem(
                "the folder of GPU locks",
                problem,
                "a folder that only you can write to",
                "remove it, or set TMPDIR to a folder of your own",
            )
        ],
    )
