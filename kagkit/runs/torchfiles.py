"""Read what loading a file of torch would call, without loading it, and name what is not safe.

`torch.load(weights_only=True)`, torch's default, takes some opcodes and some names alone; the lists here are
those of `torch._weights_only_unpickler`, and a test holds them against it.
"""

from __future__ import annotations

import pickletools
import re
import zipfile

DATA = re.compile(r"[^/]+/data\.pkl")
STORAGES = re.compile(r"[^/]+/data/[^/]+")
SAFE_OPCODES = re.compile(
    "APPENDS?|BINFLOAT|BINGET|BININT[12]?|BINPERSID|BINPUT|BINUNICODE|BUILD|EMPTY_(DICT|LIST|SET|TUPLE)|GLOBAL|LONG1"
    "|LONG_BIN(GET|PUT)|MARK|NEW(FALSE|OBJ|TRUE)|NONE|PROTO|REDUCE|SETITEMS?|SHORT_BINSTRING|STOP|TUPLE[123]?"
)
SAFE_NAMES = frozenset(
    [
        "_codecs.encode",
        "builtins.bytearray",
        "builtins.complex",
        "builtins.set",
        "collections.Counter",
        "collections.OrderedDict",
        "torch.Size",
        "torch.Tensor",
        "torch.device",
        "torch.nn.parameter.Parameter",
        "torch.serialization._get_layout",
        "torch.storage.TypedStorage",
        "torch.storage.UntypedStorage",
        "torch._tensor._rebuild_from_type_v2",
    ]
)
TYPES = "BFloat16|Bool|Byte|Char|ComplexDouble|ComplexFloat|Double|Float|Half|Int|Long|Short"
SAFE_KINDS = re.compile(
    rf"torch\.(cuda\.)?({TYPES})Storage"
    r"|torch\.(bfloat16|bool|float(16|32|64)|complex(32|64|128)|u?int(8|16|32|64))"
    r"|torch\._utils\._rebuild_(parameter|parameter_with_state|qtensor|sparse_tensor|tensor|tensor_v2|tensor_v3)"
)


def is_torch_archive(archive: zipfile.ZipFile) -> bool:
    """Whether a zip is what `torch.save` writes: one pickle, and the storages of its tensors beside it."""
    return any(DATA.fullmatch(name) for name in archive.namelist())


def unsafe_calls(archive: zipfile.ZipFile) -> list[str]:
    """What loading a torch archive would need beyond tensors and plain values; empty where it is safe.

    Args:
        archive: A zip that `is_torch_archive`.

    Returns:
        Names such as `numpy.ndarray`, opcodes, and members that are neither tensors nor notes on them.
    """
    found: set[str] = set()
    for name in archive.namelist():
        if DATA.fullmatch(name):
            found |= _unsafe_in(archive.read(name))
        elif name.endswith((".pkl", ".py")) and not STORAGES.fullmatch(name):
            found.add(f"{name.partition('/')[2]} of TorchScript")
    return sorted(found)


def _unsafe_in(pickled: bytes) -> set[str]:
    found = set()
    try:
        for opcode, argument, _ in pickletools.genops(pickled):
            if opcode.name == "GLOBAL":
                name = str(argument).replace(" ", ".", 1)
                name = name.replace("__builtin__.", "builtins.", 1)  # protocol 2 spells Python 2's names
                if name not in SAFE_NAMES and not SAFE_KINDS.fullmatch(name):
                    found.add(name)
            elif not SAFE_OPCODES.fullmatch(opcode.name):
                found.add(f"the opcode {opcode.name}")
    except ValueError:
        found.add("a damaged pickle")
    return found
