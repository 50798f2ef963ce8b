from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kagkit.foundation.errors import ManifestError
from kagkit.workspace.competition import Competition, read_competition
from kagkit.workspace.schemes import Scheme
from tests.toy import COMPETITION, make_workspace, write_competition

SMALLEST = """kagkit: 1
competition: titanic
rows: {key: [PassengerId]}
metric: {score: kagkit.metrics:accuracy, greater_is_better: true}
submission: {target: [Survived]}
stages: {1: {train: train.csv, test: test.csv, sample_submission: gender_submission.csv}}
"""
STAGE = COMPETITION["stages"][1]


def refusal(root: Path) -> list[tuple[str, str]]:
    """Every problem of competition.yaml with its hint."""
    with pytest.raises(ManifestError) as caught:
        read_competition(root)
    assert str(root) not in str(caught.value)
    told = [str(replace(problem, hint="")) for problem in caught.value.problems]
    hints = [problem.hint for problem in caught.value.problems]
    return [(text.removeprefix("competition.yaml "), hint) for text, hint in zip(told, hints, strict=True)]


def refused(root: Path, **changes: Any) -> list[tuple[str, str]]:
    """The problems of a competition.yaml with some keys replaced, without their lines."""
    make_workspace(root, **changes)
    return [(problem.partition(": ")[2], hint) for problem, hint in refusal(root)]


def edited(root: Path, old: str, new: str) -> None:
    path = root / "competition.yaml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


# --- what is understood ---


def test_the_smallest_competition_reads_without_problems(tmp_path: Path) -> None:
    (tmp_path / "competition.yaml").write_text(SMALLEST)
    for name in ("train.csv", "test.csv", "gender_submission.csv"):
        (tmp_path / name).touch()
    competition = read_competition(tmp_path)
    assert competition.host == "kaggle"
    assert competition.submission_key == ("PassengerId",)
    assert competition.rows.targets == ()
    assert competition.sources == {"stage1": {"train": ("train.csv",), "test": ("test.csv",)}}


def test_a_full_competition_is_read(tmp_path: Path) -> None:
    (tmp_path / "xray.py").write_text("def load_rows(part, data): ...\ndef make_solution(rows): ...\n")
    (tmp_path / "images").mkdir()
    (tmp_path / "chest").mkdir()
    make_workspace(
        tmp_path,
        host="none",
        rows={"load": "xray:load_rows", "key": ["id"], "group": "group", "targets": ["label"]},
        metric={
            "score": "kagkit.metrics:accuracy",
            "greater_is_better": True,
            "args": {"labels": [0, 1]},
            "solution": "xray:make_solution",
            "cv": "fold_mean",
        },
        submission={"key": ["ID"], "target": ["label"]},
        stages={
            1: STAGE | {"files": ["images"], "public_share": 0.5, "deadline": "2019-08-26T23:59:00Z"},
            2: {"train": "data/stage2/train.csv", "test": "data/stage2/test.csv", "public_share": 1},
        },
        data={"chexpert": {"files": ["chest"], "source": "Stanford", "licence": "research"}},
        folds={"main": {"scheme": "stratified_group", "n": 5, "stratify": "label", "seed": 7}},
    )
    competition = read_competition(tmp_path)
    assert competition.submission_key == ("ID",)
    assert competition.sources["chexpert"] == {"files": ("chest",)}
    assert competition.sources["stage1"]["files"] == ("images",)
    assert competition.stages["2"].public_share == 1.0
    assert competition.folds["main"] == Scheme("stratified_group", stratify="label", seed=7)


def test_stage_two_may_be_declared_before_it_is_released(tmp_path: Path) -> None:
    stages = {1: STAGE, 2: {"train": "later/train.csv", "test": "later/test.csv", "files": ["later/images"]}}
    make_workspace(tmp_path, stages=stages)
    assert set(read_competition(tmp_path).stages) == {"1", "2"}


# --- what is refused ---


