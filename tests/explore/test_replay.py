"""A tape run again: what the loss does where a number is another, and what the definitions do in place of fast forms."""

import numpy as np
import pytest
from cases import CASES
from hypothesis import HealthCheck, Phase, given, settings

import tinyreg as tr
from tinyreg.core.fused import Fused
from tinyreg.explore.replay import MOST_OPS, NUDGES, by_definition, nudged, run


def network(**explained):
    tr.seed(0)
    rng = np.random.default_rng(0)
    x, labels = tr.tensor(rng.normal(size=(5, 3)).astype("float32")), tr.tensor([0, 1, 1, 0, 1])
    model = tr.nn.Sequential(tr.nn.Linear(3, 4), tr.nn.LayerNorm(4), tr.nn.GELU(), tr.nn.Dropout(0.5), tr.nn.Linear(4, 2))
    with tr.explain(**explained):
        return tr.tape(tr.losses.cross_entropy(model(x), labels))


def test_the_real_change_is_that_of_the_same_function_with_one_number_changed():
    rng = np.random.default_rng(0)
    x, a = rng.normal(size=(3, 2)), rng.normal(size=(2, 4))
    w = tr.tensor(a, requires_grad=True)
    with tr.explain():
        tape = tr.tape(tr.tanh(x @ w).mean(), w=w)
    changes = nudged(tape)
    assert [change.element for change in changes] == list(range(8))
    for change in changes:
        for by, real in zip(NUDGES, change.changes, strict=True):
            other = a.copy()
            other.reshape(-1)[change.element] += by
            np.testing.assert_allclose(real, np.tanh(x @ other).mean() - np.tanh(x @ a).mean(), rtol=1e-9, atol=1e-12)
    w.grad = None
    tr.tanh(x @ w).mean().backward()
    np.testing.assert_allclose([change.gradient for change in changes], w.grad.numpy().ravel())


def test_a_small_nudge_changes_the_loss_as_the_gradient_predicts_with_the_mask_of_a_dropout_as_it_was():
    for change in nudged(network()):
        small = change.changes[NUDGES.index(0.01)]
        assert small == pytest.approx(0.01 * change.gradient, rel=0.2, abs=2e-4)


def test_of_many_elements_those_with_the_largest_gradients_are_nudged_and_no_more_ops_run_than_there_is_time_for():
    w = tr.tensor(np.random.default_rng(0).normal(size=(300, 40)), requires_grad=True)
    with tr.explain():
        y = w
        for _ in range(100):
            y = y * 1.01
        tape = tr.tape((y * y).sum(), w=w)
    changes = nudged(tape)
    assert 0 < len(changes) * len(NUDGES) * len(tape) <= MOST_OPS
    gradients = np.abs(tape.walk.gradients[tape[0].inputs[0]]).ravel()
    assert {change.element for change in changes} == set(np.argsort(gradients)[-len(changes) :])


@pytest.mark.parametrize("case", [case for case in CASES.values() if case.order], ids=lambda case: case.name)
def test_every_op_can_be_run_again(case):
    @given(case.calls)
    @settings(
        max_examples=2, phases=[Phase.generate], database=None, derandomize=True, suppress_health_check=list(HealthCheck)
    )
    def of_a(call):
        given = [tr.tensor(a, requires_grad=True) if is_float(a) else a for a in call.arrays]
        with tr.explain():
            y = case.op(*given, **call.settings)
            y = y[0] if isinstance(y, tuple | list) else y
            if not y.requires_grad:
                return
            tapes = tr.tape(y, grad=np.ones(y.shape, dtype=str(y.dtype))), tr.tape(y.sum())
        for tape in filter(len, tapes):
            nudged(tape)
            again = run(tape, [leaf.value for leaf in tape.leaves])
            np.testing.assert_array_equal(first(again), first(tape[-1].record.result))
            defined = by_definition(tape)
            assert (defined is not None) == any(isinstance(row.op, Fused) for row in tape)
            if defined:
                assert not any(isinstance(row.op, Fused) for row in defined)
                results = [first(t[-1].record.result) for t in (tape, defined)]
                np.testing.assert_allclose(*results, rtol=1e-2, atol=1e-3)

    of_a()


def first(result):
    return result[0] if isinstance(result, tuple) else result


def is_float(array):
    return getattr(getattr(array, "dtype", None), "kind", "") == "f"


def two_leaves():
    """A tape of 4 entries, of 10, 10, 10 and 1 elements, on two leaves of 10 elements."""
    rng = np.random.default_rng(1)
    a, b = (tr.tensor(rng.normal(size=10), requires_grad=True) for _ in range(2))
    with tr.explain():
        return tr.tape((tr.sin(a) * b).sum() * 2.0, a=a, b=b)


