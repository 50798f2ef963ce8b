"""`kagkit doctor`: what kagkit stands on, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from kagkit.cli.options import command

if TYPE_CHECKING:
    from kagkit.foundation.findings import Finding

EXAMPLES = """
kagkit doctor            # each line: ok, warn or wrong, with what to do
kagkit doctor --online   # is the credential accepted?
kagkit doctor --json     # to be sent along with a question: no name of a user or machine is in it
"""
COLOURS = {"ok": "green", "warn": "yellow", "wrong": "red"}


@command("doctor", EXAMPLES)
@click.option("--online", is_flag=True, help="Ask Kaggle, too, whether it accepts the credential.")
def doctor(online: bool, as_json: bool) -> None:
    """Look at the machine, the installed packages, the disk, the workspace and the credentials.

    Nothing is changed, no secret is told, and no network is used without --online. Exit code 4 where
    something is wrong that keeps kagkit from working; a warning is none.
    """
    from dataclasses import asdict

    from kagkit.cli.drawing import emit_json

    findings = []
    for finding in _look(online):
        findings.append(finding)
        if not as_json:
            _draw(finding)
    wrong = sum(finding.level == "wrong" for finding in findings)
    if as_json:
        emit_json({"ok": not wrong, "findings": [asdict(finding) for finding in findings]})
    raise click.exceptions.Exit(4 if wrong else 0)


def _look(online: bool) -> Iterator[Finding]:
    """What every probe finds, in the order it is shown; a wing that knows more adds its own."""
    from kagkit.foundation.errors import KagkitError
    from kagkit.foundation.tested import package_findings
    from kagkit.host.health import credential_findings
    from kagkit.runs.builds import build_findings
    from kagkit.runs.health import disk_findings, leftover_findings, machine_findings
    from kagkit.tracking.health import store_findings
    from kagkit.workspace.layout import find_workspace

    try:
        workspace = find_workspace(Path.cwd())
    except KagkitError:
        workspace = None
    yield from machine_findings()
    yield from build_findings()
    yield from package_findings()
    for probe in (disk_findings, leftover_findings, store_findings):
        yield from probe(workspace)
    yield from credential_findings(ask=online)


def _draw(finding: Finding) -> None:
    level = click.style(f"{finding.level:<5}", fg=COLOURS[finding.level])
    click.echo(f"{level} {finding.what}: {finding.found}")
    if finding.hint:
        click.secho(f"      hint: {finding.hint}", fg="cyan")


command = doctor
