"""Import heavy libraries once, fork a job per request, report its end, leave no job behind."""

from __future__ import annotations

import gc
import importlib
import json
import os
import select
import signal
import socket
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from kagkit.engine.local import die_with, end_groups, perform, signal_group

CHUNK = 1 << 16


class Channel:
    """JSON documents, one a line, over one end of a socket pair."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._rest = b""

    def fileno(self) -> int:
        """The descriptor, for `select`."""
        return self._connection.fileno()

    def close(self) -> None:
        """Close this end; the other one hears that nobody is left."""
        self._connection.close()

    def send(self, document: Mapping[str, Any]) -> bool:
        """Send a document; False where nobody is left to read it."""
        self._connection.settimeout(None)
        try:
            self._connection.sendall(json.dumps(document).encode() + b"\n")
        except (BrokenPipeError, ConnectionResetError):
            return False
        return True

    def receive(self, timeout: float | None) -> list[dict[str, Any]] | None:
        """Wait up to `timeout` seconds, or for ever if None, for documents to arrive.

        Returns:
            Those that did, oldest first; None once the other end is closed and all that it sent was read.
        """
        self._connection.settimeout(timeout)
        try:
            data = self._connection.recv(CHUNK)
        except (TimeoutError, BlockingIOError):
            return []
        except ConnectionResetError:
            return None
        *lines, self._rest = (self._rest + data).split(b"\n")
        return [json.loads(line) for line in lines] if data else None


class Server:
    """The process that jobs are forked from. It has no threads: a fork would copy their locks, not them."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._jobs: dict[int, str] = {}
        self._alarm, self._bell = socket.socketpair()
        self._bell.setblocking(False)
        signal.set_wakeup_fd(self._bell.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda _number, _frame: None)  # unhandled, it would not ring the bell

    def serve(self) -> None:
        """Fork what is asked for until kagkit is gone, whatever ended it; then end the jobs still running."""
        try:
            while (requests := self._requests()) is not None:
                for request in requests:
                    self._fork(request)
        finally:
            end_groups(self._living)

    def _requests(self) -> list[dict[str, Any]] | None:
        control, alarm = self._channel.fileno(), self._alarm.fileno()
        ready, _, _ = select.select([control, alarm], [], [])
        if alarm in ready:
            self._alarm.recv(CHUNK)
            self._living()
        return self._channel.receive(0.0) if control in ready else []

    def _living(self) -> list[int]:
        """Reap and report the jobs that have ended; give the process ids of the others."""
        for pid, name in list(self._jobs.items()):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                signal_group(pid, signal.SIGKILL)
                del self._jobs[pid]
                self._channel.send({"name": name, "returncode": os.waitstatus_to_exitcode(status)})
        return list(self._jobs)

    def _fork(self, request: Mapping[str, Any]) -> None:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()  # what an import printed; a copy of the buffer would go into every log
        server = os.getpid()
        try:
            pid = os.fork()
        except OSError as error:  # no memory, or too many processes: bad luck for one job, not for all
            with suppress(OSError), Path(request["log"]).open("a", encoding="utf-8") as log:
                log.write(f"kagkit: this job could not be forked: {error.strerror}\n")
            self._channel.send({"name": request["name"], "returncode": 1})
            return
        if pid == 0:
            perform(partial(self._leave, request, server), request["entry"], request["argument"])
        with suppress(PermissionError):
            os.setpgid(pid, pid)
        self._jobs[pid] = request["name"]
        self._channel.send({"name": request["name"], "pid": pid})

    def _leave(self, request: Mapping[str, Any], server: int) -> None:
        """In the forked child: keep nothing of the server but its imported modules."""
        # Server and child both make the group: whoever is first, it is there before anybody signals it.
        os.setpgid(0, 0)
        die_with(server)
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for inherited in (self._channel, self._alarm, self._bell):
            inherited.close()
        Path(request["log"]).parent.mkdir(parents=True, exist_ok=True)  # moved, while this job was queued
        log = os.open(request["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
        os.dup2(log, 1)
        os.dup2(log, 2)
        os.close(log)
        os.environ.update(request["env"])
        gc.enable()


def main(control: int, preload: Sequence[str]) -> None:
    """Be the fork server.

    Args:
        control: The descriptor of our end of the socket pair.
        preload: Modules to import first, in order; those that cannot be imported are left out.
    """
    # A collection writes to every object it visits, and a page written to is copied for every job: so none
    # while we import, and never of what is imported by the first fork.
    gc.disable()
    for module in ("ctypes", *preload):  # ctypes: every job asks to die with us
        with suppress(BaseException):
            importlib.import_module(module)
    gc.freeze()
    Server(Channel(socket.socket(fileno=control))).serve()


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
