"""State one task wholly, as data that crosses a process border: what to run, with what, from what."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from kagkit.foundation.files import read_json, write_json
from kagkit.workspace.commandlines import Command
from kagkit.workspace.manifest import Making

Kind = Literal["prepare", "train", "predict"]


@dataclass(frozen=True)
class TaskSpec:
    """One task. Every path is relative to the workspace; no path names a user or a machine.

    Attributes:
        key: The task's key.
        kind: `prepare` (one part), `train` (seed, fold) or `predict` (seed, fold, row set).
        label: What people call it: `train seed 0 fold 1`.
        ingredients: What the key is a digest of.
        recipe: The recipe's file; `command` where command lines stand for it.
        args: The arguments of each function, by its name.
        seed: The seed.
        fold: The held-out fold; None for a fit on all rows, and for `prepare`.
        part: For `prepare`: `stage1/train` or `stage1/test`, or those of stage 2.
        row_sets: What to predict: `valid`, `test`. A `train` that keeps predictions alone predicts too.
        functions: The recipe's functions it calls.
        source: A digest of their code when the plan was made.
        rows: The key of the cached rows.
        fold_set: The name of the fold set.
        weights: The folder of the train task whose weights are used, relative to the tasks' folder.
        prepared: Folders of prepare tasks by part, likewise.
        start: The folder of the train task it goes on from, likewise.
        stage: The stage.
        sources: Further data sources the recipe may read.
        inputs: Predictions of other runs, by name and row set: path, and sha256 of the file.
        selection: The name of what rules on rows came to; empty where there are none.
        assets: Paths of assets, by name.
        declared: sha256 of the files that `code:` and `assets:` name, by path, when the plan was made.
        threads: Threads of the task.
        determinism: `exact`, `seeded` or `off`.
        dtype: How predicted floats are kept.
        making: How predictions become submission rows, where `train` scores some; None where it does not.
        processes: How many processes train together; 0 where the worker itself trains.
        command: The command lines, where there is no recipe.
        workdir: The folder they run in, relative to the workspace.
        outputs: Globs of what is kept of the files that training writes; all of them where empty.
        smoke: Whether it belongs to a smoke run.
        again: Whether it is done again although it is done, to see whether the same bytes come out.
    """

    key: str
    kind: Kind
    label: str
    ingredients: dict[str, Any]
    recipe: str
    args: dict[str, dict[str, Any]]
    seed: int
    fold: int | None
    functions: tuple[str, ...]
    source: str
    rows: str
    fold_set: str
    part: str | None = None
    row_sets: tuple[str, ...] = ()
    weights: str | None = None
    prepared: dict[str, str] = field(default_factory=dict)
    start: str | None = None
    stage: int = 1
    sources: tuple[str, ...] = ()
    inputs: dict[str, dict[str, dict[str, str]]] = field(default_factory=dict)
    assets: dict[str, str] = field(default_factory=dict)
    selection: str = ""
    declared: dict[str, str] = field(default_factory=dict)
    threads: int = 1
    determinism: str = "exact"
    dtype: str | None = None
    making: Making | None = None
    processes: int = 0
    command: Command | None = None
    workdir: str = ""
    outputs: tuple[str, ...] = ()
    smoke: bool = False
    again: bool = False

    @property
    def work_name(self) -> str:
        """The name of its unfinished folder."""
        return f"{self.key}-again" if self.again else self.key

    @property
    def identity(self) -> str:
        """The task's name within its experiment, whatever its key."""
        return f"{self.kind} {self.part or self.seed} {self.fold} {'+'.join(self.row_sets)}"


def label_task(
    kind: Kind,
    seed: int,
    fold: int | None,
    *,
    part: str | None = None,
    row_sets: tuple[str, ...] = (),
    **_: Any,
) -> str:
    """What people call a task.

    Example:
        >>> label_task("predict", 0, 1, row_sets=("valid",)), label_task("train", 0, None)
        ('predict seed 0 fold 1 valid', 'train seed 0 all rows')
    """
    if kind == "prepare":
        return f"prepare {part}"
    where = "all rows" if fold is None else f"fold {fold}"
    return f"{kind} seed {seed} {where}" + (f" {row_sets[0]}" if kind == "predict" else "")


def write_spec(path: Path, spec: TaskSpec) -> None:
    """Write a spec for the worker."""
    write_json(path, asdict(spec))


def read_spec(path: Path) -> TaskSpec:
    """Read a spec that `write_spec` wrote."""
    data = read_json(path)
    tuples = {name: tuple(data[name]) for name in ("functions", "row_sets", "sources", "outputs")}
    command = Command(**data["command"]) if data["command"] else None
    making = Making(**data["making"]) if data["making"] else None
    return TaskSpec(**{**data, **tuples, "command": command, "making": making})
