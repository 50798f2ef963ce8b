"""`kagkit import`: a team-mate's run, or their predictions, as a run of this workspace."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kagkit.cli.options import command

if TYPE_CHECKING:
    from kagkit.runs.arrivals import Arrival

EXAMPLES = """
kagkit import exp001.zip --name anna1 --author Anna           # what kagkit export wrote
kagkit import --oof oof.csv --test test.csv --name mate1      # of a team-mate without kagkit
kagkit import --oof oof.csv --test test.csv --folds folds.csv --name mate1
"""
FILE = click.Path(path_type=Path, exists=True, dir_okay=False)


@command("import", EXAMPLES)
@click.argument("archive", required=False, type=FILE, metavar="[FILE]")
@click.option("--oof", type=FILE, metavar="CSV", help="Out-of-fold predictions: keys and target columns.")
@click.option("--test", type=FILE, metavar="CSV", help="Test predictions, likewise.")
@click.option("--folds", type=FILE, metavar="CSV", help="The fold of each training row: keys and `fold`.")
@click.option("--partial", is_flag=True, help="The out-of-fold predictions are of some rows alone.")
@click.option("--name", default="", metavar="NAME", help="What the run is called here.")
@click.option("--author", default="", metavar="NAME", help="Who made it, for `kagkit compare`.")
def take(archive: Path | None, as_json: bool, **given: Any) -> None:
    """Take in a team-mate's run, or their out-of-fold and test predictions.

    Everything is proved before it is in place: digests, keys, columns. Nothing of it is ever executed. It is
    a run like others then: compared, blended through `inputs:`, packaged.
    """
    from kagkit.cli.drawing import emit_json, number

    arrival = _arrive(archive, **given)
    run = arrival.run
    facts = {name: run.data[name] for name in ("cv", "cv_std", "coverage", "imported")}
    if as_json:
        emit_json({"run": run.name, **facts, "notes": list(arrival.notes)})
        return
    spread = f" ± {number(run.data['cv_std'])} between folds" if run.data["cv_std"] is not None else ""
    score = "no CV" if run.data["cv"] is None else f"CV {number(run.data['cv'])}{spread}"
    click.echo(f"{run.name}{f' by {run.author}' if run.author else ''}, {score}")
    for note in arrival.notes:
        click.echo(f"  {note}")


def _arrive(archive: Path | None, name: str, author: str, partial: bool, **files: Path | None) -> Arrival:
    from kagkit.runs.exchange import import_run
    from kagkit.runs.guests import Tables, import_tables
    from kagkit.tracking.background import start_mirror
    from kagkit.workspace.layout import find_workspace

    oof, test = files["oof"], files["test"]
    workspace = find_workspace(Path.cwd())
    if archive is not None:
        if any(files.values()) or partial:
            raise click.UsageError("FILE has its predictions in it: leave --oof, --test and the like out")
        arrival = import_run(workspace, archive.resolve(), name, author)
    elif oof is None or test is None or not name:
        raise click.UsageError("give FILE, or --oof, --test and --name")
    else:
        arrival = import_tables(workspace, Tables(oof, test, files["folds"], partial), name, author)
    start_mirror(workspace)
    return arrival


command = take
