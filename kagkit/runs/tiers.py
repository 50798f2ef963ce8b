"""Say what can be promised between the machine of a record and this one: bits, predictions, or a score."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kagkit.runs.deviations import Compared
from kagkit.runs.record import Run

# The same weights on another processor, thread count or library were measured to move a probability by some
# 1e-7 (U-Net, 64 images); a hundred times that is the promise.
PREDICTION_TOLERANCE = 1e-5
BAND = 2.0
TORCH_BUILD = re.compile(r"torch(vision|audio)?==[^+]+\+(cpu|cu\d+|rocm[\d.]+|xpu)")
TORCH_INDEX = "https://download.pytorch.org/whl"


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
            other = (item for item in compared if not item.same)
            told = [item for item in other if not item.is_score and not item.what.startswith("submission")]
            return all(_within(item.max_abs_diff, self.tolerance) for item in told)
        scores = [item for item in compared if item.is_score]
        return bool(scores) and all(_within(item.max_abs_diff, self.tolerance) for item in scores)


def judge_tier(run: Run, apart: Mapping[str, Any], level: str, compared: Sequence[Compared]) -> Tier:
    """The promise for a run that is made again here.

    Args:
        run: The run on record.
        apart: What `moved` found.
        level: `predictions`, `weights` or `scratch`.
        compared: All that was held against the record.
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
    scores = [item for item in compared if item.is_score]
    if not any(item.max_abs_diff is not None for item in scores):
        return Tier("metric", f"{why}; there is no score to hold against the record", 0.0)
    if run.data["cv_std"] is None:
        return Tier("metric", f"{why}; one fold tells no spread that a score could move in", 0.0)
    return Tier("metric", why, _band(run, whole=any(item.what == "cv" for item in scores)))


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

    Builds of torch that the index of packages does not have (`torch==2.13.0+cpu`) come from torch's own:
    https://pytorch.org/get-started/locally. What no index has is told behind it, as a comment of the shell.

    Args:
        then: Everything that was installed, as `name==version`.
        now: Everything that is installed.

    Example:
        >>> restoring_command(["kagkit==0.1.0", "numpy==2.4.5", "torch==2.13.0+cpu"], ["numpy==2.4.6"])
        'python -m pip install numpy==2.4.5 torch==2.13.0+cpu --extra-index-url \
https://download.pytorch.org/whl/cpu  # not on an index: kagkit==0.1.0'
    """
    missing = sorted({*then} - {*now})
    builds = sorted({each.partition("+")[2] for each in missing if TORCH_BUILD.fullmatch(each)})
    unlisted = [
        each for each in missing if each.startswith("kagkit==") or each.partition("+")[2] not in ("", *builds)
    ]
    listed = [each for each in missing if each not in unlisted]
    words = ["python -m pip install", *listed] if listed else []
    words += [f"--extra-index-url {TORCH_INDEX}/{build}" for build in builds]
    words += [f" # not on an index: {', '.join(unlisted)}"] if unlisted else []
    return " ".join(words).strip()


def _band(run: Run, *, whole: bool) -> float:
    """Two standard errors of the CV over its folds; of one fold's score, two standard deviations of them."""
    folds = {score["fold"] for score in run.data["folds"]} if whole else {0}
    return float(BAND * run.data["cv_std"] / math.sqrt(len(folds)))


def _leaves(tree: Mapping[str, Any], before: str = "") -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for name, value in tree.items():
        found += _leaves(value, f"{before}{name}.") if isinstance(value, dict) else [(before + name, value)]
    return found


def _within(distance: float | None, tolerance: float) -> bool:
    return distance is not None and distance <= tolerance
