"""Say what a stage of a competition brings: its files, the host's terms, and what becomes of new rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

from kagkit.foundation.errors import Problem, Where
from kagkit.workspace.paths import path_problems

NUMBERS = ("1", "2")


@dataclass(frozen=True)
class Stage:
    """One stage's files, relative to the workspace, and the host's terms.

    Attributes:
        train: The training table. That of stage 2 may hold the new labels alone: what else is known of a row
            comes from stage 1.
        test: The test table.
        files: Further files and folders: images, audio.
        sample_submission: The host's example; it fixes ids and their order.
        public_share: The share of the test rows behind the public leaderboard, 0 to 1.
        deadline: When the stage ends, ISO 8601 with a zone.
        labels_for: Stage 2: whose labels were released, `stage1-test`.
        id_map: Stage 2: a CSV with the columns `stage1` and `stage2`, where the host renamed rows.
        exclude: Stage 2: a file with the ids, one a line, of rows that nobody should train on.
        usage: Stage 2: the column of its training table that says which board each row of stage 1's test was
            on, `Public` or `Private`, where the host released it: scores are proved by it, nothing learns it.
        new_rows: Stage 2: `spread` deals the new rows into the folds; `train_only` only trains on them.
    """

    train: str
    test: str
    files: tuple[str, ...] = ()
    sample_submission: str | None = None
    public_share: float | None = None
    deadline: str | None = None
    labels_for: Literal["stage1-test"] | None = None
    id_map: str | None = None
    exclude: str | None = None
    usage: str | None = None
    new_rows: Literal["spread", "train_only"] = "spread"

    @property
    def parts(self) -> dict[str, tuple[str, ...]]:
        """The paths of each versioned part."""
        parts: dict[str, tuple[str, ...]] = {"train": (self.train,), "test": (self.test,)}
        parts |= {name: (path,) for name in ("id_map", "exclude") if (path := getattr(self, name))}
        return parts | ({"files": self.files} if self.files else {})


def stage_problems(
    root: Path, number: str, stage: Stage, where: Where, *, must_exist: bool
) -> Iterator[Problem]:
    """What is wrong with a stage: its number, its paths, its terms, a key that is another stage's.

    Args:
        root: The workspace.
        number: What competition.yaml calls it.
        stage: The stage.
        where: Gives the place of a key.
        must_exist: Whether its files must be there; stage 2 is declared before the host releases it.
    """
    here = f"stages.{number}"
    if number not in NUMBERS:
        yield Problem(where(here), f"{here}: no such stage", "1 or 2")
    for key in ("train", "test", "sample_submission", "id_map", "exclude"):
        path = getattr(stage, key)
        if path is not None:
            yield from path_problems(root, path, where(f"{here}.{key}"), must_exist=must_exist)
    for path in stage.files:
        yield from path_problems(root, path, where(f"{here}.files"), must_exist=must_exist, folder=True)
    if number == "1":
        for key in ("labels_for", "id_map", "exclude", "usage"):
            if getattr(stage, key) is not None:
                yield Problem(where(f"{here}.{key}"), f"{key} in stage 1", hint="it belongs to stage 2")
    if stage.public_share is not None and not 0 < stage.public_share <= 1:
        yield Problem(where(f"{here}.public_share"), f"{stage.public_share}", "a share above 0, up to 1")
    if stage.deadline is not None and not _has_zone(stage.deadline):
        found, hint = f"deadline: {stage.deadline}", "2019-08-26T23:59:00Z"
        yield Problem(where(f"{here}.deadline"), found, "a time with its zone", hint)


def _has_zone(time: str) -> bool:
    try:
        return datetime.fromisoformat(time).tzinfo is not None
    except ValueError:
        return False
