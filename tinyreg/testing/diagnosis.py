"""What kind of mistake gives just the numbers that a failed check saw."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from .subject import Array

Guess = tuple[str, Array | None]


@dataclass(frozen=True)
class Evidence:
    """A wrong gradient of one argument, and what a mistake in it could be made of.

    analytic, numeric, error: the gradient, the one by differences, and the estimated error of that. factors: arrays by
    name: the arguments, and the result `y` where there is one. incoming: the incoming gradients, one for each result.
    numeric_for: the gradient by differences for other incoming gradients.
    """

    analytic: Array
    numeric: Array
    error: Array
    factors: Mapping[str, Array]
    incoming: Sequence[Array]
    numeric_for: Callable[[list[Array]], Array]


def looks_like(evidence: Evidence, *more: Evidence) -> str:
    """Name the simplest mistake that explains every element of a wrong gradient, and of more of the kind; or nothing."""
    others = [set(_mistakes(other)) for other in more]
    return next((name for name in _mistakes(evidence) if all(name in other for other in others)), "")


def _mistakes(evidence: Evidence) -> Iterator[str]:
    """Name each mistake that explains every element, the simplest first."""
    for guesses in (_of_size, _of_layout, _of_incoming, _of_factors):
        for name, expected in guesses(evidence):
            if expected is not None and _explains(evidence, expected):
                yield name


def _explains(evidence: Evidence, expected: Array) -> bool:
    """Whether a mistake would have given the analytic gradient, as far as differences can tell."""
    if expected.shape != evidence.analytic.shape or not np.all(np.isfinite(expected)):
        return False
    slack = 1e-9 * np.max(np.abs(expected), initial=0.0) + 16 * np.max(evidence.error, initial=0.0)
    return bool(np.all(np.abs(evidence.analytic - expected) <= slack))


def _of_size(evidence: Evidence) -> Iterator[Guess]:
    a, n = evidence.analytic, evidence.numeric
    if not np.any(a):
        yield "zeros: the gradient is cut off", a
    narrow = np.allclose(a, n, rtol=1e-6, atol=0) and np.array_equal(a, a.astype(np.float32))
    yield "computed in float32", a if narrow else None
    yield "sign", -n
    ratio = float((a * n).sum() / (n * n).sum()) if np.any(n) else math.nan
    if 1e-3 < abs(ratio) < 1e3:
        yield f"factor {_named(ratio)}", ratio * n


def _named(ratio: float) -> str:
    """Write a number as people write factors: 2, 1/3, 1 + 1e-06."""
    near = Fraction(ratio).limit_denominator(64)
    if near and abs(ratio - near) <= 1e-9 * abs(ratio):
        return str(near)
    return f"1 {'+' if ratio > 1 else '-'} {abs(ratio - 1):.0e}" if abs(ratio - 1) < 0.01 else f"{ratio:.6g}"


def _of_layout(evidence: Evidence) -> Iterator[Guess]:
    n = evidence.numeric
    if n.ndim >= 2:
        yield "transposed", np.swapaxes(n, -1, -2)
    for axis in range(n.ndim):
        yield f"reversed along axis {axis}", np.flip(n, axis)


def _of_incoming(evidence: Evidence) -> Iterator[Guess]:
    g = evidence.incoming
    yield "ones for g", evidence.numeric_for([np.ones_like(part) for part in g])
    yield "|g| for g", evidence.numeric_for([np.abs(part) for part in g])
    yield (
        "relu(g) for g: negative incoming gradients are dropped",
        evidence.numeric_for([np.maximum(part, 0) for part in g]),
    )
    yield "clip(g, -1, 1) for g", evidence.numeric_for([np.clip(part, -1, 1) for part in g])


def _of_factors(evidence: Evidence) -> Iterator[Guess]:
    n = evidence.numeric
    for name, factor in evidence.factors.items():
        if not _fits(factor, n):
            continue
        with np.errstate(all="ignore"):
            yield f"missing factor {name}", n / factor
            yield f"extra factor {name}", n * factor
            yield f"missing factor {name}^2", n / factor**2
            yield f"extra factor {name}^2", n * factor**2


def _fits(factor: Array, n: Array) -> bool:
    try:
        return np.broadcast_shapes(factor.shape, n.shape) == n.shape
    except ValueError:
        return False
