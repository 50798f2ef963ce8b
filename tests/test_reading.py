from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from kagkit.foundation.errors import DataError
from kagkit.recipes.reading import Asked, read_asked, truth_table
from tests.hosts import ROWS, TEST_ROWS, small, write_files

TRAIN, TEST, SAMPLE = small()
LISTS: Any = [[1, 2]]
Tables = tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]
GONE = TRAIN["y"].where(TRAIN.index > 2)
LONG = pd.concat([SAMPLE.assign(id=SAMPLE["id"] + end) for end in ("_any", "_sub_dural")])


def read(folder: Path, train: pd.DataFrame, test: pd.DataFrame, sample: pd.DataFrame) -> Asked:
    return read_asked(write_files(folder, train, test, sample))


def test_key_and_targets_are_found_in_the_sample(tmp_path: Path) -> None:
    asked = read(tmp_path, TRAIN, TEST, SAMPLE[::-1])
    assert (asked.key, asked.targets, asked.truth, asked.absent) == (("id",), ("y",), ("y",), ())
    assert asked.train.index[:2].tolist() == ["r000", "r001"]
    assert asked.notes == ()


def test_ids_are_text_as_they_are_written(tmp_path: Path) -> None:
    numbered = [table.assign(id=[f"{n:05d}" for n in range(len(table))]) for table in (TRAIN, TEST, SAMPLE)]
    assert read(tmp_path, *numbered).train.index[7] == "00007"


@pytest.mark.parametrize("suffix", [".parquet", ".tsv", ".csv.gz"])
def test_tables_may_have_another_format_with_numbers_for_ids(suffix: str, tmp_path: Path) -> None:
    train, test, sample = (table.assign(id=range(len(table))) for table in (TRAIN, TEST, SAMPLE))
    assert read_asked(write_files(tmp_path, train, test, sample, suffix)).key == ("id",)


def test_several_columns_name_a_row_where_one_does_not_suffice(tmp_path: Path) -> None:
    tables = [table.assign(id=range(len(table)), eye="left") for table in (TRAIN, TEST, SAMPLE)]
    both = [pd.concat([table, table.assign(eye="right")]) for table in tables]
    assert read(tmp_path, *both).key == ("id", "eye")


def test_a_shared_column_that_repeats_the_test_rows_is_part_of_the_key(tmp_path: Path) -> None:
    cities = SAMPLE.merge(TEST[["id", "city"]])[["id", "city", "y"]]
    asked = read(tmp_path, TRAIN, TEST, cities)
    assert (asked.key, asked.targets) == (("id", "city"), ("y",))


def test_a_target_that_the_test_rows_have_is_told(tmp_path: Path) -> None:
    asked = read(tmp_path, TRAIN, TEST.assign(y=1), SAMPLE)
    assert asked.targets == ("y",)
    assert asked.notes == ("test.csv has the target y, hidden from predict: is it the truth?",)


def test_columns_that_the_test_rows_lack_are_told_and_left_out(tmp_path: Path) -> None:
    asked = read(tmp_path, TRAIN.assign(casual=3, registered=4), TEST, SAMPLE)
    assert asked.absent == ("casual", "registered")
    assert asked.notes == ("casual, registered: in train.csv alone, so no model learns from it",)


