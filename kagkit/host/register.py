"""Keep what happens at a host in one append-only ledger, lose nothing to a kill, hold the limits."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from kagkit.foundation.errors import HostError, Problem
from kagkit.foundation.files import append_json_line, held, read_json_lines
from kagkit.host.terms import Terms

LEDGER = "state/ledger.jsonl"
Status = Literal["PENDING", "COMPLETE", "ERROR"]


@dataclass(frozen=True)
class Upload:
    """A file that a participant said was to come.

    Attributes:
        token: Its secret name, and that of the file under state/uploads.
        user: Who sends it.
        name: What the participant calls it.
        size: How many bytes it has.
    """

    token: str
    user: str
    name: str
    size: int


@dataclass(frozen=True)
class Submission:
    """One submission and what became of it.

    Attributes:
        ref: Its number, from 1.
        user: Who submitted it.
        team: Whose it is.
        token: The uploaded file.
        name: What the participant calls the file.
        size: Its bytes.
        description: The participant's words.
        stage: The stage whose solution scores it.
        time: When it was accepted.
        late: Whether that was after the stage's deadline, or after the end.
        status: PENDING until it is scored or refused.
        public: The score on the public rows.
        private: The score on the private rows.
        error: Why it was refused, in words the participant may read.
    """

    ref: int
    user: str
    team: str
    token: str
    name: str
    size: int
    description: str
    stage: str
    time: datetime
    late: bool
    status: Status = "PENDING"
    public: float | None = None
    private: float | None = None
    error: str = ""


@dataclass(frozen=True)
class Allowance:
    """What a team has submitted, and may still submit.

    Attributes:
        today: Submissions since 00:00 UTC; those that ended in an error do not count, here and below.
        total: All submissions.
        left: How many may be made now.
        by_total: Whether it is the total that leaves so few.
    """

    today: int
    total: int
    left: int
    by_total: bool


@dataclass
class Events:
    """All that the ledger tells, folded line by line.

    Attributes:
        uploads: By token.
        submissions: By number, in order.
        datasets: By `owner/slug`: its versions, oldest first, as they were written.
        kernels: By `owner/slug`: its versions, oldest first, as they were written.
        pending: The numbers of submissions that are not scored yet, in order.
        stage: The stage that runs.
        closed: Whether the competition is over.
    """

    uploads: dict[str, Upload] = field(default_factory=dict)
    submissions: dict[int, Submission] = field(default_factory=dict)
    datasets: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    kernels: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    pending: dict[int, None] = field(default_factory=dict)
    stage: str = "1"
    closed: bool = False

    def take(self, line: dict[str, Any]) -> None:
        """Fold one line in."""
        kind, facts = line["event"], {k: v for k, v in line.items() if k not in ("event", "time")}
        match kind:
            case "upload":
                self.uploads[facts["token"]] = Upload(**facts)
            case "submission":
                time = datetime.fromisoformat(line["time"])
                self.submissions[facts["ref"]] = Submission(**facts, time=time)
                self.pending[facts["ref"]] = None
            case "scored":
                self._settle(
                    facts["ref"], status="COMPLETE", public=facts["public"], private=facts["private"]
                )
            case "refused":
                self._settle(status="ERROR", **facts)
            case "dataset":
                self.datasets.setdefault(f"{facts['owner']}/{facts['slug']}", []).append(line)
            case "kernel":
                self.kernels.setdefault(f"{facts['owner']}/{facts['slug']}", []).append(line)
            case "stage":
                self.stage = facts["stage"]
            case "closed":
                self.closed = True

    def _settle(self, ref: int, **outcome: Any) -> None:
        # The first word stands: a submission scored twice, by two servers say, keeps its score.
        if self.submissions[ref].status == "PENDING":
            self.submissions[ref] = replace(self.submissions[ref], **outcome)
            del self.pending[ref]


class Register:
    """The ledger of one host, shared by every process that works in its folder.

    Args:
        root: The host's folder.
        terms: The competition.
        clock: What time it is; for tests.
    """

    def __init__(
        self, root: Path, terms: Terms, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self.root = root
        self.terms = terms
        self.clock = clock
        self._path = root / LEDGER
        self._events = Events()
        self._offset = 0
        self._turn = threading.RLock()
        # Uploads, scores and the secret are nobody's business on a machine that participants work on, too.
        self._path.parent.mkdir(mode=0o700, exist_ok=True)

    @property
    def events(self) -> Events:
        """All that has happened up to now, whoever wrote it."""
        with self._turn:
            self._catch_up()
            return self._events

    @property
    def submissions(self) -> list[Submission]:
        """Every submission up to now, oldest first."""
        with self._turn:
            return list(self.events.submissions.values())

    @property
    def pending(self) -> list[Submission]:
        """The submissions that are not scored yet, oldest first."""
        with self._turn:
            self._catch_up()
            return [self._events.submissions[ref] for ref in self._events.pending]

    def _catch_up(self) -> None:
        """Fold what was written since the last look; a line that is still being written waits."""
        size = self._path.stat().st_size if self._path.exists() else 0
        if size <= self._offset:
            return
        with self._path.open("rb") as stream:
            stream.seek(self._offset)
            whole, newline, _ = stream.read().rpartition(b"\n")
        try:
            lines = [json.loads(line) for line in whole.split(b"\n") if line.strip()]
        except ValueError:
            read_json_lines(self._path)  # says which line
            raise
        for line in lines:
            self._events.take(line)
        self._offset += len(whole) + len(newline)

    @contextmanager
    def _writing(self) -> Iterator[Events]:
        """Be the only writer, here and in other processes, with everything read."""
        with self._turn, held(self.root / "state" / "lock"):
            yield self.events

    def _write(self, event: str, **facts: Any) -> None:
        time = self.clock().isoformat(timespec="milliseconds")
        append_json_line(self._path, {"event": event, "time": time, **facts})
        self._catch_up()

    def note(self, event: str, **facts: Any) -> None:
        """Write that something happened."""
        with self._writing():
            self._write(event, **facts)

    def note_version(self, event: str, owner: str, slug: str, **facts: Any) -> int:
        """Write that a dataset or kernel has a new version; its number, from 1."""
        with self._writing() as events:
            versions = events.datasets if event == "dataset" else events.kernels
            number = len(versions.get(f"{owner}/{slug}", [])) + 1
            self._write(event, owner=owner, slug=slug, version=number, **facts)
        return number

    def allowance(self, team: str) -> Allowance:
        """What a team may still submit, by the day in UTC and in all."""
        today = self.clock().astimezone(UTC).date()
        counted = [
            item.time.astimezone(UTC).date()
            for item in self.submissions
            if item.team == team and item.status != "ERROR"
        ]
        limits = self.terms.limits
        today_left = max(limits.daily - counted.count(today), 0)
        in_all = today_left if limits.total is None else max(limits.total - len(counted), 0)
        return Allowance(counted.count(today), len(counted), min(today_left, in_all), in_all < today_left)

    def submit(self, upload: Upload, user: str, description: str) -> Submission:
        """Accept a submission of an uploaded file; once for each upload, however often it is asked.

        Raises:
            HostError: The team may submit no more now.
        """
        with self._writing() as events:
            for known in events.submissions.values():
                if known.token == upload.token:
                    return known
            team = self.terms.team_of(user)
            if self.allowance(team).left < 1:
                raise HostError(self._refusal(team), [Problem(team, "no submission left")])
            ref = len(events.submissions) + 1
            self._write(
                "submission",
                ref=ref,
                user=user,
                team=team,
                token=upload.token,
                name=upload.name,
                size=upload.size,
                description=description,
                stage=events.stage,
                late=self._is_late(events),
            )
            return events.submissions[ref]

    def _is_late(self, events: Events) -> bool:
        ends = self.terms.stages[events.stage].ends
        return events.closed or (ends is not None and self.clock() > ends)

    def _refusal(self, team: str) -> str:
        if self.allowance(team).by_total:
            return f"Submission limit ({self.terms.limits.total} in all) has been reached."
        return (
            f"Submission limit ({self.terms.limits.daily} per day) has been reached. "
            "You can submit again after 00:00 UTC."
        )

    def settle(self, ref: int, outcome: dict[str, Any]) -> None:
        """Write a submission's scores (`public`, `private`) or why it was refused (`error`), once."""
        with self._writing() as events:
            if events.submissions[ref].status == "PENDING":
                self._write("refused" if "error" in outcome else "scored", ref=ref, **outcome)

    def release(self) -> str:
        """Begin the next stage; its number.

        Raises:
            HostError: There is none, or the competition is over.
        """
        with self._writing() as events:
            number = str(int(events.stage) + 1)
            if events.closed:
                raise HostError("the competition is closed: no stage begins any more")
            if number not in self.terms.stages:
                problem = Problem(
                    "host.yaml", f"stages: no stage {number}", hint=f"declare `{number}: {{…}}`"
                )
                raise HostError(f"stage {events.stage} is the last one", [problem])
            self._write("stage", stage=number)
        return number

    def close(self) -> None:
        """End the competition, which opens the private scores.

        Raises:
            HostError: It is over already.
        """
        with self._writing() as events:
            if events.closed:
                raise HostError("the competition is closed already")
            self._write("closed")
