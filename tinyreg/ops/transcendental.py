"""Elementwise ops: powers, exponentials, logarithms, angles, and the smooth functions that activations need."""

from __future__ import annotations

import math
from typing import Any

from ..core.backend import Array, Backend
from ..core.primitive import Primitive, primitive
from .elementwise import equal, hypot, nonzero, sqrt, where
from .table import POSITIVE, REAL, UNIT, Domain, binary, unary

# ---- powers and exponentials of two arguments --------------------------------------------------------------------------

pow = binary(
    "pow",
    "x1 to the power x2",
    lambda xp, x1, x2: x1**x2,
    lambda g, x1, x2: g * (x2 * _base(x1, x2) ** (x2 - 1)),
    lambda g, x1, y: g * y * _log_of_base(x1),
    "x2 x1^(x2 - 1), 0 for x1 = x2 = 0, and x1^x2 log x1, 0 for x1 = 0",
    (POSITIVE, REAL),
    check=(2.0, 3.0, 8.0),
    note="; a negative x1 takes an integer x2",
)
logaddexp = binary(
    "logaddexp",
    "log(exp(x1) + exp(x2))",
    lambda xp, x1, x2: xp.logaddexp(x1, x2),
    lambda g, x1, y: g * exp(x1 - where(equal(y, -math.inf), 0.0, y)),
    lambda g, x2, y: g * exp(x2 - where(equal(y, -math.inf), 0.0, y)),
    "exp(x1 - y) and exp(x2 - y); 0 where both are -inf",
    check=(0.0, 0.0, 0.6931),
    note=", without overflow",
)
atan2 = binary(
    "atan2",
    "the angle of the point (x2, x1)",
    lambda xp, x1, x2: xp.arctan2(x1, x2),
    lambda g, x1, x2: g * x2 / _square_length(x1, x2),
    lambda g, x1, x2: -g * x1 / _square_length(x1, x2),
    "x2 / (x1^2 + x2^2) and -x1 / (x1^2 + x2^2); 0 at the origin",
    check=(1.0, 1.0, 0.7854),
    note=", in radians in (-pi, pi]",
)


def _base(x1: Any, x2: Any) -> Any:
    """x1, but 1 where both are 0, so that 0 * 0^-1 is 0; a plain exponent other than 0 needs no such care."""
    return where((x1 == 0) & (x2 == 0), 1.0, x1) if hasattr(x2, "shape") or x2 == 0 else x1


def _log_of_base(x: Any) -> Any:
    """log x, and 0 at 0, of an array or of a plain number."""
    if hasattr(x, "shape"):
        return log(where(equal(x, 0.0), 1.0, x))
    return math.log(x) if x > 0 else 0.0 if x == 0 else math.nan


def _square_length(x1: Any, x2: Any) -> Any:
    return nonzero(x1 * x1 + x2 * x2)


# ---- exponentials and logarithms -------------------------------------------------------------------------------------

exp: Primitive = unary("exp", "e^x", lambda xp, x: xp.exp(x), lambda g, y: g * y, "e^x", check=(0.0, 1.0))
exp2 = unary("exp2", "2^x", lambda xp, x: xp.exp2(x), lambda g, y: g * y * math.log(2), "2^x log 2", check=(3.0, 8.0))
expm1 = unary(
    "expm1",
    "e^x - 1",
    lambda xp, x: xp.expm1(x),
    lambda g, y: g * (y + 1),
    "e^x",
    check=(0.0, 0.0),
    note=", exact also for small x",
)
log = unary(
    "log",
    "the natural logarithm of x",
    lambda xp, x: xp.log(x),
    lambda g, x: g / x,
    "1 / x",
    POSITIVE,
    check=(1.0, 0.0),
)
log1p = unary(
    "log1p",
    "log(1 + x)",
    lambda xp, x: xp.log1p(x),
    lambda g, x: g / (1 + x),
    "1 / (1 + x)",
    Domain(-1, math.inf),
    check=(0.0, 0.0),
    note=", exact also for small x",
)
log2 = unary(
    "log2",
    "the logarithm of x to base 2",
    lambda xp, x: xp.log2(x),
    lambda g, x: g / (x * math.log(2)),
    "1 / (x log 2)",
    POSITIVE,
    check=(8.0, 3.0),
)
log10 = unary(
    "log10",
    "the logarithm of x to base 10",
    lambda xp, x: xp.log10(x),
    lambda g, x: g / (x * math.log(10)),
    "1 / (x log 10)",
    POSITIVE,
    check=(100.0, 2.0),
)

# ---- trigonometric and hyperbolic ------------------------------------------------------------------------------------

