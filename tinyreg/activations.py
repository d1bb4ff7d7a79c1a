"""Activations that compose: each is its formula in ops. The others are primitives."""

from __future__ import annotations

from typing import Any

from . import arguments, ops
from .core.tensor import Tensor
from .ops.exponential import log_shares, shares
from .ops.units import elu, gelu, silu
from .signature import with_axis

__all__ = ["elu", "gelu", "leaky_relu", "log_softmax", "silu", "softmax"]


@with_axis
def softmax(x: Any, axis: int = -1) -> Tensor:
    """exp(x_i) / sum_j exp(x_j) along `axis`, without overflow.

    x: floats with at least one element along `axis`; -inf gives 0. The result has the shape of x, and sums to 1 along
    `axis`; it is NaN where every element is -inf.

    >>> import tinyreg as tr
    >>> tr.softmax(tr.tensor([1000.0, 1000.0]))
    tensor([0.5, 0.5])
    """
    y: Tensor = shares(x, axis=arguments.axis("softmax", axis, x.ndim))
    return y


@with_axis
def log_softmax(x: Any, axis: int = -1) -> Tensor:
    """x_i - log(sum_j exp(x_j)) along `axis`, without overflow, also where the softmax is too small for a float.

    x: floats with at least one element along `axis`. The result has the shape of x; it is NaN where every element is
    -inf.

    >>> import tinyreg as tr
    >>> tr.log_softmax(tr.tensor([0.0, -1000.0]))
    tensor([    0., -1000.])
    """
    y: Tensor = log_shares(x, axis=arguments.axis("log_softmax", axis, x.ndim))
    return y


def leaky_relu(x: Any, negative_slope: float = 0.01) -> Any:
    """x where x > 0, elsewhere negative_slope x, elementwise.

    x: floats of any shape. The derivative at 0 is negative_slope: for a slope in [0, 1], the subgradient of least norm.

    Source: Maas, Hannun and Ng, "Rectifier Nonlinearities Improve Neural Network Acoustic Models", 2013.

    >>> import tinyreg as tr
    >>> tr.leaky_relu(tr.tensor([-1.0, 2.0]))
    tensor([-0.01,  2.  ])
    """
    slope = arguments.number("leaky_relu", "negative_slope", negative_slope)
    return ops.where(x > 0, x, slope * x)
