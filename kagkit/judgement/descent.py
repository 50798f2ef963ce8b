"""Say from which experiment a run was made, and what of manifest and code is different."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from kagkit.foundation.errors import ManifestError
from kagkit.runs.record import Run, latest_run
from kagkit.runs.usable import manifest_of
from kagkit.workspace.layout import Workspace
from kagkit.workspace.manifest import Manifest
from kagkit.workspace.parentage import differences

CODE = "code/"


@dataclass(frozen=True)
class Descent:
    """What a run has that its parent has not.

    Attributes:
        parent: The parent's run: its latest complete one.
        changes: By key, (parent's value, own value): `args.lr`; None where there is none.
        code: Files of code that differ, are new or are gone, by name.
    """

    parent: str
    changes: dict[str, tuple[Any, Any]]
    code: tuple[str, ...]


def trace_descent(workspace: Workspace, run: Run) -> Descent | None:
    """How a run differs from the latest complete run of the experiment its manifest names as parent.

    Returns:
        None where there is no parent, or the parent has no run.

    Raises:
        ReproductionError: The record of the parent's run is damaged.
    """
    own = None if run.imported else _manifest(run)  # its parent is another workspace's
    parent = latest_run(workspace, own.parent, complete=True) if own and own.parent else None
    if own is None or parent is None:
        return None
    theirs = _manifest(parent)
    if theirs is None:
        return None
    return Descent(parent.name, differences(own, theirs), _changed_code(run, parent))


def spell_descent(descent: Descent) -> str:
    """What is different, in one line.

    Example:
        >>> spell_descent(Descent("a/1", {"args.lr": (0.1, 0.03), "seeds": ([0], [0, 1])}, ("unet.py",)))
        'args.lr 0.1 → 0.03, seeds [0] → [0, 1], code unet.py'
        >>> spell_descent(Descent("a/1", {}, ()))
        'the same manifest and code'
    """
    changed = [f"{key} {_value(old)} → {_value(new)}" for key, (old, new) in descent.changes.items()]
    return ", ".join([*changed, *(f"code {name}" for name in descent.code)]) or "the same manifest and code"


def _value(value: Any) -> str:
    return "-" if value is None else value if isinstance(value, str) else json.dumps(value)


def _manifest(run: Run) -> Manifest | None:
    """The manifest as it was run; None where this kagkit cannot read it."""
    try:
        return manifest_of(run)
    except ManifestError:
        return None


def _changed_code(run: Run, parent: Run) -> tuple[str, ...]:
    own, theirs = (
        {kept.name.removeprefix(CODE): kept.sha256 for kept in each.files if kept.name.startswith(CODE)}
        for each in (run, parent)
    )
    return tuple(name for name in sorted(own | theirs) if own.get(name) != theirs.get(name))
