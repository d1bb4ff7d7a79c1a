"""Arrays as JSON: their range and, of large ones, means over blocks in place of the elements."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from ..core.backend import Array, get, home


class Detail(NamedTuple):
    """How much is shown of an array: all elements up to `elements` of them, otherwise `side` x `side` blocks at most."""

    elements: int
    side: int


def summary(array: Array, detail: Detail) -> dict[str, Any]:
    """Shape, dtype, and numbers: range and mean of the finite elements, and how many are not finite.

    `values` has the elements, row by row, or else `blocks` their means over blocks of the array as a matrix, whose rows
    are its last axis. What is not finite is text: "nan", "inf", "-inf".
    """
    numpy, where = get("numpy"), home(array)
    host = numpy.asarray(where.to_host(array) if where else array)
    with numpy.errstate(all="ignore"):
        numbers = host.astype("float64")
        finite = numbers[numpy.isfinite(numbers)]
        small = host.size <= detail.elements
        return {
            "shape": list(host.shape),
            "dtype": str(host.dtype),
            "min": number(finite.min()) if finite.size else None,
            "max": number(finite.max()) if finite.size else None,
            "mean": number(finite.mean()) if finite.size else None,
            "nan": int(numpy.isnan(numbers).sum()),
            "inf": int(numpy.isinf(numbers).sum()),
            "values": [number(each) for each in numbers.ravel().tolist()] if small else None,
            "blocks": None if small else _blocks(numbers, detail.side),
        }


def _blocks(numbers: Array, side: int) -> dict[str, Any]:
    numpy = get("numpy")
    matrix = numbers.reshape(-1, numbers.shape[-1])
    counts = [min(n, side) for n in matrix.shape]
    starts = [[i * n // k for i in range(k)] for n, k in zip(matrix.shape, counts, strict=True)]
    sums = numpy.add.reduceat(numpy.add.reduceat(matrix, starts[0], axis=0), starts[1], axis=1)
    lengths = [numpy.diff([*start, n]) for start, n in zip(starts, matrix.shape, strict=True)]
    means = sums / numpy.multiply.outer(*lengths)
    return {"rows": counts[0], "columns": counts[1], "values": [number(mean) for mean in means.ravel().tolist()]}


def number(x: float) -> float | int | str:
    """Six significant digits; whole numbers without a fraction, which is shorter."""
    if not math.isfinite(x):
        return str(float(x))
    rounded = float(f"{x:.6g}")
    return int(rounded) if rounded == int(rounded) and abs(rounded) < 1e6 else rounded
