"""`kagkit tune`: search arguments by CV, prune what is hopeless, write the best as a manifest."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kagkit.cli.options import command

if TYPE_CHECKING:
    from kagkit.runs.trials import Trial
    from kagkit.runs.tuned import Tuned
    from kagkit.runs.tuning import TrialEnded, TuneEvent

EXAMPLES = """
kagkit tune exp001                   # the trials its search: block asks for, what is missing of them
kagkit tune exp001 --as exp007       # the best becomes exp007.yaml, not exp001-tuned.yaml
kagkit tune exp001 --gpus 0,1        # folds of a trial on two GPUs
"""


@command("tune", EXAMPLES)
@click.argument("experiment", metavar="EXP")
@click.option("--as", "name", metavar="NAME", help="The manifest to write; EXP-tuned by default.")
@click.option("--gpus", metavar="0,1", help="The GPUs to use; those the machine shows by default.")
def tune(experiment: str, name: str | None, gpus: str | None, as_json: bool) -> None:
    """Search the arguments that a manifest's search: block names, by CV.

    The first trial is the manifest as it stands. Whatever stops the search, the same command goes on with
    it: finished folds are reused. The best is written as a new manifest; nothing is overwritten.
    """
    from kagkit.cli.drawing import emit_json
    from kagkit.runs.tuned import Tuned
    from kagkit.runs.tuning import TuneOptions, tune_experiment
    from kagkit.tracking.background import start_mirror
    from kagkit.workspace.layout import find_workspace

    start = Path(experiment)
    workspace = find_workspace(start if start.is_file() else Path.cwd())
    options = TuneOptions(name, tuple(gpus.split(",")) if gpus else None)
    for event in tune_experiment(workspace, experiment, options):
        if not as_json:
            for line in _lines(event):
                click.echo(line, err=True)
        if isinstance(event, Tuned):
            start_mirror(workspace)
            if as_json:
                emit_json(event.as_json())


def _lines(event: TuneEvent) -> list[str]:
    """What is said of an event; nothing of single tasks."""
    from kagkit.cli.run_drawing import ending_of
    from kagkit.runs.events import Noted, RunMade, TaskWaiting
    from kagkit.runs.tuned import Tuned
    from kagkit.runs.tuning import TrialBegan, TrialEnded

    if isinstance(event, Noted):
        return [event.text]
    if isinstance(event, RunMade):
        return [ending_of(event)]
    if isinstance(event, TaskWaiting):
        return [f"{event.label}: {event.holder} is doing it; waiting for the result"]
    if isinstance(event, TrialBegan) and event.resumed:
        return [f"trial {event.trial.number} of {event.total} goes on"]
    if isinstance(event, TrialEnded):
        return [_trial_line(event)]
    return _ending(event) if isinstance(event, Tuned) else []


def _trial_line(event: TrialEnded) -> str:
    from kagkit.cli.drawing import duration, number
    from kagkit.foundation.errors import counted

    trial, best = event.trial, event.best
    if trial.state == "failed":
        outcome = f"failed: {trial.why.splitlines()[0]}"
    elif trial.state == "pruned":
        outcome = f"pruned after {counted(len(trial.folds), 'fold')}"
    else:
        outcome = f"CV {number(trial.cv)}"
    told = "" if best is None else f"; best {number(best.cv)}, trial {best.number}"
    left = f"; about {duration(event.seconds_left)} left" if event.seconds_left else ""
    return f"trial {trial.number} of {event.total}: {outcome} ({_values(trial)}){told}{left}"


def _values(trial: Trial) -> str:
    if trial.is_first:
        return "as the manifest stands"
    named: dict[str, Any] = {key.rpartition(".")[2]: value for key, value in trial.args.items()}
    return ", ".join(f"{name} {value}" for name, value in named.items())


def _ending(end: Tuned) -> list[str]:
    from kagkit.cli.drawing import duration, number

    counts = end.as_json()["trials"]
    told = ", ".join(f"{count} {state}" for state, count in counts.items() if count)
    lines = [f"{end.experiment}: {told}, in {duration(end.seconds)}"]
    if end.best.is_first:
        lines.append(f"best: CV {number(end.best.cv)}, the manifest as it stands")
    else:
        lines.append(f"best: CV {number(end.best.cv)}, trial {end.best.number}: {_values(end.best)}")
    if end.optimism is None:
        lines.append("the best of many looks better than it is; how much cannot be said from these")
    else:
        lines.append(f"optimism {end.optimism:+.5f}: how much better than it is the best of them may look")
    if not end.best.is_first:
        lines.append(f"{end.manifest}{'' if end.written else ' says so already'}")
        lines += ["next:", f"  kagkit run {end.manifest.removesuffix('.yaml')}"]
    return lines


command = tune
