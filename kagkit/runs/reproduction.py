"""Make a run again from its record, hold every file against it, and say how far the promise was kept."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

from kagkit.foundation.errors import KagkitError, ManifestError, Problem, ReproductionError, RunError
from kagkit.foundation.files import held
from kagkit.runs.choices import Choice, RunOptions
from kagkit.runs.deviations import KINDS, Attempt, Compared, compare_attempts, first_difference
from kagkit.runs.events import Event, PlanMade, RunEnd
from kagkit.runs.excuses import find_excuse
from kagkit.runs.presence import at_work
from kagkit.runs.record import Run, refuse_imported
from kagkit.runs.runner import run_experiment
from kagkit.runs.shadow import TAKEN, Level, raise_shadow, shadow_folder, standing_tasks
from kagkit.runs.store import lock_of
from kagkit.runs.surroundings import surroundings_of
from kagkit.runs.tiers import Tier, judge_tier, moved, restoring_command
from kagkit.workspace.layout import Workspace

OWN_RUNS = re.compile(r"(?<![\w/.-])runs/")
IDENTICAL, WITHIN, DIFFERENT = "identical", "within tolerance", "different"


@dataclass(frozen=True)
class Reproduction:
    """What came of making a run again.

    Attributes:
        run: The run on record.
        level: `predictions`, `weights` or `scratch`.
        sample: Which folds and seeds were made again, each None where all were; None where that is the whole.
        verdict: `identical`, `within tolerance` or `different`.
        tier: What may be promised between the machine of the record and this one, and why.
        compared: Everything that was held against the record.
        first_difference: The first task that left other bytes, and what is known of it; None if none did.
        moved: What is not as it was where something was done again, or put together: packages, processor,
            switches, by name, (then, now).
        restore: The command that brings the packages of then back; empty where they are those of now.
    """

    run: str
    level: Level
    sample: dict[str, tuple[int, ...] | None] | None
    verdict: str
    tier: Tier
    compared: tuple[Compared, ...]
    first_difference: str | None
    moved: dict[str, tuple[Any, Any]]
    restore: str

    @property
    def scope(self) -> str:
        """From where, and what of the run where it is not all of it: `scratch, fold 0 alone`."""
        parts = [_number_told(name, numbers) for name, numbers in (self.sample or {}).items() if numbers]
        return f"{self.level}, {' of '.join(parts)} alone" if parts else self.level

    @property
    def kept(self) -> bool:
        """Whether the run was reproduced."""
        return self.verdict != DIFFERENT

    def as_json(self) -> dict[str, Any]:
        """The contract's keys, and why the tier applies."""
        return {**asdict(self), "tier": self.tier.name, "why": self.tier.why}


def reproduce_run(
    workspace: Workspace, run: Run, level: Level, choice: Choice, gpus: tuple[str, ...] | None = None
) -> Iterator[Event | Reproduction]:
    """Make a run again in a shadow of its workspace, and compare.

    Nothing of the workspace is changed: the code and the manifest are those the run kept, the data must be
    those it was made on, and what comes out is thrown away once it is compared. A killed reproduction goes
    on when it is asked for again.

    Args:
        workspace: The workspace.
        run: The run.
        level: From which of its files: `predictions` assembles again, `weights` predicts again, `scratch`
            trains again.
        choice: Some of the folds and seeds, where the whole would take too long.
        gpus: Ids of the GPUs to use.

    Yields:
        What happens, as in `run_experiment`; the `Reproduction` comes last.

    Raises:
        ManifestError: The choice names a fold or seed that the run does not have; the run was imported.
        ReproductionError: The run is damaged, or what it needs is gone.
        DataError: The data are not those of the run.
        RunError: A task failed.
    """
    refuse_imported(workspace, run.experiment)
    chosen = _settle(choice, run)
    with at_work(workspace), held(lock_of(shadow_folder(workspace, run, level))):
        shadow = raise_shadow(workspace, run, level)
        again = None
        fed_by = {parent["input"]: parent["run"] for parent in run.data["parents"]}
        chosen = replace(chosen, standing=standing_tasks(shadow, run, level))
        try:
            for event in run_experiment(shadow, run.experiment, RunOptions(chosen, gpus=gpus, inputs=fed_by)):
                if isinstance(event, RunEnd):
                    again = event.run
                    continue
                if isinstance(event, PlanMade):
                    _refuse_to_replace(event, level)
                yield event
        except KagkitError as error:
            raise _told_from(workspace, shadow, error) from error
        if again is None:
            raise RunError(f"{run.name} was not made again")
        judged = _judge(Attempt(workspace, run), Attempt(shadow, again), level)
        shutil.rmtree(shadow.root)
    yield judged


