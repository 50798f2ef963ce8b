"""Draw a run as it goes: bars with the time left on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any, Self

import click

from kagkit.cli.drawing import duration, number, on_terminal
from kagkit.foundation.errors import KagkitError, counted
from kagkit.runs.events import (
    Event,
    GraphTraced,
    Noted,
    NothingToDo,
    PlanMade,
    RunEnd,
    RunMade,
    SameBytes,
    TaskDone,
    TaskFailed,
    TaskProgressed,
    TaskStarted,
    TaskWaiting,
)


class RunDrawing:
    """Draws one run's events on standard error, and keeps its end.

    Args:
        silent: Draw nothing.
        explain: Name every task to do with its reason.
    """

    def __init__(self, *, silent: bool, explain: bool) -> None:
        self.end: RunEnd | None = None
        self.plan: dict[str, Any] | None = None
        self._silent = silent
        self._explain = explain
        self._stack = ExitStack()
        self._bars: _Bars | None = None
        self._expected = self._finished = 0
        self._began = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *trouble: Any) -> None:
        self._stack.close()

    def draw(self, event: Event) -> None:
        """Draw one event."""
        if isinstance(event, PlanMade):
            self._take_plan(event)
        elif isinstance(event, RunEnd):
            self._stack.close()
            self.end = event
            self._say("\n".join([ending_of(event), *_optimism(event.run.data)]))
            if isinstance(event, RunMade):
                for line in _submissions(event.run.data):
                    self._say(line)
        elif isinstance(event, GraphTraced):
            self._take_graph(event)
        elif isinstance(event, Noted):
            self._say(event.text)
        elif isinstance(event, TaskWaiting):
            self._say(f"{event.label}: {event.holder} is doing it; waiting for the result")
        else:
            self._take_task(event)

    def _take_graph(self, graph: GraphTraced) -> None:
        for node in graph.nodes if self._explain else ():
            fed = ", ".join(f"{name} = {reference}" for name, reference in node.inputs.items())
            known = f"{node.run} is there" if node.run else "no run yet"
            self._say(f"{node.experiment}: {known}" + (f"; fed by {fed}" if fed else ""))

    def _take_plan(self, plan: PlanMade) -> None:
        todo = [
            {"task": p.spec.label, "reason": p.reason or "restart", "seconds": p.seconds} for p in plan.todo
        ]
        self.plan = {
            "experiment": plan.experiment,
            "todo": todo,
            "done": plan.done,
            "expected": plan.expected,
        }
        self._expected, self._began = plan.expected, time.monotonic()
        if not plan.expected:
            if self._explain:
                self._say(f"{plan.experiment}: nothing to do, {counted(plan.done, 'task')} done")
            return
        known = [p.seconds for p in plan.todo if p.seconds is not None]
        estimate = f", about {duration(sum(known))} of work the last time" if known else ""
        self._say(f"{plan.experiment}: {counted(plan.expected, 'task')} to do, {plan.done} done{estimate}")
        if self._explain:
            for planned in plan.todo:
                self._say(f"  {planned.spec.label}: {planned.reason or 'restart'}")
        else:
            for reason, labels in _by_reason(plan).items():
                many = f" and {len(labels) - 1} more" if len(labels) > 1 else ""
                self._say(f"  {labels[0]}{many}: {reason}")

    def _take_task(self, event: TaskStarted | TaskProgressed | TaskDone | TaskFailed) -> None:
        if isinstance(event, TaskDone) and not event.reused:
            self._finished += 1
            self._say(f"{event.label} done in {duration(event.seconds)}{self._time_left()}")
        elif isinstance(event, TaskFailed):
            self._finished += 1
            self._say(f"{event.label} failed{_reason(event.error)}; the others go on")
        elif isinstance(event, TaskStarted) and self._bars is None and not self._silent and on_terminal():
            # Not before: bars redraw standard error, and a question may come between the plan and the work.
            self._bars = self._stack.enter_context(_Bars(self._expected))
        if self._bars is not None:
            self._bars.take(event)

    def _time_left(self) -> str:
        left = self._expected - self._finished
        if left <= 0:
            return ""
        seconds = (time.monotonic() - self._began) / self._finished * left
        return f"; {self._finished} of {self._expected}, about {duration(seconds)} left"

    def _say(self, text: str) -> None:
        if self._silent:
            return
        if self._bars is not None:
            self._bars.say(text)
        else:
            click.echo(text, err=True)


class _Bars:
    """Bars of the running tasks on a terminal."""

    def __init__(self, expected: int) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
        self._progress = Progress(*columns, TextColumn("left"), console=Console(stderr=True), transient=True)
        self._all = self._progress.add_task("tasks", total=expected)
        self._running: dict[str, Any] = {}

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *trouble: Any) -> None:
        self._progress.stop()

    def say(self, text: str) -> None:
        """Print a line above the bars."""
        self._progress.console.print(text, markup=False, highlight=False)

    def take(self, event: TaskStarted | TaskProgressed | TaskDone | TaskFailed) -> None:
        """Move the bars."""
        if isinstance(event, TaskStarted):
            self._running[event.label] = self._progress.add_task(f"  {event.label}", total=None)
        elif isinstance(event, TaskProgressed) and event.label in self._running:
            self._progress.update(self._running[event.label], completed=event.done, total=event.total)
        elif event.label in self._running:
            self._progress.remove_task(self._running.pop(event.label))
            self._progress.advance(self._all)


def _by_reason(plan: PlanMade) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for planned in plan.todo:
        found.setdefault(planned.reason or "restart", []).append(planned.spec.label)
    return found


def _reason(error: KagkitError) -> str:
    """The first thing that is wrong; the whole of it comes when all tasks have ended."""
    return f": {error.problems[0].where}: {error.problems[0].found}" if error.problems else ""


def ending_of(event: RunEnd) -> str:
    """How a run ended, in a line."""
    run = event.run
    if isinstance(event, NothingToDo):
        return f"nothing to do: {run.name}{_cv(run.data)}"
    if isinstance(event, SameBytes):
        count = event.counts["done"]
        return f"same bytes: {run.name} was done again, {counted(count, 'task')} in {duration(event.seconds)}"
    smoke = ".smoke" in run.folder.parts
    partial = "" if run.complete else f"; {'a smoke' if smoke else 'a partial'} run: never ranked or packaged"
    exact = "" if run.data["deterministic"] else ", not deterministic: other bytes than before"
    name = f"smoke {run.name}" if smoke else run.name
    return f"{name}{_cv(run.data)} in {duration(event.seconds)}{partial}{exact}"


def _optimism(data: dict[str, Any]) -> Iterator[str]:
    """How much a recipe's own weights flatter; what was found for a submission is told beside it."""
    fitted = any(told["fit"] for told in data.get("submissions", ())[:1])
    if data.get("optimism") is not None and not fitted:
        yield f"  optimism {data['optimism']:+.5f} on the rows of its own weights"


