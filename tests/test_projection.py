from __future__ import annotations

import re
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kagkit.foundation.errors import DataError, KagkitError
from kagkit.foundation.files import append_json_line, canonical_json, write_json
from kagkit.runs.record import Run
from kagkit.tracking.projection import (
    LONGEST_KEY,
    Projection,
    colour_of,
    plain_keys,
    project,
    run_key,
    shorten,
    state_of,
)
from kagkit.workspace.layout import Workspace
from kagkit.workspace.ledger import score_lines
from tests.showing import add_score

RECORD: dict[str, Any] = {
    "competition": "toy",
    "stage": 1,
    "note": "",
    "complete": True,
    "plan_key": "abcd" * 16,
    "data": {"stage1": "1" * 64, "chexpert": "2" * 64},
    "fold_set": {"name": "main", "sha256": "3" * 64, "bytes": 10, "made": "2 folds"},
    "metric": {"score": "kagkit.metrics:accuracy", "args": {}, "greater_is_better": True},
    "cv": 0.8,
    "cv_std": None,
    "coverage": 1.0,
    "folds": [
        {"seed": 0, "fold": 0, "score": 0.7, "rows": 5},
        {"seed": 0, "fold": 1, "score": 0.9, "rows": 5},
    ],
    "weights": [],
    "tasks": [{"identity": "train 0 0 ", "folder": "t0"}],
    "files": [],
}


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path)


def run_of(workspace: Workspace, manifest: str = "kagkit: 1\nrecipe: a.py\n", **facts: Any) -> Run:
    """A run that assembled one task of seconds 100 to 110 at second 120."""
    folder = workspace.runs / "exp001/003-abcdabcd"
    folder.mkdir(parents=True)
    (folder / "manifest.yaml").write_text(manifest)
    append_json_line(folder / "events.jsonl", {"event": "task", "identity": "train 0 0 ", "reused": False})
    append_json_line(folder / "events.jsonl", {"event": "assembled", "time": 120.0})
    task = workspace.tasks / "t0"
    write_json(task / "spec.json", {"kind": "train", "seed": 0, "fold": 0, "row_sets": []})
    append_json_line(task / "events.jsonl", {"event": "started", "time": 100.0})
    append_json_line(task / "events.jsonl", {"event": "log", "step": 0, "values": {"map@50": 0.5}})
    append_json_line(task / "events.jsonl", {"event": "finished", "seconds": 10.0})
    return Run(folder, "exp001", 3, RECORD | facts)


def values(projection: Projection) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    for batch in projection.batches:
        for point in batch:
            found.setdefault(point.key, []).append(point.value)
    return found


def test_a_run_is_told_wholly_by_its_directory_and_its_tasks(workspace: Workspace) -> None:
    run = run_of(workspace)
    told = project(workspace, run, [])
    assert (told.key, told.name) == ("exp001/3/abcdabcdabcdabcd", "exp001/3")
    assert (told.began, told.ended) == (100_000, 120_000)
    assert told.datasets == {"toy chexpert": "2" * 12, "toy stage1": "1" * 12}
    scores = {"cv": [0.8], "coverage": [1.0], "fold_score/seed0": [0.7, 0.9]}
    assert values(told) == scores | {"map_50/seed0-fold0": [0.5]}
    assert project(workspace, run, []) == told


def test_reused_tasks_do_not_move_the_beginning(workspace: Workspace) -> None:
    run = run_of(workspace)
    (run.folder / "events.jsonl").unlink()
    append_json_line(run.folder / "events.jsonl", {"event": "task", "identity": "train 0 0 ", "reused": True})
    append_json_line(run.folder / "events.jsonl", {"event": "assembled", "time": 500.0})
    told = project(workspace, run, [])
    assert (told.began, told.ended) == (500_000, 500_000)


def test_a_run_without_tasks_or_times_is_told_all_the_same(workspace: Workspace) -> None:
    run = run_of(workspace)
    (workspace.tasks / "t0/spec.json").unlink()
    (run.folder / "events.jsonl").unlink()
    told = project(workspace, run, [])
    assert (told.began, told.ended) == (1, 1)
    assert values(told) == {"cv": [0.8], "coverage": [1.0], "fold_score/seed0": [0.7, 0.9]}


def test_a_manifest_is_told_flat(workspace: Workspace) -> None:
    manifest = (
        "kagkit: 1\nrecipe: a.py\nnote: x\nargs: {lr: 1e-3, sizes: [8, 16], tta: null, deep: {a: no}}\n"
    )
    params = project(workspace, run_of(workspace, manifest), []).params
    assert params == {
        "args.deep.a": "no",
        "args.lr": "0.001",
        "args.sizes": "8, 16",
        "args.tta": "null",
        "data.version": "1" * 12,
        "fold_set": "main",
        "folds": "0, 1",
        "recipe": "a.py",
        "seeds": "0",
    }


def test_a_score_is_told_as_long_as_a_column_is_wide(workspace: Workspace) -> None:
    run = run_of(workspace, cv=0.98997686969, folds=[{"seed": 0, "fold": 0, "score": 56864.473912}])
    line = {"time": "2026-03-01T12:00:00+00:00", "public": 0.99398}
    told = values(project(workspace, run, [line]))
    assert (told["cv"], told["fold_score/seed0"], told["gap_public"]) == (
        [0.9899769],
        [56864.47],
        [0.00400313],
    )


