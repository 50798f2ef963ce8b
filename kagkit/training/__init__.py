"""Train networks so that neither a kill nor the number of loading processes changes a bit of the result."""

from kagkit.training.averaging import average_weights, recompute_batchnorm
from kagkit.training.datasets import Samples, Table
from kagkit.training.loop import Outcome, fit
from kagkit.training.plan import Plan
from kagkit.training.weights import save_weights

__all__ = [
    "Outcome",
    "Plan",
    "Samples",
    "Table",
    "average_weights",
    "fit",
    "recompute_batchnorm",
    "save_weights",
]
