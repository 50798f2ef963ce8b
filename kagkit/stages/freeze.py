"""Lock a final and all that feeds it by their digests, in seconds, and refuse what could not be kept."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from kagkit.foundation.errors import ManifestError, Problem, ReproductionError
from kagkit.foundation.files import file_sha256, held
from kagkit.runs.ancestry import trace_runs
from kagkit.runs.record import Run, find_run, verify_run
from kagkit.stages.codestate import tell_code
from kagkit.stages.lock import FILE, Lock, read_lock, tell_member, write_lock
from kagkit.workspace.layout import Workspace


@dataclass(frozen=True)
class Frozen:
    """What a freeze did.

    Attributes:
        lock: The lock's file, relative to the workspace.
        final: The manifest's name.
        run: Its run.
        members: All runs of it, each after those that feed it, the final last.
        new: False where the same was frozen before.
        warnings: What can be locked, and yet not carried into stage 2 as it is.
        code: The commit and the patch, as `tell_code` tells them.
    """

    lock: str
    final: str
    run: str
    members: tuple[dict[str, Any], ...]
    new: bool
    warnings: tuple[Problem, ...]
    code: dict[str, Any]

    def as_json(self) -> dict[str, Any]:
        """The contract's keys, and the rest."""
        return asdict(self)


def freeze_final(workspace: Workspace, final: str, *, again: bool = False) -> Frozen:
    """Write a final's run, and every run that feeds it, into stage1.lock.yaml.

    Several finals stand in one lock, for a host takes more than one. The same final again changes nothing;
    one whose run is another by now is refused, unless it is asked for `again`: the lock of then stays beside.

    Args:
        workspace: The workspace.
        final: The manifest: `FINAL.yaml`, or its name.
        again: Whether another run may take the place of the one that was frozen.

    Raises:
        ManifestError: There is no complete run of it; it is of stage 2; another run of it was frozen.
        ReproductionError: A run is damaged or partial, or the lock is.
        RunError: The lock cannot be written.
    """
    name = final.removesuffix(".yaml").rpartition("/")[2]
    workspace.experiment(name)
    run = find_run(workspace, name)
    if run.data["stage"] != 1:
        problem = Problem(run.name, "a run of stage 2", "one of stage 1")
        raise ManifestError(f"{run.name} is not frozen", [problem])
    runs = list(trace_runs(workspace, run).values())
    _refuse_unfit(runs)
    with held(workspace.cache / "freeze.lock"):
        lock = read_lock(workspace) or Lock({}, {})
        before = lock.finals.get(name)
        told = {each.name: tell_member(each) for each in runs}
        if before is not None and before["run"] != run.name and not again:
            hint = f"kagkit freeze {name}.yaml --again, where the newer run is meant"
            problem = Problem(FILE, f"{before['run']} was frozen, and {run.name} is newer", hint=hint)
            raise ManifestError(f"{name} is frozen already", [problem])
        same = before is not None and all(lock.members.get(key) == each for key, each in told.items())
        if before is None or not same or before["run"] != run.name:
            before = _entry(workspace, name, run, runs)
            write_lock(workspace, _joined(lock, name, before, told))
            same = False
    listed = tuple(_listed(each) for each in runs)
    return Frozen(
        FILE, name, run.name, listed, not same, (*_moved(workspace, run), *_warnings(runs)), before["code"]
    )


def _refuse_unfit(runs: list[Run]) -> None:
    problems = [problem for run in runs for problem in verify_run(run)]
    problems += [
        Problem(run.name, "a partial run", hint=f"kagkit run {run.experiment}")
        for run in runs
        if not run.complete
    ]
    if problems:
        raise ReproductionError("nothing is frozen: a run is not whole", problems)


def _entry(workspace: Workspace, name: str, run: Run, runs: list[Run]) -> dict[str, Any]:
    return {
        "run": run.name,
        "frozen": datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        "members": [each.name for each in runs],
        "submission": run.submissions[0].told["sha256"] if run.submissions else None,
        "code": tell_code(workspace, f"stage1.{name}.patch"),
    }


def _joined(lock: Lock, name: str, entry: dict[str, Any], told: dict[str, dict[str, Any]]) -> Lock:
    """The lock with a final more; members that no final has any longer are left out."""
    finals = lock.finals | {name: entry}
    needed = {member for each in finals.values() for member in each["members"]}
    members = {key: each for key, each in (lock.members | told).items() if key in needed}
    return Lock(finals, members)


def _listed(run: Run) -> dict[str, Any]:
    weights = {told["name"]: told["sha256"] for told in run.data["weights"]}
    return {"experiment": run.experiment, "run": run.name, "weights_sha256": weights}


def _moved(workspace: Workspace, run: Run) -> list[Problem]:
    """Whether the manifest is another than the one that was run."""
    path = workspace.root / f"{run.experiment}.yaml"
    if run.data["manifest_sha256"] == file_sha256(path):
        return []
    hint = f"kagkit run {run.experiment}, and freeze it again, where the file is meant"
    return [Problem(path.name, f"edited since {run.name}, which is what is frozen", hint=hint)]


def _warnings(runs: list[Run]) -> list[Problem]:
    found = []
    for run in runs:
        if run.imported:
            hint = "ask its author for a run of stage 2, and import it"
            found.append(Problem(run.name, "made elsewhere: it predicts nothing here", hint=hint))
        elif run.data["keeps"] == "predictions":
            hint = "in stage 2 it can only be trained again: no safe file comes of it"
            found.append(Problem(run.name, "it keeps predictions alone", "weights", hint))
    return found
