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

from ..ops.reduction import count
from ..ops.table import REAL, Domain
from .subject import Call

Array = NDArray[Any]
Shape = tuple[int, ...]

LIMIT = 3.0


def values(domain: Domain = REAL, away_from: Sequence[float] = ()) -> SearchStrategy[float]:
    """Multiples of 1/8 inside a domain, up to 3 in size, none of them at a kink; 0 comes more often than the others."""
    low, high = max(domain.low, -LIMIT), min(domain.high, max(domain.low, 0) + LIMIT)
    multiples = [k / 8 for k in range(math.ceil(low * 8), math.floor(high * 8) + 1)]
    inside = [v for v in multiples if domain.low < v < domain.high and v not in away_from]
    return st.sampled_from(sorted(inside, key=lambda v: (abs(v - 1), v)) + [0.0] * (3 if 0.0 in inside else 0))


# Asymmetric, so that no axis can stand for another; the first of each list are the plainest, to which examples shrink.
SHAPES: list[Shape] = [
    (),
    (1,),
    (2,),
    (3,),
    (2, 3),
    (3, 2),
    (1, 2),
    (3, 1),
    (1, 1),
    (2, 3, 2),
    (3, 2, 2),
    (2, 1, 3),
    (0,),
    (2, 0),
    (0, 2, 3),
]
PAIRS: list[tuple[Shape, Shape]] = [
    ((), ()),
    ((1,), (1,)),
    ((3,), (3,)),
    ((2, 3), (2, 3)),
    ((3,), ()),
    ((), (2,)),
    ((2, 3), (3,)),
    ((2,), (3, 2)),
    ((2, 1), (1, 3)),
    ((2, 3), (2, 1)),
    ((1,), (3, 2)),
    ((2, 1, 3), (2, 1)),
    ((2,), (3, 1, 1)),
    ((2, 3, 2), (2, 3, 2)),
    ((0,), (1,)),
    ((2, 0), ()),
    ((1, 2), (0, 1)),
]


def shapes(min_dims: int = 0, max_dims: int = 3, min_side: int = 0, max_side: int = 3) -> SearchStrategy[Shape]:
    """Shapes with few short axes of different lengths, perhaps empty ones."""
    return st.sampled_from(
        [s for s in SHAPES if min_dims <= len(s) <= max_dims and all(min_side <= n <= max_side for n in s)]
    )


def broadcasting(n: int) -> SearchStrategy[tuple[Shape, ...]]:
    """Shapes of n arrays that broadcast against each other."""
    if n == 1:
        return st.tuples(shapes())
    if n == 2:
        return st.sampled_from(PAIRS)
    several = hnp.mutually_broadcastable_shapes(num_shapes=n, min_side=0, max_dims=3, max_side=3)
    return several.map(lambda drawn: drawn.input_shapes)


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


def calls(*arrays: SearchStrategy[Any], **settings: SearchStrategy[Any]) -> SearchStrategy[Call]:
    """Calls from a strategy for each array, or Python number, and each setting."""
    return st.builds(Call, st.tuples(*arrays), st.fixed_dictionaries(settings))


def elementwise(
    *domains: Domain,
    away_from: Sequence[float] = (),
    apart: bool = False,
    elements: SearchStrategy[float] | None = None,
    **settings: SearchStrategy[Any],
) -> SearchStrategy[Call]:
    """Calls of an elementwise op with one argument for each domain, of shapes that broadcast.

    apart: no element of one argument equals one of another. elements: what to draw from instead of the domains.
    """
    domains = domains or (REAL,)

    @st.composite
    def draw(pick: Callable[[SearchStrategy[Any]], Any]) -> Call:
        picked = []
        for i, (domain, shape) in enumerate(zip(domains, pick(broadcasting(len(domains))), strict=True)):
            drawn = pick(arrays(shape, values(domain, away_from) if elements is None else elements))
            picked.append(drawn + 1 / 16 if apart and i else drawn)
        return Call(tuple(picked), pick(st.fixed_dictionaries(settings)))

    return draw()


def reductions(
    elements: SearchStrategy[float] | None = None,
    *,
    least: int = 0,
    unique: bool = False,
    axis: Callable[[int], SearchStrategy[Any]] = axes,
    min_dims: int = 0,
    max_dims: int = 3,
    **settings: SearchStrategy[Any],
) -> SearchStrategy[Call]:
    """Calls of an op on one array with `axis`, and with `keepdims` and other settings as strategies.

    least: how many elements there are along the axes at least; an axis that stays may be empty whatever it says.
    """

    @st.composite
    def draw(pick: Callable[[SearchStrategy[Any]], Any]) -> Call:
        shape = pick(shapes(min_dims, max_dims).filter(lambda s: max((math.prod(s), *s)) >= least))
        chosen = pick(axis(len(shape)).filter(lambda a: count(shape, a) >= least))
        drawn = {"axis": chosen, **pick(st.fixed_dictionaries(settings))}
        return Call((pick(arrays(shape, elements, unique=unique)),), drawn)

    return draw()
