"""Keep the leaderboard's ledger: scores by run, appended and never changed."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any

from kagkit.foundation.errors import ManifestError, Problem
from kagkit.foundation.files import append_json_line, held, read_json_lines
from kagkit.workspace.layout import Workspace


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
        DataError: A line of the ledger is damaged.
    """
    found: dict[str, Scores] = {}
    for line in read_json_lines(workspace.leaderboard):
        if line.get("event") == "score":
            before = found.get(line["run"], Scores())
            told = {name: line[name] for name in ("public", "private") if line.get(name) is not None}
            found[line["run"]] = replace(before, **told)
    return found
