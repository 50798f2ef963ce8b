"""From a host's three files to a checked submission, with no word of YAML or Python written by hand."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from kagkit.recipes.reading import Given
from tests.hosts import diabetes, digits, passengers, wine, words
from tests.terminal import edit, kagkit, newest_run, run

Host = Callable[[Path], tuple[Given, "pd.Series[Any]"]]


@pytest.mark.parametrize(
    ("host", "target", "metric", "cv", "hidden"),
    [
        (passengers, "Survived", "accuracy", 0.860, 0.845),
        (diabetes, "target", "rmse", 57.87, 53.71),
        (wine, "grower", "accuracy", 0.983, 1.0),
    ],
    ids=["binary", "regression", "multiclass"],
)
def test_three_files_become_a_checked_submission(
    host: Host, target: str, metric: str, cv: float, hidden: float, tmp_path: Path
) -> None:
    given, truth = host(tmp_path / "host")
    facts = kagkit(tmp_path, "init", "ws", *words(given), "--json").json
    assert (facts["targets"], facts["metric"]) == ([target], metric)
    root = tmp_path / "ws"
    assert kagkit(root, "check").out == "no problems\n"
    assert run(root)["cv"] == pytest.approx(cv, rel=0.03)
    packaged = kagkit(root, "package", "exp001", "--json").json
    assert kagkit(root, "check", packaged["path"]).out.endswith("\nno problems\n")
    answers = pd.read_csv(root / packaged["path"], dtype={facts["key"][0]: "str"})
    answer = answers.set_index(facts["key"])[target].reindex(truth.index)
    score = (answer == truth).mean() if metric == "accuracy" else ((answer - truth) ** 2).mean() ** 0.5
    assert score == pytest.approx(hidden, rel=0.03)


@pytest.fixture(scope="module")
def ship(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace of passengers, nothing run yet, with the forest beside the first recipe."""
    folder = tmp_path_factory.mktemp("ship")
    given, _ = passengers(folder / "host")
    kagkit(folder, "init", "ws", *words(given))
    kagkit(folder / "ws", "recipes", "copy", "forest")
    edit(folder / "ws/competition.yaml", "stages:", "folds: {main: {n: 2}}\nstages:")
    return folder / "ws"


def test_another_recipe_is_two_commands_away(ship: Path) -> None:
    kagkit(ship, "new", "exp002", "--from", "exp001", "--set", "recipe=forest.py", "--set", "args.trees=50")
    facts = run(ship, "exp002")
    assert facts["cv"] == pytest.approx(0.85, rel=0.03)
    assert facts["weights"] == []


def test_the_first_recipe_gives_the_same_bytes_again_and_fits_all_rows_too(ship: Path) -> None:
    run(ship, "exp001")
    assert "same bytes" in kagkit(ship, "run", "exp001", "--restart").err
    kagkit(ship, "new", "exp003", "--from", "exp001", "--set", "fit=full", "--set", "args.rounds=20")
    facts = run(ship, "exp003")
    assert facts["cv"] is None
    assert len(pd.read_csv(newest_run(ship, "exp003") / "submission.csv")) == 200


def test_the_network_reads_images_that_are_told_as_columns(tmp_path: Path) -> None:
    given, _ = digits(tmp_path / "host")
    kagkit(tmp_path, "init", "ws", *words(given))
    root = tmp_path / "ws"
    kagkit(root, "recipes", "copy", "cnn")
    edit(root / "competition.yaml", "stages:", "folds: {main: {n: 2}}\nstages:")
    edit(root / "cnn.py", "BRIGHTEST = 255", "BRIGHTEST = 16")
    kagkit(root, "new", "exp002", "--from", "exp001", "--set", "recipe=cnn.py", "--set", "args.epochs=3")
    facts = run(root, "exp002")
    assert facts["cv"] > 0.9
    assert {Path(weight["name"]).name for weight in facts["weights"]} == {"model.safetensors", "classes.json"}
