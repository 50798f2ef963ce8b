from __future__ import annotations

import gzip
import io
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kagkit.host.grading import GENERIC, cut_score
from kagkit.host.submissions import get_submission
from tests.hosting import answer, caller, graded, make_host, submit

RIGHT_PUBLIC = answer(d=1)  # one of three private rows is wrong


def test_public_and_private_rows_are_scored_apart_and_ignored_ones_not_at_all(tmp_path: Path) -> None:
    host = make_host(tmp_path)
    item = graded(host, submit(host, answer(a=1, g=0, h=1)))
    assert (item.status, item.public, item.private) == ("COMPLETE", 2 / 3, 1.0)


def test_rows_are_joined_by_id_whatever_their_order(tmp_path: Path) -> None:
    host = make_host(tmp_path)
    header, *lines = RIGHT_PUBLIC.splitlines()
    item = graded(host, submit(host, "\n".join([header, *reversed(lines)])))
    assert (item.public, item.private) == (1.0, 2 / 3)


def test_a_submission_may_be_packed_and_may_have_further_columns(tmp_path: Path) -> None:
    host = make_host(tmp_path, limits={"daily": 10})
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as target:
        target.writestr("submission.csv", answer())
    wider = answer().replace("id,y", "\ufeffid,y,z").replace("\n", ",9\n").replace("z,9\n", "z\n")
    for content in (packed.getvalue(), gzip.compress(answer().encode()), wider.encode()):
        assert graded(host, submit(host, content)).public == 1.0


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "ERROR: The submission is empty."),
        ("id,why\na,1\n", "ERROR: Required column (y) could not be found"),
        ("name,y\na,1\n", "ERROR: Required column (id) could not be found"),
        (answer(h=None), "Evaluation Exception: Submission must have 8 rows"),
        (answer(h=None) + "zebra,1\n", "ERROR: Unable to find the required key value 'h' in the 'id' column"),
        (
            answer(h=None, g=None) + "x,1\nz,1\n",
            "ERROR: Unable to find 2 required key values in the 'id' column",
        ),
        (
            answer(h=None) + "a,1\n",
            "ERROR: The value 'a' in the key column 'id' has already been defined (Line 9)",
        ),
        (
            gzip.compress(answer().encode(), mtime=0)[:30],
            "ERROR: The submission cannot be read as CSV: Compressed file",
        ),
        (answer(b=""), "Evaluation Exception: Submission contains null values (y)"),
        (answer(b="NaN"), "Evaluation Exception: Submission contains null values (y)"),
        ("id,y\na,1,2\nb,1,2\n", "ERROR: Some lines have more cells than the header."),
        (b"\xff\xfe\x00\x01", "ERROR: The submission is not text in UTF-8."),
        (b"PK\x03\x04 not a zip", "ERROR: The submission cannot be read as CSV"),
    ],
)
def test_what_is_wrong_is_told_to_the_participant(text: str | bytes, words: str, tmp_path: Path) -> None:
    host = make_host(tmp_path)
    item = graded(host, submit(host, text))
    assert item.status == "ERROR"
    assert item.error.startswith(words)
    assert str(tmp_path) not in item.error
    told = get_submission(host, caller(), {"ref": item.ref})
    assert (told["errorDescription"], told["publicScore"]) == (item.error, "")


def test_what_a_metric_finds_in_the_submission_is_told(tmp_path: Path) -> None:
    metric = {"score": "kagkit.metrics:rmse", "greater_is_better": False}
    host = make_host(tmp_path, metric=metric)
    item = graded(host, submit(host, answer(b="high")))
    assert item.error == "Evaluation Exception: submission, column y: high for b"


def test_no_fault_tells_which_rows_are_public(tmp_path: Path) -> None:
    metric = {"score": "kagkit.metrics:rmse", "greater_is_better": False}
    host = make_host(tmp_path, metric=metric, limits={"daily": 9})
    told = graded(host, submit(host, answer(**dict.fromkeys("bdg", "high")))).error
    assert told == "Evaluation Exception: submission, column y: high for b, d, g"


