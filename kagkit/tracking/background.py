"""Show runs in MLflow from a process of its own, so that no command waits for it or fails with it."""

from __future__ import annotations

import os
import subprocess
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from kagkit.engine.local import python_command
from kagkit.foundation.errors import KagkitError
from kagkit.foundation.files import held
from kagkit.runs.failing import scrub_log
from kagkit.tracking.database import folder_of
from kagkit.workspace.layout import Workspace

SWITCH = "KAGKIT_NO_MIRROR"
LOG, WANTED, LOCK = "log.txt", "wanted", "background.lock"
LOG_BYTES = 1 << 20
KINDNESS = 10  # a run that is going on comes first


def start_mirror(workspace: Workspace) -> None:
    """Have new runs and scores shown in MLflow, soon and without waiting for it.

    Whatever goes wrong there is told in `.kagkit/mlflow/log.txt`, and done by the next command that calls
    this, by `kagkit ui` or by `kagkit track sync`. With KAGKIT_NO_MIRROR=1 nothing is started.
    """
    if workspace.smoke or os.environ.get(SWITCH):
        return
    folder = folder_of(workspace)
    with suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / WANTED).touch()
        with (folder / LOG).open("ab") as log:
            process = subprocess.Popen(
                python_command("kagkit.tracking.background"),
                cwd=workspace.root,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        process.returncode = 0  # it is on its own now, and nobody waits for it


@contextmanager
def taking_over(workspace: Workspace) -> Iterator[None]:
    """Show in a `with` block what is wanted in the usual store; it stays wanted where that fails."""
    wanted = folder_of(workspace) / WANTED
    with suppress(OSError):
        wanted.unlink(missing_ok=True)  # first: what is wanted from now on may come too late
    try:
        yield
    except BaseException:
        with suppress(OSError):
            wanted.touch()
        raise


def show_what_is_wanted(workspace: Workspace) -> None:
    """Show runs until none is wanted, unless another process is at it, which then shows ours too."""
    folder = folder_of(workspace)
    # Whoever ends looks once more after letting go: what was wanted meanwhile found the lock held.
    while (folder / WANTED).exists():
        try:
            with held(folder / LOCK, wait_seconds=0.0):
                if not _show(workspace, folder / LOG):
                    return
        except TimeoutError:
            return


def _show(workspace: Workspace, log: Path) -> bool:
    """Whether all could be shown but for runs that cannot be read."""
    # Whoever only starts this process needs none of it.
    from kagkit.tracking.mirror import sync_runs
    from kagkit.tracking.store import choose_store

    if log.exists() and log.stat().st_size > LOG_BYTES:
        os.truncate(log, 0)
    shown = False
    try:
        with taking_over(workspace):
            synced = sync_runs(workspace, choose_store(workspace))
        told = [f"shown: {', '.join(synced.shown) or 'nothing new'} ({synced.seconds:.1f} s)"]
        told += [str(problem) for problem in synced.problems]
        _say("\n".join(told))
        shown = True
    except KagkitError as error:
        _say(str(error))
    except Exception:
        _say(traceback.format_exc())
    scrub_log(log, workspace.root)
    return shown


def _say(text: str) -> None:
    sys.stdout.write(f"{datetime.now(UTC).isoformat(timespec='seconds')} {text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    with suppress(AttributeError, OSError):
        os.nice(KINDNESS)
    show_what_is_wanted(Workspace(Path.cwd()))
