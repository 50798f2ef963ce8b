"""Join predictions by key: folds end to end, seeds and models by mean, by mean rank or by a function."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from kagkit.data.columns import describe, vacant
from kagkit.data.keys import shown
from kagkit.data.predictions import Predictions, Written, write
from kagkit.foundation.errors import DataError, ManifestError, Problem, did_you_mean

Combiner = Callable[[list[pd.DataFrame]], pd.DataFrame]
WAYS = ("mean", "rank_mean")
HINTS = {
    "scalar": "write combine: module:function, which gets a list of tables",
    "array": "combine: mean",
    "ragged": "combine: mean, fit: both and one seed: a single fit predicts the test rows and is kept",
}


def concatenate(path: Path, members: Sequence[Predictions]) -> Written:
    """Put predictions of different rows into one file: the OOF predictions of a seed from those of its folds.

    Args:
        path: The file to write.
        members: Predictions with the same columns, no key in two of them.

    Raises:
        DataError: A key is in two members, or their columns differ.
        RunError: The file cannot be written.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> for key, value in [("a", 0.25), ("b", 0.5)]:
        ...     frame = pd.DataFrame({"p": [value]}, index=[key])
        ...     _ = write(folder / key, frame, frame.index, key_names=["id"])
        >>> folds = [Predictions.open(folder / key) for key in ("a", "b")]
        >>> concatenate(folder / "oof.arrow", folds).rows
        2
    """
    problems = _column_problems(members)
    if not problems:
        keys = _all_keys(members)
        twice = keys[keys.duplicated()].unique().tolist()
        if twice:
            found = f"keys in two members ({len(twice):,}): {shown(twice)}"
            problems.append(Problem("keys", found, "each key in one member", check="duplicate"))
    if problems:
        raise DataError(f"{path.name} not written: the members do not fit together", problems)
    chunks = ((keys, part.values()) for member in members for keys, part in member.iterate())
    return write(path, chunks, keys, key_names=members[0].key_names)


def combine(
    path: Path,
    members: Sequence[Predictions],
    how: str | Combiner,
    *,
    weights: Sequence[float] | None = None,
) -> Written:
    """Make one prediction of several for the same rows, joined by key, chunk by chunk.

    The mean of a single member is the member as it is. Ranks and functions are taken of it all the same: OOF
    of one seed and test predictions of several folds are then on one scale, and one threshold fits both.

    Args:
        path: The file to write; its rows are in the first member's order.
        members: Predictions with the same columns and the same keys.
        how: `mean`: value by value, summed in float64 in the members' order and kept in their float type
            (whole numbers and truth values become floats). `rank_mean`: every scalar column becomes its rank
            divided by the member's rows, in (0, 1], ties sharing their mean rank; then the mean, in float64.
            Or a function of the members' tables, rows in one order, that returns a table with the same keys.
        weights: How much each member counts, for a mean; each alike by default.

    Raises:
        DataError: Members differ in keys or columns, or hold what `how` cannot combine.
        ManifestError: There is no such `how`, or the weights are not one number of 0 or more for each member.
        RunError: A function's table has other keys or NaN, or the file cannot be written.

    References:
        Rank averaging: Henk van Veen, "Kaggle Ensembling Guide", MLWave, 2015.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> for seed, order in [("0", ["a", "b"]), ("1", ["b", "a"])]:
        ...     frame = pd.DataFrame({"p": [0.0, 1.0]}, index=order)
        ...     _ = write(folder / seed, frame, frame.index, key_names=["id"])
        >>> seeds = [Predictions.open(folder / seed) for seed in ("0", "1")]
        >>> _ = combine(folder / "oof.arrow", seeds, "mean")
        >>> Predictions.open(folder / "oof.arrow").array("p", ["a", "b"])
        array([0.5, 0.5])
    """
    if isinstance(how, str) and how not in WAYS:
        hint = did_you_mean(how, [*WAYS, "module:function"])
        raise ManifestError(
            "predictions cannot be combined", [Problem("combine", f"no way {how}", hint=hint)]
        )
    shares = _shares(members, how, weights)
    as_it_is = len(members) == 1 and how == "mean"
    problems = _column_problems(members)
    if not problems and not as_it_is:
        problems = _kind_problems(members[0], how) + _lacking(members)
    if problems:
        raise DataError(f"{path.name} not written: the members do not fit together", problems)
    if as_it_is:
        return concatenate(path, members)
    keys = members[0].keys
    output: Any
    if callable(how):
        output = how([member.frame(keys) for member in members])
    elif how == "rank_mean":
        output = average([_ranked(member) for member in members], keys, shares)
    else:
        output = average(members, keys, shares)
    return write(path, output, keys, key_names=members[0].key_names)


def _shares(
    members: Sequence[Predictions], how: str | Combiner, weights: Sequence[float] | None
) -> list[float]:
    """What each member's values are multiplied by in a mean, before the sum is divided."""
    if weights is None:
        return [1.0] * len(members)
    given = [float(weight) for weight in weights]
    fit = len(given) == len(members) and all(0 <= weight < np.inf for weight in given) and sum(given) > 0
    if callable(how) or not fit:
        found = "weights for a function" if callable(how) else f"{given}"
        expected = f"{len(members)} numbers of 0 or more, not all 0, for a mean"
        raise ManifestError("predictions cannot be combined", [Problem("weights", found, expected)])
    return given


