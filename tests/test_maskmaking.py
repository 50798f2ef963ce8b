from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from kagkit.data.predictions import Predictions, write
from kagkit.formats.rle import decode
from kagkit.foundation.errors import DataError
from kagkit.metrics.maskmaking import triplet, without_small_pieces

KEYS = pd.Index(["a", "b", "c"], name="id")
ROWS = pd.DataFrame(index=KEYS)


def predictions_in(folder: Path, **columns: Any) -> Predictions:
    write(folder / "oof", iter([(KEYS, columns)]), KEYS, key_names=["id"])
    return Predictions.open(folder / "oof")


def images() -> np.ndarray[Any, np.dtype[np.float32]]:
    """A sure piece of 4 pixels in a fainter one of 9; a faint piece; a sure pixel far from a faint piece."""
    found = np.zeros((3, 8, 8), np.float32)
    found[0, :3, :3], found[0, :2, :2] = 0.5, 0.9
    found[1, :3, :3] = 0.5
    found[2, :2, :2], found[2, 7, 7] = 0.5, 0.9
    return found


def areas(table: pd.DataFrame, column: str = "mask") -> list[int]:
    return [int(decode(cell, (8, 8), "usual").sum()) for cell in table[column]]


def test_enough_sure_pixels_bring_the_fainter_ones_with_them(tmp_path: Path) -> None:
    given = predictions_in(tmp_path, mask=images())
    assert areas(triplet(given, ROWS, dialect="usual", top=0.75, area=4, bottom=0.3)) == [9, 0, 0]
    assert areas(triplet(given, ROWS, dialect="usual", top=0.75, area=1, bottom=0.3)) == [9, 0, 5]
    assert areas(triplet(given, ROWS, dialect="usual", top=0.75, area=1, bottom=0.3, piece=2)) == [9, 0, 4]


def test_a_classifier_empties_rows_and_each_target_has_its_column(tmp_path: Path) -> None:
    chance = np.array([0.2, 0.9, 0.9])
    given = predictions_in(tmp_path, mask=images(), other=images()[::-1].copy(), chance=chance)
    table = triplet(given, ROWS[::-1], dialect="usual", classifier="chance")
    assert list(table.columns) == ["mask", "other"]
    assert table.index.tolist() == ["c", "b", "a"]
    assert areas(table) == [5, 0, 0]
    assert areas(table, "other") == [9, 0, 0]


def test_an_empty_mask_is_written_as_the_dialect_writes_it(tmp_path: Path) -> None:
    given = predictions_in(tmp_path, mask=np.zeros((3, 2, 2), np.float32))
    assert triplet(given, ROWS, dialect="relative")["mask"].tolist() == ["-1"] * 3
    with pytest.raises(DataError, match="no column chance"):
        triplet(given, ROWS, dialect="usual", classifier="chance")


def test_pieces_that_touch_at_a_corner_belong_together() -> None:
    mask = np.array([[1, 0, 0, 0], [0, 1, 0, 1], [0, 0, 0, 0]], bool)
    assert without_small_pieces(mask, 2).sum() == 2
    assert without_small_pieces(mask, 3).sum() == 0
