"""`kagkit clean`: remove what nothing needs any more."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from kagkit.cli.options import command

if TYPE_CHECKING:
    from kagkit.runs.cleaning import Cleaning

EXAMPLES = """
kagkit clean --dry-run           # what would go, and the room that makes
kagkit clean                     # tasks and work that no run and no manifest needs; never a run
kagkit clean --keep best:5 -y    # old runs, too: of each experiment the best five stay
"""


@command("clean", EXAMPLES)
@click.option("--keep", metavar="best:N", help="Remove runs, too: the best N of each experiment by CV stay.")
@click.option("--dry-run", is_flag=True, help="Say what would go, and stop.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
def clean(keep: str | None, dry_run: bool, yes: bool, as_json: bool) -> None:
    """Remove what nothing needs any more: sizes first, then a question.

    That is: tasks that no run names and no manifest would use, unfinished work likewise that nobody is at,
    cached rows of other data, smoke runs. Runs go only with --keep, and never those that are the latest,
    packaged, scored, submitted, or named by a lock or a manifest.
    """
    from kagkit.cli.drawing import on_terminal
    from kagkit.runs.cleaning import find_waste, remove_waste
    from kagkit.workspace.layout import find_workspace

    best = _best(keep)
    workspace = find_workspace(Path.cwd())
    found = find_waste(workspace, best)
    asks = on_terminal() and not yes and not as_json
    if best is not None and not (asks or yes or dry_run):
        raise click.UsageError("--keep removes runs: say -y where nobody can be asked")
    if not as_json:
        _draw(found)
    if dry_run or not found.waste:
        _tell(found, as_json, dry_run, done=False)
    elif not asks or click.confirm("Remove all that?", err=True):
        _tell(remove_waste(workspace, best), as_json, dry_run, done=True)


def _best(keep: str | None) -> int | None:
    if keep is None:
        return None
    kind, _, number = keep.partition(":")
    if kind != "best" or not number.isdigit() or int(number) < 1:
        raise click.UsageError(f"--keep {keep}: write --keep best:5")
    return int(number)


def _draw(found: Cleaning) -> None:
    """Each kind with its reason, how many there are, and what they take; runs by name."""
    from kagkit.cli.drawing import amount
    from kagkit.foundation.errors import counted

    groups: dict[tuple[str, str], list[int]] = {}
    for waste in found.waste:
        if waste.kind == "run":
            click.echo(f"{waste.name}: {waste.why}, {amount(waste.bytes)}")
        else:
            groups.setdefault((waste.kind, waste.why), []).append(waste.bytes)
    for (kind, why), sizes in groups.items():
        click.echo(f"{kind}: {counted(len(sizes), 'folder')}, {amount(sum(sizes))}: {why}")
    for note in found.kept:
        click.echo(f"not looked at: {note}", err=True)


def _tell(found: Cleaning, as_json: bool, dry_run: bool, *, done: bool) -> None:
    from kagkit.cli.drawing import amount, emit_json

    if as_json:
        removed = [
            {"kind": one.kind, "name": one.name, "why": one.why, "bytes": one.bytes} for one in found.waste
        ]
        emit_json({"dry_run": dry_run, "freed": found.freed, "removed": removed, "kept": list(found.kept)})
    elif not found.waste:
        click.echo("nothing to clean")
    else:
        click.echo(f"{amount(found.freed)} {'freed' if done else 'would be freed'}")


command = clean
