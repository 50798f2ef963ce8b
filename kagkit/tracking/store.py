"""Choose the MLflow store, make it ready once for all processes, say in one sentence why it is not."""

from __future__ import annotations

import os
import re
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from kagkit.foundation.errors import HostError, KagkitError, ManifestError, Problem, RunError
from kagkit.foundation.files import held, told_when_unwritable
from kagkit.tracking.database import (
    SQLITE,
    copy_database,
    folder_of,
    make_database,
    put_in_place,
    quiet_import,
    read_revision,
    read_revisions,
    upgrade_database,
)
from kagkit.workspace.layout import Workspace

PATIENCE_SECONDS = 5.0
SAFE = "nothing is lost: runs/ has it all; afterwards `kagkit track sync` shows it"
REFUSED = re.compile(r"UNAUTHENTICATED|PERMISSION_DENIED|error code 40[13]\b")
FOREIGN = {"mlflow", "sqlalchemy", "alembic", "requests", "urllib3", "sqlite3"}  # whose errors are told here


@dataclass(frozen=True)
class Store:
    """Where runs are shown.

    Attributes:
        uri: MLflow's name of it.
        told: How messages call it, without a password or a path of this machine.
        file: The database, where it is an SQLite file.
        own: Whether it is the workspace's own, which can be deleted and made again.
    """

    uri: str
    told: str
    file: Path | None
    own: bool = False


def choose_store(workspace: Workspace, uri: str | None = None) -> Store:
    """The store to show runs in: the one named, else MLFLOW_TRACKING_URI, else the workspace's own.

    Raises:
        ManifestError: It is neither a server nor an SQLite file.
        RunError: MLflow cannot open a file at the workspace's place.
    """
    uri = uri or os.environ.get("MLFLOW_TRACKING_URI")
    if not uri:
        return _file_store(folder_of(workspace) / "mlflow.db", ".kagkit/mlflow/mlflow.db", own=True)
    scheme = uri.partition(":")[0] if ":" in uri else "a folder"
    if scheme in ("http", "https") and (place := _place_of(uri)):
        return Store(uri.rstrip("/"), place, None)
    if uri.startswith(SQLITE) and len(uri) > len(SQLITE):
        path = Path(uri.removeprefix(SQLITE)).absolute()
        return _file_store(path, path.name, own=False)
    problem = Problem(
        "MLFLOW_TRACKING_URI or --to",
        f"{scheme}: runs are not shown there",
        "http://HOST:PORT or sqlite:///FILE",
        "MLflow no longer keeps folders such as ./mlruns; for another database, start `mlflow server` on it",
    )
    raise ManifestError("MLflow's store is not one that kagkit writes to", [problem])


def _place_of(uri: str) -> str:
    """A server's address without the password in it; empty where it is none."""
    try:
        parts = urlsplit(uri)
        usable = parts.hostname and parts.port != 0
    except ValueError:  # no number after the colon, say
        return ""
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{host}{parts.path}".rstrip("/") if usable else ""


def _file_store(path: Path, told: str, *, own: bool) -> Store:
    if "%" in str(path) or "?" in str(path):
        problem = Problem(told, "a folder above it has % or ? in its name", hint="rename that folder")
        raise RunError("MLflow cannot open its store here", [problem])
    return Store(f"{SQLITE}{path}", told, path, own)


@contextmanager
def opened(store: Store) -> Iterator[Any]:
    """Open a store for a `with` block, made or brought up to date first; gives an MlflowClient.

    Raises:
        HostError: The server is down, refuses, or is of another version.
        RunError: The file is locked, damaged, newer than the installed MLflow, or cannot be written.
    """
    prepare_store(store)
    with _explained(store):
        client = _client(store)
        try:
            yield client
        finally:
            # A connection that stays open would hold on to a file that a rebuild has replaced.
            if store.file is not None:
                client._tracking_client.store.engine.dispose()


