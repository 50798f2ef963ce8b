from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kagkit.foundation.component import function_code, function_files
from kagkit.foundation.errors import ManifestError
from kagkit.workspace.competition import read_competition
from kagkit.workspace.experiment import Experiment, read_experiment
from kagkit.workspace.manifest import FoldChoice, Manifest, Resources
from tests.toy import make_workspace, write_manifest, write_recipe

RECIPE = """
def prepare(task, rows, *, size=48): ...
def train(task, *, width=8, lr: float = 1e-3, tta="none", size=48, deep=False, cut: int | None = None): ...
def load(task, *, width=8): ...
def predict(task, model, rows, *, tta="none"): return rows
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    make_workspace(
        tmp_path, folds={"time": {"scheme": "time", "column": "a"}}, data={"more": {"files": ["data"]}}
    )
    write_recipe(tmp_path, "unet.py", RECIPE)
    (tmp_path / "masks.py").write_text("def triplet(predictions, rows, *, top=0.75, area=30): ...\n")
    return tmp_path


def read(root: Path, name: str = "exp001") -> Experiment:
    return read_experiment(root, root / f"{name}.yaml", read_competition(root))


def refusal(root: Path) -> list[tuple[str, str]]:
    """Every problem of exp001.yaml with its hint."""
    with pytest.raises(ManifestError) as caught:
        read(root)
    assert str(root) not in str(caught.value)
    told = [str(replace(problem, hint="")) for problem in caught.value.problems]
    hints = [problem.hint for problem in caught.value.problems]
    return [(text.removeprefix("exp001.yaml "), hint) for text, hint in zip(told, hints, strict=True)]


def refused(root: Path, **changes: Any) -> list[tuple[str, str]]:
    """The problems of a manifest of unet.py with some keys replaced."""
    write_manifest(root, **{"recipe": "unet.py"} | changes)
    return refusal(root)


# --- what is understood ---


def test_the_smallest_manifest_reads_without_problems(root: Path) -> None:
    (root / "exp001.yaml").write_text("kagkit: 1\nrecipe: mean.py\n")
    experiment = read(root)
    assert experiment.name == "exp001"
    assert experiment.manifest == Manifest(1, "mean.py")
    assert experiment.manifest.seeds == (0,)
    assert experiment.keeps == "weights"
    assert set(experiment.recipe.functions) == {"train", "predict"}


def test_a_full_manifest_is_read(root: Path) -> None:
    (root / "weights.bin").write_bytes(b"w")
    (root / "exp001.yaml").write_text(
        """kagkit: 1
