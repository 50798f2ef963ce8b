"""Seed every global generator at once, so that what is drawn depends on a step or a sample alone."""

from __future__ import annotations

import random

import numpy as np
import torch

BITS = 2**32  # numpy's global generator takes no larger seed


def seed_globals(seed: int) -> None:
    """Seed python, numpy and torch, for code that draws from the global generators.

    GPUs are seeded where this process uses them.

    Args:
        seed: Any whole number from 0 on, such as `seed_of("sample", seed, epoch, key)`.
    """
    random.seed(seed)
    np.random.seed(seed % BITS)  # noqa: NPY002 (what augmentations draw from)
    torch.default_generator.manual_seed(seed)
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        torch.cuda.manual_seed_all(seed)
