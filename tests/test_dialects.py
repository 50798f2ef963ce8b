from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kagkit.formats.dialects import (
    DIALECTS,
    Dialect,
    detect,
    mask_problems,
    read_edges,
    refuse_wrong_dialect,
    write_edges,
)
from kagkit.foundation.errors import DataError, ManifestError

BOUNDED = settings(max_examples=50, deadline=None)
SHAPE = (4, 5)
PAIRS = "expected pairs of"
NUMBERS = r"expected whole numbers below 10\^12 between spaces"

# --- one cell ---


@BOUNDED
@given(st.lists(st.integers(1, 9), max_size=12).filter(lambda steps: len(steps) % 2 == 0), st.integers(0, 5))
def test_edges_are_written_and_read_back_in_either_dialect(steps: list[int], shift: int) -> None:
    edges = np.cumsum(np.array(steps, np.int64)) + shift
    pixels = int(edges[-1]) if len(edges) else 1
    for dialect in DIALECTS:
        found, faults = read_edges(write_edges(edges, dialect), pixels, dialect)
        assert (found.tolist(), faults) == (edges.tolist(), [])


@pytest.mark.parametrize("cell", ["-1", " -1", "-1 ", -1, -1.0, np.int64(-1)])
def test_minus_one_is_the_empty_cell_of_the_relative_dialect(cell: object) -> None:
    assert read_edges(cell, 20, "relative")[0].size == 0
    assert detect([cell], SHAPE) == ("relative",)


@pytest.mark.parametrize("cell", ["", "  ", None, float("nan"), pd.NA, np.nan])
def test_an_empty_cell_is_that_of_the_usual_dialect(cell: object) -> None:
    assert read_edges(cell, 20, "usual")[0].size == 0
    assert detect([cell], SHAPE) == ("usual",)


def test_stray_spaces_change_nothing() -> None:
    assert read_edges("  6 2   13\t2\n", 20, "usual")[0].tolist() == [5, 7, 12, 14]


PLANTED: list[tuple[object, Dialect, str]] = [
    ("1 2 3", "usual", f"a: 3 numbers.; {PAIRS} start and length"),
    ("1 2 3", "relative", f"a: 3 numbers.; {PAIRS} gap and length"),
    ("5", "usual", f"a: 1 numbers.; {PAIRS}"),
    ("1 x 3 y", "usual", f"no numbers in a .a: x, y.; {NUMBERS}"),
    ("1.0 2.0", "usual", f"1.0, 2.0.; {NUMBERS}"),
    ("1,2", "usual", f"1,2.; {NUMBERS}"),
    ("1_0 2", "usual", f"1_0.; {NUMBERS}"),
    ("+1 2", "usual", f"[+]1.; {NUMBERS}"),
    ("1--1 2", "usual", f"1--1.; {NUMBERS}"),
    ("\u0661 2", "usual", f"\u0661.; {NUMBERS}"),
    ("1\u00a02", "usual", NUMBERS),
    ("9" * 30 + " 1", "usual", f"{'9' * 20}.; {NUMBERS}"),
    ("9" * 12 + " " + "9" * 12, "usual", "runs outside the image"),
    (" ".join(["9" * 12] * 40), "relative", "runs outside the image"),
    ("1 0", "usual", "runs without a pixel in a .a: run 1 has the length 0.; expected lengths of 1 or more"),
    ("1 1 4 -2", "usual", "run 2 has the length -2"),
    ("3 -2", "relative", "run 1 has the length -2"),
    ("0 2", "usual", "outside the image in a .a: run 1 goes from pixel 0 to 1.; expected pixels 1 to 20"),
    ("19 3", "usual", "run 1 goes from pixel 19 to 21.; expected pixels 1 to 20"),
    ("0 21", "relative", "run 1 goes from pixel 0 to 20.; expected pixels 0 to 19"),
    ("-2 3", "relative", "run 1 goes from pixel -2 to 0"),
    ("5 2 1 2", "usual", "run 2 starts at pixel 1, run 1 ends at pixel 6.; expected sorted runs"),
    ("1 3 3 2", "usual", "run 2 starts at pixel 3, run 1 ends at pixel 3"),
    ("3 1 -2 1", "relative", "run 2 starts at pixel 2, run 1 ends at pixel 3"),
    ("-1", "usual", "-1 in a; expected an empty cell where there is no mask"),
    ("", "relative", "an empty cell in a; expected -1 where there is no mask"),
    (None, "relative", "an empty cell in a"),
    (0.5, "usual", "neither text nor a whole number in a"),
    (True, "usual", "neither text nor a whole number in a"),
    ([1, 2], "usual", "neither text nor a whole number in a"),
]


