"""The floors of the house, and the table of them that ARCHITECTURE.md shows.

`python -m tests.floors` prints the table; with `--write` it goes into ARCHITECTURE.md.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
FLOORS = {
    "foundation": 1,
    "workspace": 2,
    "engine": 2,
    "training": 2,
    "formats": 2,
    "data": 3,
    "metrics": 4,
    "runs": 5,
    "judgement": 6,
    "tracking": 6,
    "host": 7,
    "packages": 7,
    "reports": 7,
    "recipes": 7,
    "stages": 8,
    "cli": 9,
}
BETWEEN_MARKERS = re.compile(r"(?<=<!-- floors -->\n).*?(?=<!-- /floors -->)", re.DOTALL)


def first_sentence(path: Path) -> str:
    """The first paragraph of a module's docstring, on one line; empty where there is none."""
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return " ".join(docstring.split("\n\n")[0].split())


def floor_table(package: Path) -> str:
    """The wings of a package from the top floor down, each with its rooms, as a Markdown table."""
    rows = ["| floor | room | what it does |", "|---|---|---|"]
    for wing in sorted(FLOORS, key=lambda wing: (-FLOORS[wing], wing)):
        rows += _wing_rows(package / wing)
    return "\n".join(rows) + "\n"


def _wing_rows(folder: Path) -> Iterator[str]:
    entrance = folder / "__init__.py"
    if not entrance.exists():
        return
    yield f"| {FLOORS[folder.name]} | **`{folder.name}/`** | {_cell(entrance)} |"
    for path in sorted(folder.rglob("*.py")):
        if path != entrance:
            yield f"| | `{path.relative_to(folder.parent).with_suffix('').as_posix()}` | {_cell(path)} |"


def _cell(path: Path) -> str:
    return first_sentence(path).replace("|", "\\|")


def with_floor_table(text: str, table: str) -> str:
    """A Markdown text with the table between its markers."""
    changed, count = BETWEEN_MARKERS.subn(lambda _: table, text)
    if count != 1:
        raise ValueError("the text needs the markers <!-- floors --> and <!-- /floors -->, once")
    return changed


def main() -> None:
    """Print the table, or write it into ARCHITECTURE.md."""
    table = floor_table(ROOT / "kagkit")
    if "--write" not in sys.argv[1:]:
        sys.stdout.write(table)
        return
    page = ROOT / "ARCHITECTURE.md"
    page.write_text(with_floor_table(page.read_text(encoding="utf-8"), table), encoding="utf-8")


if __name__ == "__main__":
    main()
