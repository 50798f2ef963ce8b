"""Submit a file exactly once, whatever fails in between, and say what is certain."""

from __future__ import annotations

import re
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from typing import Any, Literal

from kagkit.foundation.errors import HostError, ManifestError, Problem, SubmissionError
from kagkit.foundation.files import digest_of, file_sha256, held, read_json
from kagkit.host.answers import HostSubmission, Limits
from kagkit.host.asking import Host
from kagkit.host.refusals import UnclearHostError
from kagkit.host.settling import FACTS, SETTLES, Attempt, close, looks, settle, under
from kagkit.judgement.blind import check_blind, find_origin, refuse_stops
from kagkit.judgement.checks import check_submission, expect
from kagkit.judgement.suspicions import Suspicion
from kagkit.workspace.layout import Workspace
from kagkit.workspace.ledger import add_event, scored_name

State = Literal["submitted", "already submitted", "refused", "unknown"]
DESCRIPTION, NAME = 200, 100  # how long a text hosts take is not told; the tag is never cut
NOTEBOOK = re.compile(r"[\w-]+/[\w-]+")


@dataclass(frozen=True)
class Notebook:
    """A version of a notebook that a host is to run: `owner/name`, its number, the file it writes."""

    name: str
    version: int
    file_name: str


@dataclass(frozen=True)
class Parcel:
    """What is to be submitted.

    Attributes:
        submission: Its name: `exp001-003`, or the file's.
        sha256: What it is known by: the file's digest, or that of the notebook's name, version and file.
        file: The file; None for a notebook.
        run: The run it is of; None for a file of other origin.
        notebook: The notebook; None for a file.
        blind: What the blind check found in the file.
        accepted: The checks of it that were told to stop nothing.
    """

    submission: str
    sha256: str
    file: Path | None = None
    run: str | None = None
    notebook: Notebook | None = None
    blind: tuple[Suspicion, ...] = ()
    accepted: tuple[str, ...] = ()

    @property
    def tag(self) -> str:
        """The twelve digits that the host shows in the description: equal files have equal ones."""
        return self.sha256[:12]

    def description(self, message: str) -> str:
        """The text to send with it."""
        name = (self.run or self.submission)[:NAME].replace(":", "-")  # whose own `kagkit:` would be the tag
        return f"{name} kagkit:{self.tag} {message}".strip()[:DESCRIPTION]


@dataclass(frozen=True)
class Outcome:
    """What became of a submission.

    Attributes:
        state: What is certain of it.
        submission: Its name.
        sha256: What it is known by.
        found: What the host has of it; None where it has nothing, or that is not known.
        remaining_today: How many submissions are left; None where not known.
        error: What stands against it, as it would be raised.
    """

    state: State
    submission: str
    sha256: str
    found: HostSubmission | None = None
    remaining_today: int | None = None
    error: SubmissionError | HostError | None = None

    def with_score(self, found: HostSubmission) -> Outcome:
        """The same, with what the host says by now."""
        error = None
        if found.status == "ERROR":
            problem = Problem(self.submission, found.error or "the host gives no reason")
            error = SubmissionError(f"the host could not score submission {found.ref}", [problem])
        return replace(self, found=found, error=error)


def parcel_of_file(workspace: Workspace, path: Path, accepted: Sequence[str] = ()) -> Parcel:
    """Check a file by the sample submission and blindly, and take it: as its run's, where it was packaged.

    Args:
        workspace: The workspace.
        path: The file.
        accepted: Blind checks that stop nothing, by name.

    Raises:
        SubmissionError: It is not what the host asks for, or a blind check stops it.
        ManifestError: There is no such check.
    """
    expected = expect(workspace.root, workspace.competition, workspace.stage)
    problems = check_submission(path, expected) if expected is not None else []
    if problems:
        raise SubmissionError("not submitted: the file is not what the host asks for", problems)
    blind = tuple(check_blind(workspace, path, find_origin(workspace, path)))
    refuse_stops(blind, accepted)
    looked: dict[str, Any] = {"blind": blind, "accepted": tuple(accepted)}
    sha256 = file_sha256(path)
    provenance = path.resolve().with_name("provenance.json")
    if provenance.is_file() and provenance.parent.parent == workspace.submissions.resolve():
        told = read_json(provenance)
        if told["submission"]["sha256"] == sha256:
            run = scored_name(told["run"], told.get("variant", ""))
            return Parcel(provenance.parent.name, sha256, path, run, **looked)
    return Parcel(path.name, sha256, path, **looked)


def parcel_of_notebook(notebook: Notebook, run: str | None) -> Parcel:
    """Take a version of a notebook.

    Raises:
        ManifestError: Its name is not `owner/name`.
    """
    if not NOTEBOOK.fullmatch(notebook.name):
        raise ManifestError("no such notebook", [Problem("-k", notebook.name, "OWNER/NOTEBOOK")])
    sha256 = digest_of({"notebook": notebook.name, "version": notebook.version, "file": notebook.file_name})
    name = f"{notebook.name} version {notebook.version}"
    return Parcel(name, sha256, run=run, notebook=notebook)


