"""Prove that a run can predict new rows: weights, code and assets are the record's, or say why not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from kagkit.data.versions import verify
from kagkit.foundation.component import WHOLE, function_code, local_file, split_reference
from kagkit.foundation.errors import DataError, ManifestError, Problem, ReproductionError, RunError
from kagkit.foundation.files import file_sha256
from kagkit.foundation.schema import read_tree
from kagkit.foundation.strictyaml import read_yaml
from kagkit.runs.record import MANIFEST, Run, find_run
from kagkit.runs.store import verify_files
from kagkit.workspace.commands import read_stated
from kagkit.workspace.competition import FILE, Competition
from kagkit.workspace.layout import Workspace
from kagkit.workspace.manifest import Experiment, Manifest

LOCK = ".lock.yaml"
CALLED = ("prepare", "load", "predict")
USED = ("weights/", "code/", MANIFEST, FILE)
T = TypeVar("T")


@dataclass(frozen=True)
class Member:
    """One set of weights that has a say in the prediction, and how its task was done.

    Attributes:
        seed: The seed it was trained with.
        fold: The fold it never saw; None for a fit on all rows.
        weights: Their folder, relative to the workspace.
        threads: Threads of the task: their number changes the last bits.
        determinism: `exact`, `seeded` or `off`.
        dtype: How predicted floats are kept.
    """

    seed: int
    fold: int | None
    weights: str
    threads: int
    determinism: str
    dtype: str | None


@dataclass(frozen=True)
class Usable:
    """A run that can predict new rows.

    Attributes:
        workspace: The workspace it lies in.
        run: The run.
        competition: competition.yaml as the run was made with it; the training data need not be there.
        experiment: The manifest as the run was made with it, and the recipe that is there now.
        members: What predicts, by seed and fold.
        accepted: Files whose code changed since, and was accepted.
    """

    workspace: Workspace
    run: Run
    competition: Competition
    experiment: Experiment
    members: tuple[Member, ...]
    accepted: tuple[str, ...]


@dataclass(frozen=True)
class RunFiles:
    """What a run says of itself, read from its own copies.

    Attributes:
        competition: competition.yaml as it was; the training data it names need not be there.
        manifest: The manifest as it was.
        interface: What the record says of rows and answers.
    """

    competition: Competition
    manifest: Manifest
    interface: dict[str, Any]


def read_files(run: Run) -> RunFiles:
    """Read a run's own copies of competition.yaml and manifest.

    Raises:
        ManifestError: This kagkit does not read them.
    """
    return RunFiles(competition_of(run), manifest_of(run), run.data["interface"])


def manifest_of(run: Run) -> Manifest:
    """The manifest as it was run.

    Raises:
        ManifestError: This kagkit does not read it.
    """
    return _read(Manifest, run, MANIFEST)


def competition_of(run: Run) -> Competition:
    """competition.yaml as it was run; the data it names need not be there.

    Raises:
        ManifestError: This kagkit does not read it.
    """
    return _read(Competition, run, FILE)


def find_locked(workspace: Workspace, reference: str) -> Run:
    """The run that RUN, or a lock file `locks/exp001.lock.yaml`, means.

    Raises:
        ManifestError: There is no such run, or the lock is none.
        ReproductionError: The run is not the one that was locked, or its record is damaged.
    """
    if not reference.endswith(LOCK):
        return find_run(workspace, reference)
    path = Path(reference) if Path(reference).is_file() else workspace.root / reference
    locked = read_yaml(path, path.name).plain
    name = locked.get("run") if isinstance(locked, dict) else None
    if not isinstance(name, str):
        raise ManifestError(f"{path.name}: not a lock", [Problem(path.name, "names no run", "run: exp001/3")])
    run = find_run(workspace, name)
    weights = {weight["name"]: weight["sha256"] for weight in run.data["weights"]}
    facts = {"plan_key": run.data["plan_key"], "weights": weights}
    problems = [
        Problem(path.name, f"{what}: other than in {run.name}", hint="restore the run, or the lock from git")
        for what, value in facts.items()
        if locked.get(what) != value
    ]
    if problems:
        raise ReproductionError(f"{run.name} is not what {path.name} locked", problems)
    return run


def open_run(workspace: Workspace, run: Run, accepted: Sequence[str] = ()) -> Usable:
    """A run, proved to be usable for new rows.

    Args:
        workspace: The workspace.
        run: The run.
        accepted: Files whose changed code is used all the same.

    Raises:
        ManifestError: The run is partial, kept predictions alone, or predicted no test rows.
        ReproductionError: Weights or copies of sources are damaged; an asset is another one.
        DataError: A further source is of another version, or was never pinned here.
        RunError: The code that is there is not the code the run recorded.
    """
    _refuse_unable(run)
    damage = _damage(run)
    if damage:
        raise ReproductionError(f"{run.name} is damaged", damage)
    files = read_files(run)
    _refuse_other_code(workspace, run, files, accepted)
    _refuse_other_assets(workspace, run, files.manifest)
    _refuse_other_sources(workspace, run, files)
    recipe = read_stated(workspace.root, files.manifest)
    experiment = Experiment(run.experiment, run.folder / MANIFEST, files.manifest, recipe)
    members = tuple(_members(workspace, run))
    return Usable(workspace, run, files.competition, experiment, members, tuple(accepted))


def _refuse_unable(run: Run) -> None:
    data, found, hint = run.data, "", f"kagkit run {run.experiment}"
    if not run.complete:
        found = "a partial run"
    elif data["keeps"] == "predictions":
        found = "it kept its predictions and no weights"
        hint = "let train write its model into task.out and return nothing, add a load, and run it again"
    elif "interface" not in data:
        found = "made by a kagkit that did not record what new rows must have"
        hint = f"{hint} puts its stored tasks together again"
    elif data["interface"] is None:
        found = "it predicted no test rows"
    if found:
        raise ManifestError(f"{run.name} cannot predict new rows", [Problem(run.name, found, hint=hint)])


def _told(run: Run) -> str:
    return f"runs/{run.experiment}/{run.folder.name}"


def _damage(run: Run) -> list[Problem]:
    """What is wrong with the files that predict; its predictions of old rows need not be there."""
    kept = [file for file in run.files if file.name.startswith(USED)]
    places = tuple(f"{_told(run)}/{name}" for name in USED)
    return [found for found in verify_files(run.folder, _told(run), kept) if found.where.startswith(places)]


def _read(cls: type[T], run: Run, name: str) -> T:
    """A file as the run kept it: whether its paths are there is for those who use them."""
    try:
        return read_tree(cls, read_yaml(run.folder / name, name), name)
    except ManifestError as error:
        raise ManifestError(f"{_told(run)}/{name} cannot be read", error.problems) from None


def _refuse_other_code(workspace: Workspace, run: Run, files: RunFiles, accepted: Sequence[str]) -> None:
    """Hold the code that predicts against the copy in the run; comments and docstrings do not count."""
    before = _code(run.folder / "code", files)
    now = _code(workspace.root, files)
    changed = sorted(name for name in {**before, **now} if before.get(name) != now.get(name))
    known = {name.partition(":")[0] for name in {**before, **now}}
    strange = [file for file in accepted if file not in known]
    if strange:
        problems = [
            Problem(f"--accept code:{file}", f"{run.name} uses no code of {file}") for file in strange
        ]
        raise ManifestError("nothing to accept", problems)
    problems = []
    for name in changed:
        file = name.partition(":")[0]
        if file in accepted and (workspace.root / file).is_file():
            continue
        hint = f"the run's own is {_told(run)}/code/{file}; bring it back"
        if (workspace.root / file).is_file():
            found, hint = f"changed since {run.name}", f"{hint}, or use it as it is: --accept code:{file}"
        else:
            found = "missing"
        problems.append(Problem(name.removesuffix(f":{WHOLE}"), found, hint=hint))
    if problems:
        raise RunError(f"the code is not what {run.name} was made with", problems)


def _code(root: Path, files: RunFiles) -> dict[str, str]:
    """Digests of the code that predicts, below a folder, by `file:name`."""
    competition, manifest = files.competition, files.manifest
    found: dict[str, str] = {}
    if manifest.command is not None or (root / manifest.recipe).is_file():
        found |= read_stated(root, manifest).code(*CALLED)
    references = [competition.rows.load, manifest.submission.make]
    references += [manifest.combine] if ":" in manifest.combine else []
    for reference in references:
        if reference and local_file(root, split_reference(reference)[0]):
            found |= function_code(root, reference)
    paths = {file: root / file for file in manifest.code}
    return found | {f"{file}:{WHOLE}": file_sha256(path) for file, path in paths.items() if path.is_file()}


def _refuse_other_assets(workspace: Workspace, run: Run, manifest: Manifest) -> None:
    recorded = next(task["ingredients"] for task in run.data["tasks"] if task["kind"] == "predict")
    problems = []
    for name, asset in manifest.assets.items():
        path = workspace.root / asset.path
        if not path.is_file() or file_sha256(path) != recorded[f"asset {name}"]:
            found = "its bytes changed" if path.is_file() else "missing"
            problems.append(Problem(asset.path, f"asset {name}: {found}", hint="bring the old file back"))
    if problems:
        raise ReproductionError(f"the assets are not those of {run.name}", problems)


def _refuse_other_sources(workspace: Workspace, run: Run, files: RunFiles) -> None:
    """Hold further sources, which predict is handed too, against the versions that the run was made with."""
    problems = []
    for name in (name for name in files.manifest.data if name != "main"):
        found = verify(workspace.root, name, files.competition.sources[name]).version
        if found != run.data["data"][name]:
            hint = "bring the old files back; `kagkit data diff` says which"
            problems.append(Problem(f"data {name}", found[:12], run.data["data"][name][:12], hint))
    if problems:
        raise DataError(f"the data are not those of {run.name}", problems)


def _members(workspace: Workspace, run: Run) -> Iterator[Member]:
    tasks = [task["ingredients"] for task in run.data["tasks"] if task["kind"] == "predict"]
    asked = [task for task in tasks if "test rows" in task]
    for task in sorted(asked, key=lambda t: (t["seed"], -1 if t["fold"] is None else t["fold"])):
        fold = "full" if task["fold"] is None else f"fold{task['fold']}"
        folder = run.folder / "weights" / f"seed{task['seed']}-{fold}"
        yield Member(
            task["seed"],
            task["fold"],
            folder.relative_to(workspace.root).as_posix(),
            task["threads"],
            task["determinism"],
            task["save.dtype"],
        )
