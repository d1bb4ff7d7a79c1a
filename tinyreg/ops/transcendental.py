"""Elementwise ops: powers, exponentials, logarithms, angles."""

from __future__ import annotations

import math
import sys
from typing import Any

from ..core.backend import Array, Backend
from .elementwise import clip, equal, finite, hypot, length, sign, sqrt, where
from .smooth import sigmoid
from .table import POSITIVE, REAL, UNIT, Binary, Domain, Unary, binary, unary

__all__ = [
    "acos",
    "acosh",
    "asin",
    "asinh",
    "atan",
    "atan2",
    "atanh",
    "cos",
    "cosh",
    "exp",
    "exp2",
    "expm1",
    "log",
    "log1p",
    "log2",
    "log10",
    "logaddexp",
    "pow",
    "sin",
    "sinh",
    "tan",
]

# ---- powers and exponentials of two arguments --------------------------------------------------------------------------

pow: Binary = binary(
    "pow",
    "x1 to the power x2",
    lambda g, x1, x2: g * (finite(x2) * _base(x1, x2) ** (x2 - 1)),
    lambda g, x1, x2, y: g * _times_log(y, x1, x2),
    "x2 x1^(x2 - 1), 0 for x1 = x2 = 0, and x1^x2 log x1, 0 for x1 = 0 unless x2 < 0",
    (POSITIVE, REAL),
    forward=lambda xp, x1, x2: x1**x2,
    example=(2.0, 3.0, 8.0),
    note="; a negative x1 takes an integer x2",
    wide=True,
)
BEYOND = 1e30
"""From here on log 2 is less than any rounding."""


def logaddexp_of(xp: Backend, x1: Array, x2: Array) -> Array:
    """The forward of `logaddexp`: NumPy's own takes eight times as long."""
    apart = [xp.clip(x, -BEYOND, BEYOND) if hasattr(x, "dtype") else min(max(x, -BEYOND), BEYOND) for x in (x1, x2)]
    y = xp.log1p(xp.exp(-xp.abs(apart[0] - apart[1])))  # of infinities there is no difference
    y += xp.maximum(x1, x2)
    return y


logaddexp: Binary = binary(
    "logaddexp",
    "log(exp(x1) + exp(x2))",
    lambda g, x1, x2: g * _share(x1, x2),
    lambda g, x1, x2: g * _share(x2, x1),
    "1 / (1 + exp(x2 - x1)) and 1 / (1 + exp(x1 - x2)); 0 where both are -inf, 1 / 2 where both are inf",
    forward=logaddexp_of,
    example=(0.0, 0.0, 0.6931),
    note=", without overflow",
    wide=True,
)
atan2: Binary = binary(
    "atan2",
    "the angle of the point (x2, x1)",
    lambda g, x1, x2: _turned(g, x2, x1),
    lambda g, x1, x2: _turned(-g, x1, x2),
    "x2 / (x1^2 + x2^2) and -x1 / (x1^2 + x2^2); 0 at the origin",
    forward="arctan2",
    example=(1.0, 1.0, 0.7854),
    note=", in radians in (-pi, pi]",
    wide=True,
)


def _base(x1: Any, x2: Any) -> Any:
    """x1, but 1 where both are 0, so that 0 * 0^-1 is 0; a plain exponent other than 0 needs no such care."""
    return where((x1 == 0) & (x2 == 0), 1.0, x1) if hasattr(x2, "shape") or x2 == 0 else x1


def _times_log(y: Any, x1: Any, x2: Any) -> Any:
    """y log x1 for y = x1^x2: 0 where y is 0, and at x1 = 0 what is in the sign of x2, 0 or minus infinity."""
    if hasattr(x1, "shape"):
        at_0 = equal(x1, 0.0)
        logarithm = where(at_0, sign(x2), log(where(at_0, 1.0, x1)))
        return y * where(equal(y, 0.0), 0.0, logarithm)
    if x1 == 0:
        return y * sign(x2)
    return y * (math.log(min(x1, sys.float_info.max)) if x1 > 0 else math.nan)


def _share(x1: Any, x2: Any) -> Any:
    """The share of x1 in exp(x1) + exp(x2), from their difference: next to the logarithm of the sum it would be lost."""
    return where(equal(x1, -math.inf), 0.0, sigmoid(_within(x1) - _within(x2)))


