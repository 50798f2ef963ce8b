"""The pages people read, as programs read them: their blocks, their workspaces, what is generated in them.

`python -m tests.docs_pages` says which pages are behind; with `--write` it brings them up to date.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_type_hints

import click
from click.testing import CliRunner

from kagkit.cli import kagkit
from kagkit.workspace.competition import Competition
from kagkit.workspace.manifest import Manifest
from tests.floors import ROOT

DOCS = ROOT / "docs"
FENCE = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FILE = re.compile(r"# ([\w./-]+\.(?:py|yaml))\b")
WORKSPACE = re.compile(r"^<!-- workspace: ([\w-]+)", re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """A fenced block of a page.

    Attributes:
        language: What stands behind the fence: `yaml`, `python`, `console`.
        text: What is in it.
        line: The page's line its fence is on.
    """

    language: str
    text: str
    line: int

    @property
    def file(self) -> str | None:
        """The file it is, where its first line names one: `# competition.yaml: what the host asks`."""
        name = FILE.match(self.text) if self.language in ("yaml", "python") else None
        return name[1] if name else None

    @property
    def commands(self) -> list[tuple[str, str]]:
        """The command lines of a console block, each with the output that stands below it."""
        if self.language != "console":
            return []
        parts = re.split(r"^\$ (.*)\n", self.text, flags=re.MULTILINE)
        return list(zip(parts[1::2], parts[2::2], strict=True))


def pages() -> list[Path]:
    """Every page people read: docs/ and README.md."""
    return [*sorted(DOCS.glob("*.md")), ROOT / "README.md"]


def blocks_of(text: str) -> list[Block]:
    """The fenced blocks of a page in their order, those in comments too, which readers do not see."""
    return [Block(m[1], m[2], text.count("\n", 0, m.start()) + 1) for m in FENCE.finditer(text)]


def workspaces_of(text: str) -> dict[str, list[Block]]:
    """The blocks of a page by workspace: from `<!-- workspace: name -->` to the next such line."""
    starts = [(text.count("\n", 0, match.start()) + 1, match[1]) for match in WORKSPACE.finditer(text)]
    found: dict[str, list[Block]] = {name: [] for _, name in starts}
    for block in blocks_of(text):
        before = [name for line, name in starts if line <= block.line]
        if before:
            found[before[-1]].append(block)
    return found
