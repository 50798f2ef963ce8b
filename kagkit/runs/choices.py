"""Say what of an experiment was chosen, how to run it, and of each task whether it is done or why not."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Self

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
        standing: By identity, finished tasks that stand as they are, whatever their keys would be now.
    """

    folds: tuple[int, ...] | None = None
    seeds: tuple[int, ...] | None = None
    accepted: tuple[str, ...] = ()
    restart: bool = False
    standing: Mapping[str, Stored] = field(default_factory=dict)


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

    @classmethod
    def standing(cls, spec: TaskSpec, stored: Stored) -> Self:
        """A task for which a finished one stands, with that one's key."""
        return cls(replace(spec, key=stored.record.key, ingredients=stored.record.ingredients), stored)


@dataclass(frozen=True)
class RunOptions:
    """How to run an experiment.

    Attributes:
        choice: Which folds and seeds, and what changed code is accepted.
        restart: Do everything again, and compare.
        dry_run: Only make the plan.
        gpus: Ids of the GPUs to use; those the machine shows where None.
        inputs: By name, the runs to be fed by in place of those the manifest means now; what feeds it is not
            run then.
        over: Asked all the while: where it says True, what is done of the tasks stays, and the run stops.
        confirm: Asked before more than ten minutes of retraining, with the seconds; True goes on.
    """

    choice: Choice = field(default_factory=Choice)
    restart: bool = False
    dry_run: bool = False
    gpus: tuple[str, ...] | None = None
    confirm: Callable[[float], bool] | None = None
    inputs: Mapping[str, str] | None = None
    over: Callable[[], bool] | None = None
