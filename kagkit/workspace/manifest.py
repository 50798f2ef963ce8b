"""Say what a manifest states: every key of one experiment, with its default."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Literal

from kagkit.foundation.strictyaml import Node
from kagkit.workspace.commandlines import Command
from kagkit.workspace.rowrules import RowChoice
from kagkit.workspace.search import Search

MEMORY_UNITS = {"MiB": 1 << 20, "GiB": 1 << 30}
MEMORY = re.compile(r"([0-9]+(?:\.[0-9]+)?) ?(MiB|GiB)")


@dataclass(frozen=True)
class FoldChoice:
    """Which folds: all of a named set, or only some of it. `folds: main` is short for `{set: main}`.

    Attributes:
        set: The fold set.
        only: These folds and no others; the run is complete with them.
    """

    set: str = "main"
    only: tuple[int, ...] | None = None

    @staticmethod
    def shorthand(node: Node) -> Node | None:
        """The full form of a bare name."""
        return Node({"set": node}, node.line) if isinstance(node.value, str) else None


@dataclass(frozen=True)
class Making:
    """How predictions become submission rows.

    Attributes:
        make: `module:function(predictions, rows, **args) -> table`. Without it predictions are written as
            they come, or turned into labels.
        args: Further arguments of `make`.
        fit_args: Which of its arguments are found on the out-of-fold predictions, from `args` on.
    """

    make: str | None = None
    args: dict[str, Any] = field(default_factory=dict)
    fit_args: tuple[str, ...] = ()


@dataclass(frozen=True)
class Resources:
    """What one task needs.

    Attributes:
        gpus: How many GPUs; a task waits until they are free.
        cpus: How many threads. Another number trains again: it changes the last bits.
        memory: How much memory, `8GiB` or `512MiB`: fewer tasks run beside each other.
    """

    gpus: int = 0
    cpus: int = 1
    memory: str | None = None

    @property
    def memory_bytes(self) -> int:
        """The memory one task asks for; 0 where it does not say."""
        size = MEMORY.fullmatch(self.memory or "")
        return int(float(size[1]) * MEMORY_UNITS[size[2]]) if size else 0


@dataclass(frozen=True)
class Saving:
    """How predictions are kept.

    Attributes:
        dtype: The type predicted floats are cast to; as they came where not named.
    """

    dtype: Literal["float16", "float32", "float64"] | None = None


@dataclass(frozen=True)
class SomeFolds:
    """Some of the folds, or all. `all` is short for `{all: true}`, and a list for `{folds: …}`.

    Attributes:
        folds: These folds.
        all: All folds, and the fits on all rows.
    """

    folds: tuple[int, ...] = ()
    all: bool = False

    @staticmethod
    def shorthand(node: Node) -> Node | None:
        """The full form of `all`, or of a list of folds."""
        if isinstance(node.value, list):
            return Node({"folds": node}, node.line)
        return Node({"all": Node(True, node.line)}, node.line) if node.raw == "all" else None

    def has(self, fold: int | None) -> bool:
        """Whether a fold is among them; None stands for a fit on all rows."""
        return self.all or fold in self.folds


Policy = Literal["auto", "cv", "always", "never"]


@dataclass(frozen=True)
class SecondStage:
    """What `kagkit stage2` does with this model once the labels of stage 1's test rows are known.

    Attributes:
        retrain: `auto` decides by evidence; `cv` keeps the frozen model where the CV on the same old rows
            fell; `always` and `never` ask for no evidence.
        start: `scratch`, or `weights`: trained on from its own weights of stage 1, fold by fold.
        args: Arguments of the recipe that are others then.
        folds: The folds to retrain; the others stay frozen.
        priority: Who is retrained first where time is short: the larger.
    """

    retrain: Policy = "auto"
    start: Literal["scratch", "weights"] = "scratch"
    args: dict[str, Any] = field(default_factory=dict)
    folds: SomeFolds = SomeFolds(all=True)
    priority: int = 0


@dataclass(frozen=True)
class Asset:
    """A file a recipe may use, pretrained weights above all: known by its digest, its origin told.

    Attributes:
        path: The file, relative to the workspace.
        source: Where it is from.
        licence: Under which licence.
    """

    path: str
    source: str = ""
    licence: str = ""


@dataclass(frozen=True)
class Manifest:
    """An experiment as its file states it.

    Attributes:
        kagkit: The format of the file: 1.
        recipe: The recipe's file, beside the manifest, or a module: `kagkit.recipes.blend`.
        command: Two command lines in place of a recipe.
        workdir: The folder that `command` runs in; the workspace where not named.
        outputs: Globs below `{out}`: what is kept of the files that `command.train` writes; by default all.
        stage: 1, or 2: trained on both stages' rows, for the second test.
        start: The run of stage 1 it goes on from: `exp001/3`. Its weights are `task.start`, fold by fold.
        frozen: The folds that are not trained but keep the weights of `start`: `all`, or a list.
        scratch: Whether the other folds are trained from nothing: `start` is there for the frozen ones alone.
        parent: The experiment it was made from, as `kagkit new` notes it; it changes nothing.
        note: A line for people; it changes nothing.
        args: Arguments of the recipe's functions, or placeholders of `command`.
        seeds: One training a fold for each; predictions are averaged over them.
        folds: Which folds.
        fit: `folds` holds each fold out; `full` fits on all rows, which gives no CV; `both` takes the CV from
            the folds and the test from the fits on all rows.
        data: Sources: `main` is the competition's own, others by their name in competition.yaml.
        rows: Rows that are left out of training, and further ones to train on.
        inputs: Runs that feed this one, by name: `exp003` for its latest run, or `exp003/2`.
        code: Further files that decide the outcome: a changed one trains again.
        assets: Files the recipe gets as `task.assets`, by name.
        combine: How seeds and folds become one prediction: `mean`, `rank_mean` or `module:function(tables)`.
        submission: How predictions become submission rows.
        submissions: Several ways by name, in place of `submission`; the first one gives the run its CV.
        resources: What one task needs.
        launch: `torchrun` trains in a process for each GPU of `resources`, or each of `cpus` without GPUs.
        determinism: `exact` makes torch stop at what cannot repeat; `seeded` only seeds; `off` does nothing.
        save: How predictions are kept.
        keep: Whether weights are kept, or predictions alone; read off the recipe where not named.
        search: What `kagkit tune` may try; it changes nothing of a run.
        stage2: What `kagkit stage2` does with it; it changes nothing of a run.
    """

    kagkit: int
    recipe: str = ""
    command: Command | None = None
    workdir: str = ""
    outputs: tuple[str, ...] = ()
    stage: Literal[1, 2] = 1
    start: str = ""
    frozen: SomeFolds = SomeFolds()
    scratch: bool = False
    parent: str = ""
    note: str = ""
    args: dict[str, Any] = field(default_factory=dict)
    seeds: tuple[int, ...] = (0,)
    folds: FoldChoice = FoldChoice()
    fit: Literal["folds", "full", "both"] = "folds"
    data: tuple[str, ...] = ("main",)
    rows: RowChoice = field(default_factory=RowChoice)
    inputs: dict[str, str] = field(default_factory=dict)
    code: tuple[str, ...] = ()
    assets: dict[str, Asset] = field(default_factory=dict)
    combine: str = "mean"
    submission: Making = Making()
    submissions: dict[str, Making] = field(default_factory=dict)
    resources: Resources = Resources()
    launch: Literal["torchrun"] | None = None
    determinism: Literal["exact", "seeded", "off"] = "exact"
    save: Saving = Saving()
    keep: Literal["weights", "predictions"] | None = None
    search: Search | None = None
    stage2: SecondStage = SecondStage()

    @property
    def variants(self) -> dict[str, Making]:
        """Every way from predictions to a submission by its name; the only one has an empty name."""
        return self.submissions or {"": self.submission}

    @property
    def making(self) -> Making:
        """The way that gives the run its CV: the only one, or the first of several."""
        return next(iter(self.variants.values()))

    @property
    def makes(self) -> tuple[str, ...]:
        """The functions that make submissions, each once."""
        found = [making.make for making in self.variants.values() if making.make is not None]
        return tuple(dict.fromkeys(found))

    @property
    def told_variants(self) -> Any:
        """The variants as plain data, for the key of a run."""
        told = {name: [each.make, each.args, *each.fit_args] for name, each in self.variants.items()}
        # An order of names, for the first one gives the CV; a manifest without names is told as ever.
        return told.get("", [*told.items()])
