"""Small programs that notice a wrong engine, as engine_programs: checkpoints and fast forms, whose way back runs again."""

import collections

import numpy as np
from composed_programs import gate
from edge_programs import PROGRAMS
from engine_programs import leaf, program, refused, same

import tinyreg as tr
from tinyreg.core import backend, tape
from tinyreg.core.tensor import replace

__all__ = ["PROGRAMS"]  # these, and those of the other three


Pair = collections.namedtuple("Pair", ("first", "rest"))


@program
def a_checkpoint_hands_on_what_it_is_given():
    x, y = leaf(2.0), leaf(3.0)

    def f(a, by=1.0, *, and_by=None):
        return Pair(a * by, {"rest": [a * and_by, tr.tensor(1.0), "text"]})

    for given in (y, 5.0):
        x.grad = y.grad = None
        found = tr.checkpoint(f)(x, 2.0, and_by=given)
        assert type(found) is Pair
        assert list(found.rest) == ["rest"]
        product, constant, text = found.rest["rest"]
        assert text == "text"
        assert not constant.requires_grad
        same(found.first.detach(), 4.0)
        assert type(found.rest["rest"]) is list
        assert product._node.parents[0] is found.first._node.parents[0]
        (found.first + product * 10.0).backward()
        same(x.grad, 32.0 if given is y else 52.0)
        assert (y.grad is not None) == (given is y)


@program
def a_checkpoint_of_one_result_of_one_shape():
    x = leaf([1.0, 2.0])
    y = tr.checkpoint(lambda t: tr.exp(t * t) * 0.0 + t * t)(x)
    assert list(y._node.parents) == [x._node]
    assert y.shape == y._node.shape == (2,)
    assert y.dtype == y._node.dtype
    y.backward(np.array([1.0, 10.0]))
    same(x.grad, [2.0, 40.0])
    constant = tr.checkpoint(lambda t: t * 2.0)(tr.tensor(1.0))
    assert not constant.requires_grad
    assert float(constant) == 2.0
    with tr.no_grad():
        same(tr.checkpoint(lambda t, by: t * by)(x, by=2.0), [2.0, 4.0])


@program
def a_checkpoint_that_fails_leaves_all_as_it_is():
    count, fails = tr.zeros((), dtype="float64"), []

    def f(t):
        count.assign(count + 1.0)
        if fails:
            raise ZeroDivisionError
        return t * count

    x = leaf(1.0)
    y = tr.checkpoint(f)(x)
    count.assign(10.0)
    fails.append(True)
    for run in (y.backward, lambda: tr.checkpoint(f)(x)):
        try:
            run()
        except ZeroDivisionError:
            pass
        else:
            raise AssertionError
        same(count, 10.0 if run == y.backward else 11.0)
        watch = getattr(tape, "watch", None) or backend.watch
        assert watch.get() is None
    fails.clear()
    (tr.checkpoint(f)(x) * 1.0).backward()
    same(x.grad, 12.0)


@program
def a_checkpoint_keeps_to_the_mode_of_its_context():
    def fail():
        raise ZeroDivisionError

    ran, model, x = [], tr.nn.Dropout(0.5, rng=0).eval(), leaf(np.ones(100))
    with tr.nn.monte_carlo(model):
        y = tr.checkpoint(model)(x)
        failing = tr.checkpoint(lambda t: fail() if ran else ran.append(t) or t * 1.0)(x)
    y.backward(np.ones(100))
    same(x.grad, y.data)
    try:
        failing.backward(np.ones(100))
    except ZeroDivisionError:
        same(model(x).detach(), np.ones(100))
    else:
        raise AssertionError


@program
def a_fast_form_with_settings():
    @tr.fused
    def scaled(x, z, *, by):
        return x * x * by + z

    @scaled.fast
    def _(xp, x, z, *, by):
        return x * x * by + z, None

    @scaled.backward
    def _(g, x, by, wanted):
        return 2.0 * g * x * by if 0 in wanted else None, g if 1 in wanted else None

    del type(scaled).registry["scaled"]
    x, z = leaf(2.0), leaf(1.0)
    scaled(x, 1.0, by=3.0).backward(create_graph=True)
    same(x.grad.detach(), 12.0)
    first, x.grad = x.grad, None
    first.backward()
    same(x.grad, 6.0)
    scaled(1.0, z, by=3.0).backward()
    same(z.grad, 1.0)
    ran = []
    gate(ran)(tr.tensor(1.0), 0.5)
    assert ran == []
    bare = tr.fused(lambda x: x * x)
    del type(scaled).registry["<lambda>"]
    same(bare(leaf(3.0)).detach(), 9.0)


@program
def a_fast_form_of_an_argument_without_a_gradient():
    @tr.fused(nondifferentiable=("by",))
    def scaled(x, by):
        return x * by

    @scaled.fast
    def _(xp, x, by):
        return x * by, None

    @scaled.backward
    def _(g, by):
        return g * by

    del type(scaled).registry["scaled"]
    x = leaf([1.0, 2.0])
    scaled(x, leaf([3.0, 4.0])).backward(np.ones(2))
    same(x.grad, [3.0, 4.0])


# ---- what is frozen for a while


@program
def a_frozen_leaf_is_changed_by_no_backward():
    w, x = leaf([1.0, 2.0]), leaf([3.0, 5.0])
    w.grad = tr.tensor([7.0, 7.0], dtype=w.dtype)
    y = w * x
    w.requires_grad = False
    y.backward(np.ones(2), retain_graph=True)
    same(x.grad, [1.0, 2.0])
    assert w.grad is None
    w.requires_grad = True
    same(w.grad, [7.0, 7.0])
    y.backward(np.ones(2))
    same(w.grad, [10.0, 12.0])


@program
def a_frozen_leaf_gets_a_value():
    w, x, constant = leaf([1.0, 2.0]), leaf([3.0, 5.0]), tr.tensor([0.0, 0.0])
    y = w * x
    w.requires_grad = False
    for value in ([4.0, 6.0], [8.0, 9.0]):
        w.assign(value)
        constant.assign(value)
        assert not w.requires_grad
        assert not constant.requires_grad
        refused(lambda: y.backward(np.ones(2)), "was changed after the tape used it .the tape has version 0")
    w.requires_grad = True
    (w * x).backward(np.ones(2))
    same(w.grad, [3.0, 5.0])
    same(x.grad, [8.0, 9.0])
    y = w * x
    w.assign([0.0, 0.0])
    refused(lambda: y.backward(np.ones(2)), "the tape has version 2")


@program
def several_leaves_get_values_together():
    leaves = [leaf([1.0]), tr.tensor([1.0]), leaf([2.0]), leaf([3.0])]
    tapes = [x * x for x in leaves]
    replace(leaves, [np.zeros(1)] * 4)
    for x, y in zip(leaves, tapes, strict=True):
        same(x.detach(), [0.0])
        if y.requires_grad:
            refused(y.backward, "was changed after the tape used it")


@program
def a_gradient_of_what_is_no_leaf_is_set():
    y = leaf([1.0]) * 2.0
    y.retain_grad()
    y.grad = given = tr.tensor([3.0], dtype=y.dtype)
    assert y.grad is given
    y.zero_grad()
    assert y.grad is None
