"""Keep what predict measured of its rows, by name and key, beside the predictions, in chunks as it comes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pandas as pd

from kagkit.data.arrowfile import GrowingFile, grow
from kagkit.data.columns import describe
from kagkit.data.intake import Intake
from kagkit.data.predictions import Predictions
from kagkit.foundation.errors import DataError, Problem, RunError, samples

NAME = re.compile(r"[A-Za-z0-9_]+")
SUFFIX = ".arrow"


class Probes:
    """The probes of one row set while `predict` runs; `collect` makes one.

    Args:
        stack: Ends the files that are begun.
        folder: Where they are written.
        row_set: The row set, which their names begin with.
        keys: The rows.
        key_names: The key columns.
    """

    def __init__(
        self, stack: ExitStack, folder: Path, row_set: str, keys: pd.Index[Any], key_names: Sequence[str]
    ) -> None:
        self._stack = stack
        self._folder = folder
        self._row_set = row_set
        self._keys, self._key_names = keys, key_names
        self._begun: dict[str, tuple[Intake, GrowingFile]] = {}

    def take(self, name: str, values: Any) -> None:
        """Keep values of some rows; the same name may come again with others.

        Raises:
            RunError: The name cannot be one of a file, or the values are no numbers by key.
        """
        if not NAME.fullmatch(name):
            problem = Problem(f"task.probe({name!r})", "not a name", "letters, digits and _")
            raise RunError("a probe cannot be kept", [problem])
        if name not in self._begun:
            path = self._folder / f"{self._row_set}.{name}{SUFFIX}"
            file = self._stack.enter_context(grow(path, self._key_names))
            self._begun[name] = Intake(self._keys, self._key_names, None), file
        intake, file = self._begun[name]
        for batch in intake.batches(_named(name, values)):
            text = [each.name for each in batch.schema if "text" in describe(each.type)]
            strange = [column for column in text if column not in self._key_names]
            if strange:
                problem = Problem(f"probe {name}", f"{strange[0]} is text", "numbers: they are averaged")
                raise RunError("a probe cannot be kept", [problem])
            file.append(batch)

    def refuse_faults(self) -> None:
        """Stop where a probe lacks rows, has others, or values that are no numbers.

        Raises:
            RunError: Every fault of every probe.
        """
        problems = [
            Problem(
                f"probe {name} of {self._row_set} rows, {each.where}", each.found, each.expected, each.hint
            )
            for name, (intake, _) in self._begun.items()
            for each in intake.problems()
        ]
        if problems:
            raise RunError("probes cannot be kept", problems)

    def contents(self) -> dict[str, str]:
        """The digest of what each file says, by file; once they are whole."""
        names = [f"{self._row_set}.{name}{SUFFIX}" for name in self._begun]
        return {name: Predictions.open(self._folder / name).content_sha256() for name in names}


def _named(name: str, values: Any) -> Any:
    """Values in a form that predictions have; what has no name takes the probe's."""
    if isinstance(values, pd.Series):
        return values.to_frame(name)
    if not isinstance(values, tuple):
        return values
    keys, cells = values
    return iter([(keys, cells if isinstance(cells, dict | pd.DataFrame) else {name: cells})])


@contextmanager
def collect(folder: Path, row_set: str, keys: pd.Index[Any], key_names: Sequence[str]) -> Iterator[Probes]:
    """Take probes while the block runs; their files are whole when it is done, and gone when it fails.

    Raises:
        RunError: A probe does not hold a number or an array of each row.

    Example:
        >>> import tempfile
        >>> folder, rows = Path(tempfile.mkdtemp()), pd.Index(["a", "b"], name="id")
        >>> with collect(folder, "valid", rows, ["id"]) as probes:
        ...     probes.take("area", pd.Series([1.0, 2.0], rows))
        >>> Predictions.open(folder / "valid.area.arrow").array("area", ["b", "a"])
        array([2., 1.])
    """
    with ExitStack() as stack:
        probes = Probes(stack, folder, row_set, keys, key_names)
        yield probes
        probes.refuse_faults()


def probes_of(predictions: Sequence[Path]) -> dict[str, list[Path]]:
    """The probes that stand beside predictions of one row set: by name a file for each, in their order.

    Args:
        predictions: Files such as `out/valid.arrow`, of several folds and seeds.

    Raises:
        DataError: One lacks a probe that another has.
    """
    found: dict[str, list[Path]] = {}
    for path in predictions:
        for probe in sorted(path.parent.glob(f"{path.stem}.*{SUFFIX}")):
            found.setdefault(probe.name.split(".")[1], []).append(probe)
    lacking = [name for name, files in found.items() if len(files) < len(predictions)]
    if lacking:
        told = f"not from every fold and seed: {samples(lacking)}"
        problem = Problem("task.probe", told, "the same names in all", check="missing")
        raise DataError("probes cannot be put together", [problem])
    return found
