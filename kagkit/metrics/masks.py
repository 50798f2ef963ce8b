"""Score masks, one to a row in run lengths, with Kaggle's signature."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from kagkit.metrics.alignment import match_column
from kagkit.metrics.overlaps import count_pixels, count_shared, read_masks
from kagkit.metrics.perrow import ratio, table_by_id
from kagkit.metrics.refusals import refuse

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray


def mean_dice(
    solution: pd.DataFrame,
    submission: pd.DataFrame,
    row_id_column_name: str,
    *,
    shape: Sequence[int],
    dialect: str,
    both_empty: float = 1.0,
) -> float:
    """The mean over rows of their Dice coefficients, from 0 to 1.

    A row scores 2 |A and B| / (|A| + |B|), counting pixels: 0 where a mask is predicted and there is none.

    Args:
        solution: One column of masks as run lengths, a row per image, or per image and class.
        submission: The same column, predicted.
        row_id_column_name: The id column of both.
        shape: (height, width) of the images; where they differ, one that holds the largest.
        dialect: How the masks are written, `usual` or `relative`.
        both_empty: What a row without a true and a predicted pixel scores.

    Raises:
        ManifestError: There is no such dialect, or the shape has no pixel.
        SubmissionError: The tables do not match, or a mask cannot be read.

    References:
        Kaggle, "SIIM-ACR Pneumothorax Segmentation" (2019) and, a row per image and class, "Understanding
        Clouds from Satellite Images" (2019), Evaluation.

    Example:
        >>> import pandas as pd
        >>> solution = pd.DataFrame({"id": ["a", "b"], "runs": ["1 4", None]})
        >>> submission = pd.DataFrame({"id": ["a", "b"], "runs": ["3 4", None]})
        >>> mean_dice(solution, submission, "id", shape=(4, 4), dialect="usual")
        0.75
    """
    table = dice_rows(
        solution, submission, row_id_column_name, shape=shape, dialect=dialect, both_empty=both_empty
    )
    return float(table["dice"].mean())


def dice_rows(
    solution: pd.DataFrame,
    submission: pd.DataFrame,
    row_id_column_name: str,
    *,
    shape: Sequence[int],
    dialect: str,
    both_empty: float = 1.0,
) -> pd.DataFrame:
    """What each row adds to `mean_dice`: its Dice coefficient, by id, in the column `dice`.

    Raises:
        ManifestError: There is no such dialect, or the shape has no pixel.
        SubmissionError: The tables do not match, or a mask cannot be read.

    Example:
        >>> import pandas as pd
        >>> solution = pd.DataFrame({"id": ["a", "b"], "runs": ["1 4", None]})
        >>> submission = pd.DataFrame({"id": ["a", "b"], "runs": ["3 4", None]})
        >>> dice_rows(solution, submission, "id", shape=(4, 4), dialect="usual")["dice"].tolist()
        [0.5, 1.0]
    """
    true, guessed, shared = _measure(solution, submission, row_id_column_name, shape, dialect)
    values = _divide(2 * shared, true + guessed, both_empty)
    return table_by_id(values[:, None], solution, row_id_column_name, ["dice"])


def global_dice(
    solution: pd.DataFrame,
    submission: pd.DataFrame,
    row_id_column_name: str,
    *,
    shape: Sequence[int],
    dialect: str,
) -> float:
    """The Dice coefficient of all rows as one large image, from 0 to 1; 1 where not one pixel is in a mask.

    Args:
        solution: One column of masks as run lengths, a row per image, or per image and class.
        submission: The same column, predicted.
        row_id_column_name: The id column of both.
        shape: (height, width) of the images; where they differ, one that holds the largest.
        dialect: How the masks are written, `usual` or `relative`.

    Raises:
        ManifestError: There is no such dialect, or the shape has no pixel.
        SubmissionError: The tables do not match, or a mask cannot be read.

    Example:
        >>> import pandas as pd
        >>> solution = pd.DataFrame({"id": ["a", "b"], "runs": ["1 4", None]})
        >>> submission = pd.DataFrame({"id": ["a", "b"], "runs": ["3 4", None]})
        >>> global_dice(solution, submission, "id", shape=(4, 4), dialect="usual")
        0.5
    """
    table = global_dice_rows(solution, submission, row_id_column_name, shape=shape, dialect=dialect)
    return float(ratio(table.to_numpy().sum(axis=0)))


def global_dice_rows(
    solution: pd.DataFrame,
    submission: pd.DataFrame,
    row_id_column_name: str,
    *,
    shape: Sequence[int],
    dialect: str,
) -> pd.DataFrame:
    """What each row adds to `global_dice`, by id: twice its shared pixels, and the pixels of both masks.

    The score is the ratio of the means of the columns `twice_shared` and `both`.

    Raises:
        ManifestError: There is no such dialect, or the shape has no pixel.
        SubmissionError: The tables do not match, or a mask cannot be read.

    Example:
        >>> import pandas as pd
        >>> solution = pd.DataFrame({"id": ["a", "b"], "runs": ["1 4", None]})
        >>> submission = pd.DataFrame({"id": ["a", "b"], "runs": ["3 4", None]})
        >>> global_dice_rows(solution, submission, "id", shape=(4, 4), dialect="usual").loc["a"].tolist()
        [4.0, 8.0]
    """
    import numpy as np

    true, guessed, shared = _measure(solution, submission, row_id_column_name, shape, dialect)
    values = np.column_stack([2 * shared, true + guessed])
    return table_by_id(values, solution, row_id_column_name, ["twice_shared", "both"])


def mean_iou(
    solution: pd.DataFrame,
    submission: pd.DataFrame,
    row_id_column_name: str,
    *,
    shape: Sequence[int],
    dialect: str,
    both_empty: float = 1.0,
) -> float:
    """The mean over rows of intersection over union, from 0 to 1.

    A row scores |A and B| / |A or B|, counting pixels: 0 where a mask is predicted and there is none.

    Args:
        solution: One column of masks as run lengths, a row per image, or per image and class.
        submission: The same column, predicted.
        row_id_column_name: The id column of both.
        shape: (height, width) of the images; where they differ, one that holds the largest.
        dialect: How the masks are written, `usual` or `relative`.
        both_empty: What a row without a true and a predicted pixel scores.

    Raises:
        ManifestError: There is no such dialect, or the shape has no pixel.
        SubmissionError: The tables do not match, or a mask cannot be read.

    Example:
        >>> import pandas as pd
        >>> solution = pd.DataFrame({"id": ["a", "b"], "runs": ["1 4", None]})
        >>> submission = pd.DataFrame({"id": ["a", "b"], "runs": ["3 4", None]})
        >>> round(mean_iou(solution, submission, "id", shape=(4, 4), dialect="usual"), 4)
        0.6667
    """
    table = iou_rows(
        solution, submission, row_id_column_name, shape=shape, dialect=dialect, both_empty=both_empty
    )
    return float(table["iou"].mean())


def iou_rows(
    solution: pd.DataFrame,
    submission: pd.DataFrame,
    row_id_column_name: str,
    *,
    shape: Sequence[int],
    dialect: str,
    both_empty: float = 1.0,
) -> pd.DataFrame:
    """What each row adds to `mean_iou`: its intersection over union, by id, in the column `iou`.

    Raises:
        ManifestError: There is no such dialect, or the shape has no pixel.
        SubmissionError: The tables do not match, or a mask cannot be read.

    Example:
        >>> import pandas as pd
        >>> solution = pd.DataFrame({"id": ["a", "b"], "runs": ["1 4", None]})
        >>> submission = pd.DataFrame({"id": ["a", "b"], "runs": ["3 4", None]})
        >>> iou_rows(solution, submission, "id", shape=(4, 4), dialect="usual")["iou"].round(4).tolist()
        [0.3333, 1.0]
    """
    true, guessed, shared = _measure(solution, submission, row_id_column_name, shape, dialect)
    values = _divide(shared, true + guessed - shared, both_empty)
    return table_by_id(values[:, None], solution, row_id_column_name, ["iou"])


def _measure(
    solution: pd.DataFrame, submission: pd.DataFrame, row_id: str, shape: Sequence[int], dialect: str
) -> NDArray[np.float64]:
    """Each row's true, predicted and shared pixels: an array (3, n_rows)."""
    import numpy as np

    truth, guess = match_column(solution, submission, row_id, "masks", blank=True)
    true, faults = read_masks(truth, f"solution, column {truth.name}", shape, dialect)
    guessed, more = read_masks(guess, f"submission, column {guess.name}", shape, dialect)
    refuse(faults + more)
    counts = [
        (count_pixels(one), count_pixels(other), count_shared(one, [other])[0])
        for one, other in zip(true, guessed, strict=True)
    ]
    return np.array(counts, dtype=float).T


def _divide(above: NDArray[np.float64], below: NDArray[np.float64], empty: float) -> NDArray[np.float64]:
    import numpy as np

    result = np.full(len(above), float(empty))
    np.divide(above, below, out=result, where=below > 0)
    return result
