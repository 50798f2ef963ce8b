"""Put CV beside the leaderboard, run by run, and say where the two may not be compared."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from kagkit.foundation.errors import ManifestError, Problem, samples
from kagkit.foundation.files import canonical_json
from kagkit.judgement.agreement import Offset
from kagkit.judgement.alarms import judge_row, raise_alarms, read_board
from kagkit.judgement.board import Alarm, Board, Row
from kagkit.judgement.descent import trace_descent
from kagkit.judgement.noise import Noise, Told, measure_noise
from kagkit.judgement.scoretable import read_scoretable
from kagkit.judgement.shakeup import shake_board
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

MOST_MEASURED = 50


@dataclass(frozen=True)
class Comparison:
    """The table, best CV first, with rank agreement and alarms.

    Attributes:
        metric: The metric's reference; the table's name where a table was compared.
        greater_is_better: Its declared direction.
        rows: One for each run; those that may be ranked together stand together.
        spearman: Rank correlations of CV, public and private; None where undefined.
        offset: How public scores ordinarily differ from CV; None without a scored row.
        reading: Whether the leaderboard tracks CV, in a sentence.
        alarms: What to be careful about.
        remarks: Why something is missing: odd cells, runs whose noise could not be measured.
        shake: What was simulated of the private board, in a sentence; empty where nothing was.
        board: The rows with their noise.
    """

    metric: str
    greater_is_better: bool
    rows: tuple[Row, ...]
    spearman: dict[str, float | None]
    offset: Offset | None
    reading: str
    alarms: tuple[Alarm, ...]
    remarks: tuple[str, ...]
    board: Board
    shake: str = ""

    def as_json(self) -> dict[str, Any]:
        """The comparison as plain data, the contract's keys."""
        told = asdict(replace(self, board=Board(self.greater_is_better, ())))
        del told["board"]
        return told


def compare_runs(
    workspace: Workspace, references: Sequence[str], *, noise: bool = True, told: Told | None = None
) -> Comparison:
    """Compare runs.

    Args:
        workspace: The workspace.
        references: Runs, as `exp001` or `exp001/3`; by default every experiment's latest complete run, and
            every run the host has scored.
        noise: Whether to measure noise on OOF predictions: of the runs that are named; else of those the host
            has scored and of the best fifty by CV.
        told: Is called before each run that is measured.

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
    letters, alarms = _sort_out(runs)
    rows = [row for run in runs for row in _rows(workspace, run, scores, letters.get(run.name))]
    rows.sort(key=lambda row: _rank_key(row, metric.greater_is_better))
    measured: dict[str, Noise] = {}
    refused: dict[str, str] = {}
    if noise:
        chosen = {row.run for row in rows if references or row.lb_public is not None}
        chosen |= {row.run for row in rows[:MOST_MEASURED]}
        measured, refused = measure_noise(workspace, [run for run in runs if run.name in chosen], told)
    board = Board(metric.greater_is_better, tuple(_with_noise(row, measured) for row in rows), measured)
    remarks = [f"no noise for {name}: {why}" for name, why in refused.items()]
    return judge_board(board, metric.score, alarms, remarks)


def compare_table(path: Path, greater_is_better: bool) -> Comparison:
    """Compare the lines of a table that was kept by hand.

    Raises:
        DataError: It cannot be read.
    """
    table = read_scoretable(path)
    rows = []
    for line in table.lines:
        cv, public, values = line.values["cv"], line.values["public_lb"], line.values
        rows.append(
            Row(
                run=line.name,
                experiment=line.experiment,
                cv=cv,
                cv_std=values["cv_std"],
                lb_public=public,
                lb_private=values["private_lb"],
                gap=public - cv if public is not None and cv is not None else None,
                comparable=None if cv is None else "A",
                written=line.written,
            )
        )
    rows.sort(key=lambda row: _rank_key(row, greater_is_better))
    return judge_board(Board(greater_is_better, tuple(rows)), path.name, [], list(table.remarks))


def judge_board(
    board: Board, metric: str, alarms: Sequence[Alarm] = (), remarks: Sequence[str] = ()
) -> Comparison:
    """What a board's rows say, those of `alarms` first."""
    found = [*alarms, *raise_alarms(board)]
    rows = tuple(replace(row, verdict=judge_row(board, row, found)) for row in board.rows)
    between = {
        "cv_public": board.correlation("cv", "lb_public"),
        "cv_private": board.correlation("cv", "lb_private"),
        "public_private": board.correlation("lb_public", "lb_private"),
    }
    return Comparison(
        metric=metric,
        greater_is_better=board.greater_is_better,
        rows=rows,
        spearman=between,
        offset=board.offset,
        reading=read_board(board),
        alarms=tuple(found),
        remarks=tuple(remarks),
        board=replace(board, rows=rows),
    )


