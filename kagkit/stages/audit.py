"""Score stage 1's submissions with the released labels, and hold that against what the host had shown."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from kagkit.foundation.errors import KagkitError, counted, samples
from kagkit.metrics import PER_ROW
from kagkit.metrics.perrow import average
from kagkit.metrics.scoring import Scorer, read_sample, read_submission
from kagkit.runs.record import find_run, find_submission
from kagkit.stages.ingestion import Arrival
from kagkit.workspace.competition import Metric
from kagkit.workspace.layout import Workspace
from kagkit.workspace.ledger import Scores, read_events, read_scores, runs_by_ref
from kagkit.workspace.manifest import Making

SHOWN = 1e-5  # hosts cut or round to five decimals
SHARE = 0.005  # hosts tell the public share in whole per cent


@dataclass(frozen=True)
class Compared:
    """A score that the host had shown, beside the one that the released labels make of the same rows.

    Attributes:
        board: `public`, `private`, or `both`: the mean of the two, each by its share of the rows.
        shown: The host's.
        recomputed: Ours.
        rows: How many rows it is on.
        match: Whether they are the same, as far as the host showed it.
    """

    board: str
    shown: float
    recomputed: float
    rows: int
    match: bool


@dataclass(frozen=True)
class Audited:
    """A submission of stage 1, scored again.

    Attributes:
        submission: The run, `exp001/3`, with a variant's name behind.
        public: What the host's public board showed.
        private: What the private one showed.
        lb: What of these `recomputed` can be held against, the public one first; None where nothing can.
        recomputed: The score on the rows of `lb`, on every released row where that is None; None where it
            cannot be told.
        rows: How many rows that is on.
        match: Whether everything that could be compared is the same; None where nothing could be.
        why: What was compared, or why nothing was.
        boards: Every comparison.
    """

    submission: str
    public: float | None
    private: float | None
    lb: float | None
    recomputed: float | None
    rows: int
    match: bool | None
    why: str
    boards: tuple[Compared, ...] = ()


def audit_submissions(arrival: Arrival) -> list[Audited]:
    """Every stage-1 submission that the host has scored, with its score by the released labels.

    Where the host told which rows were public (`usage`), each board is scored by its own rows. Where it did
    not, a score of all rows is held against both boards together, if the metric is a mean over rows, and
    against neither alone.

    Raises:
        DataError: The ledger or the rows cannot be read.
    """
    _ = arrival.answered  # rows that cannot be read are no fault of a submission
    audited = []
    for name, scores in sorted(read_scores(arrival.workspace).items()):
        reference, _, variant = name.partition(":")
        try:
            run = find_run(arrival.workspace, reference)
            if run.data["stage"] != 1:
                continue
            file = run.folder / find_submission(run, variant).file
            audited.append(_audit(arrival, name, scores, file))
        except KagkitError as error:
            why = "; ".join([error.summary, *(problem.found for problem in error.problems)])
            audited.append(Audited(name, scores.public, scores.private, None, None, 0, None, why))
    return audited


def _audit(arrival: Arrival, name: str, scores: Scores, file: Path) -> Audited:
    host = (name, scores.public, scores.private)
    boards, why = _compare(arrival, scores, file)
    if not boards:
        rows = arrival.answered
        return Audited(*host, None, _score(arrival, file, rows), len(rows), None, why)
    first, match = boards[0], all(each.match for each in boards)
    return Audited(*host, first.shown, first.recomputed, first.rows, match, why, boards)


def _compare(arrival: Arrival, scores: Scores, file: Path) -> tuple[tuple[Compared, ...], str]:
    """What can be held against the host, and by what right; or nothing, and why."""
    workspace, released, tested = arrival.workspace, arrival.answered, len(arrival.tested)
    told = {"public": scores.public, "private": scores.private}
    shown = {board: score for board, score in told.items() if score is not None}
    stages = workspace.competition.stages
    if arrival.boards is not None:
        lacking = len(arrival.tested.difference(arrival.boards.index))
        if lacking:
            return (), f"{lacking:,} of {tested:,} rows have no mark in the column {stages['2'].usage}"
        found = [
            _held(arrival, file, board, score, arrival.boards.index[arrival.boards == board])
            for board, score in shown.items()
        ]
        return tuple(found), f"{' and '.join(shown)}, each on the rows that the host marked so"
    if len(released) < tested:
        return (), f"only {len(released):,} of {tested:,} rows have labels"
    share = stages["1"].public_share
    if share == 1 and scores.public is not None:
        found = [_held(arrival, file, "public", scores.public, released.index)]
        return tuple(found), "public, which was on all rows"
    if share is None:
        return (), "public_share is not told: competition.yaml, stages: {1: {public_share: …}}"
    if scores.public is None or scores.private is None:
        board = next(iter(shown), "public")
        return (), f"{board} was on {_part(board, share):.0%} of these rows, and nobody knows which"
    if not _is_mean(workspace.competition.metric):
        return (), "no mean over rows: public and private do not add up to a score of all"
    seen = round(share * tested)
    both = (seen * scores.public + (tested - seen) * scores.private) / tested
    slack = SHOWN + SHARE * abs(scores.public - scores.private)
    held = _held(arrival, file, "both", both, released.index, slack)
    return (held,), "public and private together, each by its share of the rows"


def _part(board: str, share: float) -> float:
    return share if board == "public" else 1 - share


def _held(
    arrival: Arrival, file: Path, board: str, shown: float, keys: pd.Index[Any], slack: float = SHOWN
) -> Compared:
    rows = arrival.answered.loc[arrival.answered.index.intersection(keys)]
    score = _score(arrival, file, rows)
    return Compared(board, shown, score, len(rows), abs(score - shown) <= slack * (1 + 1e-6))


def open_scorer(arrival: Arrival) -> Scorer:
    """Scores submissions of stage 1 by the labels that are known now."""
    workspace, rows = arrival.workspace, arrival.rows
    sample = read_sample(workspace.root, workspace.competition, 1)
    return Scorer(workspace.root, workspace.competition, Making(), sample, rows.targets, rows.train)


def answer_of(scorer: Scorer, file: Path, solution: pd.DataFrame) -> pd.DataFrame:
    """The lines of a submission whose ids a solution has.

    Raises:
        SubmissionError: It cannot be read.
    """
    key = list(scorer.competition.submission_key)
    table = read_submission(file, tuple(key))
    known = pd.MultiIndex.from_frame(solution[key])
    asked = table[pd.MultiIndex.from_frame(table[key]).isin(known)]
    return asked.reset_index(drop=True)


def _score(arrival: Arrival, file: Path, rows: pd.DataFrame) -> float:
    scorer = open_scorer(arrival)
    solution = scorer.solution(rows)
    return scorer.score(solution, answer_of(scorer, file, solution))


def _is_mean(metric: Metric) -> bool:
    """Whether the score of all rows is the mean of theirs."""
    form = PER_ROW.get(metric.score.removeprefix("kagkit.metrics:"))
    own = form is not None and form.finish is average and form.suits(metric.args)
    return own or metric.per_row is not None


def tell_audited(workspace: Workspace, audited: list[Audited]) -> Iterator[str]:
    """Each submission's scores in words, and how many the host has scored that no run here made.

    Raises:
        DataError: The ledger cannot be read.
    """
    if not audited:
        yield "no submission of stage 1 has a score; kagkit lb sync brings them home"
    for each in audited:
        again = "not scored" if each.recomputed is None else f"{each.recomputed:.5f} by the released labels"
        verdict = {True: "as the host had it", False: "NOT as the host had it", None: "not comparable"}
        yield f"{each.submission}: {again}, {verdict[each.match]}: {each.why}"
    events = read_events(workspace)
    runs = runs_by_ref(events)
    scored = {
        line["ref"]: line.get("run") for line in events if line.get("event") == "score" and "ref" in line
    }
    strange = [ref for ref, run in scored.items() if run is None and ref not in runs]
    if strange:
        yield f"{counted(len(strange), 'scored submission')} of no run here: {samples(sorted(strange))}"


def tell_alarms(audited: list[Audited]) -> Iterator[str]:
    """What of an audit must not be passed over."""
    for each in audited:
        for board in each.boards:
            if not board.match:
                yield (
                    f"{each.submission}: {board.board}: {board.recomputed:.5f} by our metric, "
                    f"{board.shown:.5f} by the host's: the metric, the labels or the file are not the host's"
                )
