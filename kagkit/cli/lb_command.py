"""`kagkit lb`: the host's scores come home."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kagkit.cli.options import command as declare
from kagkit.cli.options import show_examples, variant_option

if TYPE_CHECKING:
    from kagkit.host.asking import Host
    from kagkit.host.syncing import Line
    from kagkit.workspace.layout import Workspace

EXAMPLES = """
kagkit lb add exp001 --public 0.77033                  # what the leaderboard shows now
kagkit lb add exp001/3 --public 0.77033 --private 0.78468
"""
SYNC = """
kagkit lb sync                                         # every submission of the team, scores and faults
"""
IMPORT = """
kagkit lb import submissions.csv                       # what `kaggle competitions submissions -v` wrote
"""


@click.group("lb", epilog=show_examples(SYNC + EXAMPLES.lstrip() + IMPORT.lstrip()))
def lb() -> None:
    """Bring the host's scores home, to leaderboard.jsonl."""


@declare("add", EXAMPLES)
@click.argument("run", metavar="RUN")
@click.option("--public", type=float, help="The public score.")
@click.option("--private", type=float, help="The private score, once the host shows it.")
@variant_option
def add(run: str, public: float | None, private: float | None, variant: str, as_json: bool) -> None:
    """Note the scores a run's submission got.

    Lines are only ever added; the newest score of a run counts.
    """
    from kagkit.cli.drawing import emit_json
    from kagkit.runs.record import find_run, find_submission
    from kagkit.tracking.background import start_mirror
    from kagkit.workspace.layout import find_workspace
    from kagkit.workspace.ledger import Scores, add_scores, scored_name

    if public is None and private is None:
        raise click.UsageError("give --public, --private or both")
    if any(score is not None and not math.isfinite(score) for score in (public, private)):
        raise click.UsageError("a score is a finite number")
    workspace = find_workspace(Path.cwd())
    found = find_run(workspace, run)
    if not found.complete:
        raise click.UsageError(f"{found.name}: a partial run is never submitted")
    own = find_submission(found, variant).variant if variant else ""
    line = add_scores(workspace, scored_name(found.name, own), Scores(public, private))
    start_mirror(workspace)
    if as_json:
        emit_json(line)
    else:
        told = [f"{name} {line[name]}" for name in ("public", "private") if line[name] is not None]
        click.echo(f"{line['run']}: {', '.join(told)}")


@declare("sync", SYNC)
def sync(as_json: bool) -> None:
    """Ask the host for the team's submissions and their scores, and for its place among the teams.

    What an interrupted `kagkit submit` left open is settled by what the host has. Doing it again adds only
    what is new.
    """
    from kagkit.cli.status_command import draw_standing
    from kagkit.host.asking import Host
    from kagkit.host.syncing import sync_scores
    from kagkit.tracking.background import start_mirror
    from kagkit.workspace.layout import find_workspace

    workspace = find_workspace(Path.cwd())
    host = Host.of(workspace.competition, tell=lambda line: click.echo(line, err=True))
    lines = sync_scores(host, workspace)
    standing = _place_team(host, workspace, lines)
    start_mirror(workspace)
    _draw(lines, as_json, {"standing": standing})
    for board, told in {} if as_json else standing.items():
        if told is not None:
            draw_standing(board, told)


def _place_team(host: Host, workspace: Workspace, lines: list[Line]) -> dict[str, Any]:
    """Note where the team stands; a host that shows no board keeps no score from coming home."""
    from kagkit.cli.drawing import draw_error
    from kagkit.foundation.errors import HostError
    from kagkit.host.placing import place_team
    from kagkit.workspace.medals import newest_standings

    try:
        place_team(host, workspace, [line.submission for line in lines])
    except HostError as error:
        draw_error(error)
    return newest_standings(workspace)


@declare("import", IMPORT)
@click.argument("file", type=click.Path(path_type=Path), metavar="FILE")
def import_(file: Path, as_json: bool) -> None:
    """Take the scores from a CSV of the kaggle client's list of submissions.

    Lists with and without `ref` and `privateScore` are read. Doing it again adds only what is new.
    """
    from kagkit.host.syncing import import_scores
    from kagkit.tracking.background import start_mirror
    from kagkit.workspace.layout import find_workspace

    workspace = find_workspace(Path.cwd())
    lines = import_scores(workspace, file)
    start_mirror(workspace)
    _draw(lines, as_json)


def _draw(lines: list[Line], as_json: bool, more: dict[str, Any] | None = None) -> None:
    from kagkit.cli.drawing import draw_table, emit_json, number
    from kagkit.foundation.errors import counted

    new = sum(line.new for line in lines)
    if as_json:
        emit_json({"new": new, "submissions": [_as_json(line) for line in lines]} | (more or {}))
        return
    columns = ["ref", "run", "file", "by", "status", "public", "private"]
    rows = [
        [
            str(line.submission.ref or "-"),
            line.run or "-",
            line.submission.file_name,
            line.submission.submitted_by or "-",
            line.submission.status.lower(),
            number(line.submission.public),
            number(line.submission.private),
        ]
        for line in lines
    ]
    if rows:
        draw_table(columns, rows, right=("public", "private"))
    for line in lines:
        if line.submission.error:
            click.echo(f"{line.submission.ref}: {line.submission.error}")
    click.echo(f"{counted(len(lines), 'submission')}, {new} with news")


def _as_json(line: Line) -> dict[str, Any]:
    from dataclasses import asdict

    told = asdict(line.submission)
    date = line.submission.date
    return told | {"date": date.isoformat() if date else None, "run": line.run, "new": line.new}


for subcommand in (sync, add, import_):
    lb.add_command(subcommand)
command = lb
