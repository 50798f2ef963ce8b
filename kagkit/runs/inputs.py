"""Find the runs that feed an experiment, and prove that their held-out predictions are held out here, too."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kagkit.foundation.errors import DataError, ManifestError, Problem, counted, samples
from kagkit.runs.record import Run, find_run
from kagkit.workspace.experiment import Experiment
from kagkit.workspace.layout import Workspace

OOF, TEST = "oof", "test"
# The names of runs that rules on rows name begin so; no input is called so.
ROWS = "rows."


@dataclass(frozen=True)
class Input:
    """A run that feeds an experiment.

    Attributes:
        name: What the manifest calls it; `rows.exp003` where its rules on rows name the run.
        run: The run: `exp003/2`.
        plan_key: The key of that run.
        files: Its predictions, `oof` and `test`, and its probes, `oof.area`, those that it has: path relative
            to the workspace, the file's digest, and the content's.
        seen: How many rows of other parts it, or what feeds it, was trained on.
    """

    name: str
    run: str
    plan_key: str
    files: dict[str, dict[str, str]]
    seen: dict[str, int]

    @property
    def is_handed(self) -> bool:
        """Whether tasks are handed its predictions; those that decide on rows are not."""
        return not self.name.startswith(ROWS)

    def contents(self, *row_sets: str) -> list[str | None]:
        """The digests of what its predictions and probes say; None where it has no predictions."""
        found: list[str | None] = []
        for which in row_sets:
            probes = sorted(name for name in self.files if name.startswith(f"{which}."))
            own = [self.files.get(name) for name in (which, *probes)]
            found += [told["content_sha256"] if told else None for told in own]
        return found

    def as_parent(self) -> dict[str, Any]:
        """What the record of the fed run says of it."""
        contents = {which: told["content_sha256"] for which, told in self.files.items()}
        return {"input": self.name, "run": self.run, "plan_key": self.plan_key, **contents}


def find_inputs(
    workspace: Workspace, experiment: Experiment, pinned: Mapping[str, str] | None = None
) -> tuple[Input, ...]:
    """The runs behind an experiment's inputs and its rules on rows, which a smoke run leaves aside.

    Args:
        workspace: The workspace.
        experiment: The experiment.
        pinned: By name, the run to take in place of the one the manifest means now.

    Raises:
        ManifestError: A run is not there, is partial, or has no predictions.
        DataError: Its folds are others: a row held out there would not be held out here.
        ReproductionError: A record is damaged.
    """
    found = []
    manifest = experiment.manifest
    for name, reference in (manifest.inputs | ({} if workspace.smoke else manifest.rows.feeds)).items():
        run = find_run(workspace, (pinned or {}).get(name, reference))
        _refuse_unfit(experiment, name, run)
        refuse_other_folds(workspace, experiment, f"{experiment.path.name}: {_key(name)}", run)
        folder = run.folder.relative_to(workspace.root)
        files = {
            which: {
                "path": (folder / told["file"]).as_posix(),
                "sha256": told["sha256"],
                "content_sha256": told["content_sha256"],
            }
            for which, told in _told_files(run)
        }
        seen = run.data.get("rows", {}).get("seen", {})
        found.append(Input(name, run.name, run.data["plan_key"], files, seen))
    return tuple(found)


def _told_files(run: Run) -> Iterator[tuple[str, dict[str, Any]]]:
    """What a run keeps of its rows, as its record tells it."""
    yield from ((which, run.data[which]) for which in (OOF, TEST) if run.data[which])
    for name, sets in run.data.get("probes", {}).items():
        yield from ((f"{which}.{name}", told) for which, told in sets.items())


def _refuse_unfit(experiment: Experiment, name: str, run: Run) -> None:
    where = f"{experiment.path.name}: {_key(name)}"
    hint = f"kagkit run {run.experiment}"
    if not run.complete:
        raise ManifestError(f"{run.name} feeds nothing", [Problem(where, "a partial run", hint=hint)])
    if not run.data[OOF]:
        found = "it has no out-of-fold predictions: it was fitted on all rows"
        raise ManifestError(f"{run.name} feeds nothing", [Problem(where, found, hint="fit: folds, or both")])


def refuse_other_folds(workspace: Workspace, experiment: Experiment, where: str, run: Run) -> None:
    """Stop where a key sits in two folds: it was trained on there by what must not have seen it here.

    Args:
        workspace: The workspace.
        experiment: What the run feeds, or goes on from it.
        where: The place in its manifest that names the run.
        run: The run.

    Raises:
        DataError: How many keys, and the first of them.
    """
    own, theirs = experiment.manifest.folds.set, run.data["fold_set"]["name"]
    if own == theirs:
        return
    key = workspace.competition.rows.key
    here, there = (_fold_of(workspace.fold_file(fold_set), key) for fold_set in (own, theirs))
    moved = [row for row in here.keys() & there.keys() if here[row] != there[row]]
    if moved:
        found = f"{counted(len(moved), 'row')} in another fold of {theirs}: {samples(sorted(moved))}"
        problem = Problem(
            where,
            f"{run.name} is on the folds {theirs}, {found}",
            f"the folds {own}",
            f"give {run.experiment} the folds {own}, or this one {theirs}",
        )
        raise DataError("what feeds this experiment has seen rows that are held out here", [problem])


def _key(name: str) -> str:
    """The manifest's key of a name."""
    return "rows" if name.startswith(ROWS) else f"inputs.{name}"


def _fold_of(table: Path, key: tuple[str, ...]) -> dict[str, str]:
    with table.open(newline="", encoding="utf-8") as stream:
        return {"_".join(row[name] for name in key): row["fold"] for row in csv.DictReader(stream)}
