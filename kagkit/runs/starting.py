"""Find the run of stage 1 that a stage-2 experiment goes on from, and its weights by seed and fold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kagkit.foundation.errors import ManifestError, Problem, ReproductionError
from kagkit.runs.inputs import SAME, refuse_other_folds
from kagkit.runs.record import Run, find_run
from kagkit.runs.store import Stored, read_task
from kagkit.workspace.experiment import Experiment
from kagkit.workspace.layout import Workspace

START = "start"
Fit = tuple[int, int | None]  # seed and held-out fold


@dataclass(frozen=True)
class Starting:
    """A run to go on from.

    Attributes:
        run: The run.
        weights: Its finished train tasks, by seed and held-out fold.
    """

    run: Run
    weights: dict[Fit, Stored]

    def as_parent(self) -> dict[str, Any]:
        """What the record of the run that goes on says of it."""
        # Whoever starts from other folds is refused.
        return {"input": START, "run": self.run.name, "plan_key": self.run.data["plan_key"], "folds": SAME}

    def of(self, experiment: str, seed: int, fold: int | None) -> Stored:
        """The weights of one fit.

        Raises:
            ManifestError: The run has no such fit.
        """
        stored = self.weights.get((seed, fold))
        if stored is None:
            fits = ", ".join(sorted(_told(fit) for fit in self.weights))
            found = f"{self.run.name} has no {_told((seed, fold))}"
            problem = Problem(f"{experiment}.yaml: start", found, f"one of {fits}")
            raise ManifestError("nothing to start from", [problem])
        return stored


def find_start(
    workspace: Workspace, experiment: Experiment, pinned: Mapping[str, str] | None = None
) -> Starting | None:
    """The run an experiment's `start` names; None where it starts from nothing.

    Args:
        workspace: The workspace.
        experiment: The experiment.
        pinned: By name, the run to take in place of the one the manifest means now; its name is `start`.

    Raises:
        ManifestError: No such run, or one that keeps no weights.
        ReproductionError: Its weights are gone, or not as they were recorded: what is frozen never changes.
        DataError: Its folds are others: its weights have seen rows that are held out here.
    """
    reference = experiment.manifest.start
    if not reference:
        return None
    run = find_run(workspace, (pinned or {}).get(START, reference))
    where = f"{experiment.path.name}: start"
    if run.data["keeps"] != "weights":
        hint = "leave `start` out: it is trained again from scratch"
        problem = Problem(where, f"{run.name} keeps predictions alone", "a run with weights", hint)
        raise ManifestError("nothing to start from", [problem])
    refuse_other_folds(workspace, experiment, where, run)
    return Starting(run, dict(_weights(workspace, run)))


def _told(fit: Fit) -> str:
    seed, fold = fit
    return f"seed {seed} " + ("all rows" if fold is None else f"fold {fold}")


def _weights(workspace: Workspace, run: Run) -> list[tuple[Fit, Stored]]:
    told = [task for task in run.data["tasks"] if task["kind"] == "train"]
    folders = {task["folder"]: workspace.tasks / task["folder"] for task in told}
    gone = [task for task in told if not (folders[task["folder"]] / "task.json").is_file()]
    hint = f"kagkit run {run.experiment} makes it again"
    problems = [
        Problem(f"runs/.tasks/{task['folder']}", f"gone: {task['label']}", hint=hint) for task in gone
    ]
    found = []
    for task in told if not gone else ():
        stored = Stored(folders[task["folder"]], read_task(folders[task["folder"]]))
        if stored.record.content != task["content"]:
            problems.append(
                Problem(task["label"], "not the weights that the record tells of", check="integrity")
            )
        found.append(((task["ingredients"]["seed"], task["ingredients"]["fold"]), stored))
    if problems:
        raise ReproductionError(f"the weights of {run.name} are not as they were recorded", problems)
    return found
