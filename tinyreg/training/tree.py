"""State as arrays and text: a tree of plain values and Tensors, taken apart for a file and put together again.

The text is JSON in which every object has one key, its kind: {"dict": {...}}, {"tuple": [...]}, {"tensor": [name, axes]}.
So no key of a user's dict is special. Numbers come back exactly, also infinity, NaN and integers of thousands of digits.
"""

from __future__ import annotations

import json
from typing import Any

from ..core.backend import Array, current, described, get, home
from ..core.tensor import Tensor
from .container import DTYPES, METADATA, parsed

HELD = "numbers, strings, booleans, None, lists, tuples, dicts with strings as keys, Tensors and arrays"

MOST_BITS = 14_000
"""Of an integer: Python writes and reads 4,300 decimal digits."""


def take_apart(tree: dict[str, Any]) -> tuple[dict[str, Array], str]:
    """The arrays of a tree on the host, each named by the path to it, such as "model/0.weight", and the rest as JSON."""
    arrays: dict[str, Array] = {}
    try:
        return arrays, json.dumps(_encoded(tree, "", arrays))
    except RecursionError:
        raise ValueError("save: got what holds itself, or is nested too deep; expected lists and dicts that end") from None


def put_together(arrays: dict[str, Array], text: str) -> dict[str, Any]:
    """The tree that was taken apart; its Tensors and arrays are born on the backend in use."""
    tree = _decoded(parsed(text), arrays)
    if not isinstance(tree, dict):
        raise ValueError(f"it holds {tree!r:.80}, and no table of objects by name")
    return tree


def _encoded(value: Any, path: str, arrays: dict[str, Array]) -> Any:
    if isinstance(value, get("numpy").generic) and isinstance(value.item(), bool | int | float):
        return value.item()  # a number comes back as Python's
    if type(value) is int and value.bit_length() > MOST_BITS:
        raise ValueError(
            f"save: got {path!r:.80}, an integer of {value.bit_length():,} bits, expected at most {MOST_BITS:,}"
        )
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, dict):
        return {"dict": {_key(key, path): _encoded(each, _joined(path, key), arrays) for key, each in value.items()}}
    if isinstance(value, list | tuple):
        inside = [_encoded(each, _joined(path, str(i)), arrays) for i, each in enumerate(value)]
        return {"tuple": inside} if isinstance(value, tuple) else inside
    arrays[_array_name(path)], axes = _in_memory_order(_on_the_host(value, path))
    return {"tensor" if isinstance(value, Tensor) else "array": [path, axes]}


def _key(key: Any, path: str) -> str:
    if not isinstance(key, str):
        raise TypeError(f"save: got the key {key!r} in {path!r}, expected a string: write {str(key)!r}")
    return key


def _array_name(path: str) -> str:
    """The path as the name of an array in a file."""
    if path == METADATA or any("\ud800" <= c <= "\udfff" for c in path):
        raise ValueError(f"save: got an array under {path!r:.80}, which no file can have as a name; choose another")
    return path


def _joined(path: str, key: str) -> str:
    """The path to what is under `key`; a / in the key is written as in JSON Pointer (RFC 6901), so that paths differ."""
    key = key.replace("~", "~0").replace("/", "~1")
    return f"{path}/{key}" if path else key


def _on_the_host(value: Any, path: str) -> Array:
    array = value.data if isinstance(value, Tensor) else value
    try:
        xp: Any = home(array)
    except TypeError:
        raise TypeError(f"save: got {path!r} = {value!r:.80}, expected {HELD}, or an object with state_dict()") from None
    if array.dtype.newbyteorder("<").str not in DTYPES.values():
        raise TypeError(f"save: got {path!r} {described(array)}, expected booleans, integers or floats of at most 64 bits")
    return xp.to_host(array)


def _in_memory_order(array: Array) -> tuple[Array, list[int] | None]:
    """The array in C order, and its axes from the slowest to the fastest, or None where that is the order they have.

    A sum goes along memory, so that without its layout an array gives other last bits than the one it stands for.
    """
    ordered = get("numpy").array(array, dtype=array.dtype.newbyteorder("="), order="C")
    if array.flags.c_contiguous:
        return ordered, None
    axes = sorted(range(array.ndim), key=lambda axis: -abs(array.strides[axis]))
    return ordered, axes


def _decoded(node: Any, arrays: dict[str, Array]) -> Any:
    if isinstance(node, list):
        return [_decoded(each, arrays) for each in node]
    if not isinstance(node, dict):
        return node
    ((kind, inside),) = node.items()
    if kind == "dict":
        return {key: _decoded(each, arrays) for key, each in inside.items()}
    if kind == "tuple":
        return tuple(_decoded(each, arrays) for each in inside)
    if kind not in ("tensor", "array"):
        raise ValueError(f"unknown kind {kind!r}")
    name, axes = inside
    array = _laid_out(arrays[name], axes)
    return Tensor(array) if kind == "tensor" else array


def _laid_out(array: Array, axes: list[int] | None) -> Array:
    """A copy on the backend in use whose axes follow each other in memory as `axes` says."""
    xp = current()
    if axes is None:
        return xp.array(array)
    back = sorted(range(len(axes)), key=axes.__getitem__)
    return xp.array(array.transpose(axes), order="C").transpose(back)
