"""Read a submission as numbers, words or masks, one of each id, and tell row by row how far apart two are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from kagkit.formats.dialects import DIALECTS, Dialect, count_pixels, read_edges
from kagkit.foundation.errors import DataError, Problem, samples
from kagkit.workspace.competition import Competition

Kind = Literal["numbers", "words", "masks"]
Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Form:
    """How the lines of a submission are read.

    Attributes:
        key: The columns that name a line.
        target: The columns after them.
        shape: (height, width) of masks; None where the lines hold none, or the metric does not tell.
        dialect: How masks are written; empty where there are none.
    """

    key: tuple[str, ...]
    target: tuple[str, ...]
    shape: tuple[int, int] | None = None
    dialect: Dialect | Literal[""] = ""

    @classmethod
    def of(cls, competition: Competition) -> Form:
        """The form by competition.yaml: masks where the metric's `args` have `shape` and `dialect`."""
        key, target = competition.submission_key, competition.submission.target
        args = competition.metric.args
        shape, dialect = args.get("shape"), args.get("dialect")
        if dialect in DIALECTS and isinstance(shape, list | tuple) and len(shape) == 2 and len(target) == 1:
            return cls(key, target, (int(shape[0]), int(shape[1])), dialect)
        return cls(key, target)


@dataclass(frozen=True, eq=False)
class Answers:
    """What is said of some rows.

    Attributes:
        ids: What the lines are of, each once: the key columns joined by `_`.
        kind: What is said: numbers, words, or masks.
        said: (n, targets) float64 or object; for masks (n,) arrays of the edges of their runs: start, end,
            start ... in pixels counted from 0 down the columns, ends excluded.
        columns: The target columns.
        height: Of the images, where there are masks.
    """

    ids: pd.Index[Any]
    kind: Kind
    said: NDArray[Any]
    columns: tuple[str, ...]
    height: int = 0

    def take(self, ids: pd.Index[Any]) -> Answers:
        """The answers of some ids, in their order.

        Raises:
            DataError: One of them is not there.
        """
        places = self.ids.get_indexer(ids)
        absent = ids[places < 0]
        if len(absent):
            found = f"{len(absent):,} ids have no answer: {samples(list(absent[:5]), len(absent))}"
            raise DataError("not everyone answers for the same ids", [Problem("ids", found)])
        return replace(self, ids=ids, said=self.said[places])

    @property
    def scale(self) -> Numbers:
        """(targets,) how far numbers commonly are from each other: their standard deviation; 1 for others."""
        if self.kind != "numbers":
            return np.ones(len(self.columns))
        spread = self.said.std(axis=0)
        return np.where(spread > 0, spread, 1.0)

    def as_table(self) -> pd.DataFrame:
        """Each row in numbers: themselves; of masks `empty` and `pixels`; nothing of words."""
        if self.kind == "numbers":
            return pd.DataFrame(self.said, self.ids, list(self.columns))
        if self.kind == "masks":
            pixels = self.pixels
            return pd.DataFrame({"empty": (pixels == 0).astype(float), "pixels": pixels}, self.ids)
        return pd.DataFrame(index=self.ids)

    @property
    def pixels(self) -> Numbers:
        """(n,) how many pixels each mask has."""
        return np.array([count_edges(edges) for edges in self.said], dtype=np.float64)

    def hashes(self) -> NDArray[np.uint64]:
        """(n,) a number for what is said of each row: the same for the same."""
        if self.kind == "numbers":
            table = pd.DataFrame(self.said)
        elif self.kind == "words":
            table = pd.DataFrame(self.said.astype(str))
        else:
            table = pd.DataFrame({"cell": [edges.tobytes().hex() for edges in self.said]})
        return np.asarray(pd.util.hash_pandas_object(table, index=False), dtype=np.uint64)


def read_answers(table: pd.DataFrame, form: Form) -> tuple[Answers, list[str]]:
    """Read the lines of a submission.

    Args:
        table: The submission, its key columns as text; it has all columns.
        form: How it is read.

    Returns:
        The answers, in the order in which ids come first, and the ids whose masks cannot be read: as if they
        were empty.
    """
    told = table[list(form.key)].astype(str)
    key = told.agg("_".join, axis=1) if len(form.key) > 1 else told[form.key[0]]
    ids: pd.Index[Any] = pd.Index(key.unique(), dtype="str")
    cells = table[list(form.target)]
    if form.shape is not None and form.dialect:
        masks, faulty = _read_masks(key, cells.iloc[:, 0], form.shape, form.dialect)
        return Answers(ids, "masks", masks, form.target, form.shape[0]), faulty
    truths = cells.select_dtypes(["bool"]).columns
    cells = cells.astype(dict.fromkeys(truths, "float64"))
    if key.is_unique and all(pd.api.types.is_numeric_dtype(dtype) for dtype in cells.dtypes):
        return Answers(ids, "numbers", cells.to_numpy(np.float64), form.target), []
    # Several lines of one id are one answer: their order does not matter.
    lines = cells.fillna("").astype(str).groupby(key.to_numpy(), sort=False)
    joined = lines.agg(_join_lines)
    return Answers(ids, "words", joined.to_numpy(dtype=object), form.target), []


