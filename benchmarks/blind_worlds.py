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
from kagkit.judgement.answers import Answers, find_distances
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
        again: What one frozen model says of stage 1's test rows today, and what it said then.
        pair: The retrained models against the frozen ones, fold by fold, on stage 2's rows and out of fold.
        raw: The raw columns of stage 2's, stage 1's test and the training rows; none for images.
        unreadable: How many masks cannot be read.
    """

    now: Side
    then: Side
    oof: Side
    rebuilt: Answers
    again: tuple[Numbers, Numbers]
    pair: tuple[Side, Side] | None = None
    raw: tuple[pd.DataFrame, ...] = ()
    unreadable: int = 0


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

        more, added = self.parts[1][0], self.parts[1][1]
        self.late_fold = self.parts[1][2] % FOLDS
        self.refits = []
        for each in range(FOLDS):
            rows = rng.choice(np.flatnonzero(fold != each), int((fold != each).sum()))
            new = np.flatnonzero(self.late_fold != each)
            taken, labels = np.vstack([x[rows], more[new]]), np.concatenate([y[rows], added[new]])
            self.refits.append(LogisticRegression(C=0.3, max_iter=150).fit(self.features(taken), labels))

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

    def clean(self) -> Drawn:
        """The safe file, as it should be, and the retrained models beside it."""
        now, then = self.side(2, "n"), self.side(1, "t")
        raw = tuple(pd.DataFrame(self.parts[part][0]) for part in (2, 1, 0))
        said = then.members[0].said
        return Drawn(now, then, self.oof(), now.file, (said, said), self.pair(self.refits), raw)

    def pair(self, refits: list[Any]) -> tuple[Side, Side]:
        """Retrained against frozen models, each row by one fold, on stage 2's and on released rows."""
        found = []
        for part, fold, name in ((2, np.arange(1000) % FOLDS, "n"), (1, self.late_fold, "t")):
            x, _, groups = self.parts[part]
            told = []
            for fits in (refits if part == 2 else self.refits, self.fits):
                said = np.stack([each.predict_proba(self.features(x)) for each in fits])
                told.append(numbers(said[fold, np.arange(len(x))], name))
            found.append(Side(told[0], groups, (), told[1]))
        return found[0], found[1]

    def loss(self, file: Answers, part: int = 2) -> Numbers:
        """Log loss by row."""
        y = self.parts[part][1]
        return np.asarray(-np.log(file.said[np.arange(len(y)), y].clip(1e-6, 1)))


def _of_file(change: Callable[[Table, Drawn], Numbers]) -> Callable[[Table], Drawn]:
    """A bug in the file alone."""

    def plant(world: Table) -> Drawn:
        drawn = world.clean()
        return replace(drawn, now=replace(drawn.now, file=numbers(change(world, drawn), "n")))

    return plant


def _of_given(scope: str, scale: float = 2.0) -> Callable[[Table], Drawn]:
    """A column on another scale: for the `members`, `one` of them, the anchor too (`all`), or the `way`."""

    def plant(world: Table) -> Drawn:
        def given(x: Numbers, fit: int) -> Numbers:
            wrong = x.copy()
            wrong[:, 4] = wrong[:, 4] * scale + scale - 1
            return wrong if scope != "one" or fit == 3 else x

        drawn, bad = world.clean(), world.side(2, "n", given)
        anchor = drawn.now.anchor if scope in ("members", "one") else bad.anchor
        again = drawn.again
        if scope == "way":
            again = world.predict(given(world.parts[1][0], 0), 0), again[1]
        return replace(drawn, now=replace(bad, anchor=anchor), rebuilt=bad.file, again=again)

    return plant


def _fill(share: float) -> Callable[[Table, Drawn], Numbers]:
    def change(world: Table, drawn: Drawn) -> Numbers:
        said = drawn.now.file.said.copy()
        said[world.rng.permutation(len(said))[: int(share * len(said))]] = 1 / 3
        return said

    return change


def _within_groups(world: Table, drawn: Drawn) -> Numbers:
    order = np.lexsort((world.rng.random(len(drawn.now.groups)), drawn.now.groups))
    return np.asarray(drawn.now.file.said[order])


def _weighed(weights: list[float]) -> Callable[[Table, Drawn], Numbers]:
    return lambda _, drawn: np.asarray(
        np.average([each.said for each in drawn.now.members], axis=0, weights=weights)
    )


def _hard(_: Table, drawn: Drawn) -> Numbers:
    said = drawn.now.file.said
    return np.asarray((said == said.max(axis=1, keepdims=True)).astype(float))


