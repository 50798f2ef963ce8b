"""Guess the task from the target's values and the metric from the task, say why, prove that they fit."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Literal

import pandas as pd
from pandas.api.types import is_bool_dtype, is_float_dtype, is_numeric_dtype

from kagkit import metrics
from kagkit.data.rows import is_categorical, key_texts
from kagkit.foundation.errors import DataError, KagkitError, ManifestError, Problem, did_you_mean, samples
from kagkit.recipes.reading import LOADER, MOST_CLASSES, Asked, is_number, truth_table

Task = Literal["binary", "multiclass", "multi-label", "regression"]
Kind = Literal["flags", "classes", "numbers"]
LOWER_IS_BETTER = frozenset({"log_loss", "mae", "rmse", "mcrmse", "rmsle", "pinball"})
# Poisson's predictions are never negative, which rmsle would refuse.
LOSSES = {"mae": "regression_l1", "pinball": "regression_l1", "rmsle": "poisson"}
ROW_ID = "(row)"
FOLDS = 5  # stratified by the first target: so many rows of each value suffice
OFTEN = 50  # of a target that no fold is stratified by; one in 10,000 draws leaves a fold without


@dataclass(frozen=True)
class Guess:
    """What a competition seems to be, each guess with its reason.

    Attributes:
        task: What kind of target it has.
        metric: A name of kagkit.metrics.
        loss: LightGBM's objective for both.
        because_task: Why it is this task: what the target holds.
        because_metric: Why it is this metric.
        args: Further arguments of the metric.
    """

    task: Task
    metric: str
    loss: str
    because_task: str
    because_metric: str
    args: dict[str, Any] = field(default_factory=dict)

    @property
    def greater_is_better(self) -> bool:
        """The metric's direction."""
        return self.metric not in LOWER_IS_BETTER


def guess(asked: Asked, metric: str | None = None) -> Guess:
    """Guess what the host asks for.

    Args:
        asked: What the host's tables say.
        metric: The metric, where it is known; guessed where None.

    Raises:
        ManifestError: There is no such metric, no table of numbers or labels is scored by it, or it does
            not take such targets.
        DataError: The targets are of several kinds, or spelled otherwise than in the sample submission.
    """
    takes = _taken_by(metric) if metric else None
    kinds = {name: _kind(asked, name, takes) for name in asked.truth}
    task, because = _task(asked, kinds)
    if metric is None:
        metric, args, why = _metric_for(asked, task)
    else:
        args, why = _arguments(asked, metric, task), "named by --metric"
    takes = metrics.TAKES[metric]
    if takes == "labels" and task == "regression":
        problem = Problem("target", because, f"at most {MOST_CLASSES} labels")
        raise ManifestError(f"{metric} does not score this: {because}", [problem])
    _refuse_other_spelling(asked, takes)
    loss = LOSSES.get(metric, "regression") if task == "regression" else "binary"
    is_bool = is_bool_dtype(asked.train[asked.truth[0]])
    if len(asked.truth) == 1 and (task == "multiclass" or (takes == "labels" and is_bool)):
        loss = "multiclass"
    found = Guess(task, metric, loss, because, why, args)
    _prove(asked, found)
    return found


def _taken_by(metric: str) -> str:
    """What a metric takes."""
    if metric not in metrics.TAKES:
        hint = did_you_mean(metric, list(metrics.TAKES))
        raise ManifestError(f"--metric {metric}", [Problem("--metric", f"no metric {metric}", hint=hint)])
    takes = metrics.TAKES[metric]
    if takes in ("rankings", "masks", "boxes"):
        hint = f"write competition.yaml by hand, with metric: {{score: kagkit.metrics:{metric}}}"
        problem = Problem("--metric", f"{metric} scores {takes}", "labels, probabilities or values", hint)
        raise ManifestError(f"init writes no recipe that makes {takes}", [problem])
    return takes


def _kind(asked: Asked, name: str, takes: str | None) -> Kind:
    """What a target holds; a metric that is named decides whether whole numbers are classes."""
    column = asked.train[name]
    if is_bool_dtype(column) or (is_numeric_dtype(column) and set(column.unique()) == {0, 1}):
        return "flags"
    if not is_numeric_dtype(column):
        return "classes"
    if takes is None:
        fractions = name in asked.sample and is_float_dtype(asked.sample[name])
        return "classes" if is_categorical(column) and not fractions else "numbers"
    whole = bool((column % 1 == 0).all()) and column.nunique() <= MOST_CLASSES
    return "classes" if takes != "values" and whole else "numbers"


