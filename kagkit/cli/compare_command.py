"""`kagkit compare`: CV beside the leaderboard."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kagkit.cli.options import command

if TYPE_CHECKING:
    from kagkit.judgement.descent import Descent

EXAMPLES = """
kagkit compare                       # the latest complete run of every experiment, and every scored run
kagkit compare exp001/1 exp001/2     # two runs of one experiment
kagkit compare --json                # for programs
"""


@command("compare", EXAMPLES)
@click.argument("runs", nargs=-1, metavar="[RUN...]")
def compare(runs: tuple[str, ...], as_json: bool) -> None:
    """Put CV, its spread over folds, and the leaderboard side by side, best CV first.

    RUN is `exp001` for the latest complete run, `exp001/3`, or a run's folder. The gap is the public score
    minus the CV. A run whose manifest names a parent, as `kagkit new` notes it, is told with what differs.
    """
    from kagkit.cli.drawing import draw_table, emit_json, number
    from kagkit.judgement.comparison import compare_runs
    from kagkit.workspace.layout import find_workspace

    comparison = compare_runs(find_workspace(Path.cwd()), runs)
    if as_json:
        emit_json(comparison.as_json())
        return
    for alarm in comparison.alarms:
        click.secho(f"{alarm.kind}: {alarm.text}", fg="yellow", err=True)
    scores = ["CV", "± folds", "LB public", "LB private", "gap"]
    rows = [
        [
            row.run,
            *(number(value) for value in (row.cv, row.cv_std, row.lb_public, row.lb_private)),
            "-" if row.gap is None else f"{row.gap:+.5f}",
            "-" if row.coverage in (None, 1) else f"{row.coverage:.0%}",
            row.author,
            row.note,
        ]
        for row in comparison.rows
    ]
    headings = ["run", *scores, "rows", "author", "note"]
    # A column that says nothing takes room from those that do.
    full = [i for i, _ in enumerate(headings) if any(row[i] not in ("-", "") for row in rows)]
    draw_table([headings[i] for i in full], [[row[i] for i in full] for row in rows], right=[*scores, "rows"])
    click.echo(f"{comparison.metric}, {'greater' if comparison.greater_is_better else 'lower'} is better")
    for row in comparison.rows:
        if row.descent is not None:
            click.echo(f"{row.run} from {row.descent.parent}: {_told(row.descent)}")


def _told(descent: Descent) -> str:
    """What is different, in one line: `args.lr 0.1 → 0.03, seeds [0] → [0, 1], code unet.py`."""
    changed = [f"{key} {_value(old)} → {_value(new)}" for key, (old, new) in descent.changes.items()]
    return ", ".join([*changed, *(f"code {name}" for name in descent.code)]) or "the same manifest and code"


def _value(value: Any) -> str:
    return "-" if value is None else value if isinstance(value, str) else json.dumps(value)


command = compare
