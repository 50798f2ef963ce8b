"""Time how long the command line takes to answer, beside click alone, dvc and the kaggle client."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from measuring import installed, ratio, report, take_turns, time_command

ROUNDS = 15
OURS = "kagkit --help"


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        # An empty home: without credentials the kaggle client does what it does on a new machine.
        home = {"HOME": folder, "XDG_CONFIG_HOME": str(Path(folder, ".config")), "DVC_NO_ANALYTICS": "1"}
        actions = {
            OURS: lambda: time_command(installed("kagkit"), "--help", env=home),
            "import click": lambda: time_command(sys.executable, "-c", "import click", env=home),
            "dvc --version": lambda: time_command(installed("dvc"), "--version", env=home),
            "kaggle --version": lambda: time_command(installed("kaggle"), "--version", env=home),
        }
        seconds = take_turns(actions, ROUNDS)
    targets = [
        ratio(seconds, OURS, "import click", at_most=2),
        ratio(seconds, OURS, "dvc --version", at_most=1),
        ratio(seconds, OURS, "kaggle --version", at_most=1),
    ]
    report("Starting", seconds, targets)


if __name__ == "__main__":
    main()
