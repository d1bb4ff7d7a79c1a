"""Reductions: over one axis, several, or all (`axis=None`), with or without `keepdims`.

float16 is summed in float32. At ties of `max` and `min` the gradient is shared equally, at 0 that of `norm` and `std` is
0: the subgradients of least norm.
"""

from __future__ import annotations

import builtins
import math
from typing import Any

from ..core.backend import Array, Backend, Shape, accumulator
from ..core.primitive import primitive
from .elementwise import abs, equal, nonzero, sign, where
from .indexing import getitem
from .precision import astype
from .shape import broadcast_to, flip, pad, permute_dims, reshape
from .transcendental import exp

Axis = int | tuple[int, ...] | None


def axes_of(ndim: int, axis: Axis) -> tuple[int, ...]:
    """The axes that a reduction goes over, from 0 to ndim - 1."""
    if axis is None:
        return tuple(range(ndim))
    return tuple(a % ndim if ndim else a for a in ((axis,) if isinstance(axis, int) else axis))


def kept_shape(shape: Shape, axis: Axis) -> Shape:
    """The shape of a reduction's result with its axes kept at length 1."""
    gone = axes_of(len(shape), axis)
    return tuple(1 if i in gone else n for i, n in enumerate(shape))


def count(shape: Shape, axis: Axis) -> int:
    """How many elements each element of a reduction's result was made from."""
    return math.prod(shape[a] for a in axes_of(len(shape), axis))


def restored(y: Any, shape: Shape, axis: Axis) -> Any:
    """A reduction's result, or its gradient, at the shape that was reduced."""
    return broadcast_to(reshape(y, kept_shape(shape, axis)), shape)


def _narrowed(y: Array, x: Array) -> Array:
    return y.astype(x.dtype) if accumulator(x.dtype) else y


@primitive(expects="axes that x has")
def sum(xp: Backend, x: Array, *, axis: Axis = None, dtype: Any = None, keepdims: bool = False) -> Array:
    """The sum over `axis`.

    x: numbers of any shape; `dtype` is that of the sum, by default that of x, int64 for smaller integers and booleans.
    Derivative: 1 for every element.

    >>> import tinyreg as tr
    >>> tr.sum(tr.tensor([[1.0, 2.0], [3.0, 4.0]]), axis=0)
    tensor([4., 6.])
    """
    y = xp.sum(x, axis=axis, dtype=dtype or accumulator(x.dtype), keepdims=keepdims)
    return y if dtype else _narrowed(y, x)


@sum.vjp("x")
def _(g: Any, x_like: Any, axis: Axis) -> Any:
    return astype(restored(g, x_like.shape, axis), x_like.dtype)


@primitive(expects="axes that x has")
def mean(xp: Backend, x: Array, *, axis: Axis = None, keepdims: bool = False) -> Array:
    """The sum over `axis`, divided by the number n of its elements; NaN where there are none.

    x: floats of any shape; integers give float64. Derivative: 1 / n for every element.

    >>> import tinyreg as tr
    >>> tr.mean(tr.tensor([[1.0, 2.0], [3.0, 4.0]]), axis=1)
    tensor([1.5, 3.5])
    """
    return _narrowed(xp.mean(x, axis=axis, dtype=accumulator(x.dtype), keepdims=keepdims), x)


@mean.vjp("x")
def _(g: Any, x_like: Any, axis: Axis) -> Any:
    return restored(g, x_like.shape, axis) / count(x_like.shape, axis)


@primitive(expects="axes that x has, with at least one element")
def max(xp: Backend, x: Array, *, axis: Axis = None, keepdims: bool = False) -> Array:
    """The largest element along `axis`; NaN where one is NaN.

    x: numbers of any shape with at least one element along `axis`, `ValueError` otherwise. Derivative: 1 for the
    largest, shared equally by k that tie (1 / k each), and 0 for the others.

    >>> import tinyreg as tr
    >>> tr.max(tr.tensor([[1.0, 5.0], [3.0, 4.0]]), axis=1)
    tensor([5., 4.])
    """
    return xp.max(x, axis=axis, keepdims=keepdims)


@primitive(expects="axes that x has, with at least one element")
def min(xp: Backend, x: Array, *, axis: Axis = None, keepdims: bool = False) -> Array:
    """The smallest element along `axis`; NaN where one is NaN.

    x: numbers of any shape with at least one element along `axis`, `ValueError` otherwise. Derivative: 1 for the
    smallest, shared equally by k that tie (1 / k each), and 0 for the others.

    >>> import tinyreg as tr
    >>> tr.min(tr.tensor([[1.0, 5.0], [3.0, 4.0]]), axis=1)
    tensor([1., 3.])
    """
    return xp.min(x, axis=axis, keepdims=keepdims)


def _shared_by_the_chosen(g: Any, x: Any, y: Any, axis: Axis) -> Any:
    chosen = equal(x, restored(y, x.shape, axis))
    ties = restored(sum(chosen, axis=axis, dtype=x.dtype), x.shape, axis)
    return where(chosen, restored(g, x.shape, axis) / where(chosen, ties, 1.0), 0.0)


