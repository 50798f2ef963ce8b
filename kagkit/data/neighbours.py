"""Find pairs that agree in all but a little, compare few to find them, join them to groups."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Codes = NDArray[np.int64]
Pairs = NDArray[np.int64]

MOST_BESIDE = 25


def hash_cells(codes: Codes, columns: NDArray[np.int64]) -> NDArray[np.uint64]:
    """One hash for the cells of each row in some columns.

    Args:
        codes: (n_rows, n_columns), equal numbers for equal cells of a column.
        columns: The columns that count.

    Returns:
        (n_rows,) uint64; different cells have different hashes, but once in 10^19.
    """
    total = np.zeros(len(codes), dtype="uint64")
    for column in columns:
        total += _mixed(codes[:, column].astype("uint64") + _mixed(np.uint64(column + 1)))
    return total


def _mixed(values: NDArray[np.uint64] | np.uint64) -> NDArray[np.uint64]:
    """The finalizer of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014)."""
    mixed = np.atleast_1d(values)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    return mixed ^ (mixed >> np.uint64(31))


def pairs_in_buckets(hashes: NDArray[np.uint64], beside: int | None = MOST_BESIDE) -> Iterator[Pairs]:
    """Pairs of one hash, batch by batch.

    Args:
        hashes: (n,) uint64.
        beside: In a bucket of more, only so many that stand beside each other are paired; all of them
            where None.

    Yields:
        (m, 2) places, the smaller first.

    Example:
        >>> [pairs.tolist() for pairs in pairs_in_buckets(np.array([7, 5, 7], dtype="uint64"))]
        [[[0, 2]]]
    """
    order = np.argsort(hashes, kind="stable")
    ranked = hashes[order]
    starts = np.arange(len(order))
    distance = 0
    while len(starts) and (beside is None or distance < beside):
        distance += 1
        starts = starts[starts + distance < len(order)]
        # In sorted order a row out of the bucket at this distance is out at any larger one.
        starts = starts[ranked[starts] == ranked[starts + distance]]
        if len(starts):
            yield np.sort(np.column_stack([order[starts], order[starts + distance]]), axis=1)


def crowded(hashes: NDArray[np.uint64], beside: int = MOST_BESIDE) -> int:
    """How many rows stand in buckets so full that not all their pairs are looked at."""
    _, counts = np.unique(hashes, return_counts=True)
    return int(counts[counts > beside + 1].sum())


def pairs_of_bits(hashes: NDArray[np.uint64], most: int) -> Pairs:
    """All pairs of 64-bit hashes that differ in few bits.

    Two that differ in at most `most` bits are equal in one of `most` + 1 bands, so only those are compared.

    Args:
        hashes: (n,) uint64.
        most: How many bits may differ, 0 to 15.

    Returns:
        (m, 2) places, each pair once, the smaller place first.

    References:
        M. Norouzi et al., "Fast search in Hamming space with multi-index hashing", CVPR 2012.

    Example:
        >>> pairs_of_bits(np.array([0b1011, 0b1010, 0b0100], dtype="uint64"), 1).tolist()
        [[0, 1]]
    """
    values, back = np.unique(hashes, return_inverse=True)
    edges = np.linspace(0, 64, most + 2).astype(int)
    found = []
    for low, high in pairwise(edges.tolist()):
        band = (values >> np.uint64(low)) & np.uint64((1 << (high - low)) - 1)
        for pairs in pairs_in_buckets(band, beside=None):
            bits = np.bitwise_count(values[pairs[:, 0]] ^ values[pairs[:, 1]])
            found.append(pairs[bits <= most])
    # Equal hashes are one value: its first bearer stands for all of them, each paired with it.
    first = np.full(len(values), len(hashes))
    np.minimum.at(first, back, np.arange(len(hashes)))
    same = np.column_stack([first[back], np.arange(len(hashes))])
    near = [np.sort(first[pairs], axis=1) for pairs in found]
    return np.unique(np.concatenate([same[same[:, 0] != same[:, 1]], *near]), axis=0)


def join_pairs(pairs: Pairs, count: int) -> Codes:
    """The group of each of `count` places: what pairs join, in one step or several, is one group.

    Example:
        >>> join_pairs(np.array([[0, 2]]), 3).tolist()
        [0, 1, 0]
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    ones = np.ones(len(pairs), dtype="int8")
    graph = coo_array((ones, (pairs[:, 0], pairs[:, 1])), shape=(count, count))
    return np.asarray(connected_components(graph, directed=False)[1], dtype="int64")
