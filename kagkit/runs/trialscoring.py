"""Score the folds of a trial, in a job: those that were not scored before, and the CV once all are there."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from kagkit.foundation.errors import RunError
from kagkit.foundation.files import read_json, write_json
from kagkit.runs.failing import guard
from kagkit.workspace.layout import Workspace
from kagkit.workspace.manifest import Making

ANSWER = "scores.json"


@dataclass(frozen=True)
class ScoringSpec:
    """What to score, as data that crosses a process border.

    Attributes:
        rows: The key of the cached rows.
        fold_set: The name of the fold set.
        make: What makes the submission, and its arguments as the trial has them.
        args: Those arguments.
        combine: How seeds become one prediction.
        folds: Seed, fold and folder below `runs/.tasks` of the first folds, in the order of seeds and folds.
        known: The scores of the first of these.
        whole: Whether these are all folds, so that there is a CV.
        stage: The stage.
    """

    rows: str
    fold_set: str
    make: str | None
    args: dict[str, Any]
    combine: str
    folds: tuple[tuple[int, int, str], ...]
    known: tuple[dict[str, Any], ...]
    whole: bool
    stage: int = 1


def write_scoring(path: Path, spec: ScoringSpec) -> None:
    """Write a spec for the job that scores."""
    write_json(path, asdict(spec))


def score_trial(spec_path: str) -> int:
    """Score folds; the entry that engines start. Leaves `scores.json` beside the spec: `folds` and `cv`.

    Args:
        spec_path: The spec's file, relative to the workspace, which is the current folder.

    Returns:
        0 when it is done; 1 when it could not be: `error.json` beside the spec says why.
    """
    root = Path.cwd()
    folder = (root / spec_path).parent
    spec = ScoringSpec(**read_json(root / spec_path))
    return guard(lambda: _score(Workspace(root), spec, folder), root, folder, "scoring a trial")


def _score(workspace: Workspace, spec: ScoringSpec, folder: Path) -> None:
    from kagkit.data import contents
    from kagkit.metrics.scoring import Scorer, read_sample
    from kagkit.runs.material import cached_material, rows_folder
    from kagkit.runs.scorecard import FoldFile, Scorecard

    material = cached_material(workspace, spec.rows, spec.fold_set)
    if material is None:
        raise RunError("the cached rows are gone: run the same command again")
    competition = workspace.competition
    train = contents.read(rows_folder(workspace, spec.rows) / "train.arrow")
    sample = read_sample(workspace.root, competition, spec.stage)
    making = Making(spec.make, spec.args)
    scorer = Scorer(workspace.root, competition, making, sample, material.targets, train)
    card = Scorecard(scorer, train, spec.combine)
    tasks = workspace.tasks
    held_out = [FoldFile(seed, fold, tasks / task / "out/valid.arrow") for seed, fold, task in spec.folds]
    scores = [*spec.known, *(card.fold(one) for one in held_out[len(spec.known) :])]
    cv = None
    if spec.whole:
        card.put_together(folder / "oof.arrow", held_out)
        cv = card.cv(scores, folder / "oof.arrow")
    write_json(folder / ANSWER, {"folds": scores, "cv": cv})
