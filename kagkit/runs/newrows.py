"""Read new rows, predict them with one set of weights, join the predictions: each in a process of its own."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kagkit.data import combining, contents
from kagkit.data.predictions import Predictions
from kagkit.data.rows import DataPaths, Part, RowRules, load
from kagkit.foundation.component import import_function
from kagkit.foundation.files import read_json, write_json
from kagkit.metrics.scoring import Scorer, read_submission
from kagkit.runs.failing import guard
from kagkit.runs.handing import Handing
from kagkit.runs.inputs import TEST
from kagkit.runs.interface import fit_rows, interface_from
from kagkit.runs.opening import open_recipe
from kagkit.runs.probes import probes_of
from kagkit.runs.record import Run, read_run
from kagkit.runs.spec import TaskSpec, read_spec
from kagkit.runs.usable import RunFiles, making_of, read_files
from kagkit.runs.variants import write_submission
from kagkit.runs.worker import STEPS
from kagkit.workspace.commands import read_stated
from kagkit.workspace.layout import Workspace

if TYPE_CHECKING:
    import pandas as pd

TOLD, FED, PREDICTED, LINES = "told.json", "fed.json", f"{TEST}.arrow", "submission.csv"


@dataclass(frozen=True)
class Asked:
    """What is asked of a run: one file for all jobs, gone when they are done.

    Attributes:
        run: The run's folder, relative to the workspace.
        test: The table of new rows; an absolute path, as the following.
        files: The files and folders beside it, in the order competition.yaml names them.
        sample: The sample submission of the new rows; None where there is none.
        members: The folders of the predictions to join, in the order they are joined in.
        variant: Which of the run's submissions to make of them; the first where empty.
    """

    run: str
    test: str
    files: tuple[str, ...]
    sample: str | None
    members: tuple[str, ...]
    variant: str = ""


def write_asked(path: Path, asked: Asked) -> None:
    """Write what is asked, for the jobs."""
    write_json(path, asdict(asked))


def take_rows(spec_path: str) -> int:
    """Read the new rows and bring them to what the run knows; the entry that engines start.

    Args:
        spec_path: Names the job's folder, relative to the workspace; `asked.json` stands above it.

    Returns:
        0 when `rows.arrow` and `told.json` are there; 1 when not: `error.json` says why.
    """
    job = _Job(spec_path)
    return guard(job.take_rows, job.root, job.folder, "reading the new rows")


def do_step(spec_path: str) -> int:
    """Prepare the new rows, or predict them with one set of weights; the entry that engines start.

    Args:
        spec_path: A task's spec, relative to the workspace.

    Returns:
        0 when it is done; 1 when it failed: `error.json` says why.
    """
    job = _Job(spec_path)
    spec = read_spec(job.root / spec_path)
    return guard(lambda: job.do(spec), job.root, job.folder, spec.label)


def join(spec_path: str) -> int:
    """Combine the predictions; the entry that engines start.

    Args:
        spec_path: Names the job's folder, relative to the workspace.

    Returns:
        0 when `test.arrow` is there, told in `fed.json` with its probes; 1 when not: `error.json` says why.
    """
    job = _Job(spec_path)
    return guard(job.join, job.root, job.folder, "joining the predictions")


def write_lines(spec_path: str) -> int:
    """Write the combined predictions as a submission; the entry that engines start.

    Args:
        spec_path: Names the job's folder, relative to the workspace.

    Returns:
        0 when `submission.csv` is there; 1 when not: `error.json` says why.
    """
    job = _Job(spec_path)
    return guard(job.write_lines, job.root, job.folder, "writing the submission")


class _Job:
    """One job's view of what is asked."""

    def __init__(self, spec_path: str) -> None:
        self.root = Path.cwd()
        self.folder = (self.root / spec_path).parent
        self.above = self.folder.parent

    @cached_property
    def asked(self) -> Asked:
        data = read_json(self.above / "asked.json")
        return Asked(**{**data, "files": tuple(data["files"]), "members": tuple(data["members"])})

    @property
    def part(self) -> Part:
        """What the new rows are taken for: test rows of the run's stage."""
        return Part(f"stage{self.run.data['stage']}", "test")

    @cached_property
    def run(self) -> Run:
        return read_run(self.root / self.asked.run)

    @cached_property
    def files(self) -> RunFiles:
        return read_files(self.run)

    def take_rows(self) -> None:
        told, interface = self.files.competition.rows, interface_from(self.files.interface)
        rules = RowRules(told.key, told.group, (), told.duplicates, interface.text)
        loader = import_function(self.root, told.load) if told.load else None
        loaded = load(self.part, self.paths, rules, loader)
        fitted = fit_rows(loaded.frame, interface)
        contents.save(fitted.frame, self.above / "rows.arrow")
        facts = {"rows": len(fitted.frame), "dropped": loaded.dropped}
        write_json(self.above / TOLD, facts | {"targets": list(fitted.targets), "extra": list(fitted.extra)})

    def do(self, spec: TaskSpec) -> None:
        for name in ("out", "checkpoint"):
            (self.folder / name).mkdir()
        recipe = open_recipe(read_stated(self.root, spec), spec)
        STEPS[spec.kind](recipe, spec, _Handing(self, spec))

    def join(self) -> None:
        manifest = self.files.manifest
        how: Any = (
            import_function(self.root, manifest.combine) if ":" in manifest.combine else manifest.combine
        )
        paths = [self.root / name / "out" / f"{TEST}.arrow" for name in self.asked.members]
        members = [Predictions.open(path) for path in paths]
        files = {TEST: combining.combine(self.above / PREDICTED, members, how)}
        for name, probes in probes_of(paths).items():
            path = self.above / f"{TEST}.{name}.arrow"
            files[path.stem] = combining.combine(path, [Predictions.open(probe) for probe in probes], "mean")
        place = self.above.relative_to(self.root)
        told = {
            name: {
                "path": (place / f"{name}.arrow").as_posix(),
                "sha256": written.sha256,
                "content_sha256": written.content_sha256,
            }
            for name, written in files.items()
        }
        write_json(self.above / FED, told)

    def write_lines(self) -> None:
        competition, manifest = self.files.competition, self.files.manifest
        key = competition.submission_key
        sample = read_submission(Path(self.asked.sample), key) if self.asked.sample else None
        interface = interface_from(self.files.interface)
        scorer = Scorer(
            self.root,
            competition,
            making_of(self.run, manifest, self.asked.variant),
            sample,
            interface.targets,
            told=interface.answers,
        )
        predictions = Predictions.open(self.above / PREDICTED)
        write_submission(self.above / LINES, scorer, predictions, self.rows)

    @property
    def rows(self) -> pd.DataFrame:
        return contents.read(self.above / "rows.arrow")

    @property
    def paths(self) -> DataPaths:
        return DataPaths(None, Path(self.asked.test), tuple(map(Path, self.asked.files)))


class _Handing(Handing):
    """What a task on new rows may see: those rows and files, and what the run kept; no training data."""

    def __init__(self, job: _Job, spec: TaskSpec) -> None:
        self.workspace = Workspace(job.root)
        self.competition = job.files.competition
        self.spec = spec
        self.work = job.folder
        self.targets = ()  # they were left out when the rows were read
        self._job = job

    def _main_data(self, training: bool) -> DataPaths:
        return self._job.paths

    def _folder(self, name: str) -> Path:
        return self.workspace.root / name

    def _read(self, split: str) -> pd.DataFrame:
        return self._job.rows
