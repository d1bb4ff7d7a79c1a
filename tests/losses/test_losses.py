"""The other losses, and what holds for all: shapes, reductions, dtypes, blocks, and what the tape shows."""

import numpy as np
import pytest
from loss_values import indices, tensor

import tinyreg as tr
from tinyreg.core.backend import get

pytestmark = pytest.mark.usefixtures("backend")

cross_entropy = tr.losses.cross_entropy
rng = np.random.default_rng(5)
WEIGHT = np.array([0.5, 2.0, 1.0, 0.1])


# ---- mse


def test_mse_and_its_gradient():
    p, t = rng.normal(size=(3, 2)), rng.normal(size=(3, 2))
    for reduction, value, slope in [
        ("mean", ((p - t) ** 2).mean(), 2 * (p - t) / 6),
        ("sum", ((p - t) ** 2).sum(), 2 * (p - t)),
    ]:
        x = tensor(p, requires_grad=True)
        loss = tr.losses.mse(x, tensor(t), reduction=reduction)
        assert loss.item() == pytest.approx(value, rel=1e-14)
        loss.backward()
        np.testing.assert_allclose(x.grad.numpy(), slope, rtol=1e-14)
    np.testing.assert_allclose(tr.losses.mse(tensor(p), tensor(t), reduction="none").numpy(), (p - t) ** 2)


def test_mse_does_not_broadcast():  # pytorch#16045
    with pytest.raises(ValueError, match="mse: prediction and target differ in shape") as error:
        tr.losses.mse(tensor(np.ones((3, 1))), tensor(np.ones(3)))
    assert str(error.value).splitlines()[1:] == [
        "  got       prediction float64[3, 1] and target float64[3]",
        "  expected  one shape",
        "  try       target.reshape(prediction.shape), where that is what you mean",
    ]
    with pytest.raises(ValueError, match=r"and target 1.0\n  expected  one shape\n"):
        tr.losses.mse(tensor(np.ones(3)), 1.0)


def test_mse_over_nothing_is_0():
    assert tr.losses.mse(tensor(np.ones((0, 2))), tensor(np.ones((0, 2)))).item() == 0.0


# ---- blocks, and what the tape shows

LARGE = {
    "huber": lambda x, t, **given: tr.losses.huber(x, t, **given),
    "binary_cross_entropy": lambda x, t, **given: tr.losses.binary_cross_entropy(x, t, **given),
    "weighted binary_cross_entropy": lambda x, t, **given: tr.losses.binary_cross_entropy(
        x, t, weight=tr.abs(t) + 1, pos_weight=2.0, **given
    ),
    "cross_entropy": lambda x, t, **given: cross_entropy(x, t, **given),
}


@pytest.mark.parametrize("shape", [(7, 5), (7, 5, 3), (0, 5)])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("name", LARGE)
def test_a_loss_in_blocks_is_the_loss_in_one(name, reduction, shape, monkeypatch):
    x, t = tensor(rng.normal(size=shape), requires_grad=True), tensor(rng.uniform(size=shape))
    found = []
    for block in (2**16, 60, 1):
        monkeypatch.setattr(get(x.backend), "block", block)
        loss = LARGE[name](x, t, reduction=reduction)
        x.zero_grad()
        loss.sum().backward()
        found += [(loss.numpy(), x.grad.numpy())]
    for loss, gradient in found[1:]:
        assert loss.shape == found[0][0].shape
        np.testing.assert_allclose(loss, found[0][0], rtol=1e-14)
        np.testing.assert_array_equal(gradient, found[0][1])


WITH_FAST_FORMS = {
    "huber": lambda x, t, i, **given: tr.losses.huber(x, t, delta=0.7, **given),
    "binary": lambda x, t, i, **given: tr.losses.binary_cross_entropy(x, t, **given),
    "weighted binary": lambda x, t, i, **given: tr.losses.binary_cross_entropy(
        x, t, weight=tr.abs(x.detach()), pos_weight=2.0, **given
    ),
    "soft": lambda x, t, i, **given: cross_entropy(x, t, label_smoothing=0.2, **given),
    "indices": lambda x, t, i, **given: cross_entropy(x, i, **given),
    "smoothed": lambda x, t, i, **given: cross_entropy(x, i, label_smoothing=0.2, **given),
    "uniform": lambda x, t, i, **given: cross_entropy(x, i, label_smoothing=1.0, **given),
    "ignoring": lambda x, t, i, **given: cross_entropy(x, i, ignore_index=1, **given),
}


