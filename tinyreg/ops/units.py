"""Activations whose result and slope are right at both ends: in their formulas inf * 0 stands there, or digits are lost."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from ..arguments import number
from ..blocks import by_blocks
from ..core.backend import Array, Backend, accumulator
from ..core.fused import fused
from ..core.primitive import primitive
from ..core.tensor import Tensor
from ..erf import gelu as gelu_by_erf
from .elementwise import abs, clip, greater, minimum, relu, where
from .precision import narrowed, wide, widened
from .smooth import exponential, ndtr, sigmoid
from .transcendental import exp

__all__ = ["elu", "gelu", "leaky_relu", "silu"]


@fused(expects="floats")
def silu(x: Tensor | Array) -> Tensor:
    """x / (1 + exp(-x)), elementwise; also called swish.

    x: floats of any shape. Derivative: y / x + y / (1 + exp(x)).

    Source: Elfwing, Uchibe and Doya, "Sigmoid-Weighted Linear Units for Neural Network Function Approximation in
    Reinforcement Learning", 2017.

    >>> import tinyreg as tr
    >>> round(tr.silu(tr.tensor(1.0)).item(), 4)
    0.7311
    """
    return _gated(x, sigmoid)


@silu.fast
def _(xp: Backend, x: Array) -> tuple[Array, Array]:
    return _with_slope(_silu, xp, x)


@silu.backward
def _(g: Any, residuals: Any) -> Any:
    return g * residuals


@fused(expects="approximate='none' or 'tanh'")
def gelu(x: Tensor | Array, *, approximate: str = "none") -> Tensor:
    """x P(Z <= x) for a standard normal Z, elementwise: x (1 + erf(x / sqrt 2)) / 2.

    x: floats of any shape. approximate: "none", or "tanh" for x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2.

    Raises `ValueError` for another `approximate`.

    Source: Hendrycks and Gimpel, "Gaussian Error Linear Units", 2016.

    >>> import tinyreg as tr
    >>> round(tr.gelu(tr.tensor(1.0)).item(), 4)
    0.8413
    """
    share, _ = _form(approximate)
    return _gated(x, share)


@gelu.fast
def _(xp: Backend, x: Array, *, approximate: str) -> tuple[Array, Array]:
    _, value_and_slope = _form(approximate)
    return _with_slope(value_and_slope, xp, x)


@gelu.backward
def _(g: Any, residuals: Any) -> Any:
    """g (P(Z <= x) + x p(x)), for the density p of a standard normal Z, or the slope of the form with tanh."""
    return g * residuals


def _gated(x: Any, share: Callable[[Any], Any]) -> Tensor:
    """x share(x), which far out is relu: infinities are not to meet 0."""
    wide = widened(x)
    far = greater(abs(wide), 1000.0)
    near = where(far, 0.0, wide)
    return narrowed(where(far, relu(wide), near * share(near)), x)


def _with_slope(f: Callable[..., None], xp: Backend, x: Array) -> tuple[Array, Array]:
    """What f(xp, x, y, slope) writes, a value and a slope: of float16 worked out in float32."""
    x = xp.asarray(x)
    dtype = xp.result_type(x.dtype, xp.float16)
    wide = x.astype(accumulator(dtype) or dtype, copy=False)
    y, slope = xp.empty_like(wide), xp.empty_like(wide)
    by_blocks(f, xp, wide, y, slope)
    return y.astype(dtype, copy=False), slope.astype(dtype, copy=False)


def _silu(xp: Backend, x: Array, y: Array, slope: Array) -> None:
    e = exponential(xp, x)
    above = 1 + e
    e /= above
    xp.multiply(xp.clip(x, -1000, math.inf), e, out=y)
    rest = xp.clip(x, -1000, 80)  # what lies beyond changes nothing
    rest /= above
    rest += 1
    xp.multiply(rest, e, out=slope)


REACH = 30.0  # beyond, the slope of the sigmoid is 0 in every dtype
CUBIC, SLOPE = 0.044715, 2 * math.sqrt(2 / math.pi)


def _cubic(x: Any) -> Any:
    """The z for which the tanh form of gelu is x sigmoid(z): 1 + tanh would lose the digits of its lower end."""
    return SLOPE * (x + CUBIC * x * x * x)


def _share_by_tanh(x: Any) -> Any:
    return sigmoid(_cubic(clip(x, -REACH, REACH)))


def _gelu_by_tanh(xp: Backend, x: Array, y: Array, slope: Array) -> None:
    inside = xp.clip(x, -REACH, REACH)
    e = exponential(xp, _cubic(inside))
    above = 1 + e
    e /= above
    xp.multiply(xp.clip(x, -1000, math.inf), e, out=y)
    rest = inside * (SLOPE + 3 * SLOPE * CUBIC * inside * inside)
    rest /= above
    rest += 1
    xp.multiply(rest, e, out=slope)


FORMS: dict[str, tuple[Callable[[Any], Any], Callable[..., None]]] = {
    "none": (ndtr, gelu_by_erf),
    "tanh": (_share_by_tanh, _gelu_by_tanh),
}
"""By the name of an approximation: the share of x, in ops, and value and slope, of arrays."""


def _form(approximate: str) -> tuple[Callable[[Any], Any], Callable[..., None]]:
    if approximate not in FORMS:
        raise ValueError(f"got approximate={approximate!r}")
    return FORMS[approximate]


@primitive(residuals=("positive",))
def leaky_relu(xp: Backend, x: Array, /, negative_slope: float = 0.01) -> tuple[Array, Array]:
    """x where x > 0, elsewhere negative_slope x, elementwise.

    x: floats of any shape. Derivative: 1 where x > 0, elsewhere negative_slope. For a slope in [0, 1] that is the
    subgradient of least norm at 0.

    Source: Maas, Hannun and Ng, "Rectifier Nonlinearities Improve Neural Network Acoustic Models", 2013.

    >>> import tinyreg as tr
    >>> tr.leaky_relu(tr.tensor([-1.0, 2.0]))
    tensor([-0.01,  2.  ])
    """
    slope = number("leaky_relu", "negative_slope", negative_slope)
    x = xp.asarray(x)
    below = xp.asarray(slope * x) if slope else xp.zeros_like(x)  # also for infinities
    return (xp.minimum if slope > 1 else xp.maximum)(x, below, out=below), xp.greater(x, 0)


@primitive(name="leaky_relu", nondifferentiable=("above",))
def bent(xp: Backend, x: Array, above: Array, /, slope: float) -> Array:
    """x where `above` holds, elsewhere slope x. Derivative: 1 where it holds, elsewhere slope. See `leaky_relu`."""
    y = (~xp.asarray(above)).astype(x.dtype)
    y *= slope
    y += above
    y *= x
    return y


bent.vjp("x")(lambda g, above, slope: bent(g, above, slope=slope))
leaky_relu.vjp("x")(lambda g, positive, negative_slope: bent(g, positive, slope=negative_slope))


@wide()
def elu(xp: Backend, x: Array, /, alpha: float = 1.0) -> Array:
    """x where x > 0, elsewhere alpha (exp(x) - 1), elementwise.

    x: floats of any shape. The derivative at 0 is alpha: for an alpha in [0, 1], the subgradient of least norm.

    Source: Clevert, Unterthiner and Hochreiter, "Fast and Accurate Deep Network Learning by Exponential Linear Units
    (ELUs)", 2015.

    >>> import tinyreg as tr
    >>> [round(y, 4) for y in tr.elu(tr.tensor([-1.0, 2.0])).tolist()]
    [-0.6321, 2.0]
    """
    x = xp.asarray(x)
    y = xp.expm1(xp.clip(x, -math.inf, 0))
    if alpha != 1:
        y *= alpha
    y += xp.clip(x, 0, math.inf)
    return y


@elu.vjp("x")
def _(g: Any, x: Any, alpha: float) -> Any:
    return where(greater(x, 0.0), g, g * (alpha * exp(minimum(x, 0.0))))
