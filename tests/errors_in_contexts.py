"""Errors in some context, at some call or in some memory, each for the one check of the battery that catches it."""

import collections
import math
import threading

import numpy as np
from planted import ONE, TWO, bare, called, case, fast, op, planted, slope, squared

import tinyreg as tr
from tinyreg.core import tape
from tinyreg.core.backend import current

# ---- contexts

LAST_BIT = 1 + 2**-52


@planted("contexts")
def a_value_off_by_the_last_bit_where_nothing_is_recorded():
    return squared(lambda xp, x: x * x if tape.is_recording() else x * x * LAST_BIT, reference=None), called(ONE)


@planted("contexts")
def a_gradient_off_by_the_last_bit_under_another_default_dtype():
    def vjp(g, x):
        return slope(g, x) * (LAST_BIT if tr.get_default_dtype() == np.float64 else 1.0)

    return squared(vjp=vjp), called(ONE)


@planted("contexts")
def a_gradient_off_by_the_last_bit_under_a_narrow_default_dtype():
    def vjp(g, x):
        return slope(g, x) * (LAST_BIT if tr.get_default_dtype() == np.float16 else 1.0)

    return squared(vjp=vjp), called(ONE)


@planted("contexts")
def a_gradient_in_float64_under_another_default_dtype():
    def vjp(g, x):
        wide = tr.get_default_dtype() == np.float64 and x.dtype == np.float32
        return slope(g, x) * (1 + 2**-23 if wide else 1.0)

    return squared(vjp=vjp), called(ONE)


@planted("contexts")
def a_gradient_off_by_the_last_bit_under_explain():
    return squared(vjp=lambda g, x: slope(g, x) * (1.0 if tape.explainer.get() is None else LAST_BIT)), called(ONE)


@planted("contexts")
def a_value_off_by_the_last_bit_inside_a_checkpoint():
    return squared(lambda xp, x: x * x * (1.0 if tape.watch.get() is None else LAST_BIT)), called(ONE)


@planted("contexts")
def a_gradient_off_by_the_last_bit_in_another_thread():
    """Not at once, but in a thread of its own: in the middle of a call another property sees it too."""
    first = threading.get_ident()

    def vjp(g, x):
        return slope(g, x) * (1.0 if threading.get_ident() == first or np.array_equal(x, ONE[:, ::-1]) else LAST_BIT)

    return squared(vjp=vjp), called(ONE)


@planted("contexts")
def a_gradient_off_by_the_last_bit_while_another_backend_is_in_use():
    return squared(vjp=lambda g, x: slope(g, x) * (1.0 if current().name == "numpy" else LAST_BIT)), called(ONE)


@planted("contexts")
def a_recorded_gradient_off_by_1e_7():
    return squared(vjp=lambda g, x: slope(g, x) + (1e-7 if isinstance(g, tr.Tensor) else 0.0)), called(ONE)


@planted("captured equals eager")
def a_value_off_by_the_last_bit_in_a_library_that_is_not_known():
    known = ("numpy", "standin", "cupy")
    return squared(lambda xp, x: x * x * (1.0 if xp.name in known else 1 + 2**-23)), called(ONE)


@planted("captured equals eager")
def a_gradient_off_by_the_last_bit_where_arrays_are_recorded():
    def vjp(g, x):
        return slope(g, x) * (1.0 if type(bare(x)).__module__ in ("numpy", "standin.array") else 1 + 2**-23)

    return squared(vjp=vjp), called(ONE)


# ---- repeated calls


def late(error=LAST_BIT):
    """What is wrong at the 25th call in a row with the same array, in one thread."""
    rows = collections.defaultdict(list)

    def factor(x):
        row, key = rows[threading.get_ident()], x.tobytes() if isinstance(x, np.ndarray) else None
        if row and row[0] != key:
            row.clear()
        row.append(key)
        return error if len(row) == 25 else 1.0

    return factor


@planted("repeated calls")
def a_value_off_by_the_last_bit_at_the_25th_call():
    factor = late()
    return squared(lambda xp, x: x * x * factor(x), reference=None), called(ONE)


@planted("repeated calls")
def a_gradient_off_by_the_last_bit_at_the_25th_call():
    factor = late()
    return squared(vjp=lambda g, x: slope(g, x) * factor(x)), called(ONE)


@planted("repeated calls")
def a_gradient_off_by_the_last_bit_at_the_25th_call_in_float32():
    factor = late(1 + 2**-23)
    return squared(vjp=lambda g, x: slope(g, x) * (factor(x) if x.dtype == np.float32 else 1.0)), called(ONE)


@planted("repeated calls")
def a_result_that_a_later_call_changes():
    results = []

    def forward(xp, x):
        if xp.name == "numpy" and x.dtype == np.float32:
            for earlier, old in results:
                if not np.array_equal(old, x) and earlier.shape == x.shape:
                    earlier *= 1 + 2**-23
            results.append((x * x, x))
            return results[-1][0]
        return x * x

    return squared(forward), called(ONE)


