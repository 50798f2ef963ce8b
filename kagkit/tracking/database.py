"""Make MLflow's database, tell its revision, bring an older one up to date, put a finished one in place."""

from __future__ import annotations

import os
import re
import sqlite3
import warnings
from collections.abc import Iterator
from contextlib import closing, contextmanager
from importlib.util import find_spec
from pathlib import Path

from kagkit.workspace.layout import Workspace

SQLITE = "sqlite:///"
# Places of artifacts are kept relative to whatever server shows them: no path of this machine is written.
ARTIFACTS = "mlflow-artifacts:/"
# What SQLite leaves beside a database after a crash; applied to another one it would destroy that.
BESIDE = ("-journal", "-wal", "-shm")
PATIENCE_SECONDS = 5.0
SETTINGS = {
    # MLflow compares with this very word; `1` would not switch it off.
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_LOGGING_LEVEL": "CRITICAL",
}
# MLflow itself would go on asking a server that is down for four minutes.
DEFAULTS = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2", "MLFLOW_HTTP_REQUEST_TIMEOUT": "30"}
REVISION = re.compile(r"^(revision|down_revision)\b[^=\n]*=(.*)$", re.MULTILINE)
QUOTED = re.compile(r"[\"'](\w+)[\"']")


def folder_of(workspace: Workspace) -> Path:
    """Where all that MLflow needs is kept: it can be deleted."""
    return workspace.cache / "mlflow"


def settle_environment() -> None:
    """Switch telemetry and chatter off; it must be done before MLflow is imported."""
    os.environ |= SETTINGS
    for name, value in DEFAULTS.items():
        os.environ.setdefault(name, value)


@contextmanager
def quiet_import() -> Iterator[None]:
    """Import MLflow in a `with` block of this: no telemetry, and no warnings that only MLflow can mend."""
    settle_environment()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def make_database(file: Path) -> None:
    """Make an empty store in a new file, in place of one that was left half made."""
    _remove(file)
    with quiet_import():
        from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

        SqlAlchemyStore(f"{SQLITE}{file}", ARTIFACTS).engine.dispose()


def put_in_place(aside: Path, file: Path, backup: Path) -> None:
    """Give a finished database its name; the one that had it, if any, is kept as `backup`."""
    _remove(backup)
    for end in ("", *BESIDE):
        old = file.with_name(file.name + end)
        if old.exists():
            old.replace(backup.with_name(backup.name + end))
    aside.replace(file)


def read_revision(file: Path) -> str | None:
    """The schema revision of a database; None where there is none.

    Raises:
        sqlite3.Error: It is no database, or is locked.
    """
    if not file.exists() or not file.stat().st_size:
        return None
    with closing(sqlite3.connect(file, timeout=PATIENCE_SECONDS)) as connection:
        tables = connection.execute("select name from sqlite_master where name = 'alembic_version'")
        if tables.fetchone() is None:
            return None
        found = connection.execute("select version_num from alembic_version").fetchone()
    return str(found[0]) if found else None


def read_revisions() -> tuple[set[str], str]:
    """The revisions that the installed MLflow has a migration for, and the newest of them.

    They are read from its migrations' text: to import it takes seconds, and to open a store migrates it.
    """
    spec = find_spec("mlflow")
    assert spec is not None  # noqa: S101 (a dependency)
    assert spec.origin is not None  # noqa: S101
    known: set[str] = set()
    followed: set[str] = set()
    for script in (Path(spec.origin).parent / "store/db_migrations/versions").glob("*.py"):
        for name, value in REVISION.findall(script.read_text(encoding="utf-8")):
            (known if name == "revision" else followed).update(QUOTED.findall(value))
    (newest,) = known - followed
    return known, newest


def upgrade_database(file: Path) -> None:
    """Bring a database to the newest revision; one that is killed while it is done cannot be used."""
    with quiet_import():
        from mlflow.store.db import utils

        engine = utils.create_sqlalchemy_engine(f"{SQLITE}{file}")
        try:
            utils._upgrade_db(engine)
        finally:
            engine.dispose()


def copy_database(file: Path, target: Path) -> None:
    """Copy a database as a reader sees it, even while somebody writes."""
    _remove(target)
    with closing(sqlite3.connect(file)) as source, closing(sqlite3.connect(target)) as copy:
        source.backup(copy)


def _remove(file: Path) -> None:
    for end in ("", *BESIDE):
        file.with_name(file.name + end).unlink(missing_ok=True)
