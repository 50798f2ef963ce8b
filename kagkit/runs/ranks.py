"""Train one model in several processes under torchrun; what the first of them writes is the task's."""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import replace
from pathlib import Path

from kagkit.engine.programs import ending_of, run_program
from kagkit.foundation.environment import numeric_environment
from kagkit.foundation.errors import Problem, RunError
from kagkit.runs.failing import guard, reason_of
from kagkit.runs.handing import RANKS, Handing, rank_folder
from kagkit.runs.opening import open_recipe
from kagkit.runs.spec import TaskSpec, read_spec
from kagkit.workspace.commands import read_stated
from kagkit.workspace.layout import Workspace


def train_together(spec: TaskSpec, work: Path) -> None:
    """Run the recipe's train in `spec.processes` processes, and wait for them.

    torchrun starts them, sets RANK, LOCAL_RANK and WORLD_SIZE, lets them meet on this machine, and ends all
    where one fails.

    Raises:
        RunError: One of them failed; what the first one to fail said is told.
    """
    shutil.rmtree(work / RANKS, ignore_errors=True)
    words = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    words += [f"--nproc-per-node={spec.processes}", "-m", "kagkit.runs.ranks"]
    # One process alone would take all threads of the task; torch warns where nothing is set.
    env = numeric_environment(_share(spec), spec.determinism) | {"PYTHONDONTWRITEBYTECODE": "1"}
    code = run_program([*words, (work / "spec.json").relative_to(Path.cwd()).as_posix()], Path.cwd(), env)
    if code:
        told = sorted((work / RANKS).glob("*/error.json"), key=lambda path: path.stat().st_mtime)
        if told:
            error = reason_of(told[0].parent, spec.label, ending_of(code))
            # All of them write into the log of the task.
            own = f"{RANKS}/{told[0].parent.name}/"
            problems = [replace(problem, hint=problem.hint.replace(own, "")) for problem in error.problems]
            raise type(error)(error.summary, problems)
        problem = Problem(f"{spec.recipe}:train", f"torchrun: {ending_of(code)}", hint="read the task's log")
        raise RunError(f"{spec.label} failed", [problem])


def _share(spec: TaskSpec) -> int:
    """The threads of one process among those of the task."""
    return max(1, spec.threads // spec.processes)


def main(spec_path: str) -> int:
    """Train as one of the processes; the workspace is the current folder."""
    root, rank = Path.cwd(), int(os.environ["RANK"])
    work = (root / spec_path).parent
    own = rank_folder(work, rank)
    own.mkdir(parents=True, exist_ok=True)
    spec = read_spec(root / spec_path)
    return guard(lambda: _train(Workspace(root, smoke=spec.smoke), spec, work, rank), root, own, spec.label)


def _train(workspace: Workspace, spec: TaskSpec, work: Path, rank: int) -> None:
    spec = replace(spec, threads=_share(spec))
    recipe = open_recipe(read_stated(workspace.root, spec), spec)
    task = Handing(workspace, spec, work).task(rank)
    recipe.train(task, **spec.args["train"])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