@pytest.mark.parametrize("form", ["kind_{}", "{}"])
def test_targets_may_be_the_classes_of_one_column(form: str, tmp_path: Path) -> None:
    train = TRAIN.drop(columns="y").assign(kind=["C", "D", "CL"] * (ROWS // 3))
    sample = SAMPLE[["id"]].assign(**{form.format(label): 0.3 for label in ("C", "CL", "D")})
    asked = read(tmp_path, train, TEST, sample)
    assert (asked.truth, asked.class_column) == (("kind",), form)
    truth = truth_table(asked.train, asked.truth, asked.class_column)
    assert set(truth) == set(asked.targets)
    assert (truth.sum(axis=1) == 1).all()


def test_lists_among_the_columns_are_told_and_text_that_looks_like_json_is_text(tmp_path: Path) -> None:
    train, test = (table.assign(boxes=LISTS * len(table), json="[1, 2]") for table in (TRAIN, TEST))
    (note,) = read_asked(write_files(tmp_path, train, test, SAMPLE, ".parquet")).notes
    assert note.startswith("boxes: lists, which boosting.py takes for text")


REFUSED: dict[str, tuple[Tables, str]] = {
    "ids are missing": (
        (TRAIN, TEST, SAMPLE[3:]),
        r"sample.csv: 3 of the 20 ids of test.csv are missing: r060, r061, r062\n.*is it the sample",
    ),
    "ids are too many": (
        (TRAIN, TEST[1:], SAMPLE),
        r"sample.csv: 1 id that test.csv lacks: r060",
    ),
    "ids are others": (
        (TRAIN, TEST, SAMPLE.assign(id=range(TEST_ROWS))),
        r"(?s)not one id of test.csv: 0, 1, 2, .*; expected its ids: r060, r061, .*is it the sample",
    ),
    "ids have zeros more": (
        (TRAIN, TEST.assign(id=range(20)), SAMPLE.assign(id=[f"{n:02d}" for n in range(20)])),
        r"10 ids that test.csv lacks: 00, 01, 02, 03, 04",
    ),
    "ids are composite": (
        (TRAIN, TEST, LONG),
        r"40 ids for 20 test rows: <id>_<any or sub_dural>.*\n.*rows: \{key: \[id\]\}.*lines:make_solution",
    ),
    "ids are composite under another name": (
        (TRAIN, TEST, LONG.rename(columns={"id": "ID"})),
        r"<id>_<any or sub_dural>\n.*rows: \{key: \[id\]\}, submission: \{key: \[ID\], target: \[y\]\}",
    ),
    "an id has several lines": (
        (TRAIN, TEST, pd.concat([SAMPLE, SAMPLE[:2]])),
        r"sample.csv: several lines with one id: r060, r061.*\n.*lines: several",
    ),
    "an id has several rows": (
        (TRAIN, pd.concat([TEST, TEST[:1]]), SAMPLE),
        r"test.csv: several rows with one id: r060; expected one row an id\n.*load_rows",
    ),
    "the id has another name": (
        (TRAIN, TEST, SAMPLE.rename(columns={"id": "Id"})),
        r"sample.csv: Id is called id in test.csv; expected one name\n.*rename it",
    ),
    "the test rows have no id": (
        (TRAIN, TEST.drop(columns="id"), SAMPLE),
        r"test.csv: none of the columns of sample.csv; expected one of id, y\n.*name the rows: .*load_rows",
    ),
    "the training rows have no id": (
        (TRAIN.drop(columns="id"), TEST, SAMPLE),
        r"train.csv: no column id\n.*name the rows: .*load_rows",
    ),
    "training ids repeat": (
        (pd.concat([TRAIN, TRAIN[:1]]), TEST, SAMPLE),
        r"train.csv: 1 key on more than one row: r000",
    ),
    "the target is not there": (
        (TRAIN.rename(columns={"y": "Y"}), TEST, SAMPLE),
        r"train.csv: no column y; expected the targets of sample.csv\n.*did you mean Y",
    ),
    "the training table is another one": (
        (TEST, TEST, SAMPLE),
        r"train.csv: no column y; .*\n.*is it the training table\?",
    ),
    "the target has gaps": (
        (TRAIN.assign(y=GONE), TEST, SAMPLE),
        r'y: no value in 3 of 60 rows: r000, r001, r002; .*\n.*table.dropna\(subset=\["y"\]\)',
    ),
    "the target is infinite": (
        (TRAIN.assign(y=[np.inf, *range(ROWS - 1)]), TEST, SAMPLE),
        r"y: no value in 1 of 60 rows: r000; expected a finite value in every row",
    ),
    "the target never changes": (
        (TRAIN.assign(y="cat"), TEST, SAMPLE),
        r"train.csv: y: cat in every row; expected two values or more\n.*is it the whole training table",
    ),
    "the target is free text": (
        (TRAIN.assign(y=TRAIN["id"]), TEST, SAMPLE),
        r"y: 60 different texts in 60 rows; expected numbers, or at most 100 classes with 5 rows",
    ),
    "two targets are wrong at once": (
        (TRAIN.assign(y=1, z=GONE), TEST, SAMPLE.assign(z=0)),
        r"(?s)y: 1 in every row.*z: no value in 3 of 60 rows",
    ),
    "there is nothing to learn from": (
        (TRAIN[["id", "y"]], TEST[["id"]], SAMPLE),
        r"train.csv: no column beside ids and target; .*\n.*files: \[…\]",
    ),
    "there are no rows": ((TRAIN[:0], TEST, SAMPLE), r"train.csv: no rows; expected at least one"),
}


@pytest.mark.parametrize("tables", REFUSED, ids=lambda name: name.replace(" ", "_"))
def test_what_cannot_be_used_is_refused_when(tables: str, tmp_path: Path) -> None:
    given, message = REFUSED[tables]
    with pytest.raises(DataError, match=message):
        read(tmp_path, *given)


def test_a_target_of_lists_is_refused(tmp_path: Path) -> None:
    train = TRAIN.assign(y=LISTS * ROWS)
    with pytest.raises(DataError, match=r"train.parquet: y: lists; expected numbers or text"):
        read_asked(write_files(tmp_path, train, TEST, SAMPLE, ".parquet"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\x89PNG\r\n\x1a\n\x00\xff", "train.csv line 1: not UTF-8"),
        (b"", "train.csv: an empty file"),
        (b"id,a,city,y\nr0,1,Oslo,0,9\n", "train.csv line 2: more cells than the 4 of the header"),
        (b"id,a,a,y\nr0,1,2,0\n", "column names that are there more than once: a"),
    ],
)
def test_a_file_that_is_no_table_is_refused(content: bytes, message: str, tmp_path: Path) -> None:
    given = write_files(tmp_path, TRAIN, TEST, SAMPLE)
    given.train.write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_asked(given)


def test_a_sample_submission_that_is_no_csv_is_refused(tmp_path: Path) -> None:
    given = write_files(tmp_path, TRAIN, TEST, SAMPLE)
    sample = given.sample.rename(tmp_path / "sample.parquet")
    with pytest.raises(DataError, match=r"sample.parquet: not a CSV by its suffix; expected .csv or .csv.gz"):
        read_asked(type(given)(given.train, given.test, sample))


def test_many_columns_are_read_in_bounded_time_and_told(tmp_path: Path) -> None:
    wide = pd.DataFrame(np.zeros((ROWS + TEST_ROWS, 6000), dtype=int)).add_prefix("g")
    train, test = (
        wide[:ROWS].assign(id=TRAIN["id"], y=TRAIN["y"]),
        wide[ROWS:].assign(id=TEST["id"].to_numpy()),
    )
    given = write_files(tmp_path, train, test, SAMPLE)
    began = time.process_time()
    (note,) = read_asked(given).notes
    assert note.startswith("6,000 columns, so that every step takes minutes; keep such numbers in a file")
    assert time.process_time() - began < 20
