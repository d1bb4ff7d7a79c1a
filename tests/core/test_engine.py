"""The walk back: accumulation, freeing, second order, memory, and what a tape refuses."""

import asyncio
import threading
import weakref

import numpy as np
import pytest

import tinyreg as tr
from tinyreg.core.tape import observed
from tinyreg.safety import checked


def leaf(values, dtype="float64"):
    return tr.tensor(np.array(values, dtype=dtype), requires_grad=True)


# ---- accumulation


def test_an_intermediate_used_twice():
    a = leaf(1.0)
    b = a + a
    (b + b).backward()
    assert a.grad.item() == 4.0


def test_arguments_are_told_apart_by_position():
    x = leaf(3.0)
    (x - x).backward()
    assert x.grad.item() == 0.0
    x.zero_grad()
    (x * x * x).backward()
    assert x.grad.item() == 27.0


def test_one_array_handed_to_two_parents_is_not_added_into():
    x, y = leaf([1.0, 2.0]), leaf([3.0, 4.0])
    z = x + y
    (z + x).backward(np.array([1.0, 10.0]))
    np.testing.assert_array_equal(x.grad.data, [2.0, 20.0])
    np.testing.assert_array_equal(y.grad.data, [1.0, 10.0])
    assert not np.shares_memory(x.grad.data, y.grad.data)


def test_gradients_of_leaves_own_their_memory():
    x, y, g = leaf([1.0, 2.0]), leaf([[1.0], [2.0]]), np.array([1.0, 2.0])
    (x + y.reshape(2)).backward(g)
    arrays = [x.grad.data, y.grad.data, g, x.data, y.data]
    assert not any(np.shares_memory(a, b) for i, a in enumerate(arrays[:2]) for b in arrays[i + 1 :])


def test_backward_adds_to_what_is_there_and_zero_grad_forgets():
    x = leaf(2.0)
    for _ in range(3):
        (x * x).backward()
    assert x.grad.item() == 12.0
    before = x.grad
    (x * x).backward()
    assert before.item() == 12.0  # a gradient that somebody holds does not change under them
    x.zero_grad()
    assert x.grad is None


def test_grad_is_settable():
    x = leaf([1.0, 2.0])
    x.grad = tr.tensor(np.array([5.0, 6.0]))
    (x * 1.0).sum().backward()
    np.testing.assert_array_equal(x.grad.data, [6.0, 7.0])
    x.grad = None
    assert x.grad is None
    with pytest.raises(ValueError, match=r"grad: got float64\[3\], expected as the tensor: float64\[2\] on numpy"):
        x.grad = tr.tensor(np.zeros(3))
    with pytest.raises(ValueError, match=r"grad: got float64\[2\], expected as the tensor: float64\[2\] on numpy"):
        x.grad = tr.tensor(np.zeros(2), backend="standin")
    with pytest.raises(RuntimeError, match="set requires_grad=True first"):
        tr.zeros(2).grad = tr.zeros(2)


def test_only_leaves_keep_a_gradient_unless_asked():
    x = leaf(3.0)
    y, z = x * x, x * 2.0
    z.retain_grad()
    (y * z).backward()
    assert y.grad is None
    assert z.grad.item() == 9.0
    with pytest.raises(RuntimeError, match="nothing that it came from requires one"):
        tr.zeros(2).retain_grad()


@pytest.mark.parametrize("shapes", [((), (2, 3)), ((1, 3), (2, 3)), ((3,), (2, 3)), ((2, 1), (1, 3)), ((1, 1), (4, 1, 1))])
def test_broadcasting_is_undone(shapes):
    x, y = (leaf(np.ones(shape)) for shape in shapes)
    z = x * y
    z.backward(np.ones(z.shape))
    for t in (x, y):
        assert t.grad.shape == t.shape
        np.testing.assert_array_equal(t.grad.data, z.size / t.size)


def test_a_gradient_has_the_dtype_of_its_tensor():
    x, y = leaf([1.0, 2.0], "float32"), leaf([3.0, 4.0], "float64")
    (x * y).sum().backward()
    assert (x.grad.dtype, y.grad.dtype) == (np.float32, np.float64)


def test_a_0d_gradient_is_an_array():
    x = leaf(2.0)
    (x * x).backward()
    assert isinstance(x.grad.data, np.ndarray)
    assert isinstance((x * x).data, np.ndarray)


