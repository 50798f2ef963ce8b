"""Find further rows to train on: of other sources, or test rows labelled by who has not seen the fold."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any

import pandas as pd
from pandas.api.types import is_numeric_dtype

from kagkit.data import contents, folds, rows
from kagkit.data.keys import shown
from kagkit.data.parts import load_part
from kagkit.data.rows import Part
from kagkit.foundation.errors import DataError, Problem, counted, samples
from kagkit.metrics.confidence import sure_labels
from kagkit.runs.grounds import Grounds
from kagkit.runs.selection import PART, WEIGHT
from kagkit.workspace.rowrules import TEST, Extra, stated

RULE = "rule"


class Additions:
    """The further rows of one experiment."""

    def __init__(self, grounds: Grounds) -> None:
        self._grounds = grounds
        self._rules = grounds.experiment.manifest.rows.extra

    def of_fold(self, fold: int | None) -> tuple[pd.DataFrame, pd.DataFrame]:
        """The further rows that are trained on where a fold is held out.

        A row whose group is held out is not among them: what is of one group is never on both sides.

        Returns:
            The rows by key, with the columns of the training rows; and by the same keys the `part`, the
            `weight` and the number of the `rule` each comes from.

        Raises:
            DataError: Rows do not fit the training rows, have keys that are taken, or cannot be labelled.
            ReproductionError: The run that labels them is damaged.
        """
        train = self._grounds.train
        frames, origins = (
            [train.iloc[:0]],
            [pd.DataFrame(columns=[PART, WEIGHT, RULE], index=train.index[:0])],
        )
        for number, extra in enumerate(self._rules):
            frame = self._labelled(extra, fold) if extra.origin == TEST else self._further[extra.origin]
            frame = self._apart(frame, fold)
            facts = {PART: self._part(extra), WEIGHT: extra.weight, RULE: number}
            frames.append(frame)
            origins.append(pd.DataFrame(facts, index=frame.index))
        added, origin = (pd.concat(_filled(many)) for many in (frames, origins))
        self._refuse_taken_keys(added.index)
        return added, origin

    def parts(self) -> dict[str, pd.DataFrame]:
        """Further sources' rows by part, with targets."""
        return {f"{source}/train": frame for source, frame in self._further.items()}

    def told(self, by_fold: Mapping[str, pd.DataFrame]) -> list[dict[str, Any]]:
        """What the record tells of each rule.

        Args:
            by_fold: The origins that `of_fold` told, by the fold's name.
        """
        facts = []
        for number, extra in enumerate(self._rules):
            own = {fold: frame[frame[RULE] == number][[]] for fold, frame in by_fold.items()}
            every = pd.concat(_filled([*own.values()]))
            every = every[~every.index.duplicated()].sort_index()
            counts = {fold: len(frame) for fold, frame in own.items()}
            told = {"rule": stated(extra), "part": self._part(extra)} | self._origin_told(extra)
            facts.append(told | {"rows": len(every), "folds": counts, "keys_sha256": contents.digest(every)})
        return facts

    def _origin_told(self, extra: Extra) -> dict[str, Any]:
        if extra.origin == TEST:
            return {"run": self._grounds.run(extra.labels).name}
        source = self._grounds.competition.data[extra.origin]
        return {"source": source.source, "licence": source.licence, "allowed": source.allowed}

    def _labelled(self, extra: Extra, fold: int | None) -> pd.DataFrame:
        """Test rows, labelled where models that held out the fold are sure; other targets are missing."""
        grounds = self._grounds
        predicted = grounds.unseen(extra.labels, fold)
        labels = sure_labels(predicted, grounds.train, grounds.targets, extra.above, soft=extra.soft)
        return grounds.test.loc[labels.index].join(labels).reindex(columns=grounds.train.columns)

    @cached_property
    def _further(self) -> dict[str, pd.DataFrame]:
        """The rows of further sources, with the columns that the training rows have."""
        train, found, problems = self._grounds.train, {}, []
        for source in self._grounds.experiment.manifest.rows.sources:
            frame = load_part(self._grounds.workspace, Part(source, "train")).frame
            problems += list(_column_problems(frame, train, f"{source}/train"))
            found[source] = frame.reindex(columns=train.columns)
        if problems:
            raise DataError("further rows do not fit the training rows", problems)
        return found

    def _apart(self, frame: pd.DataFrame, fold: int | None) -> pd.DataFrame:
        """The rows whose group is not held out with the fold."""
        group = self._grounds.competition.rows.group
        if group is None:
            return frame
        held_out = rows.column_of(self._grounds.train.loc[self._grounds.members(fold)[1]], group)
        return frame[~rows.column_of(frame, group).isin(held_out.dropna()).to_numpy()]

    def _part(self, extra: Extra) -> str:
        return self._grounds.test_part if extra.origin == TEST else f"{extra.origin}/train"

    def _refuse_taken_keys(self, keys: pd.Index[Any]) -> None:
        taken = keys[folds.is_in(keys, self._grounds.train.index) | keys.duplicated()]
        if len(taken):
            found = (
                f"{counted(len(taken), 'key')} that other rows have: {shown(taken[:5].tolist(), len(taken))}"
            )
            hint = "have the loader make other keys of them, such as chexpert-0001"
            problem = Problem("rows.extra", found, "keys of their own", hint)
            raise DataError("further rows have keys that are taken", [problem])


def _filled(frames: list[pd.DataFrame]) -> list[pd.DataFrame]:
    """The tables with rows: an empty one would make objects of numbers."""
    return [frame for frame in frames if len(frame)] or frames[:1]


def _column_problems(frame: pd.DataFrame, train: pd.DataFrame, where: str) -> Iterator[Problem]:
    """Columns that further rows lack, or have as another kind."""
    lacking = [str(name) for name in train if name not in frame]
    if lacking:
        hint = f"rows: {{load: module:function}} is called for {where} too, and can add it"
        yield Problem(where, f"no column {samples(lacking)}", "every column of the training rows", hint)
    for name in train.columns.intersection(frame.columns):
        here, there = ("numbers" if is_numeric_dtype(each[name].dtype) else "text" for each in (frame, train))
        if here != there and frame[name].notna().any():
            yield Problem(f"{where}: {name}", here, there)
