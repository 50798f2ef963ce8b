"""Score runs' OOF predictions again, on cached rows, and prove that they make the CV on record."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from kagkit.foundation.errors import KagkitError, ManifestError
from kagkit.foundation.files import digest_of
from kagkit.runs.inputs import FOLDS
from kagkit.runs.record import Run
from kagkit.workspace.layout import Workspace
from kagkit.workspace.manifest import Making

if TYPE_CHECKING:
    import pandas as pd

    from kagkit.data.predictions import Predictions
    from kagkit.metrics.resampling import Scored
    from kagkit.metrics.scoring import Scorer

SAME_SCORE = 1e-6


class Lab:
    """Rows and scorers of runs, each table read once.

    Args:
        workspace: The workspace.
    """

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._units: dict[str, pd.Series[Any]] = {}
        self._tables: dict[tuple[str, str], pd.DataFrame] = {}

    def score_again(self, run: Run) -> tuple[Scorer, Scored]:
        """The run's OOF predictions in submission format, proved to make the CV that is recorded.

        Raises:
            KagkitError: Its data, its rows or its score are others now.
        """
        from kagkit.data import folds
        from kagkit.data.predictions import Predictions
        from kagkit.metrics.resampling import Scored
        from kagkit.metrics.scoring import align_tables

        scorer, train = self._scorer(run)
        predicted = Predictions.open(run.folder / run.data["oof"]["file"])
        rows = train.loc[folds.is_in(train.index, predicted.keys)]
        answer = self._held_out(run, scorer, predicted, rows)
        truth, answer, row_id = align_tables(
            scorer.solution(rows), answer, list(scorer.competition.submission_key)
        )
        scored = Scored(truth, answer, row_id, self._units_of(scorer, rows))
        score = scorer.score_aligned(truth, answer, row_id)
        recorded = run.data["cv"]
        pooled = scorer.competition.metric.cv == "pooled"
        if pooled and not math.isclose(score, recorded, rel_tol=SAME_SCORE, abs_tol=SAME_SCORE):
            raise KagkitError(
                f"its OOF predictions score {score:.6g} now and made {recorded:.6g}: code changed since"
            )
        return scorer, scored

    def _held_out(self, run: Run, scorer: Scorer, predicted: Predictions, rows: pd.DataFrame) -> pd.DataFrame:
        """The submission of some training rows; where arguments were found, by those of the other folds."""
        import pandas as pd

        from kagkit.data import folds

        fit = run.submissions[0].told.get("fit") if run.submissions else None
        if fit is None:
            return scorer.make(predicted, rows)
        own = self._workspace.fold_file(run.data["fold_set"]["name"])
        table = run.folder / FOLDS if run.imported else own
        fold_of = folds.read(table, scorer.competition.rows.key).reindex(rows.index)
        parts = []
        for fold, args in fit["fold_args"].items():
            fitted = replace(scorer, making=replace(scorer.making, args=args))
            parts.append(fitted.make(predicted, rows[(fold_of == int(fold)).to_numpy()]))
        return pd.concat(parts)

    def read_rows(self, run: Run, split: Literal["train", "test"] = "train") -> pd.DataFrame:
        """The cached rows of a run's stage, by key."""
        return self._table(self._rows_key(run.data["stage"]), split)

    def group_of(self, rows: pd.DataFrame) -> pd.Series[Any]:
        """The group of each row as text, by key: itself where it has none."""
        import pandas as pd

        from kagkit.data.rows import column_of, key_texts

        column = self._workspace.competition.rows.group
        own = pd.Series(key_texts(rows.index), rows.index)
        if column is None:
            return own
        return column_of(rows, column).astype("str").where(lambda group: group.notna(), own)

    def _units_of(self, scorer: Scorer, rows: pd.DataFrame) -> pd.Series[Any]:
        from kagkit.data.rows import key_texts
        from kagkit.metrics.resampling import find_units

        name = digest_of(key_texts(rows.index))
        if name not in self._units:
            self._units[name] = find_units(scorer, rows, self.group_of(rows))
        return self._units[name]

    def _scorer(self, run: Run) -> tuple[Scorer, pd.DataFrame]:
        from kagkit.metrics.scoring import Scorer, read_sample
        from kagkit.runs.material import cached_material, stage_sources

        stage, made_of = run.data["stage"], run.data["data"]
        for source in stage_sources(stage):
            if source not in self._lock or self._lock[source].version != made_of.get(source):
                raise KagkitError("its data are no longer the pinned ones")
        key = self._rows_key(stage)
        named = run.data["fold_set"]["name"]  # of an imported run the set may be none of these
        own = named if self._workspace.fold_file(named).exists() else "main"
        material = cached_material(self._workspace, key, own)
        if material is None:
            raise KagkitError(f"its rows are no longer cached: kagkit run {run.experiment}")
        train = self._table(key, "train")
        competition = self._workspace.competition
        sample = read_sample(self._workspace.root, competition)
        making = _making(run)
        root = self._workspace.root
        return Scorer(root, competition, making, sample, material.targets, train), train

    @cached_property
    def _lock(self) -> dict[str, Any]:
        from kagkit.data.versions import read_lock

        return dict(read_lock(self._workspace.root))

    def _rows_key(self, stage: int) -> str:
        from kagkit.runs.material import rows_key

        pinned = {
            source: {part: told.sha256 for part, told in locked.parts.items()}
            for source, locked in self._lock.items()
        }
        return rows_key(self._workspace, stage, pinned)

    def _table(self, key: str, split: str) -> pd.DataFrame:
        from kagkit.data import contents
        from kagkit.runs.material import rows_folder

        if (key, split) not in self._tables:
            path = rows_folder(self._workspace, key) / f"{split}.arrow"
            self._tables[key, split] = contents.read(path)
        return self._tables[key, split]


def _making(run: Run) -> Making:
    """How the run's predictions became a submission, as its own manifest and what was fitted say."""
    from kagkit.runs.usable import making_of, manifest_of

    try:
        manifest = manifest_of(run)
        return making_of(run, manifest) if run.submissions else manifest.submission
    except ManifestError as error:
        raise KagkitError("its manifest cannot be read") from error
