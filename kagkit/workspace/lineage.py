"""Say which experiments feed which, in the order they are run; refuse circles and names of nothing."""

from __future__ import annotations

import graphlib
from collections.abc import Iterator, Mapping
from pathlib import Path

from kagkit.foundation.errors import ManifestError, Problem, Where, did_you_mean
from kagkit.foundation.strictyaml import read_yaml


def input_problems(root: Path, inputs: Mapping[str, str], where: Where) -> Iterator[Problem]:
    """What is wrong with a manifest's inputs: a name that is none, an experiment that is not there.

    Args:
        root: The workspace.
        inputs: By name, `exp003`, or `exp003/2` for one of its runs.
        where: Gives the place of a key.
    """
    for name, reference in inputs.items():
        place = where(f"inputs.{name}")
        experiment, slash, number = reference.partition("/")
        known = {path.stem for path in root.glob("*.yaml")} - {"competition"}
        known |= {path.name for path in (root / "runs").glob("[!.]*")}
        if not name.isidentifier():
            yield Problem(place, f"inputs: {name}", "a name such as clf")
        if slash and not number.isdigit():
            yield Problem(place, f"inputs.{name}: {reference}", "an experiment, or one of its runs: exp003/2")
        elif experiment not in known:
            hint = did_you_mean(experiment, sorted(known))
            yield Problem(place, f"inputs.{name}: no experiment {experiment}", hint=hint)


def order_upstream(root: Path, experiment: str) -> tuple[str, ...]:
    """The experiments that must have run before another one, each after those that feed it.

    Inputs that name a run are there already and not in it.

    Raises:
        ManifestError: Experiments feed each other in a circle.
    """
    feeds: dict[str, list[str]] = {}
    todo = [experiment]
    while todo:
        name = todo.pop()
        if name not in feeds:
            feeds[name] = [
                reference for reference in read_inputs(root, name).values() if "/" not in reference
            ]
            todo += feeds[name]
    try:
        order = tuple(graphlib.TopologicalSorter(feeds).static_order())
    except graphlib.CycleError as error:
        found = " → ".join(reversed(error.args[1]))
        hint = "name a run, such as exp003/2, where one is meant to stay as it is"
        raise ManifestError("experiments feed each other", [Problem("inputs", found, hint=hint)]) from None
    return order[:-1]


def read_inputs(root: Path, experiment: str) -> dict[str, str]:
    """What feeds an experiment, by name, as its manifest says it; nothing where it has none."""
    path = root / f"{experiment}.yaml"
    told = read_yaml(path, path.name).plain if path.is_file() else {}
    inputs = told.get("inputs") if isinstance(told, dict) else None
    return {str(name): str(value) for name, value in inputs.items()} if isinstance(inputs, dict) else {}
