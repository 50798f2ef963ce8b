"""Draw tables, errors and JSON: colours only on a terminal, widths that fit it."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import click

from kagkit.foundation.errors import KagkitError, Problem

if TYPE_CHECKING:
    from kagkit.judgement.suspicions import Suspicion

BOUNDLESS = 10_000  # a file or a pipe has no width; rich would cut to 80 columns
WHOLE_NAME = 32  # letters of a file's name that fit a narrow terminal beside the other columns


def emit_json(value: Any) -> None:
    """Print one JSON document on standard output."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))


def draw_error(error: KagkitError) -> None:
    """Print an error with all its problems on standard error."""
    click.secho(error.summary, fg="red", bold=True, err=True)
    draw_problems(error.problems)


def draw_problems(problems: Iterable[Problem]) -> None:
    """Print problems on standard error, each with its hint below."""
    for problem in problems:
        first, *hint = str(problem).splitlines()
        where, _, rest = first.partition(": ")
        click.echo(f"  {click.style(where, bold=True)}: {rest}", err=True)
        for line in hint:
            click.secho(f"  {line}", fg="cyan", err=True)


def draw_blind(told: Iterable[Suspicion], *, warnings_only: bool = False) -> None:
    """Print what a blind check found: on standard error where only warnings are wanted."""
    colours = {"ok": "green", "warn": "yellow", "stop": "red"}
    for each in told:
        if each.level == "warn" or not warnings_only:
            level = click.style(f"{each.level:4}", fg=colours[each.level])
            click.echo(f"  {level} {each.check}: {each.text}", err=warnings_only)


def draw_table(columns: Sequence[str], rows: Iterable[Sequence[str]], *, right: Sequence[str] = ()) -> None:
    """Print a table on standard output, fitted to the terminal; numbers to the right.

    Args:
        columns: The headings.
        rows: Cells as text, in the order of the headings.
        right: The headings whose cells stand to the right.
    """
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table, cells = Table(box=box.SIMPLE_HEAD, pad_edge=False), list(rows)
    for place, column in enumerate(columns):
        # Numbers are never broken in two, nor names of files unless they are long; words are, between letters
        # only where one is very long.
        longest = max((len(row[place]) for row in cells), default=0)
        table.add_column(
            column,
            justify="right" if column in right else "left",
            overflow="fold",
            no_wrap=column in (*right, "run") or (column == "file" and longest <= WHOLE_NAME),
            min_width=_longest_word(column, [row[place] for row in cells]),
        )
    for row in cells:
        table.add_row(*row)
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=BOUNDLESS)
    console.print(table)


def _longest_word(column: str, cells: Sequence[str]) -> int:
    """The width below which words would be broken, up to 16."""
    return min(max(len(word) for cell in (column, *cells) for word in cell.split() or [""]), 16)


def number(value: float | None, digits: int = 5) -> str:
    """A score as people write it; a dash where there is none.

    Example:
        >>> number(0.8154), number(None)
        ('0.81540', '-')
    """
    return "-" if value is None else f"{value:.{digits}f}"


def duration(seconds: float) -> str:
    """Seconds in words.

    Example:
        >>> duration(4.2), duration(75), duration(7300)
        ('4.2 s', '1 min 15 s', '2 h 1 min')
    """
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes = int(seconds // 60)
    if minutes < 60:
        return f"{minutes} min {int(seconds % 60)} s"
    return f"{minutes // 60} h {minutes % 60} min"


def amount(count: int) -> str:
    """Bytes as people write them.

    Example:
        >>> amount(512), amount(1_500_000), amount(2_000_000_000)
        ('512 B', '1.5 MB', '2.0 GB')
    """
    size, unit = float(count), "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if size < 1000:
            break
        size, unit = size / 1000, larger
    return f"{count} B" if unit == "B" else f"{size:.1f} {unit}"


def on_terminal() -> bool:
    """Whether people are looking at standard error as it is written."""
    return sys.stderr.isatty()
