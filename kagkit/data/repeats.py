"""Group rows that stand twice, or nearly, by hashes of their cells; say which do so by chance."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas.api.types import is_float_dtype

from kagkit.data.contents import NESTED, json_of
from kagkit.data.neighbours import Codes, Pairs, crowded, hash_cells, join_pairs, pairs_in_buckets
from kagkit.data.traits import as_texts

# Numbers this share of their column's spread apart are the same but for rounding.
ROUNDING = 0.01
CHANCE = 0.1


@dataclass(frozen=True, eq=False)
class Repeats:
    """Which rows belong together.

    Attributes:
        groups: (n,) int64, equal for rows that repeat each other.
        exact: (n,) int64, equal for rows that are equal in every cell.
        by_chance: (n,) whether a row says so little that some row like it is to be expected.
        differing: How many columns may differ in a near copy.
        crowded: Rows among so many alike that not all near copies were looked for.
    """

    groups: Codes
    exact: Codes
    by_chance: NDArray[np.bool_]
    differing: int
    crowded: int


@dataclass(frozen=True, eq=False)
class _Cells:
    """A table as codes.

    Attributes:
        exact: (n, c) equal for equal cells.
        coarse: Two of (n, c): numbers on a grid and on one half a step off, text without case and blanks.
        numbers: (n, c) float64 in steps of the grid, NaN where a cell is no such number.
    """

    exact: Codes
    coarse: tuple[Codes, Codes]
    numbers: NDArray[np.float64]


def find_repeats(cells: pd.DataFrame) -> Repeats:
    """Group rows that are equal, or equal in all but few columns.

    A near copy differs in at most a tenth of the columns, in one at least where there are four or more.
    Numbers with decimals are equal where they are within 0.01 of their column's standard deviation, text
    where it is apart from case and blanks. Near copies so plain that chance alone would make them are none:
    as if columns were independent, less than a tenth of a pair like it is expected in the whole table.

    Args:
        cells: (n_rows, n_columns) what is compared: no key, no target.

    Example:
        >>> rows = pd.DataFrame({"a": ["x", "y", "x"], "b": [1, 2, 1]})
        >>> groups = find_repeats(rows).groups
        >>> bool(groups[0] == groups[2] != groups[1])
        True
    """
    coded = _coded(cells)
    count, width = coded.exact.shape
    every = np.arange(width)
    _, first, exact = np.unique(hash_cells(coded.exact, every), return_index=True, return_inverse=True)
    weights = _weights(coded.exact)
    # As many pairs as this many bits tell apart; those below are expected by chance.
    needed = max(0.0, 2 * math.log2(max(2, count)) - 1 - math.log2(CHANCE))
    differing = max(1, width // 10) if width >= 4 else 0
    few = _Cells(coded.exact[first], (coded.coarse[0][first], coded.coarse[1][first]), coded.numbers[first])
    bits = needed + math.log2(math.comb(width, differing))
    worth = weights[first], _weights(coded.coarse[0])[first]
    near, full = _near_pairs(few, worth, differing, bits)
    groups = join_pairs(near, len(first))[exact]
    return Repeats(groups, np.asarray(exact), weights.sum(axis=1) < needed, differing, full)


def _coded(cells: pd.DataFrame) -> _Cells:
    columns = [_code_column(cells.iloc[:, place]) for place in range(cells.shape[1])]
    exact, one, other, numbers = (np.column_stack(part) for part in zip(*columns, strict=True))
    return _Cells(exact, (one, other), numbers)


def _code_column(column: pd.Series[Any]) -> tuple[Codes, Codes, Codes, NDArray[np.float64]]:
    nowhere = np.full(len(column), np.nan)
    if is_float_dtype(column) and (column.dropna() % 1 != 0).any():
        numbers = column.to_numpy("float64")
        spread = float(np.nanstd(np.where(np.isinf(numbers), np.nan, numbers)))
        steps = np.clip(numbers / (ROUNDING * (spread or 1.0)), -1e15, 1e15)
        exact = pd.factorize(column)[0].astype("int64")
        grids = [pd.factorize(np.floor(steps + half))[0].astype("int64") for half in (0.0, 0.5)]
        return exact, grids[0], grids[1], steps
    plain = column.astype(object).map(_plain, na_action="ignore")
    exact = pd.factorize(plain)[0].astype("int64")
    if not plain.map(lambda cell: isinstance(cell, str)).any():
        return exact, exact, exact, nowhere
    folded = as_texts(plain).str.casefold().str.split().str.join(" ")
    coarse = pd.factorize(folded)[0].astype("int64")
    return exact, coarse, coarse, nowhere


def _plain(cell: Any) -> Any:
    return json_of(cell) if isinstance(cell, NESTED) else cell


def _weights(codes: Codes) -> NDArray[np.float64]:
    """How many bits an agreement in each cell is worth: the rarer the value is elsewhere, the more."""
    weights = np.empty(codes.shape)
    for place in range(codes.shape[1]):
        _, back, counts = np.unique(codes[:, place], return_inverse=True, return_counts=True)
        weights[:, place] = -np.log2(np.maximum(1, counts - 1) / len(codes))[back]
    return weights


def _near_pairs(
    cells: _Cells, worth: tuple[NDArray[np.float64], NDArray[np.float64]], differing: int, needed: float
) -> tuple[Pairs, int]:
    """Pairs that differ in few columns and agree in enough bits; how many rows stood among too many.

    Two rows that differ in at most d columns are equal in one of d + 1 blocks of columns. `worth` is what an
    agreement counts in each cell: that of the very same, that of the same but for rounding.
    """
    found, full = [np.empty((0, 2), dtype="int64")], 0
    for block in _blocks(worth[1], differing + 1):
        for coarse in cells.coarse:
            hashes = hash_cells(coarse, block)
            full = max(full, crowded(hashes))
            for pairs in pairs_in_buckets(hashes):
                one, other = pairs[:, 0], pairs[:, 1]
                agree = (cells.coarse[0][one] == cells.coarse[0][other]) | (
                    np.abs(cells.numbers[one] - cells.numbers[other]) <= 1
                )
                same = cells.exact[one] == cells.exact[other]
                told = np.where(same, worth[0][one], np.maximum(worth[1][one], worth[1][other]))
                bits = np.where(agree, told, 0).sum(axis=1)
                found.append(pairs[((~agree).sum(axis=1) <= differing) & (bits > needed)])
    return np.unique(np.concatenate(found), axis=0), full


def _blocks(weights: NDArray[np.float64], count: int) -> Sequence[NDArray[np.int64]]:
    """The columns in blocks that tell rows apart about equally well."""
    order = np.argsort(-weights.mean(axis=0), kind="stable")
    return [order[place::count] for place in range(count) if len(order[place::count])]
