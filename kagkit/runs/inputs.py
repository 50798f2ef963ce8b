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
FOLDS = "folds.csv"  # in the folder of a run that came from elsewhere
BLEND = "kagkit.recipes.blend"
SAME, OTHER, UNKNOWN = "same", "other", "unknown"
SEEN = "what feeds this experiment has seen rows that are held out here"
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
        folds: `same`, where no row held out here was trained on there by what predicted another row; `other`
            or `unknown`, where a blend alone takes it.
    """

    name: str
    run: str
    plan_key: str
    files: dict[str, dict[str, str]]
    seen: dict[str, int]
    folds: str = SAME

    @property
    def note(self) -> str:
        """What is to be said of it before its scores are believed; empty where all is well."""
        if self.folds == SAME:
            return ""
        what = "nobody knows its folds" if self.folds == UNKNOWN else "its folds are others"
        return f"inputs.{self.name}: {self.run}: {what}; it is blended, and this CV is not nested"

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
        return {
            "input": self.name,
            "run": self.run,
            "plan_key": self.plan_key,
            "folds": self.folds,
            **contents,
        }


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
        DataError: Its folds are others, or not known, and it feeds no blend: a row held out there would not
            be held out here.
        ReproductionError: A record is damaged.
    """
    found = []
    manifest = experiment.manifest
    for name, reference in (manifest.inputs | ({} if workspace.smoke else manifest.rows.feeds)).items():
        run = find_run(workspace, (pinned or {}).get(name, reference))
        _refuse_unfit(experiment, name, run)
        where = f"{experiment.path.name}: {_key(name)}"
        relation, problem = _hold_folds(workspace, experiment, where, run)
        if problem is not None and (manifest.recipe != BLEND or name.startswith(ROWS)):
            raise DataError(SEEN, [problem])
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
        found.append(Input(name, run.name, run.data["plan_key"], files, seen, relation))
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
    _, problem = _hold_folds(workspace, experiment, where, run)
    if problem is not None:
        raise DataError(SEEN, [problem])


def _hold_folds(
    workspace: Workspace, experiment: Experiment, where: str, run: Run
) -> tuple[str, Problem | None]:
    """How a run's folds stand to those of the experiment it feeds, and what is wrong with them.

    What a blend's weights may bear, for they are few, no model that is trained on predictions may.
    """
    own, theirs = experiment.manifest.folds.set, run.data["fold_set"]["name"]
    key, expected = workspace.competition.rows.key, f"the folds {own}"
    blend = f"feed it to a blend alone: recipe: {BLEND}"
    if not run.data.get("nested", True):
        return OTHER, Problem(where, f"{run.name} is a blend of runs on other folds", expected, blend)
    table = run.folder / FOLDS if run.imported else workspace.fold_file(theirs)
    if run.imported and not table.is_file():
        hint = f"import it with its folds: --folds FILE; or {blend}"
        return UNKNOWN, Problem(where, f"nobody knows the folds of {run.name}", expected, hint)
    if own == theirs and not run.imported:
        return SAME, None
    here, there = _fold_of(workspace.fold_file(own), key), _fold_of(table, key)
    moved = [row for row in here.keys() & there.keys() if here[row] != there[row]]
    if not moved:
        return SAME, None
    found = f"{counted(len(moved), 'row')} in another fold of {theirs}: {samples(sorted(moved))}"
    hint = blend if run.imported else f"give {run.experiment} the folds {own}, or this one {theirs}"
    return OTHER, Problem(where, f"{run.name} is on the folds {theirs}, {found}", expected, hint)


def _key(name: str) -> str:
    """The manifest's key of a name."""
    return "rows" if name.startswith(ROWS) else f"inputs.{name}"


def _fold_of(table: Path, key: tuple[str, ...]) -> dict[str, str]:
    with table.open(newline="", encoding="utf-8") as stream:
        return {"_".join(row[name] for name in key): row["fold"] for row in csv.DictReader(stream)}
