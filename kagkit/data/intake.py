"""Take what predict returned chunk by chunk, check every key and value, say all that is wrong at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from kagkit.data.columns import describe, faulty_rows, kind_of, vacancy, vacant
from kagkit.data.encoding import encode
from kagkit.data.keys import shown, text_keys
from kagkit.foundation.errors import SAMPLES_SHOWN, DataError, Problem, RunError

ONLY_COLUMN = "prediction"
JOINED_BY_KEY = "predictions are joined by key: return a DataFrame by key or yield (keys, values)"


@dataclass
class _Tally:
    count: int = 0
    keys: list[Any] = field(default_factory=list)

    def add(self, keys: Sequence[Any]) -> None:
        self.count += len(keys)
        self.keys += keys[: SAMPLES_SHOWN - len(self.keys)]


class Intake:
    """Turns what predict returned into record batches of one schema, and remembers what is wrong with it.

    Args:
        keys: The rows that were asked for.
        key_names: The key columns.
        dtype: The float type floats are cast to; as they are when None.

    Example:
        >>> intake = Intake(pd.Index(["a", "b"]), ["id"], None)
        >>> [batch.num_rows for batch in intake.batches(iter([(["a"], np.array([0.5]))]))]
        [1]
        >>> print(*intake.problems())
        keys: no prediction for 1 of 2 rows: b; expected one prediction for every row asked for
    """

    def __init__(self, keys: pd.Index[Any], key_names: Sequence[str], dtype: str | None) -> None:
        self._key_names = list(key_names)
        self._dtype = dtype
        self._asked = text_keys(keys, key_names).tolist()
        self._places = {key: place for place, key in enumerate(self._asked)}
        self._seen = np.zeros(len(self._asked), dtype=np.int64)
        self._extra = _Tally()
        self._faults: dict[tuple[str, str], _Tally] = {}
        self._misfits: list[Problem] = []
        self._types: dict[str, pa.DataType] = {}
        self._told: set[str] = set()
        self._unread = False
        self._repeated = False
        self._chunks = 0

    def batches(self, output: Any) -> Iterator[pa.RecordBatch]:
        """One batch a chunk, as long as nothing is wrong; from then on the chunks are only checked.

        A later batch may have another schema in one case: until a ragged column's first entry nothing tells
        its type, so the empty lists before it are of that type too.
        """
        blank = None
        for where, chunk in self._chunks_of(output):
            self._chunks += 1
            batch = self._batch(where, chunk)
            if batch is not None and batch.num_rows == 0:
                blank = batch
            elif batch is not None and not self._wrong():
                yield batch
        if not self._types and blank is not None and not self._wrong():
            yield blank

    def problems(self) -> list[Problem]:
        """Everything found wrong, once all batches are taken."""
        found = self._misfits[:SAMPLES_SHOWN]
        if len(self._misfits) > SAMPLES_SHOWN:
            found.append(
                Problem("chunks", f"{len(self._misfits) - SAMPLES_SHOWN:,} more problems like these")
            )
        if not self._chunks:
            found.append(Problem("predict", "yielded nothing", JOINED_BY_KEY, check="type"))
        if not self._unread:
            found += self._key_problems()
        return found + [self._value_problem(*fault, tally) for fault, tally in self._faults.items()]

    def _wrong(self) -> bool:
        return bool(self._misfits or self._faults or self._extra.count or self._repeated)

    def _chunks_of(self, output: Any) -> Iterator[tuple[str, Any]]:
        found, hint = f"returned {type(output).__name__}", ""
        if isinstance(output, Iterator):
            for number, chunk in enumerate(output, 1):
                yield f"chunk {number}", chunk
            return
        if isinstance(output, pd.DataFrame):
            if not _unindexed(output.index) or list(map(str, output.index)) == self._asked:
                yield "table", (output.index, output)
                return
            found, hint = "returned a DataFrame without keys", "pd.DataFrame(..., index=rows.index)"
        elif isinstance(output, pd.Series):
            hint = "a Series? then: .to_frame()"
        problem = Problem("predict", found, JOINED_BY_KEY, hint, check="type")
        raise RunError("predictions cannot be kept", [problem])

    def _batch(self, where: str, chunk: Any) -> pa.RecordBatch | None:
        problems: list[Problem] = []
        try:
            keys, values = self._keys_and_values(chunk)
        except DataError as error:
            self._unread = True
            problems += error.problems
        else:
            columns = self._columns(keys, values, problems)
            if not problems and len(keys):
                self._settle(columns, problems)
            if not problems:
                self._find_faults(keys, columns)
                return self._assembled(keys, columns)
        self._misfits += [replace(problem, where=f"{where}: {problem.where}") for problem in problems]
        return None

    def _keys_and_values(self, chunk: Any) -> tuple[pd.Index[Any], Any]:
        if not isinstance(chunk, tuple) or len(chunk) != 2:
            raise _refused("chunk", type(chunk).__name__, "(keys, values)", hint=JOINED_BY_KEY, check="type")
        keys = text_keys(chunk[0], self._key_names)
        listed = keys.tolist()
        places = np.array([self._places.get(key, -1) for key in listed], dtype=np.int64)
        known = places[places >= 0]
        np.add.at(self._seen, known, 1)
        self._repeated |= bool((self._seen[known] > 1).any())
        self._extra.add([listed[spot] for spot in np.flatnonzero(places < 0)])
        return keys, chunk[1]

    def _columns(self, keys: pd.Index[Any], values: Any, problems: list[Problem]) -> dict[str, pa.Array]:
        columns = {}
        try:
            named = _named(values, keys, self._key_names)
        except DataError as error:
            problems += error.problems
            return {}
        for name, cells in named.items():
            try:
                columns[name] = encode(cells, self._dtype)
            except DataError as error:
                problems += [replace(problem, where=name) for problem in error.problems]
                continue
            if len(columns[name]) != len(keys):
                found = f"{len(keys):,} keys, but values for {len(columns[name]):,}"
                problems.append(Problem(name, found, "one value for each key", check="lengths"))
        return columns

    def _settle(self, columns: dict[str, pa.Array], problems: list[Problem]) -> None:
        """Hold the chunk against those before it; a list without entries takes the type of the others."""
        self._types = self._types or {name: array.type for name, array in columns.items()}
        if set(columns) != set(self._types):
            found, expected = ", ".join(columns), ", ".join(self._types)
            problems.append(
                Problem("columns", found, f"{expected}, as in the chunks before", check="changed")
            )
            return
        for name, array in columns.items():
            before = self._types[name]
            if array.type == before:
                pass
            elif vacant(array) and kind_of(before) == "ragged":
                columns[name] = vacancy(len(array), before)
            elif kind_of(before) == kind_of(array.type) == "ragged" and name not in self._told:
                self._types[name] = array.type
            else:
                expected = f"{describe(before)}, as in the chunks before"
                problems.append(Problem(name, describe(array.type), expected, check="changed"))
            if not vacant(array):
                self._told.add(name)

    def _find_faults(self, keys: pd.Index[Any], columns: dict[str, pa.Array]) -> None:
        for name, array in columns.items():
            for leaf, fault, rows in faulty_rows(array):
                self._faults.setdefault((fault, name + leaf), _Tally()).add(keys[rows].tolist())

    def _assembled(self, keys: pd.Index[Any], columns: dict[str, pa.Array]) -> pa.RecordBatch:
        # As objects: an index put together of chunks would become a chunked array.
        texts = [keys.get_level_values(name).to_numpy(dtype=object) for name in self._key_names]
        levels = [pa.array(text, pa.large_string()) for text in texts]
        names = list(self._types if len(keys) else columns)
        return pa.RecordBatch.from_arrays([*levels, *(columns[n] for n in names)], [*self._key_names, *names])

    def _key_problems(self) -> Iterator[Problem]:
        missing = [self._asked[place] for place in np.flatnonzero(self._seen == 0)]
        if missing:
            found = f"no prediction for {len(missing):,} of {len(self._asked):,} rows: {shown(missing)}"
            yield Problem("keys", found, "one prediction for every row asked for", check="missing")
        if self._extra.count:
            extra = self._extra
            found = f"keys not asked for ({extra.count:,}): {shown(extra.keys, extra.count)}"
            hint = "index the table by rows.index, or yield the keys of rows"
            yield Problem("keys", found, "the keys of `rows`", hint, check="extra")
        twice = [self._asked[place] for place in np.flatnonzero(self._seen > 1)]
        if twice:
            found = f"keys with more than one prediction ({len(twice):,}): {shown(twice)}"
            yield Problem("keys", found, "one prediction for every row asked for", check="duplicate")

    def _value_problem(self, fault: str, column: str, tally: _Tally) -> Problem:
        found = f"rows with {fault} ({tally.count:,}): {shown(tally.keys, tally.count)}"
        hint = ""
        if fault == "inf" and self._dtype in ("float16", "float32"):
            limit = float(np.finfo(self._dtype).max)
            hint = f"{self._dtype} ends at {limit:.5g}; keep larger numbers with save: {{dtype: float64}}"
        return Problem(column, found, "a value in every row", hint, check=fault.lower())


def _named(values: Any, keys: pd.Index[Any], key_names: Sequence[str]) -> dict[str, Any]:
    if isinstance(values, pd.DataFrame):
        columns = _columns_by_key(values, keys, key_names)
    else:
        columns = dict(values) if isinstance(values, dict) else {ONLY_COLUMN: values}
        if any(isinstance(cells, pd.Series | pd.DataFrame) for cells in columns.values()):
            hint = "one table: pd.DataFrame({...}, index=keys)"
            raise _refused("values", "tables or Series with indexes of their own", "arrays", hint)
        columns = {str(name): cells for name, cells in columns.items()}
    clash = [name for name in columns if name in key_names]
    if clash:
        hint = f"a table by key: frame.set_index({list(key_names)})"
        raise _refused("columns", f"{', '.join(clash)} is a key column", "value columns only", hint)
    if not columns:
        raise _refused("columns", "no value columns", "at least one")
    return columns


def _columns_by_key(frame: pd.DataFrame, keys: pd.Index[Any], key_names: Sequence[str]) -> dict[str, Any]:
    names = [str(name) for name in frame.columns]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise _refused("columns", f"{', '.join(twice)} twice", "each name once")
    if len(frame) == len(keys):
        frame = frame.iloc[_order(frame.index, keys, key_names)]
    return {name: frame.iloc[:, place] for place, name in enumerate(names)}


def _order(index: pd.Index[Any], keys: pd.Index[Any], key_names: Sequence[str]) -> NDArray[np.int64]:
    """Where each key's row is: found by the index, or in the order of the keys where there is no index."""
    in_order = np.arange(len(keys))
    unindexed = _unindexed(index)
    if unindexed and set(keys) != set(map(str, index)):
        return in_order
    own = text_keys(index, key_names)
    if own.equals(keys):
        return in_order
    if unindexed or own.has_duplicates or set(own) != set(keys):
        found = "an index that is not the keys it is given with"
        raise _refused("values", found, "the keys, or no index", "frame.index = keys, if they are in order")
    return own.get_indexer(keys)


def _unindexed(index: pd.Index[Any]) -> bool:
    """Whether these are the numbers a table gets when it is given no index."""
    return index.name is None and index.equals(pd.RangeIndex(len(index)))


def _refused(where: str, found: str, expected: str, hint: str = "", check: str = "columns") -> DataError:
    return DataError(f"{where}: {found}", [Problem(where, found, expected, hint, check)])
