"""Load a stage's rows under text keys, prove by digest that they are the same, say what is wrong."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
import math
import zlib
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal, cast

import numpy as np
import pandas as pd
from pandas.api.types import infer_dtype, is_object_dtype

from kagkit.foundation.errors import SAMPLES_SHOWN, DataError, Problem, did_you_mean, samples
from kagkit.foundation.files import canonical_json, write_file
from kagkit.foundation.seeds import draws
from kagkit.workspace.competition import FILE

MOST_CLASSES = 20
TABLES = (".csv", ".tsv", ".csv.gz", ".tsv.gz", ".parquet")
CELLS = "numbers, text, booleans, times, categories, JSON values or 1-D arrays of one dtype"
NESTED = (list, tuple, dict, np.ndarray)
JSON_COLUMNS = b"kagkit.json_columns"


@dataclass(frozen=True)
class Part:
    """A source and a split.

    Example:
        >>> str(Part("stage1", "train"))
        'stage1/train'
    """

    source: str
    split: Literal["train", "test"]

    def __str__(self) -> str:
        return f"{self.source}/{self.split}"


@dataclass(frozen=True)
class DataPaths:
    """Where a source's files lie; None where it has no such table."""

    train: Path | None
    test: Path | None
    files: tuple[Path, ...] = ()


@dataclass(frozen=True)
class RowRules:
    """What names a row, and what may not be lost or leaked.

    Attributes:
        key: The columns whose texts together name a row.
        group: The column whose equal values never stand in two folds.
        targets: The columns declared as targets; empty where they are to be found.
        duplicates: `drop_exact` drops rows that repeat another in every column.
    """

    key: tuple[str, ...]
    group: str | None = None
    targets: tuple[str, ...] = ()
    duplicates: Literal["refuse", "drop_exact"] = "refuse"


@dataclass(frozen=True, eq=False)
class Loaded:
    """The rows of a part, indexed by key, and how many exact copies of rows were dropped."""

    frame: pd.DataFrame
    dropped: int = 0


Loader = Callable[[Part, DataPaths], object]


def load(part: Part, paths: DataPaths, rules: RowRules, loader: Loader | None = None) -> Loaded:
    """The rows of a part, under unique text keys.

    Args:
        part: Which rows.
        paths: Where the part's source lies.
        rules: What the key is, and what to do with copies.
        loader: The user's `load_rows(part, data) -> DataFrame`, with the key as index or as columns;
            its own exceptions are let through. By default the part's table is read by `read_table`.

    Returns:
        (n_rows, n_columns without the key), rows in their given order. The index is the key: text,
        unique, never blank; a MultiIndex where the key has several columns.

    Raises:
        DataError: Every problem at once: no rows; key columns missing, blank or neither text nor whole
            numbers; repeated keys or column names; a loader that gives no table.

    Example:
        >>> def load_rows(part, data):
        ...     return pd.DataFrame({"id": ["007", "NA"], "age": [31, 44]})
        >>> part, paths = Part("stage1", "train"), DataPaths(None, None)
        >>> load(part, paths, RowRules(("id",)), load_rows).frame.age.to_dict()
        {'007': 31, 'NA': 44}
    """
    if loader is None:
        frame, where = _read_part(part, paths, rules.key)
    else:
        where = f"{getattr(loader, '__name__', 'loader')}({part})"
        frame = _with_index_as_columns(loader(part, paths), where)
    problems = _name_problems(list(frame.columns), rules.key, where)
    if not len(frame):
        problems.append(Problem(where, "no rows", "at least one"))
    keys = {}
    for name in rules.key:
        if list(frame.columns).count(name) == 1:
            keys[name], found = _read_key(frame[name], where)
            problems += found
    if not problems:
        frame = frame.assign(**keys).set_index(list(rules.key))
        kept = _without_copies(frame) if rules.duplicates == "drop_exact" else frame
        problems += _repeat_problems(kept.index, where)
    if problems:
        raise DataError(f"the rows of {part} cannot be used", problems)
    return Loaded(kept, len(frame) - len(kept))


def _read_part(part: Part, paths: DataPaths, key: Sequence[str]) -> tuple[pd.DataFrame, str]:
    path = paths.train if part.split == "train" else paths.test
    if path is None:
        hint = "name its table in competition.yaml, or write a loader: rows: {load: module:load_rows}"
        raise DataError(f"{part} has no rows", [Problem(str(part), "no table is declared", hint=hint)])
    return read_table(path, key), told(path)


def _with_index_as_columns(frame: object, where: str) -> pd.DataFrame:
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


