"""`kagkit run`: do what is missing of an experiment, reuse what is done, say why."""

from __future__ import annotations

from typing import Any

import click

from kagkit.cli.options import accepted_files, command, numbers

EXAMPLES = """
kagkit run exp001                    # all seeds and folds, what is missing of them
kagkit run exp001 exp002 -y          # two experiments, no questions
kagkit run exp001 --dry-run          # what would be done, and why
kagkit run exp001 --folds 0          # a partial run: quick, and never ranked
kagkit run exp001 --smoke            # 1 % of the rows, one fold, one epoch
kagkit run exp001 --restart          # do it all again: the same bytes?
kagkit run exp001 --accept code:utils.py   # utils.py changed, and old results stand
"""


@command("run", EXAMPLES)
@click.argument("experiments", nargs=-1, required=True, metavar="EXP...")
@click.option("--folds", metavar="0,1", help="Only these folds.")
@click.option("--seeds", metavar="0,1", help="Only these seeds.")
@click.option("--gpus", metavar="0,1", help="The GPUs to use; those the machine shows by default.")
@click.option("--smoke", is_flag=True, help="1 % of the rows, one fold, one epoch, kept apart.")
@click.option("--dry-run", is_flag=True, help="Make the plan and stop: no task is started.")
@click.option("--explain", is_flag=True, help="Name every task to do with its reason, and what feeds what.")
@click.option("--restart", is_flag=True, help="Do finished tasks again and compare their bytes.")
@click.option(
    "--accept", multiple=True, metavar="code:FILE", help="FILE changed; keep old results, and record it."
)
@click.option("-y", "--yes", is_flag=True, help="Do not ask before long work.")
def run(experiments: tuple[str, ...], as_json: bool, **given: Any) -> None:
    """Do what is missing of experiments, reuse what is done, and say why.

    EXP is a manifest's name or path. Tasks that are done are never done twice; a changed argument,
    function, row or file makes exactly the tasks stale that depend on it. A run that was killed goes on
    where it was.
    """
    from pathlib import Path

    from kagkit.cli.drawing import emit_json
    from kagkit.cli.run_drawing import RunDrawing
    from kagkit.runs.events import RunMade
    from kagkit.runs.record import refuse_imported
    from kagkit.runs.runner import run_experiment, run_facts
    from kagkit.tracking.background import start_mirror
    from kagkit.workspace.layout import find_workspace

    options = _options(given, as_json)
    facts = []
    places = []
    # All are read first: a typo in the last must not wait for the training of the others.
    for name in experiments:
        start = Path(name)
        workspace = find_workspace(start if start.is_file() else Path.cwd()).for_smoke(given["smoke"])
        refuse_imported(workspace, name)
        workspace.experiment(name)
        places.append((name, workspace))
    for name, workspace in places:
        with RunDrawing(silent=as_json, explain=given["explain"] or given["dry_run"]) as drawing:
            for event in run_experiment(workspace, name, options):
                drawing.draw(event)
        if drawing.end is not None:
            end = drawing.end
            facts.append(run_facts(end.run, end.counts, end.seconds))
            if isinstance(end, RunMade):
                start_mirror(workspace)
        elif drawing.plan is not None:
            facts.append(drawing.plan)
    if as_json:
        emit_json(facts[0] if len(facts) == 1 else facts)


def _options(given: dict[str, Any], as_json: bool) -> Any:
    from kagkit.cli.drawing import duration, on_terminal
    from kagkit.runs.choices import Choice, RunOptions

    def confirm(seconds: float) -> bool:
        return click.confirm(f"This does about {duration(seconds)} of finished work again. Go on?", err=True)

    asks = on_terminal() and not given["yes"] and not as_json
    choice = Choice(
        numbers(given["folds"], "--folds"),
        numbers(given["seeds"], "--seeds"),
        accepted_files(given["accept"]),
    )
    gpus = tuple(given["gpus"].split(",")) if given["gpus"] else None
    return RunOptions(choice, given["restart"], given["dry_run"], gpus, confirm if asks else None)


command = run
