"""Find out what became of a submission: ask the ledger and the host's list before anything is sent."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from kagkit.foundation.errors import HostError, Problem
from kagkit.host.answers import HostSubmission
from kagkit.host.asking import Host
from kagkit.host.refusals import RefusedHostError, UnclearHostError
from kagkit.workspace.layout import Workspace
from kagkit.workspace.ledger import add_event, moment_of, read_events

FACTS = ("competition", "host", "tag", "attempt", "run", "submission")
SETTLES = "the next `kagkit submit` of the same file, or `kagkit lb sync`, settles it before anything is sent"


@dataclass(frozen=True)
class Attempt:
    """A try to submit whose outcome the ledger does not know.

    Attributes:
        tag: The tag of what was to be submitted.
        line: The ledger's line of the intent.
    """

    tag: str
    line: dict[str, Any]

    @property
    def age(self) -> float:
        """Seconds since it began; 0 where a clock was changed meanwhile."""
        return max(0.0, (datetime.now(UTC) - moment_of(self.line)).total_seconds())


def events_at(host: Host, workspace: Workspace) -> list[dict[str, Any]]:
    """What the ledger tells of this competition at this host: a rehearsal's submissions are another's."""
    here = {"competition": host.door.competition, "host": host.door.place}
    return [
        line
        for line in read_events(workspace)
        if all(line.get(name) in (None, value) for name, value in here.items())
    ]


def open_attempts(events: Iterable[dict[str, Any]], tag: str | None = None) -> list[Attempt]:
    """The attempts, all or those of a tag, that were begun and not settled, oldest first."""
    begun: dict[str, Attempt] = {}
    ended: set[str] = set()
    for line in events:
        if line.get("event") == "intent" and isinstance(line.get("tag"), str):
            begun[str(line.get("attempt"))] = Attempt(line["tag"], line)
        elif line.get("event") in ("submitted", "refused"):
            ended.add(str(line.get("attempt")))
    sent = {line.get("tag") for line in events if line.get("event") == "submitted"}
    return [
        attempt
        for name, attempt in begun.items()
        if name not in ended and attempt.tag not in sent and tag in (None, attempt.tag)
    ]


def ref_of(events: Iterable[dict[str, Any]], tag: str) -> int | None:
    """The host's number of what was submitted under a tag, as the ledger has it."""
    refs = [line["ref"] for line in events if line.get("event") == "submitted" and line.get("tag") == tag]
    return refs[-1] if refs else None


def settle(host: Host, workspace: Workspace, tag: str) -> HostSubmission | None:
    """What the host has under a tag; None where it certainly has nothing, and nothing is on its way.

    Attempts that a crash or the network left open are waited for: until the host lists them, or until
    it must have. What is found is written to the ledger.

    Raises:
        HostError: The host cannot be asked.
        UnclearHostError: It has accepted more than it lists: whether ours is among it is not known.
    """
    events = events_at(host, workspace)
    listed = host.submissions()
    found = under(listed, tag)
    if found is not None:
        note_found(workspace, found, tag, events)
        return found
    ref = ref_of(events, tag)
    if ref is not None and (known := _ask_for(host, ref, tag)) is not None:
        return known
    attempts = open_attempts(events, tag)
    if not attempts:
        return None
    lag = host.door.patience.lag
    remaining = max(lag - attempt.age for attempt in attempts)
    if remaining > 0:
        host.door.tell(f"an earlier try may be on its way; looking for {min(remaining, lag):.0f} s")
    for _ in looks(host, remaining):
        listed = host.submissions()
        found = under(listed, tag)
        if found is not None:
            note_found(workspace, found, tag, events)
            return found
    for attempt in attempts:
        close(host, workspace, attempt, listed)
    return None


def close(host: Host, workspace: Workspace, attempt: Attempt, listed: list[HostSubmission]) -> None:
    """Write down that the host never took an attempt, once it must have listed it.

    Raises:
        UnclearHostError: The host counts more new submissions than it lists.
    """
    before = attempt.line.get("total"), attempt.line.get("listed")
    if isinstance(before[0], int) and isinstance(before[1], int):
        accepted, shown = host.limits().total - before[0], len(listed) - before[1]
        if accepted > shown:
            found = f"it counts {accepted} new submissions and lists {max(shown, 0)}"
            problem = Problem("host", found, hint=f"its list is behind; {SETTLES}")
            raise UnclearHostError("whether it was submitted is not known", [problem])
    told = {name: attempt.line.get(name) for name in FACTS}
    add_event(workspace, "refused", told | {"reason": "the host never listed it"})


def looks(host: Host, seconds: float) -> Iterator[None]:
    """Moments to look at the host's list, ever rarer, the last of them after so many seconds."""
    end = time.monotonic() + seconds
    for pause in host.door.patience.looks:
        left = end - time.monotonic()
        if left <= 0:
            break
        time.sleep(min(pause, left))
        yield
    left = end - time.monotonic()
    if left > 0:
        time.sleep(left)
        yield


def under(listed: Iterable[HostSubmission], tag: str) -> HostSubmission | None:
    """The submission with a tag in its description; the first one where a host has several."""
    found = [submission for submission in listed if submission.tag == tag]
    return min(found, key=lambda submission: submission.ref) if found else None


def note_found(
    workspace: Workspace, found: HostSubmission, tag: str, events: Iterable[dict[str, Any]]
) -> None:
    """Write into the ledger that the host has what was intended, unless it is there already."""
    if any(line.get("event") == "submitted" and line.get("ref") == found.ref for line in events):
        return
    intents = [line for line in events if line.get("event") == "intent" and line.get("tag") == tag]
    if intents:
        told = {name: intents[-1].get(name) for name in (*FACTS, "sha256")}
        add_event(workspace, "submitted", told | {"ref": found.ref})


def _ask_for(host: Host, ref: int, tag: str) -> HostSubmission | None:
    """A submission that the ledger knows and the list does not show (yet).

    None where the number is one of an earlier host on this machine, which has given it to something else, or
    to nothing yet: a host of kagkit's knows every number from the moment it gives it.
    """
    try:
        found = host.submission(ref)
    except UnclearHostError:
        raise
    except HostError as error:
        if host.door.loopback and isinstance(error, RefusedHostError) and error.status == 404:
            return None
        return HostSubmission(ref, "PENDING")
    return found if found.tag in (None, tag) else None  # a description can be edited at the host
