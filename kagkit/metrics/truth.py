"""Hold predictions or tables of some rows against the truth by key, and score them with any metric."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from kagkit.data.keys import shown, text_keys
from kagkit.foundation.errors import DataError, ManifestError, Problem, SubmissionError
from kagkit.metrics.labelling import name_largest, to_labels
from kagkit.metrics.registry import TAKES

ROW_ID = "row_id"


class Judge(Protocol):
    """Who scores some rows: `Truth`, or whatever else knows the host's way."""

    @property
    def greater_is_better(self) -> bool:
        """Whether a larger score is the better one."""

    def score(self, table: pd.DataFrame, keys: pd.Index[Any]) -> float:
        """The score of a table that holds exactly the rows of these keys."""


@dataclass(frozen=True, eq=False)
class Truth:
    """What is true of every row, and how a host scores it.

    Attributes:
        table: The targets by key.
        metric: A function with Kaggle's signature.
        greater_is_better: Whether a larger score is the better one.
        args: Further arguments of the metric.

    Example:
        >>> from kagkit.metrics import accuracy
        >>> truth = Truth(pd.DataFrame({"y": [0, 1]}, index=pd.Index(["a", "b"], name="id")), accuracy, True)
        >>> predictions = pd.DataFrame({"y": [0.75, 0.25]}, index=pd.Index(["b", "a"], name="id"))
        >>> truth.score(predictions, truth.table.index)
        1.0
    """

    table: pd.DataFrame
    metric: Callable[..., float]
    greater_is_better: bool
    args: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The metric's name where it is kagkit's, else an empty text."""
        own = self.metric.__module__.startswith("kagkit.metrics.")
        return self.metric.__name__ if own else ""

    def score(self, table: pd.DataFrame, keys: pd.Index[Any]) -> float:
        """The score of some rows.

        Args:
            table: Predictions or submission rows, one for each key, in any order; the key is the index, or
                columns. Where the metric takes labels, probabilities become labels as in a submission.
            keys: The rows to score, no more and no fewer.

        Raises:
            DataError: The table or the truth holds other keys.
            KagkitError: The metric does not accept the table.
        """
        names = [str(name) for name in self.table.index.names]
        guess = take_rows(_by_key(table, names), keys, "predictions", exact=True)
        truth = self.rows(keys)
        targets = [str(column) for column in truth]
        if TAKES.get(self.name) == "labels":
            values = guess[targets] if set(targets) <= set(guess) else name_largest(guess, targets)
            guess = to_labels(values, self.table)
        elif set(targets) <= set(guess):
            guess = guess[targets]
        if self.name and "weights" not in self.args:
            try:  # whole numbers as ids cost a fraction of texts; where something is wrong, texts tell of it
                return self._scored(truth, guess, np.arange(len(keys)))
            except SubmissionError:
                pass
        ids = keys if keys.nlevels == 1 else ["_".join(key) for key in keys]
        return self._scored(truth, guess, np.asarray(ids))

    def _scored(self, truth: pd.DataFrame, guess: pd.DataFrame, ids: NDArray[Any]) -> float:
        solution, submission = (
            pd.concat([pd.Series(ids, name=ROW_ID), each.reset_index(drop=True)], axis=1)
            for each in (truth, guess)
        )
        return float(self.metric(solution, submission, ROW_ID, **self.args))

    def rows(self, keys: pd.Index[Any]) -> pd.DataFrame:
        """The targets of some rows, in the order of the keys.

        Raises:
            DataError: The truth of a key is not known.
        """
        return take_rows(self.table, keys, "truth")

    def of_column(self, column: str) -> Truth:
        """The truth of one target alone.

        Raises:
            ManifestError: There is no such target.
        """
        if column not in self.table:
            found = f"no target {column}"
            hint = "a weight per column needs a target of that name for each column of the predictions"
            raise ManifestError("columns cannot be weighed", [Problem("per_column", found, hint=hint)])
        return replace(self, table=self.table[[column]])

    def numbers(self, columns: Sequence[str], keys: pd.Index[Any]) -> NDArray[np.float64] | None:
        """The truth as numbers (n_rows, n_columns), for predictions in these columns.

        Returns:
            The targets themselves where they are numbers; 1 in the column of a row's class where there is a
            column for each class of the one target; None where the truth is neither.
        """
        table = self.rows(keys)
        if set(columns) <= set(table) and all(
            map(pd.api.types.is_numeric_dtype, table[list(columns)].dtypes)
        ):
            return table[list(columns)].to_numpy(np.float64)
        labels = table.iloc[:, 0].astype("str").to_numpy()
        if table.shape[1] == 1 and len(columns) > 1:
            target = table.columns[0]
            spelled = [str(column).removeprefix(f"{target}_") for column in columns]
            if set(labels) <= set(spelled):
                indicators: NDArray[np.float64] = (labels[:, None] == np.array(spelled)).astype(np.float64)
            return indicators
        return None


def flattery(in_sample: float, held_out: float, greater_is_better: bool) -> float:
    """How much better a score on the rows that something was fitted on looks than one on others.

    Example:
        >>> flattery(0.5, 0.25, greater_is_better=True), flattery(0.5, 0.25, greater_is_better=False)
        (0.25, -0.25)
    """
    return in_sample - held_out if greater_is_better else held_out - in_sample


def take_rows(table: pd.DataFrame, keys: pd.Index[Any], where: str, *, exact: bool = False) -> pd.DataFrame:
    """The rows of a table in the order of the keys.

    Args:
        table: Rows by key, each once.
        keys: The keys, text.
        where: How messages call the table.
        exact: Whether further rows are refused.

    Raises:
        DataError: Keys are missing, come twice, or are too many where `exact`: counted, with the first.

    Example:
        >>> take_rows(pd.DataFrame({"p": [1, 2]}, index=["a", "b"]), pd.Index(["b"]), "oof").p.tolist()
        [2]
    """
    if table.index is keys or table.index.equals(keys):
        return table
    own = text_keys(table.index, key_names(keys, table.index))
    problems = key_problems(own, keys, where, exact=exact)
    if problems:
        raise DataError(f"{where} and rows do not hold the same keys", problems)
    return table.iloc[own.get_indexer(keys)].set_axis(keys)


def key_names(*indexes: pd.Index[Any]) -> list[str]:
    """The names of the key columns, as the first index tells them whose levels have names.

    Example:
        >>> key_names(pd.Index(["a"]), pd.Index(["b"], name="id"))
        ['id']
    """
    named = [index for index in indexes if None not in index.names]
    if named:
        return [str(name) for name in named[0].names]
    return [f"key{level}" for level in range(indexes[0].nlevels)]


def key_problems(own: pd.Index[Any], keys: pd.Index[Any], where: str, *, exact: bool = True) -> list[Problem]:
    """What keeps a table from holding each of the keys once: missing, repeated and, if asked, extra ones."""
    repeated = own[own.duplicated()].unique()
    if len(repeated):
        found = f"{len(repeated):,} keys come twice: {shown(repeated.tolist())}"
        return [Problem(where, found, "each key once", check="duplicate")]
    places = own.get_indexer(keys)
    missing = keys[places < 0].tolist()
    problems = []
    if missing:
        found = f"lacks {len(missing):,} of {len(keys):,} keys: {shown(missing)}"
        problems.append(Problem(where, found, check="missing"))
    if exact and len(own) > len(keys) - len(missing):
        extra = own[keys.get_indexer(own) < 0].tolist()
        found = f"has {len(extra):,} keys too many: {shown(extra)}"
        problems.append(Problem(where, found, check="extra"))
    return problems


def _by_key(table: pd.DataFrame, names: list[str]) -> pd.DataFrame:
    """The table with its key as index, where the key stands in columns."""
    return table.set_index(names) if set(names) <= set(table.columns) else table
