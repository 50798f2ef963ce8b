"""Name the files a run is made from, and notice where one changes while it is made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path, PurePosixPath
from typing import Any

from kagkit.foundation.component import function_code, function_files, read_imports
from kagkit.foundation.errors import Problem, RunError
from kagkit.foundation.files import digest_of, file_sha256
from kagkit.runs.material import scheme_of
from kagkit.workspace.competition import FILE, Competition
from kagkit.workspace.experiment import Experiment
from kagkit.workspace.layout import Workspace


def code_files(workspace: Workspace, experiment: Experiment) -> tuple[str, ...]:
    """The workspace's code behind an experiment: recipe, loader, metric and the rest, with all they import.

    Returns:
        Paths relative to the workspace, with the files that `code:` and rules on rows name, by name.
    """
    competition, manifest = workspace.competition, experiment.manifest
    references = [competition.rows.load, competition.metric.score, competition.metric.solution]
    references += [*manifest.makes, scheme_of(competition, manifest.folds.set).function]
    references += [manifest.combine] if ":" in manifest.combine else []
    listed = [file for file in manifest.rows.key_files if not _is_data(file, competition)]
    functions = read_imports(workspace.root, function_files(workspace.root, references)).local
    return tuple(sorted({*experiment.recipe.imports.local, *functions, *manifest.code, *listed}))


def _is_data(file: str, competition: Competition) -> bool:
    """Whether a file belongs to a version of data, which is kept by its digest alone."""
    return any(PurePosixPath(file).is_relative_to(path) for path in competition.paths)


def metric_facts(workspace: Workspace) -> dict[str, Any]:
    """The metric as records tell it: what competition.yaml says, and one digest for the code behind it."""
    root, metric = workspace.root, workspace.competition.metric
    code = digest_of([function_code(root, metric.score), function_code(root, metric.solution)])
    told = asdict(metric) | {"code": code}
    del told["per_row"]  # another form of the same score decides nothing
    return told


def read_origins(workspace: Workspace, experiment: Experiment) -> dict[str, str]:
    """sha256 of all that a run is made from beside its data: manifest, competition.yaml, sample, code."""
    sample = workspace.competition.stages[str(experiment.manifest.stage)].sample_submission
    files = [FILE, experiment.path.name, *code_files(workspace, experiment), *([sample] if sample else [])]
    return digest_files(workspace.root, files)


def digest_files(root: Path, files: list[str]) -> dict[str, str]:
    """sha256 by path, for files of the workspace."""
    return {file: file_sha256(root / file) for file in files}


def refuse_changed(root: Path, origins: Mapping[str, str], what: str) -> None:
    """Stop where a file is no longer what it was when the plan was made.

    A result must not stand under the name of what did not make it.

    Raises:
        RunError: Naming every file that changed.
    """
    changed = [
        file
        for file, sha256 in origins.items()
        if not (root / file).is_file() or file_sha256(root / file) != sha256
    ]
    if changed:
        hint = "run the same command again: finished tasks are kept"
        problems = [Problem(file, "changed since the plan was made", hint=hint) for file in changed]
        raise RunError(f"{what}: files changed while the run was going on", problems)
