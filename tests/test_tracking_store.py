from __future__ import annotations

import shutil
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from kagkit.foundation.errors import HostError, ManifestError, RunError
from kagkit.foundation.files import file_sha256
from kagkit.tracking import database
from kagkit.tracking.database import read_revision, read_revisions
from kagkit.tracking.store import Store, choose_store, opened, prepare_store
from kagkit.workspace.layout import Workspace
from tests.floors import ROOT
from tests.showing import empty_store
from tests.test_architecture import heavy_modules_of


@pytest.fixture(autouse=True)
def nobody_elses_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


@pytest.fixture
def store(tmp_path_factory: pytest.TempPathFactory, tmp_path: Path) -> Store:
    """A workspace's own store, empty."""
    store = choose_store(Workspace(tmp_path))
    file_of(store).parent.mkdir(parents=True)
    shutil.copyfile(empty_store(tmp_path_factory), file_of(store))
    return store


def file_of(store: Store) -> Path:
    assert store.file is not None
    return store.file


def execute(file: Path, command: str) -> None:
    with closing(sqlite3.connect(file)) as connection:
        connection.execute(command)
        connection.commit()


# --- which store ---


def test_the_named_store_comes_before_the_environments_and_the_workspaces_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = Workspace(tmp_path)
    assert choose_store(workspace).own
    assert choose_store(workspace).told == ".kagkit/mlflow/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://team.local:5000/")
    assert choose_store(workspace) == Store("http://team.local:5000", "http://team.local:5000", None)
    other = choose_store(workspace, f"sqlite:///{tmp_path}/other.db")
    assert (other.file, other.told, other.own) == (tmp_path / "other.db", "other.db", False)


def test_a_password_is_never_told(tmp_path: Path) -> None:
    store = choose_store(Workspace(tmp_path), "https://me:secret@team.local/mlflow")
    assert (store.uri, store.told) == ("https://me:secret@team.local/mlflow", "https://team.local/mlflow")


@pytest.mark.parametrize(
    "uri",
    [
        "./mlruns",
        "file:///tmp/mlruns",
        "postgresql://me:secret@host/db",
        "sqlite:///",
        "http://me:secret/4@host",
        "http://[secret",
    ],
)
def test_other_kinds_of_stores_are_refused(tmp_path: Path, uri: str) -> None:
    with pytest.raises(ManifestError, match="expected http://HOST:PORT or sqlite:///FILE") as refused:
        choose_store(Workspace(tmp_path), uri)
    assert "secret" not in str(refused.value)


def test_a_place_that_mlflow_misreads_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="% or \\? in its name"):
        choose_store(Workspace(tmp_path / "50%25"))


# --- files ---


def test_two_that_open_a_new_store_at_once_make_one(tmp_path_factory: pytest.TempPathFactory) -> None:
    file = empty_store(tmp_path_factory)
    assert read_revision(file) == read_revisions()[1]
    assert sorted(path.name for path in file.parent.iterdir()) == [".mlflow.db.lock", "mlflow.db"]


def test_an_older_store_is_kept_beside_the_one_it_became(store: Store) -> None:
    file, newest = file_of(store), read_revisions()[1]
    downgrade(file)
    execute(
        file, "insert into experiments (name, lifecycle_stage, workspace) values ('old', 'active', 'default')"
    )
    older = read_revision(file)
    assert older not in (None, newest)
    with opened(store) as client:
        assert {experiment.name for experiment in client.search_experiments()} == {"Default", "old"}
    assert read_revision(file) == newest
    assert read_revision(file.with_name(f"mlflow.db.bak-{older}")) == older


def downgrade(file: Path) -> None:
    """Take a store one revision back."""
    with database.quiet_import():
        from alembic import command
        from mlflow.store.db import utils

        engine = utils.create_sqlalchemy_engine(f"sqlite:///{file}")
        config = utils._get_alembic_config(str(engine.url))
        with engine.begin() as connection:
            config.attributes["connection"] = connection
            command.downgrade(config, "-1")
        engine.dispose()


