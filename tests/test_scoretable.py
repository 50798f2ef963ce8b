from __future__ import annotations

from pathlib import Path

import pytest

from kagkit.foundation.errors import DataError
from kagkit.judgement.comparison import Comparison, compare_table
from kagkit.judgement.scoretable import read_cell, read_scoretable
from tests.terminal import kagkit

# As teams keep them, for a log loss: a leaderboard of half the test rows, then one of a handful.
STAGE_ONE = """experiment,cv,public_lb,private_lb
two bags,0.0412,0.042,
one bag,0.0414,0.042,
nine slices,0.0421,0.043,
five slices,0.0430,0.045,
wide,0.0445,0.047,
narrow,0.0461,0.049,
second try,-----,0.048,
shallow,0.0480,0.052,
four epochs,0.0512,0.055,
small images,0.0560,0.062,
tiny images,0.0630,????,
first try,0.0655,????,
"""
STAGE_TWO = """experiment,cv,cv_std,public_lb,private_lb
retrained,0.0412,0.0009,0.581,0.036
"with stage 1 test, bag",0.0414,0.0010,0.552,0.037
"without, bag",0.0419,0.0011,0.563,0.037
without,0.0421,0.0011,0.597,0.038
"""


def compared(folder: Path, text: str, *, greater_is_better: bool = False) -> Comparison:
    path = folder / "cvlb.csv"
    path.write_text(text, encoding="utf-8")
    return compare_table(path, greater_is_better)


def test_where_the_leaderboard_tracks_cv_it_is_said_and_odd_cells_are_named(tmp_path: Path) -> None:
    found = compared(tmp_path, STAGE_ONE)
    assert found.reading.startswith("LB tracks CV: Spearman 1.00 over 9 rows")
    assert found.alarms == ()
    assert found.remarks == (
        "cv: `-----` is no number and stays unknown, line 8",
        "public_lb: `????` is no number and stays unknown, lines 12-13",
    )
    assert len(found.rows) == 12
    assert {row.run: row.written for row in found.rows}["second try"] == {"cv": "-----"}


def test_where_the_public_board_means_nothing_cv_is_to_be_trusted(tmp_path: Path) -> None:
    found = compared(tmp_path, STAGE_TWO)
    assert found.reading == "the public board means nothing here, trust CV"
    (alarm,) = found.alarms
    assert alarm.kind == "public_board"
    assert "with the private scores, CV has Spearman 0.95 and public 0.32" in alarm.text


@pytest.mark.parametrize(
    ("cell", "value", "meaning"),
    [
        ("0.81", 0.81, ""),
        (" \t0.81\t", 0.81, ""),
        ("0.812*", 0.812, "is read as 0.812"),
        ("0.4371x", 0.43715, "is read as 0.43715"),
        ("\uff11.\uff15", 1.5, ""),
        ("", None, ""),
        ("  ", None, ""),
        *(
            (text, None, "is no number and stays unknown")
            for text in ("-", "---", "????", "NG", "nan", "inf")
        ),
    ],
)
def test_cells_are_read_as_people_write_them(cell: str, value: float | None, meaning: str) -> None:
    assert read_cell(cell) == (value, meaning)


def test_names_may_be_anything_and_equal_ones_are_told_apart(tmp_path: Path) -> None:
    found = compared(tmp_path, "experiment,cv,public_lb\n実験/一,0.1,0.2\nsame,0.2,0.3\nsame,0.3,0.4\n")
    assert [row.run for row in found.rows] == ["実験/一", "same (line 3)", "same (line 4)"]
    assert [row.experiment for row in found.rows] == ["実験/一", "same", "same"]


@pytest.mark.parametrize("separator", [";", "\t"])
def test_other_separators_and_a_byte_order_mark_are_read(tmp_path: Path, separator: str) -> None:
    text = "\ufeff" + STAGE_TWO.replace('"', "").replace(", bag", "").replace(",", separator)
    assert len(compared(tmp_path, text).rows) == 4


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("name,cv\na,1\n", "line 1: no column experiment"),
        ("experiment,CVs\na,1\n", "no column cv\n +hint: did you mean cvs"),
        ("experiment,cv\na,b,1\n", "line 2: 3 cells; expected 2\n +hint: quote the name"),
        ("experiment,cv\n", "no experiments"),
        ("", "no column experiment(.|\n)*no column cv"),
    ],
)
def test_what_is_no_table_of_scores_is_refused(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(DataError, match=told):
        compared(tmp_path, text)


def test_a_missing_file_and_a_binary_one_are_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        read_scoretable(tmp_path / "none.csv")
    (tmp_path / "odd.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="not a text file"):
        read_scoretable(tmp_path / "odd.csv")


def test_the_command_reads_a_table_outside_of_any_workspace(tmp_path: Path) -> None:
    (tmp_path / "cvlb.csv").write_text(STAGE_ONE)
    ended = kagkit(tmp_path, "compare", "--table", "cvlb.csv", "--lower-is-better")
    assert "????" in ended.out
    assert "-----" in ended.out
    assert "LB tracks CV" in ended.out
    told = kagkit(tmp_path, "compare", "--table", "cvlb.csv", "--lower-is-better", "--json").json
    assert told["rows"][0]["experiment"] == "two bags"
    assert told["spearman"]["cv_private"] is None
    assert "add --greater-is-better" in kagkit(tmp_path, "compare", "--table", "cvlb.csv", code=2).err
    both = kagkit(tmp_path, "compare", "a", "--table", "cvlb.csv", "--lower-is-better", code=2)
    assert "not both" in both.err
