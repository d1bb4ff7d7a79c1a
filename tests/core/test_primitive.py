"""The grammar of ops: arguments, settings, results, residuals, and what an op refuses."""

import copy
import inspect
import pickle

import numpy as np
import pytest

import tinyreg as tr
from tinyreg.core.primitive import REGISTRY


@pytest.fixture(autouse=True)
def _ops_made_here_are_forgotten():
    before = dict(REGISTRY)
    yield
    REGISTRY.clear()
    REGISTRY.update(before)


def leaf(values, dtype="float64"):
    return tr.tensor(np.array(values, dtype=dtype), requires_grad=True)


def make_scaled():
    @tr.primitive
    def scaled(xp, x, weight=None, *, by=2.0):
        return x * by if weight is None else x * by * weight

    scaled.vjp("x")(lambda g, weight, by: g * by if weight is None else g * by * weight)
    scaled.vjp("weight")(lambda g, x, by: g * by * x)
    return scaled


def test_optional_arguments_and_settings_in_every_form():
    scaled, x, w = make_scaled(), leaf([1.0, 2.0]), leaf([3.0, 4.0])
    for y in (scaled(x, w, by=5.0), scaled(x, weight=w, by=5.0), scaled(x, w, 5.0), scaled(weight=w, x=x, by=5.0)):
        np.testing.assert_array_equal(y.data, [15.0, 40.0])
    scaled(x).sum().backward()
    np.testing.assert_array_equal(x.grad.data, [2.0, 2.0])
    scaled(x.detach(), w).sum().backward()
    np.testing.assert_array_equal(w.grad.data, [2.0, 4.0])
    assert repr(scaled) == "<op scaled(x, weight=None, by=2.0)>"


def test_settings_after_a_slash_come_in_every_form_too():
    @tr.primitive
    def total(xp, x, weight=None, /, axis=None, *, times=1.0):
        return xp.sum(x if weight is None else x * weight, axis=axis) * times

    total.vjp("x")(
        lambda g, x_like, weight, axis, times: tr.broadcast_to(tr.expand_dims(g * times, axis=axis), x_like.shape)
    )
    assert total.signature.arguments == ["x", "weight"]
    assert total.signature.settings == ["axis", "times"]
    x = leaf([[1.0, 2.0], [3.0, 4.0]])
    for y in (
        total(x, axis=0, times=2.0),
        total(x, None, 0, times=2.0),
        total(x, None, 0, 2.0),
        total(x=x, axis=0, times=2.0),
    ):
        np.testing.assert_array_equal(y.data, [8.0, 12.0])
    total(x, axis=0, times=3.0).sum().backward()
    np.testing.assert_array_equal(x.grad.data, np.full((2, 2), 3.0))
    with pytest.raises(TypeError, match="total"):
        total(x, axsi=0)


def test_an_op_in_the_body_of_a_class_is_a_method():
    class Length(tr.nn.Parameter):
        root, plus = tr.sqrt, tr.add

    side = Length([9.0])
    assert side.root().tolist() == [3.0]
    assert side.plus(x2=1.0).tolist() == [10.0]
    assert Length.root is tr.sqrt


def test_arrays_give_arrays_and_tensors_tensors():
    scaled = make_scaled()
    assert isinstance(scaled(np.ones(2)), np.ndarray)
    assert isinstance(scaled(np.ones(())), np.ndarray)
    assert isinstance(scaled(np.ones(2), tr.ones(2)), tr.Tensor)
    assert isinstance(tr.exp(0.0), np.ndarray)


def test_parameters_may_have_any_names():
    @tr.primitive
    def odd(xp, values, apply=None, *parents, type=2.0, settings=3.0, f=5.0):
        return values * type + settings * (f if apply is None else apply)

    odd.vjp("values")(lambda g, apply, type, values_like: g * type)
    odd.vjp("apply")(lambda g, settings: settings * g)
    values, apply = leaf([1.0, 2.0]), leaf([3.0, 4.0])
    y = odd(values, apply, type=7.0)
    np.testing.assert_array_equal(y.data, [16.0, 26.0])
    y.sum().backward()
    np.testing.assert_array_equal(values.grad.data, [7.0, 7.0])
    np.testing.assert_array_equal(apply.grad.data, [3.0, 3.0])
    np.testing.assert_array_equal(odd(values).data, [17.0, 19.0])


