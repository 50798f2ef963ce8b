"""Time writing and reading masks as run lengths beside numpy, pycocotools and a loop over pixels.

A figure is the seconds that a thousand masks of 1024 x 1024 take, which are also the milliseconds of one.
The smooth mask is two ellipses; the turned one is the same, column-major in memory; the speckled one has the
noise of a network's first epochs. numpy is the idiom of public notebooks. pycocotools writes its own compact
form, which these hosts do not take; to read, it is handed counts from the host's text.
"""

from __future__ import annotations

import itertools
import sys
import time
from collections.abc import Callable

import numpy as np
from measuring import Action, Target, ceiling, ratio, report, speedup, take_turns
from numpy.typing import NDArray

from kagkit.formats.rle import decode, encode

SHAPE = (1024, 1024)
ROUNDS = 7
Mask = NDArray[np.bool_]


def draw_masks() -> dict[str, Mask]:
    """Two ellipses; the same with columns side by side in memory; the same with 3 in 1,000 pixels flipped."""
    down, across = np.mgrid[: SHAPE[0], : SHAPE[1]]
    left = ((down - 300) / 180) ** 2 + ((across - 350) / 90) ** 2 < 1
    right = ((down - 650) / 120) ** 2 + ((across - 700) / 140) ** 2 < 1
    speckles = np.random.default_rng(0).random(SHAPE) < 0.003
    smooth = left | right
    return {"smooth": smooth, "turned": np.asfortranarray(smooth), "speckled": smooth ^ speckles}


def write_by_loop(mask: Mask) -> str:
    """Look at one pixel after the other."""
    numbers, start, place = [], 0, 0
    for column in mask.T.tolist():
        for pixel in column:
            place += 1
            if pixel and not start:
                start = place
            elif start and not pixel:
                numbers += [start, place - start]
                start = 0
    if start:
        numbers += [start, place + 1 - start]
    return " ".join(map(str, numbers))


def write_by_numpy(mask: Mask) -> str:
    """Turn the mask, put a zero at either end, and look where neighbours differ."""
    line = np.concatenate([[0], mask.flatten(order="F"), [0]])
    runs = np.flatnonzero(line[1:] != line[:-1]) + 1
    runs[1::2] -= runs[::2]
    return " ".join(map(str, runs))


def read_by_numpy(text: str) -> Mask:
    """Set one slice a run."""
    numbers = np.array(text.split(), dtype=np.int64)
    line = np.zeros(SHAPE[0] * SHAPE[1], dtype=np.bool_)
    for start, length in zip(numbers[::2] - 1, numbers[1::2], strict=True):
        line[start : start + length] = True
    return line.reshape(SHAPE, order="F")


def coco_peers() -> tuple[Callable[[Mask], object], Callable[[str], Mask]]:
    """How pycocotools writes a mask, and reads one from relative run lengths."""
    try:
        from pycocotools import mask as coco
    except ModuleNotFoundError:
        sys.exit("pycocotools is not installed: pip install -e '.[bench]'")

    def read(text: str) -> Mask:
        counts = [int(word) for word in text.split()]
        counts.append(SHAPE[0] * SHAPE[1] - sum(counts))
        return coco.decode(coco.frPyObjects({"counts": counts, "size": list(SHAPE)}, *SHAPE)).view(np.bool_)

    return lambda mask: coco.encode(np.asfortranarray(mask.view(np.uint8))), read


def quickest(action: Callable[[], object], times: int = 20) -> Action:
    """Do something so many times, and return what a thousand times as quick as the quickest would take."""

    def timed() -> float:
        ends = [time.perf_counter()]
        for _ in range(times):
            action()
            ends.append(time.perf_counter())
        return 1000 * min(end - began for began, end in itertools.pairwise(ends))

    return timed


def actions_on(name: str, mask: Mask) -> tuple[dict[str, Action], bool]:
    """What is timed on a mask, and whether everyone agrees on it."""
    coco_write, coco_read = coco_peers()
    usual, relative = encode(mask, "usual"), encode(mask, "relative")
    masks = [decode(usual, SHAPE, "usual"), decode(relative, SHAPE, "relative")]
    masks += [read_by_numpy(usual), coco_read(relative)]
    agreed = usual == write_by_numpy(mask) == write_by_loop(mask) and all(
        (mask == one).all() for one in masks
    )
    actions = {
        f"write {name}: kagkit": quickest(lambda: encode(mask, "usual")),
        f"write {name}: pycocotools": quickest(lambda: coco_write(mask)),
        f"write {name}: numpy": quickest(lambda: write_by_numpy(mask)),
        f"write {name}: loop": quickest(lambda: write_by_loop(mask), 2),
        f"read {name}: kagkit": quickest(lambda: decode(usual, SHAPE, "usual")),
        f"read {name}: pycocotools": quickest(lambda: coco_read(relative)),
        f"read {name}: numpy": quickest(lambda: read_by_numpy(usual)),
    }
    return actions, agreed


def main() -> None:
    actions, targets = {}, []
    for name, mask in draw_masks().items():
        added, agreed = actions_on(name, mask)
        actions |= added
        targets.append(Target(f"{name}: all write and read the same mask", str(agreed), agreed))
    seconds = take_turns(actions, ROUNDS)
    targets += [
        ceiling(seconds, "write smooth: kagkit", at_most=1),
        ceiling(seconds, "read smooth: kagkit", at_most=1),
        speedup(seconds, "write smooth: kagkit", "write smooth: loop", at_least=100),
        *(
            ratio(seconds, f"{action}: kagkit", f"{action}: {peer}", at_most=1)
            for action in ("write smooth", "write turned", "write speckled", "read smooth", "read speckled")
            for peer in ("pycocotools", "numpy")
        ),
    ]
    report("A thousand masks, each as the quickest of 20", seconds, targets)


if __name__ == "__main__":
    main()
