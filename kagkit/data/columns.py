"""Tell the types of Arrow columns apart, read rows out of them, find those whose value is missing.

A column holds one number or text a row (`scalar`), one array of a fixed shape a row (`array`: masks,
features) or any number of entries a row (`ragged`: boxes, as arrays (entries, d) or tables).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

Kind = Literal["scalar", "array", "ragged"]
TEXT = pa.large_string()
SPELLINGS = {"halffloat": "float16", "float": "float32", "double": "float64", "large_string": "text"}


def kind_of(dtype: pa.DataType) -> Kind:
    """Whether a column of this type holds one value, one array or a list of entries a row.

    Example:
        >>> kind_of(pa.float32()), kind_of(pa.fixed_shape_tensor(pa.uint8(), (64, 64)))
        ('scalar', 'array')
    """
    if isinstance(dtype, pa.FixedShapeTensorType):
        return "array"
    return "ragged" if pa.types.is_large_list(dtype) else "scalar"


def describe(dtype: pa.DataType) -> str:
    """A column's type in words; content digests contain it, so a spelling never changes.

    Example:
        >>> describe(pa.fixed_shape_tensor(pa.float16(), (64, 64)))
        'float16[64, 64]'
        >>> describe(pa.large_list(pa.list_(pa.float32(), 4)))
        'list<float32[4]>'
    """
    if isinstance(dtype, pa.FixedShapeTensorType):
        return f"{describe(dtype.value_type)}{list(dtype.shape)}"
    if pa.types.is_large_list(dtype):
        return f"list<{describe(dtype.value_type)}>"
    if pa.types.is_fixed_size_list(dtype):
        return f"{describe(dtype.value_type)}[{dtype.list_size}]"
    if pa.types.is_struct(dtype):
        return "{" + ", ".join(f"{field.name}: {describe(field.type)}" for field in dtype) + "}"
    return SPELLINGS.get(str(dtype), str(dtype))


def vacant(array: pa.Array) -> bool:
    """Whether these are lists without a single entry, so that nothing tells what their entries would be.

    Example:
        >>> vacant(pa.array([[], []], pa.large_list(pa.float32())))
        True
    """
    return kind_of(array.type) == "ragged" and len(array.flatten()) == 0


def vacancy(rows: int, dtype: pa.DataType) -> pa.Array:
    """As many empty lists, of the given ragged type.

    Example:
        >>> vacancy(2, pa.large_list(pa.list_(pa.float32(), 4))).to_pylist()
        [[], []]
    """
    return pa.LargeListArray.from_arrays(np.zeros(rows + 1, dtype=np.int64), pa.nulls(0, dtype.value_type))


def to_numpy(array: pa.Array) -> NDArray[Any]:
    """A scalar column as (n,), an array column as (n, ...), without a copy where there is none to make.

    Example:
        >>> to_numpy(pa.FixedShapeTensorArray.from_numpy_ndarray(np.ones((3, 64, 64)))).shape
        (3, 64, 64)
    """
    if kind_of(array.type) == "scalar":
        values: NDArray[Any] = array.to_numpy(zero_copy_only=False)
        return values
    flat: NDArray[Any] = array.storage.flatten().to_numpy(zero_copy_only=False)
    return flat.reshape(len(array), *array.type.shape)


def to_entries(array: pa.Array) -> list[Any]:
    """A ragged column as one (entries, d) array a row, or one table a row.

    Example:
        >>> boxes = pa.array([[[1, 2]], []], pa.large_list(pa.list_(pa.int64(), 2)))
        >>> [entries.shape for entries in to_entries(boxes)]
        [(1, 2), (0, 2)]
    """
    if not len(array):
        return []
    bounds = np.cumsum(_lengths(array))[:-1]
    items = array.flatten()
    if pa.types.is_struct(items.type):
        table = pa.RecordBatch.from_struct_array(items).to_pandas()
        starts, ends = [0, *bounds], [*bounds, len(table)]
        return [table[start:end].reset_index(drop=True) for start, end in zip(starts, ends, strict=True)]
    flat = items.flatten().to_numpy(zero_copy_only=False)
    return np.split(flat.reshape(len(items), items.type.list_size), bounds)


def gather(column: pa.ChunkedArray, rows: NDArray[np.int64]) -> pa.Array:
    """The rows of a column in the order asked for, reading only the chunks they are in.

    Arrow's own `take` first joins all chunks in memory, which a column of masks does not bear.

    Example:
        >>> gather(pa.chunked_array([["a", "b"], ["c"]]), np.array([2, 0])).to_pylist()
        ['c', 'a']
    """
    starts = np.cumsum([0] + [len(chunk) for chunk in column.chunks])
    homes = np.searchsorted(starts, rows, side="right") - 1
    order = np.argsort(homes, kind="stable")
    pieces = []
    for part in np.split(order, np.flatnonzero(np.diff(homes[order])) + 1):
        if len(part):
            home = homes[part[0]]
            pieces.append(column.chunk(home).take(pa.array(rows[part] - starts[home])))
    if not pieces:
        return pa.nulls(0, column.type)
    return pa.concat_arrays(pieces).take(pa.array(np.argsort(order)))


def leaves(array: pa.Array) -> dict[str, pa.Array]:
    """The flat arrays a column is made of, by the part of its name: "" or, for tables, `.x`, `.label`.

    Example:
        >>> list(leaves(pa.array([[{"x": 1.0}]], pa.large_list(pa.struct({"x": pa.float64()})))))
        ['.x']
    """
    kind = kind_of(array.type)
    if kind == "scalar":
        return {"": array}
    if kind == "array":
        return {"": array.storage.flatten()}
    items = array.flatten()
    if pa.types.is_struct(items.type):
        return {f".{field.name}": leaf for field, leaf in zip(items.type, items.flatten(), strict=True)}
    return {"": items.flatten()}


def faulty_rows(array: pa.Array) -> Iterator[tuple[str, str, NDArray[np.int64]]]:
    """The rows that hold a NaN (or a missing text) or an infinite number.

    Yields:
        The leaf's name, "NaN" or "inf", and the rows' positions, ascending.

    Example:
        >>> list(faulty_rows(pa.array(["a", None])))
        [('', 'NaN', array([1]))]
    """
    for name, leaf in leaves(array).items():
        for fault, mask in _fault_masks(leaf):
            hits = np.flatnonzero(mask)
            if len(hits):
                ends = np.cumsum(_lengths(array))
                hits = hits * ends[-1] // len(leaf)  # from numbers to the entries, or rows, they are in
                yield name, fault, np.unique(np.searchsorted(ends, hits, side="right"))


def _fault_masks(leaf: pa.Array) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    if pa.types.is_floating(leaf.type):
        values = leaf.to_numpy(zero_copy_only=False)
        yield "NaN", np.isnan(values)
        yield "inf", np.isinf(values)
    elif leaf.null_count:
        yield "NaN", leaf.is_null().to_numpy(zero_copy_only=False)


def canonical_parts(array: pa.Array) -> dict[str, Any]:
    r"""What a digest of these rows reads: the bytes of each leaf, which follow on from chunk to chunk.

    A text ends with the byte 0xff, which UTF-8 never contains; lists add how long each is.

    Example:
        >>> canonical_parts(pa.array(["a", ""], pa.large_string()))
        {'': b'a\xff\xff'}
    """
    parts = {name: _canonical_bytes(leaf) for name, leaf in leaves(array).items()}
    if kind_of(array.type) == "ragged":
        parts["lengths"] = _lengths(array)
    return parts


def _canonical_bytes(leaf: pa.Array) -> Any:
    if leaf.type == TEXT:
        return b"".join(text.encode() + b"\xff" for text in leaf.to_pylist())
    return np.ascontiguousarray(leaf.to_numpy(zero_copy_only=False))


def _lengths(array: pa.Array) -> NDArray[np.int64]:
    """How many entries each row has: one, but in a ragged column."""
    if kind_of(array.type) != "ragged":
        return np.ones(len(array), dtype=np.int64)
    lengths: NDArray[np.int64] = array.value_lengths().to_numpy(zero_copy_only=False)
    return lengths
