"""`kagkit check`: every problem of a workspace, manifest, run or submission."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from kagkit.cli.options import command

if TYPE_CHECKING:
    from kagkit.foundation.errors import KagkitError, Problem

EXAMPLES = """
kagkit check                                # the workspace: competition.yaml, headers, data, manifests
kagkit check exp001.yaml exp002.yaml        # two manifests
kagkit check exp001/1                       # a run, or its folder: every byte against its record
kagkit check submission.csv                 # a submission against the sample submission
"""


@command("check", EXAMPLES)
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path), metavar="[PATH...]")
def check(paths: tuple[Path, ...], as_json: bool) -> None:
    """Find every problem of a workspace, manifests, runs or submission files.

    Without PATH the whole workspace is checked. Nothing is run and nothing is changed.
    """
    from dataclasses import asdict

    from kagkit.cli.drawing import draw_problems, emit_json
    from kagkit.foundation.errors import counted

    code = 0
    problems: list[Problem] = []
    for path in paths or (Path(),):
        error = _check(path)
        problems += error.problems
        code = code or (error.exit_code if error.problems else 0)
    if as_json:
        emit_json({"ok": not problems, "problems": [asdict(problem) for problem in problems]})
    else:
        draw_problems(problems)
        click.echo(counted(len(problems), "problem") if problems else "no problems")
    raise click.exceptions.Exit(code)


def _check(path: Path) -> KagkitError:
    """The problems of one path, as an error of the kind that gives the exit code."""
    from kagkit.foundation.errors import DataError, ManifestError, Problem, ReproductionError
    from kagkit.judgement.inspection import inspect_manifest, inspect_run, inspect_workspace
    from kagkit.runs.record import run_folder
    from kagkit.workspace.layout import find_workspace

    if not path.exists():
        workspace = find_workspace(Path.cwd())
        folder = run_folder(workspace, str(path))
        if folder is not None:
            return ReproductionError("", inspect_run(workspace, folder))
        if (workspace.root / f"{path}.yaml").is_file():
            return ManifestError("", inspect_manifest(workspace, workspace.root / f"{path}.yaml"))
        hint = "a manifest, a run, a submission file, or nothing for the workspace"
        return ManifestError("", [Problem(str(path), "no such file, folder or run", hint=hint)])
    workspace = find_workspace(path)
    if path.is_dir() and (path / "record.json").exists():
        return ReproductionError("", inspect_run(workspace, path.resolve()))
    if path.is_dir() or path.name == "competition.yaml":
        problems = inspect_workspace(workspace)
        kind = (
            DataError if problems and all(p.check in ("data", "columns") for p in problems) else ManifestError
        )
        return kind("", problems)
    if path.suffix == ".yaml":
        return ManifestError("", inspect_manifest(workspace, path))
    return _check_submission(path)


def _check_submission(path: Path) -> KagkitError:
    from kagkit.foundation.errors import ManifestError, Problem, SubmissionError
    from kagkit.judgement.checks import check_submission, expect
    from kagkit.workspace.layout import find_workspace

    workspace = find_workspace(path)
    expected = expect(workspace.root, workspace.competition, workspace.stage)
    if expected is None:
        hint = "add stages: {1: {sample_submission: …}} to competition.yaml"
        return ManifestError("", [Problem(path.name, "no sample submission to check against", hint=hint)])
    return SubmissionError("", check_submission(path, expected))


command = check
