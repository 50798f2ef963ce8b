"""`kagkit demo`: a whole competition of two stages, played on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kagkit.cli.options import command

if TYPE_CHECKING:
    from kagkit.stages.story import Played

EXAMPLES = """
kagkit demo                # in a folder that is removed afterwards
kagkit demo --keep story   # the host in story/host, the workspace in story/pneumothorax
"""


@command("demo", EXAMPLES)
@click.option(
    "--keep", metavar="DIR", type=click.Path(path_type=Path), help="A new folder to play in; it stays."
)
def demo(keep: Path | None, as_json: bool) -> None:
    """Play a competition of two stages, each command as you would type it.

    A host is served on this machine, and Kaggle's own client talks to it: download, three models and their
    blend, submissions, freeze, the second stage with its safe file, what is retrained and what is kept, the
    final, the private board. Nothing leaves this machine. It takes about two minutes.
    """
    from tempfile import TemporaryDirectory

    from kagkit.cli.drawing import emit_json
    from kagkit.stages.story import Stage

    with TemporaryDirectory(prefix="kagkit-demo-", ignore_cleanup_errors=True) as passing:
        stage = Stage(Path(passing) if keep is None else keep.absolute(), silent=as_json)
        played = _play(stage)
    if as_json:
        emit_json(_tell(played))
    else:
        _draw_end(played, keep)


def _play(stage: Any) -> list[Played]:
    from kagkit.stages.story import Played, Printed, Typed

    played = []
    for event in stage.play():
        if isinstance(event, Played):
            played.append(event)
        elif stage.silent:
            continue
        elif isinstance(event, Printed):
            click.echo(event.text)
        elif isinstance(event, Typed):
            click.secho(f"\n$ {event.command}", bold=True)
    return played


def _tell(played: list[Played]) -> dict[str, Any]:
    """The keys of the contract."""
    steps = [{"step": each.act.step, "command": each.act.command, "seconds": each.seconds} for each in played]
    told = {each.act.step: each.told for each in played if each.told is not None}
    board = [
        {"submission": each["run"], "public": each["public"], "private": each["private"]}
        for each in told["board"]["submissions"]
    ]
    return {"steps": steps, "stage2": told["retrain"], "board": board}


def _draw_end(played: list[Played], keep: Path | None) -> None:
    from kagkit.cli.drawing import duration

    click.secho(f"\nThat was a competition, in {duration(sum(each.seconds for each in played))}.", bold=True)
    if keep is None:
        click.echo("  kagkit demo --keep DIR leaves it to be looked at, MLflow's pages of it among them")
        return
    click.echo(f"It is in {keep}/pneumothorax; look around there:")
    click.echo("  kagkit ui                     every run in MLflow, CV beside the leaderboard")
    click.echo("  kagkit compare                the same in the terminal")
    click.echo("  kagkit report                 how it went, on one page")
    click.echo("  stage2.decisions.yaml         what was decided of each model; change it, then")
    click.echo("  kagkit stage2 --step final    makes the final of your word")


command = demo
