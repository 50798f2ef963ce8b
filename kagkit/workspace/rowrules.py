"""Say which rows an experiment trains on beside its folds' own: left out, added, labelled by another run."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from kagkit.foundation.errors import Problem, Where, did_you_mean
from kagkit.foundation.schema import KEY, key_of
from kagkit.foundation.strictyaml import Node
from kagkit.workspace.competition import Competition
from kagkit.workspace.lineage import reference_problems
from kagkit.workspace.paths import path_problems

TEST = "test"
# What a source must tell before rows of it are trained on: hosts ask for it.
TOLD = {"source": "where it is from", "licence": "its licence", "allowed": "what allows it here"}


@dataclass(frozen=True)
class Exclusion:
    """Training rows to be left out of training. They are held out and scored as before.

    Attributes:
        run: The run whose held-out predictions are held against the labels: `exp003`, or `exp003/2`.
        above: How far a prediction is from its label, above which the row is left out.
        column: The column that is compared; the target where it is the only one.
        by: A column: rows with the same value go or stay together, by their common distance.
        common: How rows that go together are judged: by the `mean` of their distances, or the `max`.
        where: The rule is for the rows with these values alone: `{provider: radboud}`.
        keys: A list of keys instead: a text file with one on each line, or a table with the key columns.
    """

    run: str = ""
    above: float | None = None
    column: str | None = None
    by: str | None = None
    common: Literal["mean", "max"] = "mean"
    where: dict[str, Any] = field(default_factory=dict)
    keys: str = ""


@dataclass(frozen=True)
class Extra:
    """Further rows to train on. They are never held out.

    Attributes:
        origin: A source of competition.yaml, whose training rows are added; or `test`, the test rows.
        weight: What such a row counts in `task.row_weights`, where the folds' own rows have 1.
        labels: For `test`: the run whose predictions are the labels.
        above: For `test`: how sure a prediction must be, 0 to 1; every row is taken where not named.
        soft: For `test`: predictions are the labels as they are, probabilities say.
    """

    origin: str = field(metadata={KEY: "from"})
    weight: float = 1.0
    labels: str = ""
    above: float | None = None
    soft: bool = False


@dataclass(frozen=True)
class RowChoice:
    """Rows to train on beside those that the folds deal out. A single rule needs no list.

    Attributes:
        exclude: Training rows that are left out.
        extra: Further rows.
    """

    exclude: tuple[Exclusion, ...] = ()
    extra: tuple[Extra, ...] = ()

    @staticmethod
    def shorthand(node: Node) -> Node | None:
        """The full form where a rule stands without its list."""
        if not isinstance(node.value, dict):
            return None
        listed = {
            key: Node([child], child.line) if isinstance(child.value, dict) else child
            for key, child in node.value.items()
        }
        return Node(listed, node.line)

    def __bool__(self) -> bool:
        """Whether there is any rule."""
        return bool(self.exclude or self.extra)

    @property
    def feeds(self) -> dict[str, str]:
        """The runs that rules name, by the name they have among a run's parents: `rows.exp003`."""
        named = [rule.run for rule in self.exclude] + [rule.labels for rule in self.extra]
        return {f"rows.{reference}": reference for reference in named if reference}

    @property
    def key_files(self) -> tuple[str, ...]:
        """The lists of keys that rules name."""
        return tuple(dict.fromkeys(rule.keys for rule in self.exclude if rule.keys))

    @property
    def sources(self) -> tuple[str, ...]:
        """The further sources whose rows are added."""
        return tuple(dict.fromkeys(rule.origin for rule in self.extra if rule.origin != TEST))


def stated(rule: Exclusion | Extra) -> dict[str, Any]:
    """A rule as a manifest states it, without what goes without saying.

    Example:
        >>> stated(Extra("test", labels="exp003", weight=0.5))
        {'from': 'test', 'weight': 0.5, 'labels': 'exp003'}
    """
    told = {key_of(field): (getattr(rule, field.name), field.default) for field in fields(rule)}
    return {key: value for key, (value, default) in told.items() if value != default and value != {}}


