"""The safetensors format, read so that nothing in a file is believed before it is checked, and no more of it is read.

A file is the length of its header in eight bytes, the header as JSON, and the bytes of all arrays, without a gap. What is
wrong raises `ValueError`.

Source: https://github.com/huggingface/safetensors, its section on the format.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from typing import Any, BinaryIO

from ..core.backend import Array, get

DTYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "|i1"}
DTYPES |= {"U64": "<u8", "U32": "<u4", "U16": "<u2", "U8": "|u1", "BOOL": "|b1"}

METADATA = "__metadata__"  # in the header, in place of the name of an array

LONGEST_HEADER = 100_000_000  # bytes, as in the library of that name
MOST_AXES = 64  # of an array of NumPy


def header(file: BinaryIO) -> tuple[dict[str, str], dict[str, Any]]:
    """The metadata of a file, and what it says of each array; the file stands where the arrays begin."""
    size = os.fstat(file.fileno()).st_size
    length = int.from_bytes(file.read(8), "little")
    if length > min(size - 8, LONGEST_HEADER):  # of a length of 0 JSON says no
        raise ValueError(f"it has {size:,} bytes, and its beginning says that {length:,} of them are its header")
    entries = parsed(file.read(length).decode())
    metadata = entries.pop(METADATA, {}) if isinstance(entries, dict) else None
    if not isinstance(metadata, dict) or not all(isinstance(text, str) for text in metadata.values()):
        raise ValueError("its header is no table of arrays, with text beside them")
    return metadata, entries


def arrays(file: BinaryIO, entries: Mapping[str, Any]) -> dict[str, Array]:
    """The arrays that the header tells of, by name."""
    size = os.fstat(file.fileno()).st_size - file.tell()
    layout = sorted((*_checked(name, entry), name) for name, entry in entries.items())
    end = 0
    for start, stop, _, _, name in layout:
        if start != end:
            raise ValueError(f"the bytes of {name!r:.80} do not begin where those before them end")
        end = stop
    if end != size:
        raise ValueError(f"its arrays have {end:,} bytes, and {size:,} are there")
    return {name: _read(file, name, stop - start, dtype, shape) for start, stop, dtype, shape, name in layout}


def parsed(text: str) -> Any:
    """What JSON says; of two values under one key it would say the last, so that is refused."""
    return json.loads(text, object_pairs_hook=_table)


def _table(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) < len(pairs):
        raise ValueError("a name is there twice")
    return table


def _checked(name: str, entry: Any) -> tuple[int, int, str, tuple[int, ...]]:
    """Where the bytes of an array begin and end, its dtype and its shape."""
    if not isinstance(entry, dict) or entry.keys() != {"dtype", "shape", "data_offsets"}:
        raise ValueError(f"of {name!r:.80} it does not say dtype, shape and place")
    if not isinstance(entry["dtype"], str) or (dtype := DTYPES.get(entry["dtype"])) is None:
        raise ValueError(f"{name!r:.80} has the dtype {entry['dtype']!r:.80}, expected one of {', '.join(DTYPES)}")
    shape, place = entry["shape"], entry["data_offsets"]
    if not (_is_sizes(shape) and len(shape) <= MOST_AXES and _is_sizes(place) and len(place) == 2):
        raise ValueError(f"{name!r:.80} has no shape and place that an array can have")
    start, stop = place
    if stop - start != math.prod(shape) * get("numpy").dtype(dtype).itemsize:
        raise ValueError(f"{name!r:.80} has {stop - start:,} bytes, which its dtype and shape do not take")
    return start, stop, dtype, tuple(shape)


def _is_sizes(value: Any) -> bool:
    return isinstance(value, list) and all(type(n) is int and 0 <= n < 2**63 for n in value)


def _read(file: BinaryIO, name: str, nbytes: int, dtype: str, shape: tuple[int, ...]) -> Array:
    numpy = get("numpy")
    data = numpy.empty(nbytes, "uint8")
    if file.readinto(data) != nbytes:  # type: ignore[attr-defined]
        raise ValueError(f"it ends within {name!r:.80}")
    if dtype == DTYPES["BOOL"] and (data > 1).any():
        raise ValueError(f"{name!r:.80} has booleans that are neither True nor False")
    return data.view(dtype).reshape(shape)
