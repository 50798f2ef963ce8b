from __future__ import annotations

import json
import re
import shutil
import signal
import sys
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from kagkit.foundation.files import held, read_json
from kagkit.foundation.strictyaml import read_yaml
from kagkit.runs.trials import Study, Trial, all_studies
from kagkit.workspace.layout import Workspace
from tests.patience import wait_for
from tests.terminal import kagkit
from tests.toy import write_competition, write_manifest
from tests.workshop import Workshop, end_of

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc, and forks")

TRIALS = 6
RECIPE = '''"""Say how far column `a` is above a number; note each training in a diary outside."""

import json
import os
import time

import numpy as np


def train(task, *, shift=0.0, clumsy=False):
    facts = {"event": "trained", "seed": task.seed, "fold": task.fold, "shift": shift, "pid": os.getpid()}
    with open(os.environ["TOY_DIARY"], "a") as diary:
        diary.write(json.dumps(facts | {"event": "train"}) + "\\\\n")
    if clumsy or shift > 90:
        raise ValueError(f"no model at {shift}")
    time.sleep(float(os.environ["TOY_PAUSE"]))
    with open(os.environ["TOY_DIARY"], "a") as diary:
        diary.write(json.dumps(facts) + "\\\\n")
    return float(np.mean(task.train_rows["a"])) + shift


def predict(task, model, rows):
    return (1 / (1 + np.exp(model - rows["a"]))).to_frame("label")
'''.replace("\\\\n", "\\n")
CUT = """
def cut(predictions, rows, *, at=0.5):
    return (predictions >= at).astype(int)
"""
SHIFT = {"low": -2.0, "high": 2.0}


def open_shop(root: Path, *, pause: float = 0.0, **manifest: Any) -> Workshop:
    """A workspace of two folds; exp001 starts from a poor shift of its recipe."""
    search = {"trials": TRIALS, "seed": 4, "args": {"shift": SHIFT}}
    manifest = manifest if "search" in manifest else {"search": search, "args": {"shift": 1.5}} | manifest
    shop = Workshop.open(root, pause=pause, recipe=RECIPE, **manifest)
    write_competition(root, folds={"main": {"scheme": "stratified", "n": 2}})
    (root / "cuts.py").write_text(CUT)
    return shop


def tune(shop: Workshop, *words: str) -> dict[str, Any]:
    printed = shop.run("tune", "exp001", "--json", *words)
    facts: dict[str, Any] = json.loads(printed)
    return facts


def study_of(shop: Workshop) -> Study:
    (study,) = all_studies(Workspace(shop.root))
    return study


def told(trials: list[Trial]) -> list[Any]:
    """What must come out the same, whatever happened meanwhile."""
    return [(t.number, t.args, t.state, t.folds, t.cv) for t in trials]


def trained(shop: Workshop) -> Counter[Any]:
    """How often each training came to its end."""
    return Counter((note["shift"], note["fold"]) for note in shop.notes("trained"))


def _has_trained(shop: Workshop, count: int) -> bool:
    """Whether so many trainings have begun, and one more."""
    return len(shop.notes("train")) > count


def finished(shop: Workshop) -> set[tuple[float, int]]:
    """The trainings whose tasks are finished."""
    specs = [read_json(folder / "spec.json") for folder in shop.tasks()]
    return {(spec["args"]["train"].get("shift", 0.0), spec["fold"]) for spec in specs}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Workshop, dict[str, Any]]]:
    """A search that nothing disturbs, and what it said; for reading only."""
    with open_shop(tmp_path_factory.mktemp("undisturbed") / "toy") as shop:
        yield shop, tune(shop)


@pytest.fixture
def over(undisturbed: tuple[Workshop, dict[str, Any]], tmp_path: Path) -> Iterator[Workshop]:
    """A copy of that search, to be changed."""
    shop, _ = undisturbed
    shutil.copy(shop.diary, tmp_path / shop.diary.name)
    with Workshop(shutil.copytree(shop.root, tmp_path / shop.root.name)) as copy:
        yield copy


def test_a_search_that_is_killed_ends_as_if_nothing_had_been_and_does_no_task_twice(
    undisturbed: tuple[Workshop, dict[str, Any]], tmp_path: Path
) -> None:
    wanted, said = undisturbed
    stops: list[tuple[int, set[Any]]] = []
    with open_shop(tmp_path / "elsewhere" / "toy", pause=0.1) as shop:
        for count in (1, 5):
            process = shop.start("tune", "exp001")
            wait_for(partial(_has_trained, shop, count), "some trainings")
            shop.kill(process.pid, *shop.living())
            process.communicate()
            stops.append((len(shop.notes("train")), finished(shop)))
        process = shop.start("tune", "exp001")
        wait_for(partial(_has_trained, shop, 8), "more trainings")
        process.send_signal(signal.SIGINT)
        assert "run the same command to go on" in end_of(process, 130)
        stops.append((len(shop.notes("train")), finished(shop)))
        facts = tune(shop)
        assert told(study_of(shop).trials()) == told(study_of(wanted).trials())
        assert facts["best"] == said["best"]
        for count, tasks in stops:
            assert not tasks & {(note["shift"], note["fold"]) for note in shop.notes("train")[count:]}
        assert stops[0][1] < stops[1][1] < stops[2][1]
        assert not shop.living()


