"""Hypothesis strategies for the calls of ops: values, shapes, axes, and whole calls of the common kinds.

**Values.** Multiples of 1/8, exact and at least 1/8 from kinks and from the edges of a domain, shrink to 1. Three in
eight lie off that grid, by less than 1/16. Where 0 is inside, so are -0.0, subnormals and what lies between. Other
magnitudes, and what is not finite, are no matter of a strategy: properties move single elements there (`extremes`).

**Sizes.** Sides have a heavy tail: mostly 1, 2 and 3, then primes, so that no two axes are alike by chance; up to five
axes; now and then one long axis. All within a budget of elements. Of a small array every element is drawn, and shrinks.
A larger one is filled at random from a few that are, so that drawing takes about as long for any size.

**The budget.** The number of calls is that of the profile. What a property costs hardly depends on the number of elements:
differences are taken along two dense directions, and along every element of a small array but only 6 of a large one. So
space is widened for next to nothing, and time goes to questions: most to differences, of first order, then second; least to
what only compares bits.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import hypothesis.strategies as st
import numpy as np
from hypothesis.strategies import SearchStrategy
from numpy.typing import NDArray

from ..ops.reduction import count
from ..ops.table import REAL, Domain
from .subject import Call

Array = NDArray[Any]
Shape = tuple[int, ...]
Pick = Callable[[SearchStrategy[Any]], Any]

# ---- values ----------------------------------------------------------------------------------------------------------

LIMIT = 3.0
OFF, BESIDE = 0.045, (0.00013, -0.00007, 2.0**-30, -(2.0**-41))  # off the grid, by less than 1/16
SMALL = (1e-3, -0.02, 3e-9, -1e-20, 1e-160, -1e-310, 5e-324)


def eighths(domain: Domain = REAL, away_from: Sequence[float] = ()) -> SearchStrategy[float]:
    """Multiples of 1/8 inside a domain, up to 3 in size, none of them at a kink; 0 comes more often than the others.

    >>> from hypothesis import find
    >>> from tinyreg.testing import strategies
    >>> find(strategies.eighths(away_from=(0.0,)), lambda value: value == -1.125)
    -1.125
    """
    return st.sampled_from(_eighths(domain, away_from))


def values(domain: Domain = REAL, away_from: Sequence[float] = ()) -> SearchStrategy[float]:
    """What `eighths` gives, numbers beside them, and where 0 is no kink, numbers near 0, and -0.0.

    All of them are more than 1/16 from kinks and from the edges of the domain.

    >>> from hypothesis import find
    >>> from tinyreg.testing import strategies
    >>> find(strategies.values(), lambda value: value * 8 % 1 != 0) * 8 % 1 == 0
    False
    """
    return _values(domain, tuple(away_from))


@functools.cache
def _values(domain: Domain, away_from: tuple[float, ...]) -> SearchStrategy[float]:
    grid = _eighths(domain, away_from)
    near = [*[0.0] * 4, *[-0.0] * 2, *SMALL] if 0.0 in grid else []

    def value(k: int) -> float:
        """Of every eight numbers, four are on the grid, three off it, and one is near 0, if that is inside."""
        kind, place, far = k % 8, k // 8 % len(grid), k // 8 // len(grid)
        if kind == 7 and near:
            return near[k // 8 % len(near)]
        if kind < 4:
            return grid[place]
        return grid[place] + (BESIDE[far % len(BESIDE)] if kind == 4 else OFF * math.sin(8 * far + kind))

    return st.sampled_from([value(k) for k in range(2**12)])


def _eighths(domain: Domain, away_from: Sequence[float]) -> list[float]:
    low, high = max(domain.low, -LIMIT), min(domain.high, max(domain.low, 0) + LIMIT)
    multiples = [k / 8 for k in range(math.ceil(low * 8), math.floor(high * 8) + 1)]
    inside = [v for v in multiples if domain.low < v < domain.high and v not in away_from]
    return sorted(inside, key=lambda v: (abs(v - 1), v)) + [0.0] * (3 if 0.0 in inside else 0)


# ---- sizes -----------------------------------------------------------------------------------------------------------

# Asymmetric, so that no axis can stand for another; the first of each list are the plainest, to which examples shrink.
SHORT: list[Shape] = [
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
DIMENSIONS = (1, 2, 2, 3, 3, 3, 4, 4, 5, 5)
SIDES = (1, 2, 3, 1, 2, 3, 1, 2, 3, 2, 3, 4, 5, 7, 4, 5, 7, 0, 11, 13, 29, 53, 67)
LONG = (131, 257, 1031)
BUDGET = 200  # elements of an array that has no long axis
MADE, GROUPS, LONG_ONE_IN = 120, 300, 6  # shapes beside the short ones, and groups that broadcast


def _made(rng: np.random.Generator, least: int = 0) -> Shape:
    """Make a shape within the budget: of up to five axes, each with a heavy tail, or with one long axis."""
    among = [n for n in SIDES if n != 1 or n >= least]
    sides = rng.choice(among, rng.choice(DIMENSIONS))
    while math.prod(sides) > BUDGET:
        sides[np.argmax(sides)] = rng.choice(among)
    if rng.integers(LONG_ONE_IN) == 0:
        sides = np.where(np.arange(len(sides)) == rng.integers(len(sides)), rng.choice(LONG), 1)
    return tuple(map(int, sides))


def _simplicity(*shapes: Shape) -> tuple[int, ...]:
    sizes = [*map(math.prod, shapes)]
    return 0 in sizes, sum(sizes), sum(map(len, shapes))


def _others() -> list[Shape]:
    rng = np.random.default_rng(0)
    return sorted({_made(rng) for _ in range(MADE)} - {*SHORT}, key=_simplicity)


SHAPES = SHORT * 10 + [()] * 15 + _others()
"""Of which strategies draw: more than half are short, one in ten is that of a number, the others are within the budget."""


@functools.cache
def shapes(
    min_dims: int = 0, max_dims: int = 5, min_side: int = 0, max_side: int = LONG[-1], budget: int = LONG[-1]
) -> SearchStrategy[Shape]:
    """Shapes of up to five axes, mostly short and of different lengths, perhaps empty ones, now and then a long one.

    >>> from hypothesis import find
    >>> from tinyreg.testing import strategies
    >>> find(strategies.shapes(), lambda shape: shape == (2, 3))
    (2, 3)
    """
    return st.sampled_from([s for s in SHAPES if min_dims <= len(s) <= max_dims and _fits(s, min_side, max_side, budget)])


def _fits(shape: Shape, min_side: int, max_side: int, budget: int) -> bool:
    return all(min_side <= n <= max_side for n in shape) and math.prod(shape) <= budget


@functools.cache
def broadcasting(n: int, budget: int = LONG[-1]) -> SearchStrategy[tuple[Shape, ...]]:
    """Shapes of n arrays that broadcast against each other: any axis of any of them may be 1, or, in front, not there.

    >>> import numpy as np
    >>> from hypothesis import find
    >>> from tinyreg.testing import strategies
    >>> a, b = find(strategies.broadcasting(2), lambda shapes: len(shapes[0]) > len(shapes[1]))
    >>> len(np.broadcast_shapes(a, b)) == len(a)
    True
    """
    if n == 1:
        return st.tuples(shapes(budget=budget))
    rng = np.random.default_rng(n)
    groups = {(whole,) * n for whole in SHORT}
    for _ in range(GROUPS):
        whole = _made(rng, least=2)  # so that 1 stands for an axis that broadcasts
        groups.add(tuple(_part(whole, rng) for _ in range(n)))
    fitting = [group for group in groups if math.prod(np.broadcast_shapes(*group)) <= budget]
    return st.sampled_from(sorted(fitting, key=lambda group: _simplicity(*group)))


def _part(whole: Shape, rng: np.random.Generator) -> Shape:
    """Make a shape that broadcasts to another: with axes of 1, and maybe with fewer axes."""
    some = tuple(1 if rng.random() < 0.45 else n for n in whole)
    return some[rng.integers(len(whole) + 1) :] if rng.random() < 0.25 else some


@st.composite
def resized(pick: Pick, *shapes: Shape, fixed: Sequence[int] = ()) -> tuple[Shape, ...]:
    """Shapes with other sides in place of 2 and 3, the same in all of them, so that they fit together as before.

    fixed: axes, counted from the front, that stay as they are.

    >>> from hypothesis import find
    >>> from tinyreg.testing import strategies
    >>> find(strategies.resized((2, 3), (3,)), lambda shapes: shapes[0] == (5, 7))
    ((5, 7), (7,))
    """
    other = {2: pick(st.sampled_from(TWOS)), 3: pick(st.sampled_from(THREES))}
    return tuple(tuple(n if k in fixed else other.get(n, n) for k, n in enumerate(shape)) for shape in shapes)


TWOS, THREES = (2, 2, 2, 5, 4), (3, 3, 7, 11)

EACH = 6  # of an array of up to so many elements every one is drawn; of a larger one, so many


def arrays(
    shape: Shape | SearchStrategy[Shape],
    elements: SearchStrategy[Any] | None = None,
    *,
    unique: bool = False,
    dtype: Any = np.float64,
) -> SearchStrategy[Array]:
    """Arrays in which every element is drawn, or, if there are many, a few that are put everywhere at random.

    unique: no two elements are equal. A large array then has sizes that differ by 1/8, and signs, whatever `elements` says.

    >>> from hypothesis import find
    >>> from tinyreg.testing import strategies
    >>> find(strategies.arrays((2,)), lambda x: x[0] < x[1]).shape
    (2,)
    """
    drawn = values() if elements is None else elements
    if unique and elements is None:
        drawn = eighths()
    return _array(shape, drawn, unique, dtype)


@st.composite  # not within `arrays`, which is called at each draw: Hypothesis reads the source of each new function
def _array(pick: Pick, shape: Shape | SearchStrategy[Shape], drawn: SearchStrategy[Any], unique: bool, dtype: Any) -> Array:
    sides = shape if isinstance(shape, tuple) else pick(shape)
    size = math.prod(sides)
    if size <= EACH:
        return np.array(pick(st.lists(drawn, min_size=size, max_size=size, unique=unique)), dtype).reshape(sides)
    some = [] if unique else pick(st.lists(drawn, min_size=EACH, max_size=EACH))
    rng = np.random.default_rng(pick(st.integers(0, 2**32 - 1)))
    if not unique:
        return rng.choice(np.array(some, dtype), sides)
    apart: Array = rng.permutation(np.arange(0.0, size)).reshape(sides) / 8 * rng.choice([-1.0, 1.0], sides)
    return apart


# ---- settings --------------------------------------------------------------------------------------------------------


def axes(ndim: int) -> SearchStrategy[int | tuple[int, ...] | None]:
    """One axis or several, counted from the front or the end, or all.

    >>> from hypothesis import find
    >>> from tinyreg.testing import strategies
    >>> find(strategies.axes(3), lambda axis: axis == -1)
    -1
    """
    if ndim == 0:
        return st.none()
    one = st.integers(-ndim, ndim - 1)
    several = st.lists(one, min_size=1, max_size=ndim, unique_by=lambda axis: axis % ndim).map(tuple)
    return st.one_of(one, st.none(), several)


# ---- calls -----------------------------------------------------------------------------------------------------------


def calls(*arrays: SearchStrategy[Any], **settings: SearchStrategy[Any]) -> SearchStrategy[Call]:
    """Calls from a strategy for each array, or Python number, and each setting.

    >>> from hypothesis import find
    >>> from tinyreg.testing import strategies
    >>> import hypothesis.strategies as st
    >>> calls = strategies.calls(strategies.arrays((2,)), width=st.sampled_from([0.5, 2.0]))
    >>> find(calls, lambda call: call.settings["width"] > 1).settings
    {'width': 2.0}
    """
    return st.builds(Call, st.tuples(*arrays), st.fixed_dictionaries(settings))


def elementwise(
    *domains: Domain,
    away_from: Sequence[float] = (),
    apart: bool = False,
    elements: SearchStrategy[float] | None = None,
    **settings: SearchStrategy[Any],
) -> SearchStrategy[Call]:
    """Calls of an elementwise op with one argument for each domain, of shapes that broadcast.

    apart: no element of one argument comes within 1/32 of one of another. elements: what to draw from instead of the
    domains.

    >>> from hypothesis import find
    >>> from tinyreg.testing import strategies
    >>> find(strategies.elementwise(), lambda call: call.arrays[0].shape == (2, 3)).arrays[0].shape
    (2, 3)
    """
    drawn = [values(domain, away_from) if elements is None else elements for domain in domains or (REAL,)]
    if apart:
        drawn = [one.map(near_odd if i else near_even) for i, one in enumerate(drawn)]

    @st.composite
    def draw(pick: Pick) -> Call:
        pairs = zip(pick(broadcasting(len(drawn))), drawn, strict=True)
        picked = [pick(arrays(shape, one)) for shape, one in pairs]
        return Call(tuple(picked), pick(st.fixed_dictionaries(settings)))

    return draw()


def near_even(value: float) -> float:
    """Give a number that is less than 1/64 from a multiple of 1/8, made of one from `values`.

    >>> from tinyreg.testing import strategies
    >>> strategies.near_even(0.95)
    0.9875
    """
    multiple = round(8 * value) / 8
    return multiple + (value - multiple) / 4


def near_odd(value: float) -> float:
    """Give one that is less than 1/64 from an odd multiple of 1/16: at least 1/32 from any that `near_even` gives.

    >>> from tinyreg.testing import strategies
    >>> strategies.near_odd(0.95)
    1.05
    """
    return near_even(value) + 1 / 16


def reductions(
    elements: SearchStrategy[float] | None = None,
    *,
    least: int = 0,
    unique: bool = False,
    axis: Callable[[int], SearchStrategy[Any]] = axes,
    min_dims: int = 0,
    max_dims: int = 5,
    budget: int = LONG[-1],
    **settings: SearchStrategy[Any],
) -> SearchStrategy[Call]:
    """Calls of an op on one array with `axis`, and with `keepdims` and other settings as strategies.

    least: how many elements there are along the axes at least; an axis that stays may be empty whatever it says.

    >>> from hypothesis import find
    >>> from tinyreg.testing import strategies
    >>> find(strategies.reductions(), lambda call: call.settings["axis"] == -1).settings
    {'axis': -1}
    """

    @st.composite
    def draw(pick: Pick) -> Call:
        shape = pick(shapes(min_dims, max_dims, budget=budget).filter(lambda s: max((math.prod(s), *s)) >= least))
        chosen = pick(axis(len(shape)).filter(lambda a: count(shape, a) >= least))
        drawn = {"axis": chosen, **pick(st.fixed_dictionaries(settings))}
        return Call((pick(arrays(shape, elements, unique=unique)),), drawn)

    return draw()
