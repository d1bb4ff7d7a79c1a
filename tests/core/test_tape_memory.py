"""Long tapes, the memory that a tape holds, and work that does not grow with the square."""

import copy
import gc
import pickle
import sys
import weakref

import numpy as np
import pytest

import tinyreg as tr
from tinyreg.core.tape import Entry


def leaf(values, dtype="float64"):
    return tr.tensor(np.array(values, dtype=dtype), requires_grad=True)


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
