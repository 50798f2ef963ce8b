"""Read a cell as text whatever pandas made of it, prove names declared and unique, tell what is faulty."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from kagkit.foundation.errors import ManifestError, Problem, did_you_mean, samples


@dataclass(frozen=True)
class Fault:
    """One thing wrong in a cell.

    Attributes:
        kind: What is wrong, in the words that every cell with this fault shares.
        detail: What is wrong in this very cell; empty where `kind` says it all.
        expected: What should be there.
        hint: What to do.
    """

    kind: str
    detail: str = ""
    expected: str = ""
    hint: str = ""

    def as_problem(self, where: str) -> Problem:
        """The fault of a single cell, told with its detail."""
        return Problem(where, self.detail or self.kind, self.expected, self.hint)


STRANGE = Fault("neither text nor a whole number", expected="a cell as the host writes it")


def cell_text(cell: object) -> str | None:
    """A cell as text without the spaces around it: empty where it is missing.

    pandas reads a column whose cells happen to be whole numbers as numbers, and as floats where some are
    missing; so whole numbers are text here.

    Returns:
        The text; None where the cell is something else.

    Example:
        >>> [cell_text(cell) for cell in [" -1", -1, 3.0, float("nan"), None, 0.5, True]]
        ['-1', '-1', '3', '', '', None, None]
    """
    if isinstance(cell, str):
        return cell.strip()
    if cell is None or cell is pd.NA:
        return ""
    if isinstance(cell, float | np.floating):
        if np.isnan(cell):
            return ""
        return str(int(cell)) if cell.is_integer() else None
    if isinstance(cell, int | np.integer) and not isinstance(cell, bool):
        return str(int(cell))
    return None


def declared_words(words: Iterable[object], what: str, *, spaces: bool = True) -> list[str]:
    """Declared labels or classes as text, in their order.

    Args:
        words: Texts or whole numbers.
        what: What they are, in the plural, for messages.
        spaces: Whether a word may have spaces inside.

    Raises:
        ManifestError: There are none; a word is empty, comes twice, or has spaces where it may not.

    Example:
        >>> declared_words(range(3), "labels")
        ['0', '1', '2']
    """
    given = list(words)
    texts = [cell_text(word) for word in given]
    known = [text for text in texts if text]
    problems = [] if given else [Problem(what, "none declared", "at least one")]
    if unfit := [word for word, text in zip(given, texts, strict=True) if not text]:
        problems.append(Problem(what, f"not words: {samples(list(map(repr, unfit)))}", "text"))
    if twice := list(dict.fromkeys(word for word in known if known.count(word) > 1)):
        problems.append(Problem(what, f"declared twice: {samples(twice)}", "each once"))
    if not spaces and (parted := [word for word in known if len(word.split()) > 1]):
        problems.append(Problem(what, f"words with spaces: {samples(parted)}", "spaces only between words"))
    if problems:
        raise ManifestError(f"the {what} cannot be used", problems)
    return known


def fault_problems(where: str, faults: Iterable[tuple[object, Fault]]) -> list[Problem]:
    """The faults of many cells as one problem a kind, with the ids of at most five cells.

    Args:
        where: The column, or what its cells hold.
        faults: Pairs of a cell's id and its fault.

    Example:
        >>> twice = Fault("labels that come twice", "7 comes twice")
        >>> print(*fault_problems("Target", [("a", twice), ("b", twice)]))
        Target: labels that come twice in a, b (a: 7 comes twice)
    """
    kinds: dict[str, list[tuple[object, Fault]]] = {}
    for key, fault in faults:
        kinds.setdefault(fault.kind, []).append((key, fault))
    problems = []
    for kind, found in kinds.items():
        first_key, first = found[0]
        detail = f" ({first_key}: {first.detail})" if first.detail else ""
        text = f"{kind} in {samples([key for key, _ in found])}{detail}"
        problems.append(Problem(where, text, first.expected, first.hint))
    return problems


def repeat_problems(where: str, keys: pd.Index[Any]) -> list[Problem]:
    """The keys that come more than once, as one problem.

    Example:
        >>> print(*repeat_problems("ids", pd.Index(["a", "b", "a"])))
        ids: more than once: a
    """
    twice = keys[keys.duplicated()].unique().tolist()
    return [Problem(where, f"more than once: {samples(twice)}")] if twice else []


def column_problems(names: pd.Index[Any], declared: Sequence[str]) -> list[Problem]:
    """How a table's columns differ from the declared ones; their order means nothing.

    Example:
        >>> print(*column_problems(pd.Index(["Fish", "Sugr"]), ["Fish", "Sugar"]), sep="; ")
        columns: none for Sugar; columns: not declared: Sugr
          hint: did you mean Sugar?
    """
    problems = repeat_problems("columns", names)
    if missing := [name for name in declared if name not in names]:
        problems.append(Problem("columns", f"none for {samples(missing)}"))
    if extra := [name for name in names if name not in declared]:
        problems.append(
            Problem("columns", f"not declared: {samples(extra)}", hint=did_you_mean(extra[0], declared))
        )
    return problems


def name_of(cells: pd.Series[Any], default: str) -> str:
    """What messages call a column: its name, or a default where it has none."""
    return default if cells.name is None else str(cells.name)
