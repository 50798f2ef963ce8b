"""Search the arguments of an experiment trial by trial, go on after a kill, write the best as a manifest."""

from __future__ import annotations

import statistics
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from math import prod
from pathlib import Path
from typing import Any

from kagkit.foundation.errors import KagkitError, ManifestError, Problem, RunError
from kagkit.foundation.files import digest_of, held
from kagkit.runs.bench import Bench
from kagkit.runs.choices import RunOptions
from kagkit.runs.events import Event, Noted
from kagkit.runs.inputs import Input, find_inputs
from kagkit.runs.material import Material, sources_of
from kagkit.runs.origins import digest_files, read_origins, refuse_changed
from kagkit.runs.pinning import Pins, refuse_moved_folds, settle_data
from kagkit.runs.planner import Planner
from kagkit.runs.presence import at_work
from kagkit.runs.presentation import describe_presentation
from kagkit.runs.record import latest_run
from kagkit.runs.runner import ready_material, ready_selection, run_upstream
from kagkit.runs.selection import Selection, selecting_of
from kagkit.runs.suggestion import refuse_without_optuna, suggest
from kagkit.runs.trials import (
    FAILED,
    RUNNING,
    Study,
    Trial,
    best_trial,
    may_stop,
    studies_folder,
)
from kagkit.runs.trying import TrialDrive, with_values
from kagkit.runs.tuned import Tuned, end_of_search
from kagkit.workspace.experiment import Experiment
from kagkit.workspace.layout import Workspace
from kagkit.workspace.search import Search, starting_values

FAILURES = 3  # in a row: then it is no bad luck of the arguments
KEY_LENGTH = 8
# What of a manifest decides no trial's score.
APART = ("note", "parent", "search")


@dataclass(frozen=True)
class TrialBegan:
    """A trial begins, or goes on: the `count`th of `total`."""

    trial: Trial
    total: int
    resumed: bool


@dataclass(frozen=True)
class TrialEnded:
    """A trial is done, pruned or failed.

    Attributes:
        trial: The trial.
        total: How many trials there are to be.
        best: The best so far.
        seconds_left: How long the others will take, judged by those of this command.
    """

    trial: Trial
    total: int
    best: Trial | None
    seconds_left: float


TuneEvent = Event | TrialBegan | TrialEnded | Tuned


@dataclass(frozen=True)
class TuneOptions:
    """How to search.

    Attributes:
        name: The manifest to write; `EXP-tuned` where None. One that is there is never overwritten.
        gpus: Ids of the GPUs to use; those the machine shows where None.
    """

    name: str | None = None
    gpus: tuple[str, ...] | None = None


def tune_experiment(workspace: Workspace, name: str, options: TuneOptions) -> Iterator[TuneEvent]:
    """Search what the manifest's `search:` block names, and write the best as a manifest.

    What feeds the experiment is run first, where it is missing.

    The first trial is the manifest as it stands. A search that was stopped goes on: the trial it was at is
    done with the same arguments, and what it had finished is reused.

    Args:
        workspace: The workspace.
        name: The experiment.
        options: How to search.

    Yields:
        What happens, as it happens; `Tuned` comes last.

    Raises:
        ManifestError: The manifest has problems, or nothing to search, or no folds.
        DataError: The data changed since they were pinned, or the study's ledger is damaged.
        RunError: Another kagkit searches this experiment, Optuna is missing, the manifest's own arguments
            fail, or three trials in a row do.
    """
    began = time.monotonic()
    experiment = workspace.experiment(name)
    search = _search_of(experiment)
    refuse_without_optuna()
    yield from run_upstream(workspace, experiment.name, RunOptions(gpus=options.gpus))
    origins = read_origins(workspace, experiment)
    sources = sources_of(experiment)
    pins = settle_data(workspace, sources)
    yield from (Noted(note) for note in pins.notes)
    folder = studies_folder(workspace) / experiment.name
    with (
        _alone(folder / "study.lock", experiment.name),
        at_work(workspace),
        Bench(workspace, experiment, options.gpus) as bench,
    ):
        material = yield from ready_material(workspace, experiment, pins, bench)
        previous = latest_run(workspace, experiment.name)
        if previous is not None:
            refuse_moved_folds(workspace, previous, experiment.manifest.folds.set)
        inputs = find_inputs(workspace, experiment)
        what = selecting_of(experiment, material, pins.parts, inputs)
        selection = yield from ready_selection(workspace, experiment, what, inputs, bench)
        given = _Given(material, pins, origins, inputs, selection)
        study = Study(folder / _key(workspace, experiment, given)[:KEY_LENGTH])
        metric = asdict(workspace.competition.metric)
        study.begin({"experiment": experiment.name, "key": study.folder.name, "metric": metric})
        searching = _Searching(workspace, experiment, search, study, given)
        yield from searching.run(bench, began)
        yield end_of_search(workspace, experiment, study, options.name, began)


@contextmanager
def _alone(lock: Path, experiment: str) -> Iterator[None]:
    with ExitStack() as stack:
        try:
            stack.enter_context(held(lock, wait_seconds=0.0))
        except TimeoutError:
            problem = Problem(experiment, "another kagkit tunes it", hint="wait until it is done")
            raise RunError(f"{experiment} is being tuned", [problem]) from None
        yield


