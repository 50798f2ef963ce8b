"""Train a network step by step; killed at any moment it goes on to the same weights, bit for bit."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import nn

from kagkit.foundation.errors import Problem, RunError, samples
from kagkit.foundation.files import digest_of
from kagkit.foundation.seeds import seed_of
from kagkit.training.averaging import MovingAverage, average_weights, recompute_batchnorm
from kagkit.training.checkpoint import Checkpoints
from kagkit.training.datasets import Samples
from kagkit.training.judging import Kept, best_epoch, has_stalled, keep_best
from kagkit.training.loader import Course, Part
from kagkit.training.plan import PRECISIONS, Plan, spell
from kagkit.training.processes import Processes
from kagkit.training.schedules import rate_of
from kagkit.training.state import put_back, refuse_strangers, tensors_of
from kagkit.training.streams import seed_globals
from kagkit.training.trees import find_changes
from kagkit.training.weights import digest_weights

Loss = Callable[[nn.Module, Any], torch.Tensor]
EARLY = 0.1  # at the end of an epoch a checkpoint is due after this share of its time

_finished: set[Path] = set()  # the folders of checkpoints of trainings that came to their end here


class Seeded(Protocol):
    """What `fit` asks of a task; a kagkit task offers all, and anything with a seed will do.

    Where it has them, these are used: `checkpoint`, a folder that survives a kill; `log(step=, **values)`;
    `progress(done, total)`; `device`; `mark()` and `rewind(mark)`, a place in what was logged.
    """

    @property
    def seed(self) -> int:
        """Decides everything that is drawn."""


@dataclass(frozen=True)
class Outcome:
    """How a training went.

    Attributes:
        history: The numbers of each epoch, `train_loss` and what `validate` gave.
        best_epoch: The epoch with the best `monitor`, from 0; None where nothing is monitored.
        steps: How many steps of the optimizer were made.
    """

    history: tuple[dict[str, float], ...]
    best_epoch: int | None
    steps: int


@dataclass
class _State:
    """What changes from step to step beside the tensors."""

    step: int = 0
    history: list[dict[str, float]] = field(default_factory=list)
    best: list[Kept] = field(default_factory=list)


def fit(task: Seeded, model: nn.Module, data: Samples, loss: Loss, plan: Plan) -> Outcome:
    """Train a model in place.

    The order of samples depends on the seed and the epoch; what is drawn for a sample on the seed, the
    epoch and its key; what is drawn in a step on the seed and the step. So neither the number of loading
    processes nor a kill changes a bit: with a `task.checkpoint` that survives, the same call goes on where
    the newest checkpoint was written.

    Under torchrun each process takes its share of every batch; results repeat for the same number of them.

    Args:
        task: The recipe's task, or anything with a `seed`.
        model: What to train; it is moved to the task's device and left there, in evaluation mode.
        data: A `Table`, or anything with `keys` and `read(key)`.
        loss: From the model and a batch to the mean loss over the batch's samples.
        plan: How to train.

    Returns:
        The numbers of each epoch.

    Raises:
        RunError: The plan and the numbers `validate` gives do not fit; a sample cannot be read; the
            checkpoint is of another training; the name of the plan is used twice.
        DataError: Keys repeat, or there are none.
    """
    processes = Processes.from_environment()
    device = processes.device_of(getattr(task, "device", "cpu"))
    processes.join(device)
    course = Course(data, plan, task.seed, processes)
    return _Training(task, model.to(device), loss, course).run()


class _Training:
    """One call of `fit`."""

    def __init__(self, task: Seeded, model: nn.Module, loss: Loss, course: Course) -> None:
        plan, processes = course.plan, course.processes
        self.task, self.model, self.loss, self.course = task, model, loss, course
        self.plan, self.processes = plan, processes
        self.device = next(model.parameters()).device
        processes.share(model.state_dict().values())
        self.average = MovingAverage(model, plan.ema) if plan.ema is not None else None
        self.optimizer = plan.optimizer(model, plan.lr)
        refuse_strangers(self.optimizer, model)
        self.rates = [float(group["lr"]) for group in self.optimizer.param_groups]
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=plan.precision == "float16")
        self.loss_sum = torch.zeros((), device=self.device)  # over the epoch's steps
        self.state = _State()
        self.step_seed = seed_of("step", task.seed, processes.rank)  # of step 0; that of step n is n more
        self.saved = time.monotonic()

    def run(self) -> Outcome:
        """Go on from the newest checkpoint, or begin; then finish the weights."""
        checkpoints = self._checkpoints()
        if checkpoints is not None:
            self._restore(checkpoints)
            self.processes.wait()  # nobody writes before all have read
        self.model.train()
        for parts in self.course.run_from(self.state.step) if not self._is_over() else ():
            self._make_step(parts)
            at_end = self.state.step % self.course.steps_per_epoch == 0
            if at_end:
                self._end_epoch()
            if checkpoints is not None and self._is_due(at_end):
                checkpoints.write(self.state.step, self._snapshot())
                self.saved = time.monotonic()
            if at_end and self._is_over():
                break
        self._finish()
        if checkpoints is not None:
            _finished.add(checkpoints.folder)
        return Outcome(tuple(self.state.history), best_epoch(self.plan, self.state.history), self.state.step)

    # --- a step ---

    def _make_step(self, parts: list[Part]) -> None:
        state, plan = self.state, self.plan
        seed_globals(self.step_seed + state.step)
        rate = rate_of(plan.curve, plan.warmup, state.step, self.course.steps)
        for group, largest in zip(self.optimizer.param_groups, self.rates, strict=True):
            group["lr"] = largest * rate
        losses = [self._take_in(part) for part in parts]
        loss = losses[0] if len(losses) == 1 else torch.stack(losses).sum()
        loss = self.processes.sum_gradients(self.model.parameters(), loss)
        if plan.clip is not None:
            self.scaler.unscale_(self.optimizer)
            nn.utils.clip_grad_norm_(self.model.parameters(), plan.clip)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad()
        self.processes.share(self.model.buffers())
        if self.average is not None:
            self.average.update(state.step)
        self.loss_sum += loss
        state.step += 1
        if plan.log_every and state.step % plan.log_every == 0:
            self._log(state.step, {"loss": float(loss), "lr": plan.lr * rate})
        self._tell("progress", state.step, self.course.steps)

    def _take_in(self, part: Part) -> torch.Tensor:
        """Add a part's share to the gradients; its share of the loss."""
        with self._autocast():
            loss = self.loss(self.model, _to_device(part.batch, self.device))
        if part.share != 1:
            loss = loss * part.share
        self.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        return loss.detach()

    def _autocast(self) -> Any:
        if self.plan.precision == "float32":
            return nullcontext()
        return torch.autocast(self.device.type, PRECISIONS[self.plan.precision])

    # --- an epoch ---

    def _end_epoch(self) -> None:
        epoch = len(self.state.history)
        values = {"train_loss": float(self.loss_sum) / self.course.steps_per_epoch}
        self.loss_sum.zero_()
        if self.plan.validate is not None:
            seed_globals(seed_of("validate", self.task.seed, epoch))
            model = self.average.model if self.average is not None else self.model
            model.eval()
            with torch.no_grad():
                values |= {name: float(value) for name, value in self.plan.validate(model).items()}
            self.model.train()
        numbers = torch.tensor(list(values.values()), dtype=torch.float64, device=self.device)
        self.processes.share([numbers])  # all stop together, though GPUs may differ in the last bit
        values = dict(zip(values, numbers.tolist(), strict=True))
        self.state.history.append(values)
        self._log(epoch, values)
        if self.plan.best:
            self.state.best = keep_best(self.plan, self.state.best, self.state.history, self._weights())

    def _is_over(self) -> bool:
        """Whether all steps are made, or too many epochs brought nothing better."""
        return self.state.step == self.course.steps or has_stalled(self.plan, self.state.history)

    # --- the state ---

    def _checkpoints(self) -> Checkpoints | None:
        folder = getattr(self.task, "checkpoint", None)
        if folder is None:
            return None
        kept = Path(folder).resolve() / self.plan.name
        if kept in _finished:
            found = f"{self.plan.name}: a training of this name is finished"
            problem = Problem("name", found, hint='Plan(name="second"), or another folder for checkpoints')
            raise RunError("two trainings would share their checkpoints", [problem])
        about = self.plan.settings() | {
            "seed": int(self.task.seed),
            "loss": spell(self.loss),
            "first weights": digest_weights(self.model.state_dict()),
            "samples": digest_of(list(self.course.keys)),
            "processes": self.processes.world,
            "threads": torch.get_num_threads(),
            "device": self.device.type,
            "processor": torch.backends.cpu.get_cpu_capability(),  # its instructions decide the last bit
            "torch": str(torch.__version__),
        }
        return Checkpoints(kept, about)

    def _is_due(self, at_end: bool) -> bool:
        seconds = self.plan.checkpoint_seconds * (EARLY if at_end else 1.0)
        return self.processes.rank == 0 and time.monotonic() - self.saved >= seconds

    def _snapshot(self) -> dict[str, Any]:
        """Everything the next step depends on; all randomness comes from names, so no generator is in it."""
        return {
            "step": self.state.step,
            "history": self.state.history,
            "best": self.state.best,
            "loss_sum": self.loss_sum,
            "model": tensors_of(self.model),
            "average": tensors_of(self.average.model) if self.average is not None else None,
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "mark": self._tell("mark"),
        }

    def _restore(self, checkpoints: Checkpoints) -> None:
        kept = checkpoints.read()
        if kept is None:
            self._forget(checkpoints.begin(self._tell("mark")) if self.processes.rank == 0 else None)
            return
        _refuse_lost(sorted(self._snapshot().keys() - kept.keys()))
        put_back(self.model, kept["model"])
        if self.average is not None:
            put_back(self.average.model, kept["average"])
        self.optimizer.load_state_dict(kept["optimizer"])
        self.scaler.load_state_dict(kept["scaler"])
        self.loss_sum.copy_(kept["loss_sum"])
        self.state = _State(kept["step"], kept["history"], kept["best"])
        _refuse_lost(find_changes(kept | {"mark": None}, self._snapshot() | {"mark": None}))
        self._forget(kept["mark"])

    def _forget(self, mark: Any) -> None:
        """Take back what an earlier attempt logged after a mark: the numbers come again."""
        if mark is not None:
            self._tell("rewind", mark)

    # --- the end ---

    def _weights(self) -> Mapping[str, torch.Tensor]:
        return (self.average.model if self.average is not None else self.model).state_dict()

    def _finish(self) -> None:
        """Leave the weights that are to be kept in the model, and the generators as if nothing had been."""
        best = sorted(self.state.best, key=lambda one: int(one["epoch"]))
        weights = average_weights([one["weights"] for one in best]) if best else dict(self._weights())
        self.model.load_state_dict(weights)
        if self.plan.recompute_batchnorm:
            seed_globals(seed_of("batchnorm", self.task.seed))
            recompute_batchnorm(self.model, self._first_epoch(), lambda batch: self.loss(self.model, batch))
            self.processes.share(self.model.buffers())
        self.model.eval()
        seed_globals(seed_of("end", self.task.seed))

    def _first_epoch(self) -> Iterator[Any]:
        steps = self.course.run_from(0, self.course.steps_per_epoch)
        for part in itertools.chain.from_iterable(steps):
            yield _to_device(part.batch, self.device)

    def _log(self, step: int, values: Mapping[str, float]) -> None:
        if self.processes.rank == 0 and hasattr(self.task, "log"):
            self.task.log(step=step, **values)

    def _tell(self, name: str, *facts: Any) -> Any:
        """Call what the task may offer, in the process that speaks for all."""
        offered = getattr(self.task, name, None)
        return offered(*facts) if offered is not None and self.processes.rank == 0 else None


def _refuse_lost(places: list[str]) -> None:
    """Refuse to go on where these parts of the state did not come back as they were."""
    if places:
        hint = "keep what changes in parameters and buffers; or use another optimizer"
        problem = Problem(samples(places), "not as in the checkpoint", hint=hint)
        raise RunError("the training cannot go on exactly where it was", [problem])


def _to_device(batch: Any, device: torch.device) -> Any:
    """A batch with its tensors on a device, whatever lists, tuples and mappings it is made of."""
    if device.type == "cpu":
        return batch
    if isinstance(batch, torch.Tensor):
        return batch.to(device, non_blocking=True)
    if isinstance(batch, Mapping):
        return {name: _to_device(part, device) for name, part in batch.items()}
    if isinstance(batch, tuple) and hasattr(batch, "_fields"):
        return type(batch)(*(_to_device(part, device) for part in batch))
    if isinstance(batch, list | tuple):
        return type(batch)(_to_device(part, device) for part in batch)
    return batch
