"""Cases of indexing and of the ops that choose elements."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import hypothesis.strategies as st
import numpy as np

import tinyreg as tr

from ...ops import indexing
from ...ops.indexing import Slot
from ..case import Call, Case
from ..strategies import arrays, shapes

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


@st.composite
def _filled(pick: Pick) -> Call:
    rows = np.array(pick(st.lists(st.integers(-3, 2), max_size=3)), dtype=np.int64)
    return Call((pick(arrays((3, 2))), rows), {"key": (Slot(0), slice(None))})


@st.composite
def _scattered(pick: Pick) -> Call:
    rows = np.array(pick(st.lists(st.integers(-3, 2), max_size=3)), dtype=np.int64)
    return Call((pick(arrays((rows.size, 2))), rows), {"key": (Slot(0), slice(None)), "shape": (3, 2)})


@st.composite
def _taken(pick: Pick) -> Call:
    axis = pick(st.integers(-2, 1))
    indices = np.array(pick(st.lists(st.integers(-2, 1), min_size=1, max_size=4)), dtype=np.int64)
    return Call((pick(arrays((2, 2))), indices.reshape(-1, 1) if pick(st.booleans()) else indices), {"axis": axis})


@st.composite
def _along(pick: Pick) -> Call:
    axis = pick(st.integers(-2, 1))
    shape = (2, 3)
    wide = tuple(pick(st.integers(1, 4)) if i == axis % 2 else n for i, n in enumerate(shape))
    chosen = st.lists(st.integers(0, shape[axis] - 1), min_size=wide[0] * wide[1], max_size=wide[0] * wide[1])
    return Call((pick(arrays(shape)), np.array(pick(chosen), dtype=np.int64).reshape(wide)), {"axis": axis})


@st.composite
def _scattered_along(pick: Pick) -> Call:
    array, indices = pick(_along()).arrays
    values = np.resize(array, indices.shape)
    return Call((values, indices % 2), {"axis": 0, "shape": (2, indices.shape[1])})


@st.composite
def _distinct(pick: Pick) -> Call:
    array = pick(arrays(shapes(min_dims=1), unique=True))
    axis = pick(st.integers(-array.ndim, array.ndim - 1))
    return Call((array,), {"axis": axis, "descending": pick(st.booleans())})


@st.composite
def _largest(pick: Pick) -> Call:
    array = pick(arrays(shapes(min_dims=1), unique=True))
    axis = pick(st.integers(-array.ndim, array.ndim - 1))
    return Call((array,), {"k": pick(st.integers(0, array.shape[axis])), "axis": axis, "largest": pick(st.booleans())})


def _plain(key: Any) -> Any:
    """A key as NumPy takes it: index lists as integer or boolean arrays."""
    if isinstance(key, tuple):
        return tuple(map(_plain, key))
    return np.array(key, dtype=None if key else np.int64) if isinstance(key, list) else key


def _scatter(x: Any, rows: Any, key: Any, shape: Any) -> Any:
    y = np.zeros(shape)
    np.add.at(y, rows, x)
    return y


def _scatter_along(x: Any, indices: Any, axis: int, shape: Any) -> Any:
    y = np.zeros(shape)
    for place in np.ndindex(indices.shape):
        y[(indices[place], place[1])] += x[place]
    return y


def _sort(x: Any, axis: int, descending: bool) -> Any:
    return np.flip(np.sort(x, axis=axis), axis=axis) if descending else np.sort(x, axis=axis)


def _argsort(x: Any, axis: int, descending: bool) -> Any:
    return np.argsort(-x if descending else x, axis=axis, kind="stable")


def _topk(x: Any, k: int, axis: int, largest: bool) -> Any:
    part = (slice(None),) * (axis % x.ndim) + (slice(0, k),)
    return _sort(x, axis, largest)[part], _argsort(x, axis, largest)[part]


CASES = [
    Case(tr.getitem, _keyed(), lambda x, key: x[_plain(key)]),
    Case(indexing.index, _filled(), lambda x, rows, key: x[rows]),
    Case(indexing.scatter, _scattered(), _scatter),
    Case(tr.take, _taken(), np.take),
    Case(tr.take_along_axis, _along(), np.take_along_axis),
    Case(indexing.scatter_along_axis, _scattered_along(), _scatter_along),
    Case(tr.argsort, _distinct(), _argsort, order=0),
    Case(tr.sort, _distinct(), _sort),
    Case(tr.topk, _largest(), _topk),
]
