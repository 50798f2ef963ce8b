"""Load a stage's training and test rows; those of the second stage are made of both stages'."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd

from kagkit.data.ingestion import Ingestion, ingest, read_excluded, read_id_map
from kagkit.data.parts import load_part
from kagkit.data.rows import Part, find_targets
from kagkit.workspace.layout import Workspace


@dataclass(frozen=True, eq=False)
class StageRows:
    """A stage's rows.

    Attributes:
        train: Training rows by key, with targets.
        test: Test rows by key.
        targets: The columns `predict` must not see.
        dropped: How many exact copies of rows were dropped.
        ingestion: What stage 2 did to the training rows; None in stage 1.
    """

    train: pd.DataFrame
    test: pd.DataFrame
    targets: tuple[str, ...]
    dropped: int
    ingestion: Ingestion | None = None


def load_stage(workspace: Workspace, stage: int) -> StageRows:
    """The rows a stage trains on and predicts.

    Raises:
        DataError: They cannot be used.
        ManifestError: The loader cannot be imported.
    """
    train, test = (load_part(workspace, Part(f"stage{stage}", split)) for split in ("train", "test"))
    dropped = train.dropped + test.dropped
    if stage == 1:
        return StageRows(train.frame, test.frame, _targets(workspace, train.frame, test.frame), dropped)
    first = load_stage(workspace, 1)
    rules, root = workspace.competition.stages[str(stage)], workspace.root
    frame, told = ingest(
        first.train,
        first.test,
        train.frame,
        first.targets,
        renamed=read_id_map(root / rules.id_map) if rules.id_map else None,
        excluded=read_excluded(root / rules.exclude) if rules.exclude else (),
    )
    return StageRows(frame, test.frame, first.targets, dropped + first.dropped, told)


def _targets(workspace: Workspace, train: pd.DataFrame, test: pd.DataFrame) -> Any:
    competition = workspace.competition
    return find_targets(train, test, competition.rows.targets, competition.submission.target)