def _column_problems(members: Sequence[Predictions]) -> list[Problem]:
    """What keeps members from having one schema, each held against the first."""
    if not members:
        return [Problem("members", "none", "at least one", check="members")]
    problems = []
    first = members[0]
    for number, member in enumerate(members[1:], 2):
        where = _called(number, member)
        if member.key_names != first.key_names:
            found, expected = ", ".join(member.key_names), ", ".join(first.key_names)
            problems.append(
                Problem(where, f"its key is {found}", f"{expected}, as in member 1", check="keys")
            )
        if set(member.columns) != set(first.columns):
            found, expected = ", ".join(member.columns), ", ".join(first.columns)
            problems.append(Problem(where, f"has {found}", f"{expected}, as in member 1", check="columns"))
            continue
        for name in first.columns:
            ours, theirs = first.table.column(name), member.table.column(name)
            if ours.type != theirs.type and not (_untold(ours) or _untold(theirs)):
                found, expected = (
                    f"{name} is {describe(theirs.type)}",
                    f"{describe(ours.type)}, as in member 1",
                )
                problems.append(Problem(where, found, expected, check="columns"))
    return problems


def _untold(column: pa.ChunkedArray) -> bool:
    return not len(column) or all(vacant(chunk) for chunk in column.chunks)


def _kind_problems(member: Predictions, how: str | Combiner) -> list[Problem]:
    problems = []
    for name in member.columns:
        kind, dtype = member.kind(name), describe(member.table.schema.field(name).type)
        fit = kind == "scalar" or (kind == "array" and how == "mean")
        if not fit or (dtype == "text" and isinstance(how, str)):
            found = f"{dtype} cannot be combined by {how if isinstance(how, str) else 'a function'}"
            expected = "numbers" if isinstance(how, str) else "one value a row"
            problems.append(Problem(name, found, expected, HINTS[kind]))
    return problems


def _lacking(members: Sequence[Predictions]) -> list[Problem]:
    keys = _all_keys(members).unique()
    problems = []
    for number, member in enumerate(members, 1):
        lacks = keys[member.keys.get_indexer(keys) < 0].tolist()
        if lacks:
            found = f"lacks {len(lacks):,} of {len(keys):,} keys: {shown(lacks)}"
            problems.append(Problem(_called(number, member), found, "the same keys in all", check="missing"))
    return problems


def _called(number: int, member: Predictions) -> str:
    return f"member {number} ({member.name})"


def _all_keys(members: Sequence[Predictions]) -> pd.Index[Any]:
    keys: pd.Index[Any] = members[0].keys.append([member.keys for member in members[1:]])
    return keys


def _ranked(member: Predictions) -> Predictions:
    """The member with ranks in place of its scalar columns, in memory."""
    columns = {name: member.table.column(name) for name in member.key_names}
    for name in member.columns:
        ranks = pd.Series(member.array(name)).astype(np.float64).rank() / len(member.keys)
        columns[name] = pa.array(ranks)
    return Predictions(pa.table(columns), member.key_names, member.name)


def average(
    members: Sequence[Predictions], keys: pd.Index[Any], shares: Sequence[float]
) -> Iterator[tuple[pd.Index[Any], dict[str, NDArray[Any]]]]:
    """The mean of members that have the same columns, chunk by chunk, in the form `write` takes.

    Args:
        members: The members; each holds at least these keys.
        keys: The rows, in the order of the answer.
        shares: How much each member counts, of any sum above 0.

    Raises:
        DataError: A member lacks a key or a column.
    """
    step = min(member.chunk_rows for member in members)
    for start in range(0, max(len(keys), 1), step):
        chunk = keys[start : start + step]
        yield chunk, {name: _mean(members, name, chunk, shares) for name in members[0].columns}


def _mean(
    members: Sequence[Predictions], column: str, keys: pd.Index[Any], shares: Sequence[float]
) -> NDArray[Any]:
    """The mean of a column, summed in float64 and in the members' order."""
    like = members[0].array(column, keys[:0])
    total = np.zeros((len(keys), *like.shape[1:]))
    for member, share in zip(members, shares, strict=True):
        if share:
            total += share * member.array(column, keys).astype(np.float64)
    mean: NDArray[Any] = total / sum(shares)
    return mean.astype(like.dtype if like.dtype.kind == "f" else np.result_type(like.dtype, np.float32))
