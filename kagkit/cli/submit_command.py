"""`kagkit submit`: a run or a file goes to the host exactly once, and its score is followed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kagkit.cli.options import accepted_checks, blind_option, command, variant_option

if TYPE_CHECKING:
    from kagkit.host.answers import HostSubmission
    from kagkit.host.asking import Host
    from kagkit.host.submitting import Outcome, Parcel
    from kagkit.workspace.layout import Workspace

EXAMPLES = """
kagkit submit exp001                          # the latest complete run, packaged where it was not
kagkit submit exp001/3 -m "deeper" --wait     # with a text, and followed until it is scored
kagkit submit exp001 --variant lb             # another of its submissions than the first
kagkit submit submission.csv                  # a file of other origin, checked against the sample
kagkit submit exp001 --accept blind:shares     # what that blind check stops, passes
kagkit submit exp001 -k anna/unet -v 7        # version 7 of a notebook, in a code competition
"""


@command("submit", EXAMPLES)
@click.argument("what", metavar="RUN-or-FILE")
@click.option("-m", "message", default="", metavar="TEXT", help="A text for the host's list of submissions.")
@click.option("--wait", is_flag=True, help="Follow it until the host has scored it.")
@click.option("-k", "notebook", metavar="OWNER/NOTEBOOK", help="Submit this notebook's output instead.")
@click.option("-v", "version", type=click.IntRange(min=1), metavar="N", help="The notebook's version.")
@variant_option
@blind_option
def submit(what: str, message: str, wait: bool, as_json: bool, **which: Any) -> None:
    """Submit a run or a file, exactly once.

    It is checked first, also for what no leaderboard would show, and the host is asked whether it has the
    file already and how many submissions are left. Whatever fails in between, the same command again finds
    out what became of it before anything is sent.
    """
    from kagkit.cli.drawing import draw_blind, emit_json
    from kagkit.host.asking import Host
    from kagkit.host.submitting import submit as hand_in
    from kagkit.tracking.background import start_mirror
    from kagkit.workspace.layout import find_workspace

    workspace = find_workspace(Path.cwd())
    parcel = _parcel(workspace, what, **which)
    if not as_json:
        draw_blind(parcel.blind, warnings_only=True)
    host = Host.of(workspace.competition, tell=lambda line: click.echo(line, err=True))
    outcome = hand_in(host, workspace, parcel, message)
    if not as_json:
        _draw(outcome)
    outcome = _scored(host, workspace, outcome, wait)
    start_mirror(workspace)
    if as_json:
        emit_json(_as_json(outcome) | {"blind": [vars(each) for each in parcel.blind]})
    elif outcome.found is not None and outcome.found.status != "PENDING":
        click.echo(f"  {told_score(outcome.found)}")
    if outcome.error is not None and not as_json:
        raise outcome.error
    raise click.exceptions.Exit(outcome.error.exit_code if outcome.error is not None else 0)


def _parcel(
    workspace: Workspace,
    what: str,
    notebook: str | None,
    version: int | None,
    variant: str,
    accept: tuple[str, ...],
) -> Parcel:
    """What RUN-or-FILE means, checked."""
    from kagkit.host.submitting import Notebook, parcel_of_file, parcel_of_notebook
    from kagkit.packages.submission import package_submission
    from kagkit.runs.record import find_run

    file = Path(what)
    if (notebook is None) != (version is None):
        raise click.UsageError("-k OWNER/NOTEBOOK and -v N belong together")
    if variant and (notebook is not None or file.is_file()):
        raise click.UsageError("--variant is of a run, not of a file or a notebook")
    if notebook is not None and version is not None:
        named = file.suffix == ".csv"
        run = None if named else find_run(workspace, what).name
        output = file.name if named else "submission.csv"
        return parcel_of_notebook(Notebook(notebook, version, output), run)
    if file.is_file():
        return parcel_of_file(workspace, file, accepted_checks(accept))
    packaged = package_submission(workspace, find_run(workspace, what), variant)
    return parcel_of_file(workspace, workspace.root / packaged.path, accepted_checks(accept))


def _scored(host: Host, workspace: Workspace, outcome: Outcome, wait: bool) -> Outcome:
    """The outcome with the score that the host shows by now, or, when followed, in the end."""
    from kagkit.host.awaiting import DONE, follow
    from kagkit.host.syncing import note_score

    found = outcome.found
    if found is None:
        return outcome
    if wait and found.status not in DONE:
        found = follow(host, found.ref, _progress)
    note_score(workspace, found, "kaggle")
    return outcome.with_score(found)


def _progress(found: HostSubmission, seconds: float) -> None:
    from kagkit.cli.drawing import duration, on_terminal

    if on_terminal():
        click.echo(
            f"\r{found.status.lower()}, {duration(seconds)}   ", nl=found.status != "PENDING", err=True
        )


def _draw(outcome: Outcome) -> None:
    if outcome.found is not None:
        left = outcome.remaining_today
        more = "" if left is None else f", {left} left today"
        click.echo(f"{outcome.submission} {outcome.state} as {outcome.found.ref}{more}")


def told_score(found: HostSubmission) -> str:
    """A submission's status and scores, in words."""
    scores = {"public": found.public, "private": found.private}
    told = ", ".join(f"{name} {score:g}" for name, score in scores.items() if score is not None)
    return f"{found.status.lower()}{': ' if told else ''}{told}"


def _as_json(outcome: Outcome) -> dict[str, Any]:
    from dataclasses import asdict

    found, error = outcome.found, outcome.error
    return {
        "ref": found.ref if found is not None else None,
        "state": outcome.state,
        "submission": outcome.submission,
        "sha256": outcome.sha256,
        "remaining_today": outcome.remaining_today,
        "public_score": found.public if found is not None else None,
        "private_score": found.private if found is not None else None,
        "status": found.status if found is not None else None,
        "summary": error.summary if error is not None else "",
        "problems": [asdict(problem) for problem in error.problems] if error is not None else [],
    }


command = submit
