from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from kagkit.foundation.errors import HostError
from kagkit.host.answers import HostSubmission, Limits
from kagkit.host.asking import Host
from kagkit.host.door import Door, credential_facts, settle_endpoint
from kagkit.host.refusals import (
    BusyHostError,
    RefusedHostError,
    UnclearHostError,
    UnreachableHostError,
    scrub,
)
from tests.faults import Fault, refusal
from tests.served import Served
from tests.terminal import kagkit
from tests.toy import make_workspace

TOKEN = "KGAT_0123456789abcdef0123456789abcdef"
INTROSPECT = "IntrospectToken"


def ask(competition: str = "toy-host", told: list[str] | None = None) -> Host:
    return Host(Door(competition, tell=(told if told is not None else []).append))


def answer(path: str, **body: Any) -> Fault:
    return Fault(path, "answer", 200, json.dumps(body).encode())


def test_the_real_client_reads_a_real_host(host: Served) -> None:
    facts = ask().facts()
    assert (facts.title, facts.entered, facts.metric, facts.daily) == ("toy-host", True, "accuracy", 100000)
    assert facts.deadline is not None
    assert facts.deadline.utcoffset() is not None
    assert {file.name: file.bytes for file in ask().files()}["images/scan.bin"] == 400_000
    assert {line.team for line in ask().board()} <= {"participant"}  # other tests share the host
    assert ask().limits().left in (None, 100000 - ask().limits().today)


def test_nothing_is_printed(host: Served, capsys: pytest.CaptureFixture[str]) -> None:
    ask().files()
    assert capsys.readouterr().out == ""


def test_a_status_that_the_client_does_not_know_survives(host: Served) -> None:
    told = [{"ref": 7, "status": "RUNNING", "publicScore": ""}, {"ref": 8, "publicScore": "0.5"}]
    host.proxy.plan = [answer("ListSubmissions", submissions=told)]
    assert ask().submissions() == [HostSubmission(7, "RUNNING"), HostSubmission(8, "PENDING", public=0.5)]


def test_every_page_is_read_by_token_or_by_number_and_nothing_twice(host: Served) -> None:
    many = [{"ref": ref} for ref in range(1, 51)]
    host.proxy.plan = [
        answer("ListSubmissions", submissions=many[:20]),
        answer("ListSubmissions", submissions=many[15:40]),
        answer("ListSubmissions", submissions=many[40:]),
    ]
    assert [found.ref for found in ask().submissions()] == list(range(1, 51))
    assert host.proxy.calls("ListSubmissions") == 3
    host.proxy.plan = [
        answer("ListSubmissions", submissions=many[:3], nextPageToken="a"),
        answer("ListSubmissions", submissions=many[3:5]),
    ]
    assert [found.ref for found in ask().submissions()] == [1, 2, 3, 4, 5]


def test_a_page_that_repeats_for_ever_ends(host: Served) -> None:
    page = [{"ref": ref} for ref in range(20)]
    host.proxy.plan = [
        Fault("ListSubmissions", "answer", 200, json.dumps({"submissions": page}).encode(), times=9)
    ]
    assert len(ask().submissions()) == 20
    assert host.proxy.calls("ListSubmissions") == 2


def test_who_is_on_no_team_yet_has_no_limits_rather_than_none_left(host: Served) -> None:
    host.proxy.plan = [answer("GetSubmissionLimits"), answer("GetSubmissionLimits", numToday=5, numTotal=9)]
    assert ask().limits() == Limits(0, 0, None)
    assert ask().limits() == Limits(5, 9, 0)


@pytest.mark.parametrize("shape", ["flat", "nested", "html"])
@pytest.mark.parametrize("status", [500, 503])
def test_what_only_reads_is_asked_again_after_a_failure(status: int, shape: str, host: Served) -> None:
    told: list[str] = []
    host.proxy.plan = [refusal("GetCompetition", status, shape=shape, times=2)]
    assert ask(told=told).facts().title == "toy-host"
    assert told == ["asking for the competition: the host failed; asking again in 0 s"] * 2


