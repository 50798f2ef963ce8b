"""`kagkit freeze`: the end of stage 1, locked by digests and rehearsed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kagkit.cli.options import command

if TYPE_CHECKING:
    from kagkit.runs.record import Run
    from kagkit.stages.checklist import Point
    from kagkit.stages.freeze import Frozen
    from kagkit.workspace.layout import Workspace

EXAMPLES = """
kagkit freeze FINAL.yaml                      # lock it and all that feeds it, in seconds
kagkit freeze FINAL.yaml --rehearse predict   # and predict again with the weights, as a proof
kagkit freeze FINAL.yaml --rehearse scratch   # and train it all again
kagkit freeze FINAL.yaml --again              # a newer run takes the place of the frozen one
kagkit freeze FINAL.yaml --bundle anna/tumours-final            # a zip for the host: weights, code, lock
kagkit freeze FINAL.yaml --bundle anna/tumours-final --upload   # and uploaded, as a private dataset
"""
NOT_REPRODUCED = 7


@command("freeze", EXAMPLES)
@click.argument("final", metavar="FINAL.yaml")
@click.option(
    "--rehearse",
    type=click.Choice(["none", "predict", "scratch"]),
    default="none",
    help="What is made again once all is locked; nothing by default.",
)
@click.option("--again", is_flag=True, help="Let a newer run take the place of the one that was frozen.")
@click.option("--bundle", metavar="OWNER/NAME", help="Pack all that predicts, to be this dataset of yours.")
@click.option("--upload", is_flag=True, help="Upload the bundle as a private dataset.")
def freeze(final: str, as_json: bool, **options: Any) -> int:
    """Lock the end of stage 1: weights, code, data, folds, predictions and submission, by their digests.

    FINAL.yaml is the manifest that is submitted: its latest complete run is locked with every run that feeds
    it. Several finals may stand in one lock. Afterwards kagkit stage2 refuses a frozen model of which one
    bit is another. Exit code 7 says that a rehearsal gave something else than the record tells. A bundle
    holds no data: unpacked anywhere, kagkit predict works in it. Nothing is uploaded unless it is asked for.
    """
    from dataclasses import asdict

    from kagkit.cli.drawing import emit_json
    from kagkit.runs.ancestry import trace_runs
    from kagkit.runs.record import find_run
    from kagkit.stages.checklist import list_points, tell_deadlines
    from kagkit.stages.freeze import freeze_final
    from kagkit.workspace.layout import find_workspace

    rehearse, bundle = options["rehearse"], options["bundle"]
    if options["upload"] and not bundle:
        raise click.UsageError("--upload goes with --bundle OWNER/NAME")
    start = Path(final)
    workspace = find_workspace(start if start.is_file() else Path.cwd())
    frozen = freeze_final(workspace, final, again=options["again"])
    run = find_run(workspace, frozen.run)
    if not as_json:
        _draw(frozen)
    runs = list(trace_runs(workspace, run).values())
    packed = None if bundle is None else _bundle(workspace, frozen, runs, options, as_json)
    rehearsal = None
    if rehearse != "none":
        rehearsal = _rehearse(workspace, runs, rehearse, as_json)
    points, deadlines = list_points(workspace, frozen, run), tell_deadlines(workspace)
    if as_json:
        facts = {
            "rehearsal": rehearsal,
            "bundle": packed,
            "checklist": [asdict(each) for each in points],
            "deadlines": deadlines,
        }
        emit_json(frozen.as_json() | facts)
    else:
        _draw_end(points, deadlines)
    return NOT_REPRODUCED if rehearsal is not None and not rehearsal["kept"] else 0


def _bundle(
    workspace: Workspace, frozen: Frozen, runs: list[Run], options: dict[str, Any], silent: bool
) -> dict[str, Any]:
    from dataclasses import asdict

    from kagkit.host.shipping import ship_dataset
    from kagkit.packages.bundle import pack_bundle

    packed = pack_bundle(workspace, frozen.lock, runs, options["bundle"])
    told = asdict(packed) | {"uploaded": None}
    if not silent:
        size = f"{packed.files} files, {packed.bytes / 1e6:,.1f} MB, sha256 {packed.sha256[:12]}"
        click.echo(f"bundle: {packed.path}: {size}")
    if options["upload"]:
        notes = f"{packed.run}, sha256 {packed.sha256[:12]}"
        path, host = workspace.root / packed.path, workspace.competition.host
        shipped = ship_dataset(host, packed.dataset, path, notes, lambda line: click.echo(line, err=True))
        told["uploaded"] = asdict(shipped)
        if not silent:
            what = "a private dataset" if shipped.new else "a new version of the private dataset"
            click.echo(f"  uploaded: {what} {shipped.dataset}")
    return told


def _rehearse(workspace: Workspace, runs: list[Run], level: Any, silent: bool) -> dict[str, Any]:
    from kagkit.cli.drawing import draw_table, duration
    from kagkit.cli.run_drawing import RunDrawing
    from kagkit.runs.reproduction import Reproduction
    from kagkit.stages.rehearsal import list_costs, rehearse, tell_rehearsal

    costs = list_costs(workspace, runs, level)
    if not silent:
        total = duration(sum(cost.seconds for cost in costs))
        click.echo(f"rehearsal ({level}): about {total} of work, by what it took")
    made = []
    with RunDrawing(silent=silent, explain=False) as drawing:
        for event in rehearse(workspace, runs, level):
            if isinstance(event, Reproduction):
                made.append(event)
            else:
                drawing.draw(event)
    if not silent:
        draw_table(["run", "level", "verdict"], [[each.run, each.level, each.verdict] for each in made])
    return tell_rehearsal(level, costs, made)


def _draw(frozen: Frozen) -> None:
    from kagkit.cli.drawing import draw_problems
    from kagkit.foundation.errors import counted

    files = sum(len(member["weights_sha256"]) for member in frozen.members)
    runs = counted(len(frozen.members), "run")
    before = "" if frozen.new else ", as before"
    click.secho(f"{frozen.run} is frozen in {frozen.lock}{before}", bold=True)
    click.echo(f"  {runs}: {', '.join(member['run'] for member in frozen.members)}")
    click.echo(f"  {counted(files, 'file')} of weights, with their data, folds, predictions and code")
    code = frozen.code
    if code["commit"]:
        patch = f"; what differs from it is in {code['patch']}" if code["patch"] else ""
        click.echo(f"  code: commit {code['commit'][:12]}{patch}")
    draw_problems(frozen.warnings)


def _draw_end(points: list[Point], deadlines: list[dict[str, Any]]) -> None:
    from kagkit.cli.drawing import duration

    click.echo("before the stage ends:")
    for point in points:
        mark = {True: "x", False: " ", None: "?"}[point.done]
        hint = f": {point.hint}" if point.hint and not point.done else ""
        click.echo(f"  [{mark}] {point.what}{hint}")
    for told in deadlines:
        left = f"{duration(told['left'])} left" if told["left"] > 0 else "over"
        click.echo(f"deadline of {told['what']}: {told['utc']}, here {told['local']}, {left}")


command = freeze
