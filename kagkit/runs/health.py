"""Look at what kagkit stands on: Python, GPUs, the disk, its locks and links, the clock, leftovers."""

from __future__ import annotations

import importlib.util
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from kagkit.engine.capacity import count_processors, total_memory
from kagkit.engine.forkserver import start_engine
from kagkit.engine.jobs import Job
from kagkit.engine.slots import DRIVER, visible_gpus
from kagkit.foundation.environment import THREAD_VARIABLES, fingerprint
from kagkit.foundation.errors import KagkitError, counted
from kagkit.foundation.files import held
from kagkit.foundation.findings import Finding, Level
from kagkit.runs.sizes import used_bytes
from kagkit.runs.unfinished import list_unfinished
from kagkit.workspace.layout import Workspace

TESTED_PYTHON = (3, 11)
LITTLE_DISK, NO_DISK = 10 * 10**9, 10**9
SKEW_SECONDS = 2.0
PATIENCE_SECONDS = 60.0
CUDA = re.compile(r"^cuda\b.*=\s*'([\d.]+)'", re.MULTILINE)
TAKE_LOCK = """import sys
from pathlib import Path
from kagkit.foundation.files import held
try:
    with held(Path(sys.argv[1]), wait_seconds=0.0):
        sys.exit(0)
except TimeoutError:
    sys.exit(75)
"""


def machine_findings() -> Iterator[Finding]:
    """Python, processor, threads, GPUs and switches, read without importing torch."""
    yield _python()
    facts = fingerprint()
    yield _ok(
        "platform", f"{facts['system']} on {facts['machine']}, {facts['processor'] or 'unnamed processor'}"
    )
    yield _threads()
    yield _ok("memory", f"{total_memory() / 1e9:.1f} GB")
    yield from _gpus(_version("torch"), _cuda_of_torch())
    switches = ", ".join(f"{name}={value}" for name, value in facts["switches"].items())
    yield _ok(
        "switches", f"{switches}; recorded with every run" if switches else "none set that changes numbers"
    )


def disk_findings(workspace: Workspace | None) -> Iterator[Finding]:
    """Room, locks, links and the clock of the disk the workspace is on, and whether jobs can be forked."""
    with ExitStack() as stack:
        try:
            base = workspace.cache if workspace else Path(tempfile.gettempdir())
            base.mkdir(parents=True, exist_ok=True)
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="doctor-", dir=base)))
        except OSError as error:
            hint = "check who owns the workspace's folders"
            yield Finding("disk", "writable", "wrong", f"no file can be made ({error.strerror})", hint)
            return
        yield room_finding(shutil.disk_usage(folder).free)
        for what, probe in PROBES.items():
            try:
                yield probe(folder)
            except (OSError, KagkitError, subprocess.SubprocessError) as error:
                reason = getattr(error, "strerror", None) or type(error).__name__
                yield Finding("disk", what, "wrong", f"does not work: {reason}", HINTS[what])


def leftover_findings(workspace: Workspace | None) -> Iterator[Finding]:
    """Work that nobody goes on with, and tasks that were set aside as damaged."""
    if workspace is None:
        yield Finding(
            "workspace", "workspace", "ok", "not in one: this folder has no competition.yaml above it"
        )
        return
    left = [work.folder for work in list_unfinished(workspace) if work.state != "running"]
    damaged = [*workspace.tasks.glob("*.damaged-*")] if workspace.tasks.is_dir() else []
    if not left and not damaged:
        yield Finding("workspace", "leftovers", "ok", "none")
        return
    told = f"{len(left)} unfinished, {counted(len(damaged), 'damaged task')}"
    size = used_bytes([*left, *damaged]) / 1e6
    hint = "`kagkit run` goes on with what is unfinished; `kagkit clean` removes what no manifest needs"
    yield Finding("workspace", "leftovers", "warn", f"{told}, {size:.1f} MB", hint)


def room_finding(free: int) -> Finding:
    """Whether there is room for runs, by the bytes that are free."""
    level: Level = "wrong" if free < NO_DISK else "warn" if free < LITTLE_DISK else "ok"
    hint = "" if level == "ok" else "free some space: kagkit clean tells what it would free"
    return Finding("disk", "room", level, f"{free / 1e9:.1f} GB free", hint)


def clock_finding(written: float, clock: float) -> Finding:
    """Whether the disk and this machine agree on the time; no clock elsewhere is asked.

    Args:
        written: When the disk says that a file was just written, in seconds since 1970.
        clock: When that was by the machine's clock.
    """
    skew = written - clock
    if abs(skew) > SKEW_SECONDS:
        hint = "set both by NTP: changed data are noticed by size and time"
        return Finding("disk", "clock", "warn", f"the disk's clock is {skew:+.0f} s off", hint)
    return _disk("clock", "the disk's agrees with the machine's; no other was asked")


