"""Find what is wrong with a hidden solution before anybody submits: columns, ids, marks, another sample."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kagkit.foundation.errors import Problem, did_you_mean, samples

USAGE = "Usage"
MARKS = ("Public", "Private", "Ignored")


@dataclass(frozen=True)
class _Lines:
    """A CSV file as it was read: the ids, those that come twice, marks, and lines of another width."""

    ids: set[str]
    twice: list[str]
    marks: set[str]
    ragged: list[int]


def solution_problems(
    root: Path, solution: str, sample: str | None, key: tuple[str, ...], target: tuple[str, ...]
) -> Iterator[Problem]:
    """What is wrong with a stage's solution, and with its sample submission.

    Args:
        root: The host's folder.
        solution: The solution's path.
        sample: The sample submission's path; None where there is none.
        key: The columns that name a line.
        target: The columns to predict.
    """
    truth, problems = _read(root / solution, solution, key, (*target, USAGE))
    yield from problems
    if truth is None:
        return
    if strange := sorted(truth.marks - {*MARKS}):
        yield Problem(solution, f"{USAGE}: {samples(strange)}", ", ".join(MARKS))
    for mark in MARKS[:2]:
        if mark not in truth.marks:
            yield Problem(solution, f"{USAGE}: no row is {mark}", "rows of both")
    if sample is None:
        return
    example, problems = _read(root / sample, sample, key, target)
    yield from problems
    if example is not None:
        if missing := sorted(truth.ids - example.ids):
            yield Problem(sample, f"no line for {samples(missing)}", "the ids of the solution")
        if extra := sorted(example.ids - truth.ids):
            yield Problem(sample, f"ids the solution does not have: {samples(extra)}")


def _read(
    path: Path, name: str, key: tuple[str, ...], others: tuple[str, ...]
) -> tuple[_Lines | None, list[Problem]]:
    """A file's lines, None where it has none of use, and what is wrong with it by itself."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            lines = csv.reader(stream)
            header = [cell.strip() for cell in next(lines, [])]
            if lacking := [column for column in (*key, *others) if column not in header]:
                return None, [Problem(name, f"no column {c}", hint=did_you_mean(c, header)) for c in lacking]
            found = _take(lines, header, key)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        return None, [Problem(name, f"cannot be read ({type(error).__name__})", "a CSV file in UTF-8")]
    problems = []
    if found.ragged:
        problems.append(Problem(name, f"line {samples(found.ragged)}: not {len(header)} cells"))
    if found.twice:
        problems.append(Problem(name, f"ids that come twice: {samples(found.twice)}"))
    return found, problems


def _take(lines: Any, header: list[str], key: tuple[str, ...]) -> _Lines:
    """Read the lines below the header."""
    found = _Lines(set(), [], set(), [])
    places = [header.index(name) for name in key]
    mark = header.index(USAGE) if USAGE in header else None
    for cells in lines:
        if cells and len(cells) != len(header):
            found.ragged.append(lines.line_num)
        elif cells:
            name = "_".join(cells[place] for place in places)
            if name in found.ids:
                found.twice.append(name)
            found.ids.add(name)
            if mark is not None:
                found.marks.add(cells[mark])
    return found
