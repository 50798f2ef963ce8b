"""Split a command line into words, name its placeholders, fill them, find what Python it runs."""

from __future__ import annotations

import shlex
import string
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePosixPath

BOTH = ("seed", "fold", "stage", "threads", "device", "checkpoint", "files", "out")
GIVEN = {"train": (*BOTH, "train_rows", "valid_rows"), "predict": (*BOTH, "weights", "rows")}
NEEDED = {"train": ("out",), "predict": ("rows", "out")}
PYTHONS = ("python", "python3")
PYTHON_OPTIONS = ("-W", "-X")  # take the next word


@dataclass(frozen=True)
class Command:
    """A script in place of a recipe: two command lines, no shell, each word by itself.

    Attributes:
        train: Trains: `python train.py --rows {train_rows} --out {out}`.
        predict: Predicts: `python predict.py {weights} {rows} {out}`.
    """

    train: str
    predict: str


@dataclass(frozen=True)
class Line:
    """A command line as its words, placeholders still in them.

    Example:
        >>> line = read_line("python train.py --lr {lr} --note 'seed {seed}' {{}}")
        >>> line.placeholders, line.keywords
        (('lr', 'seed'), ('lr',))
        >>> line.fill({"lr": "0.1", "seed": "7"})[3:]
        ['0.1', '--note', 'seed 7', '{}']
    """

    words: tuple[str, ...]

    @cached_property
    def placeholders(self) -> tuple[str, ...]:
        """The names in braces, each once, in order."""
        parts = (part for word in self.words for part in string.Formatter().parse(word))
        return tuple(dict.fromkeys(name for _, name, _, _ in parts if name is not None))

    @property
    def keywords(self) -> tuple[str, ...]:
        """The placeholders that are arguments of a manifest: kagkit does not fill them itself."""
        known = {name for names in GIVEN.values() for name in names}
        return tuple(name for name in self.placeholders if name not in known)

    def fill(self, values: Mapping[str, str]) -> list[str]:
        """The words with every placeholder replaced; a value with spaces stays in its word."""
        return [word.format_map(values) for word in self.words]


def read_line(text: str) -> Line:
    """Split a command line as a shell would, and check its braces.

    Raises:
        ValueError: A quote or a brace is open, or a placeholder is more than a name.
    """
    line = Line(tuple(shlex.split(text)))
    if not line.words:
        raise ValueError("no words")
    for word in line.words:
        for _, name, form, conversion in string.Formatter().parse(word):
            if name is not None and (form or conversion or not name.isidentifier()):
                raise ValueError(f"not a placeholder: {word}")
    return line


def python_target(line: Line) -> tuple[str, str] | None:
    """What Python is to run: ("script", its path) or ("module", its name); None where it is none of both.

    Example:
        >>> python_target(read_line("python -u -W ignore train.py {out}"))
        ('script', 'train.py')
        >>> python_target(read_line("python3 -m pkg.train"))
        ('module', 'pkg.train')
    """
    words = iter(line.words)
    if PurePosixPath(next(words)).name not in PYTHONS:
        return None
    for word in words:
        if word == "-m":
            return "module", next(words, "")
        if word == "-c":
            return None
        if word in PYTHON_OPTIONS:
            next(words, None)
        elif not word.startswith("-"):
            return "script", word
    return None
