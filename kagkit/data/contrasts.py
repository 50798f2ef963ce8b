"""Say in one sentence how a column differs between two parts: gaps, new values, means, spans."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from kagkit.data.traits import as_texts
from kagkit.foundation.errors import counted, samples

# Differences of shares and means that chance makes once in a thousand columns are not told.
SURE = 3.3
FEW = 0.01
WIDEST = 30


@dataclass(frozen=True, eq=False)
class Side:
    """A column in one part.

    Attributes:
        name: What the part is called.
        cells: The column as it is.
        numbers: The same as numbers, or its lengths; NaN where it is empty.
    """

    name: str
    cells: pd.Series[Any]
    numbers: NDArray[np.float64]


def tell_difference(kind: str, one: Side, other: Side) -> str:
    """What differs plainly, or that nothing does.

    Args:
        kind: `number`, `date`, `category`, `text` or `list`.
        one: The column in the first part.
        other: The column in the second.

    Example:
        >>> one = Side("train", pd.Series(["a"] * 5 + ["b"] * 5), np.zeros(10))
        >>> tell_difference("category", one, Side("test", pd.Series(["c"] * 5 + ["a", "b"]), np.zeros(7)))
        'a value that only test has, on 71 % of its rows: c'
    """
    told = [*_gaps(one, other)]
    if kind == "category":
        told += _categories(one, other)
    elif kind == "date":
        told += _spans(one, other)
    else:
        told += _numbers({"text": "length ", "list": "length "}.get(kind, ""), one, other)
    return "; ".join(told) or "no plain difference"


def _gaps(one: Side, other: Side) -> Iterator[str]:
    shares = [float(side.cells.isna().mean()) for side in (one, other)]
    if _shares_differ(shares, [len(one.cells), len(other.cells)]):
        yield f"empty on {_percent(shares[0])} of {one.name}, {_percent(shares[1])} of {other.name}"


def _categories(one: Side, other: Side) -> Iterator[str]:
    counts = [as_texts(side.cells.dropna().astype(object)).value_counts() for side in (one, other)]
    told = [
        *_new_values(other.name, counts[1], counts[0]),
        *_new_values(one.name, counts[0], counts[1]),
    ]
    yield from told
    shared = [count / max(1, count.sum()) for count in counts]
    if not told and len(counts[0]):
        value = str((shared[1] - shared[0]).abs().idxmax())
        shares = [float(share[value]) for share in shared]
        if _shares_differ(shares, [int(count.sum()) for count in counts]):
            before, after = f"{_percent(shares[0])} of {one.name}", f"{_percent(shares[1])} of {other.name}"
            yield f"{value[:WIDEST]} is {before}, {after}"


def _new_values(name: str, here: pd.Series[int], there: pd.Series[int]) -> Iterator[str]:
    fresh = here[~here.index.isin(there.index)]
    if len(fresh):
        what = "a value" if len(fresh) == 1 else counted(len(fresh), "value")
        told = samples([str(value)[:WIDEST] for value in fresh.index])
        share = _percent(float(fresh.sum() / here.sum()))
        yield f"{what} that only {name} has, on {share} of its rows: {told}"


def _spans(one: Side, other: Side) -> Iterator[str]:
    spans = [
        f"{_day(np.nanmin(side.numbers))} to {_day(np.nanmax(side.numbers))} in {side.name}"
        for side in (one, other)
        if not np.isnan(side.numbers).all()
    ]
    yield ", ".join(spans)


def _numbers(what: str, one: Side, other: Side) -> Iterator[str]:
    first, second = (side.numbers[~np.isnan(side.numbers)] for side in (one, other))
    if len(first) < 2 or len(second) < 2:
        return
    means, spreads = (first.mean(), second.mean()), (first.std(), second.std())
    apart = abs(means[1] - means[0])
    within = np.concatenate([first - means[0], second - means[1]]).std()
    if apart > SURE * np.hypot(spreads[0] / np.sqrt(len(first)), spreads[1] / np.sqrt(len(second))):
        widths = f", {apart / within:.2g} standard deviations apart" if within > 0 else ""
        yield f"{what}mean {_number(means[0])} in {one.name}, {_number(means[1])} in {other.name}{widths}"
    elif min(spreads) > 0 and abs(np.log(spreads[1] / spreads[0])) > SURE * np.sqrt(
        1 / len(first) + 1 / len(second)
    ):
        yield f"{what}spread {_number(spreads[0])} in {one.name}, {_number(spreads[1])} in {other.name}"
    beyond = float(((second < first.min()) | (second > first.max())).mean())
    if beyond > FEW:
        span = f"{_number(first.min())} to {_number(first.max())}"
        yield f"{_percent(beyond)} of {other.name} beyond the {span} of {one.name}"


def _shares_differ(shares: list[float], sizes: list[int]) -> bool:
    pooled = sum(share * size for share, size in zip(shares, sizes, strict=True)) / max(1, sum(sizes))
    error = np.sqrt(pooled * (1 - pooled) * sum(1 / max(1, size) for size in sizes))
    return bool(abs(shares[1] - shares[0]) > SURE * error) and shares[0] != shares[1]


def _percent(share: float) -> str:
    return f"{100 * share:.2g} %" if share < 0.995 else f"{100 * share:.0f} %"


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 10_000 else f"{value:.4g}"


def _day(seconds: float) -> str:
    return str(pd.Timestamp(seconds, unit="s").date())
