"""Regularizers: the chapter's formulas, factor for factor."""

import numpy as np
import pytest

import tinyreg as tr

pytestmark = pytest.mark.usefixtures("backend")

W = np.array([[1.5, -2.0], [0.0, 0.25]])
V = np.array([3.0, -1.0])


def leaf(values, dtype="float64"):
    return tr.tensor(np.asarray(values), dtype=dtype, backend=tr.zeros(0).backend, requires_grad=True)


def test_l2_has_the_half():  # keras#4712
    w, v = leaf(W), leaf(V)
    penalty = tr.regularizers.l2([w, v], 0.3)
    assert penalty.item() == pytest.approx(0.15 * ((W**2).sum() + (V**2).sum()), rel=1e-15)
    penalty.backward()
    np.testing.assert_allclose(w.grad.numpy(), 0.3 * W, rtol=1e-15)
    np.testing.assert_allclose(v.grad.numpy(), 0.3 * V, rtol=1e-15)


def test_l1_and_its_gradient_which_is_0_at_0():
    w, v = leaf(W), leaf(V)
    penalty = tr.regularizers.l1([w, v], 0.3)
    assert penalty.item() == pytest.approx(0.3 * (np.abs(W).sum() + np.abs(V).sum()), rel=1e-15)
    penalty.backward()
    np.testing.assert_allclose(w.grad.numpy(), 0.3 * np.array([[1, -1], [0, 1]]), rtol=1e-15)


@pytest.mark.parametrize("regularizer", [tr.regularizers.l1, tr.regularizers.l2])
def test_one_tensor_is_as_a_list_of_one(regularizer):
    assert regularizer(leaf(W), 0.3).item() == regularizer([leaf(W)], 0.3).item()
    assert regularizer((w for w in [leaf(W), leaf(V)]), 0.3).item() == regularizer([leaf(W), leaf(V)], 0.3).item()


@pytest.mark.parametrize("regularizer", [tr.regularizers.l1, tr.regularizers.l2])
def test_float32_stays_float32(regularizer):
    w = leaf(W, "float32")
    penalty = regularizer([w], 0.3)
    penalty.backward()
    assert penalty.dtype == w.grad.dtype == "float32"


@pytest.mark.parametrize("name", ["l1", "l2"])
def test_a_negative_strength_is_refused(name):
    with pytest.raises(ValueError, match=f"{name}: got strength=-0.1, expected at least 0"):
        getattr(tr.regularizers, name)(leaf(W), -0.1)
    with pytest.raises(ValueError, match="got strength=nan"):
        getattr(tr.regularizers, name)(leaf(W), float("nan"))


@pytest.mark.parametrize("name", ["l1", "l2"])
def test_an_iterator_that_was_used_up_is_refused(name):
    weights = iter([leaf(W)])
    getattr(tr.regularizers, name)(weights, 0.1)
    with pytest.raises(ValueError, match=f"{name}: got no weights, .* an iterator serves only once, so pass a list"):
        getattr(tr.regularizers, name)(weights, 0.1)


# ---- elastic net, group lasso, orthogonality


def test_elastic_net_has_no_half():
    w, v = leaf(W), leaf(V)
    penalty = tr.regularizers.elastic_net([w, v], 0.3, 0.7)
    expected = 0.3 * (np.abs(W).sum() + np.abs(V).sum()) + 0.7 * ((W**2).sum() + (V**2).sum())
    assert penalty.item() == pytest.approx(expected, rel=1e-15)
    penalty.backward()
    np.testing.assert_allclose(v.grad.numpy(), 0.3 * np.sign(V) + 2 * 0.7 * V, rtol=1e-14)


def test_elastic_net_takes_an_iterator():
    assert tr.regularizers.elastic_net(iter([leaf(W), leaf(V)]), 0.3, 0.7).item() == pytest.approx(
        tr.regularizers.elastic_net([leaf(W), leaf(V)], 0.3, 0.7).item()
    )


def test_group_lasso_depends_on_the_lengths_of_groups_alone():
    rows = np.array([[3.0, 4.0], [0.0, 0.0]])
    turned = rows @ np.array([[0.6, -0.8], [0.8, 0.6]])
    assert tr.regularizers.group_lasso(leaf(rows), 0.5).item() == pytest.approx(0.5 * 2**0.5 * 5)
    assert tr.regularizers.group_lasso(leaf(turned), 0.5).item() == pytest.approx(0.5 * 2**0.5 * 5)
    assert tr.regularizers.l1(leaf(turned), 0.5).item() != pytest.approx(tr.regularizers.l1(leaf(rows), 0.5).item())
    w = leaf(rows)
    tr.regularizers.group_lasso(w, 0.5).backward()
    np.testing.assert_allclose(w.grad.numpy(), 0.5 * 2**0.5 * np.array([[0.6, 0.8], [0.0, 0.0]]), rtol=1e-14)


