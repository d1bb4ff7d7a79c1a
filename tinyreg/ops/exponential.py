"""Softmax, its logarithm, and the logarithm of its denominator, over axes and without overflow.

Each makes one large array, its result, and writes to it what comes before.
"""

from __future__ import annotations

import math
from typing import Any

from ..arguments import Axis
from ..core.backend import Array, Backend
from .reduction import axes_of, restored, sum, wide_reduction
from .transcendental import exp

__all__ = ["logsumexp"]


@wide_reduction(expects="axes that x has, with at least one element")
def logsumexp(xp: Backend, x: Array, /, axis: Axis = None, keepdims: bool = False) -> Array:
    """log(sum(exp(x))) over `axis`, without overflow.

    x: floats of any shape with at least one element along `axis`. Derivative: the softmax of x; 0 where every element is
    -inf.

    >>> import tinyreg as tr
    >>> tr.logsumexp(tr.tensor([1000.0, -1000.0]))
    tensor(1000.)
    """
    e, top = _exp_below(xp, x, axis)
    total = xp.sum(e, axis=axis, keepdims=True)
    nothing = total == 0
    y = xp.where(nothing, -math.inf, xp.log(xp.where(nothing, 1, total)) + top)
    return y if keepdims else xp.squeeze(y, axis=axes_of(x.ndim, axis))


def _exp_below(xp: Backend, x: Array, axis: Axis) -> tuple[Array, Array]:
    """exp(x - top), with the largest element for top, and top; inf counts as the largest number."""
    x = _as_floats(xp, x)
    largest = float(xp.finfo(x.dtype).max)
    top = xp.max(x, axis=axis, keepdims=True)
    e = xp.minimum(x, largest, out=xp.empty_like(x))
    e -= xp.where(top == -math.inf, 0, xp.minimum(top, largest))
    return xp.exp(e, out=e), top


def _as_floats(xp: Backend, x: Array) -> Array:
    return x.astype(xp.result_type(x.dtype, xp.float16), copy=False)


@logsumexp.vjp("x")
def _(g: Any, x: Any, axis: Axis) -> Any:
    return restored(g, x.shape, axis) * shares(x, axis=axis, zeros=True)


@wide_reduction(name="softmax", expects="axes that x has, with at least one element")
def shares(xp: Backend, x: Array, /, axis: Axis = None, zeros: bool = False) -> Array:
    """exp(x_i) / sum_j exp(x_j) over `axis`; where every element is -inf, NaN or `zeros`. See `softmax`."""
    e, _ = _exp_below(xp, x, axis)
    total = xp.sum(e, axis=axis, keepdims=True)
    e /= xp.where(total == 0, 1 if zeros else math.nan, total)
    return e


@shares.vjp("x")
def _(g: Any, y: Any, axis: Axis) -> Any:
    return (g - sum(g * y, axis=axis, keepdims=True)) * y


@wide_reduction(name="log_softmax", expects="axes that x has, with at least one element")
def log_shares(xp: Backend, x: Array, /, axis: Axis = None) -> Array:
    """x_i - log(sum_j exp(x_j)) over `axis`; NaN where every element is -inf. See `log_softmax`."""
    x = _as_floats(xp, x)
    y = xp.subtract(x, xp.max(x, axis=axis, keepdims=True), out=xp.empty_like(x))
    y -= xp.log(xp.sum(xp.exp(y), axis=axis, keepdims=True))
    return y


@log_shares.vjp("x")
def _(g: Any, y: Any, axis: Axis) -> Any:
    return g - exp(y) * sum(g, axis=axis, keepdims=True)
