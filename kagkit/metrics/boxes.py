"""Score boxes around objects, several to an image, with Kaggle's signature."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from kagkit.foundation.errors import DataError, Problem, samples
from kagkit.metrics.alignment import match_column
from kagkit.metrics.matching import THRESHOLDS, Pairing, Rating, f2, precision, rate_images
from kagkit.metrics.refusals import refuse, refuse_argument

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    Boxes = NDArray[np.float64]

FIELDS = ("conf", "x", "y", "width", "height")
SIZED, CORNERED = ["x", "y", "width", "height"], ["xmin", "ymin", "xmax", "ymax"]


def box_f2(
    solution: pd.DataFrame,
    submission: pd.DataFrame,
    row_id_column_name: str,
    *,
    fields: Sequence[str] = FIELDS,
    thresholds: Sequence[float] = THRESHOLDS,
    both_empty: float | None = 1.0,
) -> float:
    """The mean over images of their F2 scores, each the mean over thresholds, from 0 to 1.

    An image scores 5 TP / (5 TP + 4 FN + FP) at a threshold, TP its objects that are found.

    Args:
        solution: One column of boxes, all of an image in a cell: its numbers, box after box, spaces between.
        submission: The same column, predicted.
        row_id_column_name: The id column of both.
        fields: What the numbers of a predicted box are, in their order: `x y width height` or
            `xmin ymin xmax ymax`, and `conf` where boxes have a confidence; the solution's have none.
        thresholds: The mean is taken over these intersections over unions.
        both_empty: What an image without a true and a predicted object scores; None leaves it out.

    Raises:
        ManifestError: A threshold is out of range, or the fields make no box.
        SubmissionError: The tables do not match, or a cell holds no boxes of that form.

    References:
        Kaggle, "Airbus Ship Detection Challenge" (2018), Evaluation, there of masks; how a find is counted:
        `matching`.

    Example:
        >>> import pandas as pd
        >>> solution = pd.DataFrame({"id": ["a", "b"], "boxes": ["0 0 4 4 8 8 4 4", None]})
        >>> submission = pd.DataFrame({"id": ["a", "b"], "boxes": ["0.9 0 0 4 4", None]})
        >>> round(box_f2(solution, submission, "id"), 4)
        0.7778
    """
    rating = Rating("f2", f2, thresholds, both_empty)
    pairings = _pair_boxes(solution, submission, row_id_column_name, fields)
    return float(rate_images(pairings, rating, row_id_column_name)["f2"].mean())


def box_f2_rows(
    solution: pd.DataFrame,
    submission: pd.DataFrame,
    row_id_column_name: str,
    *,
    fields: Sequence[str] = FIELDS,
    thresholds: Sequence[float] = THRESHOLDS,
    both_empty: float | None = 1.0,
) -> pd.DataFrame:
    """What each image adds to `box_f2`: its own, by id, in the column `f2`.

    Raises:
        ManifestError: A threshold is out of range, or the fields make no box.
        SubmissionError: The tables do not match, or a cell holds no boxes of that form.

    Example:
        >>> import pandas as pd
        >>> solution = pd.DataFrame({"id": ["a", "b"], "boxes": ["0 0 4 4 8 8 4 4", None]})
        >>> submission = pd.DataFrame({"id": ["a", "b"], "boxes": ["0.9 0 0 4 4", None]})
        >>> box_f2_rows(solution, submission, "id")["f2"].round(4).tolist()
        [0.5556, 1.0]
    """
    rating = Rating("f2", f2, thresholds, both_empty)
    pairings = _pair_boxes(solution, submission, row_id_column_name, fields)
    return rate_images(pairings, rating, row_id_column_name)


def box_ap(
    solution: pd.DataFrame,
    submission: pd.DataFrame,
    row_id_column_name: str,
    *,
    fields: Sequence[str] = FIELDS,
    thresholds: Sequence[float] = THRESHOLDS,
    both_empty: float | None = 1.0,
) -> float:
    """The mean over images of their precisions, each the mean over thresholds, from 0 to 1.

    An image scores TP / (TP + FN + FP) at a threshold, TP its objects that are found.

    Args:
        solution: One column of boxes, all of an image in a cell: its numbers, box after box, spaces between.
        submission: The same column, predicted.
        row_id_column_name: The id column of both.
        fields: What the numbers of a predicted box are, in their order: `x y width height` or
            `xmin ymin xmax ymax`, and `conf` where boxes have a confidence; the solution's have none.
        thresholds: The mean is taken over these intersections over unions.
        both_empty: What an image without a true and a predicted object scores; None leaves it out.

    Raises:
        ManifestError: A threshold is out of range, or the fields make no box.
        SubmissionError: The tables do not match, or a cell holds no boxes of that form.

    References:
        Kaggle, "Global Wheat Detection" (2020), Evaluation, with thresholds from 0.5 to 0.75; how a find is
        counted: `matching`.

    Example:
        >>> import pandas as pd
        >>> solution = pd.DataFrame({"id": ["a", "b"], "boxes": ["0 0 4 4 8 8 4 4", None]})
        >>> submission = pd.DataFrame({"id": ["a", "b"], "boxes": ["0.9 0 0 4 4", None]})
        >>> round(box_ap(solution, submission, "id"), 4)
        0.75
    """
    rating = Rating("ap", precision, thresholds, both_empty)
    pairings = _pair_boxes(solution, submission, row_id_column_name, fields)
    return float(rate_images(pairings, rating, row_id_column_name)["ap"].mean())


def box_ap_rows(
    solution: pd.DataFrame,
    submission: pd.DataFrame,
    row_id_column_name: str,
    *,
    fields: Sequence[str] = FIELDS,
    thresholds: Sequence[float] = THRESHOLDS,
    both_empty: float | None = 1.0,
) -> pd.DataFrame:
    """What each image adds to `box_ap`: its own, by id, in the column `ap`.

    Raises:
        ManifestError: A threshold is out of range, or the fields make no box.
        SubmissionError: The tables do not match, or a cell holds no boxes of that form.

    Example:
        >>> import pandas as pd
        >>> solution = pd.DataFrame({"id": ["a", "b"], "boxes": ["0 0 4 4 8 8 4 4", None]})
        >>> submission = pd.DataFrame({"id": ["a", "b"], "boxes": ["0.9 0 0 4 4", None]})
        >>> box_ap_rows(solution, submission, "id")["ap"].round(4).tolist()
        [0.5, 1.0]
    """
    rating = Rating("ap", precision, thresholds, both_empty)
    pairings = _pair_boxes(solution, submission, row_id_column_name, fields)
    return rate_images(pairings, rating, row_id_column_name)


def _pair_boxes(
    solution: pd.DataFrame, submission: pd.DataFrame, row_id: str, fields: Sequence[str]
) -> dict[str, Pairing]:
    """The overlaps of the objects of each image, by id."""
    own = [field for field in fields if field != "conf"]
    if sorted(own) not in (sorted(SIZED), sorted(CORNERED)) or len(fields) > 5:
        expected = f"conf, and {' '.join(SIZED)} or {' '.join(CORNERED)}"
        refuse_argument("the score", "fields", " ".join(fields), expected)
    truth, guess = match_column(solution, submission, row_id, "boxes", blank=True)
    true, faults = _read(truth, f"solution, column {truth.name}", own)
    predicted, more = _read(guess, f"submission, column {guess.name}", list(fields))
    refuse(faults + more)
    return {
        name: Pairing(_overlaps(boxes, found := predicted[name]), found[:, 4]) for name, boxes in true.items()
    }


def _read(cells: pd.Series[Any], where: str, fields: list[str]) -> tuple[dict[str, Boxes], list[Problem]]:
    """The boxes of each image (n_boxes, 5): left, top, right, bottom, confidence."""
    from kagkit.formats.boxes import read_boxes

    try:
        table = read_boxes(cells.rename(where), fields)
    except DataError as error:
        return {}, list(error.problems)
    if "width" in table:
        table = table.assign(xmin=table["x"], xmax=table["x"] + table["width"])
        table = table.assign(ymin=table["y"], ymax=table["y"] + table["height"])
    if "conf" not in table:
        table = table.assign(conf=1.0)
    flat = table.index[(table["xmax"] <= table["xmin"]) | (table["ymax"] <= table["ymin"])].unique().tolist()
    problems = [Problem(where, f"boxes without an area for {samples(flat)}")] if flat else []
    boxes, places = table[[*CORNERED, "conf"]].to_numpy(), table.groupby(level=0).indices
    return {str(name): boxes[places.get(name, [])] for name in cells.index}, problems


def _overlaps(true: Boxes, predicted: Boxes) -> Boxes:
    """Intersections over unions (n_true, n_predicted)."""
    import numpy as np

    one, other = true[:, None], predicted[None]
    sides = np.minimum(one[..., 2:4], other[..., 2:4]) - np.maximum(one[..., :2], other[..., :2])
    shared = sides.clip(0).prod(axis=-1)
    areas = [(boxes[..., 2:4] - boxes[..., :2]).prod(axis=-1) for boxes in (one, other)]
    overlaps: Boxes = shared / (areas[0] + areas[1] - shared)
    return overlaps
