"""Match predicted objects to true ones by their overlap, image by image, and rate what was found.

Hosts say in words what a hit is and show no code. Read here as: an overlap (intersection over union) above
the threshold, an object hit once at most. Predictions are served by falling confidence, those of one
confidence by falling overlap; each takes the true object, not yet taken, that it overlaps most. Where no two
masks of a side share a pixel, thresholds of 0.5 and more leave no choice, and the order decides nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kagkit.foundation.errors import Problem
from kagkit.metrics.refusals import refuse, refuse_argument

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

THRESHOLDS = (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)


@dataclass(frozen=True)
class Pairing:
    """The objects of one image, true and predicted.

    Attributes:
        overlap: (n_true, n_predicted) intersections over unions.
        confidence: (n_predicted,), larger is served first.
    """

    overlap: Floats
    confidence: Floats


@dataclass(frozen=True)
class Rating:
    """How an image is rated.

    Attributes:
        name: The metric's name, which is the column's in the table of images.
        rate: From hits (n_thresholds,) and the numbers of true and predicted objects, not both 0, to
            ratings (n_thresholds,).
        thresholds: The image's rating is the mean over them.
        both_empty: The rating of an image without a true and a predicted object; None leaves it out.
    """

    name: str
    rate: Callable[[Floats, int, int], Floats]
    thresholds: Sequence[float] = THRESHOLDS
    both_empty: float | None = 1.0


def f2(hits: Floats, true: int, predicted: int) -> Floats:
    """5 TP / (5 TP + 4 FN + FP) at each threshold.

    Example:
        >>> import numpy as np
        >>> f2(np.array([1.0, 0.0]), true=2, predicted=1).round(4).tolist()
        [0.5556, 0.0]
    """
    return 5 * hits / (4 * true + predicted)


def precision(hits: Floats, true: int, predicted: int) -> Floats:
    """TP / (TP + FN + FP) at each threshold, which hosts call a precision.

    Example:
        >>> import numpy as np
        >>> precision(np.array([1.0, 0.0]), true=2, predicted=1).tolist()
        [0.5, 0.0]
    """
    return hits / (true + predicted - hits)


def count_hits(pairing: Pairing, thresholds: Sequence[float]) -> Floats:
    """How many true objects are found at each threshold (n_thresholds,).

    Example:
        >>> import numpy as np
        >>> overlap = np.array([[0.6, 0.9], [0.7, 0.0]])
        >>> count_hits(Pairing(overlap, confidence=np.array([0.5, 0.5])), [0.5, 0.7]).tolist()
        [2.0, 1.0]
    """
    import numpy as np

    true, predicted = np.nonzero(pairing.overlap)
    overlap = pairing.overlap[true, predicted]
    order = np.lexsort((-overlap, -pairing.confidence[predicted]))
    pairs = list(zip(*(each[order].tolist() for each in (true, predicted, overlap)), strict=True))
    return np.array([_serve(pairs, threshold) for threshold in thresholds], dtype=float)


def _serve(pairs: list[tuple[int, int, float]], threshold: float) -> int:
    """How many pairs are made, those that come first before others."""
    taken: set[int] = set()
    served: set[int] = set()
    for one, other, overlap in pairs:
        if overlap > threshold and one not in taken and other not in served:
            taken.add(one)
            served.add(other)
    return len(taken)


def rate_images(pairings: Mapping[str, Pairing], rating: Rating, row_id: str) -> pd.DataFrame:
    """The rating of each image, by id.

    Raises:
        ManifestError: There is no threshold, or one is not from 0 to below 1.
        SubmissionError: Every image is left out.

    Example:
        >>> import numpy as np
        >>> pairing = Pairing(np.array([[0.62]]), np.array([1.0]))
        >>> rate_images({"a": pairing}, Rating("f2", f2), "id").loc["a", "f2"].round(4)
        np.float64(0.3)
    """
    import pandas as pd

    thresholds = list(rating.thresholds)
    if not thresholds or not all(0 <= threshold < 1 for threshold in thresholds):
        refuse_argument(rating.name, "thresholds", thresholds, "numbers from 0 to below 1")
    ratings: dict[str, float] = {}
    for name, pairing in pairings.items():
        true, predicted = pairing.overlap.shape
        if true or predicted:
            hits = count_hits(pairing, thresholds)
            ratings[name] = float(rating.rate(hits, true, predicted).mean())
        elif rating.both_empty is not None:
            ratings[name] = rating.both_empty
    if not ratings:
        refuse([Problem("solution", "no image has an object, here or in the submission", "one or more")])
    return pd.DataFrame({rating.name: ratings}, dtype=float).rename_axis(row_id)
