"""Every wrong version of the engine is noticed by one of these small programs, and the right one by none.

A program asserts numbers worked out by hand, or compares with the naive reference; that it raises is noticing too.
"""

from __future__ import annotations

import contextvars
import gc
import weakref

import numpy as np
import pytest
import reference_tape as reference
from engine_mutants import EQUIVALENT, MUTANTS, planted

import tinyreg as tr
from tinyreg.core.primitive import REGISTRY
from tinyreg.recompute import FUSED

PROGRAMS = []


def program(f):
    PROGRAMS.append(f)
    return f


def leaf(values, dtype="float64"):
    return tr.tensor(np.array(values, dtype=dtype), requires_grad=True)


def op(forward, joint=(), **declared):
    """A primitive in no registry, with VJPs by the name of the argument, and settings of its declaration."""
    vjps = {name: declared.pop(name) for name in list(declared) if callable(declared[name])}
    made = tr.primitive(**declared)(forward)
    REGISTRY.pop(forward.__name__)
    for name, vjp in vjps.items():
        made.vjp(*(joint if name == "together" else (name,)))(vjp)
    return made


def same(found, expected):
    """The same numbers, as an array of the same shape and dtype."""
    expected = np.asarray(expected, dtype=np.float64)
    assert isinstance(found, tr.Tensor)
    assert isinstance(found.data, np.ndarray)
    assert found.dtype == expected.dtype
    assert found.shape == expected.shape
    np.testing.assert_allclose(found.data, expected, rtol=1e-13)


def refused(f, text):
    with pytest.raises((RuntimeError, ValueError, TypeError), match=text):
        f()


# ---- contributions that meet


@program
def one_tensor_in_several_slots():
    for f, slope in ((lambda x: x * x * x, 27.0), (lambda x: x + x + x, 3.0), (lambda x: x - x, 0.0)):
        x = leaf(3.0)
        f(x).backward()
        same(x.grad, slope)


@program
def a_diamond_in_either_order():
    for first in (True, False):
        x = leaf([1.0, -2.0])
        a = tr.exp(x)
        b = a * a
        c = b * a
        (b + c + a if first else a + c + b).backward(np.array([1.0, -3.7]))
        e = np.exp(x.data)
        same(x.grad, np.array([1.0, -3.7]) * (e + 2 * e * e + 3 * e**3))


@program
def one_array_handed_to_two():
    x, y, g = leaf([1.0, 2.0]), leaf([3.0, 4.0]), np.array([1.0, 10.0])
    ((x + y) + x).backward(g)
    same(x.grad, [2.0, 20.0])
    same(y.grad, [1.0, 10.0])
    np.testing.assert_array_equal(g, [1.0, 10.0])


@program
def a_root_that_is_a_leaf():
    x = leaf([1.0, 2.0])
    x.backward(np.array([3.0, -4.0], dtype=np.float32))
    x.backward(tr.tensor(np.array([3.0, -4.0], dtype=np.float32)))
    same(x.grad, [6.0, -8.0])
    y = leaf([1.0, 2.0])
    y.backward(tr.tensor(np.array([3.0, -4.0], dtype=np.float32)))
    same(y.grad, [3.0, -4.0])


# ---- shape and dtype


@program
def broadcasting():
    g = np.array([[1.0, -2.0, 4.0], [8.0, 16.0, -32.0]])
    for shape in ((2, 3), (1, 3), (3,), (2, 1), (1, 1), (1,), ()):
        x = leaf(np.ones(shape))
        (x + np.zeros((2, 3))).backward(g)
        added = 2 - len(shape)
        axes = tuple(i for i in range(2) if i < added or shape[i - added] == 1)
        same(x.grad, g.sum(axis=axes).reshape(shape))


@program
def a_gradient_has_the_dtype_of_its_tensor():
    x, y = leaf([1.0, 2.0], "float32"), leaf([3.0, 4.0])
    (x * y).backward(np.array([1.0, 2.0]))
    assert x.grad.dtype == np.float32
    np.testing.assert_array_equal(x.grad.data, [3.0, 8.0])
    same(y.grad, [1.0, 4.0])


