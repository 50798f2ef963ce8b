"""Write a comparison as one self-contained page: alarms, a picture, a table to sort, each run's descent."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from kagkit.foundation.files import write_file
from kagkit.judgement.board import Row
from kagkit.judgement.comparison import Comparison
from kagkit.judgement.descent import spell_descent
from kagkit.reports.pictures import anchor_of, draw_interval, draw_scatter, draw_strip, scale_of
from kagkit.reports.sheet import draw_headings, enclose, lay_out
from kagkit.runs.record import find_run
from kagkit.workspace.layout import Workspace


@dataclass(frozen=True)
class Background:
    """What stands behind a run: its folds' scores, and its manifest as it was run."""

    folds: tuple[float, ...]
    manifest: str


@dataclass(frozen=True)
class Column:
    """A column of the table: its heading, what sorts it, and what a cell shows, as HTML."""

    heading: str
    value: Callable[[Row], float | str | None]
    shown: Callable[[Row], str]
    words: bool = False


def write_page(path: Path, comparison: Comparison, workspace: Workspace | None = None) -> None:
    """Write the page.

    Args:
        path: The file.
        comparison: What is shown.
        workspace: Where the runs are; None for a table.

    Raises:
        RunError: The file cannot be written.
    """
    behind = _backgrounds(workspace, comparison.rows) if workspace is not None else {}
    write_file(path, page_of(comparison, behind))


def page_of(comparison: Comparison, behind: dict[str, Background]) -> str:
    """The page as text."""
    direction = "greater" if comparison.greater_is_better else "lower"
    return lay_out(
        f"CV beside LB: {comparison.metric}",
        [
            "<h1>CV beside the leaderboard</h1>",
            f'<p class="soft">{escape(comparison.metric)}, {direction} is better</p>',
            f"<p><strong>{escape(comparison.reading)}</strong></p>",
            *([f"<p>{escape(comparison.shake)}</p>"] if comparison.shake else []),
            _alarms(comparison),
            _figure(comparison),
            _table(comparison, behind),
            *_runs(comparison, behind),
        ],
    )


def _backgrounds(workspace: Workspace, rows: Sequence[Row]) -> dict[str, Background]:
    found = {}
    for row in rows:
        run = find_run(workspace, row.run.partition(":")[0])
        scores = tuple(float(fold["score"]) for fold in run.data["folds"] if fold["score"] is not None)
        manifest = run.folder / "manifest.yaml"
        found[row.run] = Background(scores, manifest.read_text("utf-8") if manifest.exists() else "")
    return found


def _alarms(comparison: Comparison) -> str:
    told = [(alarm.kind, alarm.text) for alarm in comparison.alarms]
    items = [f"<li><b>{escape(kind)}</b>: {escape(text)}</li>" for kind, text in told]
    remarks = [f'<p class="soft">{escape(remark)}</p>' for remark in comparison.remarks]
    listed = f'<ul class="alarms" aria-label="Alarms">{"".join(items)}</ul>' if items else "<p>No alarms.</p>"
    return listed + "".join(remarks)


def _figure(comparison: Comparison) -> str:
    rows = [row for row in comparison.rows if row.cv is not None and row.lb_public is not None]
    if not rows:
        return '<p class="soft">No row has both a CV and a public score.</p>'
    alarmed = {run for alarm in comparison.alarms if alarm.kind in ("gap", "leak") for run in alarm.runs}
    offset = comparison.offset
    line = f" The dashed line is LB = CV {offset.mean:+.4g}." if offset is not None else ""
    stages = " Squares are stage 2." if any(row.stage == 2 for row in rows) else ""
    hollow = " Hollow points raise an alarm." if alarmed else ""
    bars = " Bars: 90 % of CV, one standard deviation of LB." if any(row.lb_noise for row in rows) else ""
    return (
        f"<figure>{draw_scatter(rows, offset, alarmed)}"
        f"<figcaption>CV and public score.{line}{stages}{hollow}{bars}</figcaption></figure>"
    )


def _table(comparison: Comparison, behind: dict[str, Background]) -> str:
    columns = list(_columns(comparison, behind))
    heads = draw_headings(
        [column.heading for column in columns], [column.heading for column in columns if column.words]
    )
    lines = "".join(
        f"<tr>{''.join(_cell(column, row) for column in columns)}</tr>" for row in comparison.rows
    )
    return f"<h2>Rows</h2>{enclose('Rows', f'{heads}<tbody>{lines}</tbody>')}"


