"""Load a stage's training and test rows; those of the second stage are made of both stages'."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd

from kagkit.data.ingestion import Ingestion, ingest, read_boards, read_excluded, read_id_map
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
        boards: Which board each released row was on, as `read_boards` tells it; None where nobody said.
    """

    train: pd.DataFrame
    test: pd.DataFrame
    targets: tuple[str, ...]
    dropped: int
    ingestion: Ingestion | None = None
    boards: pd.Series[Any] | None = None


def load_stage(workspace: Workspace, stage: int, *, exclude: bool = True) -> StageRows:
    """The rows a stage trains on and predicts.

    Args:
        workspace: The workspace.
        stage: The stage.
        exclude: Whether the rows that nobody should train on are left out.

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
    renamed = read_id_map(root / rules.id_map) if rules.id_map else {}
    frame, told = ingest(
        first.train,
        first.test,
        train.frame,
        first.targets,
        renamed=renamed,
        excluded=read_excluded(root / rules.exclude) if rules.exclude and exclude else (),
    )
    boards = read_boards(train.frame, rules.usage, renamed) if rules.usage else None
    return StageRows(frame, test.frame, first.targets, dropped + first.dropped, told, boards)


def _targets(workspace: Workspace, train: pd.DataFrame, test: pd.DataFrame) -> Any:
    competition = workspace.competition
    return find_targets(train, test, competition.rows.targets, competition.submission.target)
