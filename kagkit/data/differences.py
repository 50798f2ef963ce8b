"""Say in one sentence how a column differs between two parts: gaps, new values, means, spans."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from kagkit.data.traits import Trait, as_texts
from kagkit.foundation.errors import counted, samples

# Differences of shares and means that chance makes once in a thousand columns are not told.
SURE = 3.3


def tell_difference(trait: Trait, sides: tuple[pd.Series[Any], pd.Series[Any]], names: tuple[str, str]) -> str:
    """What differs most plainly; the plain facts where nothing does.

    Args:
        trait: The column in numbers, both parts' rows one after the other.
        sides: Its cells in either part.
        names: What the parts are called.

    Example:
        >>> from kagkit.data.traits import read_trait
        >>> one, other = pd.Series(["a"] * 9 + ["b"]), pd.Series(["c"] * 5 + ["a"] * 5)
        >>> tell_difference(read_trait("x", (one, other)), (one, other), ("train", "test"))
        'a value that only test has, on 50 % of its rows: c; one that only train has, on 10 % of its rows: b'
    """
    told = [*_gaps(sides, names)]
    first, second = trait.values[: len(sides[0]), 0], trait.values[len(sides[0]) :, 0]
    if trait.kind in ("category", "text"):
        told += _categories(sides, names)
    if trait.kind != "category":
        told += _numbers(trait, (first, second), names)
    return "; ".join(told) or "the same in both, as far as gaps, means and values go"


def _gaps(sides: tuple[pd.Series[Any], pd.Series[Any]], names: tuple[str, str]) -> Iterator[str]:
    shares = [float(side.isna().mean()) for side in sides]
    if _shares_differ(shares, [len(side) for side in sides]):
        yield f"empty on {_percent(shares[0])} of {names[0]}, {_percent(shares[1])} of {names[1]}"


def _categories(sides: tuple[pd.Series[Any], pd.Series[Any]], names: tuple[str, str]) -> Iterator[str]:
    counts = [as_texts(side.dropna().astype(object)).value_counts() for side in sides]
    new = False
    for own, (here, there) in ((1, (counts[1], counts[0])), (0, (counts[0], counts[1]))):
        fresh = here[~here.index.isin(there.index)]
        if len(fresh):
            share = _percent(float(fresh.sum() / here.sum()))
            what = "one" if new and len(fresh) == 1 else "a value" if len(fresh) == 1 else counted(len(fresh), "value")
            verb = "has"
            told = samples([str(value)[:30] for value in fresh.index])
            yield f"{what} that only {names[own]} {verb}, on {share} of its rows: {told}"
            new = True
    table = pd.concat([count / max(1, count.sum()) for count in counts], axis=1, keys=[0, 1]).fillna(0.0)
    both = table[(table > 0).all(axis=1)]
    if not new and len(both):
        value = (both[1] - both[0]).abs().idxmax()
        shares = [float(both.loc[value, side]) for side in (0, 1)]
        if _shares_differ(shares, [int(count.sum()) for count in counts]):
            yield f"{str(value)[:30]} is {_percent(shares[0])} of {names[0]}, {_percent(shares[1])} of {names[1]}"


def _numbers(trait: Trait, sides: tuple[Any, Any], names: tuple[str, str]) -> Iterator[str]:
    first, second = (side[~np.isnan(side)] for side in sides)
    if len(first) < 2 or len(second) < 2:
        return
    if trait.kind == "date":
        spans = [f"{_day(side.min())} to {_day(side.max())} in {name}" for side, name in zip((first, second), names)]
        yield ", ".join(spans)
        return
    what = {"text": "length ", "list": "length "}.get(trait.kind, "")
    means, spreads = [side.mean() for side in (first, second)], [side.std() for side in (first, second)]
    error = np.hypot(spreads[0] / np.sqrt(len(first)), spreads[1] / np.sqrt(len(second)))
    spread = np.concatenate([first - means[0], second - means[1]]).std()
    if abs(means[1] - means[0]) > SURE * error:
        apart = f", {abs(means[1] - means[0]) / spread:.2g} standard deviations apart" if spread > 0 else ""
        yield f"{what}mean {_number(means[0])} in {names[0]}, {_number(means[1])} in {names[1]}{apart}"
    elif abs(np.log(max(spreads[1], 1e-12) / max(spreads[0], 1e-12))) > SURE * np.sqrt(
        1 / len(first) + 1 / len(second)
    ):
        yield f"{what}spread {_number(spreads[0])} in {names[0]}, {_number(spreads[1])} in {names[1]}"
    beyond = float(((second < first.min()) | (second > first.max())).mean())
    if beyond > 0.01:
        span = f"{_number(first.min())} to {_number(first.max())}"
        yield f"{_percent(beyond)} of {names[1]} beyond the {span} of {names[0]}"


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
