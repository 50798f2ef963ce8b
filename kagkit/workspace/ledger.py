"""Keep the leaderboard's ledger: what was submitted and how it scored, appended and never changed."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from kagkit.foundation.errors import DataError, ManifestError, Problem
from kagkit.foundation.files import (
    append_json_line,
    canonical_json,
    held,
    read_json_lines,
    told_when_unwritable,
    write_file,
)
from kagkit.workspace.layout import Workspace

SCORES = ("public", "private")
MERGED = "leaderboard.jsonl merge=union"
LONG_AGO = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True)
class Scores:
    """What the host gave a run's submission; None where it has not told."""

    public: float | None = None
    private: float | None = None


def scored_name(run: str, variant: str = "") -> str:
    """What scores are noted under: `exp001/3`, or `exp001/3:lb` for another than its first submission."""
    return f"{run}:{variant}" if variant else run


def add_scores(workspace: Workspace, run: str, scores: Scores) -> dict[str, Any]:
    """Append the host's scores of a run.

    Args:
        workspace: The workspace.
        run: The run: `exp001/3`; or what `scored_name` makes of it.
        scores: Public and private score; a None leaves what was told before.

    Returns:
        The line as it was written.

    Raises:
        ManifestError: A score is not a number.
        RunError: The ledger cannot be written.
    """
    for name, score in asdict(scores).items():
        if score is not None and not math.isfinite(score):
            raise ManifestError(f"{run}: not a score", [Problem(name, f"{score}", "a finite number")])
    told = {"run": run, "public": scores.public, "private": scores.private, "source": "by hand"}
    return add_event(workspace, "score", told)


def add_event(workspace: Workspace, event: str, facts: dict[str, Any]) -> dict[str, Any]:
    """Append an event with the present time, and let git merge the ledger line by line.

    Args:
        workspace: The workspace.
        event: `intent`, `submitted`, `refused`, `unknown` or `score`.
        facts: What to say of it.

    Returns:
        The line as it was written.

    Raises:
        RunError: The ledger cannot be written.
    """
    # Finer than a second: lines that git has merged are put into order by their time.
    line = {"event": event, "time": datetime.now(UTC).isoformat(timespec="microseconds")} | facts
    with held(workspace.cache / "leaderboard.lock"):
        append_json_line(workspace.leaderboard, line)
        _have_git_merge(workspace.root)
    return line


def _have_git_merge(root: Path) -> None:
    """In a git repository, let both sides' lines stand where two ledgers meet."""
    if not any((folder / ".git").exists() for folder in (root, *root.parents)):
        return
    path = root / ".gitattributes"
    with told_when_unwritable(path.name):
        before = path.read_text(encoding="utf-8") if path.exists() else ""
    if MERGED not in before.splitlines():
        gap = "" if before.endswith("\n") or not before else "\n"
        write_file(path, f"{before}{gap}{MERGED}\n")


def read_events(workspace: Workspace) -> list[dict[str, Any]]:
    """Every event, oldest first and each once, in whatever order git has left the lines.

    Raises:
        DataError: A line of the ledger is damaged, or is not what `add_event` writes.
    """
    lines = read_json_lines(workspace.leaderboard)
    if not all(map(_is_shaped, lines)):
        raise DataError(f"{workspace.leaderboard.name} is damaged", _misshapen(workspace.leaderboard, lines))
    once = {canonical_json(line): line for line in lines}
    return sorted(once.values(), key=moment_of)


def moment_of(line: dict[str, Any]) -> datetime:
    """When an event was; long ago where its line does not say."""
    try:
        time = datetime.fromisoformat(str(line.get("time")))
    except ValueError:
        return LONG_AGO
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time


def read_scores(workspace: Workspace) -> dict[str, Scores]:
    """The newest public and private score of every run, by its name.

    Raises:
        DataError: A line of the ledger is damaged.
    """
    found: dict[str, Scores] = {}
    for run, lines in score_lines(workspace).items():
        for line in lines:
            told = {name: line[name] for name in SCORES if line.get(name) is not None}
            found[run] = replace(found.get(run, Scores()), **told)
    return found


def score_lines(workspace: Workspace) -> dict[str, list[dict[str, Any]]]:
    """The events with scores, oldest first, by the run they are of.

    Raises:
        DataError: A line of the ledger is damaged.
    """
    events = read_events(workspace)
    runs = runs_by_ref(events)
    found: dict[str, list[dict[str, Any]]] = {}
    for line in events:
        run = line.get("run") or runs.get(line.get("ref", 0))
        if line.get("event") == "score" and run is not None:
            found.setdefault(run, []).append(line)
    return found


def runs_by_ref(events: Iterable[dict[str, Any]]) -> dict[int, str]:
    """The run behind each submission that kagkit sent, by the host's number."""
    sent = [line for line in events if line.get("event") == "submitted" and line.get("run")]
    return {line["ref"]: line["run"] for line in sent if "ref" in line}


def _is_shaped(line: Any) -> bool:
    """Whether a line is an event and, where it is a score, names its run or submission and holds numbers."""
    if not isinstance(line, dict):
        return False
    if line.get("event") != "score":
        return True
    named = isinstance(line.get("run"), str) or (
        line.get("run") is None and any(name in line for name in ("ref", "file"))
    )
    return named and all(_is_score(line.get(name)) for name in SCORES)


def _is_score(value: Any) -> bool:
    return value is None or (type(value) in (int, float) and abs(value) < math.inf)


def _misshapen(ledger: Path, lines: list[Any]) -> list[Problem]:
    written = ledger.read_bytes().split(b"\n")
    numbers = [number for number, line in enumerate(written, 1) if line.strip()]
    hint = "restore the line, or remove it and add the score: kagkit lb add"
    return [
        Problem(f"{ledger.name} line {number}", "not a score of a run", hint=hint)
        for number, line in zip(numbers, lines, strict=False)  # a last line cut by a crash is in no list
        if not _is_shaped(line)
    ]
