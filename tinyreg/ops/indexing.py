"""Indexing, and ops that choose elements: they have no kink, but where the choice changes the gradient jumps with it."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from .. import arguments
from ..core.backend import Array, Backend, Shape, home
from ..core.primitive import primitive
from ..core.tensor import Tensor
from ..creation import as_array
from ..hints import with_axis
from ..symbols import whole
from .scattering import from_front, placed, scatter_add

__all__ = ["argsort", "getitem", "sort", "take", "take_along_axis", "topk"]


class Slot(NamedTuple):
    """The place of an index array in a key."""

    number: int

    def __repr__(self) -> str:
        return f"indices[{self.number}]"


def _filled(key: tuple[Any, ...], arrays: tuple[Array, ...]) -> tuple[Any, ...]:
    return tuple(arrays[part.number] if isinstance(part, Slot) else part for part in key)


@primitive(name="getitem", nondifferentiable=("indices",), expects="indices that are in range and fit the axes")
def index(xp: Backend, x: Array, *indices: Array, key: tuple[Any, ...]) -> Array:
    """x[key], where a `Slot` in the key stands for one of the index arrays. See `getitem`."""
    if len(key) == len(indices) == 1 and indices[0].dtype.kind == "i":
        return xp.take(x, indices[0], axis=0)  # the same, in half of the time
    return x[_filled(key, indices)]


@primitive(name="scatter_add", nondifferentiable=("indices",))
def scatter(xp: Backend, x: Array, *indices: Array, key: tuple[Any, ...], shape: Shape) -> Array:
    """Add x at key to zeros of `shape`: the gradient of `getitem`. Repeated indices add up."""
    if any(array.dtype != "bool" for array in indices):
        axes, short = _short(_filled(key, indices), len(shape))
        n, width = math.prod(shape[:axes]), math.prod(shape[axes:])
        alone = axes == len(short) == 1
        places = from_front(xp, short[0], n) if alone else xp.reshape(xp.arange(n), shape[:axes])[short]
        return scatter_add(xp, shape, xp.reshape(places, (-1,)), xp.reshape(x, (places.size, width)))
    return placed(xp, x, _filled(key, indices), shape)  # nothing is taken twice


def _short(key: tuple[Any, ...], ndim: int) -> tuple[int, tuple[Any, ...]]:
    """Count the axes that a key says something about, and give the key for these: the others are taken whole."""
    where = next((i for i, part in enumerate(key) if part is ...), len(key))
    whole = ndim - sum(map(_axes_taken, key))
    if where < len(key):
        key = (*key[:where], *[slice(None)] * whole, *key[where + 1 :])
        whole = 0
    while key and isinstance(key[-1], slice) and key[-1] == slice(None):
        key, whole = key[:-1], whole + 1
    return ndim - whole, key


def _axes_taken(part: Any) -> int:
    if part is None or part is ... or isinstance(part, bool):
        return 0
    return part.ndim if getattr(part, "dtype", None) == "bool" else 1


@index.vjp("x")
def _(g: Any, x_like: Any, indices: Any, key: tuple[Any, ...]) -> Any:
    """g put back at key, added up where an element was read twice, and 0 elsewhere."""
    return scatter(g, *indices, key=key, shape=x_like.shape)


@scatter.vjp("x")
def _(g: Any, indices: Any, key: tuple[Any, ...]) -> Any:
    """g at key."""
    return index(g, *indices, key=key)


def getitem(x: Tensor | Array, key: Any) -> Tensor:
    """x[key], as in NumPy: integers, slices, `None`, `...`, boolean and integer arrays or tensors, and lists of them.

    Raises `IndexError` where an index is out of range (on CuPy an array index wraps around instead). Derivative: the
    incoming gradient at the elements that were taken, added up where one was taken more than once; 0 elsewhere.

    >>> import tinyreg as tr
    >>> tr.tensor([1.0, 2.0, 3.0])[[0, 0, 2]]
    tensor([1., 1., 3.])
    """
    parts: list[Any] = []
    arguments.arrays("getitem", x=x)
    arrays: list[Any] = []
    for part in key if isinstance(key, tuple) else (key,):
        if isinstance(part, list):
            part = as_array(part, dtype=None if part else "int64")
        if isinstance(part, Tensor) or getattr(part, "ndim", None):
            arrays.append(_on_the_same_backend(part, x))
            part = Slot(len(arrays) - 1)
        parts.append(part)
    return index(x, *arrays, key=tuple(parts))


def _on_the_same_backend(indices: Any, x: Any) -> Any:
    """Bring index arrays from the host to where x is: they are small, and often written by hand."""
    array = indices._array if isinstance(indices, Tensor) else indices
    place = home(x._array if isinstance(x, Tensor) else x)
    return array if place is None or home(array) is place else as_array(array, backend=place.name)


@with_axis
def take(x: Tensor | Array, indices: Tensor | Array, axis: int | None = None) -> Tensor:
    """The elements of x at integer `indices` along `axis`, which only a 1-d x may leave out (as in the array API).

    indices: integers of any shape; their axes take the place of `axis`. Derivative: as of indexing.

    >>> import tinyreg as tr
    >>> tr.take(tr.tensor([[1.0, 2.0, 3.0]]), tr.tensor([2, 0]), axis=1)
    tensor([[3., 1.]])
    """
    arguments.arrays("take", x=x)
    if axis is None and x.ndim != 1:
        raise ValueError(f"take: got an array of {x.ndim} axes and no axis, expected an axis to take along")
    return getitem(x, (slice(None),) * arguments.axis("take", 0 if axis is None else axis, x.ndim) + (indices,))


def take_along_axis(x: Tensor | Array, indices: Tensor | Array, axis: int = -1) -> Tensor:
    """The elements of x at `indices` along `axis`, each line of x by its own line of indices.

    x: of any shape with at least one axis; indices: integers of the same shape but along `axis`, from -n to n - 1 for a
    length of n. Derivative: as of indexing.

    Raises `IndexError` where an index is out of range (on CuPy it wraps around instead).

    >>> import tinyreg as tr
    >>> tr.take_along_axis(tr.tensor([[1.0, 2.0], [3.0, 4.0]]), tr.tensor([[1], [0]]), axis=1)
    tensor([[2.],
            [3.]])
    """
    arguments.arrays("take_along_axis", x=x, indices=indices)
    return picked(x, flat_places(_on_the_same_backend(indices, x), shape=tuple(x.shape), axis=axis))


@primitive(name="take_along_axis", nondifferentiable=("places",))
def picked(xp: Backend, x: Array, places: Array) -> Array:
    """The elements at places of the flattened x, from 0 on. Derivative: g added up at these. See `take_along_axis`."""
    return xp.take(x, places)


@primitive(name="scatter_add", nondifferentiable=("places",))
def scattered(xp: Backend, x: Array, places: Array, /, shape: Shape) -> Array:
    """Add x at places to the flattened zeros of `shape`: the gradient of `take_along_axis`. Derivative: g at these."""
    return scatter_add(xp, shape, xp.reshape(places, (-1,)), xp.reshape(x, (-1, 1)))


picked.vjp("x")(lambda g, x_like, places: scattered(g, places, shape=x_like.shape))
scattered.vjp("x")(lambda g, places: picked(g, places))


@primitive(
    name="take_along_axis",
    nondifferentiable=True,
    expects="integer indices with as many axes as x, in range along the axis",
)
def flat_places(xp: Backend, indices: Array, /, shape: Shape, axis: int) -> Array:
    """Find where the elements at `indices` along `axis` are in an array of this shape, flattened."""
    ndim = len(shape)
    axis = arguments.axis("take_along_axis", axis, ndim)
    if indices.ndim != ndim or indices.dtype.kind not in "iu":
        raise IndexError(f"x has {ndim} axes")
    places = from_front(xp, indices, shape[axis])
    if (stride := math.prod(shape[axis + 1 :])) > 1:
        places = places * stride
    for i in range(ndim):
        if i != axis and shape[i] > 1:
            steps = xp.arange(shape[i]) * math.prod(shape[i + 1 :])
            places = places + xp.reshape(steps, (-1,) + (1,) * (ndim - 1 - i))
    return places


@primitive(nondifferentiable=True)
def argsort(xp: Backend, x: Array, /, axis: int = -1, descending: bool = False) -> Array:
    """The indices that sort x along `axis`; equal elements keep their order. No gradient.

    >>> import tinyreg as tr
    >>> tr.argsort(tr.tensor([3.0, 1.0, 2.0]))
    tensor([1, 2, 0])
    """
    axis = arguments.axis("argsort", axis, x.ndim)
    if not descending:
        return xp.argsort(x, axis=axis, kind="stable")
    backwards = xp.argsort(xp.flip(x, axis=axis), axis=axis, kind="stable")
    return x.shape[axis] - 1 - xp.flip(backwards, axis=axis)


@with_axis
def sort(x: Tensor | Array, axis: int = -1, descending: bool = False) -> Tensor:
    """x sorted along `axis`. Derivative: the incoming gradient, each element's to where it came from; ties in order.

    >>> import tinyreg as tr
    >>> tr.sort(tr.tensor([3.0, 1.0, 2.0]))
    tensor([1., 2., 3.])
    """
    return take_along_axis(x, argsort(x, axis=axis, descending=descending), axis=axis)


@with_axis
def topk(x: Tensor | Array, k: int, axis: int = -1, largest: bool = True) -> tuple[Tensor, Tensor]:
    """The k largest (or smallest) elements along `axis` in order, and their indices (as in PyTorch).

    Raises `ValueError` where there are fewer than k. Derivative of the values: as of `sort`; the indices have none.

    >>> import tinyreg as tr
    >>> values, indices = tr.topk(tr.tensor([3.0, 1.0, 2.0]), 2)
    >>> values, indices
    (tensor([3., 2.]), tensor([0, 2]))
    """
    arguments.arrays("topk", x=x)
    axis = arguments.axis("topk", axis, x.ndim)
    k = arguments.integer("topk", "k", k)
    if not 0 <= k <= x.shape[axis]:
        raise ValueError(f"topk: got k={k}, expected 0 to {x.shape[axis]}, the length of axis {axis}")
    indices = first_of_sorted(x, k=k, axis=axis, descending=largest)
    return take_along_axis(x, indices, axis=axis), indices


@primitive(name="topk", nondifferentiable=True)
@whole
def first_of_sorted(xp: Backend, x: Array, /, k: int, axis: int, descending: bool) -> Array:
    """Give the first k of `argsort`, where that is worth while without sorting the others.

    Of the extremes of many groups the k-th is a bound: at least k elements reach it, and only these are sorted.
    """
    n = x.shape[axis]
    size = min(64, n // (4 * k)) if k else 0
    if size < 4 or not x.size:
        return argsort(x, axis=axis, descending=descending)[(slice(None),) * axis + (slice(0, k),)]
    moved = xp.moveaxis(x, axis, -1)
    lines = xp.reshape(moved, (-1, n))
    groups = xp.reshape(lines[:, : n // size * size], (len(lines), size, n // size))
    if descending:
        bound = xp.partition(xp.max(groups, axis=1), n // size - k, axis=-1)[:, n // size - k, None]
        beyond = lines < bound
    else:
        bound = xp.partition(xp.min(groups, axis=1), k - 1, axis=-1)[:, k - 1, None]
        beyond = lines > bound
    among = xp.flatnonzero(~beyond)  # with NaN, which is neither
    order = argsort(xp.reshape(lines, (-1,))[among], descending=descending)
    order = order[xp.argsort(among[order] // n, kind="stable")]
    starts = xp.searchsorted(among, xp.arange(len(lines)) * n)
    places = among[order[starts[:, None] + xp.arange(k)]] % n
    return xp.moveaxis(xp.reshape(places, (*moved.shape[:-1], k)), -1, axis)
