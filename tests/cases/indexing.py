"""Cases of indexing and of the ops that choose elements."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import hypothesis.strategies as st
import numpy as np

import tinyreg as tr
from tinyreg.ops import indexing
from tinyreg.ops.indexing import Slot
from tinyreg.testing import Call, Case, at
from tinyreg.testing.strategies import arrays, shapes

Pick = Callable[[Any], Any]

KEYS: list[Any] = [
    1,
    -1,
    slice(None, None, -1),
    slice(1, 3),
    (slice(None), None, 1),
    (..., 0),
    (..., None),
    (0, ..., slice(None, None, 2)),
    (1, 2, 0),
    [0, 2, 0],
    (slice(None), [1, 1]),
    ([0, 2], slice(None), [1, 1]),
    ([[0], [2]], [1, 0]),
    ([True, False, True],),
    (..., [False, False]),
    [],
]


@st.composite
def _keyed(pick: Pick) -> Call:
    key = pick(st.sampled_from(KEYS))
    return Call((pick(arrays((3, 4, 2))),), {"key": key})


INDEX_KEYS: list[tuple[tuple[Any, ...], int]] = [
    ((Slot(0), slice(None)), 1),
    ((slice(None), Slot(0)), 1),
    ((..., None, Slot(0)), 1),
    ((Slot(0), Slot(1)), 2),
    ((slice(None, None, -1), 1), 0),
]


def _resolved(key: Any, indices: Any) -> Any:
    """The key with arrays in the places of its slots."""
    return tuple(indices[part.number] if isinstance(part, Slot) else part for part in key)


@st.composite
def _indices(pick: Pick, low: int, high: int, shape: tuple[int, ...]) -> Any:
    return pick(arrays(shape, st.integers(low, high), dtype=np.int64))


@st.composite
def _filled(pick: Pick) -> Call:
    key, n = pick(st.sampled_from(INDEX_KEYS))
    shape = pick(st.sampled_from([(3,), (1,), (2, 2), (0,), ()]))
    return Call(
        (pick(arrays(st.sampled_from([(3, 2), (2, 3)]))), *(pick(_indices(-2, 1, shape)) for _ in range(n))), {"key": key}
    )


@st.composite
def _scattered(pick: Pick) -> Call:
    (target, *indices), settings = pick(_filled())
    taken = target[_resolved(settings["key"], indices)]
    return Call((pick(arrays(taken.shape)), *indices), {**settings, "shape": target.shape})


@st.composite
def _taken(pick: Pick) -> Call:
    x = pick(arrays(shapes(min_dims=1, max_dims=4).filter(lambda shape: max(shape) > 1)))
    long = [k - past for k, n in enumerate(x.shape) for past in (0, x.ndim) if n > 1]
    axis = pick(st.one_of(st.sampled_from(long), *[st.none()] * (x.ndim == 1)))
    indices = pick(_indices(-2, 1, pick(st.sampled_from([(3,), (2, 1), (0,), ()]))))
    return Call((x, indices), {"axis": axis})


@st.composite
def _along(pick: Pick) -> Call:
    shape = pick(shapes(min_dims=1).filter(any))
    axis = pick(st.sampled_from([k - past for k, n in enumerate(shape) for past in (0, len(shape)) if n]))
    wide = tuple(pick(st.integers(0, 4)) if i == axis % len(shape) else n for i, n in enumerate(shape))
    return Call((pick(arrays(shape)), pick(_indices(0, shape[axis] - 1, wide))), {"axis": axis})


@st.composite
def _placed(pick: Pick) -> Call:
    (target, indices), settings = pick(_along())
    return Call((indices,), {**settings, "shape": target.shape})


@st.composite
def _picked(pick: Pick) -> Call:
    x = pick(arrays(st.sampled_from([(3,), (2, 3), (2, 1, 2)])))
    return Call((x, pick(_indices(0, x.size - 1, pick(st.sampled_from([(3,), (2, 2), (0,), ()]))))), {})


@st.composite
def _scattered_flat(pick: Pick) -> Call:
    (target, places), _ = pick(_picked())
    return Call((pick(arrays(places.shape)), places), {"shape": target.shape})


@st.composite
def _distinct(pick: Pick) -> Call:
    array = pick(arrays(shapes(min_dims=1), unique=True))
    axis = pick(st.integers(-array.ndim, array.ndim - 1))
    return Call((array,), {"axis": axis, "descending": pick(st.booleans())})


@st.composite
def _with_ties(pick: Pick) -> Call:
    array = pick(arrays(shapes(min_dims=1), st.sampled_from([1.0, 0.0, -2.0])))
    axis = pick(st.integers(-array.ndim, array.ndim - 1))
    return Call((array,), {"axis": axis, "descending": pick(st.booleans())})


@st.composite
def _largest(pick: Pick) -> Call:
    array = pick(arrays(shapes(min_dims=1), unique=True))
    axis = pick(st.integers(-array.ndim, array.ndim - 1))
    return Call((array,), {"k": pick(st.integers(0, array.shape[axis])), "axis": axis, "largest": pick(st.booleans())})


@st.composite
def _beyond(pick: Pick) -> Call:
    """Long enough that not everything is sorted; with ties, and with NaN."""
    shape, axis = pick(st.sampled_from([((70,), 0), ((2, 65), 1), ((65, 2), 0)]))
    array = pick(arrays(shape, st.sampled_from([1.0, 0.0, -2.0, math.inf, math.nan])))
    return Call((array,), {"k": pick(st.integers(0, 20)), "axis": axis, "descending": pick(st.booleans())})


def _plain(key: Any) -> Any:
    """A key as NumPy takes it: index lists as integer or boolean arrays."""
    if isinstance(key, tuple):
        return tuple(map(_plain, key))
    return np.array(key, dtype=None if key else np.int64) if isinstance(key, list) else key


def _scatter(x: Any, *indices: Any, key: Any, shape: Any) -> Any:
    y = np.zeros(shape)
    np.add.at(y, _resolved(key, indices), x)
    return y


def _scatter_flat(x: Any, places: Any, shape: Any) -> Any:
    return _scatter(x, places, key=(Slot(0),), shape=math.prod(shape)).reshape(shape)


def _flat_places(indices: Any, shape: Any, axis: int) -> Any:
    return np.take_along_axis(np.arange(math.prod(shape)).reshape(shape), indices, axis)


def _sort(x: Any, axis: int, descending: bool) -> Any:
    return np.flip(np.sort(x, axis=axis), axis=axis) if descending else np.sort(x, axis=axis)


def _argsort(x: Any, axis: int, descending: bool) -> Any:
    return np.argsort(-x if descending else x, axis=axis, kind="stable")


def _first(x: Any, k: int, axis: int, descending: bool) -> Any:
    places = np.flip(np.argsort(np.flip(x, axis), axis=axis, kind="stable"), axis)
    order = x.shape[axis] - 1 - places if descending else np.argsort(x, axis=axis, kind="stable")
    return np.moveaxis(np.moveaxis(order, axis, 0)[:k], 0, axis)


def _topk(x: Any, k: int, axis: int, largest: bool) -> Any:
    part = (slice(None),) * (axis % x.ndim) + (slice(0, k),)
    return _sort(x, axis, largest)[part], _argsort(x, axis, largest)[part]


CASES = [
    Case(tr.getitem, _keyed(), lambda x, key: x[_plain(key)], reach=math.inf),
    Case(indexing.index, _filled(), lambda x, *indices, key: x[_resolved(key, indices)], reach=math.inf),
    Case(indexing.scatter, _scattered(), _scatter, reach=math.inf),
    Case(tr.take, _taken(), np.take, reach=math.inf),
    Case(tr.take_along_axis, _along(), np.take_along_axis, reach=math.inf),
    Case(indexing.flat_places, _placed(), _flat_places, order=0),
    Case(indexing.picked, _picked(), np.take, reach=math.inf),
    Case(indexing.scattered, _scattered_flat(), _scatter_flat, reach=math.inf),
    Case(indexing.first_of_sorted, _beyond(), _first, order=0, private=True),
    Case(tr.argsort, _with_ties(), _argsort, order=0),
    Case(
        tr.sort,
        _distinct(),
        _sort,
        points=[at([1.0, 1.0], gradient=[1.0, 1.0]), at([1.0, 0.0, 1.0], descending=True, gradient=[1.0, 1.0, 1.0])],
    ),
    Case(
        tr.topk,
        _largest(),
        _topk,
        points=[
            at([1.0, 1.0], k=1, gradient=[1.0, 0.0]),
            at([1.0, 2.0, 1.0], k=1, largest=False, gradient=[1.0, 0.0, 0.0]),
        ],
    ),
]
