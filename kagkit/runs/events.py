"""Say what happens during a run, for whoever draws it."""

from __future__ import annotations

from dataclasses import dataclass

from kagkit.foundation.errors import KagkitError
from kagkit.runs.choices import Planned
from kagkit.runs.graph import Node
from kagkit.runs.record import Run


@dataclass(frozen=True)
class Noted:
    """Something worth a line: what was pinned, how many rows, how the folds were made."""

    text: str


@dataclass(frozen=True)
class GraphTraced:
    """Which run feeds which; only where something feeds the experiment."""

    nodes: tuple[Node, ...]


@dataclass(frozen=True)
class PlanMade:
    """What is to do and what is done already.

    Attributes:
        experiment: Its name.
        todo: The tasks to do that are known by now; what follows from them is known when they are done.
        done: How many tasks are done already.
        expected: How many tasks there are to do, those that follow included.
        restart: Whether tasks that are done are done again.
    """

    experiment: str
    todo: tuple[Planned, ...]
    done: int
    expected: int
    restart: bool


@dataclass(frozen=True)
class TaskStarted:
    """A task runs, for a reason; `seconds` is how long it took the last time."""

    label: str
    reason: str
    seconds: float | None


@dataclass(frozen=True)
class TaskWaiting:
    """A task is being done by another kagkit; its result will be used."""

    label: str
    holder: str


@dataclass(frozen=True)
class TaskProgressed:
    """How far a task is."""

    label: str
    done: float
    total: float


@dataclass(frozen=True)
class TaskDone:
    """A task is finished, or was before."""

    label: str
    seconds: float
    reused: bool = False


@dataclass(frozen=True)
class TaskFailed:
    """A task failed; the others go on."""

    label: str
    error: KagkitError


@dataclass(frozen=True)
class RunEnd:
    """How a command ended: with a run, so many tasks planned, done and reused, after some seconds."""

    run: Run
    counts: dict[str, int]
    seconds: float


class RunMade(RunEnd):
    """A run was committed."""


class NothingToDo(RunEnd):
    """The latest run is what would come out."""


class SameBytes(RunEnd):
    """Everything was done again, and the same bytes came out."""


Event = (
    Noted
    | GraphTraced
    | PlanMade
    | TaskStarted
    | TaskWaiting
    | TaskProgressed
    | TaskDone
    | TaskFailed
    | RunEnd
)
