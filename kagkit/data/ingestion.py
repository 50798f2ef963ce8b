"""Join the labels a second stage releases to the rows of the first, and say what the host changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from kagkit.data.folds import is_in, some_keys
from kagkit.data.rows import key_texts
from kagkit.data.tables import read_table
from kagkit.foundation.errors import DataError, Problem, counted, samples

ID_MAP = ("stage1", "stage2")
BOARDS = {"Public": "public", "Private": "private", "Ignored": ""}


@dataclass(frozen=True)
class Ingestion:
    """What the second stage did to the training rows.

    Attributes:
        old: Rows of stage 1's training part that are trained on still.
        released: Rows of stage 1's test part that have labels now.
        new: Rows that neither part of stage 1 has.
        relabelled: Keys of old rows whose targets are others now.
        vanished: Keys of old rows that the host left out.
        excluded: Keys of rows that the list of excluded rows names.
        unlabelled: How many rows of stage 1's test part got no label.
        renamed: How many rows the host gave other ids.
    """

    old: int
    released: int
    new: int
    relabelled: tuple[str, ...]
    vanished: tuple[str, ...]
    excluded: tuple[str, ...]
    unlabelled: int
    renamed: int


def ingest(
    trained: pd.DataFrame,
    tested: pd.DataFrame,
    released: pd.DataFrame,
    targets: Sequence[str],
    *,
    renamed: Mapping[str, str] | None = None,
    excluded: Sequence[str] = (),
) -> tuple[pd.DataFrame, Ingestion]:
    """The training rows of stage 2, under the ids of stage 1 where they have one.

    What stage 2's table says of a row wins; what it does not say comes from stage 1. Where it names any old
    row, it is taken for the whole list: old rows that it lacks are trained on no more. Where it names none,
    it brings the new labels alone, and all old rows stay.

    Args:
        trained: Stage 1's training rows by key, with targets.
        tested: Stage 1's test rows by key.
        released: Stage 2's training table by the ids of stage 2; other columns than targets may lack.
        targets: The columns of `trained` that `predict` must not see.
        renamed: Ids of stage 1 by those of stage 2, where they changed.
        excluded: Ids of rows to leave out, as either stage names them.

    Returns:
        (n_rows, columns of `trained`): old rows, then released, then new ones, each in the order of its
        table; and what happened.

    Raises:
        DataError: Two rows of stage 2 are one of stage 1; labels are not there; new rows lack columns.

    Example:
        >>> def table(keys, **columns):
        ...     return pd.DataFrame(columns, index=pd.Index(keys, name="id"))
        >>> trained, tested = table(["a", "b"], x=[1, 2], y=[0, 1]), table(["c", "d"], x=[3, 4])
        >>> frame, told = ingest(trained, tested, table(["c"], y=[1]), ["y"])
        >>> frame.index.tolist(), frame.x.tolist(), (told.old, told.released, told.unlabelled)
        (['a', 'b', 'c'], [1, 2, 3], (2, 1, 1))
    """
    columns = [str(name) for name in trained.columns]
    ids = _stage1_ids(released.index, renamed or {})
    newer = released.set_axis(ids)
    left_out = _named(ids, excluded) | _named(released.index, excluded)
    old_out = _named(trained.index, excluded)
    whole = is_in(ids, trained.index).any()
    vanished = ~is_in(trained.index, ids) & ~old_out & whole
    old = trained[~old_out & ~vanished]
    labelled = tested[is_in(tested.index, ids[~left_out])]
    new = newer[~is_in(ids, trained.index) & ~is_in(ids, tested.index) & ~left_out]
    _refuse_gaps(newer, tested, new, columns)
    updated = _updated(old, newer, columns) if whole else old
    told = Ingestion(
        old=len(old),
        released=len(labelled),
        new=len(new),
        relabelled=_texts(old.index[_differ(old, updated, targets)]),
        vanished=_texts(trained.index[vanished]),
        excluded=_texts(trained.index[old_out].union(ids[left_out], sort=False)),
        unlabelled=int((~is_in(tested.index, ids)).sum()),
        renamed=int((ids != released.index).sum()),
    )
    parts = [updated, _updated(labelled, newer, columns), new.reindex(columns=columns)]
    return pd.concat([part for part in parts if len(part)]), told


def read_id_map(path: Path) -> dict[str, str]:
    """Ids of stage 1 by those of stage 2, from a CSV with the columns `stage1` and `stage2`.

    Raises:
        DataError: It lacks a column, or an id stands twice.
    """
    table, problems = read_table(path, ID_MAP), []
    for name in ID_MAP:
        twice = table[name][table[name].duplicated()].unique().tolist()
        if twice:
            problems.append(Problem(path.name, f"{name}: more than once: {samples(twice)}", "every id once"))
    if problems:
        raise DataError("the map of ids cannot be used", problems)
    return dict(zip(table["stage2"], table["stage1"], strict=True))


def read_excluded(path: Path) -> list[str]:
    """The ids of a list, one a line; empty lines and those after `#` say nothing."""
    lines = [line.partition("#")[0].strip() for line in path.read_text(encoding="utf-8-sig").splitlines()]
    return [line for line in lines if line]


def read_boards(released: pd.DataFrame, usage: str, renamed: Mapping[str, str]) -> pd.Series[Any]:
    """Which board each released row was on, by its id of stage 1: `public` or `private`, empty for neither.

    Args:
        released: Stage 2's training table by the ids of stage 2.
        usage: The column with the host's marks, as in Kaggle's solutions: Public, Private or Ignored. An
            old training row has none.
        renamed: Ids of stage 1 by those of stage 2, where they changed.

    Raises:
        DataError: There is no such column, or it holds other marks.

    Example:
        >>> table = pd.DataFrame({"Usage": ["Private", "Public"]}, index=pd.Index(["x1", "b"], name="id"))
        >>> read_boards(table, "Usage", {"x1": "a"}).to_dict()
        {'a': 'private', 'b': 'public'}
    """
    place, hint = f"stage2/train: {usage}", "stages: {2: {usage: …}} names the column with the host's marks"
    if usage not in released:
        raise DataError("nobody says which rows were public", [Problem(place, "no such column", hint=hint)])
    marks = released[usage].dropna().astype("str").str.strip().str.capitalize()
    marks = marks[marks != ""]
    strange = sorted(set(marks) - set(BOARDS))
    if strange:
        problem = Problem(place, samples(strange), ", ".join(BOARDS), hint)
        raise DataError("the host's marks cannot be read", [problem])
    return marks.map(BOARDS).set_axis(_stage1_ids(marks.index, renamed))


def _stage1_ids(keys: pd.Index[Any], renamed: Mapping[str, str]) -> pd.Index[Any]:
    """The keys under their names of stage 1."""
    if not renamed:
        return keys
    if keys.nlevels > 1:
        problem = Problem("stages.2.id_map", "the key has several columns", "a key of one column")
        raise DataError("ids cannot be mapped", [problem])
    ids = pd.Index([renamed.get(str(key), str(key)) for key in keys], name=keys.name)
    twice = ids[ids.duplicated()].unique()
    if len(twice):
        found = f"{counted(len(twice), 'id')} of stage 1 for two rows each: {some_keys(twice)}"
        raise DataError("two rows of stage 2 are one of stage 1", [Problem("stage2/train", found)])
    return ids


def _refuse_gaps(newer: pd.DataFrame, tested: pd.DataFrame, new: pd.DataFrame, columns: list[str]) -> None:
    """Stop where nobody says what stands in a column: of a released row, or of a new one."""
    lacking = [name for name in columns if name not in newer]
    unsaid = [name for name in lacking if name not in tested]
    problems = []
    if unsaid:
        hint = "the labels come with stage 2's training table: add them there, or in rows.load"
        found = f"no column {', '.join(unsaid)}, and stage 1's test rows have none"
        problems.append(Problem("stage2/train", found, hint=hint))
    elif lacking and len(new):
        told = f"{counted(len(new), 'row')} that stage 1 lacks, without {', '.join(lacking)}"
        found = f"{told}: {some_keys(new.index)}"
        hint = "map changed ids: stages: {2: {id_map: …}}, or exclude them: stages: {2: {exclude: …}}"
        problems.append(Problem("stage2/train", found, hint=hint))
    if problems:
        raise DataError("stage 2's rows cannot be trained on", problems)


def _updated(rows: pd.DataFrame, newer: pd.DataFrame, columns: list[str]) -> pd.DataFrame:
    """Rows with what a newer table says of them, column by column; it has every one of them."""
    said = newer.reindex(rows.index)
    return pd.DataFrame({name: (said if name in newer else rows)[name] for name in columns}, index=rows.index)


def _differ(old: pd.DataFrame, updated: pd.DataFrame, targets: Sequence[str]) -> NDArray[np.bool_]:
    """Which rows have other targets now."""
    differ = np.zeros(len(old), bool)
    for name in targets:
        before, now = old[name], updated[name]
        differ |= (before.ne(now) & ~(before.isna() & now.isna())).to_numpy(bool)
    return differ


def _named(keys: pd.Index[Any], names: Sequence[str]) -> NDArray[np.bool_]:
    return np.asarray(pd.Index(key_texts(keys)).isin(list(names)), dtype=bool)


def _texts(keys: pd.Index[Any]) -> tuple[str, ...]:
    return tuple(key_texts(keys))
