"""Read a table of CV and leaderboard scores as people keep it, and name each cell that is no plain number."""

from __future__ import annotations

import csv
import io
import math
import re
import unicodedata
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from kagkit.foundation.errors import DataError, Problem, counted, did_you_mean

NEEDED, KNOWN = ("experiment", "cv"), ("cv", "public_lb", "private_lb", "cv_std")
CUT = re.compile(r"^([+-]?\d*\.\d+)[xX?]+$")


@dataclass(frozen=True)
class Line:
    """One line of a table.

    Attributes:
        experiment: The experiment.
        name: The same, with its line where several have one name.
        number: Its line in the file, from 1.
        values: By column, the number; None where there is none.
        written: By column, what the cell says where that is not the number alone.
    """

    experiment: str
    name: str
    number: int
    values: dict[str, float | None]
    written: dict[str, str]


@dataclass(frozen=True)
class ScoreTable:
    """The lines of a table, and one sentence for each kind of odd cell."""

    lines: tuple[Line, ...]
    remarks: tuple[str, ...]


def read_scoretable(path: Path) -> ScoreTable:
    """Read a CSV with the columns experiment, cv and, where they are known, public_lb, private_lb, cv_std.

    Cells may be empty, crossed out or unknown (`-`, `---`, `????`, `NG`), cut (`0.4371x`, read as 0.43715),
    starred, full-width, or have blanks and tabs around them. Other columns are left alone.

    Raises:
        DataError: No such file, no text, no such columns, or lines of other lengths; all of them at once.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        what = "no such file" if isinstance(error, FileNotFoundError) else "not a text file in UTF-8"
        raise DataError(f"{path.name} cannot be read", [Problem(path.name, what)]) from None
    first = text.partition("\n")[0]
    separator = max(",;\t", key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    rows = [(reader.line_num, row) for row in reader if any(cell.strip() for cell in row)]
    names = [cell.strip().lower() for cell in rows[0][1]] if rows else []
    problems = [
        Problem(f"{path.name} line 1", f"no column {name}", hint=did_you_mean(name, names))
        for name in NEEDED
        if name not in names
    ]
    problems += [
        Problem(f"{path.name} line {number}", counted(len(row), "cell"), str(len(names)), "quote the name")
        for number, row in rows[1:]
        if len(row) != len(names)
    ]
    if not problems and len(rows) < 2:
        problems.append(Problem(path.name, "no experiments", "a line for each"))
    if problems:
        raise DataError(f"{path.name} is no table of scores", problems)
    return _told([(number, dict(zip(names, row, strict=True))) for number, row in rows[1:]])


def _told(rows: list[tuple[int, dict[str, str]]]) -> ScoreTable:
    often = Counter(row["experiment"].strip() for _, row in rows)
    lines = []
    odd: dict[tuple[str, str, str], list[int]] = {}
    for number, row in rows:
        name = row["experiment"].strip()
        values: dict[str, float | None] = {}
        written = {}
        for column in KNOWN:
            cell = row.get(column, "")
            values[column], meaning = read_cell(cell)
            if meaning:
                written[column] = cell.strip()
                odd.setdefault((column, cell.strip(), meaning), []).append(number)
        own = f"{name} (line {number})" if often[name] > 1 else name
        lines.append(Line(name, own, number, values, written))
    remarks = [
        f"{column}: `{cell}` {meaning}, line{'s' if len(numbers) > 1 else ''} {_spans(numbers)}"
        for (column, cell, meaning), numbers in odd.items()
    ]
    return ScoreTable(tuple(lines), tuple(remarks))


def read_cell(cell: str) -> tuple[float | None, str]:
    """A cell's number, None where it has none, and what was made of it where it is no plain number.

    Example:
        >>> read_cell(" 0.81 "), read_cell("0.4371x"), read_cell("NG")
        ((0.81, ''), (0.43715, 'is read as 0.43715'), (None, 'is no number and stays unknown'))
    """
    plain = unicodedata.normalize("NFKC", cell).strip()
    bare = plain.strip("* \t")
    if not plain:
        return None, ""
    cut = CUT.match(bare)
    value = _number(f"{cut[1]}5" if cut else bare)
    if value is None:
        return None, "is no number and stays unknown"
    # An unknown last digit is as likely above five as below.
    return value, "" if plain == bare and not cut else f"is read as {value:g}"


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _spans(numbers: list[int]) -> str:
    """Line numbers, those in a row as `27-30`.

    Example:
        >>> _spans([3, 5, 6, 7])
        '3, 5-7'
    """
    spans: list[list[int]] = []
    for number in numbers:
        if spans and number == spans[-1][-1] + 1:
            spans[-1] = [spans[-1][0], number]
        else:
            spans.append([number])
    return ", ".join("-".join(map(str, span)) for span in spans)
