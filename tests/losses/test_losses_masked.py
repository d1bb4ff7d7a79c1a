"""What a loss leaves out may hold anything: it enters no value and no gradient of any order. And dtypes of losses."""

import math

import numpy as np
import pytest
from loss_values import indices, tensor

import tinyreg as tr

pytestmark = pytest.mark.usefixtures("backend")

cross_entropy, bce, kl = tr.losses.cross_entropy, tr.losses.binary_cross_entropy, tr.losses.kl_divergence
rng = np.random.default_rng(11)
INF, NAN = math.inf, math.nan


def orders(loss, x):
    """The value of a loss, its gradient, and the gradient of the squared length of that."""
    x = tensor(x)
    slope = tr.grad(lambda x: loss(x).sum())
    bend = tr.grad(lambda x: (slope(x) * slope(x)).sum())
    leaf = tensor(x.numpy(), requires_grad=True)
    loss(leaf).sum().backward()
    np.testing.assert_allclose(leaf.grad.numpy(), slope(x).numpy(), rtol=1e-12, atol=1e-15)  # the fast form's own
    return loss(x).numpy(), slope(x).numpy(), bend(x).numpy()


def agrees(loss, clean, filled):
    """Whether a loss is the same of x that is clean and of x that is filled, which counts for nothing where they differ."""
    out = ~np.isclose(clean, filled, equal_nan=False)
    assert out.any()
    for found, expected in zip(orders(loss, filled), orders(loss, clean), strict=True):
        assert np.isfinite(expected).all()
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-15)
    assert (orders(loss, filled)[1][out] == 0).all()


FILLERS = pytest.mark.parametrize("filler", [NAN, INF, -INF])
SMOOTHED = pytest.mark.parametrize("label_smoothing", [0.0, 0.1, 1.0])
REDUCED = pytest.mark.parametrize("reduction", ["mean", "sum", "none"])


@FILLERS
@SMOOTHED
@REDUCED
@pytest.mark.parametrize("weight", [None, [0.5, 2.0, 1.0]])
@pytest.mark.parametrize("shape", [(4, 3), (4, 3, 2), (2, 3, 2, 2)])
def test_ignored_rows(shape, weight, reduction, label_smoothing, filler):
    target = rng.integers(0, 3, (shape[0], *shape[2:]))
    target.flat[0] = target.flat[-1] = -100
    clean = rng.normal(size=shape)
    filled = np.where(np.expand_dims(target == -100, 1), filler, clean)
    given = {"label_smoothing": label_smoothing, "reduction": reduction, "ignore_index": np.int64(-100)}
    w = None if weight is None else tensor(weight)
    agrees(lambda x: cross_entropy(x, indices(target), weight=w, **given), clean, filled)


@FILLERS
@REDUCED
def test_rows_of_a_class_that_weighs_nothing(reduction, filler):
    target, clean = np.array([0, 2, 1, 2]), rng.normal(size=(4, 3))
    filled = clean.copy()
    filled[1, 0] = filled[3, 2] = filler
    w = tensor([1.0, 2.0, 0.0])
    agrees(lambda x: cross_entropy(x, indices(target), weight=w, reduction=reduction), clean, filled)


@FILLERS
@pytest.mark.parametrize("weight", [None, [0.5, 2.0, 1.0]])
def test_rows_of_soft_targets_that_are_all_0(weight, filler):
    target, clean = rng.dirichlet(np.ones(3), 4), rng.normal(size=(4, 3))
    target[2] = 0
    filled = clean.copy()
    filled[2, 1:] = filler
    w = None if weight is None else tensor(weight)
    agrees(lambda x: cross_entropy(x, tensor(target), weight=w), clean, filled)


@FILLERS
def test_rows_of_soft_targets_that_are_all_0_at_some_positions(filler):
    target, clean = rng.uniform(0.1, 1, (2, 3, 2)), rng.normal(size=(2, 3, 2))
    target[0, :, 1] = 0
    filled = clean.copy()
    filled[0, 1:, 1] = filler
    agrees(lambda x: cross_entropy(x, tensor(target)), clean, filled)


@FILLERS
@pytest.mark.parametrize("label_smoothing", [0.0, 0.1])
def test_soft_targets_of_a_class_that_weighs_nothing(label_smoothing, filler):
    clean, x, w = rng.dirichlet(np.ones(3), 4), tensor(rng.normal(size=(4, 3))), tensor([1.0, 0.0, 2.0])
    filled = clean.copy()
    filled[1:, 1] = filler
    agrees(lambda t: cross_entropy(x, t, weight=w, label_smoothing=label_smoothing), clean, filled)