note: 1.10
recipe: unet.py
args: {width: 16, lr: 1e-3, tta: no}
seeds: [0, 1]
folds: {set: time, only: [0, 2]}
fit: both
data: [main, more]
code: [masks.py]
assets: {encoder: {path: weights.bin, source: "a paper", licence: MIT}}
combine: rank_mean
submission: {make: masks:triplet, args: {top: 0.75, area: 30}}
resources: {gpus: 1, cpus: 2, memory: 8GiB}
determinism: off
save: {dtype: float16}
keep: weights
"""
    )
    experiment = read(root)
    manifest = experiment.manifest
    assert manifest.note == "1.10"
    assert manifest.args == {"width": 16, "lr": 0.001, "tta": "no"}
    assert manifest.folds == FoldChoice("time", (0, 2))
    assert manifest.resources.memory_bytes == 8 << 30
    assert manifest.determinism == "off"


@pytest.mark.parametrize(
    ("memory", "size"),
    [(None, 0), ("512MiB", 512 << 20), ("8GiB", 8 << 30), ("1.5 GiB", 3 << 29)],
)
def test_memory_is_told_in_binary_units(memory: str | None, size: int) -> None:
    assert Resources(memory=memory).memory_bytes == size


def test_a_recipe_that_returns_its_model_keeps_predictions(root: Path) -> None:
    write_recipe(root, text="def train(task): return 1\ndef predict(task, model, rows): return rows\n")
    assert read(root).keeps == "predictions"
    write_manifest(root, keep="predictions")
    assert read(root).keeps == "predictions"


def test_the_code_behind_a_reference_is_that_of_the_workspace_alone(root: Path) -> None:
    assert list(function_code(root, "masks:triplet")) == ["masks.py:triplet"]
    assert function_code(root, "kagkit.metrics:accuracy") == {}
    assert function_code(root, None) == {}
    assert function_files(root, ["masks:triplet", None, "kagkit.metrics:accuracy"]) == ["masks.py"]


# --- what is refused ---


@pytest.mark.parametrize(
    ("changes", "problem", "hint"),
    [
        (
            {"kagkit": 2},
            "line 1: kagkit: format 2; expected 1",
            "this kagkit reads format 1; a newer kagkit may read the file",
        ),
        ({"seeed": [0]}, "line 3: seeed: no such key", "did you mean seeds?"),
        ({"seeds": []}, "line 3: seeds: empty", "leave it out for seed 0"),
        ({"seeds": [0, 1, 0]}, "line 3: seeds: one stands twice; expected each once", ""),
        ({"seeds": [-1]}, "line 3: seeds: out of range; expected 0 to 4294967295", ""),
        ({"seeds": [2**32]}, "line 3: seeds: out of range; expected 0 to 4294967295", ""),
        ({"seeds": 0}, "line 3: seeds: found 0; expected a list: [0]", ""),
        ({"folds": "tima"}, "line 3: folds: no set named tima in competition.yaml", "did you mean time?"),
        ({"folds": {"only": []}}, "line 3: folds.only: empty", "leave it out for all folds"),
        (
            {"data": ["main", "mor"]},
            "line 3: data: mor is not declared in competition.yaml",
            "did you mean more?",
        ),
        ({"fit": "ful"}, 'line 3: fit: found "ful"; expected one of folds, full, both', "did you mean full?"),
        ({"code": ["mask.py"]}, "line 3: mask.py: no such file", "did you mean masks.py?"),
        ({"code": ["data"]}, "line 3: data: a folder; expected a file", ""),
        (
            {"assets": {"encoder": {"path": "../r18.bin"}}},
            "line 4: ../r18.bin: not a path inside the workspace",
            "link it here: ln -s",
        ),
        ({"resources": {"cpus": 0}}, "line 3: resources: cpus 0, gpus 0; expected cpus ≥ 1, gpus ≥ 0", ""),
        ({"combine": "median"}, "line 3: combine: median; expected mean, rank_mean or module:function", ""),
        ({"combine": "masks:median"}, "line 3: masks:median: no such function", "one of: triplet"),
        ({"submission": {"args": {"top": 1}}}, "line 4: submission.args without submission.make", ""),
        (
            {"submission": {"make": "masks:triple"}},
            "line 4: masks:triple: no such function",
            "did you mean triplet?",
        ),
        (
            {"submission": {"make": "masks.triplet"}},
            "line 4: masks.triplet: not a function's name; expected module:function",
            "",
        ),
        (
            {"submission": {"make": "masks:triplet", "args": {"are": 30}}},
            "line 5: are: masks:triplet takes no such argument",
            "did you mean area?",
        ),
        (
            {"save": {"dtype": "float8"}},
            'line 4: save.dtype: found "float8"; expected one of float16, float32, float64',
            "did you mean float64?",
        ),
        (
            {"keep": "predictions"},
            "line 3: keep: predictions, and train returns nothing",
            "return the model from train",
        ),
    ],
)
def test_what_cannot_be_meant_is_refused(
    changes: dict[str, Any], problem: str, hint: str, root: Path
) -> None:
    assert refused(root, **changes) == [(problem, hint)]


@pytest.mark.parametrize("memory", ["8GB", "8", "GiB", "-8GiB", "nanGiB", "infGiB", "lots", "1e3MiB"])
def test_memory_in_other_words_is_refused(memory: str, root: Path) -> None:
    problem = f"line 3: resources.memory: {memory}; expected a size such as 8GiB or 512MiB"
    assert refused(root, resources={"memory": memory}) == [(problem, "")]


@pytest.mark.parametrize(
    ("recipe", "problem", "hint"),
    [
        ("unett.py", "line 2: unett.py: no such file", "did you mean unet.py?"),
        ("unet", "line 2: recipe: unet; expected a .py file beside the manifest", "did you mean unet.py?"),
        ("../unet.py", "line 2: ../unet.py: not a path inside the workspace", "link it here: ln -s"),
        ("broken.py", "line 2, broken.py line 2: not Python: invalid syntax", ""),
        ("leaning.py", "line 2, broken.py line 2: not Python: invalid syntax", ""),
    ],
)
def test_a_recipe_that_cannot_be_read_is_told(recipe: str, problem: str, hint: str, root: Path) -> None:
    write_recipe(root, "broken.py", "x = 1\ndef f(:\n")
    write_recipe(root, "leaning.py", "import broken\n" + RECIPE)
    assert refused(root, recipe=recipe) == [(problem, hint)]


@pytest.mark.parametrize(
    ("args", "problem", "hint"),
    [
        ({"widht": 8}, "line 4: args.widht: no function of unet.py takes it", "did you mean width?"),
        (
            {"task": 8},
            "line 4: args.task: no function of unet.py takes it",
            "one of: cut, deep, lr, size, tta, width",
        ),
        (
            {"width": "eight"},
            'line 4: args.width: found "eight"; expected a whole number',
            "unet.py line 3: train declares width = 8",
        ),
        (
            {"lr": "fast"},
            'line 4: args.lr: found "fast"; expected a number',
            "unet.py line 3: train declares lr: float = 0.001",
        ),
        (
            {"deep": 1},
            "line 4: args.deep: found 1; expected true or false",
            "unet.py line 3: train declares deep = False",
        ),
        (
            {"width": True},
            "line 4: args.width: found true; expected a whole number",
            "unet.py line 3: train declares width = 8",
        ),
        (
            {"tta": 1.5},
            "line 4: args.tta: found 1.5; expected text",
            "unet.py line 3: train declares tta = 'none'",
        ),
    ],
)
def test_an_argument_that_does_not_fit_names_the_line_of_the_recipe(
    args: dict[str, Any], problem: str, hint: str, root: Path
) -> None:
    assert refused(root, args=args) == [(problem, hint)]


def test_arguments_that_fit_pass(root: Path) -> None:
    args = {"width": 16, "lr": 1, "deep": True, "tta": "no", "cut": "free", "size": 64}
    write_manifest(root, recipe="unet.py", args=args)
    assert read(root).manifest.args == args


def test_keeping_weights_of_a_model_that_is_returned_is_refused(root: Path) -> None:
    write_recipe(root, "returns.py", "def train(task): return 1\ndef predict(task, model, rows): ...\n")
    assert refused(root, recipe="returns.py", keep="weights") == [
        (
            "line 3: keep: weights, and train returns its model",
            "write the weights into task.out and return nothing",
        )
    ]


def test_all_problems_are_told_at_once_each_with_its_line(root: Path) -> None:
    (root / "exp001.yaml").write_text(
        """# an experiment
