"""Describe a job, what became of it, and what every engine does with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from kagkit.foundation.errors import Problem, RunError
from kagkit.foundation.files import told_when_unwritable


@dataclass(frozen=True)
class Job:
    """One call of one function in a process of its own.

    Attributes:
        name: What it is called; an engine runs a name once at a time.
        entry: `package.module:function`, called as `function(argument)`. It returns the exit code, 0 to 255,
            0 for success; one that raises, `SystemExit` included, ends with 1 and a traceback in the log.
        argument: The only thing the function is told, usually a file's path.
        log: The file that standard output and standard error are appended to, those of native code too.
        env: Variables set for this job alone, such as `CUDA_VISIBLE_DEVICES`. What a library reads while it
            is imported, such as `OMP_NUM_THREADS`, belongs in the engine's environment instead.
    """

    name: str
    entry: str
    argument: str
    log: Path
    env: Mapping[str, str]


@dataclass(frozen=True)
class Finished:
    """What became of a job: it ended with an exit code, or by a signal.

    Attributes:
        name: The job's name.
        code: Its exit code; None where a signal ended it.
        signal: The number of the signal that ended it, such as 9; None where it ended by itself.
    """

    name: str
    code: int | None
    signal: int | None

    @classmethod
    def of(cls, name: str, returncode: int) -> Self:
        """Read a return code as `subprocess` gives it: -9 for a job ended by signal 9.

        Example:
            >>> Finished.of("fold0", -9)
            Finished(name='fold0', code=None, signal=9)
        """
        return cls(name, None, -returncode) if returncode < 0 else cls(name, returncode, None)


class Engine(Protocol):
    """Runs jobs, each in a process and a process group of its own; a job's end is that of its whole group.

    An engine is for one thread.
    """

    @property
    def running(self) -> tuple[str, ...]:
        """The names of the jobs that were started and that `poll` has not reported yet, oldest first."""
        ...

    def start(self, job: Job) -> None:
        """Start a job, or queue it where the engine is still getting ready, and return at once.

        Raises:
            RunError: A job of this name is running, or its log cannot be written.
        """
        ...

    def poll(self, timeout: float) -> list[Finished]:
        """What finished, each job once; waits up to `timeout` seconds for the first, if any is running."""
        ...

    def pid(self, name: str) -> int:
        """The process id of a running job, which is also its process group's; waits until it has one.

        Raises:
            RunError: No such job is running.
        """
        ...

    def cancel(self) -> None:
        """End every job and forget it: SIGTERM to its process group, SIGKILL 3 seconds later."""
        ...

    def close(self) -> None:
        """Cancel what still runs and give everything back; leaving a `with` block does it too."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def refuse_unstartable(job: Job, running: tuple[str, ...]) -> None:
    """Make sure that a job can be started: its name is free, and its log can be appended to.

    Raises:
        RunError: It cannot.
    """
    if job.name in running:
        raise RunError(f"{job.name} cannot be started", [Problem(job.name, "a job of this name is running")])
    with told_when_unwritable(job.log.name):
        job.log.parent.mkdir(parents=True, exist_ok=True)
        job.log.open("ab").close()


def not_running(name: str) -> RunError:
    """The error for asking after a job that does not run."""
    return RunError(f"{name} is not running", [Problem(name, "no job of this name is running")])
