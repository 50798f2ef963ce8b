"""Grow an Arrow file batch by batch, wholly or not at all; open it memory-mapped; refuse any other file."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pyarrow as pa

from kagkit.data.columns import vacancy
from kagkit.foundation.errors import DataError, Problem
from kagkit.foundation.files import canonical_json, told_when_unwritable

FORMAT = 1
HEADER = b"kagkit.predictions"


class GrowingFile:
    """An Arrow file that takes a batch at a time; `grow` makes one."""

    def __init__(self, path: Path, key_names: Sequence[str]) -> None:
        self._path = path
        self._header = {HEADER: canonical_json({"format": FORMAT, "keys": list(key_names)})}
        self._sink: Any = None
        self._writer: Any = None
        self._schema: Any = None

    def append(self, batch: pa.RecordBatch) -> None:
        """Write a batch.

        Its schema is that of the batches before. Only a ragged column that had no entry so far may get
        another type: then the file is written again, batch by batch.
        """
        if self._writer is None:
            self._start(batch.schema)
        elif not batch.schema.equals(self._schema):
            self._start_again(batch.schema)
        self._writer.write_batch(batch)

    def finish(self) -> None:
        """Write what makes the file whole."""
        self._writer.close()
        self._sink.close()

    def abandon(self) -> None:
        """Let go of the file, whole or not."""
        if self._sink is not None:
            with suppress(OSError):  # a full disk was told already, by what could not be written
                self._sink.close()

    def _start(self, schema: pa.Schema) -> None:
        self._schema = schema
        self._sink = self._path.open("wb")
        self._writer = pa.ipc.new_file(self._sink, schema.with_metadata(self._header))

    def _start_again(self, schema: pa.Schema) -> None:
        self.finish()
        earlier = self._path.with_suffix(".earlier")
        self._path.rename(earlier)
        try:
            self._start(schema)
            with pa.memory_map(str(earlier)) as source, pa.ipc.open_file(source) as reader:
                for number in range(reader.num_record_batches):
                    self._writer.write_batch(_with_schema(reader.get_batch(number), schema))
        finally:
            earlier.unlink()


def _with_schema(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    arrays = [
        array if array.type == field.type else vacancy(len(array), field.type)
        for array, field in zip(batch.columns, schema, strict=True)
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


@contextmanager
def grow(path: Path, key_names: Sequence[str]) -> Iterator[GrowingFile]:
    """A file for the block to append to; it gets its name when the block is done, and is gone when it fails.

    What was at `path` is removed first, so that a failure never leaves an older answer there.

    Raises:
        RunError: The disk is full, or the folder cannot be written.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "oof.arrow"
        >>> with grow(path, ["id"]) as file:
        ...     file.append(pa.record_batch({"id": ["a"], "p": [0.5]}))
        ...     path.exists()
        False
        >>> open_mapped(path, "oof")[1]
        ('id',)
    """
    with told_when_unwritable(path.name):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.tmp")
    file = GrowingFile(temporary, key_names)
    try:
        yield file
        with told_when_unwritable(path.name):
            file.finish()
            temporary.replace(path)
    finally:
        file.abandon()
        temporary.unlink(missing_ok=True)


def open_mapped(path: Path, told: str) -> tuple[pa.Table, tuple[str, ...]]:
    """The table in a file, read only where it is looked at, and the names of its key columns.

    Args:
        path: The file.
        told: How messages call it.

    Raises:
        DataError: There is no such file, or it is damaged, of another kind or from a newer kagkit.
    """
    try:
        table = pa.ipc.open_file(pa.memory_map(str(path))).read_all()
        header = json.loads((table.schema.metadata or {})[HEADER])
    except FileNotFoundError as error:
        raise _unreadable(told, "no such file") from error
    except (pa.ArrowException, OSError, KeyError, ValueError) as error:
        raise _unreadable(
            told, "not a whole predictions file", "do the task again: kagkit run --restart"
        ) from error
    if header["format"] > FORMAT:
        raise _unreadable(
            told, f"format {header['format']}, but format {FORMAT} is the newest known", "update kagkit"
        )
    return table, tuple(header["keys"])


def _unreadable(told: str, found: str, hint: str = "") -> DataError:
    return DataError(f"{told} cannot be read", [Problem(told, found, hint=hint, check="file")])
