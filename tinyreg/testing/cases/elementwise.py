"""Cases of the elementwise ops. Domains come from the table of ops, so that they are written down once."""

from __future__ import annotations

import math
from typing import Any

import hypothesis.extra.numpy as hnp
import hypothesis.strategies as st
import numpy as np
from hypothesis.strategies import SearchStrategy

import tinyreg as tr

from ...ops import elementwise as ops
from ...ops.table import DOMAINS
from ..case import Call, Case
from ..strategies import arrays, calls, elementwise, shapes, values

erf = np.vectorize(math.erf, otypes=[np.float64])


def _case(op: Any, reference: Any, order: int = 2, **drawn: Any) -> Case:
    fixed = tuple(i for i, a in enumerate(op.signature.arguments) if a in op.nondifferentiable)
    return Case(op, elementwise(*DOMAINS[op.name], **drawn), reference, order=order, fixed=fixed)


def _sigmoid(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


def _choices() -> SearchStrategy[Call]:
    """Calls of `where`: a condition, and two arrays."""

    @st.composite
    def draw(pick: Any) -> Call:
        shape = pick(shapes())
        condition = pick(arrays(shape, values())) > 1
        return Call((condition, pick(arrays(shape)), pick(arrays(shape))), {})

    return draw()


# x1 / x2 stays a quarter away from every integer, at which the remainder jumps.
BETWEEN_JUMPS = st.sampled_from([1.5, 0.5, -0.5, -2.5, 3.5])
WHOLE = st.sampled_from([1.0, 2.0, -1.0, -2.0])

INTEGERS = hnp.arrays(np.int64, (2, 3), elements=st.integers(-9, 9))

CASES = [
    # arithmetic
    _case(tr.add, np.add),
    _case(tr.subtract, np.subtract),
    _case(tr.multiply, np.multiply),
    _case(tr.divide, np.divide, away_from=(0.0,)),
    Case(tr.remainder, calls(arrays((2, 3), BETWEEN_JUMPS), arrays((3,), WHOLE)), np.remainder),
    _case(tr.pow, np.power),
    _case(tr.maximum, np.maximum, apart=True),
    _case(tr.minimum, np.minimum, apart=True),
    _case(tr.atan2, np.arctan2, away_from=(0.0,)),
    _case(tr.hypot, np.hypot, away_from=(0.0,)),
    _case(tr.logaddexp, np.logaddexp),
    _case(tr.copysign, np.copysign, away_from=(0.0,)),
    _case(tr.negative, np.negative),
    _case(tr.positive, np.positive),
    _case(tr.abs, np.abs, away_from=(0.0,)),
    _case(tr.square, np.square),
    _case(tr.reciprocal, np.reciprocal),
    _case(tr.sqrt, np.sqrt),
    # exponentials and logarithms
    _case(tr.exp, np.exp),
    _case(tr.exp2, np.exp2),
    _case(tr.expm1, np.expm1),
    _case(tr.log, np.log),
    _case(tr.log1p, np.log1p),
    _case(tr.log2, np.log2),
    _case(tr.log10, np.log10),
    # trigonometric and hyperbolic
    _case(tr.sin, np.sin),
    _case(tr.cos, np.cos),
    _case(tr.tan, np.tan),
    _case(tr.asin, np.arcsin),
    _case(tr.acos, np.arccos),
    _case(tr.atan, np.arctan),
    _case(tr.sinh, np.sinh),
    _case(tr.cosh, np.cosh),
    _case(tr.tanh, np.tanh),
    _case(tr.asinh, np.arcsinh),
    _case(tr.acosh, np.arccosh),
    _case(tr.atanh, np.arctanh),
    # what activations need
    _case(tr.erf, erf),
    _case(tr.relu, lambda x: np.maximum(x, 0), away_from=(0.0,)),
    _case(tr.sigmoid, _sigmoid),
    _case(tr.log_sigmoid, lambda x: np.log(_sigmoid(x))),
    Case(
        tr.softplus,
        elementwise(beta=st.sampled_from([1.0, 0.5, 3.0])),
        lambda x, beta: np.log1p(np.exp(beta * x)) / beta,
    ),
    # choosing
    Case(tr.where, _choices(), np.where),
    Case(
        tr.clip,
        calls(
            arrays((2, 3), values(away_from=(-1.0, 1.5))),
            st.sampled_from([None, np.float64(-1.0), np.array([[-1.0], [-2.0]]) - 1 / 16]),
            st.sampled_from([None, np.float64(1.5), np.array([1.0, 2.0, 1.5]) + 1 / 16]),
        ),
        lambda x, min, max: np.clip(x, min, max) if min is not None or max is not None else x,
    ),
    # dtype and place
    Case(ops.cast, elementwise(dtype=st.just(np.dtype(np.float64))), lambda x, dtype: x.astype(dtype)),
    Case(tr.astype, elementwise(dtype=st.just(np.dtype(np.float64))), lambda x, dtype: x.astype(dtype)),
    Case(tr.to, elementwise(backend=st.just("numpy")), lambda x, backend: x),
    # without a gradient
    _case(tr.equal, np.equal, order=0),
    _case(tr.not_equal, np.not_equal, order=0),
    _case(tr.less, np.less, order=0),
    _case(tr.less_equal, np.less_equal, order=0),
    _case(tr.greater, np.greater, order=0),
    _case(tr.greater_equal, np.greater_equal, order=0),
    _case(tr.logical_and, np.logical_and, order=0),
    _case(tr.logical_or, np.logical_or, order=0),
    _case(tr.logical_xor, np.logical_xor, order=0),
    _case(tr.logical_not, np.logical_not, order=0),
    Case(tr.bitwise_and, calls(INTEGERS, INTEGERS), np.bitwise_and, order=0),
    Case(tr.bitwise_or, calls(INTEGERS, INTEGERS), np.bitwise_or, order=0),
    Case(tr.bitwise_xor, calls(INTEGERS, INTEGERS), np.bitwise_xor, order=0),
    Case(tr.bitwise_invert, calls(INTEGERS), np.bitwise_not, order=0),
    _case(tr.floor_divide, np.floor_divide, order=0, away_from=(0.0,)),
    _case(tr.floor, np.floor, order=0),
    _case(tr.ceil, np.ceil, order=0),
    _case(tr.trunc, np.trunc, order=0),
    _case(tr.sign, np.sign, order=0),
    _case(tr.signbit, np.signbit, order=0),
    _case(tr.isfinite, np.isfinite, order=0),
    _case(tr.isinf, np.isinf, order=0),
    _case(tr.isnan, np.isnan, order=0),
    _case(tr.nextafter, np.nextafter, order=0),
    Case(tr.round, elementwise(decimals=st.integers(0, 1)), np.round, order=0),
    Case(ops.discretize, elementwise(dtype=st.just(np.dtype(np.int64))), lambda x, dtype: x.astype(dtype), order=0),
]
