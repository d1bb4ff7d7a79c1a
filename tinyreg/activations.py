"""Activations that compose: each is its formula in ops. The others are primitives."""

from __future__ import annotations

from . import arguments
from .core.backend import Array
from .core.tensor import Tensor
from .hints import with_axis
from .ops.exponential import log_shares, shares
from .ops.units import elu, gelu, leaky_relu, silu

__all__ = ["elu", "gelu", "leaky_relu", "log_softmax", "silu", "softmax"]


@with_axis
def softmax(x: Tensor | Array, axis: int = -1) -> Tensor:
    """exp(x_i) / sum_j exp(x_j) along `axis`, without overflow.

    x: floats with at least one element along `axis`; -inf gives 0. The result has the shape of x, and sums to 1 along
    `axis`; it is NaN where every element is -inf.

    >>> import tinyreg as tr
    >>> tr.softmax(tr.tensor([1000.0, 1000.0]))
    tensor([0.5, 0.5])
    """
    arguments.arrays("softmax", x=x)
    return shares(x, axis=arguments.axis("softmax", axis, x.ndim))


@with_axis
def log_softmax(x: Tensor | Array, axis: int = -1) -> Tensor:
    """x_i - log(sum_j exp(x_j)) along `axis`, without overflow, also where the softmax is too small for a float.

    x: floats with at least one element along `axis`. The result has the shape of x; it is NaN where every element is
    -inf.

    >>> import tinyreg as tr
    >>> tr.log_softmax(tr.tensor([0.0, -1000.0]))
    tensor([    0., -1000.])
    """
    arguments.arrays("log_softmax", x=x)
    return log_shares(x, axis=arguments.axis("log_softmax", axis, x.ndim))
