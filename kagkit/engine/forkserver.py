"""Start jobs in milliseconds by forking a server that has imported, say how each ended, survive the server.

    kagkit ── requests ──► fork server ── fork ──► job      import once; each job costs milliseconds
           ◄── reports ───             ◄── exit ──

Whoever dies, nothing is left behind: the server ends its jobs when kagkit's end of the socket closes, Linux
ends the jobs when the server dies, and kagkit reports the jobs of a dead server as ended and starts another.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from kagkit.engine.jobs import Engine, Finished, Job, not_running, refuse_unstartable
from kagkit.engine.local import GRACE_SECONDS, ExecEngine, python_command, signal_group
from kagkit.engine.server import Channel

LAST_WORDS = 4000


def start_engine(environment: Mapping[str, str], cwd: Path, preload: Sequence[str]) -> Engine:
    """Start the fastest engine that this system offers: the fork server on Linux, else a new Python per job.

    Args:
        environment: Variables added to this process's own before Python starts, such as `OMP_NUM_THREADS`.
        cwd: The folder jobs run in, which is also the first one they import from.
        preload: Modules worth importing once for all jobs, in order.
    """
    if sys.platform == "linux" and hasattr(os, "fork"):
        return ForkServerEngine(environment, cwd, preload)
    return ExecEngine(environment, cwd)


class ForkServerEngine:
    """An engine that forks jobs from a server process with libraries already imported; Linux only.

    It is ready at once: the server imports while the caller does other work, and requests queue up. A server
    that dies (out of memory, say) takes its jobs along: they are reported as ended as it was, its last words
    are added to their logs, and the next job gets a new server.

    Args:
        environment: Variables added to this process's own before the server's Python starts.
        cwd: The folder jobs run in, which is also the first one they import from.
        preload: Modules to import in order. One that cannot be imported is left for the job to stumble over;
            one in `cwd` is not found, so that a workspace's code is always read anew.
    """

    def __init__(self, environment: Mapping[str, str], cwd: Path, preload: Sequence[str]) -> None:
        # Arrow's allocator would run a thread of its own in the server, and threads do not survive a fork.
        self._environment = {"JE_ARROW_MALLOC_CONF": "background_thread:false", **os.environ, **environment}
        self._cwd = cwd
        self._preload = tuple(preload)
        self._jobs: dict[str, Job] = {}
        self._pids: dict[str, int] = {}
        self._finished: dict[str, Finished] = {}
        self._server: _Server | None = self._launch()

    @property
    def running(self) -> tuple[str, ...]:
        """The names of the jobs that were started and that `poll` has not reported yet, oldest first."""
        return tuple(self._jobs)

    def start(self, job: Job) -> None:
        """Queue a job for the server, which forks it as soon as its imports are done.

        Raises:
            RunError: A job of this name is running, or its log cannot be written.
        """
        refuse_unstartable(job, self.running)
        request = {
            "name": job.name,
            "entry": job.entry,
            "argument": job.argument,
            "log": str(job.log.absolute()),
            "env": dict(job.env),
        }
        if self._server is None or not self._server.channel.send(request):
            while self._server is not None:
                self._take_in(self._server, None)  # what the dead server still had to say, up to its end
            self._server = self._launch()
            self._server.channel.send(request)
        self._jobs[job.name] = job

    def poll(self, timeout: float) -> list[Finished]:
        """What finished, each job once; waits up to `timeout` seconds for the first, if any is running."""
        deadline = time.monotonic() + timeout
        while self._server is not None and self._jobs and not self._finished:
            left = deadline - time.monotonic()
            self._take_in(self._server, max(left, 0.0))
            if left <= 0:
                break
        finished = list(self._finished.values())
        self._finished.clear()
        for end in finished:
            del self._jobs[end.name]
            self._pids.pop(end.name, None)
        return finished

    def pid(self, name: str) -> int:
        """The process id of a running job, which is also its process group's; waits until it is forked.

        Raises:
            RunError: No such job is running.
        """
        while name not in self._pids:
            if self._server is None or name not in self._jobs or name in self._finished:
                raise not_running(name)
            self._take_in(self._server, None)
        return self._pids[name]

    def cancel(self) -> None:
        """End every job and forget it: SIGTERM to its process group, SIGKILL 3 seconds later.

        The server goes too, since jobs may be queued in it; the next `start` brings another.
        """
        if self._server is not None:
            self._take_in(self._server, 0.0)
        if self._server is not None:
            begun = self._pids.keys() - self._finished.keys()
            self._server.end(at_once=not begun)
            for name in begun:
                signal_group(self._pids[name], signal.SIGKILL)
            self._server = None
        self._jobs.clear()
        self._pids.clear()
        self._finished.clear()

    def close(self) -> None:
        """Cancel what still runs and end the server."""
        self.cancel()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _launch(self) -> _Server:
        return _Server(self._environment, self._cwd, self._preload)

    def _take_in(self, server: _Server, timeout: float | None) -> None:
        """Note what the server reports within `timeout` seconds; None waits for as long as it takes."""
        reports = server.channel.receive(timeout)
        if reports is None:
            self._bury(server)
        for report in reports or ():
            if "pid" in report:
                self._pids[report["name"]] = report["pid"]
            else:
                self._finished[report["name"]] = Finished.of(report["name"], report["returncode"])

    def _bury(self, server: _Server) -> None:
        """Report the jobs of a server that died, and tell their logs why."""
        self._server = None
        returncode, printed = server.end()
        words = f"kagkit: the fork server ended with {returncode}, and this job with it\n{printed}"
        for name, job in self._jobs.items():
            if name in self._finished:
                continue
            if name in self._pids:
                signal_group(self._pids[name], signal.SIGKILL)
            with suppress(OSError), job.log.open("a", encoding="utf-8") as log:
                log.write(words)
            # Whatever a server that should be alive ended with, its jobs did not succeed.
            self._finished[name] = Finished.of(name, returncode or 1)


class _Server:
    """The server as kagkit sees it: a process, a channel to it, and what it prints."""

    def __init__(self, environment: Mapping[str, str], cwd: Path, preload: Sequence[str]) -> None:
        ours, theirs = socket.socketpair()
        self.channel = Channel(ours)
        self._output = os.memfd_create("kagkit-forkserver")
        with theirs:
            self._process = subprocess.Popen(
                python_command("kagkit.engine.server", str(theirs.fileno()), *preload),
                env=environment,
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=self._output,
                stderr=self._output,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )

    def end(self, *, at_once: bool = False) -> tuple[int, str]:
        """End the server, if it lives, and its jobs; it takes 3 seconds for those that ignore SIGTERM.

        Args:
            at_once: Do not wait for it to notice; meant for one that still imports and has no jobs.

        Returns:
            Its return code as `subprocess` gives it, and the last of what it printed.
        """
        self.channel.close()
        if at_once:
            self._process.kill()
        try:
            returncode = self._process.wait(GRACE_SECONDS + 1)
        except subprocess.TimeoutExpired:
            self._process.kill()
            returncode = self._process.wait()
        printed = os.fstat(self._output).st_size
        words = os.pread(self._output, LAST_WORDS, max(0, printed - LAST_WORDS))
        os.close(self._output)
        return returncode, words.decode(errors="replace")
