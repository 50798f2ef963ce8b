"""Rehearse a freeze: make each frozen run again and compare; say beforehand what that costs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from kagkit.runs.choices import Choice
from kagkit.runs.events import Event
from kagkit.runs.record import Run
from kagkit.runs.reproduction import Reproduction, reproduce_run
from kagkit.runs.shadow import Level
from kagkit.runs.store import Stored, read_task
from kagkit.workspace.layout import Workspace

Rehearsal = Literal["predict", "scratch"]
# The tasks that a rehearsal does again.
AGAIN = {"predict": ("predict",), "scratch": ("prepare", "train", "predict")}


@dataclass(frozen=True)
class Cost:
    """What making a run again takes, by what it took."""

    run: str
    seconds: float


def list_costs(workspace: Workspace, runs: Sequence[Run], rehearsal: Rehearsal) -> list[Cost]:
    """How long each run's tasks took that a rehearsal does again; imported runs are never made again.

    Raises:
        ReproductionError: A finished task is damaged.
    """
    own = [run for run in runs if not run.imported]
    return [Cost(run.name, sum(task_seconds(workspace, run, AGAIN[rehearsal]).values())) for run in own]


def task_seconds(workspace: Workspace, run: Run, kinds: Sequence[str]) -> dict[tuple[str, int | None], float]:
    """Seconds that a run's tasks took, by kind and held-out fold; tasks that were cleaned away are left out.

    Raises:
        ReproductionError: A finished task is damaged.
    """
    found: dict[tuple[str, int | None], float] = {}
    for task in run.data["tasks"]:
        folder = workspace.tasks / task["folder"]
        if task["kind"] in kinds and folder.is_dir():
            fit = (task["kind"], task["ingredients"].get("fold"))
            found[fit] = found.get(fit, 0.0) + Stored(folder, read_task(folder)).seconds
    return found


def rehearse(
    workspace: Workspace, runs: Sequence[Run], rehearsal: Rehearsal
) -> Iterator[Event | Reproduction]:
    """Make each run again, in a shadow of the workspace, and compare.

    Yields:
        What happens; a `Reproduction` for each run.

    Raises:
        ReproductionError: What a run needs is gone.
        RunError: A task failed.
    """
    for run in runs:
        if not run.imported:
            weights: Level = "scratch" if run.data["keeps"] == "predictions" else "weights"
            yield from reproduce_run(
                workspace, run, "scratch" if rehearsal == "scratch" else weights, Choice()
            )


def tell_rehearsal(
    rehearsal: Rehearsal, costs: Sequence[Cost], made: Sequence[Reproduction]
) -> dict[str, Any]:
    """A rehearsal as `kagkit freeze --json` tells it."""
    return {
        "level": rehearsal,
        "expected_seconds": round(sum(cost.seconds for cost in costs), 3),
        "members": [{"run": each.run, "verdict": each.verdict, "tier": each.tier.name} for each in made],
        "kept": all(each.kept for each in made),
    }
