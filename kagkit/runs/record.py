"""Read a run directory, find it by what RUN means, and prove it whole."""

from __future__ import annotations

import re
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from kagkit.foundation.errors import ManifestError, Problem, ReproductionError, did_you_mean
from kagkit.foundation.files import canonical_json, digest_of, json_text, read_json
from kagkit.runs.store import Kept, verify_files
from kagkit.workspace.layout import Workspace

RECORD, MANIFEST = "record.json", "manifest.yaml"
SUBMISSION = "submission.csv"
FORMAT = 1
FOLDER = re.compile(r"(\d{3,})-([0-9a-f]{8})$")
# Written beside the record and not part of what must come out the same.
EVENTS = "events.jsonl"
BESIDE = (RECORD, EVENTS)


@dataclass(frozen=True)
class Submission:
    """A file that a run wrote to be submitted.

    Attributes:
        variant: The name that tells it from the run's first one; empty for the first.
        file: Its name in the run's folder.
        told: What the record says of it: `name`, `sha256`, `rows`, `cv`, `cv_std`, `args`, `fit`.
    """

    variant: str
    file: str
    told: dict[str, Any]


@dataclass(frozen=True)
class Run:
    """A committed run.

    Attributes:
        folder: Its directory.
        experiment: The experiment's name.
        number: Its number, from 1.
        data: record.json.
    """

    folder: Path
    experiment: str
    number: int
    data: dict[str, Any]

    @property
    def name(self) -> str:
        """How people call it: `exp001/3`."""
        return f"{self.experiment}/{self.number}"

    @property
    def complete(self) -> bool:
        """Whether all seeds and folds of the manifest are in it."""
        return bool(self.data["complete"])

    @property
    def imported(self) -> bool:
        """Whether it was made elsewhere: it is compared, blended and packaged, and never run here."""
        return "imported" in self.data

    @property
    def author(self) -> str:
        """Who made it, where it was imported and that was said."""
        return str(self.data["imported"]["author"]) if self.imported else ""

    @property
    def files(self) -> tuple[Kept, ...]:
        """The files the record vouches for."""
        return tuple(Kept(**kept) for kept in self.data["files"])

    @property
    def submissions(self) -> tuple[Submission, ...]:
        """The submissions it wrote, the one that goes with its CV first; none without test predictions."""
        if self.data["submission"] is None:
            return ()
        facts = {"name": "", "file": SUBMISSION, "cv": self.data["cv"], "cv_std": self.data["cv_std"]}
        listed = self.data.get("submissions") or [facts | self.data["submission"]]  # of an older kagkit
        return tuple(
            Submission(told["name"] if place else "", told["file"], told) for place, told in enumerate(listed)
        )


def find_submission(run: Run, variant: str = "") -> Submission:
    """A run's first submission, or that of a variant.

    Raises:
        ManifestError: It wrote none, or has no such variant.
    """
    written = run.submissions
    if not written:
        hint = f"kagkit run {run.experiment}"
        raise ManifestError(
            f"{run.name} has no submission", [Problem(run.name, "it predicted no test rows", hint=hint)]
        )
    found = [one for one in written if variant in (one.variant, one.told["name"])]
    if not found:
        names = [one.told["name"] for one in written if one.told["name"]]
        hint = did_you_mean(variant, names) if names else "its manifest has one submission, without a name"
        raise ManifestError(f"{run.name} has no such submission", [Problem("--variant", variant, hint=hint)])
    return found[0]


def read_run(folder: Path) -> Run:
    """Read a run directory.

    Raises:
        ReproductionError: There is no record, it is damaged, or of another format.
    """
    match = FOLDER.match(folder.name)
    where = f"runs/{folder.parent.name}/{folder.name}/{RECORD}"
    hint = "bring the file back from a copy, or move the folder away; other runs do not need it"
    try:
        data = read_json(folder / RECORD)
        if data["kagkit"] != FORMAT:
            problem = Problem(where, f"format {data['kagkit']}", str(FORMAT), "read it with a newer kagkit")
            raise ReproductionError("a run of another format", [problem])
        if seal_record(data)["seal"] != data["seal"]:
            raise ReproductionError(
                "a record was changed", [Problem(where, "not as it was written", hint=hint)]
            )
        run = Run(folder, data["experiment"], int(match[1]) if match else data["number"], data)
        _ = run.files, run.complete, data["cv"], data["tasks"], data["plan_key"]
    except FileNotFoundError:
        raise ReproductionError("not a run", [Problem(where, "missing", hint=hint)]) from None
    except (ValueError, TypeError, KeyError) as error:
        problem = Problem(where, f"damaged: {type(error).__name__}", hint=hint)
        raise ReproductionError("a run's record is damaged", [problem]) from error
    return run


def seal_record(record: dict[str, Any]) -> dict[str, Any]:
    """The record with its seal: a digest over everything else in it, so that no digit changes unseen.

    Example:
        >>> sealed = seal_record({"cv": 0.5})
        >>> seal_record(sealed) == sealed, seal_record(sealed | {"cv": 0.6}) == sealed | {"cv": 0.6}
        (True, False)
    """
    told = {name: value for name, value in record.items() if name != "seal"}
    return told | {"seal": digest_of(told)}


def run_folders(workspace: Workspace, experiment: str) -> list[Path]:
    """The run directories of an experiment, oldest first."""
    folder = workspace.runs / experiment
    found = [(FOLDER.match(path.name), path) for path in folder.glob("*-*")] if folder.is_dir() else []
    return [path for _, path in sorted((int(match[1]), path) for match, path in found if match)]


