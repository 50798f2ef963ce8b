from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kagkit.foundation.errors import ManifestError
from kagkit.runs.choices import Choice, Planned
from kagkit.runs.material import FoldDigests, Material
from kagkit.runs.planner import Planner
from kagkit.runs.record import read_run
from kagkit.runs.spec import TaskSpec
from kagkit.runs.store import Kept, Stored, TaskRecord, commit_task, list_kept
from kagkit.workspace.layout import Workspace
from tests.terminal import edit
from tests.toy import make_workspace, write_manifest, write_recipe, write_run

FOLDS = {
    "full": FoldDigests("all", "", 0),
    "0": FoldDigests("train of 0", "valid of 0", 10),
    "1": FoldDigests("train of 1", "valid of 1", 10),
}
MATERIAL = Material("rows", ("label",), 20, 10, 0, {"train": "train", "test": "test"}, FOLDS, "2 folds")
VERSIONS = {"stage1": {"train": "bytes of train.csv", "test": "bytes of test.csv"}}
EVERYWHERE = {"kind", "threads", "determinism"}
PREPARE = "\n\ndef prepare(task, rows, *, size=1):\n    pass\n"


@pytest.fixture
def toy(tmp_path: Path) -> Path:
    return make_workspace(tmp_path)


def plan(root: Path, choice: Choice = Choice(), *, smoke: bool = False, **facts: Any) -> Planner:  # noqa: B008
    workspace = Workspace(root, smoke=smoke)
    told: dict[str, Any] = {"material": MATERIAL, "versions": VERSIONS, "previous": None} | facts
    return Planner(workspace, workspace.experiment("exp001"), choice=choice, **told)


def done(planned: Planned, content: str = "weights") -> Stored:
    record = TaskRecord(
        planned.spec.key, planned.spec.kind, planned.spec.ingredients, (Kept("a", content, 1),)
    )
    return Stored(Path(planned.spec.key), record)


def keys(planner: Planner, prepared: Mapping[str, Stored] | None = None) -> dict[str, str]:
    """The key of every task, by label, as if each had left the same."""
    prepared = prepared or {str(p.spec.part): done(p) for p in planner.prepares()}
    trains = planner.trains(prepared)
    predicts = [task for train in trains for task in planner.predicts(train.spec, done(train), prepared)]
    return {task.spec.label: task.spec.key for task in [*planner.prepares(), *trains, *predicts]}


@pytest.mark.parametrize(
    ("changes", "fits", "size"),
    [
        ({}, (0, 1), 6),
        ({"fit": "full"}, (None,), 2),
        ({"fit": "both"}, (0, 1, None), 6),
        ({"folds": {"set": "main", "only": [1]}}, (1,), 3),
        ({"seeds": [3, 1]}, (0, 1), 12),
    ],
)
def test_a_plan_has_a_task_for_every_seed_and_fold(
    toy: Path, changes: dict[str, Any], fits: tuple[int | None, ...], size: int
) -> None:
    write_manifest(toy, **changes)
    planner = plan(toy)
    assert (planner.fits, planner.size, planner.complete) == (fits, size, True)
    assert len(keys(planner)) == size
    assert [(task.spec.seed, task.spec.fold) for task in planner.trains({})] == [
        (seed, fold) for seed in changes.get("seeds", [0]) for fold in fits
    ]


def test_row_sets_follow_from_how_the_test_rows_are_predicted(toy: Path) -> None:
    for fit, wanted in {"folds": [("valid",), ("test",)], "both": [("valid",)], "full": [("test",)]}.items():
        write_manifest(toy, fit=fit)
        planner = plan(toy)
        train = planner.trains({})[0]
        predicts = planner.predicts(train.spec, done(train), {})
        assert [task.spec.row_sets for task in predicts] == wanted
        assert planner.followers(train.spec) == len(wanted)


def test_a_model_that_is_returned_predicts_where_it_was_trained(toy: Path) -> None:
    edit(toy / "mean.py", '    (task.out / "mean.json").write_text(json.dumps(mean))', "    return mean")
    planner = plan(toy)
    train = planner.trains({})[0]
    assert (train.spec.row_sets, planner.size) == (("valid", "test"), 2)
    assert planner.predicts(train.spec, done(train), {}) == []
    assert {"test rows", "args.flip", "code mean.py:predict"} & set(train.spec.ingredients) == {
        "test rows",
        "code mean.py:predict",
    }


