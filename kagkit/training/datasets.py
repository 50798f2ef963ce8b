"""Know samples by key: what a data set must offer, and one for what fits into memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable
from typing import Any, Protocol

import torch

from kagkit.foundation.errors import DataError, Problem, samples
from kagkit.foundation.files import canonical_json


class Samples(Protocol):
    """What `fit` trains on: keys, and for each key a sample.

    `read` may draw from python's, numpy's and torch's global generators: they are seeded for each sample
    and epoch. The samples of a batch are stacked by torch's default_collate, or by a method `collate` that
    gets the list of them.
    """

    @property
    def keys(self) -> Iterable[Hashable]:
        """The keys, each once, in any order: texts, numbers, or tuples of them."""

    def read(self, key: Any) -> Any:
        """The sample of a key, such as an image and its label."""


class Table:
    """Samples that stand in memory as tensors, a row for each key.

    A batch is the tensors' rows, as a tuple. No worker reads them: indexing is faster than sending.

    Args:
        keys: The n keys, each once, such as `task.train_rows.index`.
        tensors: Each with n rows, in the order of `keys`.

    Raises:
        DataError: A tensor has another number of rows.

    Example:
        >>> table = Table(["a", "b", "c"], torch.arange(3), torch.zeros(3, 2))
        >>> table.take(table.rows_of(["c", "a"]))[0].tolist()
        [2, 0]
    """

    def __init__(self, keys: Iterable[Hashable], *tensors: torch.Tensor) -> None:
        self.keys = list(keys)
        self.tensors = tensors
        problems = [
            Problem(f"tensor {number}", f"{len(tensor):,} rows", f"{len(self.keys):,}, one for each key")
            for number, tensor in enumerate(tensors, 1)
            if len(tensor) != len(self.keys)
        ]
        if problems:
            raise DataError("keys and tensors do not fit", problems)
        self._rows = {key: row for row, key in enumerate(self.keys)}

    def rows_of(self, keys: Iterable[Hashable]) -> torch.Tensor:
        """The rows of keys, in their order."""
        return torch.tensor([self._rows[key] for key in keys])

    def take(self, rows: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """A batch: these rows of each tensor."""
        return tuple([_rows_of(tensor, rows) for tensor in self.tensors])

    def read(self, key: Hashable) -> tuple[torch.Tensor, ...]:
        """The row of a key."""
        return tuple(tensor[self._rows[key]] for tensor in self.tensors)


def _rows_of(tensor: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    """Some rows of a tensor; indexing takes three times as long, but it keeps device and memory format."""
    if tensor.is_cpu and tensor.is_contiguous():
        return tensor.index_select(0, rows)
    return tensor[rows]


def spell_keys(keys: Iterable[Hashable]) -> dict[str, Any]:
    """Every key by its spelling, sorted by it; a text is its own, others are spelled as JSON.

    Raises:
        DataError: There is no key, or one is there twice, or is neither text, number nor a tuple of them.

    Example:
        >>> spell_keys(["b", ("a", 1)])
        {'["a",1]': ('a', 1), 'b': 'b'}
    """
    listed = list(keys)
    try:
        spelled = [key if isinstance(key, str) else canonical_json(_plain(key)) for key in listed]
    except (TypeError, ValueError) as error:
        problem = Problem("keys", str(error), "texts, numbers, or tuples of them")
        raise DataError("samples are known by key, and a key has no spelling", [problem]) from error
    found = dict(zip(spelled, listed, strict=True))
    if not found:
        raise DataError("there is nothing to train on", [Problem("keys", "no sample")])
    if len(found) < len(listed):
        twice = sorted(name for name, times in Counter(spelled).items() if times > 1)
        problem = Problem("keys", f"{samples(twice)}: there several times")
        raise DataError("samples are known by key", [problem])
    return dict(sorted(found.items()))


def _plain(key: Any) -> Any:
    if isinstance(key, tuple):
        return [_plain(part) for part in key]
    return key.item() if hasattr(key, "item") else key
