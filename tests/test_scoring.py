from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kagkit.data.predictions import Predictions, write
from kagkit.foundation.errors import RunError, SubmissionError
from kagkit.metrics.scoring import Scorer, read_sample, read_submission, to_sample_order
from kagkit.workspace.competition import Competition, read_competition
from kagkit.workspace.manifest import Making
from tests.toy import COMPETITION, write_competition, write_data

ROWS = pd.DataFrame({"a": [0.5, 1.5, 2.5], "label": [0, 1, 1]}, index=pd.Index(["x", "y", "z"], name="id"))
USERS = """import pandas as pd


def score(solution, submission, row_id_column_name, *, harm=""):
    assert list(solution[row_id_column_name]) == list(submission[row_id_column_name])
    if harm == "raise":
        raise ValueError("no such luck")
    if harm == "nan":
        return float("nan")
    return float((solution["label"] * 10 + submission["label"]).sum())


def truth(rows):
    return rows[["label"]] + 1


def make(predictions, rows, *, least=0.5):
    assert "label" not in rows
    return (predictions > least).astype(int)


def arrays(predictions, rows):
    assert not hasattr(predictions, "loc")
    return rows.assign(label=predictions.array("mask", rows.index).sum(axis=1))


def chunks(predictions, rows):
    parts = [pd.Series(part.array("mask").sum(axis=1), keys) for keys, part in predictions.iterate()]
    return pd.concat(parts).rename("label").reset_index()


def nothing(predictions, rows):
    return None


def nameless(predictions, rows):
    return predictions.rename(columns={"label": "lable"})
"""