@program
def a_vjp_of_the_wrong_shape():
    repeated = op(lambda xp, x: xp.stack([x, x]), x=lambda g: g)
    refused(repeated(leaf([1.0, 2.0])).sum().backward, "a VJP returned a gradient of shape")


# ---- what leaves are given


@program
def gradients_add_up_and_held_ones_stay():
    x = leaf([1.0, 2.0])
    (x * x).backward(np.array([1.0, -1.0]))
    held = x.grad
    (3.0 * x).backward(np.array([1.0, 1.0]))
    same(held, [2.0, -4.0])
    same(x.grad, [5.0, -1.0])


@program
def gradients_own_their_memory():
    x, y, z, g = leaf([1.0, 2.0]), leaf([[1.0], [2.0]]), leaf([1.0, 2.0]), np.array([1.0, 2.0])
    (x + y.reshape((2,)) + z).backward(g)
    arrays = [x.grad.data, y.grad.data, z.grad.data, g]
    assert not any(np.shares_memory(a, b) for i, a in enumerate(arrays) for b in arrays[i + 1 :])


@program
def gradients_own_their_memory_under_create_graph():
    x, g = leaf([1.0, 2.0]), tr.tensor(np.array([1.0, 2.0]))
    x.backward(g, create_graph=True)
    assert not np.shares_memory(x.grad.data, g.data)


@program
def retained_gradients():
    x = leaf([1.0, 2.0])
    y, z = x * x, x * 2.0
    z.retain_grad()
    (y * z).backward(np.array([1.0, -1.0]))
    assert y.grad is None
    same(z.grad, [1.0, -4.0])
    same(x.grad, [6.0, -24.0])


@program
def a_retained_gradient_that_never_came():
    halved = op(lambda xp, a, b: a + b, joint=("a", "b"), together=lambda g: (g, None))
    x, y = leaf(1.0), leaf(2.0)
    inside = y * y
    inside.retain_grad()
    halved(x, inside).backward()
    assert inside.grad is None
    assert y.grad is None
    same(x.grad, 1.0)


@program
def all_leaves_or_none():
    def unlucky(g):
        raise ZeroDivisionError

    fails = op(lambda xp, x: x * 1.0, x=unlucky)
    for flipped in (False, True):
        x, y = leaf(1.0), leaf(2.0)
        z = fails(y)
        with pytest.raises(ZeroDivisionError):
            (z + x if flipped else x + z).backward()
        assert x.grad is None
        assert y.grad is None
        y.grad = tr.tensor(np.array(1.0), backend="standin")
        before = y.grad
        refused((y + x if flipped else x + y).backward, "expected one backend")
        assert x.grad is None
        assert y.grad is before


# ---- freeing, and what a tape refuses


@program
def a_second_backward():
    x = leaf([3.0])
    y = x * x
    y.backward(retain_graph=True)
    y.backward()
    same(x.grad, [12.0])
    refused(y.backward, "was freed by an earlier backward")
    same(x.grad, [12.0])
    assert y._node.kept is None
    assert y._node.parents == ()


@program
def a_second_backward_under_create_graph():
    for retain_graph in (None, True, False):
        x = leaf(3.0)
        y = tr.exp(x)
        y.backward(create_graph=True, retain_graph=retain_graph)
        if retain_graph is False:
            refused(y.backward, "was freed by an earlier backward")
        else:
            y.backward()
            same(x.grad.detach(), 2 * np.exp(3.0))


@program
def a_leaf_that_has_changed():
    for order in (0, 1):
        w, x = leaf([1.0, 2.0]), leaf([3.0, 4.0])
        (w * x).sum().backward()
        loss = (w * x if order else x * w).sum()
        value = np.array([5.0, 6.0])
        w.assign(value)
        value[:] = 0.0
        np.testing.assert_array_equal(w.data, [5.0, 6.0])
        refused(loss.backward, "was changed after the tape used it")
        same(w.grad, [3.0, 4.0])
        same(x.grad, [1.0, 2.0])
        (w * x).sum().backward()
        same(x.grad, [6.0, 8.0])


@program
def memory_goes_without_the_garbage_collector():
    gc.collect()
    gc.disable()
    try:
        x = leaf([1.0, 2.0])
        inside = x * x
        y = tr.exp(inside)
        gone = weakref.ref(inside.data)
        del inside
        y.backward(np.ones(2))
        assert gone() is None
    finally:
        gc.enable()


