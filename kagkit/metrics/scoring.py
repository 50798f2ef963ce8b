"""Turn predictions into a submission table and a score, joined by key all the way."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, wraps
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from kagkit.data.predictions import Predictions
from kagkit.foundation.component import import_function
from kagkit.foundation.errors import (
    KagkitError,
    Problem,
    RunError,
    SubmissionError,
    did_you_mean,
    samples,
)
from kagkit.metrics import TAKES
from kagkit.metrics.labelling import classes_of, name_largest, to_labels
from kagkit.metrics.refusals import is_readable
from kagkit.workspace.competition import Competition
from kagkit.workspace.manifest import Making

ROW_ID = "row_id"


@dataclass(frozen=True)
class Answers:
    """What predictions become in a submission, told so that new rows need no training rows.

    Attributes:
        labels: Whether they become labels; else they stay as they come, or the user's `make` writes them.
        classes: The classes of each target, sorted; None where they are not known, or no labels are asked.
    """

    labels: bool
    classes: dict[str, list[Any]] | None = None


@dataclass(frozen=True)
class Scorer:
    """Scores predictions the way the host will: in submission format, by the host's own function.

    Attributes:
        root: The workspace.
        competition: The competition.
        making: How predictions become submission rows.
        sample: The sample submission, key columns as text; None where the host gives none.
        targets: The columns `predict` never sees.
        labelled: All training rows, which tell the classes of the target; None where they are not known.
        told: What `answers` said when the training rows were at hand; it stands in for them.
    """

    root: Path
    competition: Competition
    making: Making
    sample: pd.DataFrame | None
    targets: tuple[str, ...]
    labelled: pd.DataFrame | None = None
    told: Answers | None = None

    def make(self, predictions: Predictions, rows: pd.DataFrame) -> pd.DataFrame:
        """The submission rows for some rows, key columns first, then the target columns.

        Args:
            predictions: Predictions that hold at least these rows' keys.
            rows: The rows, by key; targets in them are taken out first.

        Raises:
            RunError: The result is no submission table, with what is missing or too much.
        """
        asked = rows.drop(columns=[target for target in self.targets if target in rows])
        if self.making.make is not None:
            return self.maker(predictions, asked, **self.making.args)
        columns = list(self.competition.submission.target)
        given = predictions.frame(asked.index)
        if not set(columns) <= set(given.columns):
            values = to_labels(name_largest(given, columns), self._truth)
        elif self._asks_for_labels():
            values = to_labels(given[columns], self._truth)
        else:
            values = given[columns]
        return self._checked(values.reset_index(), "predictions")

    @cached_property
    def maker(self) -> Callable[..., pd.DataFrame]:
        """The user's `submission.make`: on predictions and rows without targets, its table checked."""
        reference = str(self.making.make)
        function = import_function(self.root, reference)

        @wraps(function)
        def made(predictions: Predictions, rows: pd.DataFrame, **args: Any) -> pd.DataFrame:
            return self._checked(function(_as_given(predictions, rows.index), rows, **args), reference)

        return made

    def answers(self, predictions: Predictions) -> Answers:
        """What `make` takes from the sample and the training rows for predictions of these columns."""
        columns = list(self.competition.submission.target)
        if self.making.make is not None:
            return Answers(labels=False)
        lacking = not set(columns) <= set(predictions.columns)
        if not lacking and not self._asks_for_labels():
            return Answers(labels=False)
        truth = self._truth
        known = None if truth is None else {name: classes_of(truth[name]).tolist() for name in columns}
        return Answers(labels=True, classes=known)

    def solution(self, rows: pd.DataFrame) -> pd.DataFrame:
        """The truth of some labelled rows in submission format.

        Raises:
            RunError: The rows lack a column the submission needs, or the user's function gave no table.
        """
        reference = self.competition.metric.solution
        if reference is not None:
            return self._checked(import_function(self.root, reference)(rows), reference)
        missing = [column for column in self.competition.submission.target if column not in rows]
        if missing:
            problem = Problem(
                "competition.yaml",
                f"the training rows have no column {', '.join(missing)}",
                hint="say how the truth looks: metric: {solution: module:function}",
            )
            raise RunError("the training rows cannot be scored", [problem])
        return self._checked(rows[list(self.competition.submission.target)].reset_index(), "rows")

    def score(self, solution: pd.DataFrame, submission: pd.DataFrame) -> float:
        """The host's score of a submission, both tables brought to the same order by key.

        Raises:
            SubmissionError: The keys differ, or the metric refused the submission in words for participants.
            RunError: The metric failed, or its result is no number.
        """
        key = list(self.competition.submission_key)
        truth, answer, row_id = align_tables(solution, submission, key)
        return self.score_aligned(truth, answer, row_id)

    def score_aligned(self, truth: pd.DataFrame, answer: pd.DataFrame, row_id: str) -> float:
        """The host's score of two tables that `align_tables` made; raises as `score` does."""
        metric = self.competition.metric
        function: Callable[..., Any] = import_function(self.root, metric.score)
        try:
            value = float(function(truth, answer, row_id, **metric.args))
        except KagkitError:
            raise
        except Exception as error:
            if is_readable(error):  # a host's own metric file, with its own exception for participants
                problem = Problem(
                    "submission", str(error), hint=f"this is what {metric.score} tells participants"
                )
                raise SubmissionError("the submission cannot be scored", [problem]) from error
            problem = Problem(metric.score, f"{type(error).__name__}: {error}")
            raise RunError("the metric did not accept the predictions", [problem]) from error
        if not math.isfinite(value):
            raise RunError(
                "the metric gave no number", [Problem(metric.score, str(value), "a finite number")]
            )
        return value

    @cached_property
    def _truth(self) -> pd.DataFrame | None:
        """What the submission's targets are in all training rows; None where that is not known."""
        columns = list(self.competition.submission.target)
        if self.told is not None:
            if self.told.classes is None:
                return None
            return pd.DataFrame({name: pd.Series(known) for name, known in self.told.classes.items()})
        if self.labelled is None:
            return None
        if self.competition.metric.solution is not None:
            return self.solution(self.labelled)[columns]
        return self.labelled[columns] if set(columns) <= set(self.labelled.columns) else None

    def _asks_for_labels(self) -> bool:
        """Whether labels are asked: kagkit's metric says so, or else the sample, and no row denies it."""
        if self.told is not None:
            return self.told.labels
        taken = takes(self.competition)
        if taken is not None or self.sample is None:
            return taken == "labels"
        sample = self.sample[list(self.competition.submission.target)]
        # A sample of zeros may well stand for numbers: the training rows know.
        return _all_whole(sample) and (self._truth is None or _all_whole(self._truth.convert_dtypes()))

    def _checked(self, table: object, source: str) -> pd.DataFrame:
        """The table with key and target columns only, keys as text."""
        key, target = list(self.competition.submission_key), list(self.competition.submission.target)
        if not isinstance(table, pd.DataFrame):
            found = type(table).__name__
            raise RunError(
                f"{source} gave no table", [Problem(source, found, "a DataFrame in submission format")]
            )
        if not set(key) <= set(table.columns):
            table = table.reset_index()
        missing = [column for column in (*key, *target) if column not in table.columns]
        if missing:
            raise RunError(
                f"{source} gave no submission table",
                [Problem(source, f"no column {', '.join(missing)}", f"{', '.join((*key, *target))}")],
            )
        return table[[*key, *target]].astype(dict.fromkeys(key, "str"))


