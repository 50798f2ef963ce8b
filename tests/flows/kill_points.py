"""Do a job in copies of a workspace, each time ended one step to the disk later, and go on from there.

    python -m tests.flows.kill_points WORKSPACE ENTRY SPEC         every step: what came out, a line each
    python -m tests.flows.kill_points WORKSPACE ENTRY SPEC NUMBER  that step alone, in the workspace itself

A step to the disk is a call of `os.fsync`, `os.rename` or `os.replace`; the process ends before it is done.
"""

from __future__ import annotations

import importlib
import json
import os
import shutil
import sys
from itertools import count
from pathlib import Path
from typing import Any, NoReturn

from kagkit.foundation.files import file_sha256

STEPS = ("fsync", "rename", "replace")
KILLED = 9
# What jobs import, once for all of them.
LIBRARIES = ("filelock", "importlib.metadata", "pandas", "pyarrow.pandas_compat", "yaml")
OURS = ("kagkit.data.predictions", "kagkit.runs.assembly", "kagkit.runs.worker")


def do_job(root: Path, entry: str, spec: str, kill_at: int = 0) -> int:
    """Do a job in a forked child, which is ended at a step, or never; its exit code."""
    pid = os.fork()
    if pid == 0:
        _do_in_child(root, entry, spec, kill_at)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def _do_in_child(root: Path, entry: str, spec: str, kill_at: int) -> NoReturn:
    module, _, function = entry.partition(":")
    os.chdir(root)
    # What a dead process wrote is still in memory; that the disk may lose it is another matter.
    setattr(os, "fsync", lambda _descriptor: None)  # noqa: B010 (mypy knows the function by its type)
    steps = count(1)
    for name in STEPS:
        setattr(os, name, _ending(getattr(os, name), steps, kill_at))
    os._exit(getattr(importlib.import_module(module), function)(spec))


def _ending(step: Any, steps: count[int], kill_at: int) -> Any:
    def end_or_do(*arguments: Any, **keywords: Any) -> Any:
        if next(steps) == kill_at:
            os._exit(KILLED)
        return step(*arguments, **keywords)

    return end_or_do


def whole(root: Path) -> dict[str, str]:
    """The digest of every file that has its final name, but of logs and times."""
    places = (root / "runs" / name for name in (".tasks", "exp001"))
    files = sorted(path for place in places for path in place.rglob("*") if path.is_file())
    kept = (path for path in files if path.name not in ("spec.json", "events.jsonl", "log.txt"))
    return {path.relative_to(root).as_posix(): file_sha256(path) for path in kept}


def sweep(root: Path, entry: str, spec: str) -> None:
    """Kill at every step, each in a copy, do the job again there, and print what is whole then."""
    trial = root.with_name(f"{root.name}-trial")
    for number in count(1):
        shutil.copytree(root, trial)
        killed = do_job(trial, entry, spec, number)
        again = do_job(trial, entry, spec)
        told = {"number": number, "killed": killed, "again": again, "whole": whole(trial)}
        print(json.dumps(told), flush=True)  # noqa: T201 (this is what it is run for)
        shutil.rmtree(trial)
        if killed != KILLED:
            return


if __name__ == "__main__":
    for needed in (*LIBRARIES, *OURS):
        importlib.import_module(needed)
    place, job, its_spec, *at = sys.argv[1:]
    if at:
        sys.exit(0 if do_job(Path(place), job, its_spec, int(at[0])) == KILLED else 1)
    sweep(Path(place), job, its_spec)
