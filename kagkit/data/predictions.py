"""Keep keys with a number, array or ragged entries each, join them by key, know them by their content.

A file is an Arrow IPC file, uncompressed and memory-mapped: the key columns as text, then the value columns;
a record batch for each chunk predict yielded. It may be opened with any Arrow library.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from kagkit.data.arrowfile import grow, open_mapped
from kagkit.data.columns import TEXT, Kind, canonical_parts, describe, gather, kind_of, to_entries, to_numpy
from kagkit.data.encoding import encode
from kagkit.data.intake import Intake
from kagkit.data.keys import shown, text_keys
from kagkit.foundation.errors import DataError, Problem, RunError, did_you_mean
from kagkit.foundation.files import digest_of, file_sha256, told_when_unwritable

CHUNK_BYTES = 4 << 20


@dataclass(frozen=True)
class Written:
    """A predictions file that is complete.

    Attributes:
        rows: How many keys it has.
        sha256: The digest of the file's bytes, in hex: its integrity.
        content_sha256: The digest of what it says, in hex: its identity.
    """

    rows: int
    sha256: str
    content_sha256: str

    def as_json(self, file: str) -> dict[str, Any]:
        """What a record says of it."""
        return {
            "file": file,
            "rows": self.rows,
            "sha256": self.sha256,
            "content_sha256": self.content_sha256,
        }


def write(
    path: Path, output: Any, keys: pd.Index[Any], *, key_names: Sequence[str], dtype: str | None = None
) -> Written:
    """Write what a recipe's predict returned, in chunks as they come, after checking every key and value.

    Args:
        path: The file to write. Where writing fails, no file is left there.
        output: A DataFrame whose index is the key; or an iterator of (keys, values), where keys are texts
            (tuples for a key of several columns) and values an array (n,) or (n, ...), a list of n arrays
            (entries, d) or of n tables, a dict of names to such values, or a DataFrame with n rows.
            An array without a name is called `prediction`.
        keys: The rows that were asked for.
        key_names: The key columns.
        dtype: `float16`, `float32` or `float64`: what floats are cast to; they stay as they are when None.

    Raises:
        RunError: All at once: missing, extra and repeated keys; NaN, missing text and infinite numbers by
            column; values that cannot be kept; chunks that differ in columns, types or shapes; a full disk.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "oof.arrow"
        >>> rows = pd.Index(["007", "NA"], name="id")
        >>> write(path, pd.DataFrame({"p": [0.25, 0.5]}, index=rows), rows, key_names=["id"]).rows
        2
        >>> Predictions.open(path).array("p", ["NA", "007"])
        array([0.5 , 0.25])
    """
    intake = Intake(keys, key_names, dtype)
    with grow(path, key_names) as file:
        for batch in intake.batches(output):
            with told_when_unwritable(path.name):
                file.append(batch)
        problems = intake.problems()
        if problems:
            count = len(problems)
            raise RunError(f"{path.name} not written: {count} problem{'s' if count > 1 else ''}", problems)
    predictions = Predictions.open(path)
    return Written(predictions.table.num_rows, file_sha256(path), predictions.content_sha256())


@dataclass(frozen=True, eq=False)
class Predictions:
    """Predictions by key, read from a memory-mapped file only where they are asked for.

    Attributes:
        table: The key columns as text, then the value columns.
        key_names: The key columns.
        name: How messages call them.

    Example:
        >>> table = pa.table({"id": pa.array(["b", "a"], pa.large_string()), "p": [0.5, 0.25]})
        >>> predictions = Predictions(table, ("id",), "oof")
        >>> predictions.frame(["a", "b"])["p"].to_dict()
        {'a': 0.25, 'b': 0.5}
        >>> predictions.kind("p")
        'scalar'
    """

    table: pa.Table
    key_names: tuple[str, ...]
    name: str

    @classmethod
    def open(cls, path: Path, *, name: str | None = None) -> Self:
        """Open a file that `write` wrote.

        Args:
            path: The file.
            name: How messages call it; by default its folder's name and its own.

        Raises:
            DataError: There is no such file, or it is damaged, of another kind or from a newer kagkit.
        """
        told = name or f"{path.parent.name}/{path.name}"
        table, key_names = open_mapped(path, told)
        return cls(table, key_names, told)

    @classmethod
    def of(cls, frame: pd.DataFrame, key_names: Sequence[str], name: str = "predictions") -> Predictions:
        """A table by key, as if it had been kept.

        Raises:
            DataError: The index is not the key, or a column cannot be kept.

        Example:
            >>> frame = pd.DataFrame({"p": [0.25]}, index=pd.Index(["a"], name="id"))
            >>> Predictions.of(frame, ["id"]).columns
            ('p',)
        """
        keys = text_keys(frame.index, key_names)
        levels = {key: pa.array(keys.get_level_values(key).to_numpy(dtype=object), TEXT) for key in key_names}
        columns = {str(column): encode(frame[column], None) for column in frame.columns}
        return cls(pa.table(levels | columns), tuple(key_names), name)

    @cached_property
    def keys(self) -> pd.Index[Any]:
        """The keys as text, in the file's order: an Index, or a MultiIndex for a key of several columns."""
        levels = [pd.Index(self.table.column(name).to_pandas(), dtype="str") for name in self.key_names]
        if len(levels) == 1:
            only: pd.Index[Any] = levels[0].rename(self.key_names[0])
            return only
        return pd.MultiIndex.from_arrays(levels, names=list(self.key_names))

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the value columns."""
        return tuple(self.table.column_names[len(self.key_names) :])

    def kind(self, column: str) -> Kind:
        """Whether a column holds one value, one array or any number of entries a row.

        Raises:
            DataError: There is no such column.
        """
        return kind_of(self._column(column).type)

    def frame(self, keys: Any = None) -> pd.DataFrame:
        """The scalar columns as a table by key.

        Args:
            keys: Which rows, in which order; all in the file's order when None.

        Raises:
            DataError: A key is absent.
        """
        rows = self._rows(keys)
        index = self.keys if rows is None else self.keys[rows]
        scalars = [name for name in self.columns if self.kind(name) == "scalar"]
        return pd.DataFrame(
            {name: self._taken(name, rows).to_pandas().array for name in scalars}, index=index
        )

    def array(self, column: str, keys: Any = None) -> NDArray[Any]:
        """A scalar column as (n,), or an array column as (n, ...), in the order of the keys; read-only.

        Raises:
            DataError: A key or the column is absent, or the column is ragged.
        """
        if self.kind(column) == "ragged":
            raise self._refused(column, "ragged", "a scalar or an array column; see `ragged`")
        return to_numpy(self._taken(column, self._rows(keys)))

    def ragged(self, column: str, keys: Any = None) -> list[Any]:
        """A ragged column as one array (entries, d), or one table, for each of the keys.

        Raises:
            DataError: A key or the column is absent, or the column is not ragged.
        """
        if self.kind(column) != "ragged":
            raise self._refused(column, self.kind(column), "a ragged column; see `array` and `frame`")
        return to_entries(self._taken(column, self._rows(keys)))

    def only(self, keys: pd.Index[Any]) -> Self:
        """The predictions of some rows, in the file's order; keys that are not there are passed over.

        They are copied into memory: for masks of many rows, go through `iterate` instead.

        Example:
            >>> frame = pd.DataFrame({"p": [0.25, 0.5]}, index=pd.Index(["a", "b"], name="id"))
            >>> Predictions.of(frame, ["id"]).only(frame.index[1:]).keys.tolist()
            ['b']
        """
        return replace(self, table=self.table.filter(pa.array(keys.unique().get_indexer(self.keys) >= 0)))

    def values(self) -> dict[str, pa.Array]:
        """Every value column as it is kept, in the form `write` takes."""
        return {name: self._taken(name, None) for name in self.columns}

    def iterate(self, chunk_rows: int | None = None) -> Iterator[tuple[pd.Index[Any], Predictions]]:
        """The predictions in chunks, in the file's order; at least one chunk, which may be empty.

        Args:
            chunk_rows: How many rows a chunk has; as many as fit a few megabytes when None.
        """
        step = chunk_rows or self.chunk_rows
        for start in range(0, max(self.table.num_rows, 1), step):
            part = Predictions(self.table.slice(start, step), self.key_names, self.name)
            yield part.keys, part

    @property
    def chunk_rows(self) -> int:
        """How many rows fit a few megabytes."""
        row_bytes = self.table.nbytes // max(self.table.num_rows, 1)
        return int(max(CHUNK_BYTES // max(row_bytes, 1), 1))

    def content_sha256(self) -> str:
        """The identity of the predictions, in hex: the same for any order of rows and columns, any chunks.

        It is the digest of a JSON document with the digest of each column, its rows sorted by key.
        """
        by_key = [(name, "ascending") for name in self.key_names]
        order = (
            pc.sort_indices(self.table.select(list(self.key_names)), sort_keys=by_key)
            .to_numpy()
            .astype(np.int64)
        )
        return digest_of(
            {
                "keys": [[name, self._column_digests(name, order)] for name in self.key_names],
                "columns": {
                    name: [describe(self._column(name).type), self._column_digests(name, order)]
                    for name in self.columns
                },
            }
        )

    def _column_digests(self, name: str, order: NDArray[np.int64]) -> dict[str, str]:
        hashers: dict[str, Any] = defaultdict(hashlib.sha256)
        step = self.chunk_rows
        for start in range(0, len(order), step):
            rows = gather(self.table.column(name), order[start : start + step])
            for part, data in canonical_parts(rows).items():
                hashers[part].update(data)
        return {part: hasher.hexdigest() for part, hasher in hashers.items()}

    def _rows(self, keys: Any) -> NDArray[np.int64] | None:
        if keys is None:
            return None
        wanted = text_keys(keys, self.key_names)
        rows = self.keys.get_indexer(wanted).astype(np.int64)
        absent = wanted[rows < 0].tolist()
        if absent:
            found = f"lacks {len(absent):,} of {len(wanted):,} keys: {shown(absent)}"
            raise DataError(f"{self.name} lacks rows", [Problem(self.name, found, check="missing")])
        return rows

    def _taken(self, column: str, rows: NDArray[np.int64] | None) -> pa.Array:
        chunks = self._column(column)
        if rows is not None:
            return gather(chunks, rows)
        return chunks.chunk(0) if chunks.num_chunks == 1 else chunks.combine_chunks()

    def _column(self, name: str) -> pa.ChunkedArray:
        if name not in self.columns:
            hint = did_you_mean(name, self.columns)
            problem = Problem(self.name, f"no column {name}", hint=hint, check="columns")
            raise DataError(f"{self.name} has no column {name}", [problem])
        return self.table.column(name)

    def _refused(self, column: str, found: str, expected: str) -> DataError:
        problem = Problem(f"{self.name}: {column}", found, expected, check="columns")
        return DataError(f"{column} cannot be read so", [problem])