def _cell(column: Column, row: Row) -> str:
    value = column.value(row)
    sorting = "" if value is None else escape(str(value))
    return f'<td{" class=words" if column.words else ""} data-value="{sorting}">{column.shown(row)}</td>'


def _columns(comparison: Comparison, behind: dict[str, Background]) -> Iterator[Column]:
    """The columns that some row has something for."""
    rows = comparison.rows
    yield Column("run", lambda row: row.run, _named)
    if len({row.stage for row in rows}) > 1:
        yield Column("stage", lambda row: row.stage, lambda row: str(row.stage))
    if len({row.comparable for row in rows if row.comparable}) > 1:
        yield Column("set", lambda row: row.comparable, lambda row: row.comparable or "")
    yield _number("CV", "cv", "cv")
    if any(row.cv_interval for row in rows):
        yield Column(
            "90 % of CV", lambda row: (row.cv_interval or (None,))[0], lambda row: _span(row.cv_interval)
        )
    folds = [score for each in behind.values() for score in each.folds]
    if folds:
        scale = scale_of(folds)
        yield Column("folds", lambda row: row.cv_std, lambda row: _folds(behind.get(row.run), scale))
    for heading, name, written in (
        ("public", "lb_public", "public_lb"),
        ("private", "lb_private", "private_lb"),
    ):
        if any(getattr(row, name) is not None or written in row.written for row in rows):
            yield _number(heading, name, written)
    if any(row.gap is not None for row in rows):
        yield Column("gap", lambda row: row.gap, lambda row: "" if row.gap is None else f"{row.gap:+.5f}")
    if any(row.lb_noise for row in rows):
        yield _number("± LB", "lb_noise", "")
    ends = [value for row in rows if row.shake for value in row.shake.score]
    if ends:
        spread = scale_of(ends)
        yield Column(
            "private, 90 %",
            lambda row: row.shake.score[0] if row.shake else None,
            lambda row: _shake(row, spread),
        )
        yield Column("rank, 90 %", lambda row: row.shake.rank[0] if row.shake else None, _rank)
    yield Column("verdict", lambda row: row.verdict, lambda row: escape(row.verdict), words=True)
    if any(row.note for row in rows):
        yield Column("note", lambda row: row.note, lambda row: escape(row.note), words=True)


def _number(heading: str, name: str, written: str) -> Column:
    def shown(row: Row) -> str:
        value = getattr(row, name)
        return escape(row.written.get(written, "" if value is None else f"{value:.5f}"))

    return Column(heading, lambda row: getattr(row, name), shown)


def _named(row: Row) -> str:
    name = escape(row.run)
    if row.stage is None:
        return f'<span title="{name}">{name}</span>'
    return f'<a href="#{escape(anchor_of(row.run))}">{name}</a>'


def _span(interval: tuple[float, float] | None) -> str:
    return "" if interval is None else f"{interval[0]:.4f} to {interval[1]:.4f}"


def _folds(background: Background | None, scale: tuple[float, float]) -> str:
    if background is None or not background.folds:
        return ""
    return draw_strip(background.folds, scale, ", ".join(f"{score:.4f}" for score in background.folds))


def _shake(row: Row, scale: tuple[float, float]) -> str:
    if row.shake is None:
        return ""
    ended = "" if row.lb_private is None else f"; was {row.lb_private:.5f}"
    return draw_interval(row.shake.score, row.lb_private, scale, f"{_span(row.shake.score)}{ended}")


def _rank(row: Row) -> str:
    if row.shake is None:
        return ""
    ended = "" if row.shake.ended is None else f", was {row.shake.ended}"
    return f"{row.shake.rank[0]} to {row.shake.rank[1]}{ended}"


def _runs(comparison: Comparison, behind: dict[str, Background]) -> Iterator[str]:
    """Each run's lineage and manifest, folded."""
    if not behind:
        return
    yield "<h2>Runs</h2>"
    for row in comparison.rows:
        parts = [f"<summary>{escape(row.run)}{': ' + escape(row.note) if row.note else ''}</summary>"]
        if row.descent is not None:
            parent = f'<a href="#{escape(anchor_of(row.descent.parent))}">{escape(row.descent.parent)}</a>'
            parts.append(f"<p>from {parent}: {escape(spell_descent(row.descent))}</p>")
        if row.submission is not None:
            parts.append(f"<p>submission {escape(row.submission)}</p>")
        parts.append(f"<pre>{escape(behind[row.run].manifest)}</pre>")
        yield f'<details id="{escape(anchor_of(row.run))}">{"".join(parts)}</details>'
