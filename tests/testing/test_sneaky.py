"""Derivatives that are wrong only somewhere: each kind of place is one where the battery looks.

A row is an op, right but there, and the property that catches it. Of each kind one row at least was written after the
property was, and nothing was changed for it.
"""

from typing import NamedTuple

import numpy as np
import pytest
from planted import bare, op

import tinyreg as tr
from tinyreg.ops.table import REAL
from tinyreg.testing import Case, Failure, at, search, use_profile
from tinyreg.testing.properties import property_named
from tinyreg.testing.strategies import elementwise, reductions
from tinyreg.testing.trial import Trial


def factor(wrong, dtype, by=1.5):
    """A number for right or wrong, or an array of them."""
    return np.where(wrong, by, 1.0).astype(dtype)


# ---- ops with an error at a place: `sneaks` tells whether, or where, it is wrong, from the incoming gradient and the rest


def cube(xp, x):
    return x * x * x + x


def product(xp, x1, x2):
    return x1 * x2


def total(xp, x, *, axis=None):
    return xp.sum(x, axis=tuple(axis) if isinstance(axis, list) else axis)


def of_one(sneaks, calls=None, **details):
    """x^3 + x, with a gradient that is wrong where `sneaks(g, x)`."""
    vjp = lambda g, x: g * (3 * x * x + 1) * factor(sneaks(bare(g), bare(x)), x.dtype)
    return Case(op(cube, x=vjp), elementwise() if calls is None else calls, lambda x: x**3 + x, **details)


def of_two(sneaks, **details):
    """A product that broadcasts, with a gradient of x2 that is wrong where `sneaks(g, x1, x2)`."""
    wrong = lambda g, x1, x2: g * x1 * factor(sneaks(bare(g), bare(x1), bare(x2)), x1.dtype)
    made = op(product, broadcasting=True, x1=lambda g, x2: g * x2, x2=wrong)
    return Case(made, elementwise(*[REAL] * 2), np.multiply, **details)


def of_sum(change=lambda axis: axis, vjp=None, **drawn):
    """A sum over axes, of a gradient that takes the axes for what `change` makes of them."""

    def spread(g, x, axis):
        axis = change(axis)
        each = range(x.ndim) if axis is None else [axis] if isinstance(axis, int | np.integer) else axis
        shape = [1 if i in [a % x.ndim for a in each] else n for i, n in enumerate(x.shape)]
        return tr.broadcast_to(tr.reshape(g, tuple(shape)), x.shape)

    return Case(op(total, x=vjp or spread), reductions(**drawn), np.sum)


def instead(vjp, forward=cube, reference=lambda x: x**3 + x, calls=None, **details):
    """An op of one argument with this VJP."""
    return Case(op(forward, x=vjp), elementwise() if calls is None else calls, reference, **details)


def as_in_memory(g):
    """The elements in the order of memory, taken for rows, in whatever order the axes lie."""
    order = np.argsort([-abs(s) for s in bare(g).strides], kind="stable")
    if isinstance(g, tr.Tensor) or g.ndim < 3 or g.flags.f_contiguous:
        return g
    return g.transpose(order).reshape(g.shape)


def slope(x):
    return 3 * x * x + 1


def of_arrays(change):
    """x^3 + x, whose gradient is changed, but not a second time."""
    return lambda g, x: (g if isinstance(g, tr.Tensor) else change(g)) * slope(x)


class Row(NamedTuple):
    kind: str
    case: object
    key: str


def in_fortran_order(g):
    return isinstance(g, tr.Tensor) and g.data.flags.f_contiguous and not g.data.flags.c_contiguous


def long_axis(g, x):
    return any(n > 3 for n in x.shape)


