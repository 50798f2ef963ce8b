from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kagkit.foundation.errors import DataError
from kagkit.foundation.files import append_json_line, write_json
from kagkit.tracking.curves import LONGEST, Logged, Point, read_logged

TRAIN = {"kind": "train", "seed": 0, "fold": 1, "row_sets": []}
START, END = {"event": "started", "time": 100.0}, {"event": "finished", "seconds": 10.0}


def log(step: int | None, **values: Any) -> dict[str, Any]:
    return {"event": "log", "step": step, "values": values}


def task(folder: Path, *events: dict[str, Any]) -> Path:
    """A finished task that left these events."""
    write_json(folder / "spec.json", TRAIN)
    for event in events:
        append_json_line(folder / "events.jsonl", event)
    return folder


def read(folder: Path) -> Logged:
    logged = read_logged(folder)
    assert logged is not None
    return logged


def test_values_become_a_curve_spread_over_the_task(tmp_path: Path) -> None:
    progress = {"event": "progress", "done": 1, "total": 2}
    logged = read(task(tmp_path, START, log(0, loss=1.0), progress, log(1, loss=0.5), log(2, loss=0.25), END))
    assert (logged.began, logged.ended) == (100_000, 110_000)
    assert logged.points == tuple(
        Point("loss/seed0-fold1", step, 102_500 + 2_500 * step, 0.5**step) for step in range(3)
    )


def test_values_without_a_step_are_counted(tmp_path: Path) -> None:
    logged = read(task(tmp_path, START, log(None, a=1.0), log(None, b=5.0), log(None, a=2.0), END))
    found = [(point.key, point.step, point.value) for point in logged.points]
    assert found == [("a/seed0-fold1", 0, 1.0), ("a/seed0-fold1", 1, 2.0), ("b/seed0-fold1", 0, 5.0)]


def test_a_line_that_tells_its_time_keeps_it(tmp_path: Path) -> None:
    logged = read(task(tmp_path, START, log(0, loss=1.0) | {"time": 101.5}, END))
    assert [point.time for point in logged.points] == [101_500]


def test_what_a_resumed_attempt_repeats_counts_once(tmp_path: Path) -> None:
    killed = [START, log(0, loss=1.0), log(1, loss=0.6), log(2, loss=0.4)]
    resumed = [{"event": "started", "time": 200.0}, log(2, loss=0.5), log(3, loss=0.2), END]
    logged = read(task(tmp_path, *killed, *resumed))
    assert [(point.step, point.value) for point in logged.points] == [(0, 1.0), (1, 0.6), (2, 0.5), (3, 0.2)]
    assert (logged.began, logged.ended) == (200_000, 210_000)


def test_what_is_no_number_is_told_and_not_shown(tmp_path: Path) -> None:
    logged = read(task(tmp_path, START, log(0, loss="nan"), log(1, loss="inf"), log(2, loss=0.5), END))
    assert [point.step for point in logged.points] == [2]
    assert logged.notes == ("loss/seed0-fold1: 2 values that are no numbers",)


def test_a_long_curve_is_thinned_and_says_so(tmp_path: Path) -> None:
    folder = task(tmp_path, START)
    lines = "".join(f'{{"event":"log","step":{n},"values":{{"loss":{n}.5}}}}\n' for n in range(5000))
    (folder / "events.jsonl").write_text((folder / "events.jsonl").read_text() + lines)
    logged = read(folder)
    assert (len(logged.points), logged.points[0].step, logged.points[-1].step) == (LONGEST, 0, 4999)
    assert logged.notes == ("loss/seed0-fold1: 1,000 of 5,000 points",)


def test_a_task_that_is_gone_tells_nothing(tmp_path: Path) -> None:
    assert read_logged(tmp_path / "gone") is None
    assert read_logged(task(tmp_path)) is None


def test_damaged_events_are_refused(tmp_path: Path) -> None:
    (task(tmp_path, START) / "events.jsonl").write_text("{\n")
    with pytest.raises(DataError, match=r"events\.jsonl is damaged"):
        read_logged(tmp_path)


VALUES = st.floats(allow_nan=False, allow_infinity=False) | st.sampled_from(["nan", "inf", "-inf"])
EVENTS = st.lists(
    st.builds(log, st.none() | st.integers(0, 9), loss=VALUES)
    | st.builds(lambda second: START | {"time": 100.0 + second}, st.integers(0, 5)),
    max_size=30,
)


@settings(max_examples=50, deadline=None)
@given(EVENTS)
def test_whatever_was_logged_is_read_the_same_again_and_in_time(events: list[dict[str, Any]]) -> None:
    with tempfile.TemporaryDirectory() as place:
        folder = task(Path(place), START, *sorted(events, key=lambda event: event.get("time", 0)), END)
        logged = read(folder)
        assert read_logged(folder) == logged
    assert list(logged.points) == sorted(logged.points)
    assert all(100_000 <= point.time <= logged.ended for point in logged.points)
