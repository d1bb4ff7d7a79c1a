"""explain(): what it knows of every entry, that it says so only inside, and that nothing is different outside."""

import contextvars
import gc
import inspect
import threading
import weakref

import numpy as np
import pytest

import tinyreg as tr
from tinyreg.core.primitive import Primitive
from tinyreg.core.tape import explainer


def here(offset=0):
    """The line of the caller, as the tape writes it."""
    return f"test_explain.py:{inspect.currentframe().f_back.f_lineno + offset}"


def lines(tape):
    return [str(row.record.line) for row in tape]


def test_every_entry_has_the_line_that_made_it():
    x = tr.ones(3, requires_grad=True)
    with tr.explain():
        y = x * 2.0
        first = here(-1)
        z = tr.exp(
            y,
        ).sum()
        second = here(-1)
    tape = tr.tape(z)
    assert lines(tape)[0] == first
    assert second in lines(tape)[2] or lines(tape)[2] == here(-6)  # Python says where a call of several lines begins
    assert [line.split()[-1] for line in str(tape).splitlines()[1:4]] == lines(tape)
    assert tape[0].record.line.source == "y = x * 2.0"


def test_a_line_in_a_function_that_the_library_calls_is_the_readers():
    def f(x):
        return x * x

    place = here(-2)
    with tr.explain():
        x = tr.ones((), requires_grad=True)
        assert lines(tr.tape(tr.checkpoint(f)(x)))[0] == here()
        y = f(x)
        tr.grad(f)(x)
    assert lines(tr.tape(y)) == [place]


def test_compositions_and_layers_have_the_line_that_called_them():
    model = tr.nn.Sequential(tr.nn.Linear(2, 3), tr.nn.LayerNorm(3), tr.nn.Tanh())
    with tr.explain():
        y = model(tr.ones((4, 2)))
        line = here(-1)
    assert set(lines(tr.tape(y))) == {line}


def test_leaves_and_constants_go_by_the_variables_that_hold_them():
    x, w, b = tr.ones((4, 2)), tr.ones((2, 3), requires_grad=True), tr.ones(3, requires_grad=True)
    scale = np.float32(2.0) * np.ones(3, dtype="float32")
    with tr.explain():
        loss = tr.sum((x @ w + b) * scale * 3 + 0.5)
    tape = tr.tape(loss)
    assert [leaf.label for leaf in tape.leaves] == ["w", "b"]
    text = str(tape)
    for call in ("matmul(x, w)", "add(#0, b)", "multiply(#1, scale)", "multiply(#2, 3)", "add(#3, 0.5)"):
        assert call in text
    renamed = tr.tape(loss, weights=w, x_batch=x)
    assert [leaf.label for leaf in renamed.leaves] == ["weights", "b"]
    assert "matmul(x_batch, weights)" in str(renamed)


def test_parameters_go_by_their_names_and_two_leaves_of_one_variable_are_told_apart():
    layer = tr.nn.Sequential(tr.nn.Linear(2, 2))
    w = layer[0].weight
    total = tr.zeros(())
    with tr.explain():
        for p in [tr.ones(2, requires_grad=True), tr.ones(2, requires_grad=True)]:
            total = total + (p * p).sum() + w.sum()
    assert [leaf.label for leaf in tr.tape(total).leaves] == ["p", "0.weight", "p (leaf 2)"]


def test_a_variable_of_a_class_body_or_of_the_module_is_found():
    scope = {"tr": tr, "w": tr.ones(2, requires_grad=True), "__name__": "elsewhere"}
    exec("with tr.explain():\n    t = tr.tape((w * w).sum())", scope)
    assert scope["t"].leaves[0].label == "w"


def test_it_ends_after_an_exception_and_nests():
    found = []

    def fails():
        with tr.explain(definitions=True):
            found.append(explainer.get())
            raise KeyError

    with tr.explain():
        outer = explainer.get()
        with pytest.raises(KeyError):
            fails()
        assert explainer.get() is outer
    (inner,) = found
    assert explainer.get() is None
    assert inner is not outer
    assert inner.log is outer.log
    assert inner.definitions
    assert not outer.definitions


def test_it_holds_for_its_own_thread_only():
    x = tr.ones(2, requires_grad=True)
    seen = {}

    def work():
        seen["records"] = [row.record for row in tr.tape(x * 2.0)]

    with tr.explain():
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        assert tr.tape(x * 2.0)[0].record is not None
    assert seen["records"] == [None]


