"""Gather what repeats into groups, say where each crosses parts or folds, and which have unlike labels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Literal

import numpy as np
import pandas as pd

from kagkit.data.contents import json_of
from kagkit.data.neighbours import Codes
from kagkit.data.parts import Pair
from kagkit.data.pictures import NEEDED, can_look, look_at
from kagkit.data.repeats import find_repeats
from kagkit.data.rows import column_of, key_texts, names_of
from kagkit.data.traits import nameless_columns


@dataclass(frozen=True)
class Member:
    """A row or an image of a group.

    Attributes:
        part: The part it belongs to; None for an image that no row of either names.
        key: Its row's key as one text; None where it has none.
        file: The image's path from the workspace; None for rows.
    """

    part: str | None
    key: str | None
    file: str | None = None


@dataclass(frozen=True)
class Group:
    """Rows or images that repeat each other.

    Attributes:
        kind: `exact` where all are equal in every cell or pixel, else `near`.
        members: All of them, those of the first part first.
        across_parts: Whether they stand in both parts.
        across_folds: The fold sets in which they stand in two folds: what one fold learns, another is
            asked.
        unlike_labels: Whether they have different targets.
        by_chance: Whether rows that say so little repeat by chance.
    """

    kind: Literal["exact", "near"]
    members: tuple[Member, ...]
    across_parts: bool
    across_folds: tuple[str, ...]
    unlike_labels: bool
    by_chance: bool


@dataclass(frozen=True)
class Duplicates:
    """What repeats among the rows, or among the images, of two parts.

    Attributes:
        compared: How many rows or images were looked at.
        groups: The groups, those first that cross folds, then parts, then labels; chance comes last.
        columns: The columns by which rows were compared.
        differing: In how many of them near copies may differ.
        crowded: Rows among so many alike that not all their near copies were looked for.
        others: Files of other formats, by ending.
        unreadable: Images that could not be read.
        without_row: Images that no row of either part names.
        why_not: Why nothing was compared; empty where something was.
    """

    compared: int
    groups: tuple[Group, ...] = ()
    columns: tuple[str, ...] = ()
    differing: int = 0
    crowded: int = 0
    others: dict[str, int] = field(default_factory=dict)
    unreadable: tuple[str, ...] = ()
    without_row: int = 0
    why_not: str = ""

    def counts(self) -> dict[str, Any]:
        """How many groups there are of each sort, and how many members are too many."""
        crossing = Counter(name for group in self.groups for name in group.across_folds)
        return {
            "groups": len(self.groups),
            "exact": sum(group.kind == "exact" for group in self.groups),
            "near": sum(group.kind == "near" for group in self.groups),
            "too_many": sum(len(group.members) - 1 for group in self.groups),
            "across_parts": sum(group.across_parts for group in self.groups),
            "across_folds": dict(sorted(crossing.items())),
            "unlike_labels": sum(group.unlike_labels for group in self.groups),
            "by_chance": sum(group.by_chance for group in self.groups),
        }


def duplicate_rows(pair: Pair) -> Duplicates:
    """Rows of either part that repeat each other in what both parts have beside key, group and targets.

    A key that stands in both parts is one row, looked at once, where the first part has it.
    """
    one, other = pair.frames
    later = other[~other.index.isin(one.index)]
    columns, _ = nameless_columns(pair.shared_columns(), pair.frames)
    if not columns:
        why = "the parts share no column that says something of their rows"
        return Duplicates(0, why_not=why)
    found = find_repeats(pd.concat([one[columns], later[columns]], ignore_index=True))
    items = _items(pair, (one, later))
    items["chance"] = found.by_chance
    return Duplicates(
        compared=len(items),
        groups=_gather(items, found.groups, found.exact, pair),
        columns=tuple(columns),
        differing=found.differing,
        crowded=found.crowded,
    )


def duplicate_images(pair: Pair, root: Path, files: Sequence[str]) -> Duplicates:
    """Images that look alike; a row names its image by its key or by another column, with ending or without.

    Args:
        pair: The parts whose rows name the images.
        root: The workspace.
        files: The files of the parts' sources, from the workspace.
    """
    if not files:
        return Duplicates(0, why_not="the parts' sources have no files beside their tables")
    if not can_look():
        return Duplicates(0, why_not=NEEDED)
    seen = look_at(root, files)
    owners = _owners(pair, seen.files)
    rows = _items(pair, pair.frames).drop_duplicates("key").set_index("key")
    items = rows.reindex([owners.get(PurePosixPath(file).stem) for file in seen.files]).rename_axis("key")
    items = items.reset_index().assign(file=list(seen.files), chance=False)
    return Duplicates(
        compared=len(items),
        groups=_gather(items, seen.groups(), seen.pixels, pair) if len(items) else (),
        others=seen.others,
        unreadable=seen.unreadable,
        without_row=int(items["part"].isna().sum()),
        why_not="" if len(items) else "none of the files is an image that pillow reads",
    )


def _owners(pair: Pair, files: Sequence[str]) -> dict[str, str]:
    """The key of the row that names an image, by the image's name without its ending."""
    stems = {PurePosixPath(file).stem for file in files}
    owners: dict[str, str] = {}
    for frame in pair.frames:
        keys = key_texts(frame.index)
        for name in names_of(frame):
            values = column_of(frame, name)
            if isinstance(values.dtype, pd.StringDtype) and values.is_unique:
                named = [PurePosixPath(str(value)) for value in values]
                for key, path in zip(keys, named, strict=True):
                    for word in {path.name, path.stem} & stems:
                        owners.setdefault(word, key)
    return owners


