"""One tree of errors, each with an exit code and its problems: where, found, expected, hint.

KagkitError (1)
├── ManifestError (2)       a command line, competition.yaml or manifest cannot be used
├── DataError (3)           data, rows or folds are not what was declared or pinned
├── RunError (4)            a task failed, or its results could not be kept
├── SubmissionError (5)     a submission would be refused or wrong
├── HostError (6)           the host did not do what was asked
└── ReproductionError (7)   not reproduced, or a record is damaged
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

Where = Callable[[str], str]  # gives the place of a key
SAMPLES_SHOWN = 5
WORDS_LISTED = 20


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong, told so that a reader can act on it.

    Attributes:
        where: A place a reader can go to: `exp001.yaml line 7`, `train.csv`, `ids`.
        found: What is there.
        expected: What should be there; empty where `found` says it all.
        hint: What to do, as a command or an edit; empty where it is plain.
        check: The name of the check that found it, for programs.

    Example:
        >>> print(Problem("exp001.yaml line 7", "seeed: no such key", hint="did you mean seeds?"))
        exp001.yaml line 7: seeed: no such key
          hint: did you mean seeds?
    """

    where: str
    found: str
    expected: str = ""
    hint: str = ""
    check: str = ""

    def __str__(self) -> str:
        text = f"{self.where}: {self.found}"
        if self.expected:
            text += f"; expected {self.expected}"
        if self.hint:
            text += f"\n  hint: {self.hint}"
        return text


class KagkitError(Exception):
    """The base of every error kagkit raises on purpose.

    Args:
        summary: One line that says what could not be done.
        problems: Everything found wrong, not only the first.

    Example:
        >>> error = DataError("data/train.csv cannot be used", [Problem("line 3", "2 cells", "3")])
        >>> print(error)
        data/train.csv cannot be used
          line 3: 2 cells; expected 3
        >>> error.exit_code
        3
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, summary: str, problems: Sequence[Problem] = ()) -> None:
        super().__init__(summary)
        self.summary = summary
        self.problems = tuple(problems)

    def __str__(self) -> str:
        lines = [self.summary]
        for problem in self.problems:
            lines += [f"  {line}" for line in str(problem).splitlines()]
        return "\n".join(lines)

    def as_json(self) -> dict[str, Any]:
        """The error as plain data: its kind, exit code, summary and problems."""
        return {
            "error": type(self).__name__,
            "exit_code": self.exit_code,
            "summary": self.summary,
            "problems": [asdict(problem) for problem in self.problems],
        }


class ManifestError(KagkitError):
    """A command line, competition.yaml or a manifest cannot be used as it is written."""

    exit_code = 2


class DataError(KagkitError):
    """Data, rows or folds are not what was declared or pinned."""

    exit_code = 3


class RunError(KagkitError):
    """A task failed, or its results could not be kept."""

    exit_code = 4


class SubmissionError(KagkitError):
    """A submission would be refused by the host, or would be wrong."""

    exit_code = 5


class HostError(KagkitError):
    """The host did not do what was asked."""

    exit_code = 6


class ReproductionError(KagkitError):
    """A result was not reproduced, or a record is damaged."""

    exit_code = 7


def error_from_json(data: dict[str, Any]) -> KagkitError:
    """The error that `KagkitError.as_json` described, for errors that cross a process border."""
    kinds = {kind.exit_code: kind for kind in KagkitError.__subclasses__()}
    kind = kinds.get(data["exit_code"], KagkitError)
    return kind(data["summary"], [Problem(**problem) for problem in data["problems"]])


def samples(items: Sequence[object], total: int | None = None) -> str:
    """At most five items as text, with the count when there are more.

    Example:
        >>> samples(["a", "b"])
        'a, b'
        >>> samples(list(range(3205)))
        '0, 1, 2, 3, 4 and 3,200 more'
    """
    count = len(items) if total is None else total
    shown = ", ".join(str(item) for item in items[:SAMPLES_SHOWN])
    rest = count - min(len(items), SAMPLES_SHOWN)
    return f"{shown} and {rest:,} more" if rest > 0 else shown


def nearest(word: str, known: Sequence[str]) -> str | None:
    """The known word that was most likely meant; None where none is near.

    Example:
        >>> nearest("seeed", ["seeds", "folds"]), nearest("AUC", ["auc", "acc"])
        ('seeds', 'auc')
    """
    import difflib

    alike = {name.casefold(): name for name in reversed(known)}
    found = difflib.get_close_matches(word.casefold(), [*alike], n=1, cutoff=0.6)
    return alike[found[0]] if found else None


def counted(count: int, word: str) -> str:
    """A count with its word, in the plural where it must be.

    Example:
        >>> counted(1, "row"), counted(3205, "row")
        ('1 row', '3,205 rows')
    """
    return f"{count:,} {word}" if count == 1 else f"{count:,} {word}s"


def did_you_mean(word: str, known: Sequence[str]) -> str:
    """A hint naming the nearest known word, or the known ones where none is near.

    Example:
        >>> did_you_mean("seeed", ["seeds", "folds"])
        'did you mean seeds?'
        >>> did_you_mean("x", ["seeds", "folds"])
        'one of: folds, seeds'
    """
    near = nearest(word, known)
    if near is not None:
        return f"did you mean {near}?"
    listed = sorted(known)
    words = ", ".join(listed) if len(listed) <= WORDS_LISTED else samples(listed)
    return f"one of: {words}" if words else ""
