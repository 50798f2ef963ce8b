"""Draw how two parts differ and what stands in them twice: the most telling first, the rest counted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from kagkit.cli.drawing import draw_table
from kagkit.foundation.errors import counted, samples

if TYPE_CHECKING:
    from kagkit.data.comparing import Comparison
    from kagkit.data.drift import ColumnDrift, Drift
    from kagkit.data.duplicates import Duplicates, Group
    from kagkit.data.telling import Separation

COLUMNS_SHOWN = 10
GROUPS_SHOWN = 10


def draw_comparison(found: Comparison) -> None:
    """Print drift, repeated rows, images that look alike, and hints."""
    _draw_drift(found.drift)
    if found.common_keys:
        click.echo(f"{counted(found.common_keys, 'key')} in both parts; their rows are looked at once below")
    _draw_duplicates("rows", found.rows)
    _draw_duplicates("images", found.images)
    for hint in found.hints:
        click.secho(f"hint: {hint}", fg="cyan")


def _draw_drift(drift: Drift) -> None:
    rows = ", ".join(f"{name} {counted(count, 'row')}" for name, count in drift.rows.items())
    sampled = {name: count for name, count in drift.used.items() if count < drift.rows[name]}
    some = f"; of {samples(list(sampled))} a sample of {max(sampled.values()):,}" if sampled else ""
    click.echo(f"{rows}{some}")
    if drift.together is None:
        why = (
            "no column to compare"
            if not drift.columns and drift.targets
            else "too few rows or columns to say"
        )
        click.echo(f"drift: unknown, {why}")
    else:
        click.echo(f"drift: {drift.verdict}, told apart with AUC {_told(drift.together)}; 0.5 is by chance")
    _draw_columns("column", drift.columns)
    _draw_columns("target", drift.targets)
    for name, why in drift.left_out.items():
        click.echo(f"left out: {name} {why}")
    for part, columns in drift.only.items():
        if columns:
            click.echo(f"only in {part}: {samples(columns)}")


def _draw_columns(heading: str, columns: Sequence[ColumnDrift]) -> None:
    if columns:
        rows = [
            [each.column, _told(each.alone), f"{each.importance:.3f}", each.told]
            for each in columns[:COLUMNS_SHOWN]
        ]
        headings = [heading, "AUC alone", "importance", "how it differs"]
        if heading == "target":
            headings, rows = [*headings[:2], headings[3]], [[*row[:2], row[3]] for row in rows]
        draw_table(headings, rows, right=["AUC alone", "importance"])
    if len(columns) > COLUMNS_SHOWN:
        click.echo(f"and {counted(len(columns) - COLUMNS_SHOWN, 'column')} more, all of them with --json")


def _told(separation: Separation) -> str:
    return f"{separation.auc:.3f} ({separation.low:.3f} to {separation.high:.3f})"


def _draw_duplicates(what: str, found: Duplicates) -> None:
    if found.why_not:
        click.echo(f"{what}: not compared: {found.why_not}")
    else:
        click.echo(f"{what}: {found.compared:,} compared, {_counts(found)}")
        if found.differing:
            width = len(found.columns)
            click.echo(
                f"  near: all but {found.differing} of {counted(width, 'column')} equal, or but for rounding"
            )
        if found.crowded:
            click.echo(f"  {found.crowded:,} so like many others that not all near copies were looked for")
    if found.others:
        told = ", ".join(f"{count:,} {ending}" for ending, count in found.others.items())
        click.echo(f"  not looked at, in formats pillow does not read: {told}")
    if found.unreadable:
        click.echo(f"  damaged: {samples(found.unreadable)}")
    if found.without_row:
        click.echo(f"  {found.without_row:,} that no row names")
    if found.groups:
        headings = ["kind", "size", "where", "first"]
        draw_table(headings, [_group_cells(group) for group in found.groups[:GROUPS_SHOWN]], right=["size"])
    if len(found.groups) > GROUPS_SHOWN:
        more = counted(len(found.groups) - GROUPS_SHOWN, "group")
        click.echo(f"and {more} more, all of them with --json")


def _counts(found: Duplicates) -> str:
    counts = found.counts()
    if not counts["groups"]:
        return "none twice"
    told = [
        f"{counted(counts['groups'], 'group')} of copies ({counts['exact']:,} exact, {counts['near']:,} near)"
    ]
    told += [f"{counts['across_parts']:,} across parts"] if counts["across_parts"] else []
    told += [f"{count:,} across folds of {name}" for name, count in counts["across_folds"].items()]
    told += [f"{counts['unlike_labels']:,} with unlike labels"] if counts["unlike_labels"] else []
    told += [f"{counts['by_chance']:,} perhaps by chance"] if counts["by_chance"] else []
    return ", ".join(told)


def _group_cells(group: Group) -> list[str]:
    marks = ["parts"] if group.across_parts else []
    marks += [f"folds of {name}" for name in group.across_folds]
    marks += ["unlike labels"] if group.unlike_labels else []
    marks += ["chance"] if group.by_chance else []
    told = [each.file or each.key or "" for each in group.members]
    return [group.kind, f"{len(group.members):,}", ", ".join(marks) or "one part", samples(told)]