def _name_problems(names: Sequence[object], needed: Sequence[str], where: str) -> list[Problem]:
    known = [name for name in names if isinstance(name, str)]
    repeated = list(dict.fromkeys(name for name in names if names.count(name) > 1))
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


def _read_key(column: pd.Series[Any], where: str) -> tuple[pd.Series[Any], list[Problem]]:
    """A key column as text, and what is wrong with it."""
    cells = column.astype(object)
    kind = infer_dtype(cells, skipna=True)
    if kind not in ("string", "integer", "empty"):
        hint = f'read it as text: dtype={{"{column.name}": "str"}}'
        return cells, [Problem(where, f"{column.name}: a key of kind {kind}", "text or whole numbers", hint)]
    texts = cells.map(str, na_action="ignore").astype("str")
    blank = (np.flatnonzero(texts.isna() | (texts.str.strip() == "")) + 1).tolist()
    found = f"{column.name}: {counted(len(blank), 'blank key')}, row {samples(blank)}"
    return texts, [Problem(where, found, "a text in every row")] if blank else []


def counted(count: int, word: str) -> str:
    """A count with its word, in the plural where it must be.

    Example:
        >>> counted(1, "row"), counted(3205, "row")
        ('1 row', '3,205 rows')
    """
    return f"{count:,} {word}" if count == 1 else f"{count:,} {word}s"


def key_texts(index: pd.Index[Any]) -> list[str]:
    """Each key as one text: itself, or its columns' texts as JSON, so that no two keys share one.

    Example:
        >>> key_texts(pd.MultiIndex.from_tuples([("p1", "left")], names=["patient", "eye"]))
        ['["p1","left"]']
    """
    return [key if isinstance(key, str) else canonical_json(key) for key in index]


