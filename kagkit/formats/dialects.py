"""Write run lengths in either dialect, read them back, prove them sound, say which dialect cells can be in.

Pixels are counted down each column, column after column. A dialect is always declared: a wrong one often
does not fail but gives another mask.

- `usual`: `start length` pairs, starts counted from pixel 1; an empty cell says that there is no mask.
- `relative`: `gap length` pairs, each gap counted from the end of the run before, the first from pixel 0;
  `-1` says that there is no mask.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from kagkit.formats.cells import STRANGE, Fault, cell_text, fault_problems, name_of
from kagkit.foundation.errors import DataError, ManifestError, Problem, did_you_mean, samples

Dialect = Literal["usual", "relative"]
Edges = NDArray[np.int64]  # start, end, start, end ... of the runs: pixels counted from 0, ends excluded

DIALECTS: tuple[Dialect, ...] = ("usual", "relative")
NO_MASK = {"usual": "", "relative": "-1"}
FIRST_PIXEL = {"usual": 1, "relative": 0}
NUMBER = re.compile(r"-?[0-9]{1,12}")  # more pixels than any image has, and no sum overflows
NUMBERS = re.compile(rf"{NUMBER.pattern}(?:\s+{NUMBER.pattern})*+", re.ASCII)


def refuse_unknown_dialect(dialect: str) -> None:
    """Stop where there is no such dialect.

    Raises:
        ManifestError: There is none.

    Example:
        >>> refuse_unknown_dialect("realtive")
        Traceback (most recent call last):
        kagkit.foundation.errors.ManifestError: masks need a dialect
          dialect: 'realtive'
            hint: did you mean relative?
    """
    if dialect not in DIALECTS:
        hint = did_you_mean(str(dialect), DIALECTS)
        raise ManifestError("masks need a dialect", [Problem("dialect", repr(dialect), hint=hint)])


def count_pixels(shape: tuple[int, int]) -> int:
    """The pixels of an image of shape (height, width).

    Raises:
        DataError: There are none.
    """
    height, width = shape
    if height < 1 or width < 1:
        problem = Problem("shape", f"{height} x {width}", "a height and a width of 1 pixel or more")
        raise DataError("there is no such image", [problem])
    return height * width


def write_edges(edges: Edges, dialect: Dialect) -> str:
    """Write the edges of sorted, separate runs as a cell.

    Example:
        >>> write_edges(np.array([5, 7, 12, 14]), "usual"), write_edges(np.array([5, 7, 12, 14]), "relative")
        ('6 2 13 2', '5 2 5 2')
    """
    if not edges.size:
        return NO_MASK[dialect]
    numbers = np.diff(edges, prepend=0)
    if dialect == "usual":
        numbers[::2] = edges[::2] + 1
    return " ".join(map(str, numbers.tolist()))


def read_edges(cell: object, pixels: int, dialect: Dialect) -> tuple[Edges, list[Fault]]:
    """Read the edges of a cell's runs.

    Args:
        cell: The text, or what pandas made of it.
        pixels: The pixels of the image.
        dialect: `usual` or `relative`.

    Returns:
        The edges in the cell's order, and everything wrong with them; edges mean nothing where something is.

    Example:
        >>> read_edges("5 2 5 2", 20, "relative")
        (array([ 5,  7, 12, 14]), [])
    """
    text, none = cell_text(cell), np.zeros(0, np.int64)
    if text == NO_MASK[dialect]:
        return none, []
    if text is None:
        return none, [STRANGE]
    if text in NO_MASK.values():
        sign = NO_MASK[dialect] or "an empty cell"
        return none, [Fault(text or "an empty cell", expected=f"{sign} where there is no mask")]
    if not NUMBERS.fullmatch(text):
        words = re.split(r"\s+", text, flags=re.ASCII)
        strange = [word[:20] for word in words if not NUMBER.fullmatch(word)]
        return none, [Fault("no numbers", samples(strange), "whole numbers below 10^12 between spaces")]
    numbers = np.fromstring(text, np.int64, sep=" ")
    if len(numbers) % 2:
        pairs = f"pairs of {'start' if dialect == 'usual' else 'gap'} and length"
        return none, [Fault("an odd count of numbers", f"{len(numbers)} numbers", pairs)]
    edges = numbers.cumsum() if dialect == "relative" else _edges_of_usual(numbers)
    return edges, list(_run_faults(edges, pixels, FIRST_PIXEL[dialect]))


def _edges_of_usual(numbers: NDArray[np.int64]) -> Edges:
    edges = numbers.copy()
    edges[::2] -= 1
    edges[1::2] += edges[::2]
    return edges


def _run_faults(edges: Edges, pixels: int, first_pixel: int) -> Iterator[Fault]:
    """One fault a kind, told by the first run that has it."""
    starts, ends = edges[::2], edges[1::2]
    firsts, lasts = starts + first_pixel, ends - 1 + first_pixel  # as the dialect counts pixels
    for run in np.flatnonzero(ends <= starts)[:1]:
        found = f"run {run + 1} has the length {ends[run] - starts[run]}"
        yield Fault("runs without a pixel", found, "lengths of 1 or more")
    for run in np.flatnonzero((starts < 0) | (ends > pixels))[:1]:
        found = f"run {run + 1} goes from pixel {firsts[run]} to {lasts[run]}"
        yield Fault("runs outside the image", found, f"pixels {first_pixel} to {pixels - 1 + first_pixel}")
    for run in np.flatnonzero(starts[1:] < ends[:-1])[:1]:
        found = f"run {run + 2} starts at pixel {firsts[run + 1]}, run {run + 1} ends at pixel {lasts[run]}"
        yield Fault("runs out of order or overlapping", found, "sorted runs that do not overlap")


def mask_problems(cells: pd.Series[Any], shape: tuple[int, int], dialect: Dialect) -> list[Problem]:
    """Everything wrong with a column of masks: one problem a kind of fault, with the ids of some cells.

    Args:
        cells: Masks of images of one shape, indexed by id; an id may come on several rows.
        shape: (height, width) of the images.
        dialect: `usual` or `relative`.

    Raises:
        ManifestError: There is no such dialect.
        DataError: The shape has no pixel.

    Example:
        >>> masks = pd.Series({"a": "3 2", "b": "3 2 7", "c": "3 9", "d": "3 9"}, name="Mask")
        >>> odd, outside = mask_problems(masks, (2, 3), "usual")
        >>> print(outside)
        Mask: runs outside the image in c, d (c: run 1 goes from pixel 3 to 11); expected pixels 1 to 6
    """
    refuse_unknown_dialect(dialect)
    pixels = count_pixels(shape)
    faults = ((key, fault) for key, cell in cells.items() for fault in read_edges(cell, pixels, dialect)[1])
    return fault_problems(name_of(cells, "masks"), faults)


def detect(cells: Iterable[object], shape: tuple[int, int]) -> tuple[Dialect, ...]:
    """The dialects in which every cell can be read: sorted, inside the image, empty as the dialect says.

    Args:
        cells: Masks of images of one shape.
        shape: (height, width) of the images.

    Raises:
        DataError: The shape has no pixel.

    Example:
        >>> detect(["3 2", "1 1 4 2"], (2, 3)), detect(["3 1 1 1"], (2, 3)), detect(["2 1"], (2, 3))
        (('usual',), ('relative',), ('usual', 'relative'))
    """
    given, pixels = list(cells), count_pixels(shape)
    return tuple(
        dialect for dialect in DIALECTS if not any(read_edges(cell, pixels, dialect)[1] for cell in given)
    )


def refuse_wrong_dialect(cells: pd.Series[Any], shape: tuple[int, int], dialect: Dialect) -> None:
    """Stop where masks cannot be what they were declared to be, and say whether they can be the other.

    Where every mask is one run, both dialects fit: then passing proves nothing.

    Args:
        cells: Masks of images of one shape, indexed by id.
        shape: (height, width) of the images.
        dialect: The declared dialect.

    Raises:
        ManifestError: There is no such dialect.
        DataError: Some masks cannot be read in it, or the shape has no pixel.

    Example:
        >>> refuse_wrong_dialect(pd.Series({"a": "3 1 1 1", "b": "-1"}), (2, 3), "usual")
        Traceback (most recent call last):
        kagkit.foundation.errors.DataError: the masks are not in the usual dialect but in the relative
          masks: 2 of 2 cells cannot be usual, 0 of 2 cannot be relative
            hint: declare the relative dialect
          masks: runs out of order or overlapping in a (a: run 2 starts at pixel 1, run 1 ends at pixel 3); \
expected sorted runs that do not overlap
          masks: -1 in b; expected an empty cell where there is no mask
    """
    problems = mask_problems(cells, shape, dialect)
    if not problems:
        return
    count, other = len(cells), DIALECTS[1 - DIALECTS.index(dialect)]
    here, there = (_count_faulty(cells, shape, each) for each in (dialect, other))
    if there >= here:
        raise DataError(f"the masks cannot be read in the {dialect} dialect", problems)
    found = f"{here:,} of {count:,} cells cannot be {dialect}, {there:,} of {count:,} cannot be {other}"
    told = Problem(name_of(cells, "masks"), found, hint=f"declare the {other} dialect")
    raise DataError(f"the masks are not in the {dialect} dialect but in the {other}", [told, *problems])


def _count_faulty(cells: pd.Series[Any], shape: tuple[int, int], dialect: Dialect) -> int:
    pixels = count_pixels(shape)
    return sum(bool(read_edges(cell, pixels, dialect)[1]) for cell in cells)
