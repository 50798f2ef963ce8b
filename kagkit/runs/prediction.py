"""Predict new rows with a finished run: its weights, its manifest, the rows of any folder like the test's."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from kagkit.engine.forkserver import start_engine
from kagkit.engine.jobs import Engine, Job
from kagkit.engine.slots import GpuSlots, Taken, visible_gpus
from kagkit.foundation.environment import numeric_environment
from kagkit.foundation.errors import DataError, KagkitError, Problem, did_you_mean
from kagkit.foundation.files import digest_of, held, read_json
from kagkit.runs.bench import POLL_SECONDS, ending_of, find_width, libraries_of
from kagkit.runs.events import Noted
from kagkit.runs.failing import join_failures, reason_of, scrub_log
from kagkit.runs.newrows import FED, LINES, TOLD, Asked, write_asked
from kagkit.runs.presence import at_work
from kagkit.runs.spec import TaskSpec, write_spec
from kagkit.runs.store import lock_of
from kagkit.runs.usable import Member, Usable

JOBS = "kagkit.runs.newrows"


@dataclass(frozen=True)
class NewData:
    """The files of new rows, found in a folder that looks like the test's.

    Attributes:
        folder: The folder.
        test: The table of the rows.
        files: Files and folders, in the order competition.yaml names them.
        sample: The sample submission; None where the folder has none.
    """

    folder: Path
    test: Path
    files: tuple[Path, ...]
    sample: Path | None


@dataclass(frozen=True)
class Predicted:
    """New rows, predicted.

    Attributes:
        submission: The submission, in a folder that is gone when the next step is asked for.
        rows: How many rows there were.
        dropped: Exact copies of rows that were dropped, where competition.yaml says so.
        targets: Targets among the columns, left out.
        extra: Other columns that the run did not know, left out.
        seconds: How long it took.
    """

    submission: Path
    rows: int
    dropped: int
    targets: tuple[str, ...]
    extra: tuple[str, ...]
    seconds: float


def find_data(usable: Usable, folder: Path) -> NewData:
    """Find the files of new rows: under the paths competition.yaml has for the test, or by their last names.

    Raises:
        DataError: Every file that is missing.
    """
    stage = usable.competition.stages[str(usable.run.data["stage"])]
    problems: list[Problem] = []

    def found(declared: str) -> Path:
        path = _place(folder, declared)
        if path is None:
            hint = did_you_mean(PurePosixPath(declared).name, [child.name for child in folder.iterdir()])
            problems.append(Problem(folder.name or ".", f"no {declared}, nor its last part", hint=hint))
        return path or folder

    if not folder.is_dir():
        problem = Problem(
            "--data", f"{folder.name}: no such folder", hint="the folder with the new test files"
        )
        raise DataError("no new rows", [problem])
    data = NewData(
        folder,
        found(stage.test),
        tuple(found(path) for path in stage.files),
        _place(folder, stage.sample_submission) if stage.sample_submission else None,
    )
    if problems:
        raise DataError("the files of the new rows are not all there", problems)
    return data


def _place(folder: Path, declared: str) -> Path | None:
    places = (folder / declared, folder / PurePosixPath(declared).name)
    return next((place.resolve() for place in places if place.exists()), None)


def predict_new(usable: Usable, data: NewData) -> Iterator[Noted | Predicted]:
    """Predict new rows, by the runs that feed a run first, and then by the run itself.

    Args:
        usable: The run.
        data: The files of the rows.

    Yields:
        What happens, as it happens; `Predicted` comes last, and its file lasts until the next step.

    Raises:
        DataError: The rows are not what the run learned to predict.
        RunError: A job failed.
        SubmissionError: The rows are not those of the sample submission beside them.
    """
    began = time.monotonic()
    place = digest_of([usable.run.data["plan_key"], usable.variant, str(data.test)])
    work = usable.workspace.work / f"predict-{place[:32]}"
    lineage = usable.lineage()
    files = {name: find_data(each, data.folder) for name, each in lineage.items()}
    with at_work(usable.workspace), held(lock_of(work)):
        shutil.rmtree(work, ignore_errors=True)  # what is left of one that failed or was killed
        failed = False
        try:
            for name, each in lineage.items():
                with _bench(each) as bench:
                    yield from _Drive(each, files[name], work, bench).run(last=each is usable)
            told = read_json(_place_of(work, usable) / TOLD)
            facts = {name: tuple(told[name]) for name in ("targets", "extra")}
            yield Predicted(
                _place_of(work, usable) / LINES,
                told["rows"],
                told["dropped"],
                **facts,
                seconds=time.monotonic() - began,
            )
        except KagkitError:
            failed = True
            raise
        finally:
            _clear(work, logs_stay=failed)


def _clear(work: Path, *, logs_stay: bool) -> None:
    """Remove what the jobs left; all but the logs where one failed: the rest names this machine's folders."""
    if not logs_stay:
        shutil.rmtree(work, ignore_errors=True)
    for file in (*work.rglob("asked.json"), *work.rglob("spec.json")):
        file.unlink()


@dataclass(frozen=True)
class _Bench:
    """Where the jobs run."""

    engine: Engine
    width: int
    gpus: str


@contextmanager
def _bench(usable: Usable) -> Iterator[_Bench]:
    experiment, member = usable.experiment, usable.members[0]
    resources = experiment.manifest.resources
    gpus = _take_gpus(resources.gpus)
    environment = numeric_environment(member.threads, member.determinism)
    libraries = libraries_of(usable.workspace.root, usable.competition, experiment)
    try:
        with start_engine(environment, usable.workspace.root, libraries) as engine:
            # GPUs are taken once, so that one set of weights after the other is on them.
            yield _Bench(engine, 1 if gpus else find_width(resources), ",".join(gpus.ids) if gpus else "")
    finally:
        if gpus is not None:
            gpus.release()


