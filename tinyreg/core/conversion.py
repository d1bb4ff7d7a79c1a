"""What may become an array of a tensor: the one gate for dtypes, and data of all kinds."""

from __future__ import annotations

from typing import Any

from .backend import DTYPES, Array, Backend, DType, described, get, home, place, transfer, underflow_ignored


def checked(dtype: Any, label: str) -> DType:
    """A dtype that tensors can have, by any of its names; `TypeError` for another."""
    try:
        known: DType = get("numpy").dtype(dtype)
    except TypeError as error:
        raise TypeError(f"{label} of dtype {dtype!r:.80}, expected the name of a dtype, such as 'float32'") from error
    if known not in DTYPES:
        raise TypeError(
            f"{label} of dtype {known}, expected booleans, integers or floats of 16, 32 or 64 bits; complex numbers, text, "
            "dates, objects, longer floats and other byte orders are not supported"
        )
    return known


def understood(value: Any, among_tensors: bool, label: str) -> Any:
    """An unusual argument as an array of its backend; a NumPy scalar beside a tensor as a number, which never widens."""
    where = home(value, label)
    if where:
        checked(value.dtype, f"{label}got {described(value)}")
    if among_tensors and isinstance(value, get("numpy").generic):
        return value.item()
    return where.asarray(value) if where else value


def arrayed(data: Any, label: str) -> Array:
    """Numbers, nested sequences, an array, or whatever NumPy makes one of, as an array of a dtype that tensors can have.

    An array stays on its backend, everything else is NumPy's. Raises `TypeError` for what is no array of such a dtype and
    `ValueError` for ragged sequences.
    """
    array = data
    if not place(data):
        if hasattr(data, "filled") and isinstance(data, get("numpy").ma.MaskedArray):
            raise TypeError(f"{label}: got a masked array, whose mask would be lost; give it values with .filled(value)")
        try:
            array = get("numpy").asarray(data)
        except ValueError as error:
            raise ValueError(f"{label}: got sequences that are no array, expected equal lengths. {error}") from error
        except (TypeError, RuntimeError) as error:  # from a tensor, here or in PyTorch, that requires a gradient
            raise TypeError(f"{label}: got {type(data).__name__}, of which NumPy makes no array. {error}") from error
        if array.dtype.kind == "O" and hasattr(data, "toarray"):
            raise TypeError(f"{label}: got {type(data).__name__}, expected a dense array; use .toarray()")
    if array.dtype in DTYPES:
        return array
    native = array.dtype.newbyteorder("=")
    checked(native, f"{label}: got data")
    return array.astype(native)


def copied(array: Array, to: Backend, dtype: Any) -> Array:
    """A new array of a dtype on another backend or the same."""
    array = transfer(array, to)
    try:
        return to.array(array, dtype=dtype)
    except FloatingPointError:  # that a number becomes 0 because it is too small is no error, whatever `np.seterr` asks for
        with underflow_ignored():
            return to.array(array, dtype=dtype)
