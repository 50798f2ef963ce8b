from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from kagkit.data import predictions
from kagkit.runs.decisions import compare_decisions
from kagkit.runs.deviations import measure

ONE, TWO = np.ones((1, 4)), np.ones((2, 4))  # entries of a ragged column


@pytest.mark.parametrize(
    ("then", "now", "flipped", "order_alone"),
    [
        ("a,0.4\nb,0.9", "a,0.45\nb,0.8", 0, False),
        ("a,0.4\nb,0.9", "a,0.6\nb,0.8", 1, False),
        ("a,1\nb,2", "b,2\na,1", 0, True),
        ("a,1\nb,2", "a,3\nb,2", 1, False),
        ("a,1.0\nb,2.0", "a,1\nb,2", 0, False),
        ("a,cat\nb,dog", "a,dog\nb,cat", 2, False),
        ("a,1 2\na,5 6\nb,", "a,5 6\na,1 2\nb,7 8", 1, False),
        ("a,1\nb,2", "a,1\nc,2", 2, False),
    ],
    ids=["moved", "side", "order", "label", "form", "text", "several lines a key", "other keys"],
)
def test_what_is_decided_otherwise_is_counted_by_key(
    tmp_path: Path, then: str, now: str, flipped: int, order_alone: bool
) -> None:
    files = [tmp_path / "then.csv", tmp_path / "now.csv"]
    for file, lines in zip(files, (then, now), strict=True):
        file.write_text(f"id,label\n{lines}\n")
    assert compare_decisions(files[0], files[1], ["id"]) == (flipped, order_alone)


def test_other_columns_have_no_decision_in_common(tmp_path: Path) -> None:
    files = [tmp_path / "then.csv", tmp_path / "now.csv"]
    files[0].write_text("id,label\na,1\n")
    files[1].write_text("id,grade\na,1\n")
    assert compare_decisions(files[0], files[1], ["id"]) == (None, False)


@pytest.mark.parametrize(
    ("then", "now", "distance"),
    [
        (np.array(["x", "y"]), np.array(["x", "y"]), 0.25),
        (np.array(["x", "y"]), np.array(["x", "z"]), None),
        ([ONE, TWO], [ONE, TWO], 0.25),
        ([ONE, TWO], [ONE, TWO + 1], None),
        (np.zeros((2, 2, 2)), np.zeros((2, 2, 3)), None),
        (np.zeros((2, 2, 2)), np.ones((2, 2, 2)), 1.0),
        ([ONE, TWO], np.array([1.0, 3.0]), None),
    ],
    ids=["text", "other text", "ragged", "other ragged", "other shape", "arrays", "other kind"],
)
def test_a_column_that_differs_and_is_no_number_leaves_no_distance(
    tmp_path: Path, then: object, now: object, distance: float | None
) -> None:
    keys, files = pd.Index(["a", "b"], name="id"), []
    for name, more, p in (("then", then, 0.5), ("now", now, 0.75)):
        files.append(tmp_path / f"{name}.arrow")
        chunks = iter([(["a", "b"], {"p": np.array([0.25, p]), "more": more})])
        predictions.write(files[-1], chunks, keys, key_names=["id"])
    assert measure(*files)[0] == distance
