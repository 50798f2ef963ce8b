"""Seed every generator a recipe may use, and set the switches that make its arithmetic repeat."""

from __future__ import annotations

import random
import re
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


def inexact_operation(error: Exception) -> str | None:
    """The operation that torch refused because it cannot repeat; None where the error is another one.

    Args:
        error: What a recipe raised.

    References:
        The two messages of `torch.use_deterministic_algorithms`: of an operation, and of cuBLAS.

    Example:
        >>> words = "put_ does not have a deterministic implementation, but you set 'torch..."
        >>> inexact_operation(RuntimeError(words))
        'put_'
    """
    if not isinstance(error, RuntimeError):
        return None
    named = re.match(r"(\S+) does not have a deterministic implementation", str(error))
    if named:
        return named[1]
    is_cublas = "operation is not deterministic because it uses CuBLAS" in str(error)
    return "a matrix product by cuBLAS" if is_cublas else None
