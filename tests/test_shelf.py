from __future__ import annotations

import ast
import tomllib
from pathlib import Path

import pytest

from kagkit.foundation.errors import ManifestError
from kagkit.recipes.shelf import FILES, copy_recipe, list_recipes, recipe_text
from kagkit.workspace.recipe import read_recipe, recipe_problems
from tests.floors import ROOT


def test_every_recipe_has_one_sentence_and_is_a_recipe() -> None:
    for name, sentence in list_recipes().items():
        assert sentence.endswith(".")
        assert ". " not in sentence
        recipe = read_recipe(FILES, f"{name}.py")
        assert list(recipe_problems(recipe, {}, name, lambda argument: argument)) == []


def test_the_first_recipe_is_short_enough_to_be_read_at_once() -> None:
    assert len(recipe_text("boosting").splitlines()) <= 60


def test_recipes_are_packaged() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]
    (pattern,) = settings["package-data"]["kagkit.recipes"]
    assert sorted(FILES.parent.glob(pattern)) == sorted(FILES.glob("*"), key=str) != []


def test_a_copy_is_the_recipe_byte_for_byte_and_nothing_is_overwritten(tmp_path: Path) -> None:
    path = copy_recipe("cnn.py", tmp_path / "deep")
    assert path.read_bytes() == (FILES / "cnn.py").read_bytes()
    with pytest.raises(ManifestError, match=r"cnn.py is not overwritten"):
        copy_recipe("cnn", tmp_path / "deep")


def test_an_unknown_recipe_names_the_nearest() -> None:
    with pytest.raises(ManifestError, match="did you mean forest"):
        recipe_text("forrest")


def test_constants_are_filled_in_and_all_else_stays() -> None:
    odd = ['a "quoted" \\ name # x', "é"]
    before, after = recipe_text("boosting"), recipe_text("boosting", {"TARGETS": odd, "NO_SUCH": 1})
    changed = [line for line in after.splitlines() if line not in before.splitlines()]
    assert changed == ['TARGETS = ["a \\"quoted\\" \\\\ name # x", "é"]  # the columns to predict']
    assert len(after.splitlines()) == len(before.splitlines())


def test_many_targets_stand_on_lines_of_their_own() -> None:
    targets = [f"target number {number}" for number in range(30)]
    text = recipe_text("forest", {"TARGETS": targets})
    first = next(node for node in ast.parse(text).body if isinstance(node, ast.Assign))
    assert ast.literal_eval(first.value) == targets
    assert max(map(len, text.splitlines())) <= 110
