from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from kagkit.foundation.errors import DataError, HostError
from kagkit.host import competitions, submissions
from kagkit.host.hosted import RefusalError
from kagkit.host.register import LEDGER, Allowance
from kagkit.host.staging import begin_next_stage
from tests.hosting import Clock, answer, caller, graded, make_host, open_host, submit


def test_a_team_shares_its_daily_allowance_which_begins_anew_at_midnight_utc(tmp_path: Path) -> None:
    clock = Clock()
    host = make_host(tmp_path, clock)
    for user in ("ann", "bob", "ann"):
        submit(host, answer(), user)
    assert host.register.allowance("A") == Allowance(3, 3, 0, by_total=False)
    with pytest.raises(RefusalError, match=r"limit \(3 per day\)") as refusal:
        submit(host, answer(), "bob")
    assert refusal.value.status == 400
    assert submit(host, answer(), "cid") == 4
    clock.pass_by(hours=11, minutes=59)
    assert host.register.allowance("A").left == 0
    clock.pass_by(minutes=1)
    assert host.register.allowance("A") == Allowance(0, 3, 3, by_total=False)


def test_a_total_limit_is_told_where_it_leaves_less_than_the_day(tmp_path: Path) -> None:
    clock = Clock()
    host = make_host(tmp_path, clock, limits={"daily": 3, "total": 4})
    for _ in range(3):
        submit(host, answer())
    clock.pass_by(days=1)
    told = submissions.get_limits(host, caller(), {"competitionName": "toy"})
    assert told == {"numToday": 0, "numTotal": 3, "numAllowedNow": 1, "limitedByTotal": True}
    submit(host, answer())
    with pytest.raises(RefusalError, match=r"limit \(4 in all\)"):
        submit(host, answer())


def test_a_submission_that_ended_in_an_error_does_not_count(tmp_path: Path) -> None:
    host = make_host(tmp_path)
    graded(host, submit(host, "nothing"))
    assert host.register.allowance("A").left == 3


def test_submitting_one_upload_twice_makes_one_submission(tmp_path: Path) -> None:
    host = make_host(tmp_path)
    ref = submit(host, answer())
    asked = {"competitionName": "toy", "blobFileTokens": host.register.submissions[0].token}
    assert submissions.create_submission(host, caller(), asked)["ref"] == ref
    assert len(host.register.submissions) == 1


