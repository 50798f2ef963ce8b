from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from kagkit.foundation.errors import RunError
from kagkit.tracking.database import folder_of
from kagkit.tracking.mirror import sync_runs
from kagkit.tracking.server import serving
from kagkit.tracking.store import choose_store
from kagkit.workspace.layout import Workspace
from tests.patience import wait_for
from tests.showing import add_score, export, own_store, workspace_to_show
from tests.terminal import edit, kagkit


@dataclass(frozen=True)
class Pages:
    """A `kagkit ui` that runs: its workspace, its process, the address it printed."""

    workspace: Workspace
    process: subprocess.Popen[str]
    url: str

    @property
    def base(self) -> str:
        return self.url.partition("/#")[0]


def start_ui(workspace: Workspace) -> subprocess.Popen[str]:
    command = [sys.executable, "-P", "-c", "from kagkit.cli import main; main()", "ui", "--json"]
    environment = {name: value for name, value in os.environ.items() if name != "MLFLOW_TRACKING_URI"}
    # Whatever is set for another server must not open this one.
    environment |= {"MLFLOW_SERVER_DISABLE_SECURITY_MIDDLEWARE": "true", "MLFLOW_HOST": "0.0.0.0"}
    return subprocess.Popen(command, cwd=workspace.root, env=environment, stdout=subprocess.PIPE, text=True)


@contextmanager
def open_pages(workspace: Workspace) -> Iterator[Pages]:
    """A `kagkit ui` in a workspace, ended by Ctrl-C."""
    process = start_ui(workspace)
    assert process.stdout is not None
    try:
        lines = [process.stdout.readline() for _ in range(3)]
        yield Pages(workspace, process, json.loads("".join(lines))["url"])
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=20) == 0
        wait_for(lambda: not servers_of(workspace))
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def servers_of(workspace: Workspace) -> list[int]:
    """The processes that serve pages of a workspace."""
    found = []
    for folder in Path("/proc").iterdir():
        try:
            words = (folder / "cmdline").read_bytes()
        except OSError:
            continue
        if b"serve_pages" in words and str(workspace.root).encode() in words:
            found.append(int(folder.name))
    return found


def ask(url: str, **headers: str) -> tuple[int, str]:
    """A server's answer to a search for experiments."""
    headers |= {"Content-Type": "application/json"}
    request = urllib.request.Request(
        f"{url}/api/2.0/mlflow/experiments/search", b'{"max_results": 10}', headers, method="POST"
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_pages_are_served_to_this_machine_until_ctrl_c(
    tmp_path_factory: pytest.TempPathFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    workspace, other = (workspace_to_show(tmp_path_factory, tmp_path / name) for name in ("toy", "other"))
    with open_pages(workspace) as pages:  # one server for all of them: it takes its seconds to start
        the_pages_open_on_the_view_and_show_the_runs(pages)
        only_this_machine_and_no_foreign_page_is_answered(pages)
        runs_are_shown_on_a_server_as_in_a_file(pages, other)
        what_a_file_shows_already_is_not_shown_again_through_a_server(pages)
        a_port_that_is_taken_is_told(pages)
        of_a_teams_server_the_address_is_printed(pages)
    assert (folder_of(workspace) / "server.txt").read_text() == ""


def the_pages_open_on_the_view_and_show_the_runs(pages: Pages) -> None:
    assert "/#/experiments/1/runs?viewStateShareKey=kagkit-cv-lb" in pages.url
    with urllib.request.urlopen(pages.base, timeout=30) as answer:
        assert b"<title>MLflow</title>" in answer.read()
    status, text = ask(pages.base)
    found = {experiment["name"]: experiment for experiment in json.loads(text)["experiments"]}
    assert status == 200
    assert found["toy"]["artifact_location"] == "mlflow-artifacts:/toy"
    assert "mlflow.sharedViewState.kagkit-cv-lb" in {tag["key"] for tag in found["toy"]["tags"]}
    (key,) = export(own_store(pages.workspace))["toy"]["runs"]
    assert key.startswith("exp001/1/")


def only_this_machine_and_no_foreign_page_is_answered(pages: Pages) -> None:
    assert pages.base.startswith("http://127.0.0.1:")
    (server,) = servers_of(pages.workspace)
    assert {address for address, _ in listening(server)} == {"0100007F"}
    assert ask(pages.base, Host="evil.example")[0] == 403
    assert ask(pages.base, Origin="http://evil.example")[0] == 403


def listening(pid: int) -> set[tuple[str, str]]:
    """Addresses and ports a process listens on, as /proc writes them."""
    sockets = {link.readlink().name for link in Path(f"/proc/{pid}/fd").iterdir() if link.is_symlink()}
    found = set()
    for line in Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]:
        words = line.split()
        if words[3] == "0A" and f"socket:[{words[9]}]" in sockets:
            address, port = words[1].split(":")
            found.add((address, port))
    return found


def runs_are_shown_on_a_server_as_in_a_file(pages: Pages, workspace: Workspace) -> None:
    edit(workspace.root / "competition.yaml", "competition: toy", "competition: other")
    add_score(workspace, "exp001/1", 1, public=0.8, private=0.7)
    server = choose_store(workspace, pages.base)
    for rebuild in (False, True):
        assert sync_runs(workspace, server, rebuild=rebuild).shown == ("exp001/1",)
        assert sync_runs(workspace, server).shown == ()
    sync_runs(workspace, own_store(workspace))
    there, here = export(server)["other"], export(own_store(workspace))["other"]
    for run in (*there["runs"].values(), *here["runs"].values()):
        run["artifacts"] = "the server's own affair"
    assert (there["tags"], there["runs"]) == (here["tags"], here["runs"])


def what_a_file_shows_already_is_not_shown_again_through_a_server(pages: Pages) -> None:
    assert sync_runs(pages.workspace, choose_store(pages.workspace, pages.base)).shown == ()


def test_the_server_dies_with_the_command(tmp_path_factory: pytest.TempPathFactory, tmp_path: Path) -> None:
    workspace = workspace_to_show(tmp_path_factory, tmp_path / "toy")
    process = start_ui(workspace)
    wait_for(lambda: servers_of(workspace))
    process.kill()
    process.wait()
    assert process.stdout is not None
    process.stdout.close()
    wait_for(lambda: not servers_of(workspace))


def test_a_server_that_ends_is_told(tmp_path_factory: pytest.TempPathFactory, tmp_path: Path) -> None:
    workspace = workspace_to_show(tmp_path_factory, tmp_path / "toy")
    with serving(workspace, own_store(workspace)) as server:
        wait_for(lambda: servers_of(workspace))
        os.kill(servers_of(workspace)[0], signal.SIGKILL)
        with pytest.raises(RunError, match=r"ended by signal 9\n.*server\.txt"):
            server.wait_until_ready()


def a_port_that_is_taken_is_told(pages: Pages) -> None:
    port = int(pages.base.rpartition(":")[2])
    ended = kagkit(pages.workspace.root, "ui", "--port", str(port), code=4)
    assert f"port {port} cannot be used" in ended.err
    assert "leave --port out" in ended.err


def of_a_teams_server_the_address_is_printed(pages: Pages) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", pages.base)
        assert kagkit(pages.workspace.root, "ui").out.startswith(f"{pages.base}/#/experiments/1/runs?")
