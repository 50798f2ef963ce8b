"""Hand one run's predictions to another by key, and say which rows all that feed it have predicted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from kagkit.data.keys import shown
from kagkit.data.predictions import Predictions
from kagkit.foundation.errors import DataError, Problem, did_you_mean


@dataclass(frozen=True, eq=False)
class Fed(Predictions):
    """What a run that feeds another one predicted, read from its own files only where it is asked for.

    Attributes:
        content: The digest of what they say: what names the run for ever.
        probes: What it measured of the same rows, by name.
    """

    content: str = ""
    probes: Mapping[str, Predictions] = field(default_factory=dict)

    @classmethod
    def feed(cls, root: Path, name: str, files: Mapping[str, Mapping[str, str]], which: str) -> Self:
        """The predictions and probes of one row set.

        Args:
            root: The workspace.
            name: What the manifest calls the run.
            files: Its files, by row set, and by row set and probe as in `oof.area`: path and digest.
            which: `oof` or `test`.
        """
        own = {each: told["path"] for each, told in files.items() if each.startswith(f"{which}.")}
        probes = {
            each.partition(".")[2]: Predictions.open(root / path, name=f"inputs.{name}, {each}")
            for each, path in own.items()
        }
        predictions = cls.open(root / files[which]["path"], name=f"inputs.{name}")
        return replace(predictions, content=files[which]["content_sha256"], probes=probes)

    def probe(self, name: str) -> Predictions:
        """What the run measured of the same rows by `task.probe`.

        Raises:
            DataError: It has no such probe.
        """
        if name not in self.probes:
            hint = did_you_mean(name, list(self.probes))
            raise DataError(
                f"{self.name} has no probe {name}", [Problem(self.name, f"no probe {name}", hint=hint)]
            )
        return self.probes[name]


def shared_rows(inputs: Mapping[str, Fed], keys: pd.Index[Any]) -> pd.Index[Any]:
    """Those of some rows that every input has predicted, in their order.

    Rows that were only ever trained on have no out-of-fold predictions, and so none of any input.

    Args:
        inputs: One or more, by name.
        keys: The rows.

    Raises:
        DataError: Some inputs lack rows that others have; or no row has been predicted.
    """
    known = {name: places >= 0 for name, places in _places(inputs, keys)}
    counts = {name: int(has.sum()) for name, has in known.items()}
    most = max(counts, key=lambda name: counts[name])
    problems = []
    for name, has in known.items():
        lacks = keys[known[most] & ~has].tolist()
        if lacks:
            found = f"lacks {len(lacks):,} rows that {most} has: {shown(lacks)}"
            problems.append(Problem(f"inputs.{name}", found, check="missing"))
    if problems:
        raise DataError("what feeds this experiment does not hold the same rows", problems)
    if not counts[most]:
        hint = (
            "leave the folds out whose training rows have no out-of-fold predictions: folds: {only: [1, 2]}"
        )
        problem = Problem("inputs", f"none of {len(keys):,} training rows was ever held out", hint=hint)
        raise DataError("there is nothing to learn from", [problem])
    return keys[known[most]]


def tables_of(inputs: Mapping[str, Fed], keys: pd.Index[Any]) -> dict[str, pd.DataFrame]:
    """The scalar predictions of several inputs for the same rows, by name, in the order of the keys.

    Args:
        inputs: The inputs; each holds at least these rows.
        keys: The rows.
    """
    return {name: inputs[name].frame().iloc[places].set_axis(keys) for name, places in _places(inputs, keys)}


def _places(inputs: Mapping[str, Fed], keys: pd.Index[Any]) -> Iterator[tuple[str, NDArray[np.int64]]]:
    """Where each input has some rows, -1 where it lacks one; looked up once where inputs have one order."""
    known: pd.Index[Any] | None = None
    places = np.empty(0, np.int64)
    for name, fed in inputs.items():
        if known is None or not fed.keys.equals(known):
            known = fed.keys
            places = known.get_indexer(keys).astype(np.int64)
        yield name, places
