"""Read a table as it is written: ids stay text, and every damaged line is told."""

from __future__ import annotations

import csv
import gzip
import io
import os
import zlib
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, cast

import pandas as pd

from kagkit.foundation.errors import DataError, Problem, did_you_mean, samples
from kagkit.workspace.competition import FILE

TABLES = (".csv", ".tsv", ".csv.gz", ".tsv.gz", ".parquet")


def with_index_as_columns(frame: object, where: str) -> pd.DataFrame:
    """A table whose named index levels are columns; a nameless index only counts rows and is dropped."""
    problem = None
    if not isinstance(frame, pd.DataFrame):
        problem = Problem(where, f"returned {type(frame).__name__}", "a DataFrame", "is a `return` missing?")
    elif both := [name for name in frame.index.names if name is not None and name in frame.columns]:
        problem = Problem(where, f"{samples(both)}: index and column at once", hint="drop one of the two")
    if problem:
        raise DataError(f"{where} gave no usable table", [problem])
    table = cast("pd.DataFrame", frame)
    return table.reset_index() if None not in table.index.names else table


def name_problems(names: Sequence[object], needed: Sequence[str], where: str) -> list[Problem]:
    """Columns that repeat, and needed ones that are not there."""
    known = [name for name in names if isinstance(name, str)]
    repeated = [name for name, count in Counter(names).items() if count > 1]
    problems = []
    if others := [name for name in names if not isinstance(name, str)]:
        hint = "frame.columns = frame.columns.astype(str)"
        problems.append(Problem(where, f"column names that are not text: {samples(others)}", hint=hint))
    if repeated:
        found = f"column names that are there more than once: {samples(repeated)}"
        problems.append(Problem(where, found, hint="rename or drop all but one"))
    for name in needed:
        if name not in known:
            hint = did_you_mean(name, known) if known else "name the index, or keep the key as columns"
            problems.append(Problem(where, f"no column {name}", hint=hint))
    return problems


def told(path: Path) -> str:
    """A path as messages tell it: relative to the workspace it lies in, else by its name alone.

    Example:
        >>> told(Path("/no/workspace/train.csv"))
        'train.csv'
    """
    path = path.absolute()
    for folder in path.parents:
        if (folder / FILE).is_file():
            return path.relative_to(folder).as_posix()
    return path.name


def read_table(path: Path, text: Sequence[str] = (), words: Sequence[str] = ()) -> pd.DataFrame:
    """Read a table, some of its columns as text exactly as written ("007", "NA", "1e5", " a ").

    Args:
        path: A `.csv` or `.tsv`, also with `.gz`: UTF-8, with or without a byte order mark, its
            column names stripped; or a `.parquet`.
        text: The columns to keep as text. The others are as pandas reads them.
        words: Those of the others that hold text even where all of it looks like numbers.

    Returns:
        (n_rows, n_columns) in the file's order, indexed by position.

    Raises:
        DataError: No such file, empty, not UTF-8, damaged; columns of `text` missing; column names
            repeated; lines with more cells than the header.
    """
    if not path.name.endswith(TABLES):
        raise unreadable(path, Problem(told(path), "not a table by its suffix", ", ".join(TABLES)))
    with _refused_when_unreadable(path):
        return _read_parquet(path, text) if path.suffix == ".parquet" else _read_lines(path, text, words)


def _read_parquet(path: Path, text: Sequence[str]) -> pd.DataFrame:
    frame = with_index_as_columns(pd.read_parquet(path), told(path))
    if problems := name_problems(list(frame.columns), text, told(path)):
        raise unreadable(path, *problems)
    return frame


