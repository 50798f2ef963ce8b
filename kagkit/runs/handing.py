"""Gather what a task is handed: rows by fold, folders of finished tasks, paths of data and assets."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kagkit.foundation.errors import Problem, RunError
from kagkit.runs.inputs import OOF, TEST
from kagkit.runs.judging import make_judge
from kagkit.runs.material import cached_material, fold_members, rows_folder, scheme_of
from kagkit.runs.selection import ADDED, LEFT_OUT, ORIGINS, PART, WEIGHT, selected_file, selection_folder
from kagkit.runs.spec import TaskSpec
from kagkit.runs.store import Stored, read_task
from kagkit.runs.task import Task
from kagkit.workspace.layout import Workspace

if TYPE_CHECKING:
    import pandas as pd

    from kagkit.data.rows import DataPaths
    from kagkit.metrics.truth import Truth
    from kagkit.runs.feed import Fed
    from kagkit.runs.judging import FormatJudge

TRAIN, VALID = "train", "valid"
RANKS = "ranks"


class Handing:
    """Everything one task may see, taken from the workspace by its spec.

    Args:
        workspace: The workspace.
        spec: The task.
        work: The task's unfinished folder.
    """

    def __init__(self, workspace: Workspace, spec: TaskSpec, work: Path) -> None:
        self.workspace = workspace
        self.competition = workspace.competition
        self.spec = spec
        self.work = work
        material = cached_material(workspace, spec.rows, spec.fold_set)
        if material is None:
            problem = Problem(".kagkit/rows", "the cached rows are gone", hint="run the same command again")
            raise RunError(f"{spec.label} has no rows", [problem])
        self.targets = material.targets

    def inputs(self) -> list[Stored]:
        """The finished tasks this one builds on."""
        spec = self.spec
        folders = [name for name in (spec.weights, spec.start, *spec.prepared.values()) if name]
        return [
            Stored(self.workspace.tasks / name, read_task(self.workspace.tasks / name)) for name in folders
        ]

    def task(self, rank: int = 0) -> Task:
        """The task as the recipe sees it; only `train` gets rows with targets.

        Args:
            rank: Which of the processes that train together it is for; all but the first have an `out` and
                a log of their own, which nobody reads.
        """
        spec = self.spec
        training = spec.kind == "train"
        part = spec.part or self._part_of(VALID if training else spec.row_sets[0])
        rows = self._training_rows if training else None
        facts = self._facts(training) | {"inputs": self._fed(TEST if part.endswith("/test") else OOF)}
        own = self.work
        if training and spec.making is not None:
            facts |= {"judge_of": self._judge}
        if rank:
            own = rank_folder(self.work, rank)
            (own / "out").mkdir(parents=True, exist_ok=True)
            facts |= {"rank": rank, "out": own / "out"}
        return Task(own / "events.jsonl", rows, part=part, **facts)

    def predict_task(self, row_set: str, probe: Callable[[str, Any], None]) -> Task:
        """The task as `predict` sees it: no rows but those it is given, no training table.

        Args:
            row_set: `valid` or `test`.
            probe: Takes what it measures of the rows, by name.
        """
        facts = self._facts(training=False) | {"inputs": self._fed(OOF if row_set == "valid" else TEST)}
        facts |= {"take_probe": probe}
        return Task(self.work / "events.jsonl", None, part=self._part_of(row_set), **facts)

    def part_rows(self) -> pd.DataFrame:
        """The rows of the part that `prepare` is for, without targets."""
        source, _, split = str(self.spec.part).partition("/")
        if source != f"stage{self.spec.stage}":
            return _read(self._selected / f"{source}.arrow")
        return self._without_targets(self._read(split))

    def predict_rows(self, row_set: str) -> pd.DataFrame:
        """The rows of a row set, without targets."""
        frame = self._labelled_rows("valid") if row_set == "valid" else self._read("test")
        return self._without_targets(frame)

    def _facts(self, training: bool) -> dict[str, Any]:
        from kagkit.data.rows import DataPaths

        root, spec = self.workspace.root, self.spec
        data = {"main": self._main_data(training)}
        for source in spec.sources:
            files = self.competition.data[source].files
            data[source] = DataPaths(None, None, tuple(root / path for path in files))
        facts = {
            "seed": spec.seed,
            "fold": spec.fold,
            "stage": spec.stage,
            "data": data,
            "prepared": {part: self._folder(name) for part, name in spec.prepared.items()},
            "assets": {name: root / path for name, path in spec.assets.items()},
            "threads": spec.threads,
            "device": "cuda:0" if os.environ.get("CUDA_VISIBLE_DEVICES") else "cpu",
            "rank": 0,
            "out": self.work / "out",
            "checkpoint": self.work / "checkpoint",
        }
        facts["start"] = self._folder(spec.start) if spec.start else None
        return facts | ({"weights": self._folder(spec.weights)} if spec.weights else {})

    def _part_of(self, row_set: str) -> str:
        """The part a row set is of: held-out rows are training rows."""
        return f"stage{self.spec.stage}/{'train' if row_set == 'valid' else 'test'}"

    def _fed(self, which: str) -> dict[str, Fed]:
        """What other runs predicted: held-out rows, or test rows."""
        from kagkit.runs.feed import Fed

        return {
            name: Fed.feed(self.workspace.root, name, files, which)
            for name, files in self.spec.inputs.items()
            if which in files
        }

    def _judge(self) -> Truth | FormatJudge:
        """Who scores training rows."""
        assert self.spec.making is not None  # noqa: S101 (it is asked only where it is there)
        return make_judge(
            self.workspace.root, self.competition, self.spec.making, self.targets, self._read("train")
        )

    def _main_data(self, training: bool) -> DataPaths:
        from kagkit.data.parts import stage_paths

        return stage_paths(self.workspace, self.spec.stage, "train" if training else "test")

    def _folder(self, name: str) -> Path:
        """What a finished task left."""
        return self.workspace.tasks / name / "out"

    def _training_rows(self, which: str) -> pd.DataFrame:
        """What `train` is given: the rows to train on, those held out, or where the first come from."""
        if which == VALID:
            return self._labelled_rows(which)
        import pandas as pd

        frame = self._labelled_rows("train")
        left_out, added, origins = (self._selected_rows(kind) for kind in (LEFT_OUT, ADDED, ORIGINS))
        if left_out is not None:
            frame = frame.drop(index=left_out.index)
        if which == TRAIN:
            return frame if added is None else pd.concat([frame, added])
        own = pd.DataFrame({PART: self._part_of(VALID), WEIGHT: 1.0}, index=frame.index)
        return own if origins is None else pd.concat([own, origins[[PART, WEIGHT]]])

    def _selected_rows(self, kind: str) -> pd.DataFrame | None:
        """What rules on rows came to for this fold; None where that is nothing."""
        path = selected_file(self._selected, kind, self.spec.fold)
        return _read(path) if self.spec.selection and path.exists() else None

    @property
    def _selected(self) -> Path:
        return selection_folder(self.workspace, self.spec.rows, self.spec.selection)

    def _labelled_rows(self, which: str) -> pd.DataFrame:
        frame = self._read("train")
        if self.spec.fold is None:
            return frame if which == "train" else frame.iloc[:0]
        train, valid = self._members(frame)
        rows: pd.DataFrame = frame.loc[train if which == "train" else valid]
        return rows

    def _members(self, frame: pd.DataFrame) -> Any:
        from kagkit.data import folds

        name = self.spec.fold_set
        fold_of = folds.read(self.workspace.fold_file(name), self.competition.rows.key)
        return fold_members(frame, fold_of, self.spec.fold, scheme_of(self.competition, name))

    def _read(self, split: str) -> pd.DataFrame:
        return _read(rows_folder(self.workspace, self.spec.rows) / f"{split}.arrow")

    def _without_targets(self, frame: pd.DataFrame) -> pd.DataFrame:
        from kagkit.data import rows

        return rows.without_targets(frame, self.targets)


def _read(path: Path) -> pd.DataFrame:
    from kagkit.data import contents

    return contents.read(path)


def rank_folder(work: Path, rank: int) -> Path:
    """What is left there by one of the processes that train together; no task keeps it."""
    return work / RANKS / str(rank)
