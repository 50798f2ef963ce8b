"""Say where a competition stands: deadlines, submissions, best scores, what is at work, what it takes."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime, tzinfo
from typing import Any

from kagkit.foundation.errors import Problem, ReproductionError
from kagkit.runs.record import Run, experiments_with_runs, read_run, run_folders
from kagkit.runs.sizes import used_bytes
from kagkit.runs.unfinished import experiment_of, list_unfinished, seconds_left
from kagkit.workspace.layout import Workspace
from kagkit.workspace.ledger import read_events, read_scores
from kagkit.workspace.medals import newest_standings
from kagkit.workspace.stage import Stage
from kagkit.workspace.tally import count_submissions


def describe_workspace(
    workspace: Workspace, now: datetime | None = None, zone: tzinfo | None = None
) -> dict[str, Any]:
    """Where a competition stands, as `kagkit status --json` tells it.

    Args:
        workspace: The workspace.
        now: The time, with its zone; that of the clock by default.
        zone: The zone for local times; that of this machine by default.

    Returns:
        `stage`; `deadlines` by time, each with `left` in seconds, negative once it is over; `submissions`
        as `count_submissions` tells them; `best` run by `cv` and by `lb`; `standing` on the boards as
        `newest_standings` tells it; `tasks` that are not finished,
        `older` where no present manifest has their recipe; `disk` in bytes; `problems` with records.

    Raises:
        ManifestError: competition.yaml has problems.
        DataError: leaderboard.jsonl is damaged.
    """
    now = now or datetime.now(UTC)
    problems: list[Problem] = []
    runs = list(_complete_runs(workspace, problems))
    stages = workspace.competition.stages
    there = [int(number) for number, stage in stages.items() if (workspace.root / stage.test).exists()]
    return {
        "stage": max(there, default=1),
        "deadlines": sorted(list_deadlines(stages, now, zone), key=lambda told: str(told["utc"])),
        "submissions": count_submissions(read_events(workspace), now, zone),
        "best": {"cv": _best_cv(workspace, runs), "lb": _best_lb(workspace)},
        "standing": newest_standings(workspace),
        "tasks": list(_tasks(workspace, now)),
        "disk": {
            "used": used_bytes([workspace.runs, workspace.submissions, workspace.cache]),
            "free": shutil.disk_usage(workspace.root).free,
        },
        "problems": [asdict(problem) for problem in problems],
    }


def _complete_runs(workspace: Workspace, problems: list[Problem]) -> Iterator[Run]:
    for name in experiments_with_runs(workspace):
        for folder in run_folders(workspace, name):
            try:
                run = read_run(folder)
            except ReproductionError as error:
                problems += error.problems
                continue
            if run.complete:
                yield run


def list_deadlines(stages: dict[str, Stage], now: datetime, zone: tzinfo | None) -> Iterator[dict[str, Any]]:
    """The deadline of each stage that tells one: `what`, `utc`, `local`, and `left` in seconds."""
    for number, stage in stages.items():
        if stage.deadline is not None:
            time = datetime.fromisoformat(stage.deadline)
            yield {
                "what": f"stage {number}",
                "utc": time.astimezone(UTC).isoformat(timespec="minutes").replace("+00:00", "Z"),
                "local": time.astimezone(zone).isoformat(timespec="minutes"),
                "left": round((time - now).total_seconds()),
            }


def _best_cv(workspace: Workspace, runs: list[Run]) -> dict[str, Any] | None:
    """The best run among those whose CV means the same: of this metric, on the largest share of the rows."""
    metric = workspace.competition.metric
    facts = (metric.score, metric.args, metric.cv)
    scored = [run for run in runs if run.data["cv"] is not None]
    alike = [run for run in scored if tuple(map(run.data["metric"].get, ("score", "args", "cv"))) == facts]
    widest = max((run.data["coverage"] for run in alike), default=None)
    values = {run.name: run.data["cv"] for run in alike if run.data["coverage"] == widest}
    return _best(values, metric.greater_is_better)


def _best_lb(workspace: Workspace) -> dict[str, Any] | None:
    """The best run by its public score."""
    scores = read_scores(workspace)
    values = {run: told.public for run, told in scores.items() if told.public is not None}
    return _best(values, workspace.competition.metric.greater_is_better)


def _best(values: dict[str, float], greater_is_better: bool) -> dict[str, Any] | None:
    if not values:
        return None
    run = (max if greater_is_better else min)(values, key=lambda name: values[name])
    return {"run": run, "score": values[run]}


def _tasks(workspace: Workspace, now: datetime) -> Iterator[dict[str, Any]]:
    for work in list_unfinished(workspace, now.timestamp()):
        experiment = experiment_of(workspace, work)
        left = seconds_left(workspace, work, experiment)
        yield {
            "experiment": experiment,
            "older": bool(work.recipe) and experiment is None,
            "task": f"smoke: {work.label}" if work.smoke else work.label,
            "state": work.state,
            "progress": None if work.done is None else round(work.done, 4),
            "left": None if left is None else round(left, 1),
            "problem": work.problem,
        }
