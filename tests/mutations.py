"""Harm files of a workspace at random, and hold that every command answers: well, or with a clear error."""

from __future__ import annotations

import random
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from tests.terminal import Ended, kagkit, newest_run
from tests.toy import make_workspace, write_manifest

# What kagkit may answer: anything but 1, which is a fault of its own.
ANSWERS = (0, 2, 3, 4, 5, 7)
LONGEST_SECONDS = 10.0
WORDS = (
    b"null", b"-1", b"1e999", b"nan", b"[]", b"{}", b"''", b"!!python/object:os.system", b"&a [*a]", b"\xff",
    b"\x00", b"../../etc/passwd", b"/etc/passwd", b"true", b"9" * 400, b": ", b"- ", b"\t", b"#", b"\r\n",
    b"seeds", b"folds", b"kagkit", b"{a: {b: {c: 1}}}", "ä\u202e漢".encode(), b'"', b"exp001/1", b"0x10",
)  # fmt: skip


def finished_workspace(folder: Path) -> Path:
    """A workspace with a run, a package and a score, and a damaged run; an untouched copy of it, `aside`."""
    root = make_workspace(folder / "toy", folds={"main": {"n": 2}})
    kagkit(root, "run", "exp001")
    kagkit(root, "package", "exp001")
    kagkit(root, "lb", "add", "exp001", "--public", "0.5")
    write_manifest(root, "exp002")
    kagkit(root, "run", "exp002")
    (newest_run(root, "exp002") / "submission.csv").write_text("damaged")
    shutil.copytree(root, root.with_name("aside"))
    return root


def list_commands(root: Path) -> list[tuple[str, tuple[str, ...]]]:
    """Files to harm, each with a command that reads it."""
    run, other = (newest_run(root, name).relative_to(root).as_posix() for name in ("exp001", "exp002"))
    submission = "submissions/exp001-001/submission.csv"
    plan, add = ("run", "exp001", "--dry-run"), ("lb", "add", "exp001", "--public", "0.5")
    return [
        *[("exp001.yaml", command) for command in (plan, ("check",))],
        *[("competition.yaml", command) for command in (plan, ("check",))],
        *[(f"{run}/record.json", command) for command in (plan, ("compare",), ("check", run))],
        *[("leaderboard.jsonl", command) for command in (add, ("compare",))],
        ("submissions/exp001-001/provenance.json", ("check", other)),
        *[(submission, command) for command in (("check", submission), ("package", "exp001"))],
        *[("data.lock.yaml", command) for command in (("check",), ("data", "verify"))],
        ("folds/main.csv", plan),
    ]


@dataclass(frozen=True)
class Harm:
    """One file, changed: what it is called and what it holds now."""

    name: str
    content: bytes


def harms(root: Path, names: list[str], seed: int, count: int) -> Iterator[Harm]:
    """So many harms, each to one of the files, always the same for a seed."""
    rng = random.Random(seed)
    originals = {name: (root / name).read_bytes() for name in names}
    for _ in range(count):
        name = rng.choice(names)
        content = originals[name]
        for _ in range(rng.choice((1, 1, 2, 4))):
            content = rng.choice(MUTATORS)(rng, content)
        yield Harm(name, content)


def answer(root: Path, harm: Harm, command: tuple[str, ...], aside: Path) -> tuple[Ended, float]:
    """Run a command on the harmed workspace and mend it again; how it ended, and after how many seconds.

    Seconds are those of the processor, so that a busy machine makes no command slow; a command that wants
    more than `LONGEST_SECONDS` of them is stopped.

    Raises:
        TimeoutError: It was stopped.
    """
    began = time.process_time()
    (root / harm.name).write_bytes(harm.content)
    try:
        with _stopped_after(LONGEST_SECONDS):
            ended = kagkit(root, *command, code=None)
    finally:
        shutil.copyfile(aside / harm.name, root / harm.name)
    return ended, time.process_time() - began


@contextmanager
def _stopped_after(seconds: float) -> Iterator[None]:
    def stop(_number: int, _frame: FrameType | None) -> None:
        raise TimeoutError(f"more than {seconds:g} seconds of the processor")

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def is_found(harm: Harm, ended: Ended, command: tuple[str, ...], aside: Path) -> bool:
    """Whether `check`, which promises it, found a record of which any byte is another."""
    if command[0] != "check" or not harm.name.endswith("record.json"):
        return True
    same = harm.content == (aside / harm.name).read_bytes()
    return ended.code == (0 if same else 7)


def _flip(rng: random.Random, content: bytes) -> bytes:
    if not content:
        return content
    at = rng.randrange(len(content))
    return content[:at] + bytes([content[at] ^ (1 << rng.randrange(8))]) + content[at + 1 :]


def _cut(rng: random.Random, content: bytes) -> bytes:
    return content[: rng.randrange(len(content) + 1)]


def _insert(rng: random.Random, content: bytes) -> bytes:
    at = rng.randrange(len(content) + 1)
    return content[:at] + rng.choice(WORDS) + content[at:]


def _replace(rng: random.Random, content: bytes) -> bytes:
    """One word for another, where a value stands."""
    places = [at for at, byte in enumerate(content) if byte in b":,[ "]
    if not places:
        return content
    at = rng.choice(places) + 1
    end = next((i for i in range(at + 1, len(content)) if content[i] in b",]}\n"), len(content))
    return content[:at] + b" " + rng.choice(WORDS) + content[end:]


def _drop_line(rng: random.Random, content: bytes) -> bytes:
    lines = content.splitlines(keepends=True)
    if lines:
        del lines[rng.randrange(len(lines))]
    return b"".join(lines)


def _repeat_line(rng: random.Random, content: bytes) -> bytes:
    lines = content.splitlines(keepends=True)
    if lines:
        lines.insert(rng.randrange(len(lines) + 1), rng.choice(lines))
    return b"".join(lines)


def _swap_lines(rng: random.Random, content: bytes) -> bytes:
    lines = content.splitlines(keepends=True)
    rng.shuffle(lines)
    return b"".join(lines)


MUTATORS: tuple[Callable[[random.Random, bytes], bytes], ...] = (
    _flip, _cut, _insert, _replace, _replace, _drop_line, _repeat_line, _swap_lines,
)  # fmt: skip
