"""Whatever fails, and whenever kagkit is killed: one submission, whole data, no secret anywhere."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from kagkit.host.asking import Host
from kagkit.host.submitting import parcel_of_file, submit
from kagkit.workspace.layout import Workspace
from tests.flows.schedules import Stage, secrets_in
from tests.flows.zygote import Zygote
from tests.served import Served, make_client

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="forks")

SUBMISSIONS, DOWNLOADS = range(14), range(100, 106)


@pytest.fixture(scope="module")
def zygote() -> Iterator[Zygote]:
    with Zygote() as started:
        yield started


@pytest.mark.parametrize("seed", SUBMISSIONS)
def test_a_submission_arrives_once_through_faults_and_kills(
    seed: int, host: Served, zygote: Zygote, tmp_path: Path
) -> None:
    story = Stage(host, zygote).submit(tmp_path / "mine", seed)
    assert story.wrong == [], story
    assert secrets_in(tmp_path, host.key) == []


@pytest.mark.parametrize("seed", DOWNLOADS)
def test_data_arrive_whole_or_not_at_all_through_faults_and_kills(
    seed: int, host: Served, zygote: Zygote, tmp_path: Path
) -> None:
    story = Stage(host, zygote).fetch(tmp_path / "mine", seed)
    assert story.wrong == [], story
    assert "half" not in story.runs
    assert secrets_in(tmp_path, host.key) == []


def test_a_host_restarted_in_mid_upload_gets_the_file_once(host: Served, tmp_path: Path) -> None:
    workspace = Workspace(make_client(tmp_path / "mine", 77_777))
    restarted = threading.Event()

    def restart(path: str, phase: str) -> None:
        if "uploads/" in path and phase == "before" and not restarted.is_set():
            restarted.set()
            host.stop()
            host.start()

    host.proxy.watch = restart
    parcel = parcel_of_file(workspace, workspace.root / "submission.csv")
    outcome = submit(Host.of(workspace.competition), workspace, parcel)
    if outcome.state != "submitted":
        outcome = submit(Host.of(workspace.competition), workspace, parcel)
    assert restarted.is_set()
    assert outcome.state == "submitted"
    assert sum(parcel.tag in line["description"] for line in host.taken()) == 1