def _pasted(_: Table, drawn: Drawn) -> Numbers:
    return np.asarray(np.resize(drawn.then.file.said, drawn.now.file.said.shape))


def _one_twice(world: Table) -> Drawn:
    """The weights of one fold in the place of another's."""
    drawn = world.clean()
    members = (*drawn.now.members[:3], drawn.now.members[2], drawn.now.members[4])
    file = numbers(np.mean([each.said for each in members], axis=0), "n")
    return replace(drawn, now=replace(drawn.now, file=file, members=members), rebuilt=file)


def _other_stage(world: Table) -> Drawn:
    """A final of retrained models in which the weights of stage 1 were loaded."""
    drawn = world.clean()
    return replace(drawn, pair=world.pair(world.fits))


TABLE_BUGS: dict[str, Callable[[Table], Drawn]] = {
    "rows shifted by one": _of_file(lambda _, drawn: np.roll(drawn.now.file.said, 1, axis=0)),
    "ids permuted within groups": _of_file(_within_groups),
    "stage-1 predictions pasted": _of_file(_pasted),
    "two classes swapped": _of_file(lambda _, drawn: drawn.now.file.said[:, [1, 0, 2]]),
    "labels in place of chances": _of_file(_hard),
    "a third at the default": _of_file(_fill(1 / 3)),
    "2 % at the default": _of_file(_fill(0.02)),
    "fold weights .6 .1 .1 .1 .1": _of_file(_weighed([0.6, 0.1, 0.1, 0.1, 0.1])),
    "one fold alone": _of_file(_weighed([0, 0, 1, 0, 0])),
    "one fold's weights for another's": _one_twice,
    "the other stage's weights": _other_stage,
    "wrong scale, one member": _of_given("one"),
    "wrong scale, members": _of_given("members"),
    "wrong scale, members and anchor": _of_given("all"),
    "wrong scale, the whole present way": _of_given("way"),
}


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
        """What the fold models say of a part; `given` is what each is given in place of its images."""
        images = self.parts[part][0]
        said = [self.predict(given(images, each) if given else images, each) for each in range(FOLDS)]
        members = tuple(masks(self.cut(each), name) for each in said)
        return Side(masks(self.cut(np.mean(said, axis=0)), name), np.arange(len(images)), members, members[0])

    def clean(self) -> Drawn:
        """The safe file as it should be."""
        now, then = self.side(2, "n"), self.side(1, "t")
        raw = tuple(self._told(self.parts[part][0]) for part in (2, 1, 0))
        return Drawn(now, then, self.oof(), now.file, (self.early, self.early), None, raw)

    def _told(self, images: Numbers) -> pd.DataFrame:
        """What a loader may tell of an image beside its file: mean, spread and the brightest tenth."""
        flat = images.reshape(len(images), -1)
        told = {"mean": flat.mean(axis=1), "spread": flat.std(axis=1)}
        return pd.DataFrame(told | {"bright": np.quantile(flat, 0.9, axis=1)})

    @property
    def early(self) -> Numbers:
        """What the first fold model says of stage 1's test."""
        return self.predict(self.parts[1][0], 0)

    def oof(self) -> Side:
        """Out-of-fold masks."""
        images = self.parts[0][0]
        said = np.zeros(images.shape)
        for each in range(FOLDS):
            said[self.fold == each] = self.predict(images[self.fold == each], each)
        return Side(masks(self.cut(said), "r"), np.arange(len(images)))

    def chances(self, given: Callable[[Numbers, int], Numbers] | None = None) -> list[Numbers]:
        """What each fold model says of stage 2's pixels."""
        images = self.parts[2][0]
        return [self.predict(given(images, each) if given else images, each) for each in range(FOLDS)]

    def loss(self, file: Answers, part: int = 2) -> Numbers:
        """1 - Dice by row; 0 where both are empty."""
        truth = masks(self.parts[part][1], "x")
        return find_distances(file, truth, truth.scale)


def _of_cut(change: Callable[[Masks, list[Numbers]], NDArray[np.bool_]]) -> Callable[[Masks], Drawn]:
    """A bug between chances and masks, in the file alone."""

    def plant(world: Masks) -> Drawn:
        drawn = world.clean()
        file = masks(change(world, world.chances()), "n")
        return replace(drawn, now=replace(drawn.now, file=file))

    return plant


def _of_mask(change: Callable[[NDArray[np.bool_]], NDArray[np.bool_]]) -> Callable[[Masks], Drawn]:
    return _of_cut(lambda world, chances: change(world.cut(np.mean(chances, axis=0))))


