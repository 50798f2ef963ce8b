"""Do one trial fold by fold, score each as it comes, stop where the rest is not worth it."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from kagkit.foundation.errors import RunError
from kagkit.runs.bench import Bench, Ended
from kagkit.runs.choices import Planned
from kagkit.runs.events import Event, TaskDone, TaskStarted
from kagkit.runs.planner import Planner
from kagkit.runs.store import Stored
from kagkit.runs.trials import DONE, PRUNED, Study, Trial
from kagkit.runs.trialscoring import ScoringSpec
from kagkit.workspace.experiment import Experiment
from kagkit.workspace.search import ARGS, SUBMISSION

Stops = Callable[[Sequence[Mapping[str, Any]]], bool]


def with_values(experiment: Experiment, values: Mapping[str, Any]) -> Experiment:
    """An experiment as it would be with some values more: `{"args.lr": 0.01, "submission.args.top": 0.7}`."""
    manifest = experiment.manifest
    args = {key.removeprefix(f"{ARGS}."): value for key, value in values.items() if key.startswith(ARGS)}
    own = {key.removeprefix(f"{SUBMISSION}."): v for key, v in values.items() if key.startswith(SUBMISSION)}
    making = replace(manifest.submission, args={**manifest.submission.args, **own})
    return replace(experiment, manifest=replace(manifest, args={**manifest.args, **args}, submission=making))


class TrialDrive:
    """One trial's way from its plan to its CV.

    Args:
        planner: Plans the tasks of the experiment with the trial's arguments.
        bench: Where they run.
        study: Where its tasks are noted, so that none of them is cleaned away while it goes on.
        trial: The trial.
        stops: Says of the scores of its first folds whether the others need not be trained; None where every
            trial is done wholly.
    """

    def __init__(
        self, planner: Planner, bench: Bench, study: Study, trial: Trial, stops: Stops | None
    ) -> None:
        self._planner, self._bench, self._study, self._stops = planner, bench, study, stops
        self._trial = trial
        self._folds = [(seed, fold) for seed in planner.seeds for fold in planner.fits if fold is not None]
        self._predicted: dict[tuple[int, int], Stored] = {}
        self._keys: list[str] = []
        self._prepared: dict[str, Stored] = {}

    def run(self) -> Generator[Event, None, Trial]:
        """Do the trial.

        Returns:
            The trial, done or pruned. Its scores are those of its first folds, whichever was ready first.

        Raises:
            KagkitError: A task failed, or the scoring did.
        """
        yield from self._work(self._noted(self._planner.prepares()))
        trains = [p for p in self._planner.trains(self._prepared) if p.spec.fold is not None]
        for event in self._work(self._noted(trains)):
            yield event
            if isinstance(event, TaskDone) and self._score_on():
                if self._bench.busy:
                    self._bench.drop()
                break
        return replace(self._trial, tasks=tuple(self._keys))

    def _noted(self, level: list[Planned]) -> list[Planned]:
        new = [planned.spec.key for planned in level if planned.spec.key not in self._keys]
        if new:
            self._keys += new
            self._study.note(self._trial.number, tasks=self._keys)
        return level

    def _work(self, level: list[Planned]) -> Iterator[Event]:
        """Do some tasks and the predictions that follow from them."""
        queue = list(level)
        while queue or self._bench.busy:
            while queue:
                planned = queue[0]
                if planned.stored is not None:
                    queue = queue[1:] + self._take(planned, planned.stored)
                    yield TaskDone(planned.spec.label, 0.0, reused=True)
                elif self._bench.start(planned, again=False):
                    queue = queue[1:]
                    yield TaskStarted(planned.spec.label, planned.reason, planned.seconds)
                else:
                    break
            yield from self._bench.told()
            for ended in self._bench.poll():
                stored = self._stored(ended)
                queue = self._take(ended.planned, stored) + queue
                yield TaskDone(ended.planned.spec.label, ended.seconds)

    def _stored(self, ended: Ended) -> Stored:
        if ended.stored is not None and ended.error is None:
            return ended.stored
        self._bench.drop()
        label = ended.planned.spec.label
        raise ended.error or RunError(f"{label} left nothing")

    def _take(self, planned: Planned, stored: Stored) -> list[Planned]:
        """Remember a finished task; what can be done now that it is. The test rows are not predicted."""
        spec = planned.spec
        if spec.kind == "prepare":
            self._prepared[str(spec.part)] = stored
        if "valid" in spec.row_sets and spec.fold is not None:
            self._predicted[spec.seed, spec.fold] = stored
        if spec.kind != "train":
            return []
        follow = self._planner.predicts(spec, stored, self._prepared)
        return self._noted([one for one in follow if "valid" in one.spec.row_sets])

    def _score_on(self) -> bool:
        """Score what can be: the first folds, so that it does not matter which was ready first.

        Returns:
            Whether the trial is at its end.
        """
        first = 0
        while first < len(self._folds) and self._folds[first] in self._predicted:
            first += 1
        whole, known = first == len(self._folds), len(self._trial.folds)
        if not whole and (self._stops is None or first == known):
            return False
        told = self._bench.score(self._scoring(first), f"trial-{self._study.folder.name}")
        scores = tuple(told["folds"])
        for count in range(known + 1, len(self._folds)):
            if count <= first and self._stops is not None and self._stops(scores[:count]):
                self._trial = replace(self._trial, state=PRUNED, folds=scores[:count])
                return True
        self._trial = replace(self._trial, folds=scores)
        if whole:
            self._trial = replace(self._trial, state=DONE, cv=told["cv"])
        return whole

    def _scoring(self, first: int) -> ScoringSpec:
        manifest, material = self._planner.experiment.manifest, self._planner.material
        parts = [(*fold, self._predicted[fold].folder.name) for fold in self._folds[:first]]
        return ScoringSpec(
            rows=material.key,
            fold_set=manifest.folds.set,
            make=manifest.making.make,
            args=manifest.making.args,
            combine=manifest.combine,
            folds=tuple(parts),
            known=self._trial.folds,
            whole=first == len(self._folds),
            stage=manifest.stage,
        )
