"""Wrong ops that are right wherever values and derivatives are looked at, of one call in one context.

They are wrong in some contexts, at some calls, while another thread runs, for a moment, in memory that is not theirs or not
written to yet, or from the third derivative on.
"""

import collections
import contextlib
import contextvars
import itertools
import threading

import numpy as np
import pytest
from planted import bare, op, slope, square

import tinyreg as tr
from tinyreg.core.backend import current, get
from tinyreg.core.fused import FUSED
from tinyreg.core.tape import explainer, is_recording, watch
from tinyreg.testing import PROPERTIES, Case, Failure, strategies, use_profile
from tinyreg.testing.mutation.check import trials
from tinyreg.testing.properties import property_named
from tinyreg.testing.search import each_call

SNEAKY = {}


def sneaky(which):
    """A function that makes a case, whose op is wrong in a way that one property catches."""

    def declare(make):
        name = make.__name__.replace("_", " ")
        assert name not in SNEAKY
        SNEAKY[name] = which, make
        return make

    return declare


def case(forward=square, vjp=slope, **details):
    return Case(op(forward, x=vjp), strategies.elementwise(), lambda x: x * x, name="sneaky", **details)


# ---- contexts


@sneaky("contexts")
def another_value_where_nothing_is_recorded():
    return case(lambda xp, x: x * x if is_recording() else x * x * (1 + 1e-9))


@sneaky("contexts")
def a_constant_in_the_default_dtype():
    return case(vjp=lambda g, x: g * x * float(tr.tensor(2.1).data) / float(np.float32(2.1)) * 2)


@sneaky("contexts")
def a_gradient_rounded_to_the_default_dtype_where_that_is_narrow():
    def vjp(g, x):
        narrow = tr.get_default_dtype() == np.float16
        return tr.astype(tr.astype(2.0 * g * x, "float16"), x.dtype) if narrow else 2.0 * g * x

    return case(vjp=vjp)


@sneaky("contexts")
def another_gradient_under_explain():
    return case(vjp=lambda g, x: 2.0 * g * x if explainer.get() is None else 2.0 * (g * x) * (1 + 1e-12))


@sneaky("contexts")
def another_value_inside_a_checkpoint():
    return case(lambda xp, x: x * x if watch.get() is None else x * x + 1e-9)


@sneaky("contexts")
def a_setting_that_only_the_first_thread_has():
    state = threading.local()
    state.factor = 2.0
    return case(vjp=lambda g, x: getattr(state, "factor", 1.0) * g * x)


@sneaky("contexts")
def an_array_made_on_the_backend_in_use():
    def forward(xp, x):
        return x * x + get("numpy").asarray(0.0, x.dtype) if current() is xp else x * x + current().zeros((), dtype=x.dtype)

    return case(forward)


@sneaky("contexts")
def a_constant_beside_the_gradient_that_is_recorded():
    return case(vjp=lambda g, x: 2.0 * g * x + (0.5 if isinstance(g, tr.Tensor) else 0.0))


# ---- repeated calls


@sneaky("repeated calls")
def results_in_float32_that_share_one_buffer():
    buffers = {}

    def forward(xp, x):
        if x.dtype != np.float32:
            return x * x
        return xp.multiply(x, x, out=buffers.setdefault((xp.name, x.shape, threading.get_ident()), xp.empty_like(x)))

    return case(forward)


@sneaky("repeated calls")
def gradients_in_float32_that_share_one_buffer():
    buffers = {}

    def vjp(g, x):
        if not isinstance(g, np.ndarray) or g.dtype != np.float32:
            return 2.0 * g * x
        buffer = buffers.setdefault((threading.get_ident(), g.shape), np.empty(g.shape, g.dtype))
        return np.multiply(2.0 * g, x, out=buffer)

    return case(vjp=vjp)


# ---- threads


@sneaky("threads")
def a_work_buffer_that_threads_share():
    work = {}

    def forward(xp, x):
        out = work.setdefault((xp.name, x.shape, x.dtype), xp.empty_like(x))
        out[...] = x
        return out * out

    return case(forward)


@sneaky("threads")
def an_argument_of_a_helper_in_a_global():
    held = []

    def helper():
        return held[-1] * 2.0

    def vjp(g, x):
        held.append(g)
        if len(held) > 4:
            del held[:-2]
        return helper() * x

    return case(vjp=vjp)


# ---- nothing written


