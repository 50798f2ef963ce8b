"""Look at what a task left: refuse links, and files that run code when they are loaded."""

from __future__ import annotations

import zipfile
from pathlib import Path

from kagkit.foundation.errors import Problem, RunError

PICKLE_SUFFIXES = (".pkl", ".pickle", ".joblib", ".dill")
# Protocol 2 and later begin with the opcode PROTO and the protocol's number (pickletools).
PICKLE_STARTS = tuple(bytes([0x80, protocol]) for protocol in range(2, 6))
# The header of an array that numpy.save wrote names its dtype; one with objects in it is pickled.
NUMPY_START, NUMPY_OBJECTS = b"\x93NUMPY", b"'|O'"
HEAD = 512

LINK = "a link: what it names may change or vanish"
PICKLE = "a pickle: it can run any code when it is loaded"
HINTS = {
    LINK: "copy the file itself into task.out",
    PICKLE: "torch: safetensors.torch.save_file; LightGBM: save_model; "
    "a model with no safe format: return it from train",
}


def refuse_unkeepable(out: Path, label: str) -> None:
    """Refuse what cannot be kept, or could not be loaded without running code.

    Args:
        out: The folder a task wrote.
        label: What people call the task.

    Raises:
        RunError: Naming every such file and what to write instead.
    """
    faults = ((path, _fault_of(path)) for path in sorted(out.rglob("*")))
    problems = [
        Problem(path.relative_to(out).as_posix(), fault, hint=HINTS[fault]) for path, fault in faults if fault
    ]
    if problems:
        raise RunError(f"{label} left files that are not kept", problems)


def _fault_of(path: Path) -> str:
    if path.is_symlink():
        return LINK
    return PICKLE if path.is_file() and is_pickle(path) else ""


def is_pickle(path: Path) -> bool:
    """Whether loading a file means unpickling: by its name, its first bytes, or those of a zip's members."""
    if path.suffix in PICKLE_SUFFIXES:
        return True
    with path.open("rb") as stream:
        start = stream.read(HEAD)
    if start.startswith(b"PK") and zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            return any(_is_unpickled(archive.open(name).read(HEAD)) for name in archive.namelist())
    return _is_unpickled(start)


def _is_unpickled(start: bytes) -> bool:
    return start.startswith(PICKLE_STARTS) or (start.startswith(NUMPY_START) and NUMPY_OBJECTS in start)