def _read_lines(path: Path, text: Sequence[str], words: Sequence[str]) -> pd.DataFrame:
    options: dict[str, Any] = {"sep": _separator(path), "encoding": "utf-8-sig", "low_memory": False}
    as_written: dict[str, Any] = {"dtype": "str", "na_filter": False}
    # pandas renames repeated names without a word, so the header is read as a line.
    header = pd.read_csv(path, header=None, nrows=1, skipinitialspace=True, **as_written, **options)
    names = [name.strip() or f"Unnamed: {place}" for place, name in enumerate(header.iloc[0])]
    if problems := name_problems(names, text, told(path)):
        raise unreadable(path, *problems)
    options |= {"names": names, "header": 0}
    frame: pd.DataFrame = pd.read_csv(path, dtype=dict.fromkeys([*text, *words], "str"), **options)
    if not isinstance(frame.index, pd.RangeIndex):
        raise pd.errors.ParserError("pandas took surplus cells for an index")
    _refuse_cut(path, len(names))
    exact = list(text)
    if frame[exact].isna().to_numpy().any():  # "NA" and its like, or truly blank
        frame[exact] = pd.read_csv(path, usecols=exact, **as_written, **options)[exact]
    return frame


def _refuse_cut(path: Path, width: int) -> None:
    """Stop where the last line lacks cells and its end: a download that broke off reads like a table."""
    if path.suffix == ".gz":
        return  # that would not unpack
    with path.open("rb") as stream:
        stream.seek(-1, os.SEEK_END)
        if stream.read() == b"\n":
            return
    number, cells = deque(number_lines(path), maxlen=1)[0]
    if len(cells) < width:
        found = f"{len(cells)} of {width} cells, and no end of the line: was it cut off?"
        raise unreadable(path, Problem(f"{told(path)} line {number}", found, hint="fetch the file again"))


def _separator(path: Path) -> str:
    return "\t" if ".tsv" in path.suffixes[-2:] else ","


def unreadable(path: Path, *problems: Problem) -> DataError:
    """The error for a table that cannot be read."""
    return DataError(f"{told(path)} cannot be read", problems)


@contextmanager
def _refused_when_unreadable(path: Path) -> Iterator[None]:
    """Turn what pandas says of a bad file into file, line and remedy."""
    from pyarrow import ArrowInvalid

    where = told(path)
    try:
        yield
    except FileNotFoundError as error:
        hint = "download it, or correct its path in competition.yaml"
        raise unreadable(path, Problem(where, "no such file", hint=hint)) from error
    except pd.errors.EmptyDataError as error:
        raise unreadable(path, Problem(where, "an empty file", "a header and rows")) from error
    except UnicodeDecodeError as error:
        hint = f"convert it: iconv -f ITS-ENCODING -t UTF-8 {path.name}"
        line = f"{where} line {_undecodable_line(path)}"
        raise unreadable(path, Problem(line, "not UTF-8", hint=hint)) from error
    except pd.errors.ParserError as error:
        problems = _ragged_lines(path) or [Problem(where, str(error).strip())]
        raise unreadable(path, *problems) from error
    except (EOFError, OSError, zlib.error, ArrowInvalid) as error:
        found = f"damaged, or not what its suffix says ({type(error).__name__})"
        raise unreadable(path, Problem(where, found, hint="fetch the file again")) from error


def _open(path: Path) -> BinaryIO:
    return cast("BinaryIO", gzip.open(path)) if path.suffix == ".gz" else path.open("rb")


def _undecodable_line(path: Path) -> int:
    with _open(path) as stream:
        return next(number for number, line in enumerate(stream, 1) if not _is_utf8(line))


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True


def number_lines(path: Path) -> Iterator[tuple[int, list[str]]]:
    """The lines of a `.csv` or `.tsv` that are not blank: the number an editor shows, and the cells."""
    with _open(path) as stream, io.TextIOWrapper(stream, "utf-8-sig", newline="") as text:
        lines = csv.reader(text, delimiter=_separator(path))
        with suppress(csv.Error):  # a quote that is never closed swallows the rest
            for cells in lines:
                if cells:
                    yield lines.line_num, cells


def _ragged_lines(path: Path) -> list[Problem]:
    lines = number_lines(path)
    width = len(next(lines, (0, []))[1])
    ragged = [number for number, cells in lines if len(cells) > width]
    found = f"more cells than the {width} of the header"
    hint = "put cells that contain the separator in double quotes"
    return [Problem(f"{told(path)} line {samples(ragged)}", found, hint=hint)] if ragged else []