def test_methods_are_named_and_documented_as_their_ops():
    assert tr.Tensor.sum.__name__ == "sum"
    assert tr.Tensor.sum.__doc__ == tr.sum.__doc__
    assert "The sum over `axis`" in tr.sum.__doc__


def test_a_call_that_does_not_fit():
    x = leaf([1.0])
    for call in (tr.sum, tr.Tensor.sum):
        with pytest.raises(TypeError, match=r"^expected sum\(x, axis=None, dtype=None, keepdims=.*; sum\(\) got .* 'dim'$"):
            call(x, dim=0)
    with pytest.raises(TypeError, match=r"^expected multiply\(x1, x2\); multiply\(\) missing 1 required .*: 'x2'$"):
        tr.multiply(x)
    with pytest.raises(TypeError, match=r"reshape\(\) missing 1 required positional argument: 'shape'"):
        tr.reshape(x)


def test_a_tensor_in_the_place_of_a_setting_is_refused():
    x = leaf([1.0, 2.0])
    with pytest.raises(TypeError, match=r"softplus: got float64\[\] for the setting beta, expected a plain Python value"):
        tr.softplus(x, beta=leaf(2.0))
    with pytest.raises(TypeError, match=r"sum: got int64\[1\] for the setting axis.*\.tolist\(\)"):
        tr.sum(x, axis=np.array([0]))


def test_a_vjp_declared_after_a_first_call_counts_and_the_latest_wins():
    @tr.primitive
    def tripled(xp, x):
        return 3 * x

    x = leaf(2.0)
    with tr.no_grad():
        assert not tripled(x).requires_grad
    for factor in (5.0, 3.0):
        x.zero_grad()
        tripled.vjp("x")(_times(factor))
        tripled(x).backward()
        assert x.grad.item() == factor


def _times(factor):
    return lambda g: factor * g


@pytest.mark.parametrize(("op", "by_position"), [(tr.reshape, 2), (tr.sum, 4), (tr.concat, 0), (tr.linear, 3)])
def test_inspect_says_which_parameters_of_an_op_come_by_position(op, by_position):
    kinds = [p.kind for p in inspect.signature(op).parameters.values()]
    assert kinds.count(inspect.Parameter.POSITIONAL_OR_KEYWORD) == by_position


def test_an_op_shows_its_signature_and_survives_copies():
    assert list(inspect.signature(tr.sum).parameters) == ["x", "axis", "dtype", "keepdims"]
    for op in [op for op in REGISTRY.values() if str(op.__module__).startswith("tinyreg.")]:
        assert pickle.loads(pickle.dumps(op)) is copy.deepcopy(op) is op


def test_a_dtype_may_be_a_type():
    assert tr.sum(tr.ones(3), dtype=np.float64).dtype == np.float64
    assert tr.ones(3).astype(np.float16).dtype == np.float16


def test_numpy_scalars_as_settings_become_numbers():
    x = leaf([1.0, 2.0], "float32")
    y = tr.softplus(x, beta=np.float64(2.0))
    assert y.dtype == np.float32
    assert type(y._node.settings["beta"]) is float


def test_any_number_of_operands_and_which_one():
    @tr.primitive
    def dots(xp, *xs, scale=1.0):
        return scale * sum((i + 1) * x for i, x in enumerate(xs))

    dots.vjp("xs")(lambda g, scale, position: scale * (position + 1) * g)
    a, b, c = leaf([1.0]), leaf([2.0]), leaf([3.0])
    dots([a, b, c], scale=2.0).sum().backward()
    assert [t.grad.item() for t in (a, b, c)] == [2.0, 4.0, 6.0]
    a.zero_grad()
    dots(a, np.ones(1)).sum().backward()
    assert a.grad.item() == 1.0


