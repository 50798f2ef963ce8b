"""Keep what stage 1 ended with in stage1.lock.yaml, prove it whole, refuse it where one bit is another."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kagkit.foundation.errors import KagkitError, ManifestError, Problem, ReproductionError, did_you_mean
from kagkit.foundation.files import digest_of, write_file
from kagkit.foundation.strictyaml import dump_yaml, read_yaml
from kagkit.runs.record import Run, find_run, verify_run
from kagkit.workspace.layout import Workspace

FILE = "stage1.lock.yaml"
FORMAT = 1
HEADER = "What stage 1 ended with, by kagkit freeze. Commit it, never edit it: kagkit stage2 proves it."


@dataclass(frozen=True)
class Lock:
    """What was frozen.

    Attributes:
        finals: By manifest name: `run`, its `members`, the time it was `frozen`, the
            `submission`, the `code`.
        members: By run, `exp001/3`: every digest that tells it, as `tell_member` makes them.
    """

    finals: dict[str, dict[str, Any]]
    members: dict[str, dict[str, Any]]

    def final(self, name: str | None) -> str:
        """The name of a frozen final; that of the only one where none is asked for.

        Raises:
            ManifestError: It was not frozen, or none is named among several.
        """
        names = sorted(self.finals)
        if name is None and len(names) == 1:
            return names[0]
        asked = (name or "").removesuffix(".yaml")
        if asked not in self.finals:
            hint = did_you_mean(asked, names) if asked else f"name one: kagkit stage2 {names[0]}.yaml"
            found = f"{asked} was not frozen" if asked else f"{len(names)} finals were frozen"
            raise ManifestError(found, [Problem(FILE, f"it holds {', '.join(names)}", hint=hint)])
        return asked


def tell_member(run: Run) -> dict[str, Any]:
    """Everything that names a run's outcome for ever: digests alone."""
    data = run.data
    contents = {which: data[which]["content_sha256"] if data[which] else None for which in ("oof", "test")}
    return {
        "experiment": run.experiment,
        "run_folder": f"runs/{run.experiment}/{run.folder.name}",
        "record": data["seal"],
        "plan_key": data["plan_key"],
        "manifest": data["manifest_sha256"],
        "keeps": "imported" if run.imported else data["keeps"],
        "data": data["data"],
        "folds": {name: data["fold_set"][name] for name in ("name", "bytes", "sha256")},
        "environment": digest_of(data.get("environment", [])),
        "code": {kept.name: kept.sha256 for kept in run.files if kept.name.startswith("code/")},
        "weights": {kept.name: kept.sha256 for kept in run.files if kept.name.startswith("weights/")},
        **contents,
        "submissions": {each.file: each.told["sha256"] for each in run.submissions},
    }


def read_lock(workspace: Workspace) -> Lock | None:
    """The lock of a workspace; None where nothing was frozen.

    Raises:
        ReproductionError: It is not as it was written.
        ManifestError: It is no YAML.
    """
    path = workspace.root / FILE
    if not path.is_file():
        return None
    told = read_yaml(path, FILE).plain
    seal = told.pop("seal", "") if isinstance(told, dict) else ""
    if not seal or digest_of(told) != seal:
        hint = "bring it back from git or a copy"
        raise ReproductionError("the lock was changed", [Problem(FILE, "not as it was written", hint=hint)])
    return Lock(told["finals"], told["members"])


def write_lock(workspace: Workspace, lock: Lock) -> Path:
    """Write the lock with its seal; one that says something else is kept beside it, numbered.

    Raises:
        RunError: It cannot be written.
    """
    told = {"kagkit": FORMAT, "finals": lock.finals, "members": lock.members}
    text = dump_yaml(told | {"seal": digest_of(told)}, HEADER)
    path = workspace.root / FILE
    if path.is_file() and path.read_text(encoding="utf-8") != text:
        number = 1
        while (beside := path.with_name(f"stage1-{number}.lock.yaml")).exists():
            number += 1
        write_file(beside, path.read_bytes())
    write_file(path, text)
    return path


def verify_lock(workspace: Workspace, lock: Lock, final: str) -> dict[str, Run]:
    """The frozen runs of a final, each byte of each held against its record, each record against the lock.

    Returns:
        The runs by name, in the lock's order.

    Raises:
        ReproductionError: One is missing or is not what was frozen.
    """
    runs, problems = {}, []
    for name in lock.finals[final]["members"]:
        try:
            run = find_run(workspace, name)
        except KagkitError as error:
            hint = "bring the run back from a copy: what is frozen is never made again"
            problems.append(Problem(name, error.summary, hint=hint, check="frozen"))
            continue
        problems += verify_run(run)
        problems += _moved(name, lock.members[name], tell_member(run))
        runs[name] = run
    if problems:
        raise ReproductionError("what was frozen is not there as it was", problems)
    return runs


def _moved(name: str, then: dict[str, Any], now: dict[str, Any]) -> list[Problem]:
    return [
        Problem(f"{name}: {key}", "not what was frozen", check="frozen")
        for key in then
        if digest_of(then[key]) != digest_of(now.get(key))
    ]
