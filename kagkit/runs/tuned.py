"""Say how a search ended, and write its best as a manifest under a name that is free."""

from __future__ import annotations

import json
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from kagkit.foundation.errors import KagkitError, RunError
from kagkit.runs.trials import DONE, FAILED, PRUNED, Study, Trial, best_trial, find_optimism
from kagkit.runs.trying import with_values
from kagkit.workspace.experiment import Experiment
from kagkit.workspace.layout import Workspace
from kagkit.workspace.parentage import derive


@dataclass(frozen=True)
class Tuned:
    """How a search ended.

    Attributes:
        experiment: Its name.
        trials: All trials of the study.
        best: The best of them.
        manifest: The manifest that says it: the experiment's own where nothing was better.
        written: Whether that manifest was written now.
        optimism: How much the best flatters; None where that cannot be said.
        seconds: How long this command took.
    """

    experiment: str
    trials: tuple[Trial, ...]
    best: Trial
    manifest: str
    written: bool
    optimism: float | None
    seconds: float

    def as_json(self) -> dict[str, Any]:
        """The facts as plain data."""
        counts = {state: sum(t.state == state for t in self.trials) for state in (DONE, PRUNED, FAILED)}
        best = {"cv": self.best.cv, "args": self.best.args, "manifest": self.manifest}
        return {
            "experiment": self.experiment,
            "trials": counts,
            "best": best,
            "optimism": self.optimism,
            "seconds": round(self.seconds, 3),
        }


def end_of_search(
    workspace: Workspace, experiment: Experiment, study: Study, name: str | None, began: float
) -> Tuned:
    """Write the best as a manifest, unless it is the experiment's own, and say how the search ended.

    Args:
        workspace: The workspace.
        experiment: The experiment that was searched.
        study: Its study.
        name: The manifest to write; `EXP-tuned` where None.
        began: When the command began, by the monotonic clock.

    Raises:
        ManifestError: The manifest cannot be written.
        RunError: No trial is finished.
    """
    greater = workspace.competition.metric.greater_is_better
    trials = study.trials()
    best = best_trial(trials, greater=greater)
    if best is None:
        raise RunError(f"no trial of {experiment.name} is finished")
    manifest, written = experiment.path.name, False
    if not best.is_first:
        manifest, written = _write_best(workspace, experiment, best, name)
    return Tuned(
        experiment.name,
        tuple(trials),
        best,
        manifest,
        written,
        find_optimism(trials, greater=greater),
        time.monotonic() - began,
    )


def _write_best(
    workspace: Workspace, experiment: Experiment, best: Trial, name: str | None
) -> tuple[str, bool]:
    """Write the best as a manifest under the first name that is free, unless one there says the same."""
    wanted = with_values(experiment, best.args).manifest
    stem = (name or f"{experiment.name}-tuned").removesuffix(".yaml")
    count = 1
    while True:
        own = stem if count == 1 else f"{stem}-{count}"
        path = workspace.root / f"{own}.yaml"
        if not path.exists():
            settings = [f"{key}={json.dumps(value)}" for key, value in best.args.items()]
            return derive(workspace, own, experiment.name, settings).path.name, True
        with suppress(KagkitError):
            there = workspace.experiment(own).manifest
            if replace(there, note=wanted.note, parent=wanted.parent, search=wanted.search) == wanted:
                return path.name, False
        count += 1
