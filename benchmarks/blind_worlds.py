"""Two competitions in memory, and the bugs that are planted in their stage-2 files.

A table of three classes, as in an ordinary tabular competition, and small masks. Five fold models are fitted
on stage 1; what they say of stage 1's and stage 2's test is put together as a file. A bug sits in the file
alone, in what all members are given, in some members, or in the whole present way from rows to predictions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter
from sklearn.linear_model import LogisticRegression

from kagkit.formats.dialects import read_edges, write_edges
from kagkit.judgement.answers import Answers
from kagkit.judgement.suspicions import Side

Numbers = NDArray[np.float64]
FOLDS, CLASSES, SIZE = 5, ("a", "b", "c"), 24


@dataclass(frozen=True)
class Drawn:
    """A stage-2 file and all that is known beside it.

    Attributes:
        now: Stage 2's rows; `file` is what would be submitted.
        then: Stage 1's test rows, predicted when stage 1 ended.
        oof: Out-of-fold answers of stage 1.
        rebuilt: What the stored predictions and weights make.
        again: Stage 1's test rows as one frozen model predicts them today.
        raw: The raw columns of stage 2's and stage 1's test rows; None where there are only images.
        cost: How much worse the file scores than without the bug.
        seen: The same on the public rows, in its own standard errors.
    """

    now: Side
    then: Side
    oof: Side
    rebuilt: Answers
    again: Answers
    raw: tuple[pd.DataFrame, pd.DataFrame] | None
    truth: Any
    clean: Answers


def numbers(values: Numbers, name: str) -> Answers:
    """Chances of three classes."""
    ids = pd.Index([f"{name}{row}" for row in range(len(values))])
    return Answers(ids, "numbers", values, CLASSES)


def masks(pictures: NDArray[np.bool_], name: str) -> Answers:
    """Masks as the edges of their runs."""
    ids = pd.Index([f"{name}{row}" for row in range(len(pictures))])
    lines = pictures.transpose(0, 2, 1).reshape(len(pictures), -1)
    padded = np.pad(lines, ((0, 0), (1, 1))).astype(np.int8)
    found = np.empty(len(pictures), dtype=object)
    found[:] = [np.flatnonzero(np.diff(line)).astype(np.int64) for line in padded]
    return Answers(ids, "masks", found, ("runs",), SIZE)


# --- a table of three classes ---


class Table:
    """1,500 training rows, 600 test rows, 1,000 stage-2 rows in groups of eight, by ten columns."""

    def __init__(self, seed: int, shift: float) -> None:
        self.rng = rng = np.random.default_rng(seed)
        self.way = rng.normal(size=(10, 3)), rng.normal(size=(10, 3)), rng.normal(size=(10, 40))
        self.parts = [self._rows(rows, shift * late) for rows, late in ((1500, 0), (600, 0), (1000, 1))]
        x, y, groups = self.parts[0]
        fold = groups % FOLDS
        self.fits = []
        for each in range(FOLDS):
            rows = rng.choice(np.flatnonzero(fold != each), int((fold != each).sum()))
            self.fits.append(LogisticRegression(C=0.3, max_iter=150).fit(self.features(x[rows]), y[rows]))
        self.fold = fold

    def _rows(self, rows: int, shift: float) -> tuple[Numbers, NDArray[np.int64], NDArray[np.int64]]:
        groups = np.arange(rows) // 8
        level = self.rng.normal(size=(groups.max() + 1, 10))[groups]
        x = 0.6 * level + 0.8 * self.rng.normal(size=(rows, 10))
        x[:, :3] += shift
        chances = x @ self.way[0] + 0.5 * (x**2 - 1) @ self.way[1] + self.rng.gumbel(size=(rows, 3))
        return x, chances.argmax(axis=1), groups

    def features(self, x: Numbers) -> Numbers:
        """What a fold model is given: the columns, and forty waves of them."""
        return np.hstack([x, x**2, np.sin(x @ self.way[2])])

    def predict(self, x: Numbers, fit: int) -> Numbers:
        """Chances by one fold model."""
        return np.asarray(self.fits[fit].predict_proba(self.features(x)))

    def side(self, part: int, name: str, given: Callable[[Numbers, int], Numbers] | None = None) -> Side:
        """What the fold models say of a part; `given` is what each of them is given in place of its rows."""
        x, _, groups = self.parts[part]
        said = [self.predict(given(x, each) if given else x, each) for each in range(FOLDS)]
        members = tuple(numbers(each, name) for each in said)
        return Side(numbers(np.mean(said, axis=0), name), groups, members, members[0])

    def oof(self) -> Side:
        """Out-of-fold answers."""
        x, _, groups = self.parts[0]
        said = np.zeros((len(x), 3))
        for each in range(FOLDS):
            said[self.fold == each] = self.predict(x[self.fold == each], each)
        return Side(numbers(said, "r"), groups)

    @property
    def raw(self) -> tuple[pd.DataFrame, pd.DataFrame]:
        return pd.DataFrame(self.parts[2][0]), pd.DataFrame(self.parts[1][0])

    def loss(self, file: Answers) -> Numbers:
        """Log loss by row."""
        y = self.parts[2][1]
        return -np.log(file.said[np.arange(len(y)), y].clip(1e-6, 1))


# --- masks ---


class Masks:
    """210 training, 90 test and 180 stage-2 images of 24 by 24 pixels; a third of them hold nothing."""

    def __init__(self, seed: int, shift: float) -> None:
        self.rng = rng = np.random.default_rng(seed)
        self.parts = [self._images(rows, shift * late) for rows, late in ((210, 0), (90, 0), (180, 1))]
        images, truth = self.parts[0]
        self.fold = np.arange(len(images)) % FOLDS
        self.fits = []
        for each in range(FOLDS):
            rows = rng.choice(np.flatnonzero(self.fold != each), 100)
            pixels = rng.choice(len(rows) * SIZE * SIZE, 6000)
            features = self.features(images[rows]).reshape(-1, 4)[pixels]
            self.fits.append(LogisticRegression(max_iter=100).fit(features, truth[rows].ravel()[pixels]))

    def _images(self, rows: int, shift: float) -> tuple[Numbers, NDArray[np.bool_]]:
        rng = self.rng
        y, x = np.mgrid[:SIZE, :SIZE]
        truth = np.zeros((rows, SIZE, SIZE), bool)
        for row in np.flatnonzero(rng.random(rows) > 1 / 3):
            cy, cx = rng.uniform(6, 18), rng.uniform(5, 15)
            ry, rx = rng.uniform(3, 6), rng.uniform(2, 4)
            truth[row] = ((y - cy) / ry) ** 2 + ((x - cx) / rx) ** 2 < 1
        noise = (
            uniform_filter(rng.normal(size=truth.shape), (0, 3, 3)) * 2.0 + rng.normal(size=truth.shape) * 0.5
        )
        return truth * 1.4 + noise + shift, truth

    def features(self, images: Numbers) -> Numbers:
        """A pixel, the means of its neighbourhoods, its column."""
        means = [uniform_filter(images, (0, size, size)) for size in (3, 7)]
        place = np.broadcast_to(np.linspace(-1, 1, SIZE), images.shape)
        return np.stack([images, *means, place], axis=-1)

    def predict(self, images: Numbers, fit: int) -> Numbers:
        """The chance of each pixel by one fold model."""
        features = self.features(images)
        chances = self.fits[fit].predict_proba(features.reshape(-1, 4))[:, 1]
        return np.asarray(chances.reshape(images.shape))

    def cut(self, chances: Numbers, threshold: float = 0.35, area: int = 12) -> NDArray[np.bool_]:
        """Masks of chances; small ones are none."""
        cut = chances > threshold
        return cut & (cut.sum(axis=(1, 2)) >= area)[:, None, None]

    def side(self, part: int, name: str, given: Callable[[Numbers, int], Numbers] | None = None) -> Side:
        """What the fold models say of a part; `given` is what each of them is given in place of its images."""
        images = self.parts[part][0]
        said = [self.predict(given(images, each) if given else images, each) for each in range(FOLDS)]
        members = tuple(masks(self.cut(each), name) for each in said)
        return Side(masks(self.cut(np.mean(said, axis=0)), name), np.arange(len(images)), members, members[0])
