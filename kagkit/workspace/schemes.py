"""State how a fold set is made: a splitter and its settings, or the user's own file or function."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Scheme:
    """How the rows of a fold set are split.

    Attributes:
        scheme: The splitter; chosen by target and group where none is named.
        n: The number of folds.
        stratify: The column whose classes are spread evenly; the first target by default.
        group: The column whose equal values stay together; `rows.group` by default.
        column: For `time`: the column to order by.
        gap: For `time`: how far before a fold's first row its training rows end, `7d` or a number.
        seed: The seed of the shuffle.
        file: Your own table instead: key columns, then `fold`.
        function: Your own `module:function(rows) -> Series of folds by key` instead.

    Example:
        >>> list(Scheme(scheme="time").problems())
        [('scheme: time without a column', 'add `column: date`')]
    """

    scheme: Literal["kfold", "stratified", "group", "stratified_group", "time"] | None = None
    n: int = 5
    stratify: str | None = None
    group: str | None = None
    column: str | None = None
    gap: float | str | None = None
    seed: int = 0
    file: str | None = None
    function: str | None = None

    def problems(self) -> Iterator[tuple[str, str]]:
        """What cannot go together, each as (found, hint)."""
        ways = [name for name in ("scheme", "file", "function") if getattr(self, name) is not None]
        if len(ways) > 1:
            yield f"{' and '.join(ways)} together", "one way to make folds"
        if self.n < 2:
            yield f"n: {self.n}", "at least 2 folds"
        if self.scheme == "time" and self.column is None:
            yield "scheme: time without a column", "add `column: date`"
        if self.scheme != "time" and (self.column is not None or self.gap is not None):
            yield "column and gap belong to scheme: time", "add `scheme: time`, or drop them"
