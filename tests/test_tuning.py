from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kagkit.foundation.errors import DataError, ManifestError
from kagkit.runs.suggestion import suggest
from kagkit.runs.trials import (
    DONE,
    FAILED,
    PRUNED,
    RUNNING,
    Study,
    Trial,
    best_trial,
    find_optimism,
    may_stop,
    needed_tasks,
)
from kagkit.runs.trying import with_values
from kagkit.workspace.layout import Workspace
from kagkit.workspace.search import Search, Span, starting_values
from tests.toy import make_workspace, write_manifest, write_recipe

RECIPE = """
def train(task, *, lr: float = 1e-3, depth=3, kind="a", wide=WIDE): ...
def predict(task, model, rows, *, tta="none"): return rows
"""
CUT = "def cut(predictions, rows, *, top: float = 0.75, area=30): ...\n"
SPACE = Search(
    args={
        "lr": Span(1e-4, 1e-2, log=True),
        "depth": Span(2, 8),
        "kind": Span(choices=("a", None, [1, 2])),
        "half": Span(0.0, 1.2, step=0.5),
    }
)


def folds(*scores: float | None) -> tuple[dict[str, Any], ...]:
    return tuple({"seed": 0, "fold": fold, "score": score, "rows": 9} for fold, score in enumerate(scores))


def done(number: int, *scores: float, **facts: Any) -> Trial:
    trial = Trial(number, {}, DONE, folds(*scores), cv=float(np.mean(scores)))
    return replace(trial, **facts)


# --- the block in the manifest ---


@pytest.fixture
def root(tmp_path: Path) -> Path:
    make_workspace(tmp_path)
    write_recipe(tmp_path, "net.py", RECIPE)
    (tmp_path / "cuts.py").write_text(CUT)
    return tmp_path


def refused(root: Path, search: dict[str, Any], **more: Any) -> list[str]:
    write_manifest(root, recipe="net.py", search=search, **more)
    with pytest.raises(ManifestError) as caught:
        Workspace(root).experiment("exp001")
    return [str(problem) for problem in caught.value.problems]


def test_every_problem_of_a_search_is_told_at_once_with_its_line(root: Path) -> None:
    spans = {"lrr": {"low": 1e-4, "high": 1e-2}, "depth": {"low": 8, "high": 2}, "tta": {"choices": ["x"]}}
    told = refused(root, {"trials": 0, "minutes": -1.5, "args": spans, "submission": {"top": {"low": 0.1}}})
    told = [text.removeprefix("exp001.yaml ") for text in told]
    assert all(text.startswith("line ") for text in told)
    text = "\n".join(told)
    for wanted in (
        "search.trials: 0; expected 1 or more",
        "search.minutes: -1.5; expected more than 0",
        "did you mean lr?",
        "search.args.depth: low 8, high 2; expected low below high",
        "search.args.tta: a single choice; expected two or more",
        "search.submission.top: no range; expected low and high, or choices",
        "search.submission without submission.make",
    ):
        assert wanted in text


@pytest.mark.parametrize(
    ("span", "told"),
    [
        ({"low": 0, "high": 1}, "whole numbers 0 to 1, and it takes any number"),
        ({"low": 0.0, "high": 1.0, "log": True}, "log from 0.0; expected low above 0"),
        ({"low": 0.1, "high": 1.0, "log": True, "step": 0.1}, "log and step; expected one of the two"),
        ({"low": 0.1, "high": 1.0, "step": -1}, "step -1; expected a number above 0"),
        ({"low": 0.1, "choices": [1.0, 2.0]}, "choices beside a range"),
        ({"choices": ["a", "b"]}, 'found "a"; expected a number'),
        ({"low": 0.1, "hihg": 1.0}, "did you mean high?"),
        ({}, "no range; expected low and high, or choices"),
    ],
)
def test_a_span_that_cannot_be_is_refused(root: Path, span: dict[str, Any], told: str) -> None:
    assert told in "\n".join(refused(root, {"args": {"lr": span}}))


def test_what_makes_the_submission_must_take_what_is_searched(root: Path) -> None:
    making = {"make": "cuts:cut"}
    told = refused(root, {"submission": {"topp": {"low": 0.1, "high": 0.9}}}, submission=making)
    assert "did you mean top?" in told[0]
    told = refused(root, {"submission": {"top": {"low": 0, "high": 1}}}, submission=making)
    assert "write {low: 0.0, high: 1.0}" in told[0]


def test_an_empty_search_is_refused(root: Path) -> None:
    assert "search: nothing to try" in refused(root, {"trials": 3})[0]