def _task(asked: Asked, kinds: dict[str, Kind]) -> tuple[Task, str]:
    """The task, and what the targets hold, in words."""
    name, kind = next(iter(kinds.items()))
    column = asked.train[name]
    if asked.class_column is not None:
        return "multiclass", f"the targets are the {len(asked.targets)} classes of {name}"
    if len(kinds) == 1:
        if kind == "flags":
            return "binary", f"{name} is {'True or False' if is_bool_dtype(column) else '0 or 1'}"
        if kind == "classes":
            return "multiclass", f"{name} has {column.nunique()} values, {samples(_sorted_values(column))}"
        whole = f"{column.nunique():,} different whole numbers" if (column % 1 == 0).all() else "numbers"
        return "regression", f"{name} holds {whole}"
    if set(kinds.values()) == {"flags"}:
        if (asked.train[list(kinds)].sum(axis=1) == 1).all():
            return "multiclass", f"one of {len(kinds)} columns is 1 in every row"
        return "multi-label", f"{len(kinds)} columns of 0 and 1"
    texts = [name for name in kinds if not is_numeric_dtype(asked.train[name])]
    if texts:
        hint = "write competition.yaml by hand, with a metric of your own: metric: {score: module:function}"
        found = f"several targets, and text in {samples(texts)}"
        raise DataError("the targets are of several kinds", [Problem("targets", found, "numbers", hint)])
    return "regression", f"{len(kinds)} columns of numbers"


def _sorted_values(column: pd.Series[Any]) -> list[Any]:
    values: list[Any] = sorted(column.unique())
    return values


def _metric_for(asked: Asked, task: Task) -> tuple[str, dict[str, Any], str]:
    """The metric of a task, its arguments, and why."""
    several = len(asked.truth) > 1
    if task == "regression":
        return ("mcrmse" if several else "rmse"), {}, "the usual one for numbers"
    if task == "multiclass" and len(asked.targets) > 1:
        return "log_loss", {}, "the sample has a column for each class"
    if any(is_float_dtype(dtype) for dtype in asked.sample.dtypes):
        if _rarest(asked) < (OFTEN if several else FOLDS):
            args = {"multilabel": True} if several else {}
            return "log_loss", args, "the sample shows probabilities, and auc needs both values in every fold"
        return "auc", {}, "the sample shows probabilities"
    if task == "multi-label":
        return "fbeta", {"average": "macro"}, "the sample shows labels"
    return "accuracy", {}, "the sample shows labels"


def _rarest(asked: Asked) -> int:
    """How many rows have the rarest value of all targets of 0 and 1."""
    return min(int(asked.train[name].value_counts().min()) for name in asked.truth)


def _arguments(asked: Asked, metric: str, task: Task) -> dict[str, Any]:
    """The arguments without which a metric does not take such targets."""
    if metric == "log_loss" and task == "multi-label":
        return {"multilabel": True}
    return {"average": "macro"} if metric == "f1" and task == "multiclass" else {}


def _refuse_other_spelling(asked: Asked, takes: str) -> None:
    """Stop where the sample submission has numbers and the training table words for them."""
    problems = []
    for name in asked.truth:
        column = asked.train[name]
        words = not is_numeric_dtype(column) or (is_bool_dtype(column) and takes == "labels")
        if words and name in asked.sample and is_number(asked.sample[name]):
            values = _sorted_values(column)
            given = f'table["{name}"]' if is_bool_dtype(column) else f'(table["{name}"] == "{values[-1]}")'
            hint = f'{LOADER}: table["{name}"] = {given}.astype(int), if that is meant by 1'
            problems.append(Problem(f"target {name}", samples(values), "numbers, as in the sample", hint))
    if problems:
        raise DataError("the sample submission spells the target in numbers", problems)


def _prove(asked: Asked, found: Guess) -> None:
    """Stop where the metric would not even take the truth for an answer."""
    rows = truth_table(asked.train, asked.truth, asked.class_column)
    table = pd.DataFrame({ROW_ID: key_texts(rows.index)}).join(rows.reset_index(drop=True))
    try:
        getattr(metrics, found.metric)(table, table, ROW_ID, **found.args)
    except KagkitError as error:
        problems = [replace(p, where=p.where.replace("solution", "target")) for p in error.problems]
        mine = [problem for problem in problems if not problem.where.startswith("submission")]
        summary = f"{found.metric} does not score this: {found.because_task}"
        raise ManifestError(summary, mine or problems) from None
