"""Report what stage 2 brings: rows by what became of them, labels beside the old ones, drift of the parts."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import pandas as pd

from kagkit.data.drift import find_drift
from kagkit.data.ingestion import Ingestion
from kagkit.data.parts import load_part, open_pair
from kagkit.data.rows import Part
from kagkit.data.stages import StageRows, load_stage
from kagkit.foundation.errors import DataError, Problem
from kagkit.workspace.layout import Workspace

PAIRS = (("stage1/train", "stage1/test"), ("stage1/train", "stage2/test"), ("stage1/test", "stage2/test"))


@dataclass(frozen=True)
class Arrival:
    """What stage 2 brought, read once and only where it is asked for."""

    workspace: Workspace

    @cached_property
    def rows(self) -> StageRows:
        """Stage 2's rows.

        Raises:
            DataError: They are not here, or cannot be used.
        """
        stage = self.workspace.competition.stages.get("2")
        if stage is None or not (self.workspace.root / stage.test).exists():
            hint = "declare its files in competition.yaml, stages: {2: …}; kagkit data download fetches them"
            found = "not declared" if stage is None else f"{stage.test} is not there"
            raise DataError("stage 2 has not begun here", [Problem("stages.2", found, hint=hint)])
        return load_stage(self.workspace, 2)

    @property
    def report(self) -> Ingestion:
        """What became of the rows."""
        told = self.rows.ingestion
        assert told is not None  # noqa: S101 (stage 2 always has one)
        return told

    @cached_property
    def tested(self) -> pd.Index[Any]:
        """The keys of stage 1's test rows."""
        return load_part(self.workspace, Part("stage1", "test")).frame.index

    @cached_property
    def released(self) -> pd.DataFrame:
        """Stage 1's test rows that have labels now, with them."""
        train = self.rows.train
        return train[train.index.isin(self.tested)]

    @cached_property
    def answered(self) -> pd.DataFrame:
        """The same with the rows that nobody should train on: the host had scored them, too."""
        if not self.report.excluded:
            return self.released
        train = load_stage(self.workspace, 2, exclude=False).train
        return train[train.index.isin(self.tested)]

    @property
    def boards(self) -> pd.Series[Any] | None:
        """Which board each of these rows was on; None where the host did not say."""
        return self.rows.boards

    @property
    def growth(self) -> float:
        """How many times the rows of stage 1 stage 2 has to train on."""
        return len(self.rows.train) / max(len(load_part(self.workspace, Part("stage1", "train")).frame), 1)


def tell_arrival(arrival: Arrival) -> dict[str, Any]:
    """What stage 2 brought, as plain data.

    Returns:
        The keys of `Ingestion`; `labels`: by numeric target, the mean in old and in released rows; `drift`:
        for each pair of parts, whether a classifier tells them apart, and the held-out AUC.

    Raises:
        DataError: The rows cannot be read.
    """
    told = asdict(arrival.report)
    old = arrival.rows.train.drop(arrival.released.index)
    labels = {
        name: {"old": float(old[name].mean()), "released": float(arrival.released[name].mean())}
        for name in arrival.rows.targets
        if pd.api.types.is_numeric_dtype(old[name]) and len(old) and len(arrival.released)
    }
    drift = []
    for first, second in PAIRS:
        found = find_drift(open_pair(arrival.workspace, first, second))
        auc = None if found.together is None else found.together.auc
        drift.append({"parts": [first, second], "verdict": found.verdict, "auc": auc})
    return told | {"labels": labels, "drift": drift}