def answer(argument: str) -> int:
    """The job that shows that jobs can be started."""
    return 0


def _ok(what: str, found: str) -> Finding:
    return Finding("machine", what, "ok", found)


def _disk(what: str, found: str) -> Finding:
    return Finding("disk", what, "ok", found)


def _python() -> Finding:
    found = platform.python_version()
    if sys.version_info[:2] == TESTED_PYTHON:
        return _ok("python", found)
    tested = ".".join(map(str, TESTED_PYTHON))
    hint = f"where results must be the same as elsewhere, use {tested}"
    return Finding("machine", "python", "warn", f"{found}; kagkit is tested with {tested}", hint)


def _threads() -> Finding:
    usable, there = count_processors(), os.cpu_count() or 1
    told = counted(usable, "processor") + (f" of {there}" if usable < there else "")
    chosen = [f"{name}={os.environ[name]}" for name in THREAD_VARIABLES if name in os.environ]
    ours = "; tasks have what resources.cpus says" + (f", not {', '.join(chosen)}" if chosen else "")
    return _ok("threads", told + ours)


def _gpus(torch: str | None, cuda: str | None) -> Iterator[Finding]:
    if torch is None:
        yield Finding("machine", "torch", "warn", "not installed", "pip install torch, if recipes use it")
    else:
        yield _ok("torch", f"{torch}, {f'for CUDA {cuda}' if cuda else 'without CUDA'}")
    names = [_model(folder) for folder in sorted(DRIVER.iterdir())] if DRIVER.is_dir() else []
    if not names:
        yield _ok("gpu", "none")
        return
    driver = re.search(r"Kernel Module.*?(\d+\.[\d.]+)", (DRIVER.parent / "version").read_text())
    told = (
        f"{', '.join(names)}; driver {driver[1] if driver else 'unknown'}; {len(visible_gpus())} to be used"
    )
    if torch is not None and cuda is None:
        hint = "install a build of torch with CUDA: see pytorch.org"
        yield Finding("machine", "gpu", "warn", f"{told}; torch cannot use them", hint)
    else:
        yield _ok("gpu", told)


def _model(folder: Path) -> str:
    found = re.search(r"^Model:\s*(.*)$", (folder / "information").read_text(), re.MULTILINE)
    return found[1].strip() if found else "unnamed GPU"


def _cuda_of_torch() -> str | None:
    """The CUDA that torch was built for, from its source: importing it takes seconds."""
    spec = importlib.util.find_spec("torch")
    if spec is None or spec.origin is None:
        return None
    told = CUDA.search(Path(spec.origin).with_name("version.py").read_text(encoding="utf-8"))
    return told[1] if told else None


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _locks(folder: Path) -> Finding:
    """Whether another process is kept out as long as a lock is held, and let in afterwards."""
    lock = folder / "probe.lock"
    command = [sys.executable, "-P", "-c", TAKE_LOCK, str(lock)]
    with held(lock):
        during = subprocess.run(command, check=False, capture_output=True, timeout=PATIENCE_SECONDS)
    after = subprocess.run(command, check=False, capture_output=True, timeout=PATIENCE_SECONDS)
    if (during.returncode, after.returncode) == (75, 0):
        return _disk("locks", "one holder at a time")
    return Finding("disk", "locks", "wrong", "two processes hold one lock", HINTS["locks"])


def _links(folder: Path) -> Finding:
    first, second = folder / "first", folder / "second"
    first.touch()
    try:
        second.hardlink_to(first)
    except OSError:
        hint = "runs copy the weights of their tasks, which takes twice the room"
        return Finding("disk", "hard links", "warn", "not on this file system", hint)
    return _disk("hard links", "runs share the files of their tasks")


def _clock(folder: Path) -> Finding:
    probe = folder / "clock"
    probe.touch()
    return clock_finding(probe.stat().st_mtime, time.time())


def _jobs(folder: Path) -> Finding:
    began = time.monotonic()
    with start_engine({}, folder, ()) as engine:
        engine.start(Job("probe", "kagkit.runs.health:answer", "", folder / "log.txt", {}))
        ended = engine.poll(PATIENCE_SECONDS)
        kind = type(engine).__name__
    if [job.code for job in ended] != [0]:
        return Finding("disk", "jobs", "wrong", "a job did not end well", HINTS["jobs"])
    way = "forked from a server" if kind == "ForkServerEngine" else "a new Python each"
    return _disk("jobs", f"{way}; the first answers after {time.monotonic() - began:.1f} s")


Probe = Callable[[Path], Finding]
PROBES: dict[str, Probe] = {"locks": _locks, "hard links": _links, "clock": _clock, "jobs": _jobs}
HINTS = {
    "locks": "put the workspace on a local disk: two commands at once would get in each other's way",
    "hard links": "put the workspace on another file system",
    "clock": "put the workspace on a local disk",
    "jobs": "see whether this system allows processes: ulimit -u",
}
