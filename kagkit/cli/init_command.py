"""`kagkit init`: a workspace from the host's three files."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kagkit.cli.options import command

if TYPE_CHECKING:
    from kagkit.recipes.scaffold import Started

EXAMPLES = """
kagkit init titanic --train train.csv --test test.csv --sample gender_submission.csv
kagkit init house --train train.csv --test test.csv --sample sample_submission.csv --metric rmsle
kagkit init loans --train train.csv --test test.csv --sample sample.csv --competition loan-default
kagkit init . --train data/train.csv --test data/test.csv --sample data/sample.csv    # nothing is copied
"""
TABLE = click.Path(exists=True, dir_okay=False, path_type=Path)


@command("init", EXAMPLES)
@click.argument("folder", metavar="DIR", type=click.Path(file_okay=False, path_type=Path))
@click.option(
    "--train", required=True, metavar="F", type=TABLE, help="The training table: CSV, TSV or parquet."
)
@click.option("--test", required=True, metavar="F", type=TABLE, help="The test table.")
@click.option("--sample", required=True, metavar="F", type=TABLE, help="The sample submission: CSV.")
@click.option("--metric", metavar="NAME", help="A metric of kagkit's; guessed from the target by default.")
@click.option("--competition", metavar="NAME", help="The host's name for it; the folder's by default.")
def init(folder: Path, metric: str | None, competition: str | None, as_json: bool, **files: Path) -> None:
    """Make DIR a workspace whose first experiment runs at once.

    The sample submission says what names a row and what is to be predicted; the task is guessed from the
    target's values and the metric from the task, and competition.yaml says so beside the line. Nothing is
    ever overwritten.
    """
    from kagkit.cli.drawing import emit_json
    from kagkit.recipes.reading import Given
    from kagkit.recipes.scaffold import start_workspace

    started = start_workspace(folder, Given(**files), metric, competition)
    if as_json:
        emit_json(_facts(started))
        return
    guess = started.guess
    click.echo(f"{guess.task}: {guess.because_task}\nscored by {guess.metric}: {guess.because_metric}")
    click.echo(f"{folder}: {', '.join(started.files)}")
    for note in started.notes:
        click.secho(f"note: {note}", fg="yellow", err=True)
    click.echo("next:")
    if folder.resolve() != Path.cwd():
        click.echo(f"  cd {shlex.quote(str(folder))}")
    click.echo("  kagkit run exp001\n  kagkit package exp001\n  kagkit submit exp001")


def _facts(started: Started) -> dict[str, Any]:
    asked, guess = started.asked, started.guess
    return {
        "files": started.files,
        "key": asked.key,
        "targets": asked.targets,
        "task": guess.task,
        "metric": guess.metric,
        "args": guess.args,
        "greater_is_better": guess.greater_is_better,
        "because": {"task": guess.because_task, "metric": guess.because_metric},
        "notes": started.notes,
    }


command = init