sin = unary(
    "sin", "sin x", lambda xp, x: xp.sin(x), lambda g, x: g * cos(x), "cos x", check=(0.0, 0.0), note=", x in radians"
)
cos: Primitive = unary(
    "cos", "cos x", lambda xp, x: xp.cos(x), lambda g, x: -g * sin(x), "-sin x", check=(0.0, 1.0), note=", x in radians"
)
tan = unary(
    "tan",
    "tan x",
    lambda xp, x: xp.tan(x),
    lambda g, y: g * (1 + y * y),
    "1 + tan(x)^2",
    Domain(-1.5, 1.5),
    check=(0.0, 0.0),
    note=", x in radians",
)
asin = unary(
    "asin",
    "the angle in [-pi/2, pi/2] whose sine is x",
    lambda xp, x: xp.arcsin(x),
    lambda g, x: g / sqrt(1 - x * x),
    "1 / sqrt(1 - x^2)",
    UNIT,
    check=(1.0, 1.5708),
)
acos = unary(
    "acos",
    "the angle in [0, pi] whose cosine is x",
    lambda xp, x: xp.arccos(x),
    lambda g, x: -g / sqrt(1 - x * x),
    "-1 / sqrt(1 - x^2)",
    UNIT,
    check=(1.0, 0.0),
)
atan = unary(
    "atan",
    "the angle in (-pi/2, pi/2) whose tangent is x",
    lambda xp, x: xp.arctan(x),
    lambda g, x: g / (1 + x * x),
    "1 / (1 + x^2)",
    check=(1.0, 0.7854),
)
sinh = unary("sinh", "(e^x - e^-x) / 2", lambda xp, x: xp.sinh(x), lambda g, x: g * cosh(x), "cosh x", check=(0.0, 0.0))
cosh: Primitive = unary(
    "cosh", "(e^x + e^-x) / 2", lambda xp, x: xp.cosh(x), lambda g, x: g * sinh(x), "sinh x", check=(0.0, 1.0)
)
tanh = unary(
    "tanh", "sinh x / cosh x", lambda xp, x: xp.tanh(x), lambda g, y: g * (1 - y * y), "1 - tanh(x)^2", check=(0.0, 0.0)
)
asinh = unary(
    "asinh",
    "the number whose sinh is x",
    lambda xp, x: xp.arcsinh(x),
    lambda g, x: g / hypot(x, 1.0),
    "1 / sqrt(x^2 + 1)",
    check=(0.0, 0.0),
)
acosh = unary(
    "acosh",
    "the number >= 0 whose cosh is x",
    lambda xp, x: xp.arccosh(x),
    lambda g, x: g / (sqrt(x - 1) * sqrt(x + 1)),
    "1 / sqrt(x^2 - 1)",
    Domain(1, math.inf),
    check=(1.0, 0.0),
)
atanh = unary(
    "atanh",
    "the number whose tanh is x",
    lambda xp, x: xp.arctanh(x),
    lambda g, x: g / (1 - x * x),
    "1 / (1 - x^2)",
    UNIT,
    check=(0.0, 0.0),
)

# ---- what activations need -------------------------------------------------------------------------------------------

erf = unary(
    "erf",
    "2 / sqrt(pi) times the integral of exp(-t^2) from 0 to x",
    lambda xp, x: xp.erf(x),
    lambda g, x: g * (2 / math.sqrt(math.pi)) * exp(-x * x),
    "2 exp(-x^2) / sqrt(pi)",
    check=(1.0, 0.8427),
)


def _sigmoid(xp: Backend, x: Array) -> Array:
    small = xp.exp(-xp.abs(x))  # never overflows
    return xp.where(x >= 0, 1 / (1 + small), small / (1 + small))


sigmoid = unary("sigmoid", "1 / (1 + e^-x)", _sigmoid, lambda g, y: g * y * (1 - y), "y (1 - y)", check=(0.0, 0.5))
log_sigmoid = unary(
    "log_sigmoid",
    "log(1 / (1 + e^-x))",
    lambda xp, x: xp.minimum(x, 0) - xp.log1p(xp.exp(-xp.abs(x))),
    lambda g, x: g * sigmoid(-x),
    "sigmoid(-x)",
    check=(0.0, -0.6931),
    note=", without overflow",
)


@primitive
def softplus(xp: Backend, x: Array, *, beta: float = 1.0) -> Array:
    """log(1 + exp(beta x)) / beta, elementwise, without overflow: a smooth relu.

    x: floats of any shape; beta > 0: the sharpness. The result has the shape of x. Derivative: sigmoid(beta x).

    >>> import tinyreg as tr
    >>> round(tr.softplus(tr.tensor(0.0)).item(), 4)
    0.6931
    """
    z = beta * x
    return (xp.maximum(z, 0) + xp.log1p(xp.exp(-xp.abs(z)))) / beta


@softplus.vjp("x")
def _(g: Any, x: Any, beta: float) -> Any:
    return g * sigmoid(beta * x)
