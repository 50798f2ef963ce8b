"""Bring the host's scores home from its list or its client's CSV, each once, settle what was open."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kagkit.foundation.errors import DataError, Problem
from kagkit.foundation.files import held, read_json
from kagkit.host.answers import HostSubmission, read_score, read_status, read_time
from kagkit.host.asking import Host
from kagkit.host.refusals import UnclearHostError
from kagkit.host.settling import Attempt, close, events_at, note_found, open_attempts, under
from kagkit.workspace.layout import Workspace
from kagkit.workspace.ledger import add_event, read_events, runs_by_ref, scored_name

HEADER = re.compile(r"^(?:ref,)?fileName,", re.MULTILINE)
COLUMNS = ("fileName", "date", "description", "status", "publicScore")


@dataclass(frozen=True)
class Line:
    """A submission as it is told: whose it is, and what is new in the ledger."""

    submission: HostSubmission
    run: str | None
    new: bool


def sync_scores(host: Host, workspace: Workspace) -> list[Line]:
    """Write what the host says of every submission of the team to the ledger, oldest first.

    Attempts that were open are settled: found in the host's list, or closed where it must have listed them.

    Raises:
        HostError: The host cannot be asked.
        DataError: The ledger is damaged.
    """
    with held(workspace.cache / "submit.lock"):
        listed = host.submissions()
        events = events_at(host, workspace)
        for attempt in open_attempts(events):
            found = under(listed, attempt.tag)
            if found is not None:
                note_found(workspace, found, attempt.tag, events)
            else:
                _close_where_certain(host, workspace, attempt, listed)
    return _note(workspace, sorted(listed, key=lambda found: found.ref), "kaggle")


def _close_where_certain(
    host: Host, workspace: Workspace, attempt: Attempt, listed: list[HostSubmission]
) -> None:
    """Close an attempt that the host must have listed; what stays open keeps no score from coming home."""
    name = attempt.line.get("submission")
    if attempt.age <= host.door.patience.lag:
        host.door.tell(f"{name}: sent {attempt.age:.0f} s ago and not listed yet; sync again in a minute")
        return
    try:
        close(host, workspace, attempt, listed)
    except UnclearHostError as error:
        host.door.tell(f"{name}: {error.summary}: {error.problems[0].found}")


def import_scores(workspace: Workspace, path: Path) -> list[Line]:
    """Write what a CSV of `kaggle competitions submissions -v` says to the ledger, oldest first.

    Older clients wrote no `ref` and no `privateScore`, and some write other lines before the header.

    Raises:
        DataError: It is no such file, or the ledger is damaged.
    """
    listed = read_csv(path)
    return _note(workspace, sorted(listed, key=lambda found: (found.ref, str(found.date))), path.name)


def read_csv(path: Path) -> list[HostSubmission]:
    """The submissions in a CSV of the kaggle client, in the file's order; a missing `ref` is 0.

    Raises:
        DataError: It is no such file; every line that cannot be read.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        raise DataError(f"{path.name} cannot be read", [Problem(path.name, type(error).__name__)]) from error
    header = HEADER.search(text)
    hint = "kaggle competitions submissions -v COMPETITION > submissions.csv"
    if header is None:
        problem = Problem(path.name, "no header", f"the columns {', '.join(COLUMNS)}", hint)
        raise DataError("not the kaggle client's list of submissions", [problem])
    rows = csv.DictReader(io.StringIO(text[header.start() :], newline=""))
    missing = [column for column in COLUMNS if column not in (rows.fieldnames or [])]
    if missing:
        problem = Problem(path.name, f"no column {', '.join(missing)}", hint=hint)
        raise DataError("not the kaggle client's list of submissions", [problem])
    found, problems = [], []
    before = text[: header.start()].count("\n")
    for row in rows:
        told = {name: (value or "").strip() for name, value in row.items() if isinstance(name, str)}
        if not any(told.values()):
            continue
        date, ref = read_time(told["date"]), told.get("ref", "")
        if date is None or (ref and not ref.isdigit()):
            problems.append(Problem(f"{path.name} line {before + rows.line_num}", "no submission", hint=hint))
            continue
        found.append(
            HostSubmission(
                int(ref or 0),
                read_status(told["status"]),
                told["fileName"],
                date,
                told["description"],
                read_score(told["publicScore"]),
                read_score(told.get("privateScore")),
            )
        )
    if problems:
        raise DataError(f"{path.name} cannot be used", problems)
    return found


def note_score(workspace: Workspace, found: HostSubmission, source: str) -> list[Line]:
    """Write what the host says of one submission to the ledger, unless it is there."""
    return _note(workspace, [found], source)


def _note(workspace: Workspace, listed: Iterable[HostSubmission], source: str) -> list[Line]:
    events = read_events(workspace)
    last = {_name_of(line): _told(line) for line in events if line.get("event") == "score"}
    # A number alone may be one of two hosts on this machine; a description may have been edited.
    runs, tags = runs_by_ref(events), _runs_by_tag(workspace, events)
    lines = []
    for found in listed:
        run = tags.get(found.tag or "") or runs.get(found.ref)
        facts = _facts(found) | {"run": run}
        new = found.status != "PENDING" and last.get(_name_of(facts)) != _told(facts)
        if new:
            add_event(workspace, "score", facts | {"source": source})
        lines.append(Line(found, run, new))
    return lines


def _facts(found: HostSubmission) -> dict[str, Any]:
    date = found.date.isoformat() if found.date is not None else None
    name = {"ref": found.ref} if found.ref else {}
    told = {"file": found.file_name, "date": date, "status": found.status}
    told |= {"error": found.error} if found.error else {}
    told |= {"submitted_by": found.submitted_by} if found.submitted_by else {}
    return name | told | {"public": found.public, "private": found.private}


def _name_of(line: dict[str, Any]) -> tuple[Any, ...]:
    """What a submission is known by: its number, or its file and date where there is none."""
    return (line["ref"],) if line.get("ref") else (line.get("file"), line.get("date"))


def _told(line: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(line.get(name) for name in ("status", "public", "private", "error", "run"))


def _runs_by_tag(workspace: Workspace, events: Iterable[dict[str, Any]]) -> dict[str, str]:
    """The run behind a tag, from the ledger and from what is packaged here."""
    packaged = {}
    for path in workspace.submissions.glob("*/provenance.json"):
        told = read_json(path)
        packaged[told["submission"]["sha256"][:12]] = scored_name(told["run"], told.get("variant", ""))
    sent = {line["tag"]: line["run"] for line in events if line.get("tag") and line.get("run")}
    return packaged | sent