def _within(x: Any) -> Any:
    """x where log 2 counts beside it, so that of infinities there is a difference; a number too."""
    return clip(x, -BEYOND, BEYOND) if hasattr(x, "dtype") else min(x, BEYOND)


def _turned(g: Any, x: Any, other: Any) -> Any:
    """g x / (x^2 + other^2), without overflow and underflow of the squares."""
    y = length(hypot(x, other))
    return g * (finite(x) / y) / y


# ---- exponentials and logarithms -------------------------------------------------------------------------------------

exp: Unary = unary("exp", "e^x", lambda g, y: g * y, "e^x", example=(0.0, 1.0))
exp2: Unary = unary("exp2", "2^x", lambda g, y: g * (y * math.log(2)), "2^x log 2", example=(3.0, 8.0))
expm1: Unary = unary(
    "expm1", "e^x - 1", lambda g, x: g * exp(x), "e^x", example=(0.0, 0.0), note=", exact also for small x"
)
log: Unary = unary("log", "the natural logarithm of x", lambda g, x: g / x, "1 / x", POSITIVE, example=(1.0, 0.0))
log1p: Unary = unary(
    "log1p",
    "log(1 + x)",
    lambda g, x: g / (1 + x),
    "1 / (1 + x)",
    Domain(-1, math.inf),
    example=(0.0, 0.0),
    note=", exact also for small x",
)
log2: Unary = unary(
    "log2", "the logarithm of x to base 2", lambda g, x: g / x / math.log(2), "1 / (x log 2)", POSITIVE, example=(8.0, 3.0)
)
log10: Unary = unary(
    "log10",
    "the logarithm of x to base 10",
    lambda g, x: g / x / math.log(10),
    "1 / (x log 10)",
    POSITIVE,
    example=(100.0, 2.0),
)

# ---- trigonometric and hyperbolic ------------------------------------------------------------------------------------

sin: Unary = unary("sin", "sin x", lambda g, x: g * cos(x), "cos x", example=(0.0, 0.0), note=", x in radians")
cos: Unary = unary("cos", "cos x", lambda g, x: -g * sin(x), "-sin x", example=(0.0, 1.0), note=", x in radians")
tan: Unary = unary(
    "tan",
    "tan x",
    lambda g, y: g * (1 + y * y),
    "1 + tan(x)^2",
    Domain(-1.5, 1.5),
    example=(0.0, 0.0),
    note=", x in radians",
)
asin: Unary = unary(
    "asin",
    "the angle in [-pi/2, pi/2] whose sine is x",
    lambda g, x: g / sqrt((1 - x) * (1 + x)),
    "1 / sqrt(1 - x^2)",
    UNIT,
    forward="arcsin",
    example=(1.0, 1.5708),
)
acos: Unary = unary(
    "acos",
    "the angle in [0, pi] whose cosine is x",
    lambda g, x: -g / sqrt((1 - x) * (1 + x)),
    "-1 / sqrt(1 - x^2)",
    UNIT,
    forward="arccos",
    example=(1.0, 0.0),
)
atan: Unary = unary(
    "atan",
    "the angle in (-pi/2, pi/2) whose tangent is x",
    lambda g, x: _turned(g, 1.0, x),
    "1 / (1 + x^2)",
    forward="arctan",
    example=(1.0, 0.7854),
    wide=True,
)
sinh: Unary = unary("sinh", "(e^x - e^-x) / 2", lambda g, x: g * cosh(x), "cosh x", example=(0.0, 0.0))
cosh: Unary = unary("cosh", "(e^x + e^-x) / 2", lambda g, x: g * sinh(x), "sinh x", example=(0.0, 1.0))
asinh: Unary = unary(
    "asinh",
    "the number whose sinh is x",
    lambda g, x: g / hypot(x, 1.0),
    "1 / sqrt(x^2 + 1)",
    forward="arcsinh",
    example=(0.0, 0.0),
)
acosh: Unary = unary(
    "acosh",
    "the number >= 0 whose cosh is x",
    lambda g, x: g / (sqrt(x - 1) * sqrt(x + 1)),
    "1 / sqrt(x^2 - 1)",
    Domain(1, math.inf),
    forward="arccosh",
    example=(1.0, 0.0),
    wide=True,
)
atanh: Unary = unary(
    "atanh",
    "the number whose tanh is x",
    lambda g, x: g / ((1 - x) * (1 + x)),
    "1 / (1 - x^2)",
    UNIT,
    forward="arctanh",
    example=(0.0, 0.0),
)