def test_operands_may_ask_for_themselves_and_for_the_others():
    @tr.primitive
    def product(xp, *xs):
        return xs[0] * xs[1] + xs[0] * xs[0]

    @product.vjp("xs")
    def _(g, xs, position):
        return g * xs[1 - position] + (2 * g * xs[0] if position == 0 else 0 * g)

    a, b = leaf(2.0), leaf(5.0)
    product(a, b).backward(create_graph=True)
    assert (a.grad.item(), b.grad.item()) == (9.0, 2.0)
    first = a.grad
    a.zero_grad()
    first.backward()
    assert a.grad.item() == 2.0
    assert b.grad.item() == 3.0  # 2 from the first pass, and d(b + 2a)/db


def make_both():
    @tr.primitive
    def both(xp, x):
        return x * x, 3 * x, xp.argsort(x)

    @both.vjp("x")
    def _(g, x, y):
        assert g[2] is None
        return 2 * g[0] * x + 3 * g[1]

    return both


def test_several_results_of_which_some_are_not_used():
    x = leaf([3.0, 1.0])
    squares, triples, order = make_both()(x)
    assert not order.requires_grad
    np.testing.assert_array_equal(order.data, [1, 0])
    squares.sum().backward()
    np.testing.assert_array_equal(x.grad.data, [6.0, 2.0])
    x.zero_grad()
    squares, triples, _ = make_both()(x)
    (squares * triples).sum().backward()
    np.testing.assert_array_equal(x.grad.data, 9 * x.data**2)


def test_several_results_to_second_order():
    gradient = tr.grad(lambda x: make_both()(x)[0].sum())
    assert tr.jacobian(gradient)(leaf([3.0, 1.0])).tolist() == [[2.0, 0.0], [0.0, 2.0]]


def test_one_vjp_for_several_arguments():
    calls = []

    @tr.primitive
    def difference(xp, a, b):
        return a - b

    @difference.vjp("a", "b")
    def _(g):
        calls.append(1)
        return g, -g

    a, b = leaf(1.0), leaf(2.0)
    difference(a, b).backward()
    assert (a.grad.item(), b.grad.item(), len(calls)) == (1.0, -1.0, 1)
    difference(a, 1.0).backward()
    assert a.grad.item() == 2.0


def test_residuals_are_kept_for_vjps_and_must_be_exact():
    @tr.primitive(residuals=("mask",))
    def positive_part(xp, x):
        mask = x > 0
        return xp.where(mask, x, 0.0), mask

    positive_part.vjp("x")(lambda g, mask: tr.where(mask, g, 0.0))
    x = leaf([-1.0, 2.0])
    y = positive_part(x)
    assert list(y._node.saved) == ["mask"]
    y.sum().backward()
    np.testing.assert_array_equal(x.grad.data, [0.0, 1.0])

    @tr.primitive(residuals=("halves",))
    def halved(xp, x):
        return x / 2, x * 0.5

    with pytest.raises(TypeError, match=r"halved: the residual halves is float64\[2\], expected booleans or integers"):
        halved(x)


def test_arguments_declared_without_a_gradient():
    condition = leaf([1.0, 0.0])
    y = tr.where(condition, leaf([1.0, 2.0]), 0.0)
    y.sum().backward()
    assert condition.grad is None
    assert not tr.where(condition, 1.0, 0.0).requires_grad


def test_a_forgotten_vjp_is_not_mistaken_for_one():
    @tr.primitive
    def halfway(xp, a, b):
        return a + b

    halfway.vjp("a")(lambda g: g)
    assert halfway(leaf(1.0), 2.0).requires_grad
    with pytest.raises(TypeError, match=r"halfway: argument b wants a gradient but has no VJP; .*@halfway.vjp\('b'\)"):
        halfway(1.0, leaf(2.0))


def test_an_op_without_any_vjp_is_no_constant():
    """(w f(w))' = 27 at 3 for f(w) = w^2; it was 9, with f taken for a constant in silence."""

    @tr.primitive
    def forgotten(xp, x):
        return x * x

    w = leaf(3.0)
    with pytest.raises(TypeError, match="forgotten: argument x wants a gradient but has no VJP"):
        w * forgotten(w)
    with tr.no_grad():
        assert (w * forgotten(w)).item() == 27
    forgotten.vjp("x")(lambda g, x: 2 * g * x)
    (w * forgotten(w)).backward()
    assert w.grad.item() == 27


