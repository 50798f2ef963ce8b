"""Score out-of-fold predictions by the host's metric: each fold alone, all of them together as the CV."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from kagkit.data import combining, folds
from kagkit.data.predictions import Predictions, Written
from kagkit.foundation.component import import_function
from kagkit.foundation.errors import KagkitError
from kagkit.metrics.scoring import Scorer
from kagkit.runs.probes import probes_of


@dataclass(frozen=True)
class FoldFile:
    """The predictions of the rows that one training held out."""

    seed: int
    fold: int | None
    path: Path


@dataclass(frozen=True)
class Scorecard:
    """Scores the folds of one experiment.

    Attributes:
        scorer: Who writes predictions in submission format and scores them.
        labelled: All training rows, by key.
        combine: How seeds become one prediction: `mean`, `rank_mean` or `module:function`.
    """

    scorer: Scorer
    labelled: pd.DataFrame
    combine: str

    def fold(self, held_out: FoldFile) -> dict[str, Any]:
        """A fold's own score; none where the metric is not defined on it and the CV does not need it."""
        predicted = Predictions.open(held_out.path)
        told = {"seed": held_out.seed, "fold": held_out.fold}
        try:
            return told | {"score": self._score(predicted), "rows": len(predicted.keys)}
        except KagkitError as error:
            if self.scorer.competition.metric.cv == "pooled":
                return told | {"score": None, "rows": len(predicted.keys), "note": str(error)}
            what = f"seed {held_out.seed}, fold {held_out.fold}: {error.summary}"
            raise type(error)(what, error.problems) from error

    def put_together(self, path: Path, held_out: Sequence[FoldFile]) -> Written:
        """Write the OOF: the folds of each seed end to end, the seeds combined."""
        by_seed: dict[int, list[Path]] = {}
        for one in held_out:
            by_seed.setdefault(one.seed, []).append(one.path)
        members = []
        for seed, paths in sorted(by_seed.items()):
            member = path.with_name(f".oof-{seed}.arrow")
            combining.concatenate(member, [Predictions.open(one) for one in paths])
            members.append(member)
        written = self.combined(path, members)
        for member in members:
            member.unlink()
        return written

    def combined(self, path: Path, members: Sequence[Path]) -> Written:
        """Write the predictions of several seeds or folds as one."""
        how: Any = self.combine
        if ":" in how:
            how = import_function(self.scorer.root, how)
        return combining.combine(path, [Predictions.open(member) for member in members], how)

    def put_probes_together(
        self, folder: Path, held_out: Sequence[FoldFile], tests: Sequence[Path]
    ) -> dict[str, dict[str, Written]]:
        """Write what tasks measured, as `<name>-oof.arrow` and `<name>-test.arrow`; by name and row set."""
        plain = replace(self, combine="mean")
        found: dict[str, dict[str, Written]] = {}
        for name, files in probes_of([one.path for one in held_out]).items():
            own = [replace(one, path=path) for one, path in zip(held_out, files, strict=True)]
            found[name] = {"oof": plain.put_together(folder / f"{name}-oof.arrow", own)}
        for name, files in probes_of(tests).items():
            found.setdefault(name, {})["test"] = plain.combined(folder / f"{name}-test.arrow", files)
        return found

    def cv(self, scores: Sequence[dict[str, Any]], oof: Path) -> float:
        """The CV: the metric on the OOF, or the mean of the folds where competition.yaml says so."""
        if self.scorer.competition.metric.cv == "fold_mean":
            return statistics.fmean(float(score["score"]) for score in scores)
        return self._score(Predictions.open(oof))

    def cv_without(self, left_out: pd.Index[Any], held_out: Sequence[FoldFile], oof: Path) -> float | None:
        """What the CV would be without some rows; None where the metric is not defined on the others."""
        members = (
            [one.path for one in held_out] if self.scorer.competition.metric.cv == "fold_mean" else [oof]
        )
        try:
            return statistics.fmean(self._score(Predictions.open(path), left_out) for path in members)
        except KagkitError:
            return None

    def _score(self, predicted: Predictions, left_out: pd.Index[Any] | None = None) -> float:
        scorer, labelled = self.scorer, self.labelled
        held_out = labelled.loc[folds.is_in(labelled.index, predicted.keys)]
        if left_out is not None:
            held_out = held_out[~folds.is_in(held_out.index, left_out)]
        return scorer.score(scorer.solution(held_out), scorer.make(predicted, held_out))
