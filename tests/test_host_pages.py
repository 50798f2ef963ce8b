from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path

import pytest

from kagkit.host.accounts import digest_key
from kagkit.host.board import private_board, public_board, shaken
from kagkit.host.pages import draw_board
from kagkit.host.register import Submission
from tests.hosting import HOST, NOON, Clock, answer, graded, make_host, submit


def entry(ref: int, team: str, public: float, private: float, **others: object) -> Submission:
    facts = {"user": team, "token": str(ref), "name": "s.csv", "size": 1, "description": "", "stage": "1"}
    facts |= {"time": NOON + timedelta(minutes=ref), "late": False, "status": "COMPLETE"}
    return Submission(ref=ref, team=team, public=public, private=private, **{**facts, **others})  # type: ignore[arg-type]


def test_teams_are_ranked_by_their_best_and_ties_go_to_the_earlier() -> None:
    items = [entry(1, "a", 0.5, 0), entry(2, "b", 0.7, 0), entry(3, "a", 0.7000001, 0), entry(4, "c", 0.1, 0)]
    places = public_board(items, "1", greater=True)
    assert [(place.rank, place.team, place.score) for place in places] == [
        (1, "b", "0.70000"),  # as shown, the scores are equal
        (2, "a", "0.70000"),
        (3, "c", "0.10000"),
    ]
    assert [place.entries for place in places] == [1, 2, 1]
    assert [place.team for place in public_board(items, "1", greater=False)] == ["c", "a", "b"]


def test_the_two_publicly_best_submissions_count_in_private() -> None:
    items = [
        entry(1, "a", 0.9, 0.1),
        entry(2, "a", 0.8, 0.3),
        entry(3, "a", 0.7, 1.0),
        entry(4, "b", 0.6, 0.5),
    ]
    private = private_board(items, "1", greater=True)
    assert [(place.team, place.score) for place in private] == [("b", "0.50000"), ("a", "0.30000")]
    assert [shake.moved for shake in shaken(public_board(items, "1", greater=True), private)] == [1, -1]


def test_late_refused_and_other_stages_submissions_are_not_ranked() -> None:
    items = [
        entry(1, "a", 0.9, 0, late=True),
        entry(2, "b", 0, 0, status="ERROR"),
        entry(3, "c", 1, 1, stage="2"),
    ]
    assert public_board(items, "1", greater=True) == []


HOSTILE = ["<script>alert(1)</script>", '"><img src=x onerror=y>', "雪国チーム & sons", "a" * 200]


@pytest.mark.parametrize("name", HOSTILE)
def test_names_are_shown_and_never_taken_for_markup(name: str, tmp_path: Path) -> None:
    people = {"ann": {"key_sha256": digest_key("k"), "team": name}}
    host = make_host(tmp_path, participants=people, title=name, description=name)
    graded(host, submit(host, answer()))
    page = draw_board(host)
    assert "<script" not in page
    assert "<img" not in page
    assert (
        page.count(
            name.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;")
        )
        == 4
    )


def test_the_page_fetches_nothing_and_runs_nothing(tmp_path: Path) -> None:
    page = draw_board(make_host(tmp_path))
    assert not re.search(r"https?:|src=|href=|@import|url\(|<script", page)
    assert 'name="viewport"' in page
    assert "prefers-color-scheme: dark" in page
    assert "No submission has been scored yet" in page


def test_the_end_opens_the_private_board_with_the_moves(tmp_path: Path) -> None:
    clock = Clock()
    host = make_host(tmp_path, clock)
    graded(host, submit(host, answer(d=1, e=0, f=1), "ann"))
    graded(host, submit(host, answer(a=1), "cid"))
    before = draw_board(host)
    assert "Private" not in before
    assert "Stage 1 of 2" in before
    host.register.close()
    page = draw_board(host)
    private, public = page.split("Public leaderboard")
    assert private.index("cid") < private.index(">A<")
    assert public.index(">A<") < public.index("cid")
    assert "▲ 1" in private
    assert "▼ 1" in private


def test_the_page_says_when_a_stage_ends_and_that_it_has(tmp_path: Path) -> None:
    clock = Clock()
    stage = HOST["stages"]["1"] | {"deadline": "2026-03-01T14:00:00+01:00"}
    host = make_host(tmp_path, clock, stages={"1": stage})
    assert "Open, ends 2026-03-01 13:00 UTC" in draw_board(host)
    clock.pass_by(hours=2)
    assert "Open, ended 2026-03-01 13:00 UTC" in draw_board(host)
