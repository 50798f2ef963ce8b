"""Look at what a task left: refuse files that run code when they are loaded."""

from __future__ import annotations

import zipfile
from pathlib import Path

from kagkit.foundation.errors import Problem, RunError

PICKLE_SUFFIXES = (".pkl", ".pickle", ".joblib", ".dill")
# Protocol 2 and later begin with the opcode PROTO and the protocol's number (pickletools).
PICKLE_STARTS = tuple(bytes([0x80, protocol]) for protocol in range(2, 6))


def refuse_pickles(out: Path, label: str) -> None:
    """Refuse files that run code when they are loaded.

    Args:
        out: The folder a task wrote.
        label: What people call the task.

    Raises:
        RunError: Naming every such file and what to write instead.
    """
    problems = [
        Problem(
            path.relative_to(out).as_posix(),
            "a pickle: it can run any code when it is loaded",
            hint="torch: safetensors.torch.save_file; LightGBM: save_model; "
            "a model with no safe format: return it from train",
        )
        for path in sorted(out.rglob("*"))
        if path.is_file() and is_pickle(path)
    ]
    if problems:
        raise RunError(f"{label} left files that are not kept", problems)


def is_pickle(path: Path) -> bool:
    """Whether loading a file means unpickling: by its name, its first bytes, or a zip with a pickle in it."""
    if path.suffix in PICKLE_SUFFIXES:
        return True
    with path.open("rb") as stream:
        start = stream.read(2)
    if start in PICKLE_STARTS:
        return True
    if start == b"PK" and zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            return any(name.endswith("data.pkl") for name in archive.namelist())
    return False
