from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

from kagkit.judgement.board import Row
from kagkit.judgement.comparison import judge_board, with_shakes
from kagkit.reports.comparison_page import Background, page_of
from kagkit.workspace.layout import Workspace
from kagkit.workspace.ledger import Scores, add_scores
from tests.boards import board, noises
from tests.terminal import kagkit
from tests.toy import make_workspace, write_run

EMPTY = {"meta", "line", "path"}


class Reader(HTMLParser):
    """Collects anchors, ids and links, and holds that every element is closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: set[str] = set()
        self.links: set[str] = set()
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        told = dict(attrs)
        self.ids |= {told["id"] or ""} if "id" in told else set()
        self.links |= {told["href"] or ""} if "href" in told else set()
        if tag not in EMPTY:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def page(name: str = "a/1") -> str:
    columns = [0.86, 0.85, 0.99], [0.855, 0.845, 0.60], [0.85, 0.845, 0.61]
    shown = board(*columns, noise=noises(3, 0.01, 0.02))
    rows = tuple(
        replace(row, note=f"{row.run} <b>&", stage=2 if row.run == "b/1" else 1) for row in shown.rows
    )
    compared = with_shakes(judge_board(replace(shown, rows=rows), "toy"))
    behind = {row.run: Background((0.8, 0.9), "recipe: <unet>\n") for row in rows}
    return page_of(compared, behind).replace("a/1", name)


def test_the_page_is_whole_and_reaches_for_nothing_outside() -> None:
    text = page()
    read = Reader(text)
    assert not read.open
    assert not re.findall(r"(?:src|href)=\"(?!#)[^\"]*\"|https?://", text)


def test_every_link_of_the_page_leads_to_a_run() -> None:
    read = Reader(page())
    assert {link.removeprefix("#") for link in read.links} <= read.ids


def test_what_people_wrote_is_shown_as_they_wrote_it() -> None:
    text = page()
    assert "a/1 &lt;b&gt;&amp;" in text
    assert "recipe: &lt;unet&gt;" in text
    assert "<b>&" not in text


def test_alarms_stand_above_the_table_and_stages_differ_in_shape() -> None:
    text = page()
    assert 0 < text.index("<b>leak</b>") < text.index("<svg") < text.index("<table")
    assert text.count('<rect class="point"') == 1
    assert "Squares are stage 2." in text
    assert 'class="same"' in text
    assert text.count('class="fold"') == 6


def test_a_page_of_a_single_row_without_scores_is_a_page() -> None:
    compared = judge_board(board([None], [None]), "toy")
    assert Row("a/1", "a").cv is compared.rows[0].cv
    text = page_of(compared, {})
    assert not Reader(text).open
    assert "No row has both a CV and a public score." in text


def test_the_command_writes_the_page_of_a_workspace(tmp_path: Path) -> None:
    make_workspace(tmp_path)
    for name in ("exp001", "exp002"):
        write_run(tmp_path, name, folds=[{"seed": 0, "fold": 0, "score": 0.5, "rows": 20}])
    add_scores(Workspace(tmp_path), "exp001/1", Scores(public=0.5))
    assert kagkit(tmp_path, "compare", "--html", "page.html").out.endswith("page: page.html\n")
    text = (tmp_path / "page.html").read_text()
    assert not Reader(text).open
    assert 'id="run-exp002/1"' in text
    assert str(tmp_path) not in text
