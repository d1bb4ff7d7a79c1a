"""Ops that change the shape of an array, repeat it, or put arrays together. None of them has a kink."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

from .. import arguments
from ..arguments import integer
from ..core.backend import Array, Backend, Shape
from ..core.primitive import primitive
from ..core.tensor import Tensor
from ..hints import with_axis
from .indexing import getitem
from .scattering import placed

__all__ = [
    "broadcast_to",
    "concat",
    "expand_dims",
    "flatten",
    "flip",
    "matrix_transpose",
    "pad",
    "permute_dims",
    "reshape",
    "roll",
    "split",
    "squeeze",
    "stack",
    "tile",
    "unstack",
]


@primitive(expects="a shape of as many elements, with at most one -1")
def reshape(xp: Backend, x: Array, /, shape: int | Sequence[int]) -> Array:
    """x with another shape, in C order; one length may be -1, and is then worked out.

    Derivative: the incoming gradient in the shape of x.

    >>> import tinyreg as tr
    >>> tr.reshape(tr.arange(4), (2, -1))
    tensor([[0, 1],
            [2, 3]])
    """
    return xp.reshape(x, shape)


reshape.vjp("x")(lambda g, x_like: reshape(g, shape=x_like.shape))


def reshape_method(x: Tensor | Array, *shape: int | Sequence[int]) -> Tensor:
    """`reshape`, with the lengths as one tuple or one by one."""
    lengths: Any = shape[0] if len(shape) == 1 else shape
    return reshape(x, shape=lengths)


def flatten(x: Tensor | Array) -> Tensor:
    """All elements of x along one axis, in C order.

    >>> import tinyreg as tr
    >>> tr.flatten(tr.ones((2, 2)))
    tensor([1., 1., 1., 1.])
    """
    return reshape(x, shape=(-1,))


@primitive(expects="each axis of x once")
def permute_dims(xp: Backend, x: Array, /, axes: Sequence[int]) -> Array:
    """x with its axes in another order: axis i of the result is axis axes[i] of x.

    Derivative: the incoming gradient with the axes put back.

    >>> import tinyreg as tr
    >>> tr.permute_dims(tr.ones((2, 3, 4)), (2, 0, 1)).shape
    (4, 2, 3)
    """
    return xp.transpose(x, axes)


@permute_dims.vjp("x")
def _(g: Any, axes: tuple[int, ...]) -> Any:
    order = arguments.axes("permute_dims", axes, g.ndim)
    return permute_dims(g, axes=tuple(order.index(i) for i in range(g.ndim)))


def transpose_method(x: Tensor | Array, *axes: int | Sequence[int]) -> Tensor:
    """`permute_dims`, with the axes as one tuple or one by one, in reverse order where none are given (as in NumPy)."""
    given: Any = axes[0] if len(axes) == 1 and not isinstance(axes[0], int) else axes
    return permute_dims(x, axes=tuple(given or reversed(range(x.ndim))))


def matrix_transpose(x: Tensor | Array) -> Tensor:
    """x with its last two axes swapped: each matrix of a stack transposed.

    >>> import tinyreg as tr
    >>> tr.matrix_transpose(tr.ones((5, 2, 3))).shape
    (5, 3, 2)
    """
    arguments.arrays("matrix_transpose", x=x)
    if x.ndim < 2:
        raise ValueError(f"matrix_transpose: got shape {list(x.shape)}, expected at least two axes")
    return permute_dims(x, axes=(*range(x.ndim - 2), x.ndim - 1, x.ndim - 2))


@primitive(expects="axes that the result has")
def expand_dims(xp: Backend, x: Array, /, axis: int | tuple[int, ...] = 0) -> Array:
    """x with axes of length 1 put in, so that they stand at `axis` of the result.

    Derivative: the incoming gradient in the shape of x.

    >>> import tinyreg as tr
    >>> tr.expand_dims(tr.ones(3), axis=-1).shape
    (3, 1)
    """
    several = axis if isinstance(axis, tuple | list) else (axis,)
    return xp.expand_dims(x, arguments.axes("expand_dims", several, x.ndim + len(several)))


expand_dims.vjp("x")(lambda g, x_like: reshape(g, shape=x_like.shape))


@primitive(expects="axes of length 1")
def squeeze(xp: Backend, x: Array, /, axis: int | tuple[int, ...] | None = None) -> Array:
    """x without the axes of length 1 at `axis`, or without any of that length.

    Raises `ValueError` for an axis of another length. Derivative: the incoming gradient in the shape of x.

    >>> import tinyreg as tr
    >>> tr.squeeze(tr.ones((1, 3, 1)), axis=0).shape
    (3, 1)
    """
    return xp.squeeze(x, axis=None if axis is None else arguments.axes("squeeze", axis, x.ndim))


squeeze.vjp("x")(lambda g, x_like: reshape(g, shape=x_like.shape))


@primitive(broadcasting=True, expects="a shape that x broadcasts to")
def broadcast_to(xp: Backend, x: Array, /, shape: Sequence[int]) -> Array:
    """x repeated along new axes in front, and along axes of length 1, to `shape`.

    Derivative: the incoming gradient, summed over the copies.

    >>> import tinyreg as tr
    >>> tr.broadcast_to(tr.tensor([1.0, 2.0]), (2, 2))
    tensor([[1., 2.],
            [1., 2.]])
    """
    return xp.broadcast_to(x, shape)


broadcast_to.vjp("x")(lambda g: g)


@primitive(expects="arrays whose shapes agree but for the axis along which they are joined")
def concat(xp: Backend, *xs: Array, axis: int | None = 0) -> Array:
    """The arrays, one after the other along an axis that they have; `None` flattens them first.

    xs: arrays, one by one or in a list. Derivative: each array's part of the incoming gradient.

    >>> import tinyreg as tr
    >>> tr.concat([tr.tensor([1.0, 2.0]), tr.tensor([3.0])])
    tensor([1., 2., 3.])
    """
    return xp.concatenate(xs, axis=axis)


@concat.vjp("xs")
def _(g: Any, xs_like: Any, axis: int | None) -> Any:
    lengths = [math.prod(x.shape) if axis is None else x.shape[axis] for x in xs_like]
    parts = cut(g, sections=tuple(itertools.accumulate(lengths[:-1])), axis=axis or 0)
    return parts if axis is not None else [reshape(g, shape=x.shape) for g, x in zip(parts, xs_like, strict=True)]


@primitive(expects="arrays of one shape")
def stack(xp: Backend, *xs: Array, axis: int = 0) -> Array:
    """The arrays side by side along a new axis.

    xs: arrays of one shape, one by one or in a list. Derivative: each array's part of the incoming gradient.

    >>> import tinyreg as tr
    >>> tr.stack([tr.tensor([1.0, 2.0]), tr.tensor([3.0, 4.0])], axis=1)
    tensor([[1., 3.],
            [2., 4.]])
    """
    return xp.stack(xs, axis=axis)


@stack.vjp("xs")
def _(g: Any, axis: int) -> Any:
    return unstack(g, axis=axis)


@primitive(name="split", expects="places along an axis that x has", result=tuple[Tensor, ...])
def cut(xp: Backend, x: Array, /, sections: tuple[int, ...], axis: int) -> tuple[Array, ...]:
    """Cut x before each of the places in `sections`. Derivative: the g of all results, one after the other. See `split`."""
    axis = arguments.axis("split", axis, x.ndim)
    pairs = itertools.pairwise([0, *sections, x.shape[axis]])
    before = (slice(None),) * axis
    return tuple([x[(*before, slice(start, end))] for start, end in pairs])


cut.vjp("x")(lambda g, axis: concat(*g, axis=axis))


@with_axis
def split(x: Tensor | Array, sections: int | Sequence[int], axis: int = 0) -> tuple[Tensor, ...]:
    """x cut along `axis`: into `sections` equal parts, or before each of the indices in a list (as in NumPy).

    Raises `ValueError` for an axis that x lacks, where x does not divide into equal parts, and for indices that are not
    in order.

    >>> import tinyreg as tr
    >>> [part.tolist() for part in tr.split(tr.arange(5), [2, 3])]
    [[0, 1], [2], [3, 4]]
    """
    arguments.arrays("split", x=x)
    axis = arguments.axis("split", axis, x.ndim)
    n = x.shape[axis]
    several: Any = sections
    if not isinstance(sections, list | tuple) and not getattr(sections, "shape", ()):
        equal = integer("split", "sections", sections, expected="an integer, or a list of such")
        if equal < 1 or n % equal:
            raise ValueError(f"split: got length {n} and {equal} sections, expected a length that divides equally")
        several = [n // equal * i for i in range(1, equal)]
    ends = [integer("split", "sections", i, expected="an integer, or a list of such") for i in several]
    places = [i + n if i < 0 else i for i in ends]
    if any(b < a for a, b in itertools.pairwise([0, *places])):
        raise ValueError(f"split: got the indices {ends} for length {n}, expected them in order")
    parts: tuple[Tensor, ...] = cut(x, sections=tuple(places), axis=axis)
    return parts


@primitive(expects="an axis that x has", result=tuple[Tensor, ...])
def unstack(xp: Backend, x: Array, /, axis: int = 0) -> tuple[Array, ...]:
    """The parts of x along `axis`, without that axis. Derivative: the incoming gradients, side by side.

    >>> import tinyreg as tr
    >>> [row.tolist() for row in tr.unstack(tr.tensor([[1, 2], [3, 4]]))]
    [[1, 2], [3, 4]]
    """
    return tuple(xp.moveaxis(x, arguments.axis("unstack", axis, x.ndim), 0))


unstack.vjp("x")(lambda g, axis: stack(*g, axis=axis))


@primitive(expects="axes that x has")
def flip(xp: Backend, x: Array, /, axis: int | tuple[int, ...] | None = None) -> Array:
    """x in reverse order along `axis`, or along every axis. Derivative: the incoming gradient, reversed.

    >>> import tinyreg as tr
    >>> tr.flip(tr.arange(3))
    tensor([2, 1, 0])
    """
    return xp.flip(x, axis=arguments.axes("flip", axis, x.ndim))


flip.vjp("x")(lambda g, axis: flip(g, axis=axis))


@primitive(expects="axes that x has, and a shift for each")
def roll(xp: Backend, x: Array, /, shift: int | Sequence[int], axis: int | Sequence[int] | None = None) -> Array:
    """x moved on by `shift` places along `axis`, what falls off coming in again; without an axis, of the flattened x.

    Derivative: the incoming gradient, moved back.

    >>> import tinyreg as tr
    >>> tr.roll(tr.arange(4), 1)
    tensor([3, 0, 1, 2])
    """
    for n in shift if isinstance(shift, tuple | list) else (shift,):
        integer("roll", "shift", n)
    for i in axis if isinstance(axis, tuple | list) else (axis,):
        if i is not None:
            arguments.axis("roll", i, x.ndim)
    return xp.roll(x, shift, axis=axis)


@roll.vjp("x")
def _(g: Any, shift: Any, axis: Any) -> Any:
    return roll(g, shift=[-n for n in shift] if isinstance(shift, tuple | list) else -shift, axis=axis)


@primitive(expects="a pair (before, after) of at least 0 for each axis of x")
def pad(xp: Backend, x: Array, /, pad_width: Sequence[tuple[int, int]], value: float = 0.0) -> Array:
    """x with `value` put around it: pad_width has (how many before, how many after) for each axis, as in NumPy.

    Derivative: the part of the incoming gradient that belongs to x.

    >>> import tinyreg as tr
    >>> tr.pad(tr.tensor([1.0, 2.0]), [(1, 2)])
    tensor([0., 1., 2., 0., 0.])
    """
    if len(pad_width) != x.ndim:
        raise ValueError(f"pad_width has {len(pad_width)} pairs for {x.ndim} axes")
    if any(integer("pad", "pad_width", n) < 0 for pair in pad_width for n in pair):
        raise ValueError(f"pad_width is {tuple(pad_width)}; to take away, use a slice")
    shape = tuple([sum(pair) + n for pair, n in zip(pad_width, x.shape, strict=True)])
    return placed(xp, x, _inside(pad_width, x.shape), shape, value)


@pad.vjp("x")
def _(g: Any, x_like: Any, pad_width: Sequence[tuple[int, int]]) -> Any:
    return getitem(g, _inside(pad_width, x_like.shape))


def _inside(pad_width: Sequence[tuple[int, int]], shape: Shape) -> tuple[slice, ...]:
    """Where an array of that shape lies in what it is padded to."""
    return tuple(slice(before, before + n) for (before, _), n in zip(pad_width, shape, strict=True))


def tile(x: Tensor | Array, repetitions: int | Shape) -> Tensor:
    """x repeated as a block, `repetitions` times along each axis; new axes come in front (as in NumPy).

    Derivative: the incoming gradient, summed over the copies.

    >>> import tinyreg as tr
    >>> tr.tile(tr.arange(2), 3)
    tensor([0, 1, 0, 1, 0, 1])
    """
    arguments.arrays("tile", x=x)
    given = tuple(repetitions) if isinstance(repetitions, tuple | list) else (repetitions,)
    times = [integer("tile", "repetitions", n, least=0) for n in given]
    ndim = max(len(times), x.ndim)
    times = [1] * (ndim - len(times)) + times
    shape = (1,) * (ndim - x.ndim) + tuple(x.shape)
    blocks = reshape(x, shape=tuple(m for n in shape for m in (1, n)))
    copies = broadcast_to(blocks, shape=tuple(m for pair in zip(times, shape, strict=True) for m in pair))
    return reshape(copies, shape=tuple(t * n for t, n in zip(times, shape, strict=True)))
