from __future__ import annotations

import re
from pathlib import Path

import pytest

from kagkit.foundation.files import append_json_line, write_file
from kagkit.workspace.layout import Workspace
from kagkit.workspace.ledger import Scores, add_scores, read_events
from kagkit.workspace.medals import note_standing
from tests.terminal import kagkit
from tests.test_comparison_page import Reader
from tests.test_medals import standing
from tests.toy import COMPETITION, make_workspace, write_run

STAGE = COMPETITION["stages"][1] | {"deadline": "2026-03-02T00:00:00Z"}


@pytest.fixture
def ended(tmp_path: Path) -> Workspace:
    """Three runs, the third of them submitted late; places on both boards."""
    workspace = Workspace(make_workspace(tmp_path, competition="toy <b>", stages={1: STAGE}))
    facts = {"exp001": (0.7, 0.72, 0.71), "exp002": (0.8, 0.74, 0.69), "exp003": (0.75, 0.7, 0.75)}
    for number, (name, (cv, public, private)) in enumerate(facts.items()):
        folder = write_run(workspace.root, name, cv=cv, note="<script>")
        parent = "" if number == 0 else "parent: exp001\n"
        write_file(
            folder / "manifest.yaml", f"kagkit: 1\n{parent}recipe: mean.py\nargs: {{shift: 0.{number}}}\n"
        )
        day = 1 if number < 2 else 3
        append_json_line(folder / "events.jsonl", {"event": "assembled", "time": 1.772e9 + 3600 * number})
        line = {"event": "score", "time": f"2026-03-{day:02d}T09:00:00+00:00", "ref": number + 1}
        told = {"date": line["time"], "run": f"{name}/1", "public": public, "private": private}
        append_json_line(workspace.leaderboard, line | told)
    for board, rank in (("public", 9), ("public", 4), ("private", 12)):
        told_now = standing(board, rank=rank)
        note_standing(workspace, "kaggle", told_now, known=read_events(workspace))
    return workspace


def test_the_page_is_whole_and_says_how_it_went(ended: Workspace) -> None:
    printed = kagkit(ended.root, "report").out
    assert printed.startswith("report.html: 3 runs, 3 submissions, 1 of them late\n")
    assert "the best CV: private 0.69000, 0.02000 behind the best, exp001/1\n" in printed
    text = (ended.root / "report.html").read_text()
    read = Reader(text)
    assert not read.open
    assert not re.findall(r"(?:src|href)=\"(?!#)[^\"]*\"|https?://", text)
    assert "toy <b>" not in text
    assert "toy &lt;b&gt; in retrospect" in text
    assert "<h2>Medals</h2>" in text
    assert "args.shift 0.0 → 0.1" in text
    assert "cost, though CV said better" in text
    assert text.count('class="late"') == 1
    assert text.count('class="end"') == 3
    assert "<dt>public place</dt><dd>4 of 20 teams, silver zone</dd>" in text
    assert "<dt>private place</dt><dd>12 of 20 teams</dd>" in text
    assert "<td class=words>exp003/1</td><td class=words>2026-03-03 09:00 UTC</td>" in text
    assert "<td>+0.04000</td>" in text  # the late one would have beaten ours


def test_the_document_for_programs_has_what_stands_on_the_page(ended: Workspace) -> None:
    told = kagkit(ended.root, "report", "--out", "other.html", "--json").json
    assert told["path"] == "other.html"
    assert (ended.root / "other.html").exists()
    assert [sent["late"] for sent in told["sent"]] == [False, False, True]
    assert {each["run"]: each["parent"] for each in told["decisions"]} == {
        "exp002/1": "exp001/1",
        "exp003/1": "exp001/1",
    }
    assert told["standing"]["public"]["before"]["rank"] == 9
    assert told["choices"][-1]["runs"] == ["exp001/1"]
    assert told["end"] == "2026-03-02T00:00:00+00:00"


def test_before_the_end_it_tells_what_is_known(tmp_path: Path) -> None:
    workspace = Workspace(make_workspace(tmp_path))
    write_run(tmp_path, cv=0.7)
    kagkit(tmp_path, "report")
    text = (tmp_path / "report.html").read_text()
    assert not Reader(text).open
    assert "<svg" not in text  # this run's events tell no time
    assert "not told in competition.yaml" in text
    for heading in ("Medals", "Had one chosen", "After the end", "Shake", "What decisions brought"):
        assert f"<h2>{heading}" not in text
    add_scores(workspace, "exp001/1", Scores(0.6, None))
    kagkit(tmp_path, "report")
    assert "exp001/1: public 0.60000" in (tmp_path / "report.html").read_text()


def test_without_a_run_there_is_nothing_to_tell(tmp_path: Path) -> None:
    make_workspace(tmp_path)
    assert "nothing to compare" in kagkit(tmp_path, "report", code=2).err
    assert not (tmp_path / "report.html").exists()
