"""Read what a host answers into values with types; keep a status that the client does not know."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

STATUSES = ("PENDING", "COMPLETE", "ERROR")
TAG = re.compile(r"\bkagkit:([0-9a-f]{12})\b")


@dataclass(frozen=True)
class HostSubmission:
    """A submission as the host lists it; times in UTC, scores None where the host does not show them.

    Attributes:
        ref: The host's number for it.
        status: `PENDING`, `COMPLETE`, `ERROR`, or whatever else the host says.
        file_name: The name of the file.
        date: When the host took it.
        description: The text sent with it.
        public: The public score.
        private: The private score.
        error: The host's reason, where the status is `ERROR`.
        submitted_by: Who of the team sent it.
        file_bytes: The file's size; None where not told.
        team: The team's name.
    """

    ref: int
    status: str
    file_name: str = ""
    date: datetime | None = None
    description: str = ""
    public: float | None = None
    private: float | None = None
    error: str = ""
    submitted_by: str = ""
    file_bytes: int | None = None
    team: str = ""

    @property
    def tag(self) -> str | None:
        """The twelve digits by which kagkit knows its submissions; None where it was sent otherwise."""
        return tag_of(self.description)


@dataclass(frozen=True)
class Limits:
    """How often the team submitted, and how often it still may.

    Attributes:
        today: Submissions of today.
        total: Submissions ever.
        left: How many are left now; None where the host does not know the team yet.
        by_total: Whether the limit is one of the whole competition, not of a day.
    """

    today: int
    total: int
    left: int | None
    by_total: bool = False


@dataclass(frozen=True)
class BoardLine:
    """A line of the public leaderboard; `date` in UTC."""

    team_id: int
    team: str
    score: float | None
    date: datetime | None


@dataclass(frozen=True)
class HostFile:
    """A file of the competition's data; `date` in UTC."""

    name: str
    bytes: int
    date: datetime | None


@dataclass(frozen=True)
class CompetitionFacts:
    """What the host says of a competition; times in UTC, None where it does not say.

    Attributes:
        title: Its title.
        deadline: The last moment for submissions that count.
        entered: Whether the rules were accepted.
        metric: The host's name for the metric.
        daily: Submissions allowed a day.
        notebooks_only: Whether only notebooks may submit.
        closed: Whether the host takes no submissions at all.
        merger_deadline: The last moment to join teams.
        awards: Whether it awards medals.
    """

    title: str
    deadline: datetime | None
    entered: bool
    metric: str
    daily: int
    notebooks_only: bool
    closed: bool
    merger_deadline: datetime | None
    awards: bool


def tag_of(description: str) -> str | None:
    """The tag in a submission's description.

    Example:
        >>> tag_of("exp001/3 kagkit:0123456789ab deeper"), tag_of("by hand")
        ('0123456789ab', None)
    """
    match = TAG.search(description)
    return match[1] if match else None


def read_submission_answer(answer: dict[str, Any]) -> HostSubmission:
    """A submission of `ListSubmissions` or `GetSubmission`; what the host leaves out has its default."""
    size = answer.get("totalBytes")
    return HostSubmission(
        ref=int(answer.get("ref") or 0),
        status=read_status(answer.get("status")),
        file_name=_text(answer, "fileName"),
        date=read_time(answer.get("date")),
        description=_text(answer, "description"),
        public=read_score(answer.get("publicScore")),
        private=read_score(answer.get("privateScore")),
        error=_text(answer, "errorDescription"),
        submitted_by=_text(answer, "submittedBy"),
        file_bytes=int(size) if size else None,
        team=_text(answer, "teamName"),
    )


def read_limits(answer: dict[str, Any]) -> Limits:
    """The answer of `GetSubmissionLimits`: all zero, or empty, where the user is on no team yet."""
    today, total, left = (int(answer.get(name) or 0) for name in ("numToday", "numTotal", "numAllowedNow"))
    known = bool(today or total or left)
    return Limits(today, total, left if known else None, bool(answer.get("limitedByTotal")))


def read_board_line(answer: dict[str, Any]) -> BoardLine:
    """A line of `GetLeaderboard`."""
    date = read_time(answer.get("submissionDate"))
    return BoardLine(
        int(answer.get("teamId") or 0), _text(answer, "teamName"), read_score(answer.get("score")), date
    )


def read_host_file(answer: dict[str, Any]) -> HostFile:
    """A file of `ListDataFiles`."""
    size = int(answer.get("totalBytes") or 0)
    return HostFile(_text(answer, "name"), size, read_time(answer.get("creationDate")))


def read_competition_facts(answer: dict[str, Any]) -> CompetitionFacts:
    """The answer of `GetCompetition`."""
    return CompetitionFacts(
        title=_text(answer, "title"),
        deadline=read_time(answer.get("deadline")),
        entered=bool(answer.get("userHasEntered")),
        metric=_text(answer, "evaluationMetric"),
        daily=int(answer.get("maxDailySubmissions") or 0),
        notebooks_only=bool(answer.get("isKernelsSubmissionsOnly")),
        closed=bool(answer.get("submissionsDisabled")),
        merger_deadline=read_time(answer.get("mergerDeadline")),
        awards=bool(answer.get("awardsPoints")),
    )


def read_status(told: Any) -> str:
    """A status in the host's words, in capitals; left out, it is `PENDING`.

    Example:
        >>> [read_status(told) for told in ("SubmissionStatus.COMPLETE", "submission_status_error", 1, None)]
        ['COMPLETE', 'ERROR', 'COMPLETE', 'PENDING']
        >>> read_status("RUNNING")
        'RUNNING'
    """
    if told in (None, ""):
        return "PENDING"
    if type(told) is int:
        return STATUSES[told] if 0 <= told < len(STATUSES) else f"STATUS {told}"
    return str(told).upper().rpartition(".")[2].removeprefix("SUBMISSION_STATUS_")


def read_score(told: Any) -> float | None:
    """A score; hosts write it as text, and leave the text empty until they show it.

    Example:
        >>> read_score("0.77990"), read_score(""), read_score("None")
        (0.7799, None, None)
    """
    try:
        score = float(told)
    except (TypeError, ValueError):
        return None
    return score if math.isfinite(score) else None


def read_time(told: Any) -> datetime | None:
    """A time in UTC, whatever its digits after the second; None where there is none.

    Example:
        >>> str(read_time("2026-11-23T10:00:01.1234567Z"))
        '2026-11-23 10:00:01.123456+00:00'
        >>> str(read_time("2026-11-23 10:00:01"))
        '2026-11-23 10:00:01+00:00'
    """
    try:
        time = datetime.fromisoformat(str(told))
    except ValueError:
        return None
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)


def _text(answer: dict[str, Any], name: str) -> str:
    return str(answer.get(name) or "")
