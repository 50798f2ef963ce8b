"""Let several processes train one model: who is who, what they sum, what the first one tells the others."""

from __future__ import annotations

import atexit
import os
from collections.abc import Iterable
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import nn


@dataclass(frozen=True)
class Processes:
    """The processes that train together, as torchrun tells them apart.

    Gradients are summed in one buffer whose layout never changes. DistributedDataParallel rebuilds its
    buckets after the first step, so with three processes or more the order of its sums after a kill may be
    another one than without it.

    Attributes:
        rank: This process, from 0; only process 0 writes and logs.
        world: How many there are.
        local: This process among those of its machine: the number of its GPU.
    """

    rank: int = 0
    world: int = 1
    local: int = 0

    @classmethod
    def from_environment(cls) -> Processes:
        """What torchrun set: RANK, WORLD_SIZE and LOCAL_RANK; one process alone without them."""
        world = int(os.environ.get("WORLD_SIZE", "1"))
        if world == 1:
            return cls()
        return cls(int(os.environ["RANK"]), world, int(os.environ.get("LOCAL_RANK", "0")))

    def device_of(self, wanted: str) -> torch.device:
        """The device of this process, where the task's is `cpu` or `cuda:0`."""
        device = torch.device(wanted)
        if device.type == "cuda" and self.world > 1:
            device = torch.device("cuda", self.local)
        if device.type == "cuda":
            torch.cuda.set_device(device)
        return device

    def join(self, device: torch.device) -> None:
        """Meet the others by nccl on GPUs, by gloo elsewhere; once, until this process ends.

        A second meeting would find what the first one left at the same place. And who parts where it fails
        makes the others fail too, before it could say why.
        """
        if self.world > 1 and not dist.is_initialized():
            dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
            atexit.register(_part)

    def sum_gradients(self, parameters: Iterable[nn.Parameter], loss: torch.Tensor) -> torch.Tensor:
        """Give every process the sum of all gradients, and return the sum of their losses."""
        if self.world == 1:
            return loss
        known = [parameter for parameter in parameters if parameter.requires_grad]
        for parameter in known:  # one that a process did not use still takes its place in the buffer
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        gradients = [parameter.grad for parameter in known if parameter.grad is not None]
        flat = torch.cat([*(gradient.flatten().float() for gradient in gradients), loss.reshape(1).float()])
        dist.all_reduce(flat)
        start = 0
        for gradient in gradients:
            gradient.copy_(flat[start : start + gradient.numel()].view_as(gradient))
            start += gradient.numel()
        return flat[-1]

    def share(self, tensors: Iterable[torch.Tensor]) -> None:
        """Give every process the tensors of process 0, in place."""
        if self.world > 1:
            for tensor in tensors:
                dist.broadcast(tensor.data, src=0)

    def wait(self) -> None:
        """Wait until every process is here."""
        if self.world > 1:
            dist.barrier()


def _part() -> None:
    if dist.is_initialized():
        dist.destroy_process_group()
