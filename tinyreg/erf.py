"""erf, and the distribution function of the normal distribution, to an ulp or two: NumPy has neither.

What lies below -z is a quotient of polynomials in z times exp(-z^2 / 2), for every z >= 0 (an idea of W. J. Cody, "Rational
Chebyshev Approximations for the Error Function", 1969). All coefficients are positive, so that no digits are lost. Near 0,
erf(z) = z q(z^2), because 1 - erfc(z) would lose some. The coefficients were fitted to the least largest relative error
with 110 digits.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from .blocks import by_blocks

Array = Any

BELOW = {  # numerator and denominator, highest power first: for z up to 40 in float64, up to 14.5 in float32
    8: (
        [
            *(
                1.39010432845209349e-6,
                0.0000373530500363711726,
                0.000491506356959227533,
                0.00409684459372738608,
                0.0236578835764747789,
            ),
            *(
                0.0978154073165290717,
                0.289591192523482708,
                0.594408232674762111,
                0.775123749056013219,
                0.499999999999999974,
            ),
        ],
        [
            *(
                3.48447481439486105e-6,
                0.0000936302113628110408,
                0.00123550820652295245,
                0.0103628966958462904,
                0.0605265750897559961,
            ),
            *(0.255268860218158957, 0.78277002930074252, 1.71554119561790697, 2.56235478188428181, 2.34813205891488145),
            *(1.0,),
        ],
    ),
    4: (
        [0.00411665467, 0.0406357291, 0.183242719, 0.438305365, 0.500000003],
        [0.0103188033, 0.101865112, 0.469490558, 1.20253494, 1.67449571, 1.0],
    ),
}
NEAR_0 = {  # q, highest power first
    8: [
        *(-1.3129738669415532e-7, 1.6138078350658321e-6, -1.4907327674129657e-5, 1.205470182217529e-4),
        *(-8.5483135122830571e-4, 5.2239774489421027e-3, -2.6866170631867413e-2, 1.128379167090445e-1),
        *(-3.7612638903183001e-1, 1.1283791670955126),
    ],
    4: [-6.96232628e-4, 5.13974044e-3, -2.68451398e-2, 1.12835523e-1, -3.76126289e-1, 1.12837917],
}


def _polynomial(coefficients: Sequence[float], x: Array) -> Array:
    y = x * coefficients[0]
    for c in coefficients[1:-1]:
        y += c
        y *= x
    y += coefficients[-1]
    return y


def exp_of_square(xp: Any, x: Array, rate: float) -> Array:
    """exp(-rate x^2) for a rate of 1 or 1/2, without the digits that rounding x^2 would cost."""
    if x.dtype.itemsize == 4:  # float64 has them
        y = x.astype(xp.float64)
        y *= y
        y *= -rate
        return xp.exp(y).astype(x.dtype)
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


def _below(x: Array) -> Array:
    """What lies below -x, for x >= 0, as a multiple of exp(-x^2 / 2)."""
    above, below = BELOW[x.dtype.itemsize]
    y = _polynomial(above, x)
    y /= _polynomial(below, x)
    return y


def _erf(xp: Any, x: Array) -> Array:
    z = xp.clip(xp.abs(x), 0, 28)  # 1 from there on
    beyond = _below(z * math.sqrt(2))
    beyond *= exp_of_square(xp, z, 1.0)
    beyond *= -2
    beyond += 1
    near_0 = z < 0.7
    z *= _polynomial(NEAR_0[z.dtype.itemsize], z * z)
    return xp.copysign(xp.where(near_0, z, beyond), x)


def _ndtr_and_exp(xp: Any, x: Array) -> tuple[Array, Array]:
    """ndtr(x), and exp(-x^2 / 2), for x from -39 to 39."""
    z = xp.abs(x)
    below = _below(z)
    e = exp_of_square(xp, z, 0.5)
    below *= e
    share = (x > 0).astype(x.dtype)
    share -= below
    return xp.abs(share), e


def _ndtr(xp: Any, x: Array) -> Array:
    return _ndtr_and_exp(xp, xp.clip(x, -39, 39))[0]  # nothing lies beyond


def _widened(xp: Any, x: Array) -> Array:
    """In float64, or in float32 for what is no wider."""
    return x.astype(xp.float64 if xp.result_type(x.dtype, xp.float16).itemsize == 8 else xp.float32, copy=False)


def erf(xp: Any, x: Array) -> Array:
    """2 / sqrt(pi) times the integral of exp(-t^2) from 0 to x."""
    x = xp.asarray(x)
    return by_blocks(_erf, xp, _widened(xp, x)).astype(xp.result_type(x.dtype, xp.float16), copy=False)


def ndtr(xp: Any, x: Array) -> Array:
    """The integral of exp(-t^2 / 2) / sqrt(2 pi) from minus infinity to x, of floats but float16."""
    return by_blocks(_ndtr, xp, _widened(xp, xp.asarray(x)))


def gelu(xp: Any, x: Array, y: Array, slope: Array) -> None:
    """Write x ndtr(x) to y, and its slope to slope, for float32 or float64."""
    near = xp.clip(x, -39, 39)
    share, e = _ndtr_and_exp(xp, near)
    e *= near
    e *= 1 / math.sqrt(2 * math.pi)
    xp.add(e, share, out=slope)
    xp.multiply(share, xp.maximum(x, near), out=y)  # 0 below -39, also at minus infinity
