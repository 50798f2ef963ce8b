"""Let commands say that they are at work in a workspace, so that nothing is cleaned away under them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from itertools import count
from pathlib import Path

from kagkit.foundation.errors import Problem, RunError
from kagkit.foundation.files import held
from kagkit.workspace.layout import Workspace

CLEANING, PLACE = "cleaning.lock", "at-work-"


@contextmanager
def at_work(workspace: Workspace) -> Iterator[None]:
    """Be at work in a workspace while the block runs; waits until a clean that goes on is over.

    Each command takes a lock of its own, the first that is free, which is free again when it dies.
    """
    folder = workspace.for_smoke(smoke=False).work
    with ExitStack() as stack:
        with held(folder / CLEANING):
            _take_place(folder, stack)
        yield


@contextmanager
def alone_in(workspace: Workspace) -> Iterator[None]:
    """Be alone in a workspace while the block runs: one clean at a time, and no run beside it.

    Raises:
        RunError: A command is at work.
    """
    folder = workspace.for_smoke(smoke=False).work
    with held(folder / CLEANING):
        for lock in sorted(folder.glob(f"{PLACE}*.lock")):
            try:
                with held(lock, wait_seconds=0.0):
                    pass
            except TimeoutError:
                hint = "wait until it is done, or stop it; kagkit status says what runs"
                problem = Problem("this workspace", "a kagkit command is at work", hint=hint)
                raise RunError("nothing was cleaned", [problem]) from None
        yield


def _take_place(folder: Path, stack: ExitStack) -> None:
    for number in count():
        with suppress(TimeoutError):
            stack.enter_context(held(folder / f"{PLACE}{number}.lock", wait_seconds=0.0))
            return
