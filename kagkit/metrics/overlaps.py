"""Read the runs of masks, and count the pixels that masks share from their runs alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from kagkit.foundation.errors import Problem, did_you_mean
from kagkit.metrics.refusals import refuse_argument

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from kagkit.formats.dialects import Edges


def read_masks(
    cells: pd.Series[Any], where: str, shape: Sequence[int], dialect: str
) -> tuple[list[Edges], list[Problem]]:
    """The runs of each cell, and everything that is wrong with the column.

    Args:
        cells: Masks, by id.
        where: What problems call the column.
        shape: (height, width) of the images; where they differ, one that holds the largest: which pixels
            two masks share does not depend on where a column ends.
        dialect: How the masks are written, `usual` or `relative`.

    Returns:
        A mask an entry: 0-based pixels start, end, start, end ..., ends excluded, int64.

    Raises:
        ManifestError: There is no such dialect, or the shape has no pixel.

    Example:
        >>> import pandas as pd
        >>> masks, problems = read_masks(pd.Series({"a": "1 2 5 1", "b": None}), "runs", (2, 3), "usual")
        >>> [edges.tolist() for edges in masks], problems
        ([[0, 2, 4, 5], []], [])
    """
    from kagkit.formats.cells import fault_problems
    from kagkit.formats.dialects import DIALECTS, read_edges

    if dialect not in DIALECTS:
        refuse_argument("the score", "dialect", dialect, hint=did_you_mean(str(dialect), DIALECTS))
    if len(shape) != 2 or min(shape) < 1:
        refuse_argument("the score", "shape", list(shape), "a height and a width, in pixels")
    pixels = shape[0] * shape[1]
    read = [read_edges(cell, pixels, dialect) for cell in cells]
    faults = ((key, fault) for key, (_, found) in zip(cells.index, read, strict=True) for fault in found)
    return [edges for edges, _ in read], fault_problems(where, faults)


def count_pixels(edges: Edges) -> int:
    """The pixels of a mask.

    Example:
        >>> import numpy as np
        >>> count_pixels(np.array([0, 2, 4, 5]))
        3
    """
    return int((edges[1::2] - edges[::2]).sum())


def count_shared(edges: Edges, others: Sequence[Edges]) -> NDArray[np.int64]:
    """How many pixels a mask shares with each of some others (n_others,).

    Example:
        >>> import numpy as np
        >>> count_shared(np.array([0, 10]), [np.array([8, 12]), np.array([], dtype=int)]).tolist()
        [2, 0]
    """
    import numpy as np

    if not others:
        return np.zeros(0, np.int64)
    runs = [len(other) // 2 for other in others]
    shared = np.diff(_covered(edges, np.concatenate(others)))[::2]
    owners = np.repeat(np.arange(len(others)), runs)
    return np.bincount(owners, weights=shared, minlength=len(others)).astype(np.int64)


def _covered(edges: Edges, places: Edges) -> Edges:
    """How many pixels of a mask lie before each place."""
    import numpy as np

    passed = np.searchsorted(edges, places, side="right")
    before = np.concatenate([[0], np.cumsum(edges[1::2] - edges[::2])])[passed // 2]
    within = np.where(passed % 2, places - np.concatenate([[0], edges])[passed], 0)
    covered: Edges = before + within
    return covered


def overlap_themselves(masks: Sequence[Edges]) -> bool:
    """Whether some of these masks share a pixel.

    Example:
        >>> import numpy as np
        >>> overlap_themselves([np.array([0, 2, 8, 9]), np.array([2, 4])])
        False
        >>> overlap_themselves([np.array([0, 2, 8, 9]), np.array([1, 4])])
        True
    """
    import numpy as np

    if not masks:
        return False
    runs = np.concatenate(masks).reshape(-1, 2)
    runs = runs[runs[:, 0].argsort()]
    return bool((runs[1:, 0] < runs[:-1, 1]).any())
