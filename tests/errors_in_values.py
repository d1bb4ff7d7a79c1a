"""Errors in a value or a derivative, each for the one check of the battery that catches it."""

import math
import sys
import threading

import numpy as np
from planted import ONE, TWO, called, case, fast, op, planted, slope, square, squared

import tinyreg as tr
from tinyreg.core.backend import get
from tinyreg.core.fused import FUSED
from tinyreg.testing import at

# ---- value


@planted("value")
def a_value_off_by_2e_11():
    return squared(lambda xp, x: x * x + 2e-11), called(ONE)


@planted("value")
def another_value_for_arrays():
    made = op(square, x=slope)
    return case(lambda x: made(x) if isinstance(x, tr.Tensor) else made(x) * (1 + 1e-15)), called(ONE)


@planted("value")
def a_tensor_for_arrays():
    made = op(square, x=slope)
    return case(lambda x: made(x) if isinstance(x, tr.Tensor) else tr.Tensor(made(x))), called(ONE)


@planted("value")
def an_array_for_tensors():
    made = op(square, x=slope)
    return case(lambda x: made(x) if getattr(x, "requires_grad", True) else made(x).data), called(ONE)


@planted("value")
def another_dtype_than_the_reference():
    return squared(reference=lambda x: (x * x).astype(np.float32).astype(np.float64).astype(np.float32)), called(np.ones(3))


@planted("value")
def more_results_than_the_reference():
    return squared(reference=lambda x: (x * x, x)), called(ONE)


@planted("value")
def a_shape_that_is_not_the_references():
    return squared(reference=lambda x: (x * x)[None]), called(ONE)


# ---- one gradient each


@planted("one gradient each")
def another_gradient_where_the_other_argument_wants_none():
    def backward(g, x1, x2, wanted):
        off = 1 + 2**-52 if len(wanted) == 1 else 1.0
        return g * x2 * off, g * x1

    return fast(lambda xp, x1, x2: (x1 * x2, None), backward), called(ONE, TWO)


@planted("one gradient each")
def another_gradient_where_the_first_argument_wants_none():
    def backward(g, x1, x2, wanted):
        return g * x2, g * x1 * (1 + 2**-52 if wanted == [1] else 1.0)

    return fast(lambda xp, x1, x2: (x1 * x2, None), backward), called(ONE, TWO)


# ---- numeric first order


def ascending(xp, x):
    """x^2, for ascending x alone: in another order it is out of the domain, so that other numeric checks say nothing."""
    if xp.any(x[..., 1:] < x[..., :-1]):
        raise ValueError("not ascending")
    return x * x


RISING = np.sort(ONE, axis=1)


@planted("numeric first order")
def a_gradient_off_by_1e_6():
    return squared(ascending, lambda g, x: slope(g, x) * (1 + 1e-6)), called(RISING)


@planted("numeric first order")
def a_gradient_off_by_1e_6_in_one_element():
    def vjp(g, x):
        return slope(g, x) * (1 + 1e-6 * tr.astype(tr.greater(x, 1.75), g.dtype))

    return squared(ascending, vjp), called(RISING)


# ---- linearity


@planted("linearity")
def large_incoming_gradients_clipped():
    def vjp(g, x):
        small = tr.where(tr.isfinite(g), tr.clip(g, -100.0, 100.0), g) if g.dtype == np.float64 else g
        return slope(small, x)

    return squared(vjp=vjp), called(ONE)


@planted("linearity")
def a_gradient_that_bends_by_1e_10():
    return squared(vjp=lambda g, x: slope(g, x) * (1 + 1e-17 * g * g if g.dtype == np.float64 else 1.0)), called(ONE)


@planted("linearity")
def something_for_an_incoming_gradient_of_zeros():
    def vjp(g, x):
        zeros = isinstance(g, np.ndarray) and not g.any()
        return slope(g, x) + (1e-300 if zeros else 0.0)

    return squared(vjp=vjp), called(ONE)


@planted("linearity")
def a_result_that_nobody_uses_counts():
    @tr.fused
    def twice_and_thrice(x):
        return 2.0 * x, 3.0 * x

    def backward(g, x):
        if any(part is None for part in g):
            return (1 + 1e-10) * (2.0 * g[0] if g[1] is None else 3.0 * g[1])
        return 2.0 * g[0] + 3.0 * g[1]

    twice_and_thrice.fast(lambda xp, x: ((2.0 * x, 3.0 * x), None))
    twice_and_thrice.backward(backward)
    del FUSED["twice_and_thrice"]
    return case(twice_and_thrice), called(ONE)


