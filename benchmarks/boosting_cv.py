"""Time a cross-validation of LightGBM beside a bare loop that does the same, on the same two cores.

Both read the same CSV files, make the same five folds, fit the same models, predict held-out and test rows,
write models, OOF and submission, and compute the same AUC; the scores are compared at the end. Each time is
that of a whole new process, imports included, and kagkit never saw the workspace before: it also pins the
data and writes its record. The bare loop fits one fold after another with two threads; kagkit fits two
folds beside each other with one thread each. The bare loop with one thread is shown too, because two
threads in lock-step suffer when something else runs here.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from measuring import Target, installed, make_new, ratio, report, take_turns, time_command, write_toy

BOOSTING_ROUNDS = 2000
ROUNDS = 3
OURS, TWO, ONE = "kagkit run, 2 x 1 thread", "bare loop, 2 threads", "bare loop, 1 thread"


def bare(toy: Path, threads: int, scores: set[float]) -> Callable[[], float]:
    """The bare loop with so many threads; notes its score."""

    def run() -> float:
        script = (sys.executable, "bare_boosting.py", str(threads), str(BOOSTING_ROUNDS))
        seconds = time_command(*script, cwd=toy, env={"OMP_NUM_THREADS": str(threads)})
        scores.add(json.loads((toy / "bare" / "cv.json").read_text()))
        return seconds

    return run


def ours(toy: Path, scores: set[float]) -> Callable[[], float]:
    """`kagkit run` in a workspace as good as new; notes its score."""

    def run() -> float:
        make_new(toy)
        seconds = time_command(installed("kagkit"), "run", "boosting", cwd=toy)
        (record,) = toy.glob("runs/boosting/*/record.json")
        scores.add(json.loads(record.read_text())["cv"])
        return seconds

    return run


def main() -> None:
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:2])
    scores: set[float] = set()
    with tempfile.TemporaryDirectory() as folder:
        toy = Path(folder, "toy")
        write_toy(toy, rows=20_000, columns=20)
        actions = {OURS: ours(toy, scores), TWO: bare(toy, 2, scores), ONE: bare(toy, 1, scores)}
        seconds = take_turns(actions, ROUNDS)
    spread = max(scores) - min(scores)
    targets = [
        ratio(seconds, OURS, TWO, at_most=1.15),
        ratio(seconds, OURS, ONE, at_most=1.15),
        Target("the same CV: they differ by at most 1e-9", f"{spread:.1e}", spread <= 1e-9),
    ]
    report("Cross-validation", seconds, targets)


if __name__ == "__main__":
    main()
