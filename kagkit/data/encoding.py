"""Turn arrays, tensors, tables and lists of entries into Arrow columns; refuse what has no one type."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from kagkit.data.columns import TEXT, describe, kind_of
from kagkit.foundation.errors import DataError, Problem, samples


def encode(values: Any, dtype: str | None = None) -> pa.Array:
    """Turn the values of some rows into one Arrow array.

    Args:
        values: (n,) numbers, truth values or text; (n, ...) an array a row; a list of n arrays
            (entries, d), or of n tables, where rows have any number of entries. Tensors are taken as arrays.
        dtype: The float type to cast floats to; as they are when None. Arrow arrays are kept as they are.

    Returns:
        n rows. Missing text and missing whole numbers are nulls, for `faulty_rows` to find.

    Raises:
        DataError: The values are of another kind, or their shapes differ.

    Example:
        >>> describe(encode(np.zeros((3, 2, 2)), "float16").type)
        'float16[2, 2]'
        >>> describe(encode([np.zeros((0, 4)), np.ones((2, 4), np.float32)]).type)
        'list<float32[4]>'
    """
    if isinstance(values, pa.Array):
        return values if kind_of(values.type) != "scalar" else _cells(values, dtype)
    if isinstance(values, list | tuple):
        return _encode_list(list(values), dtype)
    if isinstance(values, pd.Series):
        return _cells(values, dtype)
    array = _array(values)
    if array.ndim == 0:
        raise _refused(f"one {type(values).__name__}", "one value for each key")
    if array.ndim > 1:
        return _tensors(array, dtype)
    return _cells(array, dtype) if array.dtype.kind in "OUT" else _numbers(array, dtype)


def _encode_list(values: list[Any], dtype: str | None) -> pa.Array:
    if values and all(isinstance(value, pd.DataFrame) for value in values):
        return _tables(values, dtype)
    arrays = [_array(value) for value in values]
    if all(array.ndim == 0 for array in arrays):
        return _cells(values, dtype)
    return _entries(arrays, dtype)


def _array(values: Any) -> NDArray[Any]:
    try:
        return np.asarray(values)
    except (TypeError, ValueError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        hint = "a tensor? then: tensor.detach().float().cpu()"
        raise _refused(f"not an array: {reason}", "numpy arrays", hint) from error


def _numbers(values: NDArray[Any], dtype: str | None) -> pa.Array:
    """Any array of numbers as a flat Arrow array, floats cast."""
    if values.dtype.kind not in "fiub" or values.dtype.itemsize > 8:
        raise _refused(f"an array of {values.dtype}", "numbers or truth values")
    return pa.array(np.ascontiguousarray(_cast(values, dtype)).reshape(-1))


def _cast(values: NDArray[Any], dtype: str | None) -> NDArray[Any]:
    target = dtype if dtype and values.dtype.kind == "f" else values.dtype.newbyteorder("=")
    with np.errstate(over="ignore"):  # what overflows becomes infinite, and faulty_rows finds it
        return values.astype(target, copy=False)


def _cells(values: Any, dtype: str | None) -> pa.Array:
    try:
        array = values if isinstance(values, pa.Array) else pa.array(values, from_pandas=True)
    except (pa.ArrowException, ValueError, TypeError) as error:
        reason = str(error).splitlines()[0]
        raise _refused(f"cells of several types: {reason}", "numbers, truth values or text") from error
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    kind = array.type
    if pa.types.is_null(kind) or pa.types.is_string(kind) or pa.types.is_string_view(kind):
        return array.cast(TEXT)
    if pa.types.is_floating(kind):
        return _numbers(array.to_numpy(zero_copy_only=False), dtype)
    if not (pa.types.is_integer(kind) or pa.types.is_boolean(kind) or kind == TEXT):
        hint = "arrays and entries are told by yielding (keys, values)" if pa.types.is_nested(kind) else ""
        raise _refused(f"cells of {describe(kind)}", "numbers, truth values or text", hint)
    return array


def _tensors(values: NDArray[Any], dtype: str | None) -> pa.Array:
    shape = values.shape[1:]
    if 0 in shape:
        raise _refused(f"arrays of shape {shape}", "no axis of length 0")
    flat = _numbers(values, dtype)
    storage = pa.FixedSizeListArray.from_arrays(flat, math.prod(shape))
    return pa.ExtensionArray.from_storage(pa.fixed_shape_tensor(flat.type, shape), storage)


def _entries(arrays: list[NDArray[Any]], dtype: str | None) -> pa.Array:
    flats = [_cast(array, dtype) for array in arrays]
    shapes = sorted({array.shape for array in flats if array.ndim != 2 or not array.shape[1]})
    if shapes:
        hint = "no entries? then: np.zeros((0, 4)); one array a row? then: np.stack(values)"
        raise _refused(f"rows of shape {samples(shapes)}", "each (entries, d)", hint)
    telling = [array for array in flats if len(array)] or flats[:1]
    kinds = sorted({f"{array.dtype}[{array.shape[1]}]" for array in telling})
    if len(kinds) > 1:
        raise _refused(f"entries of {samples(kinds)}", "one width and type")
    width = telling[0].shape[1]
    items = pa.FixedSizeListArray.from_arrays(_numbers(np.concatenate(telling), None), width)
    return pa.LargeListArray.from_arrays(_offsets([len(array) for array in flats]), items)


def _tables(tables: list[pd.DataFrame], dtype: str | None) -> pa.Array:
    telling = [table for table in tables if len(table)] or tables[:1]
    kinds = sorted({_columns_of(table) for table in telling})
    if len(kinds) > 1 or not kinds[0]:
        raise _refused(f"tables of {samples(kinds)}", "the same columns in each")
    table = pd.concat(telling, ignore_index=True)
    fields = {str(name): _cells(table[name], dtype) for name in sorted(table.columns, key=str)}
    items = pa.StructArray.from_arrays(list(fields.values()), list(fields))
    return pa.LargeListArray.from_arrays(_offsets([len(table) for table in tables]), items)


def _columns_of(table: pd.DataFrame) -> str:
    return ", ".join(sorted(f"{name}: {kind}" for name, kind in table.dtypes.items()))


def _offsets(lengths: Sequence[int]) -> NDArray[np.int64]:
    return np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])


def _refused(found: str, expected: str, hint: str = "") -> DataError:
    return DataError(f"values cannot be used: {found}", [Problem("values", found, expected, hint, "values")])
