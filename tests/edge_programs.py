"""Small programs that notice a wrong engine, as engine_programs: what it refuses, what it leaves alone, and rare forms."""

import gc
import weakref

import numpy as np
from composed_programs import PROGRAMS, cos_sin
from engine_programs import leaf, op, program, refused, same

import tinyreg as tr
from tinyreg.core import tape

__all__ = ["PROGRAMS"]  # these, and those of the other two

# ---- what is refused


@program
def values_that_do_not_fit():
    x = leaf([1.0, 2.0])
    assert x.assign([3, 4]) is x
    same(x, [3.0, 4.0])
    x.assign(tr.tensor(np.array([5.0, 6.0], dtype=np.float32)))
    same(x, [5.0, 6.0])
    refused(lambda: x.assign(1.0), r"assign: got shape \[\], expected \[2\]")
    refused(lambda: (x * x).assign([1.0, 2.0]), "assign: got a computed tensor")
    y = x * x
    x.data += 1.0
    refused(lambda: y.backward(np.ones(2)), "was changed after the tape used it")
    try:
        x.data = np.ones(2)
    except AttributeError:
        same(x, [6.0, 7.0])
    else:
        raise AssertionError


@program
def a_leaf_says_its_version():
    x = leaf([1.0])
    for version in (0, 1, 2):
        y = x * x
        x.assign([2.0])
        refused(y.backward, f"the tape has version {version}")


@program
def incoming_gradients_that_do_not_fit():
    x = leaf([1.0, 2.0])
    y = x * x
    refused(y.backward, "is no scalar")
    refused(lambda: y.backward(np.ones((1, 2))), "incoming gradient")
    refused(lambda: y.backward(tr.tensor(np.ones(2), backend="standin")), "incoming gradient")
    assert x.grad is None
    y.backward([1.0, 2.0], retain_graph=True)
    same(x.grad, [2.0, 8.0])
    given = tr.tensor(np.array([1.0, 0.0]), requires_grad=True)
    y.backward(given, create_graph=True)
    assert x.grad.requires_grad


@program
def gradients_that_no_broadcasting_explains():
    for shape, wrong in (
        ((2,), ()),
        ((2,), (3,)),
        ((2, 3), (3, 2)),
        ((1, 3), (2, 2)),
        ((2, 1), (3, 1)),
        ((3, 5), (3, 5, 7)),
    ):
        x = leaf(np.ones(shape))
        repeated = op(lambda xp, x: x * 1.0, broadcasting=True, x=lambda g: np.ones(wrong))  # noqa: B023
        refused(repeated(x).sum().backward, "a VJP returned a gradient of shape")
        assert x.grad is None


@program
def ops_that_cannot_be_recorded():
    x = leaf([1.0])
    refused(lambda: op(lambda xp, x, w: x * w)(x, x), "argument x wants a gradient but has no VJP")
    refused(lambda: op(lambda xp, x: (x * 1.0, x), residuals=("r",), x=lambda g, r: g * r)(x), "residual r")
    refused(lambda: tr.checkpoint(3), "expected a function")
    refused(tr.tensor(1.0).backward, "was not computed")
    refused(lambda: op(lambda xp, x: x * 1j, x=lambda g: g)(x), "the result would be")
    refused(lambda: x + tr.tensor(np.ones(1), backend="standin"), "expected one backend")
    refused(lambda: x.reshape((2,)), "reshape: got x float64")


# ---- shape and dtype


@program
def broadcasting_in_the_middle():
    x = leaf(np.arange(3.0).reshape(3, 1, 1))
    g = np.arange(120.0).reshape(2, 3, 4, 5) - 60.0
    (x + np.zeros((2, 3, 4, 5))).backward(g)
    same(x.grad, g.sum(axis=(0, 2, 3), keepdims=True)[0])


