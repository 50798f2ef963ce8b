"""Say how MLflow's store is, without importing MLflow: whether it is there, and shows all that it should."""

from __future__ import annotations

from collections.abc import Iterator

from kagkit.foundation.errors import KagkitError
from kagkit.foundation.findings import Finding
from kagkit.tracking.background import WANTED
from kagkit.tracking.database import folder_of
from kagkit.tracking.store import choose_store
from kagkit.workspace.layout import Workspace


def store_findings(workspace: Workspace | None) -> Iterator[Finding]:
    """The state of the store that runs are shown in; a server is named, and not asked."""
    if workspace is None:
        return
    try:
        store = choose_store(workspace)
    except KagkitError as error:
        found, hint = error.summary, "; ".join(problem.hint for problem in error.problems)
        yield Finding("workspace", "mlflow", "warn", found, hint)
        return
    if store.file is not None and not store.file.exists():
        yield Finding("workspace", "mlflow", "ok", "no store yet; the first run makes one")
    elif (folder_of(workspace) / WANTED).exists():
        hint = "kagkit track sync shows them, or says why not"
        yield Finding("workspace", "mlflow", "warn", f"{store.told}: runs that are not shown yet", hint)
    else:
        size = f", {store.file.stat().st_size / 1e6:.1f} MB" if store.file else ""
        yield Finding("workspace", "mlflow", "ok", f"{store.told}{size}")
