"""Watch which files of the workspace a task opens, so that what its key does not cover is told."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from kagkit.foundation.errors import Problem, RunError


class ReadWatch:
    """Notes every file of the workspace that Python code opens for reading, outside some allowed places.

    Opens by compiled code that does not go through Python (OpenCV's, Arrow's own readers) are not seen.

    Args:
        root: The workspace.
        allowed: Files and folders, relative to `root`, that the task's key covers.
        notes: A file where forked children, a loader's workers say, note what they read.
    """

    def __init__(self, root: Path, allowed: tuple[str, ...], notes: Path) -> None:
        self._notes = str(notes)
        self._process = os.getpid()
        self._root = str(root) + os.sep
        self._allowed = tuple(str(root / path) for path in allowed)
        self._seen: set[str] = set()
        self._on = False
        # An installed environment may stand inside the workspace; its files are not the user's data.
        self._installed = (str(Path(sys.prefix)) + os.sep, str(Path(sys.base_prefix)) + os.sep)

    def start(self) -> None:
        """Begin; audit hooks cannot be removed, so a process watches one task."""
        self._on = True
        sys.addaudithook(self._hook)

    def undeclared(self) -> tuple[str, ...]:
        """Files opened, and local modules imported, that are not allowed; relative to the workspace."""
        self._on = False
        for module in list(sys.modules.values()):
            file = getattr(module, "__file__", None)
            if file and file.endswith(".py"):
                self._note(file)
        with suppress(OSError), open(self._notes, encoding="utf-8") as stream:  # noqa: PTH123
            self._seen.update(stream.read().splitlines())
        return tuple(sorted(path for path in self._seen if (Path(self._root) / path).is_file()))

    def _hook(self, event: str, args: tuple[Any, ...]) -> None:
        if self._on and event == "open" and isinstance(args[0], (str, bytes)) and _reads(args):
            self._note(os.fsdecode(args[0]))

    def _note(self, path: str) -> None:
        full = os.path.normpath(os.path.join(os.getcwd(), path))  # noqa: PTH109, PTH118 (pathlib opens nothing)
        if not full.startswith(self._root) or full.startswith(self._installed) or "__pycache__" in full:
            return
        if not any(full == place or full.startswith(place + os.sep) for place in self._allowed):
            self._keep(full.removeprefix(self._root))

    def _keep(self, path: str) -> None:
        if path in self._seen:
            return
        self._seen.add(path)
        if os.getpid() != self._process:
            notes = os.open(self._notes, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
            os.write(notes, f"{path}\n".encode())
            os.close(notes)


def refuse_undeclared(files: tuple[str, ...], hint: str) -> None:
    """Stop where undeclared files were read: a change in them would go unseen.

    Args:
        files: What `ReadWatch.undeclared` found.
        hint: What to do, with `{file}` for the file.

    Raises:
        RunError: Naming every file.
    """
    if files:
        found = "read, and declared nowhere: a change in it would go unseen"
        raise RunError(
            "undeclared files were read",
            [Problem(file, found, hint=hint.replace("{file}", file)) for file in files],
        )


def _reads(args: tuple[Any, ...]) -> bool:
    mode = args[1]
    if isinstance(mode, str):
        return "r" in mode or ("a" in mode and "+" in mode)
    flags = args[2] if len(args) > 2 and isinstance(args[2], int) else os.O_RDONLY
    return flags & (os.O_WRONLY | os.O_CREAT) == 0
