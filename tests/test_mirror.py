from __future__ import annotations

import getpass
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kagkit.foundation.errors import RunError
from kagkit.foundation.files import read_json, write_json
from kagkit.runs.record import run_folders, seal_record
from kagkit.runs.trials import Study
from kagkit.tracking.database import folder_of
from kagkit.tracking.mirror import Synced, sync_runs
from kagkit.tracking.store import opened
from kagkit.workspace.layout import Workspace
from tests.showing import add_run, add_score, empty_out, export, own_store, workspace_to_show
from tests.terminal import kagkit


@pytest.fixture(autouse=True)
def nobody_elses_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


@pytest.fixture
def workspace(tmp_path_factory: pytest.TempPathFactory, tmp_path: Path) -> Workspace:
    return workspace_to_show(tmp_path_factory, tmp_path / "toy")


def sync(workspace: Workspace, **how: Any) -> Synced:
    return sync_runs(workspace, own_store(workspace), **how)


def shown(workspace: Workspace) -> dict[str, Any]:
    runs: dict[str, Any] = export(own_store(workspace))["toy"]["runs"]
    return {run["name"]: run for run in runs.values()}


@pytest.fixture
def client(workspace: Workspace) -> Iterator[Any]:
    with opened(own_store(workspace)) as client:
        yield client


def ids(client: Any) -> dict[str, str]:
    """MLflow's own names of runs, by ours."""
    return {run.info.run_name: run.info.run_id for run in client.search_runs(["1"])}


# --- what is shown ---


def test_a_search_is_shown_as_one_run_with_its_trials_below_it(workspace: Workspace, client: Any) -> None:
    study = Study(workspace.runs / ".tune/exp001/0a1b2c3d")
    metric = {"score": "kagkit.metrics:mae", "greater_is_better": False}
    study.begin({"experiment": "exp001", "metric": metric})
    scores = [{"seed": 0, "fold": fold, "score": score} for fold, score in enumerate((0.5, None))]
    study.note(1, state="running", args={"args.shift": 0.1}, time=10.0)
    study.note(1, state="done", cv=0.5, folds=scores, seconds=2.0, time=12.0)
    study.note(2, state="running", args={"args.shift": 0.2}, time=12.0)
    name = "exp001 tuned 0a1b2c3d"
    assert sync(workspace).shown == ("exp001/1", name)
    assert sync(workspace).shown == ()
    study.note(2, state="pruned", folds=scores[:1], seconds=1.0, time=13.0)
    synced = sync(workspace)
    assert (synced.shown, synced.gone, synced.runs) == ((name,), 0, 1)
    found = shown(workspace)
    parent, first, second = found[name], found[f"{name} trial 1"], found[f"{name} trial 2"]
    assert [(step, value) for step, _, value in parent["metrics"]["best_cv"]] == [(1, 0.5), (2, 0.5)]
    assert [(step, value) for step, _, value in parent["metrics"]["trial_cv"]] == [(1, 0.5)]
    assert first["params"] == {"args.shift": "0.1"}
    assert set(first["metrics"]) == {"cv", "fold_score/seed0"}
    assert second["tags"]["kagkit.state"] == "pruned"
    assert "cv" not in second["metrics"]
    tree = {run.info.run_name: run.data.tags.get("mlflow.parentRunId") for run in client.search_runs(["1"])}
    assert tree[f"{name} trial 1"] == tree[f"{name} trial 2"] == ids(client)[name]
    before = export(own_store(workspace))
    sync(workspace, rebuild=True)
    assert set(export(own_store(workspace))["toy"]["runs"]) == set(before["toy"]["runs"])


def test_a_run_is_shown_with_its_manifest_scores_curves_and_data(workspace: Workspace) -> None:
    record = read_json(run_folders(workspace, "exp001")[0] / "record.json")
    synced = sync(workspace)
    assert (synced.runs, synced.shown, synced.problems) == (1, ("exp001/1",), ())
    run = shown(workspace)["exp001/1"]
    assert run["params"] == {
        "args.shift": "0.1",
        "data.version": record["data"]["stage1"][:12],
        "fold_set": "main",
        "folds": "0, 1",
        "recipe": "mean.py",
        "seeds": "0",
    }
    assert run["latest"]["cv"] == pytest.approx(record["cv"], rel=1e-6)
    assert run["latest"]["cv_std"] == pytest.approx(record["cv_std"], rel=1e-6)
    assert [(step, value) for step, _, value in run["metrics"]["fold_score/seed0"]] == [
        (fold["fold"], pytest.approx(fold["score"], rel=1e-6)) for fold in record["folds"]
    ]
    assert [(step, value) for step, _, value in run["metrics"]["loss/seed0-fold1"]] == [
        (step, 1 / (step + 1)) for step in range(4)
    ]
    times = [time for _, time, _ in run["metrics"]["loss/seed0-fold1"]]
    assert run["times"][0] <= min(times) <= max(times) <= run["times"][1]
    assert run["inputs"] == [
        ("toy stage1", record["data"]["stage1"][:12], '{"tags": {}}', [("mlflow.data.context", "training")])
    ]
    assert (run["status"], run["user"]) == ("FINISHED", "kagkit")
    assert run["tags"]["mlflow.source.name"] == "exp001.yaml"
    assert run["tags"]["mlflow.note.content"] == "shifted a little"
    told = {name: run["tags"][f"kagkit.{name}"] for name in ("run", "stage", "complete", "plan_key", "lb")}
    plan_key = record["plan_key"]
    assert told == {"run": "exp001/1", "stage": "1", "complete": "true", "plan_key": plan_key, "lb": "none"}


