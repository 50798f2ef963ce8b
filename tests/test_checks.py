from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from kagkit.judgement.checks import Expected, check_submission, expect
from kagkit.workspace.competition import read_competition
from tests.toy import make_workspace, write_competition

IDS = [f"id_{number:03d}" for number in range(8)]
NUMBERS = pd.DataFrame({"id": IDS, "label": 0})
RLES = pd.DataFrame({"id": IDS, "rle": "1 2"})
GOOD = "id,label\n" + "".join(f"{key},1\n" for key in IDS)


def found(tmp_path: Path, text: str, *, labels: bool = True, sample: pd.DataFrame = NUMBERS,
          several: bool = False) -> dict[str, str]:  # fmt: skip
    """The problems of a file, by check."""
    path = tmp_path / "submission.csv"
    path.write_text(text)
    expected = Expected(sample, ("id",), (sample.columns[1],), labels, several)
    problems = check_submission(path, expected)
    assert len({problem.check for problem in problems}) == len(problems)
    return {problem.check: str(problem) for problem in problems}


def test_a_good_file_has_no_problems(tmp_path: Path) -> None:
    assert found(tmp_path, GOOD) == {}
    assert found(tmp_path, GOOD.replace("\n", "\r\n")) == {}
    assert found(tmp_path, "\ufeff" + GOOD.replace(",1\n", ",0.25\n"), labels=False) == {}


@pytest.mark.parametrize(
    ("old", "new", "check", "told"),
    [
        ("id_003,1\n", "", "ids", "ids: 1 of 8 missing: id_003"),
        ("id_003,1\n", "id_003,1\nid_999,1\n", "ids", "ids: 1 not in the sample submission: id_999"),
        ("id_003,1\n", "id_003,1\nid_003,0\n", "ids", "ids: 1 stand more than once: id_003"),
        ("id_003,1\n", "id_003,1\n,1\n", "ids", "1 not in the sample submission: an empty id"),
        ("id_000,1\nid_001,1\n", "id_001,1\nid_000,1\n", "order", "line 2 has id_001; expected id_000"),
        ("id_003,1", "id_003,", "empty", "label: 1 empty: id_003"),
        ("id_003,1", "id_003,NaN", "empty", "label: 1 empty: id_003"),
        ("id_003,1", "id_003,inf", "infinite", "label: 1 infinite: id_003"),
        ("id_003,1", "id_003,cat", "types", "label: 1 of 8 are no numbers: 'cat' at id_003"),
        ("id_003,1", "id_003,0.5", "types", "label: 1 of 8 are no labels: 0.5 at id_003; expected whole"),
        ("id,label\n", "id,lable\n", "columns", "columns: id, lable; expected id, label"),
        ("\n", ",5\n", "columns", "columns"),
    ],
)  # fmt: skip
def test_each_fault_is_found_where_it_was_planted(
    tmp_path: Path, old: str, new: str, check: str, told: str
) -> None:
    problems = found(tmp_path, GOOD.replace(old, new))
    assert told in problems[check]


def test_columns_in_another_order_are_told(tmp_path: Path) -> None:
    turned = "label,id\n" + "".join(f"1,{key}\n" for key in IDS)
    assert found(tmp_path, turned) == {"columns": "columns: label, id; expected id, label"}


def test_many_ids_are_counted_and_five_are_shown(tmp_path: Path) -> None:
    problems = found(tmp_path, "".join(GOOD.splitlines(keepends=True)[:2]))
    assert problems["ids"] == "ids: 7 of 8 missing: id_001, id_002, id_003, id_004, id_005 and 2 more"


def test_text_targets_may_be_empty_on_purpose(tmp_path: Path) -> None:
    empty = "id,rle\n" + "".join(f"{key},\n" for key in IDS)
    assert found(tmp_path, empty, sample=RLES, labels=False) == {}


def test_truth_values_stay_what_the_sample_has(tmp_path: Path) -> None:
    truths = NUMBERS.assign(label=False)
    good = GOOD.replace(",1\n", ",True\n")
    assert found(tmp_path, good, sample=truths) == {}
    told = found(tmp_path, good.replace("id_003,True", "id_003,0.5"), sample=truths)
    assert told == {
        "types": "label: 1 are not True or False: 0.5 at id_003;"
        " expected True or False, as in the sample submission"
    }
    assert "8 are not True or False: 1 at id_000" in found(tmp_path, GOOD, sample=truths)["types"]
    assert (
        "1 empty: id_003" in found(tmp_path, good.replace("id_003,True", "id_003,"), sample=truths)["empty"]
    )
    assert "8 of 8 are no numbers: 'True' at id_000" in found(tmp_path, good)["types"]


def test_an_id_on_several_lines_is_a_fault_unless_it_is_meant(tmp_path: Path) -> None:
    twice = "id,rle\n" + "".join(f"{key},1 2\n{key},5 2\n" for key in IDS)
    told = found(tmp_path, twice, sample=RLES, labels=False)["ids"]
    assert "8 stand more than once: id_000, id_001, id_002, id_003, id_004 and 3 more" in told
    assert "submission: {lines: several}" in told
    assert found(tmp_path, twice, sample=RLES, labels=False, several=True) == {}
    assert "1 of 8 missing" in found(
        tmp_path, twice.replace("id_007", "id_006"), sample=RLES, labels=False, several=True
    )["ids"]  # fmt: skip


def test_what_is_no_table_is_one_problem(tmp_path: Path) -> None:
    (problem,) = found(tmp_path, "").values()
    assert problem.startswith("submission.csv: ")


def test_a_competition_says_what_it_expects(tmp_path: Path) -> None:
    root = make_workspace(tmp_path)
    expected = expect(root, read_competition(root), 1)
    assert expected is not None
    assert (expected.key, expected.target, expected.labels, len(expected.sample)) == (
        ("id",),
        ("label",),
        True,
        20,
    )
    write_competition(root, metric={"score": "kagkit.metrics:auc", "greater_is_better": True})
    assert (asked := expect(root, read_competition(root), 1)) is not None
    assert not asked.labels
    (root / "own.py").write_text("def score(solution, submission, row_id_column_name):\n    return 0.0\n")
    write_competition(root, metric={"score": "own:score", "greater_is_better": True})
    assert (asked := expect(root, read_competition(root), 1)) is not None
    assert not asked.labels, "a sample of zeros may stand for numbers"
    write_competition(root, stages={1: {"train": "data/train.csv", "test": "data/test.csv"}})
    assert expect(root, read_competition(root), 1) is None


def test_a_number_too_large_for_a_double_is_infinite_not_a_crash(tmp_path: Path) -> None:
    told = found(tmp_path, GOOD.replace(",1", f",{'9' * 400}", 1).replace(",1", ",x", 1))
    assert told["infinite"].endswith("1 infinite: id_000")
    assert told["types"].startswith("label: 1 of 8 are no numbers: 'x' at id_001")