def takes(competition: Competition) -> str | None:
    """What the metric takes: `labels`, `probabilities` or `values`; None for a metric of the user's."""
    return TAKES.get(competition.metric.score.removeprefix("kagkit.metrics:"))


def to_sample_order(table: pd.DataFrame, sample: pd.DataFrame, key: list[str]) -> pd.DataFrame:
    """Bring a submission to the ids and the order of the sample submission, joined by key.

    Args:
        table: Submission rows, key columns as text.
        sample: The host's sample, key columns as text.
        key: The key columns.

    Raises:
        SubmissionError: Ids are missing or too much, counted, with the first of them.
    """
    if table.duplicated(key).any() or sample.duplicated(key).any():
        # Several rows per id (mask instances): the host's order is of ids, kept stable within one.
        order = sample.drop_duplicates(key)[key]
    else:
        order = sample[key]
    wanted, have = pd.MultiIndex.from_frame(order), pd.MultiIndex.from_frame(table[key])
    missing, extra = wanted.difference(have), have.difference(wanted)
    problems = []
    if len(missing):
        found = f"{len(missing):,} of {len(wanted):,} ids have no prediction: {_shown(missing)}"
        problems.append(Problem("ids", found, check="ids"))
    if len(extra):
        found = f"{len(extra):,} ids are not in the sample submission: {_shown(extra)}"
        problems.append(Problem("ids", found, check="ids"))
    if problems:
        raise SubmissionError("the predictions are not the sample submission's rows", problems)
    position = pd.Series(np.arange(len(wanted)), index=wanted)
    return table.iloc[np.argsort(position.reindex(have).to_numpy(), kind="stable")].reset_index(drop=True)


