"""Prove that light commands load no heavy library, and time them and a run that has nothing to do."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from measuring import Target, ceiling, installed, report, take_turns, time_command, write_toy

ROUNDS = 15
HEAVY = {"lightgbm", "mlflow", "numpy", "pandas", "pyarrow", "scipy", "sklearn", "torch"}
# A process of its own carries the command out through the same entry, and then tells what it has imported.
TELLING = """\
import json, sys
from kagkit.cli import main
try:
    main(sys.argv[1:])
except SystemExit as end:
    print(json.dumps([end.code, sorted(sys.modules)]))
"""
COMMANDS = {
    "kagkit check": ("check",),
    "kagkit data verify": ("data", "verify"),
    "kagkit run, nothing to do": ("run", "boosting"),
}


def light(toy: Path, name: str) -> Target:
    """The command loads none of the heavy libraries."""
    command = (sys.executable, "-c", TELLING, *COMMANDS[name])
    ended = subprocess.run(command, cwd=toy, capture_output=True, text=True, check=True)
    code, modules = json.loads(ended.stdout.splitlines()[-1])
    loaded = ", ".join(sorted(HEAVY.intersection(modules)))
    return Target(f"{name}: loads no heavy library", loaded or "none", not loaded and code == 0)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        toy = Path(folder, "toy")
        write_toy(toy, rows=2_000, columns=20)
        (toy / "boosting.yaml").write_text("kagkit: 1\nrecipe: boosting.py\nargs: {rounds: 20}\n")
        time_command(installed("kagkit"), "run", "boosting", cwd=toy)
        actions = {
            name: lambda words=words: time_command(installed("kagkit"), *words, cwd=toy)
            for name, words in COMMANDS.items()
        }
        seconds = take_turns(actions, ROUNDS)
        targets = [light(toy, name) for name in COMMANDS]
    report("Light commands", seconds, [*targets, ceiling(seconds, "kagkit run, nothing to do", at_most=0.5)])


if __name__ == "__main__":
    main()