def _submissions(data: dict[str, Any]) -> Iterator[str]:
    """A line for each submission of which there is more to say than the CV: its name, what was found."""
    for told in data.get("submissions", ()):
        fit, name = told["fit"], told["name"] or "submission"
        score = "no CV" if told["cv"] is None else f"CV {number(told['cv'])}"
        if fit is not None:
            args = ", ".join(f"{key} {_value(value)}" for key, value in told["args"].items())
            score += (
                f" held out, {number(fit['in_sample'])} in sample: optimism {fit['optimism']:+.5f}; {args}"
            )
        if told["name"] or fit is not None:
            yield f"  {name}: {score}"


def _value(value: Any) -> str:
    """An argument as it is read: floats in a few digits."""
    if isinstance(value, float):
        return f"{value:.4g}"
    return str([float(f"{one:.4g}") for one in value]) if isinstance(value, list) else str(value)


def _cv(data: dict[str, Any]) -> str:
    if data["cv"] is None:
        return ", no CV: fitted on all rows"
    spread = f" ± {number(data['cv_std'])} between folds" if data["cv_std"] is not None else ""
    covered = f", on {data['coverage']:.0%} of the rows" if data["coverage"] < 1 else ""
    return f", CV {number(data['cv'])}{spread}{covered}{_kept(data)}"


def _kept(data: dict[str, Any]) -> str:
    """The score on the rows that were not left out, beside that of the run that says which these are."""
    if data.get("cv_kept") is None:
        return ""
    others = {
        told["run"]: told["cv_kept"] for told in data["rows"]["excluded"] if told.get("cv_kept") is not None
    }
    beside = "".join(f", {run} {number(score)}" for run, score in others.items())
    return f"; without the rows left out {number(data['cv_kept'])}{beside}"