def test_a_key_covers_exactly_what_decides_the_outcome(toy: Path) -> None:
    write_manifest(toy, args={"shift": 0.5, "flip": True})
    planner = plan(toy)
    train = planner.trains({})[0]
    (valid, test) = planner.predicts(train.spec, done(train), {})
    code = {f"code mean.py:{name}" for name in ("json", "np")}
    assert set(train.spec.ingredients) == EVERYWHERE | code | {
        *("seed", "fold", "rows to train on", "rows to validate on"),
        *("args.shift", "code mean.py:train"),
    }
    predicted = EVERYWHERE | {
        "seed",
        "fold",
        "weights",
        "save.dtype",
        "args.flip",
        "code mean.py:predict",
        "code mean.py:json",
    }
    assert set(valid.spec.ingredients) == predicted | {"valid rows"}
    assert set(test.spec.ingredients) == predicted | {"test rows"}
    others = planner.predicts(train.spec, done(train, "other weights"), {})
    assert {task.spec.key for task in others}.isdisjoint({valid.spec.key, test.spec.key})


@pytest.mark.parametrize(
    ("facts", "kinds"),
    [
        ({"material": replace(MATERIAL, parts={"train": "train", "test": "other"})}, {"predict test"}),
        ({"material": replace(MATERIAL, folds=FOLDS | {"1": FoldDigests("train of 1", "other", 10)})},
         {"train 1", "predict 1 valid"}),
        ({"material": replace(MATERIAL, folds=FOLDS | {"1": FoldDigests("other", "valid of 1", 10)})},
         {"train 1"}),
        ({"material": replace(MATERIAL, folds_told="others", train_rows=99, dropped=3)}, set()),
        ({"versions": {"stage1": {"train": "other bytes", "test": "other bytes"}}}, set()),
        ({"versions": {"stage1": VERSIONS["stage1"] | {"files": "images"}}},
         {"train 0", "train 1", "predict 0 test", "predict 0 valid", "predict 1 test", "predict 1 valid"}),
    ],
)  # fmt: skip
def test_rows_and_files_make_those_tasks_stale_that_see_them(
    toy: Path, facts: dict[str, Any], kinds: set[str]
) -> None:
    before, now = keys(plan(toy)), keys(plan(toy, **facts))
    assert before.keys() == now.keys()
    changed = {label.replace("seed 0 fold ", "") for label in now if before[label] != now[label]}
    if kinds == {"predict test"}:
        kinds = {"predict 0 test", "predict 1 test"}
    assert changed == kinds


def test_what_was_prepared_counts_by_its_content_not_by_how(toy: Path) -> None:
    write_recipe(toy, "mean.py", (toy / "mean.py").read_text() + PREPARE)
    prepares = plan(toy).prepares()
    assert [task.spec.part for task in prepares] == ["stage1/train", "stage1/test"]
    assert plan(toy).size == 8
    same = {str(task.spec.part): done(task, "features") for task in prepares}
    write_manifest(toy, args={"size": 2})
    again = plan(toy).prepares()
    assert [task.spec.key for task in again] != [task.spec.key for task in prepares]
    alike = {str(task.spec.part): done(task, "features") for task in again}
    other = {str(task.spec.part): done(task, "others") for task in again}
    trained = [[task.spec.key for task in plan(toy).trains(given)] for given in (same, alike, other)]
    assert trained[0] == trained[1] != trained[2]


def test_seeds_folds_and_parts_have_keys_of_their_own(toy: Path) -> None:
    write_manifest(toy, seeds=[0, 1])
    found = keys(plan(toy))
    trains = [key for label, key in found.items() if label.startswith("train")]
    assert len(set(trains)) == 4


@pytest.mark.parametrize(
    ("choice", "told"),
    [
        (Choice(folds=(2,)), "folds: 2; expected some of 0, 1"),
        (Choice(seeds=(1, 0)), "seeds: 1; expected some of 0"),
        (Choice(accepted=("maen.py",)), "maen.py"),
    ],
)
def test_a_choice_of_what_is_not_there_is_refused(toy: Path, choice: Choice, told: str) -> None:
    planner = plan(toy, choice)
    with pytest.raises(ManifestError, match=told):
        _ = planner.fits, planner.seeds, planner.accepted


def test_a_choice_is_a_part_in_the_manifests_order(toy: Path) -> None:
    write_manifest(toy, seeds=[5, 3, 4])
    planner = plan(toy, Choice(folds=(1,), seeds=(4, 5)))
    assert (planner.seeds, planner.fits, planner.complete) == ((5, 4), (1,), False)


