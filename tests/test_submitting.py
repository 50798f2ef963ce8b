from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from kagkit.foundation.errors import SubmissionError
from kagkit.foundation.files import file_sha256, read_json_lines
from kagkit.host.asking import Host
from kagkit.host.awaiting import follow
from kagkit.host.door import Door
from kagkit.host.patience import Patience, usual_patience
from kagkit.host.submitting import Outcome, parcel_of_file, submit
from kagkit.workspace.layout import Workspace
from kagkit.workspace.ledger import add_event
from tests.faults import Fault, refusal
from tests.served import Served, make_client
from tests.terminal import kagkit
from tests.test_door import answer
from tests.toy import write_run

SEEDS = iter(range(1_000_000))
CREATE = "CreateSubmission"
LAG = 0.3  # seconds


@pytest.fixture
def root(host: Served, tmp_path: Path) -> Iterator[Path]:
    """A workspace with a submission.csv that the host has never seen; at the end, no secret is in it."""
    root = make_client(tmp_path / "mine", next(SEEDS))
    yield root
    for path in tmp_path.rglob("*"):
        assert not path.is_file() or host.key.encode() not in path.read_bytes(), path


def send(root: Path, message: str = "") -> Outcome:
    workspace = Workspace(root)
    parcel = parcel_of_file(workspace, root / "submission.csv")
    patience = replace(usual_patience(), lag=LAG, looks=(0.0, LAG / 3))
    return submit(Host(Door("toy-host", patience=patience)), workspace, parcel, message)


def arrived(host: Served, root: Path) -> list[dict[str, Any]]:
    """What the host has of the workspace's file, from its own ledger."""
    tag = f"kagkit:{file_sha256(root / 'submission.csv')[:12]}"
    return [line for line in host.taken() if tag in line["description"]]


def events(root: Path) -> list[str]:
    return [line["event"] for line in read_json_lines(root / "leaderboard.jsonl")]


def test_a_file_is_submitted_once_and_its_score_comes_home(host: Served, root: Path) -> None:
    ended = kagkit(root, "submit", "submission.csv", "-m", "by hand", "--wait", "--json").json
    (line,) = arrived(host, root)
    assert (ended["state"], ended["ref"], ended["submission"]) == ("submitted", line["ref"], "submission.csv")
    assert ended["sha256"] == file_sha256(root / "submission.csv")
    assert ended["public_score"] is not None
    assert line["description"] == f"submission.csv kagkit:{ended['sha256'][:12]} by hand"
    assert events(root) == ["intent", "submitted", "score"]
    again = kagkit(root, "submit", "submission.csv", "--json").json
    assert (again["state"], again["ref"]) == ("already submitted", line["ref"])
    assert again["public_score"] == ended["public_score"]
    assert len(arrived(host, root)) == 1
    assert events(root) == ["intent", "submitted", "score"]


def test_a_run_is_packaged_and_its_score_stands_beside_its_cv(host: Served, root: Path) -> None:
    folder = write_run(root)
    (folder / "submission.csv").write_bytes((root / "submission.csv").read_bytes())
    with pytest.raises(AssertionError, match="damaged"):
        kagkit(root, "submit", "exp001")
    (root / "submission.csv").write_bytes((root / "data/sample_submission.csv").read_bytes())
    folder = write_run(root, number=2)
    told = kagkit(root, "submit", "exp001", "--wait")
    assert told.out.startswith("exp001-002 ")
    assert "complete: public " in told.out
    assert kagkit(root, "compare", "--json").json["rows"][0]["lb_public"] is not None


def test_a_file_that_the_host_would_refuse_is_not_sent(host: Served, root: Path) -> None:
    (root / "submission.csv").write_text("id,label\nid_040,0\n")
    ended = kagkit(root, "submit", "submission.csv", code=5)
    assert "ids: 19 of 20 missing" in ended.err
    assert host.proxy.seen == []
    assert not (root / "leaderboard.jsonl").exists()


