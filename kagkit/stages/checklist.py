"""List what the end of stage 1 asks for, each point with whether it is done, and the deadlines."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import Any

from kagkit.judgement.comparison import submission_name
from kagkit.runs.overview import list_deadlines
from kagkit.runs.record import Run
from kagkit.stages.freeze import Frozen
from kagkit.workspace.layout import Workspace
from kagkit.workspace.ledger import read_events


@dataclass(frozen=True)
class Point:
    """Something to have done before the stage ends.

    Attributes:
        what: What.
        done: Whether it is; None where only the reader knows.
        hint: The command or the edit that does it.
    """

    what: str
    done: bool | None
    hint: str = ""


def list_points(workspace: Workspace, frozen: Frozen, run: Run) -> list[Point]:
    """What the end of the stage asks for.

    Args:
        workspace: The workspace.
        frozen: What was frozen.
        run: The run of the final.

    Raises:
        DataError: leaderboard.jsonl is damaged.
    """
    return list(_points(workspace, frozen, run))


def _points(workspace: Workspace, frozen: Frozen, run: Run) -> Iterator[Point]:
    packaged = (workspace.submissions / submission_name(run)).is_dir()
    sent = {line.get("run") for line in read_events(workspace) if line.get("event") in ("submitted", "score")}
    yield Point("every byte that feeds the final is locked", True)
    kept = not frozen.warnings
    yield Point("every member keeps weights", kept, "" if kept else "see the warnings above")
    yield Point(f"{run.name} is packaged", packaged, f"kagkit package {run.name}")
    yield Point(f"{run.name} is submitted", run.name in sent, f"kagkit submit {run.name}")
    yield Point("it is selected at the host as a final", None, "on the host's page: My Submissions")
    commit, dirty = frozen.code["commit"], frozen.code["dirty"]
    clean = None if commit is None else not dirty
    hint = "git add -A; git commit" if commit else "no git here: the runs keep their own code"
    yield Point("the code is committed", clean, hint)
    yield Point(f"{frozen.lock} is committed and copied", None, f"git add {frozen.lock}; git commit")
    copy = f"kagkit freeze {frozen.final} --bundle OWNER/NAME --upload keeps what predicts at the host"
    yield Point("runs/ is copied to another disk", None, f"the weights are nowhere else; {copy}")


def tell_deadlines(
    workspace: Workspace, now: datetime | None = None, zone: tzinfo | None = None
) -> list[dict[str, Any]]:
    """The deadlines of competition.yaml by time: `what`, `utc`, `local`, and `left` in seconds."""
    told = list_deadlines(workspace.competition.stages, now or datetime.now(UTC), zone)
    return sorted(told, key=lambda each: str(each["utc"]))
