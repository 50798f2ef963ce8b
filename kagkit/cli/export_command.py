"""`kagkit export`: a run for a team-mate, in one file."""

from __future__ import annotations

from pathlib import Path

import click

from kagkit.cli.options import command

EXAMPLES = """
kagkit export exp001 -o exp001.zip               # the latest complete run, without its weights
kagkit export exp001/3 -o deep.zip --weights     # a certain run, and all of it
"""


@command("export", EXAMPLES)
@click.argument("run", metavar="RUN")
@click.option("-o", "out", required=True, type=click.Path(path_type=Path), metavar="FILE", help="The zip.")
@click.option("--weights", is_flag=True, help="Take the weights along.")
def export(run: str, out: Path, weights: bool, as_json: bool) -> None:
    """Pack a run into one zip: record, predictions, submissions, code and folds.

    The same run gives the same bytes. A team-mate takes it in with `kagkit import`.
    """
    from dataclasses import asdict

    from kagkit.cli.drawing import emit_json
    from kagkit.foundation.errors import counted
    from kagkit.runs.exchange import export_run
    from kagkit.runs.record import find_run
    from kagkit.workspace.layout import find_workspace

    workspace = find_workspace(Path.cwd())
    exported = export_run(workspace, find_run(workspace, run), out, weights=weights)
    if as_json:
        emit_json({"path": str(out), **asdict(exported)})
        return
    click.echo(f"{out}: {exported.run}, {counted(exported.files, 'file')}, {exported.bytes:,} bytes")
    if exported.left_out:
        click.echo(f"  left out: {counted(len(exported.left_out), 'file')} of weights")
    click.echo(f"  sha256: {exported.sha256}")


command = export