max.vjp("x")(_shared_by_the_chosen)
min.vjp("x")(_shared_by_the_chosen)


@primitive(expects="axes that x has")
def prod(xp: Backend, x: Array, *, axis: Axis = None, keepdims: bool = False) -> Array:
    """The product over `axis`; 1 where there is nothing.

    x: numbers of any shape. Derivative: the product of all other elements, exact also where some are 0.

    >>> import tinyreg as tr
    >>> tr.prod(tr.tensor([[1.0, 2.0], [3.0, 4.0]]), axis=1)
    tensor([ 2., 12.])
    """
    return _narrowed(xp.prod(x, axis=axis, dtype=accumulator(x.dtype), keepdims=keepdims), x)


@prod.vjp("x")
def _(g: Any, x: Any, axis: Axis) -> Any:
    reduced = axes_of(x.ndim, axis)
    order = (*(i for i in range(x.ndim) if i not in reduced), *reduced)
    moved = permute_dims(x, order)
    rows = reshape(moved, (*(n for i, n in enumerate(x.shape) if i not in reduced), count(x.shape, axis)))
    others = _product_before(rows) * flip(_product_before(flip(rows, axis=-1)), axis=-1)
    back = tuple(order.index(i) for i in range(x.ndim))
    return restored(g, x.shape, axis) * permute_dims(reshape(others, moved.shape), back)


def _product_before(x: Any) -> Any:
    """The product of the elements before each one along the last axis, in log2(n) multiplications and no division."""
    step, shifted = 1, _shifted(x, 1)
    while step < x.shape[-1]:
        shifted, step = shifted * _shifted(shifted, step), 2 * step
    return shifted


def _shifted(x: Any, by: int) -> Any:
    by = builtins.min(by, x.shape[-1])
    return pad(getitem(x, (..., slice(0, x.shape[-1] - by))), (*[(0, 0)] * (x.ndim - 1), (by, 0)), value=1.0)


@primitive(expects="axes that x has")
def var(xp: Backend, x: Array, *, axis: Axis = None, correction: float = 0, keepdims: bool = False) -> Array:
    """The mean of (x - mean(x))^2 over `axis`, with n - correction in place of n; computed in two passes.

    x: floats of any shape. correction: 0 is the biased variance (NumPy's default), 1 the unbiased one (PyTorch's).
    Derivative: 2 (x - mean(x)) / (n - correction).

    >>> import tinyreg as tr
    >>> tr.var(tr.tensor([1.0, 3.0]))
    tensor(1.)
    """
    return _narrowed(xp.var(x, axis=axis, dtype=accumulator(x.dtype), ddof=correction, keepdims=keepdims), x)


@var.vjp("x")
def _(g: Any, x: Any, axis: Axis, correction: float) -> Any:
    return restored(g, x.shape, axis) * _centred(x, axis) * (2 / (count(x.shape, axis) - correction))


def _centred(x: Any, axis: Axis) -> Any:
    return x - mean(x, axis=axis, keepdims=True)


@primitive(expects="axes that x has")
def std(xp: Backend, x: Array, *, axis: Axis = None, correction: float = 0, keepdims: bool = False) -> Array:
    """The square root of `var`.

    x: floats of any shape. correction: as in `var`. Derivative: (x - mean(x)) / ((n - correction) std(x)), and 0 where
    all elements are equal.

    >>> import tinyreg as tr
    >>> tr.std(tr.tensor([1.0, 3.0]))
    tensor(1.)
    """
    return _narrowed(xp.std(x, axis=axis, dtype=accumulator(x.dtype), ddof=correction, keepdims=keepdims), x)


@std.vjp("x")
def _(g: Any, x: Any, y: Any, axis: Axis, correction: float) -> Any:
    factor = g / nonzero(y) / (count(x.shape, axis) - correction)
    return restored(factor, x.shape, axis) * _centred(x, axis)


@primitive(expects="axes that x has, with at least one element")
def logsumexp(xp: Backend, x: Array, *, axis: Axis = None, keepdims: bool = False) -> Array:
    """log(sum(exp(x))) over `axis`, without overflow.

    x: floats of any shape with at least one element along `axis`. Derivative: exp(x - y), the softmax of x; 0 where
    every element is -inf.

    >>> import tinyreg as tr
    >>> tr.logsumexp(tr.tensor([1000.0, -1000.0]))
    tensor(1000.)
    """
    largest = xp.max(x, axis=axis, keepdims=True)
    largest = xp.where(xp.isfinite(largest), largest, 0)
    total = xp.sum(xp.exp(x - largest), axis=axis, keepdims=True, dtype=accumulator(x.dtype))
    nothing = total == 0
    y = xp.where(nothing, -math.inf, xp.log(xp.where(nothing, 1, total)) + largest)
    return _narrowed(y if keepdims else xp.squeeze(y, axis=axes_of(x.ndim, axis)), x)


@logsumexp.vjp("x")
def _(g: Any, x: Any, y: Any, axis: Axis) -> Any:
    finite = where(equal(y, -math.inf), 0.0, y)
    return restored(g, x.shape, axis) * exp(x - restored(finite, x.shape, axis))