# ---- freeing


def test_a_second_backward_needs_retain_graph():
    x = leaf(3.0)
    y = x * x
    y.backward(retain_graph=True)
    y.backward()
    assert x.grad.item() == 12.0
    with pytest.raises(RuntimeError, match="the entry of multiply was freed by an earlier backward.*retain_graph=True"):
        y.backward()
    assert x.grad.item() == 12.0


def test_entries_are_freed_as_they_are_passed():
    x = leaf(np.ones(4))
    inner = x * 2.0
    kept = weakref.ref(inner)
    loss = tr.exp(inner).sum()
    del inner
    assert kept() is None  # entries hold arrays, not tensors
    entry = loss._node
    loss.backward()
    assert entry.saved is None
    assert entry.parents == ()


def test_a_leaf_changed_in_between():
    w = leaf([1.0, 2.0])
    loss = (w * w).sum()
    w.assign([3.0, 4.0])
    with pytest.raises(RuntimeError, match=r"leaf float64\[2\] was changed after the tape used it .*version 0"):
        loss.backward()
    assert w.grad is None
    (w * w).sum().backward()
    np.testing.assert_array_equal(w.grad.data, [6.0, 8.0])


def test_assign_keeps_the_gradient_and_checks_its_value():
    w = leaf([1.0, 2.0])
    (w * w).sum().backward()
    w.assign(w.data - 0.5 * w.grad.data)
    np.testing.assert_array_equal(w.data, [0.0, 0.0])
    np.testing.assert_array_equal(w.grad.data, [2.0, 4.0])
    with pytest.raises(ValueError, match=r"assign: got shape \[3\], expected \[2\]"):
        w.assign([1.0, 2.0, 3.0])
    with pytest.raises(RuntimeError, match="expected a leaf"):
        (w * 2.0).assign([1.0, 2.0])


def test_an_error_on_the_way_back_leaves_no_gradient_half_written():
    @tr.primitive
    def breaks(xp, x):
        return x * 1.0

    @breaks.vjp("x")
    def _(g):
        raise ZeroDivisionError("on purpose")

    x, y = leaf(1.0), leaf(2.0)
    with pytest.raises(ZeroDivisionError):
        (breaks(x) + y).backward()
    assert x.grad is None
    assert y.grad is None


# ---- second order


def test_create_graph_records_the_backward():
    x = leaf(2.0)
    (x * x * x).backward(create_graph=True)
    first = x.grad
    assert first.item() == 12.0
    x.grad = None
    first.backward()
    assert x.grad.item() == 12.0  # d 3x^2 / dx = 6x


def test_a_gradient_penalty_reaches_the_weights():
    w, x = leaf([1.0, 2.0]), leaf([3.0, 4.0])
    (w * x * x).sum().backward(create_graph=True)
    slope = x.grad
    w.zero_grad()
    (slope * slope).sum().backward()
    np.testing.assert_allclose(w.grad.data, 8 * w.data * x.data**2)


# ---- recording


def test_no_grad_as_context_and_decorator():
    x = leaf(1.0)
    with tr.no_grad():
        assert not (x * x).requires_grad

    @tr.no_grad()
    def square(t):
        return t * t

    assert not square(x).requires_grad
    assert not square(x).requires_grad
    assert (x * x).requires_grad


def steps(w):
    """A generator that says whether it is recorded, takes what it is sent, and outlives an error."""
    given = None
    try:
        while given != "stop":
            given = yield (w * 2.0).requires_grad, given
    except ValueError:
        yield (w * 2.0).requires_grad, "after an error"
    return (w * 2.0).requires_grad


@pytest.mark.parametrize("decorated", [tr.no_grad()(steps), tr.no_grad(steps)])
def test_no_grad_covers_the_body_of_a_generator_function_and_nothing_else(decorated):
    w = leaf(3.0)

    def runs(*then):
        made = decorated(w)
        seen = [next(made)]
        for act in then:
            assert (w * 2.0).requires_grad  # between the steps the one who asks records as before
            try:
                seen.append(act(made))
            except StopIteration as end:
                return seen, end.value
        made.close()
        return seen, None

    assert runs(lambda it: it.send(1)) == ([(False, None), (False, 1)], None)
    assert runs(lambda it: it.send("stop")) == ([(False, None)], False)
    assert runs(lambda it: it.throw(ValueError), next) == ([(False, None), (False, "after an error")], False)
    assert decorated.__name__ == "steps"
    assert (w * 2.0).requires_grad