SNEAKY = {
    # layouts
    "3-d memory, permuted": Row("layouts", lambda: instead(of_arrays(as_in_memory)), "P7"),
    "a reversed last axis": Row(
        "layouts", lambda: of_one(lambda g, x: g.ndim > 0 and g.strides[-1] < 0 and g.shape[-1] > 1), "P7"
    ),
    "a reversed last axis of x": Row(
        "layouts", lambda: of_one(lambda g, x: x.ndim > 0 and x.strides[-1] < 0 and x.shape[-1] > 1), "P7"
    ),
    "a stride of 0 along one axis": Row(
        "layouts", lambda: of_one(lambda g, x: g.ndim > 1 and 0 in g.strides[:1] and any(g.strides)), "P7"
    ),
    "a stride of 0 in x": Row("layouts", lambda: of_one(lambda g, x: x.size > 1 and 0 in x.strides), "P7"),
    "misaligned": Row("layouts", lambda: of_one(lambda g, x: not g.flags.aligned), "P7"),
    "a gap along the first axis": Row(
        "layouts", lambda: of_one(lambda g, x: x.ndim > 1 and x.strides[0] > x.itemsize * x[0].size > 0), "P7"
    ),
    "the order of x for that of g": Row(
        "layouts",
        lambda: of_one(lambda g, x: x.ndim > 1 and x.flags.f_contiguous != g.flags.f_contiguous),
        "P7",
    ),
    "a second derivative in Fortran order": Row(
        "layouts",
        lambda: instead(lambda g, x: g * (slope(x) + 0.1 * (x - tr.Tensor(x.data)) if in_fortran_order(g) else slope(x))),
        "P7",
    ),
    # sizes
    "an axis longer than 3": Row("sizes", lambda: of_one(long_axis), "P3"),
    "more than 64 elements": Row("sizes", lambda: of_one(lambda g, x: x.size > 64), "P3"),
    "four axes": Row("sizes", lambda: of_one(lambda g, x: x.ndim == 4), "P3"),
    "five axes": Row("sizes", lambda: of_one(lambda g, x: x.ndim == 5), "P3"),
    "the eighth element": Row("sizes", lambda: of_one(lambda g, x: np.arange(x.size).reshape(x.shape) == 7), "P3"),
    "an odd length above 4": Row("sizes", lambda: of_one(lambda g, x: any(n > 4 and n % 2 for n in x.shape)), "P3"),
    "a long second axis": Row("sizes", lambda: of_one(lambda g, x: x.ndim > 1 and x.shape[1] > 8), "P3"),
    "more than 200": Row("sizes", lambda: of_one(lambda g, x: x.size > 200), "P3"),
    # broadcasting
    "the middle axis of the second operand": Row(
        "broadcasting", lambda: of_two(lambda g, x1, x2: x2.ndim == g.ndim == 3 and x2.shape[1] == 1 < g.shape[1]), "P3"
    ),
    "first and last of three": Row(
        "broadcasting",
        lambda: of_two(lambda g, x1, x2: x2.ndim == 3 and x2.shape[::2] == (1, 1) < g.shape[::2]),
        "P3",
    ),
    "an operand with fewer axes and one of length 1": Row(
        "broadcasting", lambda: of_two(lambda g, x1, x2: 1 < x2.ndim < g.ndim and 1 in x2.shape and x2.size > 1), "P3"
    ),
    "both broadcast in four axes": Row(
        "broadcasting", lambda: of_two(lambda g, x1, x2: g.ndim > 3 and x1.shape != g.shape != x2.shape), "P3"
    ),
    # settings
    "a negative axis in a tuple": Row(
        "spellings", lambda: of_sum(lambda axis: tuple(map(abs, axis)) if isinstance(axis, tuple) else axis), "P21"
    ),
    "a list that is not in order": Row(
        "spellings",
        lambda: of_sum(lambda axis: axis[:1] if isinstance(axis, list) and axis != sorted(axis) else axis),
        "P21",
    ),
    "a list of axes": Row("spellings", lambda: of_sum(lambda axis: axis[:1] if isinstance(axis, list) else axis), "P21"),
    "a negative axis that is not the last": Row(
        "spellings",
        lambda: of_sum(lambda axis: -1 if isinstance(axis, int) and axis < -1 else axis),
        "P3",
    ),
    # what is not finite
    "infinities in g": Row("not finite", lambda: instead(lambda g, x: tr.clip(g, -1e250, 1e250) * slope(x)), "P22"),
    "NaN in g becomes 0": Row(
        "not finite", lambda: instead(lambda g, x: tr.where(np.isnan(bare(g)), 0.0, g) * slope(x)), "P22"
    ),
    "one gradient poisons all": Row("not finite", lambda: instead(lambda g, x: g * slope(x) + 0.0 * tr.sum(g)), "P22"),
    "one input poisons all": Row("not finite", lambda: instead(lambda g, x: g * (slope(x) + 0.0 * tr.sum(x))), "P22"),
    "0 times an infinity where tanh is flat": Row(
        "not finite",
        lambda: instead(lambda g, x: g * tr.cosh(x) / tr.cosh(x) ** 3, lambda xp, x: xp.tanh(x), np.tanh),
        "P24",
    ),
    "softplus at infinity": Row(
        "not finite",
        lambda: instead(
            lambda g, x: g * (1 - 1 / (1 + tr.exp(tr.minimum(x, 500.0)))) + 0.0 * x,
            lambda xp, x: xp.logaddexp(x, 0.0),
            lambda x: np.logaddexp(x, 0),
        ),
        "P23",
    ),
    # large and small g
    "g squared inside": Row("sizes of g", lambda: instead(lambda g, x: g * g * slope(x) / tr.where(g == 0, 1.0, g)), "P4"),
    "the fourth power of g inside": Row(
        "sizes of g",
        lambda: instead(lambda g, x: tr.copysign(tr.sqrt(tr.sqrt(g * g * g * g)), bare(g)) * slope(x), order=1),
        "P4",
    ),
    "g cut off at 1e100": Row("sizes of g", lambda: instead(lambda g, x: tr.clip(g, -1e100, 1e100) * slope(x)), "P4"),
    "small g taken for 0": Row(
        "sizes of g", lambda: instead(lambda g, x: tr.where(np.abs(bare(g)) < 1e-30, 0.0, g) * slope(x)), "P4"
    ),
    "1e12 times g in float32": Row(
        "sizes of g",
        lambda: instead(lambda g, x: g * 1e12 * slope(x) / 1e12),
        "P8",
    ),
    # values
    "off the grid of eighths": Row("values", lambda: of_one(lambda g, x: np.abs(8 * x - np.round(8 * x)) > 1e-9), "P3"),
    "near a multiple of 1/8, not at it": Row(
        "values", lambda: of_one(lambda g, x: (x != np.round(8 * x) / 8) & (np.abs(x - np.round(8 * x) / 8) < 1e-3)), "P3"
    ),
    "above 4": Row("values", lambda: of_one(lambda g, x: np.abs(x) > 4), "P24"),
    "below a thousandth": Row("values", lambda: of_one(lambda g, x: (x != 0) & (np.abs(x) < 1e-3)), "P3"),
    "-0.0": Row("values", lambda: of_one(lambda g, x: (x == 0) & np.signbit(x)), "P3"),
    "-0.0 at a kink": Row(
        "values",
        lambda: instead(
            lambda g, x: g * ((bare(x) > 0) | (bare(x) == 0) & np.signbit(bare(x))).astype(x.dtype),
            lambda xp, x: xp.maximum(x, 0.0),
            lambda x: np.maximum(x, 0),
            elementwise(away_from=(0.0,)),
            points=[at([0.0, 2.0], gradient=[0.0, 1.0])],
        ),
        "P11",
    ),
    "above a million": Row("values", lambda: of_one(lambda g, x: np.abs(x) > 1e6), "P24"),
    # written after the properties, and nothing was changed for them
    "a gap along the last axis of g": Row("layouts", lambda: of_one(lambda g, x: g.size > 1 and g.strides[-1] > 8), "P7"),
    "three axes, the first backwards": Row("layouts", lambda: of_one(lambda g, x: g.ndim == 3 and g.strides[0] < 0), "P7"),
    "read-only, and not in C order": Row(
        "layouts", lambda: of_one(lambda g, x: not x.flags.writeable and not x.flags.c_contiguous), "P7"
    ),
    "two axes above 4": Row("sizes", lambda: of_one(lambda g, x: sum(n > 4 for n in x.shape) > 1), "P3"),
    "a last axis of ten or more": Row("sizes", lambda: of_one(lambda g, x: x.ndim > 0 and x.shape[-1] > 9), "P3"),
    "all but the first and last 20": Row(
        "sizes",
        lambda: of_one(
            lambda g, x: (np.arange(x.size).reshape(x.shape) > 19) & (np.arange(x.size, 0, -1).reshape(x.shape) > 20)
        ),
        "P3",
    ),
    "the first axis of the first operand": Row(
        "broadcasting", lambda: of_two(lambda g, x1, x2: x1.ndim == g.ndim > 1 and x1.shape[0] == 1 < g.shape[0]), "P3"
    ),
    "the last axis but one of the second operand, of four": Row(
        "broadcasting", lambda: of_two(lambda g, x1, x2: x2.ndim == g.ndim > 3 and x2.shape[-2] == 1 < g.shape[-2]), "P3"
    ),
    "integers of NumPy in a tuple": Row(
        "spellings",
        lambda: of_sum(
            lambda axis: axis[:1] if isinstance(axis, tuple) and any(isinstance(a, np.integer) for a in axis) else axis
        ),
        "P21",
    ),
    "axes in falling order": Row(
        "spellings",
        lambda: of_sum(lambda axis: axis[:1] if isinstance(axis, tuple) and list(axis) != sorted(axis) else axis),
        "P3",
    ),
    "the largest g divides all": Row(
        "not finite",
        lambda: instead(
            lambda g, x: g / (tr.max(tr.abs(g)) + 1.0) * (tr.max(tr.abs(g)) + 1.0) * slope(x) if x.size else g * slope(x)
        ),
        "P22",
    ),
    "an infinite x takes the gradient of others": Row(
        "not finite", lambda: instead(lambda g, x: g * slope(x) * float(np.all(np.abs(bare(x)) < 1e300))), "P22"
    ),
    "arctan at infinity": Row(
        "not finite",
        lambda: instead(
            lambda g, x: g * (x / (x + x * x * x)) if bare(x).all() else g / (1 + x * x),
            lambda xp, x: xp.arctan(x),
            np.arctan,
        ),
        "P23",
    ),
    "the cube root of the cube of g": Row(
        "sizes of g", lambda: instead(lambda g, x: g * (g * g * g) / tr.where(g == 0, 1.0, g * g * g) * slope(x)), "P4"
    ),
    "small g of float32 taken for 0": Row(
        "sizes of g",
        lambda: instead(lambda g, x: tr.where((np.abs(bare(g)) < 1e-25) & (g.dtype == np.float32), 0.0, g) * slope(x)),
        "P8",
    ),
    "between 1e-9 and 1e-6": Row("values", lambda: of_one(lambda g, x: (np.abs(x) > 1e-9) & (np.abs(x) < 1e-6)), "P3"),
    "subnormal": Row("values", lambda: of_one(lambda g, x: (x != 0) & (np.abs(x) < 1e-300)), "P3"),
    "at thirds": Row("values", lambda: of_one(lambda g, x: (x > 1.03) & (x < 1.1)), "P3"),
}


