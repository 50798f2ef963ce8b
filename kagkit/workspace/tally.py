"""Count submissions as the ledger knows them: this day's, what is left of the day, what has no score yet."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, time, timedelta, tzinfo
from typing import Any

from kagkit.workspace.ledger import moment_of

DONE = ("COMPLETE", "ERROR")


def count_submissions(
    events: Sequence[dict[str, Any]], now: datetime, zone: tzinfo | None = None
) -> dict[str, Any]:
    """What the ledger tells of submissions.

    Args:
        events: The ledger's events, oldest first.
        now: The time, with its zone.
        zone: The zone for local times; that of this machine by default.

    Returns:
        `used_today`: submissions of this day in UTC, team-mates' too where `lb sync` brought them home, those
        left out that ended in an error: a host of kagkit's does not count them, and Kaggle's rule is taken to
        be the same; `left_today`: what the host said of this day after the newest submission, less those that
        came since, None where it said nothing: at most this many, where a host counts errors after all;
        `day_turns` in UTC and local time (Kaggle's days are taken to end at 00:00 UTC); `pending`:
        submissions without a score, by name.

    Example:
        >>> event = {"event": "submitted", "time": "2026-03-01T09:00:00+00:00", "ref": 7, "left_today": 4}
        >>> noon = datetime(2026, 3, 1, 12, tzinfo=UTC)
        >>> told = count_submissions([event | {"submission": "a.csv"}], noon, UTC)
        >>> told["used_today"], told["left_today"], told["pending"]
        (1, 4, ['a.csv'])
    """
    today = now.astimezone(UTC).date()
    sent: dict[str, dict[str, Any]] = {}
    for line in filter(_is_sent, events):
        sent[_name(line)] = line | sent.get(_name(line), {})  # what was told when it went stays
    status = {_name(line): line.get("status") for line in events if line.get("event") == "score"}
    # A team-mate's that came home late may have gone before ours.
    made = [
        line for line in sorted(sent.values(), key=_sent_at) if _sent_at(line).astimezone(UTC).date() == today
    ]
    counts = [status.get(_name(line)) != "ERROR" for line in made]
    told = [at for at, line in enumerate(made) if "left_today" in line]
    left = None
    if told:
        newest = told[-1]  # the host counted it when it said what was left, before it ended in an error
        left = max(made[newest]["left_today"] + (not counts[newest]) - sum(counts[newest + 1 :]), 0)
    turn = datetime.combine(today + timedelta(days=1), time(), UTC)
    return {
        "used_today": sum(counts),
        "left_today": left,
        "day_turns": {
            "utc": turn.isoformat(timespec="minutes").replace("+00:00", "Z"),
            "local": turn.astimezone(zone).isoformat(timespec="minutes"),
        },
        "pending": [
            str(line.get("submission") or line.get("file") or name)
            for name, line in sent.items()
            if status.get(name, "PENDING") not in DONE
        ],
    }


def _is_sent(line: dict[str, Any]) -> bool:
    """Whether an event tells of a submission that the host has: ours as it went, anyone's as it is listed."""
    return line.get("event") == "submitted" or (line.get("event") == "score" and "ref" in line)


def _name(line: dict[str, Any]) -> str:
    """What tells submissions apart: the host's number, or the attempt."""
    return str(line.get("ref", line.get("attempt", line.get("time"))))


def _sent_at(line: dict[str, Any]) -> datetime:
    return moment_of(line | {"time": line["date"]}) if line.get("date") else moment_of(line)