@pytest.mark.parametrize("shape", [(5, 3, 2), (1, 3)])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("name", WITH_FAST_FORMS)
def test_a_definition_that_explain_shows_is_the_loss(name, reduction, shape):
    found, target = [], tensor(rng.uniform(size=shape), requires_grad=True)
    x, labels = tensor(rng.normal(size=shape), requires_grad=True), indices(rng.integers(0, 3, shape[:1] + shape[2:]))
    for definitions in (False, True):
        with tr.explain(definitions=definitions):
            loss = WITH_FAST_FORMS[name](x, target, labels, reduction=reduction)
        weights = tr.arange(1.0, 1 + loss.size, dtype="float64").reshape(loss.shape)
        x.zero_grad()
        target.zero_grad()
        (loss * weights).sum().backward()
        found.append([loss.numpy(), x.grad.numpy(), np.zeros(0) if target.grad is None else target.grad.numpy()])
    for fast, definition in zip(*found, strict=True):
        assert definition.shape == fast.shape
        np.testing.assert_allclose(definition, fast, rtol=1e-12, atol=1e-14)


def test_the_tape_shows_a_loss_under_its_own_name_and_keeps_what_its_backward_needs():
    x, soft = tensor(rng.normal(size=(6, 4)), requires_grad=True), tensor(rng.dirichlet(np.ones(4), 6))
    of_indices = cross_entropy(x, indices([0, 1, 2, 3, 0, 1]), label_smoothing=0.1)
    losses = [of_indices, cross_entropy(x, soft), tr.losses.binary_cross_entropy(x, soft), tr.losses.huber(x, soft)]
    names = ["cross_entropy", "cross_entropy", "binary_cross_entropy", "huber"]
    assert [[entry.op.name for entry in tr.tape(loss)] for loss in losses] == [[name] for name in names]
    row = str(tr.tape(of_indices)).splitlines()[1]
    assert row.split()[-5:-1] == ["float64[]", "logits,", "index,", "residuals"]
    assert row.split()[-1] == str(6 * 8 + 2 * 6 * 4 * 8)  # the indices, and the logits and their probabilities


def test_a_loss_has_no_private_op_on_its_tape():
    x, soft = tensor(rng.normal(size=(3, 4)), requires_grad=True), tensor(rng.dirichlet(np.ones(4), 3), requires_grad=True)
    weight = tensor(WEIGHT, requires_grad=True)
    public = {*tr.__all__, *tr.ops.__all__, *tr.losses.__all__}
    for loss in (
        tr.losses.mse(x, soft),
        tr.losses.mae(x, soft),
        tr.losses.huber(x, soft),
        tr.losses.kl_divergence(x, soft),
        tr.losses.kl_divergence(x, soft, log_target=True),
        tr.losses.hinge(x, tensor(np.ones((3, 4)))),
        tr.losses.binary_cross_entropy(x, soft, weight=weight, pos_weight=weight),
        cross_entropy(x, soft, weight=weight, label_smoothing=0.1),
        cross_entropy(x, indices([0, 1, 2]), weight=tensor(WEIGHT), label_smoothing=0.1, ignore_index=1),
        cross_entropy(tensor(WEIGHT, requires_grad=True), indices(1)),
    ):
        assert {entry.op.name for entry in tr.tape(loss)} <= public


# ---- mae, huber, binary cross-entropy, divergence, hinge

PAIRED = ["mse", "mae", "huber", "binary_cross_entropy", "kl_divergence", "hinge"]


@pytest.mark.parametrize("name", PAIRED)
def test_no_loss_broadcasts(name):  # pytorch#16045
    loss = getattr(tr.losses, name)
    with pytest.raises(ValueError, match=rf"^{name}: .*\n  got       prediction float64\[3, 1\] and target float64\[3\]\n"):
        loss(tensor(np.ones((3, 1))), tensor(np.ones(3)))


@pytest.mark.parametrize("name", PAIRED)
def test_reductions(name):
    loss = getattr(tr.losses, name)
    x, t = tensor(rng.normal(size=(4, 3))), tensor(np.ones((4, 3)))
    each = loss(x, t, reduction="none").numpy()
    assert each.shape == ((4,) if name == "kl_divergence" else (4, 3))
    assert loss(x, t, reduction="sum").item() == pytest.approx(each.sum(), rel=1e-14)
    assert loss(x, t).item() == pytest.approx(each.mean(), rel=1e-14)
    assert loss(tensor(np.ones((0, 3))), tensor(np.ones((0, 3)))).item() == 0.0
    with pytest.raises(ValueError, match=f"{name}: got reduction='all', expected 'mean', 'sum' or 'none'"):
        loss(x, t, reduction="all")


@pytest.mark.parametrize("name", PAIRED)
def test_a_prediction_of_one_number_may_have_a_number_for_its_target(name):
    loss = getattr(tr.losses, name)
    if name == "kl_divergence":
        with pytest.raises(ValueError, match="kl_divergence: got axis=-1 for an array of 0 axes"):
            loss(tensor(-0.5), 1.0)
    else:
        assert loss(tensor(-0.5), 1.0).item() == loss(tensor([-0.5]), tensor([1.0])).item()


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("name", PAIRED)
def test_every_loss_keeps_the_dtype(name, dtype):
    x, t = tensor(rng.normal(size=(4, 3)), dtype, requires_grad=True), tensor(np.ones((4, 3)), dtype)
    loss = getattr(tr.losses, name)(x, t)
    loss.backward()
    assert loss.dtype == x.grad.dtype == dtype


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_binary_cross_entropy_is_stable_at_logits_of_1e4(dtype):
    z = tensor([1e4, 1e4, -1e4, -1e4, 0.0], dtype, requires_grad=True)
    losses = tr.losses.binary_cross_entropy(z, tensor([1.0, 0.0, 0.0, 1.0, 0.5], dtype), reduction="none")
    np.testing.assert_allclose(losses.numpy(), [0.0, 1e4, 0.0, 1e4, np.log(2)], rtol=1e-6)
    losses.sum().backward()
    assert z.grad.tolist() == [0.0, 1.0, 0.0, -1.0, 0.0]


