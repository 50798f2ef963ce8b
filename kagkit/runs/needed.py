"""Say what of a workspace is still needed: tasks by the keys of present manifests, runs by who names them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kagkit.data.versions import read_lock
from kagkit.foundation.errors import KagkitError, ManifestError
from kagkit.foundation.files import canonical_json, read_json_lines
from kagkit.foundation.strictyaml import read_yaml
from kagkit.runs.choices import Planned
from kagkit.runs.inputs import find_inputs
from kagkit.runs.material import cached_material, rows_key, sources_of, stage_sources
from kagkit.runs.planner import Planner
from kagkit.runs.record import Run, latest_run
from kagkit.runs.selection import cached_selection, selecting_of, selection_key
from kagkit.runs.starting import find_start
from kagkit.runs.trials import all_studies, needed_tasks
from kagkit.workspace.layout import Workspace


@dataclass(frozen=True)
class Keys:
    """The keys of the tasks that present manifests would use, and of those that searches still need.

    Attributes:
        tasks: The keys.
        unknown: Manifests and searches whose tasks are not known now, each with the reason.
    """

    tasks: frozenset[str]
    unknown: tuple[str, ...]


def rows_in_use(workspace: Workspace, stage: int) -> str | None:
    """The key of a stage's cached rows that belong to the pinned data; None before these are pinned."""
    parts = _pinned(workspace)
    if any(source not in parts for source in stage_sources(stage)):
        return None
    return rows_key(workspace, stage, parts)


def keys_in_use(workspace: Workspace) -> Keys:
    """The keys of all tasks of all present manifests, for the data that are pinned, and of all searches."""
    keys: set[str] = set()
    unknown = []
    for path in workspace.manifests():
        try:
            keys |= set(_keys(workspace, path.name))
        except KagkitError as error:
            unknown.append(f"{path.name}: {error.summary.removeprefix(f'{path.name}: ')}")
    for study in all_studies(workspace):
        try:
            keys |= needed_tasks(study)
        except KagkitError as error:
            unknown.append(error.summary)
    return Keys(frozenset(keys), tuple(unknown))


def _keys(workspace: Workspace, manifest: str) -> Iterator[str]:
    experiment = workspace.experiment(manifest)
    rows, fold_set = rows_in_use(workspace, experiment.manifest.stage), experiment.manifest.folds.set
    material = cached_material(workspace, rows, fold_set) if rows is not None else None
    if material is None:  # never run, or its lock, folds or cache are gone: nobody can tell these apart
        raise ManifestError(f"its rows are not cached (`kagkit run {experiment.name} --dry-run` does it)")
    parts = _pinned(workspace)
    lacking = [name for name in sources_of(experiment) if name not in parts]
    if lacking:
        raise ManifestError(f"data {', '.join(lacking)} never pinned")
    name = experiment.name
    previous = latest_run(workspace, name, complete=True) or latest_run(workspace, name)
    inputs, start = find_inputs(workspace, experiment), find_start(workspace, experiment)
    what = selecting_of(experiment, material, parts, inputs)
    selection = cached_selection(workspace, what.rows, selection_key(workspace, experiment, what, inputs))
    if experiment.manifest.rows and selection is None:
        raise ManifestError(f"its rows are not chosen (`kagkit run {experiment.name} --dry-run` does it)")
    planner = Planner(workspace, experiment, material, parts, previous, inputs, start, selection=selection)
    prepares = planner.prepares()
    yield from _whole(workspace, prepares)
    prepared = {str(planned.spec.part): planned.stored for planned in prepares if planned.stored}
    if len(prepared) < len(prepares):
        return  # what follows has no key yet
    trains = planner.trains(prepared)
    yield from _whole(workspace, trains)
    for planned in trains:
        if planned.stored is not None:
            yield from (task.spec.key for task in planner.predicts(planned.spec, planned.stored, prepared))


