"""`kagkit check`: every problem of a workspace, manifest, run or submission."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from kagkit.cli.options import command

if TYPE_CHECKING:
    from kagkit.foundation.errors import KagkitError, Problem
    from kagkit.judgement.suspicions import Suspicion

EXAMPLES = """
kagkit check                                # the workspace: competition.yaml, headers, data, manifests
kagkit check exp001.yaml exp002.yaml        # two manifests
kagkit check exp001/1                       # a run, or its folder: every byte against its record
kagkit check submission.csv                 # a submission: the sample's columns and ids, then blindly
kagkit check submission.csv --of exp001/3   # a file that is to be that run's
"""


@command("check", EXAMPLES)
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path), metavar="[PATH...]")
@click.option("--of", "run", metavar="RUN", help="The run that a submission file is meant to be of.")
def check(paths: tuple[Path, ...], run: str | None, as_json: bool) -> None:
    """Find every problem of a workspace, manifests, runs or submission files.

    Without PATH the whole workspace is checked. Nothing is run and nothing is changed. A submission file is
    also checked for what no leaderboard would show.
    """
    from dataclasses import asdict

    from kagkit.cli.drawing import draw_blind, draw_problems, emit_json
    from kagkit.foundation.errors import counted

    code = 0
    problems: list[Problem] = []
    blind: list[Suspicion] = []
    for path in paths or (Path(),):
        error = _check(path, run, blind)
        problems += error.problems
        code = code or (error.exit_code if error.problems else 0)
    if as_json:
        told = {"blind": [asdict(each) for each in blind]} if blind else {}
        emit_json({"ok": not problems, "problems": [asdict(problem) for problem in problems]} | told)
    else:
        draw_blind(blind)
        draw_problems(problem for problem in problems if problem.check != "blind")
        click.echo(counted(len(problems), "problem") if problems else "no problems")
    raise click.exceptions.Exit(code)


def _check(path: Path, run: str | None, blind: list[Suspicion]) -> KagkitError:
    """The problems of one path, as an error of the kind that gives the exit code; `blind` grows."""
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
    return _check_submission(path, run, blind)


def _check_submission(path: Path, run: str | None, blind: list[Suspicion]) -> KagkitError:
    from kagkit.foundation.errors import ManifestError, Problem, SubmissionError
    from kagkit.judgement.blind import Origin, as_problems, check_blind, find_origin
    from kagkit.judgement.checks import check_submission, expect
    from kagkit.runs.record import find_run
    from kagkit.workspace.layout import find_workspace

    workspace = find_workspace(path)
    expected = expect(workspace.root, workspace.competition, workspace.stage)
    if expected is None:
        hint = "add stages: {1: {sample_submission: …}} to competition.yaml"
        return ManifestError("", [Problem(path.name, "no sample submission to check against", hint=hint)])
    problems = check_submission(path, expected)
    if not problems:
        origin = Origin(find_run(workspace, run)) if run else find_origin(workspace, path)
        found = check_blind(workspace, path, origin)
        blind += found
        problems = list(as_problems(each for each in found if each.level == "stop"))
    return SubmissionError("", problems)


command = check
