"""Small tables in submission format, by hand or drawn for any metric."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from kagkit.formats.rle import encode

SHAPE = (6, 5)
MASKS: dict[str, Any] = {"shape": SHAPE, "dialect": "usual"}
WORDS = np.array(["cat", "dog", "eel", "fox"])


def table(**columns: Any) -> pd.DataFrame:
    """A table of ids r0, r1 ... and some columns."""
    rows = len(next(iter(columns.values())))
    return pd.DataFrame({"id": [f"r{row}" for row in range(rows)], **columns})


@dataclass(frozen=True)
class Example:
    """A solution and a submission that a metric accepts."""

    solution: pd.DataFrame
    submission: pd.DataFrame
    args: dict[str, Any] = field(default_factory=dict)


def example(name: str, seed: int) -> Example:
    """An example for a metric, of two rows at least."""
    rng = np.random.default_rng(seed)
    return DRAWN[name](rng, int(rng.integers(2, 8)))


def _labels(rng: np.random.Generator, n: int) -> Example:
    truth = np.append(rng.integers(0, 2, n), [0, 1])
    return Example(table(y=truth), table(y=rng.integers(0, 2, n + 2)), {"labels": [0, 1]})


def _sets(rng: np.random.Generator, n: int) -> Example:
    def draw() -> list[str | None]:
        return [" ".join(rng.permutation(WORDS)[: rng.integers(0, 4)]) or None for _ in range(n)]

    return Example(table(y=["cat", *draw()]), table(y=["dog", *draw()]))


def _odds(rng: np.random.Generator, n: int, **args: Any) -> Example:
    truth = np.vstack([[0, 0], [1, 1], rng.integers(0, 2, (n, 2))])
    odds = rng.choice([0, 0.2, 0.5, 0.9, 1], (n + 2, 2))
    return Example(table(any=truth[:, 0], q=truth[:, 1]), table(any=odds[:, 0], q=odds[:, 1]), args)


def _questions(rng: np.random.Generator, n: int) -> Example:
    return _odds(rng, n, multilabel=True, clip=1e-6, weights={"any": 2})


def _values(rng: np.random.Generator, n: int) -> Example:
    truth, guess = rng.random((2, n, 2)) * 9
    return Example(table(p=truth[:, 0], q=truth[:, 1]), table(q=guess[:, 1], p=guess[:, 0]))


def _spreads(rng: np.random.Generator, n: int) -> Example:
    truth, guess, sigma = rng.integers(0, 4000, (3, n))
    return Example(table(FVC=truth), table(FVC=guess, Confidence=sigma / 10))


def _masks(rng: np.random.Generator, n: int) -> Example:
    def draw() -> list[str]:
        return [encode(rng.random(SHAPE) < rng.choice([0, 0.3, 0.7]), "usual") for _ in range(n)]

    return Example(table(y=draw()), table(y=draw()), dict(MASKS))


def _instances(rng: np.random.Generator, n: int) -> Example:
    def draw() -> pd.DataFrame:
        rows = []
        for image in range(n):
            owners = rng.integers(0, 4, SHAPE[0] // 2)[:, None].repeat(2, axis=0)
            owners = np.where(rng.random(SHAPE) < 0.9, owners, 0)
            masks = [encode(owners == owner, "usual") for owner in range(1, 4)]
            rows += [(f"r{image}", mask) for mask in masks if mask] or [(f"r{image}", "")]
        return pd.DataFrame(rows, columns=["id", "y"])

    return Example(draw(), draw(), dict(MASKS))


def _boxes(rng: np.random.Generator, n: int) -> Example:
    def draw(confidence: bool) -> list[str]:
        cells = []
        for _ in range(n):
            count = int(rng.integers(0, 4))
            numbers = [rng.integers(0, 4, (count, 2)), rng.integers(3, 8, (count, 2))]
            odds = [rng.permutation(np.arange(1, count + 1))[:, None] / 10] * confidence
            cells.append(" ".join(map(str, np.hstack([*odds, *numbers]).ravel().tolist())))
        return cells

    return Example(table(y=draw(confidence=False)), table(y=draw(confidence=True)))


DRAWN: dict[str, Callable[[np.random.Generator, int], Example]] = {
    "accuracy": _labels,
    "balanced_accuracy": _labels,
    "f1": _labels,
    "fbeta": _sets,
    "mcc": _labels,
    "quadratic_weighted_kappa": _labels,
    "log_loss": _questions,
    "auc": _odds,
    "average_precision": _odds,
    "mae": _values,
    "rmse": _values,
    "mcrmse": _values,
    "rmsle": _values,
    "r2": _values,
    "spearman": _values,
    "pinball": _values,
    "laplace_log_likelihood": _spreads,
    "map_at_k": _sets,
    "mean_dice": _masks,
    "global_dice": _masks,
    "mean_iou": _masks,
    "mask_f2": _instances,
    "mask_ap": _instances,
    "box_f2": _boxes,
    "box_ap": _boxes,
}
