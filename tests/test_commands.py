from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kagkit.foundation.errors import ManifestError
from kagkit.workspace.commandlines import Command, read_line
from kagkit.workspace.commands import CommandRecipe
from kagkit.workspace.competition import read_competition
from kagkit.workspace.experiment import Experiment, read_experiment
from tests.toy import COMPETITION, make_workspace, write_competition, write_manifest, write_recipe

TRAIN = "python train.py --rows {train_rows} --out {out} --shift {shift}"
PREDICT = "python predict.py {weights} {rows} {out} {flip}"
ARGS = {"shift": 0.5, "flip": True}
SCRIPT = '''"""Train."""
import sys  # read


def main():
    """Do it."""
    from helper import middle

    print(middle(sys.argv))


if __name__ == "__main__":
    main()
'''


@pytest.fixture
def toy(tmp_path: Path) -> Path:
    root = make_workspace(tmp_path)
    write_recipe(root, "train.py", SCRIPT)
    write_recipe(root, "predict.py", "import numpy\n")
    write_recipe(root, "helper.py", "import scipy.stats\n\n\ndef middle(x):\n    return x\n")
    return root


def read(root: Path, **changes: Any) -> Experiment:
    """The experiment with command lines, some of its manifest's keys replaced."""
    lines = {"train": TRAIN, "predict": PREDICT} | changes.pop("command", {})
    keys: dict[str, Any] = {"recipe": None, "args": ARGS, "command": lines} | changes
    write_manifest(root, **keys)
    return read_experiment(root, root / "exp001.yaml", read_competition(root))


def problems_of(root: Path, **changes: Any) -> list[str]:
    with pytest.raises(ManifestError) as caught:
        read(root, **changes)
    return [str(problem).replace("exp001.yaml ", "") for problem in caught.value.problems]


def recipe_of(root: Path, train: str = TRAIN, predict: str = PREDICT, **more: Any) -> CommandRecipe:
    return CommandRecipe(root, Command(train, predict), **more)


def test_a_value_stays_one_word_and_double_braces_are_braces() -> None:
    line = read_line("""fit --opts='{{"a": {a}}}' "{b} c" d\\ e""")
    assert line.fill({"a": "1", "b": "x y"}) == ["fit", '--opts={"a": 1}', "x y c", "d e"]


def test_a_file_that_no_key_has_is_told_before_it_is_used(toy: Path) -> None:
    for name in ("net.json", "labels.txt"):
        (toy / name).write_text("{}")
    more = {"train": f"{TRAIN} --net {{net}} --labels labels.txt --rows data/train.csv"}
    args = ARGS | {"net": "net.json"}
    told = "a change in this file would not be seen\n  hint: code: "
    assert problems_of(toy, command=more, args=args) == [
        f"line 7: command.train: labels.txt: {told}[labels.txt]",
        f"line 5: args.net: net.json: {told}[net.json]",
    ]
    read(toy, command=more, args=args, code=["net.json", "labels.txt"])
    read(toy, args=ARGS | {"flip": "x" * 300})  # no name of a file


def test_every_argument_goes_to_the_lines_that_name_it(toy: Path) -> None:
    recipe = read(toy).recipe
    assert recipe.arguments("train", ARGS) == {"shift": 0.5}
    assert recipe.arguments("predict", ARGS) == {"flip": True}
    assert recipe.arguments("load", ARGS) == recipe.arguments("prepare", ARGS) == {}
    assert (recipe.keeps, recipe.reads) == ("weights", "unwatched")


def test_the_code_of_a_line_is_its_words_and_the_files_behind_them(toy: Path) -> None:
    recipe = read(toy).recipe
    assert list(recipe.code("train")) == ["command:train", "helper.py:(file)", "train.py:(file)"]
    assert list(recipe.code("load", "predict")) == ["command:predict", "predict.py:(file)"]
    assert recipe.imports.local == ("helper.py", "predict.py", "train.py")
    assert {"scipy.stats", "numpy", "sys"} <= set(recipe.imports.installed)


@pytest.mark.parametrize(
    ("old", "new", "changes"),
    [
        ("    main()\n", "    main(1)\n", True),  # below `if __name__ == "__main__":`
        ("print(", "sys.stdout.write(", True),
        ("# read", "# reads its arguments", False),
        ('"""Do it."""', '"""Do it well."""', False),
        ('"""Train."""', '"""Trains."""', False),
    ],
)
def test_all_of_a_script_counts_but_for_words_to_people(old: str, new: str, changes: bool, toy: Path) -> None:
    before = recipe_of(toy).code("train")
    write_recipe(toy, "train.py", SCRIPT.replace(old, new))
    now = recipe_of(toy).code("train")
    assert [name for name in now if now[name] != before[name]] == (["train.py:(file)"] if changes else [])


def test_scripts_import_from_their_own_folder_and_modules_from_the_working_one(toy: Path) -> None:
    for name in ("train.py", "helper.py"):
        (toy / "src").mkdir(exist_ok=True)
        (toy / name).rename(toy / "src" / name)
    assert {"src/train.py:(file)", "src/helper.py:(file)"} < set(
        recipe_of(toy, train="python -u src/train.py {out}").code("train")
    )
    inside = recipe_of(toy, train="python -m train {out}", workdir="src")
    assert {"src/train.py:(file)", "src/helper.py:(file)"} < set(inside.code("train"))
    assert {"src/train.py:(file)", "src/helper.py:(file)"} < set(
        recipe_of(toy, train="torchrun --nproc 1 train.py {out}", workdir="src").code("train")
    )