@program
def a_sum_over_copies_is_wide():
    x = leaf(np.zeros((1, 2)), "float16")
    (x + np.zeros((4096, 2), dtype=np.float16)).backward(np.ones((4096, 2), dtype=np.float16))
    np.testing.assert_array_equal(x.grad.data, np.full((1, 2), 4096.0, dtype=np.float16))
    assert x.grad.dtype == np.float16


@program
def a_like_is_an_array_without_its_array():
    def vjp(g, x1_like, x2_like):
        assert (x1_like.shape, x1_like.dtype, x1_like.ndim, x1_like.backend) == ((2,), np.dtype("float64"), 1, "numpy")
        assert x2_like == 3.0
        return g * x2_like

    x = leaf([1.0, 2.0])
    op(lambda xp, x1, x2: x1 * x2, x1=vjp, nondifferentiable=("x2",))(x, 3.0).backward(np.ones(2))
    same(x.grad, [3.0, 3.0])


@program
def operands_have_likes_and_others():
    def vjp(g, xs_like, others, position):
        assert [like.shape for like in xs_like] == [(2,), ()]
        assert not any(isinstance(like, np.ndarray | tr.Tensor) for like in xs_like)
        assert (others[position] is None) == alone
        return g * others[1 - position]

    product = op(lambda xp, *xs: xs[0] * xs[1], broadcasting=True, xs=vjp)
    for alone in (False, True):
        for create_graph in (False, True):
            x, y = leaf([1.0, 2.0]), np.array(3.0) if alone else leaf(3.0)
            product(x, y).backward(np.array([1.0, 10.0]), create_graph=create_graph)
            same(x.grad.detach(), [3.0, 30.0])
            if not alone:
                same(y.grad.detach(), 21.0)


@program
def operands_behind_an_argument():
    def vjp(g, a, others, position):
        assert position in (0, 1)
        return g * a * others[1 - position]

    scaled = op(lambda xp, a, *xs: a * xs[0] * xs[1], a=lambda g, others: g * others[0] * others[1], xs=vjp)
    for first in (leaf(2.0), 2.0):
        x, y = leaf(3.0), leaf(5.0)
        scaled(first, x, y).backward(create_graph=True)
        same(x.grad.detach(), 10.0)
        same(y.grad.detach(), 6.0)
        slope, x.grad, y.grad = x.grad, None, None
        slope.backward()
        assert x.grad is None
        same(y.grad, 2.0)


@program
def only_what_wants_a_gradient_needs_a_vjp():
    x = leaf(3.0)
    op(lambda xp, x, w: x * w, x=lambda g, w: g * w)(x, np.array(2.0)).backward()
    same(x.grad, 2.0)
    op(lambda xp, w, x: x * w, x=lambda g, w: g * w)(np.array(2.0), x).backward()
    same(x.grad, 4.0)
    assert not op(lambda xp, x: x * 1.0, nondifferentiable=True)(x).requires_grad


@program
def what_no_vjp_names_is_not_saved():
    gc.disable()
    try:
        inside = leaf([1.0]) * 1.0
        y = op(lambda xp, x: x + 1.0, x=lambda g, y: g * y)(inside)
        gone = weakref.ref(inside.data)
        del inside
        assert gone() is None
        y.backward()
    finally:
        gc.enable()


@program
def arrays_of_another_backend():
    x, y = (tr.tensor(np.array([1.0, 2.0]), requires_grad=True, backend="standin") for _ in range(2))
    homes = []
    op(lambda xp, x: homes.append(xp.name) or x * 1.0, x=lambda g: g)(x)
    assert homes == ["standin"]
    (x * y * 2.0).backward(tr.tensor(np.array([1.0, 10.0]), backend="standin"))
    assert x.grad.backend == y.grad.backend == "standin"
    np.testing.assert_array_equal(x.grad.numpy(), [2.0, 40.0])
    with tr.use("standin"):
        assert type(tr.exp(0.0)) is type(x.data)
    assert all(not part.requires_grad for part in tr.unstack(tr.tensor([1.0, 2.0])))


