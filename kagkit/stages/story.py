"""Play a whole competition of two stages on this machine, command by command, as people would type it."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

from kagkit.engine.local import die_with, end_groups
from kagkit.foundation.errors import ManifestError, Problem, RunError
from kagkit.foundation.files import write_file

EXAMPLE = "pneumothorax"
SOURCES = (".py", ".yaml")
PROGRAMS = {
    "kagkit": [sys.executable, "-P", "-c", "from kagkit.cli import main; main()"],
    "kaggle": [sys.executable, "-P", "-c", "from kaggle.cli import main; main()"],
    "python": [sys.executable],
}
PATIENCE = 10.0  # seconds that a command has to end in peace
TAIL = 20  # lines of a failed command that are told


@dataclass(frozen=True)
class Act:
    """A command of the story.

    Attributes:
        step: What it is for.
        command: As it is typed.
        tells: Whether it gives facts with `--json`.
    """

    step: str
    command: str
    tells: bool = False


@dataclass(frozen=True)
class Typed:
    """A command that begins now; a shell's own are told and not run."""

    command: str


@dataclass(frozen=True)
class Printed:
    """What a command printed that goes on in the background."""

    text: str


@dataclass(frozen=True)
class Played:
    """A command that has ended well.

    Attributes:
        act: The command.
        seconds: What it took.
        told: What it told as JSON; None where it was not asked to.
    """

    act: Act
    seconds: float
    told: Any = None


OPENING = Act("host", "python make_data.py --host ../host")
SERVING = Act("host", "kagkit host serve ../host --port 0 --json")
ACTS = (
    Act("download", "kaggle competitions download pneumothorax -p .. --quiet"),
    Act("download", "python -m zipfile -e ../pneumothorax.zip data"),
    Act("run", "kagkit run FINAL"),
    Act("submit", "kagkit package FINAL"),
    Act("submit", "kagkit submit FINAL -m 'both, blended' --wait"),
    Act("submit", "kagkit submit unet -m 'the U-Net alone' --wait"),
    Act("compare", "kagkit compare"),
    Act("freeze", "kagkit freeze FINAL.yaml"),
    Act("release", "kagkit host next-stage ../host"),
    Act("release", "kagkit data download"),
    Act("safe", "kagkit stage2"),
    Act("safe", "kagkit submit FINAL-s1 -m 'the safe file'"),
    Act("retrain", "kagkit stage2 --plan"),
    Act("retrain", "kagkit stage2 --retrain", tells=True),
    Act("check", "kagkit check submissions/FINAL-s2-001/submission.csv"),
    Act("submit", "kagkit submit FINAL-s2 -m 'what was decided' --wait"),
    Act("close", "kagkit host close ../host"),
    Act("board", "kagkit lb sync", tells=True),
)