def experiments_with_runs(workspace: Workspace) -> list[str]:
    """Every experiment that has a run, by name."""
    if not workspace.runs.is_dir():
        return []
    names = (path.name for path in workspace.runs.iterdir() if not path.name.startswith("."))
    return sorted(name for name in names if run_folders(workspace, name))


def latest_run(workspace: Workspace, experiment: str, *, complete: bool = False) -> Run | None:
    """The newest run of an experiment, or its newest complete one; None where there is none.

    Raises:
        ReproductionError: That run's record is damaged.
    """
    for folder in reversed(run_folders(workspace, experiment)):
        run = read_run(folder)
        if run.complete or not complete:
            return run
    return None


def run_of_plan(workspace: Workspace, experiment: str, plan_key: str) -> Run | None:
    """The newest run that a plan made; None where there is none.

    Raises:
        ReproductionError: That run's record is damaged.
    """
    for folder in reversed(run_folders(workspace, experiment)):
        if plan_key.startswith(folder.name.partition("-")[2]):
            run = read_run(folder)
            if run.data["plan_key"] == plan_key:
                return run
    return None


def find_run(workspace: Workspace, reference: str) -> Run:
    """The run that `exp001` (latest complete), `exp001/3` or a path means.

    Raises:
        ManifestError: There is no such run.
        ReproductionError: Its record is damaged.
    """
    path = Path(reference)
    if FOLDER.match(path.name):
        return read_run(_own_folder(workspace, path))
    name, _, number = reference.removesuffix(".yaml").partition("/")
    if not number:
        run = latest_run(workspace, name, complete=True)
        if run is not None:
            return run
        raise _no_run(workspace, reference, name)
    folder = run_folder(workspace, reference)
    if folder is None:
        raise _no_run(workspace, reference, name)
    return read_run(folder)


def run_folder(workspace: Workspace, reference: str) -> Path | None:
    """The folder of `exp001/3`, or of the newest run of `exp001`; its record is not read."""
    name, _, number = reference.partition("/")
    numbers = {int(each.name.partition("-")[0]): each for each in run_folders(workspace, name)}
    if number:
        return numbers.get(int(number)) if number.isdigit() else None
    return numbers[max(numbers)] if numbers else None


def _own_folder(workspace: Workspace, path: Path) -> Path:
    """The run directory of this workspace that a path means, from here or from the workspace."""
    for place in (path.resolve(), (workspace.root / path).resolve()):
        if place.parent.parent == workspace.runs.resolve() and place.is_dir():
            return workspace.runs / place.parent.name / place.name
    raise _no_run(workspace, str(path), path.parent.name)


def _no_run(workspace: Workspace, reference: str, name: str) -> ManifestError:
    folders = run_folders(workspace, name)
    known = experiments_with_runs(workspace)
    if folders:
        numbers = ", ".join(str(int(folder.name.partition("-")[0])) for folder in folders)
        hint = f"{name} has runs {numbers}; a partial run is named with its number"
    elif (workspace.root / f"{name}.yaml").exists():
        hint = f"kagkit run {name}"
    else:
        hint = did_you_mean(name, known) if known else "kagkit run EXP makes one"
    return ManifestError(f"{reference}: no such run", [Problem(reference, "no complete run", hint=hint)])


def refuse_imported(workspace: Workspace, experiment: str) -> None:
    """Stop where a name is that of a run which was made elsewhere: there is nothing here to make it of.

    Raises:
        ManifestError: It is.
    """
    run = latest_run(workspace, experiment.removesuffix(".yaml"))
    if run is not None and run.imported:
        hint = "name it in `inputs:` of a manifest, or see it with: kagkit compare"
        raise ManifestError(
            f"{run.name} was imported, and is never run", [Problem(run.name, "made elsewhere", hint=hint)]
        )


def answers_plan(run: Run, plan_key: str) -> bool:
    """Whether a run is what a plan would make now: of its key, whole, and told as far as new rows ask.

    A run of an older kagkit that did not record `interface` is not: its tasks are put together again.
    """
    return run.data["plan_key"] == plan_key and "interface" in run.data and is_intact(run)


def is_intact(run: Run) -> bool:
    """Whether every file is there with its size: quick, for finding that there is nothing to do."""
    for kept in run.files:
        path = run.folder / kept.name
        if not path.is_file() or path.stat().st_size != kept.bytes:
            return False
    return True


def events_seal(lines: bytes) -> dict[str, str]:
    """The last line of a run's events: a digest of all lines above it.

    Example:
        >>> events_seal(b"")["event"]
        'sealed'
    """
    return {"event": "sealed", "sha256": sha256(lines).hexdigest()}


def verify_run(run: Run) -> list[Problem]:
    """Read every byte of a run and name what is missing, changed or too much."""
    name = f"runs/{run.experiment}/{run.folder.name}"
    beside = {f"{name}/{file}" for file in BESIDE}
    found = verify_files(run.folder, name, run.files)
    problems = [problem for problem in found if problem.where not in beside]
    # The record is sealed by what it says, and 1E-5 says what 1e-5 does: its bytes count here.
    changed = [] if (run.folder / RECORD).read_bytes() == json_text(run.data).encode() else [RECORD]
    changed += [] if _is_sealed(run.folder / EVENTS) else [EVENTS]
    return problems + [Problem(f"{name}/{file}", "its bytes changed", check="integrity") for file in changed]


def _is_sealed(events: Path) -> bool:
    content = events.read_bytes() if events.is_file() else b""
    above, line_end, last = content.removesuffix(b"\n").rpartition(b"\n")
    return content.endswith(b"\n") and last == canonical_json(events_seal(above + line_end)).encode()