@pytest.fixture(autouse=True)
def own_import_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """Functions of a workspace are imported by its folder, which goes when the test ends."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "toy_functions", raising=False)


def competition_in(root: Path, **changes: Any) -> Competition:
    write_data(root)
    (root / "toy_functions.py").write_text(USERS)
    write_competition(root, **changes)
    return read_competition(root)


def scorer_in(
    root: Path,
    make: str | None = None,
    args: dict[str, Any] | None = None,
    labelled: pd.DataFrame | None = None,
    **changes: Any,
) -> Scorer:
    """A scorer; `score` is short for a metric whose more is better."""
    score = changes.pop("score", "kagkit.metrics:accuracy")
    metric = {"score": score, "greater_is_better": True} | changes.pop("metric", {})
    competition = competition_in(root, metric=metric, **changes)
    sample = read_sample(root, competition)
    return Scorer(root, competition, Making(make, args or {}), sample, ("label",), labelled)


def predicted(keys: list[str], **columns: Any) -> Predictions:
    ids = {"id": pa.array(keys, pa.large_string())}
    return Predictions(
        pa.table(ids | {name: pa.array(values) for name, values in columns.items()}), ("id",), "oof"
    )


@pytest.mark.parametrize(
    ("score", "given", "made"),
    [
        ("kagkit.metrics:accuracy", [0.25, 0.5, 0.75], [0, 1, 1]),
        ("kagkit.metrics:auc", [0.25, 0.5, 0.75], [0.25, 0.5, 0.75]),
        ("toy_functions:score", [0.25, 0.5, 0.75], [0, 1, 1]),
        ("kagkit.metrics:accuracy", [0.0, 1.0, 2.0], [0, 1, 2]),
        ("kagkit.metrics:accuracy", [3, 4, 5], [3, 4, 5]),
        ("kagkit.metrics:accuracy", [True, False, True], [1, 0, 1]),
        ("kagkit.metrics:accuracy", ["cat", "dog", "cat"], ["cat", "dog", "cat"]),
    ],
)
def test_predictions_become_what_the_metric_takes(tmp_path: Path, score: str, given: Any, made: Any) -> None:
    table = scorer_in(tmp_path, score=score).make(predicted(["z", "x", "y"], label=given), ROWS)
    assert table.columns.tolist() == ["id", "label"]
    assert table.set_index("id")["label"].to_dict() == dict(zip("zxy", made, strict=True))


def test_numbers_that_are_no_probabilities_are_not_rounded_on_a_guess(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"values from -0.5 to 1.5 where labels are asked") as caught:
        scorer_in(tmp_path).make(predicted(["x", "y", "z"], label=[-0.5, 0.5, 1.5]), ROWS)
    assert "submission: {make: module:function}" in str(caught.value)


@pytest.mark.parametrize(
    ("names", "made"), [(("0", "1"), ["1", "0", "1"]), (("cat", "dog"), ["dog", "cat", "dog"])]
)
def test_a_column_for_each_class_becomes_the_likeliest_class(tmp_path: Path, names: Any, made: Any) -> None:
    columns = dict(zip(names, ([0.2, 0.9, 0.4], [0.8, 0.1, 0.6]), strict=True))
    table = scorer_in(tmp_path).make(predicted(["x", "y", "z"], **columns), ROWS)
    assert table["label"].tolist() == made


def labels_made(root: Path, classes: list[Any], score: str = "accuracy", **columns: Any) -> list[Any]:
    """What the labels of three rows become where the training rows hold these classes."""
    metric = score if ":" in score else f"kagkit.metrics:{score}"
    scorer = scorer_in(root, score=metric, labelled=pd.DataFrame({"label": classes}))
    made: list[Any] = scorer.make(predicted(["x", "y", "z"], **columns), ROWS)["label"].tolist()
    return made


@pytest.mark.parametrize(
    ("classes", "columns", "made"),
    [
        ([0, 1], {"label": [0.25, 0.5, 0.75]}, [0, 1, 1]),
        ([False, True], {"label": [0.25, 0.5, 0.75]}, [False, True, True]),
        ([False, True], {"label": [True, False, True]}, [True, False, True]),
        ([False, True], {"label": [1, 0, 1]}, [True, False, True]),
        ([False, True], {"False": [0.1, 0.9, 0.2], "True": [0.9, 0.1, 0.8]}, [True, False, True]),
        ([0, 1], {"label": [True, False, True]}, [1, 0, 1]),
        ([0.0, 1.0, None], {"label": [0.25, 0.5, 0.75]}, [0, 1, 1]),
        ([1, 2], {"label": [2.0, 1.0, 2.0]}, [2, 1, 2]),
        ([1, 2], {"1": [0.1, 0.9, 0.2], "2": [0.9, 0.1, 0.8]}, [2, 1, 2]),
        (["01", "02"], {"01": [0.1, 0.9, 0.2], "02": [0.9, 0.1, 0.8]}, ["02", "01", "02"]),
    ],
)
def test_labels_are_written_as_the_training_rows_write_them(
    tmp_path: Path, classes: list[Any], columns: Any, made: list[Any]
) -> None:
    found = labels_made(tmp_path, classes, **columns)
    assert (found, [type(label) for label in found]) == (made, [type(label) for label in made])


@pytest.mark.parametrize(
    ("classes", "columns", "told"),
    [
        ([1, 2], {"label": [0.1, 0.9, 0.2]}, "from 0.1 to 0.9 .* classes 1, 2; expected a column per class"),
        ([-1, 1], {"label": [-0.5, 0.5, 1]}, "classes -1, 1; expected a column per class"),
        ([-1, 1], {"label": [0.0, 1.0, -1.0]}, "label: 0.0: no class of the training rows; expected -1, 1"),
        ([0, 1, 2], {"label": [0.5, 1.5, 1]}, "classes 0, 1, 2; expected a column per class"),
        (["cat", "dog"], {"label": [0.5, 0.1, 1]}, "classes cat, dog; expected a column per class"),
        (["cat", "dog"], {"label": ["cat", "cow", "dog"]}, "label: cow: no class"),
        ([0, 1], {"label": [0, 1, 2]}, "label: 2: no class of the training rows; expected 0, 1"),
        ([False, True], {"label": [0, 1, 2]}, "label: 2: no class"),
        ([0, 1], {"label_0": [0, 1, 0.2], "label_1": [1, 0, 0.8]}, "label: label_1, label_0: no class"),
    ],
)
def test_labels_that_the_training_rows_do_not_know_are_refused(
    tmp_path: Path, classes: list[Any], columns: Any, told: str
) -> None:
    with pytest.raises(RunError, match=told):
        labels_made(tmp_path, classes, **columns)


def test_a_sample_of_zeros_rounds_no_target_that_has_numbers_between(tmp_path: Path) -> None:
    own, given_so = "toy_functions:score", [0.25, 0.5, 0.75]
    assert labels_made(tmp_path, [0, 1], own, label=given_so) == [0, 1, 1]
    assert labels_made(tmp_path, [0.5, 1], own, label=given_so) == given_so


def test_the_classes_are_those_of_the_truth_that_is_scored(tmp_path: Path) -> None:
    scorer = scorer_in(
        tmp_path, score="toy_functions:score", metric={"solution": "toy_functions:truth"}, labelled=ROWS
    )
    made = scorer.make(predicted(["x", "y", "z"], **{"1": [0.9, 0.2, 0], "2": [0.1, 0.8, 1]}), ROWS)
    assert made["label"].tolist() == [1, 2, 2]


def test_predictions_of_another_column_are_told_with_what_to_write(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"columns lable; expected label, or a column per class"):
        scorer_in(tmp_path).make(predicted(["x", "y", "z"], lable=[0, 1, 1]), ROWS)


def test_rows_without_a_prediction_are_never_made_up(tmp_path: Path) -> None:
    with pytest.raises(Exception, match=r"lacks 1 of 3 keys: z"):
        scorer_in(tmp_path).make(predicted(["x", "y"], label=[0, 1]), ROWS)


def test_the_users_own_function_gets_its_arguments_and_no_targets(tmp_path: Path) -> None:
    given = predicted(["z", "y", "x"], label=[0.9, 0.5, 0.7])
    table = scorer_in(tmp_path, "toy_functions:make", {"least": 0.6}).make(given, ROWS)
    assert table.set_index("id")["label"].to_dict() == {"x": 1, "y": 0, "z": 1}


def test_arrays_are_left_on_the_disk_until_they_are_asked_for(tmp_path: Path) -> None:
    masks = np.array([[1, 1], [0, 1], [0, 0]])
    write(tmp_path / "oof.arrow", iter([(["z", "y", "x"], {"mask": masks})]), ROWS.index, key_names=["id"])
    table = scorer_in(tmp_path, "toy_functions:arrays").make(Predictions.open(tmp_path / "oof.arrow"), ROWS)
    assert table["label"].tolist() == [0, 1, 2]
    some = scorer_in(tmp_path, "toy_functions:chunks").make(
        Predictions.open(tmp_path / "oof.arrow"), ROWS[1:]
    )
    assert dict(zip(some["id"], some["label"], strict=True)) == {"y": 1, "z": 2}


@pytest.mark.parametrize(
    ("make", "told"),
    [
        ("toy_functions:nothing", "gave no table\n.*NoneType"),
        ("toy_functions:nameless", "no column label; expected id, label"),
    ],
)
def test_a_function_that_gives_no_submission_is_told(tmp_path: Path, make: str, told: str) -> None:
    with pytest.raises(RunError, match=told):
        scorer_in(tmp_path, make).make(predicted(["x", "y", "z"], label=[0, 1, 1]), ROWS)


@settings(max_examples=25, deadline=None)
@given(order=st.permutations(range(3)), again=st.permutations(range(3)))
def test_the_order_of_rows_and_predictions_changes_no_score(
    tmp_path_factory: pytest.TempPathFactory, order: list[int], again: list[int]
) -> None:
    scorer = scorer_in(tmp_path_factory.mktemp("toy"), score="toy_functions:score")
    keys, values = np.array(["x", "y", "z"]), np.array([1, 0, 3])
    given_so = predicted(keys[order].tolist(), label=values[order])
    rows = ROWS.iloc[again]
    assert scorer.score(scorer.solution(ROWS), scorer.make(given_so, rows)) == 24.0


def test_keys_of_several_columns_reach_the_metric_as_one(tmp_path: Path) -> None:
    stages = stages_without_sample()
    scorer = scorer_in(tmp_path, score="toy_functions:score", rows={"key": ["study", "side"]}, stages=stages)
    truth = pd.DataFrame({"study": ["1", "1"], "side": ["L", "R"], "label": [1, 2]})
    answer = truth.iloc[::-1].assign(label=[20, 10])
    assert scorer.score(truth, answer) == 60.0
    alike = pd.DataFrame({"study": ["1", "1_2"], "side": ["2_3", "3"], "label": [1, 2]})
    with pytest.raises(RunError, match=r"1_2_3: several ids read so once their columns are joined"):
        scorer.score(alike, alike)


def stages_without_sample() -> dict[int, dict[str, str]]:
    return {1: {name: path for name, path in COMPETITION["stages"][1].items() if "sample" not in name}}


def test_a_submission_of_other_ids_is_never_scored(tmp_path: Path) -> None:
    scorer = scorer_in(tmp_path)
    truth = pd.DataFrame({"id": ["x", "y"], "label": [0, 1]})
    with pytest.raises(SubmissionError, match=r"1 ids missing: y\n.*1 ids too much: w"):
        scorer.score(truth, truth.assign(id=["x", "w"]))


@pytest.mark.parametrize(
    ("harm", "told"),
    [("raise", r"did not accept the predictions\n  toy_functions:score: ValueError: no such luck"),
     ("nan", r"gave no number\n  toy_functions:score: nan; expected a finite number")],
)  # fmt: skip
def test_a_metric_that_fails_is_named(tmp_path: Path, harm: str, told: str) -> None:
    scorer = scorer_in(tmp_path, score="toy_functions:score", metric={"args": {"harm": harm}})
    truth = pd.DataFrame({"id": ["x"], "label": [0]})
    with pytest.raises(RunError, match=told):
        scorer.score(truth, truth)


def test_the_truth_is_the_rows_own_columns_or_what_a_function_makes_of_them(tmp_path: Path) -> None:
    assert scorer_in(tmp_path / "own").solution(ROWS)["label"].tolist() == [0, 1, 1]
    made = scorer_in(
        tmp_path / "made", metric={"solution": "toy_functions:truth"}, score="toy_functions:score"
    )
    assert made.solution(ROWS)["label"].tolist() == [1, 2, 2]
    told = r"no column label\n  +hint: say how the truth looks: metric: \{solution"
    with pytest.raises(RunError, match=told):
        scorer_in(tmp_path / "none").solution(ROWS.drop(columns="label"))


@settings(max_examples=25, deadline=None)
@given(order=st.permutations(range(5)))
def test_a_submission_comes_in_the_samples_order(order: list[int]) -> None:
    sample = pd.DataFrame({"id": list("vwxyz"), "label": 0})
    table = pd.DataFrame({"id": list("vwxyz"), "label": range(5)}).iloc[order]
    assert to_sample_order(table, sample, ["id"])["label"].tolist() == [0, 1, 2, 3, 4]


def test_lines_of_one_id_keep_their_order_in_the_samples_order() -> None:
    sample = pd.DataFrame({"id": ["x", "y"], "rle": ["", ""]})
    table = pd.DataFrame({"id": ["y", "x", "y"], "rle": ["first", "only", "second"]})
    assert to_sample_order(table, sample, ["id"])["rle"].tolist() == ["only", "first", "second"]


def test_ids_missing_and_too_many_are_told_together() -> None:
    sample = pd.DataFrame({"id": [f"s{n}" for n in range(10)], "label": 0})
    table = sample.assign(id=["s0", "s1", *(f"t{n}" for n in range(8))])
    with pytest.raises(SubmissionError) as caught:
        to_sample_order(table, sample, ["id"])
    assert [problem.found for problem in caught.value.problems] == [
        "8 of 10 ids have no prediction: s2, s3, s4, s5, s6 and 3 more",
        "8 ids are not in the sample submission: t0, t1, t2, t3, t4 and 3 more",
    ]


def test_ids_are_read_as_they_are_written(tmp_path: Path) -> None:
    (tmp_path / "sub.csv").write_bytes(b"\xef\xbb\xbf id ,label\r\n007,1\r\nNA,0\r\n1e5,\r\n")
    table = read_submission(tmp_path / "sub.csv", ("id",))
    assert table["id"].tolist() == ["007", "NA", "1e5"]
    assert table["label"].isna().tolist() == [False, False, True]


@pytest.mark.parametrize("content", [b"", b"id,label\n\xff,1\n", b'id,label\n"x,1\n'])
def test_a_file_that_is_no_table_is_told_by_its_name(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "sub.csv").write_bytes(content)
    with pytest.raises(SubmissionError, match=r"sub.csv is not a table") as caught:
        read_submission(tmp_path / "sub.csv", ("id",))
    assert str(tmp_path) not in str(caught.value)


def test_a_sample_without_the_columns_of_the_competition_is_told(tmp_path: Path) -> None:
    competition = competition_in(tmp_path, submission={"target": ["lable"], "key": ["idd"]})
    with pytest.raises(
        SubmissionError, match=r"no column idd\n +hint: did you mean id\?(.|\n)*no column lable"
    ):
        read_sample(tmp_path, competition)
    assert read_sample(tmp_path, competition_in(tmp_path, stages=stages_without_sample())) is None