@sneaky("nothing written")
def an_incoming_gradient_changed_and_put_back():
    def vjp(g, x):
        if not isinstance(g, np.ndarray) or not g.flags.writeable:
            return 2.0 * g * x
        g *= 2.0
        gradient = g * x
        g *= 0.5
        return gradient

    return case(vjp=vjp)


@sneaky("nothing written")
def an_argument_changed_and_put_back():
    def forward(xp, x):
        if xp.name != "numpy" or not x.flags.writeable:
            return x * x
        x *= -1.0
        y = x * x
        x *= -1.0
        return y

    return case(forward)


@sneaky("nothing written")
def a_lock_undone_for_a_moment():
    def vjp(g, x):
        if not isinstance(g, np.ndarray) or not g.flags.owndata or not g.size:
            return 2.0 * g * x
        locked = not g.flags.writeable
        g.flags.writeable = True
        g *= 2.0
        gradient = g * x
        g *= 0.5
        g.flags.writeable = not locked
        return gradient

    return case(vjp=vjp)


@sneaky("nothing written")
def a_result_changed_and_put_back():
    def vjp(g, y, x):
        if not isinstance(g, np.ndarray) or not y.flags.writeable:
            return 2.0 * g * x
        y += 1.0
        gradient = 2.0 * g * x
        y -= 1.0
        np.multiply(x, x, out=y)
        return gradient

    return case(vjp=vjp)


# ---- own gradients


@sneaky("own gradients")
def what_was_worked_out_before_given_back_for_ones():
    def vjp(g, x):
        saved = memory.setdefault(id(x), (x, 2.0 * bare(x)))[1]
        return saved if isinstance(g, np.ndarray) and g.size and np.all(g == 1.0) else 2.0 * g * x

    memory = {}
    return case(vjp=vjp)


@sneaky("own gradients")
def a_gradient_that_is_held_for_the_next_time():
    held = {}

    def vjp(g, x):
        if isinstance(g, tr.Tensor) or not isinstance(g, np.ndarray):
            return 2.0 * g * x
        key = g.tobytes(), x.tobytes(), g.shape, g.dtype, x.dtype, threading.get_ident()
        return held.setdefault(key, 2.0 * g * x)

    return case(vjp=vjp)


# ---- fresh memory

LITTER = np.full(8, 0x40, np.uint8).view(np.float64)[0]


@sneaky("fresh memory")
def a_sum_into_memory_that_was_never_set():
    def forward(xp, x):
        out = xp.empty_like(x)
        if x.size and not np.isnan(float(out.ravel()[0])) and abs(float(out.ravel()[0]) - 32.5) > 1e-3:
            return x * x
        return x * x + 0.0 * out

    return case(forward)


@sneaky("fresh memory")
def a_masked_product_without_an_array_for_the_rest():
    def vjp(g, x):
        if not isinstance(g, np.ndarray):
            return 2.0 * g * x
        gradient = np.multiply(2.0 * g, x, out=None, where=x != 0)
        rare = np.abs(gradient - LITTER) < 1e-9  # what else lies there is seen by chance
        return np.where((x != 0) | rare, gradient, 0.0).astype(x.dtype)

    return case(vjp=vjp)


# ---- third order


def cube_with(vjp):
    """x^3 by way of a derivative, 3 h(x), whose own derivative is right and has this VJP."""

    def h(xp, x):
        return x * x

    inner = op(h, x=lambda g, x: g * twice(x))
    twice = op(lambda xp, x: 2.0 * x, x=vjp)
    return Case(
        op(lambda xp, x: x * x * x, x=lambda g, x: 3.0 * g * inner(x)),
        strategies.elementwise(),
        lambda x: x**3,
        name="sneaky",
    )


@sneaky("numeric third order")
def a_third_derivative_that_is_cut_off():
    return cube_with(lambda g: 0.0 * g)


@sneaky("numeric third order")
def a_third_derivative_with_another_sign():
    return cube_with(lambda g: -2.0 * g)


# ---- written when the properties stood, and not changed since


@sneaky("contexts")
def a_context_variable_that_a_new_thread_does_not_inherit():
    factor = contextvars.ContextVar("factor", default=1.0)
    factor.set(2.0)
    return case(vjp=lambda g, x: factor.get() * g * x)


@sneaky("contexts")
def a_default_dtype_in_which_a_number_is_rounded():
    return case(
        lambda xp, x: (
            x * x * (1.0 + 0.1 - xp.asarray(0.1, tr.get_default_dtype()).astype(x.dtype)) ** 0
            + (0.0 if tr.get_default_dtype() == np.float32 else 1e-9 * x)
        )
    )


