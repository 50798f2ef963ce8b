"""Draw the pictures of a report as SVG text: CV beside LB, a strip of folds, an interval."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from html import escape

from kagkit.judgement.agreement import Offset
from kagkit.judgement.board import Row

WIDTH, HEIGHT, LEFT, BOTTOM, TOP, RIGHT = 640, 400, 70, 48, 14, 16
STRIP_WIDTH, STRIP_HEIGHT = 110, 18

Place = Callable[[float], float]


def draw_scatter(rows: Sequence[Row], offset: Offset | None, alarmed: set[str]) -> str:
    """CV against public score with noise bars, and the line on which CV is right but for the offset.

    Args:
        rows: Rows with both scores; a circle in stage 1 or a table, a square in stage 2.
        offset: The ordinary offset, whose line is dashed.
        alarmed: Runs to draw hollow.
    """
    across = axis_around([_bounds(row.cv, row.cv_interval) for row in rows])
    up = axis_around([_spread(row.lb_public, row.lb_noise) for row in rows])

    def x(value: float) -> float:
        return LEFT + (value - across[0]) / (across[1] - across[0]) * (WIDTH - LEFT - RIGHT)

    def y(value: float) -> float:
        return HEIGHT - BOTTOM - (value - up[0]) / (up[1] - up[0]) * (HEIGHT - BOTTOM - TOP)

    parts = [_frame()]
    for value in ticks_between(*across):
        parts.append(draw_stroke("tick", (x(value), TOP), (x(value), HEIGHT - BOTTOM)))
        parts.append(draw_text(x(value), HEIGHT - BOTTOM + 16, "middle", f"{value:g}"))
    for value in ticks_between(*up):
        parts.append(draw_stroke("tick", (LEFT, y(value)), (WIDTH - RIGHT, y(value))))
        parts.append(draw_text(LEFT - 6, y(value) + 4, "end", f"{value:g}"))
    if offset is not None:
        parts.append(_line_of(across, up, offset.mean, (x, y)))
    for row in rows:
        parts += _noise_bars(row, x, y)
    parts += [_point(row, x(row.cv or 0.0), y(row.lb_public or 0.0), row.run in alarmed) for row in rows]
    parts.append(draw_text((LEFT + WIDTH) / 2, HEIGHT - 10, "middle", "CV"))
    parts.append(
        f'<g transform="rotate(-90 14 {HEIGHT / 2})">{draw_text(14, HEIGHT / 2, "middle", "LB public")}</g>'
    )
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="CV against public score">'
        f"{''.join(parts)}</svg>"
    )


def draw_strip(values: Sequence[float], scale: tuple[float, float], told: str) -> str:
    """The scores of the folds as strokes on a common scale."""
    places = [_along(value, scale) for value in values]
    return _strip("".join(draw_stroke("fold", (place, 3), (place, 15)) for place in places), told)


def draw_interval(
    interval: tuple[float, float], mark: float | None, scale: tuple[float, float], told: str
) -> str:
    """An interval as a bar on a common scale, with a mark on it where there is one."""
    low, high = (_along(value, scale) for value in interval)
    bar = f'<rect class="bar" x="{low:.1f}" y="6" width="{max(high - low, 1):.1f}" height="6"/>'
    dot = "" if mark is None else f'<circle class="point" cx="{_along(mark, scale):.1f}" cy="9" r="4"/>'
    return _strip(bar + dot, told)


def scale_of(values: Sequence[float]) -> tuple[float, float]:
    """A scale that holds all values.

    Example:
        >>> scale_of([1.0, 3.0])
        (1.0, 3.0)
    """
    low, high = min(values), max(values)
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def _strip(inside: str, told: str) -> str:
    return (
        f'<svg viewBox="0 0 {STRIP_WIDTH} {STRIP_HEIGHT}" width="{STRIP_WIDTH}" height="{STRIP_HEIGHT}" '
        f'role="img" aria-label="{escape(told)}"><title>{escape(told)}</title>'
        f'<line class="axis" x1="2" x2="{STRIP_WIDTH - 2}" y1="9" y2="9"/>{inside}</svg>'
    )


def _along(value: float, scale: tuple[float, float]) -> float:
    share = (value - scale[0]) / (scale[1] - scale[0])
    return 5 + min(max(share, 0.0), 1.0) * (STRIP_WIDTH - 10)


def _frame() -> str:
    width, height = WIDTH - LEFT - RIGHT, HEIGHT - BOTTOM - TOP
    return f'<rect class="axis" x="{LEFT}" y="{TOP}" width="{width}" height="{height}"/>'


def draw_stroke(kind: str, start: tuple[float, float], end: tuple[float, float]) -> str:
    """A straight line of a kind, which is a class of the page's style."""
    return (
        f'<line class="{kind}" x1="{start[0]:.1f}" y1="{start[1]:.1f}" x2="{end[0]:.1f}" y2="{end[1]:.1f}"/>'
    )


