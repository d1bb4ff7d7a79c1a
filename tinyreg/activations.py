"""Activations that compose: each is its formula in ops. `relu`, `sigmoid`, `tanh` and `softplus` are primitives."""

from __future__ import annotations

import math
from typing import Any

from . import ops
from .core.tape import no_grad
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
    e = ops.exp(_shifted(x, axis))
    return e / ops.sum(e, axis=axis, keepdims=True)


@with_axis
def log_softmax(x: Any, axis: int = -1) -> Any:
    """x_i - log(sum_j exp(x_j)) along `axis`, without overflow, also where the softmax is too small for a float.

    x: floats with at least one element along `axis`. The result has the shape of x; it is NaN where every element is
    -inf.

    >>> import tinyreg as tr
    >>> tr.log_softmax(tr.tensor([0.0, -1000.0]))
    tensor([    0., -1000.])
    """
    z = _shifted(x, axis)
    return z - ops.logsumexp(z, axis=axis, keepdims=True)


def _shifted(x: Any, axis: int) -> Any:
    """x less its largest element along `axis`: a constant to the tape, because a softmax is the same for any shift."""
    with no_grad():
        largest = ops.max(x, axis=axis, keepdims=True)
    return x - largest


def gelu(x: Any, approximate: str = "none") -> Any:
    """x P(Z <= x) for a standard normal Z, elementwise: x (1 + erf(x / sqrt 2)) / 2.

    x: floats of any shape. approximate: "none", or "tanh" for x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2.

    Raises `ValueError` for another `approximate`.

    Source: Hendrycks and Gimpel, "Gaussian Error Linear Units", 2016.

    >>> import tinyreg as tr
    >>> round(tr.gelu(tr.tensor(1.0)).item(), 4)
    0.8413
    """
    if approximate == "none":
        return 0.5 * x * (1 + ops.erf(x / math.sqrt(2)))
    if approximate == "tanh":
        return 0.5 * x * (1 + ops.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x * x * x)))
    raise ValueError(f"gelu: got approximate={approximate!r}, expected 'none' or 'tanh'")


def silu(x: Any) -> Any:
    """x / (1 + exp(-x)), elementwise; also called swish.

    x: floats of any shape.

    Source: Elfwing, Uchibe and Doya, "Sigmoid-Weighted Linear Units for Neural Network Function Approximation in
    Reinforcement Learning", 2017.

    >>> import tinyreg as tr
    >>> round(tr.silu(tr.tensor(1.0)).item(), 4)
    0.7311
    """
    return x * ops.sigmoid(x)


def leaky_relu(x: Any, negative_slope: float = 0.01) -> Any:
    """x where x > 0, elsewhere negative_slope x, elementwise.

    x: floats of any shape. The derivative at 0 is negative_slope: for a slope in [0, 1], the subgradient of least norm.

    Source: Maas, Hannun and Ng, "Rectifier Nonlinearities Improve Neural Network Acoustic Models", 2013.

    >>> import tinyreg as tr
    >>> tr.leaky_relu(tr.tensor([-1.0, 2.0]))
    tensor([-0.01,  2.  ])
    """
    return ops.where(x > 0, x, negative_slope * x)


def elu(x: Any, alpha: float = 1.0) -> Any:
    """x where x > 0, elsewhere alpha (exp(x) - 1), elementwise.

    x: floats of any shape. The derivative at 0 is alpha: for an alpha in [0, 1], the subgradient of least norm.

    Source: Clevert, Unterthiner and Hochreiter, "Fast and Accurate Deep Network Learning by Exponential Linear Units
    (ELUs)", 2015.

    >>> import tinyreg as tr
    >>> [round(y, 4) for y in tr.elu(tr.tensor([-1.0, 2.0])).tolist()]
    [-0.6321, 2.0]
    """
    positive = x > 0
    below = ops.where(positive, 0.0, x)  # exp would overflow in the branch that is not taken
    return ops.where(positive, x, alpha * ops.expm1(below))
