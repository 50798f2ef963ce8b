"""Replay run directories into MLflow, each once: what is there already stays as it is."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from kagkit.foundation.errors import HostError, KagkitError, Problem, RunError
from kagkit.foundation.files import held, told_when_unwritable
from kagkit.runs.record import experiments_with_runs, read_run, run_folders
from kagkit.runs.trials import Study, all_studies
from kagkit.tracking.database import ARTIFACTS, SQLITE, folder_of, put_in_place
from kagkit.tracking.projection import Projection, is_outdated, project, run_key, state_of
from kagkit.tracking.searches import BEGUN, over, project_study, project_trial, study_state
from kagkit.tracking.store import Store, opened
from kagkit.tracking.views import write_views
from kagkit.workspace.layout import Workspace
from kagkit.workspace.ledger import score_lines

STATE = "kagkit.shown"  # written last: a run that has it is wholly there
PAGE = 1000
METRICS_AT_ONCE = 1000
# A request may have a megabyte: a hundred parameters of 6,000 characters are too many.
TEXTS_AT_ONCE, TEXT_AT_ONCE = 100, 200_000
WAIT_SECONDS = 120.0
Item = TypeVar("Item")


@dataclass(frozen=True)
class Synced:
    """What became of a replay.

    Attributes:
        store: Where runs are shown.
        experiment: MLflow's id of the competition.
        runs: How many runs could be read.
        shown: Those that were not there yet, or got new scores.
        gone: Runs that MLflow shows and whose directory is not here; `--rebuild` leaves them out.
        problems: Runs that cannot be read; the others are shown.
        seconds: How long it took.
    """

    store: str
    experiment: str
    runs: int
    shown: tuple[str, ...]
    gone: int
    problems: tuple[Problem, ...]
    seconds: float

    def as_json(self) -> dict[str, Any]:
        """The facts as plain data."""
        return asdict(self)


@dataclass(frozen=True)
class _Found:
    """A run as MLflow has it."""

    id: str
    state: str
    finished: bool
    deleted: bool
    searched: bool = False


def sync_runs(
    workspace: Workspace, store: Store, *, rebuild: bool = False, tell: Callable[[str], None] | None = None
) -> Synced:
    """Show every run in MLflow, with the scores the ledger has by now.

    A run is found again by its name and plan key, so that doing this twice changes nothing. One that was
    deleted in MLflow stays deleted.

    Args:
        workspace: The workspace; smoke runs are not shown.
        store: Where to show them.
        rebuild: Show all anew: the workspace's own store is replaced by a new one, and what people wrote
            into the old one is left in a copy beside it; in another store only our own runs are replaced.
        tell: Called with the name of each run that is shown.

    Raises:
        HostError: The server is down, refuses, or is of another version.
        RunError: The store is locked or cannot be used, or another kagkit is at it for too long.
    """
    began = time.monotonic()
    try:
        # MLflow lets two processes make two of one run.
        lock = folder_of(workspace) / "mirror.lock"
        with told_when_unwritable(".kagkit/mlflow"), held(lock, wait_seconds=WAIT_SECONDS):
            if rebuild and store.own:
                synced = _rebuild(workspace, store, tell)
            else:
                synced = _sync(workspace, store, tell, again=rebuild)
    except TimeoutError:
        hint = "try again later; .kagkit/mlflow/log.txt tells how far it is"
        problem = Problem(store.told, f"another kagkit has shown runs for {WAIT_SECONDS:.0f} s", hint=hint)
        raise RunError("MLflow's store is busy", [problem]) from None
    return replace(synced, seconds=round(time.monotonic() - began, 3))


def _rebuild(workspace: Workspace, store: Store, tell: Callable[[str], None] | None) -> Synced:
    """Show all in a new store, and only then put it in the old one's place."""
    assert store.file is not None  # noqa: S101 (the workspace's own is a file)
    aside = store.file.with_name(f"{store.file.name}.rebuilt")
    aside.unlink(missing_ok=True)
    synced = _sync(workspace, replace(store, uri=f"{SQLITE}{aside}", file=aside), tell)
    put_in_place(aside, store.file, store.file.with_name(f"{store.file.name}.before-rebuild"))
    return synced


