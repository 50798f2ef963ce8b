"""Time pinning and verifying 20,000 small files beside dvc and beside a plain Python loop that hashes them.

Every round has new folders with the same files: kagkit pins one with a cold cache and verifies it, dvc adds
the other to a new repository (without git) and asks for its status. The times are those of whole processes.
`dvc add` also copies the files into its cache, which is how it keeps a version; kagkit keeps digests, as
the plain loop makes them.
"""

from __future__ import annotations

import random
import shutil
import sys
import tempfile
import time
from pathlib import Path

from measuring import installed, report, speedup, take_turns, time_command

FILES, BYTES = 20_000, 4096
ROUNDS = 3
PIN, VERIFY = "kagkit data pin", "kagkit data verify"
ADD, STATUS = "dvc add", "dvc status"
COMPETITION = """\
kagkit: 1
competition: images
host: none
rows: {key: [image]}
metric: {score: kagkit.metrics:accuracy, greater_is_better: true}
submission: {target: [label]}
stages: {1: {train: train.csv, test: test.csv, files: [images]}}
"""
LOOP = """\
import hashlib, pathlib
for path in sorted(pathlib.Path("images").rglob("*.bin")):
    print(hashlib.sha256(path.read_bytes()).hexdigest(), path)
"""


def write_files(root: Path) -> None:
    """Files of random bytes in 20 folders, in the shape of a competition's images, and two small tables."""
    draw = random.Random(0)
    for number in range(FILES):
        path = root / "images" / f"{number % 20:02d}" / f"{number:05d}.bin"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(draw.randbytes(BYTES))
    (root / "competition.yaml").write_text(COMPETITION)
    (root / "train.csv").write_text("image,label\na,0\nb,1\n")
    (root / "test.csv").write_text("image\nc\n")


class Round:
    """One round's two folders: one for kagkit and the loop, one for dvc."""

    def __init__(self, source: Path, folder: Path) -> None:
        self._source = source
        self._ours = folder / "kagkit"
        self._dvc = folder / "dvc"
        self._env = {
            "HOME": str(folder / "home"),
            "DVC_NO_ANALYTICS": "1",
            "DVC_SITE_CACHE_DIR": str(folder / "site"),
            "DVC_GLOBAL_CONFIG_DIR": str(folder / "global"),
        }

    def loop(self) -> float:
        """The plain loop, after both folders were made anew."""
        for folder in self._ours, self._dvc:
            shutil.rmtree(folder, ignore_errors=True)
            shutil.copytree(self._source, folder)
        self._run_dvc("init", "--no-scm", "-q")
        self._run_dvc("config", "core.analytics", "false")
        time.sleep(1)  # files of this very moment are read again by whoever trusts times
        return time_command(sys.executable, "-c", LOOP, cwd=self._ours)

    def pin(self) -> float:
        """`kagkit data pin`, which has seen none of it."""
        return time_command(installed("kagkit"), "data", "pin", cwd=self._ours)

    def verify(self) -> float:
        """`kagkit data verify`, right after."""
        return time_command(installed("kagkit"), "data", "verify", cwd=self._ours)

    def add(self) -> float:
        """`dvc add`, which has seen none of it."""
        return self._run_dvc("add", "-q", "images")

    def status(self) -> float:
        """`dvc status`, right after."""
        return self._run_dvc("status")

    def _run_dvc(self, *words: str) -> float:
        return time_command(installed("dvc"), *words, cwd=self._dvc, env=self._env)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "source")
        write_files(source)
        turn = Round(source, Path(folder))
        actions = {
            "plain hashing loop": turn.loop,
            PIN: turn.pin,
            ADD: turn.add,
            VERIFY: turn.verify,
            STATUS: turn.status,
        }
        seconds = take_turns(actions, ROUNDS)
    report(
        f"{FILES:,} files of {BYTES:,} bytes",
        seconds,
        [speedup(seconds, PIN, ADD, at_least=10), speedup(seconds, VERIFY, STATUS, at_least=5)],
    )


if __name__ == "__main__":
    main()
