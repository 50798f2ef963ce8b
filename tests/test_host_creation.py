from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from kagkit.cli.host_command import _told
from kagkit.foundation.errors import DataError, ManifestError
from kagkit.foundation.strictyaml import read_yaml
from kagkit.host.accounts import digest_key
from kagkit.host.creation import GREATER, Plan, make_competition, mark_rows
from kagkit.host.register import Register
from kagkit.host.shelf import offers
from kagkit.host.staging import begin_next_stage
from kagkit.host.terms import read_terms
from kagkit.metrics import TAKES
from tests.terminal import kagkit


def write_tables(folder: Path, rows: int = 100) -> dict[str, Any]:
    """Two labelled tables: ids with leading zeros, a feature, a class of one in five."""
    numbers = random.Random(0)
    lines = [f"{n:04d},{numbers.random():.3f},{int(n % 5 == 0)}" for n in range(2 * rows)]
    (folder / "train.csv").write_text("\n".join(["id,x,y", *lines[:rows]]) + "\n")
    (folder / "labelled.csv").write_text("\n".join(["id,x,y", *lines[rows:]]) + "\n")
    return {
        "train": folder / "train.csv",
        "solution": folder / "labelled.csv",
        "metric": "auc",
        "public_share": 0.3,
    }


def test_a_new_competition_hides_the_labels_and_keeps_the_rest_as_written(tmp_path: Path) -> None:
    tables = write_tables(tmp_path)
    made = make_competition(tmp_path / "toy", Plan(**tables))
    assert (made.key, made.target) == (("id",), ("y",))
    assert made.test_rows == {"1": {"public": 30, "private": 70}}
    files = tmp_path / "toy/files"
    assert (files / "train.csv").read_bytes() == (tmp_path / "train.csv").read_bytes()
    given = [line.rpartition(",")[0] for line in (tmp_path / "labelled.csv").read_text().splitlines()]
    assert (files / "test.csv").read_text().splitlines() == given
    sample = (files / "sample_submission.csv").read_text().splitlines()
    assert sample[:2] == ["id,y", "0100,0.5"]
    assert read_terms(tmp_path / "toy").submission.target == ("y",)
    assert (tmp_path / "toy/solution.csv").stat().st_mode & 0o077 == 0


def test_public_rows_are_of_both_classes_alike_and_the_same_again_whatever_the_order(tmp_path: Path) -> None:
    tables = write_tables(tmp_path)
    make_competition(tmp_path / "toy", Plan(**tables))
    solution = pd.read_csv(tmp_path / "toy/solution.csv", dtype="str")
    assert solution[solution["Usage"] == "Public"]["y"].value_counts().to_dict() == {"0": 24, "1": 6}
    turned = solution.iloc[::-1].reset_index(drop=True)
    marks = mark_rows(turned, ("id",), ("y",), 0.3, 0)
    assert dict(zip(turned["id"], marks, strict=True)) == dict(
        zip(solution["id"], solution["Usage"], strict=True)
    )
    other = mark_rows(turned, ("id",), ("y",), 0.3, 1)
    assert not other.equals(marks)


def test_keys_are_told_once_and_kept_as_digests_alone(tmp_path: Path) -> None:
    tables = write_tables(tmp_path)
    made = make_competition(tmp_path / "toy", Plan(**tables, participants=("ann", "bob")))
    text = "".join(p.read_text() for p in (tmp_path / "toy").rglob("*") if p.is_file())
    for user, key in made.keys.items():
        assert key not in text
        assert read_terms(tmp_path / "toy").participants[user].key_sha256 == digest_key(key)


def test_a_metric_of_labels_is_told_every_label(tmp_path: Path) -> None:
    tables = write_tables(tmp_path) | {"metric": "accuracy"}
    make_competition(tmp_path / "toy", Plan(**tables))
    tree = read_yaml(tmp_path / "toy/host.yaml", "host.yaml").plain
    assert tree["metric"] == {
        "score": "kagkit.metrics:accuracy",
        "greater_is_better": True,
        "args": {"labels": [0, 1]},
    }
    assert (tmp_path / "toy/files/sample_submission.csv").read_text().splitlines()[1] == "0100,0"


def test_a_second_stage_has_files_a_solution_and_the_labels_of_the_first(tmp_path: Path) -> None:
    tables = write_tables(tmp_path)
    (tmp_path / "later.csv").write_text("id,x,y\n" + "".join(f"s{n},0.5,{n % 2}\n" for n in range(10)))
    made = make_competition(tmp_path / "toy", Plan(**tables, second_stage=tmp_path / "later.csv"))
    assert made.test_rows["2"] == {"public": 3, "private": 7}
    terms = read_terms(tmp_path / "toy")
    assert terms.stages["2"].labels == "stage1_test_labels.csv"
    assert begin_next_stage(tmp_path / "toy", terms, Register(tmp_path / "toy", terms)) == "2"
    files = offers(tmp_path / "toy", terms, "2")
    assert sorted(files) == ["sample_submission.csv", "stage1_test_labels.csv", "test.csv", "train.csv"]
    assert files["test.csv"].path.read_text().splitlines()[:2] == ["id,x", "s0,0.5"]


