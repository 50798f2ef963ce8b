"""Run an experiment: what feeds it first, then its data settled, its rows read, its plan gone through."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator, Mapping
from dataclasses import replace
from typing import Any

from kagkit.foundation.errors import ManifestError, Problem, RunError
from kagkit.runs.bench import Bench
from kagkit.runs.choices import Choice, RunOptions
from kagkit.runs.drive import Drive, Start
from kagkit.runs.events import Event, GraphTraced, Noted, PlanMade
from kagkit.runs.graph import trace_graph
from kagkit.runs.inputs import find_inputs
from kagkit.runs.material import Material, cached_material, rows_key
from kagkit.runs.origins import read_origins
from kagkit.runs.pinning import Pins, refuse_moved_folds, settle_data
from kagkit.runs.planner import Planner
from kagkit.runs.presence import at_work
from kagkit.runs.record import Run, latest_run
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
        ManifestError: The competition, the manifest or the recipe has problems.
        DataError: The data changed since they were pinned, or rows or folds break a rule.
        RunError: A task failed; the others were finished first.
        ReproductionError: The latest run's record is damaged.
    """
    experiment = workspace.experiment(name)
    if experiment.manifest.inputs:
        _refuse_smoke(workspace, experiment)
        yield GraphTraced(trace_graph(workspace, experiment.name))
    for upstream in order_upstream(workspace.root, experiment.name):
        if options.inputs is None:
            end = None
            for event in _run_one(workspace, upstream, replace(options, choice=Choice(), restart=False)):
                end = event
                yield event
            if isinstance(end, PlanMade) and end.expected:
                yield Noted(f"{experiment.name}: planned once {upstream} is done")
                return
    yield from _run_one(workspace, experiment.name, options)


def _refuse_smoke(workspace: Workspace, experiment: Experiment) -> None:
    """One fold of a smoke run leaves no out-of-fold predictions of the rows that another trains on."""
    if workspace.smoke:
        hint = "--smoke those that feed it, and run it whole"
        found = f"fed by {', '.join(experiment.manifest.inputs.values())}"
        problem = Problem(experiment.path.name, found, "an experiment that nothing feeds", hint)
        raise ManifestError(f"{experiment.name} has no smoke run", [problem])


def _run_one(workspace: Workspace, name: str, options: RunOptions) -> Iterator[Event]:
    """Do what is missing of one experiment; what feeds it is there."""
    began = time.monotonic()
    experiment = workspace.experiment(name)
    origins = read_origins(workspace, experiment)
    sources = ["stage1", *(source for source in experiment.manifest.data if source != "main")]
    pins = settle_data(workspace, sources)
    yield from (Noted(note) for note in pins.notes)
    with at_work(workspace), Bench(workspace, experiment, options.gpus) as bench:
        material = yield from ready_material(workspace, experiment, pins, bench)
        inputs = find_inputs(workspace, experiment, options.inputs)
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
    told["optimism"] = data.get("optimism")
    return {
        "run": run.name,
        **told,
        "data": {"version": data["data"]["stage1"]},
        "weights": data["weights"],
        **content,
        "tasks": dict(counts),
        "seconds": round(seconds, 3),
    }
