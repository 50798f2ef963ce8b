"""Average weights over steps or over epochs, and take batch-norm statistics anew for what comes out."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

State = Mapping[str, torch.Tensor]


class MovingAverage:
    """A moving average of a model's weights and statistics, step by step.

    Args:
        model: The model, on its device.
        decay: How much of the average stays at a step. The first steps keep less, (1 + n) / (10 + n) at step
            n, so that the average forgets the weights it began with.

    References:
        The decay of the first steps: TensorFlow's ExponentialMovingAverage, `num_updates`.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.model = copy.deepcopy(model).requires_grad_(requires_grad=False)
        self._source = model

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take the model's weights in, after a step, counted from 0."""
        decay = min(self.decay, (1 + step) / (10 + step))
        pairs = list(zip(_tensors_of(self.model), _tensors_of(self._source), strict=True))
        fractions = [pair for pair in pairs if pair[0].is_floating_point()]
        torch._foreach_lerp_([mine for mine, _ in fractions], [its for _, its in fractions], 1 - decay)
        for mine, its in pairs:
            if not mine.is_floating_point():  # it counts something
                mine.copy_(its)


def _tensors_of(model: nn.Module) -> Iterator[torch.Tensor]:
    yield from model.parameters()
    yield from model.buffers()


def average_weights(states: Sequence[State]) -> dict[str, torch.Tensor]:
    """The mean of several models' weights, computed in float64; what is no fraction is taken from the last.

    Args:
        states: State dicts with the same names and shapes, in the order that is to count.

    Example:
        >>> average_weights([{"w": torch.tensor([1.0])}, {"w": torch.tensor([4.0])}])
        {'w': tensor([2.5000])}
    """
    averaged = {}
    for name, last in states[-1].items():
        if last.is_floating_point():
            mean = torch.stack([state[name].double() for state in states]).mean(dim=0)
            averaged[name] = mean.to(last.dtype)
        else:
            averaged[name] = last.clone()
    return averaged


def recompute_batchnorm(model: nn.Module, batches: Iterable[Any], forward: Callable[[Any], Any]) -> None:
    """Take the statistics of batch-norm layers anew, as the plain mean over batches.

    Averaged weights have no statistics of their own. Dropout and the like stay switched off.

    Args:
        model: The model; nothing else of it changes.
        batches: What to feed it, in this order.
        forward: Feeds it one batch.

    References:
        Izmailov et al., "Averaging Weights Leads to Wider Optima and Better Generalization", UAI 2018.
    """
    found = [layer for layer in model.modules() if isinstance(layer, _BatchNorm)]
    layers = [layer for layer in found if layer.track_running_stats]
    if not layers:
        return
    training, momenta = model.training, [layer.momentum for layer in layers]
    model.eval()
    for layer in layers:
        layer.reset_running_stats()
        layer.momentum = None  # torch's word for the plain mean
        layer.train()
    with torch.no_grad():
        for batch in batches:
            forward(batch)
    for layer, momentum in zip(layers, momenta, strict=True):
        layer.momentum = momentum
    model.train(training)