def draw_text(x: float, y: float, anchor: str, text: str) -> str:
    """A text that begins, ends or is centred at a point, as SVG's `text-anchor` says."""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _bounds(middle: float | None, interval: tuple[float, float] | None) -> tuple[float, float]:
    return interval or (middle or 0.0, middle or 0.0)


def _spread(middle: float | None, sd: float | None) -> tuple[float, float]:
    return (middle or 0.0) - (sd or 0.0), (middle or 0.0) + (sd or 0.0)


def axis_around(bounds: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """The ends of an axis, with a little room around."""
    low, high = scale_of([value for pair in bounds for value in pair])
    room = 0.06 * (high - low)
    return low - room, high + room


def ticks_between(low: float, high: float) -> list[float]:
    """Round values between two.

    Example:
        >>> ticks_between(0.79, 0.93)
        [0.8, 0.85, 0.9]
    """
    rough = (high - low) / 4
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= rough)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(place * step, 12) for place in range(first, last + 1)]


def _line_of(
    across: tuple[float, float], up: tuple[float, float], offset: float, to: tuple[Place, Place]
) -> str:
    """The line y = x + offset, cut at the frame."""
    first, last = max(across[0], up[0] - offset), min(across[1], up[1] - offset)
    if first >= last:
        return ""
    x, y = to
    return draw_stroke("same", (x(first), y(first + offset)), (x(last), y(last + offset)))


def _noise_bars(row: Row, x: Place, y: Place) -> list[str]:
    """The bars of a point: its CV's interval, and one standard deviation of its public score."""
    parts = []
    cv, public = row.cv or 0.0, row.lb_public or 0.0
    if row.cv_interval is not None:
        low, high = (x(value) for value in row.cv_interval)
        parts.append(draw_stroke("noise", (low, y(public)), (high, y(public))))
    if row.lb_noise is not None:
        low, high = (y(value) for value in _spread(row.lb_public, row.lb_noise))
        parts.append(draw_stroke("noise", (x(cv), low), (x(cv), high)))
    return parts


def _point(row: Row, x: float, y: float, alarmed: bool) -> str:
    kind = "alarmed" if alarmed else "point"
    shape = (
        f'<rect class="{kind}" x="{x - 5:.1f}" y="{y - 5:.1f}" width="10" height="10"/>'
        if row.stage == 2
        else f'<circle class="{kind}" cx="{x:.1f}" cy="{y:.1f}" r="5.5"/>'
    )
    told = f"{row.run}: CV {row.cv:g}, public {row.lb_public:g}"
    place = escape(anchor_of(row.run))
    return f'<a href="#{place}" aria-label="{escape(told)}">{shape}<title>{escape(told)}</title></a>'


def anchor_of(run: str) -> str:
    """The name of a run's place on the page.

    Example:
        >>> anchor_of("my exp/1")
        'run-my_exp/1'
    """
    return "run-" + "_".join(run.split())
