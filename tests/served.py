"""A competition that is really hosted, and workspaces whose host it is."""

from __future__ import annotations

import csv
import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.faults import Proxy
from tests.terminal import kagkit
from tests.toy import make_workspace

SECRETS = ("KAGGLE_API_TOKEN", "KAGGLE_TOKEN", "KAGGLE_CONFIG_DIR", "VERBOSE", "VERBOSE_OUTPUT")
PROXIES = ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
PACE = 0.03
BALLAST = 400_000


@dataclass
class Served:
    """A hosted competition, with a proxy before it.

    Attributes:
        root: The host's folder.
        key: The participant's key.
        proxy: The proxy, whose address clients are given.
    """

    root: Path
    key: str
    process: subprocess.Popen[str]
    proxy: Proxy

    @property
    def variables(self) -> dict[str, str]:
        """What a client of it has in its environment."""
        return {
            "KAGKIT_KAGGLE_ENDPOINT": self.proxy.url,
            "KAGKIT_HOST_PACE": str(PACE),
            "KAGGLE_USERNAME": "participant",
            "KAGGLE_KEY": self.key,
            "HOME": str(self.root.parent / "home"),
        }

    def start(self) -> None:
        """Serve it, at the port the proxy asks for where it was served before."""
        self.process, self.proxy.upstream = _serve(self.root, 0)

    def stop(self) -> None:
        """End it as a pulled plug would."""
        self.process.kill()
        self.process.communicate()

    def taken(self) -> list[dict[str, Any]]:
        """The submissions that it accepted, from its own ledger."""
        lines = (self.root / "state/ledger.jsonl").read_text().splitlines()
        return [line for line in map(json.loads, lines) if line["event"] == "submission"]


@contextmanager
def serve(folder: Path) -> Iterator[Served]:
    """Host a competition of the toy's tables, with a file that is no table."""
    toy = make_workspace(folder / "toy")
    with (toy / "data/test.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    labelled = [{**row, "label": int(float(row["a"]) > 0)} for row in rows]
    with (folder / "labelled.csv").open("w", newline="") as stream:
        writer = csv.DictWriter(stream, list(labelled[0]))
        writer.writeheader()
        writer.writerows(labelled)
    (folder / "home").mkdir()
    words = ["host", "new", "toy-host", "--train", str(toy / "data/train.csv"), "--json"]
    words += ["--solution", "labelled.csv", "--metric", "accuracy", "--daily-limit", "100000"]
    made = kagkit(folder, *words).json
    root = folder / "toy-host"
    (root / "files/images").mkdir()
    (root / "files/images/scan.bin").write_bytes(random.Random(0).randbytes(BALLAST))
    process, port = _serve(root, 0)
    served = Served(root, made["keys"]["participant"], process, Proxy(port))
    try:
        yield served
    finally:
        served.proxy.close()
        served.stop()


def _serve(root: Path, port: int) -> tuple[subprocess.Popen[str], int]:
    words = ["host", "serve", root.name, "--port", str(port), "--json"]
    process = subprocess.Popen(
        [sys.executable, "-P", "-c", "from kagkit.cli import main; main()", *words],
        cwd=root.parent,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={name: value for name, value in os.environ.items() if name not in PROXIES},
    )
    assert process.stdout is not None
    return process, json.loads(process.stdout.readline())["port"]


def make_client(root: Path, seed: int) -> Path:
    """A workspace whose host it is, with a submission.csv that no other seed has."""
    make_workspace(root, competition="toy-host")
    sample = (root / "data/sample_submission.csv").read_text().splitlines()
    numbers = random.Random(seed)
    lines = [sample[0], *(f"{line.split(',')[0]},{numbers.randint(0, 1)}" for line in sample[1:])]
    (root / "submission.csv").write_text("\n".join(lines) + "\n")
    return root
