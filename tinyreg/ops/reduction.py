"""Reductions: over one axis, several, or all (`axis=None`), with or without `keepdims`.

float16 is summed in float32, forward and backward. At ties of `max` and `min` the gradient is shared equally, at 0 that of
`norm` and `std` is 0: the subgradients of least norm.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Concatenate

from .. import arguments
from ..arguments import Axis
from ..callers import warn_caller
from ..core.backend import Array, Backend, Shape, accumulator
from ..core.primitive import P, Primitive, R
from ..core.tensor import Tensor
from ..hints import with_axis
from .elementwise import abs, equal, finite, nonzero, sign, where
from .indexing import getitem
from .precision import Wide, astype
from .shape import broadcast_to, concat, cut, flip, pad, permute_dims, reshape

__all__ = ["all", "any", "argmax", "argmin", "cumulative_sum", "max", "mean", "min", "norm", "prod", "std", "sum", "var"]


class Reduction(Primitive[P, R]):
    """An op along axes: refuses those that x lacks, since VJPs and CuPy take some of them for others."""

    def apply(self, values: Sequence[Any], settings: dict[str, Any]) -> Any:
        """Run the op; see `Primitive.apply`."""
        axis, ndim = settings["axis"], getattr(values[0], "ndim", 0)
        if axis is not None and not (type(axis) is int and -ndim <= axis < ndim):
            axes = arguments.axes(self.name, axis, ndim)
            settings = {**settings, "axis": axes if isinstance(axis, tuple | list) else axes[0]}
        return super().apply(values, settings)


class WideReduction(Reduction[P, R], Wide[P, R]):
    """A reduction that sums: see `Wide`."""


def reduction(**declared: Any) -> Callable[[Callable[Concatenate[Any, P], Any]], Primitive[P, Tensor]]:
    """`primitive` for an op with the setting `axis`."""
    return lambda forward: Reduction(forward, **declared)


def wide_reduction(**declared: Any) -> Callable[[Callable[Concatenate[Any, P], Any]], Primitive[P, Tensor]]:
    """`primitive` for an op with the setting `axis` that sums."""
    return lambda forward: WideReduction(forward, **declared)


def axes_of(ndim: int, axis: Axis) -> tuple[int, ...]:
    """The axes that a reduction goes over, from 0 to ndim - 1."""
    return arguments.axes("a reduction", axis, ndim)


def keepdims_shape(shape: Shape, axis: Axis) -> Shape:
    """The shape of a reduction's result with keepdims: its axes at length 1."""
    gone = axes_of(len(shape), axis)
    return tuple(1 if i in gone else n for i, n in enumerate(shape))


def count(shape: Shape, axis: Axis) -> int:
    """How many elements each element of a reduction's result was made from."""
    return math.prod(shape[a] for a in axes_of(len(shape), axis))


def restored(y: Any, shape: Shape, axis: Axis) -> Any:
    """A reduction's result, or its gradient, at the shape that was reduced."""
    return broadcast_to(reshape(y, keepdims_shape(shape, axis)), shape)


@reduction(expects="axes that x has")
def sum(xp: Backend, x: Array, /, axis: Axis = None, dtype: Any = None, keepdims: bool = False) -> Array:
    """The sum over `axis`.

    x: numbers of any shape; `dtype` is that of the sum, by default that of x, int64 for smaller integers and booleans.
    Derivative: 1 for every element.

    >>> import tinyreg as tr
    >>> tr.sum(tr.tensor([[1.0, 2.0], [3.0, 4.0]]), axis=0)
    tensor([4., 6.])
    """
    y = xp.sum(x, axis=axis, dtype=dtype or accumulator(x.dtype), keepdims=keepdims)
    return y if dtype else y.astype(x.dtype, copy=False) if accumulator(x.dtype) else y


@sum.vjp("x")
def _(g: Any, x_like: Any, axis: Axis) -> Any:
    return astype(restored(g, x_like.shape, axis), x_like.dtype)