def _take_gpus(wanted: int) -> Taken | None:
    """As many GPUs as there are of those wanted: a smaller machine may still predict."""
    ids = visible_gpus() if wanted else ()
    if not ids:
        return None
    slots = GpuSlots(ids)
    while (taken := slots.try_take(min(wanted, len(ids)))) is None:
        time.sleep(POLL_SECONDS)
    return taken


def _place_of(work: Path, usable: Usable) -> Path:
    """Where one run of the lineage predicts."""
    return work / usable.run.name.replace("/", "-")


class _Drive:
    """One run's way from rows to predictions and a submission."""

    def __init__(self, usable: Usable, data: NewData, work: Path, bench: _Bench) -> None:
        self._usable = usable
        self._data = data
        self._all = work
        self._work = _place_of(work, usable)
        self._bench = bench
        self._root = usable.workspace.root

    def run(self, *, last: bool) -> Iterator[Noted]:
        members = self._usable.members
        predicts = [self._spec("predict", member) for member in members]
        prepares = [self._spec("prepare", members[0])] if self._prepares else []
        self._write([*prepares, *predicts])
        yield from self._do([("rows", f"{JOBS}:take_rows")])
        told = read_json(self._work / TOLD)
        yield Noted(f"{told['rows']:,} rows for {len(members)} sets of weights of {self._usable.run.name}")
        yield from self._do([(spec.label, f"{JOBS}:do_step") for spec in prepares])
        yield from self._do([(spec.label, f"{JOBS}:do_step") for spec in predicts])
        yield from self._do([("join", f"{JOBS}:join")])
        # Another run takes predictions by key; only the last one answers the host.
        yield from self._do([("lines", f"{JOBS}:write_lines")] if last else [])

    @property
    def _fed(self) -> dict[str, dict[str, dict[str, str]]]:
        """What the runs that feed it predicted, as a task's spec tells it."""
        inputs = self._usable.inputs.items()
        return {name: read_json(_place_of(self._all, each) / FED) for name, each in inputs}

    @property
    def _prepares(self) -> bool:
        return "prepare" in self._usable.experiment.recipe.functions

    def _write(self, specs: Sequence[TaskSpec]) -> None:
        data = self._data
        asked = Asked(
            self._usable.run.folder.relative_to(self._root).as_posix(),
            str(data.test),
            tuple(map(str, data.files)),
            str(data.sample) if data.sample else None,
            tuple(self._told(self._folder(spec.label)) for spec in specs if spec.kind == "predict"),
            self._usable.variant,
        )
        write_asked(self._work / "asked.json", asked)
        for spec in specs:
            write_spec(self._folder(spec.label) / "spec.json", spec)

    def _spec(self, kind: Any, member: Member) -> TaskSpec:
        experiment = self._usable.experiment
        manifest, recipe = experiment.manifest, experiment.recipe
        predicts = kind == "predict"
        fold = "all rows" if member.fold is None else f"fold {member.fold}"
        part = f"stage{self._usable.run.data['stage']}/test"
        prepared = {part: self._told(self._folder(_PREPARE) / "out")} if predicts and self._prepares else {}
        return TaskSpec(
            key="",
            kind=kind,
            label=f"predict seed {member.seed} {fold}" if predicts else _PREPARE,
            ingredients={},
            recipe=recipe.name,
            args={name: recipe.arguments(name, manifest.args) for name in ("prepare", "load", "predict")},
            seed=member.seed if predicts else 0,
            fold=member.fold if predicts else None,
            functions=(),
            source="",
            rows="",
            fold_set=manifest.folds.set,
            part=None if predicts else part,
            row_sets=("test",) if predicts else (),
            weights=member.weights if predicts else None,
            prepared=prepared,
            sources=tuple(source for source in manifest.data if source != "main"),
            inputs=self._fed if predicts else {},
            assets={name: asset.path for name, asset in manifest.assets.items()},
            threads=member.threads,
            determinism=member.determinism,
            dtype=member.dtype,
            command=manifest.command,
            workdir=manifest.workdir,
            outputs=manifest.outputs,
            stage=self._usable.run.data["stage"],
        )

    def _folder(self, label: str) -> Path:
        return self._work / label.replace(" ", "-").replace("/", "-")

    def _told(self, path: Path) -> str:
        return path.relative_to(self._root).as_posix()

    def _do(self, jobs: list[tuple[str, str]]) -> Iterator[Noted]:
        """Do some jobs beside each other; all of them are ended before a failure is told."""
        bench, waiting, failed, done = self._bench, list(jobs), dict[str, KagkitError](), 0
        while waiting or bench.engine.running:
            while waiting and len(bench.engine.running) < bench.width:
                self._start(*waiting.pop(0))
            for finished in bench.engine.poll(POLL_SECONDS):
                folder, done = self._folder(finished.name), done + 1
                if finished.code != 0:
                    scrub_log(folder / "log.txt", self._root)
                    failed[finished.name] = reason_of(folder, finished.name, ending_of(finished))
                elif len(jobs) > 1:
                    yield Noted(f"{finished.name} done; {done} of {len(jobs)}")
        if failed:
            raise join_failures(failed)

    def _start(self, name: str, entry: str) -> None:
        folder = self._folder(name)
        folder.mkdir(parents=True, exist_ok=True)
        argument = self._told(folder / "spec.json")
        env = {"CUDA_VISIBLE_DEVICES": self._bench.gpus}
        self._bench.engine.start(Job(name, entry, argument, folder / "log.txt", env))


_PREPARE = "prepare"
