from __future__ import annotations

import itertools
import json
import random
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from kagkit.cli.drawing import draw_table
from kagkit.foundation.errors import DataError
from kagkit.foundation.files import read_json_lines
from kagkit.host.syncing import import_scores, read_csv
from kagkit.workspace.layout import Workspace
from kagkit.workspace.ledger import Scores, add_event, read_scores
from tests.faults import Fault
from tests.served import Served, make_client
from tests.terminal import kagkit
from tests.test_door import answer
from tests.test_submitting import CREATE
from tests.toy import make_workspace

TAG = "0123456789ab"
NEW = f"""\
ref,fileName,date,description,status,publicScore,privateScore
12,b.csv,2026-11-02 10:00:00.123000,"exp002/1 kagkit:{TAG} a, b",SubmissionStatus.COMPLETE,0.75,0.5
11,a.csv,2026-11-01T10:00:00.1234567Z,,SubmissionStatus.ERROR,,
"""
OLD = """\
Warning: Looks like you're using an outdated API Version
Next Page Token = abc
fileName,date,description,status,publicScore

b.csv,2026-11-02 10:00:00,second,complete,0.75
a.csv,2026-11-01 10:00:00,,pending,
"""


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(make_workspace(tmp_path / "toy"))


def submissions_of(root: Path) -> list[Any]:
    """What the ledger tells of submissions, the team's place left out."""
    return [line for line in read_json_lines(root / "leaderboard.jsonl") if line["event"] != "board"]


def write(workspace: Workspace, text: str) -> Path:
    path = workspace.root / "submissions.csv"
    path.write_text(text)
    return path


def test_the_clients_list_is_read_in_all_the_shapes_it_has_had(workspace: Workspace) -> None:
    second, first = read_csv(write(workspace, NEW))
    assert (second.ref, second.status, second.tag) == (12, "COMPLETE", TAG)
    assert (second.public, second.private) == (0.75, 0.5)
    assert (first.ref, first.status, first.public) == (11, "ERROR", None)
    second, first = read_csv(write(workspace, OLD))
    assert (second.ref, second.status, second.public, second.private) == (0, "COMPLETE", 0.75, None)
    assert (first.status, first.public) == ("PENDING", None)


@pytest.mark.parametrize("text", ["", "ref,name\n1,a\n", "fileName,date\na,b\n"])
def test_another_file_is_refused(text: str, workspace: Workspace) -> None:
    with pytest.raises(DataError, match="not the kaggle client's list of submissions"):
        read_csv(write(workspace, text))


def test_lines_that_are_no_submissions_are_told_all_at_once(workspace: Workspace) -> None:
    text = NEW + "x,c.csv,2026-11-02,,complete,1,1\n13,d.csv,yesterday,,complete,1,1\n"
    with pytest.raises(DataError, match=r"csv line 4: no submission\n[^\n]*\n  submissions\.csv line 5"):
        read_csv(write(workspace, text))


@pytest.mark.parametrize("text", [NEW, OLD])
def test_an_import_adds_only_what_is_new(text: str, workspace: Workspace) -> None:
    told = import_scores(workspace, write(workspace, text))
    before = workspace.leaderboard.read_bytes()
    again = import_scores(workspace, write(workspace, text))
    assert any(line.new for line in told)
    assert not any(line.new for line in again)
    assert workspace.leaderboard.read_bytes() == before


def test_an_imported_score_finds_its_run_by_the_tag(workspace: Workspace) -> None:
    add_event(workspace, "intent", {"tag": TAG, "run": "exp002/1", "attempt": "a"})
    printed = kagkit(workspace.root, "lb", "import", str(write(workspace, NEW))).out
    assert "2 submissions, 2 with news" in printed
    assert read_scores(workspace) == {"exp002/1": Scores(0.75, 0.5)}


def test_a_score_finds_its_run_once_the_ledger_knows_it_and_by_tag_before_number(
    workspace: Workspace,
) -> None:
    path = write(workspace, NEW)
    import_scores(workspace, path)
    assert read_scores(workspace) == {}
    add_event(workspace, "submitted", {"tag": "f" * 12, "run": "exp001/1", "attempt": "a", "ref": 12})
    add_event(workspace, "intent", {"tag": TAG, "run": "exp002/1", "attempt": "b"})
    assert [line.new for line in import_scores(workspace, path)] == [False, True]
    assert read_scores(workspace)["exp002/1"] == Scores(0.75, 0.5)
    assert not any(line.new for line in import_scores(workspace, path))


def test_the_ledger_reads_the_same_in_whatever_order_git_leaves_its_lines(workspace: Workspace) -> None:
    submitted = {"tag": TAG, "run": "exp001/1", "attempt": "a", "ref": 4}
    add_event(workspace, "submitted", submitted)
    add_event(workspace, "score", {"ref": 4, "run": None, "public": 0.25, "private": None})
    add_event(workspace, "score", {"ref": 4, "run": None, "public": 0.5, "private": None})
    kagkit(workspace.root, "lb", "import", str(write(workspace, NEW)))
    lines = workspace.leaderboard.read_text().splitlines(keepends=True)
    wanted = read_scores(workspace)
    assert wanted == {"exp001/1": Scores(0.75, 0.5)}
    for mixed in itertools.islice(itertools.permutations(lines), 60):
        workspace.leaderboard.write_text("".join([*mixed, random.Random(0).choice(lines)]))
        assert read_scores(workspace) == wanted
        assert not any(line.new for line in import_scores(workspace, workspace.root / "submissions.csv"))


