"""A team's place among others, from a host that the real client talks to, before its end and after it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from kagkit.foundation.files import read_json_lines
from tests.flows.test_host import Served
from tests.hosting import answer, write_host
from tests.terminal import kagkit
from tests.toy import make_workspace


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    write_host(tmp_path / "host")
    served = Served.start(tmp_path / "host")
    yield served
    served.end()


def test_the_place_is_followed_to_the_end_and_shaken_there(
    served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = make_workspace(tmp_path / "toy", competition="toy")
    (tmp_path / "home").mkdir()
    variables = {
        "KAGKIT_KAGGLE_ENDPOINT": served.facts["url"],
        "KAGGLE_USERNAME": "ann",
        "KAGGLE_KEY": "ann's",
        "HOME": str(tmp_path / "home"),
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    assert "public board: 0 teams, no place of ours" in kagkit(root, "lb", "sync").out
    # Ours is right publicly and wrong privately, the other team's is the other way round.
    served.scored(served.submit(answer(d=1).encode()))
    served.scored(served.submit(answer(a=1).encode(), "cid"), "cid")
    told = kagkit(root, "lb", "sync", "--json").json["standing"]
    assert (told["public"]["rank"], told["public"]["teams"], told["private"]) == (1, 2, None)
    assert told["public"]["awarded"] is False
    noted = len(read_json_lines(root / "leaderboard.jsonl"))
    kagkit(root, "lb", "sync")
    assert len(read_json_lines(root / "leaderboard.jsonl")) == noted

    kagkit(tmp_path, "host", "close", "host")
    told = kagkit(root, "lb", "sync", "--json").json["standing"]
    assert (told["private"]["rank"], told["public"]["rank"]) == (2, 1)
    assert told["private"]["lines"][0] == {
        "medal": "gold",
        "rank": 1,
        "score": 1.0,
        "ahead": pytest.approx(-1 / 3, abs=1e-4),
    }
    out = kagkit(root, "status").out
    assert "private place: 2 of 2 teams" in out
    assert ": no medal, were medals awarded here\n" in out
