"""Find every problem of a workspace, a manifest or a run, without running anything."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from kagkit.data.versions import read_lock, verify
from kagkit.foundation.errors import KagkitError, Problem, did_you_mean, samples
from kagkit.foundation.files import read_json
from kagkit.runs.record import experiments_with_runs, read_run, run_folders, verify_run
from kagkit.workspace.competition import Competition
from kagkit.workspace.layout import Workspace


def inspect_workspace(workspace: Workspace) -> list[Problem]:
    """Everything wrong with competition.yaml, the tables' headers, the pinned data and every manifest.

    Only headers are read, and files whose size or time changed since they were pinned.
    """
    try:
        competition = workspace.competition
    except KagkitError as error:
        return _problems(error)
    problems = list(_header_problems(workspace.root, competition))
    problems += _data_problems(workspace)
    for path in workspace.manifests():
        problems += inspect_manifest(workspace, path)
    return problems


def inspect_manifest(workspace: Workspace, path: Path) -> list[Problem]:
    """Everything wrong with one manifest, or with competition.yaml where that cannot be read."""
    try:
        workspace.experiment(path.name)
    except KagkitError as error:
        return _problems(error)
    return []


def inspect_run(workspace: Workspace, folder: Path) -> list[Problem]:
    """Every byte of a run directory that is missing, changed or too much, and what rests on that run."""
    try:
        problems = verify_run(read_run(folder))
    except KagkitError as error:
        problems = _problems(error)
    number, _, _ = folder.name.partition("-")
    name = f"{folder.parent.name}/{int(number)}" if number.isdigit() else folder.name
    return problems + list(_resting_problems(workspace, name)) if problems else []


def _resting_problems(workspace: Workspace, name: str) -> Iterator[Problem]:
    """What rests on a damaged run, and the packages that do not say on which run they rest."""
    packaged = {
        path.parent.relative_to(workspace.root).as_posix(): _packaged_run(path)
        for path in sorted(workspace.submissions.glob("*/provenance.json"))
    }
    for folder in (folder for folder, run in packaged.items() if run is None):
        hint = "bring the file back from a copy, or package the run again"
        found = "it does not say of which run the submission is"
        yield Problem(f"{folder}/provenance.json", found, hint=hint, check="integrity")
    trusting = {name, *_runs_on(workspace, name)}
    resting = [*sorted(trusting - {name}), *(folder for folder, run in packaged.items() if run in trusting)]
    if resting:
        hint = "do not trust these before the run's files are back from a copy"
        yield Problem(name, f"{samples(resting)} rest on it", hint=hint, check="integrity")


def _packaged_run(provenance: Path) -> str | None:
    """The run that a submission was packaged of; None where the file is damaged."""
    try:
        run = read_json(provenance)["run"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    return run if isinstance(run, str) else None


def _runs_on(workspace: Workspace, name: str) -> set[str]:
    """The runs that a run fed, also by way of others.

    Args:
        workspace: The workspace.
        name: The run: `exp001/3`.

    Returns:
        Names of runs. Runs whose record cannot be read tell nothing.
    """
    fed_by = dict(_parents(workspace))
    resting: set[str] = set()
    while more := {run for run, parents in fed_by.items() if parents & {name, *resting}} - resting:
        resting |= more
    return resting


def _parents(workspace: Workspace) -> Iterator[tuple[str, set[str]]]:
    """Every run that can be read, with the runs that fed it."""
    for experiment in experiments_with_runs(workspace):
        for folder in run_folders(workspace, experiment):
            with suppress(KagkitError):
                run = read_run(folder)
                yield run.name, {parent["run"] for parent in run.data["parents"]}


def _problems(error: KagkitError) -> list[Problem]:
    return list(error.problems) or [Problem(error.summary, "")]


def _data_problems(workspace: Workspace) -> list[Problem]:
    try:
        locked = read_lock(workspace.root)
        changes = [
            change
            for source, declared in workspace.competition.sources.items()
            if source in locked
            for change in verify(workspace.root, source, declared).changes
        ]
    except KagkitError as error:
        return _problems(error)
    hint = "bring the old file back, or accept the new data: kagkit data pin"
    return [
        Problem(change.path, f"{change.kind} since it was pinned: {change.detail}", hint=hint, check="data")
        for change in changes
    ]


def _header_problems(root: Path, competition: Competition) -> Iterator[Problem]:
    """Columns that competition.yaml names and the tables lack; a loader of the user's own may make them."""
    stage, rows = competition.stages["1"], competition.rows
    wanted = (
        {stage.train: [*rows.key, *rows.targets], stage.test: list(rows.key)} if rows.load is None else {}
    )
    if rows.group and rows.load is None:
        wanted[stage.train].append(rows.group)
    if stage.sample_submission:
        wanted[stage.sample_submission] = [*competition.submission_key, *competition.submission.target]
    for path, columns in wanted.items():
        header = _header(root / path)
        for column in columns:
            if header is not None and column not in header:
                yield Problem(path, f"no column {column}", hint=did_you_mean(column, header), check="columns")


def _header(path: Path) -> list[str] | None:
    """A CSV's column names; None for other formats, which only a run reads."""
    if path.suffix != ".csv":
        return None
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            return [column.strip() for column in next(csv.reader(stream), [])]
    except (OSError, UnicodeDecodeError, csv.Error):
        return []