def prepare_store(store: Store) -> None:
    """Make a store that is not there yet, bring an older one up to date, see whether a server answers.

    Raises:
        HostError: The server is down, or of another version.
        RunError: The file is locked, damaged, newer than the installed MLflow, or cannot be written.
    """
    if store.file is None:
        _check_server(store)
        return
    with _explained(store), told_when_unwritable(store.told):
        store.file.parent.mkdir(parents=True, exist_ok=True)
        # Two that make one database at a time break it; both writing aside, the later would win.
        with held(store.file.with_name(f".{store.file.name}.lock")):
            _prepare_file(store, store.file)


def _client(store: Store) -> Any:
    with quiet_import():
        from mlflow import MlflowClient

        return MlflowClient(store.uri)


def _prepare_file(store: Store, file: Path) -> None:
    revision = read_revision(file)
    aside = file.with_name(f"{file.name}.new")
    if revision is None:
        if file.exists() and file.stat().st_size:
            raise _unusable(store, "a database that is not MLflow's", _again(store))
        make_database(aside)
        put_in_place(aside, file, file.with_name(f"{file.name}.empty"))
        return
    known, newest = read_revisions()
    if revision not in known:
        hint = f"install the MLflow that wrote it, or {_again(store)}"
        raise _unusable(store, f"written by a newer MLflow than {version('mlflow')}", hint=hint)
    if revision != newest:
        copy_database(file, aside)
        upgrade_database(aside)
        put_in_place(aside, file, file.with_name(f"{file.name}.bak-{revision}"))


def _check_server(store: Store) -> None:
    """Ask a server for its version, so that one that is down or too old is told at once."""
    try:
        # Only http and https get here; urllib would take a password for a part of the host's name.
        with urllib.request.urlopen(f"{store.told}/version", timeout=PATIENCE_SECONDS) as answer:  # noqa: S310
            theirs = answer.read(100).decode(errors="replace").strip()
    except urllib.error.HTTPError:
        return  # it is there; what it refuses is told by the first real question
    except OSError as error:
        reason = getattr(error, "reason", error)
        raise HostError(
            "the MLflow server does not answer", [Problem(store.told, f"{reason}", hint=SAFE)]
        ) from None
    ours = version("mlflow")
    major = theirs.partition(".")[0]
    if major.isdigit() and major != ours.partition(".")[0]:
        hint = "upgrade the older of the two"
        raise HostError(
            "the MLflow server is of another version", [Problem(store.told, theirs, f"{ours} or near", hint)]
        )


@contextmanager
def _explained(store: Store) -> Iterator[None]:
    """Turn what MLflow and the libraries below it raise into one clear error of ours."""
    try:
        yield
    except KagkitError:
        raise
    except Exception as error:
        if type(error).__module__.partition(".")[0] not in FOREIGN:
            raise
        raise _explain(store, error) from error


def _explain(store: Store, error: Exception) -> KagkitError:
    text = str(error)
    if store.file is None:
        if REFUSED.search(f"{getattr(error, 'error_code', '')} {text}"):
            hint = "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN"
            return HostError("the MLflow server refuses", [Problem(store.told, "not allowed", hint=hint)])
        found = _first_line(text).replace(store.uri, store.told)
        return HostError(
            "the MLflow server did not do what was asked", [Problem(store.told, found, hint=SAFE)]
        )
    if "locked" in text:
        return _unusable(store, "locked by another program", f"close it; {SAFE}")
    if "disk is full" in text:
        return _unusable(store, "the disk is full", f"free some space; {SAFE}")
    if "readonly" in text or "unable to open" in text:
        return _unusable(store, "it may not be written", "check who owns the folder")
    found = _first_line(text).replace(str(store.file.parent), "…")
    return _unusable(store, found, _again(store))


def _first_line(text: str) -> str:
    with suppress(IndexError):
        return text.strip().splitlines()[0][:300]
    return "no reason given"


def _again(store: Store) -> str:
    if store.own:
        return "make it anew from runs/: kagkit track sync --rebuild"
    return "name another store: kagkit track sync --to sqlite:///FILE"


def _unusable(store: Store, found: str, hint: str) -> RunError:
    return RunError("MLflow's store cannot be used", [Problem(store.told, found, hint=hint)])
