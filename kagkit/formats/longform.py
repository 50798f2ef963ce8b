"""Split and join ids like `<image>_<class>`, turn long tables wide and back by key, drop repeated rows."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from kagkit.formats.cells import cell_text, column_problems, declared_words, repeat_problems
from kagkit.foundation.errors import DataError, ManifestError, Problem, SubmissionError, did_you_mean, samples


@dataclass(frozen=True)
class IdForm:
    """How several keys make one id.

    Attributes:
        parts: The names of the keys, in the id's order.
        classes: Every value of the last key, in the order wanted for columns; such a value may hold the
            separator. Where none are declared, an id is split at its last separators, so that only its
            first key may hold one.
        separator: What stands between two keys.

    Raises:
        ManifestError: There are fewer than two parts, a name comes twice, the separator is empty, or an id
            could end in two of the classes.

    Example:
        >>> IdForm(("image", "label"), classes=("any", "any_other"))
        IdForm(parts=('image', 'label'), classes=('any', 'any_other'), separator='_')
        >>> IdForm(("image", "label"), classes=("other", "any_other"))
        Traceback (most recent call last):
        kagkit.foundation.errors.ManifestError: ids cannot be made so
          classes: an id of any_other also ends in _other
            hint: choose another separator
    """

    parts: tuple[str, ...]
    classes: tuple[str, ...] = ()
    separator: str = "_"

    def __post_init__(self) -> None:
        if self.classes:
            object.__setattr__(self, "classes", tuple(declared_words(self.classes, "classes")))
        problems = []
        if len(self.parts) < 2 or len(set(self.parts)) < len(self.parts):
            problems.append(Problem("parts", f"{samples(self.parts)}", "two names or more, each once"))
        if not self.separator:
            problems.append(Problem("separator", "an empty text", "at least one character"))
        for longer, shorter in itertools.permutations(self.classes, 2):
            if self.separator and longer.endswith(self.separator + shorter):
                found = f"an id of {longer} also ends in {self.separator}{shorter}"
                problems.append(Problem("classes", found, hint="choose another separator"))
        if problems:
            raise ManifestError("ids cannot be made so", problems)

    def keys_of(self, text: str) -> list[str]:
        """The keys of an id; fewer than there are parts, or empty ones, where it is no such id."""
        if not self.classes:
            return text.rsplit(self.separator, len(self.parts) - 1)
        tail = next((name for name in self.classes if text.endswith(self.separator + name)), None)
        if tail is None:
            return []
        head = text.removesuffix(self.separator + tail)
        return [*head.rsplit(self.separator, len(self.parts) - 2), tail]


def split_ids(ids: Iterable[object], form: IdForm) -> pd.DataFrame:
    """Split ids into their keys.

    Args:
        ids: The ids, in any order.
        form: How the keys make an id.

    Returns:
        (n_ids, n_parts) text, indexed by id in the order given.

    Raises:
        DataError: Some ids are not made so.

    Example:
        >>> keys = split_ids(["ID_0a1_any", "ID_0a1_subdural"], IdForm(("image", "label")))
        >>> keys.loc["ID_0a1_subdural"].to_dict()
        {'image': 'ID_0a1', 'label': 'subdural'}
    """
    given = list(ids)
    keys = [form.keys_of(text) if isinstance(text, str) else [] for text in given]
    whole = [len(found) == len(form.parts) and all(found) for found in keys]
    if not all(whole):
        strange = [text for text, good in zip(given, whole, strict=True) if not good]
        problem = Problem("ids", f"{samples(strange)}", _pattern(form), _class_hint(strange, form))
        raise DataError("ids cannot be split", [problem])
    index = pd.Index(given, dtype="str", name="id")
    return pd.DataFrame(keys, index, list(form.parts), dtype="str")


def _pattern(form: IdForm) -> str:
    pattern = form.separator.join(f"<{part}>" for part in form.parts)
    return f"{pattern} with {form.parts[-1]} one of {samples(form.classes)}" if form.classes else pattern


def _class_hint(strange: Sequence[object], form: IdForm) -> str:
    tail = str(strange[0]).rpartition(form.separator)[2]
    return did_you_mean(tail, form.classes) if form.classes else ""


def join_ids(keys: pd.DataFrame, form: IdForm) -> pd.Series[str]:
    """Make ids of keys, and prove that they can be split again.

    Args:
        keys: A column for each part of the id, of text or whole numbers; other columns stay out.
        form: How the keys make an id.

    Returns:
        The ids, indexed as `keys` is.

    Raises:
        SubmissionError: A column is missing; a key is missing or no text; an id would be split elsewhere.

    Example:
        >>> form = IdForm(("image", "label"))
        >>> join_ids(pd.DataFrame({"image": ["a.jpg", "a.jpg"], "label": [1, 2]}), form).tolist()
        ['a.jpg_1', 'a.jpg_2']
        >>> join_ids(pd.DataFrame({"image": ["a"], "label": ["any_other"]}), form)
        Traceback (most recent call last):
        kagkit.foundation.errors.SubmissionError: ids cannot be made of these keys
          ids: a_any_other; expected <image>_<label>, as it is split again
            hint: declare the classes, or choose another separator
    """
    if problems := _key_problems(keys, form):
        raise SubmissionError("ids cannot be made of these keys", problems)
    rows = list(zip(*([_key_text(cell) for cell in keys[part]] for part in form.parts), strict=True))
    ids = [form.separator.join(row) for row in rows]
    if lost := [text for text, row in zip(ids, rows, strict=True) if tuple(form.keys_of(text)) != row]:
        hint = _class_hint(lost, form) or "declare the classes, or choose another separator"
        problem = Problem("ids", samples(lost), f"{_pattern(form)}, as it is split again", hint)
        raise SubmissionError("ids cannot be made of these keys", [problem])
    return pd.Series(ids, keys.index, dtype="str")


def _key_problems(keys: pd.DataFrame, form: IdForm) -> list[Problem]:
    problems = []
    for part in form.parts:
        if part not in keys:
            hint = did_you_mean(part, list(map(str, keys.columns)))
            problems.append(Problem("keys", f"no column {part}", hint=hint))
        elif unfit := [row for row, cell in keys[part].items() if not _key_text(cell)]:
            found = f"no key in rows {samples(unfit)}"
            problems.append(Problem(f"column {part}", found, "text, or a whole number"))
    return problems


def _key_text(cell: object) -> str:
    return cell if isinstance(cell, str) else cell_text(cell) or ""


def to_wide(values: pd.Series[Any], form: IdForm, *, fill: Any = None) -> pd.DataFrame:
    """Turn one row an id into one row an image, one column a class.

    Args:
        values: The values, indexed by id, in any order.
        form: How the keys make an id.
        fill: What stands where there is no row; None refuses such gaps.

    Returns:
        The values by key: rows in the order of their first id, columns in the order of the classes.

    Raises:
        DataError: Ids are not made so or come twice, or rows are missing.

    Example:
        >>> long = pd.Series({"b_x": 1, "a_y": 2, "a_x": 3, "b_y": 4})
        >>> to_wide(long, IdForm(("image", "label"), classes=("x", "y"))).to_dict("index")
        {'b': {'x': 1, 'y': 4}, 'a': {'x': 3, 'y': 2}}
    """
    keys = split_ids(values.index, form)
    *heads, last = form.parts
    rows = keys.drop_duplicates(heads)[heads]
    classes = form.classes or tuple(keys[last].unique())
    starts = [form.separator.join(row) for row in rows.itertuples(index=False)]
    wanted = {name: [f"{start}{form.separator}{name}" for start in starts] for name in classes}
    problems = repeat_problems("ids", values.index)
    if fill is None and len(rows) * len(classes) > values.index.nunique():
        known = set(values.index)
        gaps = [text for ids in wanted.values() for text in ids if text not in known]
        hint = "meant so? then say what fills the gaps: fill="
        problems.append(Problem("ids", f"no row for {samples(gaps)}", hint=hint))
    if problems:
        raise DataError("the long table cannot be turned wide", problems)
    columns = {name: values.reindex(ids, fill_value=fill).array for name, ids in wanted.items()}
    index = pd.MultiIndex.from_frame(rows) if len(heads) > 1 else pd.Index(rows[heads[0]])
    return pd.DataFrame(columns, index).rename_axis(columns=last)


def to_long(values: pd.DataFrame, form: IdForm) -> pd.Series[Any]:
    """Turn one row an image, one column a class into one row an id.

    Args:
        values: The values: rows by the keys before the last, columns by the last, in any order.
        form: How the keys make an id.

    Returns:
        The values by id: image after image, in each the classes in their declared order.

    Raises:
        SubmissionError: Rows or columns come twice, are missing or unknown; keys cannot make such ids.

    Example:
        >>> wide = pd.DataFrame({"y": [2, 4], "x": [3, 1]}, index=["a", "b"])
        >>> to_long(wide, IdForm(("image", "label"), classes=("x", "y"))).to_dict()
        {'a_x': 3, 'a_y': 2, 'b_x': 1, 'b_y': 4}
    """
    named = values.set_axis(pd.Index([_key_text(name) for name in values.columns]), axis=1)
    classes = list(form.classes) or list(named.columns)
    if problems := _wide_problems(named, form, classes):
        raise SubmissionError("the wide table cannot be turned long", problems)
    stacked = named[classes].stack()  # noqa: PD013 - melt would forget the rows' index
    keys = stacked.index.to_frame(index=False).set_axis(list(form.parts), axis=1)
    return pd.Series(stacked.array, pd.Index(join_ids(keys, form), name="id"))


def _wide_problems(values: pd.DataFrame, form: IdForm, classes: Sequence[str]) -> list[Problem]:
    heads, problems = list(form.parts[:-1]), []
    names = list(values.index.names)
    if len(names) != len(heads) or (names != heads and any(name is not None for name in names)):
        found = f"{len(names)} levels, named {samples(names)}"
        problems.append(Problem("index", found, f"{samples(heads)}", "wide.rename_axis(index=...)"))
    return problems + repeat_problems("rows", values.index) + column_problems(values.columns, classes)


def unique_rows(table: pd.DataFrame, key: Sequence[str], *, drop_exact: bool = False) -> pd.DataFrame:
    """The rows of a table, each key once.

    Args:
        table: The table; its index means nothing.
        key: The key columns.
        drop_exact: Whether rows that repeat another in every cell are left out; refused otherwise.

    Returns:
        The rows that stay, in their order, with their index.

    Raises:
        DataError: A key column is missing, or keys come more than once: with other cells, or at all.

    Example:
        >>> table = pd.DataFrame({"id": ["a", "b", "a"], "label": [0, 1, 0]})
        >>> unique_rows(table, ["id"], drop_exact=True)["id"].tolist()
        ['a', 'b']
        >>> unique_rows(table.assign(label=[0, 1, 1]), ["id"], drop_exact=True)
        Traceback (most recent call last):
        kagkit.foundation.errors.DataError: keys come more than once
          rows: different rows for a
    """
    columns = list(key)
    if missing := [name for name in columns if name not in table]:
        hint = did_you_mean(missing[0], list(map(str, table.columns)))
        problem = Problem("columns", f"no column {samples(missing)}", hint=hint)
        raise DataError("the table lacks its key", [problem])
    repeats = table.duplicated()
    kept = table[~repeats]
    problems = []
    if clashing := _shown(kept.loc[kept.duplicated(columns), columns]):
        problems.append(Problem("rows", f"different rows for {samples(clashing)}"))
    if not drop_exact and (repeated := _shown(table.loc[repeats, columns])):
        found = f"rows that repeat another in every cell: {samples(repeated)}"
        problems.append(Problem("rows", found, hint="meant so? then: drop_exact=True"))
    if problems:
        raise DataError("keys come more than once", problems)
    return kept


def _shown(keys: pd.DataFrame) -> list[str]:
    return list(dict.fromkeys(", ".join(map(str, row)) for row in keys.itertuples(index=False)))
