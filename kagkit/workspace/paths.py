"""Say what is wrong with a path in a file of the user: absolute, outside, missing, a folder for a file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from kagkit.foundation.errors import Problem, nearest

NAME_BYTES = 255  # of a file or folder, on every file system in use


def path_problems(
    root: Path, path: str, where: str, *, must_exist: bool = True, folder: bool = False
) -> Iterator[Problem]:
    """What is wrong with a path of the workspace: absolute, outside, missing, a folder in place of a file."""
    pure = PurePosixPath(path)
    if not path or pure.is_absolute() or ".." in pure.parts or "\\" in path:
        yield Problem(where, f"{path}: not a path inside the workspace", hint="link it here: ln -s")
    elif any(len(part.encode()) > NAME_BYTES for part in pure.parts):
        yield Problem(where, f"{path[:40]}…: no such file", hint="no file has so long a name")
    elif must_exist and not (root / path).exists():
        yield Problem(where, f"{path}: no such file", hint=_nearby(root, pure))
    elif (root / path).is_dir() and not folder:
        yield Problem(where, f"{path}: a folder", "a file")


def _nearby(root: Path, path: PurePosixPath) -> str:
    folder = root / path.parent
    near = nearest(path.name, [child.name for child in folder.iterdir()]) if folder.is_dir() else None
    if near is not None:
        return f"did you mean {path.with_name(near)}?"
    return "paths are relative to the workspace, the folder of competition.yaml"