@dataclass
class Stage:
    """Where the story is played.

    Attributes:
        folder: The folder of both, `host/` and the participant's workspace.
        silent: Whether commands that can give their facts as JSON do, and the others print nothing.
        environment: What commands find in their environment.
    """

    folder: Path
    silent: bool
    environment: dict[str, str] = field(default_factory=lambda: _neutral(os.environ))

    @property
    def workspace(self) -> Path:
        """The participant's workspace."""
        return self.folder / EXAMPLE

    def play(self, acts: tuple[Act, ...] = ACTS) -> Iterator[Typed | Printed | Played]:
        """Play the story from an empty folder on.

        Args:
            acts: What is typed once the competition is served.

        Yields:
            What is typed, and how it went. Without `silent` a command prints where this process does.

        Raises:
            ManifestError: The folder is in use.
            RunError: A command failed, or the example is not there.
        """
        if self.folder.exists() and any(self.folder.iterdir()):
            problem = Problem(self.folder.name, "is there already", "a new or empty folder")
            raise ManifestError("the demo is not played", [problem])
        for source in find_example():
            write_file(self.workspace / source.name, source.read_bytes())
        yield from self._do(OPENING)
        with self._served() as url:
            yield Typed(f"{SERVING.command} &")
            yield Printed(json.dumps(url))
            yield from self._settle(url["url"])
            for act in acts:
                yield from self._do(act)

    def _settle(self, url: str) -> Iterator[Typed]:
        """What a participant's shell is told: where the host is, and who asks."""
        given = {
            "KAGKIT_KAGGLE_ENDPOINT": url,
            "KAGGLE_API_ENVIRONMENT": "LOCALHOST",
            "http_proxy": url,
        }
        secret = (self.folder / "host/participant.env").read_text(encoding="utf-8")
        key = secret.strip().removeprefix("export ").split("=", 1)
        self.environment |= given | dict([key])
        yield Typed("export " + " ".join(f"{name}={value}" for name, value in given.items()))
        yield Typed(". ../host/participant.env")

    def _do(self, act: Act) -> Iterator[Typed | Played]:
        asked = self.silent and act.tells
        command = f"{act.command} --json" if asked else act.command
        yield Typed(command)
        began = time.monotonic()
        printed = self._run(command)
        told = json.loads(printed) if asked else None
        yield Played(Act(act.step, command, act.tells), round(time.monotonic() - began, 3), told)

    def _run(self, command: str) -> str:
        """Run a command to its end; what it printed, which is nothing where it printed to the screen."""
        with self._started(command, subprocess.PIPE if self.silent else None) as process:
            printed, faults = process.communicate()
        if process.returncode:
            lines = "\n".join([printed or "", faults or ""]).strip().splitlines()[-TAIL:]
            found = "\n".join([f"exit code {process.returncode}", *lines])
            raise RunError("the demo stops here", [Problem(command, found)])
        return printed or ""

    @contextmanager
    def _served(self) -> Iterator[dict[str, Any]]:
        """The host at work, with what it printed when it began."""
        with self._started(SERVING.command, subprocess.PIPE) as process:
            assert process.stdout is not None  # noqa: S101 (it is a pipe)
            line = process.stdout.readline()
            if not line:
                found = f"exit code {process.wait()}"
                raise RunError("the demo stops here", [Problem(SERVING.command, found)])
            yield json.loads(line)

    @contextmanager
    def _started(self, command: str, output: int | None) -> Iterator[subprocess.Popen[str]]:
        """A command at work in a session of its own; whatever happens, it ends with this block.

        Ctrl-C reaches this process alone, and is passed on once: a command that has one ends in peace.
        """
        program, *words = shlex.split(command)
        process = subprocess.Popen(
            [*PROGRAMS[program], *words],
            cwd=self.workspace,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            text=True,
            start_new_session=True,
            preexec_fn=partial(die_with, os.getpid()),
        )
        try:
            yield process
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
                with suppress(subprocess.TimeoutExpired):
                    process.wait(PATIENCE)
            end_groups(lambda: [process.pid] if process.poll() is None else [])
            for stream in (process.stdout, process.stderr):
                if stream is not None:
                    stream.close()


def find_example() -> list[Path]:
    """The files of the example: beside the package in a checkout, where pip put them elsewhere.

    Raises:
        RunError: They are not there.
    """
    checkout = Path(__file__).parents[2] / "experiments" / EXAMPLE
    inside = f"experiments/{EXAMPLE}/"
    files = () if checkout.is_dir() else (metadata.files("kagkit") or ())
    placed = [Path(str(file.locate())) for file in files if inside in file.as_posix()]
    found = sorted(path for path in (placed or checkout.glob("*")) if path.suffix in SOURCES)
    if not found:
        raise RunError("the demo cannot be played", [Problem(inside, "not installed with kagkit")])
    return found


def _neutral(environment: Mapping[str, str]) -> dict[str, str]:
    """An environment in which the demo's own host is the only one there is, and nobody is shown a run."""
    foreign = ("KAGGLE_", "KAGKIT_", "MLFLOW_")
    kept = {
        name: value
        for name, value in environment.items()
        if not name.startswith(foreign) and not name.lower().endswith("_proxy")
    }
    return kept | {"KAGKIT_NO_MIRROR": "1"}
