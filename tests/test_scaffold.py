from __future__ import annotations

import os
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from kagkit.foundation.errors import ManifestError
from kagkit.foundation.strictyaml import parse_yaml, read_yaml
from kagkit.judgement.inspection import inspect_workspace
from kagkit.recipes.reading import Given
from kagkit.recipes.scaffold import _flow, start_workspace
from kagkit.workspace.competition import read_competition
from kagkit.workspace.layout import find_workspace
from tests.hosts import ROWS, small, write_files
from tests.terminal import kagkit

TRAIN, TEST, SAMPLE = small()


@pytest.fixture
def files(tmp_path: Path) -> Given:
    return write_files(tmp_path / "host", TRAIN, TEST, SAMPLE)


def text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def test_a_workspace_is_written_without_a_problem(files: Given, tmp_path: Path) -> None:
    folder = tmp_path / "toy"
    started = start_workspace(folder, files)
    assert sorted(started.files) == sorted(
        path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()
    )
    assert inspect_workspace(find_workspace(folder)) == []
    assert read_yaml(folder / "competition.yaml", "competition.yaml").plain == {
        "kagkit": 1,
        "competition": "toy",
        "rows": {"key": ["id"]},
        "metric": {"score": "kagkit.metrics:accuracy", "greater_is_better": True},
        "submission": {"target": ["y"]},
        "stages": {
            "1": {"train": "data/train.csv", "test": "data/test.csv", "sample_submission": "data/sample.csv"}
        },
    }


def test_each_guess_is_told_beside_its_line(files: Given, tmp_path: Path) -> None:
    start_workspace(tmp_path / "toy", files)
    written = text(tmp_path / "toy/competition.yaml")
    assert "  # a guess: y is 0 or 1; the sample shows labels\n" in written
    assert "# Folds, by default: 5 stratified folds on y, seed 0." in written
    start_workspace(tmp_path / "named", files, "mcc")
    assert "  # y is 0 or 1; named by --metric\n" in text(tmp_path / "named/competition.yaml")


def test_the_recipe_knows_targets_and_objective(files: Given, tmp_path: Path) -> None:
    start_workspace(tmp_path / "toy", files, "mae")
    assert 'TARGETS = ["y"]  # the' in text(tmp_path / "toy/boosting.py")
    train = TRAIN.assign(y=range(ROWS), casual=1)
    start_workspace(tmp_path / "two", write_files(tmp_path / "host2", train, TEST, SAMPLE), "mae")
    recipe = text(tmp_path / "two/boosting.py")
    assert 'ABSENT = ["casual"]  # further' in recipe
    assert 'LOSS = "regression_l1"  # LightGBM' in recipe
    assert "rows: {key: [id], targets: [y, casual]}" in text(tmp_path / "two/competition.yaml")


