"""Score masks of objects, several to an image in run lengths, with Kaggle's signature."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from kagkit.foundation.errors import Problem, samples
from kagkit.metrics.alignment import match_objects
from kagkit.metrics.matching import THRESHOLDS, Pairing, Rating, f2, precision, rate_images
from kagkit.metrics.overlaps import count_pixels, count_shared, overlap_themselves, read_masks
from kagkit.metrics.refusals import refuse

if TYPE_CHECKING:
    import pandas as pd

    from kagkit.formats.dialects import Edges


def mask_f2(
    solution: pd.DataFrame,
    submission: pd.DataFrame,
    row_id_column_name: str,
    *,
    shape: Sequence[int],
    dialect: str,
    thresholds: Sequence[float] = THRESHOLDS,
    both_empty: float | None = 1.0,
) -> float:
    """The mean over images of their F2 scores, each the mean over thresholds, from 0 to 1.

    An image scores 5 TP / (5 TP + 4 FN + FP) at a threshold, TP its objects that are found.

    Args:
        solution: One column of masks as run lengths, a row per object; an image without one has a row that
            says so.
        submission: The same column, predicted, in any order.
        row_id_column_name: The column of image ids in both.
        shape: (height, width) of the images; where they differ, one that holds the largest.
        dialect: How the masks are written, `usual` or `relative`.
        thresholds: The mean is taken over these intersections over unions.
        both_empty: What an image without a true and a predicted object scores; None leaves it out.

    Raises:
        ManifestError: There is no such dialect, the shape has no pixel, or a threshold is out of range.
        SubmissionError: The tables do not match, a mask cannot be read, or predicted masks overlap.

    References:
        Kaggle, "Airbus Ship Detection Challenge" (2018), Evaluation; how a find is counted: `matching`.

    Example:
        >>> import pandas as pd
        >>> solution = pd.DataFrame({"id": ["a", "a", "b"], "runs": ["1 4", "9 4", None]})
        >>> submission = pd.DataFrame({"id": ["a", "b"], "runs": ["1 4", None]})
        >>> round(mask_f2(solution, submission, "id", shape=(4, 4), dialect="usual"), 4)
        0.7778
    """
    pairings = _pair_masks(solution, submission, row_id_column_name, shape, dialect)
    rating = Rating("f2", f2, thresholds, both_empty)
    return float(rate_images(pairings, rating, row_id_column_name)["f2"].mean())


def mask_f2_rows(
    solution: pd.DataFrame,
    submission: pd.DataFrame,
    row_id_column_name: str,
    *,
    shape: Sequence[int],
    dialect: str,
    thresholds: Sequence[float] = THRESHOLDS,
    both_empty: float | None = 1.0,
) -> pd.DataFrame:
    """What each image adds to `mask_f2`: its own, by id, in the column `f2`.

    Raises:
        ManifestError: There is no such dialect, the shape has no pixel, or a threshold is out of range.
        SubmissionError: The tables do not match, a mask cannot be read, or predicted masks overlap.

    Example:
        >>> import pandas as pd
        >>> solution = pd.DataFrame({"id": ["a", "a", "b"], "runs": ["1 4", "9 4", None]})
        >>> submission = pd.DataFrame({"id": ["a", "b"], "runs": ["1 4", None]})
        >>> args = {"shape": (4, 4), "dialect": "usual"}
        >>> mask_f2_rows(solution, submission, "id", **args)["f2"].round(4).tolist()
        [0.5556, 1.0]
    """
    pairings = _pair_masks(solution, submission, row_id_column_name, shape, dialect)
    rating = Rating("f2", f2, thresholds, both_empty)
    return rate_images(pairings, rating, row_id_column_name)


def mask_ap(
    solution: pd.DataFrame,
    submission: pd.DataFrame,
    row_id_column_name: str,
    *,
    shape: Sequence[int],
    dialect: str,
    thresholds: Sequence[float] = THRESHOLDS,
    both_empty: float | None = 1.0,
) -> float:
    """The mean over images of their precisions, each the mean over thresholds, from 0 to 1.

    An image scores TP / (TP + FN + FP) at a threshold, TP its objects that are found.

    Args:
        solution: One column of masks as run lengths, a row per object; an image without one has a row that
            says so.
        submission: The same column, predicted, in any order.
        row_id_column_name: The column of image ids in both.
        shape: (height, width) of the images; where they differ, one that holds the largest.
        dialect: How the masks are written, `usual` or `relative`.
        thresholds: The mean is taken over these intersections over unions.
        both_empty: What an image without a true and a predicted object scores; None leaves it out.

    Raises:
        ManifestError: There is no such dialect, the shape has no pixel, or a threshold is out of range.
        SubmissionError: The tables do not match, a mask cannot be read, or predicted masks overlap.

    References:
        Kaggle, "2018 Data Science Bowl", Evaluation; how a find is counted: `matching`.

    Example:
        >>> import pandas as pd
        >>> solution = pd.DataFrame({"id": ["a", "a", "b"], "runs": ["1 4", "9 4", None]})
        >>> submission = pd.DataFrame({"id": ["a", "b"], "runs": ["1 4", None]})
        >>> round(mask_ap(solution, submission, "id", shape=(4, 4), dialect="usual"), 4)
        0.75
    """
    pairings = _pair_masks(solution, submission, row_id_column_name, shape, dialect)
    rating = Rating("ap", precision, thresholds, both_empty)
    return float(rate_images(pairings, rating, row_id_column_name)["ap"].mean())


def mask_ap_rows(
    solution: pd.DataFrame,
    submission: pd.DataFrame,
    row_id_column_name: str,
    *,
    shape: Sequence[int],
    dialect: str,
    thresholds: Sequence[float] = THRESHOLDS,
    both_empty: float | None = 1.0,
) -> pd.DataFrame:
    """What each image adds to `mask_ap`: its own, by id, in the column `ap`.

    Raises:
        ManifestError: There is no such dialect, the shape has no pixel, or a threshold is out of range.
        SubmissionError: The tables do not match, a mask cannot be read, or predicted masks overlap.

    Example:
        >>> import pandas as pd
        >>> solution = pd.DataFrame({"id": ["a", "a", "b"], "runs": ["1 4", "9 4", None]})
        >>> submission = pd.DataFrame({"id": ["a", "b"], "runs": ["1 4", None]})
        >>> args = {"shape": (4, 4), "dialect": "usual"}
        >>> mask_ap_rows(solution, submission, "id", **args)["ap"].round(4).tolist()
        [0.5, 1.0]
    """
    pairings = _pair_masks(solution, submission, row_id_column_name, shape, dialect)
    rating = Rating("ap", precision, thresholds, both_empty)
    return rate_images(pairings, rating, row_id_column_name)


def _pair_masks(
    solution: pd.DataFrame, submission: pd.DataFrame, row_id: str, shape: Sequence[int], dialect: str
) -> dict[str, Pairing]:
    """The overlaps of the objects of each image, by id; predicted masks all have one confidence."""
    truth, guess = match_objects(solution, submission, row_id)
    true, faults = read_masks(truth, f"solution, column {truth.name}", shape, dialect)
    predicted, more = read_masks(guess, f"submission, column {guess.name}", shape, dialect)
    refuse(faults + more)
    there, found = _group(truth.index, true), _group(guess.index, predicted)
    if mixed := [name for name, masks in found.items() if overlap_themselves(masks)]:
        hint = "give every pixel to one object: hosts refuse a file whose masks overlap"
        refuse([Problem("submission", f"masks that share pixels in {samples(mixed)}", hint=hint)])
    return {name: _pair(masks, found[name]) for name, masks in there.items()}


def _group(ids: pd.Index[Any], masks: list[Edges]) -> dict[str, list[Edges]]:
    """The masks of each image that have a pixel."""
    groups: dict[str, list[Edges]] = {name: [] for name in ids}
    for name, mask in zip(ids, masks, strict=True):
        if mask.size:
            groups[name].append(mask)
    return groups


def _pair(true: list[Edges], predicted: list[Edges]) -> Pairing:
    import numpy as np

    sizes = np.array([count_pixels(mask) for mask in predicted])
    overlap = np.zeros((len(true), len(predicted)))
    for place, mask in enumerate(true):
        shared = count_shared(mask, predicted)
        overlap[place] = shared / (count_pixels(mask) + sizes - shared)
    return Pairing(overlap, np.ones(len(predicted)))