@pytest.mark.parametrize(
    "fault",
    [
        Fault(CREATE, "accept and drop"),
        Fault(CREATE, "accept and hang"),
        Fault(CREATE, "cut", after=5),
        Fault(CREATE, "skew"),
        Fault("StartSubmissionUpload", "drop"),
        Fault("uploads", "cut upload", after=40),
        Fault("GetSubmissionLimits", "answer", 200, b"{oops"),
        refusal("ListSubmissions", 503),
        refusal("GetSubmissionLimits", 429, headers={"Retry-After": "0"}),
    ],
    ids=lambda fault: f"{fault.path} {fault.act}",
)
def test_what_arrived_is_found_whatever_the_network_said(fault: Fault, host: Served, root: Path) -> None:
    host.proxy.plan = [replace(fault)]
    outcome = send(root)
    assert outcome.state == "submitted"
    (line,) = arrived(host, root)
    assert outcome.found is not None
    assert outcome.found.ref == line["ref"]
    assert send(root).state == "already submitted"
    assert len(arrived(host, root)) == 1


@pytest.mark.parametrize(
    "fault",
    [
        Fault(CREATE, "drop"),
        Fault(CREATE, "hang"),
        refusal(CREATE, 500),
        refusal(CREATE, 408),
        refusal(CREATE, 503, shape="html"),
        answer(CREATE, message="Could not submit to competition"),
        Fault(CREATE, "answer", 200, b"{oops"),
    ],
    ids=lambda fault: f"{fault.act} {fault.status} {fault.body.decode()}",
)
def test_what_did_not_arrive_is_said_so_and_sent_by_the_next_command(
    fault: Fault, host: Served, root: Path
) -> None:
    host.proxy.plan = [replace(fault)]
    outcome = send(root)
    assert outcome.state == "refused"
    assert "it does not list the submission" in str(outcome.error)
    assert events(root) == ["intent", "refused"]
    assert arrived(host, root) == []
    assert send(root).state == "submitted"
    assert len(arrived(host, root)) == 1


@pytest.mark.parametrize("status", [400, 403, 404, 429])
def test_a_refusal_is_certain_and_told_with_exit_code_6(status: int, host: Served, root: Path) -> None:
    host.proxy.plan = [refusal(CREATE, status, "not now")]
    ended = kagkit(root, "submit", "submission.csv", "--json", code=6).json
    assert ended["state"] == "refused"
    assert f"{status}: not now" in ended["problems"][0]["found"]
    assert host.proxy.calls(CREATE) == 1
    assert events(root) == ["intent", "refused"]


@pytest.mark.parametrize("act", ["drop", "accept and drop"])
def test_where_nothing_can_be_known_it_is_said_and_settled_before_anything_is_sent(
    act: Any, host: Served, root: Path
) -> None:
    silence = refusal("ListSubmissions", 503, times=99)

    def fall_silent(path: str, phase: str) -> None:
        if CREATE in path and silence not in host.proxy.plan:
            host.proxy.plan.append(silence)

    host.proxy.plan = [Fault(CREATE, act)]
    host.proxy.watch = fall_silent
    ended = kagkit(root, "submit", "submission.csv", "--json", code=6).json
    assert (ended["state"], ended["ref"]) == ("unknown", None)
    assert "settles it before anything is sent" in ended["problems"][-1]["hint"]
    assert events(root) == ["intent", "unknown"]
    host.proxy.watch = lambda path, phase: None
    host.proxy.plan, host.proxy.seen = [], []
    outcome = send(root)
    assert outcome.state == ("already submitted" if act == "accept and drop" else "submitted")
    assert host.proxy.calls(CREATE) == (0 if act == "accept and drop" else 1)
    assert len(arrived(host, root)) == 1


def test_an_attempt_that_a_crash_left_open_is_waited_for(host: Served, root: Path) -> None:
    workspace = Workspace(root)
    parcel = parcel_of_file(workspace, root / "submission.csv")
    facts = {"tag": parcel.tag, "attempt": "a", "sha256": parcel.sha256, "total": None, "listed": None}
    add_event(workspace, "intent", facts)
    began = datetime.now(UTC)
    assert send(root).state == "submitted"
    assert datetime.now(UTC) - began > timedelta(seconds=0.9 * LAG)
    assert events(root) == ["intent", "refused", "intent", "submitted"]