def _without_copies(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows without those that repeat an earlier one in every column."""
    suspects = np.flatnonzero(frame.index.duplicated(keep=False))
    cells = frame.iloc[suspects].reset_index()
    for name in cells.columns[[is_object_dtype(kind) for kind in cells.dtypes]]:
        cells[name] = [_json_of(cell) if isinstance(cell, NESTED) else cell for cell in cells[name]]
    kept = np.ones(len(frame), dtype=bool)
    kept[suspects[cells.duplicated()]] = False
    return frame[kept]


def _repeat_problems(index: pd.Index[Any], where: str) -> list[Problem]:
    repeated = index[index.duplicated()].unique()
    if repeated.empty:
        return []
    hint = "make the key longer, or drop exact copies: rows: {duplicates: drop_exact}"
    found = f"{counted(len(repeated), 'key')} on more than one row: {samples(key_texts(repeated[:SAMPLES_SHOWN]), len(repeated))}"
    return [Problem(where, found, "one row a key", hint)]


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


def read_table(path: Path, text: Sequence[str] = ()) -> pd.DataFrame:
    """Read a table, some of its columns as text exactly as written ("007", "NA", "1e5", " a ").

    Args:
        path: A `.csv` or `.tsv`, also with `.gz`: UTF-8, with or without a byte order mark, its
            column names stripped; or a `.parquet`.
        text: The columns to keep as text. The others are as pandas reads them.

    Returns:
        (n_rows, n_columns) in the file's order, indexed by position.

    Raises:
        DataError: No such file, empty, not UTF-8, damaged; columns of `text` missing; column names
            repeated; lines with more cells than the header.
    """
    if not path.name.endswith(TABLES):
        raise _unreadable(path, Problem(told(path), "not a table by its suffix", ", ".join(TABLES)))
    with _refused_when_unreadable(path):
        return _read_parquet(path, text) if path.suffix == ".parquet" else _read_lines(path, text)


def _read_parquet(path: Path, text: Sequence[str]) -> pd.DataFrame:
    frame = _with_index_as_columns(pd.read_parquet(path), told(path))
    if problems := _name_problems(list(frame.columns), text, told(path)):
        raise _unreadable(path, *problems)
    return frame


def _read_lines(path: Path, text: Sequence[str]) -> pd.DataFrame:
    options: dict[str, Any] = {"sep": _separator(path), "encoding": "utf-8-sig", "low_memory": False}
    as_written: dict[str, Any] = {"dtype": "str", "na_filter": False}
    # pandas renames repeated names without a word, so the header is read as a line.
    header = pd.read_csv(path, header=None, nrows=1, skipinitialspace=True, **as_written, **options)
    names = [name.strip() or f"Unnamed: {place}" for place, name in enumerate(header.iloc[0])]
    if problems := _name_problems(names, text, told(path)):
        raise _unreadable(path, *problems)
    options |= {"names": names, "header": 0}
    frame: pd.DataFrame = pd.read_csv(path, dtype=dict.fromkeys(text, "str"), **options)
    if not isinstance(frame.index, pd.RangeIndex):
        raise pd.errors.ParserError("pandas took surplus cells for an index")
    exact = list(text)
    if frame[exact].isna().to_numpy().any():  # "NA" and its like, or truly blank
        frame[exact] = pd.read_csv(path, usecols=exact, **as_written, **options)[exact]
    return frame


def _separator(path: Path) -> str:
    return "\t" if ".tsv" in path.suffixes[-2:] else ","


def _unreadable(path: Path, *problems: Problem) -> DataError:
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
        raise _unreadable(path, Problem(where, "no such file", hint=hint)) from error
    except pd.errors.EmptyDataError as error:
        raise _unreadable(path, Problem(where, "an empty file", "a header and rows")) from error
    except UnicodeDecodeError as error:
        hint = f"convert it: iconv -f ITS-ENCODING -t UTF-8 {path.name}"
        line = f"{where} line {_undecodable_line(path)}"
        raise _unreadable(path, Problem(line, "not UTF-8", hint=hint)) from error
    except pd.errors.ParserError as error:
        problems = _ragged_lines(path) or [Problem(where, str(error).strip())]
        raise _unreadable(path, *problems) from error
    except (EOFError, OSError, zlib.error, ArrowInvalid) as error:
        found = f"damaged, or not what its suffix says ({type(error).__name__})"
        raise _unreadable(path, Problem(where, found, hint="fetch the file again")) from error


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


def find_targets(
    train: pd.DataFrame, test: pd.DataFrame | None, declared: Sequence[str], submission_targets: Sequence[str]
) -> tuple[str, ...]:
    """The columns that `predict` must not see.

    Args:
        train: Training rows, with their targets.
        test: Test rows; None where there are none yet.
        declared: The targets the user named; when given, these and no others.
        submission_targets: The columns a submission has beside its key.

    Returns:
        The declared targets; else what `train` has and `test` lacks, with the submission's targets, in
        the order of `train`'s columns.

    Raises:
        DataError: Declared targets that `train` does not have.

    Example:
        >>> train, test = pd.DataFrame(columns=["age", "sex", "alive"]), pd.DataFrame(columns=["age", "sex"])
        >>> find_targets(train, test, [], ["alive"])
        ('alive',)
    """
    columns = list(train.columns)
    unknown = [name for name in declared if name not in columns]
    if unknown:
        problems = [
            Problem(f"target {name}", "no such column", hint=did_you_mean(name, columns)) for name in unknown
        ]
        raise DataError("the training rows lack declared targets", problems)
    if declared:
        return tuple(declared)
    lacked = set(columns).difference(columns if test is None else test.columns)
    return tuple(name for name in columns if name in lacked or name in submission_targets)


def without_targets(frame: pd.DataFrame, targets: Sequence[str]) -> pd.DataFrame:
    """The rows as `predict` may see them.

    Example:
        >>> list(without_targets(pd.DataFrame(columns=["age", "alive"]), ["alive"]).columns)
        ['age']
    """
    return frame.drop(columns=[name for name in targets if name in frame.columns])


def is_categorical(column: pd.Series[Any]) -> bool:
    """Whether a column holds classes: text, booleans or whole numbers, at most 20 distinct ones.

    Example:
        >>> is_categorical(pd.Series([0, 1, 1])), is_categorical(pd.Series([0.5, 1.0, 1.0]))
        (True, False)
    """
    kind = infer_dtype(column, skipna=True)
    if kind == "floating":
        return bool((column.dropna() % 1 == 0).all()) and column.nunique() <= MOST_CLASSES
    return kind in ("string", "boolean", "integer", "categorical") and column.nunique() <= MOST_CLASSES


def smoke_subset(
    frame: pd.DataFrame, targets: Sequence[str], share: float = 0.01, per_class: int = 20
) -> pd.DataFrame:
    """A small part of the rows to try a recipe on: the same rows whatever their order in the file.

    Args:
        frame: Rows by key.
        targets: The target columns; the first categorical one tells the classes, all rows are one
            class where there is none.
        share: The share of each class to keep, 0 to 1.
        per_class: The least to keep of each class; all of it where it has fewer.

    Returns:
        The kept rows in the order of `frame`, chosen by a hash of their keys.

    Example:
        >>> rows = pd.DataFrame({"y": [0, 1] * 500}, index=pd.Index(map(str, range(1000)), name="id"))
        >>> smoke_subset(rows, ["y"]).y.value_counts().to_dict()
        {0: 20, 1: 20}
    """
    target = next((name for name in targets if name in frame and is_categorical(frame[name])), None)
    classes = (
        np.zeros(len(frame)) if target is None else pd.factorize(frame[target], use_na_sentinel=False)[0]
    )
    in_class = pd.Series(draws(key_texts(frame.index), "smoke")).groupby(classes)
    wanted = np.maximum(per_class, np.ceil(share * in_class.transform("size")))
    kept: pd.DataFrame = frame[(in_class.rank() <= wanted).to_numpy()]
    return kept


def digest(frame: pd.DataFrame) -> str:
    """The content of a table as one sha256 in hex: equal content, equal digest, wherever it came from.

    It covers the names and values of index and columns, their kinds (int64 1 is not float64 1.0), and
    the order of rows and columns. How pandas stores them does not matter (text in Arrow or in objects,
    nullable or NumPy numbers, chunks); all missing values are one, and so are 0.0 and -0.0. Cells that
    hold lists, dicts or arrays count by their canonical JSON.

    Raises:
        DataError: A column holds what has no canonical spelling.

    Example:
        >>> a, b = pd.DataFrame({"x": ["a", None]}), pd.DataFrame({"x": ["a", None]}, dtype=object)
        >>> digest(a) == digest(b), digest(a) == digest(a[::-1])
        (True, False)
    """
    total = hashlib.sha256(str(len(frame)).encode())
    problems = []
    for role, name, values in _members(frame):
        try:
            kind, buffers = _content(values)
        except TypeError as error:
            problems.append(Problem(f"{role} {name}", str(error), CELLS))
            continue
        for part in (canonical_json([role, repr(name), kind]).encode(), *buffers):
            total.update(len(part).to_bytes(8, "little"))
            total.update(part)
    if problems:
        raise DataError("a table holds values without a canonical spelling", problems)
    return total.hexdigest()


def _members(frame: pd.DataFrame) -> Iterator[tuple[str, Hashable, pd.Series[Any]]]:
    """The index levels, then the columns: role, name, values."""
    for place, name in enumerate(frame.index.names):
        yield "index", name, frame.index.get_level_values(place).to_series()
    for name, column in frame.items():
        yield "column", name, column


def _content(values: pd.Series[Any]) -> tuple[str, list[bytes]]:
    """A column's kind, and its values as bytes that do not depend on how pandas stores them."""
    dtype = values.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        kind, buffers = _content(dtype.categories.to_series())
        codes = values.cat.codes.to_numpy(dtype="<i8").tobytes()
        return f"{'ordered ' if dtype.ordered else ''}category of {kind}", [*buffers, codes]
    if isinstance(dtype, pd.DatetimeTZDtype):
        return str(dtype), _content(values.dt.tz_convert(None))[1]
    if isinstance(dtype, pd.StringDtype):
        return "text", _text_bytes(values)
    native = dtype if isinstance(dtype, np.dtype) else getattr(dtype, "numpy_dtype", None)
    if native is None:
        raise TypeError(f"values of kind {dtype}")
    if native.kind in "biufcmM":
        return native.name, _number_bytes(values, native)
    cells = values.astype(object)
    if infer_dtype(cells, skipna=True) in ("string", "empty"):
        return "text", _text_bytes(cells)
    return "json", _text_bytes(cells.map(_json_of))


def _missing_bytes(values: pd.Series[Any]) -> bytes:
    return np.packbits(values.isna().to_numpy(dtype=bool)).tobytes()


def _number_bytes(values: pd.Series[Any], native: np.dtype[Any]) -> list[bytes]:
    if native.kind in "mM":
        numbers = values.to_numpy(dtype=native).astype("<i8")
    else:
        numbers = values.to_numpy(dtype=native, na_value=0)
        numbers = numbers + native.type(0) if native.kind in "fc" else numbers  # -0.0 becomes 0.0
    return [_missing_bytes(values), numbers.astype(numbers.dtype.newbyteorder("<")).tobytes()]


def _text_bytes(values: pd.Series[Any]) -> list[bytes]:
    import pyarrow as pa
    import pyarrow.compute as pc

    array = pa.array(values, from_pandas=True)
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
    array = pc.fill_null(array.cast(pa.large_string()), "")
    lengths = pc.binary_length(array).to_numpy(zero_copy_only=False).astype("<i8")
    _, offsets, content = array.buffers()
    start = np.frombuffer(offsets, dtype="<i8")[array.offset] if len(array) else 0
    text = memoryview(content)[start : start + lengths.sum()] if lengths.sum() else b""
    return [_missing_bytes(values), lengths.tobytes(), bytes(text)]


def _json_of(value: object) -> str | None:
    plain = _plain(value)
    return None if plain is None else json.dumps(plain, sort_keys=True, separators=(",", ":"))


def _plain(value: Any) -> Any:
    """A value of a cell as JSON knows it; everything missing is None."""
    if isinstance(value, np.ndarray | np.generic):
        return _plain(value.tolist())
    if value is None or value is pd.NA or value is pd.NaT or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, str | int | float):
        return value
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, dict) and all(isinstance(name, str) for name in value):
        return {name: _plain(item) for name, item in value.items()}
    raise TypeError(f"a cell that holds {type(value).__name__}")


