"""Hand out what rules on rows are judged by: rows, folds, runs, and predictions proved to be whole."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from kagkit.data import combining, contents, folds
from kagkit.data.predictions import Predictions
from kagkit.foundation.errors import Problem, ReproductionError, RunError
from kagkit.foundation.files import file_sha256
from kagkit.runs.material import cached_material, fold_members, rows_folder, scheme_of
from kagkit.runs.record import Run, find_run
from kagkit.runs.selection import Selecting, fits_of, refuse_all_seeing, tasks_on_test
from kagkit.runs.store import Stored, read_task, verify_task
from kagkit.workspace.layout import Workspace


class Grounds:
    """What the rules of one experiment are judged by.

    Args:
        workspace: The workspace.
        what: The experiment, its rows and folds, and the runs that its rules name.
        work: A folder for what is needed meanwhile.
    """

    def __init__(self, workspace: Workspace, what: Selecting, work: Path) -> None:
        self.workspace, self.what, self._work = workspace, what, work
        self.competition = workspace.competition
        self.experiment = workspace.experiment(what.experiment)
        self.targets = list(self.competition.submission.target)
        material = cached_material(workspace, what.rows, what.fold_set)
        if material is None:
            raise RunError("the cached rows are gone: run the same command again")
        self.material = material
        self.fits = fits_of(self.experiment, material)

    @cached_property
    def train(self) -> pd.DataFrame:
        """The training rows by key."""
        return self._read("train")

    @cached_property
    def test(self) -> pd.DataFrame:
        """The test rows by key."""
        return self._read("test")

    @property
    def test_part(self) -> str:
        """What the part of the test rows is called."""
        return f"stage{self.experiment.manifest.stage}/test"

    def members(self, fold: int | None) -> tuple[pd.Index[Any], pd.Index[Any]]:
        """The keys that are trained on and held out with a fold; all and none for None."""
        if fold is None:
            return self.train.index, self.train.index[:0]
        table = self.workspace.fold_file(self.what.fold_set)
        fold_of = folds.read(table, self.competition.rows.key)
        scheme = scheme_of(self.competition, self.what.fold_set)
        train, valid = fold_members(self.train, fold_of, fold, scheme)
        return train, valid

    def run(self, reference: str) -> Run:
        """The run that a rule names."""
        return find_run(self.workspace, self.what.feeds[f"rows.{reference}"])

    def held_out(self, reference: str) -> pd.DataFrame:
        """A run's held-out predictions of the training rows there are, by key.

        Raises:
            ReproductionError: They are damaged.
        """
        predicted = _open_whole(self.run(reference), "oof").frame()
        return predicted[folds.is_in(predicted.index, self.train.index)]

    def unseen(self, reference: str, fold: int | None) -> pd.DataFrame:
        """What a run's models that held out a fold say of the test rows, the mean over its seeds, by key.

        Raises:
            DataError: It has no such models.
            ReproductionError: What they predicted is gone or damaged.
        """
        run = self.run(reference)
        if fold is None:
            return _open_whole(run, "test").frame(self.test.index)
        refuse_all_seeing(self.experiment.name, run, [fold for fold in self.fits if fold is not None])
        tasks = [self.workspace.tasks / task["folder"] for task in tasks_on_test(run)[fold]]
        hint = f"`kagkit run {run.experiment} --restart` makes them again"
        problems = [
            Problem(f"runs/.tasks/{task.name}", f"gone: test predictions of {run.name}", hint=hint)
            for task in tasks
            if not task.is_dir()
        ]
        if not problems:
            problems = [found for task in tasks for found in verify_task(Stored(task, read_task(task)))]
        if problems:
            raise ReproductionError(f"the test predictions of {run.name} by fold are not whole", problems)
        joined = self._work / f"labels-{fold}.arrow"
        combining.combine(joined, [Predictions.open(task / "out/test.arrow") for task in tasks], "mean")
        return Predictions.open(joined).frame(self.test.index)

    def _read(self, split: str) -> pd.DataFrame:
        return contents.read(rows_folder(self.workspace, self.what.rows) / f"{split}.arrow")


def _open_whole(run: Run, which: str) -> Predictions:
    """A run's predictions, their bytes those of the record."""
    path = run.folder / run.data[which]["file"]
    if not path.is_file() or file_sha256(path) != run.data[which]["sha256"]:
        problem = Problem(f"{run.name}: {path.name}", "missing, or its bytes changed", check="integrity")
        raise ReproductionError(f"{run.name} is damaged", [problem])
    return Predictions.open(path, name=f"{run.name} {which}")