def test_an_op_that_is_declared_to_have_no_gradient_is_a_constant():
    @tr.primitive(nondifferentiable=True)
    def halves(xp, x, by):
        return xp.floor(x / by)

    w = leaf(3.0)
    assert not halves(w, leaf(2.0)).requires_grad
    (w * halves(w, 2.0)).backward()
    assert w.grad.item() == 1


def test_a_vjp_that_asks_for_an_unknown_name():
    scaled = make_scaled()
    with pytest.raises(TypeError, match=r"scaled.vjp\('x',\): got the names weights, expected g first.*weight_like"):
        scaled.vjp("x")(lambda g, weights: g)
    with pytest.raises(TypeError, match=r"concat.vjp\('xs',\): got the names position \(it comes last\)"):
        tr.concat.vjp("xs")(lambda g, position, axis: g)
    with pytest.raises(TypeError, match=r"got the names grad, expected g first"):
        scaled.vjp("x")(lambda grad: grad)


def test_an_argument_cannot_be_called_as_the_result_is():
    with pytest.raises(TypeError, match="scaled: got a parameter y, expected another name: in a VJP y is the result"):

        @tr.primitive
        def scaled(xp, x, y):
            return x * y

    with pytest.raises(TypeError, match="fused: got a parameter g, expected another name"):

        @tr.fused
        def fused(x, *, g=1.0):
            return x * g


def test_a_vjp_that_forgets_to_return_is_no_constant():
    @tr.primitive
    def doubled(xp, x):
        return 2 * x

    @doubled.vjp("x")
    def _(g):
        2 * g

    @tr.primitive
    def half_of_it(xp, a, b):
        return a * b

    half_of_it.vjp("a", "b")(lambda g, b: (g * b, None))

    @tr.fused
    def squared(x):
        return x * x

    squared.fast(lambda xp, x: (x * x, None))
    squared.backward(lambda g, x: None)
    for f in (doubled, lambda w: half_of_it(1.0, w), squared):
        w = leaf([1.5])
        with pytest.raises(TypeError, match=r"a VJP returned None, expected a gradient of shape \(1,\).*nondifferentiable"):
            (w * f(w)).sum().backward()
        assert w.grad is None


def test_an_op_whose_result_is_no_float_is_not_recorded():
    @tr.primitive
    def whole(xp, x):
        return xp.floor(x).astype("int64")

    whole.vjp("x")(lambda g: g)
    w = leaf([1.5])
    assert not whole(w).requires_grad
    (w * whole(w)).sum().backward()
    assert w.grad.item() == 1.0


def test_operands_may_be_given_their_gradients_together():
    @tr.primitive
    def weighted(xp, w, *xs):
        return w * sum((i + 1) * x for i, x in enumerate(xs))

    weighted.vjp("w")(lambda g, xs: g * sum((i + 1) * x for i, x in enumerate(xs)))
    weighted.vjp("xs")(lambda g, w, xs_like: [g * w * (i + 1) for i in range(len(xs_like))])
    w, a, b = leaf(2.0), leaf(3.0), leaf(5.0)
    weighted(w, a, np.ones(()), b).backward(create_graph=True)
    assert [t.grad.item() for t in (w, a, b)] == [20.0, 2.0, 6.0]
    slope = b.grad
    w.zero_grad()
    slope.backward()
    assert w.grad.item() == 3.0
    c = leaf(7.0)
    weighted(1.0, c, 1.0).backward()
    assert c.grad.item() == 1.0


def test_only_an_operand_has_a_position():
    with pytest.raises(TypeError, match="got the names position, expected g first"):
        make_scaled().vjp("x")(lambda g, position: g)


def test_like_stands_for_an_array_without_it():
    seen = []

    @tr.primitive
    def total(xp, x):
        return xp.sum(x)

    @total.vjp("x")
    def _(g, x_like):
        seen.append(x_like)
        return tr.broadcast_to(g, x_like.shape)

    x = leaf(np.ones((2, 3)))
    total(x).backward()
    assert (seen[0].shape, seen[0].dtype, seen[0].ndim, seen[0].backend) == ((2, 3), np.float64, 2, "numpy")
