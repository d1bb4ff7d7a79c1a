"""The derivative by differences: central ones at halved steps, extrapolated to step zero, with an estimate of the error."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

FIRST_STEP = 0.02  # cases keep further away than this from kinks and from the edges of domains
HALVINGS = 7


class Numeric(NamedTuple):
    """A numeric derivative and the estimated error of each of its elements."""

    value: Floats
    error: Floats


def jacobian(f: Callable[[Floats], Floats], x: Floats) -> Numeric:
    """d f_i / d x_j at x, of shape (size of f(x), size of x), by differences along every x_j.

    Source: Ridders, "Accurate computation of F'(x) and F'(x)F''(x)", 1982.
    """
    columns = [_along(f, x, j) for j in range(x.size)]
    size = np.size(f(x))
    value = np.stack([c.value for c in columns], axis=1) if columns else np.zeros((size, 0))
    error = np.stack([c.error for c in columns], axis=1) if columns else np.zeros((size, 0))
    return Numeric(value, error)


def _along(f: Callable[[Floats], Floats], x: Floats, j: int) -> Numeric:
    """The derivative along one element: of each row of Neville's table, what has settled best."""
    scale = max(1.0, abs(x.flat[j]))

    def difference(step: float) -> tuple[Floats, Floats]:
        up, down = x.copy(), x.copy()
        up.flat[j] += step
        down.flat[j] -= step
        high, low = np.ravel(f(up)), np.ravel(f(down))
        width = up.flat[j] - down.flat[j]  # the step that was taken, not the one that was meant
        return (high - low) / width, np.finfo(np.float64).eps * (np.abs(high) + np.abs(low)) / width

    row: list[Floats] = []
    best = Numeric(np.array([]), np.array([]))
    for k in range(HALVINGS):
        quotient, noise = difference(FIRST_STEP * scale / 2**k)
        above, row = row, [quotient]
        for i, before in enumerate(above):
            row.append(row[i] + (row[i] - before) / (4.0 ** (i + 1) - 1))
        if not above:
            best = Numeric(quotient, np.full_like(quotient, np.inf))
        for i, before in enumerate(above):
            error = np.maximum(np.abs(row[i + 1] - row[i]), np.abs(row[i + 1] - before)) + 2 * noise
            better = error < best.error
            best = Numeric(np.where(better, row[i + 1], best.value), np.where(better, error, best.error))
    return best
