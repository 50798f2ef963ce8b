"""Score stage 1's submissions with the released labels, and hold that against what the host had shown."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from kagkit.data.predictions import Predictions
from kagkit.foundation.errors import KagkitError
from kagkit.metrics import PER_ROW
from kagkit.metrics.perrow import average
from kagkit.metrics.scoring import Scorer, read_sample, read_submission
from kagkit.runs.record import Run, find_run, find_submission
from kagkit.stages.ingestion import Arrival
from kagkit.workspace.competition import Metric
from kagkit.workspace.layout import Workspace
from kagkit.workspace.ledger import Scores, read_scores
from kagkit.workspace.manifest import Making

SHOWN = 1e-5  # hosts show five decimals
SHARE = 0.005  # hosts tell the public share in whole per cent


@dataclass(frozen=True)
class Audited:
    """A submission of stage 1, scored again.

    Attributes:
        submission: The run, `exp001/3`, with a variant's name behind.
        public: What the host's public board showed.
        private: What the private one showed.
        lb: What of these `recomputed` can be held against; None where nothing can.
        recomputed: The score on every released row; None where it cannot be told.
        rows: How many rows that is on.
        match: Whether the two are the same, as far as the host showed them; None where nobody can say.
        why: What was compared, or why nothing was.
    """

    submission: str
    public: float | None
    private: float | None
    lb: float | None
    recomputed: float | None
    rows: int
    match: bool | None
    why: str


def audit_submissions(arrival: Arrival) -> list[Audited]:
    """Every stage-1 submission that the host has scored, with its score by the released labels.

    A host that shows a part of the rows publicly does not say which: a score of all rows is held against
    both boards together, where the metric is a mean over rows, and against neither alone.

    Raises:
        DataError: The ledger or the rows cannot be read.
    """
    workspace = arrival.workspace
    released, tested = len(arrival.released), len(arrival.tested)
    audited = []
    for name, scores in sorted(read_scores(workspace).items()):
        reference, _, variant = name.partition(":")
        try:
            run = find_run(workspace, reference)
            if run.data["stage"] != 1:
                continue
            file = run.folder / find_submission(run, variant).file
            recomputed, rows = _score(arrival, file)
        except KagkitError as error:
            why = "; ".join([error.summary, *(problem.found for problem in error.problems)])
            audited.append(Audited(name, scores.public, scores.private, None, None, 0, None, why))
            continue
        lb, slack, why = _shown(workspace, scores, released, tested)
        match = None if lb is None else abs(recomputed - lb) <= slack
        audited.append(Audited(name, scores.public, scores.private, lb, recomputed, rows, match, why))
    return audited


def score_released(arrival: Arrival, run: Run, making: Making) -> float | None:
    """The score of a run's out-of-fold predictions on the released rows; None where it has none of them.

    Raises:
        KagkitError: They cannot be scored.
    """
    if not run.data["oof"]:
        return None
    predicted = Predictions.open(run.folder / run.data["oof"]["file"])
    rows = arrival.released[arrival.released.index.isin(predicted.keys)]
    if rows.empty:
        return None
    scorer = _scorer(arrival, making, run.data["stage"])
    return scorer.score(scorer.solution(rows), scorer.make(predicted, rows))


def _scorer(arrival: Arrival, making: Making, stage: int) -> Scorer:
    workspace, rows = arrival.workspace, arrival.rows
    sample = read_sample(workspace.root, workspace.competition, stage)
    return Scorer(workspace.root, workspace.competition, making, sample, rows.targets, rows.train)


def _score(arrival: Arrival, file: Path) -> tuple[float, int]:
    """The score of the lines of a submission whose rows have labels now."""
    scorer = _scorer(arrival, Making(), 1)
    key = list(scorer.competition.submission_key)
    solution, table = scorer.solution(arrival.released), read_submission(file, tuple(key))
    known = pd.MultiIndex.from_frame(solution[key])
    asked = table[pd.MultiIndex.from_frame(table[key]).isin(known)]
    return scorer.score(solution, asked.reset_index(drop=True)), len(solution)


def _shown(
    workspace: Workspace, scores: Scores, released: int, tested: int
) -> tuple[float | None, float, str]:
    """What of a host's scores all released rows can be held against, how far it may be off, and why."""
    share = workspace.competition.stages["1"].public_share
    if released < tested:
        return None, 0.0, f"only {released:,} of {tested:,} rows have labels"
    if share == 1 and scores.public is not None:
        return scores.public, SHOWN, "public, which was on all rows"
    if share is None:
        return None, 0.0, "public_share is not told: competition.yaml, stages: {1: {public_share: …}}"
    if scores.public is None or scores.private is None:
        return None, 0.0, f"public was on {share:.0%} of these rows, and nobody knows which"
    if not _is_mean(workspace.competition.metric):
        return None, 0.0, "no mean over rows: public and private do not add up to a score of all"
    seen = round(share * tested)
    both = (seen * scores.public + (tested - seen) * scores.private) / tested
    slack = SHOWN + SHARE * abs(scores.public - scores.private)
    return both, slack, "public and private together, each by its share of the rows"


def _is_mean(metric: Metric) -> bool:
    """Whether the score of all rows is the mean of theirs."""
    form = PER_ROW.get(metric.score.removeprefix("kagkit.metrics:"))
    own = form is not None and form.finish is average and form.suits(metric.args)
    return own or metric.per_row is not None


def tell_alarms(audited: list[Audited]) -> Iterator[str]:
    """What of an audit must not be passed over."""
    for each in audited:
        if each.match is False:
            yield (
                f"{each.submission}: {each.recomputed:.5f} by our metric, {each.lb:.5f} by the host's: "
                "either the metric or the labels are not the host's"
            )