def test_runs_of_one_experiment_have_one_colour_and_those_of_neighbours_have_others(
    workspace: Workspace,
) -> None:
    tags = project(workspace, run_of(workspace), []).tags
    colours = {colour_of(f"exp{number:03d}") for number in range(100)}
    assert (tags["mlflow.runColor"], len(colours)) == (colour_of("exp001"), 100)


def test_what_a_record_tells_beside_the_cv_is_shown_where_it_is_there(workspace: Workspace) -> None:
    told = values(project(workspace, run_of(workspace, optimism=0.01, cv_kept=None), []))
    assert told["optimism"] == [0.01]
    assert "cv_kept" not in told


def test_a_run_fitted_on_all_rows_has_no_scores(workspace: Workspace) -> None:
    run = run_of(workspace, "kagkit: 1\nrecipe: a.py\nseeds: [3]\n", cv=None, coverage=None, folds=[])
    told = project(workspace, run, [{"time": "2026-03-01T12:00:00+00:00", "public": 0.5}])
    assert told.params["seeds"] == "3"
    assert values(told) == {"lb_public": [0.5], "map_50/seed0-fold0": [0.5]}


def test_every_score_of_the_ledger_is_told_in_its_order(workspace: Workspace) -> None:
    run = run_of(workspace)
    add_score(workspace, "exp001/3", 1, public=0.75)
    add_score(workspace, "exp001/2", 2, public=0.1)
    add_score(workspace, "exp001/3", 3, public=0.85, private=0.7)
    append_json_line(workspace.leaderboard, {"event": "something of another day"})
    scored = score_lines(workspace)
    told = values(project(workspace, run, scored["exp001/3"]))
    names = ("lb_public", "lb_private", "gap_public", "gap_private", "shake_up")
    assert [told[name] for name in names] == [[0.75, 0.85], [0.7], [-0.05, 0.05], [-0.1], [-0.15]]
    assert sorted(scored) == ["exp001/2", "exp001/3"]


def test_the_state_changes_with_the_scores_alone(workspace: Workspace) -> None:
    add_score(workspace, "exp001/3", 1, public=0.75)
    (before,) = score_lines(workspace).values()
    add_score(workspace, "exp001/3", 2, public=0.75)
    (after,) = score_lines(workspace).values()
    assert len({state_of([]), state_of(before), state_of(after)}) == 3
    assert state_of(before) == state_of(list(before))


@pytest.mark.parametrize("missing", ["fold_set", "metric", "data", "note"])
def test_a_record_that_lacks_something_is_told_as_damaged(workspace: Workspace, missing: str) -> None:
    run = run_of(workspace)
    less = {name: value for name, value in run.data.items() if name != missing}
    with pytest.raises(KagkitError, match=f"exp001/3 cannot be shown\n.*runs/exp001/003-abcdabcd.*{missing}"):
        project(workspace, replace(run, data=less), [])


def test_damaged_events_are_told(workspace: Workspace) -> None:
    run = run_of(workspace)
    (run.folder / "events.jsonl").write_text("{\n")
    with pytest.raises(DataError, match=r"events\.jsonl is damaged"):
        project(workspace, run, [])


def test_no_path_of_this_machine_is_told(workspace: Workspace) -> None:
    text = canonical_json(asdict(project(workspace, run_of(workspace), [])))
    assert str(workspace.root) not in text
    assert str(Path.home()) not in text


def test_runs_with_other_results_have_other_keys(workspace: Workspace) -> None:
    run = run_of(workspace)
    others = [replace(run, number=4), replace(run, data=run.data | {"plan_key": "e" * 64})]
    assert len({run_key(one) for one in (run, *others)}) == 3


@settings(max_examples=50, deadline=None)
@given(st.lists(st.text("ab@(/. :é\n", min_size=1, max_size=6) | st.text(min_size=240, max_size=260)))
def test_every_key_gets_a_name_of_its_own_that_mlflow_takes(keys: list[str]) -> None:
    names = plain_keys(keys)
    assert set(names) == set(keys)
    assert len(set(names.values())) == len(names)
    for name in names.values():
        assert re.fullmatch(r"[/\w.\- :]+", name)
        assert len(name) <= LONGEST_KEY
        assert not {"", ".", ".."} & set(name.split("/"))


@settings(max_examples=50, deadline=None)
@given(st.text(max_size=300))
def test_a_text_is_kept_or_cut_with_a_mark(text: str) -> None:
    cut = shorten(text, 100)
    assert len(cut) <= 100
    assert cut == text or f"cut: {len(text)} characters" in cut


def test_scores_that_came_home_by_the_hosts_number_are_shown_with_the_run(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    sent = {"event": "submitted", "time": "2026-03-01T09:00:00+00:00", "run": "exp001/1", "ref": 7}
    home = {"event": "score", "time": "2026-03-01T10:00:00+00:00", "run": None, "ref": 7, "public": 0.5}
    for line in (home, sent):  # as git may have merged them
        append_json_line(workspace.leaderboard, line)
    assert score_lines(workspace) == {"exp001/1": [home]}
