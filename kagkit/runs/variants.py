"""Score each way from predictions to a submission, find the arguments left to be found, write its file."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from kagkit.data import folds
from kagkit.data.predictions import Predictions
from kagkit.data.rows import without_targets
from kagkit.foundation.files import file_sha256, write_file
from kagkit.metrics.fitting import Fit, HeldOut, fit_args
from kagkit.metrics.scoring import Scorer, to_sample_order
from kagkit.runs.scorecard import FoldFile, Scorecard
from kagkit.workspace.manifest import Making


@dataclass(frozen=True, eq=False)
class Variant:
    """One way from predictions to a submission, scored.

    Attributes:
        name: What the manifest calls it; empty where it is the only one.
        file: The submission it writes.
        scorer: Makes that submission, by the arguments that are for new rows.
        scores: Seed, fold, score and rows of each fold; where arguments were found, each fold is made with
            those of the other folds.
        cv: The CV, likewise; None where nothing was held out.
        fit: How its arguments were found; None where the manifest says them all.
    """

    name: str
    file: str
    scorer: Scorer
    scores: list[dict[str, Any]]
    cv: float | None
    fit: Fit | None

    @property
    def cv_std(self) -> float | None:
        """The sample standard deviation of the folds' scores, seeds averaged first; None below two folds."""
        by_fold: dict[int, list[float]] = {}
        for score in self.scores:
            if score["score"] is not None:
                by_fold.setdefault(score["fold"], []).append(score["score"])
        means = [statistics.fmean(values) for values in by_fold.values()]
        return statistics.stdev(means) if len(means) > 1 else None

    def as_json(self) -> dict[str, Any]:
        """What the record says of it beside the file that it wrote."""
        told: dict[str, Any] | None = None
        if self.fit is not None:
            kept = ("before", "in_sample", "held_out", "optimism", "evaluations", "stopped")
            told = {name: getattr(self.fit, name) for name in kept}
            told["fold_args"] = {str(fold): args for fold, args in self.fit.fold_args.items()}
        facts = {"name": self.name, "file": self.file, "cv": self.cv, "cv_std": self.cv_std}
        return facts | {"args": self.scorer.making.args, "fit": told}


def score_variants(
    card: Scorecard, makings: Mapping[str, Making], held_out: Sequence[FoldFile], oof: Path, *, complete: bool
) -> list[Variant]:
    """Score the variants of a manifest on its out-of-fold predictions.

    Args:
        card: Scores folds; its scorer is taken with each variant's way in turn.
        makings: The variants by name, the first of which gives the run its CV.
        held_out: What each training held out; empty where all fits were on all rows.
        oof: The out-of-fold predictions put together.
        complete: Whether the run is; a partial one of a single fold keeps the arguments it starts from.

    Raises:
        ManifestError: An argument to be found has nothing to start from, or is no number.
        DataError: There is a single fold, so that nothing is held out of what arguments are found on.
        KagkitError: The metric does not accept what is made.
    """
    found: list[Variant] = []
    for name, making in makings.items():
        own = replace(card, scorer=replace(card.scorer, making=making))
        file = f"submission-{name}.csv" if found else "submission.csv"
        several = len({one.fold for one in held_out}) > 1
        fit = None
        if making.fit_args and held_out and (several or complete):
            fit = _fitted(own, held_out, oof)
        scores = [_on_fold(own, fit, one).fold(one) for one in held_out]
        if fit is not None:
            own = _with_args(own, fit.args)
        cv = fit.held_out if fit else own.cv(scores, oof) if held_out else None
        found.append(Variant(name, file, own.scorer, scores, cv, fit))
    return found


def write_submission(
    path: Path, scorer: Scorer, predictions: Predictions, rows: pd.DataFrame, *, ordered: bool = True
) -> dict[str, Any]:
    """Make a submission of predictions and write it, in the order of the sample where there is one.

    Args:
        path: The file.
        scorer: Makes its rows.
        predictions: Predictions of these rows at least.
        rows: The rows, by key.
        ordered: Whether the ids must be the sample's, in its order.

    Returns:
        `sha256` and `rows` of the file, as a record tells them.

    Raises:
        RunError: What was made is no submission table, or the file cannot be written.
        SubmissionError: Ids are missing or too much.
    """
    table = scorer.make(predictions, rows)
    if ordered and scorer.sample is not None:
        table = to_sample_order(table, scorer.sample, list(scorer.competition.submission_key))
    write_file(path, table.to_csv(index=False, lineterminator="\n"))
    return {"sha256": file_sha256(path), "rows": len(table)}


def _fitted(card: Scorecard, held_out: Sequence[FoldFile], path: Path) -> Fit:
    """Find the arguments of one way."""
    oof, scorer = Predictions.open(path), card.scorer
    members = [(one.fold, Predictions.open(one.path).keys) for one in held_out]
    fold_of = pd.concat([pd.Series(fold, index=keys, dtype="int64") for fold, keys in members])
    fold_of = fold_of[~fold_of.index.duplicated()]  # each seed held it out in the same fold
    labelled = card.labelled.loc[folds.is_in(card.labelled.index, oof.keys)]
    judge = _Judge(scorer, labelled, fold_of)
    given = HeldOut(oof, without_targets(labelled, scorer.targets), fold_of, judge)
    return fit_args(scorer.maker, scorer.making.fit_args, given, scorer.making.args)


def _on_fold(card: Scorecard, fit: Fit | None, one: FoldFile) -> Scorecard:
    """Who scores a fold: by the arguments found on the others, where some were found."""
    return card if fit is None or one.fold is None else _with_args(card, fit.fold_args[one.fold])


def _with_args(card: Scorecard, args: dict[str, Any]) -> Scorecard:
    return replace(card, scorer=replace(card.scorer, making=replace(card.scorer.making, args=args)))


@dataclass(frozen=True, eq=False)
class _Judge:
    """Scores submission rows as the CV is: all together, or as the mean of their folds."""

    scorer: Scorer
    labelled: pd.DataFrame
    fold_of: pd.Series[Any]
    known: dict[int, tuple[pd.Index[Any], list[pd.DataFrame]]] = field(default_factory=dict)

    @cached_property
    def greater_is_better(self) -> bool:
        return self.scorer.competition.metric.greater_is_better

    def score(self, table: pd.DataFrame, keys: pd.Index[Any]) -> float:
        truths = self._truths(keys)
        if len(truths) == 1:
            return self.scorer.score(truths[0], table)
        key = list(self.scorer.competition.submission_key)
        ids = pd.MultiIndex.from_frame(table[key])
        parts = [(truth, ids.isin(pd.MultiIndex.from_frame(truth[key]))) for truth in truths]
        return statistics.fmean(self.scorer.score(truth, table[own]) for truth, own in parts)

    def _truths(self, keys: pd.Index[Any]) -> list[pd.DataFrame]:
        """The truth of some rows, or of each fold of them; a search asks for the same ones all the time."""
        if id(keys) not in self.known:
            parts = [keys]
            if self.scorer.competition.metric.cv == "fold_mean":
                fold_of = self.fold_of.loc[keys]
                parts = [fold_of.index[fold_of == fold] for fold in sorted(set(fold_of))]
            truths = [self.scorer.solution(self.labelled.loc[part]) for part in parts]
            self.known[id(keys)] = keys, truths
        return self.known[id(keys)][1]
