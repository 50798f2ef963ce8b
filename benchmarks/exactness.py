"""Kill runs two hundred times at random moments: does what comes out at last equal the undisturbed run's?

Each workspace is run once undisturbed, then again and again with kills: of all its processes at once, or of
one of them, whatever it is doing: a step, a checkpoint, a commit, the schedule, showing runs in MLflow. At
each kill it is looked up, as far as files and processes tell, what was going on, so that it can be counted.
"""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.examples import copy_example

WORKSPACES = {"boosting": "digits", "cnn": "digits", "unet": "pneumothorax"}
# What a kill falls into matters here, not how well the networks learn: they train for fewer epochs.
FEWER_EPOCHS = {"cnn": 4, "unet": 3}
KILLS = 200
KILLS_A_RUN = 8
# What a kill may fall into, the rarest first.
CHECKPOINT, COMMIT = "a checkpoint being written", "a task done and not committed"
ASSEMBLY, PREPARE, PREDICT = "the assembly of a run", "a task of prepare", "a task of predict"
BEGINNING, STEP = "a training without a checkpoint yet", "a training step"
MIRROR, SCHEDULER, OTHER = "showing runs in MLflow", "the schedule", "starting, or a server"
MOMENTS = (CHECKPOINT, COMMIT, ASSEMBLY, PREPARE, PREDICT, BEGINNING, STEP, MIRROR, SCHEDULER)
LONGEST_SECONDS = 300.0
# They say when and where, not what.
BESIDE = ("events.jsonl", "record.json")


@dataclass
class Count:
    """What happened so far."""

    kills: Counter[str] = field(default_factory=Counter)
    moments: Counter[str] = field(default_factory=Counter)
    finished: int = 0
    differing: list[str] = field(default_factory=list)
    torn: int = 0
    shown_twice: int = 0

    @property
    def killed(self) -> int:
        """All kills."""
        return self.kills.total()


def main() -> None:
    wanted = int(sys.argv[1]) if len(sys.argv) > 1 else KILLS
    count, rng, began = Count(), random.Random(17), time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        for turn, (experiment, name) in enumerate(WORKSPACES.items(), 1):
            root = copy_example(name, Path(folder) / experiment)
            if experiment in FEWER_EPOCHS:
                shorten(root / f"{experiment}.yaml", FEWER_EPOCHS[experiment])
            seconds = time_run(root, experiment)
            reference = outcome(root, experiment)
            while count.killed < wanted * turn // len(WORKSPACES):
                forget_runs(root)
                disturb(root, experiment, seconds, rng, count)
                compare(root, experiment, reference, count)
            told = f"{experiment}: {seconds:.1f} s undisturbed; {count.killed} kills so far"
            sys.stdout.write(f"{told}, {count.finished} runs finished, {len(count.differing)} differ\n")
            sys.stdout.flush()
    kinds, moments = (
        ", ".join(f"{number} of {what}" for what, number in told.most_common())
        for told in (count.kills, count.moments)
    )
    sys.stdout.write(f"{count.killed} kills ({kinds}) in {time.monotonic() - began:.0f} s: {moments}; ")
    sys.stdout.write(
        f"{count.finished} runs finished, {len(count.differing)} differ: {count.differing[:5]}; "
    )
    sys.stdout.write(f"{count.torn} torn files, {count.shown_twice} runs not once in MLflow\n")
    sys.exit(bool(count.differing or count.torn or count.shown_twice))


def shorten(manifest: Path, epochs: int) -> None:
    text, changes = re.subn(r"epochs: \d+", f"epochs: {epochs}", manifest.read_text())
    assert changes == 1, manifest
    manifest.write_text(text)


def start(root: Path, *words: str) -> subprocess.Popen[bytes]:
    command = [str(Path(sys.executable).with_name("kagkit")), *words]
    return subprocess.Popen(
        command, cwd=root, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )


def time_run(root: Path, experiment: str) -> float:
    began = time.monotonic()
    if start(root, "run", experiment, "-y").wait(LONGEST_SECONDS):
        raise SystemExit(f"{experiment} fails undisturbed")
    return time.monotonic() - began


def forget_runs(root: Path) -> None:
    for process in processes(root):
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
    for name in ("runs", ".kagkit", "locks", "folds"):
        shutil.rmtree(root / name, ignore_errors=True)
    (root / "data.lock.yaml").unlink(missing_ok=True)


