"""Find the rows that a part's name means, load two parts to be compared, say which columns are targets."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from kagkit.data.folds import read
from kagkit.data.rows import DataPaths, Loaded, Part, RowRules, find_targets, load
from kagkit.data.tables import TABLES
from kagkit.foundation.component import import_function
from kagkit.foundation.errors import DataError, KagkitError, ManifestError, Problem, did_you_mean
from kagkit.workspace.layout import Workspace
from kagkit.workspace.stage import Stage

if TYPE_CHECKING:
    import pandas as pd

TRAINED = Part("stage1", "train")


@dataclass(frozen=True, eq=False)
class Pair:
    """Two parts to be compared.

    Attributes:
        names: What the parts are called: `stage1/train`.
        frames: Their rows by key, with targets.
        targets: The columns of either that `predict` must not see.
        group: The column whose equal values belong together; None where there is none.
        folds: Fold sets by name, of the part `stage1/train`, where one of the two is that part.
    """

    names: tuple[str, str]
    frames: tuple[pd.DataFrame, pd.DataFrame]
    targets: tuple[str, ...] = ()
    group: str | None = None
    folds: dict[str, pd.Series[int]] = field(default_factory=dict)

    def shared_columns(self) -> list[str]:
        """What both parts have beside key, group and targets, in the order of the first."""
        apart = {*self.targets, self.group}
        return [str(name) for name in self.frames[0] if name in self.frames[1] and name not in apart]


def data_paths(root: Path, stage: Stage, split: str) -> DataPaths:
    """The paths a loader or a recipe is handed; the training table only with the training split."""
    return DataPaths(
        train=root / stage.train if split == "train" else None,
        test=root / stage.test,
        files=tuple(root / path for path in stage.files),
    )


def stage_paths(workspace: Workspace, stage: int, split: str) -> DataPaths:
    """The paths a recipe is handed in a stage: its own tables, and the files of every stage up to it."""
    stages = workspace.competition.stages
    own = data_paths(workspace.root, stages[str(stage)], split)
    files = [workspace.root / path for number in range(1, stage + 1) for path in stages[str(number)].files]
    return DataPaths(own.train, own.test, tuple(dict.fromkeys(files)))


def load_part(workspace: Workspace, part: Part) -> Loaded:
    """The rows of a part, by the workspace's own loader where it has one.

    The table of a further source, where there is no loader, is its file `train.csv` or `test.csv` (or
    `.tsv`, `.parquet`), named in competition.yaml or standing in a folder that is.

    Raises:
        DataError: The rows cannot be used.
        ManifestError: The loader cannot be imported.
    """
    competition = workspace.competition
    stated = competition.rows
    rules = RowRules(stated.key, stated.group, stated.targets, stated.duplicates)
    loader = import_function(workspace.root, stated.load) if stated.load else None
    stage = competition.stages.get(part.source.removeprefix("stage"))
    if stage is not None:
        return load(part, data_paths(workspace.root, stage, part.split), rules, loader)
    files = tuple(workspace.root / path for path in competition.data[part.source].files)
    tables: dict[str, Path | None] = {"train": None, "test": None}
    if loader is None:
        tables[part.split] = _table_among(files, part.split)
    return load(part, DataPaths(tables["train"], tables["test"], files), rules, loader)


def _table_among(files: tuple[Path, ...], split: str) -> Path | None:
    names = {f"{split}{ending}" for ending in TABLES}
    inside = [path for file in files for path in (sorted(file.iterdir()) if file.is_dir() else [file])]
    return next((path for path in inside if path.name in names), None)


def open_pair(workspace: Workspace, first: str, second: str | None) -> Pair:
    """Load two parts.

    Args:
        workspace: The workspace.
        first: A part, such as `stage1/train`; or with no second, a stage: its train against its test rows.
        second: The other part.

    Raises:
        ManifestError: No such parts, or twice the same.
        DataError: Their rows cannot be used, or the user's loader failed.
    """
    parts = _parts_of(workspace, first, second)
    frames = {part: _loaded(workspace, part) for part in parts}
    targets: dict[str, None] = {}
    for part in parts:
        targets |= dict.fromkeys(_targets_of(workspace, part, frames))
    files = sorted((workspace.root / "folds").glob("*.csv")) if TRAINED in parts else []
    one, other = (frames[part] for part in parts)
    return Pair(
        names=(str(parts[0]), str(parts[1])),
        frames=(one, other),
        targets=tuple(targets),
        group=workspace.competition.rows.group,
        folds={file.stem: read(file, workspace.competition.rows.key) for file in files},
    )


def _parts_of(workspace: Workspace, first: str, second: str | None) -> list[Part]:
    known = [f"{source}/{split}" for source in workspace.competition.sources for split in ("train", "test")]
    names = [first, second]
    if second is None:
        if f"{first}/train" not in known:
            hint = f"a stage alone is its train against its test rows: {first.partition('/')[0]}"
            raise _refused([Problem(first, "nothing to compare it with", "two parts, or one source", hint)])
        names = [f"{first}/train", f"{first}/test"]
    problems = [
        Problem(str(name), "no such part", hint=did_you_mean(str(name), known))
        for name in names
        if name not in known
    ]
    if not problems and names[0] == names[1]:
        problems.append(Problem(first, "the same part twice", "two parts"))
    if problems:
        raise _refused(problems)
    return [Part(source, _split(split)) for source, _, split in (str(name).partition("/") for name in names)]


def _split(word: str) -> Literal["train", "test"]:
    return "train" if word == "train" else "test"


def _refused(problems: list[Problem]) -> KagkitError:
    return ManifestError("these cannot be compared", problems)


def _loaded(workspace: Workspace, part: Part) -> pd.DataFrame:
    try:
        return load_part(workspace, part).frame
    except KagkitError:
        raise
    except Exception as error:
        where = workspace.competition.rows.load or str(part)
        problem = Problem(where, f"{type(error).__name__}: {error}")
        raise DataError(f"the rows of {part} cannot be read", [problem]) from error


def _targets_of(workspace: Workspace, part: Part, frames: dict[Part, Any]) -> Iterator[str]:
    """The targets a part has: the declared ones, else what its stage's train has and its test lacks."""
    competition = workspace.competition
    declared, asked = competition.rows.targets, competition.submission.target
    if declared or not part.source.startswith("stage"):
        yield from (name for name in (*declared, *asked) if name in frames[part])
        return
    both = {split: Part(part.source, _split(split)) for split in ("train", "test")}
    for other in both.values():
        if other not in frames:
            frames[other] = _loaded(workspace, other)
    yield from find_targets(frames[both["train"]], frames[both["test"]], (), asked)
