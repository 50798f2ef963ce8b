"""Random schedules of faults and kills over submissions and downloads, and what must be true afterwards."""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import signal
import threading
from dataclasses import dataclass, field
from pathlib import Path

from kagkit.foundation.files import file_sha256, read_json_lines
from tests.faults import Act, Fault, refusal
from tests.flows.zygote import Zygote
from tests.served import Served, make_client

RUNS = 12
# Requests that may fail, each with its weight.
SUBMITTING = {
    "GetSubmissionLimits": 1,
    "ListSubmissions": 2,
    "StartSubmissionUpload": 1,
    "uploads/": 2,
    "CreateSubmission": 4,
}
FETCHING = {"DownloadDataFiles": 1, "blobs/": 3}
ACTS: tuple[Act, ...] = (
    "answer",
    "drop",
    "accept and drop",
    "hang",
    "accept and hang",
    "cut",
    "trickle",
    "skew",
)
STATUSES = (401, 403, 404, 429, 500, 503)


@dataclass
class Story:
    """What happened in a schedule.

    Attributes:
        runs: The state, or exit code, that each command ended with.
        faults: How many faults were planned.
        kills: How many commands were killed.
        wrong: What is not as it must be.
    """

    runs: list[str] = field(default_factory=list)
    faults: int = 0
    kills: int = 0
    wrong: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Command:
    """A command to play: where, how often at once, and at which requests it may be killed."""

    root: Path
    words: list[str]
    twins: int
    kill_at: tuple[str, ...]


@dataclass
class Stage:
    """Where schedules are played: a host behind its proxy, and commands that start at once."""

    served: Served
    zygote: Zygote

    def submit(self, root: Path, seed: int) -> Story:
        """Submit a file under faults and kills until kagkit says that the host has it."""
        chance, story = random.Random(seed), Story()
        make_client(root, seed + 10**6)
        words = ["submit", "submission.csv", "--json"]
        for number in range(RUNS):
            calm = number >= RUNS // 2
            self._plan(chance, story, SUBMITTING, calm)
            twins = 1 if calm else chance.choice([1, 1, 1, 2])
            outputs = self._play(chance, story, Command(root, words, twins, () if calm else (*SUBMITTING,)))
            states = [_state(output) for output in outputs]
            story.runs += states
            if any("submitted" in state for state in states):
                break
        self.served.proxy.plan.clear()
        story.wrong += self._wrong_submission(root, outputs, story)
        return story

    def fetch(self, root: Path, seed: int) -> Story:
        """Fetch the data under faults and kills until kagkit says that they are here."""
        chance, story = random.Random(seed), Story()
        root.mkdir(parents=True)
        words = ["data", "download", "here", "--competition", "toy-host", "--json"]
        for number in range(RUNS):
            calm = number >= RUNS // 2
            self._plan(chance, story, FETCHING, calm)
            self._play(chance, story, Command(root, words, 1, () if calm else (*FETCHING,)))
            there = (root / "here").exists()
            whole = there and _digests(root / "here") == _digests(self.served.root / "files")
            story.runs.append("whole" if whole else "half" if there else "nothing")
            if there:
                break
        self.served.proxy.plan.clear()
        if story.runs[-1] != "whole":
            story.wrong.append(f"the data are {story.runs[-1]}")
        return story

    def _plan(self, chance: random.Random, story: Story, paths: dict[str, int], calm: bool) -> None:
        count = 0 if calm else chance.choice([0, 1, 1, 2, 3])
        weights = list(paths.values())
        self.served.proxy.plan = [_fault(chance, chance.choices([*paths], weights)[0]) for _ in range(count)]
        story.faults += count

    def _play(self, chance: random.Random, story: Story, command: Command) -> list[Path]:
        """Start a command, or two at once, and perhaps kill one of them; their outputs."""
        root = command.root
        outputs = [root.parent / f"{root.name}.{twin}.out" for twin in range(command.twins)]
        started = [
            self.zygote.start(root, self.served.variables, output, *command.words) for output in outputs
        ]
        if command.kill_at and chance.random() < 0.5:
            self._kill_some_time(chance, started[0], command.kill_at)
        codes = [self.zygote.wait(pid) for pid in started]
        self.served.proxy.watch = lambda path, phase: None
        story.kills += sum(code == -signal.SIGKILL for code in codes)
        return outputs

    def _kill_some_time(self, chance: random.Random, pid: int, paths: tuple[str, ...]) -> None:
        """Kill a command at a moment of the clock, or just before or after the host sees a request."""

        def kill() -> None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

        if chance.random() < 0.5:
            timer = threading.Timer(chance.uniform(0, 0.4), kill)
            timer.daemon = True
            timer.start()
            return
        wanted = chance.choice(paths), chance.choice(["before", "after"])

        def watch(path: str, phase: str) -> None:
            if re.search(wanted[0], path) and phase == wanted[1]:
                kill()

        self.served.proxy.watch = watch

    def _wrong_submission(self, root: Path, outputs: list[Path], story: Story) -> list[str]:
        sha256 = file_sha256(root / "submission.csv")
        taken = [line for line in self.served.taken() if f"kagkit:{sha256[:12]}" in line["description"]]
        if len(taken) != 1:
            return [f"the host took it {len(taken)} times"]
        told = {json.loads(output.read_text())["ref"] for output in outputs if "submitted" in _state(output)}
        noted = read_json_lines(root / "leaderboard.jsonl")
        refs = {line["ref"] for line in noted if line["event"] == "submitted"}
        uploaded = file_sha256(self.served.root / "state/uploads" / taken[0]["token"])
        return [
            *([f"told {told}, took {taken[0]['ref']}"] if told != {taken[0]["ref"]} else []),
            *([f"noted {refs}, took {taken[0]['ref']}"] if refs != {taken[0]["ref"]} else []),
            *(["another file arrived"] if uploaded != sha256 else []),
        ]


def _fault(chance: random.Random, path: str) -> Fault:
    act = chance.choice(("cut upload", "drop", "hang", "answer") if path == "uploads/" else ACTS)
    if act == "answer":
        shape = chance.choice(["flat", "nested", "html"])
        status = chance.choice(STATUSES)
        headers = {"Retry-After": "0"} if status == 429 else {}
        return refusal(path, status, "planned", shape, headers=headers)
    after = chance.choice([0, 1, 30, 70_000, 200_000])
    return Fault(path, act, after=min(after, 20) or 1 if act == "trickle" else after)


def _state(output: Path) -> str:
    try:
        told = json.loads(output.read_text())
    except (OSError, ValueError):
        return "killed"
    return str(told.get("state", told.get("error")))


def _digests(folder: Path) -> dict[str, str]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): file_sha256(path) for path in files}


def secrets_in(folder: Path, secret: str) -> list[str]:
    """The files below a folder that hold a secret."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return [path.name for path in files if secret.encode() in path.read_bytes()]
