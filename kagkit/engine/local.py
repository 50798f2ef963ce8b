"""Start each job as a new Python process, watch its process group, end it with everything it started."""

from __future__ import annotations

import importlib
import operator
import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from io import TextIOWrapper
from pathlib import Path
from types import TracebackType
from typing import NoReturn, Self

from kagkit.engine.jobs import Finished, Job, not_running, refuse_unstartable

GRACE_SECONDS = 3.0
PAUSE_SECONDS = 0.01
PR_SET_PDEATHSIG = 1


class ExecEngine:
    """An engine that starts a fresh Python for every job: it works everywhere, and imports everything anew.

    On Linux its jobs, though not what they started, die with the thread that started them; elsewhere a job
    outlives a kagkit that is killed.

    Args:
        environment: Variables added to this process's own, for every job, before its Python starts.
        cwd: The folder jobs run in, which is also the first one they import from.
    """

    def __init__(self, environment: Mapping[str, str], cwd: Path) -> None:
        self._environment = {**os.environ, **environment}
        self._cwd = cwd
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    @property
    def running(self) -> tuple[str, ...]:
        """The names of the jobs that were started and that `poll` has not reported yet, oldest first."""
        return tuple(self._processes)

    def start(self, job: Job) -> None:
        """Start a job in a new Python.

        Raises:
            RunError: A job of this name is running, or its log cannot be written.
        """
        refuse_unstartable(job, self.running)
        with job.log.open("ab") as log:
            self._processes[job.name] = subprocess.Popen(
                python_command("kagkit.engine.local", str(os.getpid()), job.entry, job.argument),
                env={**self._environment, **job.env},
                cwd=self._cwd,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def poll(self, timeout: float) -> list[Finished]:
        """What finished, each job once; waits up to `timeout` seconds for the first, if any is running."""
        deadline = time.monotonic() + timeout
        while not (finished := self._reap()) and self._processes and time.monotonic() < deadline:
            time.sleep(PAUSE_SECONDS)
        return finished

    def pid(self, name: str) -> int:
        """The process id of a running job, which is also its process group's.

        Raises:
            RunError: No such job is running.
        """
        if name not in self._processes:
            raise not_running(name)
        return self._processes[name].pid

    def cancel(self) -> None:
        """End every job and forget it: SIGTERM to its process group, SIGKILL 3 seconds later."""
        end_groups(self._living)

    def close(self) -> None:
        """Cancel what still runs."""
        self.cancel()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _reap(self) -> list[Finished]:
        finished = []
        for name, process in list(self._processes.items()):
            returncode = process.poll()
            if returncode is not None:
                signal_group(process.pid, signal.SIGKILL)
                finished.append(Finished.of(name, returncode))
                del self._processes[name]
        return finished

    def _living(self) -> list[int]:
        self._reap()
        return [process.pid for process in self._processes.values()]


def python_command(module: str, *arguments: str) -> list[str]:
    """The command that runs a module of ours in a new Python.

    `-P` keeps the working folder out of the way until the job itself wants it: a `json.py` in a workspace
    must not replace the one that we need to get there.
    """
    return [sys.executable, "-P", "-m", module, *arguments]


def signal_group(pid: int, number: int) -> None:
    """Send a signal to every process of a job's process group, of which there may be none left."""
    with suppress(ProcessLookupError, PermissionError):  # macOS: PermissionError for a group of zombies
        os.killpg(pid, number)


def end_groups(living: Callable[[], Collection[int]]) -> None:
    """End process groups: SIGTERM, then SIGKILL to those that still live 3 seconds later.

    Args:
        living: Collects the leaders that have ended, and gives the process ids of those that live.
    """
    for pid in living():
        signal_group(pid, signal.SIGTERM)
    deadline = time.monotonic() + GRACE_SECONDS
    while living() and time.monotonic() < deadline:
        time.sleep(PAUSE_SECONDS)
    for pid in living():
        signal_group(pid, signal.SIGKILL)
    while living():
        time.sleep(PAUSE_SECONDS)


def die_with(parent: int) -> None:
    """Have Linux kill this process when its parent dies, even by SIGKILL.

    Without it a job would run on unseen: it would hold a GPU that its slot's lock says is free, and write
    beside the job that is started in its place. Other systems offer nothing of the kind.
    """
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, ctypes.c_ulong(signal.SIGKILL))
        if os.getppid() != parent:  # it died before we asked
            os._exit(1)


def perform(prepare: Callable[[], None], entry: str, argument: str) -> NoReturn:
    """Turn this process into a job: call its entry, and end with the code that it returns.

    Exit handlers do not run, as in any forked Python: those inherited from a server would clear away what
    its other jobs still use. What a job wants kept it has written before it returns.
    """
    code = 1
    try:
        prepare()
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, TextIOWrapper):  # whole lines, so that a killed job's last words are kept
                stream.reconfigure(encoding="utf-8", line_buffering=True)
        sys.argv = [entry, argument]
        sys.path.insert(0, str(Path.cwd()))
        code = _call(entry, argument)
    except BaseException:
        traceback.print_exc()
        code = 1
    finally:
        with suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def _call(entry: str, argument: str) -> int:
    module, _, function = entry.partition(":")
    code = operator.index(getattr(importlib.import_module(module), function)(argument))
    if not 0 <= code <= 255:  # the system would cut it: 256 would pass for success
        raise ValueError(f"{entry} returned {code}; an exit code is 0 to 255")
    return code


if __name__ == "__main__":
    perform(lambda: die_with(int(sys.argv[1])), sys.argv[2], sys.argv[3])