def test_a_team_mates_submission_between_two_questions_is_not_taken_for_ours(
    host: Served, root: Path, tmp_path: Path
) -> None:
    seen: list[str] = []

    def submit_meanwhile(path: str, phase: str) -> None:
        if phase != "before":
            return
        if "ListSubmissions" in path and seen == ["limits"]:  # the list may have several pages before
            seen.append("list")
            host.proxy.plan.append(Fault("ListSubmissions", "drop"))
            send(make_client(tmp_path / "hers", next(SEEDS)))
        elif "GetSubmissionLimits" in path:
            seen.append("limits")

    host.proxy.watch = submit_meanwhile
    send(root)
    (intent,) = [line for line in read_json_lines(root / "leaderboard.jsonl") if line["event"] == "intent"]
    assert "total" not in intent


def test_a_host_that_counts_more_than_it_lists_is_not_sent_to(host: Served, root: Path) -> None:
    workspace = Workspace(root)
    parcel = parcel_of_file(workspace, root / "submission.csv")
    add_event(
        workspace, "intent", {"tag": parcel.tag, "attempt": "a", "total": 0, "listed": len(host.taken())}
    )
    host.proxy.plan = [answer("GetSubmissionLimits", numToday=1, numTotal=1, numAllowedNow=4)]
    ended = kagkit(root, "submit", "submission.csv", code=6)
    assert "it counts 1 new submissions and lists 0" in ended.err
    assert host.proxy.calls(CREATE) == 0


def test_without_a_slot_left_nothing_is_sent_and_the_turn_of_the_day_is_told(
    host: Served, root: Path
) -> None:
    host.proxy.plan = [answer("GetSubmissionLimits", numToday=5, numTotal=9)]
    ended = kagkit(root, "submit", "submission.csv", code=5)
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    assert "5 were made today, none is left" in ended.err
    assert f"the day turns at {tomorrow:%Y-%m-%d} 00:00 UTC (" in ended.err
    assert not [path for path in host.proxy.seen if "Upload" in path or CREATE in path]
    assert not (root / "leaderboard.jsonl").exists()


