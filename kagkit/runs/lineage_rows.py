"""Keep which rows rules left out and added, pass on what was added, say which rows a run has seen."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from kagkit.foundation.errors import Problem, ReproductionError
from kagkit.foundation.files import csv_line, write_file
from kagkit.runs.pinning import fold_table_then
from kagkit.runs.record import Run
from kagkit.workspace.layout import Workspace

ROWS_FILE = "rows.csv"
TRAINED = "stage1/train"
EXCLUDE, EXTRA = "exclude", "extra"
Key = str | tuple[str, ...]


class Touched(NamedTuple):
    """A row that a rule left out or added.

    Attributes:
        key: Its key, a text for each key column.
        part: The part it is of: `stage1/test`.
        rule: `exclude[0]`, `extra[1]`; behind the run's name where a run that feeds this one has the rule.
        folds: The folds it was left out of, or added to; `full` for the fits on all rows.
    """

    key: tuple[str, ...]
    part: str
    rule: str
    folds: tuple[str, ...]


def write_touched(path: Path, names: Sequence[str], rows: Iterable[Touched]) -> None:
    """Write rows.csv: the key columns, then `part`, `rule` and `folds`, by rule and key.

    Raises:
        RunError: It cannot be written.
    """
    ordered = sorted(rows, key=lambda row: (row.rule, row.part, row.key))
    lines = [[*row.key, row.part, row.rule, " ".join(row.folds)] for row in ordered]
    write_file(path, "".join(map(csv_line, [[*names, *Touched._fields[1:]], *lines])))


def read_touched(run: Run) -> list[Touched]:
    """The rows that a run's rules left out or added, and those that runs which feed it were trained on.

    Raises:
        ReproductionError: The file is not the record's.
    """
    path = run.folder / ROWS_FILE
    if ROWS_FILE not in {kept.name for kept in run.files}:
        return []
    if not path.is_file():
        where = f"runs/{run.experiment}/{run.folder.name}/{ROWS_FILE}"
        problem = Problem(where, "missing", check="integrity")
        raise ReproductionError(f"{run.name} is damaged", [problem])
    with path.open(newline="", encoding="utf-8") as stream:
        lines = csv.reader(stream)
        next(lines)
        return [Touched(tuple(line[:-3]), line[-3], line[-2], tuple(line[-1].split())) for line in lines]


def inherited(parents: Iterable[Run]) -> Iterator[Touched]:
    """The rows that were added to what feeds a run, each rule behind the name of the run that has it."""
    for run in {run.name: run for run in parents}.values():
        for row in filter(is_added, read_touched(run)):
            own = row.rule.startswith(EXTRA)
            yield row._replace(rule=f"{run.name} {row.rule}") if own else row


def is_added(row: Touched) -> bool:
    """Whether a rule added the row, rather than left it out."""
    return row.rule.rpartition(" ")[2].startswith(EXTRA)


def count_added(rows: Iterable[Touched]) -> dict[str, int]:
    """How many rows of each part were added, however many rules added them.

    Example:
        >>> rules = "extra[0]", "exp001/1 extra[0]"
        >>> count_added(Touched(("a",), "stage1/test", rule, ("0",)) for rule in rules)
        {'stage1/test': 1}
    """
    added = {(row.part, row.key) for row in rows if is_added(row)}
    return dict(sorted(Counter(part for part, _ in added).items()))


def seen_keys(workspace: Workspace, run: Run) -> dict[str, frozenset[Key]]:
    """The rows that no score of a run may call held out for the run as a whole.

    A model of the run, or of a run that feeds it, was trained on them: on the training rows (each by the
    models of other folds, so that only out-of-fold predictions are held out), on rows of further sources, on
    test rows that a run labelled.

    Args:
        workspace: The workspace.
        run: The run.

    Returns:
        Keys by part, `stage1/train` among them: a text, or a tuple of texts where a key has several columns.

    Raises:
        ReproductionError: The run's list of rows is gone, or old rows of its folds moved since.
    """
    table = fold_table_then(workspace, run)
    if table is None:
        problem = Problem(f"folds/{run.data['fold_set']['name']}.csv", f"not as it was for {run.name}")
        raise ReproductionError(f"nobody knows what {run.name} has seen", [problem])
    lines = csv.reader(io.StringIO(table.decode(), newline=""))
    next(lines)
    found: dict[str, set[Key]] = {TRAINED: {_key(line[:-1]) for line in lines}}
    for row in read_touched(run):
        if is_added(row):
            found.setdefault(row.part, set()).add(_key(row.key))
    return {part: frozenset(keys) for part, keys in found.items()}


def _key(texts: Sequence[str]) -> Key:
    return texts[0] if len(texts) == 1 else tuple(texts)