def _search_of(experiment: Experiment) -> Search:
    """What is searched.

    Raises:
        ManifestError: Nothing, or nothing that has a CV.
    """
    search, file = experiment.manifest.search, experiment.path.name
    if search is None:
        hint = "say what to try: search: {args: {lr: {low: 1e-4, high: 1e-2, log: true}}}"
        raise ManifestError(f"{file}: nothing to tune", [Problem(file, "no search", hint=hint)])
    if experiment.manifest.fit == "full":
        hint = "use fit: folds, or fit: both"
        raise ManifestError(f"{file}: nothing to judge by", [Problem(file, "fit: full has no CV", hint=hint)])
    return search


def _key(workspace: Workspace, experiment: Experiment, given: _Given) -> str:
    """What makes trials comparable: all that decides a score beside what is searched."""
    manifest, recipe = asdict(experiment.manifest), experiment.recipe
    planner = given.planner(workspace, experiment)
    assets = [asset.path for asset in experiment.manifest.assets.values()]
    return digest_of(
        {
            "manifest": {key: value for key, value in manifest.items() if key not in APART},
            "presentation": describe_presentation(planner),
            "code": recipe.code(*recipe.functions),
            "assets": digest_files(workspace.root, assets),
            "folds": {name: asdict(fold) for name, fold in given.material.folds.items()},
        }
        | ({"rows": given.selection.digests} if given.selection else {})
    )


@dataclass(frozen=True)
class _Given:
    """What all trials are made from."""

    material: Material
    pins: Pins
    origins: dict[str, str]
    inputs: tuple[Input, ...]
    selection: Selection | None

    def planner(self, workspace: Workspace, experiment: Experiment) -> Planner:
        """Plans an experiment of these data."""
        parts = self.pins.parts
        return Planner(
            workspace, experiment, self.material, parts, None, self.inputs, selection=self.selection
        )


class _Searching:
    """One command's way through a study."""

    def __init__(
        self, workspace: Workspace, experiment: Experiment, search: Search, study: Study, given: _Given
    ) -> None:
        self._workspace, self._experiment, self._search = workspace, experiment, search
        self._study, self._given = study, given
        self._greater = workspace.competition.metric.greater_is_better
        self._took: list[float] = []

    def run(self, bench: Bench, began: float) -> Iterator[TuneEvent]:
        """Do what trials are missing, while there is time."""
        total = self._search.trials
        while (trial := self._next(self._study.trials(), began)) is not None:
            refuse_changed(self._workspace.root, self._given.origins, f"trial {trial.number}")
            yield TrialBegan(trial, total, resumed=bool(trial.tasks))
            self._study.note(trial.number, state=RUNNING, args=trial.args, time=_now())
            started = time.monotonic()
            ended = yield from self._tried(bench, trial)
            self._took.append(time.monotonic() - started)
            self._study.note(
                ended.number,
                state=ended.state,
                cv=ended.cv,
                folds=ended.folds,
                tasks=ended.tasks,
                seconds=round(self._took[-1], 3),
                why=ended.why,
                time=_now(),
            )
            trials = self._study.trials()
            yield TrialEnded(
                trials[ended.number - 1],
                total,
                best_trial(trials, greater=self._greater),
                self._seconds_left(trials, began),
            )

    def _next(self, trials: Sequence[Trial], began: float) -> Trial | None:
        """The trial to do; None where the search is over."""
        over = [trial for trial in trials if trial.state != RUNNING]
        minutes = self._search.minutes
        late = minutes is not None and time.monotonic() - began > minutes * 60
        if len(over) >= self._search.trials or (late and self._took) or self._is_exhausted(over):
            return None
        if len(over) < len(trials):
            return next(trial for trial in trials if trial.state == RUNNING)
        if not trials:
            start = starting_values(self._workspace.root, self._experiment.manifest, self._experiment.recipe)
            return Trial(1, start)
        number = len(trials) + 1
        return Trial(number, suggest(self._search, trials, number, greater=self._greater))

    def _is_exhausted(self, over: Sequence[Trial]) -> bool:
        """Whether all combinations of a space that has an end were tried."""
        space = self._search.space
        sizes = [span.size for span in space.values()]
        tried = {
            digest_of(trial.args)
            for trial in over
            if trial.args.keys() == space.keys() and all(space[k].holds(v) for k, v in trial.args.items())
        }
        return None not in sizes and len(tried) >= prod(size for size in sizes if size is not None)

    def _tried(self, bench: Bench, trial: Trial) -> Generator[Event, None, Trial]:
        # The manifest's own tasks are reused as they are: it may leave out what is its default.
        values: Mapping[str, Any] = {} if trial.is_first else trial.args
        experiment = with_values(self._experiment, values)
        given, workspace = self._given, self._workspace
        planner = given.planner(workspace, experiment)
        trials = self._study.trials()
        stops = partial(may_stop, trials=trials[: trial.number - 1], greater=self._greater)
        # Where nothing is trained for a trial, nothing is saved by ending it early.
        prunes = self._search.prune and bool(self._search.args)
        drive = TrialDrive(planner, bench, self._study, trial, stops if prunes else None)
        try:
            return (yield from drive.run())
        except KagkitError as error:
            before = trials[: trial.number - 1]
            earlier = before[1 - FAILURES :]
            in_a_row = len(earlier) == FAILURES - 1 and all(one.state == FAILED for one in earlier)
            if trial.is_first or in_a_row:
                raise
            return replace(trial, state=FAILED, why=str(error))

    def _seconds_left(self, trials: Sequence[Trial], began: float) -> float:
        left = self._search.trials - sum(trial.state != RUNNING for trial in trials)
        seconds = statistics.fmean(self._took) * max(left, 0)
        if self._search.minutes is None:
            return seconds
        return max(0.0, min(seconds, self._search.minutes * 60 - (time.monotonic() - began)))


def _now() -> float:
    return round(time.time(), 3)
