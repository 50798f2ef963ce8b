"""Mix a blend's test predictions again of the runs that feed it, by the weights on record, and compare."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from kagkit.data.combining import average
from kagkit.data.predictions import Predictions
from kagkit.foundation.files import read_json
from kagkit.judgement.suspicions import SAME, Suspicion
from kagkit.judgement.weighing import mix_members
from kagkit.judgement.witnesses import Fit, Witness

BLEND, WEIGHTS = "kagkit.recipes.blend", "weights.json"


def compare_remixed(blend: Witness) -> Iterator[Suspicion]:
    """Whether a blend's fits predicted what its inputs and recorded weights make; nothing for other runs.

    Raises:
        KagkitError: What fed it, or what it predicted, is gone or damaged.
    """
    if blend.recipe != BLEND:
        return
    fed = {
        name: Predictions.open(run.folder / run.data["test"]["file"]) for name, run in blend.inputs().items()
    }
    worst, rows = 0.0, 0
    for fit, table in blend.tables("test").items():
        told = read_json(blend.run.folder / _weights_file(fit))
        for keys, column, mixed in _mix(fed, told, table):
            said = table.array(column, keys)
            rows += len(keys)
            # Kept as float16, a mixture is as near as that can tell.
            spread = max(1.0, float(np.abs(mixed).max(initial=0.0)))
            apart = np.abs(said - mixed.astype(said.dtype)).astype(np.float64)
            worst = max(worst, float(apart.max(initial=0.0)) / spread)
    text = f"{rows:,} values of {', '.join(fed)} mixed again by the weights on record"
    if worst > SAME:
        hint = f"kagkit reproduce {blend.run.name} --level weights tells more"
        yield Suspicion("recompute", "stop", f"{text} are up to {worst:.2g} off; {hint}")
    else:
        yield Suspicion("recompute", "ok", f"{text}: the same")


def _weights_file(fit: Fit) -> str:
    seed, fold = fit
    return f"weights/seed{seed}-{'full' if fold is None else f'fold{fold}'}/{WEIGHTS}"


def _mix(
    fed: dict[str, Predictions], told: dict[str, Any], table: Predictions
) -> Iterator[tuple[pd.Index[Any], str, NDArray[Any]]]:
    """What the inputs make, column by column: tables whole, arrays chunk by chunk."""
    names = list(told["weights"])
    if all(fed[name].kind(column) == "scalar" for name in names for column in fed[name].columns):
        weights = pd.DataFrame.from_dict(told["weights"], orient="index")
        tables = {name: fed[name].frame() for name in names}
        mixed = mix_members(tables, weights, told["method"], table.keys)
        yield from ((table.keys, str(column), mixed[column].to_numpy(np.float64)) for column in mixed)
        return
    shares = [next(iter(told["weights"][name].values())) for name in names]
    for keys, columns in average([fed[name] for name in names], table.keys, shares):
        yield from ((keys, name, values.astype(np.float64)) for name, values in columns.items())
