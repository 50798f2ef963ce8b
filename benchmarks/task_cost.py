"""Find what kagkit itself costs for each torch task, beside a bare loop that does the same work.

toy/network.py trains a small network on each of five folds and predicts two row sets with each: fifteen
tasks. Its functions measure their own work, from the rows they are handed to the values they give back. The
rest of the wall time of `kagkit run`, in a workspace it never saw before, is start, imports, data, folds,
processes, files and record. The bare loop does the same work in one process, and its rest is the start of
Python, the import of the same libraries, reading, splitting, scoring and writing, once:

    cost of a task = (the rest of `kagkit run` - the rest of the bare loop) / 15

A task asks for all cores, so that tasks run one after another and wall times add up; its work uses one.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path

from measuring import ceiling, installed, make_new, report, take_turns, time_command, write_toy

STEPS, TASKS = 100, 15
ROUNDS = 7
OURS, BARE, COST = "kagkit run, beside the work", "bare loop, beside the work", "a torch task"
MANIFEST = """\
kagkit: 1
recipe: network.py
args: {{steps: {steps}}}
resources: {{cpus: {cores}}}
"""


def bare(toy: Path) -> float:
    """What the bare loop takes beside its own work, in seconds."""
    wall = time_command(sys.executable, "bare_network.py", str(STEPS), cwd=toy)
    return wall - float(json.loads((toy / "bare" / "told.json").read_text())["own_seconds"])


def ours(toy: Path) -> float:
    """What kagkit takes beside the recipe's own work, in seconds, in a workspace as good as new."""
    make_new(toy)
    wall = time_command(installed("kagkit"), "run", "network", cwd=toy)
    logs = [log.read_text().splitlines() for log in toy.glob("runs/.tasks/*/events.jsonl")]
    told = [event for lines in logs for event in map(json.loads, lines) if event["event"] == "log"]
    assert len(told) == TASKS
    return wall - sum(float(event["values"]["own_seconds"]) for event in told)


def main() -> None:
    cores = len(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory() as folder:
        toy = Path(folder, "toy")
        write_toy(toy, rows=2_000, columns=20)
        (toy / "network.yaml").write_text(MANIFEST.format(steps=STEPS, cores=cores))
        seconds = take_turns({OURS: lambda: ours(toy), BARE: lambda: bare(toy)}, ROUNDS)
    pairs = zip(seconds[OURS], seconds[BARE], strict=True)
    seconds[COST] = [(mine - its) / TASKS for mine, its in pairs]
    report("The cost of a task", seconds, [ceiling(seconds, COST, at_most=0.25)])


if __name__ == "__main__":
    main()
