from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import pytest

from kagkit.foundation.errors import ManifestError
from kagkit.foundation.schema import read_tree, read_what_fits
from kagkit.foundation.strictyaml import Node, parse_yaml


@dataclass(frozen=True)
class Folds:
    set: str = "main"
    only: tuple[int, ...] | None = None

    @staticmethod
    def shorthand(node: Node) -> Node | None:
        return Node({"set": node}, node.line) if isinstance(node.value, str) else None


@dataclass(frozen=True)
class Stage:
    train: str
    share: float | None = None


@dataclass(frozen=True)
class Experiment:
    recipe: str
    note: str = ""
    seeds: tuple[int, ...] = (0,)
    folds: Folds = Folds()
    stages: dict[str, Stage] = field(default_factory=dict)
    args: dict[str, Any] = field(default_factory=dict)
    gap: float | str | None = None
    exact: bool = True
    fit: Literal["folds", "full", "off"] = "folds"


def read(text: str) -> Experiment:
    return read_tree(Experiment, parse_yaml(text, "exp.yaml"), "exp.yaml")


def refusal(text: str) -> list[str]:
    with pytest.raises(ManifestError) as caught:
        read(text)
    return [str(problem).removeprefix("exp.yaml ") for problem in caught.value.problems]


# --- what is understood ---


def test_what_is_not_written_has_its_default() -> None:
    assert read("recipe: a.py") == Experiment("a.py")


def test_every_kind_of_field_is_read() -> None:
    text = """
recipe: a.py
seeds: [0, 1]
folds: {set: time, only: [2]}
stages: {1: {train: data/train.csv, share: 1}}
args: {lr: 1e-3, tta: no, sizes: [1, {x: null}]}
exact: false
fit: off
"""
    assert read(text) == Experiment(
        recipe="a.py",
        seeds=(0, 1),
        folds=Folds("time", (2,)),
        stages={"1": Stage("data/train.csv", 1.0)},
        args={"lr": 0.001, "tta": "no", "sizes": [1, {"x": None}]},
        exact=False,
        fit="off",
    )


def test_a_shorthand_stands_for_the_full_form() -> None:
    assert read("recipe: a.py\nfolds: time").folds == Folds("time")


@pytest.mark.parametrize("text", ["1.10", "1e-3", "007", "2019-10-01", "true", "no"])
def test_a_text_field_keeps_the_spelling(text: str) -> None:
    assert read(f"recipe: a.py\nnote: {text}").note == text


def test_an_empty_quoted_text_is_text() -> None:
    assert read("recipe: a.py\nnote: ''").note == ""


@pytest.mark.parametrize(
    ("text", "value"), [("7d", "7d"), ("7", 7.0), ("1e1", 10.0), ("", None), ("~", None)]
)
def test_a_union_takes_the_first_kind_that_fits(text: str, value: object) -> None:
    gap = read(f"recipe: a.py\ngap: {text}").gap
    assert gap == value
    assert type(gap) is type(value)


# --- what is refused ---


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("seeed: [0]", "line 2: seeed: no such key\n  hint: did you mean seeds?"),
        ("folds: {sett: a}", "line 2: folds.sett: no such key\n  hint: did you mean set?"),
        ("stages:\n  1:\n    share: 1", "line 3: stages.1.train: missing\n  hint: add `train: …`"),
        ("seeds: 0", "line 2: seeds: found 0; expected a list: [0]"),
        ("seeds: {a: 1}", "line 2: seeds: found a mapping; expected a list: […]"),
        ("seeds:\n  - 0\n  - one", 'line 4: seeds[1]: found "one"; expected a whole number'),
        ("seeds: [1.0]", "line 2: seeds[0]: found 1.0; expected a whole number"),
        ("seeds: [true]", "line 2: seeds[0]: found true; expected a whole number"),
        ("seeds: ['1']", 'line 2: seeds[0]: found "1"; expected a whole number'),
        ("exact: 1", "line 2: exact: found 1; expected true or false"),
        ("exact: yes", 'line 2: exact: found "yes"; expected true or false'),
        ("note: [a]", "line 2: note: found a list; expected text"),
        ("note:", "line 2: note: nothing given; expected text"),
        ("args: 1", "line 2: args: found 1; expected a mapping: {name: …}"),
        ("folds: 3", "line 2: folds: found 3; expected a mapping with keys such as set, only"),
        ("gap: [1]", "line 2: gap: found a list; expected text"),
        ("stages: {1: {train: a, share: true}}", "line 2: stages.1.share: found true; expected a number"),
        (
            "fit: ful",
            'line 2: fit: found "ful"; expected one of folds, full, off\n  hint: did you mean full?',
        ),
        ("fit: 3", "line 2: fit: found 3; expected one of folds, full, off"),
        ("fit: [full]", "line 2: fit: found a list; expected one of folds, full, off"),
        ("fit:", "line 2: fit: nothing given; expected one of folds, full, off"),
    ],
)
def test_what_does_not_fit_is_told_with_its_line(text: str, problem: str) -> None:
    assert refusal(f"recipe: a.py\n{text}") == [problem]


def test_a_missing_key_of_the_file_itself_is_told() -> None:
    assert refusal("note: x") == ["line 1: recipe: missing\n  hint: add `recipe: …`"]


def test_several_problems_are_told_at_once_each_with_its_line() -> None:
    text = "note: x\nseeds: 0\nfold: main\nstages:\n  1: {train: [a]}\n  2: {test: b}\nexact: 2"
    assert refusal(text) == [
        "line 2: seeds: found 0; expected a list: [0]",
        "line 3: fold: no such key\n  hint: did you mean folds?",
        "line 5: stages.1.train: found a list; expected text",
        "line 6: stages.2.test: no such key\n  hint: one of: share, train",
        "line 6: stages.2.train: missing\n  hint: add `train: …`",
        "line 7: exact: found 2; expected true or false",
        "line 1: recipe: missing\n  hint: add `recipe: …`",
    ]


# --- reading on after a problem ---


def what_fits(text: str) -> tuple[Experiment | None, int]:
    found, problems = read_what_fits(Experiment, parse_yaml(text, "exp.yaml"), "exp.yaml")
    return found, len(problems)


def test_what_fits_is_read_with_defaults_in_place_of_the_rest() -> None:
    text = "recipe: a.py\nseeed: 1\nseeds: x\nnote: kept\nstages: {1: {train: a}, 2: {}}"
    assert what_fits(text) == (Experiment("a.py", "kept"), 3)


def test_a_part_with_a_refused_value_is_left_out_whole() -> None:
    assert what_fits("recipe: a.py\nfolds: {set: time, only: 1}") == (Experiment("a.py"), 1)


def test_nothing_fits_where_a_required_value_does_not() -> None:
    assert what_fits("recipe: [a.py]\nnote: x") == (None, 1)
    assert what_fits("") == (None, 1)
