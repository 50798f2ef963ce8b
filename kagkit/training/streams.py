"""Seed every global generator from names, so that what is drawn depends on a step or a sample alone."""

from __future__ import annotations

import random

import numpy as np
import torch

from kagkit.foundation.seeds import seed_of

BITS = 2**32  # numpy's global generator takes no larger seed


def seed_globals(*names: str | int) -> None:
    """Seed python, numpy and torch from names alone, for code that draws from the global generators.

    GPUs are seeded where this process uses them.

    Args:
        names: What is drawn for: "step", a seed, a step; "sample", a seed, an epoch, a key.
    """
    seed = seed_of(*names)
    random.seed(seed)
    np.random.seed(seed % BITS)  # noqa: NPY002 (what augmentations draw from)
    torch.default_generator.manual_seed(seed)
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        torch.cuda.manual_seed_all(seed)
