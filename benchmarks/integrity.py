"""Flip one bit of a run, five hundred times, anywhere: is it found each time?"""

from __future__ import annotations

import random
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from kagkit.judgement.inspection import inspect_run
from kagkit.workspace.layout import Workspace
from tests.mutations import finished_workspace
from tests.terminal import newest_run

FLIPS = 500


def main() -> None:
    rng, missed = random.Random(500), []
    with tempfile.TemporaryDirectory() as folder:
        root = finished_workspace(Path(folder))
        run = newest_run(root)
        files = sorted(path for path in run.rglob("*") if path.is_file())
        for _ in range(FLIPS):
            victim = rng.choice(files)
            whole = victim.read_bytes()
            at, bit = rng.randrange(len(whole)), 1 << rng.randrange(8)
            victim.write_bytes(whole[:at] + bytes([whole[at] ^ bit]) + whole[at + 1 :])
            problems = inspect_run(Workspace(root), run)
            if not any(victim.name in problem.where for problem in problems):
                missed.append((victim.name, at, bit))
            victim.write_bytes(whole)
    sys.stdout.write(f"{FLIPS} bits flipped in {len(files)} files, {FLIPS - len(missed)} found; {missed}\n")
    sys.exit(bool(missed))


if __name__ == "__main__":
    main()