@pytest.mark.parametrize("shape", [(2, 4), (4, 2), (3, 2, 2)])
def test_orthogonal_is_0_at_orthonormal_rows_or_columns_and_pulls_towards_them(shape):
    start = tr.nn.init.orthogonal(shape, rng=tr.Generator(0), dtype="float64")
    assert tr.regularizers.orthogonal(leaf(tr.tensor(start).numpy()), 1.0).item() == pytest.approx(0.0, abs=1e-25)
    w = leaf(np.random.default_rng(0).normal(size=shape))
    for _ in range(500):
        w.zero_grad()
        tr.regularizers.orthogonal(w, 1.0).backward()
        w.assign(w.data - 0.02 * w.grad.data)
    assert tr.regularizers.orthogonal(w, 1.0).item() < 1e-10


# ---- gradient penalty


def test_gradient_penalty_of_a_linear_function():
    x, w = leaf(np.ones((5, 2))), leaf([[3.0], [4.0]])
    penalty = tr.regularizers.gradient_penalty(lambda x: x @ w, x, 0.5, target=1.0)
    assert penalty.item() == pytest.approx(0.5 * (5 - 1) ** 2)
    penalty.backward()
    np.testing.assert_allclose(w.grad.numpy(), 0.5 * 2 * (5 - 1) * np.array([[0.6], [0.8]]), rtol=1e-14)


def test_gradient_penalty_trains_a_network_flat():
    net = tr.nn.Sequential(tr.nn.Linear(2, 8, rng=tr.Generator(0)), tr.nn.Tanh(), tr.nn.Linear(8, 1, rng=tr.Generator(1)))
    x = leaf(np.random.default_rng(0).normal(size=(20, 2)), "float32").detach()
    optimizer = tr.optim.SGD(net.parameters(), lr=0.05)
    penalties = []
    for _ in range(60):
        optimizer.zero_grad()
        penalty = tr.regularizers.gradient_penalty(net, x, 1.0)
        penalty.backward()
        optimizer.step()
        penalties.append(penalty.item())
    assert penalties[-1] < penalties[0] / 100


def test_gradient_penalty_at_a_zero_gradient_has_a_gradient():  # HIPS#151
    w = leaf([[0.0], [0.0]])
    tr.regularizers.gradient_penalty(lambda x: x @ w, leaf(np.ones((3, 2))), 1.0, target=1.0).backward()
    assert w.grad.tolist() == [[0.0], [0.0]]


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda r: r.elastic_net(leaf(W), -0.1, 0.1), "elastic_net: got l1=-0.1, expected at least 0"),
        (lambda r: r.elastic_net(leaf(W), 0.1, -0.1), "elastic_net: got l2=-0.1, expected at least 0"),
        (lambda r: r.elastic_net([], 0.1, 0.1), "elastic_net: got no weights"),
        (lambda r: r.group_lasso(leaf(W), -1.0), "group_lasso: got strength=-1.0"),
        (
            lambda r: r.group_lasso(leaf(V), 1.0, axis=1),
            "group_lasso: got axis=1 for an array of 1 axis, expected an axis",
        ),
        (
            lambda r: r.orthogonal(leaf(V), 1.0),
            r"orthogonal: got weight float64\[2\], expected at least two axes; leave biases out",
        ),
        (lambda r: r.gradient_penalty(tr.sum, leaf(W), -1.0), "gradient_penalty: got strength=-1.0, expected at least 0"),
        (lambda r: r.gradient_penalty(tr.sum, leaf(W), 1.0, target=-1.0), "gradient_penalty: got target=-1.0"),
        (
            lambda r: r.gradient_penalty(tr.sum, leaf(np.ones((0, 2))), 1.0),
            r"got x float64\[0, 2\], expected samples along the first axis; x\[None\] makes one sample",
        ),
    ],
)
def test_what_does_not_fit_is_refused(call, text):
    with pytest.raises(ValueError, match=text):
        call(tr.regularizers)


# ---- float16, strengths, and which weights


PENALTIES = {
    "l2": lambda w: tr.regularizers.l2(w, 1e-4),
    "l1": lambda w: tr.regularizers.l1(w, 1e-4),
    "elastic_net": lambda w: tr.regularizers.elastic_net(w, 1e-3, 1e-4),
    "group_lasso": lambda w: tr.regularizers.group_lasso(w, 1e-2),
    "orthogonal": lambda w: tr.regularizers.orthogonal(w, 1e-9),
}


