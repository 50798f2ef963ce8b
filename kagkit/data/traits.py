"""Turn the columns two parts share into numbers a classifier takes, and leave out what only names rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas.api.types import is_bool_dtype, is_datetime64_any_dtype, is_numeric_dtype, is_timedelta64_dtype

from kagkit.data.contents import NESTED

Kind = Literal["number", "date", "category", "text", "list"]

MOST_CATEGORIES = 200
BUCKETS = 64
# So many whole numbers or words without a repetition are a counter or names, not a measurement.
ENOUGH_TO_NAME = 100
LARGEST = 1e300


@dataclass(frozen=True, eq=False)
class Trait:
    """One column of both parts in numbers.

    Attributes:
        column: Its name.
        kind: What its cells are.
        numbers: (n_rows, n_features) float64, NaN where a cell is empty; the rows of the first part, then
            those of the second.
        categorical: Of each feature, whether its numbers are codes without an order.
    """

    column: str
    kind: Kind
    numbers: NDArray[np.float64]
    categorical: tuple[bool, ...]


def read_trait(column: str, sides: Sequence[pd.Series[Any]]) -> Trait:
    """A column of two parts as features.

    Numbers and truth values are themselves, times are seconds since 1970, lists are their length. Text with
    at most 200 different values is a category by its code in sorted order; other text is its length, its
    number of words, and one of 64 categories by its hash.

    Args:
        column: Its name.
        sides: The column in either part.

    Example:
        >>> read_trait("colour", [pd.Series(["red", None]), pd.Series(["blue"])]).numbers.ravel().tolist()
        [1.0, nan, 0.0]
    """
    cells = pd.concat([side.astype(object) for side in sides], ignore_index=True)
    if any(isinstance(cell, NESTED) for cell in cells):
        lengths = cells.map(lambda cell: len(cell) if isinstance(cell, NESTED) else None)
        return Trait(column, "list", _stacked(lengths.astype("float64")), (False,))
    if all(is_numeric_dtype(side) or is_bool_dtype(side) or side.isna().all() for side in sides):
        return Trait(column, "number", _stacked(_numbers(cells)), (False,))
    times = _times(cells, sides)
    if times is not None:
        seconds = (times - pd.Timestamp(0, tz="UTC")).dt.total_seconds()
        return Trait(column, "date", _stacked(seconds), (False,))
    texts = as_texts(cells)
    codes, values = pd.factorize(texts, sort=True)
    if len(values) <= MOST_CATEGORIES:
        return Trait(column, "category", _stacked(pd.Series(codes).where(codes >= 0)), (True,))
    hashed = pd.Series(pd.util.hash_array(texts.fillna("").to_numpy(object)) % BUCKETS)
    features = _stacked(texts.str.len(), texts.str.count(r"\S+"), hashed.where(texts.notna()))
    return Trait(column, "text", features, (False, False, True))


def stack_traits(
    traits: Sequence[Trait],
) -> tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.int64]]:
    """All columns as one matrix for trees.

    The trees pass over categories of fewer than ten rows; as numbers they see them, in runs of codes. So the
    features that are codes stand there twice.

    Returns:
        Values (n_rows, n_features), whether each feature is a code, and the place of the trait it is from.
    """
    owners = np.repeat(np.arange(len(traits)), [trait.numbers.shape[1] for trait in traits])
    codes = np.array([code for trait in traits for code in trait.categorical])
    values = np.hstack([trait.numbers for trait in traits])
    values, owners = np.hstack([values, values[:, codes]]), np.concatenate([owners, owners[codes]])
    return values, np.concatenate([codes, np.zeros(codes.sum(), dtype=bool)]), owners


def as_texts(cells: pd.Series[Any]) -> pd.Series[Any]:
    """Cells as text, empty ones empty."""
    return cells.map(str, na_action="ignore").astype("str")


def _stacked(*features: pd.Series[Any]) -> NDArray[np.float64]:
    return np.column_stack([np.asarray(feature, dtype="float64") for feature in features])


def _numbers(cells: pd.Series[Any]) -> pd.Series[Any]:
    # Trees take gaps, and no infinities.
    return pd.to_numeric(cells.where(cells.notna(), np.nan)).astype("float64").clip(-LARGEST, LARGEST)


def _times(cells: pd.Series[Any], sides: Sequence[pd.Series[Any]]) -> pd.Series[Any] | None:
    """Cells as times where all of them are, or are text in ISO 8601."""
    if all(is_timedelta64_dtype(side) for side in sides):
        return pd.Timestamp(0, tz="UTC") + pd.to_timedelta(cells)
    if all(is_datetime64_any_dtype(side) or side.isna().all() for side in sides):
        return pd.Series(pd.to_datetime(cells, utc=True))
    there = cells.dropna()
    if there.empty or not there.head(ENOUGH_TO_NAME).astype(str).str.match(r"\d{4}-\d{2}-\d{2}").all():
        return None
    times = pd.Series(pd.to_datetime(as_texts(cells), format="ISO8601", utc=True, errors="coerce"))
    return times if int(times.notna().sum()) == len(there) else None


def only_names(side: pd.Series[Any]) -> bool:
    """Whether a column tells rows apart and nothing of them: whole numbers or words, none twice, no gap.

    Example:
        >>> only_names(pd.Series(range(1000))), only_names(pd.Series([1.5, 2.5] * 500))
        (True, False)
    """
    if len(side) < ENOUGH_TO_NAME or any(isinstance(cell, NESTED) for cell in side.head()):
        return False
    if side.isna().any() or not side.is_unique:
        return False
    if is_numeric_dtype(side):
        return bool((side % 1 == 0).all())
    if is_datetime64_any_dtype(side) or is_timedelta64_dtype(side):
        return False
    texts = as_texts(side.astype(object))
    return not texts.str.contains(r"\s").any() and not texts.str.match(r"\d{4}-\d{2}-\d{2}").all()


def nameless_columns(names: Sequence[str], sides: Sequence[pd.DataFrame]) -> tuple[list[str], dict[str, str]]:
    """The columns that say something of their rows; the others, each with the reason it is left out."""
    left_out = {}
    for name in names:
        if all(only_names(side[name]) for side in sides):
            left_out[name] = "names rows: no value stands twice"
    return [name for name in names if name not in left_out], left_out
