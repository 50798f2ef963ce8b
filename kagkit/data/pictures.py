"""Hash images by what they look like, find those that look alike, count the files that are none."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from kagkit.data.neighbours import Codes, join_pairs, pairs_of_bits

# Of the 64 bits of a hash: the same picture in another size or quality differs in fewer.
ALIKE = 4
NEEDED = "images need two libraries more: pip install 'kagkit[images]'"


@dataclass(frozen=True, eq=False)
class Pictures:
    """What was seen of some files.

    Attributes:
        files: The images, by path from the workspace.
        hashes: (n,) uint64, their perceptual hashes.
        pixels: (n,) int64, equal for images that are equal in every pixel.
        plain: (n,) whether an image has one colour only, so that its hash says nothing.
        others: How many files are not in a format pillow reads, by ending.
        unreadable: Files that should be images and cannot be read.
    """

    files: tuple[str, ...]
    hashes: NDArray[np.uint64]
    pixels: Codes
    plain: NDArray[np.bool_]
    others: dict[str, int]
    unreadable: tuple[str, ...]

    def groups(self) -> Codes:
        """(n,) int64, equal for images that look alike: hashes that differ in at most 4 of 64 bits.

        Images of one colour belong to those with the very same pixels only.
        """
        told = np.flatnonzero(~self.plain)
        near = told[pairs_of_bits(self.hashes[told], ALIKE)]
        _, first, back = np.unique(self.pixels, return_index=True, return_inverse=True)
        same = np.column_stack([first[back], np.arange(len(back))])
        return join_pairs(np.concatenate([near, same]), len(self.files))


def can_look() -> bool:
    """Whether the libraries of the extra `images` are installed."""
    return all(find_spec(name) is not None for name in ("PIL", "imagehash"))


def look_at(root: Path, files: Sequence[str]) -> Pictures:
    """Read images and hash them, several at a time.

    Args:
        root: The workspace.
        files: Paths from the workspace, of images and of anything else.

    References:
        The hash is imagehash's `phash`: the signs of the 64 lowest frequencies of the image, 32 by 32
        pixels, grey, around their median.
    """
    from PIL import Image

    known = Image.registered_extensions()
    mine = [file for file in files if PurePosixPath(file).suffix.lower() in known]
    others = Counter(PurePosixPath(file).suffix.lower() or "no ending" for file in set(files) - set(mine))
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        seen = list(pool.map(_look, [root / file for file in mine]))
    pairs = [(file, facts) for file, facts in zip(mine, seen, strict=True) if facts is not None]
    return Pictures(
        files=tuple(file for file, _ in pairs),
        hashes=np.array([bits for _, (bits, _, _) in pairs], dtype="uint64"),
        pixels=pd.factorize(np.array([digest for _, (_, digest, _) in pairs], dtype=object))[0].astype(
            "int64"
        ),
        plain=np.array([plain for _, (_, _, plain) in pairs], dtype=bool),
        others=dict(sorted(others.items())),
        unreadable=tuple(file for file, facts in zip(mine, seen, strict=True) if facts is None),
    )


def _look(path: Path) -> tuple[int, str, bool] | None:
    """An image's hash, the digest of its pixels, and whether it has one colour; None where it is damaged."""
    import imagehash
    from PIL import Image

    try:
        with Image.open(path) as image:
            pixels = image.convert("RGB")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return None
    digest = hashlib.sha256(f"{pixels.size}".encode() + pixels.tobytes()).hexdigest()
    channels = np.asarray(pixels).reshape(-1, 3)
    plain = bool((channels == channels[0]).all())
    return int(str(imagehash.phash(pixels)), 16), digest, plain