def test_many_at_once_lose_nothing_and_get_no_more_than_the_limit(tmp_path: Path) -> None:
    hosts = [make_host(tmp_path, limits={"daily": 5}), open_host(tmp_path)]  # as two servers would be
    done: list[int] = []

    def work(place: int) -> None:
        try:
            done.append(submit(hosts[place % 2], answer(), name=f"{place}.csv"))
        except RefusalError:
            done.append(0)

    threads = [threading.Thread(target=work, args=(place,)) for place in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(done) == [0, 0, 0, 1, 2, 3, 4, 5]
    assert [item.ref for item in open_host(tmp_path).register.submissions] == [1, 2, 3, 4, 5]


def test_a_restarted_host_knows_all_it_knew(tmp_path: Path) -> None:
    host = make_host(tmp_path)
    graded(host, submit(host, answer()))
    pending = submit(host, answer(a=1))
    again = open_host(tmp_path)
    assert again.register.submissions == host.register.submissions
    assert [item.ref for item in again.register.pending] == [pending]


def test_a_line_that_a_kill_cut_off_is_as_if_it_was_never_begun(tmp_path: Path) -> None:
    host = make_host(tmp_path)
    submit(host, answer())
    ledger = tmp_path / LEDGER
    before = ledger.read_bytes()
    ledger.write_bytes(before + b'{"event": "submission", "ref": 2, "us')
    again = open_host(tmp_path)
    assert len(again.register.submissions) == 1
    assert submit(again, answer()) == 2
    assert len(host.register.submissions) == 2


def test_a_damaged_line_is_told_and_not_skipped(tmp_path: Path) -> None:
    host = make_host(tmp_path)
    submit(host, answer())
    ledger = tmp_path / LEDGER
    ledger.write_bytes(ledger.read_bytes().replace(b'"event"', b'"event', 1))
    with pytest.raises(DataError, match=r"ledger.jsonl line 1"):
        _ = open_host(tmp_path).register.events


def test_a_score_that_is_told_twice_stays_the_first(tmp_path: Path) -> None:
    host = make_host(tmp_path)
    ref = submit(host, answer())
    graded(host, ref)
    host.register.settle(ref, {"public": 0.0, "private": 0.0})
    assert open_host(tmp_path).register.events.submissions[ref].public == 1.0


def test_stage_2_brings_files_labels_and_another_solution(tmp_path: Path) -> None:
    host = make_host(tmp_path)
    first = submit(host, answer(a=1))
    asked = {"competitionName": "toy"}
    names = [item["name"] for item in competitions.list_files(host, caller(), asked)["files"]]
    assert names == ["test.csv", "train.csv"]
    assert begin_next_stage(tmp_path, host.terms, open_host(tmp_path).register) == "2"
    names = [item["name"] for item in competitions.list_files(host, caller(), asked)["files"]]
    assert names == ["stage1_labels.csv", "test.csv", "train.csv"]
    labels = (tmp_path / "state/released/stage1_labels.csv").read_text().splitlines()
    assert labels[:2] == ["id,y", "a,0"]
    assert graded(host, first).public == 2 / 3  # by the solution of the stage it was made in
    assert competitions.standing(host) == []
    assert graded(host, submit(host, answer(a=1))).public == 1.0
    assert [place.score for place in competitions.standing(host)] == ["1.00000"]
    with pytest.raises(HostError, match="stage 2 is the last one"):
        host.register.release()


def test_after_the_end_submissions_are_scored_late_and_not_ranked(tmp_path: Path) -> None:
    host = make_host(tmp_path)
    graded(host, submit(host, answer(a=1), "cid"))
    host.register.close()
    late = graded(host, submit(host, answer(), "cid"))
    assert (late.late, late.status, late.private) == (True, "COMPLETE", 1.0)
    assert [place.score for place in competitions.standing(host, public=True)] == ["0.66666"]
    for again in (host.register.close, host.register.release):
        with pytest.raises(HostError, match="closed"):
            again()


def test_after_the_deadline_submissions_are_late(tmp_path: Path) -> None:
    clock = Clock()
    stage = {"files": ["files"], "solution": "solution.csv", "deadline": "2026-03-01T13:00:00Z"}
    host = make_host(tmp_path, clock, stages={"1": stage})
    assert not graded(host, submit(host, answer())).late
    clock.pass_by(hours=2)
    assert graded(host, submit(host, answer())).late


# --- who may do what ---


def test_another_competition_and_unread_rules_are_refused_as_kaggle_does(tmp_path: Path) -> None:
    host = make_host(tmp_path)
    with pytest.raises(RefusalError, match=r"'competitions\.participate' was denied") as refusal:
        competitions.get_competition(host, caller(), {"competitionName": "tay"})
    assert refusal.value.status == 403
    asked = {"competitionName": "toy", "fileName": "train.csv"}
    with pytest.raises(RefusalError, match="accept this competition's rules"):
        competitions.download_file(host, caller("dan"), asked)
    assert competitions.list_files(host, caller("dan"), asked)["files"]
    assert not competitions.get_competition(host, caller("dan"), asked)["userHasEntered"]


def test_nobody_sees_or_submits_what_another_team_sent(tmp_path: Path) -> None:
    host = make_host(tmp_path)
    ref = submit(host, answer())
    for method, asked in (
        (submissions.get_submission, {"ref": ref}),
        (submissions.download_submission, {"submissionId": ref}),
    ):
        method(host, caller("bob"), asked)
        with pytest.raises(RefusalError, match="was not found"):
            method(host, caller("cid"), asked)
    theirs = {"competitionName": "toy", "blobFileTokens": host.register.submissions[0].token}
    with pytest.raises(RefusalError, match="has not been uploaded"):
        submissions.create_submission(host, caller("cid"), theirs)
    listed = submissions.list_submissions(host, caller("cid"), {"competitionName": "toy"})
    assert listed["submissions"] == []


def test_submissions_come_newest_first_page_by_page(tmp_path: Path) -> None:
    host = make_host(tmp_path)
    refs = [submit(host, answer()) for _ in range(3)]
    asked = {"competitionName": "toy", "pageSize": 2}
    first = submissions.list_submissions(host, caller(), asked)
    assert [item["ref"] for item in first["submissions"]] == [refs[2], refs[1]]
    token = {"pageToken": first["nextPageToken"]}
    second = submissions.list_submissions(host, caller(), asked | token)
    assert ([item["ref"] for item in second["submissions"]], second["nextPageToken"]) == ([refs[0]], "")
    assert (
        submissions.list_submissions(host, caller(), asked | {"page": 2})["submissions"][0]["ref"] == refs[0]
    )
    with pytest.raises(RefusalError, match="pageToken"):
        submissions.list_submissions(host, caller(), asked | {"pageToken": "x"})


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"fileName": "\ud800.csv"}, "fileName must be a text in Unicode"),
        ({"contentLength": float("inf")}, "contentLength must be a whole number"),
        ({"contentLength": "many"}, "contentLength must be a whole number"),
    ],
)
def test_a_request_that_nothing_can_keep_is_refused(
    asked: dict[str, Any], words: str, tmp_path: Path
) -> None:
    host = make_host(tmp_path)
    with pytest.raises(RefusalError, match=words):
        submissions.start_submission(host, caller(), {"competitionName": "toy", "contentLength": 1} | asked)
    with pytest.raises(RefusalError, match="pageToken"):
        submissions.list_submissions(host, caller(), {"competitionName": "toy", "pageToken": "9" * 5000})


def test_what_participants_sent_is_for_the_host_alone(tmp_path: Path) -> None:
    make_host(tmp_path)
    assert (tmp_path / "state").stat().st_mode & 0o077 == 0
