"""Blend the runs that feed a manifest, by weights that no row's own fold has seen."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from kagkit.data.combining import average
from kagkit.foundation.errors import ManifestError, Problem, samples
from kagkit.judgement.stacking import Member
from kagkit.judgement.weighing import Method, find_weights, method_of, mix_members
from kagkit.runs.feed import Fed, shared_rows, tables_of

if TYPE_CHECKING:
    from kagkit.runs.task import Task

# It stands for the code in every key, and is raised when the same inputs would give other weights or other
# predictions. A digest of this file and of all it imports would make every blend stale with each release.
VERSION = 1
IN_SAMPLE = "weights.json"


def train(
    task: Task,
    *,
    method: str = "hill_climbing",
    per_column: bool = False,
    weights: Mapping[str, float] | None = None,
    rounds: int = 100,
    calls: int = 2_000,
) -> None:
    """Find weights on the training rows that every input has predicted, each held out there.

    Args:
        task: The task.
        method: One of `kagkit.judgement.weighing.METHODS`.
        per_column: Whether each column has weights of its own.
        weights: By input, in place of a search; for the methods that weigh all alike.
        rounds: How many rounds climbing has at most.
        calls: How often one search may call a metric that kagkit has no quicker way for.

    Raises:
        ManifestError: There is no such method, or it does not fit the inputs.
        DataError: The inputs do not hold the same rows or columns, or two say the very same.
    """
    chosen = replace(method_of(method), per_column=per_column, rounds=rounds, calls=calls)
    inputs = dict(task.inputs)
    _refuse_unfit(inputs, chosen, weights)
    keys = shared_rows(inputs, task.train_rows.index)
    told: dict[str, Any] = {"method": method, "rows": len(keys)}
    if weights is None and not _streamed(inputs):
        tables = tables_of(inputs, keys)
        members = [Member(name, inputs[name].content, table) for name, table in tables.items()]
        found = find_weights(members, task.judge, chosen)
        told |= {"weights": found.table.to_dict("index"), "in_sample": found.in_sample}
        told |= {"stopped": found.stopped}
    else:
        given = weights or dict.fromkeys(inputs, 1.0)
        total = sum(given.values())
        columns = next(iter(inputs.values())).columns
        shares = {name: dict.fromkeys(columns, given[name] / total) for name in inputs}
        told |= {"weights": shares, "in_sample": None, "stopped": False}
        if not _streamed(inputs):
            told["in_sample"] = task.judge.score(_mixed(inputs, shares, method, keys), keys)
    (task.out / IN_SAMPLE).write_text(json.dumps(told, indent=1), encoding="utf-8")


def predict(task: Task, model: Path, rows: pd.DataFrame) -> Any:
    """Mix what the inputs predict for the rows: a table, or chunks where there is an array a row."""
    told = json.loads((model / IN_SAMPLE).read_text(encoding="utf-8"))
    inputs = {name: task.inputs[name] for name in told["weights"]}
    if _streamed(inputs):
        shares = [next(iter(each.values())) for each in told["weights"].values()]
        return average(list(inputs.values()), rows.index, shares)
    weights = pd.DataFrame.from_dict(told["weights"], orient="index")
    return mix_members(
        {name: fed.frame() for name, fed in inputs.items()}, weights, told["method"], rows.index
    )


def _mixed(
    inputs: Mapping[str, Fed], weights: dict[str, dict[str, float]], method: str, keys: pd.Index[Any]
) -> pd.DataFrame:
    tables = {name: fed.frame() for name, fed in inputs.items()}
    return mix_members(tables, pd.DataFrame.from_dict(weights, orient="index"), method, keys)


def _streamed(inputs: Mapping[str, Fed]) -> bool:
    """Whether predictions are too large to be put side by side: an array a row."""
    return any(fed.kind(column) != "scalar" for fed in inputs.values() for column in fed.columns)


def _refuse_unfit(inputs: Mapping[str, Fed], method: Method, weights: Mapping[str, float] | None) -> None:
    """Refuse what cannot be meant: weights for other inputs, or both given and searched for."""
    problems = []
    if _streamed(inputs) and (method.weights, method.scale) != ("equal", "value"):
        found = "an array a row, which is averaged and not searched"
        problems.append(Problem("args.method", found, "mean", "args: {method: mean, weights: {…}}"))
    if weights is not None and method.weights != "equal":
        found = "weights are given, and searched for"
        problems.append(Problem("args.method", found, "mean, rank_mean or geometric_mean"))
    if weights is not None and set(weights) != set(inputs):
        expected = f"one for each input: {samples(sorted(inputs))}"
        problems.append(Problem("args.weights", samples(sorted(weights)), expected))
    elif weights and not (min(weights.values()) >= 0 and 0 < sum(weights.values()) < inf):
        problems.append(Problem("args.weights", str(dict(weights)), "numbers of 0 or more, not all 0"))
    if problems:
        raise ManifestError("the inputs cannot be blended so", problems)
