"""What a leaf and its gradient are, where a slip would show only now and then."""

import numpy as np
import pytest

import tinyreg as tr
from tinyreg.core.primitive import REGISTRY


def test_to_ask_for_a_gradient_twice_is_to_ask_once():
    x = tr.tensor([1.0, 2.0], requires_grad=True)
    y = (x * x).sum()
    x.requires_grad = True
    y.backward()
    np.testing.assert_array_equal(x.grad.numpy(), [2.0, 4.0])
    x.requires_grad = True
    np.testing.assert_array_equal(x.grad.numpy(), [2.0, 4.0])
    (x * 3.0).sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), [5.0, 7.0])


def test_to_ask_for_no_gradient_is_always_allowed_where_there_is_none():
    x = tr.tensor([1, 2])
    x.requires_grad = False
    assert not x.requires_grad
    y = tr.tensor([1.0]) * 2.0
    y.requires_grad = False
    assert not y.requires_grad


@pytest.mark.parametrize("shape", [(), (1,), (1, 1), (5, 1)])
def test_where_a_float16_was_broadcast_its_gradients_are_added_up_in_float32(shape):
    g = np.random.default_rng(0).uniform(0.5, 1.5, (5, 4001)).astype("float16")
    x = tr.tensor(np.ones(shape, "float16"), requires_grad=True)
    (x + tr.zeros((5, 4001), dtype="float16")).backward(tr.tensor(g))
    axes = tuple(range(2 - len(shape))) + tuple(i + 2 - len(shape) for i, n in enumerate(shape) if n == 1)
    wide = g.astype("float32").sum(axis=axes).reshape(shape)
    assert x.grad.dtype == "float16"
    np.testing.assert_array_equal(x.grad.numpy(), wide.astype("float16"))


def test_a_leaf_that_gets_a_value_during_the_way_back_gets_no_gradient_from_it():
    w, v = tr.tensor(3.0, requires_grad=True), tr.tensor(2.0, requires_grad=True)

    @tr.primitive
    def tripled(xp, x):
        return 3.0 * x

    @tripled.vjp("x")
    def _(g):
        w.assign(5.0)
        return 3.0 * g

    try:
        with pytest.raises(RuntimeError, match="was changed after the tape used it"):
            (tripled(w) * v).backward()
    finally:
        del REGISTRY["tripled"]
    assert (w.grad, v.grad) == (None, None)
    assert w.item() == 5.0
