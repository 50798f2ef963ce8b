"""Look at what a task left: refuse links, and files that run code when they are loaded."""

from __future__ import annotations

import bz2
import lzma
import pickletools
import zipfile
import zlib
from contextlib import suppress
from pathlib import Path

from kagkit.foundation.errors import Problem, RunError

PICKLE_SUFFIXES = (".pkl", ".pickle", ".joblib", ".dill")
# Protocol 2 and later begin with the opcode PROTO and the protocol's number (pickletools).
PICKLE_STARTS = tuple(bytes([0x80, protocol]) for protocol in range(2, 6))
# The header of an array that numpy.save wrote names its dtype; one with objects in it is pickled.
NUMPY_START, NUMPY_OBJECTS = b"\x93NUMPY", b"'|O'"
# How compressed files begin; joblib compresses with any of these whatever the file's name.
ZLIB_STARTS = (b"\x1f\x8b", b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda")
BZIP_START, LZMA_STARTS = b"BZh", (b"\xfd7zXZ\x00", b"\x5d\x00\x00")
HEAD = 512
# A block of bzip2 gives nothing before it is read whole, and may be 900 kB.
COMPRESSED_HEAD = 1 << 20

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
    """Whether loading a file means unpickling: by its name, or what it or a zip's member begins with."""
    if set(path.suffixes) & set(PICKLE_SUFFIXES):
        return True
    with path.open("rb") as stream:
        start = stream.read(COMPRESSED_HEAD)
    if start.startswith(b"PK") and zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            return any(_is_unpickled(archive.open(name).read(HEAD)) for name in archive.namelist())
    return _is_unpickled(_unpacked(start)[:HEAD])


def _unpacked(start: bytes) -> bytes:
    """What a compressed file begins with inside; the bytes themselves where it is none."""
    with suppress(zlib.error, OSError, lzma.LZMAError):
        if start.startswith(ZLIB_STARTS):
            return zlib.decompressobj(zlib.MAX_WBITS | 32).decompress(start, HEAD)  # 32: either header
        if start.startswith(BZIP_START):
            return bz2.BZ2Decompressor().decompress(start, HEAD)
        if start.startswith(LZMA_STARTS):
            return lzma.LZMADecompressor().decompress(start, HEAD)
    return start


def _is_unpickled(start: bytes) -> bool:
    if start.startswith(NUMPY_START):
        return NUMPY_OBJECTS in start
    return start.startswith(PICKLE_STARTS) or _is_old_pickle(start)


def _is_old_pickle(start: bytes) -> bool:
    """Whether bytes read as opcodes up to the first memo: protocols 0 and 1 have no mark of their own."""
    with suppress(ValueError):
        for opcode, argument, place in pickletools.genops(start):
            if place == 0 and (opcode.stack_before or not opcode.stack_after):
                return False
            if opcode.name in ("PUT", "BINPUT"):
                return argument == 0
    return False
