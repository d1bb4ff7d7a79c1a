"""erf, and the distribution function of the normal distribution, to an ulp or two: NumPy has neither.

Both are polynomials. What lies above z is erfc(z) = exp(-z^2) p(t) / (1 + 2 z) with t = (z - 3) / (z + 3), which is smooth
from 0 to infinity (Shepherd and Laframboise, "Chebyshev Approximation of (1 + 2x) exp(x^2) erfc x in 0 <= x < inf", 1981).
Below 0.7, erf(z) = z q(z^2), because 1 - erfc(z) would lose digits. The coefficients interpolate at Chebyshev nodes; they
were computed with 60 digits.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

Array = Any

ABOVE = {  # p, highest power first: for z up to 28 in float64, up to 10.5 in float32
    8: [
        *(-4.2101049751191949e-9, -8.5001195021153066e-9, 3.2916343967663202e-8, 9.1862430261438466e-8),
        *(-1.3111661375364588e-7, -6.0500486239335037e-7, 3.4899197889744295e-7, 3.4639975323529042e-6),
        *(-7.275875746667183e-7, -2.0096630875953952e-5, 4.9481478755765395e-6, 1.2509815174864321e-4),
        *(-1.0515949033775974e-4, -7.7983203796111149e-4, 1.8886903120037819e-3, 2.5293917882704454e-3),
        *(-2.3770514914233671e-2, 6.8308027345804587e-2, -1.1927366341552853e-1, 1.2964515870270552e-1),
        *(-4.7562294353446373e-2, -1.3562110612458068e-1, 1.2530080582697296),
    ],
    4: [
        *(-2.68560773e-4, -7.71249718e-4, 2.01745356e-3, 2.57362535e-3, -2.38052744e-2, 6.82908994e-2),
        *(-1.19269848e-1, 1.29647282e-1, -4.75624501e-2, -1.35621237e-1, 1.25300806),
    ],
}
NEAR_0 = {  # q, highest power first
    8: [
        *(-1.3129738669415532e-7, 1.6138078350658321e-6, -1.4907327674129657e-5, 1.205470182217529e-4),
        *(-8.5483135122830571e-4, 5.2239774489421027e-3, -2.6866170631867413e-2, 1.128379167090445e-1),
        *(-3.7612638903183001e-1, 1.1283791670955126),
    ],
    4: [-6.96232628e-4, 5.13974044e-3, -2.68451398e-2, 1.12835523e-1, -3.76126289e-1, 1.12837917],
}
PIECE = 2**14  # elements: what a polynomial goes over many times stays in the inner cache


def _polynomial(coefficients: Sequence[float], x: Array) -> Array:
    y = x * coefficients[0]
    for c in coefficients[1:-1]:
        y += c
        y *= x
    y += coefficients[-1]
    return y


def exp_of_square(xp: Any, x: Array, rate: float) -> Array:
    """exp(-rate x^2) for a rate of 1 or 1/2, without the digits that rounding x^2 would cost."""
    x = xp.minimum(xp.abs(x), 40)  # 0 from there on
    near = xp.rint(x * 32)
    near /= 32  # of few bits, so that its square is exact
    rest = near - x
    rest *= near + x
    rest *= rate
    near *= near
    near *= -rate
    y = xp.exp(near)
    y *= xp.exp(rest)
    return y


def _above(xp: Any, x: Array, scale: float) -> Array:
    """erfc(z) / exp(-z^2) for z = scale x >= 0."""
    t = x - 3 / scale
    t /= x + 3 / scale
    y = _polynomial(ABOVE[x.dtype.itemsize], t)
    t = x * (2 * scale)
    t += 1
    y /= t
    return y


def _erf(xp: Any, x: Array) -> Array:
    z = xp.minimum(xp.abs(x), 28)
    y = exp_of_square(xp, z, 1.0)
    y *= _above(xp, z, 1.0)
    near_0 = z < 0.7
    z *= _polynomial(NEAR_0[z.dtype.itemsize], z * z)
    return xp.copysign(xp.where(near_0, z, 1 - y), x)


def _ndtr(xp: Any, x: Array) -> Array:
    y = exp_of_square(xp, x, 0.5)
    y *= _above(xp, xp.minimum(xp.abs(x), 39), math.sqrt(0.5))
    y /= 2
    y += (x > 0) * (1 - 2 * y)
    return y


def _in_pieces(f: Callable[..., Array], xp: Any, x: Array) -> Array:
    """f of an array of any dtype: in float64, or in float32 for what is no wider."""
    x = xp.asarray(x)
    dtype = xp.result_type(x.dtype, xp.float16)
    flat = x.reshape(-1).astype(xp.float64 if dtype.itemsize == 8 else xp.float32, copy=False)
    y = xp.empty_like(flat)
    step = PIECE if xp.stretch < flat.size else flat.size
    for start in range(0, flat.size, step or 1):
        piece = slice(start, start + step)
        y[piece] = f(xp, flat[piece])
    return y.reshape(x.shape).astype(dtype, copy=False)


def erf(xp: Any, x: Array) -> Array:
    """2 / sqrt(pi) times the integral of exp(-t^2) from 0 to x."""
    return _in_pieces(_erf, xp, x)


def ndtr(xp: Any, x: Array) -> Array:
    """The integral of exp(-t^2 / 2) / sqrt(2 pi) from minus infinity to x."""
    return _in_pieces(_ndtr, xp, x)