@pytest.mark.parametrize("ignore_index", [None, -100])
def test_a_label_that_weighs_nothing_hides_no_logit_from_smoothing(ignore_index):
    """The smooth part of the target is there, whatever the label weighs."""
    w, given = tensor([0.0, 1.0, 2.0]), {"label_smoothing": 0.3, "ignore_index": ignore_index}
    x = tensor([[-INF, 1.0, 0.0]], requires_grad=True)
    loss = cross_entropy(x, indices([0]), weight=w, reduction="sum", **given)
    p = np.array([0.0, math.e, 1.0]) / (math.e + 1)
    assert loss.item() == pytest.approx(-0.1 * math.log(p[1]) - 0.2 * math.log(p[2]), rel=1e-13)
    loss.backward()
    np.testing.assert_allclose(x.grad.numpy(), [0.3 * p - [0.0, 0.1, 0.2]], rtol=1e-13, atol=1e-15)
    assert math.isnan(cross_entropy(tensor([[NAN, 1.0, 0.0]]), indices([0]), weight=w, reduction="sum", **given).item())


@pytest.mark.parametrize("weight", [None, [2.0]])
@pytest.mark.parametrize("label_smoothing", [0.0, 0.1])
def test_a_single_class_is_certain_and_its_ignored_rows_are_none_of_it(label_smoothing, weight):
    x, w = tensor([[3.0], [NAN], [-1.0]], requires_grad=True), None if weight is None else tensor(weight)
    loss = cross_entropy(x, indices([0, -100, 0]), weight=w, label_smoothing=label_smoothing, ignore_index=-100)
    assert loss.item() == 0.0
    loss.backward()
    assert x.grad.tolist() == [[0.0], [0.0], [0.0]]


@FILLERS
@REDUCED
def test_elements_of_no_weight_in_binary_cross_entropy(reduction, filler):
    clean, target = rng.normal(size=(3, 4)), rng.uniform(size=(3, 4))
    weight = np.array([1.0, 0.0, 2.0, 0.5])
    filled = np.where(weight == 0, filler, clean)
    agrees(lambda x: bce(x, tensor(target), weight=tensor(weight), reduction=reduction), clean, filled)
    agrees(
        lambda t: bce(tensor(clean), t, weight=tensor(weight), reduction=reduction),
        target,
        np.where(weight, target, filler),
    )


@FILLERS
def test_positive_targets_of_no_weight_in_binary_cross_entropy(filler):
    clean, target = rng.normal(size=5), np.array([1.0, 0.0, 1.0, 0.0, 1.0])
    filled = np.where(target == 1, filler, clean)
    for pos_weight in (0, 0.0, tensor(0.0), tensor([0.0] * 5)):
        agrees(lambda x, pos_weight=pos_weight: bce(x, tensor(target), pos_weight=pos_weight), clean, filled)


@FILLERS
@pytest.mark.parametrize("log_target", [False, True])
def test_targets_of_probability_0_in_a_divergence(log_target, filler):
    p = np.array([[0.5, 0.5, 0.0], [0.0, 0.25, 0.75]])
    clean = np.log(rng.dirichlet(np.ones(3), 2))
    filled = np.where(p == 0, filler, clean)
    with np.errstate(divide="ignore"):
        target = tensor(np.log(p) if log_target else p, requires_grad=True)
    agrees(lambda x: kl(x, target, log_target=log_target), clean, filled)
    kl(tensor(filled), target, log_target=log_target).backward()
    assert np.isfinite(target.grad.numpy()).all()
    assert (target.grad.numpy()[p == 0] == 0).all()
    assert kl(tensor(clean), target.detach(), log_target=log_target).item() == pytest.approx(
        (np.where(p == 0, 0, p) * (np.log(np.where(p == 0, 1, p)) - clean)).sum() / 2, rel=1e-13
    )


# ---- logits of -inf: a class that cannot be