def test_two_commands_at_once_submit_once(host: Served, root: Path) -> None:
    states: list[str] = []
    threads = [threading.Thread(target=lambda: states.append(send(root).state)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(states) == ["already submitted", "already submitted", "submitted"]
    assert len(arrived(host, root)) == 1


def test_the_same_file_of_another_workspace_is_known_by_its_tag(
    host: Served, root: Path, tmp_path: Path
) -> None:
    send(root)
    other = make_client(tmp_path / "hers", 0)
    (other / "submission.csv").write_bytes((root / "submission.csv").read_bytes())
    assert send(other).state == "already submitted"
    assert events(other) == []


def test_an_error_of_the_host_is_shown_with_its_reason_and_exit_code_5(host: Served, root: Path) -> None:
    send(root)
    (line,) = arrived(host, root)
    told = {"ref": line["ref"], "description": line["description"]}
    failed = {"status": "ERROR", "errorDescription": "Submission must have 20 rows"}
    host.proxy.plan = [
        answer("ListSubmissions", submissions=[told]),
        answer("GetSubmission$", **told, **failed),
    ]
    ended = kagkit(root, "submit", "submission.csv", "--wait", code=5)
    assert "Submission must have 20 rows" in ended.err
    assert "error" in ended.out


def test_a_number_the_host_does_not_know_yet_is_waited_for(host: Served, root: Path) -> None:
    host.proxy.plan = [refusal("GetSubmission$", 404), Fault("GetSubmission$", "drop")]
    ended = kagkit(root, "submit", "submission.csv", "--wait", "--json").json
    assert ended["status"] == "COMPLETE"


def test_a_score_is_looked_for_soon_and_then_ever_more_rarely(
    host: Served, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pending, done = ({"ref": 10**6, "status": status} for status in ("PENDING", "COMPLETE"))
    host.proxy.plan = [
        *(answer("GetSubmission$", **pending) for _ in range(8)),
        answer("GetSubmission$", **done),
    ]
    pauses: list[float] = []
    clock = SimpleNamespace(sleep=pauses.append, monotonic=time.monotonic)
    monkeypatch.setattr("kagkit.host.awaiting.time", clock)
    follow(Host(Door("toy-host", patience=Patience())), 10**6)
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60]


def test_a_notebook_is_submitted_by_name_and_version(host: Served, root: Path) -> None:
    write_run(root)
    host.proxy.plan = [answer("CreateCodeSubmission", ref=10**6)]
    ended = kagkit(root, "submit", "exp001", "-k", "anna/unet", "-v", "7", "--json").json
    assert (ended["ref"], ended["submission"]) == (10**6, "anna/unet version 7")
    ended = kagkit(root, "submit", "exp001", "-k", "anna/unet", "-v", "8", code=6)
    assert "is it OWNER/NOTEBOOK as in its address" in ended.err
    assert kagkit(root, "submit", "exp001", "-k", "anna/unet", code=2).err.count("belong together") == 1
    assert "OWNER/NOTEBOOK" in kagkit(root, "submit", "exp001", "-k", "unet", "-v", "1", code=2).err


def test_a_full_ledger_stops_before_anything_is_sent(host: Served, root: Path) -> None:
    (root / "leaderboard.jsonl").mkdir()
    with pytest.raises(OSError, match="directory"):
        send(root)
    assert arrived(host, root) == []


def test_no_description_is_longer_than_hosts_may_take(host: Served, root: Path) -> None:
    send(root, "x" * 500)
    (line,) = arrived(host, root)
    assert len(line["description"]) == 200
    assert send(root).state == "already submitted"


def test_the_tag_is_never_cut_off_by_a_long_name_nor_hidden_by_another(host: Served, root: Path) -> None:
    for name in (f"{'x' * 240}.csv", "kagkit:0123456789ab .csv"):
        (root / "submission.csv").write_text((root / "submission.csv").read_text() + "\n")
        (root / name).write_bytes((root / "submission.csv").read_bytes())
        workspace = Workspace(root)
        parcel = parcel_of_file(workspace, root / name)
        host.proxy.plan = [Fault(CREATE, "accept and drop")]
        outcomes = [submit(Host.of(workspace.competition), workspace, parcel) for _ in range(2)]
        assert [outcome.state for outcome in outcomes] == ["submitted", "already submitted"]
        assert len(arrived(host, root)) == 1


@pytest.mark.parametrize("number", [1, 10**6])
def test_what_an_earlier_host_on_this_machine_took_is_sent_to_this_one(
    number: int, host: Served, root: Path
) -> None:
    send(make_client(root / "other", next(SEEDS)))  # the host's number 1, at the latest
    workspace = Workspace(root)
    parcel = parcel_of_file(workspace, root / "submission.csv")
    add_event(workspace, "submitted", {"tag": parcel.tag, "attempt": "a", "ref": number, "host": "loopback"})
    assert send(root).state == "submitted"
    assert len(arrived(host, root)) == 1


def test_what_was_rehearsed_here_is_no_submission_at_kaggle(host: Served, root: Path) -> None:
    workspace = Workspace(root)
    parcel = parcel_of_file(workspace, root / "submission.csv")
    facts = {"tag": parcel.tag, "competition": "toy-host", "host": "kaggle"}
    add_event(workspace, "submitted", facts | {"attempt": "a", "ref": 1})
    add_event(workspace, "intent", facts | {"attempt": "b"})
    assert send(root).state == "submitted"
    assert [line["host"] for line in read_json_lines(root / "leaderboard.jsonl")][2:] == 2 * ["loopback"]


def test_a_description_edited_at_the_host_is_no_reason_to_send_again(host: Served, root: Path) -> None:
    outcome = send(root)
    assert outcome.found is not None
    told = {"ref": outcome.found.ref, "description": "my best"}
    host.proxy.plan = [answer("ListSubmissions", submissions=[told]), answer("GetSubmission$", **told)]
    assert send(root).state == "already submitted"


def test_a_problem_with_the_file_is_a_submission_error(host: Served, root: Path) -> None:
    (root / "submission.csv").write_text(json.dumps({}))
    with pytest.raises(SubmissionError):
        send(root)
