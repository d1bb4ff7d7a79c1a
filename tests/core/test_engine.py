"""The walk back: accumulation, freeing, second order, memory, and what a tape refuses."""

import asyncio
import copy
import gc
import pickle
import sys
import threading
import weakref

import numpy as np
import pytest

import tinyreg as tr
from tinyreg.core.tape import Entry, observed
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


# ---- long tapes and memory


def test_a_chain_of_100_000_ops():
    x = leaf(1.0)
    y = x
    for _ in range(100_000):
        y = y + 1e-5
    assert repr(y).startswith("tensor(2.")
    assert pickle.loads(pickle.dumps(y)).item() == y.item()
    y.backward()
    assert x.grad.item() == 1.0


def test_a_long_tape_that_is_never_walked_can_be_dropped():
    y = leaf(1.0)
    for _ in range(100_000):
        y = y * 1.0
    del y


def entries_alive():
    return sum(type(thing) is Entry for thing in gc.get_objects())


@pytest.mark.parametrize("how", ["walked", "dropped", "retained", "transform", "checkpoint"])
def test_memory_goes_with_the_last_tensor_without_the_garbage_collector(how):
    gc.collect()
    gc.disable()
    try:
        before = entries_alive()
        x = leaf(np.ones(5))
        array = weakref.ref(x.data)
        f = tr.checkpoint(lambda t: tr.exp(t * t)) if how == "checkpoint" else lambda t: tr.exp(t * t)
        loss = f(x).sum()
        if how in ("walked", "retained", "checkpoint"):
            loss.backward(retain_graph=how == "retained")
        if how == "transform":
            tr.grad(lambda t: tr.grad(lambda u: (u * u * u).sum())(t).sum())(x)
        del x, loss, f
        assert entries_alive() == before
        assert array() is None
    finally:
        gc.enable()


def test_only_what_a_wanted_vjp_names_is_kept():
    x, w = leaf(np.ones((2, 3))), tr.tensor(np.ones((3, 4)))
    assert list((x @ w)._node.saved) == ["x2", "x1_like"]  # a frozen weight does not keep the activations
    assert list((tr.tensor(np.ones((2, 3))) @ leaf(np.ones((3, 4))))._node.saved) == ["x1", "x2_like"]
    assert (x + 1.0)._node.saved == {}
    assert list(tr.exp(x)._node.saved) == ["y"]
    frozen = tr.einsum("ij,jk->ik", x, w)._node.saved["others"]
    assert frozen[0] is None
    assert frozen[1] is w.data


def test_pickle_and_copy_give_leaves():
    x = leaf([1.0, 2.0])
    for made in (pickle.loads(pickle.dumps(x)), copy.deepcopy(x)):
        assert made.requires_grad
        assert made.is_leaf
        np.testing.assert_array_equal(made.data, x.data)
        assert not np.shares_memory(made.data, x.data)
    assert not copy.deepcopy(x * 2.0).requires_grad


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


# ---- second order leaves no cycle, many operands no square ------------------------------------------------------------

SQUARES = {
    "cube": lambda x: (x * x * x).sum(),
    "several results": lambda x: (tr.topk(x, 2)[0] ** 3).sum() + (tr.unstack(x)[0] ** 3).sum(),
    "many operands": lambda x: (tr.concat([x, x * x, tr.stack([x[0], x[1]])]) ** 2).sum(),
    "einsum": lambda x: tr.einsum("ij,ij,ij->", x, x, x),
    "rows": lambda x: sum((row * row * row).sum() for row in x),
    "a fast form": lambda x: tr.losses.cross_entropy(x, np.array([0, 1])),
    "a checkpoint": lambda x: tr.checkpoint(lambda x: (x * x * x).sum())(x),
    "svd": lambda x: tr.svdvals(x).sum(),
}
SECOND = {
    "grad of grad": lambda f, x: tr.grad(lambda x: tr.square(tr.grad(f)(x)).sum())(x),
    "hessian": lambda f, x: tr.hessian(f)(x),
    "hvp": lambda f, x: tr.hvp(f, x, x),
    "jvp": lambda f, x: tr.jvp(f, x, x),
    "vjp": lambda f, x: tr.vjp(f, x)[1](1.0),
    "jacobian": lambda f, x: tr.jacobian(f)(x),
    "through a checkpoint": lambda f, x: tr.grad(lambda x: tr.square(tr.grad(tr.checkpoint(f))(x)).sum())(x),
}


