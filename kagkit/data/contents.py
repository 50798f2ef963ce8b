"""Digest a table by content, keep it in a file, get the very same one back."""

from __future__ import annotations

import hashlib
import json
import math
import warnings
from collections.abc import Hashable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pandas as pd
from pandas.api.types import infer_dtype, is_object_dtype

from kagkit.data.tables import name_problems, told, unreadable
from kagkit.foundation.errors import DataError, Problem
from kagkit.foundation.files import canonical_json, write_file

if TYPE_CHECKING:
    import pyarrow as pa

CELLS = "numbers, text, booleans, times, categories, JSON values or 1-D arrays of one dtype"
NESTED = (list, tuple, dict, np.ndarray)
JSON_COLUMNS = b"kagkit.json_columns"


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
    return "json", _text_bytes(cells.map(json_of))


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


def json_of(value: object) -> str | None:
    """A nested value as canonical JSON; None where it has none."""
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
    problems = name_problems(list(frame.columns), (), told(path))
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
    table = _to_arrow(stored)
    table = table.replace_schema_metadata({**table.schema.metadata, JSON_COLUMNS: json.dumps(in_json)})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    write_file(path, sink.getvalue().to_pybytes())


def _to_arrow(frame: pd.DataFrame) -> pa.Table:
    import pyarrow as pa

    with warnings.catch_warnings():
        # pyarrow before 26 reads times with a zone in a way that pandas 3.1 warns of; what it reads is right.
        warnings.filterwarnings("ignore", "Series.values returning", DeprecationWarning)
        return pa.Table.from_pandas(frame)


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
    proved: set[object] = set()  # 40,000 columns of one number type are proved by the first
    for role, name, values in _members(frame.iloc[:0]):
        is_number = isinstance(values.dtype, np.dtype) and values.dtype.kind in "biuf"
        if is_number and values.dtype in proved:
            continue
        try:
            back = _to_arrow(values.to_frame("values")).to_pandas()["values"].dtype
        except (pa.ArrowException, TypeError):
            back = None
        if str(back) != str(values.dtype) or (role == "index" and is_object_dtype(values)):
            problems.append(Problem(f"{role} {name}", f"values of kind {values.dtype}", CELLS))
        elif is_number:
            proved.add(values.dtype)
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
        raise unreadable(path, Problem(told(path), "no table that kagkit saved", hint=hint)) from error
    frame = table.to_pandas()
    for name in in_json:
        frame[name] = pd.Series([json.loads(cell) for cell in frame[name]], frame.index, dtype=object)
    return cast("pd.DataFrame", frame)