@pytest.mark.parametrize("given", [{}, {"ignore_index": -100}, {"weight": [1.0, 2.0, 0.5, 4.0]}])
@pytest.mark.parametrize("soft", [False, True])
def test_a_class_whose_logit_is_minus_infinity_is_as_if_it_were_not_there(soft, given):
    if soft and "ignore_index" in given:
        pytest.skip("for indices alone")
    rest, labels = rng.normal(size=(3, 3)), np.array([0, 2, 1])
    masked = np.insert(rest, 1, -INF, axis=1)
    moved = np.where(labels >= 1, labels + 1, labels)
    weight = given.get("weight")

    def loss(labels, classes, weight):
        target = tensor(np.eye(classes)[labels]) if soft else indices(labels)
        more = given if weight is None else {"weight": tensor(weight)}
        return lambda x: cross_entropy(x, target, **more)

    found = orders(loss(moved, 4, weight), masked)
    expected = orders(loss(labels, 3, None if weight is None else np.delete(weight, 1)), rest)
    np.testing.assert_allclose(found[0], expected[0], rtol=1e-13)
    for f, e in zip(found[1:], expected[1:], strict=True):
        np.testing.assert_allclose(f, np.insert(e, 1, 0.0, axis=1), rtol=1e-11, atol=1e-15)


def test_smoothing_over_a_class_that_cannot_be_is_infinite_as_in_pytorch_with_a_finite_gradient():
    x = tensor([[1.0, -INF, 0.0]], requires_grad=True)
    loss = cross_entropy(x, indices([0]), label_smoothing=0.3)
    assert loss.item() == INF
    loss.backward()
    p = np.array([math.e, 0.0, 1.0]) / (math.e + 1)
    np.testing.assert_allclose(x.grad.numpy(), [p - [0.8, 0.1, 0.1]], rtol=1e-13)
    all_but = cross_entropy(x, indices([0]), label_smoothing=0.3, weight=tensor([1.0, 0.0, 1.0]))
    assert all_but.item() == pytest.approx(-0.8 * math.log(p[0]) - 0.1 * math.log(p[2]), rel=1e-13)


@pytest.mark.parametrize("definitions", [False, True])
def test_a_label_that_cannot_be_makes_no_nan_where_smoothing_is_1_or_its_class_weighs_nothing(definitions):
    x = tensor([[1.0, -INF, 0.0]])
    for given in ({}, {"weight": tensor([1.0, 1.0, 1.0])}):
        with tr.explain(definitions=definitions):
            assert cross_entropy(x, indices([1]), label_smoothing=1.0, **given).item() == INF  # and not NaN
    weightless = cross_entropy(x, indices([1]), weight=tensor([1.0, 0.0, 1.0]), reduction="none")
    assert weightless.tolist() == [0.0]
    assert cross_entropy(x, indices([1])).item() == INF


@pytest.mark.parametrize("weight", [None, 2.0])
def test_infinite_logits_of_certain_targets_lose_nothing(weight):
    x = tensor([INF, -INF], requires_grad=True)
    loss = bce(x, tensor([1.0, 0.0]), weight=weight)
    assert loss.item() == 0.0
    loss.backward()
    assert x.grad.tolist() == [0.0, 0.0]
    wrong = tensor([INF, -INF], requires_grad=True)
    loss = bce(wrong, tensor([0.0, 1.0]), reduction="sum", weight=weight)
    assert loss.item() == INF
    loss.backward()
    assert wrong.grad.tolist() == [weight or 1.0, -(weight or 1.0)]


@pytest.mark.parametrize(
    ("name", "slope"), [("mae", [-1.0, 1.0]), ("huber", [-1.0, 1.0]), ("mse", [-INF, INF]), ("hinge", [0.0, 0.0])]
)
def test_infinite_targets_and_scores(name, slope):
    target = [1.0, -1.0] if name == "hinge" else [INF, -INF]
    x = tensor([INF, -INF] if name == "hinge" else [0.0, 0.0], requires_grad=True)
    loss = getattr(tr.losses, name)(x, tensor(target), reduction="sum")
    assert loss.item() == (0.0 if name == "hinge" else INF)
    loss.backward()
    assert x.grad.tolist() == slope
    if name != "mse":
        bend = tr.grad(tr.grad(lambda x: getattr(tr.losses, name)(x, tensor(target[0]))))
        assert bend(x.detach()[0]).item() == 0.0


