"""Activations that compose: each is its formula in ops. The others are primitives."""

from __future__ import annotations

from typing import Any

from . import arguments, ops
from .core.tape import no_grad
from .ops.precision import narrowed, widened
from .ops.reduction import shares
from .ops.units import elu, gelu, leaky_relu, silu
from .signature import with_axis

__all__ = ["elu", "gelu", "leaky_relu", "log_softmax", "silu", "softmax"]


@with_axis
def softmax(x: Any, axis: int = -1) -> Any:
    """exp(x_i) / sum_j exp(x_j) along `axis`, without overflow.

    x: floats with at least one element along `axis`; -inf gives 0. The result has the shape of x, and sums to 1 along
    `axis`; it is NaN where every element is -inf.

    >>> import tinyreg as tr
    >>> tr.softmax(tr.tensor([1000.0, 1000.0]))
    tensor([0.5, 0.5])
    """
    return shares(x, axis=arguments.axis("softmax", axis, x.ndim))


@with_axis
def log_softmax(x: Any, axis: int = -1) -> Any:
    """x_i - log(sum_j exp(x_j)) along `axis`, without overflow, also where the softmax is too small for a float.

    x: floats with at least one element along `axis`. The result has the shape of x; it is NaN where every element is
    -inf.

    >>> import tinyreg as tr
    >>> tr.log_softmax(tr.tensor([0.0, -1000.0]))
    tensor([    0., -1000.])
    """
    axis = arguments.axis("log_softmax", axis, x.ndim)
    wide = widened(x)
    with no_grad():  # a constant: a softmax is the same for any shift
        largest = ops.max(wide, axis=axis, keepdims=True)
    z = wide - largest
    return narrowed(z - ops.logsumexp(z, axis=axis, keepdims=True), x)
