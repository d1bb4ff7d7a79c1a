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
            r"group_lasso: got weight float64\[2\] and axis=1, expected an axis",
        ),
        (lambda r: r.orthogonal(leaf(V), 1.0), r"orthogonal: got weight float64\[2\], expected at least two axes"),
        (lambda r: r.gradient_penalty(tr.sum, leaf(W), -1.0), "gradient_penalty: got strength=-1.0, expected at least 0"),
        (lambda r: r.gradient_penalty(tr.sum, leaf(W), 1.0, target=-1.0), "gradient_penalty: got target=-1.0"),
        (
            lambda r: r.gradient_penalty(tr.sum, leaf(np.ones((0, 2))), 1.0),
            r"got x float64\[0, 2\], expected samples along",
        ),
    ],
)
def test_what_does_not_fit_is_refused(call, text):
    with pytest.raises(ValueError, match=text):
        call(tr.regularizers)
