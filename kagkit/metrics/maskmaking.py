"""Turn pixels' probabilities into masks for a submission: three thresholds, small pieces, a classifier."""

from __future__ import annotations

from typing import Annotated

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from kagkit.data.predictions import Predictions
from kagkit.formats.dialects import Dialect
from kagkit.formats.rle import encode
from kagkit.metrics.fitting import row_by_row
from kagkit.metrics.ranges import Range


@row_by_row
def triplet(
    predictions: Predictions,
    rows: pd.DataFrame,
    *,
    dialect: Dialect,
    top: Annotated[float, Range(0, 1)] = 0.75,
    area: Annotated[int, Range(0, whole=True)] = 0,
    bottom: Annotated[float, Range(0, 1)] = 0.3,
    piece: Annotated[int, Range(0, whole=True)] = 0,
    classifier: str | None = None,
    gate: Annotated[float, Range(0, 1)] = 0.5,
) -> pd.DataFrame:
    """A mask holds all pixels above `bottom`, where enough pixels are above `top`; else it is empty.

    Args:
        predictions: An array column (height, width) of probabilities for each target, named like it.
        rows: The rows to predict.
        dialect: How the host writes masks: `usual` or `relative`.
        top: What sure pixels are above.
        area: How many sure pixels an image must have at least, or its mask is empty.
        bottom: What the pixels of a mask are above.
        piece: Pieces of fewer pixels are dropped; pixels that touch at a corner belong together.
        classifier: A column with the chance that a row has a mask at all; it is no target then.
        gate: Rows below this chance are empty.

    Raises:
        DataError: The predictions lack a row or the classifier's column, or are no arrays.

    References:
        A. Aimoldin, first place of SIIM-ACR Pneumothorax Segmentation (Kaggle, 2019): top score threshold,
        minimal area, bottom score threshold; the dropped pieces are its minimal contour area.
    """
    targets = [name for name in predictions.columns if name != classifier]
    step = max(1, predictions.chunk_rows)
    cells: dict[str, list[str]] = {target: [] for target in targets}
    for start in range(0, len(rows), step):
        keys = rows.index[start : start + step]
        likely = np.ones(len(keys), np.bool_)
        if classifier is not None:
            likely = predictions.array(classifier, keys) >= gate
        for target in targets:
            images = predictions.array(target, keys)
            sure = (images > top).sum(axis=(1, 2)) >= max(area, 1)
            for image, kept in zip(images, sure & likely, strict=True):
                mask = (image > bottom) & kept
                cells[target].append(encode(without_small_pieces(mask, piece), dialect))
    return pd.DataFrame(cells, index=rows.index)


def without_small_pieces(mask: NDArray[np.bool_], least: int) -> NDArray[np.bool_]:
    """The mask (height, width) without its pieces of fewer pixels; pixels that touch at a corner are joined.

    Example:
        >>> without_small_pieces(np.array([[True, True, False, True]]), 2).tolist()
        [[True, True, False, False]]
    """
    if least <= 1 or not mask.any():
        return mask
    from scipy.ndimage import label

    pieces, _ = label(mask, structure=np.ones((3, 3)))
    large = np.bincount(pieces.ravel()) >= least
    large[0] = False
    kept: NDArray[np.bool_] = large[pieces]
    return kept