def test_git_is_told_to_merge_the_ledger_line_by_line(workspace: Workspace) -> None:
    add_event(workspace, "score", {"run": "exp001/1", "public": 0.1})
    assert not (workspace.root / ".gitattributes").exists()
    (workspace.root.parent / ".git").mkdir()
    (workspace.root / ".gitattributes").write_text("*.png binary")
    for _ in range(2):
        add_event(workspace, "score", {"run": "exp001/1", "public": 0.2})
        told = (workspace.root / ".gitattributes").read_text()
        assert told == "*.png binary\nleaderboard.jsonl merge=union\n"


def test_sync_tells_every_submission_and_adds_only_what_is_new(host: Served, tmp_path: Path) -> None:
    root = make_client(tmp_path, 987_654)
    kagkit(root, "submit", "submission.csv", "--wait")
    noted = len(submissions_of(root))
    told = kagkit(root, "lb", "sync", "--json").json
    assert told["submissions"][-1]["submitted_by"] == "participant"
    assert len(submissions_of(root)) == noted + told["new"]
    assert kagkit(root, "lb", "sync", "--json").json["new"] == 0
    assert "participant" in kagkit(root, "lb", "sync").out


def test_a_files_name_stays_whole_on_a_narrow_terminal_unless_it_is_long(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "60")
    columns = ["ref", "run", "file", "by", "status", "public", "private"]
    row = ["1", "exp001/12", "sample_submission.csv", "a participant", "complete", "0.77033", "0.78468"]
    draw_table(columns, [row], right=("public", "private"))
    assert "sample_submission.csv" in capsys.readouterr().out
    long = f"{'a' * 30}{'b' * 30}.csv"
    draw_table(["change", "file", "detail"], [["new", long, "1 B"]])
    assert ".csv" in capsys.readouterr().out  # broken, with nothing cut off


def test_unknown_statuses_and_team_mates_survive_a_sync(host: Served, tmp_path: Path) -> None:
    root = make_client(tmp_path, 1)
    odd = {"ref": 3, "status": "SUBMISSION_STATUS_QUEUED", "submittedBy": "anna", "fileName": "x.csv"}
    failed = {"ref": 4, "status": "ERROR", "errorDescription": "no column id", "submittedBy": "ben"}
    host.proxy.plan = [answer("ListSubmissions", submissions=[odd, failed])]
    printed = kagkit(root, "lb", "sync").out
    assert "queued" in printed
    assert "anna" in printed
    assert "4: no column id" in printed
    assert [line["submitted_by"] for line in submissions_of(root)] == ["anna", "ben"]


@pytest.mark.parametrize("act", ["accept and drop", "drop"])
def test_sync_settles_what_was_left_open(act: str, host: Served, tmp_path: Path) -> None:
    root = make_client(tmp_path, 55_000 + len(act))
    silence = Fault("ListSubmissions", "drop", times=99)

    def fall_silent(path: str, phase: str) -> None:
        if CREATE in path and silence not in host.proxy.plan:
            host.proxy.plan.append(silence)

    host.proxy.plan = [Fault(CREATE, act)]  # type: ignore[arg-type]
    host.proxy.watch = fall_silent
    kagkit(root, "submit", "submission.csv", code=6)
    host.proxy.watch, host.proxy.plan = lambda path, phase: None, []
    kagkit(root, "lb", "sync")
    ledger = root / "leaderboard.jsonl"
    ledger.write_text(ledger.read_text().replace(f'"time":"{datetime.now(UTC).year}', '"time":"2025'))
    kagkit(root, "lb", "sync")
    settled = [line["event"] for line in submissions_of(root)]
    wanted = "submitted" if act == "accept and drop" else "refused"
    assert [event for event in settled if event != "score"] == ["intent", "unknown", wanted]


def test_an_attempt_that_stays_open_keeps_no_score_from_coming_home(host: Served, tmp_path: Path) -> None:
    root = make_client(tmp_path, 77)
    intent = {"event": "intent", "time": "2026-01-01T00:00:00+00:00", "tag": "f" * 12, "attempt": "a"}
    (root / "leaderboard.jsonl").write_text(json.dumps(intent | {"total": 0, "listed": 1}) + "\n")
    scored = {"ref": 7, "status": "COMPLETE", "publicScore": "0.5"}
    host.proxy.plan = [
        answer("ListSubmissions", submissions=[scored]),
        answer("GetSubmissionLimits", numToday=1, numTotal=1),
    ]
    ended = kagkit(root, "lb", "sync")
    assert "whether it was submitted is not known: it counts 1 new submissions and lists 0" in ended.err
    assert [line["event"] for line in submissions_of(root)] == ["intent", "score"]


def test_a_host_that_shows_no_board_keeps_no_score_from_coming_home(host: Served, tmp_path: Path) -> None:
    root = make_client(tmp_path, 78)
    scored = {"ref": 7, "status": "COMPLETE", "publicScore": "0.5"}
    host.proxy.plan = [
        answer("ListSubmissions", submissions=[scored]),
        Fault("DownloadLeaderboard", "drop", times=99),
    ]
    ended = kagkit(root, "lb", "sync")
    assert "asking for the leaderboard" in ended.err
    assert [line["event"] for line in read_json_lines(root / "leaderboard.jsonl")] == ["score"]
