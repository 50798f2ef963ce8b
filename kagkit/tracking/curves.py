"""Turn what a finished task logged into curves with deterministic times, and name what is no number."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from kagkit.foundation.files import read_json, read_json_lines

LONGEST = 1000  # points of one curve: a browser shows no more, and MLflow takes a second for each 5,000


@dataclass(frozen=True, order=True)
class Point:
    """One value of a metric: its key, step, time in milliseconds since 1970, and the number."""

    key: str
    step: int
    time: int
    value: float


@dataclass(frozen=True)
class Logged:
    """What a finished task tells about itself.

    Attributes:
        began: When its last attempt began, in milliseconds since 1970.
        ended: When it was done.
        points: What it logged, by key and step; an attempt that was killed lost to the one that repeated it.
        notes: What is not shown as it was logged, in words.
    """

    began: int
    ended: int
    points: tuple[Point, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Attempt:
    """One start of a task: when it began and ended, in seconds, and the lines it logged."""

    began: float
    ended: float
    lines: tuple[dict[str, Any], ...]


def read_logged(folder: Path) -> Logged | None:
    """What a finished task logged; None where its folder is gone, or tells no start.

    A curve is named by metric and place, `loss/seed0-fold1`; a point's step is the one that was logged, or
    its place among the values of that metric. Lines without a time are spread evenly over their attempt, so
    that reading them again gives the same times.

    Args:
        folder: The folder of a finished task, with `spec.json` and `events.jsonl`.

    Raises:
        DataError: Its events are damaged.
    """
    if not (folder / "spec.json").is_file():
        return None
    attempts = list(_attempts(read_json_lines(folder / "events.jsonl")))
    if not attempts:
        return None
    place = place_of(read_json(folder / "spec.json"))
    curves: dict[str, list[Point]] = {}
    strange: dict[str, int] = {}
    for attempt in attempts:
        _take(attempt, place, curves, strange)
    notes = [f"{key}: {count} values that are no numbers" for key, count in sorted(strange.items())]
    points: list[Point] = []
    for key, curve in sorted(curves.items()):
        kept = thin(sorted(curve))
        if len(kept) < len(curve):
            notes.append(f"{key}: {len(kept):,} of {len(curve):,} points")
        points += kept
    last = attempts[-1]
    return Logged(_milliseconds(last.began), _milliseconds(last.ended), tuple(points), tuple(notes))


def place_of(spec: dict[str, Any]) -> str:
    """What tells a task's curves from those of other tasks.

    Example:
        >>> place_of({"kind": "train", "seed": 0, "fold": 1, "row_sets": []})
        'seed0-fold1'
        >>> place_of({"kind": "predict", "seed": 0, "fold": None, "row_sets": ["test"]})
        'seed0-full-test'
        >>> place_of({"kind": "prepare", "part": "stage1/train"})
        'stage1-train'
    """
    if spec["kind"] == "prepare":
        return str(spec["part"]).replace("/", "-")
    fold = "full" if spec["fold"] is None else f"fold{spec['fold']}"
    rows = [f"-{name}" for name in spec["row_sets"]] if spec["kind"] == "predict" else []
    return f"seed{spec['seed']}-{fold}{''.join(rows)}"


def thin(curve: list[Point]) -> list[Point]:
    """At most 1,000 points of a curve, evenly spread, its first and last among them.

    Example:
        >>> points = [Point("loss", step, 0, 1.0) for step in range(2500)]
        >>> kept = thin(points)
        >>> len(kept), kept[0].step, kept[-1].step
        (1000, 0, 2499)
    """
    if len(curve) <= LONGEST:
        return curve
    return [curve[round(number * (len(curve) - 1) / (LONGEST - 1))] for number in range(LONGEST)]


def _attempts(events: list[Any]) -> Iterator[_Attempt]:
    starts = [number for number, event in enumerate(events) if event.get("event") == "started"]
    for start, following in pairwise([*starts, len(events)]):
        began = float(events[start]["time"])
        mine = events[start + 1 : following]
        if following < len(events):
            ended = float(events[following]["time"])
        else:
            ended = began + next((float(e["seconds"]) for e in mine if e.get("event") == "finished"), 0.0)
        yield _Attempt(began, ended, tuple(e for e in mine if e.get("event") == "log"))


def _take(attempt: _Attempt, place: str, curves: dict[str, list[Point]], strange: dict[str, int]) -> None:
    """Add an attempt's values to the curves, in place of those it repeats."""
    before = {key: len(curve) for key, curve in curves.items()}
    for number, line in enumerate(attempt.lines, 1):
        share = number / (len(attempt.lines) + 1)
        time = _milliseconds(line.get("time", attempt.began + share * (attempt.ended - attempt.began)))
        for name, value in line["values"].items():
            key = f"{name}/{place}"
            if not isinstance(value, int | float) or not math.isfinite(value):
                strange[key] = strange.get(key, 0) + 1
                continue
            curve = curves.setdefault(key, [])
            step = len(curve) if line["step"] is None else int(line["step"])
            curve.append(Point(key, step, time, float(value)))
    for key, count in before.items():
        repeated = {point.step for point in curves[key][count:]}
        curves[key][:count] = [point for point in curves[key][:count] if point.step not in repeated]


def _milliseconds(seconds: float) -> int:
    return max(1, round(seconds * 1000))