@pytest.mark.parametrize("scale", [400.0, 2.0**-13, 1.0])
@pytest.mark.parametrize("name", PENALTIES)
def test_a_penalty_of_float16_is_worked_out_in_float32(name, scale):
    values = (scale * np.array([[3.0, 4.0, 0.0], [0.0, -1.0, 2.0]])).astype("float16")
    w, wide = leaf(values, "float16"), leaf(values.astype("float64"))
    penalty, expected = PENALTIES[name](w), PENALTIES[name](wide)
    penalty.backward()
    expected.backward()
    assert penalty.dtype == w.grad.dtype == "float16"
    tiny = 2.0**-25  # half of the least float16
    np.testing.assert_allclose(penalty.item(), expected.item(), rtol=2**-10, atol=tiny)
    np.testing.assert_allclose(w.grad.numpy(), wide.grad.numpy(), rtol=2**-10, atol=tiny)


def test_many_float16_weights_count_past_2048():
    w = leaf(np.ones(5000), "float16")
    assert tr.regularizers.l1(w, 1.0).item() == 5000
    assert tr.regularizers.l2([w, w], 1.0).item() == 5000


def test_weights_of_several_dtypes_give_the_widest():
    assert tr.regularizers.l2([leaf(W, "float16"), leaf(W, "float32")], 0.1).dtype == "float32"


def test_a_strength_of_0_is_nothing_whatever_the_weights_are():
    for name in ("l1", "l2", "group_lasso", "orthogonal"):
        w = leaf([[np.inf, 1e300], [np.nan, 0.0]])
        penalty = getattr(tr.regularizers, name)(w, 0)
        penalty.backward()
        assert penalty.item() == 0.0
        assert w.grad.tolist() == [[0.0, 0.0], [0.0, 0.0]]


def test_numbers_of_numpy_are_strengths_and_what_is_no_number_is_refused():
    w = leaf(W, "float32")
    for strength in (np.float64(0.5), np.float32(0.5), np.array(0.5)):
        penalty = tr.regularizers.l2(w, strength)
        assert penalty.item() == tr.regularizers.l2(w, 0.5).item()
        assert penalty.dtype == "float32"
    assert tr.regularizers.group_lasso(w, np.float32(1), axis=np.int64(1)).dtype == "float32"
    with pytest.raises(TypeError, match="l2: got strength='0.1', expected at least 0"):
        tr.regularizers.l2(w, "0.1")
    with pytest.raises(TypeError, match="gradient_penalty: got target=None"):
        tr.regularizers.gradient_penalty(tr.sum, w, 1.0, target=None)


def test_a_strength_may_ask_for_its_own_gradient():
    strength = leaf(0.5)
    tr.regularizers.l2(leaf(V), strength).backward()
    assert strength.grad.item() == pytest.approx((V**2).sum() / 2)
    with pytest.raises(ValueError, match="l2: got strength="):
        tr.regularizers.l2(leaf(V), leaf(-0.5))


def test_the_weights_of_a_model_are_neither_biases_nor_parameters_of_norms():
    nn = tr.nn
    model = nn.Sequential(
        nn.Conv2d(1, 2, 3),
        nn.BatchNorm(2),
        nn.Flatten(),
        nn.LayerNorm((4, 2)),
        nn.WeightNorm(nn.Linear(8, 3)),
        nn.RNN(3, 2),
    )
    found = {name for name, p in model.named_parameters() if any(p is w for w in tr.regularizers.weights(model))}
    assert found == {"0.weight", "4.g", "5.weight_ih_l0", "5.weight_hh_l0"}  # of WeightNorm the lengths
    tr.regularizers.l2(tr.regularizers.weights(model), 0.1).backward()
    assert model[0].weight.grad is not None
    assert model[0].bias.grad is None


def test_a_model_in_the_place_of_weights_is_told_what_to_do():
    with pytest.raises(TypeError, match=r"l2: got a Linear, expected weights: tr.regularizers.weights\(model\)"):
        tr.regularizers.l2(tr.nn.Linear(2, 1), 0.1)
    with pytest.raises(TypeError, match=r"l1: got weight \('weight', .*, expected a tensor or an array of floats"):
        tr.regularizers.l1(tr.nn.Linear(2, 1).named_parameters(), 0.1)
    with pytest.raises(TypeError, match=r"l1: got weight 1.0, expected a tensor"):
        tr.regularizers.l1([1.0, 2.0], 0.1)


# ---- gradient penalty and batch norm