def _settle(choice: Choice, run: Run) -> Choice:
    """What to do: a choice, or else the run's own seeds and folds."""
    if run.complete:
        return choice
    folds, seeds = _numbers_of(run, "fold"), _numbers_of(run, "seed")
    strange = [f"--folds {fold}" for fold in choice.folds or () if fold not in folds]
    strange += [f"--seeds {seed}" for seed in choice.seeds or () if seed not in seeds]
    if strange:
        problems = [Problem(each, f"not in {run.name}, which is partial") for each in strange]
        raise ManifestError(f"{run.name} has no such part", problems)
    # A fit on all rows has no folds to choose from.
    return Choice(choice.folds or folds or None, choice.seeds or seeds)


def _refuse_to_replace(plan: PlanMade, level: Level) -> None:
    """Stop before a task is done again that the level takes over: what it left is what is judged."""
    labels = [planned.spec.label for planned in plan.todo if planned.spec.kind in TAKEN[level]]
    if labels:
        problems = [Problem(label, "not in the run's record") for label in labels]
        raise ReproductionError(f"not all that {level} builds on is there", problems)


def _told_from(workspace: Workspace, shadow: Workspace, error: KagkitError) -> KagkitError:
    """What went wrong in a shadow, with paths as they are told in the workspace."""
    below = shadow.root.relative_to(workspace.root).as_posix()

    def told(problem: Problem) -> Problem:
        texts = {name: OWN_RUNS.sub(f"{below}/runs/", text) for name, text in asdict(problem).items()}
        return Problem(**texts)

    return type(error)(error.summary, [told(problem) for problem in error.problems])


def _judge(old: Attempt, new: Attempt, level: Level) -> Reproduction:
    kinds = [kind for kind in KINDS if kind not in TAKEN[level]]
    compared = compare_attempts(old, new, kinds)
    apart = _moved(old, new, kinds)
    tier = judge_tier(old.run, apart, level, compared)
    if all(item.same for item in compared):
        verdict = IDENTICAL
    elif excuse := find_excuse(old, new, compared):
        verdict, tier = WITHIN, replace(tier, why=f"{tier.why}; {excuse}")
    else:
        verdict = WITHIN if tier.holds(compared) else DIFFERENT
    return Reproduction(
        run=old.run.name,
        level=level,
        sample=_sample(old.run, new.run),
        verdict=verdict,
        tier=tier,
        compared=compared,
        first_difference=first_difference(old, new),
        moved=apart,
        restore=restoring_command(old.run.data["environment"], new.run.data["environment"]),
    )


def _moved(old: Attempt, new: Attempt, kinds: list[str]) -> dict[str, tuple[Any, Any]]:
    """What is not as it was for the tasks that were done again, and for what puts the run together."""
    again = {task["label"] for task in new.tasks().values() if task["kind"] in kinds}
    known = {task["label"] for task in old.tasks().values()}
    found: dict[str, tuple[Any, Any]] = {}
    for label in ["", *sorted(again & known)]:
        found |= moved(surroundings_of(old.run.data, label), surroundings_of(new.run.data, label))
    return dict(sorted(found.items()))


def _sample(old: Run, new: Run) -> dict[str, tuple[int, ...] | None] | None:
    """What of a run was made again, where that is not all of it."""
    found = {f"{name}s": _numbers_of(new, name) for name in ("fold", "seed")}
    whole = {f"{name}s": _numbers_of(old, name) for name in ("fold", "seed")}
    if found == whole:
        return None
    return {name: numbers if numbers != whole[name] else None for name, numbers in found.items()}


def _numbers_of(run: Run, name: str) -> tuple[int, ...]:
    """The folds or seeds that a run was trained with."""
    trained = (task["ingredients"] for task in run.data["tasks"] if task["kind"] == "train")
    return tuple(sorted({told[name] for told in trained} - {None}))


def _number_told(name: str, numbers: tuple[int, ...]) -> str:
    """`fold 0`, `seeds 0, 1`."""
    return f"{name if len(numbers) > 1 else name.removesuffix('s')} {', '.join(map(str, numbers))}"