@program
def a_lone_operand_is_not_kept():
    x, w = leaf([[1.0]]), tr.tensor(np.ones((1, 1)))
    assert tr.einsum("ij,jk->ik", x, w)._node.kept["others"][0] is None


# ---- which arguments


@program
def the_same_op_with_other_arguments_wanted():
    joint = op(
        lambda xp, a, b, c: a * b + b * c,
        joint=("a", "b"),
        together=lambda g, a, b, c: (g * b, g * (a + c)),
        c=lambda g, b: g * b,
    )
    for wanted in ((0,), (1,), (2,), (0, 1), (0, 2), (1, 2), (0, 1, 2)):
        inputs = [leaf(v) if i in wanted else np.array(v) for i, v in enumerate((2.0, 3.0, 5.0))]
        joint(*inputs).backward()
        for i in wanted:
            same(inputs[i].grad, (3.0, 7.0, 3.0)[i])


@program
def an_argument_without_a_gradient():
    scaled = op(lambda xp, x, by: x * by, x=lambda g, by: g * by, nondifferentiable=("by",))
    x, w = leaf(2.0), leaf(3.0)
    by = w * w
    by.backward()
    scaled(x, by).backward()
    same(x.grad, 9.0)
    same(w.grad, 6.0)


@program
def operands_know_their_places():
    x, y, z = leaf([1.0]), leaf([2.0, 3.0]), leaf([4.0])
    tr.concat(x, y, z).backward(np.array([1.0, -2.0, 3.0, 4.0]))
    same(x.grad, [1.0])
    same(y.grad, [-2.0, 3.0])
    same(z.grad, [4.0])


@program
def only_what_leads_to_a_target_is_worked_out():
    def never(g):
        raise AssertionError("nobody asked for this gradient")

    off = op(lambda xp, x: x * 1.0, x=never)
    beside = op(lambda xp, x, w: x * w, x=lambda g, w: g * w, w=never)
    w = leaf([3.0, 5.0])
    for f in (
        lambda x: off(w) * tr.exp(x * 1.0) * np.ones(2),
        lambda x: beside(tr.exp(x * 1.0), w),
        lambda x: w * tr.exp(x),
    ):
        same(tr.grad(lambda x, f=f: f(x).sum())(np.array([1.0, 2.0])).detach(), w.data * np.exp([1.0, 2.0]))
        assert w.grad is None


# ---- several results


def rotation(xp, x):
    return xp.cos(x), xp.sin(x)


def cos_sin(x):
    """Both results, by an op that is made anew, so that no mutant leaves a plan with it."""
    return op(rotation, x=lambda g, y: g[1] * y[0] - g[0] * y[1])(x)


@program
def several_results():
    for a, b in ((2.0, 0.0), (0.0, 3.0), (2.0, 3.0)):
        x = leaf([0.5, 1.0])
        cosine, sine = cos_sin(x)
        y = a * cosine + b * sine if a and b else a * cosine if a else b * sine
        del cosine, sine
        y.backward(np.array([1.0, -1.0]))
        same(x.grad, np.array([1.0, -1.0]) * (b * np.cos(x.data) - a * np.sin(x.data)))


@program
def several_results_to_second_order():
    x = leaf(0.5)
    cosine, sine = cos_sin(x)
    (cosine + 2.0 * sine * sine).backward(create_graph=True)
    first, x.grad = x.grad, None
    same(first.detach(), -np.sin(0.5) + 2 * np.sin(1.0))
    first.backward()
    same(x.grad, -np.cos(0.5) + 4 * np.cos(1.0))


@program
def results_of_several_shapes():
    split = op(lambda xp, x: (x[:1], x[1:]), x=lambda g: tr.concat(*g))
    x = leaf([1.0, 2.0, 3.0])
    split(x)[1].backward(np.array([5.0, -7.0]))
    same(x.grad, [0.0, 5.0, -7.0])


# ---- second order