def save(frame: pd.DataFrame, path: Path) -> None:
    """Write a table as an Arrow IPC file (uncompressed Feather) from which `read` gives back the same.

    Columns, index and dtypes come back as they are; cells of object columns may be JSON values, or 1-D
    arrays of one dtype. Nothing is pickled.

    Raises:
        DataError: Columns that would not come back as they are, each by name.
        RunError: The disk is full, or the folder cannot be written.
    """
    import pyarrow as pa

    stored = frame.copy(deep=False)
    problems = _name_problems(list(frame.columns), (), told(path))
    if not problems:
        in_json = [
            name for name, column in frame.items() if is_object_dtype(column) and not _holds_arrays(column)
        ]
        for name in in_json:
            try:
                stored[name] = pd.Series(
                    [_exact_json(cell) for cell in frame[name]], frame.index, dtype="str"
                )
            except TypeError as error:
                problems.append(Problem(f"column {name}", str(error), CELLS))
        problems += _unstorable(stored)
    if problems:
        raise DataError(f"{told(path)} cannot be written", problems)
    table = pa.Table.from_pandas(stored)
    table = table.replace_schema_metadata({**table.schema.metadata, JSON_COLUMNS: json.dumps(in_json)})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    write_file(path, sink.getvalue().to_pybytes())