# ---- purity


# ---- fan-out


@planted("fan-out")
def one_tensor_in_two_slots():
    made = op(lambda xp, x1, x2: x1 * x2, x1=lambda g, x1, x2: g * x2 * (1 + 1e-11 * (x1 is x2)), x2=lambda g, x1: g * x1)
    return case(made), called(ONE, TWO)


@planted("fan-out")
def a_call_that_is_the_third_of_the_same_array():
    """Three forwards, and then their backwards: those after the first are wrong."""
    forwards, backwards = [], []

    def forward(xp, x):
        if backwards:
            forwards.clear()
            backwards.clear()
        forwards.append(id(x))
        return x * x

    def vjp(g, x):
        backwards.append(id(x))
        later = len(backwards) > 1 and forwards[-3:] == [id(x)] * 3
        return slope(g, x) * (1 + 1e-10 if later else 1.0)

    return squared(forward, vjp), called(ONE)


# ---- layouts


def in_order(make):
    """x^2 with a gradient that is off by 1e-10 where an array lies in memory in a certain way."""

    def vjp(g, x):
        odd = isinstance(g, np.ndarray) and g.size > 1 and make(g)
        return slope(g, x) * (1 + 1e-10 if odd else 1.0)

    return squared(vjp=vjp), *[called(ONE)] * 12  # each with layouts of its own


@planted("layouts")
def columns_one_after_the_other():
    return in_order(lambda a: a.flags.f_contiguous and not a.flags.c_contiguous)


@planted("layouts")
def backwards():
    return in_order(lambda a: min(a.strides) < 0)


@planted("layouts")
def with_gaps():
    return in_order(lambda a: a.strides[-1] > a.itemsize)


@planted("layouts")
def the_same_element_along_an_axis():
    return in_order(lambda a: 0 in a.strides)


@planted("layouts")
def a_value_of_columns_one_after_the_other():
    def forward(xp, x):
        odd = xp.name == "numpy" and x.size > 1 and not x.flags.c_contiguous
        return x * x * (1 + 1e-11 if odd else 1.0)

    return squared(forward), called(ONE)


# ---- float32 against float64


@planted("float32 against float64")
def a_gradient_in_float64():
    return squared(vjp=lambda g, x: tr.astype(slope(g, x), "float64")), called(ONE)


@planted("float32 against float64")
def a_result_in_float64():
    return squared(lambda xp, x: (x * x).astype(np.float64), lambda g, x: slope(tr.astype(g, x.dtype), x)), called(ONE)


@planted("float32 against float64")
def a_gradient_off_by_1e_4_in_float32():
    return squared(vjp=lambda g, x: slope(g, x) * (1 + 1e-4 * (x.dtype == np.float32))), called(ONE)


@planted("float32 against float64")
def a_gradient_in_float64_by_the_vjp_of_a_pair():
    made = case(lambda x: x * x, order=1, vjp=lambda g, x: (2 * g * x).astype(np.float64))
    return made, called(ONE)


@planted("float32 against float64")
def a_result_in_float64_by_a_pair():
    def f(x):
        return (x * x).astype(np.float64)

    return case(f, order=1, vjp=lambda g, x: 2 * g.astype(x.dtype) * x), called(ONE)


# ---- two inputs of one shape


@planted("two inputs of one shape")
def the_argument_of_the_latest_call():
    latest = {}

    def forward(xp, x):
        latest[threading.get_ident()] = x
        return x * x

    def vjp(g, x):
        held = latest[threading.get_ident()]
        return slope(g, held if isinstance(g, np.ndarray) and held.shape == x.shape and held.dtype == x.dtype else x)

    return squared(forward, vjp), called(ONE)


# ---- numeric second order


@planted("numeric second order")
def a_second_derivative_off_by_1e_6_of_many_elements():
    """The third derivative is asked of few."""
    inner = op(lambda xp, x: 2.0 * x, x=lambda g: (2.0 + 2e-6) * g)
    return squared(vjp=lambda g, x: g * inner(x)), called(np.linspace(-2.0, 2.0, 26).reshape(2, 13))


@planted("numeric second order")
def a_second_derivative_that_is_not_symmetric():
    """Within a distance too small for differences to tell."""

    def cut(g, x1, x2):
        return g * (x2.detach() if isinstance(x2, tr.Tensor) else x2)

    made = op(lambda xp, x1, x2: x1 * x2, x1=cut, x2=lambda g, x1: g * x1)
    return case(made, reach=1e-17), called(ONE, TWO)


