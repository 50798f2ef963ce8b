"""Let train score predictions as its run will be scored, and say what of that belongs to a task's key."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kagkit.foundation.component import function_code, function_files, import_function, read_imports
from kagkit.foundation.files import file_sha256
from kagkit.workspace.competition import Competition
from kagkit.workspace.manifest import Making

if TYPE_CHECKING:
    import pandas as pd

    from kagkit.metrics.scoring import Scorer
    from kagkit.metrics.truth import Truth


PLAIN = ("labels", "probabilities", "values")


def judging_facts(
    root: Path, competition: Competition, making: Making, targets: tuple[str, ...]
) -> dict[str, Any]:
    """What decides a score beside the predictions: ingredients of the key of a task that scores."""
    metric, sample = competition.metric, competition.stages["1"].sample_submission
    references = [making.make, metric.score, metric.solution]
    code = {name: sha256 for each in references for name, sha256 in function_code(root, each).items()}
    return {
        "metric": [metric.score, metric.args, metric.solution, metric.greater_is_better],
        "submission": [making.make, making.args],
        "format": [list(competition.submission_key), list(competition.submission.target), list(targets)],
        "sample": file_sha256(root / sample) if sample else None,
    } | {f"code {name}": sha256 for name, sha256 in code.items()}


def judging_files(root: Path, competition: Competition, making: Making) -> tuple[str, ...]:
    """The files of the workspace that scoring reads: code, and the sample submission."""
    metric, sample = competition.metric, competition.stages["1"].sample_submission
    files = function_files(root, [making.make, metric.score, metric.solution])
    return (*read_imports(root, files).local, *([sample] if sample else []))


def make_judge(
    root: Path, competition: Competition, making: Making, targets: tuple[str, ...], labelled: pd.DataFrame
) -> Truth | FormatJudge:
    """Who scores training rows: by values alone where kagkit knows the metric, else in submission format.

    Args:
        root: The workspace.
        competition: The competition, with its metric.
        making: How predictions become submission rows.
        targets: The columns that `predict` never sees.
        labelled: All training rows by key.
    """
    from kagkit.metrics.scoring import Scorer, read_sample, takes
    from kagkit.metrics.truth import Truth

    metric, columns = competition.metric, list(competition.submission.target)
    plain = making.make is None and metric.solution is None and takes(competition) in PLAIN
    if plain and competition.submission_key == competition.rows.key and set(columns) <= set(labelled):
        function = import_function(root, metric.score)
        return Truth(labelled[columns], function, metric.greater_is_better, metric.args)
    sample = read_sample(root, competition)
    return FormatJudge(Scorer(root, competition, making, sample, targets, labelled), labelled)


@dataclass(frozen=True, eq=False)
class FormatJudge:
    """Scores training rows as the run's CV is scored: written in submission format, by the host's function.

    Attributes:
        scorer: Who writes and scores.
        labelled: All training rows by key.
    """

    scorer: Scorer
    labelled: pd.DataFrame

    @property
    def greater_is_better(self) -> bool:
        """Whether a larger score is the better one."""
        return self.scorer.competition.metric.greater_is_better

    def score(self, table: Any, keys: pd.Index[Any]) -> float:
        """The score of predictions, a table by key or `Predictions`, of the rows of these keys."""
        from kagkit.data.predictions import Predictions
        from kagkit.metrics.truth import take_rows

        if not isinstance(table, Predictions):
            table = Predictions.of(table, self.scorer.competition.rows.key)
        rows = take_rows(self.labelled, keys, "training rows")
        return self.scorer.score(self.scorer.solution(rows), self.scorer.make(table, rows))