def _sync(
    workspace: Workspace, store: Store, tell: Callable[[str], None] | None, *, again: bool = False
) -> Synced:
    problems: list[Problem] = []
    shown: list[str] = []
    with opened(store) as client:
        replay = _Replay(workspace, client, _experiment(client, workspace, store), again)
        for where, take in replay.steps():
            try:
                name = take()
            except KagkitError as error:  # of reading: what MLflow cannot do ends the whole of it
                problems += error.problems or [Problem(where, error.summary)]
                continue
            if name is not None:
                shown.append(name)
                if tell is not None:
                    tell(name)
        write_views(client, replay.experiment, workspace.competition.metric.greater_is_better)
    gone = replay.count_gone() if store.own else 0
    return Synced(store.told, replay.experiment, replay.runs, tuple(shown), gone, tuple(problems), 0.0)


class _Replay:
    """One way through the run directories, beside what MLflow has of them."""

    def __init__(self, workspace: Workspace, client: Any, experiment: str, again: bool) -> None:
        self.experiment = experiment
        self._workspace = workspace
        self._client = client
        self._again = again
        self._ledger = score_lines(workspace)
        self._found = _shown_runs(client, experiment)
        self._keys: set[str] = set()

    @property
    def runs(self) -> int:
        """How many runs could be read."""
        return len(self._keys)

    def steps(self) -> Iterator[tuple[str, Callable[[], str | None]]]:
        """All there is to show, runs first: what messages call it, and what shows it."""
        for folder in _folders(self._workspace):
            yield f"runs/{folder.parent.name}/{folder.name}", partial(self.take, folder)
        for study in all_studies(self._workspace):
            place = f"runs/.tune/{study.folder.parent.name}/{study.folder.name}"
            yield place, partial(self.take_search, study)

    def take(self, folder: Path) -> str | None:
        """Show a run, unless it is there as it should be; its name where it was shown."""
        run = read_run(folder)
        scored, key = self._ledger.get(run.name, []), run_key(run)
        self._keys.add(key)
        state = state_of(scored)
        if self._is_shown(key, state):
            return None
        self._put(project(self._workspace, run, scored), state)
        return run.name

    def take_search(self, study: Study) -> str | None:
        """Show a search and its trials, each once it has ended; its name where something was shown."""
        trials = over(study)
        whole, state = project_study(study, trials), study_state(trials)
        # With the search deleted in MLflow, its trials are not wanted either.
        if self._is_shown(whole.key, state) or not trials:
            return None
        # The search is marked as shown after its trials, so that a kill in between leaves none out.
        parent = self._put(whole, BEGUN)
        for trial in trials:
            shown = project_trial(study, trial, parent)
            if not self._is_shown(shown.key, BEGUN):
                self._put(shown, BEGUN)
        self._client.set_tag(parent, STATE, state)
        return whole.name

    def _is_shown(self, key: str, state: str) -> bool:
        """Whether a run is there as it should be, or was deleted there, which is left as it is."""
        there = self._found.get(key)
        return there is not None and not self._again and (there.deleted or there.state == state)

    def _put(self, run: Projection, state: str) -> str:
        """Show a run, in the place of one that another kagkit showed; MLflow's id of it."""
        there = self._found.get(run.key)
        if there is not None and (self._again or is_outdated(there.state)):
            if not there.deleted:
                self._client.delete_run(there.id)
            there = None
        return _show(self._client, self.experiment, there, run, state)

    def count_gone(self) -> int:
        """How many runs MLflow shows whose directories are not here; searches are not counted."""
        own = {key for key, there in self._found.items() if not there.deleted and not there.searched}
        return len(own - self._keys)


def _folders(workspace: Workspace) -> Iterator[Path]:
    for name in experiments_with_runs(workspace):
        yield from run_folders(workspace, name)


