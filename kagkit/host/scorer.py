"""Score what is pending in processes of their own, oldest first, and outlive a metric that crashes."""

from __future__ import annotations

import logging
import os
import threading
import time
from contextlib import suppress
from pathlib import Path
from signal import SIGKILL

from kagkit.engine.forkserver import start_engine
from kagkit.engine.jobs import Engine, Finished, Job
from kagkit.engine.local import signal_group
from kagkit.foundation.errors import KagkitError, RunError
from kagkit.foundation.files import canonical_json, read_json
from kagkit.host.grading import GENERIC
from kagkit.host.register import Register, Submission
from kagkit.runs.failing import scrub_log

AT_ONCE = 2
TICK, PAUSE = 0.02, 1.0  # seconds
ENTRY = "kagkit.host.grading:grade"
PRELOAD = ("pandas", "sklearn.metrics", "kagkit.metrics", "kagkit.host.grading")
TOO_SLOW = "Evaluation Exception: scoring took too long."


class Scorer(threading.Thread):
    """A thread that has every pending submission scored: those of before a kill too.

    Args:
        register: The host's ledger.
    """

    def __init__(self, register: Register) -> None:
        super().__init__(name="scorer", daemon=True)
        self._register = register
        self._limit = register.terms.limits.scoring_seconds
        self._outcomes = register.root / "state" / "outcomes"
        self._logs = register.root / "state" / "logs"
        self._begun: dict[str, float] = {}
        self._too_slow: set[str] = set()
        self._ending = threading.Event()

    def run(self) -> None:
        """Look for pending submissions until the end."""
        with start_engine({"OMP_NUM_THREADS": "1"}, self._register.root, PRELOAD) as engine:
            while not self._ending.is_set():
                try:
                    self._look(engine)
                except (KagkitError, OSError):
                    # A full disk, say: what was being scored is pending still, and is scored again.
                    logging.getLogger(__name__).exception("scoring stopped for a while")
                    self._ending.wait(PAUSE)

    def _look(self, engine: Engine) -> None:
        self._start_pending(engine)
        if not engine.running:
            self._ending.wait(TICK)
            return
        for finished in engine.poll(TICK):
            self._end(finished)
        self._kill_slow(engine)

    def stop(self) -> None:
        """End what is being scored, which stays pending, and the thread."""
        self._ending.set()
        self.join()

    def _start_pending(self, engine: Engine) -> None:
        for item in self._register.pending:
            name = str(item.ref)
            if len(engine.running) >= AT_ONCE:
                return
            if name not in engine.running:
                engine.start(Job(name, ENTRY, self._task(item), self._logs / f"{name}.txt", {}))
                with suppress(RunError):
                    engine.pid(name)  # the time a metric may take begins when its process does
                self._begun[name] = time.monotonic()

    def _task(self, item: Submission) -> str:
        """What the job of a submission is told."""
        outcome = self._outcome(str(item.ref))
        outcome.unlink(missing_ok=True)
        root = str(self._register.root)
        return canonical_json(
            {"root": root, "stage": item.stage, "token": item.token, "outcome": str(outcome)}
        )

    def _outcome(self, name: str) -> Path:
        # Another server of this folder may be scoring the same submission.
        return self._outcomes / f"{name}-{os.getpid()}.json"

    def _end(self, finished: Finished) -> None:
        """Write what a job left; one that ended without a word crashed, and its submission has no score."""
        self._begun.pop(finished.name, None)
        path, log = self._outcome(finished.name), self._logs / f"{finished.name}.txt"
        words = TOO_SLOW if finished.name in self._too_slow else GENERIC
        self._register.settle(int(finished.name), read_json(path) if path.exists() else {"error": words})
        path.unlink(missing_ok=True)
        scrub_log(log, self._register.root)
        if log.exists() and not log.stat().st_size:
            log.unlink(missing_ok=True)

    def _kill_slow(self, engine: Engine) -> None:
        for name, begun in self._begun.items():
            if time.monotonic() - begun > self._limit and name not in self._too_slow:
                self._too_slow.add(name)
                with suppress(RunError):
                    signal_group(engine.pid(name), SIGKILL)
