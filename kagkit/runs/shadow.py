"""Set a run up again in a folder of its own: its manifest, code, folds, data, and its tasks that stand."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from kagkit.data.versions import Locked, read_listing, read_lock, write_listing, write_lock
from kagkit.foundation.errors import Problem, ReproductionError
from kagkit.foundation.files import link_or_copy, read_json, write_json
from kagkit.runs.material import scheme_of
from kagkit.runs.pinning import fold_table_then
from kagkit.runs.record import MANIFEST, Run, verify_run
from kagkit.runs.store import Stored, read_task, verify_task
from kagkit.runs.usable import competition_of, manifest_of
from kagkit.workspace.competition import FILE
from kagkit.workspace.layout import Workspace

Level = Literal["predictions", "weights", "scratch"]
# The kinds of task that a level takes as they are; the others are done again.
TAKEN: dict[Level, tuple[str, ...]] = {
    "predictions": ("prepare", "train", "predict"),
    "weights": ("prepare", "train"),
    "scratch": (),
}
MARK = "shadow.json"


def shadow_folder(workspace: Workspace, run: Run, level: Level) -> Path:
    """Where a run is made again from a level."""
    return workspace.work / f"reproduce-{run.experiment}-{run.number:03d}-{level}"


def raise_shadow(workspace: Workspace, run: Run, level: Level) -> Workspace:
    """A workspace that holds what a run was made from, as the run recorded it, and nothing newer.

    Code, manifest and competition.yaml come from the run's own folder; the data are the workspace's, pinned
    to the run's version; the fold table is as long as it was then. A shadow that was begun before goes on.

    Args:
        workspace: The workspace of the run.
        run: The run; nothing of it is changed.
        level: What is taken over of its tasks.

    Returns:
        The shadow, below `runs/.work/`.

    Raises:
        ReproductionError: The run or a task it needs is damaged or gone, or keeps no weights.
        DataError: The listing of the data is damaged.
    """
    _refuse_damage(workspace, run, level)
    root = shadow_folder(workspace, run, level)
    mark = {"seal": run.data["seal"], "level": level}
    if not ((root / MARK).is_file() and read_json(root / MARK) == mark):
        shutil.rmtree(root, ignore_errors=True)
        root.mkdir(parents=True)
        shadow = Workspace(root)
        _copy_sources(run, shadow)
        _link_data(workspace, shadow, run)
        _copy_folds(workspace, shadow, run)
        for stored in _taken_tasks(workspace, run, level):
            shutil.copytree(stored.folder, shadow.tasks / stored.folder.name, copy_function=_link)
        write_json(root / MARK, mark)
    return Workspace(root)


def _taken_tasks(workspace: Workspace, run: Run, level: Level) -> Iterator[Stored]:
    """The finished tasks of a run that a level takes over."""
    for task in run.data["tasks"]:
        if task["kind"] in TAKEN[level]:
            folder = workspace.tasks / task["folder"]
            yield Stored(folder, read_task(folder))


def _refuse_damage(workspace: Workspace, run: Run, level: Level) -> None:
    """Stop where a byte of the run, or of the tasks a level takes over, is not as it was recorded.

    Raises:
        ReproductionError: Every such file.
    """
    if level == "weights" and run.data["keeps"] == "predictions":
        hint = f"kagkit reproduce {run.name} --level scratch"
        problem = Problem(run.name, "keeps predictions alone", "weights to predict with", hint)
        raise ReproductionError(f"{run.name} cannot be predicted again", [problem])
    problems = verify_run(run)
    for task in run.data["tasks"]:
        if task["kind"] in TAKEN[level] and not (workspace.tasks / task["folder"]).is_dir():
            hint = f"kagkit reproduce {run.name} --level scratch needs no tasks"
            problems.append(Problem(f"runs/.tasks/{task['folder']}", f"gone: {task['label']}", hint=hint))
    if not problems:
        problems = [
            problem for stored in _taken_tasks(workspace, run, level) for problem in verify_task(stored)
        ]
    if problems:
        raise ReproductionError(f"{run.name} is not as it was recorded", problems)


def _copy_sources(run: Run, shadow: Workspace) -> None:
    shutil.copyfile(run.folder / MANIFEST, shadow.root / f"{run.experiment}.yaml")
    shutil.copyfile(run.folder / FILE, shadow.root / FILE)
    if (run.folder / "code").is_dir():
        shutil.copytree(run.folder / "code", shadow.root, dirs_exist_ok=True)


def _link_data(workspace: Workspace, shadow: Workspace, run: Run) -> None:
    """Links to the data where they are now, and a lock that says what they were then."""
    # Read without a look at the disk: what they name is linked only now.
    competition, manifest = competition_of(run), manifest_of(run)
    own_folds = scheme_of(competition, run.data["fold_set"]["name"]).file
    paths = {*competition.paths, *([own_folds] if own_folds else [])}
    paths |= {asset.path for asset in manifest.assets.values()}
    for path in sorted(paths):
        if not (shadow.root / path).exists():
            (shadow.root / path).parent.mkdir(parents=True, exist_ok=True)
            (shadow.root / path).symlink_to((workspace.root / path).resolve())
    write_lock(
        shadow.root, {name: _locked(workspace, shadow, name, v) for name, v in run.data["data"].items()}
    )


def _locked(workspace: Workspace, shadow: Workspace, source: str, version: str) -> Locked:
    listing, locked = read_listing(workspace.root, version), read_lock(workspace.root).get(source)
    if listing is not None:
        write_listing(shadow.root, listing)
        return Locked(version, listing.parts)
    if locked is not None and locked.version == version:
        return locked
    hint = "bring back the data of that time and pin them: kagkit data pin writes the listing again"
    problem = Problem(f"runs/.data/{version}.sha256", f"gone: what {source} was then", hint=hint)
    raise ReproductionError("nobody knows what the data were", [problem])


def _copy_folds(workspace: Workspace, shadow: Workspace, run: Run) -> None:
    """The fold table as long as it was: rows are only ever appended to it."""
    made = run.data["fold_set"]
    table, target = workspace.fold_file(made["name"]), shadow.fold_file(made["name"])
    then = fold_table_then(workspace, run)
    if then is None:
        found = "gone" if not table.exists() else f"old rows changed since {run.name}"
        hint = "bring the table back from git: folds never change once written"
        problem = Problem(f"folds/{table.name}", found, hint=hint)
        raise ReproductionError("the folds are not the run's", [problem])
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(then)
    if table.with_suffix(".json").exists():
        shutil.copyfile(table.with_suffix(".json"), target.with_suffix(".json"))


def _link(source: str, target: str) -> None:
    link_or_copy(Path(source), Path(target))