@planted("numeric second order")
def a_second_derivative_that_is_not_symmetric_by_1e_7():
    """Within a distance too small for differences to tell."""

    def cut(g, x1, x2):
        return g * (x2 + 1e-7 * (x2.detach() - x2) if isinstance(x2, tr.Tensor) else x2)

    made = op(lambda xp, x1, x2: x1 * x2, x1=cut, x2=lambda g, x1: g * x1)
    return case(made, reach=1e-17), called(ONE, TWO)


# ---- special points


@planted("special points")
def a_gradient_that_is_not_the_convention():
    relu = op(lambda xp, x: xp.maximum(x, 0.0), x=lambda g, x: g * tr.astype(tr.greater_equal(x, 0.0), g.dtype))
    return case(relu, points=[at([0.0, 1.0], gradient=[0.0, 1.0])]), called(ONE)


@planted("special points")
def a_convention_off_by_1e_9():
    return squared(points=[at([0.0, 1.0], gradient=[0.0, 2.0 + 4e-10 * 2])]), called(ONE)


@planted("special points")
def a_gradient_outside_of_the_slopes_of_a_kink():
    relu = op(
        lambda xp, x: xp.maximum(x, 0.0), x=lambda g, x: g * tr.where(tr.equal(x, 0.0), 1 + 1e-8, tr.astype(x > 0, x.dtype))
    )
    return case(relu, points=[at([0.0, 1.0])]), called(ONE)


@planted("special points")
def a_gradient_that_is_not_finite():
    return squared(vjp=lambda g, x: tr.where(tr.equal(x, 0.0), math.nan, slope(g, x)), points=[at([0.0, 1.0])]), called(ONE)


# ---- backends agree


def elsewhere(error):
    """An error on the other backend alone, of an op and its gradient and its second derivative."""

    def forward(xp, x):
        return error("value", xp.name != "numpy", x * x)

    def vjp(g, x):
        recorded = isinstance(g, tr.Tensor)
        there = (g.backend if recorded else type(g).__module__.partition(".")[0]) != "numpy"
        return error("second" if recorded else "gradient", there, slope(g, x))

    return squared(forward, vjp), called(ONE)


@planted("backends agree")
def a_value_off_by_1e_9_there():
    return elsewhere(lambda what, there, y: y * (1 + 1e-9) if there and what == "value" else y)


@planted("backends agree")
def a_gradient_off_by_1e_8_there():
    return elsewhere(lambda what, there, y: y * (1 + 1e-8) if there and what == "gradient" else y)


@planted("backends agree")
def a_second_derivative_off_by_1e_7_there():
    return elsewhere(lambda what, there, y: y * (1 + 1e-7) if there and what == "second" else y)


@planted("backends agree")
def a_gradient_that_is_not_there():
    def vjp(g, x):
        there = not isinstance(g, tr.Tensor | np.ndarray)
        return get("standin").to_host(slope(g, x)) if there else slope(g, x)

    return squared(vjp=vjp), called(ONE)


# ---- fast form equals definition


@planted("fast form equals definition")
def a_fast_value_off_by_1e_9():
    return fast(lambda xp, x1, x2: (x1 * x2 + 1e-9, None), lambda g, x1, x2: (g * x2, g * x1)), called(ONE, TWO)


@planted("fast form equals definition")
def a_fast_gradient_off_by_5e_10():
    """Within a distance too small for differences to tell."""
    made = fast(lambda xp, x1, x2: (x1 * x2, None), lambda g, x1, x2: (g * x2 * (1 + 5e-10), g * x1), reach=1e-17)
    return made, called(ONE, TWO)


@planted("fast form equals definition")
def a_second_derivative_that_is_not_the_definitions():
    """Within a distance too small for differences to tell, and where the definition is run again in a backward."""

    @tr.fused
    def product(x1, x2):
        again = sys._getframe(1).f_code.co_name == "pull"
        return x1 * x2 + (1e-6 * (x1 - x1.detach()) ** 2 if again else 0.0)

    product.fast(lambda xp, x1, x2: (x1 * x2, None))
    product.backward(lambda g, x1, x2: (g * x2, g * x1))
    del FUSED["product"]
    return case(product, reach=1e-17), called(ONE, TWO)
