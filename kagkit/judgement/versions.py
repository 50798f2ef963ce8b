"""Bring a frozen and a retrained run of one model to the same rows, by key, as tables and as scores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import pandas as pd

from kagkit.data.folds import is_in
from kagkit.data.predictions import Predictions
from kagkit.foundation.errors import DataError, KagkitError, Problem
from kagkit.judgement.evidence import Versions
from kagkit.judgement.lab import Lab
from kagkit.judgement.labels import Labelled, numeric_columns, to_numbers
from kagkit.metrics.resampling import Scored, find_ids, name_units, prepare_scores, score_shuffled
from kagkit.metrics.scoring import Scorer, takes
from kagkit.runs.record import Run
from kagkit.workspace.competition import Metric
from kagkit.workspace.layout import Workspace

# Vectors, such as embeddings, are looked at up to this length.
MOST_VALUES = 256
FROZEN, RETRAINED = 0, 1


@dataclass(frozen=True, eq=False)
class Both:
    """Two runs of one model.

    Attributes:
        runs: The frozen and the retrained run.
        scorers: What makes a submission of either's predictions.
        scored: Either's out-of-fold predictions in submission format.
        rows: The training rows that both have predicted out of fold, by key, with targets.
        test: The rows to be predicted.
        groups: By key of `rows`, what a row belongs to.
    """

    runs: tuple[Run, Run]
    scorers: tuple[Scorer, Scorer]
    scored: tuple[Scored, Scored]
    rows: pd.DataFrame
    test: pd.DataFrame
    groups: pd.Series[Any]

    @classmethod
    def read(cls, workspace: Workspace, frozen: Run, retrained: Run) -> Self:
        """Score both again, and find the rows that both have.

        Raises:
            KagkitError: Their data or scores are others now, or they have no row in common.
        """
        lab = Lab(workspace)
        (first, its), (second, other) = lab.score_again(frozen), lab.score_again(retrained)
        rows = lab.read_rows(frozen)
        for run in (frozen, retrained):
            rows = rows[is_in(rows.index, open_oof(run).keys)]
        if rows.empty:
            problem = Problem(retrained.name, f"no row that {frozen.name} predicted out of fold, too")
            raise DataError("there are no rows to compare on", [problem])
        test, groups = lab.read_rows(frozen, "test"), lab.group_of(rows)
        return cls((frozen, retrained), (first, second), (its, other), rows, test, groups)

    @property
    def metric(self) -> Metric:
        """The competition's metric."""
        return self.scorers[FROZEN].competition.metric

    def versions(self, keys: pd.Index[Any]) -> Versions:
        """Both versions' scores on the same rows.

        Raises:
            KagkitError: The metric is not defined on them.
        """
        scorer = self.scorers[FROZEN]
        ids = find_ids(scorer, self.rows.loc[keys])
        frozen, retrained = (scored.of_ids(ids) for scored in self.scored)
        old, new = (
            prepare_scores(scorer, scored)
            for scorer, scored in zip(self.scorers, (frozen, retrained), strict=True)
        )
        nothing, perfect = _know_nothing(scorer, retrained), _score(scorer, retrained, retrained.truth)
        return Versions(old, new, name_units(frozen.unit), nothing, perfect)

    def labelled(self, keys: pd.Index[Any]) -> Labelled | None:
        """The labels of some rows as numbers beside both versions' predictions; None where they are none."""
        rows = self.rows.loc[keys]
        predicted = [open_oof(run).frame(keys) for run in self.runs]
        targets = self.scorers[FROZEN].competition.submission.target
        truth = to_numbers(rows, targets, predicted[FROZEN])
        if truth is None or not all(set(truth) <= set(numeric_columns(table)) for table in predicted):
            return None
        frozen, retrained = (table[list(truth)].set_axis(keys) for table in predicted)
        return Labelled(truth, frozen, retrained, self.groups.loc[keys])

    def features(self) -> tuple[pd.DataFrame, pd.DataFrame] | None:
        """What the frozen run's `predict` measured of labelled and of test rows; None where it did not."""
        run = self.runs[FROZEN]
        tables: dict[str, list[pd.DataFrame]] = {"oof": [], "test": []}
        for name, sets in run.data.get("probes", {}).items():
            for which, found in tables.items():
                if which in sets:
                    opened = Predictions.open(run.folder / sets[which]["file"])
                    found.append(flat_table(opened).add_prefix(f"{name}."))
        if not all(tables.values()):
            return None
        measured, test = (pd.concat(found, axis=1) for found in tables.values())
        group = self.scorers[FROZEN].competition.rows.group
        if group is not None and group in self.rows:  # rows of one group are held out together here, too
            measured, test = measured.join(self.rows[group]), test.join(self.test[group])
        return measured.loc[self.rows.index], test


def open_oof(run: Run) -> Predictions:
    """A run's out-of-fold predictions; it has some."""
    return Predictions.open(run.folder / run.data["oof"]["file"])


def _score(scorer: Scorer, scored: Scored, answer: pd.DataFrame) -> float | None:
    try:
        return scorer.score_aligned(scored.truth, answer, scored.row_id)
    except KagkitError:
        return None


def _know_nothing(scorer: Scorer, scored: Scored) -> float | None:
    """The score of the mean label where the metric takes numbers; of answers dealt anew where it does not."""
    values = scored.truth.drop(columns=scored.row_id)
    if takes(scorer.competition) in ("probabilities", "values") and list(numeric_columns(values)) == list(
        values
    ):
        told = {str(name): float(values[name].mean()) for name in values}
        return _score(scorer, scored, scored.truth.assign(**told))
    try:
        return score_shuffled(scorer, scored)
    except KagkitError:
        return None


def flat_table(opened: Predictions) -> pd.DataFrame:
    """What was measured, a table by key: numbers, and vectors that are short enough, a column each."""
    parts = [numeric_columns(opened.frame())]
    for name in opened.columns:
        if opened.kind(name) == "array":
            values = opened.array(name).reshape(opened.table.num_rows, -1)
            if values.shape[1] <= MOST_VALUES:
                parts.append(pd.DataFrame(values, opened.keys).add_prefix(f"{name}."))
    return pd.concat(parts, axis=1)
