"""`kagkit package`: the deliverable of a run, proved and checked."""

from __future__ import annotations

from pathlib import Path

import click

from kagkit.cli.options import command, variant_option

EXAMPLES = """
kagkit package exp001          # the latest complete run
kagkit package exp001/3        # a certain run
kagkit package exp001 --variant lb   # another of its submissions than the first
"""


@command("package", EXAMPLES)
@click.argument("run", metavar="RUN")
@variant_option
def package(run: str, variant: str, as_json: bool) -> None:
    """Write a run's submission with its provenance to submissions/.

    Every byte of the run is proved against its record, and the file is checked against the sample
    submission, before anything is written. Packaging the same run again changes nothing.
    """
    from dataclasses import asdict

    from kagkit.cli.drawing import emit_json
    from kagkit.packages.submission import package_submission
    from kagkit.runs.record import find_run
    from kagkit.workspace.layout import find_workspace

    workspace = find_workspace(Path.cwd())
    packaged = package_submission(workspace, find_run(workspace, run), variant)
    if as_json:
        emit_json(asdict(packaged))
        return
    click.echo(f"{packaged.path}{'' if packaged.new else ', packaged before'}")
    for what, outcome in packaged.rehearsal.items():
        click.echo(f"  {what}: {outcome}")
    click.echo(f"  sha256: {packaged.sha256}")


command = package
