"""One-sided derivatives, for where a function has a kink: the limits of forward differences.

Source: Ridders, "Accurate computation of F'(x) and F'(x)F''(x)", 1982, for the extrapolation.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from .differences import EPSILON, Floats, Function, evaluated


def one_sided(f: Function, x: Floats, u: Floats) -> tuple[Floats, Floats, Floats]:
    """Give the derivatives of every output along u from the left and from the right, and the larger estimated error."""
    left, one = _side(f, x, -u)
    right, other = _side(f, x, u)
    return -left, right, np.maximum(one, other)


def _side(f: Function, x: Floats, u: Floats) -> tuple[Floats, Floats]:
    """Give the limit of forward differences, by Neville's table, with the error of the entry that has settled best."""
    y = f(x)
    best, least = np.full(y.shape, np.nan), np.full(y.shape, np.inf)
    before: list[Floats] = []
    for step, slopes in _forward(f, x, u, y):
        row = [slopes]
        rounding = 4 * EPSILON * np.abs(y) / step
        for j, above in enumerate(before):
            row.append(row[j] + (row[j] - above) / (2.0 ** (j + 1) - 1))
            error = np.maximum(np.abs(row[j + 1] - row[j]), np.abs(row[j + 1] - above)) + rounding
            best, least = np.where(error < least, row[j + 1], best), np.minimum(error, least)
        before = row
    return best, least


def _forward(f: Function, x: Floats, u: Floats, y: Floats) -> Iterator[tuple[float, Floats]]:
    for k in range(6, 16):
        ahead = evaluated(f, x + 2.0**-k * u)
        if ahead is not None:
            yield 2.0**-k, (ahead - y) * 2.0**k
