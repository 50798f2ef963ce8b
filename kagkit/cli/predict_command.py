"""`kagkit predict`: new rows, by the weights of a finished run."""

from __future__ import annotations

from pathlib import Path

import click

from kagkit.cli.options import accepted_files, command, variant_option

EXAMPLES = """
kagkit predict exp001 --data data/stage2 --out submission.csv        # the latest complete run
kagkit predict exp001/3 --data new --out new.csv                     # a certain run
kagkit predict locks/exp001.lock.yaml --data new --out new.csv       # the run that a lock names, proved
kagkit predict exp001 --data new --out new.csv --accept code:net.py  # net.py changed, and is used as it is
"""


@command("predict", EXAMPLES)
@click.argument("run", metavar="RUN-or-LOCK")
@click.option(
    "--data",
    "folder",
    required=True,
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="The folder with the new test files.",
)
@click.option(
    "--out", required=True, metavar="FILE", type=click.Path(path_type=Path), help="The submission to write."
)
@click.option(
    "--accept", multiple=True, metavar="code:FILE", help="FILE changed since the run; use it as it is."
)
@variant_option
def predict(run: str, folder: Path, out: Path, accept: tuple[str, ...], variant: str, as_json: bool) -> None:
    """Predict new rows, any number of them, with the weights of a finished run.

    DIR holds files named like those of the stage's test: the table, what `files` names, and perhaps a
    sample submission, which the result is ordered by and checked against. Training data are not needed.
    """
    from dataclasses import asdict

    from kagkit.cli.drawing import duration, emit_json
    from kagkit.packages.fresh import Answered, predict_rows

    for event in predict_rows(run, folder, out, accepted_files(accept), variant):
        if not isinstance(event, Answered):
            if not as_json:
                click.echo(event.text, err=True)
            continue
        if as_json:
            emit_json({"out": str(out), **asdict(event)})
            continue
        click.echo(f"{out}: {event.rows:,} rows by {event.run} in {duration(event.seconds)}")
        if event.left_out["targets"]:
            click.echo(f"  not shown to predict, as targets: {', '.join(event.left_out['targets'])}")
        if event.left_out["unknown"]:
            click.echo(f"  left out, as the run knew no such columns: {', '.join(event.left_out['unknown'])}")
        click.echo(f"  check: {event.check}")
        click.echo(f"  sha256: {event.sha256}")


command = predict
