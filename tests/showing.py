"""What tests of the tracking wing share: an empty store made once, runs to show, a store as plain data."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from kagkit.foundation.files import append_json_line, held, read_json, write_json
from kagkit.runs.record import Run, read_run, run_folders, seal_record
from kagkit.tracking.background import SWITCH
from kagkit.tracking.database import folder_of
from kagkit.tracking.store import Store, choose_store, opened, prepare_store
from kagkit.workspace.layout import Workspace
from tests.terminal import kagkit
from tests.toy import make_workspace, write_manifest, write_recipe

LOGGING = '''"""Guess 1 where column `a` is above the mean of the rows trained on, and tell how it goes."""

import json

import numpy as np


def train(task, *, shift=0.0, epochs=4):
    mean = float(np.mean(task.train_rows["a"])) + shift
    for epoch in range(epochs):
        task.log(step=epoch, loss=1 / (epoch + 1), accuracy=epoch / epochs)
    (task.out / "mean.json").write_text(json.dumps(mean))


def predict(task, model, rows):
    mean = json.loads((task.weights / "mean.json").read_text())
    return (rows["a"] > mean).astype("int64").to_frame("label")
'''

PREPARE = """
import sys
from pathlib import Path
from kagkit.tracking.store import choose_store, prepare_store
from kagkit.workspace.layout import Workspace
prepare_store(choose_store(Workspace(Path(sys.argv[1]))))
"""


def shared(factory: pytest.TempPathFactory, name: str) -> Path:
    """A folder for this session alone, the same for every worker."""
    base = factory.getbasetemp()
    return (base.parent if base.name.startswith("popen-") else base) / name


def empty_store(factory: pytest.TempPathFactory) -> Path:
    """An empty store, made once in a session, since it takes its seconds; for copying only.

    Two processes make it at once, as two first commands might.
    """
    root = shared(factory, "empty-store")
    store = own_store(Workspace(root))
    assert store.file is not None
    with held(root.with_name("empty-store.lock")):
        if not store.file.exists():
            command = [sys.executable, "-c", PREPARE, str(root)]
            other = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
            prepare_store(store)
            assert (other.communicate()[1], other.returncode) == ("", 0)
    return store.file


def finished_workspace(factory: pytest.TempPathFactory) -> Path:
    """A workspace of two folds whose exp001 has run; for copying only."""
    root = shared(factory, "finished-to-show")
    with held(root.with_name("finished-to-show.lock")):
        if not (root / "runs/exp001").is_dir():
            make_workspace(root, folds={"main": {"n": 2}})
            write_recipe(root, "mean.py", LOGGING)
            write_manifest(root, note="shifted a little", args={"shift": 0.1})
            with pytest.MonkeyPatch.context() as patch:
                patch.setenv(SWITCH, "1")  # a process that shows the run would write while others copy
                kagkit(root, "run", "exp001")
    return root


def workspace_to_show(factory: pytest.TempPathFactory, root: Path) -> Workspace:
    """A copy of that workspace with a store to show its run in, still empty."""
    shutil.copytree(finished_workspace(factory), root)
    workspace = Workspace(root)
    empty_out(factory, workspace)
    return workspace


def empty_out(factory: pytest.TempPathFactory, workspace: Workspace) -> None:
    """Put an empty store in the place of all that MLflow has of a workspace."""
    folder = folder_of(workspace)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    shutil.copyfile(empty_store(factory), folder / "mlflow.db")


def add_run(workspace: Workspace, number: int, **facts: Any) -> Run:
    """A further run of exp001: the first one again under another number, its record changed by `facts`."""
    first = run_folders(workspace, "exp001")[0]
    key = f"{number:08x}".ljust(64, "0")
    folder = first.with_name(f"{number:03d}-{key[:8]}")
    shutil.copytree(first, folder)
    record = read_json(first / "record.json")
    names = {"number": number, "run": f"exp001/{number}", "plan_key": key}
    write_json(folder / "record.json", seal_record(record | names | facts))
    return read_run(folder)


def add_score(workspace: Workspace, run: str, second: int, **scores: float) -> None:
    """A line of the ledger: scores of a run, told at some second of a certain minute."""
    line = {"event": "score", "time": f"2026-03-01T12:00:{second:02d}+00:00", "run": run, "source": "by hand"}
    append_json_line(workspace.leaderboard, line | {"public": None, "private": None} | scores)


def own_store(workspace: Workspace) -> Store:
    """The workspace's own store, whatever the environment says."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        return choose_store(workspace)


def export(store: Store) -> dict[str, Any]:
    """All that a store shows, by experiment and by run key, without the ids that MLflow draws.

    Of a run that was deleted and shown anew it is the new one.
    """
    from mlflow.entities import ViewType

    with opened(store) as client:
        return {
            experiment.name: {
                "tags": dict(experiment.tags),
                "artifacts": experiment.artifact_location,
                "runs": {
                    run.data.tags["kagkit.run_key"]: _export_run(client, run)
                    for kind in (ViewType.DELETED_ONLY, ViewType.ACTIVE_ONLY)
                    for run in client.search_runs([experiment.experiment_id], run_view_type=kind)
                },
            }
            for experiment in client.search_experiments()
        }


def _export_run(client: Any, run: Any) -> dict[str, Any]:
    info, data = run.info, run.data
    inputs = [
        (
            found.dataset.name,
            found.dataset.digest,
            found.dataset.source,
            [(t.key, t.value) for t in found.tags],
        )
        for found in run.inputs.dataset_inputs
    ]
    return {
        "name": info.run_name,
        "status": info.status,
        "stage": info.lifecycle_stage,
        "user": info.user_id,
        "times": [info.start_time, info.end_time],
        "artifacts": info.artifact_uri.replace(info.run_id, "RUN"),
        "params": data.params,
        "tags": data.tags,
        "latest": data.metrics,
        "inputs": sorted(inputs),
        "metrics": {
            key: sorted((m.step, m.timestamp, m.value) for m in client.get_metric_history(info.run_id, key))
            for key in data.metrics
        },
    }