def disturb(root: Path, experiment: str, seconds: float, rng: random.Random, count: Count) -> None:
    """Start the run again after every kill, until it is not killed any more."""
    for _ in range(KILLS_A_RUN):
        process = start(root, "run", experiment, "-y")
        end = time.monotonic() + rng.uniform(0.05, seconds * 1.2)
        while time.monotonic() < end and (process.poll() is None or processes(root)):
            time.sleep(0.01)
        there = processes(root)
        if there:
            everyone = rng.random() < 0.6
            victims = there if everyone else [rng.choice(there)]
            moment = moment_of(root, victims)
            for victim in victims:
                with suppress(ProcessLookupError):
                    os.kill(victim, signal.SIGKILL)
            count.kills["all processes" if everyone else "one process"] += 1
            count.moments[moment] += 1
        if there and everyone:
            process.wait(LONGEST_SECONDS)
        elif process.wait(LONGEST_SECONDS) == 0:
            break
    for _ in range(3):  # a killed worker fails its task: the run is asked for again
        if start(root, "run", experiment, "-y").wait(LONGEST_SECONDS) == 0:
            return
    count.differing.append(f"{experiment}: never finished")


def processes(root: Path) -> list[int]:
    """Every process that works in a folder: the command, its server, its workers, the mirror."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            with suppress(OSError):
                if (entry / "cwd").readlink() == root.resolve():
                    found.append(int(entry.name))
    return sorted(found)


def moment_of(root: Path, victims: list[int]) -> str:
    """What processes that are about to be killed are doing, as far as files and processes tell.

    The rarest of the moments that fit counts: where all processes are killed, several things are going on.
    """
    fitting = {moment for victim in victims for moment in moments_of(root, victim)}
    return next((moment for moment in MOMENTS if moment in fitting), OTHER)


def moments_of(root: Path, victim: int) -> Iterator[str]:
    work = root / "runs/.work"
    with suppress(OSError):
        words = Path(f"/proc/{victim}/cmdline").read_bytes()
        if b"tracking.background" in words:
            yield MIRROR
        if b"kagkit\0run\0" in words:
            yield SCHEDULER
    for holder in work.glob("*/holder.json"):
        with suppress(OSError, ValueError):
            if json.loads(holder.read_text())["pid"] == victim:
                yield moment_of_task(holder.parent)
    for log in work.glob("run-*/log.txt"):  # an assembly's process is known by the log that it writes
        with suppress(OSError):
            if Path(f"/proc/{victim}/fd/1").readlink() == log.resolve():
                yield ASSEMBLY


def moment_of_task(work: Path) -> str:
    if any(work.glob("checkpoint/**/.*.tmp")):
        return CHECKPOINT
    with suppress(OSError):
        if '"finished"' in (work / "events.jsonl").read_text():
            return COMMIT
    kind = json.loads((work / "spec.json").read_text())["kind"]
    if kind != "train":
        return f"a task of {kind}"
    return STEP if any((work / "checkpoint").glob("*")) else BEGINNING


def run_folder(root: Path, experiment: str) -> Path:
    return max((root / "runs" / experiment).glob("*-*"))


def outcome(root: Path, experiment: str) -> dict[str, bytes]:
    """Every byte of the run that must come out the same; of the record, all but the run's number."""
    folder = run_folder(root, experiment)
    found = {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in BESIDE
    }
    told = json.loads((folder / "record.json").read_text())
    kept = {name: value for name, value in told.items() if name not in ("number", "run", "seal")}
    return found | {"record.json": json.dumps(kept, sort_keys=True).encode()}


def compare(root: Path, experiment: str, reference: dict[str, bytes], count: Count) -> None:
    count.finished += 1
    found = outcome(root, experiment)
    names = [name for name in {**reference, **found} if reference.get(name) != found.get(name)]
    count.differing += [f"{experiment}: {name}" for name in sorted(names)]
    check = start(root, "check", run_folder(root, experiment).relative_to(root).as_posix())
    count.torn += bool(check.wait(LONGEST_SECONDS))
    start(root, "track", "sync").wait(LONGEST_SECONDS)
    count.shown_twice += shown(root) != len(list((root / "runs" / experiment).glob("*-*")))


def shown(root: Path) -> int:
    import sqlite3

    with sqlite3.connect(next((root / ".kagkit" / "mlflow").glob("*.db"))) as store:
        return int(store.execute("select count(*) from runs").fetchone()[0])


if __name__ == "__main__":
    main()
