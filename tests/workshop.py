"""A workshop for tests: a recipe that trains in steps, kagkit in processes of its own, what they leave."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from kagkit.foundation.files import file_sha256
from kagkit.runs.choices import Planned
from kagkit.runs.material import make_material, rows_key
from kagkit.runs.pinning import settle_data
from kagkit.runs.planner import Planner
from kagkit.workspace.layout import Workspace
from tests.patience import PATIENCE, wait_for
from tests.toy import make_workspace, write_manifest, write_recipe

FOLDS = {"main": {"scheme": "stratified", "n": 3}}
STEPS = '''"""Fit a line in steps, each kept in the checkpoint; what is done is noted in a diary outside."""

import io
import json
import os
import time

import numpy as np
import pandas as pd

from kagkit.foundation.files import write_file


def note(task, event, **facts):
    facts |= {"event": event, "pid": os.getpid(), "seed": task.seed, "fold": task.fold}
    facts |= {"time": time.monotonic(), "gpus": os.environ["CUDA_VISIBLE_DEVICES"]}
    with open(os.environ["TOY_DIARY"], "a") as diary:
        diary.write(json.dumps(facts) + "\\n")


def rest():
    time.sleep(float(os.environ["TOY_PAUSE"]))


def features(rows):
    return rows[["a", "b", "c"]].to_numpy()


def guess(x, weights):
    return 1 / (1 + np.exp(-x @ weights))


def train(task, *, steps=20, rate=0.1):
    x, y = features(task.train_rows), task.train_rows["label"].to_numpy()
    state = task.checkpoint / "state.npy"
    kept = np.load(state) if state.exists() else np.zeros(4)
    first, weights = int(kept[0]), kept[1:]
    note(task, "train", first=first)
    for step in range(first, steps):
        batch = np.random.default_rng([task.seed, step]).integers(len(x), size=8)
        weights = weights - rate * (guess(x[batch], weights) - y[batch]) @ x[batch]
        stream = io.BytesIO()
        np.save(stream, np.r_[step + 1, weights])
        write_file(state, stream.getvalue())
        rest()
    np.save(task.out / "weights.npy", weights)
    note(task, "trained")


def predict(task, model, rows):
    note(task, "predict")
    rest()
    label = guess(features(rows), np.load(model / "weights.npy"))
    note(task, "predicted")
    return pd.DataFrame({"label": label}, index=rows.index)
'''


@dataclass(frozen=True)
class Workshop:
    """A workspace of three folds, kagkit at work in it, and the diary its recipe keeps beside it.

    Leaving its `with` block kills whatever is still at work.

    Attributes:
        root: The workspace.
        pause: Seconds that a step of training, or a prediction, takes.
    """

    root: Path
    pause: float = 0.0

    @classmethod
    def open(cls, root: Path, *, pause: float = 0.0, recipe: str = STEPS, **manifest: Any) -> Self:
        """A new workspace with the manifest exp001."""
        make_workspace(root, folds=FOLDS)
        write_recipe(root, "steps.py", recipe)
        write_manifest(root, recipe="steps.py", **manifest)
        return cls(root, pause)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill(*self.living())

    @property
    def diary(self) -> Path:
        """Where the recipe notes what it does, each time it does it."""
        return self.root.with_name(f"{self.root.name}.diary")

    def notes(self, event: str) -> list[dict[str, Any]]:
        """What the recipe noted of an event, in order."""
        lines = self.diary.read_text().splitlines() if self.diary.exists() else []
        return [told for told in map(json.loads, lines) if told["event"] == event]

    def start(self, *words: str, **variables: str) -> subprocess.Popen[str]:
        """Start kagkit as a user would, with some variables more."""
        ours = {"TOY_DIARY": str(self.diary), "TOY_PAUSE": str(self.pause), "TMPDIR": str(self.root.parent)}
        return subprocess.Popen(
            [sys.executable, "-P", "-c", "from kagkit.cli import main; main()", *words],
            cwd=self.root,
            env={**os.environ, **ours, **variables},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, *words: str, code: int = 0) -> str:
        """Run kagkit to its end, which must be `code`; what it printed."""
        return end_of(self.start(*words), code)

    def living(self) -> set[int]:
        """The processes at work here, whoever started them."""
        mark = f"TOY_DIARY={self.diary}\0".encode()
        found = set()
        for folder in Path("/proc").iterdir():
            with suppress(OSError):
                if folder.name.isdigit() and mark in (folder / "environ").read_bytes():
                    found.add(int(folder.name))
        return found

    def kill(self, *pids: int) -> None:
        """End processes as a full memory or a pulled plug would, and wait until nothing is at work."""
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        wait_for(lambda: not self.living(), "everything has ended")

    def holders(self) -> dict[int, str]:
        """The processes that hold unfinished tasks, each with its folder's name."""
        found = {}
        for path in (self.root / "runs/.work").glob("*/holder.json"):
            with suppress(OSError):
                found[int(json.loads(path.read_text())["pid"])] = path.parent.name
        return found

    def states(self) -> list[Path]:
        """What unfinished trainings keep in their checkpoints."""
        return sorted((self.root / "runs/.work").glob("*/checkpoint/state.npy"))

    def runs(self, name: str = "exp001") -> list[Path]:
        """The run directories of an experiment, oldest first."""
        return sorted((self.root / "runs" / name).glob("*-*"))

    def tasks(self) -> list[Path]:
        """The folders of finished tasks."""
        return sorted(path for path in (self.root / "runs/.tasks").glob("*") if path.is_dir())

    def outcome(self, name: str = "exp001") -> dict[str, str]:
        """The digest of every file of the only run of an experiment, but of its diary of times."""
        (run,) = self.runs(name)
        files = sorted(path for path in run.rglob("*") if path.is_file() and path.name != "events.jsonl")
        return {path.relative_to(run.parent).as_posix(): file_sha256(path) for path in files}


def plan_of(root: Path, name: str = "exp001") -> list[Planned]:
    """The trainings of an experiment that does not prepare, planned as the first run of it would."""
    workspace = Workspace(root)
    pins = settle_data(workspace, ["stage1"])
    material = make_material(workspace, 1, rows_key(workspace, 1, pins.parts), "main")
    return Planner(workspace, workspace.experiment(name), material, pins.parts, None).trains({})


def end_of(process: subprocess.Popen[str], code: int = 0) -> str:
    """What a process printed, once it has ended with `code`."""
    printed, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == code, printed
    return printed
