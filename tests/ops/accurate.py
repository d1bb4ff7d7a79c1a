"""Values and slopes to 50 digits by mpmath, with which tests of accuracy compare, and errors in units of the last place."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from mpmath import mp, mpf

import tinyreg as tr
from tinyreg.ops import smooth

mp.dps = 50
FAR = mpf(10) ** 6  # from here on what is exponentially small is 0 in every dtype


def _exp(x):
    return mpf(0) if x < -FAR else mp.inf if x > FAR else mp.exp(x)


def _expm1(x):
    return mpf(-1) if x < -FAR else mp.inf if x > FAR else mp.expm1(x)


def _sigmoid(x):
    return 1 / (1 + _exp(-x))


def _logistic(x):
    return _sigmoid(x) * _sigmoid(-x)


def _softplus(x):
    return max(x, mpf(0)) + mp.log1p(_exp(-abs(x)))


def _density(x):
    return _exp(-x * x / 2) / mp.sqrt(2 * mp.pi)


def _distribution(x):
    return mpf(x > 0) if abs(x) > 1000 else mp.erfc(-x / mp.sqrt(2)) / 2


def _erf(x):
    return mp.sign(x) if abs(x) > 1000 else mp.erf(x)


def _tanh(x):
    return mp.sign(x) if abs(x) > FAR else mp.tanh(x)


def _sinh(x):
    return mp.sign(x) * mp.inf if abs(x) > FAR else mp.sinh(x)


def _cosh(x):
    return mp.inf if abs(x) > FAR else mp.cosh(x)


def _of_gelu(x):
    return 2 * mp.sqrt(2 / mp.pi) * (x + mpf("0.044715") * x**3)


def _slope_of_gelu(x):
    z = _of_gelu(x)
    inner = 2 * mp.sqrt(2 / mp.pi) * (1 + 3 * mpf("0.044715") * x**2)
    return _sigmoid(z) + (x * _logistic(z) * inner if abs(x) < 1000 else 0)


REAL, POSITIVE, UNIT, ABOVE_1, ABOVE_MINUS_1 = (
    lambda x: x == x,
    lambda x: x > 0,
    lambda x: abs(x) < 1,
    lambda x: x > 1,
    lambda x: x > -1,
)


class Row(NamedTuple):
    """A function of one variable, its value and slope to 50 digits, and where they are defined.

    strain: how many units more an argument costs, because what is rounded on the way is that much magnified.
    size: of what the slope is the sum, where that cancels.
    """

    f: Callable
    value: Callable
    slope: Callable
    domain: Callable = REAL
    strain: Callable = lambda x: 0
    size: Callable = lambda x: 0


def _power(p):
    return Row(
        lambda x: x**p, lambda x: x ** mpf(p), lambda x: mpf(p) * x ** (mpf(p) - 1), POSITIVE, lambda x: abs(mp.log(x))
    )


ROWS = {
    "exp": Row(tr.exp, _exp, _exp),
    "exp2": Row(tr.exp2, lambda x: _exp(x * mp.log(2)), lambda x: _exp(x * mp.log(2)) * mp.log(2)),
    "expm1": Row(tr.expm1, _expm1, _exp),
    "log": Row(tr.log, mp.log, lambda x: 1 / x, POSITIVE),
    "log2": Row(tr.log2, lambda x: mp.log(x, 2), lambda x: 1 / (x * mp.log(2)), POSITIVE),
    "log10": Row(tr.log10, lambda x: mp.log(x, 10), lambda x: 1 / (x * mp.log(10)), POSITIVE),
    "log1p": Row(tr.log1p, mp.log1p, lambda x: 1 / (1 + x), ABOVE_MINUS_1),
    "sin": Row(tr.sin, mp.sin, mp.cos),
    "cos": Row(tr.cos, mp.cos, lambda x: -mp.sin(x)),
    "tan": Row(tr.tan, mp.tan, lambda x: 1 / mp.cos(x) ** 2),
    "asin": Row(tr.asin, mp.asin, lambda x: 1 / mp.sqrt(1 - x * x), UNIT),
    "acos": Row(tr.acos, mp.acos, lambda x: -1 / mp.sqrt(1 - x * x), UNIT),
    "atan": Row(tr.atan, mp.atan, lambda x: 1 / (1 + x * x)),
    "sinh": Row(tr.sinh, _sinh, _cosh),
    "cosh": Row(tr.cosh, _cosh, _sinh),
    "tanh": Row(tr.tanh, _tanh, lambda x: 1 / _cosh(x) ** 2),
    "asinh": Row(tr.asinh, mp.asinh, lambda x: 1 / mp.sqrt(x * x + 1)),
    "acosh": Row(tr.acosh, mp.acosh, lambda x: 1 / mp.sqrt(x * x - 1), ABOVE_1),
    "atanh": Row(tr.atanh, mp.atanh, lambda x: 1 / (1 - x * x), UNIT),
    "erf": Row(tr.erf, _erf, lambda x: 2 / mp.sqrt(mp.pi) * _exp(-x * x)),
    "ndtr": Row(smooth.ndtr, _distribution, _density, strain=lambda x: 2),  # a polynomial and two exponentials
    "gaussian": Row(lambda x: smooth.gaussian(x, rate=1.0), lambda x: _exp(-x * x), lambda x: -2 * x * _exp(-x * x)),
    "logistic": Row(smooth.logistic, _logistic, lambda x: -_logistic(x) * _tanh(x / 2)),
    "sigmoid": Row(tr.sigmoid, _sigmoid, _logistic),
    "log_sigmoid": Row(tr.log_sigmoid, lambda x: -_softplus(-x), lambda x: _sigmoid(-x)),
    "softplus": Row(tr.softplus, _softplus, _sigmoid),
    "softplus, beta": Row(
        lambda x: tr.softplus(x, beta=3.0),
        lambda x: _softplus(3 * x) / 3,
        lambda x: _sigmoid(3 * x),
        strain=lambda x: abs(3 * x) if x < 0 else 0,
    ),
    "silu": Row(
        tr.silu, lambda x: x * _sigmoid(x), lambda x: _sigmoid(x) + x * _logistic(x), size=lambda x: abs(x) * _logistic(x)
    ),
    "gelu": Row(
        tr.gelu,
        lambda x: x * _distribution(x),
        lambda x: _distribution(x) + x * _density(x),
        size=lambda x: abs(x) * _density(x),
        strain=lambda x: 2,
    ),
    "gelu, tanh": Row(
        lambda x: tr.gelu(x, approximate="tanh"),
        lambda x: x * _sigmoid(_of_gelu(x)),
        _slope_of_gelu,
        strain=lambda x: 4 * abs(_of_gelu(x)) if -40 < x < 0 else 0,
        size=lambda x: abs(_slope_of_gelu(x) - _sigmoid(_of_gelu(x))),
    ),
    "elu": Row(
        lambda x: tr.elu(x, alpha=0.5),
        lambda x: x if x > 0 else _expm1(x) / 2,
        lambda x: mpf(1) if x > 0 else _exp(x) / 2,
    ),
    "leaky_relu": Row(
        lambda x: tr.leaky_relu(x, 0.25), lambda x: x if x > 0 else x / 4, lambda x: mpf(1) if x > 0 else mpf(0.25)
    ),
    "reciprocal": Row(tr.reciprocal, lambda x: 1 / x, lambda x: -1 / x**2),
    "sqrt": Row(tr.sqrt, mp.sqrt, lambda x: 1 / (2 * mp.sqrt(x)), POSITIVE),
    "square": Row(tr.square, lambda x: x * x, lambda x: 2 * x),
    "pow 2.5": _power(2.5),
    "pow -1.375": _power(-1.375),
    "2.5 pow": Row(lambda x: 2.5**x, lambda x: _exp(x * mp.log(2.5)), lambda x: _exp(x * mp.log(2.5)) * mp.log(2.5)),
    "3 / x": Row(lambda x: 3.0 / x, lambda x: 3 / x, lambda x: -3 / x**2),
    "hypot": Row(lambda x: tr.hypot(x, 1.5), lambda x: mp.sqrt(x * x + 2.25), lambda x: x / mp.sqrt(x * x + 2.25)),
    "atan2, above": Row(lambda x: tr.atan2(x, 1.5), lambda x: mp.atan2(x, 1.5), lambda x: 1.5 / (x * x + 2.25)),
    "atan2, below": Row(lambda x: tr.atan2(1.5, x), lambda x: mp.atan2(1.5, x), lambda x: -1.5 / (x * x + 2.25)),
    "logaddexp": Row(lambda x: tr.logaddexp(x, 0.0), _softplus, _sigmoid),
}

EVERY_SIZE = [10.0**k for k in (-300, -160, -150, -37, -30, -20, -10, 5, 7, 10, 18, 20, 30, 38, 150, 160, 200, 300)]
EDGES = [  # of formulas and of dtypes
    *(7e-5, 1e-4, 1e-3, 0.01, 0.1, 0.25, 0.4, 0.5, 0.6, 0.65, 0.7, 0.71, 0.75, 0.9, 0.99, 0.999, 0.9999),
    *(1 - 2.0**-11, 1 - 2.0**-24, 1 - 2.0**-53, 1, 1 + 2.0**-10, 1 + 2.0**-23, 1 + 2.0**-52, 1.001, 1.1, 1.278, 1.5),
    *(2, 2.5, 3, 4, 5, 6, 7.5, 8.5, 9.5, 10.5, 12, 14, 17, 19, 22, 25, 30, 37, 38.4, 45, 60, 87, 89, 100, 103, 300, 700),
    *(709, 744, 1e3, 1300, 6e4, 3e38, 1.7e308),
]


def magnitudes(dtype, rng=None):
    """Positive numbers of a dtype, of every size that it has; at random ones too, given a generator."""
    info = np.finfo(dtype)
    found = np.array([*EVERY_SIZE, *EDGES])
    if rng is not None:
        found = np.concatenate([found, 10 ** rng.uniform(-30, 30, 400), 10 ** rng.uniform(-3, 3, 1600)])
    found = np.unique(found[(found >= info.tiny) & (found < float(info.max))].astype(dtype))
    return found[np.isfinite(found)]


def errors(got, exact, dtype, sizes):
    """How far results are from exact ones, in units of the last place; infinite for NaN and for a wrong infinity.

    sizes: of each, where it is a sum that cancels. What is below the normal numbers of a dtype has fewer digits.
    """
    info = np.finfo(dtype)
    largest = mpf(float(info.max))
    return [_error(float(a), b, size, info, largest) for a, b, size in zip(got, exact, sizes, strict=True)]


def _error(a, b, size, info, largest):
    if np.isnan(a):
        return np.inf
    if abs(b) > largest:
        return 0.0 if a == np.sign(float(mp.sign(b))) * np.inf or abs(a) == float(largest) else np.inf
    if np.isinf(a):
        return 0.0 if abs(b) > largest * (1 - 2 * mpf(float(info.eps))) else np.inf
    floor = 1000 * float(info.tiny) if info.bits > 16 else float(info.tiny)
    unit = np.spacing(info.dtype.type(max(abs(float(b)), min(float(size), float(largest)), floor)))
    return float(abs(mpf(a) - b) / mpf(float(unit)))
