"""Calls like a given one: of other sizes, with other numbers, broadcast, as far as the function takes them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

import hypothesis.strategies as st
import numpy as np
from hypothesis.strategies import SearchStrategy

from .subject import Array, Call

LENGTHS = (1, 2, 3, 5, 11, 0)  # in place of a length of the given call
SPREADS = (1 / 64, 1 / 4, 2.0)  # how far numbers are from given ones, in powers of two: no two of them tie
LARGEST = 4096  # elements in all

Shapes = tuple[tuple[int, ...], ...]


def calls_near(call: Call, accepts: Callable[[Call], bool]) -> SearchStrategy[Call]:
    """Give calls of shapes that a function accepts, with numbers near those of the call, in other places."""
    small = [shapes for shapes in shapes_near(call) if sum(map(math.prod, shapes)) <= LARGEST]
    accepted = [shapes for shapes in small if accepts(_filled(call, shapes, SPREADS[0], 0))]
    return st.builds(
        lambda shapes, spread, seed: _filled(call, shapes, spread, seed),
        st.sampled_from(accepted or [_shapes(call)]),
        st.sampled_from(SPREADS),
        st.integers(0, 2**32 - 1),
    )


def shapes_near(call: Call) -> list[Shapes]:
    """Give shapes to try: with one length changed wherever it stands, repeated along an axis, with an axis more or less."""
    given = _shapes(call)
    return list(dict.fromkeys([given, *_resized(given), *_broadcast(given)]))


def _shapes(call: Call) -> Shapes:
    return tuple(a.shape for a in call.arrays if isinstance(a, np.ndarray))


def _resized(given: Shapes) -> Iterator[Shapes]:
    """One length, which may mean the same wherever it stands, is another everywhere; or along one axis alone."""
    for n in dict.fromkeys(n for shape in given for n in shape):
        for m in LENGTHS:
            yield tuple(tuple(m if side == n else side for side in shape) for shape in given)
    for i, shape in enumerate(given):
        for axis in range(len(shape)):
            for m in LENGTHS:
                yield _with(given, i, (*shape[:axis], m, *shape[axis + 1 :]))


def _broadcast(given: Shapes) -> Iterator[Shapes]:
    yield tuple((2, *shape) for shape in given)
    yield tuple(shape[1:] for shape in given)
    for i, shape in enumerate(given):
        yield _with(given, i, (2, *shape))
        yield _with(given, i, shape[1:])
        yield _with(given, i, (1,) * len(shape))


def _with(given: Shapes, i: int, shape: tuple[int, ...]) -> Shapes:
    return (*given[:i], shape, *given[i + 1 :])


def _filled(call: Call, shapes: Sequence[tuple[int, ...]], spread: float, seed: int) -> Call:
    """Give the call with arrays of other shapes: of its floats, in any order and some way off; of others as they are."""
    rng, shape = np.random.default_rng(seed), iter(shapes)

    def filled(array: Array) -> Array:
        wanted = next(shape)
        if array.dtype.kind != "f" or not array.size:
            return np.resize(array, wanted)
        picked = np.resize(rng.permutation(array.ravel()), wanted)
        return picked * 2.0 ** rng.uniform(-spread, spread, wanted)

    return Call(tuple(filled(a) if isinstance(a, np.ndarray) else a for a in call.arrays), call.settings)