@wide_reduction(expects="axes that x has")
def mean(xp: Backend, x: Array, /, axis: Axis = None, keepdims: bool = False) -> Array:
    """The sum over `axis`, divided by the number n of its elements; NaN where there are none.

    x: floats of any shape; integers give float64. Derivative: 1 / n for every element.

    >>> import tinyreg as tr
    >>> tr.mean(tr.tensor([[1.0, 2.0], [3.0, 4.0]]), axis=1)
    tensor([1.5, 3.5])
    """
    return xp.mean(x, axis=axis, keepdims=keepdims)


@mean.vjp("x")
def _(g: Any, x_like: Any, axis: Axis) -> Any:
    return restored(g, x_like.shape, axis) / count(x_like.shape, axis)


@wide_reduction(expects="axes that x has, with at least one element")
def max(xp: Backend, x: Array, /, axis: Axis = None, keepdims: bool = False) -> Array:
    """The largest element along `axis`; NaN where one is NaN.

    x: numbers of any shape with at least one element along `axis`, `ValueError` otherwise. Derivative: 1 for the
    largest, shared equally by k that tie (1 / k each), and 0 for the others.

    >>> import tinyreg as tr
    >>> tr.max(tr.tensor([[1.0, 5.0], [3.0, 4.0]]), axis=1)
    tensor([5., 4.])
    """
    return xp.max(x, axis=axis, keepdims=keepdims)


@wide_reduction(expects="axes that x has, with at least one element")
def min(xp: Backend, x: Array, /, axis: Axis = None, keepdims: bool = False) -> Array:
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


@wide_reduction(expects="axes that x has")
def prod(xp: Backend, x: Array, /, axis: Axis = None, keepdims: bool = False) -> Array:
    """The product over `axis`; 1 where there is nothing.

    x: numbers of any shape. Derivative: the product of all other elements, exact also where some are 0.

    >>> import tinyreg as tr
    >>> tr.prod(tr.tensor([[1.0, 2.0], [3.0, 4.0]]), axis=1)
    tensor([ 2., 12.])
    """
    return xp.prod(x, axis=axis, keepdims=keepdims)


@prod.vjp("x")
def _(g: Any, x: Any, axis: Axis) -> Any:
    reduced = axes_of(x.ndim, axis)
    order = (*(i for i in range(x.ndim) if i not in reduced), *reduced)
    moved = permute_dims(x, order)
    rows = reshape(moved, (*(n for i, n in enumerate(x.shape) if i not in reduced), count(x.shape, axis)))
    back = tuple(order.index(i) for i in range(x.ndim))
    others = permute_dims(reshape(_product_of_others(rows), moved.shape), back)
    return restored(g, x.shape, axis) * others


