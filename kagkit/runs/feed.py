"""Hand one run's predictions to another by key, and say which rows all that feed it have predicted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

import pandas as pd

from kagkit.data.keys import shown
from kagkit.data.predictions import Predictions
from kagkit.foundation.errors import DataError, Problem


@dataclass(frozen=True, eq=False)
class Fed(Predictions):
    """What a run that feeds another one predicted, read from its own file only where it is asked for.

    Attributes:
        content: The digest of what they say: what names the run for ever.
    """

    content: str = ""

    def known_as(self, content: str) -> Self:
        """The same under its digest."""
        return replace(self, content=content)


def shared_rows(inputs: Mapping[str, Fed], keys: pd.Index[Any]) -> pd.Index[Any]:
    """Those of some rows that every input has predicted, in their order.

    Rows that were only ever trained on have no out-of-fold predictions, and so none of any input.

    Args:
        inputs: One or more, by name.
        keys: The rows.

    Raises:
        DataError: Some inputs lack rows that others have; or no row has been predicted.
    """
    known = {name: fed.keys.get_indexer(keys) >= 0 for name, fed in inputs.items()}
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
