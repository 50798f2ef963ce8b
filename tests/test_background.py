from __future__ import annotations

import os
import signal
import socket
from pathlib import Path

import pytest

from kagkit.foundation.files import held
from kagkit.tracking.background import LOCK, LOG, LOG_BYTES, SWITCH, WANTED, start_mirror
from kagkit.tracking.database import folder_of
from kagkit.tracking.health import store_findings
from kagkit.tracking.mirror import sync_runs
from kagkit.workspace.layout import Workspace
from tests.patience import wait_for
from tests.showing import add_run, export, own_store, workspace_to_show
from tests.terminal import kagkit


@pytest.fixture(autouse=True)
def switched_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.delenv(SWITCH, raising=False)


@pytest.fixture
def workspace(tmp_path_factory: pytest.TempPathFactory, tmp_path: Path) -> Workspace:
    return workspace_to_show(tmp_path_factory, tmp_path / "toy")


def told(workspace: Workspace) -> str:
    log = folder_of(workspace) / LOG
    return log.read_text() if log.exists() else ""


def living(workspace: Workspace) -> list[int]:
    """The processes that show runs of this workspace."""
    found = []
    for folder in Path("/proc").iterdir():
        try:
            if folder.name.isdigit() and b"tracking.background" in (folder / "cmdline").read_bytes():
                found += [int(folder.name)] if (folder / "cwd").readlink() == workspace.root else []
        except OSError:
            continue
    return found


def test_runs_are_shown_by_a_process_of_its_own_and_each_once(workspace: Workspace) -> None:
    for _ in range(3):
        start_mirror(workspace)
    wait_for(lambda: living(workspace))
    pid = living(workspace)[0]
    assert os.getsid(pid) != os.getsid(0)
    add_run(workspace, 2)
    start_mirror(workspace)
    wait_for(lambda: not living(workspace))
    assert "shown: exp001/1" in told(workspace)
    runs = export(own_store(workspace))["toy"]["runs"].values()
    assert sorted(run["name"] for run in runs) == ["exp001/1", "exp001/2"]
    assert not (folder_of(workspace) / WANTED).exists()


def test_what_a_killed_process_left_is_shown_by_the_next_command(workspace: Workspace) -> None:
    start_mirror(workspace)
    wait_for(lambda: living(workspace))
    os.kill(living(workspace)[0], signal.SIGKILL)
    wait_for(lambda: not living(workspace))
    assert sync_runs(workspace, own_store(workspace)).shown == ("exp001/1",)


def test_what_goes_wrong_is_told_in_the_log_alone(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{nobody.getsockname()[1]}"
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://me:secret@{address}")
        start_mirror(workspace)
        wait_for(lambda: "does not answer" in told(workspace))
    wait_for(lambda: not living(workspace))
    assert f"http://{address}: " in told(workspace)
    assert "secret" not in told(workspace)
    (told_by_doctor,) = store_findings(workspace)
    assert (told_by_doctor.level, told_by_doctor.hint) == (
        "warn",
        "kagkit track sync shows them, or says why not",
    )
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    kagkit(workspace.root, "track", "sync")
    assert next(store_findings(workspace)).level == "ok"
    assert str(workspace.root) not in told(workspace)


def test_one_that_finds_another_at_it_leaves_the_work_to_that_one(workspace: Workspace) -> None:
    with held(folder_of(workspace) / LOCK):
        start_mirror(workspace)
        wait_for(lambda: living(workspace))
        wait_for(lambda: not living(workspace))
        assert (folder_of(workspace) / WANTED).exists()
    assert told(workspace) == ""


def test_the_log_does_not_grow_for_ever(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder_of(workspace) / LOG).write_text("once\n" * LOG_BYTES)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "./mlruns")
    start_mirror(workspace)
    wait_for(lambda: "is not one that kagkit writes to" in told(workspace))
    assert "once" not in told(workspace)


def test_nothing_is_started_where_it_is_switched_off(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    start_mirror(workspace.for_smoke(True))
    monkeypatch.setenv(SWITCH, "1")
    start_mirror(workspace)
    assert not (folder_of(workspace) / LOG).exists()


def test_a_folder_that_cannot_be_written_fails_no_command(tmp_path: Path) -> None:
    (tmp_path / ".kagkit").write_text("in the way")
    start_mirror(Workspace(tmp_path))