@pytest.mark.parametrize(
    ("text", "problem", "hint"),
    [
        ("competition: toy\n", "line 1: kagkit: missing", "begin the file with `kagkit: 1`"),
        ("", "line 1: kagkit: missing", "begin the file with `kagkit: 1`"),
        (
            "competition: toy\nkagkit: 2\nnew: key\n",
            "line 2: kagkit: format 2; expected 1",
            "this kagkit reads format 1; a newer kagkit may read the file",
        ),
    ],
)
def test_a_file_in_another_format_is_refused_before_its_keys(
    text: str, problem: str, hint: str, tmp_path: Path
) -> None:
    (tmp_path / "competition.yaml").write_text(text)
    assert refusal(tmp_path) == [(problem, hint)]


@pytest.mark.parametrize(
    ("changes", "problem", "hint"),
    [
        ({"stage": {}}, "stage: no such key", "did you mean stages?"),
        ({"metric": None}, "metric: missing", "add `metric: …`"),
        ({"rows": {"key": []}}, "rows.key: empty; expected the columns that name a row", ""),
        ({"rows": {"key": "id"}}, 'rows.key: found "id"; expected a list: [id]', ""),
        ({"submission": {"target": []}}, "submission.target: empty; expected the columns to predict", ""),
        (
            {"rows": {"key": ["id"], "duplicates": "drop"}},
            'rows.duplicates: found "drop"; expected one of refuse, drop_exact',
            "",
        ),
        ({"stages": {}}, "stages: no stage 1", "add `1: {train: …, test: …}`"),
        ({"stages": {1: STAGE, 3: STAGE}}, "stages.3: no such stage; expected 1 or 2", ""),
        ({"stages": {1: STAGE | {"public_share": 0}}}, "0.0; expected a share above 0, up to 1", ""),
        ({"stages": {1: STAGE | {"public_share": 50}}}, "50.0; expected a share above 0, up to 1", ""),
        (
            {"stages": {1: STAGE | {"deadline": "2019-08-26 23:59"}}},
            "deadline: 2019-08-26 23:59; expected a time with its zone",
            "2019-08-26T23:59:00Z",
        ),
        (
            {"stages": {1: STAGE | {"deadline": "in August"}}},
            "deadline: in August; expected a time with its zone",
            "2019-08-26T23:59:00Z",
        ),
        ({"data": {"main": {"files": []}}}, "data.main: a reserved name", "choose another name"),
        ({"data": {"stage1": {"files": []}}}, "data.stage1: a reserved name", "choose another name"),
        ({"folds": {"main": {"n": 1}}}, "folds.main: n: 1", "at least 2 folds"),
        (
            {"folds": {"main": {"scheme": "time"}}},
            "folds.main: scheme: time without a column",
            "add `column: date`",
        ),
    ],
)
def test_what_cannot_be_meant_is_refused(
    changes: dict[str, Any], problem: str, hint: str, tmp_path: Path
) -> None:
    assert refused(tmp_path, **changes) == [(problem, hint)]


@pytest.mark.parametrize(
    ("path", "problem", "hint"),
    [
        ("data/trian.csv", "data/trian.csv: no such file", "did you mean data/train.csv?"),
        ("../train.csv", "../train.csv: not a path inside the workspace", "link it here: ln -s"),
        ("/data/train.csv", "/data/train.csv: not a path inside the workspace", "link it here: ln -s"),
        ("data\\train.csv", "data\\train.csv: not a path inside the workspace", "link it here: ln -s"),
        ("", ": not a path inside the workspace", "link it here: ln -s"),
        ("data", "data: a folder; expected a file", ""),
        (
            "input/x.csv",
            "input/x.csv: no such file",
            "paths are relative to the workspace, the folder of competition.yaml",
        ),
    ],
)
def test_a_path_that_leads_nowhere_is_told_with_the_nearest(
    path: str, problem: str, hint: str, tmp_path: Path
) -> None:
    assert refused(tmp_path, stages={1: STAGE | {"train": path}}) == [(problem, hint)]
    assert refused(tmp_path, stages={1: STAGE | {"sample_submission": path}}) == [(problem, hint)]


def test_every_place_for_a_path_is_checked_where_it_stands(tmp_path: Path) -> None:
    make_workspace(
        tmp_path,
        stages={1: STAGE | {"files": ["data", "no"]}, 2: {"train": "/a", "test": "later.csv"}},
        data={"more": {"files": ["data/train.csv", "nor"]}},
        folds={"own": {"file": "neither.csv"}},
    )
    lines = (tmp_path / "competition.yaml").read_text().splitlines()
    found = {
        problem.split(": ")[1]: int(problem.split(":")[0].split()[1]) for problem, _ in refusal(tmp_path)
    }
    assert {path: lines[line - 1].strip().split(":")[0] for path, line in found.items()} == {
        "no": "files",
        "/a": "train",
        "nor": "files",
        "neither.csv": "file",
    }


