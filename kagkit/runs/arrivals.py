"""Take in predictions made elsewhere: their keys proved, scored here where they can be, a run on record."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import chdir, contextmanager
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from shutil import rmtree
from typing import Any

import pandas as pd

from kagkit.data import contents, folds
from kagkit.data.keys import shown
from kagkit.foundation.errors import DataError, ManifestError, Problem, RunError, counted
from kagkit.foundation.files import append_json_line, commit_folder, file_sha256, held, write_json
from kagkit.metrics.scoring import Scorer, read_sample
from kagkit.runs.failing import explained
from kagkit.runs.inputs import FOLDS
from kagkit.runs.material import (
    Material,
    cached_material,
    make_material,
    rows_folder,
    rows_key,
    stage_sources,
)
from kagkit.runs.pinning import settle_data
from kagkit.runs.presence import at_work
from kagkit.runs.record import RECORD, Run, events_seal, read_run, run_folders, seal_record
from kagkit.runs.store import list_kept
from kagkit.workspace.layout import NOT_MANIFESTS, Workspace
from kagkit.workspace.manifest import Making
from kagkit.workspace.parentage import NAME

ELSEWHERE, NOT_KNOWN = "elsewhere", "not known"


@dataclass(frozen=True, eq=False)
class Ground:
    """What predictions from elsewhere are held against: this workspace's rows, their truth, its metric.

    Attributes:
        workspace: The workspace.
        stage: The competition's stage.
        versions: The data's version by source.
        material: What the rows are.
    """

    workspace: Workspace
    stage: int
    versions: dict[str, str]
    material: Material

    @cached_property
    def train(self) -> pd.DataFrame:
        """All training rows, by key."""
        return self._read("train")

    @cached_property
    def test(self) -> pd.DataFrame:
        """All test rows, by key."""
        return self._read("test")

    @cached_property
    def scorer(self) -> Scorer:
        """Who scores predictions as they come, without anybody's post-processing."""
        root, competition = self.workspace.root, self.workspace.competition
        sample = read_sample(root, competition, self.stage)
        return Scorer(root, competition, Making(), sample, self.material.targets, self.train)

    def _read(self, split: str) -> pd.DataFrame:
        return contents.read(rows_folder(self.workspace, self.material.key) / f"{split}.arrow")


@dataclass(frozen=True)
class Arrival:
    """A run that came from elsewhere, as it is on record now.

    Attributes:
        run: The run.
        notes: What to know of it, in words.
    """

    run: Run
    notes: tuple[str, ...]


def take_in(
    workspace: Workspace, name: str, make: Callable[[Path], tuple[dict[str, Any], list[str]]]
) -> Arrival:
    """Have what came from elsewhere written into a folder aside, and give it its name as a run.

    Args:
        workspace: The workspace.
        name: What the run is called here; no experiment, nor any run, may have that name.
        make: Writes the run's files into a folder, and gives its record without what is the same for all,
            and notes.

    Raises:
        ManifestError: The name is taken, or cannot be one.
        KagkitError: Whatever does not fit the workspace.
    """
    refuse_taken(workspace, name)
    work = workspace.work / f"import-{name}"
    with at_work(workspace), held(workspace.work / f"{name}.run.lock"), _aside(work) as aside:
        refuse_taken(workspace, name)
        # The workspace's own loader and metric are called as a job would, in the workspace.
        with chdir(workspace.root), explained(workspace.root, f"importing {name}"):
            record, notes = make(aside)
        append_json_line(aside / "events.jsonl", {"event": "assembled", "time": round(time.time(), 3)})
        append_json_line(aside / "events.jsonl", events_seal((aside / "events.jsonl").read_bytes()))
        own = {"experiment": name, "number": 1, "run": f"{name}/1", "tasks": [], "parents": []}
        files = [asdict(kept) for kept in list_kept(aside) if kept.name != "events.jsonl"]
        write_json(aside / RECORD, seal_record(record | own | {"files": files}))
        final = workspace.runs / name / f"001-{record['plan_key'][:8]}"
        if not commit_folder(aside, final):
            raise RunError(f"{name}/1 is there already")
    return Arrival(read_run(final), tuple(notes))


def settle_ground(workspace: Workspace, stage: int) -> Ground:
    """The rows of a stage of the pinned data, read where they are not cached.

    Raises:
        ManifestError: competition.yaml has no such stage.
        DataError: The data changed since they were pinned, or rows or folds break a rule.
    """
    if str(stage) not in workspace.competition.stages:
        problem = Problem("competition.yaml", f"no stage {stage}", hint=f"stages: {{{stage}: …}}")
        raise ManifestError("predictions of another stage", [problem])
    pins = settle_data(workspace, stage_sources(stage))
    key = rows_key(workspace, stage, pins.parts)
    material = cached_material(workspace, key, "main") or make_material(workspace, stage, key, "main")
    return Ground(workspace, stage, pins.versions, material)


