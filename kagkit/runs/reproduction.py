"""Make a run again from its record, hold every file against it, and say how far the promise was kept."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

from kagkit.foundation.errors import RunError
from kagkit.foundation.files import held
from kagkit.runs.choices import Choice, RunOptions
from kagkit.runs.deviations import KINDS, Attempt, Compared, compare_attempts, first_difference, labels_of
from kagkit.runs.events import Event, RunEnd
from kagkit.runs.presence import at_work
from kagkit.runs.record import Run, refuse_imported
from kagkit.runs.runner import run_experiment
from kagkit.runs.shadow import TAKEN, Level, raise_shadow, shadow_folder
from kagkit.runs.store import lock_of
from kagkit.runs.tiers import Tier, judge_tier, moved, restoring_command
from kagkit.workspace.layout import Workspace

IDENTICAL, WITHIN, DIFFERENT = "identical", "within tolerance", "different"


@dataclass(frozen=True)
class Reproduction:
    """What came of making a run again.

    Attributes:
        run: The run on record.
        level: `predictions`, `weights` or `scratch`.
        verdict: `identical`, `within tolerance` or `different`.
        tier: What may be promised between the machine of the record and this one, and why.
        compared: Everything that was held against the record.
        first_difference: The first task that left other bytes, and what is known of it; None if none did.
        moved: What is not as it was: packages, processor, switches, by name, (then, now).
        restore: The command that brings the packages of then back; empty where they are those of now.
    """

    run: str
    level: Level
    verdict: str
    tier: Tier
    compared: tuple[Compared, ...]
    first_difference: str | None
    moved: dict[str, tuple[Any, Any]]
    restore: str

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
        ReproductionError: The run is damaged, or what it needs is gone.
        ManifestError: The run was imported.
        DataError: The data are not those of the run.
        RunError: A task failed.
    """
    refuse_imported(workspace, run.experiment)
    with at_work(workspace), held(lock_of(shadow_folder(workspace, run, level))):
        shadow = raise_shadow(workspace, run, level)
        again = None
        fed_by = {parent["input"]: parent["run"] for parent in run.data["parents"]}
        options = RunOptions(_settle(choice, run), gpus=gpus, inputs=fed_by)
        for event in run_experiment(shadow, run.experiment, options):
            if isinstance(event, RunEnd):
                again = event.run
            else:
                yield event
        if again is None:
            raise RunError(f"{run.name} was not made again")
        judged = _judge(Attempt(workspace, run), Attempt(shadow, again), level)
        shutil.rmtree(shadow.root)
    yield judged


def _settle(choice: Choice, run: Run) -> Choice:
    """What to do: a choice, or else the run's own seeds and folds."""
    if run.complete:
        return choice
    scores = run.data["folds"]
    folds = choice.folds or tuple(sorted({score["fold"] for score in scores}))
    return Choice(folds, choice.seeds or tuple(sorted({score["seed"] for score in scores})))


def _judge(old: Attempt, new: Attempt, level: Level) -> Reproduction:
    kinds = [kind for kind in KINDS if kind not in TAKEN[level]]
    compared = compare_attempts(old, new, kinds)
    apart = moved(old.run.data["fingerprint"], new.run.data["fingerprint"])
    tier = judge_tier(old.run, apart, level)
    other = [item for item in compared if not item.same]
    if not other:
        verdict = IDENTICAL
    elif old.run.data["keeps"] == "weights" and {item.what for item in other} <= labels_of(new, "train"):
        # Some formats hold the time they were written at: what the weights predict decides.
        tier = replace(tier, why=f"{tier.why}; other bytes of weights, and every prediction is the same")
        verdict = WITHIN
    else:
        verdict = WITHIN if tier.holds(compared) else DIFFERENT
    return Reproduction(
        run=old.run.name,
        level=level,
        verdict=verdict,
        tier=tier,
        compared=compared,
        first_difference=first_difference(old, new),
        moved=apart,
        restore=restoring_command(old.run.data["environment"], new.run.data["environment"]),
    )