def test_scripts_of_other_languages_and_settings_count_by_their_bytes(toy: Path) -> None:
    for name in ("fit.sh", "net.yaml", "rows.csv"):
        (toy / name).write_text("a: 1\n")
    line = "bash fit.sh --config=net.yaml --rows rows.csv --no.yaml {out}"
    assert list(recipe_of(toy, train=line).code("train")) == [
        "command:train",
        "fit.sh:(file)",
        "net.yaml:(file)",
    ]


def test_the_words_the_folder_and_what_is_kept_belong_to_the_code(toy: Path) -> None:
    before = recipe_of(toy).code("train", "predict")
    assert recipe_of(toy, train=TRAIN + "  ").code("train", "predict") == before
    now = recipe_of(toy, outputs=("*.txt",)).code("train", "predict")
    assert [name for name in now if now[name] != before[name]] == ["command:train"]
    now = recipe_of(toy, predict=PREDICT + " --fast").code("train", "predict")
    assert [name for name in now if now[name] != before[name]] == ["command:predict"]


def test_one_of_recipe_and_command_is_needed(toy: Path) -> None:
    (problem,) = problems_of(toy, recipe="mean.py", args={})
    assert problem.startswith("line 4: command beside recipe; expected one of the two\n  hint: a recipe is")
    write_manifest(toy, recipe=None)
    with pytest.raises(ManifestError, match=r"exp001\.yaml line 1: recipe: missing"):
        read_experiment(toy, toy / "exp001.yaml", read_competition(toy))


def test_keys_of_a_command_are_refused_beside_a_recipe(toy: Path) -> None:
    write_manifest(toy, workdir="data", outputs=["*.txt"])
    with pytest.raises(ManifestError) as caught:
        read_experiment(toy, toy / "exp001.yaml", read_competition(toy))
    found = [problem.found for problem in caught.value.problems]
    assert found == ["workdir without command", "outputs without command"]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"command": {"train": TRAIN + " {sed}"}}, "not in args\n  hint: did you mean seed?"),
        ({"command": {"train": TRAIN + " {rows}"}}, "command.train: {rows} is for command.predict alone"),
        ({"command": {"predict": PREDICT + " {train_rows}"}}, "{train_rows} is for command.train alone"),
        ({"command": {"train": TRAIN + " {files}"}}, "{files}, and stage 1 of competition.yaml has no files"),
        ({"command": {"train": "python train.py {train_rows} {shift}"}}, "command.train: no {out}"),
        ({"command": {"predict": "python predict.py {out} {flip}"}}, "command.predict: no {rows}"),
        ({"command": {"predict": "python predict.py {rows} {flip}"}}, "command.predict: no {out}"),
        ({"command": {"train": "python train.py {out} {shift}"}}, "the same rows for every fold"),
        ({"command": {"train": TRAIN + " '"}}, "command.train: no closing quotation"),
        ({"command": {"train": TRAIN + " {"}}, "command.train: single '{' encountered"),
        ({"command": {"train": TRAIN + " {seed:03d}"}}, "not a placeholder: {seed:03d}"),
        ({"command": {"train": TRAIN + " {}"}}, "command.train: not a placeholder: {}"),
        ({"command": {"train": ""}}, "command.train: no words"),
        ({"command": {"train": "pyhton train.py {train_rows} {out} {shift}"}}, "pyhton: no such program"),
        ({"command": {"train": "./train.py {train_rows} {out} {shift}"}}, "`chmod +x` it"),
        ({"command": {"train": TRAIN.replace("train.py", "trian.py")}}, "did you mean train.py?"),
        ({"command": {"train": TRAIN.replace("train.py", "trains")}}, "trains: no such file"),
        ({"command": {"train": TRAIN.replace("train.py", "../train.py")}}, "train.py: outside the workspace"),
        ({"command": {"train": TRAIN.replace("train.py", "-m no_such.train")}}, "no_such.train: no such"),
        ({"args": {"shift": 1, "flip": 1, "shfit": 1}}, "names {shfit}\n  hint: did you mean shift?"),
        ({"args": {"shift": 1, "flip": 1, "seed": 1}}, "args.seed: kagkit fills {seed}"),
        ({"workdir": "nowhere"}, "nowhere: no such file"),
        ({"workdir": "../.."}, "not a path inside the workspace"),
        ({"workdir": "train.py"}, "train.py: a file; expected a folder"),
        ({"outputs": ["*.pt", "/tmp/*", "../*"]}, "outputs: /tmp/*; expected a glob below {out}"),
        ({"keep": "predictions"}, "keep: predictions, and a command"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_command_is_told(changes: dict[str, Any], told: str, toy: Path) -> None:
    problems = problems_of(toy, **changes)
    assert any(told in problem for problem in problems), problems
    assert all(problem.startswith("line ") for problem in problems)


def test_everything_wrong_is_told_at_once(toy: Path) -> None:
    write_recipe(toy, "train.py", "def f(:\n")
    lines = {
        "train": "python train.py {train_rows} {sed} {out}",
        "predict": "python predcit.py {rows} {flip}",
    }
    problems = problems_of(toy, command=lines)
    assert [problem.partition("\n")[0] for problem in problems] == [
        "line 6: command.train: {sed} is no placeholder and not in args",
        "line 7: command.predict: no {out}",
        "line 7: command.predict: predcit.py: no such file",
        "line 6, train.py line 1: not Python: invalid syntax",
        "line 3: args.shift: no command names {shift}",
    ]


def test_a_fit_on_all_rows_needs_no_rows_of_a_fold(toy: Path) -> None:
    read(toy, fit="full", command={"train": "python train.py {out} {shift}"})


def test_files_of_the_stage_have_a_placeholder(toy: Path) -> None:
    stage = COMPETITION["stages"][1] | {"files": ["data"]}
    write_competition(toy, stages={1: stage})
    recipe = read(toy, command={"train": TRAIN + " {files}"}).recipe
    assert "files" not in recipe.functions["train"].keywords