def row_problems(
    root: Path, choice: RowChoice, competition: Competition, data: tuple[str, ...], where: Where
) -> Iterator[Problem]:
    """What is wrong with the rules of a manifest, as far as no row is needed to see it.

    Args:
        root: The workspace.
        choice: The rules.
        competition: The competition.
        data: The sources that the manifest names.
        where: Gives the place of a key.
    """
    for number, rule in enumerate(choice.exclude):
        key = f"rows.exclude[{number}]"
        yield from _exclusion_problems(root, rule, competition, where("rows.exclude"), key)
    origins = [extra.origin for extra in choice.extra]
    for number, extra in enumerate(choice.extra):
        key, place = f"rows.extra[{number}]", where("rows.extra")
        if origins.index(extra.origin) < number:
            yield Problem(place, f"{key}: from {extra.origin} a second time", "each origin once")
        if not (extra.weight > 0 and math.isfinite(extra.weight)):
            yield Problem(place, f"{key}.weight: {extra.weight:g}", "a number above 0")
        if extra.origin == TEST:
            yield from _label_problems(root, extra, place, key)
        else:
            yield from _source_problems(extra, competition, data, place, key)


def _exclusion_problems(
    root: Path, rule: Exclusion, competition: Competition, place: str, key: str
) -> Iterator[Problem]:
    if bool(rule.run) == bool(rule.keys):
        hint = "{run: exp003, above: 0.6}, or {keys: data/bad_ids.txt}"
        yield Problem(place, f"{key}: {'run and keys' if rule.run else 'neither run nor keys'}", hint=hint)
    elif rule.run:
        yield from reference_problems(root, rule.run, f"{key}.run", lambda _: place)
        if rule.above is None or not rule.above >= 0:
            yield Problem(place, f"{key}.above: {rule.above}", "a distance of 0 or more, such as 0.6")
    else:
        yield from path_problems(root, rule.keys, place)
        plain = {name for name in ("above", "column", "by") if getattr(rule, name) is not None}
        for name in sorted(plain | ({"where"} if rule.where else set())):
            yield Problem(place, f"{key}.{name}: beside keys", hint="it is for `run:`")
        if rule.keys.endswith(".txt") and len(competition.rows.key) > 1:
            columns = ", ".join(competition.rows.key)
            yield Problem(place, f"{key}.keys: {rule.keys}", f"a CSV with the columns {columns}")


def _label_problems(root: Path, extra: Extra, place: str, key: str) -> Iterator[Problem]:
    if not extra.labels:
        hint = "name the run that predicted them: labels: exp003"
        yield Problem(place, f"{key}: test rows without labels", hint=hint)
    else:
        yield from reference_problems(root, extra.labels, f"{key}.labels", lambda _: place)
    if extra.above is not None and not 0 <= extra.above < 1:
        yield Problem(place, f"{key}.above: {extra.above:g}", "0 to 1, such as 0.9")


def _source_problems(
    extra: Extra, competition: Competition, data: tuple[str, ...], place: str, key: str
) -> Iterator[Problem]:
    for name in ("labels", "above", "soft"):
        if getattr(extra, name):
            yield Problem(place, f"{key}.{name}: of {extra.origin}", hint="it is for `from: test`")
    source = competition.data.get(extra.origin)
    if source is None:
        hint = did_you_mean(extra.origin, [TEST, *competition.data])
        yield Problem(place, f"{key}: {extra.origin} is not declared in competition.yaml", hint=hint)
        return
    if extra.origin not in data:
        hint = f"data: [{', '.join([*data, extra.origin])}]"
        yield Problem(place, f"{key}: data does not name {extra.origin}", hint=hint)
    untold = [name for name in TOLD if not getattr(source, name).strip()]
    if untold:
        words = ", ".join(f"{name}: {TOLD[name]}" for name in untold)
        found = f"{key}: competition.yaml does not tell the {', '.join(untold)} of {extra.origin}"
        yield Problem(place, found, hint=f"data: {{{extra.origin}: {{{words}}}}}")
