"""Run an experiment: what feeds it first, then its data settled, its rows read, its plan gone through."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator, Mapping
from dataclasses import replace
from typing import Any

from kagkit.foundation.errors import Problem, RunError
from kagkit.runs.bench import Bench
from kagkit.runs.choices import Choice, RunOptions
from kagkit.runs.drive import Drive, Start
from kagkit.runs.events import Event, Noted, PlanMade
from kagkit.runs.inputs import find_inputs
from kagkit.runs.material import Material, cached_material, rows_key
from kagkit.runs.origins import read_origins
from kagkit.runs.pinning import Pins, refuse_moved_folds, settle_data
from kagkit.runs.planner import Planner
from kagkit.runs.presence import at_work
from kagkit.runs.record import Run, latest_run, refuse_imported
from kagkit.workspace.experiment import Experiment
from kagkit.workspace.layout import Workspace
from kagkit.workspace.lineage import order_upstream


def run_experiment(workspace: Workspace, name: str, options: RunOptions) -> Iterator[Event]:
    """Do what is missing of an experiment and commit the run.

    Args:
        workspace: The workspace; `smoke` runs keep everything apart.
        name: The experiment's name or its manifest.
        options: How to run it.

    Yields:
        What happens, as it happens; `RunMade`, `NothingToDo` or `SameBytes` comes last.

    Raises:
        ManifestError: The competition, the manifest or the recipe has problems; or it was imported.
        DataError: The data changed since they were pinned, or rows or folds break a rule.
        RunError: A task failed; the others were finished first.
        ReproductionError: The latest run's record is damaged.
    """
    refuse_imported(workspace, name)
    experiment = workspace.experiment(name)
    for upstream in order_upstream(workspace.root, experiment.name):
        if options.inputs is None and not _came_from_elsewhere(workspace, upstream):
            end = None
            for event in _run_one(workspace, upstream, replace(options, choice=Choice(), restart=False)):
                end = event
                yield event
            if isinstance(end, PlanMade) and end.expected:
                yield Noted(f"{experiment.name}: planned once {upstream} is done")
                return
    yield from _run_one(workspace, experiment.name, options)


def _came_from_elsewhere(workspace: Workspace, name: str) -> bool:
    run = latest_run(workspace, name)
    return run is not None and run.imported


def _run_one(workspace: Workspace, name: str, options: RunOptions) -> Iterator[Event]:
    """Do what is missing of one experiment; what feeds it is there."""
    began = time.monotonic()
    experiment = workspace.experiment(name)
    inputs = find_inputs(workspace, experiment, options.inputs)
    origins = read_origins(workspace, experiment)
    sources = ["stage1", *(source for source in experiment.manifest.data if source != "main")]
    pins = settle_data(workspace, sources)
    yield from (Noted(note) for note in (*pins.notes, *(each.note for each in inputs)) if note)
    with at_work(workspace), Bench(workspace, experiment, options.gpus) as bench:
        material = yield from ready_material(workspace, experiment, pins, bench)
        # A partial run is no yardstick where there is a whole one.
        previous = latest_run(workspace, experiment.name, complete=True) or latest_run(
            workspace, experiment.name
        )
        if previous is not None:
            refuse_moved_folds(workspace, previous, experiment.manifest.folds.set)
        choice = replace(options.choice, restart=options.restart)
        planner = Planner(workspace, experiment, material, pins.parts, previous, inputs, choice)
        yield from Drive(planner, pins, bench, options, Start(began, origins)).run()


def ready_material(
    workspace: Workspace, experiment: Experiment, pins: Pins, bench: Bench
) -> Generator[Event, None, Material]:
    """The rows and folds of an experiment, read in a job where they are not cached.

    Raises:
        KagkitError: Whatever the job could not do.
    """
    key, fold_set = rows_key(workspace, pins.parts["stage1"]), experiment.manifest.folds.set
    material = cached_material(workspace, key, fold_set)
    if material is None:
        bench.take_stock(key, fold_set)
        material = cached_material(workspace, key, fold_set)
        if material is None:
            raise RunError("the rows could not be cached", [Problem(".kagkit/rows", "not written")])
        yield Noted(_told(material))
    return material


def _told(material: Material) -> str:
    dropped = f" ({material.dropped:,} exact duplicates dropped)" if material.dropped else ""
    rows = f"{material.train_rows:,} training and {material.test_rows:,} test rows{dropped}"
    return f"{rows}; {material.folds_told}; targets {', '.join(material.targets)}"


def run_facts(run: Run, counts: Mapping[str, int], seconds: float) -> dict[str, Any]:
    """What `kagkit run --json` says of a run: the keys of the contract."""
    data = run.data
    content = {
        name: {"content_sha256": data[name]["content_sha256"]} if data[name] else None
        for name in ("oof", "test")
    }
    told = {
        name: data[name] for name in ("experiment", "stage", "complete", "cv", "cv_std", "coverage", "folds")
    }
    return {
        "run": run.name,
        **told,
        "submissions": data.get("submissions", []),
        "data": {"version": data["data"]["stage1"]},
        "weights": data["weights"],
        **content,
        "tasks": dict(counts),
        "seconds": round(seconds, 3),
    }