def _experiment(client: Any, workspace: Workspace, store: Store) -> str:
    """The MLflow experiment of the competition, made where it is not there yet."""
    competition = workspace.competition
    name = competition.competition
    there = client.get_experiment_by_name(name)
    if there is None:
        tags = {
            "kagkit.competition": name,
            "kagkit.metric": competition.metric.score,
            "kagkit.greater_is_better": str(competition.metric.greater_is_better).lower(),
            "mlflow.experimentKind": "custom_model_development",
        }
        # A server knows where its artifacts belong; a path of this machine would be no use to it.
        place = f"{ARTIFACTS}{name}" if store.file is not None else None
        return str(client.create_experiment(name, artifact_location=place, tags=tags))
    if there.lifecycle_stage != "active":
        hint = "restore it there" + ("; or kagkit track sync --rebuild" if store.own else "")
        kind = RunError if store.own else HostError
        raise kind("MLflow cannot show the runs", [Problem(name, "the experiment was deleted", hint=hint)])
    return str(there.experiment_id)


def _shown_runs(client: Any, experiment: str) -> dict[str, _Found]:
    """Every run of ours that MLflow has, deleted ones too, by its key."""
    from mlflow.entities import ViewType

    found: dict[str, _Found] = {}
    token: str | None = None
    while True:
        page = client.search_runs(
            [experiment],
            "tags.`kagkit.run_key` != ''",
            run_view_type=ViewType.ALL,
            max_results=PAGE,
            page_token=token,
        )
        for run in page:
            tags, info = run.data.tags, run.info
            there = _Found(
                info.run_id,
                tags.get(STATE, ""),
                info.status == "FINISHED",
                info.lifecycle_stage != "active",
                "/.tune/" in tags.get("kagkit.folder", ""),
            )
            known = found.get(tags["kagkit.run_key"])
            if known is None or known.deleted:
                found[tags["kagkit.run_key"]] = there
        token = page.token
        if not token:
            return found


def _show(client: Any, experiment: str, there: _Found | None, run: Projection, state: str) -> str:
    """Show one run; what a killed predecessor left half shown is completed, since all of it is the same.

    Returns:
        MLflow's id of it.
    """
    from mlflow.entities import Metric, Param, RunTag

    if there is None:
        made = client.create_run(experiment, start_time=run.began, tags=run.tags, run_name=run.name)
        there = _Found(made.info.run_id, "", finished=False, deleted=False)
    for params in _texts(list(run.params.items())):
        client.log_batch(there.id, params=[Param(name, value) for name, value in params])
    for batch in run.batches:
        for points in _pages(batch, METRICS_AT_ONCE):
            metrics = [Metric(point.key, point.value, point.time, point.step) for point in points]
            client.log_batch(there.id, metrics=metrics)
    if run.datasets:
        client.log_inputs(there.id, datasets=_datasets(run))
    if not there.finished:
        client.set_terminated(there.id, "FINISHED", end_time=run.ended)
    # People may have written into the others since.
    ours = {name: value for name, value in run.tags.items() if name.startswith("kagkit.")} | {STATE: state}
    for tags in _texts(list(ours.items())):
        client.log_batch(there.id, tags=[RunTag(name, value) for name, value in tags])
    return there.id


def _datasets(run: Projection) -> list[Any]:
    from mlflow.entities import Dataset, DatasetInput, InputTag

    tags = [InputTag("mlflow.data.context", "training")]
    return [
        DatasetInput(Dataset(name, digest, "code", '{"tags": {}}'), tags)
        for name, digest in run.datasets.items()
    ]


def _pages(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


def _texts(items: list[tuple[str, str]]) -> Iterator[list[tuple[str, str]]]:
    """Names with their values, so many at a time as one request may hold."""
    page: list[tuple[str, str]] = []
    size = 0
    for name, value in items:
        more = len(name) + len(value)
        if page and (len(page) == TEXTS_AT_ONCE or size + more > TEXT_AT_ONCE):
            yield page
            page, size = [], 0
        page.append((name, value))
        size += more
    if page:
        yield page
