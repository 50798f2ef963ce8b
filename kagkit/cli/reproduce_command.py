"""`kagkit reproduce`: make a run again and hold it against its record."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kagkit.cli.options import command, numbers
from kagkit.foundation.errors import counted, samples

if TYPE_CHECKING:
    from kagkit.foundation.errors import KagkitError
    from kagkit.runs.deviations import Compared
    from kagkit.runs.record import Run
    from kagkit.runs.reproduction import Reproduction
    from kagkit.runs.shadow import Level
    from kagkit.workspace.layout import Workspace

EXAMPLES = """
kagkit reproduce exp001                          # predict again with the weights that are kept
kagkit reproduce exp001 --level predictions      # only score and submission, from kept predictions
kagkit reproduce exp001/3 --level scratch        # train it all again
kagkit reproduce exp001 --level scratch --folds 0   # one fold, as a sample
kagkit reproduce --all --level predictions       # every experiment's latest run, one line each
"""
NOT_REPRODUCED = 7
SHOWN = 12
DIGEST = 64


@command("reproduce", EXAMPLES)
@click.argument("run", required=False, metavar="[RUN]")
@click.option("--all", "every", is_flag=True, help="The latest complete run of every experiment.")
@click.option(
    "--level",
    type=click.Choice(["predictions", "weights", "scratch"]),
    help="What is taken over from the run; weights by default, scratch where none are kept.",
)
@click.option("--folds", metavar="0,1", help="Only these folds.")
@click.option("--seeds", metavar="0,1", help="Only these seeds.")
@click.option("--gpus", metavar="0,1", help="The GPUs to use; those the machine shows by default.")
def reproduce(run: str | None, every: bool, as_json: bool, **given: Any) -> int:
    """Make a run again from its record and compare: identical, within tolerance, or different.

    It is judged by files, not by the score alone: weights, predictions, CV and the submission's bytes. The
    code and the manifest are those the run kept, whatever the workspace has now; the data must be those it
    was made on. Nothing in the workspace changes. Exit code 7 says that it was not reproduced.
    """
    from kagkit.cli.drawing import emit_json
    from kagkit.runs.record import find_run
    from kagkit.workspace.layout import find_workspace

    if every == (run is not None):
        raise click.UsageError("give a RUN, or --all")
    workspace = find_workspace(Path(run) if run and Path(run).exists() else Path.cwd())
    again = _Again(workspace, given, as_json)
    if run is not None:
        made = again.make(find_run(workspace, run))
        if as_json:
            emit_json(made.as_json())
        else:
            _draw(made)
        return 0 if made.kept else NOT_REPRODUCED
    every_one = again.make_all()
    if as_json:
        emit_json([each.as_json() for each in every_one.values()])
    else:
        _draw_all(every_one)
    return max((_exit_code(each) for each in every_one.values()), default=0)


class _Again:
    """Makes runs of one workspace again, as the command line says."""

    def __init__(self, workspace: Workspace, given: dict[str, Any], silent: bool) -> None:
        from kagkit.runs.choices import Choice

        self.workspace = workspace
        self.level = given["level"]
        self.choice = Choice(numbers(given["folds"], "--folds"), numbers(given["seeds"], "--seeds"))
        self.gpus = tuple(given["gpus"].split(",")) if given["gpus"] else None
        self.silent = silent

    def make(self, run: Run) -> Reproduction:
        """One run, from the level that is asked for, or the deepest that needs no training."""
        from kagkit.cli.run_drawing import RunDrawing
        from kagkit.runs.reproduction import Reproduction, reproduce_run

        level: Level = self.level or ("scratch" if run.data["keeps"] == "predictions" else "weights")
        with RunDrawing(silent=self.silent, explain=False) as drawing:
            for event in reproduce_run(self.workspace, run, level, self.choice, self.gpus):
                if isinstance(event, Reproduction):
                    return event
                drawing.draw(event)
        raise AssertionError("a reproduction ends with its verdict")

    def make_all(self) -> dict[str, Reproduction | KagkitError]:
        """Every experiment's latest complete run; what cannot be made again stops none of the others."""
        from kagkit.foundation.errors import KagkitError
        from kagkit.runs.record import experiments_with_runs, latest_run

        made: dict[str, Reproduction | KagkitError] = {}
        for name in experiments_with_runs(self.workspace):
            try:
                run = latest_run(self.workspace, name, complete=True)
                if run is not None and not run.imported:
                    made[run.name] = self.make(run)
            except KagkitError as error:
                made[name] = error
        return made


def _exit_code(made: Reproduction | KagkitError) -> int:
    from kagkit.foundation.errors import KagkitError

    if isinstance(made, KagkitError):
        return made.exit_code
    return 0 if made.kept else NOT_REPRODUCED


def _draw_all(made: dict[str, Reproduction | KagkitError]) -> None:
    from kagkit.cli.drawing import draw_table
    from kagkit.foundation.errors import KagkitError

    rows = []
    for name, each in made.items():
        if isinstance(each, KagkitError):
            rows.append([name, "-", "not made again", "-", each.summary])
        else:
            rows.append([name, each.scope, each.verdict, each.tier.name, each.first_difference or ""])
    draw_table(["run", "level", "verdict", "tier", "first difference"], rows)


def _draw(made: Reproduction) -> None:
    from kagkit.cli.drawing import draw_table
    from kagkit.runs.deviations import KINDS

    other = [item for item in made.compared if not item.same]
    same = [item.what for item in made.compared if item.same]
    if same:
        click.echo(f"as recorded: {samples(same)}")
    if other:
        tasks = [item for item in other if item.what.startswith(KINDS)]
        shown = [*tasks[:SHOWN], *(item for item in other if item not in tasks)]
        rows = [[item.what, _short(item.recorded), _short(item.now), _apart(item)] for item in shown]
        draw_table(["differs", "recorded", "now", "how far"], rows)
        if len(tasks) > SHOWN:
            click.echo(f"and {counted(len(tasks) - SHOWN, 'task')} more")
    if made.first_difference:
        click.echo(f"first difference: {made.first_difference}")
    for name, (then, now) in made.moved.items():
        click.echo(f"{name}: {_short(then)} then, {_short(now)} now")
    if made.restore:
        click.echo(f"the packages of then: {made.restore}")
    colour = "green" if made.kept else "red"
    click.secho(f"{made.run}: {made.verdict}, from {made.scope}", fg=colour, bold=True)
    click.echo(f"tier: {made.tier.name} ({made.tier.why})")


def _short(value: Any) -> str:
    text = f"{value:.7g}" if isinstance(value, float) else str(value)
    return text[:12] if len(text) == DIGEST else text


def _apart(item: Compared) -> str:
    if item.what.startswith("submission") and item.max_abs_diff == 0:
        return "order alone"
    told = [f"at most {item.max_abs_diff:.3g}"] if item.max_abs_diff is not None else []
    told += [f"rank correlation {item.rank_correlation:.6f}"] if item.rank_correlation is not None else []
    told += [counted(item.flipped, "other decision")] if item.flipped is not None else []
    return ", ".join(told)


command = reproduce
