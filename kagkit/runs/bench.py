"""Give tasks a place to run: processors, memory, GPUs, and the process that does each of them."""

from __future__ import annotations

import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Self

from kagkit.engine.capacity import count_processors, total_memory
from kagkit.engine.forkserver import start_engine
from kagkit.engine.jobs import Engine, Finished, Job
from kagkit.engine.local import signal_group
from kagkit.engine.slots import GpuSlots, Taken, visible_gpus
from kagkit.foundation.component import function_files, read_imports
from kagkit.foundation.environment import numeric_environment
from kagkit.foundation.errors import KagkitError, Problem, RunError
from kagkit.foundation.files import held, read_json, write_json
from kagkit.runs.assembling import AssemblySpec, write_assembly
from kagkit.runs.choices import Planned
from kagkit.runs.events import Event, Noted, TaskProgressed, TaskWaiting
from kagkit.runs.failing import reason_of, scrub_log
from kagkit.runs.following import Follower
from kagkit.runs.selection import Selecting
from kagkit.runs.spec import write_spec
from kagkit.runs.store import Stored, find_task, lock_of
from kagkit.runs.trialscoring import ANSWER, ScoringSpec, write_scoring
from kagkit.workspace.competition import Competition
from kagkit.workspace.experiment import Experiment
from kagkit.workspace.layout import Workspace
from kagkit.workspace.manifest import Resources

POLL_SECONDS = 0.2
GLANCE_SECONDS = 0.1
# What every job uses; the recipe's own imports come on top.
ALWAYS_USED = ("pandas", "pyarrow.ipc", "kagkit.runs.worker", "kagkit.runs.assembly", "kagkit.data.dealing")


# Torch's optimizers and its switch for determinism import this on first use: a second or two in every task.
TORCH_LATE = "torch._dynamo"


@dataclass(frozen=True)
class Ended:
    """A task that ended after some seconds: with what it left, or with the reason of its failure."""

    planned: Planned
    seconds: float
    stored: Stored | None
    error: KagkitError | None


@dataclass(frozen=True)
class _Running:
    planned: Planned
    work: Path
    gpus: Taken | None
    began: float


