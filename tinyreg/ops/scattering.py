"""What the gradient of indexing is made of: elements put at their places, and summed where these are the same."""

from __future__ import annotations

import math
from typing import Any

from ..core.backend import Array, Backend, Shape, accumulator
from ..symbols import whole


def placed(xp: Backend, x: Array, key: Any, shape: Shape, value: float = 0) -> Array:
    """Put x at `key`, which names no place twice, into an array of `shape` and of `value`, in the memory order of x."""
    untouched = not value and x.flags.c_contiguous  # then the system has zeros at hand
    y = xp.zeros(shape, dtype=x.dtype) if untouched else xp.full_like(x, value, shape=shape)
    y[key] = x
    return y


_ROW = 16  # from how many elements on a row is added as one
_FEW = 2048  # below, elements are added one by one


@whole
def scatter_add(xp: Backend, shape: Shape, places: Array, rows: Array) -> Array:
    """Add rows, at places from 0 on, to zeros of `shape` with as many elements in a row, in float32 at least."""
    wide = rows.astype(accumulator(rows.dtype) or rows.dtype, copy=False)
    y = xp.zeros(shape, dtype=wide.dtype)
    if rows.size:
        _add_to(xp, y.reshape(-1, rows.shape[1]), places, wide)
    return y.astype(rows.dtype, copy=False)


def _add_to(xp: Backend, y: Array, places: Array, rows: Array) -> None:
    """On the CPU always in the same order: NumPy's `add.at` is quick with columns, so many long rows go in rounds."""
    if xp.scatter_add is not None:
        xp.scatter_add(y, places, rows)
    elif rows.size < _FEW and rows.shape[1] > 1:
        xp.add.at(y, places, rows)
    elif rows.shape[1] < _ROW:
        for i in range(rows.shape[1]):
            xp.add.at(y[:, i], places, rows[:, i])
    else:
        _add_rows(xp, y, places, rows)


def _add_rows(xp: Backend, y: Array, places: Array, rows: Array) -> None:
    """Put the sums of rows into their places: the first rows of all places, the second of all that have one, and so on.

    A place that has more than the square root of all rows is summed by itself, so that neither takes many rounds.
    """
    order = xp.argsort(places.astype(xp.uint16) if len(y) <= 2**16 else places, kind="stable")  # 16 bits take one pass
    places = places[order]
    starts = xp.flatnonzero(xp.diff(places, prepend=-1))
    counts = xp.diff(starts, append=len(places))
    many = counts > math.isqrt(len(places))
    for start, count in zip(starts[many].tolist(), counts[many].tolist(), strict=True):
        y[places[start]] = rows[order[start : start + count]].sum(axis=0)
    starts, counts = starts[~many], counts[~many]
    starts = starts[xp.argsort(-counts, kind="stable")]
    sums = rows[order[starts]]
    for i in range(1, int(counts.max(initial=0))):
        left = int(xp.count_nonzero(counts > i))
        sums[:left] += rows[order[starts[:left] + i]]
    y[places[starts]] = sums


def from_front(xp: Backend, indices: Array, n: int) -> Array:
    """Count indices from -n to n - 1 from the front; others are an `IndexError`, or wrap around on CuPy."""
    if xp.wraps:
        return indices % n
    low, high = (indices.min(), indices.max()) if indices.size else (0, 0)
    if indices.size and not -n <= low <= high < n:
        raise IndexError(f"indices from {low} to {high} are out of range for a length of {n}")
    return indices if low >= 0 else (indices < 0) * n + indices