def refuse_taken(workspace: Workspace, name: str) -> None:
    """Stop where a name means something else already, or cannot be one.

    Raises:
        ManifestError: Saying what has it.
    """
    found, hint = "", "give it another: --name NAME"
    if not NAME.fullmatch(name) or f"{name}.yaml" in NOT_MANIFESTS:
        found = "not a name for a run: letters, digits, - and _"
    elif os.path.lexists(workspace.root / f"{name}.yaml"):
        found = f"{name}.yaml has that name"
    elif run_folders(workspace, name):
        found = f"runs/{name}/ is there already"
    if found:
        raise ManifestError(f"{name!a} is not imported", [Problem("--name", found, hint=hint)])


def refuse_other_keys(where: str, keys: pd.Index[Any], known: pd.Index[Any], *, partial: bool) -> None:
    """Stop where predictions are not of this workspace's rows, each once.

    Args:
        where: How messages call the predictions.
        keys: Their keys, text.
        known: The rows' keys.
        partial: Whether some of the rows may be missing.

    Raises:
        DataError: Keys that stand twice, are missing or too many, counted, with the first of them.
    """
    rows, problems = counted(len(known), "row"), []

    def note(found: str, some: pd.Index[Any], expected: str, hint: str = "") -> None:
        told = found.format(counted(len(some), "key")) + f": {shown(some[:5].tolist(), len(some))}"
        problems.append(Problem(where, told, expected, hint, check="ids"))

    twice, extra = keys[keys.duplicated()].unique(), keys[~folds.is_in(keys, known)].unique()
    missing = known[~folds.is_in(known, keys)]
    if len(twice):
        note("{} more than once", twice, "each key once")
    if len(extra):
        note("{} that no row here has", extra, f"the keys of {rows}")
    if len(missing) and (not partial or len(missing) == len(known)):
        hint = "rows that were never held out may be left out where that is said: --partial"
        note("{} missing", missing, f"all {rows}", hint if where == "oof" else "")
    if problems:
        raise DataError(f"the {where} predictions are not of this workspace's rows", problems)


def keep_folds(ground: Ground, fold_of: pd.Series[int], aside: Path, name: str) -> dict[str, Any]:
    """Write the folds that predictions were made on beside them, and say which these are.

    Args:
        ground: The workspace's rows.
        fold_of: The fold of each row by key.
        aside: The run's folder.
        name: How the set is called where it is none of this workspace's.

    Returns:
        `fold_set` of the record: that of this workspace which has every row in the same fold, or their own.
    """
    workspace, key = ground.workspace, ground.workspace.competition.rows.key
    folds.write(aside / FOLDS, fold_of)
    for path in sorted(workspace.root.glob("folds/*.csv")):
        own = folds.read(path, key)
        if own.reindex(ground.train.index).equals(fold_of.reindex(ground.train.index)):
            facts = {"sha256": file_sha256(path), "bytes": path.stat().st_size}
            return {"name": path.stem, **facts, "made": f"as folds/{path.name}"}
    written = aside / FOLDS
    facts = {"sha256": file_sha256(written), "bytes": written.stat().st_size}
    return {"name": name, **facts, "made": ELSEWHERE}


def unknown_folds() -> dict[str, Any]:
    """`fold_set` of the record where nobody has said what the folds were."""
    return {"name": "unknown", "sha256": None, "bytes": 0, "made": NOT_KNOWN}


def fold_notes(fold_set: dict[str, Any]) -> list[str]:
    """What folds that are none of this workspace's keep a run from, in words."""
    found = {ELSEWHERE: "its folds are others than those here", NOT_KNOWN: "its folds are not known"}
    told = found.get(fold_set["made"])
    return [f"{told}: it feeds blends alone, whose CV is not nested then"] if told else []


def plain(text: Any) -> str:
    """A text from elsewhere as one line without what a terminal would take for a command."""
    return re.sub(r"\s+", " ", "".join(char for char in str(text) if char.isprintable() or char.isspace()))


@contextmanager
def _aside(work: Path) -> Iterator[Path]:
    """A folder for a run that is being made; what is left of one that was cut off goes first."""
    rmtree(work, ignore_errors=True)
    (work / "run").mkdir(parents=True)
    try:
        yield work / "run"
    finally:
        rmtree(work, ignore_errors=True)
