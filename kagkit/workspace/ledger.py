"""Keep the leaderboard's ledger: scores by run, appended and never changed."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from kagkit.foundation.errors import DataError, ManifestError, Problem
from kagkit.foundation.files import append_json_line, held, read_json_lines
from kagkit.workspace.layout import Workspace

SCORES = ("public", "private")


@dataclass(frozen=True)
class Scores:
    """What the host gave a run's submission; None where it has not told."""

    public: float | None = None
    private: float | None = None


def add_scores(workspace: Workspace, run: str, scores: Scores) -> dict[str, Any]:
    """Append the host's scores of a run.

    Args:
        workspace: The workspace.
        run: The run: `exp001/3`.
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
    line = {
        "event": "score",
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "run": run,
        "public": scores.public,
        "private": scores.private,
        "source": "by hand",
    }
    with held(workspace.cache / "leaderboard.lock"):
        append_json_line(workspace.leaderboard, line)
    return line


def read_scores(workspace: Workspace) -> dict[str, Scores]:
    """The newest public and private score of every run, by its name.

    Raises:
        DataError: A line of the ledger is damaged, or is not what `add_scores` writes.
    """
    lines = read_json_lines(workspace.leaderboard)
    if not all(map(_is_shaped, lines)):
        raise DataError(f"{workspace.leaderboard.name} is damaged", _misshapen(workspace.leaderboard, lines))
    found: dict[str, Scores] = {}
    for line in lines:
        if line.get("event") == "score":
            before = found.get(line["run"], Scores())
            told = {name: line[name] for name in SCORES if line.get(name) is not None}
            found[line["run"]] = replace(before, **told)
    return found


def _is_shaped(line: Any) -> bool:
    """Whether a line is an event and, where it is a score, names its run and holds numbers."""
    if not isinstance(line, dict):
        return False
    return line.get("event") != "score" or (
        isinstance(line.get("run"), str) and all(_is_score(line.get(name)) for name in SCORES)
    )


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
