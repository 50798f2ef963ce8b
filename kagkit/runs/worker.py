"""Do one task in a process of its own, and commit what it left."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kagkit.foundation.environment import device_name, fingerprint, library_builds
from kagkit.foundation.errors import Problem, ReproductionError, RunError
from kagkit.foundation.files import (
    append_json_line,
    digest_of,
    file_sha256,
    held,
    told_when_unwritable,
    write_json,
)
from kagkit.runs.failing import guard, scrub_log
from kagkit.runs.handing import Handing
from kagkit.runs.judging import judging_facts, judging_files
from kagkit.runs.leavings import find_private, refuse_unkeepable
from kagkit.runs.material import stage_sources
from kagkit.runs.opening import Source, open_recipe
from kagkit.runs.origins import refuse_changed
from kagkit.runs.ranks import outlast_others, train_together
from kagkit.runs.spec import TaskSpec, read_spec
from kagkit.runs.store import (
    TaskRecord,
    commit_task,
    find_task,
    is_damaged,
    list_kept,
    lock_of,
    set_aside,
    verify_task,
)
from kagkit.runs.task import Task
from kagkit.runs.watching import ReadWatch
from kagkit.workspace.commands import read_stated
from kagkit.workspace.layout import Workspace

PRIVATE = (
    "holds a path of this machine, so its bytes differ on each, and whoever gets it can read that; "
    "keep tensors alone (Lightning: save_weights_only=True), or leave it out with `outputs`"
)


def do_task(spec_path: str) -> int:
    """Do the task that a spec states; the entry that engines start.

    Args:
        spec_path: The spec's file, relative to the workspace, which is the current folder.

    Returns:
        0 when the task is done, by this process or by another; 1 when it failed: `error.json` and the log
        say why.
    """
    root = Path.cwd()
    work = (root / spec_path).parent
    # A second kagkit that wants the same task waits here, and then finds it done.
    with held(lock_of(work)):
        if not (root / spec_path).exists():  # it went with the folder that became the finished task
            shutil.rmtree(work, ignore_errors=True)
            return 0
        spec = read_spec(root / spec_path)
        workspace = Workspace(root, smoke=spec.smoke)
        if is_damaged(workspace.tasks, spec.key):
            set_aside(workspace.tasks, spec.key)
        stored = find_task(workspace.tasks, spec.key)
        if not spec.again and stored is not None and not stored.record.undeclared:
            shutil.rmtree(work, ignore_errors=True)
            return 0
        return guard(lambda: _do(workspace, spec, work), root, work, spec.label)


def _do(workspace: Workspace, spec: TaskSpec, work: Path) -> None:
    events = work / "events.jsonl"
    outlast_others(work)
    if not _holds_files(work / "checkpoint"):  # all that an earlier attempt logged will come again
        Task(events).rewind(0)
    started = time.time()
    write_json(work / "holder.json", {"pid": os.getpid()})
    source = read_stated(workspace.root, spec)
    told = {"device": device_name(), "fingerprint": fingerprint(_packages(source))}
    append_json_line(events, {"event": "started", "time": started} | told)
    out = work / "out"
    with told_when_unwritable(spec.label):
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir(parents=True)
        (work / "checkpoint").mkdir(exist_ok=True)
    watch = ReadWatch(workspace.root, _allowed(workspace, spec, source, work), work / "reads")
    handing = Handing(workspace, spec, work)
    _verify_inputs(handing)
    watch.start()
    recipe = open_recipe(source, spec)
    append_json_line(events, {"event": "numerics"} | library_builds())
    _refuse_other_code(source, handing)
    contents = STEPS[spec.kind](recipe, spec, handing)
    refuse_changed(workspace.root, spec.declared, spec.label)
    undeclared = watch.undeclared()
    if spec.kind != "predict":
        refuse_unkeepable(out, spec.label)
        for name in find_private(out, workspace.root) if spec.kind == "train" else ():
            sys.stderr.write(f"{name}: {PRIVATE}\n")
    kept = list_kept(out)
    if not kept:
        raise RunError(
            f"{spec.label} left nothing",
            [
                Problem(
                    f"{spec.recipe}:{spec.kind}",
                    "wrote no file into task.out",
                    hint="write the weights there, or return the model to keep its predictions alone",
                )
            ],
        )
    append_json_line(events, {"event": "finished", "seconds": round(time.time() - started, 3)})
    scrub_log(work / "log.txt", workspace.root)
    record = TaskRecord(spec.key, spec.kind, spec.ingredients, kept, contents, undeclared)
    commit_task(work, workspace.tasks, record)


def _holds_files(checkpoint: Path) -> bool:
    """Whether something is kept there; what a kill cut off while it was written is not."""
    found = (path.relative_to(checkpoint).parts for path in checkpoint.rglob("*") if path.is_file())
    return any(not any(part.startswith(".") and part.endswith(".tmp") for part in parts) for parts in found)


def _allowed(workspace: Workspace, spec: TaskSpec, source: Source, work: Path) -> tuple[str, ...]:
    """The places a task may read: all are covered by its key, or made by kagkit."""
    root = workspace.root
    competition = workspace.competition
    places = {
        str(place.relative_to(root)) for place in (work, workspace.tasks, workspace.cache, root / "folds")
    }
    places.update(source.imports.local)
    places.update(told["path"] for files in spec.inputs.values() for told in files.values())
    places.update(spec.declared)
    places.update(judging_files(root, competition, spec.making) if spec.making else ())
    for stage in stage_sources(spec.stage):
        places.update(competition.sources[stage].get("files", ()))
    for name in spec.sources:
        places.update(competition.data[name].files)
    return tuple(sorted(places))


def _packages(source: Source) -> tuple[str, ...]:
    """The installed packages that the recipe imports."""
    return tuple({module.partition(".")[0] for module in source.imports.installed})


def _verify_inputs(handing: Handing) -> None:
    problems = [problem for stored in handing.inputs() for problem in verify_task(stored)]
    for files in handing.spec.inputs.values():
        for told in files.values():
            path = handing.workspace.root / told["path"]
            if not path.is_file() or file_sha256(path) != told["sha256"]:
                found = "its bytes changed" if path.is_file() else "missing"
                problems.append(Problem(told["path"], found, check="integrity"))
    if problems:
        raise ReproductionError("what this task builds on is damaged", problems)


def _refuse_other_code(source: Source, handing: Handing) -> None:
    """A recipe edited while the run goes on must not give results under the key of the older code."""
    spec, workspace = handing.spec, handing.workspace
    same = digest_of(source.code(*spec.functions)) == spec.source
    if spec.making is not None:
        now = judging_facts(workspace.root, workspace.competition, spec.making, handing.targets)
        same &= digest_of(now) == digest_of({name: spec.ingredients[name] for name in now})
    if not same:
        problem = Problem(spec.recipe, "changed since the plan was made", hint="run the same command again")
        raise RunError(f"{spec.label}: the code changed while the run was going on", [problem])


def _prepare(recipe: Any, spec: TaskSpec, handing: Handing) -> dict[str, str]:
    recipe.prepare(handing.task(), handing.part_rows(), **spec.args["prepare"])
    return {}


def _train(recipe: Any, spec: TaskSpec, handing: Handing) -> dict[str, str]:
    if spec.processes:
        train_together(spec, handing.work)
        return {}
    model = recipe.train(handing.task(), **spec.args["train"])
    if not spec.row_sets:
        return {}
    if model is None:
        problem = Problem(
            f"{spec.recipe}:train", "returned None", "the model", "return it, or set `keep: weights`"
        )
        raise RunError(f"{spec.label} returned no model", [problem])
    return _predict_sets(recipe, spec, handing, model)


def _predict(recipe: Any, spec: TaskSpec, handing: Handing) -> dict[str, str]:
    task = handing.task()
    model = recipe.load(task, **spec.args["load"]) if hasattr(recipe, "load") else task.weights
    return _predict_sets(recipe, spec, handing, model)


def _predict_sets(recipe: Any, spec: TaskSpec, handing: Handing, model: Any) -> dict[str, str]:
    from kagkit.data import predictions
    from kagkit.runs import probes

    contents: dict[str, str] = {}
    names = handing.competition.rows.key
    for row_set in spec.row_sets:
        rows = handing.predict_rows(row_set)
        path = handing.work / "out" / f"{row_set}.arrow"
        with probes.collect(path.parent, row_set, rows.index, names) as collected:
            task = handing.predict_task(row_set, collected.take)
            output = recipe.predict(task, model, rows.copy(), **spec.args["predict"])
            # What predict yields chunk by chunk it measures chunk by chunk, too.
            written = predictions.write(path, output, rows.index, key_names=names, dtype=spec.dtype)
        contents |= {path.name: written.content_sha256} | collected.contents()
    return contents


Step = Callable[[Any, TaskSpec, Handing], dict[str, str]]
STEPS: dict[str, Step] = {"prepare": _prepare, "train": _train, "predict": _predict}
