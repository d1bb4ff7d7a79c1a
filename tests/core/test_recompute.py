"""Checkpoints and fast forms: entries whose way back runs a function again."""

import collections
import typing
import weakref

import numpy as np
import pytest

import tinyreg as tr
from tinyreg.core.fused import FUSED


def leaf(values, dtype="float64"):
    return tr.tensor(np.array(values, dtype=dtype), requires_grad=True)


@pytest.fixture(autouse=True)
def _fast_forms_made_here_are_forgotten():
    before = dict(FUSED)
    yield
    FUSED.clear()
    FUSED.update(before)


# ---- checkpoint


def curved(x, w):
    return tr.exp(x * w).sum() * x


def test_a_checkpoint_changes_no_value_and_no_gradient():
    plain, inside = (leaf([1.0, 2.0]), leaf(0.5)), (leaf([1.0, 2.0]), leaf(0.5))
    curved(*plain).sum().backward()
    y = tr.checkpoint(curved)(*inside)
    assert y._node.op.name == "checkpoint"
    y.sum().backward()
    for a, b in zip(plain, inside, strict=True):
        np.testing.assert_array_equal(a.grad.data, b.grad.data)


def test_a_checkpoint_keeps_nothing_from_inside():
    held = []

    def f(x):
        inner = tr.exp(x)
        held.append(weakref.ref(inner.data))
        return tr.exp(inner)

    x = leaf(np.ones(3))
    y = tr.checkpoint(f)(x)
    assert held[0]() is None
    y.sum().backward()
    assert len(held) == 2


def test_a_checkpoint_over_parameters_only():
    w = leaf([2.0, 3.0])
    tr.checkpoint(lambda x: (w * w * x).sum())(np.ones(2)).backward()
    np.testing.assert_array_equal(w.grad.data, [4.0, 6.0])


def test_a_checkpoint_closes_over_computed_tensors():
    w = leaf(3.0)
    v = w * w
    tr.checkpoint(lambda x: v * x)(leaf(2.0)).backward()
    assert w.grad.item() == 12.0


def test_a_checkpoint_to_second_order():
    assert tr.grad(tr.grad(tr.checkpoint(lambda x: x * x * x)))(2.0).item() == 12.0


def test_checkpoints_nest_and_return_tuples():
    def f(x):
        a, b = tr.checkpoint(lambda t: (t * t, tr.exp(t)))(x)
        return a * b

    x = leaf(2.0)
    tr.checkpoint(f)(x).backward()
    assert x.grad.item() == pytest.approx((2 * 2 + 2 * 2) * np.exp(2.0))


@pytest.fixture
def lstm(float64):
    return tr.nn.LSTM(2, 3, num_layers=2, rng=tr.Generator(0))


USES = {
    "all": lambda y, h, c: (y * y).sum() + tr.exp(h).sum() + (c * c * c).sum(),
    "the outer one": lambda y, h, c: tr.sin(y).sum(),
    "one of the inner ones": lambda y, h, c: (c * c).sum(),
}


@pytest.mark.parametrize("use", USES.values(), ids=USES)
def test_gradients_of_nested_results_are_those_without_a_checkpoint(lstm, use):
    """What an LSTM returns, (y, (h, c)), and what it is given, (x, (h, c)); results that are not used count as zero."""
    rng = np.random.default_rng(0)
    start = [rng.standard_normal(shape) for shape in ((4, 2, 2), (2, 2, 3), (2, 2, 3))]

    def gradients(layer):
        """Of first order, and of the sum of their squares."""
        x, h, c = (leaf(values) for values in start)
        wanted = [x, h, c, *lstm.parameters()]
        y, (last, cell) = layer(x, (h, c))
        lstm.zero_grad()
        use(y, last, cell).backward(create_graph=True)
        first = [tensor.grad for tensor in wanted]
        for tensor in wanted:
            tensor.zero_grad()
        sum((g * g).sum() for g in first).backward()
        return first + [tensor.grad for tensor in wanted]

    for plain, inside in zip(gradients(lstm), gradients(tr.checkpoint(lstm)), strict=True):
        assert np.abs(plain.numpy()).max() > 0
        np.testing.assert_allclose(inside.numpy(), plain.numpy(), rtol=1e-12, atol=1e-13)


def test_a_checkpoint_returns_a_dict_of_the_kind_that_f_made():
    def f(x):
        results = collections.defaultdict(list)
        results["square"].append(x * x)
        return results

    x = leaf(3.0)
    results = tr.checkpoint(f)(x)
    assert type(results) is collections.defaultdict
    assert results["square"][0]._node.parents[0].op.name == "checkpoint"
    results["square"][0].backward()
    assert x.grad.item() == 6.0