@pytest.mark.parametrize("second", SECOND)
@pytest.mark.parametrize("first", SQUARES)
def test_second_derivatives_leave_no_reference_cycle(first, second):
    x = np.linspace(0.5, 1.5, 6).reshape(2, 3)
    SECOND[second](SQUARES[first], x)  # what is made once is made now
    gc.collect()
    gc.disable()
    try:
        SECOND[second](SQUARES[first], x)
        assert gc.collect() == 0
    finally:
        gc.enable()


def work(f):
    """How many instructions of Python a call takes."""
    count = 0

    def one(frame, event, arg):
        nonlocal count
        frame.f_trace_opcodes = True
        count += event == "opcode"
        return one

    before = sys.gettrace()
    sys.settrace(one)
    try:
        f()
    finally:
        sys.settrace(before)
    return count


def joined(how, n, create_graph=False):
    leaves = [leaf([1.0]) for _ in range(n)]
    return lambda: how(leaves).sum().backward(create_graph=create_graph)


def iterated(n):
    x = leaf(np.ones((n, 2)))
    return lambda: sum(row.sum() for row in x).backward()


MANY = {
    "concat": lambda n: joined(tr.concat, n),
    "concat, flat": lambda n: joined(lambda xs: tr.concat(xs, axis=None), n),
    "concat, recorded": lambda n: joined(tr.concat, n, create_graph=True),
    "stack": lambda n: joined(tr.stack, n),
    "stack, recorded": lambda n: joined(tr.stack, n, create_graph=True),
    "unstack": lambda n: lambda: tr.concat(tr.unstack(leaf(np.ones((n, 2))))).sum().backward(),
    "one of many results": lambda n: lambda: tr.unstack(leaf(np.ones((n, 2))))[0].sum().backward(),
    "rows": iterated,
}


@pytest.mark.parametrize("name", MANY)
def test_the_work_is_linear_in_the_number_of_operands(name):
    MANY[name](3)()
    few, many = work(MANY[name](50)), work(MANY[name](400))
    assert many < 8 * 1.1 * few


def test_operands_of_many_numbers_leave_few_plans():
    before = len(tr.concat._plans)
    for n in range(2, 30):
        joined(tr.concat, n)()
    assert len(tr.concat._plans) <= before + 1


def test_rows_of_a_tensor_are_one_entry():
    x = leaf(np.ones((3, 2)))
    rows = list(x)
    assert len({row._node.parents[0] for row in rows}) == 1
    (rows[0] * rows[2]).sum().backward()
    assert x.grad.tolist() == [[1.0, 1.0], [0.0, 0.0], [1.0, 1.0]]


# ---- contexts as decorators


def test_explain_is_a_decorator_with_and_without_brackets():
    def explained():
        return tr.core.tape.explainer.get() is not None

    for decorated in (tr.explain(explained), tr.explain()(explained), tr.explain(definitions=True)(explained)):
        assert decorated()
        assert decorated.__name__ == "explained"
        assert not explained()
    with pytest.raises(TypeError, match="explain: got 3, expected a function"):
        tr.explain(3)


def test_unchecked_needs_its_names_also_as_a_decorator():
    assert tr.unchecked("labels")(lambda: checked("labels"))() is False
    with pytest.raises(TypeError, match=r"unchecked: got <function .*, expected any of labels, gradients"):
        tr.unchecked(lambda: None)
    with pytest.raises(ValueError, match="unchecked: got 'label', expected any of labels, gradients"):
        tr.unchecked("label")  # and not only where it is entered


def test_one_context_object_serves_several_threads():
    off, w, inside, errors = tr.no_grad(), leaf(1.0), threading.Barrier(2), []

    def run(first):
        try:
            with off:
                inside.wait()
                assert not (w * 2.0).requires_grad
                if first:
                    inside.wait()
            assert (w * 2.0).requires_grad
            if not first:
                inside.wait()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(first,)) for first in (True, False)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
