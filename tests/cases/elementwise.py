"""Cases of the elementwise ops. Domains come from the table of ops, so that they are written down once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import hypothesis.strategies as st
import numpy as np
from hypothesis.strategies import SearchStrategy

import tinyreg as tr
from tinyreg.ops import elementwise as ops
from tinyreg.ops import precision, smooth
from tinyreg.ops.table import DOMAINS, POSITIVE, REAL
from tinyreg.testing import Call, Case, Point, at
from tinyreg.testing.strategies import arrays, broadcasting, calls, elementwise, near_even, near_odd, shapes, values

erf = np.vectorize(math.erf, otypes=[np.float64])


def _case(op: Any, reference: Any, order: int = 2, points: Sequence[Point] = (), **drawn: Any) -> Case:
    """The case of a row of the table of ops: smooth everywhere unless it has a domain or a kink."""
    smooth = not drawn and all(domain == REAL for domain in DOMAINS[op.name])
    reach = math.inf if smooth else 1 / 64 if "apart" in drawn else 1 / 16
    return Case(op, elementwise(*DOMAINS[op.name], **drawn), reference, order=order, points=points, reach=reach)


def _sigmoid(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


def _of_pairs(one: Any, other: Any) -> SearchStrategy[Call]:
    """Calls of two arguments from a strategy for arrays of each, given their shapes, which broadcast."""
    return broadcasting(2).flatmap(lambda pair: calls(one(pair[0]), other(pair[1])))


def _integers(shape: Any) -> SearchStrategy[Any]:
    return arrays(shape, st.integers(-9, 9), dtype=np.int64)


def _powers() -> SearchStrategy[Call]:
    """Calls of `pow`: of two arrays, and of an array and a plain number on either side."""
    # An exponent of 0 comes seldom: differences of a constant resolve nothing.
    exponents, bases = st.sampled_from([2.0, 3.0, 0.5, -1.0, 1.0, -2.0, 1.5, 0.0]), st.sampled_from([2.0, 0.5, 1.5, 3.0])
    base, exponent = arrays(shapes(), values(POSITIVE)), arrays(shapes())
    return st.one_of(elementwise(POSITIVE, REAL), calls(base, exponents), calls(bases, exponent))


EXPONENTS = st.sampled_from([0.5, -2.0, 0.0])


def _choices() -> SearchStrategy[Call]:
    """Calls of `where`: a condition, and two arrays."""

    @st.composite
    def draw(pick: Any) -> Call:
        condition, x1, x2 = pick(broadcasting(3))
        return Call((pick(arrays(condition)) > 1, pick(arrays(x1)), pick(arrays(x2))), {})

    return draw()


def _clipped() -> SearchStrategy[Call]:
    """Calls of `clip`: near multiples of 1/8, between bounds that are not, none of them within 1/32 of another."""

    def bound(shape: tuple[int, ...], low: int, high: int) -> SearchStrategy[Any]:
        odd = st.sampled_from([near_odd(k / 8 + d) for k in range(low, high) for d in (0, 0.027, -0.0002)])
        return st.one_of(arrays(shape, odd), st.none())

    def drawn(shapes: Any) -> SearchStrategy[Call]:
        x, low, high = shapes
        return calls(arrays(x, values().map(near_even)), bound(low, -16, 4), bound(high, 4, 16))

    return broadcasting(3).flatmap(drawn)


CLAMPED_BELOW, CLAMPED_ABOVE = (st.sampled_from([s * 33 / 16, s * 41 / 16, s * 17 / 16]) for s in (-1, 1))

# x1 / x2 stays a quarter away from every integer, at which the remainder jumps.
BETWEEN_JUMPS = st.sampled_from([1.5, 0.5, -0.5, -2.5, 3.5])
WHOLE = st.sampled_from([1.0, 2.0, -1.0, -2.0])

# Of few values, so that some are equal; and of those that ops without a gradient tell apart.
FEW = st.sampled_from([1.0, 0.0, -2.0])
EVERY_KIND = st.sampled_from([1.0, 0.0, -0.0, -2.5, math.inf, -math.inf, math.nan])

DOUBLE = st.just(np.dtype(np.float64))
NARROWED = [at([1.5, -2.0], dtype=np.dtype(np.float32), gradient=[1.0, 1.0])]
SMALL = math.exp(-50.0)

CASES = [
    # arithmetic
    _case(tr.add, np.add),
    _case(tr.subtract, np.subtract),
    _case(tr.multiply, np.multiply),
    _case(tr.divide, np.divide, away_from=(0.0,)),
    Case(
        tr.remainder,
        _of_pairs(lambda shape: arrays(shape, BETWEEN_JUMPS), lambda shape: arrays(shape, WHOLE)),
        np.remainder,
        points=[at([5.5, -5.5, 0.0], 2.0, gradient=[1.0, 1.0, 1.0]), at([5.5], [-2.0], gradients=[[1.0], [3.0]])],
    ),
    Case(
        tr.pow,
        _powers(),
        np.power,
        points=[
            at([0.0], [2.0], gradients=[[0.0], [0.0]]),
            at([0.0], [1.0], gradients=[[1.0], [0.0]]),
            at([0.0], [0.0], gradients=[[0.0], [0.0]]),
            at([-2.0, -1.5], 3.0, gradient=[12.0, 6.75]),
            at([-1.5, 0.0, 3.0], 2.0, gradient=[-3.0, 0.0, 6.0]),
            at([0.0, 2.0], 0.0, gradient=[0.0, 0.0]),
            at([0.0, -2.0], 1.0, gradient=[1.0, 1.0]),
            at([0.0, 0.0], [1.0, 2.0], gradients=[[1.0, 0.0], [0.0, 0.0]]),
            at(0.0, [0.0, 1.0, 2.0], gradient=[0.0, 0.0, 0.0]),
            at([2.0, 3.0], [-math.inf, -math.inf], gradients=[[0.0, 0.0], [0.0, 0.0]]),
            at([math.inf, math.inf], [-1.0, -2.0], gradients=[[0.0, 0.0], [0.0, 0.0]]),
            at(math.inf, [-1.0, -2.0], gradient=[0.0, 0.0]),
        ],
    ),
    _case(
        tr.maximum,
        np.maximum,
        apart=True,
        points=[
            at([0.0, 1.0], [0.0, 2.0], gradients=[[0.5, 0.0], [0.5, 1.0]]),
            at([0.0, 1.0, -1.0], 0.0, gradient=[0.0, 1.0, 0.0]),
            at(0.0, [0.0, 1.0, -1.0], gradient=[0.0, 1.0, 0.0]),
        ],
    ),
    _case(
        tr.minimum,
        np.minimum,
        apart=True,
        points=[
            at([0.0, 1.0], [0.0, 2.0], gradients=[[0.5, 1.0], [0.5, 0.0]]),
            at([0.0, 1.0, -1.0], 0.0, gradient=[0.0, 0.0, 1.0]),
            at(0.0, [0.0, 1.0, -1.0], gradient=[0.0, 0.0, 1.0]),
        ],
    ),
    _case(
        tr.atan2,
        np.arctan2,
        away_from=(0.0,),
        points=[
            at([0.0], [0.0], gradients=[[0.0], [0.0]]),
            at([0.0], [2.0], gradients=[[0.5], [0.0]]),
            at([math.inf, 1.0, math.inf], [1.0, -math.inf, math.inf], gradients=[[0.0, 0.0, 0.0], [0.0, 0.0, 0.0]]),
        ],
    ),
    _case(
        tr.hypot,
        np.hypot,
        away_from=(0.0,),
        points=[
            at([0.0, 0.0], [0.0, -2.0], gradients=[[0.0, 0.0], [0.0, -1.0]]),
            at([math.inf, 1.0], [1.0, -math.inf], gradients=[[1.0, 0.0], [0.0, -1.0]]),
        ],
    ),
    Case(
        tr.logaddexp,
        st.one_of(elementwise(REAL, REAL), calls(arrays(shapes()), EXPONENTS), calls(EXPONENTS, arrays(shapes()))),
        np.logaddexp,
        reach=math.inf,
        points=[
            at([-math.inf], -math.inf, gradient=[0.0]),
            at([math.inf, 0.0], math.inf, gradient=[0.5, 0.0]),
            at(math.inf, [math.inf, 0.0], gradient=[0.5, 0.0]),
            at([-math.inf], [-math.inf], gradients=[[0.0], [0.0]]),
            at([800.0, 0.0, -1e4], [0.0, 0.0, 1e4], gradients=[[1.0, 0.5, 0.0], [0.0, 0.5, 1.0]]),
            at([-math.inf, 2.0], [1.0, -math.inf], gradients=[[0.0, 1.0], [1.0, 0.0]]),
            at([math.inf, 2.0, math.inf], [1.0, math.inf, math.inf], gradients=[[1.0, 0.0, 0.5], [0.0, 1.0, 0.5]]),
        ],
    ),
    _case(
        tr.copysign,
        np.copysign,
        away_from=(0.0,),
        points=[
            at([0.0, 2.0, -2.0], [-1.0, -1.0, -1.0], gradient=[0.0, -1.0, 1.0]),
            at([2.0, 2.0, -2.0], [0.0, -0.0, 0.0], gradient=[1.0, -1.0, -1.0]),
        ],
    ),
    _case(tr.negative, np.negative),
    _case(tr.positive, np.positive),
    _case(tr.abs, np.abs, away_from=(0.0,), points=[at([0.0, -2.0], gradient=[0.0, -1.0])]),
    _case(tr.square, np.square, points=[at([0.0, -3.0], gradient=[0.0, -6.0])]),
    _case(tr.reciprocal, np.reciprocal),
    _case(tr.sqrt, np.sqrt),
    # exponentials and logarithms
    _case(tr.exp, np.exp, points=[at([-800.0, 0.0], gradient=[0.0, 1.0])]),
    _case(tr.exp2, np.exp2, points=[at([-1e4, 0.0], gradient=[0.0, math.log(2)])]),
    _case(tr.expm1, np.expm1, points=[at([-800.0, 0.0], gradient=[0.0, 1.0])]),
    _case(tr.log, np.log),
    _case(tr.log1p, np.log1p, points=[at([0.0], gradient=[1.0])]),
    _case(tr.log2, np.log2),
    _case(tr.log10, np.log10),
    # trigonometric and hyperbolic
    _case(tr.sin, np.sin),
    _case(tr.cos, np.cos),
    _case(tr.tan, np.tan),
    _case(tr.asin, np.arcsin),
    _case(tr.acos, np.arccos),
    _case(tr.atan, np.arctan, points=[at([-1e9, 0.0, 1e9], gradient=[1e-18, 1.0, 1e-18])]),
    _case(tr.sinh, np.sinh),
    _case(tr.cosh, np.cosh),
    _case(tr.tanh, np.tanh, points=[at([-1e4, -800.0, 0.0, 800.0, 1e4], gradient=[0.0, 0.0, 1.0, 0.0, 0.0])]),
    _case(tr.asinh, np.arcsinh, points=[at([-1e9, 0.0, 1e9], gradient=[1e-9, 1.0, 1e-9])]),
    _case(tr.acosh, np.arccosh),
    _case(tr.atanh, np.arctanh),
    # what activations need
    _case(tr.erf, erf, points=[at([-1e4, -800.0, 0.0, 800.0, 1e4], gradient=[0.0, 0.0, 2 / math.sqrt(math.pi), 0.0, 0.0])]),
    _case(tr.relu, lambda x: np.maximum(x, 0), away_from=(0.0,), points=[at([0.0, -1.0, 2.0], gradient=[0.0, 0.0, 1.0])]),
    _case(
        tr.sigmoid,
        _sigmoid,
        points=[at([-1e4, -800.0, -50.0, 0.0, 800.0, 1e4], gradient=[0.0, 0.0, SMALL, 0.25, 0.0, 0.0])],
    ),
    _case(
        tr.log_sigmoid,
        lambda x: np.log(_sigmoid(x)),
        points=[at([-1e4, -800.0, 0.0, 50.0, 800.0, 1e4], gradient=[1.0, 1.0, 0.5, SMALL, 0.0, 0.0])],
    ),
    Case(
        tr.softplus,
        elementwise(beta=st.sampled_from([1.0, 0.5, 3.0])),
        lambda x, beta: np.log1p(np.exp(beta * x)) / beta,
        points=[at([-1e4, -800.0, -25.0, 0.0, 800.0, 1e4], beta=2.0, gradient=[0.0, 0.0, SMALL, 0.5, 1.0, 1.0])],
        reach=math.inf,
    ),
    Case(
        smooth.logistic,
        elementwise(rate=st.sampled_from([1, 2])),
        lambda x, rate: 1 / (2 * np.cosh(rate * x / 2)) ** 2,
        points=[
            at([-1e4, 0.0, 50.0, 1e4], gradient=[0.0, 0.0, -SMALL, 0.0]),
            at([-800.0, 0.0, 25.0], rate=2, gradient=[0.0, 0.0, -2 * SMALL]),
        ],
        reach=math.inf,
    ),
    Case(
        smooth.gaussian,
        elementwise(rate=st.sampled_from([0.5, 1.0])),
        lambda x, rate: np.exp(-rate * x * x),
        points=[at([-math.inf, 0.0, 5.0, math.inf], rate=1.0, gradient=[0.0, 0.0, -10 * math.exp(-25.0), 0.0])],
        reach=math.inf,
    ),
    Case(
        smooth.ndtr,
        elementwise(),
        lambda x: (1 + erf(x / math.sqrt(2))) / 2,
        points=[at([-1e4, 0.0, 10.0], gradient=[0.0, 1 / math.sqrt(2 * math.pi), SMALL / math.sqrt(2 * math.pi)])],
        reach=math.inf,
    ),
    # choosing
    Case(
        tr.where,
        _choices(),
        np.where,
        points=[at([True, False], [1.0, math.nan], [math.inf, 2.0], gradients=[[1.0, 0.0], [0.0, 1.0]])],
        reach=math.inf,
    ),
    Case(
        ops.clamp,
        elementwise(
            elements=values().map(near_even),
            min=CLAMPED_BELOW,
            max=CLAMPED_ABOVE,
        ),
        lambda x, min, max: np.clip(x, min, max),
        points=[
            at([0.0, 1.0, 0.5, math.nan], min=0.0, max=1.0, gradient=[0.0, 0.0, 1.0, 0.0]),
            at([0.0, 1.5, 3.0], min=2.0, max=1.0, gradient=[0.0, 0.0, 0.0]),
        ],
        reach=1 / 32,
    ),
    Case(
        tr.clip,
        _clipped(),
        lambda x, min, max: np.clip(x, min, max) if min is not None or max is not None else x,
        points=[
            at([0.0, 1.0, 0.5, -1.0, 2.0], 0.0, 1.0, gradient=[0.0, 0.0, 1.0, 0.0, 0.0]),
            at([0.0, 1.0], [0.0, 0.0], None, gradients=[[0.5, 1.0], [0.5, 0.0]]),
            at([0.0, 1.0], None, [1.0, 1.0], gradients=[[1.0, 0.5], [0.0, 0.5]]),
            at([0.0, 3.0], [2.0, 2.0], [1.0, 1.0], gradients=[[0.0, 0.0], [0.0, 0.0], [1.0, 1.0]]),
        ],
        reach=1 / 64,
    ),
    # dtype and place
    Case(precision.cast, elementwise(dtype=DOUBLE), lambda x, dtype: x.astype(dtype), points=NARROWED),
    Case(tr.astype, elementwise(dtype=DOUBLE), lambda x, dtype: x.astype(dtype), points=NARROWED),
    Case(tr.to, elementwise(backend=st.just("numpy")), lambda x, backend: x),
    # without a gradient
    _case(tr.equal, np.equal, order=0, elements=FEW),
    _case(tr.not_equal, np.not_equal, order=0, elements=FEW),
    _case(tr.less, np.less, order=0, elements=FEW),
    _case(tr.less_equal, np.less_equal, order=0, elements=FEW),
    _case(tr.greater, np.greater, order=0, elements=FEW),
    _case(tr.greater_equal, np.greater_equal, order=0, elements=FEW),
    _case(tr.logical_and, np.logical_and, order=0, elements=FEW),
    _case(tr.logical_or, np.logical_or, order=0, elements=FEW),
    _case(tr.logical_xor, np.logical_xor, order=0, elements=FEW),
    _case(tr.logical_not, np.logical_not, order=0, elements=FEW),
    Case(tr.bitwise_and, _of_pairs(_integers, _integers), np.bitwise_and, order=0),
    Case(tr.bitwise_or, _of_pairs(_integers, _integers), np.bitwise_or, order=0),
    Case(tr.bitwise_xor, _of_pairs(_integers, _integers), np.bitwise_xor, order=0),
    Case(tr.bitwise_invert, shapes().flatmap(lambda shape: calls(_integers(shape))), np.bitwise_not, order=0),
    _case(tr.floor_divide, np.floor_divide, order=0, away_from=(0.0,)),
    _case(tr.floor, np.floor, order=0),
    _case(tr.ceil, np.ceil, order=0),
    _case(tr.trunc, np.trunc, order=0),
    _case(tr.sign, np.sign, order=0, elements=EVERY_KIND),
    _case(tr.signbit, np.signbit, order=0, elements=EVERY_KIND),
    _case(tr.isfinite, np.isfinite, order=0, elements=EVERY_KIND),
    _case(tr.isinf, np.isinf, order=0, elements=EVERY_KIND),
    _case(tr.isnan, np.isnan, order=0, elements=EVERY_KIND),
    _case(tr.nextafter, np.nextafter, order=0),
    Case(tr.round, elementwise(decimals=st.integers(0, 1)), np.round, order=0),
    Case(precision.discretize, elementwise(dtype=st.just(np.dtype(np.int64))), lambda x, dtype: x.astype(dtype), order=0),
]