def test_nothing_of_this_machine_is_in_the_store(workspace: Workspace) -> None:
    sync(workspace)
    file = folder_of(workspace) / "mlflow.db"
    with sqlite3.connect(file) as connection:
        text = "\n".join(connection.iterdump())
    connection.close()
    assert str(workspace.root) not in text
    assert str(Path.home()) not in text
    assert str(Path.cwd()) not in text
    run = shown(workspace)["exp001/1"]
    assert getpass.getuser() not in run["tags"].values()
    assert not any("git" in name for name in run["tags"])
    assert run["artifacts"] == "mlflow-artifacts:/toy/RUN/artifacts"


def test_showing_runs_leaves_nothing_outside_its_folder(workspace: Workspace, monkeypatch: Any) -> None:
    monkeypatch.chdir(workspace.root)
    before = sorted(workspace.root.iterdir())
    sync(workspace)
    assert sorted(workspace.root.iterdir()) == before


def test_partial_runs_are_marked_and_smoke_runs_are_not_shown(workspace: Workspace) -> None:
    add_run(workspace, 2, complete=False)
    shutil.copytree(workspace.root / "runs/exp001", workspace.root / "runs/.smoke/exp001")
    assert sync(workspace).shown == ("exp001/1", "exp001/2")
    assert shown(workspace)["exp001/2"]["tags"]["kagkit.complete"] == "false"


def test_a_damaged_run_is_told_and_the_others_are_shown(workspace: Workspace) -> None:
    (add_run(workspace, 2).folder / "record.json").write_text("{")
    add_run(workspace, 3, data={})
    add_run(workspace, 4)
    synced = sync(workspace)
    assert synced.shown == ("exp001/1", "exp001/4")
    assert [problem.where.split("/")[2][:3] for problem in synced.problems] == ["002", "003"]
    ended = kagkit(workspace.root, "track", "sync", code=7)
    assert "3 runs in .kagkit/mlflow/mlflow.db, 0 of them new" in ended.err
    assert "record.json: damaged" in ended.err


# --- again, and later ---


def test_a_replay_changes_nothing(workspace: Workspace, client: Any) -> None:
    add_score(workspace, "exp001/1", 1, public=0.8)
    sync(workspace)
    before, named = export(own_store(workspace)), ids(client)
    assert sync(workspace).shown == ()
    client.set_tag(named["exp001/1"], "kagkit.shown", "")
    assert sync(workspace).shown == ("exp001/1",)
    assert export(own_store(workspace)) == before
    assert ids(client) == named


def test_what_another_kagkit_showed_in_its_way_is_shown_anew(workspace: Workspace, client: Any) -> None:
    sync(workspace)
    before, named = export(own_store(workspace)), ids(client)
    client.set_tag(named["exp001/1"], "kagkit.shown", "0-0")
    assert sync(workspace).shown == ("exp001/1",)
    assert export(own_store(workspace)) == before
    assert ids(client) != named


def test_scores_come_to_a_finished_run_and_the_newest_counts(workspace: Workspace) -> None:
    sync(workspace)
    before = shown(workspace)["exp001/1"]
    add_score(workspace, "exp001/1", 1, public=0.9)
    sync(workspace)
    add_score(workspace, "exp001/1", 2, public=0.8, private=0.75)
    assert sync(workspace).shown == ("exp001/1",)
    after = shown(workspace)["exp001/1"]
    assert (after["times"], after["status"]) == (before["times"], "FINISHED")
    cv = after["latest"]["cv"]
    scores = {"lb_public": 0.8, "lb_private": 0.75, "shake_up": -0.05}
    scores |= {"gap_public": round(0.8 - cv, 9), "gap_private": round(0.75 - cv, 9)}
    assert {name: after["latest"][name] for name in scores} == scores
    noon = 1772366400000
    assert after["metrics"]["lb_public"] == [(0, noon + 1000, 0.9), (1, noon + 2000, 0.8)]
    assert after["tags"]["kagkit.lb"] == "scored"