def test_every_metric_of_kagkits_that_takes_a_table_has_its_direction() -> None:
    assert set(GREATER) <= set(TAKES)


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"metric": "auk"}, "auk"),
        ({"metric": "own:score"}, "own:score does not tell its direction"),
        ({"metric": "rmse", "greater_is_better": True}, "rmse: the other direction"),
        ({"public_share": 1.0}, "1.0"),
    ],
)
def test_a_plan_that_cannot_be_carried_out_is_refused(
    changes: dict[str, Any], found: str, tmp_path: Path
) -> None:
    tables = write_tables(tmp_path) | changes
    with pytest.raises(ManifestError, match="cannot be made") as error:
        make_competition(tmp_path / "toy", Plan(**tables))
    assert [problem.found for problem in error.value.problems] == [found]


def test_tables_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    tables = write_tables(tmp_path)
    with pytest.raises(DataError) as error:
        make_competition(tmp_path / "toy", Plan(**tables, target=("z",)))
    assert [problem.found for problem in error.value.problems] == ["no column z", "no column z"]
    with pytest.raises(DataError) as error:
        make_competition(tmp_path / "toy", Plan(**tables, key=("y",)))
    assert any("come twice" in problem.found for problem in error.value.problems)
    with pytest.raises(DataError) as error:
        make_competition(tmp_path / "toy", Plan(**(tables | {"solution": tables["train"]})))
    assert "ids that --train train.csv has too: 0000, 0001" in error.value.problems[0].found
    assert not (tmp_path / "toy").exists()
    (tmp_path / "toy").mkdir()
    (tmp_path / "toy/mine.txt").touch()
    with pytest.raises(ManifestError) as refused:
        make_competition(tmp_path / "toy", Plan(**tables))
    assert refused.value.problems[0].found == "is there already"


def test_a_target_that_nobody_named_is_told(tmp_path: Path) -> None:
    tables = write_tables(tmp_path)
    (tmp_path / "train.csv").write_text("id,Survived,Embarked\n1,0,S\n2,1,\n")
    with pytest.raises(DataError) as error:
        make_competition(tmp_path / "toy", Plan(**(tables | {"solution": tables["train"]})))
    hint = "Embarked is taken as the target, as the last column; name another: --target"
    assert {problem.hint for problem in error.value.problems if "empty" in problem.found} == {hint}
    named = tables | {"solution": tables["train"], "target": ("Embarked",)}
    with pytest.raises(DataError) as error:
        make_competition(tmp_path / "toy", Plan(**named))
    assert hint not in str(error.value)


def test_a_folder_that_is_hosted_or_not_yet_is_named_with_its_command(tmp_path: Path) -> None:
    write_tables(tmp_path)
    words = ["host", "new", "toy", "--train", "train.csv", "--solution", "labelled.csv", "--metric", "auc"]
    kagkit(tmp_path, *words)
    assert "hint: serve it: kagkit host serve toy\n" in kagkit(tmp_path, *words, code=2).err
    told = kagkit(tmp_path, "host", "serve", "nothere", code=2).err
    assert "nothere/host.yaml: no such file\n    hint: make a competition: kagkit host new nothere" in told


@pytest.mark.parametrize(("users", "shown"), [(["ann"], "ann"), (["ann", "bob"], "..."), ([], "...")])
def test_clients_are_pointed_at_the_host_with_the_name_of_the_only_participant(
    users: list[str], shown: str
) -> None:
    facts = {"competition": "toy", "url": "http://127.0.0.1:8000"}
    told = _told(facts, None, users)
    assert "  kagkit: export KAGKIT_KAGGLE_ENDPOINT=http://127.0.0.1:8000\n  both:   export" in told
    assert f"KAGGLE_USERNAME={shown} KAGGLE_KEY=..." in told
    assert "kagkit:" not in _told(facts, "secret", users)


def test_the_command_line_makes_stages_and_ends_a_competition(tmp_path: Path) -> None:
    write_tables(tmp_path)
    (tmp_path / "metric.py").write_text(
        "def score(solution, submission, row_id_column_name):\n    return 0.5\n"
    )
    words = [
        "--train",
        "train.csv",
        "--solution",
        "labelled.csv",
        "--metric",
        "metric:score",
        "--lower-is-better",
    ]
    told = kagkit(tmp_path, "host", "new", "toy", *words).out
    assert "stage 1: 30 public, 70 private" in told
    assert "(not shown again)" in told
    assert (tmp_path / "toy/metric.py").exists()
    failed = kagkit(tmp_path, "host", "next-stage", "toy", code=6)
    assert "no stage 2" in failed.err
    (tmp_path / "toy/more").mkdir()
    host = tmp_path / "toy/host.yaml"
    stage = "  '2': {files: [more], solution: solution.csv, labels: labels.csv}\n"
    host.write_text(host.read_text().replace("participants:", f"{stage}participants:"))
    facts = kagkit(tmp_path, "host", "next-stage", "toy", "--json").json
    assert facts["stage"] == "2"
    assert "labels.csv" in facts["files"]
    assert "closed" in kagkit(tmp_path, "host", "close", "toy").out
    assert kagkit(tmp_path, "host", "close", "toy", "--json", code=6).json["error"] == "HostError"