def test_nan_is_not_hidden():
    for name in ("mse", "mae", "huber"):
        assert math.isnan(getattr(tr.losses, name)(tensor([NAN, 0.0]), tensor([0.0, 0.0])).item())
    assert math.isnan(cross_entropy(tensor([[NAN, 0.0]]), indices([1])).item())
    assert math.isnan(cross_entropy(tensor([[NAN, 0.0]]), indices([1]), weight=tensor([1.0, 1.0]), ignore_index=5).item())
    assert math.isnan(bce(tensor([NAN]), tensor([1.0])).item())
    assert math.isnan(kl(tensor([NAN, -1.0]), tensor([0.5, 0.5])).item())


def test_a_huber_of_any_delta_has_the_slope_of_delta_at_the_bend():
    x = tensor([2.0, -2.0], requires_grad=True)
    tr.losses.huber(x, tensor([0.0, 0.0]), delta=2, reduction="sum").backward()
    assert x.grad.tolist() == [2.0, -2.0]
    bend = tr.grad(tr.grad(lambda x: tr.losses.huber(x, tensor(0.0), delta=2)))
    assert [bend(tensor(d)).item() for d in (2.0, -2.0, 2.5)] == [1.0, 1.0, 0.0]
    for delta in (INF, 1e300):
        assert tr.losses.huber(tensor([3.0], "float32"), tensor([0.0], "float32"), delta=delta).item() == 4.5


# ---- dtypes

CALLS = {
    "mse": lambda x, t, w: tr.losses.mse(x, t),
    "mae": lambda x, t, w: tr.losses.mae(x, t),
    "huber": lambda x, t, w: tr.losses.huber(x, t, delta=np.float64(0.5)),
    "hinge": lambda x, t, w: tr.losses.hinge(x, tr.sign(t), margin=np.float64(0.5)),
    "kl_divergence": lambda x, t, w: kl(x, t, axis=np.int64(-1)),
    "log_target": lambda x, t, w: kl(x, t, log_target=True),
    "binary_cross_entropy": lambda x, t, w: bce(x, t, weight=w, pos_weight=w),
    "binary_numbers": lambda x, t, w: bce(x, t, weight=np.float64(2), pos_weight=np.float32(0.5)),
    "soft": lambda x, t, w: cross_entropy(x, t, weight=w, label_smoothing=np.float64(0.1)),
    "plain_soft": lambda x, t, w: cross_entropy(x, t),
    "weighted": lambda x, t, w: cross_entropy(x, indices([0, 1]), weight=w, label_smoothing=0.1),
    "ignoring": lambda x, t, w: cross_entropy(x, indices([0, 1]), weight=w, ignore_index=np.int64(1)),
    "smoothed": lambda x, t, w: cross_entropy(x, indices([0, 1]), label_smoothing=np.float32(0.1)),
}


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("other", ["float16", "float32", "float64"])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_a_target_or_a_weight_never_decides_the_dtype(name, dtype, other):
    x = tensor(rng.normal(size=(2, 3)), dtype, requires_grad=True)
    t, w = tensor(rng.uniform(0.1, 1, (2, 3)), other, requires_grad=True), tensor([0.5, 1.0, 2.0], other)
    loss = CALLS[name](x, t, w)
    loss.backward()
    assert loss.dtype == x.grad.dtype == dtype
    assert t.grad is None or t.grad.dtype == other
    bare = CALLS[name](x.data, t.data, w.data)
    assert type(bare) is type(x.data)
    assert bare.dtype == dtype
    assert float(bare) == loss.item()


@pytest.mark.parametrize("name", CALLS)
def test_targets_and_weights_are_cast_before_anything_is_worked_out(name):
    x, t, w = (
        tensor(rng.uniform(0.1, 1, shape), dtype)
        for shape, dtype in zip([(2, 3), (2, 3), (3,)], ["float32", "float64", "float64"], strict=True)
    )
    value, slope = tr.value_and_grad(lambda x: CALLS[name](x, t, w))(x)
    expected = tr.value_and_grad(lambda x: CALLS[name](x, t.astype("float32"), w.astype("float32")))(x)
    assert (value.item(), slope.tolist()) == (expected[0].item(), expected[1].tolist())


@pytest.mark.parametrize(("name", "dtype"), [("mse", "int64"), ("hinge", "bool"), ("mae", "int32")])
def test_integer_targets_are_cast_and_integer_predictions_refused(name, dtype):
    loss, ones = getattr(tr.losses, name), tensor([1, 1], dtype)
    assert loss(tensor([2.0, 3.0], "float32"), ones).dtype == "float32"
    with pytest.raises(TypeError, match=rf"{name}: got prediction {dtype}\[2\], expected floats; use tr.tensor or astype"):
        loss(ones, tensor([2.0, 3.0]))