def test_outside_nothing_is_noted_and_the_table_is_as_ever():
    x = tr.ones(2, requires_grad=True)
    with tr.explain():
        pass
    y = (x * 3.0).sum()
    tape = tr.tape(y)
    assert tape[0].record is None
    assert tape.walk is None
    assert isinstance(y._node.op, Primitive)
    assert str(tape).splitlines()[0].split() == ["entry", "op", "and", "inputs", "result", "saves", "bytes"]


def test_definitions_in_place_of_fast_forms():
    @tr.fused
    def cubed(x):
        return x * x * x

    @cubed.fast
    def _(xp, x):
        return x**3, None

    @cubed.backward
    def _(g, x):
        return 3 * g * x * x

    tr.core.fused.FUSED.pop("cubed")
    x = tr.tensor([1.0, 2.0], requires_grad=True)
    with tr.explain():
        assert [row.op.name for row in tr.tape(cubed(x))] == ["cubed"]
        with tr.explain(definitions=True):
            assert [row.op.name for row in tr.tape(cubed(x))] == ["multiply", "multiply"]
    assert [row.op.name for row in tr.tape(cubed(x))] == ["cubed"]


def network(rng):
    model = tr.nn.Sequential(tr.nn.Linear(3, 4), tr.nn.LayerNorm(4), tr.nn.ReLU(), tr.nn.Linear(4, 2))
    x, labels = tr.tensor(rng.normal(size=(5, 3)).astype("float32")), tr.tensor([0, 1, 1, 0, 1])
    return model, lambda: tr.losses.cross_entropy(model(x), labels)


def test_values_and_gradients_are_the_same_inside_to_the_last_bit():
    model, loss = network(np.random.default_rng(0))
    plain = loss()
    plain.backward()
    expected = [p.grad.numpy() for p in model.parameters()]
    model.zero_grad()
    with tr.explain():
        explained = loss()
        explained.backward()
    assert explained.item() == plain.item()
    for p, gradient in zip(model.parameters(), expected, strict=True):
        np.testing.assert_array_equal(p.grad.numpy(), gradient)


def test_the_recorded_backward_is_that_of_backward_and_touches_nothing():
    model, loss = network(np.random.default_rng(1))
    with tr.explain():
        y = loss()
        tape = tr.tape(y)
        assert all(p.grad is None for p in model.parameters())
        y.backward()  # the tape was not freed
    gradients = {where.label: g for where, g in tape.walk.gradients.items() if where.leaf is not None}
    assert set(gradients) == {name for name, _ in model.named_parameters()}
    for name, parameter in model.named_parameters():
        np.testing.assert_array_equal(gradients[name], parameter.grad.numpy())
    assert [step.entry.entry for step in tape.walk.steps] == list(range(len(tape)))[::-1]


def test_a_larger_tensor_needs_its_incoming_gradient():
    x = tr.tensor([1.0, 2.0], requires_grad=True)
    with tr.explain():
        y = x * x
        assert tr.tape(y).walk is None
        tape = tr.tape(y, grad=[10.0, 1.0])
        with pytest.raises(ValueError, match=r"expected shape \[2\]"):
            tr.tape(y, grad=[1.0])
    (step,) = tape.walk.steps
    assert step.incoming[0].tolist() == [10.0, 1.0]
    assert [c.total.tolist() for c in step.contributions] == [[10.0, 2.0], [20.0, 4.0]]
    assert [c.argument for c in step.contributions] == [0, 1]
    with pytest.raises(RuntimeError, match=r"tape: got grad outside explain\(\)"):
        tr.tape(y, grad=[1.0, 1.0])


def test_broadcasting_is_seen_undone():
    x, b = tr.ones((3, 2), requires_grad=True), tr.ones(2, requires_grad=True)
    with tr.explain():
        tape = tr.tape((x + b).sum())
    to_x, to_b = tape.walk.steps[1].contributions
    assert to_b.raw.shape == (3, 2)
    assert to_b.fitted.tolist() == [3.0, 3.0]
    assert to_x.fitted is to_x.raw


def test_a_checkpoint_is_one_step_and_its_second_run_leaves_no_trace():
    w = tr.tensor([0.5, 2.0], requires_grad=True)
    block = tr.checkpoint(lambda x: tr.tanh(x * w) * w)
    with tr.explain():
        loss = block(tr.ones(2)).sum()
        tape = tr.tape(loss)
        count = len(explainer.get().log.records)
        loss.backward()
        assert len(explainer.get().log.records) > count
    assert [row.op.name for row in tape] == ["checkpoint", "sum"]
    assert tape.leaves[0].value.tolist() == [0.5, 2.0]
    assert [step.entry.entry for step in tape.walk.steps] == [1, 0]
    np.testing.assert_array_equal(tape.walk.steps[1].contributions[0].total, w.grad.numpy())


