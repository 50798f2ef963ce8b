"""Write stage 2's manifests as ordinary files that can be read and edited; never touch an edited one."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from kagkit.foundation.files import write_file
from kagkit.foundation.strictyaml import dump_yaml
from kagkit.stages.lineup import Lineup, Member
from kagkit.workspace.layout import Workspace

BLEND = "kagkit.recipes.blend"
MARK = "# written by kagkit stage2, "
EDIT = "; edit it as you like: then it is yours, and stays as it is"
DIGITS = 12
# Keys that a manifest of stage 2 does not take over from stage 1's.
LEFT_OUT = ("parent", "note", "search", "stage", "start", "frozen", "scratch", "stage2")

Named = Callable[[Member], str]


@dataclass(frozen=True)
class Written:
    """A manifest of stage 2.

    Attributes:
        experiment: Its name.
        kept: Whether it was edited, and left as it is.
    """

    experiment: str
    kept: bool


def write_frozen(workspace: Workspace, lineup: Lineup, member: Member) -> Written:
    """Write the manifest by which frozen weights predict stage 2; what was fitted on OOF stays fitted.

    Raises:
        RunError: It cannot be written.
    """
    told = _taken_over(lineup, member, _frozen_name) | {"start": member.run.name, "frozen": "all"}
    told.pop("rows", None)  # nothing is trained
    told |= _fitted(member)
    return _write(workspace, member.frozen, member, told, f"the weights of {member.run.name}, frozen")


def write_retrained(workspace: Workspace, lineup: Lineup, member: Member, fed: Named) -> Written:
    """Write the manifest by which a model is trained on both stages' rows, as its `stage2` says.

    Args:
        workspace: The workspace.
        lineup: All members.
        member: The model.
        fed: The experiment of stage 2 that stands for a member that feeds it.

    Raises:
        RunError: It cannot be written.
    """
    told, second = _taken_over(lineup, member, fed), member.second
    frozen = [fold for fold in _folds(member) if not second.folds.has(fold)]
    if second.start == "weights" or frozen:
        told["start"] = member.run.name
    if frozen:
        told["frozen"] = frozen
    if frozen and second.start == "scratch":
        told["scratch"] = True
    if second.args:
        told["args"] = dict(told.get("args") or {}) | second.args
    return _write(workspace, member.retrained, member, told, f"{member.run.name}, trained on both stages")


def write_mixed(workspace: Workspace, member: Member) -> Written:
    """Write the manifest that averages a frozen model and the retrained one.

    Raises:
        RunError: It cannot be written.
    """
    told: dict[str, Any] = {
        "recipe": BLEND,
        "inputs": {"frozen": member.frozen, "retrained": member.retrained},
    }
    told |= {"args": {"method": "mean"}}
    told |= {key: member.plain[key] for key in ("folds", "submission", "submissions") if key in member.plain}
    return _write(workspace, member.mixed, member, told, "the frozen and the retrained model, averaged")


def write_combined(workspace: Workspace, lineup: Lineup, member: Member, fed: Named) -> Written:
    """Write the manifest that combines what was decided: weights are found anew, out of fold.

    Raises:
        RunError: It cannot be written.
    """
    told = _taken_over(lineup, member, fed)
    if member.second.retrain == "never":
        told |= {"start": member.run.name, "frozen": "all"} | _fitted(member)
    return _write(workspace, member.retrained, member, told, f"{member.run.name}, of what was decided")


def _frozen_name(member: Member) -> str:
    return member.frozen if member.keeps_weights else member.retrained


def _taken_over(lineup: Lineup, member: Member, fed: Named) -> dict[str, Any]:
    """A member's own manifest, fed by stage 2's versions of what fed it."""
    told = {key: value for key, value in member.plain.items() if key not in LEFT_OUT}
    names = {name: fed(lineup.of(run)) for name, run in member.fed_by.items()}
    if "inputs" in told:
        told["inputs"] = {name: names[name] for name in told["inputs"]}
    if "rows" in told:
        told["rows"] = _renamed(told["rows"], names)
    return told


def _renamed(rules: Any, names: dict[str, str]) -> Any:
    """Rules on rows with the runs that they name replaced."""
    if isinstance(rules, list):
        return [_renamed(rule, names) for rule in rules]
    if not isinstance(rules, dict):
        return rules
    return {
        key: names.get(f"rows.{value}", value) if key in ("run", "labels") else _renamed(value, names)
        for key, value in rules.items()
    }


def _fitted(member: Member) -> dict[str, Any]:
    """The ways to a submission, with the arguments that stage 1 found in place of a search."""
    told: dict[str, Any] = {}
    found = {each.told["name"]: each.told.get("args") for each in member.run.submissions}
    for name, making in member.manifest.variants.items():
        if making.fit_args:
            fixed = {"make": making.make, "args": found.get(name) or making.args}
            told |= (
                {"submissions": told.get("submissions", {}) | {name: fixed}}
                if name
                else {"submission": fixed}
            )
        elif name:
            own = member.plain["submissions"][name]
            told["submissions"] = told.get("submissions", {}) | {name: own}
    return told


def _folds(member: Member) -> list[int]:
    return sorted({each["fold"] for each in member.run.data["folds"]})


def _write(workspace: Workspace, name: str, member: Member, told: dict[str, Any], note: str) -> Written:
    """Write a manifest, unless one stands there that is not as kagkit wrote it."""
    facts = {"kagkit": 1, "parent": member.run.experiment, "note": note, "stage": 2}
    body = dump_yaml(facts | {key: value for key, value in told.items() if key != "kagkit"})
    path = workspace.root / f"{name}.yaml"
    if path.exists() and _is_edited(path.read_text(encoding="utf-8")):
        return Written(name, kept=True)
    text = f"{MARK}{_seal(body)}{EDIT}\n{body}"
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        write_file(path, text)
    return Written(name, kept=False)


def _is_edited(text: str) -> bool:
    first, _, body = text.partition("\n")
    return first != f"{MARK}{_seal(body)}{EDIT}"


def _seal(body: str) -> str:
    return hashlib.sha256(body.encode()).hexdigest()[:DIGITS]
