"""Draw what happened when, as SVG text: panels above one another on one axis of time, better always up."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from html import escape

from kagkit.reports.pictures import axis_around, draw_stroke, draw_text, ticks_between

WIDTH, LEFT, RIGHT = 860, 80, 20
PANEL, GAP, TOP, BOTTOM = 170, 46, 24, 30
MOMENTS = 5
DAYS = timedelta(days=3)


@dataclass(frozen=True)
class Mark:
    """A moment's value; its kind is a class of the page's style, and decides its shape."""

    time: datetime
    value: float
    kind: str
    told: str


@dataclass(frozen=True)
class Panel:
    """Marks on a scale of their own.

    Attributes:
        title: What the scale is of.
        marks: What is on it.
        upward: Whether greater is better, and up; else less is.
        path: A line that keeps its value until the next point: the best until then.
        whole: Whether values are counts.
    """

    title: str
    marks: tuple[Mark, ...]
    upward: bool = True
    path: tuple[tuple[datetime, float], ...] = ()
    whole: bool = False


def draw_timeline(panels: Sequence[Panel], end: datetime | None) -> str:
    """Panels on one axis of time, in UTC; a dashed line stands at the end of the competition.

    Args:
        panels: At least one, each with a mark.
        end: When submissions ceased to count; None where that is not known.
    """
    times = [mark.time for panel in panels for mark in panel.marks] + ([end] if end else [])
    first, last = min(times), max(times)
    room = (last - first) * 0.03 or timedelta(minutes=1)
    first, last = first - room, last + room
    height = TOP + len(panels) * (PANEL + GAP) - GAP + BOTTOM

    def x(time: datetime) -> float:
        return LEFT + (time - first) / (last - first) * (WIDTH - LEFT - RIGHT)

    parts = []
    for number, panel in enumerate(panels):
        top = TOP + number * (PANEL + GAP)
        if end is not None:
            parts.append(draw_stroke("end", (x(end), top), (x(end), top + PANEL)))
        parts += _panel(panel, top, x)
    parts += _moments(first, last, x, height - 8)
    told = ", ".join(panel.title for panel in panels)
    return (
        f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape(told)} over time">'
        f"{''.join(parts)}</svg>"
    )


def _panel(panel: Panel, top: float, x: Callable[[datetime], float]) -> list[str]:
    low, high = axis_around([(mark.value, mark.value) for mark in panel.marks])

    def y(value: float) -> float:
        share = (value - low) / (high - low)
        return top + (1 - share if panel.upward else share) * PANEL

    parts = [
        f'<rect class="axis" x="{LEFT}" y="{top}" width="{WIDTH - LEFT - RIGHT}" height="{PANEL}"/>',
        draw_text(LEFT, top - 8, "start", panel.title),
    ]
    for value in (tick for tick in ticks_between(low, high) if not panel.whole or tick % 1 == 0):
        parts.append(draw_stroke("tick", (LEFT, y(value)), (WIDTH - RIGHT, y(value))))
        parts.append(draw_text(LEFT - 6, y(value) + 4, "end", f"{value:g}"))
    corners = [(x(time), y(value)) for time, value in panel.path]
    if corners:
        begin = f"M{corners[0][0]:.1f} {corners[0][1]:.1f}"
        steps = "".join(f"H{right:.1f}V{level:.1f}" for right, level in corners[1:])
        parts.append(f'<path class="best" d="{begin}{steps}H{WIDTH - RIGHT}"/>')
    return parts + [_point(mark, x(mark.time), y(mark.value)) for mark in panel.marks]


def _point(mark: Mark, x: float, y: float) -> str:
    shape = (
        f'<rect class="{mark.kind}" x="{x - 5:.1f}" y="{y - 5:.1f}" width="10" height="10">'
        if mark.kind == "private"
        else f'<circle class="{mark.kind}" cx="{x:.1f}" cy="{y:.1f}" r="5">'
    )
    return f"{shape}<title>{escape(mark.told)}</title></{shape[1:].partition(' ')[0]}>"


def _moments(first: datetime, last: datetime, x: Callable[[datetime], float], y: float) -> list[str]:
    """Moments at equal distances, as days or, in a short time, as hours."""
    form = "%d %b %Y" if last - first > DAYS else "%d %b %H:%M"
    times = [first + (last - first) * (number + 0.5) / MOMENTS for number in range(MOMENTS)]
    return [draw_text(x(time), y, "middle", time.strftime(form)) for time in times]