def test_gradient_penalty_refuses_a_batch_norm_that_mixes_samples_and_leaves_it_alone():
    norm = tr.nn.BatchNorm(3)
    model = tr.nn.Sequential(tr.nn.Linear(2, 3), norm, tr.nn.ReLU(), tr.nn.Linear(3, 1))
    before = {name: value.numpy().copy() for name, value in model.state_dict().items()}
    x = leaf(np.ones((4, 2)), "float32")
    text = r"(?s)^gradient_penalty: .*\n  got       a batch norm by the batch's own statistics\n.*eval mode.*frozen"
    with pytest.raises(ValueError, match=text):
        tr.regularizers.gradient_penalty(model, x, 1.0)
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), before[name])
    with pytest.raises(ValueError, match=text) as held:
        tr.regularizers.gradient_penalty(lambda x: tr.normalization.batch_norm(x), x, 1.0)
    model(x)  # which is allowed as ever
    del held


def test_gradient_penalty_takes_norms_that_keep_samples_apart():
    x = leaf(np.random.default_rng(0).normal(size=(4, 2)), "float32")
    for norm in (tr.nn.BatchNorm(4).eval(), tr.nn.BatchNorm(4, frozen=True), tr.nn.LayerNorm(4), tr.nn.GroupNorm(1, 4)):
        rng = tr.Generator(0)
        model = tr.nn.Sequential(tr.nn.Linear(2, 4, rng=rng), norm, tr.nn.Tanh(), tr.nn.Linear(4, 1, rng=rng))
        together = tr.regularizers.gradient_penalty(model, x, 1.0).item()
        alone = [tr.regularizers.gradient_penalty(model, x[i : i + 1], 1.0).item() for i in range(4)]
        assert together == pytest.approx(np.mean(alone), rel=1e-4)


def test_gradient_penalty_of_float16_slopes():
    x, w = leaf(np.ones((3, 2)), "float16"), leaf([[300.0], [400.0]], "float16")
    penalty = tr.regularizers.gradient_penalty(lambda x: x @ w, x, 0.1)
    assert penalty.item() == float(np.float16(25000.0))
    assert tr.regularizers.gradient_penalty(lambda x: x @ w, x, 0.1, target=1.0).item() == float(np.float16(0.1 * 499**2))


def test_the_axis_of_groups_goes_by_no_other_name():
    with pytest.raises(TypeError, match="group_lasso: got an unexpected keyword argument; dim is axis here"):
        tr.regularizers.group_lasso(leaf(W), 1.0, dim=1)
    with pytest.raises(TypeError, match="group_lasso: got axis='1', expected an integer"):
        tr.regularizers.group_lasso(leaf(W), 1.0, axis="1")


def test_weights_of_what_is_no_module():
    with pytest.raises(TypeError, match=r"^weights: got 3, expected a module, such as tr\.nn\.Linear$"):
        tr.regularizers.weights(3)


def test_weights_are_parameters_of_two_axes_that_may_be_shrunk():
    class Model(tr.nn.Module):
        def __init__(self):
            self.matrix, self.vector = tr.nn.Parameter(W), tr.nn.Parameter(V)
            self.still = tr.nn.Parameter(W, decay=False)

    model = Model()
    assert [p.name for p in tr.regularizers.weights(model)] == ["matrix"]


def test_every_weight_is_looked_at():
    with pytest.raises(TypeError, match=r"l2: got weight int64\[1\]"):
        tr.regularizers.l2([leaf(W), tr.tensor([1])], 0.5)


@pytest.mark.parametrize("target", [0.0, 1.0])
def test_gradient_penalty_of_samples_with_several_axes(target):
    x, w = leaf(np.arange(12.0).reshape(2, 2, 3) / 8), leaf(np.arange(6.0).reshape(2, 3) / 4)
    penalty = tr.regularizers.gradient_penalty(lambda x: (x * x * w).sum(axis=(1, 2)), x, 0.5, target=target)
    slopes = 2 * x.numpy() * w.numpy()
    norms = np.sqrt((slopes**2).sum(axis=(1, 2)))
    assert penalty.item() == pytest.approx(0.5 * ((norms - target) ** 2).mean(), rel=1e-12)


def test_a_strength_that_is_learned_may_be_0():
    strength = leaf(0.0)
    tr.regularizers.l2(leaf(V), strength).backward()
    assert strength.grad.item() == pytest.approx((V**2).sum() / 2)


def test_gradient_penalty_at_an_array_reaches_what_the_function_closes_over():
    w, x = leaf([[3.0], [4.0]]), leaf(np.ones((5, 2))).data
    tr.regularizers.gradient_penalty(lambda x: x @ w, x, 0.5).backward()
    np.testing.assert_allclose(w.grad.numpy(), w.numpy(), rtol=1e-14)


def test_a_penalty_that_flattens_is_curved_where_the_function_is_flat():
    x = leaf(np.ones((5, 2)))
    penalty = lambda w: tr.regularizers.gradient_penalty(lambda x: x @ w, x, 0.5)
    assert tr.hvp(penalty, leaf([[0.0], [0.0]]), leaf([[1.0], [2.0]])).tolist() == [[1.0], [2.0]]