def test_no_grad_closes_a_generator_that_is_dropped():
    closed = []

    @tr.no_grad()
    def body():
        try:
            yield
        finally:
            closed.append(tr.core.tape.is_recording())

    made = body()
    next(made)
    del made
    assert closed == [False]


def test_every_context_covers_the_steps_of_a_generator_and_nothing_between_them():
    model = tr.nn.Dropout(0.5).eval()
    contexts = {
        tr.unchecked("labels"): lambda: not checked("labels"),
        tr.explain(): lambda: tr.core.tape.explainer.get() is not None,
        tr.nn.monte_carlo(model): lambda: model.active,
    }
    for context, on in contexts.items():

        @context
        def steps(on=on):
            yield on()
            yield on()

        for seen in steps():
            assert seen
            assert not on()


def test_no_grad_on_coroutines():
    w = leaf(3.0)

    @tr.no_grad()
    async def one():
        first = (w * 2.0).requires_grad
        await asyncio.sleep(0)
        return first, (w * 2.0).requires_grad

    async def other():
        await asyncio.sleep(0)
        return (w * 2.0).requires_grad

    async def together():
        return await asyncio.gather(one(), other(), one())

    assert asyncio.run(together()) == [(False, False), True, (False, False)]

    async def rows():
        yield w

    with pytest.raises(TypeError, match="no_grad: got .*rows.*, expected a function, and no asynchronous generator"):
        tr.no_grad()(rows)


def test_a_no_grad_may_be_entered_again_and_inside_itself():
    w, off = leaf(3.0), tr.no_grad()
    for _ in range(2):
        with off, off:
            assert not (w * 2.0).requires_grad
        assert (w * 2.0).requires_grad


def test_recording_is_restored_after_an_exception():
    x = leaf(1.0)
    with pytest.raises(KeyError), tr.no_grad():
        raise KeyError
    assert (x * x).requires_grad


def test_recording_is_separate_for_each_thread():
    x, seen = leaf(1.0), []
    with tr.no_grad():
        thread = threading.Thread(target=lambda: seen.append((x * x).requires_grad))
        thread.start()
        thread.join()
    assert seen == [True]


def test_contributions_can_be_watched():
    x, seen = leaf([[1.0], [2.0]]), []
    y = x + np.ones(3)
    with observed(lambda entry, parent, raw, fitted: seen.append((entry.op.name, raw.shape, fitted.shape))):
        y.backward(np.ones((2, 3)))
    assert seen == [("add", (2, 3), (2, 1))]


# ---- what backward refuses


def test_backward_wants_a_scalar_or_an_incoming_gradient():
    y = leaf([1.0, 2.0]) * 2.0
    with pytest.raises(
        ValueError, match=r"backward: float64\[2\] is no scalar; expected one element.*Perhaps you meant .sum\(\)"
    ):
        y.backward()
    with pytest.raises(ValueError, match=r"got an incoming gradient of float64\[3\] on numpy, expected shape \[2\]"):
        y.backward(np.ones(3))


def test_backward_wants_a_tape():
    with pytest.raises(RuntimeError, match="was not computed from a tensor that requires a gradient.*requires_grad=True"):
        tr.zeros(()).backward()


def test_a_vjp_of_the_wrong_shape_is_named():
    @tr.primitive
    def doubled(xp, x):
        return xp.concatenate([x, x])

    doubled.vjp("x")(lambda g: g)
    with pytest.raises(
        ValueError, match=r"backward of doubled: a VJP returned a gradient of shape \(4,\), expected \(2,\)"
    ):
        doubled(leaf([1.0, 2.0])).sum().backward()


def test_a_vjp_that_returns_no_array_is_named():
    @tr.primitive
    def lost(xp, x):
        return x * 2.0

    lost.vjp("x")(lambda g: "nothing")
    with pytest.raises(TypeError, match="backward of lost: a VJP returned 'nothing', expected a gradient of shape"):
        lost(leaf([1.0, 2.0])).sum().backward()