@pytest.mark.parametrize("name", ["mse", "mae", "huber", "hinge"])
def test_large_predictions_give_finite_gradients(name):
    x = tensor([1e4, -1e4], requires_grad=True)
    getattr(tr.losses, name)(x, tensor([1.0, -1.0])).backward()
    assert np.isfinite(x.grad.numpy()).all()


def test_divergence_of_large_logits_and_of_certain_targets():
    z = tensor([[1e4, 0.0, -1e4]], requires_grad=True)
    divergence = tr.losses.kl_divergence(tr.log_softmax(z), tensor([[0.0, 1.0, 0.0]]))
    assert divergence.item() == 1e4
    divergence.backward()
    assert z.grad.tolist() == [[1.0, -1.0, 0.0]]
    p = tensor([[0.5, 0.5], [0.25, 0.75]])
    assert tr.losses.kl_divergence(tr.log(p), p).item() == 0.0
    assert tr.losses.kl_divergence(tr.log(p), tr.log(p), log_target=True).item() == 0.0


def test_binary_weights_may_be_numbers_or_broadcast_but_not_grow_the_loss():
    z, t = tensor(rng.normal(size=(4, 3))), tensor(np.ones((4, 3)))
    bce = tr.losses.binary_cross_entropy
    assert bce(z, t, pos_weight=2.0).item() == pytest.approx(2 * bce(z, t).item())
    assert bce(z, t, weight=tensor([2.0, 2.0, 2.0])).item() == pytest.approx(2 * bce(z, t).item())
    for name in ("weight", "pos_weight"):
        with pytest.raises(
            ValueError,
            match=rf"^binary_cross_entropy: {name} .*\n  got       {name} float64\[4\] for logits float64\[4, 3\]\n",
        ):
            bce(z, t, **{name: tensor(np.ones(4))})
        for shape in ((2, 4, 3), (2, 3), (4, 2), (2, 1)):
            with pytest.raises(ValueError, match=rf"got       {name} float64\[{', '.join(map(str, shape))}\]"):
                bce(z, t, **{name: tensor(np.ones(shape))})
        for shape in ((), (1,), (1, 3), (4, 1), (1, 1)):
            assert bce(z, t, **{name: tensor(np.full(shape, 2.0))}).item() == pytest.approx(2 * bce(z, t).item())
    with pytest.raises(TypeError, match=r"binary_cross_entropy: got target int64\[4, 3\], expected floats; use astype"):
        bce(z, indices(np.ones((4, 3))))


def test_hinge_takes_integers_and_refuses_labels_of_0():
    scores = tensor([2.0, 0.5, 0.5], "float32")
    assert tr.losses.hinge(scores, indices([1, 1, -1]), reduction="none").tolist() == [0.0, 0.5, 1.5]
    assert tr.losses.hinge(scores, indices([1, 1, -1])).dtype == "float32"
    with pytest.raises(ValueError, match="hinge: got a target other than 1 and -1, .*; for labels 0 and 1 use 2"):
        tr.losses.hinge(scores, indices([1, 0, 1]))


def test_huber_goes_over_from_a_parabola_into_a_line():
    d = np.array([-3.0, -0.5, 0.0, 0.5, 3.0])
    x = tensor(d, requires_grad=True)
    losses = tr.losses.huber(x, tensor(np.zeros(5)), delta=2.0, reduction="none")
    np.testing.assert_allclose(losses.numpy(), [4.0, 0.125, 0.0, 0.125, 4.0])
    losses.sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), [-2.0, -0.5, 0.0, 0.5, 2.0])


@pytest.mark.parametrize("value", [0.0, -0.5, float("nan")])
@pytest.mark.parametrize(("name", "setting"), [("huber", "delta"), ("hinge", "margin")])
def test_a_bend_that_is_not_above_0_is_refused(name, setting, value):
    with pytest.raises(ValueError, match=f"{name}: got {setting}={value}, expected more than 0"):
        getattr(tr.losses, name)(tensor([1.0]), tensor([1.0]), **{setting: value})


def test_the_axis_goes_by_no_other_name():
    x = tensor(np.zeros((3, 4)))
    with pytest.raises(TypeError, match="kl_divergence: got an unexpected keyword argument; dim is axis here"):
        tr.losses.kl_divergence(x, x, dim=1)
    with pytest.raises(TypeError, match="kl_divergence: got axis='1', expected an integer"):
        tr.losses.kl_divergence(x, x, axis="1")
