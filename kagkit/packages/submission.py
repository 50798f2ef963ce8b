"""Package a run's submission: proved, checked, and kept with its provenance."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kagkit.foundation.errors import ManifestError, Problem, ReproductionError, SubmissionError
from kagkit.foundation.files import commit_folder, file_sha256, held, told_when_unwritable, write_json
from kagkit.judgement.checks import check_submission, expect
from kagkit.judgement.comparison import submission_name
from kagkit.runs.presence import at_work
from kagkit.runs.record import Run, Submission, find_submission, verify_run
from kagkit.workspace.layout import Workspace


@dataclass(frozen=True)
class Package:
    """A packaged submission.

    Attributes:
        path: The submission file, relative to the workspace.
        sha256: Its digest.
        rehearsal: What was proved before it was packaged, each with its outcome.
        new: False where the same file was packaged before.
    """

    path: str
    sha256: str
    rehearsal: dict[str, str]
    new: bool


def package_submission(workspace: Workspace, run: Run, variant: str = "") -> Package:
    """Package a run's submission as `submissions/<experiment>-<number>/`, a variant's with its name behind.

    The run's every byte is proved against its record, and the file is checked against the sample
    submission. A package is written once; the same run gives the same one.

    Raises:
        ManifestError: The run is partial, or made no submission, or none of that name.
        ReproductionError: The run is damaged, or was packaged before with other bytes.
        SubmissionError: The file is not what the host asks for.
    """
    if not run.complete:
        hint = f"kagkit run {run.experiment}"
        raise ManifestError(f"{run.name} is not packaged", [Problem(run.name, "a partial run", hint=hint)])
    with at_work(workspace):  # so that the run is not cleaned away before its package names it
        return _package(workspace, run, find_submission(run, variant))


def _package(workspace: Workspace, run: Run, submission: Submission) -> Package:
    sha256 = submission.told["sha256"]
    damage = verify_run(run)
    if damage:
        raise ReproductionError(f"{run.name} is damaged", damage)
    source = run.folder / submission.file
    checked = _check(workspace, source, run.data["stage"])
    rehearsal = {"integrity": f"{len(run.files)} files as recorded"} | checked
    folder = workspace.submissions / submission_name(run, submission.variant)
    path = (folder / "submission.csv").relative_to(workspace.root).as_posix()
    with held(workspace.cache / "submissions.lock"):
        if folder.exists():
            return _again(folder, path, sha256, rehearsal)
        aside = folder.with_name(f".{folder.name}.tmp")
        shutil.rmtree(aside, ignore_errors=True)
        with told_when_unwritable(path):
            aside.mkdir(parents=True)
            shutil.copyfile(source, aside / "submission.csv")
        write_json(aside / "provenance.json", _provenance(run, submission, rehearsal))
        commit_folder(aside, folder)
    return Package(path, sha256, rehearsal, new=True)


def _check(workspace: Workspace, source: Path, stage: int) -> dict[str, str]:
    expected = expect(workspace.root, workspace.competition, stage)
    if expected is None:
        return {"check": "no sample submission to check against"}
    problems = check_submission(source, expected)
    if problems:
        raise SubmissionError("not packaged: the submission is not what the host asks for", problems)
    return {"check": f"{len(expected.sample):,} rows as in the sample submission"}


def _again(folder: Path, path: str, sha256: str, rehearsal: dict[str, str]) -> Package:
    file = folder / "submission.csv"
    found = file_sha256(file) if file.is_file() else "missing"
    if found != sha256:
        hint = "move that folder away, and package again"
        raise ReproductionError(
            "packaged before with other bytes", [Problem(path, found[:12], sha256[:12], hint)]
        )
    return Package(path, sha256, rehearsal, new=False)


def _provenance(run: Run, submission: Submission, rehearsal: dict[str, str]) -> dict[str, Any]:
    data, own = run.data, submission.told
    told = {name: data[name] for name in ("competition", "stage", "plan_key", "coverage", "data")}
    return {
        "kagkit": 1,
        "run": run.name,
        "run_folder": f"runs/{run.experiment}/{run.folder.name}",
        "variant": submission.variant,
        **told,
        **{name: own[name] for name in ("cv", "cv_std")},
        "submission": {name: own[name] for name in ("sha256", "rows")},
        "weights": data["weights"],
        "manifest_sha256": data["manifest_sha256"],
        "imported": data.get("imported"),
        "rehearsal": rehearsal,
    }