def test_the_best_becomes_a_manifest_whose_run_trains_nothing(over: Workshop) -> None:
    trials, before = study_of(over).trials(), trained(over)
    facts = tune(over)
    assert sum(facts["trials"].values()) == TRIALS
    assert facts["best"]["cv"] == max(trial.cv for trial in trials if trial.cv is not None)
    assert facts["best"]["manifest"] == "exp001-tuned.yaml"
    assert isinstance(facts["optimism"], float)
    manifest = read_yaml(over.root / "exp001-tuned.yaml", "exp001-tuned.yaml").plain
    assert manifest["parent"] == "exp001"
    assert manifest["args"] == {"shift": facts["best"]["args"]["args.shift"]}
    run = json.loads(over.run("run", "exp001-tuned", "--json"))
    assert run["cv"] == facts["best"]["cv"]
    assert run["tasks"]["done"] == 0
    assert trained(over) == before


def test_a_search_that_is_over_says_so_and_overwrites_nothing(over: Workshop) -> None:
    before, text = trained(over), (over.root / "exp001-tuned.yaml").read_text()
    assert "exp001-tuned.yaml says so already" in over.run("tune", "exp001")
    assert trained(over) == before
    (over.root / "other.yaml").write_text("kagkit: 1\nrecipe: steps.py\n")
    assert tune(over, "--as", "other")["best"]["manifest"] == "other-2.yaml"
    assert (over.root / "other.yaml").read_text() == "kagkit: 1\nrecipe: steps.py\n"
    assert (over.root / "exp001-tuned.yaml").read_text() == text


def test_a_pruned_trial_is_recorded_with_the_folds_that_told(over: Workshop) -> None:
    pruned = [trial for trial in study_of(over).trials() if trial.state == "pruned"]
    assert pruned
    assert all(len(trial.folds) == 1 and trial.cv is None for trial in pruned)


def test_clean_keeps_what_a_search_needs(over: Workshop) -> None:
    (over.root / "exp001-tuned.yaml").unlink()
    trials = study_of(over).trials()
    kagkit(over.root, "clean", "-y")
    best = max((trial.cv, -trial.number) for trial in trials if trial.cv is not None)[1]
    assert {path.name for path in over.tasks()} == set(trials[-best - 1].tasks) | set(trials[0].tasks)
    assert study_of(over).trials() == trials


def test_a_search_of_post_processing_alone_trains_nothing(tmp_path: Path) -> None:
    search = {"trials": 5, "submission": {"at": {"low": 0.05, "high": 0.95}}}
    with open_shop(tmp_path / "toy", submission={"make": "cuts:cut"}, search=search) as shop:
        shop.run("run", "exp001")
        before, tasks = trained(shop), shop.tasks()
        facts = tune(shop)
        assert facts["trials"] == {"done": 5, "pruned": 0, "failed": 0}
        assert (trained(shop), shop.tasks()) == (before, tasks)
        assert set(facts["best"]["args"]) == {"submission.args.at"}
        if facts["best"]["manifest"] != "exp001.yaml":
            assert json.loads(shop.run("run", "exp001-tuned", "--json"))["cv"] == facts["best"]["cv"]
        assert (trained(shop), shop.tasks()) == (before, tasks)


def test_a_small_space_ends_when_all_of_it_was_tried(tmp_path: Path) -> None:
    search = {"trials": 30, "args": {"shift": {"choices": [0.0, 0.5, -0.5]}}}
    with open_shop(tmp_path / "toy", search=search) as shop:
        assert tune(shop)["trials"] == {"done": 3, "pruned": 0, "failed": 0}
        assert sorted(trained(shop).values()) == [1] * 6


def test_a_trial_that_fails_is_recorded_and_three_in_a_row_end_the_search(tmp_path: Path) -> None:
    search = {"trials": 9, "args": {"shift": {"choices": [0.0, 91.0, 92.0, 93.0, 94.0]}}, "prune": False}
    with open_shop(tmp_path / "toy", search=search) as shop:
        printed = shop.run("tune", "exp001", code=4)
        trials = study_of(shop).trials()
        assert [trial.state for trial in trials] == ["done", "failed", "failed", "running"]
        assert "no model at 9" in trials[1].why
        assert "trial 2 of 9: failed: " in printed
        write_manifest(shop.root, recipe="steps.py", args={"clumsy": True}, search=search)
        assert "no model at 0.0" in shop.run("tune", "exp001", code=4)


def test_two_commands_do_not_search_one_experiment_at_once(tmp_path: Path) -> None:
    with open_shop(tmp_path / "toy") as shop, held(shop.root / "runs/.tune/exp001/study.lock"):
        assert "another kagkit tunes it" in shop.run("tune", "exp001", code=4)


def test_after_its_minutes_no_further_trial_begins(tmp_path: Path) -> None:
    search = {"trials": 99, "minutes": 0.001, "args": {"shift": SHIFT}}
    with open_shop(tmp_path / "toy", search=search) as shop:
        assert sum(tune(shop)["trials"].values()) == 1


@pytest.mark.parametrize(
    ("manifest", "message"),
    [
        ({"search": None}, "nothing to tune"),
        ({"fit": "full"}, "fit: full has no CV"),
        ({"search": {"args": {"shiftt": SHIFT}}}, "line 5: args.shiftt: .*\n.*did you mean shift?"),
    ],
)
def test_what_cannot_be_searched_is_told(tmp_path: Path, manifest: dict[str, Any], message: str) -> None:
    shop = open_shop(tmp_path / "toy", **manifest)
    ended = kagkit(shop.root, "tune", "exp001", code=2)
    assert re.search(message, ended.err), ended.err
    assert not (shop.root / "runs").exists()
