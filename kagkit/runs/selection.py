"""Say which rows are trained on beside the folds' own, fold by fold, and name what decides it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from kagkit.foundation.errors import DataError, Problem, counted
from kagkit.foundation.files import digest_of, file_sha256, read_json
from kagkit.runs.inputs import OOF, TEST, Input
from kagkit.runs.material import Material, material_file, rows_folder
from kagkit.runs.record import Run
from kagkit.workspace.experiment import Experiment
from kagkit.workspace.layout import Workspace

FULL = "full"
SELECTION, JUDGED = "selection.json", "judged.arrow"
# What is kept of each fold: keys that are left out, rows that are added, and where each of these is from.
LEFT_OUT, ADDED, ORIGINS = "left-out", "added", "origins"
PART, WEIGHT = "part", "weight"


@dataclass(frozen=True)
class Selection:
    """What the rules of a manifest came to.

    Attributes:
        name: The folder it is cached in, beside the cached rows.
        digests: By fold as text, `full` for a fit on all rows: what is left out and added there; empty where
            nothing is.
        parts: Parts whose rows are added, each with the digest of its rows without targets.
        excluded: For each rule, what the record tells of it.
        extra: Likewise for further rows.
    """

    name: str
    digests: dict[str, str]
    parts: dict[str, str]
    excluded: tuple[dict[str, Any], ...]
    extra: tuple[dict[str, Any], ...]

    def digest(self, fold: int | None) -> str:
        """What is left out and added where a fold is held out; empty where nothing is."""
        return self.digests[name_of_fit(fold)]


@dataclass(frozen=True)
class Selecting:
    """What a selection is made of.

    Attributes:
        experiment: The experiment's name.
        rows: The key of the cached rows.
        fold_set: The fold set.
        feeds: The runs that rules name, by their name among the parents.
        parts: Digests of the parts of further sources.
    """

    experiment: str
    rows: str
    fold_set: str
    feeds: dict[str, str]
    parts: dict[str, dict[str, str]]


def selecting_of(
    experiment: Experiment, material: Material, parts: dict[str, dict[str, str]], inputs: Sequence[Input]
) -> Selecting:
    """What an experiment's selection is made of, on these rows and folds, by the runs that were found."""
    further = {source: parts[source] for source in experiment.manifest.rows.sources}
    feeds = {each.name: each.run for each in inputs if not each.is_handed}
    return Selecting(experiment.name, material.key, experiment.manifest.folds.set, feeds, further)


def tell_selection(selection: Selection) -> Iterator[str]:
    """What the rules came to, a line for each."""
    for told in selection.excluded:
        by = told.get("run") or told["rule"]["keys"]
        counts = _span([*told["folds"].values()])
        yield f"rows: {counted(told['rows'], 'training row')} left out by {by}; {counts} of a fold's own"
    for told in selection.extra:
        by = f" as {told['run']} predicts without the fold" if "run" in told else ""
        yield f"rows: {_span([*told['folds'].values()])} more of {told['part']} in each fold{by}"


def _span(counts: Sequence[int]) -> str:
    low, high = min(counts), max(counts)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def tasks_on_test(run: Run) -> dict[int, list[dict[str, Any]]]:
    """The tasks of a run that predicted the test rows by a model that held out a fold, by that fold."""
    found: dict[int, list[dict[str, Any]]] = {}
    for task in run.data["tasks"]:
        facts = task["ingredients"]
        if facts.get("test rows") and facts["fold"] is not None:
            found.setdefault(facts["fold"], []).append(task)
    return found


def refuse_all_seeing(experiment: str, run: Run, folds: Sequence[int]) -> None:
    """Stop where test rows would be labelled by a model that has seen what is held out here.

    The test predictions of a run are the mean of its folds' models, and each row that is held out here was
    seen by all of these but one. So each fold takes its labels from the model that held out the same fold.

    Raises:
        DataError: The run has no test predictions by fold.
    """
    lacking = [fold for fold in folds if fold not in tasks_on_test(run)]
    if not lacking:
        return
    fit = (
        "fit: both predicts the test rows by fits on all rows"
        if not tasks_on_test(run)
        else "it has other folds"
    )
    problem = Problem(
        f"{experiment}.yaml: rows.extra",
        f"{run.name} has no test predictions of a model that held out fold {lacking[0]}: {fit}",
        "labels by a model that has not seen the fold",
        f"give {run.experiment} fit: folds and the same folds",
    )
    raise DataError("pseudo-labels would come from models that have seen the rows held out here", [problem])


def selection_key(
    workspace: Workspace, experiment: Experiment, what: Selecting, inputs: Sequence[Input]
) -> str:
    """The name of a selection: a digest of the rules, and of all that decides what they come to."""
    folds = material_file(workspace, what.rows, what.fold_set)
    return digest_of(
        {
            "rules": asdict(experiment.manifest.rows),
            "fits": [experiment.manifest.fit, experiment.manifest.folds.only],
            "folds": folds.name if folds else "",
            "feeds": [
                [each.name, each.plan_key, *each.contents(OOF, TEST)] for each in inputs if not each.is_handed
            ],
            "files": {
                file: file_sha256(workspace.root / file) for file in experiment.manifest.rows.key_files
            },
            "parts": what.parts,
        }
    )[:32]


def selection_folder(workspace: Workspace, rows: str, name: str) -> Path:
    """Where a selection is cached."""
    return rows_folder(workspace, rows) / f"selection-{name}"


def cached_selection(workspace: Workspace, rows: str, name: str) -> Selection | None:
    """A selection that was made before; None where it is not cached whole."""
    try:
        data = read_json(selection_folder(workspace, rows, name) / SELECTION)
        return Selection(**{**data, "excluded": tuple(data["excluded"]), "extra": tuple(data["extra"])})
    except (OSError, ValueError, TypeError, KeyError):
        return None


def fits_of(experiment: Experiment, material: Material) -> tuple[int | None, ...]:
    """The folds an experiment holds out, all that its manifest has; None stands for a fit on all rows."""
    manifest = experiment.manifest
    numbers = [int(name) for name in material.folds if name != FULL]
    folds = tuple(n for n in numbers if manifest.folds.only is None or n in manifest.folds.only)
    return {"folds": folds, "full": (None,), "both": (*folds, None)}[manifest.fit]


def name_of_fit(fold: int | None) -> str:
    """A held-out fold as records call it; `full` for a fit on all rows."""
    return FULL if fold is None else str(fold)


def selected_file(folder: Path, kind: str, fold: int | None) -> Path:
    """The file with what is kept of a fold; there is none where it would be empty."""
    return folder / f"{kind}-{name_of_fit(fold)}.arrow"