def test_a_store_of_a_newer_mlflow_is_refused_and_left_alone(store: Store) -> None:
    file = file_of(store)
    execute(file, "update alembic_version set version_num = 'ffffffffffff'")
    before = file_sha256(file)
    with pytest.raises(RunError, match=r"written by a newer MLflow than .*\n.*--rebuild"):
        prepare_store(store)
    assert file_sha256(file) == before


def test_what_is_no_store_is_refused_and_left_alone(store: Store) -> None:
    file = file_of(store)
    file.unlink()
    execute(file, "create table mine (a)")
    with pytest.raises(RunError, match="a database that is not MLflow's"):
        prepare_store(store)
    file.write_text("no database at all, and not a short one either")
    with pytest.raises(RunError, match="file is not a database"):
        prepare_store(store)
    assert file.read_text().startswith("no database")


def test_a_locked_store_is_told(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "PATIENCE_SECONDS", 0.05)
    with closing(sqlite3.connect(file_of(store))) as connection:
        connection.execute("begin exclusive")
        with pytest.raises(RunError, match=r"locked by another program\n.*nothing is lost"):
            prepare_store(store)


def test_what_a_crash_left_beside_an_old_store_does_not_touch_the_new_one(tmp_path: Path) -> None:
    new, old, backup = (tmp_path / name for name in ("new", "old", "backup"))
    new.write_text("new")
    old.write_text("old")
    (tmp_path / "old-journal").write_text("of old")
    database.put_in_place(new, old, backup)
    found = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert found == {"old": "new", "backup": "old", "backup-journal": "of old"}


def test_a_store_left_half_made_is_made_anew(
    store: Store, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = file_of(store)
    file.unlink()
    aside = file.with_name("mlflow.db.new")
    aside.write_text("half")

    def make(target: Path) -> None:
        assert target == aside
        shutil.copyfile(empty_store(tmp_path_factory), target)

    monkeypatch.setattr("kagkit.tracking.store.make_database", make)
    prepare_store(store)
    assert read_revision(file) == read_revisions()[1]
    assert not aside.exists()


# --- servers ---


@contextmanager
def answering(status: int, text: str) -> Iterator[Store]:
    """A server that gives one answer to everything."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(status)
            self.end_headers()
            self.wfile.write(text.encode())

        do_POST = do_GET  # noqa: N815 (the library's names)

        def log_message(self, *_: object) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            url = f"http://127.0.0.1:{server.server_port}"
            yield Store(url, url, None)
        finally:
            server.shutdown()
            thread.join()


def test_a_password_is_not_taken_for_the_name_of_a_host(tmp_path: Path) -> None:
    with answering(200, "2.9.2") as store, pytest.raises(HostError, match="another version"):
        prepare_store(choose_store(Workspace(tmp_path), store.uri.replace("//", "//me:p@ss@")))


def test_a_server_that_is_down_is_told_at_once() -> None:
    with answering(200, "") as store:
        pass
    with pytest.raises(HostError, match=r"does not answer\n.*refused\n.*nothing is lost"):
        prepare_store(store)


def test_a_server_of_another_version_is_told() -> None:
    with (
        answering(200, "2.9.2") as store,
        pytest.raises(HostError, match=r"another version\n.*2.9.2; expected 3."),
    ):
        prepare_store(store)


def test_a_server_that_refuses_is_told() -> None:
    with (
        answering(401, "who are you?") as store,
        pytest.raises(HostError, match=r"refuses\n.*not allowed\n.*MLFLOW_TRACKING_TOKEN"),
        opened(store) as client,
    ):
        client.search_experiments()


def test_a_server_that_fails_is_told_in_one_line() -> None:
    with (
        answering(418, "a teapot\nof old") as store,
        pytest.raises(HostError, match=r"did not do what was asked\n.*418.*\n.*nothing is lost"),
        opened(store) as client,
    ):
        client.search_experiments()


# --- weight ---


def test_mlflow_is_imported_when_a_store_is_opened_and_not_before() -> None:
    names = ("background", "curves", "database", "mirror", "projection", "server", "store", "views")
    code = "import " + ", ".join(f"kagkit.tracking.{name}" for name in names)
    assert heavy_modules_of(code, ROOT) == set()