def test_several_results_each_have_their_incoming_gradient():
    @tr.primitive
    def halves(xp, x):
        return x[:1], x[1:]

    @halves.vjp("x")
    def _(g):
        return tr.concat(g)

    tr.core.primitive.REGISTRY.pop("halves")
    x = tr.tensor([3.0, 1.0, 2.0], requires_grad=True)
    with tr.explain():
        _, high = halves(x)
        tape = tr.tape((high * 2.0).sum())
    step = tape.walk.steps[-1]
    assert step.incoming[0] is None
    assert step.incoming[1].tolist() == [2.0, 2.0]
    assert step.contributions[0].total.tolist() == [0.0, 2.0, 2.0]


def test_contributions_are_told_apart_where_one_vjp_serves_several_arguments():
    @tr.primitive
    def blend(xp, a, b, c):
        return 2.0 * a + 3.0 * b + 5.0 * c

    @blend.vjp("a", "c")
    def _(g):
        return 2.0 * g, 5.0 * g

    blend.vjp("b")(lambda g: 3.0 * g)
    tr.core.primitive.REGISTRY.pop("blend")
    x, y = tr.tensor(1.0, requires_grad=True), tr.tensor(1.0, requires_grad=True)
    with tr.explain():
        same, different = tr.tape(blend(x, x, x)), tr.tape(blend(x, y, x))
    for tape in (same, different):
        assert {c.argument: c.raw.item() for c in tape.walk.steps[0].contributions} == {0: 2.0, 1: 3.0, 2: 5.0}


def test_a_backward_that_raises_is_recorded_up_to_there():
    @tr.primitive
    def wrong(xp, x):
        return x * 1.0

    @wrong.vjp("x")
    def _(g):
        raise ArithmeticError("no derivative today")

    tr.core.primitive.REGISTRY.pop("wrong")
    x = tr.ones(2, requires_grad=True)
    with tr.explain():
        tape = tr.tape((wrong(x) * 2.0).sum())
    assert len(tape.walk.steps) == 2
    assert "the backward stopped: ArithmeticError: no derivative today" in str(tape)


def test_second_derivatives_work_inside():
    x = tr.tensor(2.0, requires_grad=True)
    with tr.explain():
        (x * x * x).backward(create_graph=True)
        slope, x.grad = x.grad, None
        slope.backward()
    assert x.grad.item() == pytest.approx(12.0)


def test_memory_goes_when_it_ends():
    x = tr.ones(1000, requires_grad=True)
    gc.disable()
    try:
        with tr.explain():
            y = tr.exp(x)
            held = weakref.ref(y.data)
            (y * y).sum().backward()
            del y
            assert held() is not None
        assert held() is None
    finally:
        gc.enable()


def test_the_variables_that_a_function_asked_for_stay_as_they_are():
    x = tr.ones(2, requires_grad=True)
    asked = locals()
    with tr.explain():
        tr.exp(x)
    assert asked["x"] is x


def test_twenty_thousand_ops_run_inside():
    y = x = tr.ones((), requires_grad=True)
    with tr.explain():
        for _ in range(20_000):
            y = y * 1.0
        y.backward()
    assert x.grad.item() == 1.0
    assert len(str(tr.tape(x * 1.0))) > 0


def test_it_runs_on_every_backend(backend):
    model = tr.nn.Sequential(tr.nn.Linear(3, 4), tr.nn.Tanh(), tr.nn.Linear(4, 1))
    with tr.explain():
        loss = tr.square(model(tr.ones((2, 3)))).mean()
        tape = tr.tape(loss)
        loss.backward()
    assert len(tape.walk.steps) == len(tape)
    assert tape[0].record.call is not None
    assert model[0].weight.grad is not None


# ---- threads


def test_threads_that_share_the_context_each_keep_the_layers_of_their_own():
    turn = threading.Barrier(2, timeout=60)

    class Waiting(tr.nn.Module):
        def forward(self, x):
            y = tr.exp(x)
            turn.wait()  # until the other thread is within its layer too
            y = tr.sin(y)
            turn.wait()
            return y

    calls = []

    def work():
        calls.append([row.record.call for row in tr.tape(Waiting()(tr.ones(2, requires_grad=True)))])

    with tr.explain():
        threads = [threading.Thread(target=contextvars.copy_context().run, args=(work,)) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(calls) == 2
    assert all(first is second and first.kind == "Waiting" for first, second in calls)
    assert calls[0][0] is not calls[1][0]
