"""The workspaces under experiments/, copied as they are committed, with data made by their own scripts."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.floors import ROOT


def copy_example(name: str, folder: Path) -> Path:
    """Make a folder a workspace like `experiments/NAME`. Returns `folder`."""
    sources = ROOT / "experiments" / name
    folder.mkdir(parents=True, exist_ok=True)
    for source in (*sources.glob("*.py"), *sources.glob("*.yaml")):
        (folder / source.name).write_bytes(source.read_bytes())
    subprocess.run([sys.executable, "make_data.py"], cwd=folder, check=True, capture_output=True)
    return folder
