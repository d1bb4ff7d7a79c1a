"""Hypothesis strategies for the calls of ops: values, shapes, axes, and whole calls of the common kinds.

Values are multiples of 1/8: exact, at least 1/16 from kinks and from the edges of a domain, and they shrink to 1.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import hypothesis.extra.numpy as hnp
import hypothesis.strategies as st
import numpy as np
from hypothesis.strategies import SearchStrategy
from numpy.typing import NDArray

from ..ops.table import REAL, Domain
from .case import Call

Array = NDArray[Any]
Shape = tuple[int, ...]

LIMIT = 3.0


def values(domain: Domain = REAL, away_from: Sequence[float] = ()) -> SearchStrategy[float]:
    """Multiples of 1/8 inside a domain, up to 3 in size, and none of them at a kink."""
    low, high = max(domain.low, -LIMIT), min(domain.high, max(domain.low, 0) + LIMIT)
    found = [k / 8 for k in range(math.ceil(low * 8), math.floor(high * 8) + 1)]
    inside = [v for v in found if domain.low < v < domain.high and v not in away_from]
    return st.sampled_from(sorted(inside, key=lambda v: (abs(v - 1), v)))


def shapes(min_dims: int = 0, max_dims: int = 3, min_side: int = 0, max_side: int = 3) -> SearchStrategy[Shape]:
    """Shapes with few short axes, perhaps empty ones."""
    return hnp.array_shapes(min_dims=min_dims, max_dims=max_dims, min_side=min_side, max_side=max_side)


def arrays(
    shape: Shape | SearchStrategy[Shape], elements: SearchStrategy[float] | None = None, *, unique: bool = False
) -> SearchStrategy[Array]:
    """float64 arrays in which every element is drawn."""
    return hnp.arrays(
        np.float64, shape, elements=values() if elements is None else elements, unique=unique, fill=st.nothing()
    )


def axes(ndim: int) -> SearchStrategy[int | tuple[int, ...] | None]:
    """One axis (also counted from the end), several, or all."""
    if ndim == 0:
        return st.none()
    one = st.integers(-ndim, ndim - 1)
    several = st.lists(st.integers(0, ndim - 1), min_size=1, max_size=ndim, unique=True).map(tuple)
    return st.one_of(one, st.none(), several)


def calls(*arrays: SearchStrategy[Array], **settings: SearchStrategy[Any]) -> SearchStrategy[Call]:
    """Calls from a strategy for each array and each setting."""
    return st.builds(Call, st.tuples(*arrays), st.fixed_dictionaries(settings))


def elementwise(
    *domains: Domain, away_from: Sequence[float] = (), apart: bool = False, **settings: SearchStrategy[Any]
) -> SearchStrategy[Call]:
    """Calls of an elementwise op with one argument for each domain, of shapes that broadcast; `apart`: never equal."""
    domains = domains or (REAL,)

    @st.composite
    def draw(pick: Callable[[SearchStrategy[Any]], Any]) -> Call:
        shapes = pick(hnp.mutually_broadcastable_shapes(num_shapes=len(domains), min_side=0, max_dims=3, max_side=3))
        picked = []
        for i, (domain, shape) in enumerate(zip(domains, shapes.input_shapes, strict=True)):
            drawn = pick(arrays(shape, values(domain, away_from)))
            picked.append(drawn + 1 / 16 if apart and i else drawn)
        return Call(tuple(picked), pick(st.fixed_dictionaries(settings)))

    return draw()


def reductions(
    domain: Domain = REAL,
    *,
    away_from: Sequence[float] = (),
    min_side: int = 0,
    unique: bool = False,
    axis: Callable[[int], SearchStrategy[Any]] = axes,
    min_dims: int = 0,
    max_dims: int = 3,
    **settings: SearchStrategy[Any],
) -> SearchStrategy[Call]:
    """Calls of an op on one array with `axis`, and with `keepdims` and other settings as strategies."""

    @st.composite
    def draw(pick: Callable[[SearchStrategy[Any]], Any]) -> Call:
        shape = pick(shapes(min_dims, max_dims, min_side))
        array = pick(arrays(shape, values(domain, away_from), unique=unique))
        drawn = {"axis": pick(axis(len(shape))), **pick(st.fixed_dictionaries(settings))}
        return Call((array,), drawn)

    return draw()