class Bench:
    """Where one command's jobs run, each in a process of its own.

    Args:
        workspace: The workspace.
        experiment: The experiment; its resources say how many tasks run beside each other.
        gpus: Ids of the GPUs to use; those the machine shows where None.
    """

    def __init__(self, workspace: Workspace, experiment: Experiment, gpus: tuple[str, ...] | None) -> None:
        self._workspace = workspace
        self._experiment = experiment
        self._resources = experiment.manifest.resources
        self._engine_started: Engine | None = None
        self._running: dict[str, _Running] = {}
        self._early: list[Finished] = []
        self._follower = Follower()
        self._waiting: list[TaskWaiting | Noted] = []
        self._told_gpus = False
        self._gpus = self._find_gpus(gpus)
        self.width = find_width(self._resources)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """End every job; what they had finished stays, and what they had begun goes on the next time."""
        if self._engine_started is not None:
            self._engine_started.close()
        for running in self._running.values():
            scrub_log(running.work / "log.txt", self._workspace.root)
            if running.gpus is not None:
                running.gpus.release()

    @property
    def busy(self) -> bool:
        """Whether a task runs."""
        return bool(self._running)

    def take_stock(self, key: str, fold_set: str) -> None:
        """Have the rows read and the folds settled, in a job.

        Raises:
            KagkitError: Whatever the job could not do.
        """
        folder = self._workspace.work / f"rows-{key}"
        stage = self._experiment.manifest.stage
        spec = {"stage": stage, "key": key, "fold_set": fold_set, "smoke": self._workspace.smoke}
        with held(lock_of(folder)):
            write_json(folder / "spec.json", spec)
            self._do("reading the rows", "kagkit.runs.material:take_stock", folder)

    def select(self, what: Selecting, name: str) -> None:
        """Have the rules on rows applied, in a job.

        Raises:
            KagkitError: Whatever the job could not do.
        """
        folder = self._workspace.work / f"selection-{name}"
        with held(lock_of(folder)):
            write_json(folder / "spec.json", {**asdict(what), "name": name})
            self._do("choosing the rows", "kagkit.runs.selecting:select_rows", folder)

    def assemble(self, spec: AssemblySpec) -> None:
        """Have a run assembled and committed, in a job.

        Raises:
            KagkitError: Whatever the job could not do.
        """
        folder = self._workspace.work / f"run-{spec.plan_key[:32]}"
        with held(lock_of(folder)):
            write_assembly(folder / "spec.json", spec)
            self._do("assembling the run", "kagkit.runs.assembly:assemble", folder)

    def score(self, spec: ScoringSpec, name: str) -> dict[str, Any]:
        """Have folds of a trial scored, in a job beside the tasks that run.

        Args:
            spec: What to score.
            name: Of the job's folder, which no other kagkit uses.

        Raises:
            KagkitError: Whatever the job could not do.
        """
        folder = self._workspace.work / name
        with held(lock_of(folder)):
            write_scoring(folder / "spec.json", spec)
            told: dict[str, Any] = self._do(
                "scoring the trial", "kagkit.runs.trialscoring:score_trial", folder
            )
        return told

    def drop(self) -> None:
        """End every task that runs; what it has begun stays, and goes on where the task is started again."""
        self._early += self._engine.poll(0.0)
        over = {finished.name for finished in self._early}
        for label in self._running.keys() - over:
            with suppress(RunError):  # it has ended already
                signal_group(self._engine.pid(label), signal.SIGKILL)
        while self._running:
            self.poll()

    def start(self, planned: Planned, *, again: bool) -> bool:
        """Start a task if there is room for it.

        Returns:
            False where it must wait for processors, memory or a GPU.
        """
        if len(self._running) >= self.width:
            return False
        gpus = self._gpus.try_take(self._resources.gpus) if self._gpus else None
        if self._gpus and gpus is None:
            self._wait_for_gpus()
            return False
        spec = replace(planned.spec, again=again)
        work = self._workspace.work / spec.work_name
        try:
            # Whoever works there has the very same spec, and must not find a stranger's file in its folder.
            with held(lock_of(work), wait_seconds=GLANCE_SECONDS):
                write_spec(work / "spec.json", spec)
        except TimeoutError:
            self._waiting.append(TaskWaiting(spec.label, _holder(work)))
        env = {"CUDA_VISIBLE_DEVICES": ",".join(gpus.ids) if gpus else ""}
        self._start(spec.label, "kagkit.runs.worker:do_task", work, env)
        self._running[spec.label] = _Running(planned, work, gpus, time.monotonic())
        return True

    def told(self) -> Iterator[Event]:
        """What running tasks have to say since the last time."""
        yield from self._waiting
        self._waiting.clear()
        for label, running in self._running.items():
            progress = self._follower.progress(running.work / "events.jsonl")
            if progress is not None:
                yield TaskProgressed(label, *progress)

    def poll(self) -> list[Ended]:
        """The tasks that ended within the next moment."""
        if not self._running:
            return []
        ended = self._early or self._engine.poll(POLL_SECONDS)
        self._early = []
        return [self._end(finished) for finished in ended]

    @property
    def _engine(self) -> Engine:
        if self._engine_started is None:
            manifest = self._experiment.manifest
            environment = numeric_environment(manifest.resources.cpus, manifest.determinism)
            libraries = libraries_of(self._workspace.root, self._workspace.competition, self._experiment)
            self._engine_started = start_engine(environment, self._workspace.root, libraries)
        return self._engine_started

    def _start(self, name: str, entry: str, folder: Path, env: dict[str, str]) -> None:
        spec = (folder / "spec.json").relative_to(self._workspace.root).as_posix()
        self._engine.start(Job(name, entry, spec, folder / "log.txt", env))

    def _do(self, what: str, entry: str, folder: Path) -> Any:
        """Do a job to its end; what it left in its folder as an answer, or None."""
        self._start(what, entry, folder, {"CUDA_VISIBLE_DEVICES": ""})
        own: Finished | None = None
        while own is None:
            for finished in self._engine.poll(POLL_SECONDS):
                if finished.name == what:
                    own = finished
                else:
                    self._early.append(finished)  # a task, which `poll` tells of
        if own.code != 0:
            scrub_log(folder / "log.txt", self._workspace.root)
            raise reason_of(folder, what, ending_of(own))
        answer = read_json(folder / ANSWER) if (folder / ANSWER).exists() else None
        shutil.rmtree(folder, ignore_errors=True)
        return answer

    def _end(self, finished: Finished) -> Ended:
        running = self._running.pop(finished.name)
        if running.gpus is not None:
            running.gpus.release()
        planned, seconds = running.planned, time.monotonic() - running.began
        if finished.code == 0:
            return Ended(planned, seconds, find_task(self._workspace.tasks, planned.spec.key), None)
        scrub_log(running.work / "log.txt", self._workspace.root)
        return Ended(planned, seconds, None, reason_of(running.work, finished.name, ending_of(finished)))

    def _wait_for_gpus(self) -> None:
        """Where nothing of this command runs another kagkit has the GPUs: say so once, look again soon."""
        if not self._running:
            if not self._told_gpus:
                self._waiting.append(Noted("waiting for a GPU: another kagkit has them all"))
            self._told_gpus = True
            time.sleep(POLL_SECONDS)

    def _find_gpus(self, wanted: tuple[str, ...] | None) -> GpuSlots | None:
        ids = visible_gpus(wanted)
        if self._resources.gpus > len(ids):
            where, found = f"{self._experiment.name}.yaml", f"resources.gpus: {self._resources.gpus}"
            hint = "set resources: {gpus: 0} to run on the processor, or name them: --gpus 0,1"
            problem = Problem(where, found, f"at most {len(ids)}, as many as there are", hint)
            raise RunError("not enough GPUs", [problem])
        return GpuSlots(ids) if self._resources.gpus else None


def libraries_of(root: Path, competition: Competition, experiment: Experiment) -> tuple[str, ...]:
    """What the recipe, the loader and the metric import, so that no task pays for it again."""
    references = [competition.rows.load, competition.metric.score, competition.metric.solution]
    references += experiment.manifest.makes
    recipe = experiment.recipe
    # A command imports in a process of its own: what is loaded here would be of no use to it.
    own = recipe.imports.installed if recipe.reads == "watched" else ()
    installed = sorted({*own, *read_imports(root, function_files(root, references)).installed})
    late = (TORCH_LATE,) if any(name.partition(".")[0] == "torch" for name in installed) else ()
    return (*ALWAYS_USED, *installed, *late)


def find_width(resources: Resources) -> int:
    """How many tasks run beside each other: as many as processors and memory hold, at least one."""
    width = count_processors() // resources.cpus
    if resources.memory_bytes:
        width = min(width, total_memory() // resources.memory_bytes)
    return max(1, width)


def _holder(work: Path) -> str:
    """Who works in a task's folder, in words."""
    try:
        return f"process {read_json(work / 'holder.json')['pid']}"
    except (OSError, ValueError, KeyError):
        return "another process"


def ending_of(finished: Finished) -> str:
    """How a job ended that left no reason, in words."""
    if finished.signal is not None:
        return f"ended by signal {finished.signal}" + (
            ", out of memory perhaps" if finished.signal == 9 else ""
        )
    return f"ended with exit code {finished.code}"
