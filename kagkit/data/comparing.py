"""Compare two parts of the data: drift, repeated rows, images that look alike, and what to do about them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from kagkit.data.drift import Drift, find_drift
from kagkit.data.duplicates import Duplicates, duplicate_images, duplicate_rows
from kagkit.data.parts import Pair, open_pair
from kagkit.data.sources import find_files
from kagkit.foundation.errors import counted, samples
from kagkit.workspace.layout import Workspace


@dataclass(frozen=True)
class Comparison:
    """All that was found in two parts.

    Attributes:
        parts: Their names.
        common_keys: How many keys stand in both.
        drift: Whether they can be told apart, and by what.
        rows: Rows that repeat each other.
        images: Images that look alike.
        hints: What to do about it.
    """

    parts: tuple[str, str]
    common_keys: int
    drift: Drift
    rows: Duplicates
    images: Duplicates
    hints: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """The comparison as plain data; every group has all its members."""
        facts = asdict(self)
        for name, found in (("rows", self.rows), ("images", self.images)):
            facts[name] = found.counts() | {"list": facts[name].pop("groups")} | facts[name]
        return facts


def compare_parts(workspace: Workspace, first: str, second: str | None, *, images: bool = True) -> Comparison:
    """Load two parts and look for what makes a score on one say little of the other.

    Args:
        workspace: The workspace.
        first: A part, `stage1/train`; or with no second, a stage: its train against its test rows.
        second: The other part.
        images: Whether to look at images.

    Raises:
        ManifestError: No such parts, or twice the same.
        DataError: Rows, folds or files cannot be read.
    """
    pair = open_pair(workspace, first, second)
    drift, rows = find_drift(pair), duplicate_rows(pair)
    pictures = Duplicates(0, why_not="not asked for")
    if images:
        pictures = duplicate_images(pair, workspace.root, _files(workspace, pair))
    one, other = (frame.index for frame in pair.frames)
    return Comparison(
        parts=pair.names,
        common_keys=int(one.isin(other).sum()),
        drift=drift,
        rows=rows,
        images=pictures,
        hints=(
            *_drift_hints(drift),
            *_duplicate_hints(rows, pair.names, "rows"),
            *_duplicate_hints(pictures, pair.names, "images"),
        ),
    )


def _files(workspace: Workspace, pair: Pair) -> list[str]:
    """The files of the parts' sources beside their tables, each once."""
    found: dict[str, None] = {}
    for source in dict.fromkeys(Path(name).parts[0] for name in pair.names):
        declared = workspace.competition.sources[source].get("files", ())
        if declared:
            listed = find_files(workspace.root, source, {"files": declared})
            found |= dict.fromkeys(file.path for file in listed)
    return list(found)


def _drift_hints(drift: Drift) -> Iterator[str]:
    if drift.verdict != "different":
        return
    telling = [each.column for each in drift.columns if each.alone.low > 0.5]
    if telling:
        yield f"leave out or transform what tells the parts apart, and see what CV says: {samples(telling)}"
    else:
        yield "no column tells the parts apart alone, several together do: see their importance"
    yield "validate on rows like those to predict: folds by time, or by the group that changed"


def _duplicate_hints(found: Duplicates, names: tuple[str, str], what: str) -> Iterator[str]:
    counts = found.counts()
    for fold_set, crossing in counts["across_folds"].items():
        told = f"{counted(crossing, 'group')} of {what} in several folds of {fold_set}: its CV is too good"
        yield f"{told}; give copies one group (rows: {{group: COLUMN}}) and deal new folds"
    if counts["across_parts"]:
        told = f"{counted(counts['across_parts'], 'group')} of {what} in both {names[0]} and {names[1]}"
        yield f"{told}: exclude them from one, or know why they are there"
    if counts["unlike_labels"]:
        told = f"{counted(counts['unlike_labels'], 'group')} of {what} with unlike labels"
        yield f"{told}: look at them, drop or correct what is wrong"
