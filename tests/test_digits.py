from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from sklearn.datasets import load_digits

from kagkit.foundation.files import file_sha256
from kagkit.judgement.inspection import inspect_workspace
from kagkit.workspace.layout import find_workspace
from tests.examples import copy_example

KAGKIT = Path(sys.executable).with_name("kagkit")


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_example("digits", tmp_path_factory.mktemp("digits"))


def images_of(table: pd.DataFrame) -> list[tuple[int, ...]]:
    """Each image as its label and its pixels, sorted: the same list whatever the order of the rows."""
    columns = ["Label", *(f"pixel{place}" for place in range(64))]
    return sorted(table[columns].astype(int).itertuples(index=False, name=None))


def test_the_data_are_the_same_bytes_each_time(digits: Path, tmp_path: Path) -> None:
    again = copy_example("digits", tmp_path)
    digests = {path.name: file_sha256(path) for path in (digits / "data").iterdir()}
    assert digests == {path.name: file_sha256(path) for path in (again / "data").iterdir()}
    assert set(digests) == {"train.csv", "test.csv", "sample_submission.csv", "solution.csv"}


def test_the_data_are_every_image_once_with_its_label(digits: Path) -> None:
    train, test, solution, sample = (
        pd.read_csv(digits / "data" / f"{name}.csv")
        for name in ("train", "test", "solution", "sample_submission")
    )
    assert list(train.columns) == ["label", *test.columns]
    assert solution["ImageId"].tolist() == sample["ImageId"].tolist() == list(range(1, len(test) + 1))
    images, labels = load_digits(return_X_y=True, as_frame=True)
    truth = images.set_axis([f"pixel{place}" for place in range(64)], axis="columns").assign(Label=labels)
    found = pd.concat([train.rename(columns={"label": "Label"}), test.assign(Label=solution["Label"])])
    assert images_of(found) == images_of(truth)


def test_the_workspace_has_no_problems(digits: Path) -> None:
    workspace = find_workspace(digits)
    assert [path.name for path in workspace.manifests()] == ["boosting.yaml", "cnn.yaml"]
    assert inspect_workspace(workspace) == []


def test_the_recipes_run_on_a_few_rows(digits: Path) -> None:
    done = subprocess.run(
        [KAGKIT, "run", "boosting", "cnn", "--smoke", "--json"],
        cwd=digits,
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads(done.stdout)
    assert [run["experiment"] for run in told] == ["boosting", "cnn"]
    assert not (digits / "runs" / "cnn").exists()
