"""Turn masks into run lengths and back in either dialect, join the instances of an image."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kagkit.formats.dialects import (
    Dialect,
    Edges,
    count_pixels,
    read_edges,
    refuse_unknown_dialect,
    write_edges,
)
from kagkit.foundation.errors import DataError, Problem, SubmissionError, samples

Line = NDArray[np.bool_]  # the pixels of a mask, column after column


def encode(mask: ArrayLike, dialect: Dialect) -> str:
    """Write a mask as run lengths.

    Args:
        mask: (height, width) truth values, or numbers that are all 0 or 1.
        dialect: `usual` or `relative`.

    Returns:
        The runs in order, each as long as it can be, also the one that reaches the last pixel.

    Raises:
        ManifestError: There is no such dialect.
        SubmissionError: The mask has another shape, no pixel, or other values.

    References:
        `usual`: Kaggle, "Airbus Ship Detection Challenge" (2018), Evaluation; `relative`: Kaggle,
        "SIIM-ACR Pneumothorax Segmentation" (2019), Evaluation.

    Example:
        >>> mask = np.zeros((4, 5), dtype=bool)
        >>> mask[1:3, 1] = mask[0:2, 3] = True
        >>> encode(mask, "usual"), encode(mask, "relative")
        ('6 2 13 2', '5 2 5 2')
    """
    refuse_unknown_dialect(dialect)
    return write_edges(_edges_of(_truth_values(np.asarray(mask))), dialect)


def decode(cell: object, shape: tuple[int, int], dialect: Dialect) -> NDArray[np.bool_]:
    """Read a mask from its run lengths.

    Args:
        cell: The text, or what pandas made of it.
        shape: (height, width) of the image.
        dialect: `usual` or `relative`.

    Returns:
        (height, width) truth values, column-major in memory.

    Raises:
        ManifestError: There is no such dialect.
        DataError: The cell is no list of sorted, separate runs inside the image; the shape has no pixel.

    Example:
        >>> decode("1 2 6 1", (2, 3), "usual").astype(int)
        array([[1, 0, 0],
               [1, 0, 1]])
        >>> decode("1 2 2 2", (2, 3), "usual")
        Traceback (most recent call last):
        kagkit.foundation.errors.DataError: the mask cannot be read in the usual dialect
          mask: run 2 starts at pixel 2, run 1 ends at pixel 2; expected sorted runs that do not overlap
    """
    refuse_unknown_dialect(dialect)
    pixels = count_pixels(shape)
    edges, faults = read_edges(cell, pixels, dialect)
    if faults:
        problems = [fault.as_problem("mask") for fault in faults]
        raise DataError(f"the mask cannot be read in the {dialect} dialect", problems)
    return _standing(_line_of(edges, pixels), shape)


def merge(
    cells: Iterable[object], shape: tuple[int, int], dialect: Dialect, *, allow_overlap: bool = False
) -> NDArray[np.bool_]:
    """Join the instances of one image into one mask.

    Args:
        cells: One cell an instance; a cell without a mask adds nothing.
        shape: (height, width) of the image.
        dialect: `usual` or `relative`.
        allow_overlap: Whether instances may share pixels.

    Returns:
        (height, width) truth values, column-major in memory: True where any instance is.

    Raises:
        ManifestError: There is no such dialect.
        DataError: A cell cannot be read, instances overlap and may not, or the shape has no pixel.

    Example:
        >>> merge(["1 2", "4 1"], (2, 2), "usual").astype(int)
        array([[1, 0],
               [1, 1]])
        >>> merge(["1 2", "2 1"], (2, 2), "usual")
        Traceback (most recent call last):
        kagkit.foundation.errors.DataError: the instances cannot be joined in the usual dialect
          instances: shared pixels in 1 and 2
            hint: drop repeated rows, or allow overlaps
    """
    refuse_unknown_dialect(dialect)
    pixels = count_pixels(shape)
    readings = [read_edges(cell, pixels, dialect) for cell in cells]
    problems = [
        fault.as_problem(f"instance {number}")
        for number, (_, faults) in enumerate(readings, 1)
        for fault in faults
    ]
    if problems:
        raise _not_joined(dialect, problems)
    lines = [_line_of(edges, pixels) for edges, _ in readings]
    joined = np.zeros(pixels, np.bool_)
    for line in lines:
        joined |= line
    if not allow_overlap and sum(map(np.count_nonzero, lines)) > np.count_nonzero(joined):
        raise _not_joined(dialect, [_overlap_problem(lines)])
    return _standing(joined, shape)


def _not_joined(dialect: Dialect, problems: list[Problem]) -> DataError:
    return DataError(f"the instances cannot be joined in the {dialect} dialect", problems)


def _overlap_problem(lines: Sequence[Line]) -> Problem:
    pairs = itertools.combinations(enumerate(lines, 1), 2)
    names = [f"{first} and {second}" for (first, one), (second, other) in pairs if (one & other).any()]
    hint = "drop repeated rows, or allow overlaps"
    return Problem("instances", f"shared pixels in {samples(names)}", hint=hint)


def _truth_values(mask: NDArray[Any]) -> NDArray[np.bool_]:
    problems = []
    if mask.ndim != 2 or not mask.size:
        problems.append(Problem("mask", f"an array of shape {mask.shape}", "(height, width)"))
    if mask.dtype.kind not in "biuf":
        problems.append(Problem("mask", f"an array of {mask.dtype}", "truth values"))
    elif mask.dtype != np.bool_ and (others := mask[(mask != 0) & (mask != 1)]).size:
        found = f"values {samples(np.unique(others).tolist())}"
        problems.append(Problem("mask", found, "0 and 1", "numbers become a mask by a threshold: mask > 0.5"))
    if problems:
        raise SubmissionError("the mask cannot be written", problems)
    return mask.astype(np.bool_, copy=False)


def _edges_of(mask: NDArray[np.bool_]) -> Edges:
    """Where the runs of a mask start and end.

    Changes are sought along the memory and sorted after: turning the mask first would take far longer.
    """
    height, width = mask.shape
    if mask.flags.f_contiguous:
        line = mask.ravel(order="F")
        changes = np.flatnonzero(line[1:] != line[:-1]) + 1
    else:
        above, column = np.divmod(np.flatnonzero(mask[1:] != mask[:-1]), width)
        seams = np.flatnonzero(mask[0, 1:] != mask[-1, :-1]) + 1
        changes = np.sort(np.concatenate([column * height + above + 1, seams * height]))
    first, last = [0] * bool(mask[0, 0]), [mask.size] * bool(mask[-1, -1])
    return np.concatenate([first, changes, last]).astype(np.int64)


def _line_of(edges: Edges, pixels: int) -> Line:
    lengths = np.diff(edges, prepend=0, append=pixels)
    return np.repeat(np.arange(len(lengths)) % 2 == 1, lengths)


def _standing(line: Line, shape: tuple[int, int]) -> NDArray[np.bool_]:
    height, width = shape
    mask: NDArray[np.bool_] = line.reshape(width, height).T
    return mask