def _pinned(workspace: Workspace) -> dict[str, dict[str, str]]:
    """The digest of every part of every pinned source."""
    return {
        source: {part: version.sha256 for part, version in locked.parts.items()}
        for source, locked in read_lock(workspace.root).items()
    }


def _whole(workspace: Workspace, tasks: Sequence[Planned]) -> Iterator[str]:
    """The keys of tasks; refused where one is damaged: done again it may give what others build on."""
    for planned in tasks:
        if planned.stored is None and any(workspace.tasks.glob(f"{planned.spec.key}*")):
            raise ManifestError(f"{planned.spec.label} is damaged")
        yield planned.spec.key


def surplus_runs(workspace: Workspace, runs: Sequence[Run], best: int) -> list[Run]:
    """The runs beyond the best of each experiment that nothing names; what cannot be ranked is no surplus.

    Ranked are complete runs with a CV by the metric of the experiment's latest one. A partial run is
    surplus once a complete one is newer.

    Args:
        workspace: The workspace.
        runs: All its runs.
        best: How many of each experiment are kept, by CV, the newer where two are equal.

    Returns:
        The runs, without: the latest and the latest complete run of each experiment; packaged, submitted and
        scored ones; those that a manifest, a lock or stage2.decisions.yaml names; the parents of all these.
    """
    by_name = {run.name: run for run in runs}
    kept = _named(workspace, by_name)
    surplus: dict[str, Run] = {}
    for experiment in {run.experiment for run in runs}:
        own = sorted((run for run in runs if run.experiment == experiment), key=lambda run: run.number)
        surplus |= {run.name: run for run in _beyond(workspace, own, best)}
    waiting = [run for run in runs if run.name in kept or run.name not in surplus]
    while waiting:
        parents = {text for text in _texts(waiting.pop().data["parents"]) if text in surplus}
        waiting += [surplus.pop(name) for name in parents if name not in kept]
    return [run for name, run in surplus.items() if name not in kept]


def _beyond(workspace: Workspace, own: list[Run], best: int) -> Iterator[Run]:
    """The runs of one experiment, oldest first, that are neither its best nor its latest."""
    complete = [run for run in own if run.complete]
    if not complete:
        return
    latest = complete[-1]
    yield from (run for run in own if not run.complete and run.number < latest.number)
    metric = canonical_json(latest.data["metric"])
    ranked = [
        run for run in complete if run.data["cv"] is not None and canonical_json(run.data["metric"]) == metric
    ]
    sign = -1 if workspace.competition.metric.greater_is_better else 1
    ranked.sort(key=lambda run: (sign * run.data["cv"], -run.number))
    yield from (run for run in ranked[best:] if run is not latest)


def _named(workspace: Workspace, runs: dict[str, Run]) -> set[str]:
    """The runs that a package, the ledger, a manifest or a lock names, by name or by folder."""
    folders = {f"runs/{run.experiment}/{run.folder.name}": name for name, run in runs.items()}
    packages = {f"{run.experiment}-{run.number:03d}": name for name, run in runs.items()}
    found = {name for folder, name in packages.items() if any(_packages(workspace, folder))}
    texts = {text.partition(":")[0] for text in _texts(read_json_lines(workspace.leaderboard))}
    for path in (*workspace.root.glob("[!.]*.yaml"), *workspace.root.glob("locks/*.yaml")):
        texts |= set(_texts(read_yaml(path, path.name).plain))
    return found | {text for text in texts if text in runs} | {folders[text] for text in texts & {*folders}}


def _packages(workspace: Workspace, name: str) -> Iterator[Path]:
    """What is packaged of a run: its first submission, and others with their names behind."""
    yield from workspace.submissions.glob(name)
    yield from workspace.submissions.glob(f"{name}-*")


def _texts(value: Any) -> Iterator[str]:
    """Every text in a value of lists and mappings, names included."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from _all(value)
        yield from _all(value.values())
    elif isinstance(value, list | tuple):
        yield from _all(value)


def _all(values: Iterable[Any]) -> Iterator[str]:
    for value in values:
        yield from _texts(value)