@primitive(expects="axes that x has")
def cumulative_sum(xp: Backend, x: Array, *, axis: int | None = None, include_initial: bool = False) -> Array:
    """The sum of each element and those before it along `axis`, which only a 1-d x may leave out.

    x: floats of at least one axis. `include_initial` puts a 0 in front. Derivative: 1 for each element that was added.

    >>> import tinyreg as tr
    >>> tr.cumulative_sum(tr.tensor([1.0, 2.0, 3.0]))
    tensor([1., 3., 6.])
    """
    if axis is None and x.ndim != 1:
        raise ValueError("an array of several axes needs an axis to sum along")
    along = (axis or 0) % x.ndim
    y = _narrowed(xp.cumsum(x, axis=along, dtype=accumulator(x.dtype)), x)
    if not include_initial:
        return y
    zero = xp.zeros(tuple(1 if i == along else n for i, n in enumerate(x.shape)), dtype=y.dtype)
    return xp.concatenate([zero, y], axis=along)


@cumulative_sum.vjp("x")
def _(g: Any, axis: int | None, include_initial: bool) -> Any:
    along = (axis or 0) % g.ndim
    if include_initial:
        g = getitem(g, (slice(None),) * along + (slice(1, None),))
    return flip(cumulative_sum(flip(g, axis=along), axis=along), axis=along)


@primitive(expects="a finite ord of at least 1, and axes that x has")
def p_norm(xp: Backend, x: Array, *, ord: float = 2, axis: Axis = None, keepdims: bool = False) -> Array:
    """(sum |x|^ord)^(1/ord) over `axis`, for a finite ord of at least 1. See `norm`."""
    if not 1 <= ord < math.inf:
        raise ValueError(f"ord is {ord}")
    powers = x * x if ord == 2 else xp.abs(x) ** ord
    total = xp.sum(powers, axis=axis, dtype=accumulator(x.dtype), keepdims=keepdims)
    return _narrowed(total ** (1 / ord), x)


@p_norm.vjp("x")
def _(g: Any, x: Any, y: Any, ord: float, axis: Axis) -> Any:
    y = nonzero(y)
    if ord == 2:
        return restored(g / y, x.shape, axis) * x
    return restored(g, x.shape, axis) * sign(x) * (abs(x) / restored(y, x.shape, axis)) ** (ord - 1)


def norm(x: Any, ord: float = 2, axis: Axis = None, keepdims: bool = False) -> Any:
    """The vector norm (sum |x|^ord)^(1/ord) over `axis`: of all elements by default, whatever the shape.

    x: floats. ord: at least 1; `math.inf` gives the largest |x|. Derivative: sign(x) (|x| / y)^(ord - 1), and 0 where
    the norm is 0. For norms of matrices see `svdvals`.

    >>> import tinyreg as tr
    >>> tr.norm(tr.tensor([3.0, 4.0]))
    tensor(5.)
    """
    if ord == math.inf:
        return max(abs(x), axis=axis, keepdims=keepdims)
    return p_norm(x, ord=ord, axis=axis, keepdims=keepdims)


# ---- without a gradient ----------------------------------------------------------------------------------------------


@primitive(nondifferentiable=True, expects="axes that x has, with at least one element")
def argmax(xp: Backend, x: Array, *, axis: int | None = None, keepdims: bool = False) -> Array:
    """The index of the first largest element along `axis`, of the flattened array without one. No gradient.

    >>> import tinyreg as tr
    >>> tr.argmax(tr.tensor([1.0, 5.0, 3.0]))
    tensor(1)
    """
    return xp.argmax(x, axis=axis, keepdims=keepdims)


@primitive(nondifferentiable=True, expects="axes that x has, with at least one element")
def argmin(xp: Backend, x: Array, *, axis: int | None = None, keepdims: bool = False) -> Array:
    """The index of the first smallest element along `axis`, of the flattened array without one. No gradient.

    >>> import tinyreg as tr
    >>> tr.argmin(tr.tensor([1.0, 5.0, 3.0]))
    tensor(0)
    """
    return xp.argmin(x, axis=axis, keepdims=keepdims)


@primitive(nondifferentiable=True, expects="axes that x has")
def all(xp: Backend, x: Array, *, axis: Axis = None, keepdims: bool = False) -> Array:
    """Whether every element along `axis` is true. No gradient.

    >>> import tinyreg as tr
    >>> bool(tr.all(tr.tensor([1.0, 2.0]) > 0))
    True
    """
    return xp.all(x, axis=axis, keepdims=keepdims)


@primitive(nondifferentiable=True, expects="axes that x has")
def any(xp: Backend, x: Array, *, axis: Axis = None, keepdims: bool = False) -> Array:
    """Whether some element along `axis` is true. No gradient.

    >>> import tinyreg as tr
    >>> bool(tr.any(tr.tensor([1.0, -2.0]) < 0))
    True
    """
    return xp.any(x, axis=axis, keepdims=keepdims)
