"""Elementwise ops: choosing, comparing, arithmetic, rounding, and dtypes.

At a kink the gradient is the subgradient of least norm in the arrays that the op was given: 0 for `abs` and `relu` at 0,
half for each of two equal arrays in `maximum` and `minimum`, and 0 where an array equals a bound that is a plain number.
"""

from __future__ import annotations

import math
from typing import Any, overload

from ..core.backend import Array, Backend, get, is_float, transfer
from ..core.primitive import primitive
from ..core.tensor import Tensor
from ..creation import get_default_dtype
from .precision import wide
from .table import POSITIVE, Binary, Unary, binary, unary

__all__ = [
    "abs",
    "add",
    "bitwise_and",
    "bitwise_invert",
    "bitwise_or",
    "bitwise_xor",
    "ceil",
    "clip",
    "copysign",
    "divide",
    "equal",
    "floor",
    "floor_divide",
    "greater",
    "greater_equal",
    "hypot",
    "isfinite",
    "isinf",
    "isnan",
    "less",
    "less_equal",
    "logical_and",
    "logical_not",
    "logical_or",
    "logical_xor",
    "maximum",
    "minimum",
    "multiply",
    "negative",
    "nextafter",
    "not_equal",
    "positive",
    "reciprocal",
    "relu",
    "remainder",
    "round",
    "sign",
    "signbit",
    "sqrt",
    "square",
    "subtract",
    "to",
    "trunc",
    "where",
]

# ---- choosing --------------------------------------------------------------------------------------------------------


@primitive(broadcasting=True, nondifferentiable=("condition",))
def where(xp: Backend, condition: Array, x1: Array, x2: Array) -> Array:
    """x1 where the condition holds, elsewhere x2; the shapes broadcast.

    condition: booleans; it has no gradient. Two plain numbers give the default dtype. Derivatives: the incoming gradient
    where the argument was taken, elsewhere 0, also where the other branch is infinite or NaN. That does not reach inside
    a branch: in `where(x > 0, sqrt(x), 0)` sqrt has its own derivative at 0, so give it `where(x > 0, x, 1)`.

    >>> import tinyreg as tr
    >>> tr.where(tr.tensor([True, False]), 1.0, tr.tensor([2.0, 3.0]))
    tensor([1., 3.])
    """
    if not (hasattr(x1, "dtype") or hasattr(x2, "dtype")) and float in (type(x1), type(x2)):
        x1 = xp.asarray(x1, dtype=get_default_dtype())
    condition = xp.asarray(condition)
    if condition.dtype == bool:
        if _is_zero(x2) and is_float(x1):
            return xp.masked(x1, condition)
        if _is_zero(x1) and is_float(x2):
            return xp.masked(x2, ~condition)
    return xp.where(condition, x1, x2)


where.vjp("x1")(lambda g, condition: where(condition, g, 0.0))
where.vjp("x2")(lambda g, condition: where(condition, 0.0, g))


def _is_zero(x: Any) -> bool:
    """Whether x is the plain number 0, of positive sign."""
    return type(x) in (int, float) and x == 0 and math.copysign(1.0, x) > 0


@wide(name="dropout", nondifferentiable=("mask",), expects="a mask that broadcasts to x")
def masked(xp: Backend, x: Array, mask: Array, /, scale: float) -> Array:
    """scale x where the mask holds, elsewhere 0: what a dropout does with its mask.

    x: floats; mask: booleans that broadcast to it. Derivative: scale where the mask holds, elsewhere 0.

    >>> import tinyreg as tr
    >>> from tinyreg.ops.elementwise import masked
    >>> masked(tr.tensor([1.0, 2.0]), tr.tensor([True, False]), scale=2.0)
    tensor([2., 0.])
    """
    return xp.masked(x, mask) * scale


masked.vjp("x")(lambda g, mask, scale: masked(g, mask, scale=scale))


def _tie(other: Any) -> float:
    """The share of the gradient at a tie: half beside an array, nothing beside a plain number, which is a constant."""
    return 0.5 if hasattr(other, "shape") else 0.0


def _passed(g: Any, ahead: Any, level: Any, other: Any) -> Any:
    return where(ahead, g, where(level, _tie(other) * g, 0.0))


# ---- non-differentiable ----------------------------------------------------------------------------------------------


@overload
def without_gradient(name: str, formula: str, *, example: tuple[float, float], **text: Any) -> Unary: ...
@overload
def without_gradient(name: str, formula: str, *, example: tuple[float, float, float], **text: Any) -> Binary: ...
def without_gradient(name: str, formula: str, *, example: Any, **text: Any) -> Any:
    """Make an elementwise op of as many arguments as the example has, whose result has no gradient."""
    row: Any = binary if len(example) == 3 else unary
    vjps = [None] * (len(example) - 1)
    return row(name, formula, *vjps, "none; the result has no gradient", example=example, module=__name__, **text)


BITS = ", bit by bit, of integers and booleans only"


