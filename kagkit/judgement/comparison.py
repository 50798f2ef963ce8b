"""Put CV beside the leaderboard, run by run, and say where the two may not be compared."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from kagkit.foundation.errors import ManifestError, Problem, samples
from kagkit.foundation.files import canonical_json
from kagkit.judgement.descent import Descent, trace_descent
from kagkit.runs.record import (
    Run,
    Submission,
    experiments_with_runs,
    find_run,
    latest_run,
    read_run,
    run_folders,
)
from kagkit.workspace.layout import Workspace
from kagkit.workspace.ledger import Scores, read_scores, scored_name


@dataclass(frozen=True)
class Row:
    """One submission of a run: its CV, the spread of its folds, and what the host gave it.

    `run` is `exp001/3`, or `exp001/3:lb` for another than its first submission.

    `gap` is the public score minus the CV; `coverage` what share of the training rows the CV covers;
    `descent` how it differs from its parent's run, where it has one; `author` who made an imported one.
    """

    run: str
    experiment: str
    stage: int
    cv: float | None
    cv_std: float | None
    coverage: float | None
    lb_public: float | None
    lb_private: float | None
    gap: float | None
    submission: str | None
    note: str
    descent: Descent | None
    author: str = ""


@dataclass(frozen=True)
class Alarm:
    """Something that makes the table mean less than it seems to."""

    kind: str
    text: str


@dataclass(frozen=True)
class Comparison:
    """The table, best CV first, with rank agreement and alarms.

    Attributes:
        metric: The metric's reference.
        greater_is_better: Its declared direction.
        rows: One for each run.
        spearman: Rank correlations of CV, public and private; None where undefined.
        alarms: What to be careful about.
    """

    metric: str
    greater_is_better: bool
    rows: tuple[Row, ...]
    spearman: dict[str, float | None]
    alarms: tuple[Alarm, ...]

    def as_json(self) -> dict[str, Any]:
        """The comparison as plain data, the contract's keys."""
        return asdict(self)


def compare_runs(workspace: Workspace, references: Sequence[str]) -> Comparison:
    """Compare runs.

    Args:
        workspace: The workspace.
        references: Runs, as `exp001` or `exp001/3`; by default every experiment's latest complete run, and
            every run the host has scored.

    Raises:
        ManifestError: A run is not there, is partial, or there is none at all.
        ReproductionError: A record is damaged.
    """
    scores = read_scores(workspace)
    named = (find_run(workspace, reference) for reference in references)
    runs = list({run.name: run for run in named}.values()) or _usual(workspace, scores)
    partial = [run.name for run in runs if not run.complete]
    if partial:
        raise ManifestError(
            "partial runs are not compared",
            [
                Problem(name, "some of its folds or seeds are missing", hint="run it whole")
                for name in partial
            ],
        )
    if not runs:
        raise ManifestError("nothing to compare", [Problem("runs", "no complete run", hint="kagkit run EXP")])
    metric = workspace.competition.metric
    rows = [row for run in runs for row in _rows(workspace, run, scores)]
    rows.sort(key=lambda row: _rank_key(row, metric.greater_is_better))
    return Comparison(metric.score, metric.greater_is_better, tuple(rows), _agreement(rows), _alarms(runs))


def submission_name(run: Run, variant: str = "") -> str:
    """The name of a run's packaged submission: `exp001-003`, or `exp001-003-lb` for a variant."""
    return f"{run.experiment}-{run.number:03d}" + (f"-{variant}" if variant else "")


def rank_correlation(first: Sequence[float], second: Sequence[float]) -> float | None:
    """Spearman's rank correlation, ties sharing their mean rank; None below three pairs or for a constant.

    References:
        Spearman, "The proof and measurement of association between two things", 1904.

    Example:
        >>> rank_correlation([0.1, 0.2, 0.3], [1.0, 3.0, 2.0])
        0.5
    """
    if len(first) < 3:
        return None
    a, b = _ranks(first), _ranks(second)
    mean = (len(a) + 1) / 2
    up = sum((x - mean) * (y - mean) for x, y in zip(a, b, strict=True))
    down = (sum((x - mean) ** 2 for x in a) * sum((y - mean) ** 2 for y in b)) ** 0.5
    return up / down if down else None