@pytest.mark.parametrize(
    ("changes", "problem", "hint"),
    [
        (
            {"metric": {"score": "kagkit.metrics:acuracy", "greater_is_better": True}},
            "kagkit.metrics:acuracy: no such function",
            "did you mean accuracy?",
        ),
        (
            {"metric": {"score": "kagkit.metrics.accuracy", "greater_is_better": True}},
            "kagkit.metrics.accuracy: not a function's name; expected module:function",
            "",
        ),
        (
            {"metric": {"score": "kagkit.metrics:accuracy", "greater_is_better": True, "args": {"label": 1}}},
            "label: kagkit.metrics:accuracy takes no such argument",
            "did you mean labels?",
        ),
        (
            {
                "metric": {
                    "score": "kagkit.metrics:accuracy",
                    "greater_is_better": True,
                    "solution": "xray:solution",
                }
            },
            "xray:solution: no such function",
            "did you mean make_solution?",
        ),
        (
            {"rows": {"key": ["id"], "load": "x_ray:load_rows"}},
            "x_ray:load_rows: no such module here, nor installed",
            "",
        ),
        (
            {"folds": {"own": {"function": "xray:split"}}},
            "xray:split: no such function",
            "one of: make_solution",
        ),
        (
            {"rows": {"key": ["id"], "load": "broken:load"}},
            "broken.py line 1: not Python: invalid syntax",
            "",
        ),
    ],
)
def test_a_function_that_is_not_there_is_refused(
    changes: dict[str, Any], problem: str, hint: str, tmp_path: Path
) -> None:
    (tmp_path / "xray.py").write_text("def make_solution(rows): ...\n")
    (tmp_path / "broken.py").write_text("def load(:\n")
    assert refused(tmp_path, **changes) == [(problem, hint)]


def test_the_direction_of_the_metric_is_never_guessed(tmp_path: Path) -> None:
    problem = ("metric.greater_is_better: missing", "add `greater_is_better: …`")
    assert refused(tmp_path, metric={"score": "kagkit.metrics:rmse"}) == [problem]


def test_all_problems_are_told_at_once_each_with_its_line(tmp_path: Path) -> None:
    make_workspace(tmp_path)
    (tmp_path / "competition.yaml").write_text(
        """kagkit: 1
competition: toy
hosts: kaggle
rows:
  key: [id]
  load: nowhere:load_rows
metric:
  score: kagkit.metrics:accuracy
  greater_is_better: true
  args:
    beta: 2
submission:
  target: []
stages:
  1:
    train: data/trian.csv
    test: data/test.csv
    sample_submission: ../sample_submission.csv
    deadline: tomorrow
folds:
  main: {scheme: time}
data: 5
"""
    )
    assert [problem for problem, _ in refusal(tmp_path)] == [
        "line 3: hosts: no such key",
        "line 22: data: found 5; expected a mapping: {name: …}",
        "line 13: submission.target: empty; expected the columns to predict",
        "line 16: data/trian.csv: no such file",
        "line 18: ../sample_submission.csv: not a path inside the workspace",
        "line 19: deadline: tomorrow; expected a time with its zone",
        "line 6: nowhere:load_rows: no such module here, nor installed",
        "line 10: beta: kagkit.metrics:accuracy takes no such argument",
        "line 21: folds.main: scheme: time without a column",
    ]


def test_a_workspace_with_spaces_and_japanese_names_is_read(tmp_path: Path) -> None:
    root = tmp_path / "コンペ 胸部 X線"
    make_workspace(root)
    (root / "学習 データ.csv").write_text("id\n")
    write_competition(root, stages={1: STAGE | {"train": "学習 データ.csv"}})
    competition = read_competition(root)
    assert isinstance(competition, Competition)
    assert competition.stages["1"].train == "学習 データ.csv"
    edited(root, "学習 データ.csv", "学習データ.csv")
    assert refusal(root)[0][1] == "did you mean 学習 データ.csv?"