def test_a_search_starts_from_what_the_manifest_or_the_source_says(root: Path) -> None:
    args: dict[str, Any] = {"kind": {"choices": ["a", "b"]}, "lr": {"low": 1e-4, "high": 1e-2}}
    args |= {"wide": {"choices": [1, 2]}, "depth": {"low": 2, "high": 8}}
    top = {"top": {"low": 0.1, "high": 0.9}, "area": {"low": 1, "high": 99}}
    search = {"args": args, "submission": top}
    making = {"make": "cuts:cut", "args": {"area": 50}}
    write_manifest(root, recipe="net.py", args={"depth": 5}, submission=making, search=search)
    experiment = Workspace(root).experiment("exp001")
    assert starting_values(root, experiment.manifest, experiment.recipe) == {
        "args.kind": "a",
        "args.lr": 1e-3,
        "args.depth": 5,
        "submission.args.top": 0.75,
        "submission.args.area": 50,
    }
    changed = with_values(experiment, {"args.lr": 0.1, "submission.args.top": 0.5}).manifest
    assert changed.args == {"depth": 5, "lr": 0.1}
    assert changed.submission.args == {"area": 50, "top": 0.5}


def test_a_command_is_searched_by_its_placeholders(root: Path) -> None:
    (root / "fit.py").write_text("")
    line = "python fit.py {train_rows} {out} {lr}"
    command = {"train": line, "predict": "python fit.py {rows} {weights} {out}"}
    lines: dict[str, Any] = {"recipe": None, "command": command, "args": {"lr": 0.1}}
    write_manifest(root, **lines, search={"args": {"lr": {"low": 0.1, "high": 1.0}}})
    assert Workspace(root).experiment("exp001").manifest.search is not None
    write_manifest(root, **lines, search={"args": {"rl": {"low": 0.1, "high": 1.0}}})
    with pytest.raises(ManifestError, match="not in args"):
        Workspace(root).experiment("exp001")


@pytest.mark.parametrize(
    ("span", "size", "inside", "outside"),
    [
        (Span(2, 8), 7, [2, 8], [1, 9, 2.5, True, "2"]),
        (Span(2, 9, step=3), 3, [2, 5, 8], [3, 9]),
        (Span(0.0, 1.0), None, [0, 0.5, 1.0], [-0.1, 1.1, None]),
        (Span(0.0, 1.0, step=0.1), 11, [0.3, 1.0], [0.35]),
        (Span(choices=("a", None)), 2, ["a", None], ["b"]),
    ],
)
def test_a_span_knows_its_values(span: Span, size: int | None, inside: list[Any], outside: list[Any]) -> None:
    assert span.size == size
    assert [value for value in inside + outside if span.holds(value)] == inside


# --- what is tried next ---


@given(seed=st.integers(0, 99), scores=st.lists(st.floats(0, 1), max_size=14))
@settings(max_examples=15, deadline=None)
def test_what_is_tried_lies_in_the_space_and_depends_on_history_and_seed_alone(
    seed: int, scores: list[float]
) -> None:
    search = replace(SPACE, seed=seed)
    trials: list[Trial] = []
    for number, score in enumerate(scores, 1):
        args = suggest(search, trials, number, greater=True)
        assert args == suggest(search, list(trials), number, greater=True)
        assert all(span.holds(args[key]) for key, span in search.space.items()), args
        assert args not in [trial.args for trial in trials]
        trials.append(replace(done(number, score, score), args=args))


def test_numbers_that_are_tried_are_short() -> None:
    for number in range(1, 9):
        drawn = suggest(SPACE, [], number, greater=True)["args.lr"]
        assert float(f"{drawn:.4g}") == drawn


def test_trials_that_failed_or_lie_outside_the_space_say_nothing() -> None:
    args = suggest(SPACE, [], 1, greater=True)
    strange = Trial(1, args | {"args.depth": 99}, DONE, folds(0.5), cv=0.5)
    silent = [strange, Trial(2, args | {"args.depth": 3}, FAILED), Trial(3, {}, DONE, folds(0.5), cv=0.5)]
    assert suggest(SPACE, silent, 4, greater=True) == suggest(SPACE, [], 4, greater=True)


def test_the_search_finds_the_best_region_sooner_than_chance() -> None:
    def reached(greater: bool) -> float:
        trials: list[Trial] = []
        search = Search(args={"x": Span(-10.0, 10.0), "k": Span(choices=("a", "b"))}, seed=1)
        for number in range(1, 41):
            args = suggest(search, trials, number, greater=greater)
            loss = abs(args["args.x"] - 7) + (args["args.k"] == "b")
            trials.append(replace(done(number, -loss if greater else loss), args=args))
        best = best_trial(trials, greater=greater)
        assert best is not None
        return abs(float(best.cv or 0))

    # Of 40 random draws the nearest is 0.5 away on average, and half of them have the wrong choice.
    assert reached(greater=True) < 0.3
    assert reached(greater=False) < 0.3


# --- what is made of trials ---