@pytest.mark.parametrize("name", ["mse", "mae", "huber", "binary_cross_entropy", "kl_divergence", "hinge"])
def test_lists_are_refused_with_a_remedy(name):
    with pytest.raises(TypeError, match=rf"{name}: got target \[1.0, 1.0\], expected a tensor or an array: tr.tensor"):
        getattr(tr.losses, name)(tensor([1.0, 2.0]), [1.0, 1.0])
    with pytest.raises(TypeError, match=rf"{name}: got prediction \[1.0, 1.0\], expected a tensor or an array"):
        getattr(tr.losses, name)([1.0, 1.0], tensor([1.0, 2.0]))


def test_weights_in_a_list_are_refused_with_a_remedy():
    with pytest.raises(
        TypeError, match=r"cross_entropy: got weight \[1.0, 2.0\], expected a tensor or an array: tr.tensor"
    ):
        cross_entropy(tensor([[1.0, 2.0]]), indices([0]), weight=[1.0, 2.0])
    for name in ("weight", "pos_weight"):
        with pytest.raises(
            TypeError, match=rf"binary_cross_entropy: got {name} \[1.0, 2.0\], expected a tensor or an array"
        ):
            bce(tensor([1.0, 2.0]), tensor([1.0, 0.0]), **{name: [1.0, 2.0]})


def test_settings_of_the_wrong_type():
    with pytest.raises(TypeError, match="cross_entropy: got label_smoothing='0.1', expected a share"):
        cross_entropy(tensor([[1.0, 2.0]]), indices([0]), label_smoothing="0.1")
    with pytest.raises(TypeError, match="cross_entropy: got ignore_index=1.5, expected an integer"):
        cross_entropy(tensor([[1.0, 2.0]]), indices([0]), ignore_index=1.5)
    with pytest.raises(TypeError, match="huber: got delta=None, expected more than 0"):
        tr.losses.huber(tensor([1.0]), tensor([1.0]), delta=None)
    with pytest.raises(ValueError, match="kl_divergence: got axis=2 for an array of 1 axis"):
        kl(tensor([1.0]), tensor([1.0]), axis=2)


# ---- float16 is worked out in float32


@pytest.mark.parametrize("scale", [300.0, 2.0**-12])
@pytest.mark.parametrize("name", ["mse", "huber", "mae"])
def test_a_mean_of_float16_squares_neither_overflows_nor_vanishes(name, scale):
    values = np.array([scale] + [0.0] * 3)
    if name == "huber":
        value, slope = tr.losses.huber(tensor(values), tensor(np.zeros(4)), delta=200.0).item(), np.minimum(values, 200) / 4
    elif name == "mae":
        value, slope = scale / 4, np.sign(values) / 4
    else:
        value, slope = scale**2 / 4, values / 2
    x = tensor(values, "float16", requires_grad=True)
    loss = getattr(tr.losses, name)(x, tensor(np.zeros(4), "float16"), **({"delta": 200.0} if name == "huber" else {}))
    loss.backward()
    assert loss.dtype == "float16"
    assert loss.item() == float(np.float16(value))
    np.testing.assert_array_equal(x.grad.numpy(), slope.astype("float16"))


def test_a_sum_over_many_float16_rows_counts_past_2048():
    n = 5000
    x = tensor(np.ones((n, 2)), "float16", requires_grad=True)
    loss = cross_entropy(x, indices([0] * n), reduction="sum")
    assert loss.item() == float(np.float16(n * math.log(2)))
    assert bce(tensor([0.0] * n, "float16"), tensor([1.0] * n, "float16"), reduction="sum").item() == loss.item()


def test_smoothing_over_many_classes_in_float16():  # transformers#10674
    logits, labels = (rng.normal(size=(4, 1000)) * 25).astype("float16"), rng.integers(0, 1000, 4)
    z = logits.astype("float64")
    log_p = z - np.logaddexp.reduce(z, axis=1, keepdims=True)
    right = (-0.9 * log_p[range(4), labels] - 0.1 * log_p.mean(axis=1)).mean()
    found = cross_entropy(tensor(logits, "float16"), indices(labels), label_smoothing=0.1).item()
    assert found == pytest.approx(right, rel=2**-10)
