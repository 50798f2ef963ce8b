"""Train one model in several processes under torchrun; what the first of them writes is the task's."""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import replace
from pathlib import Path

from kagkit.engine.local import die_with
from kagkit.engine.programs import ending_of, run_program
from kagkit.foundation.environment import numeric_environment
from kagkit.foundation.errors import Problem, RunError
from kagkit.foundation.files import held
from kagkit.runs.failing import REASON, guard, reason_of
from kagkit.runs.handing import RANKS, Handing, rank_folder
from kagkit.runs.opening import open_recipe
from kagkit.runs.spec import TaskSpec, read_spec
from kagkit.workspace.commands import read_stated
from kagkit.workspace.layout import Workspace

AGENT = "KAGKIT_TORCHRUN"  # the process id of torchrun, for those that it starts
HERE = "127.0.0.1"
LOOPBACK = "lo" if sys.platform == "linux" else "lo0"
ECHOES = ("gloo", "nccl")  # who says that another process is gone


def train_together(spec: TaskSpec, work: Path) -> None:
    """Run the recipe's train in `spec.processes` processes, and wait for them.

    torchrun starts them, sets RANK, LOCAL_RANK and WORLD_SIZE, lets them meet on this machine, and ends all
    where one fails. On Linux they die with it, and it with this process.

    Raises:
        RunError: One of them failed; what the first one to fail said is told.
    """
    shutil.rmtree(work / RANKS, ignore_errors=True)
    path = (work / "spec.json").relative_to(Path.cwd()).as_posix()
    # One process alone would take all threads of the task; torch warns where nothing is set.
    env = numeric_environment(_share(spec), spec.determinism) | {"PYTHONDONTWRITEBYTECODE": "1"}
    env |= {"GLOO_SOCKET_IFNAME": os.environ.get("GLOO_SOCKET_IFNAME", LOOPBACK)}
    words = [sys.executable, "-m", "kagkit.runs.ranks", path, str(spec.processes)]
    code = run_program(words, Path.cwd(), env)
    if code:
        told = sorted((work / RANKS).glob(f"*/{REASON}"), key=_rank_of_reason)
        if told:
            error = reason_of(told[0].parent, spec.label, ending_of(code))
            # All of them write into the log of the task.
            own = f"{RANKS}/{told[0].parent.name}/"
            problems = [replace(problem, hint=problem.hint.replace(own, "")) for problem in error.problems]
            raise type(error)(error.summary, problems)
        problem = Problem(f"{spec.recipe}:train", f"torchrun: {ending_of(code)}", hint="read the task's log")
        raise RunError(f"{spec.label} failed", [problem])


def outlast_others(work: Path) -> None:
    """Wait until the processes of an earlier attempt are gone: they would write what this one writes."""
    for lock in sorted((work / RANKS).glob("*.lock")):
        with held(lock):
            pass


def _rank_of_reason(path: Path) -> tuple[bool, float]:
    """A cause comes before its echoes: where one process fails, the others say that it is gone."""
    text = path.read_text(encoding="utf-8", errors="replace").lower()
    return any(word in text for word in ECHOES), path.stat().st_mtime


def _share(spec: TaskSpec) -> int:
    """The threads of one process among those of the task."""
    return max(1, spec.threads // spec.processes)


def start_ranks(spec_path: str, processes: str) -> None:
    """Become torchrun, and have it start `train_as_rank` in so many processes."""
    from torch.distributed.run import main

    os.environ[AGENT] = str(os.getpid())
    where = ["--standalone", "--local-addr", HERE, "--nproc-per-node", processes]
    main([*where, "-m", "kagkit.runs.ranks", spec_path])


def train_as_rank(spec_path: str) -> int:
    """Train as one of the processes; the workspace is the current folder."""
    # Torchrun gives each a session of its own, so that no signal to the task's group reaches it.
    die_with(int(os.environ[AGENT]))
    root, rank = Path.cwd(), int(os.environ["RANK"])
    work = (root / spec_path).parent
    own = rank_folder(work, rank)
    own.mkdir(parents=True, exist_ok=True)
    with held(own.with_suffix(".lock")):
        spec = read_spec(root / spec_path)
        workspace = Workspace(root, smoke=spec.smoke)
        return guard(lambda: _train(workspace, spec, work, rank), root, own, spec.label)


def _train(workspace: Workspace, spec: TaskSpec, work: Path, rank: int) -> None:
    spec = replace(spec, threads=_share(spec))
    recipe = open_recipe(read_stated(workspace.root, spec), spec)
    task = Handing(workspace, spec, work).task(rank)
    recipe.train(task, **spec.args["train"])


if __name__ == "__main__":
    if "RANK" in os.environ:
        sys.exit(train_as_rank(sys.argv[1]))
    start_ranks(*sys.argv[1:])
