"""State how a network is trained, and refuse settings that cannot be meant, all of them at once."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields
from functools import partial
from numbers import Integral, Real
from typing import Any

import torch
from torch import nn

from kagkit.foundation.errors import Problem, RunError, did_you_mean
from kagkit.training.schedules import SCHEDULES, Schedule

PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
# What may differ between a killed training and the one that goes on: none of it changes a bit.
FREE = ("workers", "log_every", "checkpoint_seconds", "name")
# The least of each.
COUNTS = dict.fromkeys(("epochs", "batch_size", "accumulate", "patience"), 1)
COUNTS |= dict.fromkeys(("workers", "log_every", "best"), 0)
NAME = re.compile(r"\w[\w.-]*")


def adamw(model: nn.Module, lr: float) -> torch.optim.Optimizer:
    """AdamW on all parameters, with torch's defaults."""
    return torch.optim.AdamW(model.parameters(), lr=lr)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How a network is trained.

    Attributes:
        epochs: How often every sample is seen.
        batch_size: Samples for a step of the optimizer, over all parts and processes.
        lr: The largest learning rate.
        optimizer: From the model and `lr` to a torch optimizer; groups may have rates of their own, and the
            schedule scales each.
        schedule: `one_cycle`, `cosine`, `constant`, or a function of the share of the training that is done.
        warmup: The share of the training in which the rate grows from nothing to what the schedule says.
        accumulate: In how many parts a batch goes through the model, to save memory. The step is the same.
        clip: The largest norm of the gradients; None for any.
        precision: `float32`, or `bfloat16` or `float16` for what autocast may compute so.
        ema: The decay of a moving average of the weights, which is then validated and kept; None for none.
        validate: Called with the model after each epoch, without gradients, in evaluation mode; gives
            numbers by name, such as `{"valid_loss": 0.41}`.
        monitor: The number that tells good epochs from bad ones: one that `validate` gives, or `train_loss`.
        greater_is_better: Whether a greater `monitor` is a better one; to be said where it is used.
        patience: Stop after so many epochs without a better `monitor`; None for never.
        best: Keep the average of the weights after so many best epochs; 0 for the weights of the last.
        recompute_batchnorm: Whether batch-norm statistics are taken anew from the samples at the end, as
            averaged weights want it.
        drop_last: Whether the last batch of an epoch is left out where it is smaller than the others.
        workers: Processes that load samples; their number changes no result.
        log_every: Log the loss every so many steps too; 0 for once an epoch.
        checkpoint_seconds: How much work a kill may cost.
        name: Tells several trainings of one task apart.
    """

    epochs: int
    batch_size: int
    lr: float
    optimizer: Callable[[nn.Module, float], torch.optim.Optimizer] = adamw
    schedule: str | Schedule = "one_cycle"
    warmup: float = 0.0
    accumulate: int = 1
    clip: float | None = None
    precision: str = "float32"
    ema: float | None = None
    validate: Callable[[nn.Module], Mapping[str, float]] | None = None
    monitor: str | None = None
    greater_is_better: bool | None = None
    patience: int | None = None
    best: int = 0
    recompute_batchnorm: bool = False
    drop_last: bool = False
    workers: int = 0
    log_every: int = 0
    checkpoint_seconds: float = 60.0
    name: str = "fit"

    def __post_init__(self) -> None:
        problems = list(self._problems())
        if problems:
            raise RunError("the plan of the training cannot be followed", problems)

    @property
    def curve(self) -> Schedule:
        """The schedule as a function."""
        return SCHEDULES[self.schedule] if isinstance(self.schedule, str) else self.schedule

    def settings(self) -> dict[str, Any]:
        """What decides the result, as plain data; functions go by their names."""
        return {
            field.name: spell(getattr(self, field.name)) for field in fields(self) if field.name not in FREE
        }

    def _problems(self) -> Iterator[Problem]:
        for name, least in COUNTS.items():
            count = getattr(self, name)
            if not (name == "patience" and count is None) and not _is_count(count, least):
                yield Problem(name, repr(count), f"a whole number, {least} or more")
        if not _is_number(self.lr) or not 0 < self.lr < math.inf:
            yield Problem("lr", repr(self.lr), "a number greater than 0")
        if self.clip is not None and not (_is_number(self.clip) and self.clip > 0):
            yield Problem("clip", repr(self.clip), "a norm greater than 0, or None")
        if not _is_number(self.checkpoint_seconds) or not self.checkpoint_seconds >= 0:
            yield Problem("checkpoint_seconds", repr(self.checkpoint_seconds), "0 or more")
        if not isinstance(self.name, str) or not NAME.fullmatch(self.name):
            yield Problem("name", repr(self.name), "the name of a folder: letters, digits, _, - and dots")
        if isinstance(self.schedule, str) and self.schedule not in SCHEDULES:
            yield Problem("schedule", self.schedule, hint=did_you_mean(self.schedule, list(SCHEDULES)))
        if self.precision not in PRECISIONS:
            yield Problem("precision", self.precision, hint=did_you_mean(self.precision, list(PRECISIONS)))
        for name in ("warmup", "ema"):
            value = getattr(self, name)
            if not (name == "ema" and value is None) and not (_is_number(value) and 0 <= value < 1):
                yield Problem(name, repr(value), "0 or more, and less than 1")
        if (self.patience is not None or self.best) and self.monitor is None:
            yield Problem("monitor", "nothing says which epochs are good", hint='monitor="valid_loss"')
        if self.monitor is not None and self.greater_is_better is None:
            yield Problem("greater_is_better", "not said", f"what is better in {self.monitor}: True or False")


def spell(value: Any) -> Any:
    """A setting as JSON can say it: a number of any library is a plain one, a function goes by its name.

    Example:
        >>> spell(torch.optim.SGD), spell(partial(torch.optim.SGD, momentum=0.9)), spell(math.inf)
        ('SGD', 'SGD(momentum=0.9)', 'inf')
    """
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, Real):
        return float(value) if math.isfinite(value) else str(float(value))
    if isinstance(value, partial):
        given = [*map(str, map(spell, value.args))]
        given += [f"{name}={spell(part)}" for name, part in value.keywords.items()]
        return f"{spell(value.func)}({', '.join(given)})"
    return getattr(value, "__qualname__", type(value).__name__)


def _is_number(value: Any) -> bool:
    return not isinstance(value, bool) and isinstance(value, Real) and not math.isnan(value)


def _is_count(value: Any, least: int) -> bool:
    return not isinstance(value, bool) and isinstance(value, Integral) and int(value) >= least
