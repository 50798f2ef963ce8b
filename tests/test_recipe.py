from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kagkit.foundation.errors import ManifestError
from kagkit.workspace.recipe import Recipe, read_recipe, recipe_problems
from tests.toy import RECIPE, write_recipe

WHOLE = """
def prepare(task, rows, *, size=48): ...
def train(task, *, width=8, size=48): helper()
def load(task, *, width=8): ...
def predict(task, model, rows, *, tta="none"): return rows
def helper(): ...
"""


def recipe_of(root: Path, text: str) -> Recipe:
    write_recipe(root, "unet.py", text)
    return read_recipe(root, "unet.py")


def problems_of(root: Path, text: str, **args: Any) -> list[str]:
    recipe = recipe_of(root, text)
    found = recipe_problems(recipe, args, "exp.yaml line 2", lambda name: f"exp.yaml args.{name}")
    return [str(problem) for problem in found]


def test_a_recipe_is_the_functions_that_are_there(tmp_path: Path) -> None:
    assert list(recipe_of(tmp_path, WHOLE).functions) == ["prepare", "train", "load", "predict"]
    write_recipe(tmp_path)
    assert list(read_recipe(tmp_path, "mean.py").functions) == ["train", "predict"]
    assert problems_of(tmp_path, WHOLE) == problems_of(tmp_path, RECIPE) == []


def test_every_argument_goes_to_the_functions_that_name_it(tmp_path: Path) -> None:
    recipe = recipe_of(tmp_path, WHOLE)
    args = {"width": 1, "size": 2, "tta": "hflip"}
    assert recipe.arguments("prepare", args) == {"size": 2}
    assert recipe.arguments("train", args) == {"width": 1, "size": 2}
    assert recipe.arguments("load", args) == {"width": 1}
    assert recipe.arguments("predict", args) == {"tta": "hflip"}
    assert recipe_of(tmp_path, RECIPE).arguments("load", args) == {}


def test_a_function_that_takes_anything_gets_everything(tmp_path: Path) -> None:
    text = "def train(task, **rest): ...\ndef predict(task, model, rows): ...\n"
    assert recipe_of(tmp_path, text).arguments("train", {"a": 1}) == {"a": 1}
    assert problems_of(tmp_path, text, anything=[1]) == []


def test_the_code_of_functions_that_are_missing_is_none(tmp_path: Path) -> None:
    recipe = recipe_of(tmp_path, WHOLE)
    assert list(recipe.code("train")) == ["unet.py:helper", "unet.py:train"]
    assert list(recipe_of(tmp_path, RECIPE).code("prepare", "load")) == []


def test_what_predict_alone_uses_is_not_in_the_code_of_train(tmp_path: Path) -> None:
    recipe = recipe_of(tmp_path, WHOLE)
    train, predict = recipe.code("train"), recipe.code("predict")
    recipe = recipe_of(tmp_path, WHOLE.replace("return rows", "return rows + 1"))
    assert recipe.code("train") == train
    assert recipe.code("predict") != predict


@pytest.mark.parametrize(
    ("body", "keeps"), [("return Model()", "predictions"), ("return", "weights"), ("...", "weights")]
)
def test_a_model_that_is_returned_is_not_kept(body: str, keeps: str, tmp_path: Path) -> None:
    assert recipe_of(tmp_path, f"def train(task):\n    {body}\n").keeps == keeps


