"""`kagkit lb`: the host's scores come home."""

from __future__ import annotations

import math
from pathlib import Path

import click

from kagkit.cli.options import command as declare
from kagkit.cli.options import show_examples

EXAMPLES = """
kagkit lb add exp001 --public 0.77033                  # what the leaderboard shows now
kagkit lb add exp001/3 --public 0.77033 --private 0.78468
"""


@click.group("lb", epilog=show_examples(EXAMPLES))
def lb() -> None:
    """Bring the host's scores home, to leaderboard.jsonl."""


@declare("add", EXAMPLES)
@click.argument("run", metavar="RUN")
@click.option("--public", type=float, help="The public score.")
@click.option("--private", type=float, help="The private score, once the host shows it.")
def add(run: str, public: float | None, private: float | None, as_json: bool) -> None:
    """Note the scores a run's submission got.

    Lines are only ever added; the newest score of a run counts.
    """
    from kagkit.cli.drawing import emit_json
    from kagkit.runs.record import find_run
    from kagkit.tracking.background import start_mirror
    from kagkit.workspace.layout import find_workspace
    from kagkit.workspace.ledger import Scores, add_scores

    if public is None and private is None:
        raise click.UsageError("give --public, --private or both")
    if any(score is not None and not math.isfinite(score) for score in (public, private)):
        raise click.UsageError("a score is a finite number")
    workspace = find_workspace(Path.cwd())
    found = find_run(workspace, run)
    if not found.complete:
        raise click.UsageError(f"{found.name}: a partial run is never submitted")
    line = add_scores(workspace, found.name, Scores(public, private))
    start_mirror(workspace)
    if as_json:
        emit_json(line)
    else:
        told = [f"{name} {line[name]}" for name in ("public", "private") if line[name] is not None]
        click.echo(f"{line['run']}: {', '.join(told)}")


lb.add_command(add)
command = lb
