"""Load batches in an order that keys, seed and epoch decide, the same with any number of workers."""

from __future__ import annotations

import os
import sys
import tempfile
import traceback
from collections.abc import Iterator
from itertools import accumulate, chain, groupby, pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset, default_collate

from kagkit.foundation.errors import Problem, RunError, error_from_json
from kagkit.foundation.seeds import seed_of, stream
from kagkit.training.datasets import Samples, Table, spell_keys
from kagkit.training.plan import Plan
from kagkit.training.processes import Processes
from kagkit.training.streams import seed_globals

SOCKET_ADDRESS = 104  # bytes of a socket's path: 108 on Linux, 104 on macOS, the last of them zero
SOCKET_NAME = len("/pymp-12345678/listener-12345678") + 1


class Part(NamedTuple):
    """What goes through the model at once.

    Attributes:
        batch: The samples, collated.
        share: Which share of the samples of its step, over all processes, is in it.
        parts: How many parts this process has in its step.
    """

    batch: Any
    share: float
    parts: int


class _Cut(NamedTuple):
    """Where a part begins and ends in the order of its epoch."""

    start: int
    end: int
    share: float
    parts: int


class _Request(NamedTuple):
    epoch: int
    names: list[str]
    cut: _Cut


class Course:
    """Which samples every step of a training sees, from the first epoch to the last.

    Args:
        samples: What there is, by key.
        plan: How it is cut into batches and parts.
        seed: With an epoch, it decides the order.
        processes: This process and its like: each gets its own share of every batch.

    Raises:
        DataError: Keys repeat, or there are none.
        RunError: There are fewer samples than one step wants.
    """

    def __init__(self, samples: Samples, plan: Plan, seed: int, processes: Processes) -> None:
        self.samples = samples
        self.plan = plan
        self.seed = seed
        self.processes = processes
        world = processes.world
        self.keys = spell_keys(samples.keys)
        if plan.batch_size < world:
            enough = f"{world:,} or more, a sample for each process"
            problem = Problem("batch_size", f"{plan.batch_size:,}", enough)
            raise RunError("the batches are too small", [problem])
        whole, rest = divmod(len(self.keys), plan.batch_size)
        self.steps_per_epoch = whole + (rest >= world and rest > 0 and not plan.drop_last)
        if not self.steps_per_epoch:
            enough = f"{plan.batch_size:,} or more"
            problem = Problem("samples", f"{len(self.keys):,}", enough, "a smaller batch_size")
            raise RunError("there are too few samples for a step", [problem])
        self.steps = plan.epochs * self.steps_per_epoch
        self._cuts = [self._cuts_of(place) for place in range(self.steps_per_epoch)]  # the same in each epoch

    def order_of(self, epoch: int) -> list[str]:
        """All keys, spelled, in the order of an epoch; where they stand in a table does not matter."""
        names = list(self.keys)
        return [names[place] for place in self._shuffle(epoch).tolist()]

    def _shuffle(self, epoch: int) -> NDArray[np.intp]:
        """The order of an epoch, as places among the sorted keys."""
        return np.argsort(stream("order", self.seed, epoch).random(len(self.keys)), kind="stable")

    def run_from(self, step: int, stop: int | None = None) -> Iterator[list[Part]]:
        """Load the parts of each step of this process, from a step on.

        Raises:
            RunError: A sample cannot be read; it says which.
        """
        steps = range(step, self.steps if stop is None else stop)
        if isinstance(self.samples, Table):
            yield from self._index(self.samples, steps)
            return
        requests, reading = _Requests(self, steps), _Reading(self.samples, self.keys, self.seed)
        if self.plan.workers:
            _refuse_long_address()
            loaded = _load_aside(reading, requests, self.plan.workers)
        else:
            loaded = (reading[request] for request in requests)
        for first in map(_checked, loaded):
            yield [first, *(_checked(next(loaded)) for _ in range(first.parts - 1))]

    def epochs_of(self, steps: range) -> Iterator[tuple[int, list[list[_Cut]]]]:
        """The epochs that steps belong to, each with the parts of those steps for this process."""
        for epoch, members in groupby(steps, lambda step: step // self.steps_per_epoch):
            yield epoch, [self._cuts[step % self.steps_per_epoch] for step in members]

    def _cuts_of(self, place: int) -> list[_Cut]:
        """The parts of the batch at a place in its epoch."""
        start = place * self.plan.batch_size
        end = min(start + self.plan.batch_size, len(self.keys))
        mine = _split(start, end, self.processes.world)[self.processes.rank]
        parts = _split(*mine, min(self.plan.accumulate, mine[1] - mine[0]))
        return [_Cut(first, last, (last - first) / (end - start), len(parts)) for first, last in parts]

    def _index(self, table: Table, steps: range) -> Iterator[list[Part]]:
        sorted_rows = table.rows_of(self.keys.values())
        for epoch, batches in self.epochs_of(steps):
            rows = sorted_rows[torch.from_numpy(self._shuffle(epoch))]
            for cuts in batches:
                yield [Part(table.take(rows[cut.start : cut.end]), cut.share, cut.parts) for cut in cuts]


class _Requests:
    """What to load for steps, one part after another; it is a torch sampler."""

    def __init__(self, course: Course, steps: range) -> None:
        self.course, self.steps = course, steps

    def __iter__(self) -> Iterator[_Request]:
        for epoch, batches in self.course.epochs_of(self.steps):
            order = self.course.order_of(epoch)
            for cut in chain.from_iterable(batches):
                yield _Request(epoch, order[cut.start : cut.end], cut)


def _refuse_long_address() -> None:
    """Torch hands batches over by sockets in the folder for temporary files: too long a name hangs it."""
    folder = tempfile.gettempdir()
    if len(os.fsencode(folder)) + SOCKET_NAME > SOCKET_ADDRESS:
        found = f"the folder for temporary files has a name of {len(folder)} characters"
        hint = "set TMPDIR to a shorter one, such as /tmp; or workers=0"
        expected = f"{SOCKET_ADDRESS - SOCKET_NAME} at most"
        raise RunError("loading processes cannot start", [Problem("TMPDIR", found, expected, hint)])


def _load_aside(reading: _Reading, requests: _Requests, workers: int) -> Iterator[Any]:
    """Load in processes of their own, ahead of need; what they load comes in the order of the requests."""
    loader = DataLoader(
        reading,
        batch_size=None,
        sampler=requests,
        num_workers=workers,
        collate_fn=_as_it_is,
        pin_memory=torch.cuda.is_initialized(),  # type: ignore[no-untyped-call]
        # A data set may be of a class that another Python could not import.
        multiprocessing_context="fork" if sys.platform == "linux" else None,
    )
    return iter(loader)


def _split(start: int, end: int, count: int) -> list[tuple[int, int]]:
    """As many ranges, in order, whose sizes differ by one at most, the larger ones first."""
    size, larger = divmod(end - start, count)
    ends = accumulate((size + (place < larger) for place in range(count)), initial=start)
    return list(pairwise(ends))


class _Reading(Dataset[Any]):
    """Reads what a request asks for; a failure is a value, so that it crosses processes whole."""

    def __init__(self, samples: Samples, keys: dict[str, Any], seed: int) -> None:
        self.samples, self.keys, self.seed = samples, keys, seed

    def __getitem__(self, request: _Request) -> Part | dict[str, Any]:
        threads = torch.get_num_threads()
        torch.set_num_threads(1)  # as in a worker: the number of threads changes the order of sums
        try:
            return self._read(request)
        finally:
            torch.set_num_threads(threads)

    def _read(self, request: _Request) -> Part | dict[str, Any]:
        found = []
        for name in request.names:
            seed_globals(seed_of("sample", self.seed, request.epoch, name))
            try:
                found.append(self.samples.read(self.keys[name]))
            except Exception as error:
                traceback.print_exc()
                return _failure(name, error)
        collate = getattr(self.samples, "collate", default_collate)
        return Part(collate(found), request.cut.share, request.cut.parts)


def _failure(name: str, error: Exception) -> dict[str, Any]:
    frame = traceback.extract_tb(error.__traceback__)[-1]
    found = f"{type(error).__name__}: {error} ({Path(frame.filename).name} line {frame.lineno})"
    return RunError(f"sample {name} could not be read", [Problem(name, found)]).as_json()


def _checked(loaded: Part | dict[str, Any]) -> Part:
    if isinstance(loaded, dict):
        raise error_from_json(loaded)
    return loaded


def _as_it_is(loaded: Any) -> Any:
    return loaded
