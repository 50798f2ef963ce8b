"""`kagkit compare`: CV beside the leaderboard."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kagkit.cli.options import command

if TYPE_CHECKING:
    from kagkit.judgement.board import Row
    from kagkit.judgement.comparison import Comparison

EXAMPLES = """
kagkit compare                       # the latest complete run of every experiment, and every scored run
kagkit compare exp001/1 exp001/2     # two runs of one experiment
kagkit compare --shake               # where each submission may end on the private board
kagkit compare --html compare.html   # a page to keep or to send
kagkit compare --table cvlb.csv --lower-is-better     # a table kept by hand; needs no workspace
kagkit compare --json                # for programs
"""
SAID_FROM = 10
TABLE_COLUMNS = {"lb_public": "public_lb", "lb_private": "private_lb"}
# What goes first where the terminal is too narrow for all columns.
DISPENSABLE = ("note", "± folds", "± LB", "rows", "gap", "90 % of CV", "LB private")


@command("compare", EXAMPLES)
@click.argument("runs", nargs=-1, metavar="[RUN...]")
@click.option("--table", type=click.Path(path_type=Path), metavar="FILE", help="Compare the lines of a CSV.")
@click.option("--greater-is-better/--lower-is-better", default=None, help="A table's direction.")
@click.option("--no-noise", is_flag=True, help="Leave out the noise, which is measured on OOF predictions.")
@click.option("--shake", is_flag=True, help="Simulate the private board: 90 % intervals of score and rank.")
@click.option("--html", type=click.Path(path_type=Path), metavar="FILE", help="Write a page as well.")
def compare(runs: tuple[str, ...], as_json: bool, **options: Any) -> None:
    """Put CV, its spread over folds, and the leaderboard side by side, best CV first.

    RUN is `exp001` for the latest complete run, `exp001/3`, or a run's folder. The gap is the public score
    minus the CV, `± LB` one standard deviation of the public score by the choice of its rows. "CV kept" is
    the score without the rows that a run's rules left out, which rises by leaving out what is hard: nothing
    is ranked by it. A run whose manifest names a parent, as `kagkit new` notes it, is told with what differs.

    A table has the columns experiment and cv, and public_lb, private_lb and cv_std where they are known.
    Cells that are no numbers are named and stay unknown.
    """
    from kagkit.cli.drawing import emit_json

    comparison = compare_as_asked(runs, options)
    if options["html"] is not None:
        from kagkit.reports.comparison_page import write_page
        from kagkit.workspace.layout import find_workspace

        write_page(options["html"], comparison, None if options["table"] else find_workspace(Path.cwd()))
    if as_json:
        emit_json(comparison.as_json())
        return
    draw_comparison(comparison)
    if options["html"] is not None:
        click.echo(f"page: {options['html']}")


def compare_as_asked(runs: tuple[str, ...], options: dict[str, Any]) -> Comparison:
    """Compare what the command line names: runs of a workspace, or a table.

    Args:
        runs: Runs, as they are typed.
        options: `table`, `greater_is_better`, and perhaps `no_noise` and `shake`.

    Raises:
        click.UsageError: Options that contradict each other, or a table without its direction.
    """
    from kagkit.judgement.comparison import compare_runs, compare_table, with_shakes
    from kagkit.workspace.layout import find_workspace

    table, greater_is_better = options["table"], options["greater_is_better"]
    if table is None:
        if greater_is_better is not None:
            raise click.UsageError("competition.yaml declares the direction; the option is for --table")
        workspace = find_workspace(Path.cwd())
        comparison = compare_runs(workspace, runs, noise=not options.get("no_noise"), told=tell_progress)
    else:
        if runs:
            raise click.UsageError("name runs or a --table, not both")
        if greater_is_better is None:
            raise click.UsageError("a table has no direction: add --greater-is-better or --lower-is-better")
        comparison = compare_table(table, greater_is_better)
    return with_shakes(comparison) if options.get("shake") else comparison


def tell_progress(number: int, count: int, name: str) -> None:
    """Say on a terminal which run is measured, on a line that goes away."""
    from kagkit.cli.drawing import on_terminal

    if on_terminal():
        click.echo(f"\r\033[Kmeasuring noise, {number} of {count}: {name}\r", nl=False, err=True)
        if number == count:
            click.echo("\r\033[K", nl=False, err=True)
    elif count > SAID_FROM and number in (1, count):
        click.echo(f"measuring noise, {number} of {count}: {name}", err=True)


def draw_comparison(comparison: Comparison) -> None:
    """Draw a comparison: alarms first, then the table, then what it comes to."""
    from kagkit.cli.drawing import draw_table
    from kagkit.judgement.descent import spell_descent

    draw_alarms(comparison)
    headings, rows = _columns(comparison)
    headings, rows, left_out = _fitted(headings, rows)
    right = [heading for heading in headings if heading not in ("run", "verdict", "author", "note", "set")]
    draw_table(headings, rows, right=right)
    direction = "greater" if comparison.greater_is_better else "lower"
    click.echo(f"{comparison.metric}, {direction} is better")
    offset = comparison.offset
    if offset is not None and offset.sd is not None:
        click.echo(f"{comparison.reading}; LB is CV {offset.mean:+.5f} ± {offset.sd:.5f}")
    elif offset is not None and offset.rows > 1:
        click.echo(comparison.reading)
    if comparison.shake:
        click.echo(comparison.shake)
    if left_out:
        click.echo(f"not shown for want of room: {', '.join(left_out)} (--json has all)")
    for row in comparison.rows:
        if row.descent is not None:
            click.echo(f"{row.run} from {row.descent.parent}: {spell_descent(row.descent)}")


def draw_alarms(comparison: Comparison) -> None:
    """Print alarms, then remarks, on standard error."""
    for alarm in comparison.alarms:
        click.secho(f"{alarm.kind}: {alarm.text}", fg="yellow", err=True)
    for remark in comparison.remarks:
        click.echo(remark, err=True)


def _columns(comparison: Comparison) -> tuple[list[str], list[list[str]]]:
    """Every column that says something, as text."""
    from kagkit.cli.drawing import number

    several = len({row.comparable for row in comparison.rows if row.comparable}) > 1
    columns = {
        "run": [row.run for row in comparison.rows],
        "set": [row.comparable or "-" if several else "-" for row in comparison.rows],
        "CV": [_score(row, "cv") for row in comparison.rows],
        "± folds": [number(row.cv_std) for row in comparison.rows],
        "CV kept": [number(row.cv_kept) for row in comparison.rows],
        "optimism": [_signed(row.optimism) for row in comparison.rows],
        "90 % of CV": [_interval(row.cv_interval) for row in comparison.rows],
        "LB public": [_score(row, "lb_public") for row in comparison.rows],
        "LB private": [_score(row, "lb_private") for row in comparison.rows],
        "gap": [_signed(row.gap) for row in comparison.rows],
        "± LB": [number(row.lb_noise) for row in comparison.rows],
        "private 90 %": [_interval(row.shake.score if row.shake else None) for row in comparison.rows],
        "rank 90 %": [_ranks(row) for row in comparison.rows],
        "rows": ["-" if row.coverage in (None, 1) else f"{row.coverage:.0%}" for row in comparison.rows],
        "verdict": [row.verdict for row in comparison.rows],
        "author": [row.author for row in comparison.rows],
        "note": [row.note for row in comparison.rows],
    }
    # A column that says nothing takes room from those that do; so does a verdict on a single row.
    full = {name: cells for name, cells in columns.items() if set(cells) - {"-", ""}}
    if set(columns["verdict"]) <= {"best CV", ""}:
        full.pop("verdict", None)
    return list(full), [list(cells) for cells in zip(*full.values(), strict=True)]


def _fitted(headings: list[str], rows: list[list[str]]) -> tuple[list[str], list[list[str]], list[str]]:
    """The columns that fit the terminal, and the names of those that do not."""
    from rich.console import Console

    console = Console()
    left_out: list[str] = []

    def width() -> int:
        kept = [i for i, heading in enumerate(headings) if heading not in left_out]
        # Words wrap; numbers do not.
        most = {"note": 16, "verdict": 20, "run": 20}
        cells = ([headings[i], *(row[i] for row in rows)] for i in kept)
        return sum(min(max(map(len, column)), most.get(column[0], 99)) + 2 for column in cells)

    if console.is_terminal:
        for name in DISPENSABLE:
            if width() > console.width and name in headings:
                left_out.append(name)
    kept = [i for i, heading in enumerate(headings) if heading not in left_out]
    return [headings[i] for i in kept], [[row[i] for i in kept] for row in rows], left_out


def _score(row: Row, column: str) -> str:
    """A score; what a table's cell says where that is no number."""
    from kagkit.cli.drawing import number

    return row.written.get(
        {"lb_public": "public_lb", "lb_private": "private_lb"}.get(column, column)
    ) or number(getattr(row, column))


def _interval(interval: tuple[float, float] | None) -> str:
    return "-" if interval is None else f"{interval[0]:.4f}..{interval[1]:.4f}"


def _ranks(row: Row) -> str:
    if row.shake is None:
        return "-"
    first, last = row.shake.rank
    ended = "" if row.shake.ended is None else f", was {row.shake.ended}"
    return (f"{first}" if first == last else f"{first} to {last}") + ended


def _signed(value: float | None) -> str:
    return "-" if value is None else f"{value:+.5f}"


command = compare
