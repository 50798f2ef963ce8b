"""Write a competition in retrospect as one page: how it went, what decisions brought, where the time went."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from html import escape
from pathlib import Path

from kagkit.foundation.errors import counted
from kagkit.foundation.files import write_file
from kagkit.judgement.board import Row
from kagkit.judgement.hindsight import Decision
from kagkit.reports.retrospect import Retrospect
from kagkit.reports.sheet import draw_lines, lay_out
from kagkit.reports.timeline import Mark, Panel, draw_timeline
from kagkit.workspace.medals import BOARDS

HOUR = 3600


def write_retrospect(path: Path, told: Retrospect) -> None:
    """Write the page.

    Raises:
        RunError: The file cannot be written.
    """
    write_file(path, draw_retrospect(told))


def draw_retrospect(told: Retrospect) -> str:
    """The page as text."""
    direction = "greater" if told.greater_is_better else "lower"
    return lay_out(
        f"{told.competition} in retrospect",
        [
            f"<h1>{escape(told.competition)} in retrospect</h1>",
            f'<p class="soft">{escape(told.metric)}, {direction} is better</p>',
            _summary(told),
            _history(told),
            _places(told),
            _decisions(told),
            _choices(told),
            _shake(told),
            _time(told),
            _late(told),
        ],
    )


def _summary(told: Retrospect) -> str:
    times = [each.time for each in told.made if each.time] + [each.time for each in told.sent]
    facts = {
        "from": f"{_day(min(times))} to {_day(max(times))}" if times else "",
        "deadline": _minute(told.end) if told.end else "not told in competition.yaml",
        "runs": f"{counted(len(told.made), 'run')} of {counted(len(told.spent), 'experiment')}",
        "submissions": f"{len(told.sent)} with a score, {sum(each.late for each in told.sent)} of them late",
        "CV and LB": told.comparison.reading,
        "time": _hours_told(told),
    }
    for board in BOARDS:
        newest = told.newest[board]
        if newest is not None and newest["rank"] is not None:
            zone = f", {newest['zone']} zone" if newest["zone"] else ""
            zone += "" if newest["awarded"] else " (no medals awarded here)"
            facts[f"{board} place"] = f"{newest['rank']} of {newest['teams']} teams{zone}"
    items = "".join(f"<dt>{name}</dt><dd>{escape(value)}</dd>" for name, value in facts.items() if value)
    return f"<dl>{items}</dl>"


def _history(told: Retrospect) -> str:
    """CV, LB and place over time."""
    panels = [panel for panel in (_cv_panel(told), _lb_panel(told), _place_panel(told)) if panel.marks]
    if not panels:
        return ""
    parts = ["Up is better. The line is the best until then, or the place then."]
    parts += (
        ["Squares are private scores or places."] if any(e.private is not None for e in told.sent) else []
    )
    parts += ["Hollow points are late."] if any(each.late for each in told.sent) else []
    parts += ["The dashed line is the deadline."] if told.end else []
    figure = draw_timeline(panels, told.end)
    caption = f"<figcaption>{' '.join(parts)} Times are UTC.</figcaption>"
    return f'<h2>How it went</h2><figure class="tall">{figure}{caption}</figure>'


def _cv_panel(told: Retrospect) -> Panel:
    marks = [
        Mark(each.time, each.cv, "point", f"{each.run}: CV {each.cv:.5f}, {_minute(each.time)}")
        for each in told.made
        if each.time is not None and each.cv is not None and each.complete
    ]
    return Panel("CV", tuple(marks), told.greater_is_better, _best_until(marks, told.greater_is_better))


def _lb_panel(told: Retrospect) -> Panel:
    public = [
        Mark(
            each.time, each.public, "late" if each.late else "point", f"{each.name}: public {each.public:.5f}"
        )
        for each in told.sent
        if each.public is not None
    ]
    private = [
        Mark(each.time, each.private, "private", f"{each.name}: private {each.private:.5f}")
        for each in told.sent
        if each.private is not None
    ]
    counted_ones = [mark for mark in public if mark.kind == "point"]
    path = _best_until(counted_ones, told.greater_is_better)
    return Panel("LB", (*public, *private), told.greater_is_better, path)


def _place_panel(told: Retrospect) -> Panel:
    marks = tuple(
        Mark(
            each.time,
            float(each.rank),
            "private" if each.board == "private" else "point",
            f"{each.board} place {each.rank} of {each.teams}, {_minute(each.time)}",
        )
        for each in told.standings
        if each.rank is not None
    )
    path = tuple((mark.time, mark.value) for mark in marks if mark.kind == "point")
    return Panel("place among the teams", marks, upward=False, path=path, whole=True)


def _best_until(marks: Sequence[Mark], greater_is_better: bool) -> tuple[tuple[datetime, float], ...]:
    """The best value at each moment, oldest first."""
    found: list[tuple[datetime, float]] = []
    for mark in sorted(marks, key=lambda mark: mark.time):
        better = max if greater_is_better else min
        found.append((mark.time, better(mark.value, found[-1][1]) if found else mark.value))
    return tuple(found)


def _places(told: Retrospect) -> str:
    """The medal lines of each board, and how far they were."""
    lines = [
        [
            board,
            line["medal"],
            f"{line['rank']} of {newest['teams']}",
            _score(line["score"]),
            _gain(line["ahead"]),
        ]
        for board, newest in told.newest.items()
        if newest is not None
        for line in newest["lines"]
    ]
    if not lines:
        return ""
    headings = ("board", "medal", "to place", "score there", "ours, better by")
    return "<h2>Medals</h2>" + draw_lines("Medals", headings, lines, ("board", "medal"))


def _decisions(told: Retrospect) -> str:
    if not told.decisions:
        return ""
    headings = ("run", "from", "what was changed", "CV", "± of it", "public", "private", "what came of it")
    lines = [_decision(each) for each in told.decisions]
    words = ("run", "from", "what was changed", "what came of it")
    return (
        "<h2>What decisions brought</h2><p>Gains beside the parent: above 0 is better. "
        "A gain in CV within two standard deviations says nothing.</p>"
        + draw_lines("Decisions", headings, lines, words)
    )


def _decision(each: Decision) -> list[str]:
    sd = "" if each.cv_sd is None else f"{each.cv_sd:.5f}"
    gains = [_gain(each.cv), sd, _gain(each.public), _gain(each.private)]
    return [each.run, each.parent, each.changes, *gains, each.outcome]


def _choices(told: Retrospect) -> str:
    if not told.choices:
        return ""
    lines = [
        [each.how, ", ".join(each.runs), _score(each.private), f"{each.lost:.5f}"] for each in told.choices
    ]
    headings = ("choice", "runs", "private", "lost")
    return (
        "<h2>Had one chosen</h2><p>The better private score of what each way chooses among the submissions "
        "that counted, and what it lost beside the best of them.</p>"
        + draw_lines("Choices", headings, lines, ("choice", "runs"))
    )


def _shake(told: Retrospect) -> str:
    rows = [row for row in told.comparison.rows if row.lb_public is not None]
    if len(rows) < 2:
        return ""
    lines = list(_shaken(rows, told.comparison.board.sign))
    headings = (
        "run",
        "public",
        "private",
        "rank public",
        "rank private",
        "expected private",
        "expected rank",
    )
    return f"<h2>Shake</h2><p>{escape(told.comparison.shake)}</p>" + draw_lines(
        "Shake", headings, lines, ("run",)
    )


def _shaken(rows: Sequence[Row], sign: int) -> Iterator[list[str]]:
    """Each scored run with its ranks among them, best public score first."""
    public = _ranks({row.run: row.lb_public for row in rows}, sign)
    private = _ranks({row.run: row.lb_private for row in rows}, sign)
    for row in sorted(rows, key=lambda row: public[row.run]):
        score = rank = ""
        if row.shake is not None:
            score = f"{row.shake.score[0]:.4f} to {row.shake.score[1]:.4f}"
            rank = f"{row.shake.rank[0]} to {row.shake.rank[1]}"
        ranks = [str(public[row.run]), str(private.get(row.run, ""))]
        yield [row.run, _score(row.lb_public), _score(row.lb_private), *ranks, score, rank]


def _ranks(scores: dict[str, float | None], sign: int) -> dict[str, int]:
    known = {run: sign * score for run, score in scores.items() if score is not None}
    return {run: 1 + sum(other > score for other in known.values()) for run, score in known.items()}


def _time(told: Retrospect) -> str:
    gpus = any(each.gpu_seconds for each in told.spent)
    headings = ["experiment", "runs", "tasks", "hours", *(["GPU-hours"] if gpus else [])]
    lines = [
        [each.experiment, str(each.runs), str(each.tasks), _hours(each.seconds)]
        + ([_hours(each.gpu_seconds)] if gpus else [])
        for each in told.spent
    ]
    return (
        f"<h2>Time</h2><p>{escape(_hours_told(told))}, one task after another. Tasks that were reused are "
        "counted once; those that failed, and trials of searches, not at all.</p>"
        + draw_lines("Time", headings, lines, ("experiment",))
    )


def _late(told: Retrospect) -> str:
    late = [each for each in told.sent if each.late]
    if not late:
        return ""
    sign = told.comparison.board.sign
    counting = [sign * each.private for each in told.sent if each.private is not None and not each.late]
    lines = []
    for each in late:
        beside = None if each.private is None or not counting else sign * each.private - max(counting)
        scores = [_score(each.public), _score(each.private), _gain(beside)]
        lines.append([each.name, _minute(each.time), *scores])
    headings = ("submission", "sent", "public", "private", "beside our best")
    return "<h2>After the end</h2><p>Late submissions have scores and no place.</p>" + draw_lines(
        "Late submissions", headings, lines, ("submission", "sent")
    )


def _hours_told(told: Retrospect) -> str:
    gpu = sum(each.gpu_seconds for each in told.spent)
    hours = f"{_hours(sum(each.seconds for each in told.spent))} hours of tasks"
    return hours + (f", {_hours(gpu)} GPU-hours" if gpu else "")


def _hours(seconds: float) -> str:
    """Hours with as many digits as say something.

    Example:
        >>> _hours(36), _hours(90 * 60), _hours(3_600_000)
        ('0.010', '1.50', '1000')
    """
    hours = seconds / HOUR
    return f"{hours:.0f}" if hours >= 100 else f"{hours:.2f}" if hours >= 0.1 else f"{hours:.3f}"


def _score(value: float | None) -> str:
    return "" if value is None else f"{value:.5f}"


def _gain(value: float | None) -> str:
    return "" if value is None else f"{value:+.5f}"


def _day(time: datetime) -> str:
    return time.astimezone(UTC).strftime("%Y-%m-%d")


def _minute(time: datetime) -> str:
    return time.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")