def submit(host: Host, workspace: Workspace, parcel: Parcel, message: str = "") -> Outcome:
    """Submit, unless the host has it already.

    One kagkit at a time submits from a workspace. The intent is in the ledger before anything is sent, and
    the host's list is read before an intent is acted upon again.

    Raises:
        HostError: The host cannot be asked, or the upload failed: nothing was submitted.
        RunError: The ledger cannot be written: nothing was submitted that it does not know of.
    """
    with held(workspace.cache / "submit.lock"):
        known = settle(host, workspace, parcel.tag)
        if known is not None:
            return Outcome("already submitted", parcel.submission, parcel.sha256).with_score(known)
        limits = host.limits()
        if limits.left == 0:
            return _short_of(parcel, "refused", _none_left(limits), limits)
        return _send(host, workspace, parcel, message, limits)


def _send(host: Host, workspace: Workspace, parcel: Parcel, message: str, limits: Limits) -> Outcome:
    facts: dict[str, Any] = {
        "competition": host.door.competition,
        "host": host.door.place,
        "tag": parcel.tag,
        "attempt": uuid.uuid4().hex[:8],
        "run": parcel.run,
        "submission": parcel.submission,
    }
    facts |= {"accepted": list(parcel.accepted)} if parcel.accepted else {}
    before = _count(host, limits)
    intent = add_event(workspace, "intent", facts | {"sha256": parcel.sha256} | before)
    try:
        ref = _hand_over(host, parcel, message)
    except UnclearHostError as error:
        return _read_back(host, workspace, parcel, Attempt(parcel.tag, intent), error)
    except HostError as error:
        add_event(workspace, "refused", facts | {"reason": error.summary})
        return _short_of(parcel, "refused", error, limits)
    left = None if limits.left is None else limits.left - 1
    told = {} if left is None else {"left_today": left}
    add_event(workspace, "submitted", facts | {"sha256": parcel.sha256, "ref": ref} | told)
    return Outcome("submitted", parcel.submission, parcel.sha256, HostSubmission(ref, "PENDING"), left)


def _count(host: Host, limits: Limits) -> dict[str, int]:
    """How many submissions the host counts and how many it lists; nothing where one came in between.

    Counted but not listed, it would stand for ours for ever.
    """
    listed = len(host.submissions())
    known = limits.left is not None and host.limits().total == limits.total
    return {"total": limits.total, "listed": listed} if known else {}


def _hand_over(host: Host, parcel: Parcel, message: str) -> int:
    """Upload, which submits nothing, and submit; the submission's number.

    Raises:
        HostError: Certainly not submitted.
        UnclearHostError: Perhaps submitted.
    """
    description = parcel.description(message)
    if parcel.notebook is not None:
        notebook = parcel.notebook
        return host.submit_notebook(notebook.name, notebook.version, notebook.file_name, description)
    file = parcel.file or Path()
    try:
        token = host.upload(file)
    except UnclearHostError as error:
        raise HostError(f"not submitted: {error.summary}", error.problems) from error
    if file_sha256(file) != parcel.sha256:
        found = "changed while it was uploaded"
        raise HostError("not submitted", [Problem(parcel.submission, found, hint="run the command again")])
    return host.submit(token, description)


def _read_back(
    host: Host, workspace: Workspace, parcel: Parcel, attempt: Attempt, error: UnclearHostError
) -> Outcome:
    """Look for what was perhaps submitted, until the host must list it."""
    host.door.tell(f"{error.summary}; looking whether the host has it")
    facts = {name: attempt.line[name] for name in (*FACTS, "sha256")}
    try:
        listed: list[HostSubmission] = []
        for _ in looks(host, host.door.patience.lag):
            listed = host.submissions()
            found = under(listed, parcel.tag)
            if found is not None:
                add_event(workspace, "submitted", facts | {"ref": found.ref})
                return Outcome("submitted", parcel.submission, parcel.sha256).with_score(found)
        close(host, workspace, attempt, listed)
    except HostError as silence:
        add_event(workspace, "unknown", facts | {"reason": error.summary})
        return _short_of(parcel, "unknown", _unknown(error, silence))
    problems = [*error.problems, Problem("host", "it does not list the submission", hint="submit again")]
    return _short_of(parcel, "refused", HostError("the host did not take the submission", problems))


def _short_of(
    parcel: Parcel, state: State, error: SubmissionError | HostError, limits: Limits | None = None
) -> Outcome:
    left = limits.left if limits is not None else None
    return Outcome(state, parcel.submission, parcel.sha256, None, left, error)


def _unknown(*errors: HostError) -> HostError:
    problems = [problem for error in errors for problem in error.problems]
    problem = Problem("submission", "sent, and not known whether it arrived", hint=SETTLES)
    return HostError("whether it was submitted is not known", [*problems, problem])


def _none_left(limits: Limits) -> SubmissionError:
    if limits.by_total:
        problem = Problem("submissions", f"{limits.total} of all that are allowed were made")
        return SubmissionError("not submitted: none are left in this competition", [problem])
    tomorrow = datetime.combine(datetime.now(UTC).date() + timedelta(days=1), time(), UTC)
    local = tomorrow.astimezone()
    hint = f"the day turns at {tomorrow:%Y-%m-%d %H:%M} UTC ({local:%Y-%m-%d %H:%M %Z} here)"
    problem = Problem("submissions", f"{limits.today} were made today, none is left", hint=hint)
    return SubmissionError("not submitted: none is left today", [problem])
