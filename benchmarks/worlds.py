"""Simulated second stages: what happened to the rows and labels of stage 1's test, and to stage 2's.

A world gives 600 labelled rows, 200 rows whose labels were released, and 2,000 clean rows of stage 2. Tables
have ten columns; the label follows a linear score with one product in it. Images are 12 x 12 pixels, with a
bright spot in half of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]
OLD, NEW, TEST = 600, 200, 2000
COLUMNS, EDGE = 10, 12
BETA = np.array([1.2, -1.0, 0.8, 0.6, -0.5, 0.4, 0.0, 0.0, 0.0, 0.0])
TURNED = np.array([1.0, -0.2, 0.9, -0.5, 0.4, 0.4, 0.9, 0.0, 0.0, 0.0])


@dataclass(frozen=True)
class Part:
    """Rows: `x` (n, n_columns) or (n, 12, 12), `y` (n,) 0 or 1, `group` (n,)."""

    x: Numbers
    y: Numbers
    group: NDArray[np.int64]


@dataclass(frozen=True)
class Rows:
    """How the rows of a part are made."""

    count: int
    shift: float = 0.0  # of three columns, in standard deviations
    turned: float = 0.0  # how far the label follows another rule: 0 to 1
    steep: float = 1.6  # how sharply the label follows its rule; how bright spots are
    moved: float = 0.0  # of the threshold that makes a label
    noise: float = 0.0  # share of labels that are flipped
    size: int = 1  # rows a group has; they share an effect of their own


@dataclass(frozen=True)
class World:
    """What a stage 2 may be like; `answer` is to the question whether the same people labelled stage 2."""

    old: Rows
    new: Rows
    test: Rows
    answer: bool = True
    images: bool = False


def table(chance: np.random.Generator, rows: Rows) -> Part:
    """A part of a table."""
    x = chance.normal(size=(rows.count, COLUMNS))
    x[:, [0, 2, 6]] += rows.shift
    group = np.arange(rows.count) // rows.size
    score = x @ ((1 - rows.turned) * BETA + rows.turned * TURNED) + 0.7 * x[:, 0] * x[:, 1] + rows.moved
    if rows.size > 1:
        x[:, 7:] += 0.8 * chance.normal(size=(group.max() + 1, 3))[group]
        score = score + 0.8 * chance.normal(size=group.max() + 1)[group]
    label = (rows.steep * score + chance.logistic(size=rows.count) > 0).astype(float)
    return Part(x, _flipped(chance, label, rows.noise), group)


def images(chance: np.random.Generator, rows: Rows) -> Part:
    """Grey images, some with a spot; `shift` is another device, `moved` lets readers miss faint spots."""
    label = (chance.random(rows.count) < 0.5).astype(float)
    strength = chance.uniform(0.7, 2.5, rows.count) * rows.steep / 1.6
    places = chance.uniform(3, EDGE - 3, (rows.count, 2, 1))
    steps = np.arange(EDGE)
    down, across = (np.exp(-((steps - places[:, axis]) ** 2) / 3) for axis in (0, 1))
    spots = down[:, :, None] * across[:, None, :]
    picture = (label * strength)[:, None, None] * spots + 0.6 * chance.normal(size=spots.shape)
    if rows.shift:  # less contrast, a gradient, stripes
        stripes = 0.8 * np.sin(2 * np.pi * (steps[:, None] / 4 + chance.random((rows.count, 1, 1))))
        picture = (1 - 0.35 * rows.shift) * picture + rows.shift * (stripes + 0.08 * steps[None, None, :])
    seen = label * (strength > rows.moved)
    return Part(picture, _flipped(chance, seen, rows.noise), np.arange(rows.count))


def _flipped(chance: np.random.Generator, label: Numbers, share: float) -> Numbers:
    return np.where(chance.random(len(label)) < share, 1 - label, label)


def draw(name: str, seed: int) -> tuple[Part, Part, Part]:
    """The labelled, the released and the clean rows of a world; a seed always draws the same."""
    world = WORLDS[name]
    chance = np.random.default_rng([seed, *name.encode()])
    make: Callable[[np.random.Generator, Rows], Part] = images if world.images else table
    old, new, test = (make(chance, rows) for rows in (world.old, world.new, world.test))
    apart = Part(new.x, new.y, new.group + old.group.max() + 1)
    return old, apart, Part(test.x, test.y, test.group + apart.group.max() + 1)


def _world(new: dict[str, float], test: dict[str, float], **both: float) -> World:
    """New and stage-2 rows that differ so from the old ones."""
    size = int(both.pop("size", 1))
    old = {name: both.pop(f"old_{name}") for name in ("noise",) if f"old_{name}" in both}
    count = int(both.pop("count", NEW))
    return World(
        Rows(OLD, size=size, **old),
        Rows(count, size=size, **both | new),
        Rows(TEST, size=size, **both | test),
    )


def _asked(new: dict[str, float]) -> World:
    world = _world(new, {})
    return World(world.old, world.new, world.test, answer=False)


def _images(new: dict[str, float], test: dict[str, float], *, answer: bool = True) -> World:
    return World(Rows(OLD), Rows(NEW, **new), Rows(TEST, **test), answer, images=True)


DRIFT, DECOY = {"shift": 0.8, "turned": 0.8}, {"shift": -0.8, "turned": 0.8}
WORLDS = {
    "none": _world({}, {}),
    "few new rows": _world({}, {}, count=30),
    "groups": _world({}, {}, size=8),
    "drift": _world({}, {}, **DRIFT),
    "hidden drift": _world({}, {}, turned=0.8),
    "drift in groups": _world({}, {}, size=8, **DRIFT),
    "covariate shift": _world({}, {}, shift=0.8),
    "20 % noise in old labels": _world({}, {}, old_noise=0.2),
    "10 % noise in new labels": _world({"noise": 0.1}, {}),
    "25 % noise in new labels": _world({"noise": 0.25}, {}),
    "35 % noise in new labels": _world({"noise": 0.35}, {}),
    "decoy": _world(DECOY, {}),
    "convention of new labels": _asked({"moved": -2.2}),
    "convention of both": _world({}, {}, moved=-2.2),
    "harder rows in both": _world({}, {}, steep=0.4),
    "drift, 25 % noise": _world({"noise": 0.25}, {}, **DRIFT),
    "hidden drift, 25 % noise": _world({"noise": 0.25}, {}, turned=0.8),
    "covariate shift, 35 % noise": _world({"noise": 0.35}, {}, shift=0.8),
    "decoy, 25 % noise": _world(DECOY | {"noise": 0.25}, {}),
    "60 new rows, 35 % noise": _world({"noise": 0.35}, {}, count=60),
    "mild drift": _world({}, {}, shift=0.3, turned=0.3),
    "images: another device": _images({"shift": 0.4}, {"shift": 0.4}),
    "images: tired readers": _images({"moved": 1.5, "noise": 0.15}, {}, answer=False),
    "images: fainter spots": _images({"steep": 0.9}, {"steep": 0.9}),
}
