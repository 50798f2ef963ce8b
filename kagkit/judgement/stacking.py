"""Put the predictions of many models side by side by key, and refuse those that do not hold the same rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from kagkit.data.contents import digest
from kagkit.data.keys import text_keys
from kagkit.foundation.errors import DataError, Problem, samples
from kagkit.metrics.truth import key_names, key_problems

Values = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Member:
    """One model of a blend.

    Attributes:
        name: What messages and tables call it.
        sha256: The digest of its predictions: what names it for ever.
        oof: Out-of-fold predictions by key, one or more columns of numbers.
        test: Predictions of the test rows by key, in the same columns; None where there are none.
    """

    name: str
    sha256: str
    oof: pd.DataFrame
    test: pd.DataFrame | None = None

    @classmethod
    def of(cls, name: str, oof: pd.DataFrame, test: pd.DataFrame | None = None) -> Member:
        """A member whose digest is made from its tables, the same for any order of rows and columns.

        Example:
            >>> oof = pd.DataFrame({"p": [0.25, 0.5]}, index=["a", "b"])
            >>> Member.of("exp001/1", oof).sha256 == Member.of("exp001/1", oof[::-1]).sha256
            True
        """
        tables = [table for table in (oof, test) if table is not None]
        ordered = [table.sort_index().sort_index(axis=1) for table in tables]
        return cls(name, digest(pd.concat(ordered, keys=["oof", "test"][: len(ordered)])), oof, test)


@dataclass(frozen=True, eq=False)
class Stack:
    """Members side by side, in an order of their own: members by digest, rows by fold and then by key.

    Whatever order members and rows were given in, sums run alike and ties are broken alike.

    Attributes:
        members: The members by digest.
        numbers: (n_members, n_rows, n_columns).
        keys: (n_rows,) keys as text.
        columns: The columns, by name.
        folds: (n_rows,) fold numbers, rising.
    """

    members: tuple[Member, ...]
    numbers: Values
    keys: pd.Index[Any]
    columns: tuple[str, ...]
    folds: NDArray[np.int64]

    @cached_property
    def fold_rows(self) -> dict[int, slice]:
        """The rows of each fold."""
        numbers, starts = np.unique(self.folds, return_index=True)
        ends = [*starts[1:].tolist(), len(self.folds)]
        pairs = zip(numbers.tolist(), starts.tolist(), ends, strict=True)
        return {fold: slice(start, end) for fold, start, end in pairs}

    def rows_of(self, folds: Sequence[int]) -> NDArray[np.int64]:
        """The places of the rows of some folds, in the stack's order."""
        parts = [np.arange(rows.start, rows.stop) for rows in map(self.fold_rows.__getitem__, folds)]
        return np.concatenate(parts).astype(np.int64)

    def frame(self, values: Values, rows: NDArray[np.int64] | slice = slice(None)) -> pd.DataFrame:
        """Values (n, n_columns) of some rows as a table by key."""
        return pd.DataFrame(values, index=self.keys[rows], columns=list(self.columns))


def stack_members(members: Sequence[Member], folds: pd.Series[Any], *, least_folds: int = 2) -> Stack:
    """Put the out-of-fold predictions of members side by side.

    Args:
        members: One or more, each once.
        folds: The fold of each row by key; rows of fold -1 have no out-of-fold predictions and are left out.
        least_folds: How many folds there must be.

    Raises:
        DataError: All at once: no members; a name or a digest twice; other columns; keys missing, repeated or
            too many; values that are no finite numbers; too few folds.
    """
    problems = _naming_problems(members)
    if problems:
        raise DataError("there is nothing to blend", problems)
    ordered = tuple(sorted(members, key=lambda member: (member.sha256, member.name)))
    held_out = folds[folds >= 0]
    names = key_names(held_out.index, *(member.oof.index for member in members))
    given = text_keys(held_out.index, names)
    numbers = held_out.to_numpy(np.int64)
    levels = [np.asarray(given.get_level_values(level)) for level in reversed(range(len(names)))]
    order = np.lexsort([*levels, numbers])
    keys, columns = given[order], tuple(map(str, ordered[0].oof.columns))
    if len(np.unique(numbers)) < least_folds:
        found = f"rows in {len(np.unique(numbers))} folds"
        expected = "two or more: weights are fitted on the folds that a row is not in"
        problems.append(Problem("folds", found, expected, check="folds"))
    if given.has_duplicates:
        problems += key_problems(given, given, "folds")
    values = None if problems else _gather([member.oof for member in ordered], keys, columns)
    if values is None or isinstance(values, list):
        told = [problem for _, problem in _named(ordered, values or [])]
        raise DataError("the members do not fit together", problems + told)
    return Stack(ordered, values, keys, columns, numbers[order])


