"""Score each frozen run on the released rows it has never seen, with its interval, beside its own CV."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from kagkit.foundation.errors import DataError, KagkitError
from kagkit.judgement.lab import Lab
from kagkit.judgement.noise import measure_noise
from kagkit.metrics.resampling import (
    Scored,
    draw_cv,
    find_units,
    interval_of,
    name_units,
    prepare_scores,
)
from kagkit.metrics.scoring import align_tables
from kagkit.runs.lineage_rows import TRAINED, seen_keys
from kagkit.runs.record import Run, find_submission
from kagkit.stages.audit import answer_of, open_scorer
from kagkit.stages.ingestion import Arrival

UNLIKE = 3.0


@dataclass(frozen=True)
class HeldOut:
    """A frozen run on rows it has never seen: the only honest hold-out there will ever be.

    Attributes:
        run: The run of stage 1: `exp001/3`.
        cv: The CV that its record promises.
        cv_ci: The 90 % interval of that; None where it cannot be told.
        score: The score of its submission on the released rows; None where it has none.
        ci: The 90 % interval of that, whole groups drawn anew; None where the metric is not defined on most
            draws.
        rows: How many rows it is scored on.
        seen: How many were left out: the run was trained on them, with labels that a model gave.
        better: By how many standard errors the score is better than the CV; None where nobody can say.
        why: What is lacking, and why; empty where nothing is.
    """

    run: str
    cv: float | None
    cv_ci: tuple[float, float] | None = None
    score: float | None = None
    ci: tuple[float, float] | None = None
    rows: int = 0
    seen: int = 0
    better: float | None = None
    why: str = ""


def hold_out(arrival: Arrival, runs: Sequence[Run]) -> list[HeldOut]:
    """Score frozen runs on the released rows, by what they had predicted of them in stage 1.

    A submission is the mean of all folds, which is often a little better than the CV, each row's by one.

    Args:
        arrival: What stage 2 brought.
        runs: Runs of stage 1.

    Raises:
        ManifestError: The per-row form of the metric is not the metric's.
    """
    return [_measured(arrival, run) for run in runs]


def _measured(arrival: Arrival, run: Run) -> HeldOut:
    told = HeldOut(run.name, run.data["cv"])
    try:
        scored, seen = _scored(arrival, run)
        scores = prepare_scores(open_scorer(arrival), scored)
    except KagkitError as error:
        why = "; ".join([error.summary, *(problem.found for problem in error.problems)])
        return replace(told, why=why)
    score = float(scores.score(np.ones((1, len(scores.rows)), dtype=np.int64))[0])
    told = replace(told, score=score, rows=len(scored.unit), seen=seen)
    drawn = draw_cv(scores, name_units(scored.unit))
    usual = drawn[np.isfinite(drawn)]
    if len(usual) <= len(drawn) / 2:
        return replace(told, why="the metric is not defined on most draws of these rows")
    told = replace(told, ci=interval_of(usual))
    noise, refused = measure_noise(arrival.workspace, [run])
    if run.name not in noise:
        return replace(told, why=refused.get(run.name, "it has no out-of-fold predictions"))
    sign = 1 if arrival.workspace.competition.metric.greater_is_better else -1
    error = math.hypot(noise[run.name].cv_sd, float(usual.std(ddof=1)))
    better = sign * (score - run.data["cv"]) / error if error else None
    return replace(told, cv_ci=noise[run.name].interval, better=better)


def _scored(arrival: Arrival, run: Run) -> tuple[Scored, int]:
    """A run's submission beside the labels of the rows it has not seen, and how many it has."""
    seen = [
        key for part, keys in seen_keys(arrival.workspace, run).items() if part != TRAINED for key in keys
    ]
    known = arrival.answered.index.isin(seen)
    rows = arrival.answered[~known]
    if rows.empty:
        raise DataError("it has seen every released row, labelled by a model")
    scorer = open_scorer(arrival)
    solution = scorer.solution(rows)
    answer = answer_of(scorer, run.folder / find_submission(run).file, solution)
    truth, answer, row_id = align_tables(solution, answer, list(scorer.competition.submission_key))
    units = find_units(scorer, rows, Lab(arrival.workspace).group_of(rows))
    return Scored(truth, answer, row_id, units), int(known.sum())


def tell_held_out(found: Sequence[HeldOut]) -> Iterator[str]:
    """Each run's score beside its CV, in words."""
    for each in found:
        if each.score is None:
            yield f"{each.run}: no score on the released rows: {each.why}"
            continue
        between = "" if each.ci is None else f" ({each.ci[0]:.5f} to {each.ci[1]:.5f})"
        seen = f", {each.seen:,} that it was trained on left out" if each.seen else ""
        told = f"{each.run}: {each.score:.5f}{between} on {each.rows:,} rows it has never seen{seen}"
        yield f"{told}; CV {each.cv:.5f}" if each.cv is not None else told


def tell_unlike(found: Sequence[HeldOut]) -> Iterator[str]:
    """The runs whose score is unlike their CV, by more than 3 standard errors either way."""
    for each in found:
        if each.better is not None and abs(each.better) > UNLIKE:
            which = "better" if each.better > 0 else "WORSE"
            yield (
                f"{each.run}: {abs(each.better):.1f} standard errors {which} on the released rows than its CV: "
                "they are rows of another kind, or the CV or their labels do not tell the truth"
            )