def _usual(workspace: Workspace, scores: dict[str, Scores]) -> list[Run]:
    found: dict[str, Run] = {}
    for name in experiments_with_runs(workspace):
        latest = latest_run(workspace, name, complete=True)
        if latest is not None:
            found[latest.name] = latest
        scored = {key.partition(":")[0] for key in scores}
        for folder in run_folders(workspace, name):
            if f"{name}/{int(folder.name.partition('-')[0])}" in scored:
                run = read_run(folder)
                found[run.name] = run
    return [run for run in found.values() if run.complete]


def _rows(workspace: Workspace, run: Run, scores: dict[str, Scores]) -> Iterator[Row]:
    """A row for each submission of a run, or one for a run that has none."""
    data, descent = run.data, trace_descent(workspace, run)
    for submission in run.submissions or (Submission("", "", data),):
        name, cv = scored_name(run.name, submission.variant), submission.told["cv"]
        told, package = scores.get(name, Scores()), submission_name(run, submission.variant)
        public = told.public
        yield Row(
            run=name,
            experiment=run.experiment,
            stage=data["stage"],
            cv=cv,
            cv_std=submission.told["cv_std"],
            coverage=data["coverage"],
            lb_public=public,
            lb_private=told.private,
            gap=public - cv if public is not None and cv is not None else None,
            submission=package if (workspace.submissions / package).is_dir() else None,
            note=data["note"],
            descent=None if submission.variant else descent,
            author=run.author,
        )


def _rank_key(row: Row, greater_is_better: bool) -> tuple[bool, float, str]:
    cv = row.cv if row.cv is not None else 0.0
    return row.cv is None, -cv if greater_is_better else cv, row.run


def _agreement(rows: Sequence[Row]) -> dict[str, float | None]:
    def between(first: str, second: str) -> float | None:
        pairs = [(getattr(row, first), getattr(row, second)) for row in rows]
        known = [(a, b) for a, b in pairs if a is not None and b is not None]
        return rank_correlation([a for a, _ in known], [b for _, b in known])

    return {
        "cv_public": between("cv", "lb_public"),
        "cv_private": between("cv", "lb_private"),
        "public_private": between("lb_public", "lb_private"),
    }


def _alarms(runs: Sequence[Run]) -> tuple[Alarm, ...]:
    """Runs on different data, folds or metrics are shown together only with a word about it."""
    facts: dict[str, tuple[str, Callable[[Run], Any]]] = {
        "data": ("data versions", lambda run: run.data["data"]),
        "folds": ("folds", lambda run: run.data["fold_set"]["sha256"]),
        "metric": ("metrics", lambda run: run.data["metric"]),
        "rows": ("shares of the rows", lambda run: run.data["coverage"]),
    }
    alarms = []
    for kind, (words, fact) in facts.items():
        alike: dict[str, list[str]] = {}
        for run in runs:
            if run.data["cv"] is not None:
                alike.setdefault(canonical_json(fact(run)), []).append(run.name)
        if len(alike) > 1:
            groups = " | ".join(samples(names) for names in alike.values())
            alarms.append(Alarm(kind, f"CV is on different {words}, not to be ranked together: {groups}"))
    open_ended = [run.name for run in runs if not run.data.get("nested", True)]
    if open_ended:
        text = f"CV is not nested, for what feeds it is on other folds or unknown ones: {samples(open_ended)}"
        alarms.append(Alarm("nested", text))
    return tuple(alarms)


def _ranks(values: Sequence[float]) -> list[float]:
    order = sorted(values)
    # Between the first and the last place of equal values.
    return [(bisect_left(order, value) + 1 + bisect_right(order, value)) / 2 for value in values]
