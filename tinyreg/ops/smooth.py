"""Smooth elementwise functions with two different ends, and their slopes: what activations need.

A slope is worked out from x. From the result it would lose its digits where that is flat: 1 - tanh(x)^2 is 0 from 20 on.
"""

from __future__ import annotations

import functools
import math
from typing import Any

from ..blocks import by_blocks
from ..core.backend import Array, Backend
from ..erf import exp_of_square
from ..erf import ndtr as normal_distribution
from .elementwise import clamp
from .precision import wide
from .table import Unary, unary

__all__ = ["erf", "log_sigmoid", "sigmoid", "softplus", "tanh"]


@wide(name="sigmoid")
def logistic(xp: Backend, x: Array, /, rate: int = 1) -> Array:
    """s / (1 + s)^2 with s = exp(-rate |x|), elementwise: the slope of `sigmoid`, and for a rate of 2 a quarter of tanh's.

    Derivative: -rate y tanh(rate x / 2).
    """
    s = xp.abs(x if rate == 1 else xp.clip(x, -1000, 1000))  # 0 from there on
    s *= -rate
    s = xp.exp(s)
    below = 1 + s
    below *= below
    s /= below
    return s


@logistic.vjp("x")
def _(g: Any, x: Any, y: Any, rate: int) -> Any:
    return g * (y * (-rate * tanh(x * (rate / 2))))


def exponential(xp: Backend, x: Array) -> Array:
    """e^x, but not beyond e^80, to which 1 may be added in every dtype without a trace."""
    return xp.exp(xp.clip(xp.asarray(x), -math.inf, 80))


def sigmoid_of(xp: Backend, x: Array) -> Array:
    """The forward of `sigmoid`."""
    y = exponential(xp, x)
    y /= 1 + y
    return y


sigmoid: Unary = unary(
    "sigmoid",
    "1 / (1 + e^-x)",
    lambda g, x: g * logistic(x),
    "y (1 - y)",
    forward=sigmoid_of,
    example=(0.0, 0.5),
    wide=True,
)


def log_sigmoid_of(xp: Backend, x: Array) -> Array:
    """The forward of `log_sigmoid`."""
    y = xp.log1p(xp.exp(-xp.abs(x)))
    return xp.clip(xp.asarray(x), -math.inf, 0) - y


log_sigmoid: Unary = unary(
    "log_sigmoid",
    "log(1 / (1 + e^-x))",
    lambda g, x: g * sigmoid(-x),
    "sigmoid(-x)",
    forward=log_sigmoid_of,
    example=(0.0, -0.6931),
    note=", without overflow",
    wide=True,
)


tanh: Unary = unary(
    "tanh", "sinh x / cosh x", lambda g, x: g * (4 * logistic(x, rate=2)), "1 / cosh(x)^2", example=(0.0, 0.0)
)


@wide(expects="a beta above 0")
def softplus(xp: Backend, x: Array, /, beta: float = 1.0) -> Array:
    """log(1 + exp(beta x)) / beta, elementwise, without overflow: a smooth relu.

    x: floats of any shape; beta > 0: the sharpness. The result has the shape of x. Derivative: sigmoid(beta x). Raises
    `ValueError` for another beta.

    >>> import tinyreg as tr
    >>> round(tr.softplus(tr.tensor(0.0)).item(), 4)
    0.6931
    """
    if not beta > 0:
        raise ValueError(f"beta is {beta}")
    y = xp.log1p(xp.exp(xp.abs(x) * -beta))
    if beta != 1:
        y /= beta
    y += xp.clip(xp.asarray(x), 0, math.inf)
    return y


@softplus.vjp("x")
def _(g: Any, x: Any, beta: float) -> Any:
    return g * sigmoid(beta * x)


# ---- of the normal distribution --------------------------------------------------------------------------------------


@wide()
def gaussian(xp: Backend, x: Array, /, rate: float) -> Array:
    """exp(-rate x^2), elementwise, for a rate of 1 or 1/2. Derivative: -2 rate x y."""
    return by_blocks(functools.partial(exp_of_square, rate=rate), xp, x)


@gaussian.vjp("x")
def _(g: Any, x: Any, y: Any, rate: float) -> Any:
    return g * (-2 * rate * (bounded(x) * y))


erf: Unary = unary(
    "erf",
    "2 / sqrt(pi) times the integral of exp(-t^2) from 0 to x",
    lambda g, x: g * (2 / math.sqrt(math.pi) * gaussian(x, rate=1.0)),
    "2 exp(-x^2) / sqrt(pi)",
    example=(1.0, 0.8427),
    wide=True,
)


@wide()
def ndtr(xp: Backend, x: Array) -> Array:
    """The integral of exp(-t^2 / 2) / sqrt(2 pi) from minus infinity to x, elementwise.

    Derivative: exp(-x^2 / 2) / sqrt(2 pi).
    """
    return normal_distribution(xp, x)


ndtr.vjp("x")(lambda g, x: g * density(x))


def bounded(x: Any) -> Any:
    """x where an exponential of it is not 0, so that its product with that has the limit 0 at infinity."""
    return clamp(x, min=-1000.0, max=1000.0)


def density(x: Any) -> Any:
    """The slope of `ndtr`."""
    return 1 / math.sqrt(2 * math.pi) * gaussian(x, rate=0.5)