kagkit: 1
recipe: odd.py
args:
  lr: 1e-3
  widht: 8
  width: eight
seeds: [0, 0, -1]
folds: tima
fold: main
fit: none
resources:
  memory: 8GB
submission:
  make: masks:triplet
  args:
    are: 30
"""
    )
    write_recipe(root, "odd.py", "def train(task, *, width=8, seed): return 1\ndef load(task): ...\n")
    assert [problem for problem, _ in refusal(root)] == [
        "line 10: fold: no such key",
        'line 11: fit: found "none"; expected one of folds, full, both',
        "line 8: seeds: one stands twice; expected each once",
        "line 8: seeds: out of range; expected 0 to 4294967295",
        "line 9: folds: no set named tima in competition.yaml",
        "line 12: resources.memory: 8GB; expected a size such as 8GiB or 512MiB",
        "line 16: are: masks:triplet takes no such argument",
        "line 3: odd.py: no function predict",
        "odd.py line 1: train: seed has no default",
        "odd.py line 1: train returns a model and there is a load",
        "line 5: args.lr: no function of odd.py takes it",
        "line 6: args.widht: no function of odd.py takes it",
        'line 7: args.width: found "eight"; expected a whole number',
    ]


def test_reading_an_experiment_runs_nothing(root: Path) -> None:
    effect = f"import pathlib\npathlib.Path({str(root / 'ran')!r}).touch()\n"
    write_recipe(root, "unet.py", effect + RECIPE)
    write_manifest(root, recipe="unet.py")
    assert read(root).recipe.code("train", "predict")
    assert not (root / "ran").exists()