@program
def results_that_are_not_floats():
    def vjp(g):
        assert g[1] is None
        assert g[0].dtype == np.float32
        return g[0]

    sorts = op(lambda xp, x: (x * 1.0, xp.argsort(x), x + 0.0), x=vjp)
    x = leaf([2.0, 1.0], "float32")
    _, order, other = sorts(x)
    assert not order.requires_grad
    other.backward(np.ones(2))
    np.testing.assert_array_equal(x.grad.data, [0.0, 0.0])


# ---- what is left alone


@program
def one_array_for_several_and_a_sum():
    x, c = leaf([1.0, 2.0]), leaf([0.0, 0.0])

    def twice(t):
        y = t * t
        return y, y

    a, b = both = tr.checkpoint(twice)(x)
    assert type(both) is tuple
    (a + c + b).backward(np.array([1.0, 10.0]))
    same(c.grad, [1.0, 10.0])
    same(x.grad, [4.0, 80.0])
    a, b = tr.checkpoint(twice)(x)
    x.grad = None
    assert a._node is not b._node
    b.backward(np.array([1.0, 10.0]))
    same(x.grad, [2.0, 40.0])
    d, e = leaf([1.0, 2.0]), leaf([1.0, 2.0])
    ((d + e) * 2.0).backward(np.ones(2))
    assert not np.shares_memory(d.grad.data, e.grad.data)


@program
def one_array_for_a_result_and_a_leaf():
    pair = op(lambda xp, x: (x * 1.0, x * 1.0), x=lambda g, y: g[0] + y[0])
    plain = op(lambda xp, x, *, by: x * by, x=lambda g, by: g * by)
    with np.errstate(all="raise"):
        same(plain(leaf(1e-200), by=1e-200).detach(), 0.0)
    x, c = leaf([1.0, 2.0]), leaf([0.0, 0.0])
    a, _ = pair(x)
    a.backward(np.ones(2), create_graph=True)
    first, x.grad = x.grad, None
    (first + c + a).backward(np.array([1.0, 10.0]))
    same(c.grad, [1.0, 10.0])


@program
def an_entry_is_met_once():
    x = leaf(1.0)
    a = x * x
    b = a * a
    c = a * b
    assert tape.reach([c._node, a._node]) == [a._node, b._node, c._node]


@program
def what_leads_to_no_target_is_not_run_again():
    ran = []

    def never(g):
        raise AssertionError("nobody asked for this gradient")

    def f(t):
        ran.append(t)
        return t * 1.0

    beside = op(lambda xp, x, w: x * w, x=lambda g, w: g * w, w=never)
    w = leaf([3.0, 5.0])
    aside = tr.checkpoint(f)(w)
    for g in (
        lambda x: (x * cos_sin(w)[0]).sum(),
        lambda x: (x * aside).sum() * 0.0 + 3.0 * x.sum(),
        lambda x: tr.checkpoint(lambda t: beside(t, w))(x).sum(),
    ):
        tr.grad(g)(np.array([1.0, 2.0]))
    assert len(ran) == 1


@program
def a_gradient_added_under_create_graph():
    x = leaf(2.0)
    for _ in range(2):
        (x * x * x).backward(create_graph=True)
    total, x.grad = x.grad, None
    total.backward()
    same(x.grad, 24.0)


@program
def numbers_in_every_place():
    with np.errstate(all="raise"):
        x = leaf(-800.0)
        y = tr.exp(x)
        y.backward()
        same(y.detach(), 0.0)
        same(x.grad, 0.0)
    assert type(tr.exp(0.0)) is not tr.Tensor
    same(2.0 - leaf(3.0).detach(), -1.0)
    assert not (tr.tensor(1.0) * 2.0).requires_grad
    assert not tr.argmax(leaf([1.0, 2.0])).requires_grad
    with tr.no_grad():
        same((leaf(2.0) * 3.0).detach(), 6.0)
    doubled = tr.no_grad(lambda x: 2.0 * x)
    assert not doubled(leaf(1.0)).requires_grad
