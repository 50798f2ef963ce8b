"""Make keys text, composite or not; show a few; refuse what could be mistaken for another key."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from kagkit.foundation.errors import DataError, Problem, samples


def text_keys(keys: Any, names: Sequence[str]) -> pd.Index[Any]:
    """Keys as text, in their order: an Index, or a MultiIndex where the key has several columns.

    Args:
        keys: Texts or whole numbers; tuples of them where there are several names; or an Index, whose names
            are `names` in any order, or none.
        names: The key columns.

    Raises:
        DataError: A key is neither text nor a whole number, or the names are others.

    Example:
        >>> text_keys([7, "007"], ["id"]).tolist()
        ['7', '007']
        >>> text_keys([("a", 1), ("a", "01")], ["study", "slice"]).tolist()
        [('a', '1'), ('a', '01')]
    """
    if isinstance(keys, pd.Index):
        keys = _in_order_of(keys, names)
        if len(names) == 1 and keys.dtype == "str" and not keys.hasnans:
            text: pd.Index[Any] = keys.rename(names[0])
            return text
    cells = keys.tolist() if hasattr(keys, "tolist") else keys
    if isinstance(cells, str | bytes) or not hasattr(cells, "__iter__"):
        raise _refused(f"a single {type(keys).__name__}", "a sequence of keys")
    cells = list(cells)
    if len(names) == 1:
        return pd.Index(_texts(cells), name=names[0], dtype="str")
    unfit = [key for key in cells if not isinstance(key, tuple | list) or len(key) != len(names)]
    if unfit:
        raise _refused(samples(unfit), f"tuples of {len(names)}: {', '.join(names)}")
    levels = zip(*cells, strict=True) if cells else [()] * len(names)
    return pd.MultiIndex.from_arrays(
        [pd.Index(_texts(level), dtype="str") for level in levels], names=list(names)
    )


def _in_order_of(keys: pd.Index[Any], names: Sequence[str]) -> pd.Index[Any]:
    if all(name is None for name in keys.names):
        return keys
    if sorted(map(str, keys.names)) != sorted(names):
        found = ", ".join(map(str, keys.names))
        raise _refused(f"the index is named {found}", ", ".join(names))
    return keys.reorder_levels(list(names)) if isinstance(keys, pd.MultiIndex) else keys


def _texts(cells: Sequence[Any]) -> list[str]:
    texts = [str(cell) if isinstance(cell, int | np.integer) else cell for cell in cells]
    unfit = [cell for cell in texts if not isinstance(cell, str)]
    if unfit or any(isinstance(cell, bool) for cell in cells):
        raise _refused(samples(unfit or ["True or False"]), "text, or whole numbers")
    return texts


def shown(keys: Sequence[Any], total: int | None = None) -> str:
    """A few keys as messages show them, with the count when there are more.

    Example:
        >>> shown(["a", "b"]), shown([("a", "1")])
        ('a, b', '(a, 1)')
    """
    head = [f"({', '.join(key)})" if isinstance(key, tuple) else key for key in keys[:5]]
    return samples(head, total=total or len(keys))


def _refused(found: str, expected: str) -> DataError:
    return DataError(f"keys cannot be used: {found}", [Problem("keys", found, expected, check="keys")])
