"""Activations whose result and slope are right at both ends: in their formulas inf * 0 stands there, or digits are lost."""

from __future__ import annotations

import math
from typing import Any

from ..core.backend import Array, Backend
from ..erf import ndtr as normal_distribution
from .elementwise import clamp, greater, minimum, where
from .precision import wide
from .smooth import bounded, density, logistic, ndtr, sigmoid, sigmoid_of
from .transcendental import exp


@wide()
def silu(xp: Backend, x: Array) -> Array:
    """x / (1 + exp(-x)), elementwise; also called swish.

    x: floats of any shape. Derivative: y / x + y / (1 + exp(x)).

    Source: Elfwing, Uchibe and Doya, "Sigmoid-Weighted Linear Units for Neural Network Function Approximation in
    Reinforcement Learning", 2017.

    >>> import tinyreg as tr
    >>> round(tr.silu(tr.tensor(1.0)).item(), 4)
    0.7311
    """
    return xp.maximum(x, -1000) * sigmoid_of(xp, x)  # 0 from there on


@silu.vjp("x")
def _(g: Any, x: Any) -> Any:
    return g * (sigmoid(x) + bounded(x) * logistic(x))


@wide(expects="approximate='none' or 'tanh'")
def gelu(xp: Backend, x: Array, *, approximate: str = "none") -> Array:
    """x P(Z <= x) for a standard normal Z, elementwise: x (1 + erf(x / sqrt 2)) / 2.

    x: floats of any shape. approximate: "none", or "tanh" for x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2.

    Raises `ValueError` for another `approximate`.

    Source: Hendrycks and Gimpel, "Gaussian Error Linear Units", 2016.

    >>> import tinyreg as tr
    >>> round(tr.gelu(tr.tensor(1.0)).item(), 4)
    0.8413
    """
    if approximate == "none":
        return xp.maximum(x, -1000) * normal_distribution(xp, x)
    if approximate == "tanh":
        return xp.maximum(x, -1000) * sigmoid_of(xp, _cubic(xp.clip(x, -REACH, REACH)))
    raise ValueError(f"got approximate={approximate!r}")


@gelu.vjp("x")
def _(g: Any, x: Any, approximate: str) -> Any:
    if approximate == "none":
        return g * (ndtr(x) + bounded(x) * density(x))
    inside = clamp(x, min=-REACH, max=REACH)
    z = _cubic(inside)
    return g * (sigmoid(z) + inside * logistic(z) * (SLOPE * (1 + 3 * CUBIC * inside * inside)))


REACH = 30.0  # beyond, the slope of the sigmoid is 0 in every dtype
CUBIC, SLOPE = 0.044715, 2 * math.sqrt(2 / math.pi)


def _cubic(x: Any) -> Any:
    """The z for which the tanh form of gelu is x sigmoid(z): 1 + tanh would lose the digits of its lower end."""
    return SLOPE * (x + CUBIC * x * x * x)


@wide()
def elu(xp: Backend, x: Array, *, alpha: float = 1.0) -> Array:
    """x where x > 0, elsewhere alpha (exp(x) - 1), elementwise.

    x: floats of any shape. The derivative at 0 is alpha: for an alpha in [0, 1], the subgradient of least norm.

    Source: Clevert, Unterthiner and Hochreiter, "Fast and Accurate Deep Network Learning by Exponential Linear Units
    (ELUs)", 2015.

    >>> import tinyreg as tr
    >>> [round(y, 4) for y in tr.elu(tr.tensor([-1.0, 2.0])).tolist()]
    [-0.6321, 2.0]
    """
    y = xp.expm1(xp.minimum(x, 0))
    if alpha != 1:
        y *= alpha
    y += xp.maximum(x, 0)
    return y


@elu.vjp("x")
def _(g: Any, x: Any, alpha: float) -> Any:
    return where(greater(x, 0.0), g, g * (alpha * exp(minimum(x, 0.0))))
