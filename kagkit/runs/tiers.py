"""Say what can be promised between the machine of a record and this one: bits, predictions, or a score."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kagkit.runs.deviations import Compared
from kagkit.runs.record import Run

# The same weights on another processor, thread count or library were measured to move a probability by some
# 1e-7 (U-Net, 64 images); a hundred times that is the promise.
PREDICTION_TOLERANCE = 1e-5
BAND = 2.0


@dataclass(frozen=True)
class Tier:
    """A promise: `exact`, `prediction` or `metric`, why it is this one, and how far numbers may move."""

    name: str
    why: str
    tolerance: float

    def holds(self, compared: Sequence[Compared]) -> bool:
        """Whether what differs stays within the promise; of what cannot be measured, nothing is promised."""
        if self.name == "exact":
            return False
        if self.name == "prediction":
            # A score and a line may jump where a number moves by a hair: they are told, not judged.
            told = [item for item in compared if not item.same and item.what not in ("cv", "submission")]
            return all(_within(item.max_abs_diff, self.tolerance) for item in told)
        return any(item.what == "cv" and _within(item.max_abs_diff, self.tolerance) for item in compared)


def judge_tier(run: Run, apart: Mapping[str, Any], level: str) -> Tier:
    """The promise for a run that is made again here.

    Args:
        run: The run on record.
        apart: What `moved` found.
        level: `predictions`, `weights` or `scratch`.
    """
    determinism = run.data["fingerprint"]["determinism"]
    loose = [f"determinism: {determinism}"] if determinism != "exact" else []
    loose += ["it gave other bytes before"] if not run.data["deterministic"] else []
    reasons = [*(["another environment"] if apart else []), *loose]
    if level == "predictions" or not reasons:
        return Tier("exact", "the same environment" if not apart else "nothing is computed but scores", 0.0)
    why = "; ".join(reasons)
    if level == "weights":
        return Tier("prediction", why, PREDICTION_TOLERANCE)
    return Tier("metric", why, _band(run))


def moved(then: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """What of two fingerprints differs, by dotted name, (then, now).

    Example:
        >>> moved({"packages": {"numpy": "2.4.5"}}, {"packages": {"numpy": "2.4.6"}})
        {'packages.numpy': ('2.4.5', '2.4.6')}
    """
    a, b = dict(_leaves(then)), dict(_leaves(now))
    return {name: (a.get(name), b.get(name)) for name in sorted(a | b) if a.get(name) != b.get(name)}


def restoring_command(then: Sequence[str], now: Sequence[str]) -> str:
    """The pip command that brings back the packages of then; empty where all of them are here.

    Args:
        then: Everything that was installed, as `name==version`.
        now: Everything that is installed.

    Example:
        >>> restoring_command(["kagkit==0.1.0", "numpy==2.4.5"], ["numpy==2.4.6"])
        'python -m pip install kagkit==0.1.0 numpy==2.4.5'
    """
    missing = sorted({*then} - {*now})
    return f"python -m pip install {' '.join(missing)}" if missing else ""


def _band(run: Run) -> float:
    """Two standard errors of the CV over its folds; no band where there is one fold."""
    spread, folds = run.data["cv_std"], {score["fold"] for score in run.data["folds"]}
    return BAND * spread / math.sqrt(len(folds)) if spread is not None and folds else 0.0


def _leaves(tree: Mapping[str, Any], before: str = "") -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for name, value in tree.items():
        found += _leaves(value, f"{before}{name}.") if isinstance(value, dict) else [(before + name, value)]
    return found


def _within(distance: float | None, tolerance: float) -> bool:
    return distance is not None and distance <= tolerance
