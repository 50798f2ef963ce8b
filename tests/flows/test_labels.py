from __future__ import annotations

from pathlib import Path

import pytest

from tests.terminal import kagkit, newest_run, run
from tests.toy import make_workspace, write_recipe

RECIPE = """def train(task):
    (task.out / "mean.txt").write_text(str(task.train_rows["a"].mean()))


def predict(task, model, rows):
    above = (rows["a"] > float((task.weights / "mean.txt").read_text())).astype("float64")
    return {predictions}
"""
PER_CLASS = """above.to_frame("{1}").assign(**{{"{0}": 1 - above}})"""


@pytest.mark.parametrize(
    ("classes", "predictions"),
    [
        (("False", "True"), "(0.2 + above / 2).to_frame('label')"),
        (("1", "2"), PER_CLASS),
        (("-1", "1"), PER_CLASS),
        (("no", "yes"), PER_CLASS),
    ],
)
def test_a_submission_holds_the_labels_of_the_training_rows(
    tmp_path: Path, classes: tuple[str, str], predictions: str
) -> None:
    root = make_workspace(tmp_path, folds={"main": {"n": 2}})
    rename_classes(root, classes)
    write_recipe(root, text=RECIPE.format(predictions=predictions.format(*classes)))
    assert run(root)["cv"] > 0.7
    lines = (newest_run(root) / "submission.csv").read_text().splitlines()[1:]
    assert {line.split(",")[1] for line in lines} == set(classes)
    kagkit(root, "package", "exp001")


def rename_classes(root: Path, classes: tuple[str, str]) -> None:
    """Write other labels for 0 and 1, in the training rows and in the sample submission."""
    for name in ("train.csv", "sample_submission.csv"):
        path = root / "data" / name
        head, *lines = path.read_text().splitlines()
        renamed = [
            f"{before},{classes[int(label)]}" for before, _, label in (x.rpartition(",") for x in lines)
        ]
        path.write_text("\n".join([head, *renamed]) + "\n")