def with_shakes(comparison: Comparison) -> Comparison:
    """The comparison with each scored row's interval of score and rank on the private board."""
    board, told = shake_board(comparison.board)
    return replace(comparison, board=board, rows=board.rows, shake=told)


def submission_name(run: Run, variant: str = "") -> str:
    """The name of a run's packaged submission: `exp001-003`, or `exp001-003-lb` for a variant."""
    return f"{run.experiment}-{run.number:03d}" + (f"-{variant}" if variant else "")


def _usual(workspace: Workspace, scores: dict[str, Scores]) -> list[Run]:
    found: dict[str, Run] = {}
    scored = {key.partition(":")[0] for key in scores}
    for name in experiments_with_runs(workspace):
        latest = latest_run(workspace, name, complete=True)
        if latest is not None:
            found[latest.name] = latest
        for folder in run_folders(workspace, name):
            run_name = f"{name}/{int(folder.name.partition('-')[0])}"
            if run_name in scored and run_name not in found:
                found[run_name] = read_run(folder)
    return [run for run in found.values() if run.complete]


def _rows(workspace: Workspace, run: Run, scores: dict[str, Scores], letter: str | None) -> Iterator[Row]:
    """A row for each submission of a run, or one for a run that has none."""
    data = run.data
    for submission in run.submissions or (Submission("", "", data),):
        name, own = scored_name(run.name, submission.variant), submission.told
        told, package = scores.get(name, Scores()), submission_name(run, submission.variant)
        cv, public, first = own["cv"], told.public, not submission.variant
        fit = own.get("fit")
        yield Row(
            run=name,
            experiment=run.experiment,
            stage=data["stage"],
            cv=cv,
            cv_std=own["cv_std"],
            optimism=data.get("optimism") if first else fit and fit["optimism"],
            cv_kept=data.get("cv_kept") if first else None,
            coverage=data["coverage"],
            lb_public=public,
            lb_private=told.private,
            gap=public - cv if public is not None and cv is not None else None,
            comparable=None if cv is None else letter,
            submission=package if (workspace.submissions / package).is_dir() else None,
            note=data["note"],
            descent=trace_descent(workspace, run) if first else None,
            author=run.author,
        )


def _with_noise(row: Row, measured: dict[str, Noise]) -> Row:
    noise = measured.get(row.run)
    return row if noise is None else replace(row, cv_interval=noise.interval, lb_noise=noise.public_sd)


def _rank_key(row: Row, greater_is_better: bool) -> tuple[str, float, str]:
    cv = row.cv if row.cv is not None else 0.0
    return row.comparable or "~", -cv if greater_is_better else cv, row.run


def _sort_out(runs: Sequence[Run]) -> tuple[dict[str, str], list[Alarm]]:
    """Letters for the runs that may be ranked together, the most under A, and an alarm for each reason."""
    facts: dict[str, tuple[str, Callable[[Run], Any]]] = {
        "data": ("data versions", lambda run: run.data["data"]),
        "folds": ("folds", lambda run: run.data["fold_set"]["sha256"]),
        "metric": ("metrics", lambda run: run.data["metric"]),
        "rows": ("shares of the rows", lambda run: run.data["coverage"]),
        "stage": ("stages", lambda run: run.data["stage"]),
    }
    ranked = [run for run in runs if run.data["cv"] is not None]
    alarms = []
    kinds: dict[str, list[str]] = {run.name: [] for run in ranked}
    for kind, (words, fact) in facts.items():
        alike: dict[str, list[str]] = {}
        for run in ranked:
            spelled = canonical_json(fact(run))
            alike.setdefault(spelled, []).append(run.name)
            kinds[run.name].append(spelled)
        if len(alike) > 1:
            groups = " | ".join(samples(names) for names in alike.values())
            text = f"CV is on different {words}, not to be ranked together: {groups}"
            alarms.append(Alarm(kind, text))
    open_ended = [run.name for run in ranked if not run.data.get("nested", True)]
    if open_ended:
        text = f"CV is not nested, for what feeds it is on other folds or unknown ones: {samples(open_ended)}"
        alarms.append(Alarm("nested", text, tuple(open_ended)))
    sets: dict[tuple[str, ...], list[str]] = {}
    for name, kind_of in kinds.items():
        sets.setdefault(tuple(kind_of), []).append(name)
    letters: dict[str, str] = {}
    for place, names in enumerate(sorted(sets.values(), key=len, reverse=True)):
        letters |= dict.fromkeys(names, _letter(place))
    return letters, alarms


def _letter(place: int) -> str:
    """A, B, … Z, then Z26 and on.

    Example:
        >>> _letter(0), _letter(30)
        ('A', 'Z30')
    """
    return chr(ord("A") + place) if place < 26 else f"Z{place}"