@program
def second_derivatives():
    powers = {
        "arguments": (lambda x: x * x * x, 12.0),
        "the result": (lambda x: tr.exp(tr.tanh(x)) / np.exp(np.tanh(2.0)), None),
        "operands": (lambda x: tr.einsum("i,i,i->", x.reshape((1,)), x.reshape((1,)), x.reshape((1,))), 12.0),
    }
    t = np.tanh(2.0)
    for f, expected in powers.values():
        x = leaf(2.0)
        f(x).backward(create_graph=True)
        first, x.grad = x.grad, None
        first.backward()
        same(x.grad, (1 - t * t) ** 2 - 2 * t * (1 - t * t) if expected is None else expected)


@program
def a_gradient_penalty():
    w, x = leaf([1.0, 2.0]), leaf([3.0, 4.0])
    (w * x * x).sum().backward(create_graph=True)
    slope = x.grad
    w.zero_grad()
    (slope * slope).sum().backward()
    same(w.grad, 8 * w.data * x.data**2)


@program
def an_ordinary_gradient_is_not_on_the_tape():
    x = leaf(2.0)
    (x * x).backward()
    assert not x.grad.requires_grad


@program
def a_graph_beside_the_reference():
    a, b = np.array([[0.5, -1.0, 1.5], [2.0, 0.25, -0.75]]), np.array([[1.5], [-0.5]])
    v, u = np.array([[1.0, -2.0], [0.5, 3.0]]), np.array([1.0, -1.0, 2.0, 0.5, -0.5, 3.0, 0.25, -2.0])
    x, y = leaf(a), leaf(b)
    m = tr.tanh(x * y) / tr.exp(tr.tanh(y))
    p = m @ tr.permute_dims(x[np.array([1, 1])], axes=(1, 0))
    (p * m.sum(axis=1)).backward(v, create_graph=True)

    rx, ry = reference.leaf(a, slice(0, 6)), reference.leaf(b, slice(6, 8))
    rm = reference.divide(reference.tanh(reference.multiply(rx, ry)), reference.exp(reference.tanh(ry)))
    rp = reference.matmul(rm, reference.permute_dims(reference.getitem(rx, np.array([1, 1])), (1, 0)))
    slopes, curvature = reference.pulled(reference.multiply(rp, reference.total(rm, 1)), v)
    np.testing.assert_allclose(x.grad.data.ravel(), slopes[:6], rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(y.grad.data.ravel(), slopes[6:8], rtol=1e-10, atol=1e-12)
    along = (x.grad * u[:6].reshape(2, 3)).sum() + (y.grad * u[6:].reshape(2, 1)).sum()
    x.grad = y.grad = None
    along.backward()
    expected = curvature[:8, :8] @ u
    np.testing.assert_allclose(x.grad.data.ravel(), expected[:6], rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(y.grad.data.ravel(), expected[6:], rtol=1e-10, atol=1e-12)


# ---- recording


@program
def recording_off_and_on_again():
    x = leaf(2.0)
    with tr.no_grad():
        assert not (x * x).requires_grad
        with tr.no_grad():
            pass
        assert not (x * x).requires_grad
    assert (x * x).requires_grad
    with pytest.raises(KeyError), tr.no_grad():
        raise KeyError
    assert (x * x).requires_grad
    assert not (x * x).detach().requires_grad
    (x * (x * x).detach()).backward()
    same(x.grad, 4.0)


# ---- checkpoints and fast forms


@program
def a_checkpoint_changes_nothing():
    w, x = leaf([2.0, 3.0]), leaf([1.0, -1.0])
    v = w * w

    def f(t):
        y = tr.tanh(t * v)
        return y, y, y * w

    a, b, c = tr.checkpoint(f)(x)
    assert [n for n in a._node.parents[0].parents if n is w._node]
    (a + 2.0 * b + 3.0 * c).backward(np.array([1.0, -2.0]))
    g, (vd, wd, xd) = np.array([1.0, -2.0]), (v.data, w.data, x.data)
    t = np.tanh(xd * vd)
    outer = g * (3 + 3 * wd) * (1 - t * t)
    same(x.grad, outer * vd)
    same(w.grad, outer * xd * 2 * wd + 3 * g * t)


@program
def a_checkpoint_to_second_order():
    w, x = leaf(3.0), leaf(2.0)
    tr.checkpoint(lambda t: w * t * t * t)(x).backward(create_graph=True)
    first, x.grad, w.grad = x.grad, None, None
    same(first.detach(), 36.0)
    first.backward()
    same(x.grad, 36.0)
    same(w.grad, 12.0)


@program
def a_checkpoint_keeps_to_itself():
    x = leaf(2.0)
    y = x * x
    z = tr.checkpoint(lambda t: t * y)(y)
    z.backward(retain_graph=True)
    same(x.grad, 32.0)
    z.backward()
    same(x.grad, 64.0)


@program
def a_checkpoint_draws_the_same_numbers():
    for nested in (False, True):
        rng, drawn = tr.Generator(0), []

        def f(t, rng=rng, drawn=drawn):
            drawn.append([rng.uniform(dtype="float64"), rng.uniform(dtype="float64")])
            return t * drawn[-1][0] + t * t * drawn[-1][1]

        x = leaf(2.0)
        y = tr.checkpoint(tr.checkpoint(f) if nested else f)(x)
        after = rng.state
        rng.uniform()
        moved = rng.state
        y.backward()
        assert after != moved == rng.state
        assert all(pair == drawn[0] for pair in drawn)
        same(x.grad, drawn[0][0] + 4 * drawn[0][1])


@program
def a_checkpoint_finds_its_buffers():
    count = tr.zeros((), dtype="float64")

    def f(t):
        count.assign(count + 1.0)
        return t * count

    x = leaf(1.0)
    y = tr.checkpoint(f)(x)
    count.assign(10.0)
    y.backward()
    same(x.grad, 1.0)
    same(count, 10.0)


def gate(ran):
    """x tanh(w), with a fast backward that is off by a factor of 7; `ran` is told of every run of the definition."""

    @tr.fused
    def gated(x, w):
        ran.append("definition")
        return x * tr.tanh(w)

    @gated.fast
    def _(xp, x, w):
        t = xp.tanh(w)
        return x * t, t

    @gated.backward
    def _(g, x, residuals):
        return 7.0 * g * residuals, 7.0 * g * x * (1 - residuals * residuals)

    del FUSED["gated"]
    return gated


@program
def a_fast_form():
    ran, x, w = [], leaf(2.0), leaf(0.5)
    gated, t = gate(ran), np.tanh(0.5)
    gated(x, w).backward()
    assert ran == []
    same(x.grad, 7 * t)
    same(w.grad, 14 * (1 - t * t))


@program
def a_fast_form_to_second_order():
    ran, x, w = [], leaf(2.0), leaf(0.5)
    gated, t = gate(ran), np.tanh(0.5)
    gated(x, w).backward(create_graph=True)
    assert ran == ["definition"]
    same(w.grad.detach(), 2 * (1 - t * t))
    first, x.grad, w.grad = w.grad, None, None
    first.backward()
    same(x.grad, 1 - t * t)
    same(w.grad, -4 * t * (1 - t * t))


@program
def a_fast_form_with_one_tensor_in_two_slots():
    x = leaf(0.5)
    gate([])(x, x).backward(create_graph=True)
    t = np.tanh(0.5)
    same(x.grad.detach(), t + 0.5 * (1 - t * t))


# ---- the programs, and the engine


def noticed(f):
    """Whether a program says that something is wrong: in a context of its own, so that no switch stays as it was left."""
    try:
        contextvars.copy_context().run(f)
    except NameError:
        raise  # the mutant does not make sense
    except (Exception, pytest.fail.Exception):
        return True
    return False


@pytest.mark.parametrize("f", PROGRAMS, ids=lambda f: f.__name__)
def test_the_engine_is_right(f):
    f()


@pytest.mark.parametrize("name", MUTANTS)
def test_a_mutant_is_noticed(name):
    with planted(MUTANTS[name]):
        killers = [f.__name__ for f in PROGRAMS if noticed(f)]
    if name in EQUIVALENT:
        assert not killers, f"{name} is listed as equivalent ({EQUIVALENT[name]}), but {killers} tell it from the right one"
    else:
        assert killers, f"nothing notices: {name}"


def test_no_equivalent_mutant_is_listed_in_vain():
    assert set(EQUIVALENT) <= set(MUTANTS)