def test_the_functions_every_recipe_needs_are_asked_for(tmp_path: Path) -> None:
    assert problems_of(tmp_path, "x = 1\n") == [
        "exp.yaml line 2: unet.py: no function train\n  hint: write `def train(task): …`",
        "exp.yaml line 2: unet.py: no function predict\n  hint: write `def predict(task, model, rows): …`",
    ]


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("train(task, *", "train(*", "unet.py line 3: train(); expected train(task, *, option=default)"),
        (
            "train(task, *, width=8",
            "train(task, width, *",
            "unet.py line 3: train(task, width); expected train(task, *, option=default)",
        ),
        (
            "predict(task, model, rows",
            "predict(task, rows",
            "unet.py line 5: predict(task, rows); expected predict(task, model, rows, *, option=default)",
        ),
        (
            "load(task, *, width=8)",
            "load(task, *,\n         width)",
            "unet.py line 5: load: width has no default",
        ),
        (
            "helper()",
            "return 1",
            "unet.py line 3: train returns a model and there is a load",
        ),
    ],
)
def test_a_function_in_another_shape_is_told_with_its_line(
    old: str, new: str, problem: str, tmp_path: Path
) -> None:
    assert old in WHOLE
    (found,) = problems_of(tmp_path, WHOLE.replace(old, new, 1))
    assert found.partition("\n")[0] == problem


@pytest.mark.parametrize(
    "extra", ["task, width=8, *", "task, /, *, width=8", "task, *more, width=8", "who, *, width=8"]
)
def test_other_ways_to_write_the_same_shape_pass(extra: str, tmp_path: Path) -> None:
    text = WHOLE.replace("def train(task, *, width=8", f"def train({extra}")
    assert problems_of(tmp_path, text, width=3) == []


def test_an_argument_no_function_names_is_told_with_the_nearest(tmp_path: Path) -> None:
    bare = "def train(task): ...\ndef predict(task, model, rows): ...\n"
    assert problems_of(tmp_path, WHOLE, widht=1) == [
        "exp.yaml args.widht: args.widht: no function of unet.py takes it\n  hint: did you mean width?"
    ]
    assert problems_of(tmp_path, bare, a=1) == [
        "exp.yaml args.a: args.a: no function of unet.py takes it\n  hint: unet.py takes no arguments"
    ]


@pytest.mark.parametrize(
    ("declared", "fits", "refused"),
    [
        ("x=8", [0, -3], [1.0, "8", True, None, [8]]),
        ("x=1e-3", [1, 0.5, -1e300], ["fast", False, None]),
        ("x='a'", ["", "b"], [1, True, None, {"a": 1}]),
        ("x=True", [True, False], [0, 1, "yes", None]),
        ("x: int = None", [1], [1.5, "a"]),
        ("x: float = 1", [1, 1.5], ["a", True]),
        ("x: int | None = 8", [1, None, "unchecked"], []),
        ("x=None", [1, None, "a", [1]], []),
        ("x=(1, 2)", [[1, 2], "a"], []),
        ("x=DEFAULT", [1, "a"], []),
    ],
)
def test_a_value_must_be_of_the_type_that_is_declared(
    declared: str, fits: list[Any], refused: list[Any], tmp_path: Path
) -> None:
    text = f"def train(task, *, {declared}): ...\ndef predict(task, model, rows): ...\n"
    assert [value for value in fits if problems_of(tmp_path, text, x=value)] == []
    for value in refused:
        (problem,) = problems_of(tmp_path, text, x=value)
        assert problem.startswith("exp.yaml args.x: args.x: found ")
        assert "hint: unet.py line 1: train declares x" in problem


def test_a_recipe_that_is_missing_is_told(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"unet\.py: no such file"):
        read_recipe(tmp_path, "unet.py")


@pytest.mark.parametrize(
    "statement",
    ["import unet", "import unet.blocks as b", "from unet import Net", "from unet.blocks import Block"],
)
def test_a_recipe_named_like_what_it_imports_is_refused(statement: str, tmp_path: Path) -> None:
    found = "import unet finds this file, not a package unet\n  hint: rename the file: unet_recipe.py"
    assert problems_of(tmp_path, f"{statement}\n{WHOLE}") == [f"unet.py line 1: {found}"]
    inside = WHOLE.replace("size=48): helper()", f"size=48):\n    {statement}")
    assert problems_of(tmp_path, inside) == [f"unet.py line 4: {found}"]
    other = statement.replace("unet", "unets")
    assert problems_of(tmp_path, f"{other}\nfrom .unets import x\n{WHOLE}") == []
