"""Predict new rows by a run or its lock, check the lines, put the file in its place wholly or not at all."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from kagkit.foundation.errors import ManifestError, Problem, SubmissionError
from kagkit.foundation.files import file_sha256, write_file
from kagkit.judgement.checks import Expected, check_submission
from kagkit.metrics.scoring import read_submission, takes
from kagkit.runs.events import Noted
from kagkit.runs.prediction import NewData, Predicted, find_data, predict_new
from kagkit.runs.usable import Usable, find_locked, open_run
from kagkit.workspace.layout import find_workspace

HEADER_CHARS = 1 << 16


@dataclass(frozen=True)
class Answered:
    """New rows, predicted and written.

    Attributes:
        run: The run that predicted them.
        rows: How many rows.
        lines: How many lines the submission has below its header.
        sha256: The submission's digest.
        members: The weights that had a say, by seed and fold.
        inputs: The runs that were asked first, because they feed it, in that order.
        left_out: Columns that were not given to `predict`: targets, and those the run did not know.
        accepted: Files whose changed code was accepted.
        check: What the file was checked against.
        seconds: How long it took.
    """

    run: str
    rows: int
    lines: int
    sha256: str
    members: tuple[dict[str, int | None], ...]
    inputs: tuple[str, ...]
    left_out: dict[str, tuple[str, ...]]
    accepted: tuple[str, ...]
    check: str
    seconds: float


def predict_rows(
    reference: str, folder: Path, out: Path, accepted: Sequence[str] = (), variant: str = ""
) -> Iterator[Noted | Answered]:
    """Predict the rows of a folder and write them as a submission.

    Args:
        reference: `exp001`, `exp001/3`, a run's folder or a lock file. A path may lie in another workspace.
        folder: The folder with files like the stage's test: its table, its `files`, perhaps a sample.
        out: The submission to write; one that is there is replaced.
        accepted: Files whose code changed since the run, and is used as it is.
        variant: Which of the run's submissions to make; the first where empty.

    Yields:
        What happens, as it happens; `Answered` comes last.

    Raises:
        ManifestError: There is no such run, or it cannot predict new rows.
        DataError: The new rows are not all there, or not what the run learned to predict.
        RunError: The code is not the run's, or a job failed.
        SubmissionError: The submission is not what the sample beside the rows asks for.
        ReproductionError: The run or its lock is damaged.
    """
    start = Path(reference)
    # Not from the run's folder itself: it has a competition.yaml of its own.
    workspace = find_workspace(start.resolve().parent if start.exists() else Path.cwd())
    usable = open_run(workspace, find_locked(workspace, reference), accepted, variant)
    data = find_data(usable, folder)
    _refuse_place(usable, data, out.resolve())
    for event in predict_new(usable, data):
        if isinstance(event, Noted):
            yield event
        else:
            yield _finish(usable, data, event, out)


def _refuse_place(usable: Usable, data: NewData, out: Path) -> None:
    """A submission replaces a submission alone, and does not stand among data or what kagkit keeps."""
    root, competition = usable.workspace.root, usable.competition
    kept = [root / name for name in ("runs", "submissions", "folds", "locks", ".kagkit")]
    inside = next((place for place in kept if out.is_relative_to(place)), None)
    given = [data.test, *data.files] + ([data.sample] if data.sample else [])
    declared = [(root / path).resolve() for path in competition.paths]
    found = ""
    if inside:
        found = f"in {inside.name}/, which kagkit keeps"
    elif any(out.is_relative_to(path) for path in given):
        found = "a file of the new rows"
    elif any(out.is_relative_to(path) for path in declared):
        found = "data that competition.yaml names"
    elif out.is_dir():
        found = "a folder"
    elif out.exists() and not _is_submission(
        out, {*competition.submission_key, *competition.submission.target}
    ):
        found = "there already, and not a submission"
    if found:
        raise ManifestError("--out cannot be written", [Problem("--out", found, "another file's name")])


def _is_submission(path: Path, columns: set[str]) -> bool:
    """Whether a file begins as a submission does: with the names of these columns."""
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as stream:
        return set(next(csv.reader([stream.readline(HEADER_CHARS)]), [])) == columns


def _finish(usable: Usable, data: NewData, predicted: Predicted, out: Path) -> Answered:
    check = _check(usable, data, predicted)
    write_file(out, predicted.submission.read_bytes())
    lines = len(read_submission(out, usable.competition.submission_key))
    members = tuple({"seed": member.seed, "fold": member.fold} for member in usable.members)
    return Answered(
        usable.run.name,
        predicted.rows,
        lines,
        file_sha256(out),
        members,
        tuple(name for name in usable.lineage() if name != usable.run.name),
        {"targets": predicted.targets, "unknown": predicted.extra},
        usable.accepted,
        check,
        round(predicted.seconds, 3),
    )


def _check(usable: Usable, data: NewData, predicted: Predicted) -> str:
    expected, told = _expected(usable, data, predicted.submission)
    problems = check_submission(predicted.submission, expected)
    if problems:
        raise SubmissionError("not written: the submission is not what is asked for", problems)
    return told


def _expected(usable: Usable, data: NewData, submission: Path) -> tuple[Expected, str]:
    competition = usable.competition
    key, target = competition.submission_key, competition.submission.target
    several = competition.submission.lines == "several"
    if data.sample is not None:
        sample = read_submission(data.sample, key)
        labels = takes(competition) == "labels"
        return Expected(
            sample, key, target, labels, several
        ), f"{len(sample):,} rows as in the sample submission"
    # Without the host's sample its own ids are all that can be asked of it: once each, none empty.
    table: Any = read_submission(submission, key)
    ids = table[list(key)].drop_duplicates() if several else table[list(key)]
    blank = pd.DataFrame(dict.fromkeys(target, ""), index=ids.index)
    sample = pd.concat([ids, blank], axis=1)
    return Expected(
        sample, key, target, labels=False, several=several
    ), "no sample submission to check against"