def test_what_a_metric_finds_in_the_solution_stays_with_the_host(tmp_path: Path) -> None:
    host = make_host(tmp_path, metric={"score": "kagkit.metrics:auc", "greater_is_better": True})
    text = (tmp_path / "solution.csv").read_text()
    (tmp_path / "solution.csv").write_text(text.replace("d,0,P", "d,1,P").replace("f,0,P", "f,1,P"))
    item = graded(host, submit(host, answer()))
    assert (item.status, item.error) == ("ERROR", GENERIC)


METRIC = """
class ParticipantVisibleError(Exception):
    pass


def visible(solution, submission, row_id_column_name):
    raise ParticipantVisibleError("y must not be 1")


def broken(solution, submission, row_id_column_name):
    raise ValueError("the secret is " + str(solution["y"].tolist()))


def endless(solution, submission, row_id_column_name):
    return float("inf")


def pairs(solution, submission, row_id_column_name, *, weight=1.0):
    assert row_id_column_name == "row_id"
    assert list(solution["row_id"]) == list(submission["row_id"])
    return weight * float((solution["y"] == submission["y"]).mean())
"""


@pytest.mark.parametrize(
    ("function", "words"),
    [
        ("visible", "y must not be 1"),
        ("broken", GENERIC),
        ("endless", "Evaluation Exception: the metric gave no finite number."),
    ],
)
def test_a_metric_of_the_hosts_own_says_what_may_be_read(function: str, words: str, tmp_path: Path) -> None:
    (tmp_path / f"metric_{function}.py").write_text(METRIC)
    metric = {"score": f"metric_{function}:{function}", "greater_is_better": True}
    host = make_host(tmp_path, metric=metric)
    assert graded(host, submit(host, answer())).error == words


def test_several_key_columns_are_given_to_the_metric_as_one(tmp_path: Path) -> None:
    (tmp_path / "metric_pairs.py").write_text(METRIC)
    (tmp_path / "pairs.csv").write_text("study,slice,y,Usage\n01,1,1,Public\n01,2,0,Private\n")
    host = make_host(
        tmp_path,
        metric={"score": "metric_pairs:pairs", "greater_is_better": True, "args": {"weight": 0.5}},
        submission={"key": ["study", "slice"], "target": ["y"]},
        stages={"1": {"files": ["files"], "solution": "pairs.csv"}},
    )
    item = graded(host, submit(host, "study,slice,y\n01,2,0\n01,1,1\n"))
    assert (item.public, item.private) == (0.5, 0.5)


@settings(max_examples=50, deadline=None)
@given(st.floats(min_value=-1e6, max_value=1e6))
def test_scores_are_cut_to_five_decimals_and_never_rounded(value: float) -> None:
    text = cut_score(value)
    assert len(text.partition(".")[2]) == 5
    assert abs(float(text)) <= abs(value) < abs(float(text)) + 1.01e-5


def test_scores_are_texts_and_the_private_one_is_empty_until_the_end(tmp_path: Path) -> None:
    host = make_host(tmp_path)
    ref = graded(host, submit(host, answer(a=1, d=1, e=0))).ref
    told = get_submission(host, caller(), {"ref": ref})
    assert (told["publicScore"], told["privateScore"]) == ("0.66666", "")
    host.register.close()
    assert get_submission(host, caller(), {"ref": ref})["privateScore"] == "0.33333"


@pytest.mark.parametrize("kind", ["zip", "gzip"])
def test_a_submission_that_unpacks_to_more_than_may_be_uploaded_is_refused(kind: str, tmp_path: Path) -> None:
    host = make_host(tmp_path, limits={"upload_mb": 1})
    content = answer().encode() + b"z,1\n" * 300_000
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as target:
        target.writestr("submission.csv", content)
    item = graded(host, submit(host, packed.getvalue() if kind == "zip" else gzip.compress(content)))
    assert item.error == "ERROR: The submission holds more than 1,000,000 bytes."


@pytest.mark.parametrize(
    ("value", "shown"), [(1e23, f"1{23 * '0'}.00000"), (-1.5e300, f"-15{299 * '0'}.00000")]
)
def test_a_score_of_any_size_is_shown(value: float, shown: str) -> None:
    assert cut_score(value) == shown
