"""Lay out a page that stands for itself: one style, one script, headings that sort, every text escaped."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from html import escape
from importlib.resources import files


def lay_out(title: str, parts: Sequence[str]) -> str:
    """A page with its style and script in it.

    Args:
        title: The title, as text.
        parts: What stands in its body, as HTML.
    """
    folder = files("kagkit.reports") / "files"
    style, script = (folder.joinpath(f"page.{kind}").read_text("utf-8") for kind in ("css", "js"))
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{escape(title)}</title><style>{style}</style></head><body>",
            *parts,
            f"<script>{script}</script></body></html>",
            "",
        ]
    )


def draw_headings(headings: Sequence[str], words: Collection[str]) -> str:
    """The head of a table whose columns can be sorted; headings in `words` are of text."""
    cells = "".join(
        f'<th scope="col"{" class=words" if heading in words else ""}>'
        f'<button type="button">{escape(heading)}</button></th>'
        for heading in headings
    )
    return f"<thead><tr>{cells}</tr></thead>"


def draw_lines(
    name: str, headings: Sequence[str], lines: Sequence[Sequence[str]], words: Collection[str]
) -> str:
    """A table of texts that can be sorted by every column.

    Args:
        name: What is in it, for those who hear the page.
        headings: The columns.
        lines: A text for each column.
        words: The columns that hold words; the others hold numbers.
    """
    body = "".join(
        "<tr>"
        + "".join(
            f"<td{' class=words' if heading in words else ''}>{escape(cell)}</td>"
            for heading, cell in zip(headings, line, strict=True)
        )
        + "</tr>"
        for line in lines
    )
    return enclose(name, f"{draw_headings(headings, words)}<tbody>{body}</tbody>")


def enclose(name: str, table: str) -> str:
    """A table's inside as a table that scrolls by itself where it is wider than the screen."""
    told = escape(name)
    return f'<div class="wide" tabindex="0" role="region" aria-label="{told}"><table>{table}</table></div>'