def read_sample(root: Path, competition: Competition, stage: int = 1) -> pd.DataFrame | None:
    """The host's sample submission of a stage, key columns as text; None where competition.yaml names none.

    Raises:
        SubmissionError: It cannot be read as a table, or lacks a column that competition.yaml names.
    """
    file, key = competition.stages[str(stage)].sample_submission, competition.submission_key
    if file is None:
        return None
    sample = read_submission(root / file, key)
    columns = list(sample.columns)
    lacking = [name for name in (*key, *competition.submission.target) if name not in columns]
    if lacking:
        problems = [Problem(file, f"no column {name}", hint=did_you_mean(name, columns)) for name in lacking]
        raise SubmissionError(f"{file} is not the sample that competition.yaml tells of", problems)
    return sample


def read_submission(path: Path, key: tuple[str, ...]) -> pd.DataFrame:
    """Read a submission or sample file: key columns as text, as they are written.

    Raises:
        SubmissionError: It cannot be read as a table.
    """
    try:
        header = pd.read_csv(path, nrows=0, encoding="utf-8-sig")
        text = {column: "str" for column in header.columns if column.strip() in key}
        # "NA" may be an id; an empty cell is one too, and is found by the checks.
        table = pd.read_csv(
            path, dtype=text, encoding="utf-8-sig", keep_default_na=False, na_values=_blanks(header, key)
        )
    except (ValueError, pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        words = str(error).splitlines()[0].replace(str(path), path.name)
        raise SubmissionError(f"{path.name} is not a table", [Problem(path.name, words)]) from error
    return table.rename(columns=lambda column: column.strip())


def _blanks(header: pd.DataFrame, key: tuple[str, ...]) -> dict[str, list[str]]:
    blanks = ["", "NaN", "nan", "NA", "N/A", "null", "None"]
    return {column: blanks for column in header.columns if column.strip() not in key}


def _as_given(predictions: Predictions, keys: pd.Index) -> pd.DataFrame | Predictions:
    """A table where all values are single ones; masks and boxes stay on disk until they are asked for.

    Either holds the asked rows alone: a function may go through all it is given.
    """
    if all(predictions.kind(column) == "scalar" for column in predictions.columns):
        return predictions.frame(keys)
    return predictions if len(keys) == predictions.table.num_rows else predictions.only(keys)


def _all_whole(table: pd.DataFrame) -> bool:
    """Whether every column is of whole numbers or truth values."""
    types = pd.api.types
    return all(types.is_integer_dtype(dtype) or types.is_bool_dtype(dtype) for dtype in table.dtypes)


def align_tables(
    solution: pd.DataFrame, submission: pd.DataFrame, key: list[str]
) -> tuple[pd.DataFrame, pd.DataFrame, str]:
    """Both tables with one id column, in the solution's order, as the host's metric gets them; its name.

    Raises:
        SubmissionError: The keys differ.
        RunError: Several keys would become one id.
    """
    truth, answer = _with_row_id(solution, key), _with_row_id(submission, key)
    row_id = key[0] if len(key) == 1 else ROW_ID
    if set(truth[row_id]) != set(answer[row_id]):
        missing = sorted(set(truth[row_id]) - set(answer[row_id]))
        extra = sorted(set(answer[row_id]) - set(truth[row_id]))
        problems = []
        if missing:
            problems.append(Problem("submission", f"{len(missing):,} ids missing: {samples(missing)}"))
        if extra:
            problems.append(Problem("submission", f"{len(extra):,} ids too much: {samples(extra)}"))
        raise SubmissionError("submission and solution do not hold the same ids", problems)
    if truth[row_id].is_unique and answer[row_id].is_unique:
        answer = answer.set_index(row_id).loc[truth[row_id]].reset_index()[list(answer.columns)]
    return truth.reset_index(drop=True), answer, row_id


def _with_row_id(table: pd.DataFrame, key: list[str]) -> pd.DataFrame:
    if len(key) == 1:
        return table.copy()
    joined = table[key].agg("_".join, axis=1)
    if joined.nunique() < len(table.drop_duplicates(key)):
        twice = joined[joined.duplicated(keep=False)].unique().tolist()
        problem = Problem(ROW_ID, f"{samples(twice)}: several ids read so once their columns are joined by _")
        raise RunError("the metric could not tell some ids apart", [problem])
    return pd.concat([joined.rename(ROW_ID), table.drop(columns=key)], axis=1)


def _shown(keys: pd.MultiIndex) -> str:
    return samples(["_".join(map(str, parts)) for parts in keys[:5]], total=len(keys))