def stack_tests(members: Sequence[Member], columns: Sequence[str]) -> tuple[pd.Index[Any], Values]:
    """The test predictions of members side by side: keys in the first member's order, and values.

    Returns:
        The keys as text, and values (n_members, n_rows, n_columns).

    Raises:
        DataError: Members lack test predictions, or theirs have other keys, columns or no finite numbers.
    """
    tables = [member.test for member in members]
    lacking = [member.name for member, table in zip(members, tables, strict=True) if table is None]
    if lacking:
        problem = Problem("members", f"no test predictions of {samples(lacking)}", check="missing")
        raise DataError("the test rows cannot be predicted", [problem])
    whole = [table for table in tables if table is not None]
    keys = text_keys(whole[0].index, key_names(whole[0].index))
    values = _gather(whole, keys, columns)
    if isinstance(values, list):
        raise DataError(
            "the test predictions do not fit together", [found for _, found in _named(members, values)]
        )
    return keys, values


def _naming_problems(members: Sequence[Member]) -> list[Problem]:
    if not members:
        return [Problem("members", "none", "at least one", check="members")]
    problems = []
    for what in ("name", "sha256"):
        words = pd.Series([getattr(member, what) for member in members])
        for word in words[words.duplicated()].unique():
            twins = [member.name for member in members if getattr(member, what) == word]
            found = f"{samples(twins)} have the same {what if what == 'name' else 'predictions'}"
            hint = "give a member more weight by a weight, not by naming it twice"
            problems.append(Problem("members", found, "each member once", hint, check="duplicate"))
    return problems


def _gather(
    tables: Sequence[pd.DataFrame], keys: pd.Index[Any], columns: Sequence[str]
) -> Values | list[tuple[int, Problem]]:
    """Values (n_members, n_rows, n_columns), or what is wrong with which member."""
    values = np.empty((len(tables), len(keys), len(columns)))
    faults: list[tuple[int, Problem]] = []
    known: pd.Index[Any] | None = None
    places = np.arange(0)
    for number, table in enumerate(tables):
        if set(map(str, table.columns)) != set(columns):
            found, expected = f"columns {samples(list(table.columns))}", samples(list(columns))
            faults.append((number, Problem("", found, expected, check="columns")))
            continue
        if known is None or not (table.index is known or table.index.equals(known)):
            own = text_keys(table.index, key_names(keys, table.index))
            wrong = key_problems(own, keys, "")
            faults += [(number, problem) for problem in wrong]
            if wrong:
                continue
            known, places = table.index, own.get_indexer(keys)
        numbers = table.set_axis(list(map(str, table.columns)), axis=1)[list(columns)]
        if not all(map(pd.api.types.is_numeric_dtype, numbers.dtypes)):
            faults.append((number, Problem("", "values that are no numbers", "numbers", check="values")))
            continue
        values[number] = numbers.to_numpy(np.float64)[places]
        unfit = keys[~np.isfinite(values[number]).all(axis=1)].tolist()
        if unfit:
            found = f"no finite number for {samples(unfit)}"
            faults.append((number, Problem("", found, "finite numbers", check="values")))
    return faults or values


def _named(members: Sequence[Member], faults: Sequence[tuple[int, Problem]]) -> list[tuple[int, Problem]]:
    return [
        (number, Problem(members[number].name, fault.found, fault.expected, fault.hint, fault.check))
        for number, fault in faults
    ]