equal: Binary = without_gradient("equal", "x1 == x2", example=(1.0, 1.0, 1))
not_equal: Binary = without_gradient("not_equal", "x1 != x2", example=(1.0, 1.0, 0))
less: Binary = without_gradient("less", "x1 < x2", example=(1.0, 2.0, 1))
less_equal: Binary = without_gradient("less_equal", "x1 <= x2", example=(2.0, 2.0, 1))
greater: Binary = without_gradient("greater", "x1 > x2", example=(1.0, 2.0, 0))
greater_equal: Binary = without_gradient("greater_equal", "x1 >= x2", example=(2.0, 2.0, 1))
logical_and: Binary = without_gradient("logical_and", "x1 and x2", example=(1.0, 0.0, 0))
logical_or: Binary = without_gradient("logical_or", "x1 or x2", example=(1.0, 0.0, 1))
logical_xor: Binary = without_gradient("logical_xor", "x1 or x2, not both", example=(1.0, 0.0, 1))
logical_not: Unary = without_gradient("logical_not", "not x", example=(1.0, 0))
bitwise_and: Binary = without_gradient("bitwise_and", "x1 and x2", example=(6, 3, 2), note=BITS)
bitwise_or: Binary = without_gradient("bitwise_or", "x1 or x2", example=(6, 3, 7), note=BITS)
bitwise_xor: Binary = without_gradient("bitwise_xor", "x1 or x2, not both", example=(6, 3, 5), note=BITS)
bitwise_invert: Unary = without_gradient("bitwise_invert", "not x", forward="invert", example=(6, -7), note=BITS)
floor_divide: Binary = without_gradient("floor_divide", "floor(x1 / x2)", example=(7.0, 2.0, 3.0))
floor: Unary = without_gradient("floor", "the largest integer <= x", example=(1.5, 1.0))
ceil: Unary = without_gradient("ceil", "the smallest integer >= x", example=(1.5, 2.0))
trunc: Unary = without_gradient("trunc", "the integer next to x towards 0", example=(-1.5, -1.0))
sign: Unary = without_gradient("sign", "-1, 0 or 1 as x < 0, x = 0 or x > 0", example=(-1.5, -1.0))
signbit: Unary = without_gradient("signbit", "whether the sign bit of x is set", example=(-1.5, 1))
isfinite: Unary = without_gradient("isfinite", "whether x is neither infinite nor NaN", example=(1.0, 1))
isinf: Unary = without_gradient("isinf", "whether x is infinite", example=(1.0, 0))
isnan: Unary = without_gradient("isnan", "whether x is NaN", example=(1.0, 0))
nextafter: Binary = without_gradient("nextafter", "the float after x1 towards x2", example=(1.0, 2.0, 1.0))


@primitive(nondifferentiable=True)
def round(xp: Backend, x: Array, /, decimals: int = 0) -> Array:
    """x rounded to `decimals` places, halves to the even neighbour; the result has no gradient.

    x: numbers of any shape.

    >>> import tinyreg as tr
    >>> tr.round(tr.tensor([0.5, 1.26]), decimals=1)
    tensor([0.5, 1.3])
    """
    return xp.round(x, decimals)


# ---- arithmetic ------------------------------------------------------------------------------------------------------

add: Binary = binary(
    "add", "x1 + x2", lambda g: g, lambda g: g, "1 and 1", forward=lambda xp, x1, x2: x1 + x2, example=(1.0, 2.0, 3.0)
)
subtract: Binary = binary(
    "subtract",
    "x1 - x2",
    lambda g: g,
    lambda g: -g,
    "1 and -1",
    forward=lambda xp, x1, x2: x1 - x2,
    example=(1.0, 2.0, -1.0),
)
multiply: Binary = binary(
    "multiply",
    "x1 * x2",
    lambda g, x2: g * x2,
    lambda g, x1: g * x1,
    "x2 and x1",
    forward=lambda xp, x1, x2: x1 * x2,
    example=(2.0, 3.0, 6.0),
)
divide: Binary = binary(
    "divide",
    "x1 / x2",
    lambda g, x2: g / x2,
    lambda g, x2, y: -(g / x2) * y,
    "1 / x2 and -x1 / x2^2",
    forward=lambda xp, x1, x2: x1 / x2,
    example=(3.0, 2.0, 1.5),
)
remainder: Binary = binary(
    "remainder",
    "x1 - floor(x1 / x2) x2",
    lambda g: g,
    lambda g, x1, x2: -g * floor_divide(x1, x2),
    "1 and -floor(x1 / x2); at a jump that of the side on which the value lies",
    example=(7.0, 4.0, 3.0),
)
maximum: Binary = binary(
    "maximum",
    "the larger of x1 and x2",
    lambda g, x1, x2: _passed(g, greater(x1, x2), equal(x1, x2), x2),
    lambda g, x1, x2: _passed(g, greater(x2, x1), equal(x1, x2), x1),
    "1 for the larger, 0 for the smaller; equal arrays get half each, an array equal to a plain number 0",
    example=(1.0, 2.0, 2.0),
)
minimum: Binary = binary(
    "minimum",
    "the smaller of x1 and x2",
    lambda g, x1, x2: _passed(g, less(x1, x2), equal(x1, x2), x2),
    lambda g, x1, x2: _passed(g, less(x2, x1), equal(x1, x2), x1),
    "1 for the smaller, 0 for the larger; equal arrays get half each, an array equal to a plain number 0",
    example=(1.0, 2.0, 1.0),
)
hypot: Binary = binary(
    "hypot",
    "sqrt(x1^2 + x2^2)",
    lambda g, x1, y: g * (finite(x1) / length(y)),
    lambda g, x2, y: g * (finite(x2) / length(y)),
    "x1 / y and x2 / y; 0 at the origin",
    example=(3.0, 4.0, 5.0),
    note=", without overflow",
    wide=True,
)
copysign: Binary = binary(
    "copysign",
    "|x1| with the sign of x2",
    lambda g, x1, x2: g * copysign(sign(x1), x2) * sign(x1),
    None,
    "1 where the signs agree, -1 where they differ, 0 at x1 = 0; none for x2",
    example=(2.0, -1.0, -2.0),
)


