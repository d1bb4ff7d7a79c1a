"""Indexing, and ops that choose elements: they have no kink, but where the choice changes the gradient jumps with it."""

from __future__ import annotations

from typing import Any, NamedTuple

from ..core.backend import Array, Backend, Shape, home
from ..core.primitive import primitive
from ..core.tensor import Tensor
from ..creation import as_array
from ..signature import with_axis


class Slot(NamedTuple):
    """The place of an index array in a key."""

    number: int

    def __repr__(self) -> str:
        return f"indices[{self.number}]"


def _filled(key: tuple[Any, ...], arrays: tuple[Array, ...]) -> tuple[Any, ...]:
    return tuple(arrays[part.number] if isinstance(part, Slot) else part for part in key)


@primitive(nondifferentiable=("indices",), expects="indices that are in range and fit the axes")
def index(xp: Backend, x: Array, *indices: Array, key: tuple[Any, ...]) -> Array:
    """x[key], where a `Slot` in the key stands for one of the index arrays. See `getitem`."""
    return x[_filled(key, indices)]


@primitive(nondifferentiable=("indices",))
def scatter(xp: Backend, x: Array, *indices: Array, key: tuple[Any, ...], shape: Shape) -> Array:
    """Zeros of `shape` to which x is added at key: the way back of `index`. Repeated indices add up."""
    y = xp.zeros(shape, dtype=x.dtype)
    if indices:
        xp.add.at(y, _filled(key, indices), x)
    else:
        y[key] = x
    return y


@index.vjp("x")
def _(g: Any, x_like: Any, indices: Any, key: tuple[Any, ...]) -> Any:
    return scatter(g, *indices, key=key, shape=x_like.shape)


@scatter.vjp("x")
def _(g: Any, indices: Any, key: tuple[Any, ...]) -> Any:
    return index(g, *indices, key=key)


def getitem(x: Any, key: Any) -> Any:
    """x[key], as in NumPy: integers, slices, `None`, `...`, boolean and integer arrays or tensors, and lists of them.

    Raises `IndexError` where an index is out of range (on CuPy an array index wraps around instead). Derivative: the
    incoming gradient at the elements that were taken, added up where one was taken more than once; 0 elsewhere.

    >>> import tinyreg as tr
    >>> tr.tensor([1.0, 2.0, 3.0])[[0, 0, 2]]
    tensor([1., 1., 3.])
    """
    parts: list[Any] = []
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
    """Index arrays from the host go to where x is: they are small, and often written by hand."""
    array = indices._array if isinstance(indices, Tensor) else indices
    place = home(x._array if isinstance(x, Tensor) else x)
    return array if place is None or home(array) is place else as_array(array, backend=place.name)


@with_axis
def take(x: Any, indices: Any, axis: int | None = None) -> Any:
    """The elements of x at integer `indices` along `axis`, which only a 1-d x may leave out (as in the array API).

    indices: integers of any shape; their axes take the place of `axis`. Derivative: as of indexing.

    >>> import tinyreg as tr
    >>> tr.take(tr.tensor([[1.0, 2.0, 3.0]]), tr.tensor([2, 0]), axis=1)
    tensor([[3., 1.]])
    """
    if axis is None and x.ndim != 1:
        raise ValueError(f"take: got an array of {x.ndim} axes and no axis, expected an axis to take along")
    return getitem(x, (slice(None),) * ((axis or 0) % x.ndim) + (indices,))


def _grid(xp: Backend, indices: Array, axis: int, ndim: int) -> tuple[Array, ...]:
    """Index arrays that say of every element of `indices` where it is, with `indices` itself along `axis`."""

    def along(i: int) -> Array:
        return xp.reshape(xp.arange(indices.shape[i]), tuple(-1 if j == i else 1 for j in range(ndim)))

    return tuple(indices if i == axis % ndim else along(i) for i in range(ndim))


@primitive(nondifferentiable=("indices",), expects="integer indices with as many axes as x, in range along the axis")
def take_along_axis(xp: Backend, x: Array, indices: Array, *, axis: int = -1) -> Array:
    """The elements of x at `indices` along `axis`, each line of x by its own line of indices.

    x: of any shape; indices: integers of the same shape but along `axis`. Derivative: as of indexing.

    >>> import tinyreg as tr
    >>> tr.take_along_axis(tr.tensor([[1.0, 2.0], [3.0, 4.0]]), tr.tensor([[1], [0]]), axis=1)
    tensor([[2.],
            [3.]])
    """
    return xp.take_along_axis(x, indices, axis=axis)


@primitive(nondifferentiable=("indices",))
def scatter_along_axis(xp: Backend, x: Array, indices: Array, *, axis: int, shape: Shape) -> Array:
    """Zeros of `shape` to which x is added at `indices` along `axis`: the way back of `take_along_axis`."""
    y = xp.zeros(shape, dtype=x.dtype)
    xp.add.at(y, _grid(xp, indices, axis, len(shape)), x)
    return y


@take_along_axis.vjp("x")
def _(g: Any, x_like: Any, indices: Any, axis: int) -> Any:
    return scatter_along_axis(g, indices, axis=axis, shape=x_like.shape)


@scatter_along_axis.vjp("x")
def _(g: Any, indices: Any, axis: int) -> Any:
    return take_along_axis(g, indices, axis=axis)


@primitive(nondifferentiable=True)
def argsort(xp: Backend, x: Array, *, axis: int = -1, descending: bool = False) -> Array:
    """The indices that sort x along `axis`; equal elements keep their order. No gradient.

    >>> import tinyreg as tr
    >>> tr.argsort(tr.tensor([3.0, 1.0, 2.0]))
    tensor([1, 2, 0])
    """
    if not descending:
        return xp.argsort(x, axis=axis, kind="stable")
    backwards = xp.argsort(xp.flip(x, axis=axis), axis=axis, kind="stable")
    return x.shape[axis] - 1 - xp.flip(backwards, axis=axis)


@with_axis
def sort(x: Any, axis: int = -1, descending: bool = False) -> Any:
    """x sorted along `axis`. Derivative: the incoming gradient, each element's to where it came from; ties in order.

    >>> import tinyreg as tr
    >>> tr.sort(tr.tensor([3.0, 1.0, 2.0]))
    tensor([1., 2., 3.])
    """
    return take_along_axis(x, argsort(x, axis=axis, descending=descending), axis=axis)


@with_axis
def topk(x: Any, k: int, axis: int = -1, largest: bool = True) -> tuple[Any, Any]:
    """The k largest (or smallest) elements along `axis` in order, and their indices (as in PyTorch).

    Raises `ValueError` where there are fewer than k. Derivative of the values: as of `sort`; the indices have none.

    >>> import tinyreg as tr
    >>> values, indices = tr.topk(tr.tensor([3.0, 1.0, 2.0]), 2)
    >>> values, indices
    (tensor([3., 2.]), tensor([0, 2]))
    """
    if not 0 <= k <= x.shape[axis]:
        raise ValueError(f"topk: got k = {k}, expected 0 to {x.shape[axis]}, the length of axis {axis}")
    order = argsort(x, axis=axis, descending=largest)
    indices = getitem(order, (slice(None),) * (axis % x.ndim) + (slice(0, k),))
    return take_along_axis(x, indices, axis=axis), indices
