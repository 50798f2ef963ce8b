"""Prove that a run can predict new rows: weights, code and assets are the record's, or say why not."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from kagkit.data.versions import verify
from kagkit.foundation.component import WHOLE, function_code, local_file, split_reference
from kagkit.foundation.errors import DataError, ManifestError, Problem, ReproductionError, RunError
from kagkit.foundation.files import file_sha256
from kagkit.foundation.schema import read_tree
from kagkit.foundation.strictyaml import read_yaml
from kagkit.runs.ancestry import trace_runs
from kagkit.runs.record import Run, find_run, find_submission
from kagkit.runs.store import verify_files
from kagkit.workspace.commands import read_stated
from kagkit.workspace.competition import FILE, Competition
from kagkit.workspace.experiment import Experiment
from kagkit.workspace.layout import Workspace
from kagkit.workspace.manifest import Making, Manifest
from kagkit.workspace.shipped import VERSION, list_shipped

LOCK = ".lock.yaml"
CALLED = ("prepare", "load", "predict")
MANIFEST = "manifest.yaml"
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
        inputs: The runs whose predictions of the new rows feed it, by name.
        accepted: Files whose code changed since, and was accepted.
        variant: Which of its submissions is made of new rows; the first where empty.
    """

    workspace: Workspace
    run: Run
    competition: Competition
    experiment: Experiment
    members: tuple[Member, ...]
    inputs: Mapping[str, Usable]
    accepted: tuple[str, ...]
    variant: str = ""

    def lineage(self) -> dict[str, Usable]:
        """The run with all that feed it, by name, each after those that feed it."""
        found: dict[str, Usable] = {}
        for each in self.inputs.values():
            found |= {name: other for name, other in each.lineage().items() if name not in found}
        return found | {self.run.name: self}


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


def making_of(run: Run, manifest: Manifest, variant: str = "") -> Making:
    """How the run's predictions become a submission, by the arguments that were found when it was made.

    Raises:
        ManifestError: It has no such variant.
    """
    told = find_submission(run, variant).told
    making = manifest.variants[told["name"]]
    return replace(making, args=told.get("args", making.args))


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


def open_run(workspace: Workspace, run: Run, accepted: Sequence[str] = (), variant: str = "") -> Usable:
    """A run, proved to be usable for new rows.

    Args:
        workspace: The workspace.
        run: The run.
        accepted: Files whose changed code is used all the same.
        variant: Which of its submissions to make; the first where empty.

    Raises:
        ManifestError: The run, or one that feeds it, is partial, kept predictions alone, or predicted no
            test rows; or the run has no such variant.
        ReproductionError: Weights or copies of sources are damaged; an asset is another one.
        DataError: A further source is of another version, or was never pinned here.
        RunError: The code that is there is not the code the run recorded.
    """
    runs = trace_runs(workspace, run)
    variant = find_submission(run, variant).variant
    _refuse_unable(run, runs.values())
    variant = find_submission(run, variant).variant
    damage = [problem for each in runs.values() for problem in _damage(each)]
    if damage:
        raise ReproductionError(f"{run.name} is damaged", damage)
    files = {name: read_files(each) for name, each in runs.items()}
    _refuse_other_code(workspace, [(each, files[name]) for name, each in runs.items()], accepted)
    opened: dict[str, Usable] = {}
    for name, each in runs.items():
        manifest = files[name].manifest
        _refuse_other_assets(workspace, each, manifest)
        _refuse_other_sources(workspace, each, files[name])
        recipe = read_stated(workspace.root, manifest)
        experiment = Experiment(each.experiment, each.folder / MANIFEST, manifest, recipe)
        members = tuple(_members(workspace, each))
        inputs = {parent["input"]: opened[parent["run"]] for parent in each.data["parents"]}
        told = files[name].competition, experiment, members, inputs, tuple(accepted)
        opened[name] = Usable(workspace, each, *told)
    return replace(opened[run.name], variant=variant)


def _refuse_unable(run: Run, runs: Iterable[Run]) -> None:
    """Refuse where a run, or one that feeds it, cannot predict."""
    problems = []
    for each in runs:
        data, found, hint = each.data, "", f"kagkit run {each.experiment}"
        if each.imported:
            found, hint = "imported: its code is never run here", "ask who made it for these rows"
        elif not each.complete:
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
            feeds = "" if each is run else f", and it feeds {run.name}"
            problems.append(Problem(each.name, found + feeds, hint=hint))
    if problems:
        raise ManifestError(f"{run.name} cannot predict new rows", problems)


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


def _refuse_other_code(
    workspace: Workspace, runs: Sequence[tuple[Run, RunFiles]], accepted: Sequence[str]
) -> None:
    """Hold the code that predicts against the copies in the runs; comments and docstrings do not count."""
    problems, known = [], set()
    for run, files in runs:
        before = _code(run.folder / "code", files) | _versions(run, files.manifest)
        now = _code(workspace.root, files)
        known |= {name.partition(":")[0] for name in {**before, **now}}
        changed = sorted(name for name in {**before, **now} if before.get(name) != now.get(name))
        problems += [
            _changed(workspace, run, name) for name in changed if not _stands(workspace, name, accepted)
        ]
    last = runs[-1][0].name
    unused = [file for file in accepted if file not in known]
    strange = [Problem(f"--accept code:{file}", f"{last} uses no code of {file}") for file in unused]
    if strange:
        raise ManifestError("nothing to accept", strange)
    if problems:
        raise RunError(f"the code is not what {last} was made with", problems)


def _stands(workspace: Workspace, name: str, accepted: Sequence[str]) -> bool:
    """Whether changed code is used as it is."""
    file = name.partition(":")[0]
    return file in accepted and (workspace.root / file).is_file()


def _changed(workspace: Workspace, run: Run, name: str) -> Problem:
    file = name.partition(":")[0]
    found, hint = "missing", f"the run's own is {_told(run)}/code/{file}; bring it back"
    if name.endswith(f":{VERSION}") and file in list_shipped():
        found, hint = f"another version than {run.name} was made with", f"kagkit run {run.experiment}"
    elif (workspace.root / file).is_file():
        found, hint = f"changed since {run.name}", f"{hint}, or use it as it is: --accept code:{file}"
    return Problem(name.removesuffix(f":{WHOLE}"), found, hint=hint)


def _versions(run: Run, manifest: Manifest) -> dict[str, str]:
    """The version of the recipe, where it came with kagkit, as the run recorded it."""
    name = f"{manifest.recipe}:{VERSION}"
    recorded = next(task["ingredients"] for task in run.data["tasks"] if task["kind"] == "predict")
    return {name: recorded[f"code {name}"]} if f"code {name}" in recorded else {}


def _code(root: Path, files: RunFiles) -> dict[str, str]:
    """Digests of the code that predicts, below a folder, by `file:name`."""
    competition, manifest = files.competition, files.manifest
    found: dict[str, str] = {}
    shipped = manifest.recipe in list_shipped()
    if manifest.command is not None or shipped or (root / manifest.recipe).is_file():
        found |= read_stated(root, manifest).code(*CALLED)
    references = [competition.rows.load, *manifest.makes]
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