def _join_lines(column: pd.Series[Any]) -> str:
    return "\n".join(sorted(column))


def _read_masks(
    key: pd.Series[Any], cells: pd.Series[Any], shape: tuple[int, int], dialect: Dialect
) -> tuple[NDArray[Any], list[str]]:
    pixels, found, faulty = count_pixels(shape), dict[str, list[NDArray[np.int64]]](), []
    for name, cell in zip(key, cells, strict=True):
        edges, faults = read_edges(cell, pixels, dialect)
        if faults:
            faulty.append(str(name))
        found.setdefault(str(name), []).append(np.zeros(0, np.int64) if faults else edges)
    masks = np.empty(len(found), dtype=object)
    # Instances share no pixel, so that the edges of all of them, sorted, are those of their union.
    masks[:] = [np.sort(np.concatenate(each)) for each in found.values()]
    return masks, list(dict.fromkeys(faulty))


def count_edges(edges: NDArray[np.int64]) -> int:
    """How many pixels lie between the edges of runs.

    Example:
        >>> count_edges(np.array([5, 7, 12, 14]))
        4
    """
    return int(edges[1::2].sum() - edges[::2].sum())


def count_unlike(first: NDArray[np.int64], second: NDArray[np.int64]) -> int:
    """How many pixels are in one mask and not in the other.

    Example:
        >>> count_unlike(np.array([5, 7]), np.array([6, 9]))
        3
    """
    return count_edges(np.sort(np.concatenate([first, second])))


def find_distances(first: Answers, second: Answers, scale: Numbers) -> Numbers:
    """How far apart two answers to the same rows are.

    Args:
        first: Of some ids.
        second: Of the same ids in the same order.
        scale: (targets,) what counts as 1 for numbers.

    Returns:
        (n,) the mean over targets of the differences in `scale`; the share of targets whose words differ;
        for masks 1 - Dice, 0 where both are empty.
    """
    if first.kind == "numbers" and second.kind == "numbers":
        apart: Numbers = (np.abs(first.said - second.said) / scale).mean(axis=1)
        return apart
    if first.kind != "masks" or second.kind != "masks":
        return np.asarray((first.said.astype(str) != second.said.astype(str)).mean(axis=1), np.float64)
    unlike = np.array([count_unlike(a, b) for a, b in zip(first.said, second.said, strict=True)])
    return np.asarray(unlike / np.maximum(first.pixels + second.pixels, 1), dtype=np.float64)


def find_excess(answers: Answers, members: Sequence[Answers], scale: Numbers) -> Numbers:
    """How far answers lie outside of all that several members say of the same rows.

    A mean of members lies between the least and the largest of them, whatever their weights are; a mask cut
    from the mean lies between the pixels that all of them have, and those that any has.

    Returns:
        (n,) for numbers the mean over targets, in `scale`; for masks pixels; for words 1 or 0.
    """
    if answers.kind == "numbers":
        said = np.stack([member.said for member in members])
        above, below = answers.said - said.max(axis=0), said.min(axis=0) - answers.said
        outside: Numbers = (np.maximum(np.maximum(above, below), 0.0) / scale).mean(axis=1)
        return outside
    if answers.kind == "masks":
        rows = zip(answers.said, *(member.said for member in members), strict=True)
        return np.array([_pixels_outside(row[0], row[1:]) for row in rows], dtype=np.float64)
    alike = [(answers.said.astype(str) == member.said.astype(str)).all(axis=1) for member in members]
    return np.asarray(~np.any(alike, axis=0), dtype=np.float64)


def _pixels_outside(mask: NDArray[np.int64], members: Sequence[NDArray[np.int64]]) -> int:
    """The pixels of a mask that no member has, and those without it that all have."""
    several = len(members)
    edges = np.concatenate([mask, *members])
    order = np.argsort(edges, kind="stable")
    steps = np.concatenate([_steps(mask) * (several + 1), *(_steps(each) for each in members)])[order]
    inside = steps.cumsum()[:-1]  # how many members have the pixels that follow; with the mask, above them
    lengths = np.diff(edges[order])
    return int(lengths[(inside == several + 1) | (inside == several)].sum())


def _steps(edges: NDArray[np.int64]) -> NDArray[np.int64]:
    steps = np.ones(len(edges), np.int64)
    steps[1::2] = -1
    return steps


def move_masks(answers: Answers, pixels: int) -> Answers:
    """Masks moved along the order of pixels: by 1 down, by the height to the right."""
    moved = np.empty(len(answers.said), dtype=object)
    moved[:] = [edges + pixels for edges in answers.said]
    return replace(answers, said=moved)