class Caught(BaseException):
    """The property does not hold: no exception, which Hypothesis would look for a simpler call of."""


def catches(which, case, calls):
    """Whether the property fails at the case's points, or at a call of up to three searches of the profile.

    One search of 100 calls misses a place where two or three of them are expected once in ten times.
    """

    def look(call, seed):
        try:
            which.check(Trial(case, call, seed, explaining=False))
        except Failure:
            raise Caught from None

    before = use_profile(calls)
    try:
        if which.at == "points":
            for point in case.points:
                look(point.call, 0)
        else:
            for name in (which.key, f"{which.key}_again", f"{which.key}_once_more"):
                search.each_call(case, name, look)
    except Caught:
        return True
    finally:
        use_profile(before)
    return False


@pytest.mark.parametrize("name", SNEAKY)
def test_what_is_wrong_only_there_is_caught(name):
    _, case, key = SNEAKY[name]
    with np.errstate(all="ignore"):
        assert catches(property_named(key), case(), "ci")


RIGHT = {
    "x^3 + x": lambda: of_one(lambda g, x: False),
    "a product": lambda: of_two(lambda g, x1, x2: False),
    "a sum": lambda: of_sum(),
    "tanh": lambda: instead(lambda g, x: g / tr.cosh(x) ** 2, lambda xp, x: xp.tanh(x), np.tanh),
}


@pytest.mark.parametrize("name", RIGHT)
def test_the_same_ops_without_an_error_pass(name):
    case = RIGHT[name]()
    for which in {property_named(row.key) for row in SNEAKY.values()}:
        assert not catches(which, case, "fast"), which