@pytest.mark.parametrize("shape", ["flat", "nested", "html"])
def test_a_failure_that_does_not_end_is_told_in_the_hosts_words(shape: str, host: Served) -> None:
    host.proxy.plan = [refusal("GetCompetition", 503, "no capacity", shape, times=99)]
    with pytest.raises(UnclearHostError, match=r"the host failed\n  host: 503: no capacity"):
        ask().facts()
    assert host.proxy.calls("GetCompetition") == 4


@pytest.mark.parametrize(
    "fault",
    [
        Fault("GetCompetition", "drop"),
        Fault("GetCompetition", "accept and drop"),
        Fault("GetCompetition", "hang"),
        Fault("GetCompetition", "cut", after=10),
        Fault("GetCompetition", "answer", 200, b"{oops"),
        Fault("GetCompetition", "answer", 200, b"[1]"),
        Fault("GetCompetition", "skew"),
    ],
    ids=lambda fault: f"{fault.act} {fault.body.decode()}",
)
def test_a_broken_answer_is_asked_for_again(fault: Fault, host: Served) -> None:
    host.proxy.plan = [fault]
    assert ask().facts().title == "toy-host"


def test_an_answer_that_trickles_is_cut_off(host: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAGKIT_HOST_PACE", "0.002")
    host.proxy.plan = [Fault("GetCompetition", "trickle", times=9)]
    with pytest.raises(UnclearHostError, match="the answer took too long"):
        ask().facts()


def test_a_busy_host_is_waited_for_and_not_for_ever(host: Served) -> None:
    told: list[str] = []
    host.proxy.plan = [refusal("GetCompetition", 429, headers={"Retry-After": "1"})]
    assert ask(told=told).facts().entered
    assert told == ["the host is busy; asking again in 1 s"]
    host.proxy.plan = [refusal("GetCompetition", 429, "slow down", "nested", headers={"Retry-After": "3600"})]
    with pytest.raises(BusyHostError, match=r"429: slow down\n    hint: it asks to wait 3600 s"):
        ask().facts()


def test_retry_after_is_held_against_the_hosts_own_clock(host: Served) -> None:
    clocks = {"Retry-After": "Fri, 01 Jan 2038 00:00:01 GMT", "Date": "Fri, 01 Jan 2038 00:00:00 GMT"}
    told: list[str] = []
    host.proxy.plan = [refusal("GetCompetition", 429, headers=clocks)]
    assert ask(told=told).facts().entered
    assert told == ["the host is busy; asking again in 1 s"]


def test_a_host_that_is_not_there_is_told(host: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAGKIT_KAGGLE_ENDPOINT", "http://127.0.0.1:1")
    told: list[str] = []
    question = r"is `kagkit host serve` running at http://127\.0\.0\.1:1\?"
    with pytest.raises(UnreachableHostError, match=f"Connection refused\n    hint: {question}"):
        ask(told=told).facts()
    assert len(told) == 1  # and it is not asked for long


def test_a_misspelt_competition_is_told_apart_from_rules_not_accepted(host: Served) -> None:
    with pytest.raises(RefusedHostError, match=r"competition titanik: no such competition \(403"):
        ask("titanik").limits()
    host.proxy.plan = [
        refusal("GetSubmissionLimits", 403, "Permission 'competitions.participate' was denied"),
        answer("GetCompetition", title="toy-host"),
    ]
    with pytest.raises(
        RefusedHostError, match=r"accept the rules.*https://www\.kaggle\.com/competitions/toy-host/rules"
    ):
        ask().limits()


def test_404_and_400_have_their_hints(host: Served) -> None:
    host.proxy.plan = [refusal("GetSubmission", 404, "Not found")]
    with pytest.raises(RefusedHostError, match=r"404: Not found\n    hint: a wrong name.*the deadline is"):
        ask().submission(5)
    host.proxy.plan = [refusal("GetSubmission", 400, "Bad request")]
    with pytest.raises(RefusedHostError, match="400: Bad request\n    hint: have you joined"):
        ask().submission(5)


def test_submitting_is_never_asked_twice(host: Served) -> None:
    for fault in (Fault("CreateSubmission", "drop"), refusal("CreateSubmission", 500)):
        host.proxy.plan, host.proxy.seen = [fault], []
        with pytest.raises(UnclearHostError):
            ask().submit("token", "text")
        assert host.proxy.calls("CreateSubmission") == 1
    host.proxy.plan = [answer("CreateSubmission", message="Could not submit to competition")]
    with pytest.raises(UnclearHostError, match="no number; it said: Could not submit"):
        ask().submit("token", "text")


@pytest.mark.parametrize("act", ["drop", "cut upload", "hang", "accept and drop", "accept and hang"])
def test_an_upload_goes_on_where_it_broke(act: Any, host: Served, tmp_path: Path) -> None:
    file = tmp_path / "submission.csv"
    file.write_bytes(b"id,label\n" * 50_000)
    host.proxy.plan = [Fault("uploads", act, after=150_000)]
    token = ask().upload(file)
    assert (host.root / "state/uploads" / token).read_bytes() == file.read_bytes()
    assert host.proxy.calls("uploads/") <= 3


@pytest.mark.parametrize("status", [500, 503])
def test_an_upload_that_fails_is_tried_again_and_not_for_ever(
    status: int, host: Served, tmp_path: Path
) -> None:
    file = tmp_path / "submission.csv"
    file.write_text("id,label\n")
    host.proxy.plan = [refusal("uploads", status)]
    ask().upload(file)
    host.proxy.plan, host.proxy.seen = [refusal("uploads", status, times=99)], []
    with pytest.raises(UnclearHostError, match=f"uploading: the host failed\n  host: {status}: no"):
        ask().upload(file)
    assert host.proxy.calls("uploads") < 9


def test_data_go_to_no_strange_address(host: Served, tmp_path: Path) -> None:
    file = tmp_path / "submission.csv"
    file.write_text("id\n")
    host.proxy.plan = [answer("StartSubmissionUpload", token="t", createUrl="http://192.0.2.1/blob")]
    with pytest.raises(HostError, match=r"address: http://192\.0\.2\.1; expected an address on this"):
        ask().upload(file)


# --- who asks ---


def test_wrong_credentials_are_named_by_their_place(host: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAGGLE_KEY", "0" * 32)
    with pytest.raises(HostError, match="KAGGLE_USERNAME and KAGGLE_KEY: 401") as failure:
        ask().facts()
    assert "0" * 32 not in str(failure.value)


def test_a_key_of_a_host_here_is_asked_for_at_the_host(host: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAGGLE_KEY", "0" * 32)
    with pytest.raises(
        HostError, match="hint: unset KAGGLE_USERNAME KAGGLE_KEY, and ask the host for your key"
    ):
        ask().facts()


def test_whether_a_key_is_accepted_is_asked(
    host: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def told() -> list[str]:
        found = kagkit(tmp_path, "doctor", "--online").out.splitlines()
        return [line for line in found if "credentials: " in line]

    source = "credentials: a name with its key from KAGGLE_USERNAME and KAGGLE_KEY"
    assert told() == [f"ok    {source}, accepted by the host"]
    monkeypatch.setenv("KAGGLE_KEY", "0" * 32)
    first, second = told()
    assert (first, "401" in second) == (f"warn  {source}, not accepted by the host", True)
    monkeypatch.setenv("KAGKIT_KAGGLE_ENDPOINT", "http://127.0.0.1:1")
    first, second = told()
    assert (first, "refused" in second) == (f"warn  {source}, the host was not reached", True)
    host.proxy.plan = [refusal("ListCompetitions", 503)]
    monkeypatch.setenv("KAGKIT_KAGGLE_ENDPOINT", host.proxy.url)
    assert told()[0] == f"warn  {source}, not known whether the host accepts it"


def test_an_address_that_cannot_be_used_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAGKIT_KAGGLE_ENDPOINT", "http://kaggle.com")
    assert "KAGKIT_KAGGLE_ENDPOINT" in {problem.where for problem in credential_facts().problems}


def test_the_setting_that_the_kaggle_program_needs_for_a_host_here_harms_nothing(
    host: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KAGGLE_API_ENVIRONMENT", "LOCALHOST")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    assert ask().facts().title == "toy-host"
    monkeypatch.delenv("KAGKIT_KAGGLE_ENDPOINT")
    with pytest.raises(
        HostError, match="KAGGLE_API_ENVIRONMENT: LOCALHOST: the kaggle client would ask another"
    ):
        ask().facts()


def test_no_credentials_at_all_are_told(host: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KAGGLE_KEY")
    with pytest.raises(HostError) as failure:
        ask().facts()
    assert "no credentials were found\n    hint: ask the host for your key" in str(failure.value)
    assert "KAGGLE_USERNAME: is set without KAGGLE_KEY" in str(failure.value)
    assert credential_facts().source is None


def test_a_bad_token_before_a_good_key_is_seen_through(host: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAGGLE_API_TOKEN", TOKEN)
    host.proxy.plan = [Fault(INTROSPECT, "answer", 200, b"{}", times=9)]
    facts = credential_facts(ask=True)
    assert (facts.source, facts.unused) == ("KAGGLE_API_TOKEN", ("KAGGLE_USERNAME and KAGGLE_KEY",))
    (problem,) = facts.problems
    assert problem.hint == "unset KAGGLE_API_TOKEN, so that KAGGLE_USERNAME and KAGGLE_KEY is used"
    assert TOKEN not in f"{facts} {problem}"
    with pytest.raises(HostError, match="KAGGLE_API_TOKEN: the host does not accept it"):
        ask().facts()


def test_the_client_is_not_run_where_it_would_print_the_token(
    host: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VERBOSE", "1")
    monkeypatch.setenv("KAGGLE_API_ENVIRONMENT", "TEST")
    with pytest.raises(HostError, match=r"VERBOSE: .*\n.*unset VERBOSE\n  KAGGLE_API_ENVIRONMENT: TEST"):
        ask().facts()
    assert host.proxy.seen == []
    assert len(credential_facts(ask=True).problems) == 2


@pytest.mark.parametrize("address", ["http://kaggle.com", "http://127.0.0.1.evil.example", "ftp://x", "api"])
def test_no_host_but_kaggle_is_elsewhere_than_here(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAGKIT_KAGGLE_ENDPOINT", address)
    with pytest.raises(
        HostError, match=r"KAGKIT_KAGGLE_ENDPOINT: .*; expected kaggle, or an address on this"
    ):
        settle_endpoint("kaggle")


def test_competition_yaml_may_name_a_host_here_or_none(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("KAGKIT_KAGGLE_ENDPOINT", raising=False)
    assert settle_endpoint("kaggle") is None
    assert settle_endpoint("http://localhost:8000/") == "http://localhost:8000"
    root = make_workspace(tmp_path, host="none")
    assert "host: none" in kagkit(root, "lb", "sync", code=6).err


def test_secrets_are_scrubbed_from_every_text() -> None:
    text = f"HTTPError for https://s.example/b?X-Goog-Signature=abc with Bearer {TOKEN} {Path.home()}/x"
    assert scrub(text, [TOKEN]) == "HTTPError for https://s.example/b with Bearer … ~/x"


def test_a_host_that_tells_the_key_back_is_not_repeated(host: Served) -> None:
    host.proxy.plan = [refusal("GetCompetition", 400, f"no such key: {host.key}")]
    with pytest.raises(HostError, match="no such key: …") as failure:
        ask().facts()
    assert host.key not in json.dumps(failure.value.as_json())
