"""Run a program inside a job: its output goes to the job's log, it ends with the job, its end is told."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from kagkit.engine.local import die_with


def run_program(words: Sequence[str], cwd: Path, env: Mapping[str, str]) -> int:
    """Run a program to its end, without a shell.

    It is of this process's group, so that a cancelled job takes it along; on Linux it also dies with this
    process, however that ends.

    Args:
        words: The program and its arguments.
        cwd: The folder it runs in.
        env: Variables added to this process's own.

    Returns:
        Its exit code; the negative of a signal's number where a signal ended it.

    Raises:
        OSError: It cannot be started.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    process = subprocess.Popen(
        words,
        cwd=cwd,
        env={**os.environ, **env},
        stdin=subprocess.DEVNULL,
        # Windows takes none, and macOS has nothing of the kind.
        preexec_fn=partial(die_with, os.getpid()) if sys.platform == "linux" else None,
    )
    try:
        return process.wait()
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def ending_of(returncode: int) -> str:
    """How a program ended, in words.

    Example:
        >>> ending_of(3), ending_of(-9)
        ('exit code 3', 'ended by SIGKILL, out of memory perhaps')
    """
    if returncode >= 0:
        return f"exit code {returncode}"
    name = signal.Signals(-returncode).name if -returncode in {*signal.Signals} else f"signal {-returncode}"
    return f"ended by {name}" + (", out of memory perhaps" if -returncode == signal.SIGKILL else "")
