"""Name what a manifest may write under `submission: make`, and the search that fits its arguments."""

from kagkit.metrics.fitting import Fit, HeldOut, fit_args, row_by_row
from kagkit.metrics.labelmaking import (
    assign_once,
    cut_ratings,
    match_shares,
    sharpen_shares,
    threshold_labels,
)
from kagkit.metrics.maskmaking import triplet
from kagkit.metrics.ranges import Range

__all__ = [
    "Fit",
    "HeldOut",
    "Range",
    "assign_once",
    "cut_ratings",
    "fit_args",
    "match_shares",
    "row_by_row",
    "sharpen_shares",
    "threshold_labels",
    "triplet",
]