def _items(pair: Pair, frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Part, key, label and folds of every row."""
    tables = []
    for name, frame in zip(pair.names, frames, strict=True):
        table = pd.DataFrame({"part": name, "key": key_texts(frame.index), "file": None})
        labels = [frame[target].astype(object) for target in pair.targets if target in frame]
        table["label"] = [_label(cells) for cells in zip(*labels, strict=True)] if labels else None
        for fold_set, folds in pair.folds.items():
            mine = folds.reindex(frame.index) if name == "stage1/train" else np.nan
            table[f"fold {fold_set}"] = np.asarray(mine, dtype="float64") * np.ones(len(frame))
        tables.append(table.astype({"label": object}))
    return pd.concat(tables, ignore_index=True)


def _label(cells: Sequence[Any]) -> str | None:
    told = [json_of(cell) for cell in cells]
    return None if all(cell is None for cell in told) else repr(told)


def _gather(items: pd.DataFrame, groups: Codes, exact: Codes, pair: Pair) -> tuple[Group, ...]:
    repeated = items.assign(group=groups, exact=exact)
    repeated = repeated[repeated["group"].duplicated(keep=False)]
    cells = {str(name): repeated[name].tolist() for name in repeated}
    places: dict[int, list[int]] = {}
    for place, group in enumerate(cells["group"]):
        places.setdefault(group, []).append(place)
    found = [
        _group({name: [column[place] for place in mine] for name, column in cells.items()}, pair)
        for mine in places.values()
    ]
    return tuple(sorted(found, key=_urgency))


def _urgency(group: Group) -> tuple[Any, ...]:
    crossing = (not group.across_folds, not group.across_parts, not group.unlike_labels)
    first = group.members[0]
    return group.by_chance, *crossing, -len(group.members), first.key or "", first.file or ""


def _group(cells: dict[str, list[Any]], pair: Pair) -> Group:
    order = {name: place for place, name in enumerate(pair.names)}
    told = [
        Member(*(cell if isinstance(cell, str) else None for cell in member))
        for member in zip(cells["part"], cells["key"], cells["file"], strict=True)
    ]
    told.sort(key=lambda each: (order.get(each.part or "", len(order)), each.key or "", each.file or ""))
    trained = {name: [fold for fold in cells[f"fold {name}"] if fold >= 0] for name in pair.folds}
    return Group(
        kind="near" if _differ(cells["exact"]) else "exact",
        members=tuple(told),
        across_parts=_differ(cells["part"]),
        across_folds=tuple(name for name, folds in trained.items() if _differ(folds)),
        unlike_labels=_differ(cells["label"]),
        by_chance=any(cells["chance"]),
    )


def _differ(cells: Sequence[Any]) -> bool:
    """Whether those that are there are not all the same; NaN and None are not there."""
    return len({cell for cell in cells if cell is not None and cell == cell}) > 1
