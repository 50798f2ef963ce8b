"""Look at what a task left: refuse links and what runs code when it is loaded, find paths of this machine."""

from __future__ import annotations

import bz2
import lzma
import os
import pickletools
import zipfile
import zlib
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from kagkit.foundation.errors import Problem, RunError, samples
from kagkit.foundation.files import CHUNK
from kagkit.runs.torchfiles import is_torch_archive, unsafe_calls

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
COPY = "copy the file itself into task.out"
PICKLE = "a pickle: it can run any code when it is loaded"
SAFE = (
    "torch: safetensors.torch.save_file; LightGBM: save_model; "
    "a model with no safe format: return it from train"
)
TENSORS = (
    "keep tensors and plain values alone: safetensors.torch.save_file(model.state_dict(), path); "
    "of a script's files keep others: outputs: ['*.safetensors']"
)


def refuse_unkeepable(out: Path, label: str) -> None:
    """Refuse what cannot be kept, or could not be loaded without running code.

    Args:
        out: The folder a task wrote.
        label: What people call the task.

    Raises:
        RunError: Naming every such file and what to write instead.
    """
    faults = ((path.relative_to(out).as_posix(), _fault_of(path)) for path in sorted(out.rglob("*")))
    problems = [Problem(name, fault[0], hint=fault[1]) for name, fault in faults if fault]
    if problems:
        raise RunError(f"{label} left files that are not kept", problems)


def find_private(out: Path, root: Path) -> list[str]:
    """The files a task wrote that hold a path of this machine, by name: of the workspace, or of its user.

    Only what is not compressed is seen. Such a file has other bytes on each machine.
    """
    places = (os.fsencode(root), os.fsencode(Path.home()) + os.sep.encode())
    files = (path for path in sorted(out.rglob("*")) if path.is_file())
    return [path.relative_to(out).as_posix() for path in files if _holds(path, places)]


def _holds(path: Path, words: Sequence[bytes]) -> bool:
    """Whether any of some words stands in a file."""
    overlap, before = max(map(len, words)) - 1, b""
    with path.open("rb") as stream:
        while piece := stream.read(CHUNK):
            read = before + piece
            if any(word in read for word in words):
                return True
            before = read[-overlap:]
    return False


def _fault_of(path: Path) -> tuple[str, str] | None:
    """What is wrong with a file, and what to do; None where it is kept."""
    if path.is_symlink():
        return LINK, COPY
    if not path.is_file():
        return None
    if needed := _torch_needs(path):
        return f"a file of torch that needs {samples(needed)}: loading it can run any code", TENSORS
    return (PICKLE, SAFE) if is_pickle(path) else None


def _torch_needs(path: Path) -> list[str]:
    """What a file of `torch.save` needs beyond tensors and plain values; empty for other files, too."""
    if not zipfile.is_zipfile(path):
        return []
    with zipfile.ZipFile(path) as archive:
        return unsafe_calls(archive) if is_torch_archive(archive) else []


def is_pickle(path: Path) -> bool:
    """Whether loading a file can run code: by its name, or what it or a zip's member begins with.

    A file of torch counts where `torch.load` would refuse it unless told to trust it.
    """
    if set(path.suffixes) & set(PICKLE_SUFFIXES):
        return True
    with path.open("rb") as stream:
        start = stream.read(COMPRESSED_HEAD)
    if start.startswith(b"PK") and zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            if is_torch_archive(archive):
                return bool(unsafe_calls(archive))
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
            if place == 0 and (opcode.proto > 1 or opcode.stack_before or not opcode.stack_after):
                return False
            if opcode.name in ("PUT", "BINPUT"):
                return argument == 0
    return False
