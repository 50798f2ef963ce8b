"""Time ours and the peer's in turns, show both in one table, say which targets are met.

Every round does everything once, so that a busy machine slows both sides down. A ratio is the median over
the rounds of ours and the peer's in the same round. One round before the first warms caches and is dropped:
it also compiles all modules, ours and the peers', as installing them would have done.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

TOY = Path(__file__).parent / "toy"
BYTE_CODE = tempfile.TemporaryDirectory()

Action = Callable[[], float]
Seconds = Mapping[str, Sequence[float]]


@dataclass(frozen=True)
class Target:
    """What was promised, what was found, and whether that is good enough."""

    promise: str
    found: str
    met: bool


def installed(name: str) -> str:
    """The command of this name that is installed beside the Python that runs the benchmark."""
    path = Path(sys.executable).with_name(name)
    if not path.exists():
        sys.exit(f"{name} is not installed: pip install -e '.[bench]'")
    return str(path)


def time_command(*command: str, cwd: Path | None = None, env: Mapping[str, str] | None = None) -> float:
    """Seconds from a command's start to its end, with further environment variables; it must succeed."""
    compiled = {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": BYTE_CODE.name}
    environment = {**os.environ, **compiled, **(env or {})}
    began = time.perf_counter()
    ended = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True)
    seconds = time.perf_counter() - began
    if ended.returncode:
        sys.exit(f"{' '.join(command)} ended with {ended.returncode}\n{ended.stdout}{ended.stderr}")
    return seconds


def write_toy(root: Path, rows: int, columns: int) -> None:
    """Copy the workspace `toy`, with tables of so many columns and training rows, half as many test rows."""
    import numpy as np
    import pandas as pd

    shutil.copytree(TOY, root, ignore=shutil.ignore_patterns("__pycache__"))
    draw = np.random.default_rng(0)
    values = draw.normal(size=(rows + rows // 2, columns)).round(6)
    odds = values[:, 0] + values[:, 1] * values[:, 2] + np.sin(3 * values[:, 3])
    names = pd.Index([f"row{number:07d}" for number in range(len(values))], name="row_id")
    table = pd.DataFrame(values, names, [f"feature{place}" for place in range(columns)])
    target = pd.Series((odds + draw.normal(size=len(odds)) > 0).astype(int), names, name="target")
    table[:rows].join(target).to_csv(root / "train.csv")
    table[rows:].to_csv(root / "test.csv")
    target[rows:].mul(0).to_csv(root / "sample_submission.csv")


def make_new(root: Path) -> None:
    """Remove all that kagkit made in a workspace: runs, folds, pins and caches."""
    for made in ("runs", "folds", "locks", ".kagkit"):
        shutil.rmtree(root / made, ignore_errors=True)
    (root / "data.lock.yaml").unlink(missing_ok=True)


def take_turns(actions: Mapping[str, Action], rounds: int) -> dict[str, list[float]]:
    """Do every action once a round, and keep the seconds that each returned, without a first round."""
    turns = [{name: action() for name, action in actions.items()} for _ in range(1 + rounds)]
    return {name: [turn[name] for turn in turns[1:]] for name in actions}


def ratio(seconds: Seconds, ours: str, peer: str, at_most: float) -> Target:
    """Ours takes at most so many times as long as the peer."""
    times = statistics.median(mine / its for mine, its in zip(seconds[ours], seconds[peer], strict=True))
    return Target(f"{ours}: at most {at_most:g} x {peer}", f"{times:.2f} x", times <= at_most)


def speedup(seconds: Seconds, ours: str, peer: str, at_least: float) -> Target:
    """Ours is at least so many times as fast as the peer."""
    times = statistics.median(its / mine for mine, its in zip(seconds[ours], seconds[peer], strict=True))
    return Target(f"{ours}: at least {at_least:g} times as fast as {peer}", f"{times:.1f}", times >= at_least)


def ceiling(seconds: Seconds, ours: str, at_most: float) -> Target:
    """Ours takes at most so many seconds."""
    found = statistics.median(seconds[ours])
    return Target(f"{ours}: at most {at_most:g} s", f"{found:.3f} s", found <= at_most)


def report(title: str, seconds: Seconds, targets: Sequence[Target]) -> None:
    """Print what was measured and what was promised; leave with exit code 1 where a target is missed."""
    rounds = len(next(iter(seconds.values())))
    cores = len(os.sched_getaffinity(0))
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    print(f"{title}: {rounds} rounds on {cores} cores; load average of 1, 5, 15 minutes: {load}\n")
    summaries = {name: (statistics.median(found), min(found), max(found)) for name, found in seconds.items()}
    _draw(
        ["seconds", "median", "least", "most"],
        [[name, *(f"{value:.3f}" for value in summary)] for name, summary in summaries.items()],
    )
    _draw(
        ["target", "found", ""],
        [[target.promise, target.found, "met" if target.met else "MISSED"] for target in targets],
    )
    sys.exit(0 if all(target.met for target in targets) else 1)


def _draw(head: list[str], rows: list[list[str]]) -> None:
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    for name, *cells in [head, ["-" * width for width in widths], *rows]:
        padded = [cell.rjust(width) for cell, width in zip(cells, widths[1:], strict=True)]
        print("  ".join([name.ljust(widths[0]), *padded]).rstrip())
    print()
