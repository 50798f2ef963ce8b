"""Run an experiment: what feeds it first, then its data settled, its rows read, its plan gone through."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from kagkit.foundation.errors import ManifestError, Problem, RunError, counted
from kagkit.runs.bench import Bench
from kagkit.runs.choices import Choice, RunOptions
from kagkit.runs.drive import Drive, Start
from kagkit.runs.events import Event, GraphTraced, Noted, PlanMade
from kagkit.runs.graph import trace_graph
from kagkit.runs.inputs import Input, find_inputs
from kagkit.runs.material import Material, cached_material, rows_key, sources_of
from kagkit.runs.origins import read_origins
from kagkit.runs.pinning import Pins, refuse_moved_folds, settle_data
from kagkit.runs.planner import Planner
from kagkit.runs.presence import at_work
from kagkit.runs.record import Run, latest_run, refuse_imported
from kagkit.runs.selection import (
    Selecting,
    Selection,
    cached_selection,
    selecting_of,
    selection_key,
    tell_selection,
)
from kagkit.runs.starting import find_start
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
    if experiment.manifest.inputs:
        _refuse_smoke(workspace, experiment)
        yield GraphTraced(trace_graph(workspace, experiment.name))
    lacking = yield from run_upstream(workspace, experiment.name, options)
    if lacking:
        yield Noted(f"{experiment.name}: planned once {lacking} is done")
        return
    yield from _run_one(workspace, experiment.name, options)


def run_upstream(workspace: Workspace, name: str, options: RunOptions) -> Generator[Event, None, str | None]:
    """Do what is missing of all that feeds an experiment; arguments and errors are those of `run_experiment`.

    Returns:
        Of a dry run, the first that is not done yet: what it feeds cannot be planned.
    """
    for upstream in order_upstream(workspace.root, name):
        if options.inputs is None and not _came_from_elsewhere(workspace, upstream):
            end = None
            for event in _run_one(workspace, upstream, replace(options, choice=Choice(), restart=False)):
                end = event
                yield event
            if isinstance(end, PlanMade) and end.expected:
                return upstream
    return None


def _came_from_elsewhere(workspace: Workspace, name: str) -> bool:
    run = latest_run(workspace, name)
    return run is not None and run.imported


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
    sources = sources_of(experiment)
    pins = settle_data(workspace, sources)
    yield from (Noted(note) for note in pins.notes)
    with at_work(workspace), Bench(workspace, experiment, options.gpus) as bench:
        material = yield from ready_material(workspace, experiment, pins, bench)
        inputs = find_inputs(workspace, experiment, options.inputs)
        yield from (Noted(each.note) for each in inputs if each.note)
        yield from (Noted(line) for line in _seen_told(inputs))
        # A partial run is no yardstick where there is a whole one.
        previous = latest_run(workspace, experiment.name, complete=True) or latest_run(
            workspace, experiment.name
        )
        if previous is not None:
            refuse_moved_folds(workspace, previous, experiment.manifest.folds.set)
        choice = replace(options.choice, restart=options.restart)
        what = selecting_of(experiment, material, pins.parts, inputs)
        selection = yield from ready_selection(workspace, experiment, what, inputs, bench)
        start = find_start(workspace, experiment, options.inputs)
        planner = Planner(
            workspace, experiment, material, pins.parts, previous, inputs, start, choice, selection
        )
        yield from Drive(planner, pins, bench, options, Start(began, origins)).run()


def ready_material(
    workspace: Workspace, experiment: Experiment, pins: Pins, bench: Bench
) -> Generator[Event, None, Material]:
    """The rows and folds of an experiment, read in a job where they are not cached.

    Raises:
        KagkitError: Whatever the job could not do.
    """
    key, fold_set = rows_key(workspace, experiment.manifest.stage, pins.parts), experiment.manifest.folds.set
    material = cached_material(workspace, key, fold_set)
    if material is None:
        bench.take_stock(key, fold_set)
        material = cached_material(workspace, key, fold_set)
        if material is None:
            raise RunError("the rows could not be cached", [Problem(".kagkit/rows", "not written")])
        yield Noted(_told(material))
    return material


def ready_selection(
    workspace: Workspace, experiment: Experiment, what: Selecting, inputs: Sequence[Input], bench: Bench
) -> Generator[Event, None, Selection | None]:
    """What the rules on rows come to, worked out in a job where it is not cached; None where there are none.

    Raises:
        KagkitError: Whatever the job could not do.
    """
    if not experiment.manifest.rows:
        return None
    if workspace.smoke:
        yield Noted("rows: left aside in a smoke run")
        return None
    name = selection_key(workspace, experiment, what, inputs)
    selection = cached_selection(workspace, what.rows, name)
    if selection is None:
        bench.select(what, name)
        selection = cached_selection(workspace, what.rows, name)
        if selection is None:
            raise RunError("the chosen rows could not be cached", [Problem(".kagkit/rows", "not written")])
        yield from (Noted(line) for line in tell_selection(selection))
    return selection


def _told(material: Material) -> str:
    dropped = f" ({material.dropped:,} exact duplicates dropped)" if material.dropped else ""
    rows = f"{material.train_rows:,} training and {material.test_rows:,} test rows{dropped}"
    return f"{rows}; {material.folds_told}; targets {', '.join(material.targets)}"


def _seen_told(inputs: Sequence[Input]) -> Iterator[str]:
    """Which rows no later score may call held out, since what feeds an experiment was trained on them."""
    for run, seen in {each.run: each.seen for each in inputs}.items():
        rows = ", ".join(f"{counted(count, 'row')} of {part}" for part, count in seen.items())
        if rows:
            yield f"{run}, or what feeds it, was trained on {rows}: no later score on these is held out"


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
        "cv_kept": data.get("cv_kept"),  # older runs do not tell it
        "submissions": data.get("submissions", []),
        "data": {"version": data["data"][f"stage{data['stage']}"]},
        "weights": data["weights"],
        **content,
        "tasks": dict(counts),
        "seconds": round(seconds, 3),
    }