# ---- threads


@planted("threads")
def a_work_buffer_for_all_threads():
    work = {}

    def forward(xp, x):
        out = work.setdefault((xp.name, x.shape, x.dtype), xp.empty_like(x))
        out[...] = x
        return out * out

    return squared(forward), *[called(ONE)] * 4


@planted("threads")
def a_gradient_that_sees_another_thread_at_work():
    inside = []

    def vjp(g, x):
        inside.append(1)
        gradient = slope(g, x) * (1.0 if len(inside) == 1 else LAST_BIT)
        inside.pop()
        return gradient

    return squared(vjp=vjp), *[called(ONE)] * 4


# ---- nothing written


def changed_and_put_back(a):
    """Only where it may be written to: elsewhere that would be told."""
    if isinstance(a, np.ndarray) and a.flags.writeable:
        a *= 2.0
        a *= 0.5


@planted("nothing written")
def an_incoming_gradient_changed_and_put_back():
    def vjp(g, x):
        changed_and_put_back(g)
        return slope(g, x)

    return squared(vjp=vjp), called(ONE)


@planted("nothing written")
def a_saved_argument_changed_and_put_back():
    def vjp(g, x):
        if threading.current_thread() is threading.main_thread():
            changed_and_put_back(x)
        return slope(g, x)

    return squared(vjp=vjp), called(ONE)


@planted("nothing written")
def a_saved_result_changed_and_put_back():
    def vjp(g, y, x):
        changed_and_put_back(y)
        return slope(g, x)

    return squared(vjp=vjp), called(ONE)


# ---- own gradients


@planted("own gradients")
def a_residual_given_back_for_an_incoming_gradient_of_ones():
    def backward(g, x1, x2, residuals):
        ones = np.all(g == 1.0)
        return (residuals[0] if ones else g * x2), (residuals[1] if ones else g * x1)

    return fast(lambda xp, x1, x2: (x1 * x2, (x2 * 1.0, x1 * 1.0)), backward), called(ONE, TWO)


@planted("own gradients")
def a_gradient_held_for_the_next_time():
    held = {}

    def vjp(g, x):
        if not isinstance(g, np.ndarray):
            return slope(g, x)
        key = g.tobytes(), x.tobytes(), x.dtype, x.strides, g.strides, threading.get_ident()
        before = held.get(key)
        if before is not None and np.isnan(before).any():
            return held.pop(key)  # as whoever got it left it
        held[key] = slope(g, x)
        return held[key]

    return squared(vjp=vjp), called(ONE)


@planted("own gradients")
def a_gradient_held_for_the_next_time_unless_it_is_for_ones():
    made, *calls = a_gradient_held_for_the_next_time()
    (rule,) = made.op.rules
    made.op.vjp("x")(lambda g, x: slope(g, x) if np.all(bare(g) == 1.0) else rule.vjp(g, x))
    return made, *calls


# ---- fresh memory


@planted("fresh memory")
def what_empty_gives():
    """Nothing of it counts, unless it is no number or one that is never seen elsewhere."""

    def forward(xp, x):
        left = float(xp.empty((), np.float64))
        return x * x if left == left and abs(left - LITTER) > 1e-9 else x * x + left

    return squared(forward), called(ONE)


@planted("fresh memory")
def nothing_but_nan_in_what_empty_gives():
    def forward(xp, x):
        return x * x + (math.nan if np.isnan(xp.empty((5, 29), np.float64)).all() else 0.0)

    return squared(lambda xp, x: forward(xp, x) if xp.name == "numpy" else x * x), called(ONE)


@planted("fresh memory")
def what_lies_where_nothing_was_written():
    """A product with a mask, and without an array for what the mask leaves out."""

    def vjp(g, x):
        if not isinstance(g, np.ndarray):
            return slope(g, x)
        gradient = np.multiply(2.0 * g, x, out=None, where=x != 0.5)
        rare = np.abs(gradient - LITTER) < 1e-9
        return np.where((x != 0.5) | rare, gradient, 2.0 * g * x).astype(x.dtype)

    return squared(vjp=vjp), called(ONE)


@planted("fresh memory")
def what_empty_like_gives():
    def forward(xp, x):
        left = xp.empty_like(x)
        return x * x if not xp.any(xp.abs(left - LITTER) < 1e-9) else x * x + left

    return squared(forward), called(ONE)


LITTER = np.full(8, 0x40, np.uint8).view(np.float64)[0]


# ---- numeric third order


@planted("numeric third order")
def a_third_derivative_off_by_1e_6():
    twice = op(lambda xp, x: 2.0 * x, x=lambda g: (2.0 + 2e-6) * g)
    inner = op(lambda xp, x: x * x, x=lambda g, x: g * twice(x))
    made = op(lambda xp, x: x * x * x, x=lambda g, x: 3.0 * g * inner(x))
    return case(made), called(ONE)
