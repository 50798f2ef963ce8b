"""Say what of an experiment was chosen, and of each of its tasks whether it is done or why not."""

from __future__ import annotations

from dataclasses import dataclass

from kagkit.runs.spec import TaskSpec
from kagkit.runs.store import Stored


@dataclass(frozen=True)
class Choice:
    """What of an experiment to do, as the command line says.

    Attributes:
        folds: Only these folds; all of the manifest's where None.
        seeds: Only these seeds, likewise.
        accepted: Files whose changed code is accepted: old results stay.
        restart: Finished tasks are done again, by the code there is: nothing is accepted for them.
    """

    folds: tuple[int, ...] | None = None
    seeds: tuple[int, ...] | None = None
    accepted: tuple[str, ...] = ()
    restart: bool = False


@dataclass(frozen=True)
class Planned:
    """A task of the plan: done already, or to do for a reason in words.

    Attributes:
        spec: The task.
        stored: Where it is done.
        reason: `missing`, `changed: args.lr`, `failed before`, …; empty when done.
        seconds: How long it took the last time; None where nobody knows.
    """

    spec: TaskSpec
    stored: Stored | None
    reason: str = ""
    seconds: float | None = None
