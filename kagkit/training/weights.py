"""Write weights as safetensors without metadata, so that equal weights are equal bytes."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import safetensors.torch
import torch
from torch import nn

from kagkit.foundation.files import write_file
from kagkit.training.processes import Processes


def save_weights(weights: nn.Module | Mapping[str, torch.Tensor], path: Path) -> None:
    """Write a model's weights, wholly or not at all; of several processes only the first one writes.

    Every tensor is written contiguous, and a tied one under each of its names, so that
    `model.load_state_dict(load_file(path))` finds all of them. The file has no metadata: their order would
    differ from process to process.

    Args:
        weights: The model, or its state.
        path: The file, such as `task.out / "model.safetensors"`.

    Raises:
        RunError: The disk is full, or the folder cannot be written.
    """
    state = weights.state_dict() if isinstance(weights, nn.Module) else weights
    if Processes.from_environment().rank == 0:
        write_file(path, safetensors.torch.save(copy_tensors(state)))


def digest_weights(state: Mapping[str, torch.Tensor]) -> str:
    """The sha256, in hex, of the bytes `save_weights` would write."""
    return hashlib.sha256(safetensors.torch.save(copy_tensors(state))).hexdigest()


def copy_tensors(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Each tensor on the processor, contiguous, with memory of its own, by name in the order of names."""
    return {
        name: tensor.detach().to("cpu", copy=True, memory_format=torch.contiguous_format)
        for name, tensor in sorted(state.items())
    }