def test_the_best_is_the_first_of_equals_and_finished() -> None:
    trials = [done(1, 0.5), done(2, 0.7), done(3, 0.7), Trial(4, {}, PRUNED, folds(0.9))]
    best = best_trial(trials, greater=True)
    worst = best_trial(trials, greater=False)
    assert best is not None
    assert worst is not None
    assert (best.number, worst.number) == (2, 1)
    assert best_trial([Trial(1, {})], greater=True) is None


def test_a_trial_is_held_against_the_same_folds_of_the_others() -> None:
    before = [done(number, 0.9, 0.1) for number in range(1, 5)]
    assert may_stop(folds(0.8), before, greater=True)
    assert not may_stop(folds(0.8, 0.3), before, greater=True)
    assert not may_stop(folds(0.8), before, greater=False)
    assert not may_stop(folds(0.8), before[:3], greater=True), "too few to judge by"
    assert not may_stop(folds(None), before, greater=True), "a fold without a score says nothing"


@given(
    st.integers(2, 12).flatmap(
        lambda n: st.lists(st.lists(st.floats(0, 1), min_size=3, max_size=3), min_size=n, max_size=n)
    )
)
@settings(max_examples=40, deadline=None)
def test_optimism_is_the_same_for_a_loss_turned_round(scores: list[list[float]]) -> None:
    trials = [done(number, *row) for number, row in enumerate(scores, 1)]
    turned = [done(number, *(-score for score in row)) for number, row in enumerate(scores, 1)]
    up, down = find_optimism(trials, greater=True), find_optimism(turned, greater=False)
    assert up is not None
    assert down is not None
    assert math.isclose(up, down, abs_tol=1e-12)


def test_optimism_by_hand() -> None:
    # On folds 1 and 2 the second is best, on folds 0 and 2, and 0 and 1, the first.
    trials = [done(1, 0.9, 0.5, 0.5), done(2, 0.4, 0.7, 0.6)]
    held_out = (0.4 + 0.5 + 0.5) / 3
    assert find_optimism(trials, greater=True) == pytest.approx(1.9 / 3 - held_out)
    assert find_optimism(trials[:1], greater=True) is None
    assert find_optimism([done(1, 0.5), done(2, 0.6)], greater=True) is None


def test_optimism_says_how_much_the_best_of_equals_flatters() -> None:
    rng = np.random.default_rng(0)
    found, true = [], []
    for _ in range(60):
        worth = 0.8 + 0.01 * rng.normal(size=30)
        scores = worth[:, None] + 0.02 * rng.normal(size=(30, 5))
        found.append(find_optimism([done(n, *row) for n, row in enumerate(scores.tolist(), 1)], greater=True))
        best = scores.mean(axis=1).argmax()
        true.append(scores[best].mean() - worth[best])
    assert np.mean([value or 0 for value in found]) == pytest.approx(np.mean(true), abs=0.004)


# --- the ledger ---


def test_the_ledger_is_read_as_it_was_written_whatever_a_kill_cut_off(tmp_path: Path) -> None:
    study = Study(tmp_path / "study")
    study.begin({"metric": {"greater_is_better": True}})
    study.note(1, state=RUNNING, args={"args.lr": 0.1}, time=1.0)
    study.note(1, tasks=["k1", "k2"])
    study.note(1, state=DONE, folds=folds(0.5, 0.7), cv=0.6, tasks=["k1", "k2"], seconds=2.0, time=3.0)
    study.note(2, state=RUNNING, args={"args.lr": 0.2})
    study.note(2, tasks=["k3"])
    with study.ledger.open("a") as stream:
        stream.write('{"trial": 2, "state": "do')
    first, second = study.trials()
    assert (first.state, first.cv, first.means) == (DONE, 0.6, [0.5, 0.6])
    assert (second.state, second.args, second.tasks) == (RUNNING, {"args.lr": 0.2}, ("k3",))
    assert needed_tasks(study) == {"k1", "k2", "k3"}
    study.note(2, state=PRUNED, folds=folds(0.1))
    assert needed_tasks(study) == {"k1", "k2"}


@pytest.mark.parametrize("line", ['{"tasks": []}\n', "[]\n", '{"trial": 1, "colour": 2}\n', "what\n"])
def test_a_damaged_ledger_is_told(tmp_path: Path, line: str) -> None:
    study = Study(tmp_path)
    study.note(1, state=RUNNING, args={})
    with study.ledger.open("a") as stream:
        stream.write(line)
    with pytest.raises(DataError, match="is damaged"):
        study.trials()


def test_a_study_of_another_format_is_told(tmp_path: Path) -> None:
    (tmp_path / "study.json").write_text('{"kagkit": 2}')
    with pytest.raises(DataError, match="format 2; expected format 1"):
        needed_tasks(Study(tmp_path))
