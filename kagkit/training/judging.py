"""Tell good epochs from bad ones: which was best, which weights to keep, when to stop waiting."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from kagkit.foundation.errors import Problem, RunError, did_you_mean
from kagkit.training.plan import Plan
from kagkit.training.weights import copy_tensors

History = Sequence[Mapping[str, float]]
Kept = dict[str, Any]  # an `epoch`, its `merit` and its `weights`


def best_epoch(plan: Plan, history: History) -> int | None:
    """The first of the best epochs, from 0; None where nothing is monitored, or no epoch is over.

    Raises:
        RunError: An epoch has no number of the monitored name.

    Example:
        >>> plan = Plan(epochs=3, batch_size=8, lr=0.1, monitor="auc", greater_is_better=True)
        >>> best_epoch(plan, [{"auc": 0.6}, {"auc": 0.8}, {"auc": 0.7}])
        1
    """
    if plan.monitor is None or not history:
        return None
    merits = [_merit(plan, values) for values in history]
    return merits.index(max(merits))


def has_stalled(plan: Plan, history: History) -> bool:
    """Whether as many epochs as the plan's patience brought nothing better."""
    best = best_epoch(plan, history)
    return best is not None and plan.patience is not None and len(history) - 1 - best >= plan.patience


def keep_best(
    plan: Plan, kept: Sequence[Kept], history: History, weights: Mapping[str, torch.Tensor]
) -> list[Kept]:
    """The weights of the best epochs so far, the best first, after one more epoch.

    Args:
        plan: How many are kept, and what tells good epochs from bad ones.
        kept: What was kept before it.
        history: The numbers of all epochs, this one last.
        weights: The weights after it.
    """
    this = {"epoch": len(history) - 1, "merit": _merit(plan, history[-1]), "weights": weights}
    ranked = sorted([*kept, this], key=lambda one: (-one["merit"], one["epoch"]))[: plan.best]
    return [one | {"weights": copy_tensors(weights)} if one is this else one for one in ranked]


def _merit(plan: Plan, values: Mapping[str, float]) -> float:
    """The monitored number, turned so that greater is better; what is no number is worst."""
    name = str(plan.monitor)
    if name not in values:
        found = f"{name}: validate gives no such number"
        raise RunError(
            "there is nothing to monitor",
            [Problem("monitor", found, hint=did_you_mean(name, list(values)))],
        )
    value = values[name] if plan.greater_is_better else -values[name]
    return -math.inf if math.isnan(value) else value
