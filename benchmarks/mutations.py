"""Harm ten thousand files of a workspace at random: is each answered well or refused in words, and fast?"""

from __future__ import annotations

import collections
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.mutations import ANSWERS, answer, finished_workspace, harms, is_found, list_commands

COUNT = 10_000


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else COUNT
    faults, slow, longest = [], 0, 0.0
    codes: collections.Counter[int] = collections.Counter()
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        root = finished_workspace(Path(folder))
        aside = root.with_name("aside")
        outside = {path.name for path in Path(folder).iterdir()}
        commands = [(name, command) for name, command in list_commands(root) if name != "folds/main.csv"]
        for turn, (name, command) in enumerate(commands):
            for harm in harms(root, [name], seed=turn, count=count // len(commands)):
                try:
                    ended, seconds = answer(root, harm, command, aside)
                except TimeoutError:
                    slow += 1
                    continue
                codes[ended.code] += 1
                longest = max(longest, seconds)
                found = is_found(harm, ended, command, aside)
                if not found or ended.code not in ANSWERS or "Traceback" in ended.err:
                    faults.append((command, harm, ended.err[-300:]))
        strays = {path.name for path in Path(folder).iterdir()} - outside
    for fault in faults[:10]:
        sys.stdout.write(f"{fault}\n")
    told = ", ".join(f"exit {code}: {number:,}" for code, number in sorted(codes.items()))
    sys.stdout.write(f"{sum(codes.values()):,} harmed files in {time.monotonic() - began:.0f} s: {told}\n")
    sys.stdout.write(
        f"faults {len(faults)}, stopped as too slow {slow}, longest {longest:.2f} s, strays {strays}\n"
    )
    sys.exit(bool(faults or slow or strays))


if __name__ == "__main__":
    main()
