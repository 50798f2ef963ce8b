"""Write what git keeps of the latest run: its record in short."""

from __future__ import annotations

from typing import Any

from kagkit.foundation.files import write_file
from kagkit.foundation.strictyaml import dump_yaml
from kagkit.runs.record import Run
from kagkit.workspace.layout import Workspace

HEADER = """\
The latest run of this experiment in short; record.json in its folder is the whole of it.
Written by `kagkit run`; commit it to git."""


def refresh_lock(workspace: Workspace, run: Run) -> None:
    """Write `locks/<experiment>.lock.yaml` where it does not say this run already.

    Only complete runs are locked; a smoke run is no run to keep.

    Raises:
        RunError: The file cannot be written.
    """
    if not run.complete:
        return
    path = workspace.lock_file(run.experiment)
    text = dump_yaml(_short(run), HEADER)
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        write_file(path, text)


def _short(run: Run) -> dict[str, Any]:
    data = run.data
    told = {name: data[name] for name in ("kagkit", "run", "note", "plan_key", "cv", "cv_std", "coverage")}
    contents = {name: data[name]["content_sha256"] for name in ("oof", "test") if data[name]}
    submission = data["submission"]["sha256"] if data["submission"] else None
    return {
        **told,
        "seeds": sorted({fold["seed"] for fold in data["folds"]}),
        "data": data["data"],
        "folds": data["fold_set"],
        **contents,
        "submission": submission,
        "weights": {weight["name"]: weight["sha256"] for weight in data["weights"]},
    }
