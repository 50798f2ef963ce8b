"""Run stage 2's experiments one after the other, pass on what happens, and give back each one's run."""

from __future__ import annotations

from collections.abc import Callable, Generator

from kagkit.foundation.errors import Problem, RunError
from kagkit.runs.choices import RunOptions
from kagkit.runs.events import Event, RunEnd
from kagkit.runs.record import Run
from kagkit.runs.runner import run_experiment
from kagkit.workspace.layout import Workspace


def make_run(
    workspace: Workspace, name: str, over: Callable[[], bool] | None = None
) -> Generator[Event, None, Run]:
    """Do what is missing of an experiment and of all that feeds it.

    Args:
        workspace: The workspace.
        name: The experiment.
        over: Whether the time is over: then it stops where it is.

    Raises:
        TimeOverError: It was stopped; what is done of it stays.
        KagkitError: Whatever `run_experiment` could not do.
    """
    made = None
    for event in run_experiment(workspace, name, RunOptions(over=over)):
        yield event
        if isinstance(event, RunEnd) and event.run.experiment == name:
            made = event.run
    if made is None:
        raise RunError(f"{name} came to no run", [Problem(name, "no run", hint=f"kagkit run {name}")])
    return made