def test_classes_in_columns_get_a_function_for_the_truth(tmp_path: Path) -> None:
    train = TRAIN.drop(columns="y").assign(kind=["C", "D"] * (ROWS // 2))
    sample = SAMPLE[["id"]].assign(kind_C=0.5, kind_D=0.5)
    start_workspace(tmp_path / "toy", write_files(tmp_path / "host", train, TEST, sample))
    assert inspect_workspace(find_workspace(tmp_path / "toy")) == []
    assert 'CLASS_COLUMN = "kind_{}"' in text(tmp_path / "toy/boosting.py")
    scope: dict[str, object] = {}
    exec(text(tmp_path / "toy/truth.py"), scope)
    solution = scope["make_solution"](train[:2])  # type: ignore[operator]
    assert solution.to_dict("list") == {"kind_C": [1, 0], "kind_D": [0, 1]}


def test_files_in_the_folder_stay_where_they_are(tmp_path: Path) -> None:
    given_files = write_files(tmp_path / "toy/raw", TRAIN, TEST, SAMPLE)
    started = start_workspace(tmp_path / "toy", given_files)
    assert "raw/train.csv" in started.files
    assert not (tmp_path / "toy/data").exists()
    assert "/raw/\n" in text(tmp_path / "toy/.gitignore")


def test_files_of_one_name_and_links_are_told_apart(tmp_path: Path) -> None:
    given_files = write_files(tmp_path / "host", TRAIN, TEST, SAMPLE)
    for role in ("train", "test"):
        (tmp_path / role).mkdir()
        (tmp_path / role / "data.csv").symlink_to(getattr(given_files, role))
    start_workspace(
        tmp_path / "toy", Given(tmp_path / "train/data.csv", tmp_path / "test/data.csv", given_files.sample)
    )
    assert not (tmp_path / "toy/data/train.csv").is_symlink()
    assert "y" in pd.read_csv(tmp_path / "toy/data/train.csv")
    assert "y" not in pd.read_csv(tmp_path / "toy/data/test.csv")


def test_a_workspace_is_refused(files: Given, tmp_path: Path) -> None:
    start_workspace(tmp_path / "toy", files)
    with pytest.raises(ManifestError, match=r"competition.yaml: there already\n.*kagkit new"):
        start_workspace(tmp_path / "toy", files)


def test_nothing_is_overwritten_and_every_file_in_the_way_is_told(files: Given, tmp_path: Path) -> None:
    folder = tmp_path / "toy"
    (folder / "data").mkdir(parents=True)
    (folder / "boosting.py").write_text("mine = 1\n")
    (folder / "data/train.csv").write_text("id\n1\n")
    with pytest.raises(ManifestError, match=r"(?s)boosting.py: there already.*data/train.csv: there already"):
        start_workspace(folder, files)
    assert text(folder / "boosting.py") == "mine = 1\n"
    assert sorted(os.listdir(folder)) == ["boosting.py", "data"]  # noqa: PTH208


def test_what_a_crash_cut_short_is_finished(files: Given, tmp_path: Path) -> None:
    start_workspace(tmp_path / "toy", files)
    before = text(tmp_path / "toy/competition.yaml")
    (tmp_path / "toy/competition.yaml").unlink()  # it is written last
    (tmp_path / "toy/exp001.yaml").unlink()
    start_workspace(tmp_path / "toy", files)
    assert text(tmp_path / "toy/competition.yaml") == before


def test_a_gitignore_of_the_user_stays(files: Given, tmp_path: Path) -> None:
    (tmp_path / "toy").mkdir()
    (tmp_path / "toy/.gitignore").write_text("*.log\n")
    started = start_workspace(tmp_path / "toy", files)
    assert text(tmp_path / "toy/.gitignore") == "*.log\n"
    assert started.notes[-1].startswith(".gitignore is left as it is: data/, runs/")


@settings(max_examples=50, deadline=None)
@given(st.lists(st.text(st.characters(max_codepoint=0xFFFF, exclude_categories=["Cs"]), min_size=1)))
@example(["true", "Null", "1e3", "a: b", "a #b", "[x]", "-", "2019-10-01", "é", "a:b", "no", "\x85", "🚢"])
def test_any_names_survive_yaml_on_one_line(names: list[str]) -> None:
    line = _flow({"key": names, "flag": True, "args": {"average": "macro"}})
    assert parse_yaml(f"x: {line}", "x").plain["x"] == {
        "key": names,
        "flag": True,
        "args": {"average": "macro"},
    }


def test_many_targets_are_listed_below_their_comment(tmp_path: Path) -> None:
    targets = {f"a target with a long name {number}": [0, 1] * (ROWS // 2) for number in range(9)}
    sample = SAMPLE[["id"]].assign(**dict.fromkeys(targets, 0))
    train = TRAIN.drop(columns="y").assign(**targets)
    start_workspace(tmp_path / "toy", write_files(tmp_path / "host", train, TEST, sample))
    assert find_workspace(tmp_path / "toy").competition.submission.target == tuple(targets)


# --- the commands ---


def init(folder: Path, files: Given, *more: str) -> list[str]:
    paths = ["--train", str(files.train), "--test", str(files.test), "--sample", str(files.sample)]
    return ["init", str(folder), *paths, *more]


def test_init_says_what_it_found_and_what_comes_next(files: Given, tmp_path: Path) -> None:
    told = kagkit(tmp_path, *init(Path("to y"), files))
    assert told.out.splitlines()[:2] == ["binary: y is 0 or 1", "scored by accuracy: the sample shows labels"]
    assert told.out.endswith(
        "  cd 'to y'\n  kagkit run exp001\n  kagkit package exp001\n  kagkit submit exp001\n"
    )


def test_the_competition_is_called_as_the_host_calls_it_where_that_is_named(
    files: Given, tmp_path: Path
) -> None:
    kagkit(tmp_path, *init(Path("mine"), files, "--competition", "loan-default"))
    assert read_competition(tmp_path / "mine").competition == "loan-default"
    assert "competition: loan-default  # the host's name" in (tmp_path / "mine/competition.yaml").read_text()


def test_init_in_json(files: Given, tmp_path: Path) -> None:
    facts = kagkit(tmp_path, *init(tmp_path / "toy", files, "--json")).json
    assert facts["key"] == ["id"]
    assert facts["targets"] == ["y"]
    assert (facts["task"], facts["metric"], facts["greater_is_better"]) == ("binary", "accuracy", True)
    assert facts["because"] == {"task": "y is 0 or 1", "metric": "the sample shows labels"}


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--metric", "acuracy"], 2, "did you mean accuracy?"),
        (["--train", "gone.csv"], 2, "gone.csv"),
    ],
)
def test_init_exits_with_the_code_of_the_contract(
    words: list[str], code: int, message: str, files: Given, tmp_path: Path
) -> None:
    assert message in kagkit(tmp_path, *init(tmp_path / "toy", files, *words), code=code).err
    assert not (tmp_path / "toy").exists()


def test_data_that_cannot_be_used_exit_with_3(tmp_path: Path) -> None:
    files = write_files(tmp_path / "host", TRAIN, TEST, SAMPLE[1:])
    assert "1 of the 20 ids" in kagkit(tmp_path, *init(tmp_path / "toy", files), code=3).err


def test_recipes_are_listed_and_copied_with_their_constants(files: Given, tmp_path: Path) -> None:
    folder = tmp_path / "toy"
    kagkit(tmp_path, *init(folder, files))
    assert set(kagkit(tmp_path, "recipes", "--json").json) == {"boosting", "cnn", "forest"}
    assert "forest" in kagkit(tmp_path, "recipes").out
    assert kagkit(folder, "recipes", "copy", "forest").out == "forest.py\n"
    assert 'TARGETS = ["y"]' in text(folder / "forest.py")
    elsewhere = kagkit(tmp_path, "recipes", "copy", "forest", "elsewhere")
    assert elsewhere.out == "elsewhere/forest.py: fill in the constants at its top\n"
    assert 'TARGETS = ["target"]' in text(tmp_path / "elsewhere/forest.py")
    assert "did you mean forest?" in kagkit(folder, "recipes", "copy", "forst", code=2).err
