"""Refuse what cannot be scored, and tell what a participant may read from what only the host may."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NoReturn

from kagkit.foundation.errors import ManifestError, Problem, SubmissionError


class ParticipantVisibleError(SubmissionError):
    """A submission cannot be scored, in words that give nothing of the solution away.

    A host's metric file defines an exception of its own by this name; `is_readable` knows both.
    """


def is_readable(error: BaseException) -> bool:
    """Whether a participant may read an error of a metric; any other is a bug, or tells of the solution.

    Readable is every exception whose class, or one it derives from, is called ParticipantVisibleError:
    a host's metric file defines its own.

    Example:
        >>> is_readable(ParticipantVisibleError("the submission cannot be scored"))
        True
        >>> is_readable(ValueError("Input contains NaN"))
        False
    """
    return any(kind.__name__ == "ParticipantVisibleError" for kind in type(error).__mro__)


def refuse(problems: Sequence[Problem]) -> None:
    """Stop where there are problems.

    Raises:
        ParticipantVisibleError: All of them are in the submission.
        SubmissionError: One of them is in the solution.

    Example:
        >>> refuse([])
    """
    if problems:
        theirs = all(problem.where.startswith("submission") for problem in problems)
        kind = ParticipantVisibleError if theirs else SubmissionError
        raise kind("the submission cannot be scored", problems)


def refuse_argument(metric: str, name: str, found: object, expected: str = "", hint: str = "") -> NoReturn:
    """Stop a metric that was given an argument it cannot use.

    Raises:
        ManifestError: Always.

    Example:
        >>> refuse_argument("log_loss", "clip", 0.7, "a number between 0 and 0.5")
        Traceback (most recent call last):
        kagkit.foundation.errors.ManifestError: log_loss cannot be computed
          metric.args.clip: 0.7; expected a number between 0 and 0.5
    """
    problem = Problem(f"metric.args.{name}", str(found), expected, hint)
    raise ManifestError(f"{metric} cannot be computed", [problem])