def test_a_rebuild_from_the_run_directories_gives_what_was_there(
    workspace: Workspace, tmp_path_factory: pytest.TempPathFactory
) -> None:
    sync(workspace)
    add_score(workspace, "exp001/1", 1, public=0.8)
    sync(workspace)
    add_run(workspace, 2, cv=0.7)
    add_score(workspace, "exp001/2", 2, public=0.71, private=0.72)
    sync(workspace)
    before = export(own_store(workspace))
    run = add_run(workspace, 3)
    sync(workspace)
    shutil.rmtree(run.folder)
    with opened(own_store(workspace)) as client:
        client.delete_run(ids(client)["exp001/1"])
    assert export(own_store(workspace)) != before
    ended = kagkit(workspace.root, "track", "sync", "--rebuild")
    assert "2 runs in .kagkit/mlflow/mlflow.db, 2 of them new" in ended.out
    assert export(own_store(workspace)) == before
    empty_out(tmp_path_factory, workspace)
    sync(workspace)
    assert export(own_store(workspace)) == before


@pytest.fixture
def whole(workspace: Workspace, tmp_path: Path) -> dict[str, Any]:
    """What a replay that nobody disturbs makes of the workspace."""
    twin = Workspace(shutil.copytree(workspace.root, tmp_path / "twin"))
    sync(twin)
    return export(own_store(twin))


@pytest.mark.parametrize("calls", range(8))
def test_a_replay_that_was_killed_is_completed(
    workspace: Workspace, whole: dict[str, Any], calls: int
) -> None:
    from mlflow import MlflowClient

    left = calls

    def until_killed(name: str) -> Any:
        real = getattr(MlflowClient, name)

        def call(self: Any, *given: Any, **named: Any) -> Any:
            nonlocal left
            left -= 1
            if left < 0:
                raise KeyboardInterrupt
            return real(self, *given, **named)

        return call

    with pytest.MonkeyPatch.context() as patch:
        for name in ("create_run", "log_batch", "log_inputs", "set_terminated"):
            patch.setattr(MlflowClient, name, until_killed(name))
        with pytest.raises(KeyboardInterrupt):
            sync(workspace)
    assert sync(workspace).shown == ("exp001/1",)
    assert export(own_store(workspace)) == whole


def test_a_run_that_was_deleted_in_mlflow_stays_deleted(workspace: Workspace, client: Any) -> None:
    sync(workspace)
    client.delete_run(ids(client)["exp001/1"])
    add_score(workspace, "exp001/1", 1, public=0.9)
    assert sync(workspace).shown == ()
    assert shown(workspace)["exp001/1"]["stage"] == "deleted"


def test_what_people_wrote_into_mlflow_stays(workspace: Workspace, client: Any) -> None:
    sync(workspace)
    client.set_tag(ids(client)["exp001/1"], "mlflow.note.content", "look at fold 1")
    client.set_experiment_tag("1", "mlflow.sharedViewState.kagkit-cv-lb", "{}")
    add_score(workspace, "exp001/1", 1, public=0.9)
    assert sync(workspace).shown == ("exp001/1",)
    assert shown(workspace)["exp001/1"]["tags"]["mlflow.note.content"] == "look at fold 1"
    assert client.get_experiment("1").tags["mlflow.sharedViewState.kagkit-cv-lb"] == "{}"


def test_a_deleted_experiment_is_told(workspace: Workspace, client: Any) -> None:
    sync(workspace)
    client.delete_experiment("1")
    with pytest.raises(RunError, match="the experiment was deleted"):
        sync(workspace)


def test_runs_without_a_directory_are_counted(workspace: Workspace) -> None:
    run = add_run(workspace, 2)
    sync(workspace)
    shutil.rmtree(run.folder)
    ended = kagkit(workspace.root, "track", "sync")
    assert "1 more have no directory here" in ended.out
    assert kagkit(workspace.root, "track", "sync", "--json").json["gone"] == 1


# --- what MLflow cannot take ---


def test_nothing_is_cut_or_refused_behind_ones_back(workspace: Workspace) -> None:
    folder = run_folders(workspace, "exp001")[0]
    manifest = (
        f"kagkit: 1\nrecipe: mean.py\nargs: {{'top@k': 1, 'top_k': 2, empty: '', prompt: {'x' * 7000}}}\n"
    )
    many = "".join(f"  many{number}: {number}\n" for number in range(250))
    (folder / "manifest.yaml").write_text(manifest + f"assets:\n{many}")
    record = read_json(folder / "record.json")
    write_json(folder / "record.json", seal_record(record | {"note": "y" * 9000}))
    sync(workspace)
    run = shown(workspace)["exp001/1"]
    params = run["params"]
    assert (params["args.top_k"], params["args.empty"], len(params)) == ("2", '""', 259)
    assert [params[name] for name in params if name.startswith("args.top_k_")] == ["1"]
    assert len(params["args.prompt"]) == 6000
    assert "[cut: 7,000 characters, sha256 " in params["args.prompt"]
    assert len(run["tags"]["mlflow.note.content"]) == 8000
    assert "[cut: 9,000 characters" in run["tags"]["mlflow.note.content"]
