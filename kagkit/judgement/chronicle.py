"""Tell what happened when: runs with their tasks' time, submissions with their scores, late ones too."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from kagkit.foundation.errors import ManifestError
from kagkit.foundation.files import read_json_lines
from kagkit.runs.record import EVENTS, Run, experiments_with_runs, read_run, run_folders
from kagkit.runs.usable import manifest_of
from kagkit.workspace.competition import Competition
from kagkit.workspace.layout import Workspace
from kagkit.workspace.ledger import SCORES, moment_of, read_events, runs_by_ref


@dataclass(frozen=True)
class Made:
    """A run, and what was done for it.

    Attributes:
        run: The run.
        experiment: The experiment.
        time: When it was put together; None where its events do not say.
        complete: Whether it has all seeds and folds.
        cv: Its CV.
        tasks: How many tasks were done for it; those it reused were done for an earlier one.
        seconds: What these took, one after another.
        gpu_seconds: The same, times the GPUs that each of them held.
    """

    run: str
    experiment: str
    time: datetime | None
    complete: bool
    cv: float | None
    tasks: int
    seconds: float
    gpu_seconds: float


@dataclass(frozen=True)
class Sent:
    """A submission as the host lists it, or a score noted by hand.

    Attributes:
        name: The run, or else the file.
        run: The run; None where the file is of none.
        time: When it was sent; for a score noted by hand, when that was.
        public: The public score.
        private: The private score.
        late: Whether it was sent after the end: it has scores, and no place.
    """

    name: str
    run: str | None
    time: datetime
    public: float | None
    private: float | None
    late: bool


def list_made(workspace: Workspace) -> list[Made]:
    """Every run, partial ones too, by time.

    Raises:
        ReproductionError: A record is damaged.
        DataError: Events of a run are damaged.
    """
    runs = (
        read_run(folder)
        for name in experiments_with_runs(workspace)
        for folder in run_folders(workspace, name)
    )
    return sorted(
        (_made(run) for run in runs), key=lambda made: made.time or datetime.min.replace(tzinfo=UTC)
    )


def _made(run: Run) -> Made:
    events = read_json_lines(run.folder / EVENTS)
    done = [event for event in events if event.get("event") == "task" and not event["reused"]]
    ended = [float(event["time"]) for event in events if event.get("event") == "assembled"]
    seconds = sum(float(event["seconds"]) for event in done)
    return Made(
        run=run.name,
        experiment=run.experiment,
        time=datetime.fromtimestamp(ended[-1], UTC) if ended else None,
        complete=run.complete,
        cv=run.data["cv"],
        tasks=len(done),
        seconds=round(seconds, 3),
        gpu_seconds=round(seconds * _gpus(run), 3),
    )


def _gpus(run: Run) -> int:
    """How many GPUs each task of a run held, as its manifest says; 0 where this kagkit cannot read it."""
    try:
        return manifest_of(run).resources.gpus
    except ManifestError:
        return 0


def end_of(competition: Competition) -> datetime | None:
    """When submissions cease to count: the last deadline; None where a stage has none."""
    deadlines = [stage.deadline for stage in competition.stages.values()]
    known = [datetime.fromisoformat(deadline) for deadline in deadlines if deadline is not None]
    return max(known) if known and len(known) == len(deadlines) else None


def list_sent(workspace: Workspace) -> list[Sent]:
    """Every submission that has a score, each once with its newest ones, by time.

    A score noted by hand belongs to the newest submission of its run, where the host lists one.

    Raises:
        DataError: The ledger is damaged.
    """
    events = read_events(workspace)
    runs, end = runs_by_ref(events), end_of(workspace.competition)
    scores = [line for line in events if line.get("event") == "score"]
    found: dict[Any, Sent] = {}
    for line in (line for line in scores if _is_listed(line)):
        key = tuple(line.get(name) for name in ("ref", "file", "date"))
        found[key] = _with_scores(found.get(key) or _sent(line, runs.get(line.get("ref", 0)), end), line)
    for line in (line for line in scores if not _is_listed(line)):
        of_run = [key for key, sent in found.items() if sent.run == line["run"]]
        key = max(of_run, key=lambda key: found[key].time, default=line["run"])
        found[key] = _with_scores(found.get(key) or _sent(line, None, end), line)
    scored = [sent for sent in found.values() if sent.public is not None or sent.private is not None]
    return sorted(scored, key=lambda sent: sent.time)


def _is_listed(line: dict[str, Any]) -> bool:
    """Whether a score is of the host's list; else it was noted by hand, of a run."""
    return "ref" in line or line.get("date") is not None


def _sent(line: dict[str, Any], run: str | None, end: datetime | None) -> Sent:
    run = line.get("run") or run
    time = moment_of(line | {"time": line["date"]}) if line.get("date") else moment_of(line)
    name = run or str(line.get("file") or line.get("ref"))
    return Sent(name, run, time, None, None, late=end is not None and time > end)


def _with_scores(sent: Sent, line: dict[str, Any]) -> Sent:
    return replace(sent, **{name: line[name] for name in SCORES if line.get(name) is not None})