@pytest.mark.parametrize(("cell", "dialect", "message"), PLANTED)
def test_a_planted_fault_is_told(cell: object, dialect: Dialect, message: str) -> None:
    with pytest.raises(DataError, match=message):
        refuse_wrong_dialect(pd.Series([cell], ["a"], dtype=object), SHAPE, dialect)


# --- a column of cells ---


def test_problems_are_told_once_a_kind_with_five_ids() -> None:
    cells = pd.Series({f"r{row}": "3 2 7" for row in range(9)} | {"s": "1 2"}, name="EncodedPixels")
    (problem,) = mask_problems(cells, SHAPE, "usual")
    assert problem.where == "EncodedPixels"
    assert problem.found == "an odd count of numbers in r0, r1, r2, r3, r4 and 4 more (r0: 3 numbers)"


def test_sound_masks_have_no_problem() -> None:
    cells = pd.Series(["6 2 13 2", "", None, "20 1"], ["a", "b", "c", "a"])
    assert mask_problems(cells, SHAPE, "usual") == []
    refuse_wrong_dialect(cells, SHAPE, "usual")


def columns_of_masks(count: int, dialect: Dialect) -> pd.Series[Any]:
    """A column as hosts give it: most masks of several runs, some empty."""
    draw = np.random.default_rng(count)
    masks = [draw.random(64 * 64) < 0.02 * (number % 3) for number in range(count)]
    edges = [np.flatnonzero(np.diff(mask, prepend=False, append=False)) for mask in masks]
    return pd.Series([write_edges(each, dialect) for each in edges], [f"r{row}" for row in range(count)])


@pytest.mark.parametrize("dialect", DIALECTS)
def test_the_dialect_of_a_column_is_found(dialect: Dialect) -> None:
    assert detect(columns_of_masks(30, dialect), (64, 64)) == (dialect,)


@pytest.mark.parametrize(("declared", "true"), [("usual", "relative"), ("relative", "usual")])
def test_a_wrong_declaration_is_found_and_the_right_one_named(declared: Dialect, true: Dialect) -> None:
    cells = columns_of_masks(30, true)
    refuse_wrong_dialect(cells, (64, 64), true)
    with pytest.raises(DataError, match=f"not in the {declared} dialect but in the {true}") as caught:
        refuse_wrong_dialect(cells, (64, 64), declared)
    assert caught.value.problems[0].found == (
        f"30 of 30 cells cannot be {declared}, 0 of 30 cannot be {true}"
    )
    assert caught.value.problems[0].hint == f"declare the {true} dialect"


def test_a_wrong_declaration_is_named_though_a_few_cells_are_damaged() -> None:
    cells = columns_of_masks(30, "relative")
    cells["r5"] = "damaged"
    with pytest.raises(DataError, match="30 of 30 cells cannot be usual, 1 of 30 cannot be relative"):
        refuse_wrong_dialect(cells, (64, 64), "usual")


def test_damaged_cells_alone_do_not_accuse_the_dialect() -> None:
    cells = columns_of_masks(30, "usual")
    cells["r5"] = "damaged"
    with pytest.raises(DataError, match=r"the masks cannot be read in the usual dialect\n.*damaged"):
        refuse_wrong_dialect(cells, (64, 64), "usual")


def test_masks_of_one_run_fit_both_dialects() -> None:
    assert detect(["3 2", "9 1"], SHAPE) == DIALECTS


def test_masks_that_fit_no_dialect_are_told() -> None:
    assert detect(["3 2", "x"], SHAPE) == ()


def test_no_cell_fits_every_dialect() -> None:
    assert detect([], SHAPE) == DIALECTS


def test_a_column_of_a_dialect_there_is_not_is_refused() -> None:
    unknown: Any = "siim"
    with pytest.raises(ManifestError, match=r"'siim'\n.*one of: relative, usual"):
        mask_problems(pd.Series(["1 2"]), SHAPE, unknown)
