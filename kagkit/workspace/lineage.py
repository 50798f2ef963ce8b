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
        key = f"inputs.{name}"
        if not name.isidentifier():
            yield Problem(where(key), f"inputs: {name}", "a name such as clf")
        yield from reference_problems(root, reference, key, where)


def reference_problems(root: Path, reference: str, key: str, where: Where) -> Iterator[Problem]:
    """What is wrong with a manifest's reference to an experiment, or to one of its runs.

    Args:
        root: The workspace.
        reference: `exp003`, or `exp003/2`.
        key: The key it stands at.
        where: Gives the place of a key.
    """
    experiment, slash, number = reference.partition("/")
    known = {path.stem for path in root.glob("*.yaml")} - {"competition"}
    known |= {path.name for path in (root / "runs").glob("[!.]*")}
    if slash and not number.isdigit():
        yield Problem(where(key), f"{key}: {reference}", "an experiment, or one of its runs: exp003/2")
    elif experiment not in known:
        hint = did_you_mean(experiment, sorted(known))
        yield Problem(where(key), f"{key}: no experiment {experiment}", hint=hint)


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
            feeds[name] = [each for each in read_inputs(root, name).values() if "/" not in each]
            todo += feeds[name]
    try:
        order = tuple(graphlib.TopologicalSorter(feeds).static_order())
    except graphlib.CycleError as error:
        found = " → ".join(reversed(error.args[1]))
        hint = "name a run, such as exp003/2, where one is meant to stay as it is"
        raise ManifestError("experiments feed each other", [Problem("inputs", found, hint=hint)]) from None
    return order[:-1]


def read_inputs(root: Path, experiment: str) -> dict[str, str]:
    """What feeds an experiment by name, and what its rules on rows name: `{"clf": …, "rows.exp003": …}`.

    Whether the manifest is sound, its own reader says.
    """
    path = root / f"{experiment}.yaml"
    told = read_yaml(path, path.name).plain if path.is_file() else {}
    inputs, rows = (told.get(key) if isinstance(told, dict) else None for key in ("inputs", "rows"))
    found = {str(name): str(value) for name, value in inputs.items()} if isinstance(inputs, dict) else {}
    given = rows if isinstance(rows, dict) else {}
    for key, names in (("exclude", "run"), ("extra", "labels")):
        rules = given.get(key)
        for rule in rules if isinstance(rules, list) else [rules]:
            if isinstance(rule, dict) and rule.get(names):
                found[f"rows.{rule[names]}"] = str(rule[names])
    return found
