"""Seed every generator a recipe may use, and set the switches that make its arithmetic repeat."""

from __future__ import annotations

import random
import sys
from typing import Any


def prepare_numerics(seed: int, threads: int, determinism: str) -> None:
    """Seed python, numpy and torch, and choose deterministic algorithms, in this process.

    Only libraries the recipe has imported are touched: nothing is imported here.

    Args:
        seed: The task's seed.
        threads: How many threads torch may use.
        determinism: `exact` makes torch refuse operations that cannot repeat, `seeded` only seeds,
            `off` leaves all generators alone.
    """
    torch: Any = sys.modules.get("torch")
    if torch is not None:
        torch.set_num_threads(threads)
    if determinism == "off":
        return
    random.seed(seed)
    numpy: Any = sys.modules.get("numpy")
    if numpy is not None:
        numpy.random.seed(seed)
    if torch is not None:
        torch.manual_seed(seed)
        if determinism == "exact":
            torch.use_deterministic_algorithms(mode=True)
            torch.backends.cudnn.benchmark = False
            torch.backends.cudnn.deterministic = True
