"""What this NumPy, on this processor, does where it is free to do otherwise: the loops do the same, or leave it to it."""

from __future__ import annotations

import functools
from typing import Any

from ..recording import numpy

BUFFER = 2**13


@functools.cache
def second_of_zeros() -> bool:
    """Whether the larger and the smaller of 0.0 and -0.0 is the second of them, as on x86."""
    for n in (1, 37):
        zeros = numpy.zeros(n, "f4"), -numpy.zeros(n, "f4")
        for f in (numpy.maximum, numpy.minimum):
            for a, b in (zeros, zeros[::-1]):
                if not (numpy.signbit(f(a, b)) == numpy.signbit(b)).all():
                    return False
    return True


@functools.cache
def longest_sum() -> int:
    """Up to how many elements NumPy adds in pairs: older ones do so in pieces as long as a buffer, one after the other."""
    x = numpy.random.default_rng(0).normal(size=5 * BUFFER).astype("f4")
    return 2**20 if numpy.add.reduce(x) == _in_pairs(x) else BUFFER


def _in_pairs(x: Any) -> Any:
    """The sum of halves, and of up to 128 elements in eight parts."""
    if len(x) > 128:
        half = len(x) // 2 - len(x) // 2 % 8
        return _in_pairs(x[:half]) + _in_pairs(x[half:])
    parts = functools.reduce(numpy.add, x.reshape(-1, 8))
    while len(parts) > 1:
        parts = parts[::2] + parts[1::2]
    return parts[0]


@functools.cache
def rounds_products() -> bool:
    """Whether `einsum` rounds each product before it adds it."""
    rng = numpy.random.default_rng(0)
    for dtype in ("f4", "f8"):
        x, y = rng.normal(size=(2, 9, 67)).astype(dtype)
        total = numpy.zeros(67, dtype)
        for a, b in zip(x, y, strict=True):
            total = total + a * b
        if numpy.einsum("ij,ij->j", x, y).tobytes() != total.tobytes():
            return False
    return True
