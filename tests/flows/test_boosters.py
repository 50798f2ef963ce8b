from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import pytest

from tests.docs_pages import DOCS, workspaces_of
from tests.terminal import edit, kagkit, newest_run, record

PAGE = (DOCS / "recipes.md").read_text(encoding="utf-8")
FILES = {block.file: block.text for block in workspaces_of(PAGE)["moons"] if block.file}
# The recipes of the page, each with its library, the package this is installed by, and what it keeps.
RECIPES = {
    "trees": ("lightgbm", ("lightgbm",), "model.txt"),
    "xgb": ("xgboost", ("xgboost", "xgboost-cpu"), "model.ubj"),
    "cats": ("catboost", ("catboost",), "model.cbm"),
}
UNSTAMPING = """    for stamp in ("model_guid", "train_finish_time"):  # else each file is another one
        del model.get_metadata()[stamp]
"""


@pytest.fixture
def moons(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The workspace of the page of recipes, with its data."""
    for name, text in FILES.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    runpy.run_path("make_data.py")
    return tmp_path


def reproduce(root: Path, run: str, *words: str) -> Any:
    return kagkit(root, "reproduce", run, *words, "--json").json


@pytest.mark.parametrize("name", RECIPES)
def test_trees_of_the_page_come_out_the_same_again_byte_for_byte(name: str, moons: Path) -> None:
    library, packages, weights = RECIPES[name]
    pytest.importorskip(library)
    kagkit(moons, "run", name, "--folds", "0")
    assert [path.name for path in (newest_run(moons, name) / "weights/seed0-fold0").iterdir()] == [weights]
    assert {*packages} & record(moons, name)["fingerprint"]["packages"].keys()
    told = reproduce(moons, f"{name}/1", "--level", "scratch")
    assert (told["verdict"], told["tier"]) == ("identical", "exact"), told


def test_trees_that_hold_their_time_are_judged_by_what_they_predict(moons: Path) -> None:
    pytest.importorskip("catboost")
    edit(moons / "cats.py", UNSTAMPING, "")
    kagkit(moons, "run", "cats", "--folds", "0")
    told = reproduce(moons, "cats/1", "--level", "scratch")
    assert (told["verdict"], told["tier"]) == ("within tolerance", "exact")
    assert "other bytes of weights, and every prediction is the same" in told["why"]
    assert told["first_difference"].startswith("train seed 0 fold 0: model.cbm")
    others = [item["what"] for item in told["compared"] if item["recorded"] != item["now"]]
    assert others == ["train seed 0 fold 0"]
