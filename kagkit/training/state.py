"""Take every tensor that a model keeps, put each back, refuse an optimizer that holds others."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from kagkit.foundation.errors import Problem, RunError, counted, samples


def tensors_of(model: nn.Module) -> dict[str, torch.Tensor]:
    """A model's state dict, and its buffers that are not in it (`persistent=False`), by name.

    Example:
        >>> model = nn.Linear(1, 1, bias=False)
        >>> model.register_buffer("seen", torch.zeros(1), persistent=False)
        >>> list(model.state_dict()), list(tensors_of(model))
        (['weight'], ['weight', 'seen'])
    """
    state = model.state_dict()
    buffers = dict(model.named_buffers(remove_duplicate=False))
    return {**state, **{name: tensor for name, tensor in buffers.items() if name not in state}}


def put_back(model: nn.Module, tensors: Mapping[str, torch.Tensor]) -> None:
    """Give a model the tensors that `tensors_of` took; a buffer may have had another shape then."""
    own = model.state_dict().keys()
    model.load_state_dict({name: tensor for name, tensor in tensors.items() if name in own})
    device = next(model.parameters()).device
    for name in tensors.keys() - own:
        place, _, leaf = name.rpartition(".")
        owner = model.get_submodule(place)
        now, kept = getattr(owner, leaf, None), tensors[name]
        if isinstance(now, torch.Tensor) and (now.shape, now.dtype) == (kept.shape, kept.dtype):
            now.copy_(kept)  # in place: another module may hold the same one
        else:
            setattr(owner, leaf, kept.to(device))


def refuse_strangers(optimizer: torch.optim.Optimizer, model: nn.Module) -> None:
    """Refuse an optimizer of parameters that are not the model's, such as those of a loss.

    No checkpoint, no average and no saved weights would hold them.

    Raises:
        RunError: There are such.
    """
    own = {id(parameter) for parameter in model.parameters()}
    given = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    shapes = [str(tuple(parameter.shape)) for parameter in given if id(parameter) not in own]
    if shapes:
        found = f"{counted(len(shapes), 'parameter')} that the model does not have: {samples(shapes)}"
        hint = "make what is learned beside the model a module of it: model.margin = ArcFace(…)"
        raise RunError("the optimizer holds more than the model", [Problem("optimizer", found, hint=hint)])