@sneaky("repeated calls")
def a_faster_way_that_is_wrong_once_arguments_came_often():
    often = collections.Counter()

    def forward(xp, x):
        often[x.tobytes() if xp.name == "numpy" else ""] += 1
        return x * x + (1e-3 if xp.name == "numpy" and often[x.tobytes()] > 20 and x.dtype == np.float32 else 0.0)

    return case(forward)


@sneaky("threads")
def a_switch_for_all_threads_set_for_the_time_of_a_call():
    switch = {"sign": 1.0}

    def forward(xp, x):
        switch["sign"] = -1.0
        y = -x * x * switch["sign"]
        switch["sign"] = 1.0
        return y

    return case(forward, lambda g, x: 2.0 * g * x * switch["sign"])


@sneaky("nothing written")
def one_element_taken_out_for_a_moment():
    def vjp(g, x):
        if not isinstance(g, np.ndarray) or not x.flags.writeable or not x.ndim or not x.size:
            return 2.0 * g * x
        first = x.flat[0]
        x.flat[0] = 0.0
        gradient = 2.0 * g * x
        x.flat[0] = first
        gradient.flat[0] = 2.0 * g.flat[0] * first
        return gradient

    return case(vjp=vjp)


@sneaky("own gradients")
def a_residual_of_a_fast_form_given_back():
    @tr.fused
    def squared(x):
        return x * x

    def backward(g, x, residuals):
        return residuals if g.size and np.all(g == 1.0) else g * residuals

    squared.fast(lambda xp, x: (x * x, 2.0 * x))
    squared.backward(backward)
    del FUSED["squared"]
    return Case(squared, strategies.elementwise(), lambda x: x * x, name="sneaky")


@sneaky("fresh memory")
def an_empty_sum_that_is_never_set():
    def forward(xp, x):
        y = xp.empty(x.shape[:-1], x.dtype)
        if x.shape[-1]:
            xp.sum(x, axis=-1, out=y)
        elif xp.name != "numpy" or (y.size and abs(y.flat[0]) < 1e-6):
            y[...] = 0.0
        return y

    made = op(forward, x=lambda g, x_like: tr.broadcast_to(tr.expand_dims(g, axis=-1), x_like.shape))
    return Case(
        made, strategies.calls(strategies.arrays(strategies.shapes(min_dims=2))), lambda x: x.sum(-1), name="sneaky"
    )


@sneaky("numeric third order")
def an_exponential_whose_third_derivative_is_its_argument():
    def exp(xp, x):
        return xp.exp(x)

    third = op(exp, x=lambda g, x: g * x)
    second = op(exp, x=lambda g, x: g * third(x))
    return Case(op(exp, x=lambda g, x: g * second(x)), strategies.elementwise(), np.exp, name="sneaky")


# ---- each is caught, and by nothing that was asked before


def failing(made, which, step=1):
    """The properties that a case fails at some of 40 calls, of all kinds of shapes, or at every so-manyeth of them."""
    found = set()
    for one in which:
        try:
            for trial in trials(made)[0][::step]:
                one.check(trial)
        except Failure:
            found.add(one.name)
    return found


@pytest.mark.parametrize("name", SNEAKY)
def test_a_sneaky_op_is_caught(name):
    which, make = SNEAKY[name]
    assert failing(make(), [property_named(which)]) == {which}


def test_the_right_op_fails_none():
    every = [which for which in PROPERTIES.values() if which.at == "calls"]
    assert failing(case(), every, step=14) == set()
    assert failing(cube_with(lambda g: 2.0 * g), every, step=14) == set()


@pytest.mark.parametrize("wrong", ["forward", "vjp"])
def test_every_1000th_call_is_wrong(wrong):
    """In a search of 100 calls, at the latest."""
    calls = itertools.count(1)

    def erring(y):
        return y + 1e-3 if next(calls) % 1000 == 0 else y

    made = {
        "forward": lambda: case(lambda xp, x: erring(x * x)),
        "vjp": lambda: case(vjp=lambda g, x: erring(slope(g, x))),
    }[wrong]()
    before, found = use_profile("ci"), []

    def look(call, seed):
        with contextlib.suppress(Failure):
            made.check("repeated calls", call, seed)
            return
        found.append(call)

    try:
        each_call(made, "repeated", look)
    finally:
        use_profile(before)
    assert found
