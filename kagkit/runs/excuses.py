"""Excuse weights whose bytes alone differ: read their numbers, hold what was logged against the record."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

from kagkit.runs.deviations import Attempt, Compared, differing_files, logged_numbers

# Formats that hold the time they were written at and cannot be read as numbers here: CatBoost's own.
TIMED = (".cbm",)
NUMPY, SAFETENSORS = (".npy", ".npz"), (".safetensors",)


def find_excuse(old: Attempt, new: Attempt, compared: Sequence[Compared]) -> str:
    """Why what differs need not count, in words; empty where it counts.

    It need not where weights alone differ, everything they logged is the same, and each differing file
    either reads as the same numbers (`.npy`, `.npz`, `.safetensors`) or is of a format that holds a time;
    of the latter the predictions decide. Any other file is the same each time unless its content is not.

    Args:
        old: The run on record.
        new: The run made again.
        compared: All that was held against the record.
    """
    other = {item.what for item in compared if not item.same}
    before = old.tasks()
    pairs = [(before.get(name), task) for name, task in new.tasks().items() if task["label"] in other]
    if not pairs or len(pairs) != len(other):  # a score or a submission differs, too
        return ""
    timed = False
    for known, task in pairs:
        if known is None or task["kind"] != "train" or not old.folder(known).is_dir():
            return ""
        was, now = old.folder(known), new.folder(task)
        files = differing_files(was, now)
        unread = [name for name in files if not _same_numbers(was / "out" / name, now / "out" / name)]
        if logged_numbers(was) != logged_numbers(now) or not all(name.endswith(TIMED) for name in unread):
            return ""
        timed |= bool(unread)
    numbers = "" if timed else "their numbers are the same, "
    return f"other bytes of weights, {numbers}and every prediction is the same"


def _same_numbers(first: Path, second: Path) -> bool:
    """Whether two files hold the same arrays under the same names, whatever else stands in them."""
    from safetensors import SafetensorError

    try:
        return bool(_read_numbers(first) == _read_numbers(second) is not None)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, SafetensorError):
        return False


def _read_numbers(path: Path) -> dict[str, Any] | None:
    """Type, shape and a digest of each array by name; None for a file of another format."""
    if path.suffix in SAFETENSORS:
        import safetensors

        read: Any = safetensors.deserialize  # it has no types
        tensors = read(path.read_bytes())
        return {name: (told["dtype"], told["shape"], _digest(told["data"])) for name, told in tensors}
    if path.suffix in NUMPY:
        import numpy as np

        loaded = np.load(path, allow_pickle=False)
        arrays = {"": loaded} if path.suffix == ".npy" else dict(loaded)
        return {name: (a.dtype.str, a.shape, _digest(a.tobytes())) for name, a in arrays.items()}
    return None


def _digest(data: Any) -> str:
    return sha256(data).hexdigest()
