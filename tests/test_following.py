from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kagkit.runs.following import Follower


def _line(done: float, total: float = 10) -> str:
    return json.dumps({"event": "progress", "done": done, "total": total}) + "\n"


@pytest.fixture
def events(tmp_path: Path) -> Path:
    """The events of a task."""
    return tmp_path / "events.jsonl"


def test_each_line_is_told_once_and_only_the_newest(events: Path) -> None:
    follower = Follower()
    assert follower.progress(events) is None
    events.write_text(_line(1) + _line(2))
    assert follower.progress(events) == (2.0, 10.0)
    assert follower.progress(events) is None
    with events.open("a") as stream:
        stream.write('{"event": "log", "values": {}}\n' + _line(3))
    assert follower.progress(events) == (3.0, 10.0)


def test_a_task_that_forgets_what_it_told_is_followed_further(events: Path) -> None:
    follower = Follower()
    events.write_text(_line(1) + _line(2) + _line(3))
    assert follower.progress(events) == (3.0, 10.0)
    events.write_text(_line(1))
    assert follower.progress(events) is None
    with events.open("a") as stream:
        stream.write(_line(2))
    assert follower.progress(events) == (2.0, 10.0)


def test_a_line_is_read_when_it_is_whole(events: Path) -> None:
    follower, text = Follower(), _line(4)
    events.write_text(text[:9])
    assert follower.progress(events) is None
    events.write_text(text[:-1])
    assert follower.progress(events) is None
    events.write_text(text)
    assert follower.progress(events) == (4.0, 10.0)


def test_a_line_that_a_crash_cut_is_passed_over(events: Path) -> None:
    events.write_text(_line(5) + '{"event": "prog\n' + '{"event": "log"}\n\n')
    assert Follower().progress(events) == (5.0, 10.0)


def test_tasks_are_followed_apart(events: Path) -> None:
    follower, other = Follower(), events.with_name("other.jsonl")
    events.write_text(_line(1))
    other.write_text(_line(7, 8))
    assert (follower.progress(events), follower.progress(other)) == ((1.0, 10.0), (7.0, 8.0))


@settings(max_examples=50, deadline=None)
@given(steps=st.lists(st.integers(1, 40), min_size=1, max_size=12), count=st.integers(1, 8))
def test_wherever_a_look_falls_no_progress_is_lost_or_told_twice(
    steps: list[int], count: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    events = tmp_path_factory.mktemp("events") / "events.jsonl"
    text = "".join(_line(number) for number in range(count))
    follower, told, end = Follower(), [], 0
    for step in [*steps, len(text)]:
        end = min(end + step, len(text))
        events.write_text(text[:end])
        told.append(follower.progress(events))
    numbers = [progress[0] for progress in told if progress is not None]
    assert numbers == sorted(set(numbers))
    assert numbers[-1] == count - 1
