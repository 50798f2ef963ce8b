from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from kagkit.workspace.tally import count_submissions

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def sent(hour: int, ref: int, **facts: Any) -> dict[str, Any]:
    return {"event": "submitted", "time": f"2026-03-01T{hour:02}:00:00+00:00", "ref": ref, **facts}


def scored(ref: int, status: str) -> dict[str, Any]:
    return {"event": "score", "time": "2026-03-01T11:30:00+00:00", "ref": ref, "status": status}


def counted(*events: dict[str, Any]) -> tuple[int, int | None, list[str]]:
    told = count_submissions(events, NOON, UTC)
    return told["used_today"], told["left_today"], told["pending"]


def test_a_submission_that_ended_in_an_error_is_none_of_the_days() -> None:
    first, second = sent(8, 1, left_today=4), sent(9, 2, left_today=3)
    assert counted(first, second, scored(1, "COMPLETE")) == (2, 3, ["2"])
    assert counted(first, second, scored(1, "COMPLETE"), scored(2, "ERROR")) == (1, 4, [])
    assert counted(first, scored(1, "ERROR")) == (0, 5, [])


def test_an_error_after_what_the_host_last_said_takes_nothing() -> None:
    first = sent(8, 1, left_today=4)
    assert counted(first, sent(9, 2), sent(10, 3), scored(2, "ERROR")) == (2, 3, ["1", "3"])


def test_an_error_before_what_the_host_last_said_gives_nothing_back_twice() -> None:
    events = sent(8, 1, left_today=4), scored(1, "ERROR"), sent(9, 2, left_today=4)
    assert counted(*events) == (1, 4, ["2"])
