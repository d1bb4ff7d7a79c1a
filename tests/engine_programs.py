"""Small programs that notice a wrong engine: contributions, dtypes, leaves, freeing, and which arguments.

A program asserts numbers worked out by hand; that it raises is noticing too. More of them are in composed_programs.
"""

import gc
import weakref
from unittest.mock import patch

import numpy as np
import pytest

import tinyreg as tr
from tinyreg.core.primitive import REGISTRY

PROGRAMS = []


def program(f):
    PROGRAMS.append(f)
    return f


def leaf(values, dtype="float64"):
    return tr.tensor(np.array(values, dtype=dtype), requires_grad=True)


def op(forward, joint=(), **declared):
    """A primitive in no registry, with VJPs by the name of the argument, and settings of its declaration."""
    vjps = {name: declared.pop(name) for name in list(declared) if callable(declared[name])}
    with patch.dict(REGISTRY):
        made = tr.primitive(**declared)(forward)
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
    x, y = leaf(1.0), leaf(2.0)
    inside = y * y
    inside.retain_grad()
    used, _ = tr.checkpoint(lambda a, b: (a + 0.0, b * b))(x, inside)
    used.backward()
    assert inside.grad is None
    assert y.grad is None
    same(x.grad, 1.0)


@program
def a_vjp_that_gives_no_gradient():
    for given in (lambda g: None, lambda g: g * 1j):
        x = leaf(1.0)
        refused(
            op(lambda xp, a: a * 1.0, a=given)(x).backward, "a VJP returned .*, expected a gradient of shape .* in floats"
        )
        assert x.grad is None


@program
def a_result_changed_in_place():
    for make in (lambda x: x * x, lambda x: tr.unstack(tr.stack([x, x]))[0]):
        x = leaf(1.0)
        y = make(x)
        z = y * y
        y.data += 1.0
        refused(z.backward, "its result changed")


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
        y._node.grad = tr.tensor(np.array(1.0), backend="standin")  # past the check, so that the sum fails
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
    assert y._node.saved is None
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
        for _ in range(2):  # the first has freed nothing
            refused(loss.backward, "was changed after the tape used it")
        same(w.grad, [3.0, 4.0])
        same(x.grad, [1.0, 2.0])
        (w * x).sum().backward()
        same(x.grad, [6.0, 8.0])


@program
def memory_goes_without_the_garbage_collector():
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
    assert tr.einsum("ij,jk->ik", x, w)._node.saved["others"][0] is None


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
