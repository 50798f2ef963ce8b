"""Read and write cells of boxes, turn sizes into corners and back, find boxes that cannot be right."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from kagkit.formats.cells import STRANGE, Fault, cell_text, fault_problems, name_of, repeat_problems
from kagkit.foundation.errors import DataError, Problem, SubmissionError, did_you_mean, samples

XYWH = ("x", "y", "width", "height")
FIELDS = ("conf", *XYWH)
NUMBER = re.compile(r"[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]{1,3})?")
SLACK = 1e-3  # pixels: boxes in float32 that touch the border seem to pass it


def read_boxes(cells: pd.Series[Any], fields: Sequence[str] = FIELDS) -> pd.DataFrame:
    """Read cells of boxes as one row a box.

    Args:
        cells: The numbers of box after box with spaces between them, indexed by id; a missing cell has no
            box.
        fields: What the numbers of one box are, in their order.

    Returns:
        (n_boxes, n_fields) float64, indexed by id, in the order of the cells; an id without boxes has no row.

    Raises:
        DataError: Ids come twice; cells hold other things than finite numbers, or a part of a box.

    Example:
        >>> read_boxes(pd.Series({"a": "0.9 10 20 5 5.5 0.5 0 0 3 3", "b": ""})).loc["a"].to_numpy().tolist()
        [[0.9, 10.0, 20.0, 5.0, 5.5], [0.5, 0.0, 0.0, 3.0, 3.0]]
    """
    readings = {row: _read_numbers(cell, fields) for row, cell in enumerate(cells)}
    faults = ((cells.index[row], fault) for row, (_, found) in readings.items() for fault in found)
    problems = repeat_problems("ids", cells.index) + fault_problems(name_of(cells, "boxes"), faults)
    if problems:
        raise DataError("the boxes cannot be read", problems)
    rows = [np.array(numbers).reshape(-1, len(fields)) for numbers, _ in readings.values()]
    index = cells.index.repeat([len(boxes) for boxes in rows])
    return pd.DataFrame(np.concatenate([np.empty((0, len(fields))), *rows]), index, list(fields))


def _read_numbers(cell: object, fields: Sequence[str]) -> tuple[list[float], list[Fault]]:
    text = cell_text(cell)
    if text is None:
        return [], [STRANGE]
    words = text.split()
    numbers = [float(word) if NUMBER.fullmatch(word) else math.nan for word in words]
    if not all(map(math.isfinite, numbers)):
        strange = [
            word[:20] for word, number in zip(words, numbers, strict=True) if not math.isfinite(number)
        ]
        return [], [Fault("no numbers", samples(strange), "finite numbers between spaces")]
    if len(numbers) % len(fields):
        whole = f"{len(fields)} numbers a box: {' '.join(fields)}"
        return [], [Fault("a part of a box", f"{len(numbers)} numbers", whole)]
    return numbers, []


def write_boxes(
    boxes: pd.DataFrame, ids: Iterable[Any], fields: Sequence[str] = FIELDS, *, decimals: int | None = None
) -> pd.Series[str]:
    """Write boxes as one cell an id.

    Args:
        boxes: One row a box, indexed by id, with a column of numbers for each field; others stay out.
        ids: Every id that gets a cell, each once.
        fields: What the numbers of one box are, in their order.
        decimals: How many digits stand after the point at most; all that the number needs when None.

    Returns:
        The cells, indexed by id in the order of `ids`: boxes in the table's order, empty where there is none.

    Raises:
        SubmissionError: Ids come twice, boxes are of other ids, columns are missing, or values are no finite
            numbers.

    Example:
        >>> boxes = pd.DataFrame({"conf": [0.987, 0.5], "x": [1, 2], "y": 3, "width": 4, "height": 5.5})
        >>> write_boxes(boxes.set_axis(["b", "b"]), ["a", "b"], decimals=2).to_dict()
        {'a': '', 'b': '0.99 1 3 4 5.5 0.5 2 3 4 5.5'}
    """
    wanted = pd.Index(list(ids))
    problems = repeat_problems("ids", wanted) + _number_problems(boxes, fields)
    if strangers := boxes.index[~boxes.index.isin(wanted)].unique().tolist():
        problems.append(Problem("boxes", f"boxes of unknown ids: {samples(strangers)}"))
    if problems:
        raise SubmissionError("the boxes cannot be written", problems)
    columns = [[_number_text(value, decimals) for value in boxes[field].to_numpy()] for field in fields]
    cells: dict[Any, list[str]] = {key: [] for key in wanted}
    for key, *numbers in zip(boxes.index, *columns, strict=True):
        cells[key] += numbers
    return pd.Series([" ".join(numbers) for numbers in cells.values()], wanted, dtype="str")


def _number_text(value: Any, decimals: int | None) -> str:
    return np.format_float_positional(value, precision=decimals, trim="-")


def _number_problems(boxes: pd.DataFrame, fields: Sequence[str]) -> list[Problem]:
    problems = []
    for field in fields:
        if field not in boxes:
            hint = did_you_mean(field, list(map(str, boxes.columns)))
            problems.append(Problem("boxes", f"no column {field}", hint=hint))
        elif boxes[field].to_numpy().dtype.kind not in "iuf":
            problems.append(Problem(f"column {field}", f"values of {boxes[field].dtype}", "numbers"))
        elif (bad := ~np.isfinite(boxes[field].to_numpy())).any():
            found = f"no finite number for {samples(boxes.index[bad].unique().tolist())}"
            problems.append(Problem(f"column {field}", found))
    return problems


def to_xyxy(boxes: ArrayLike) -> NDArray[np.float64]:
    """Turn a left upper corner and a size into two corners.

    Args:
        boxes: (n_boxes, 4) x, y, width, height in pixels.

    Returns:
        (n_boxes, 4) x, y of the left upper corner, x, y of the right lower: x + width, y + height.

    Raises:
        DataError: The array has another shape, values are not finite, or a box has no area.

    Example:
        >>> to_xyxy([[10, 20, 5, 5.5]]).tolist()
        [[10.0, 20.0, 15.0, 25.5]]
    """
    values = _four_columns(boxes)
    corners = np.concatenate([values[:, :2], values[:, :2] + values[:, 2:]], axis=1)
    _refuse_flat(values[:, 2:])
    return corners


def to_xywh(boxes: ArrayLike) -> NDArray[np.float64]:
    """Turn two corners into a left upper corner and a size.

    Args:
        boxes: (n_boxes, 4) x, y of the left upper corner, x, y of the right lower, in pixels.

    Returns:
        (n_boxes, 4) x, y, width, height.

    Raises:
        DataError: The array has another shape, values are not finite, or a box has no area.

    Example:
        >>> to_xywh([[10, 20, 15, 25.5]]).tolist()
        [[10.0, 20.0, 5.0, 5.5]]
    """
    values = _four_columns(boxes)
    sizes = values[:, 2:] - values[:, :2]
    _refuse_flat(sizes)
    return np.concatenate([values[:, :2], sizes], axis=1)


def _four_columns(boxes: ArrayLike) -> NDArray[np.float64]:
    values = np.asarray(boxes, dtype=np.float64)
    if values.ndim != 2 or values.shape[1] != 4:
        problem = Problem("boxes", f"an array of shape {values.shape}", "(n_boxes, 4)")
        raise DataError("these are no boxes", [problem])
    if bad := np.flatnonzero(~np.isfinite(values).all(axis=1)).tolist():
        raise DataError("these are no boxes", [Problem("boxes", f"no finite numbers in rows {samples(bad)}")])
    return values


def _refuse_flat(sizes: NDArray[np.float64]) -> None:
    if flat := np.flatnonzero((sizes <= 0).any(axis=1)).tolist():
        hint = "corners taken for sizes, or the reverse?"
        problem = Problem("boxes", f"no area in rows {samples(flat)}", "width and height above 0", hint)
        raise DataError("these are no boxes", [problem])


def box_problems(boxes: pd.DataFrame, shape: tuple[int, int], *, most: int | None = None) -> list[Problem]:
    """Everything wrong with boxes: one problem a kind of fault, with the ids of some images.

    Args:
        boxes: One row a box, indexed by the id of its image: x, y, width, height in pixels, and conf where
            there is one.
        shape: (height, width) of the images.
        most: How many boxes an image may have; any number when None.

    Example:
        >>> boxes = pd.DataFrame({"x": [8, 0, 0], "y": 0, "width": [3, 1, 1], "height": 1})
        >>> for problem in box_problems(boxes.set_axis(["a", "b", "b"]), (10, 10)):
        ...     print(problem)
        boxes: outside the image for a; expected 0 to 10 across, 0 to 10 down
        boxes: there twice for b
    """
    fields = [field for field in FIELDS if field in XYWH or field in boxes]
    if problems := _number_problems(boxes, fields):
        return problems
    values = boxes[list(XYWH)].to_numpy(dtype=np.float64)
    near, sizes, borders = values[:, :2], values[:, 2:], np.array(shape)[::-1]
    counts, limit = boxes.index.value_counts(), math.inf if most is None else most
    checks = [
        ("without an area", (sizes <= 0).any(axis=1), "width and height above 0"),
        (
            "outside the image",
            ((near < -SLACK) | (near + sizes > borders + SLACK)).any(axis=1),
            f"0 to {shape[1]} across, 0 to {shape[0]} down",
        ),
        ("there twice", boxes[list(XYWH)].reset_index().duplicated().to_numpy(), ""),
        ("too many", boxes.index.isin(counts.index[counts > limit]), f"at most {most}"),
    ]
    if "conf" in boxes:
        checks.append(("of strange conf", ~boxes["conf"].between(0, 1).to_numpy(), "0 to 1"))
    return [
        Problem("boxes", f"{what} for {samples(ids)}", expected)
        for what, wrong, expected in checks
        if (ids := boxes.index[wrong].unique().tolist())
    ]
