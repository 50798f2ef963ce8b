"""Set a run up again in a folder of its own: its manifest, code, folds, data, and its tasks that stand."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, Literal

from kagkit.data.versions import Locked, read_listing, read_lock, write_listing, write_lock
from kagkit.foundation.component import WHOLE
from kagkit.foundation.environment import fingerprint
from kagkit.foundation.errors import Problem, ReproductionError
from kagkit.foundation.files import file_sha256, link_or_copy, read_json, write_json
from kagkit.runs.inputs import ROWS
from kagkit.runs.material import scheme_of
from kagkit.runs.pinning import fold_table_then
from kagkit.runs.record import Run, find_run, verify_run
from kagkit.runs.selection import tasks_on_test
from kagkit.runs.starting import START
from kagkit.runs.store import Stored, read_task, verify_task
from kagkit.runs.usable import competition_of, manifest_of
from kagkit.workspace.commands import read_stated
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
    to the run's version; the fold table is as long as it was then. A shadow that was begun before goes on,
    unless it was begun in another environment.

    Args:
        workspace: The workspace of the run.
        run: The run; nothing of it is changed.
        level: What is taken over of its tasks.

    Returns:
        The shadow, below `runs/.work/`.

    Raises:
        ReproductionError: The run or a task it needs is damaged or gone, or keeps no weights; or a task that
            is to be done again was made from more than the run kept.
        DataError: The listing of the data is damaged.
    """
    _refuse_damage(workspace, run, level)
    _refuse_lost_sources(run, level)
    root = shadow_folder(workspace, run, level)
    mark = {"seal": run.data["seal"], "level": level, "fingerprint": fingerprint()}
    if not ((root / MARK).is_file() and read_json(root / MARK) == mark):
        shutil.rmtree(root, ignore_errors=True)
        root.mkdir(parents=True)
        shadow = Workspace(root)
        _copy_sources(run, shadow)
        _link_data(workspace, shadow, run)
        _copy_folds(workspace, shadow, run)
        for stored in standing_tasks(workspace, run, level).values():
            shutil.copytree(stored.folder, shadow.tasks / stored.folder.name, copy_function=_link)
        _link_parents(workspace, shadow, run)
        write_json(root / MARK, mark)
    return Workspace(root)


def standing_tasks(workspace: Workspace, run: Run, level: Level) -> dict[str, Stored]:
    """The finished tasks of a run that a level takes over, by identity: the very folders of the record.

    Args:
        workspace: Where they are: the workspace of the run, or a shadow of it.
        run: The run.
        level: What is taken over.
    """
    taken = [task for task in run.data["tasks"] if task["kind"] in TAKEN[level]]
    folders = {task["identity"]: workspace.tasks / task["folder"] for task in taken}
    return {identity: Stored(folder, read_task(folder)) for identity, folder in folders.items()}


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
            problem
            for stored in standing_tasks(workspace, run, level).values()
            for problem in verify_task(stored)
        ]
    if problems:
        raise ReproductionError(f"{run.name} is not as it was recorded", problems)


def _refuse_lost_sources(run: Run, level: Level) -> None:
    """Stop where a task that is to be done again was made from code or files that the run does not keep.

    Raises:
        ReproductionError: Every such task.
    """
    problems = []
    for task in run.data["tasks"]:
        if task["kind"] not in TAKEN[level]:
            hint = f"kagkit reproduce {run.name} --level predictions takes it as it is"
            if task["undeclared"]:
                found = f"read {', '.join(task['undeclared'])}, which the run does not keep"
                problems.append(Problem(task["label"], found, "files that `code:` declares", hint))
            older = _accepted_code(run, task)
            if older:
                found = f"made by older code of {', '.join(older)} than the run keeps: it was accepted"
                problems.append(Problem(task["label"], found, hint=hint))
    if problems:
        raise ReproductionError(f"{run.name} cannot be made again from {level}", problems)


def _accepted_code(run: Run, task: dict[str, Any]) -> list[str]:
    """The files of which a task was made by other code than the run's copies hold."""
    if not run.data["accepted"]:
        return []
    code, manifest = run.folder / "code", manifest_of(run)
    recipe = read_stated(code, manifest)
    kept = recipe.code(*recipe.functions)
    kept |= {f"{file}:{WHOLE}": file_sha256(code / file) for file in manifest.code}
    made = {name.removeprefix("code "): digest for name, digest in task["ingredients"].items()}
    return [
        file
        for file in run.data["accepted"]
        if any(name.startswith(f"{file}:") and kept.get(name) != made[name] for name in made)
    ]


def _copy_sources(run: Run, shadow: Workspace) -> None:
    shutil.copyfile(run.folder / "manifest.yaml", shadow.root / f"{run.experiment}.yaml")
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


def _link_parents(workspace: Workspace, shadow: Workspace, run: Run) -> None:
    """The runs that fed it, as they are recorded."""
    problems = []
    labelling = {f"{ROWS}{extra.labels}" for extra in manifest_of(run).rows.extra}
    for parent in run.data["parents"]:
        fed = find_run(workspace, parent["run"])
        problems += verify_run(fed)
        if fed.data["plan_key"] != parent["plan_key"]:
            problems.append(Problem(fed.name, "another run than the one that fed it", hint="bring that back"))
            continue
        target = shadow.runs / fed.experiment / fed.folder.name
        shutil.copytree(fed.folder, target, copy_function=_link, dirs_exist_ok=True)
        # An imported run has its folds in its own folder, where they are known.
        if not fed.imported and not shadow.fold_file(fed.data["fold_set"]["name"]).exists():
            _copy_folds(workspace, shadow, fed)
        if parent["input"] in labelling:
            problems += _link_labels(workspace, shadow, fed)
        if parent["input"] == START:
            _link_weights(workspace, shadow, fed)
    if problems:
        raise ReproductionError(f"what fed {run.name} is not as it was recorded", problems)


def _link_labels(workspace: Workspace, shadow: Workspace, run: Run) -> list[Problem]:
    """The tasks whose test predictions became labels; those that are gone, as problems."""
    problems = []
    for task in (task for tasks in tasks_on_test(run).values() for task in tasks):
        source, target = workspace.tasks / task["folder"], shadow.tasks / task["folder"]
        if not source.is_dir():
            problems.append(Problem(f"runs/.tasks/{task['folder']}", f"gone: {task['label']} of {run.name}"))
        elif not target.exists():
            shutil.copytree(source, target, copy_function=_link)
    return problems


def _link_weights(workspace: Workspace, shadow: Workspace, run: Run) -> None:
    """The weights of the run it goes on from, where they are not there already."""
    for task in run.data["tasks"]:
        place = shadow.tasks / task["folder"]
        if task["kind"] == "train" and not place.exists():
            shutil.copytree(workspace.tasks / task["folder"], place, copy_function=_link)


def _link(source: str, target: str) -> None:
    link_or_copy(Path(source), Path(target))
