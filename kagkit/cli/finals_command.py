"""`kagkit finals`: the two submissions to select."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from kagkit.cli.options import command

EXAMPLES = """
kagkit finals                                       # from the runs of this workspace
kagkit finals exp001 exp004 exp007/2                # from these
kagkit finals --table cvlb.csv --greater-is-better  # from a table alone: CV and public scores
"""


@command("finals", EXAMPLES)
@click.argument("runs", nargs=-1, metavar="[RUN...]")
@click.option("--table", type=click.Path(path_type=Path), metavar="FILE", help="Choose from a CSV's lines.")
@click.option("--greater-is-better/--lower-is-better", default=None, help="A table's direction.")
def finals(runs: tuple[str, ...], as_json: bool, **options: Any) -> None:
    """Propose two final submissions, a sound one and a different one, and say why.

    With OOF predictions and a `public_share`, CV and public scores are weighed by their noise, and the pair
    is chosen whose better one is expected to score best on the private board. From a table: the best CV, and
    the best public score among the better half by CV. What the host selects where nobody does is told, too.
    """
    from kagkit.cli.compare_command import compare_as_asked
    from kagkit.cli.drawing import emit_json
    from kagkit.judgement.finals import propose_finals
    from kagkit.workspace.layout import find_workspace

    comparison = compare_as_asked(runs, options)
    of = None if options["table"] else find_workspace(Path.cwd()).competition.competition
    proposal = propose_finals(comparison, of)
    if as_json:
        emit_json(proposal.as_json())
        return
    for alarm in proposal.alarms:
        click.secho(f"{alarm.kind}: {alarm.text}", fg="yellow", err=True)
    for number, pick in enumerate(proposal.picks, 1):
        click.echo(f"{number}. {click.style(pick.run, bold=True)}: {pick.why}")
    click.echo(proposal.how)
    if proposal.rejected_default is not None:
        names = " and ".join(proposal.rejected_default["runs"])
        click.echo(f"not {names}: {proposal.rejected_default['why']}")
    click.echo(proposal.where)


command = finals