def test_every_nested_result_of_a_checkpoint_is_on_the_tape(lstm):
    y, (h, c) = tr.checkpoint(lstm)(tr.ones((4, 2, 2)))
    assert [result._node.parents[0].op.name for result in (y, h, c)] == ["checkpoint"] * 3
    c.sum().backward()  # an ordinary backward
    found = [p.grad.numpy() for p in lstm.parameters()]
    lstm.zero_grad()
    lstm(tr.ones((4, 2, 2)))[1][1].sum().backward()
    for gradient, p in zip(found, lstm.parameters(), strict=True):
        np.testing.assert_array_equal(gradient, p.grad.numpy())


def test_what_a_checkpoint_returns_has_the_form_that_it_had():
    class Pair(typing.NamedTuple):
        first: typing.Any
        second: typing.Any

    def f(x):
        return Pair(x * 2.0, [x * 3.0, {"a": x * 5.0, "b": None}]), (), 7, "text", constant, tr.ones(2), (x,)

    constant, x = np.ones(2), leaf([1.0, 2.0])
    (first, (second, inner)), *rest, (same,) = made = tr.checkpoint(f)(x)
    assert type(made[0]) is Pair
    assert isinstance(made[0].second, list)
    assert list(inner) == ["a", "b"]
    assert rest[:3] == [(), 7, "text"]
    assert inner["b"] is None
    assert rest[3] is constant
    assert not rest[4].requires_grad
    for y in (first, second, inner["a"], same):
        assert y._node.parents[0].op.name == "checkpoint"
    (first + second * inner["a"] + same).sum().backward()
    np.testing.assert_array_equal(x.grad.data, 3 + 30 * np.array([1.0, 2.0]))


def test_a_tensor_out_of_a_checkpoint_in_an_object_of_another_class_has_its_gradient():
    class Box:
        def __init__(self, value):
            self.value = value

    x = leaf([1.0, 2.0])
    y, box = tr.checkpoint(lambda x: (x * 2.0, Box(x * x)))(x)
    (y * box.value).sum().backward()
    np.testing.assert_array_equal(x.grad.data, 6 * np.array([1.0, 4.0]))


def test_a_nested_result_keeps_nothing_from_inside():
    held = []

    def f(x):
        inner = tr.exp(x)
        held.append(weakref.ref(inner.data))
        return [{"a": (tr.exp(inner), tr.exp(inner))}]

    ((y, z),) = (part["a"] for part in tr.checkpoint(f)(leaf(np.ones(3))))
    assert held[0]() is None
    (y + z).sum().backward()
    assert len(held) == 2


def test_the_second_run_draws_the_same_random_numbers():
    rng = tr.Generator(0)
    masks = []

    def f(x):
        masks.append(rng.uniform(shape=4))
        return (x * masks[-1]).sum()

    x = leaf(np.ones(4))
    loss = tr.checkpoint(f)(x)
    after = rng.uniform()
    state = rng.state
    loss.backward()
    np.testing.assert_array_equal(masks[0], masks[1])
    np.testing.assert_array_equal(x.grad.data, masks[0].astype(np.float64))
    assert rng.state == state  # and it goes on from where it was
    assert after != masks[0][0]


def test_the_second_run_finds_buffers_as_the_first_one_did_and_leaves_them_as_they_are():
    count, seen = tr.zeros(()), []

    def f(x):
        count.assign(count + 1.0)
        seen.append(count.item())
        return x * count

    x = leaf(1.0)
    loss = tr.checkpoint(f)(x)
    count.assign(10.0)
    loss.backward()
    assert seen == [1.0, 1.0]
    assert x.grad.item() == 1.0
    assert count.item() == 10.0


def test_explain_knows_the_results_of_a_checkpoint_and_who_takes_which():
    x = leaf([1.0, 2.0])
    with tr.explain():
        double, square = tr.checkpoint(lambda x: (x * 2.0, x * x))(x)
        y = tr.checkpoint(lambda v: v * v)(square) + tr.checkpoint(lambda v: v + v)(double)
        one, of_square, of_double, _ = tr.tape(y)
    assert [result.tolist() for result in one.record.result] == [[2.0, 4.0], [1.0, 4.0]]
    assert [value.tolist() for value in of_square.record.inputs] == [[1.0, 4.0]]
    assert [value.tolist() for value in of_double.record.inputs] == [[2.0, 4.0]]
    assert of_square.record.names == ["square"]
    assert of_square.record.result.tolist() == [1.0, 16.0]


def is_recorded():
    """Whether an op on a leaf is recorded just now."""
    return (leaf(1.0) * 2.0).requires_grad


def test_what_the_second_run_touched_is_put_back_where_it_raises():
    rng, count, runs = tr.Generator(0), tr.zeros(()), []

    def f(x):
        runs.append(is_recorded())
        y = x * rng.uniform(shape=3)
        count.assign(count + 1.0)
        if len(runs) == 2:
            raise ArithmeticError("the second time")
        return y.sum()

    loss = tr.checkpoint(f)(leaf(np.ones(3)))
    count.assign(7.0)
    rng.uniform(shape=5)
    state = rng.state
    with pytest.raises(ArithmeticError, match="the second time"), tr.no_grad():
        loss.backward()
    assert runs == [True, True]
    assert rng.state == state
    assert count.item() == 7.0
    assert is_recorded()


