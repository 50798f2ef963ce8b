"""Go one command's way through one plan: start what is missing, reuse what is done, then assemble."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from kagkit.foundation.errors import KagkitError, Problem, RunError, counted
from kagkit.runs.assembling import AssemblySpec, Part
from kagkit.runs.bench import Bench, Ended
from kagkit.runs.choices import Planned, RunOptions
from kagkit.runs.events import (
    Event,
    Noted,
    NothingToDo,
    PlanMade,
    RunMade,
    SameBytes,
    TaskDone,
    TaskFailed,
    TaskStarted,
)
from kagkit.runs.failing import join_failures
from kagkit.runs.pinning import Pins
from kagkit.runs.planner import Planner
from kagkit.runs.record import Run, answers_plan, latest_run, run_of_plan
from kagkit.runs.store import Stored
from kagkit.runs.views import refresh_lock

ASK_SECONDS = 600


class TimeOverError(RunError):
    """A run was stopped, because its time is over: the same run goes on where it was."""


@dataclass(frozen=True)
class Start:
    """When the command began, and what the files were then."""

    time: float
    origins: dict[str, str]


@dataclass
class _Outcome:
    """What became of the tasks so far."""

    done: dict[str, tuple[Planned, Stored]] = field(default_factory=dict)
    fresh: set[str] = field(default_factory=set)
    failed: dict[str, KagkitError] = field(default_factory=dict)
    differs: list[str] = field(default_factory=list)


class Drive:
    """One command's way through one plan."""

    def __init__(self, planner: Planner, pins: Pins, bench: Bench, options: RunOptions, start: Start) -> None:
        self._planner = planner
        self._pins = pins
        self._bench = bench
        self._options = options
        self._outcome = _Outcome()
        self._began = start.time
        self._origins = start.origins

    def run(self) -> Iterator[Event]:
        """Do the tasks, level by level, then assemble."""
        prepares = self._planner.prepares()
        blocked = any(self._is_todo(planned) for planned in prepares)
        trains = [] if blocked else self._trains_after(prepares)
        plan = self._plan_event([*prepares, *trains])
        yield plan
        if self._options.dry_run:
            return
        self._ask(plan)
        if blocked:
            yield from self._work(prepares)
            trains = self._planner.trains(self._prepared())
        yield from self._work(trains)
        yield from self._assemble()

    def _trains_after(self, prepares: list[Planned]) -> list[Planned]:
        for planned in prepares:
            self._note_done(planned)
        return self._planner.trains(self._prepared())

    def _plan_event(self, known: list[Planned]) -> PlanMade:
        """What is to do, with what is known to follow from finished work."""
        follow = []
        for planned in known:
            if planned.spec.kind == "train" and planned.stored is not None and not self._is_todo(planned):
                follow += self._planner.predicts(planned.spec, planned.stored, self._prepared())
        every = [*known, *follow]
        todo = tuple(planned for planned in every if self._is_todo(planned))
        following = sum(
            self._planner.followers(planned.spec) for planned in todo if planned.spec.kind == "train"
        )
        if any(planned.spec.kind == "prepare" for planned in todo):
            following = self._planner.size - len(todo)
        expected = len(todo) + following
        return PlanMade(
            self._planner.experiment.name, todo, len(every) - len(todo), expected, self._options.restart
        )

    def _is_todo(self, planned: Planned) -> bool:
        return planned.stored is None or self._options.restart

    def _ask(self, plan: PlanMade) -> None:
        again = [
            p.seconds or 0.0 for p in plan.todo if p.reason.startswith("changed") or self._options.restart
        ]
        seconds = sum(again) / self._bench.width
        if seconds > ASK_SECONDS and self._options.confirm is not None and not self._options.confirm(seconds):
            raise RunError("nothing was done: you said no")

    def _prepared(self) -> dict[str, Stored]:
        done = self._outcome.done.values()
        return {str(p.spec.part): stored for p, stored in done if p.spec.kind == "prepare"}

    def _work(self, level: list[Planned]) -> Iterator[Event]:
        """Do a level and what follows from each of its tasks; a failure leaves the others' work whole."""
        queue = list(level)
        while queue or self._bench.busy:
            self._stop_in_time(queue)
            while queue:
                planned = queue[0]
                if not self._is_todo(planned):
                    queue.pop(0)
                    yield TaskDone(planned.spec.label, 0.0, reused=True)
                    queue += self._note_done(planned)
                elif self._bench.start(planned, again=planned.stored is not None):
                    queue.pop(0)
                    yield TaskStarted(planned.spec.label, planned.reason or "restart", planned.seconds)
                else:
                    break
            yield from self._bench.told()
            for ended in self._bench.poll():
                event, following = self._take(ended)
                queue = following + queue
                yield event
        if self._outcome.failed:
            raise self._failure()

    def _stop_in_time(self, queue: list[Planned]) -> None:
        over = self._options.over
        lacking = self._bench.busy or any(map(self._is_todo, queue))
        if over is not None and lacking and over():
            name, kept = self._planner.experiment.name, counted(len(self._outcome.done), "finished task")
            hint = f"kagkit run {name} goes on"
            raise TimeOverError("the time is over", [Problem(name, f"stopped; kept: {kept}", hint=hint)])

    def _take(self, ended: Ended) -> tuple[Event, list[Planned]]:
        planned, label = ended.planned, ended.planned.spec.label
        if ended.error is not None or ended.stored is None:
            error = ended.error or RunError(f"{label} left nothing")
            self._outcome.failed[label] = error
            return TaskFailed(label, error), []
        if planned.stored is not None and ended.stored.folder != planned.stored.folder:
            self._outcome.differs.append(label)
        if planned.stored is None:
            self._outcome.fresh.add(planned.spec.identity)
        return TaskDone(label, ended.seconds), self._note_done(planned, ended.stored)

    def _note_done(self, planned: Planned, stored: Stored | None = None) -> list[Planned]:
        """Remember a finished task; what can be done now that it is."""
        stored = stored or planned.stored
        assert stored is not None  # noqa: S101 (a task is noted when it is stored)
        self._outcome.done[planned.spec.identity] = planned, stored
        if planned.spec.kind != "train":
            return []
        return self._planner.predicts(planned.spec, stored, self._prepared())

    def _failure(self) -> KagkitError:
        error = join_failures(self._outcome.failed)
        kept = counted(len(self._outcome.done), "finished task")
        return type(error)(f"{error.summary}; kept: {kept}", error.problems)

    def _assemble(self) -> Iterator[Event]:
        workspace, name = self._planner.workspace, self._planner.experiment.name
        done = [stored for _, stored in self._outcome.done.values()]
        yield from self._undeclared_reads(done)
        plan_key = self._planner.plan_key(done)
        previous = latest_run(workspace, name, complete=self._planner.complete)
        if previous is not None and answers_plan(previous, plan_key):
            refresh_lock(workspace, previous)
            yield self._nothing_new(previous)
            return
        self._bench.assemble(self._assembly(plan_key))
        run = run_of_plan(workspace, name, plan_key)  # the latest may be another command's by now
        if run is None:
            raise RunError(f"the run of {name} was not written")
        refresh_lock(workspace, run)
        yield RunMade(run, self._counts(), time.monotonic() - self._began)

    def _undeclared_reads(self, done: list[Stored]) -> Iterator[Event]:
        files = sorted({file for stored in done for file in stored.record.undeclared})
        if files:
            line = f"code: [{', '.join(files)}]"
            yield Noted(
                f"{', '.join(files)}: read and not declared, so these tasks are done again every time; "
                f"add `{line}` to {self._planner.experiment.path.name}"
            )

    def _nothing_new(self, previous: Run) -> Event:
        if self._options.restart:
            return SameBytes(previous, self._counts(), time.monotonic() - self._began)
        return NothingToDo(previous, self._counts(), time.monotonic() - self._began)

    def _counts(self) -> dict[str, int]:
        fresh, done = len(self._outcome.fresh), len(self._outcome.done)
        again = done if self._options.restart else fresh
        return {"planned": done, "done": again, "reused": done - again, "failed": 0}

    def _assembly(self, plan_key: str) -> AssemblySpec:
        planner = self._planner
        parts = [self._part(planned, stored) for planned, stored in self._outcome.done.values()]
        return AssemblySpec(
            experiment=planner.experiment.name,
            plan_key=plan_key,
            complete=planner.complete,
            parts=tuple(sorted(parts, key=lambda part: part.identity)),
            rows=planner.material.key,
            fold_set=planner.experiment.manifest.folds.set,
            origins=self._origins,
            versions=self._pins.versions,
            accepted=planner.accepted,
            differs=tuple(sorted(self._outcome.differs)),
            keeps=planner.experiment.keeps,
            parents=planner.parents,
            stage=planner.experiment.manifest.stage,
            selection=planner.selection.name if planner.selection else "",
            smoke=planner.workspace.smoke,
        )

    def _part(self, planned: Planned, stored: Stored) -> Part:
        spec = planned.spec
        return Part(
            identity=spec.identity,
            label=spec.label,
            kind=spec.kind,
            seed=spec.seed,
            fold=spec.fold,
            row_sets=spec.row_sets,
            folder=stored.folder.name,
            seconds=stored.seconds,
            reused=spec.identity not in self._outcome.fresh,
            reason=planned.reason,
        )
