"""Name what decides a task's outcome: files by content, arguments, what other runs predicted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from kagkit.runs.inputs import OOF, TEST, Input
from kagkit.runs.spec import Kind
from kagkit.workspace.competition import Competition
from kagkit.workspace.experiment import Experiment

SHORT_IN_SMOKE = ("epochs", "steps", "rounds")


def files_of(competition: Competition, versions: Mapping[str, Mapping[str, str]], source: str) -> list[Any]:
    """A source's files by content, and the order they are handed over in."""
    names = [PurePosixPath(path).name for path in competition.sources[source].get("files", ())]
    return [versions[source]["files"], names]


def arguments_of(experiment: Experiment, name: str, *, smoke: bool) -> dict[str, Any]:
    """A function's arguments; those that say how long to train are 1 in a smoke run."""
    recipe = experiment.recipe
    args = recipe.arguments(name, experiment.manifest.args)
    if smoke and name in recipe.functions:
        args |= {word: 1 for word in SHORT_IN_SMOKE if word in recipe.functions[name].keywords}
    return args


def fed_to(kind: Kind, row_sets: Sequence[str], inputs: Sequence[Input]) -> dict[str, Any]:
    """What a task's inputs say: held-out predictions of training rows, predictions of test rows."""
    if kind == "prepare":
        return {}
    wanted = [OOF] if kind == "train" or "valid" in row_sets else []
    wanted += [TEST] if "test" in row_sets else []
    return {f"inputs.{each.name}": each.contents(*wanted) for each in inputs}