def _of_images(scope: str, wrong: Callable[[Masks, Numbers, int], Numbers]) -> Callable[[Masks], Drawn]:
    """Wrong chances of `members` but not the anchor, of `one`, of `all`, or on the whole present `way`."""

    def plant(world: Masks) -> Drawn:
        drawn = world.clean()
        right, images = world.chances(), world.parts[2][0]
        bad = [
            wrong(world, images, each) if scope != "one" or each == 3 else right[each]
            for each in range(FOLDS)
        ]
        members = tuple(masks(world.cut(each), "n") for each in bad)
        file = masks(world.cut(np.mean(bad, axis=0)), "n")
        anchor = drawn.now.anchor if scope in ("members", "one") else members[0]
        again = drawn.again
        if scope == "way":
            again = wrong(world, world.parts[1][0], 0), again[1]
        return replace(drawn, now=Side(file, drawn.now.groups, members, anchor), rebuilt=file, again=again)

    return plant


def _other_window(world: Masks, images: Numbers, fit: int) -> Numbers:
    return world.predict(images * 1.5 + 0.3, fit)


def _not_flipped_back(world: Masks, images: Numbers, fit: int) -> Numbers:
    return (world.predict(images, fit) + world.predict(images[:, :, ::-1], fit)) / 2


def _emptied(share: float) -> Callable[[Masks, list[Numbers]], NDArray[np.bool_]]:
    def change(world: Masks, chances: list[Numbers]) -> NDArray[np.bool_]:
        cut = world.cut(np.mean(chances, axis=0))
        cut[world.rng.permutation(len(cut))[: int(share * len(cut))]] = False
        return cut

    return change


def _in_groups_of_four(cut: NDArray[np.bool_]) -> NDArray[np.bool_]:
    return cut.reshape(-1, 4, SIZE, SIZE)[:, [1, 2, 3, 0]].reshape(cut.shape)


def _wrong_dialect(world: Masks) -> Drawn:
    """Masks written as gaps and lengths, read as starts and lengths."""
    drawn, pixels = world.clean(), SIZE * SIZE
    file, unreadable = drawn.now.file.said.copy(), 0
    for row, edges in enumerate(file):
        file[row], faults = read_edges(write_edges(edges, "relative"), pixels, "usual")
        unreadable += bool(faults)
        file[row] = file[row][:0] if faults else file[row]
    said = replace(drawn.now.file, said=file)
    return replace(drawn, now=replace(drawn.now, file=said), unreadable=unreadable)


def _stage_1_masks(world: Masks) -> Drawn:
    drawn = world.clean()
    file = replace(drawn.now.file, said=np.resize(drawn.then.file.said, drawn.now.file.said.shape))
    return replace(drawn, now=replace(drawn.now, file=file))


def _mean(chances: list[Numbers]) -> Numbers:
    return np.asarray(np.mean(chances, axis=0))


MASK_BUGS: dict[str, Callable[[Masks], Drawn]] = {
    "rows shifted by one": _of_mask(lambda cut: np.roll(cut, 1, axis=0)),
    "ids permuted within groups": _of_mask(_in_groups_of_four),
    "stage-1 masks pasted": _stage_1_masks,
    "transposed": _of_mask(lambda cut: cut.transpose(0, 2, 1)),
    "wrong RLE dialect": _wrong_dialect,
    "runs off by one pixel": _of_mask(lambda cut: np.roll(cut, 1, axis=1)),
    "two pixels down": _of_mask(lambda cut: np.roll(cut, 2, axis=1)),
    "another model's threshold": _of_cut(lambda world, chances: world.cut(_mean(chances), 0.5)),
    "smallest area forgotten": _of_cut(lambda world, chances: world.cut(_mean(chances), area=0)),
    "a third empty": _of_cut(_emptied(1 / 3)),
    "5 % empty": _of_cut(_emptied(0.05)),
    "fold weights .6 .1 .1 .1 .1": _of_cut(
        lambda world, chances: world.cut(np.average(chances, axis=0, weights=[0.6, 0.1, 0.1, 0.1, 0.1]))
    ),
    "TTA not flipped back, members": _of_images("members", _not_flipped_back),
    "TTA not flipped back, the whole way": _of_images("way", _not_flipped_back),
    "wrong window, one member": _of_images("one", _other_window),
    "wrong window, members": _of_images("members", _other_window),
    "wrong window, members and anchor": _of_images("all", _other_window),
    "wrong window, the whole present way": _of_images("way", _other_window),
}