def test_a_smoke_run_is_one_seed_one_fold_and_one_epoch(toy: Path) -> None:
    edit(toy / "mean.py", "shift=0.0", "shift=0.0, epochs=50")
    write_manifest(toy, seeds=[5, 6], args={"epochs": 80, "shift": 0.5})
    planner = plan(toy, smoke=True)
    (train,) = planner.trains({})
    assert (train.spec.seed, train.spec.fold, planner.complete) == (5, 0, False)
    assert train.spec.args["train"] == {"epochs": 1, "shift": 0.5}
    assert plan(toy).trains({})[0].spec.args["train"] == {"epochs": 80, "shift": 0.5}


def test_a_finished_task_is_taken_from_the_store_and_one_with_undeclared_reads_is_not(toy: Path) -> None:
    workspace = Workspace(toy)
    spec = plan(toy).trains({})[0].spec
    for undeclared, reason in [
        ((), ""),
        (("lookup.csv",), "read lookup.csv, which `code:` does not declare"),
    ]:
        work = workspace.work / spec.key
        (work / "out").mkdir(parents=True)
        (work / "out/mean.json").write_text(f"{len(undeclared)}")
        commit_task(
            work, workspace.tasks, TaskRecord(spec.key, "train", spec.ingredients, (), {}, undeclared)
        )
        planned = plan(toy).trains({})[0]
        assert (planned.stored is None, planned.reason) == (bool(undeclared), reason)
        if not undeclared:
            (workspace.tasks / spec.key).rename(workspace.root / "away")


def test_a_run_is_named_by_its_tasks_and_how_they_are_shown(toy: Path) -> None:
    trains = plan(toy).trains({})
    stored = [done(task) for task in trains]
    key = plan(toy).plan_key(stored)
    assert plan(toy).plan_key(reversed(stored)) == key
    assert plan(toy).plan_key([done(task, "other weights") for task in trains]) != key
    write_manifest(toy, note="another")
    assert plan(toy).plan_key(stored) == key
    (toy / "post.py").write_text("def labels(predictions, rows, *, least=0.5):\n    return predictions\n")
    shown = {key}
    for changes in (
        {"combine": "rank_mean"},
        {"submission": {"make": "post:labels"}},
        {"submission": {"make": "post:labels", "args": {"least": 0.4}}},
    ):
        write_manifest(toy, **changes)
        shown.add(plan(toy).plan_key(stored))
    edit(toy / "post.py", "return predictions", "return predictions > least")
    shown.add(plan(toy).plan_key(stored))
    shown.add(plan(toy, Choice(folds=(0, 1))).plan_key(stored))
    edit(toy / "data/sample_submission.csv", "id_050,0", "id_050,1")
    shown.add(plan(toy).plan_key(stored))
    assert len(shown) == 7


def finish(toy: Path, spec: TaskSpec) -> None:
    work = toy / "runs" / ".work" / spec.key
    (work / "out").mkdir(parents=True)
    (work / "out" / "model.txt").write_text("a model")
    record = TaskRecord(spec.key, spec.kind, spec.ingredients, list_kept(work / "out"))
    commit_task(work, toy / "runs" / ".tasks", record)


def test_accepted_code_counts_as_the_code_it_replaced(toy: Path) -> None:
    first = plan(toy).trains({})[0].spec
    tasks = [{"identity": first.identity, "ingredients": first.ingredients}]
    finish(toy, first)
    edit(toy / "mean.py", ") + shift", ") + 1 * shift")
    previous = read_run(write_run(toy, tasks=tasks))
    stale = plan(toy, previous=previous).trains({})[0]
    assert (stale.spec.key != first.key, stale.reason) == (True, "changed: code mean.py:train")
    accepting = plan(toy, Choice(accepted=("mean.py",)), previous=previous)
    assert accepting.trains({})[0].spec.key == first.key
    restarting = plan(toy, Choice(accepted=("mean.py",), restart=True), previous=previous)
    assert restarting.trains({})[0].spec.key == stale.spec.key  # what is done anew has the key of its code
    later = read_run(write_run(toy, number=2, tasks=tasks, accepted=accepting.accepted))
    assert plan(toy, previous=later).trains({})[0].spec.key == first.key
    edit(toy / "mean.py", "1 * shift", "2 * shift")
    again = plan(toy, previous=later)
    assert again.accepted == {}
    assert again.trains({})[0].reason == "changed: code mean.py:train"