@pytest.mark.parametrize(
    ("ops", "elements", "each"),
    [
        (4 * 6 * 2 * 3, 10**9, 3),
        (4 * 6 * 2 * 3 - 1, 10**9, 2),
        (10**9, 22 * 6 * 2 * 3, 3),
        (10**9, 22 * 6 * 2 * 3 - 1, 2),
        (20, 10, 0),
    ],
)
def test_there_is_time_for_so_many_ops_and_elements(monkeypatch, ops, elements, each):
    monkeypatch.setattr("tinyreg.explore.replay.MOST_OPS", ops)
    monkeypatch.setattr("tinyreg.explore.replay.MOST_ELEMENTS", elements)
    tape = two_leaves()
    assert sum(np.prod(row.shape, dtype=int) for row in tape) == 22
    changes = nudged(tape)
    assert [change.leaf for change in changes] == [0] * each + [1] * each
    for leaf in (0, 1):
        gradient = tape.walk.gradients[next(w for w in tape.walk.gradients if w.leaf == leaf)]
        chosen = [change.element for change in changes if change.leaf == leaf]
        assert chosen == sorted(np.argsort(np.abs(gradient))[10 - each :])


def test_a_leaf_of_one_number_and_one_without_elements():
    x, empty = tr.tensor(3.0, requires_grad=True), tr.zeros(0, requires_grad=True)
    with tr.explain():
        tape = tr.tape(x * x + empty.sum(), x=x, empty=empty)
    (change,) = nudged(tape)
    assert (change.element, change.gradient) == (0, 6.0)
    assert change.changes[-1] == pytest.approx(7.0)


def test_what_fails_where_a_number_is_another_is_no_number():
    x = tr.tensor([0.5, 2.0], requires_grad=True)
    with tr.explain():
        tape = tr.tape(tr.log(x).sum(), x=x)
    assert np.isnan(nudged(tape)[0].changes[0])
    assert np.isfinite(nudged(tape)[0].changes[1:]).all()


def not_a_number():
    x = tr.ones(3, requires_grad=True)
    with tr.explain():
        return tr.tape(x * 2.0, grad=np.ones(3, dtype="float32"))


def not_explained():
    x = tr.ones(3, requires_grad=True)
    return tr.tape((x * 2.0).sum())


def a_checkpoint():
    x = tr.ones(3, requires_grad=True)
    with tr.explain():
        return tr.tape(tr.checkpoint(lambda x: tr.gelu(x))(x).sum())


@pytest.mark.parametrize("make", [not_a_number, not_explained, a_checkpoint])
def test_what_has_no_loss_or_cannot_be_run_again_is_left(make):
    assert nudged(make()) == []
    assert by_definition(make()) is None


def test_by_definition_values_and_gradients_are_those_of_definitions():
    fast, slow = network(), network(definitions=True)
    again = by_definition(fast)
    assert [row.op.name for row in again] == [row.op.name for row in slow]
    assert [leaf.label for leaf in again.leaves] == [leaf.label for leaf in slow.leaves]
    assert all(leaf.parameter for leaf in again.leaves)
    for one, other in zip(again, slow, strict=True):
        np.testing.assert_array_equal(one.record.result, other.record.result)
        assert one.record.line == other.record.line
        assert [source.label for source in one.inputs] == [source.label for source in other.inputs]
    for where, gradient in again.walk.gradients.items():
        np.testing.assert_allclose(gradient, slow.walk.gradients[where], rtol=1e-6)
    chain = [str(call) for call in again[0].record.call.chain]
    assert chain == ["model (Sequential)", "0 (Linear)", "linear, by its definition"]


def test_a_tape_without_fast_forms_has_no_other_form():
    assert by_definition(network(definitions=True)) is None
    fast = network()
    before = [row.op.name for row in fast]
    by_definition(fast)
    nudged(fast)
    assert [row.op.name for row in fast] == before


def test_it_is_the_same_on_every_backend(backend):
    w, b = tr.tensor([[1.0, -2.0]], requires_grad=True), tr.tensor([0.5], requires_grad=True)
    with tr.explain():
        tape = tr.tape(tr.square(tr.ops.linear(tr.tensor([[3.0, 4.0]]), w, b)).sum(), w=w, b=b)
    changes = nudged(tape)
    assert [(change.leaf, change.element, change.gradient) for change in changes] == [
        (0, 0, -27.0),
        (0, 1, -36.0),
        (1, 0, -9.0),
    ]
    assert changes[0].changes[-1] == pytest.approx(1.5**2 - 4.5**2)
    assert [row.op.name for row in by_definition(tape)] == ["permute_dims", "matmul", "add", "square", "sum"]
    square = next(step for step in tape.walk.steps if tape[step.entry.entry].op.name == "square")
    assert float(square.contributions[0].local[0, 0]) == -9.0
