"""Kagkit's command line in this process: what a command prints, and the code it exits with."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from kagkit.cli import main
from kagkit.foundation.files import file_sha256, read_json


@dataclass(frozen=True)
class Ended:
    """How a command ended: its exit code, and what it printed on either stream."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one JSON document on standard output."""
        return json.loads(self.out)


def kagkit(root: Path, *words: str, code: int | None = 0) -> Ended:
    """Run a command in a folder; it must exit with `code`, whatever that is where None."""
    out, err, here = io.StringIO(), io.StringIO(), Path.cwd()
    os.chdir(root)
    try:
        with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as ending:
            main(list(words))
    finally:
        os.chdir(here)
    ended = Ended(int(str(ending.value.code)), out.getvalue(), err.getvalue())
    assert code in (None, ended.code), ended
    return ended


def run(root: Path, name: str = "exp001", *words: str) -> dict[str, Any]:
    """What `kagkit run --json` says of a run that must succeed."""
    facts: dict[str, Any] = kagkit(root, "run", name, "--json", *words).json
    return facts


def plan(root: Path, name: str = "exp001", *words: str) -> dict[str, str]:
    """What is to do, by task, each with its reason in words."""
    facts = kagkit(root, "run", name, "--dry-run", "--json", *words).json
    return {task["task"]: task["reason"] for task in facts["todo"]}


def newest_run(root: Path, name: str = "exp001") -> Path:
    """The folder of an experiment's newest run."""
    return sorted((root / "runs" / name).iterdir())[-1]


def record(root: Path, name: str = "exp001") -> dict[str, Any]:
    """The record of an experiment's newest run."""
    facts: dict[str, Any] = read_json(newest_run(root, name) / "record.json")
    return facts


def kept(root: Path) -> dict[str, str]:
    """Digests of everything that is finished: runs and tasks, by path."""
    files = [path for path in (root / "runs").rglob("*") if path.is_file()]
    paths = {path.relative_to(root / "runs").as_posix(): path for path in files}
    return {
        name: file_sha256(path) for name, path in paths.items() if not name.startswith((".work", ".data"))
    }


def edit(path: Path, old: str, new: str) -> None:
    """Replace a text that stands in a file once."""
    text = path.read_text(encoding="utf-8")
    assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in {path.name}"
    path.write_text(text.replace(old, new), encoding="utf-8")


def swap(file: str, old: str, new: str) -> Callable[[Path], None]:
    """The change of a workspace that `edit` makes in one of its files."""
    return lambda root: edit(root / file, old, new)