def _product_of_others(x: Any) -> Any:
    """The product of the other elements along the last axis.

    Each element of the first half has a partner in the second: of the others, that is the product of the other pairs, times
    the partner.
    """
    n = x.shape[-1]
    in_front = [(0, 0)] * (x.ndim - 1)
    if n < 2:
        return pad(getitem(x, (..., slice(0, 0))), (*in_front, (0, n)), value=1.0)
    if n % 2:
        x = pad(x, (*in_front, (0, 1)), value=1.0)
    first, second = cut(x, sections=((n + 1) // 2,), axis=-1)
    other_pairs = _product_of_others(first * second)
    others = concat(other_pairs * second, other_pairs * first, axis=-1)
    return getitem(others, (..., slice(0, n)))


@wide_reduction(expects="axes that x has")
def var(xp: Backend, x: Array, /, axis: Axis = None, correction: float = 0, keepdims: bool = False) -> Array:
    """The mean of (x - mean(x))^2 over `axis`, with n - correction in place of n; computed in two passes.

    x: floats of any shape. correction: 0 is the biased variance (NumPy's default), 1 the unbiased one (PyTorch's). NaN,
    with a `RuntimeWarning`, unless there are more than `correction` elements. Derivative:
    2 (x - mean(x)) / (n - correction).

    >>> import tinyreg as tr
    >>> tr.var(tr.tensor([1.0, 3.0]))
    tensor(1.)
    """
    return _variance(xp, x, axis, correction, keepdims)


def _variance(xp: Backend, x: Array, axis: Axis, correction: float, keepdims: bool) -> Array:
    n = count(x.shape, axis)
    if n <= correction:
        text = f"got {n} {'value' if n == 1 else 'values'} and correction={correction}: too few, so the variance is NaN"
        warn_caller(text, RuntimeWarning)
    c = x - xp.sum(x, axis=axis, keepdims=True) / (n or 1)
    c -= xp.sum(c, axis=axis, keepdims=True) / (n or 1)  # what rounding left of the mean
    c *= c
    return xp.sum(c, axis=axis, keepdims=keepdims) * _rate(n, correction)


def _rate(n: int, correction: float) -> float:
    return 1 / (n - correction) if n > correction else math.nan


@var.vjp("x")
def _(g: Any, x: Any, axis: Axis, correction: float) -> Any:
    return restored(g * (2 * _rate(count(x.shape, axis), correction)), x.shape, axis) * _centred(x, axis)


def _centred(x: Any, axis: Axis) -> Any:
    return _less_its_mean(_less_its_mean(x, axis), axis)  # and less what rounding left of it


def _less_its_mean(x: Any, axis: Axis) -> Any:
    return x - sum(x, axis=axis, keepdims=True) / (count(x.shape, axis) or 1)


@wide_reduction(expects="axes that x has")
def std(xp: Backend, x: Array, /, axis: Axis = None, correction: float = 0, keepdims: bool = False) -> Array:
    """The square root of `var`.

    x: floats of any shape. correction: as in `var`. Derivative: (x - mean(x)) / ((n - correction) std(x)), and 0 where
    all elements are equal.

    >>> import tinyreg as tr
    >>> tr.std(tr.tensor([1.0, 3.0]))
    tensor(1.)
    """
    return xp.sqrt(_variance(xp, x, axis, correction, keepdims))


@std.vjp("x")
def _(g: Any, x: Any, y: Any, axis: Axis, correction: float) -> Any:
    return restored(g / nonzero(y) * _rate(count(x.shape, axis), correction), x.shape, axis) * _centred(x, axis)


@wide_reduction(expects="axes that x has")
def cumulative_sum(xp: Backend, x: Array, /, axis: int | None = None, include_initial: bool = False) -> Array:
    """The sum of each element and those before it along `axis`, which only a 1-d x may leave out.

    x: floats of at least one axis. `include_initial` puts a 0 in front. Derivative: 1 for each element that was added.

    >>> import tinyreg as tr
    >>> tr.cumulative_sum(tr.tensor([1.0, 2.0, 3.0]))
    tensor([1., 3., 6.])
    """
    if axis is None and x.ndim != 1:
        raise ValueError("an array of several axes needs an axis to sum along")
    along = arguments.axis("cumulative_sum", axis or 0, x.ndim)
    y = xp.cumsum(x, axis=along)
    if not include_initial:
        return y
    zero = xp.zeros(tuple(1 if i == along else n for i, n in enumerate(x.shape)), dtype=y.dtype)
    return xp.concatenate([zero, y], axis=along)


@cumulative_sum.vjp("x")
def _(g: Any, axis: int | None, include_initial: bool) -> Any:
    along = arguments.axis("cumulative_sum", axis or 0, g.ndim)
    if include_initial:
        g = getitem(g, (slice(None),) * along + (slice(1, None),))
    return flip(cumulative_sum(flip(g, axis=along), axis=along), axis=along)


@wide_reduction(name="norm", expects="a finite ord of at least 1, and axes that x has")
def p_norm(xp: Backend, x: Array, /, ord: float = 2, axis: Axis = None, keepdims: bool = False) -> Array:
    """(sum |x|^ord)^(1/ord) over `axis`, for a finite ord of at least 1. See `norm`."""
    if not 1 <= ord < math.inf:
        raise ValueError(f"ord is {ord}")
    if ord in (1, 2):
        return (
            xp.sum(x * x, axis=axis, keepdims=keepdims) ** 0.5
            if ord == 2
            else xp.sum(xp.abs(x), axis=axis, keepdims=keepdims)
        )
    sizes = xp.abs(x)
    top = xp.max(sizes, axis=axis, keepdims=True) if sizes.size else xp.sum(sizes, axis=axis, keepdims=True)
    top = xp.where((top > 0) & (top < math.inf), top, 1)
    y = xp.sum((sizes / top) ** ord, axis=axis, keepdims=True) ** (1 / ord) * top
    return y if keepdims else xp.squeeze(y, axis=axes_of(x.ndim, axis))


@p_norm.vjp("x")
def _(g: Any, x: Any, y: Any, ord: float, axis: Axis) -> Any:
    """g sign(x) (|x| / y)^(ord - 1), which for ord = 2 is g x / y; 0 where y is 0."""
    x, y = finite(x), nonzero(finite(y))
    if ord == 2:
        return restored(g / y, x.shape, axis) * x
    return restored(g, x.shape, axis) * sign(x) * (abs(x) / restored(y, x.shape, axis)) ** (ord - 1)


@with_axis
def norm(x: Tensor | Array, ord: float = 2, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The vector norm (sum |x|^ord)^(1/ord) over `axis`: of all elements by default, whatever the shape.

    x: floats. ord: at least 1; `math.inf` gives the largest |x|. Derivative: sign(x) (|x| / y)^(ord - 1), and 0 where
    the norm is 0. Squares, for ord 2, are not scaled, as in NumPy and PyTorch: they overflow above 1e19 in float32 and
    1e154 in float64, and vanish below 1e-23 and 1e-162. For norms of matrices see `matrix_norm`.

    >>> import tinyreg as tr
    >>> tr.norm(tr.tensor([3.0, 4.0]))
    tensor(5.)
    """
    if ord == math.inf:
        return max(abs(x), axis=axis, keepdims=keepdims)
    return p_norm(x, ord=ord, axis=axis, keepdims=keepdims)


# ---- without a gradient ----------------------------------------------------------------------------------------------


@reduction(nondifferentiable=True, expects="axes that x has, with at least one element")
def argmax(xp: Backend, x: Array, /, axis: int | None = None, keepdims: bool = False) -> Array:
    """The index of the first largest element along `axis`, of the flattened array without one. No gradient.

    >>> import tinyreg as tr
    >>> tr.argmax(tr.tensor([1.0, 5.0, 3.0]))
    tensor(1)
    """
    return xp.argmax(x, axis=axis, keepdims=keepdims)


@reduction(nondifferentiable=True, expects="axes that x has, with at least one element")
def argmin(xp: Backend, x: Array, /, axis: int | None = None, keepdims: bool = False) -> Array:
    """The index of the first smallest element along `axis`, of the flattened array without one. No gradient.

    >>> import tinyreg as tr
    >>> tr.argmin(tr.tensor([1.0, 5.0, 3.0]))
    tensor(0)
    """
    return xp.argmin(x, axis=axis, keepdims=keepdims)


@reduction(nondifferentiable=True, expects="axes that x has")
def all(xp: Backend, x: Array, /, axis: Axis = None, keepdims: bool = False) -> Array:
    """Whether every element along `axis` is true. No gradient.

    >>> import tinyreg as tr
    >>> bool(tr.all(tr.tensor([1.0, 2.0]) > 0))
    True
    """
    return xp.all(x, axis=axis, keepdims=keepdims)


@reduction(nondifferentiable=True, expects="axes that x has")
def any(xp: Backend, x: Array, /, axis: Axis = None, keepdims: bool = False) -> Array:
    """Whether some element along `axis` is true. No gradient.

    >>> import tinyreg as tr
    >>> bool(tr.any(tr.tensor([1.0, -2.0]) < 0))
    True
    """
    return xp.any(x, axis=axis, keepdims=keepdims)