def test_a_checkpoint_notices_a_changed_parameter():
    w = leaf(2.0)
    loss = tr.checkpoint(lambda x: w * w * x)(1.0)
    w.assign(3.0)
    with pytest.raises(RuntimeError, match="was changed after the tape used it"):
        loss.backward()


def test_a_checkpoint_without_a_gradient_is_just_the_function():
    assert not tr.checkpoint(lambda x: x * 2.0)(tr.ones(2)).requires_grad
    with tr.no_grad():
        assert not tr.checkpoint(lambda x: x * 2.0)(leaf(1.0)).requires_grad


# ---- fast forms


def make_centred(wrong=1.0):
    @tr.fused(nondifferentiable=("target",))
    def misfit(x, target, *, power=2.0):
        return ((x - target) ** power).mean()

    assert misfit(leaf([1.0, 3.0]), np.zeros(2)).item() == 5.0  # until it has a fast form it is its definition

    @misfit.fast
    def _(xp, x, target, *, power=2.0):
        difference = x - target
        return xp.mean(difference**power), difference

    @misfit.backward
    def _(g, residuals, power, wanted):
        assert wanted == [0]
        return wrong * g * power * residuals ** (power - 1) / residuals.size

    return misfit


def test_a_fast_form_is_one_entry_and_equals_its_definition():
    misfit, x, target = make_centred(), leaf([1.0, 3.0, -2.0]), np.array([0.5, 0.0, 1.0])
    for power in (2.0, 3.0):
        x.zero_grad()
        y = misfit(x, target, power=power)
        assert y._node.op is misfit
        assert y._node.parents[0] is x._node
        y.backward()
        fast = x.grad
        x.zero_grad()
        z = misfit.definition(x, target, power=power)
        z.backward()
        assert y.item() == pytest.approx(z.item(), rel=1e-15)
        np.testing.assert_allclose(fast.data, x.grad.data, rtol=1e-14)


def test_second_derivatives_of_a_fast_form_come_from_the_definition():
    target = np.array([0.5, 0.0, 1.0])
    x = leaf([1.0, 3.0, -2.0])
    for misfit in (make_centred(), make_centred(wrong=7.0)):  # also where the fast backward is wrong
        found = tr.hessian(lambda t, f=misfit: f(t, target, power=3.0))(x)
        expected = tr.hessian(lambda t, f=misfit: f.definition(t, target, power=3.0))(x)
        np.testing.assert_allclose(found.data, expected.data, rtol=1e-13)


def test_a_fast_form_on_arrays_and_without_recording():
    misfit = make_centred()
    assert isinstance(misfit(np.ones(2), np.zeros(2)), np.ndarray)
    with tr.no_grad():
        assert not misfit(leaf([1.0]), np.zeros(1)).requires_grad


def test_a_checkpoint_of_no_function():
    with pytest.raises(TypeError, match="checkpoint: got 3, expected a function"):
        tr.checkpoint(3)


def test_a_checkpoint_that_raised_watches_nothing_more():
    def f(x):
        x * 2.0
        raise ArithmeticError("inside")

    with pytest.raises(ArithmeticError, match="inside") as raised:
        tr.checkpoint(f)(leaf(1.0))
    buffer = tr.zeros(2)
    buffer.assign([1.0, 2.0])
    held = weakref.ref(buffer)
    del buffer
    assert held() is None
    assert raised.tb is not None  # which holds all that was going on


class Pressed(tr.Generator):
    """A generator at which Ctrl-C is pressed, once, when it is given a state for the second time."""

    given = 0

    @property
    def state(self):
        return super().state

    @state.setter
    def state(self, state):
        self.given += 1
        if self.given == 2:
            raise KeyboardInterrupt
        tr.Generator.state.__set__(self, state)


def test_what_a_second_run_touched_is_put_back_where_ctrl_c_comes_meanwhile():
    first, second, count = Pressed(0), tr.Generator(1), tr.zeros(())

    def f(x):
        count.assign(count + 1.0)
        return (x * first.uniform(shape=3) * second.uniform(shape=3)).sum()

    loss = tr.checkpoint(f)(leaf(np.ones(3)))
    second.uniform(shape=5)
    states = first.state, second.state
    with pytest.raises(KeyboardInterrupt):
        loss.backward()
    assert first.given == 3
    assert (first.state, second.state) == states
    assert count.item() == 1.0


def test_all_that_the_second_run_changes_together_is_put_back(float64):
    layer = tr.nn.BatchNorm(2)
    x = leaf([[1.0, 2.0], [3.0, 5.0], [0.0, -4.0]])
    loss = (tr.checkpoint(layer)(x) ** 3).sum()
    after = {name: buffer.tolist() for name, buffer in layer.state_dict().items()}
    loss.backward()
    assert {name: buffer.tolist() for name, buffer in layer.state_dict().items()} == after
