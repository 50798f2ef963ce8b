"""Tell two parts apart by what they share, name the columns that do it, hold the targets apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import pandas as pd

from kagkit.data.contrasts import Side, tell_difference
from kagkit.data.parts import Pair
from kagkit.data.rows import column_of, key_texts
from kagkit.data.telling import (
    LEVEL,
    Deal,
    Numbers,
    Separation,
    deal,
    fit_held_out,
    score_alone,
    separation,
)
from kagkit.data.traits import Trait, as_texts, nameless_columns, read_trait, stack_traits
from kagkit.foundation.seeds import draws, stream

MOST_ROWS = 20_000


@dataclass(frozen=True)
class ColumnDrift:
    """How well one column alone tells the parts apart.

    Attributes:
        column: Its name.
        kind: `number`, `date`, `category`, `text` or `list`.
        alone: Held-out AUC by this column alone; its interval is wide enough for all columns together.
        importance: What the AUC by all columns loses where this one is shuffled among held-out rows.
        told: How it differs, in a sentence.
    """

    column: str
    kind: str
    alone: Separation
    importance: float
    told: str


@dataclass(frozen=True)
class Drift:
    """Whether two parts can be told apart.

    Attributes:
        verdict: `different` where the interval of all columns, or of one alone, lies above 0.5, else
            `alike`; `unknown` where there are too few rows or columns to say.
        together: Held-out AUC by all shared columns; None where it is unknown.
        rows: How many rows either part has.
        used: How many of them were looked at: at most 20,000 of each, chosen by a hash of their groups.
        columns: The shared columns, those first that tell most; without key, group and targets.
        targets: The targets both have, in the same way.
        left_out: Shared columns that were not looked at, with the reason.
        only: The columns that only one part has, by part.
    """

    verdict: Literal["alike", "different", "unknown"]
    together: Separation | None
    rows: dict[str, int]
    used: dict[str, int]
    columns: tuple[ColumnDrift, ...] = ()
    targets: tuple[ColumnDrift, ...] = ()
    left_out: dict[str, str] = field(default_factory=dict)
    only: dict[str, tuple[str, ...]] = field(default_factory=dict)


def find_drift(pair: Pair) -> Drift:
    """Have a classifier tell two parts apart, by cross-validation, and say what it told them by.

    The answer is the same whichever part is named first, and whatever the order of rows.

    Args:
        pair: The parts; rows of one key, or of one group, stay in one fold.
    """
    flipped = pair.names[0] > pair.names[1]
    order = (1, 0) if flipped else (0, 1)
    frames = tuple(sampled(pair, pair.frames[place]) for place in order)
    groups = [group for frame in frames for group in groups_of(frame, pair.group)]
    dealt = deal(np.repeat([False, True], [len(frame) for frame in frames]), groups)
    shared, left_out = nameless_columns(pair.shared_columns(), frames)
    used = {pair.names[place]: len(frame) for place, frame in zip(order, frames, strict=True)}
    facts: dict[str, Any] = {
        "rows": {name: len(frame) for name, frame in zip(pair.names, pair.frames, strict=True)},
        "used": {name: used[name] for name in pair.names},
        "left_out": left_out,
        "only": _only(pair),
    }
    if not dealt.is_enough():
        return Drift("unknown", None, **facts)
    both = [
        name for name in pair.targets if all(name in frame and frame[name].notna().any() for frame in frames)
    ]
    sides = {pair.names[place]: frame for place, frame in zip(order, frames, strict=True)}
    first = pair.names[0]
    facts["targets"] = _columns(_traits(both, frames), sides, dealt, first)
    if not shared:
        return Drift("unknown", None, **facts)
    traits = _traits(shared, frames)
    together, lost = _tell_apart(traits, dealt)
    facts["columns"] = _columns(traits, sides, dealt, first, lost)
    telling = together.low > 0.5 or any(each.alone.low > 0.5 for each in facts["columns"])
    return Drift("different" if telling else "alike", together, **facts)


def _only(pair: Pair) -> dict[str, tuple[str, ...]]:
    one, other = pair.frames
    return {
        name: tuple(str(column) for column in frame if column not in beside)
        for name, frame, beside in zip(pair.names, (one, other), (other, one), strict=True)
    }


def groups_of(frame: pd.DataFrame, group: str | None) -> list[str]:
    """What each row belongs to: its group's value, or itself where there is none."""
    keys = key_texts(frame.index)
    if group is None or group not in [*frame.index.names, *frame.columns]:
        return keys
    values = as_texts(column_of(frame, group).astype(object))
    return [f"key {key}" if value != value else str(value) for key, value in zip(keys, values, strict=True)]


def sampled(pair: Pair, frame: pd.DataFrame) -> pd.DataFrame:
    """At most 20,000 rows in an order that their keys alone decide, groups whole as far as they fit."""
    luck = draws(groups_of(frame, pair.group), "compare sample")
    order = np.lexsort([np.asarray(key_texts(frame.index), dtype=object), luck])
    return frame.iloc[order[:MOST_ROWS]]


def _traits(names: Sequence[str], frames: Sequence[pd.DataFrame]) -> list[Trait]:
    return [read_trait(name, [frame[name] for frame in frames]) for name in names]


def _tell_apart(traits: Sequence[Trait], dealt: Deal) -> tuple[Separation, list[float]]:
    """Held-out AUC by all columns, and what it loses without each of them."""
    values, codes, owners = stack_traits(traits)
    scores = np.empty(len(values))
    without = np.empty((len(traits), len(values)))
    for fold, held, model in fit_held_out(values, codes, dealt):
        scores[held] = model.decision_function(values[held])
        shuffled = stream("compare shuffle", fold).permutation(int(held.sum()))
        for place in range(len(traits)):
            other, mine = values[held].copy(), owners == place
            other[:, mine] = other[shuffled][:, mine]
            without[place, held] = model.decision_function(other)
    together = separation(scores, dealt)
    return together, [together.auc - separation(each, dealt).auc for each in without]


def _columns(
    traits: Sequence[Trait],
    frames: dict[str, pd.DataFrame],
    dealt: Deal,
    first: str,
    lost: Sequence[float] | None = None,
) -> tuple[ColumnDrift, ...]:
    """Each column alone, those first that tell most; its sentence begins with the part named `first`."""
    found = []
    for place, trait in enumerate(traits):
        scores: Numbers = score_alone(trait.numbers, trait.categorical, dealt)
        alone = separation(scores, dealt, 1 - (1 - LEVEL) / len(traits))
        numbers = trait.numbers[~dealt.second, 0], trait.numbers[dealt.second, 0]
        sides = [
            Side(name, frame[trait.column], own)
            for (name, frame), own in zip(frames.items(), numbers, strict=True)
        ]
        told = tell_difference(trait.kind, *sorted(sides, key=lambda side: side.name != first))
        found.append(ColumnDrift(trait.column, trait.kind, alone, lost[place] if lost else 0.0, told))
    return tuple(sorted(found, key=lambda each: (-each.alone.auc, -each.importance, each.column)))
