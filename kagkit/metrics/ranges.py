"""Say where fitted arguments may lie, find the numbers inside them, and set one without touching the rest."""

from __future__ import annotations

import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Place = tuple[str, Any]  # an argument, and where in it: a name, a place in a list, or None for all of it


@dataclass(frozen=True)
class Range:
    """Where an argument may lie: `top: Annotated[float, Range(0, 1)] = 0.75` in a function's signature.

    Attributes:
        low: The least value; by default from the start: 0, or below it where the start is negative.
        high: The largest value; by default four times the start, or as far above it as `low` is below.
        whole: Whether only whole numbers fit.
    """

    low: float | None = None
    high: float | None = None
    whole: bool = False


def find_ranges(
    make: Callable[..., Any], names: Sequence[str] | Mapping[str, Range], start: Mapping[str, Any]
) -> dict[Place, Range]:
    """The range of every number to find, in the order of the names."""
    hints = typing.get_type_hints(make, include_extras=True) if make.__annotations__ else {}
    ranges = {}
    for name in names:
        declared = [item for item in getattr(hints.get(name), "__metadata__", ()) if isinstance(item, Range)]
        told = names[name] if isinstance(names, Mapping) else next(iter(declared), Range())
        numbers = numbers_in(name, start[name])
        reach = max(abs(number) for number in numbers.values()) or 1.0
        for place, number in numbers.items():
            whole = told.whole or isinstance(number, int)
            lowest = -reach if min(numbers.values()) < 0 else 0.0
            low = lowest if told.low is None else told.low
            high = max(4.0 * reach, low + 1) if told.high is None else told.high
            ranges[place] = Range(low, high, whole)
    return ranges


def numbers_in(name: str, value: Any) -> dict[Place, float]:
    """The numbers of an argument, each with its place; none where it holds anything else."""
    items: dict[Any, Any] = {None: value}
    if isinstance(value, Mapping):
        items = dict(value)
    elif isinstance(value, list | tuple):
        items = dict(enumerate(value))
    fit = all(isinstance(item, int | float) and not isinstance(item, bool) for item in items.values())
    return {(name, place): item for place, item in items.items()} if fit else {}


def value_at(args: Mapping[str, Any], place: Place) -> Any:
    """The number at a place among arguments."""
    name, inner = place
    return args[name] if inner is None else args[name][inner]


def with_value(args: Mapping[str, Any], place: Place, value: float) -> dict[str, Any]:
    """The arguments with another number at a place; those given stay as they are."""
    name, inner = place
    if inner is None:
        return {**args, name: value}
    if isinstance(args[name], Mapping):
        return {**args, name: {**args[name], inner: value}}
    changed = list(args[name])
    changed[inner] = value
    return {**args, name: changed}


def ends_of(within: Range) -> tuple[float, float]:
    """The least and the largest value."""
    return float(within.low or 0), float(within.high if within.high is not None else 1)


def round_to(value: float, within: Range) -> float:
    """A value that a range takes, without the last bits of a grid."""
    return round(value) if within.whole else round(value, 10)