def _holds_arrays(column: pd.Series[Any]) -> bool:
    cells = [cell for cell in column if cell is not None]
    if not all(isinstance(cell, np.ndarray) and cell.ndim == 1 for cell in cells):
        return False
    kinds = {cell.dtype for cell in cells}
    return len(kinds) == 1 and kinds.pop().kind in "biuf"


def _exact_json(value: Any) -> str:
    """JSON that reads back as the very value; so no tuples, no arrays, no numbers as names."""
    _refuse_other_than_json(value)
    return json.dumps(value)


def _refuse_other_than_json(value: Any) -> None:
    if isinstance(value, list):
        for item in value:
            _refuse_other_than_json(item)
    elif isinstance(value, dict) and all(isinstance(name, str) for name in value):
        _refuse_other_than_json(list(value.values()))
    elif value is not None and not isinstance(value, str | int | float):
        raise TypeError(f"a cell that holds {type(value).__name__}")


def _unstorable(frame: pd.DataFrame) -> list[Problem]:
    """The columns and index levels that Arrow refuses, or would give back as another kind."""
    import pyarrow as pa

    problems = []
    for role, name, values in _members(frame.iloc[:0]):
        try:
            back = pa.Table.from_pandas(values.to_frame("values")).to_pandas()["values"].dtype
        except (pa.ArrowException, TypeError):
            back = None
        if str(back) != str(values.dtype) or (role == "index" and is_object_dtype(values)):
            problems.append(Problem(f"{role} {name}", f"values of kind {values.dtype}", CELLS))
    return problems


def read(path: Path) -> pd.DataFrame:
    """The table that `save` wrote, mapped into memory; changing it does not change the file.

    Raises:
        DataError: No such file, or it is damaged.
    """
    import pyarrow as pa

    try:
        table = pa.ipc.open_file(pa.memory_map(str(path))).read_all()
        in_json = json.loads(table.schema.metadata[JSON_COLUMNS])
    except (OSError, pa.ArrowException, KeyError, TypeError) as error:
        hint = "delete it: it is a copy that is made again"
        raise _unreadable(path, Problem(told(path), "no table that kagkit saved", hint=hint)) from error
    frame = table.to_pandas()
    for name in in_json:
        frame[name] = pd.Series([json.loads(cell) for cell in frame[name]], frame.index, dtype=object)
    return cast("pd.DataFrame", frame)
