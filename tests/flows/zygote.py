"""Kagkit's commands as processes that start at once: one that has imported everything forks for each of them.

It reads a line of JSON and answers with one: `{"words": …}` starts a command and gives its process id,
`{"wait": pid}` gives the exit code.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Self


class Zygote:
    """The process that forks, and what can be asked of it."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.flows.zygote"],
            cwd=Path(__file__).parents[2],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.communicate()

    def start(self, root: Path, variables: dict[str, str], output: Path, *words: str) -> int:
        """Start a command in a folder; what it prints goes to a file. Returns its process id."""
        return self._ask(words=words, root=str(root), variables=variables, output=str(output))

    def wait(self, pid: int) -> int:
        """The exit code of a command, when it has ended; negative where a signal ended it."""
        return self._ask(wait=pid)

    def _ask(self, **asked: Any) -> int:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(asked) + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())


def serve() -> None:
    """Fork a command for each line of standard input that asks for one."""
    import pandas as pd  # noqa: F401

    from kagkit.cli import data_command, lb_command, main, submit_command  # noqa: F401
    from kagkit.host import awaiting, door, downloading, submitting, syncing  # noqa: F401

    door._client_class()
    for line in sys.stdin:
        asked = json.loads(line)
        if "wait" in asked:
            _, status = os.waitpid(asked["wait"], 0)
            told = os.waitstatus_to_exitcode(status)
        else:
            told = os.fork()
            if told == 0:
                _become(asked)
                main(asked["words"])
        sys.stdout.write(f"{told}\n")
        sys.stdout.flush()


def _become(asked: dict[str, Any]) -> None:
    output = os.open(asked["output"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(output, 1)
    os.dup2(os.open(asked["output"] + ".err", os.O_WRONLY | os.O_CREAT | os.O_APPEND), 2)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.chdir(asked["root"])
    os.environ.update(asked["variables"])


if __name__ == "__main__":
    serve()