def nonzero(y: Any) -> Any:
    """y with 1 in the place of 0: a safe denominator where the numerator is 0 too."""
    return where(equal(y, 0.0), 1.0, y)


def finite(x: Any) -> Any:
    """x with the largest number in the place of infinity, so that a limit is not inf / inf; a number as it is."""
    if not hasattr(x, "dtype"):
        return x
    largest = get("numpy").finfo(x.dtype).max
    return clamp(x, min=-largest, max=largest)


def length(y: Any) -> Any:
    """A length as a denominator: not 0, where the numerator is 0 too, and not infinite."""
    info = get("numpy").finfo(y.dtype)
    return clamp(y, min=info.smallest_subnormal, max=info.max)


negative: Unary = unary("negative", "-x", lambda g: -g, "-1", example=(2.0, -2.0))
positive: Unary = unary("positive", "x", lambda g: g, "1", example=(2.0, 2.0))
abs: Unary = unary("abs", "|x|", lambda g, x: g * sign(x), "sign(x), which is 0 at 0", example=(-2.0, 2.0))
square: Unary = unary("square", "x^2", lambda g, x: g * (2 * x), "2 x", example=(3.0, 9.0))
reciprocal: Unary = unary(
    "reciprocal", "1 / x", lambda g, x: -(g / x) / x, "-1 / x^2", POSITIVE, forward=lambda xp, x: 1 / x, example=(4.0, 0.25)
)
sqrt: Unary = unary(
    "sqrt", "the square root of x", lambda g, y: g / (2 * y), "1 / (2 sqrt(x)), infinite at 0", POSITIVE, example=(4.0, 2.0)
)
relu: Unary = unary(
    "relu",
    "max(x, 0)",
    lambda g, y: where(greater(y, 0.0), g, 0.0),
    "1 where x > 0, elsewhere 0, also at 0",
    forward=lambda xp, x: xp.maximum(x, 0),
    example=(-1.0, 0.0),
)


@primitive(name="clip")
def clamp(xp: Backend, x: Array, /, min: Any, max: Any) -> Array:
    """x between two plain numbers, in one pass. Derivative: 1 between them, elsewhere 0, also at them. See `clip`."""
    return xp.clip(x, min, max)


clamp.vjp("x")(lambda g, y, min, max: where(logical_and(greater(y, min), less(y, max)), g, 0.0))


def clip(x: Tensor | Array, min: Tensor | Array | float | None = None, max: Tensor | Array | float | None = None) -> Tensor:
    """minimum(maximum(x, min), max), elementwise; a bound that is None does not hold.

    x, min, max: numbers of shapes that broadcast. Derivatives: those of `maximum` and `minimum`, so 0 for x at a bound
    that is a plain number, as `relu` has it (PyTorch gave 1 there until 2.13).

    >>> import tinyreg as tr
    >>> tr.clip(tr.tensor([-1.0, 0.5, 3.0]), 0.0, 1.0)
    tensor([0. , 0.5, 1. ])
    """
    if type(min) in (int, float) and type(max) in (int, float) and is_float(x):
        return clamp(x, min=min, max=max)
    if min is not None:
        x = maximum(x, min)
    return x if max is None else minimum(x, max)


# ---- place ---------------------------------------------------------------------------------------------------------------


@primitive
def to(xp: Backend, x: Array, /, backend: str) -> Array:
    """x on another backend, by way of the host. Derivative: the incoming gradient, brought back.

    >>> import tinyreg as tr
    >>> tr.to(tr.tensor([1.0]), "numpy").backend
    'numpy'
    """
    return transfer(x, get(backend))


to.vjp("x")(lambda g, x_like: to(g, backend=x_like.backend))
