"""Join two submissions by key, count keys that are decided otherwise, see where order alone differs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

SIDES = 0.5


def compare_decisions(first: Path, second: Path, key: Sequence[str]) -> tuple[int | None, bool]:
    """How many decisions of a submission are others in another one.

    A decision is a label, where a column holds text or whole numbers alone; else the side of 0.5.

    Args:
        first: A submission, as CSV.
        second: The other one.
        key: The key columns. Where a key has several lines, their decisions are taken together.

    Returns:
        How many keys have another decision or stand in one of them alone, None where the columns are others;
        and whether the order of the lines is all that differs.
    """
    import pandas as pd

    then, now = (pd.read_csv(path, dtype=str, keep_default_na=False) for path in (first, second))
    if list(then.columns) != list(now.columns):
        return None, False
    both, lines = pd.concat([then, now], ignore_index=True), len(then)
    order_alone = _counted(both[:lines]) == _counted(both[lines:])
    values = [column for column in both.columns if column not in key]
    decided = both.assign(**{column: _decide(both[column]) for column in values})
    keys = [*zip(*(both[column] for column in key), strict=True)]
    rows = [*zip(keys, decided[values].itertuples(index=False, name=None), strict=True)]
    before, after = Counter(rows[:lines]), Counter(rows[lines:])
    return len({name for name, _ in (before - after) + (after - before)}), order_alone


def _counted(table: Any) -> Counter[Any]:
    return Counter(table.itertuples(index=False, name=None))


def _decide(column: Any) -> Any:
    """The decision of each value of a column of text."""
    import pandas as pd

    numbers = pd.to_numeric(column, errors="coerce")
    if numbers.isna().any():
        return column
    return numbers if (numbers % 1 == 0).all() else numbers >= SIDES
