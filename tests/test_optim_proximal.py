"""Proximal steps against what defines them, and regularized least squares against solutions in closed form."""

import numpy as np
import pytest
from leaves import leaf

import tinyreg as tr
from tinyreg.optim import prox_elastic_net, prox_l1

pytestmark = pytest.mark.usefixtures("backend")

V = np.array([[2.0, -0.3, 0.0, 0.5], [-0.5, 0.51, -4.0, 1e-9]])


def soft(v, strength):
    return np.sign(v) * np.maximum(np.abs(v) - strength, 0)


def test_prox_l1_is_the_soft_threshold():
    for strength in (0.0, 0.5, 3.0):
        np.testing.assert_array_equal(prox_l1(leaf(V), strength).numpy(), soft(V, strength))


def test_prox_elastic_net_is_without_the_half():  # keras#4712
    l1, l2 = 0.5, 0.25
    u = prox_elastic_net(leaf(V), l1, l2).numpy()
    np.testing.assert_allclose(u, soft(V, l1) / (1 + 2 * l2), rtol=1e-15)
    # It is the minimum of |u - v|^2 / 2 + l1 |u|_1 + l2 |u|_2^2: the derivative is 0, or where u is 0 a subgradient is.
    moved = u != 0
    np.testing.assert_allclose((u - V + l1 * np.sign(u) + 2 * l2 * u)[moved], 0, atol=1e-12)
    assert (abs(V[~moved]) <= l1).all()
    assert 0 < moved.sum() < V.size


@pytest.mark.parametrize("prox", [lambda w: prox_l1(w, 0.5), lambda w: prox_elastic_net(w, 0.5, 0.5)])
@pytest.mark.parametrize("shape", [(), (0,), (3, 2)])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_a_tensor_gives_a_tensor_and_an_array_an_array(prox, shape, dtype):
    w = leaf(np.full(shape, 2.0), dtype)
    result, of_array = prox(w), prox(w.data)
    assert isinstance(result, tr.Tensor)
    assert type(of_array) is type(w.data)
    for made in (result, of_array):
        assert (made.dtype, made.shape) == (dtype, shape)
    np.testing.assert_array_equal(w.numpy(), np.full(shape, 2.0))


def test_zeros_are_positive_and_nan_stays():
    w = prox_l1(tr.tensor([-0.25, 0.25, np.nan, np.inf, -np.inf]), np.float64(0.5)).numpy()
    assert not np.signbit(w[:2]).any()
    np.testing.assert_array_equal(w, [0.0, 0.0, np.nan, np.inf, -np.inf])
    assert w.dtype == "float32"


def test_the_gradient_is_one_where_the_result_is_not_zero():
    w = leaf([2.0, 0.25, -0.5, 0.0, -3.0])
    prox_l1(w, 0.5).sum().backward()
    assert w.grad.tolist() == [1.0, 0.0, 0.0, 0.0, 1.0]
    w.zero_grad()
    prox_elastic_net(w, 0.5, 0.5).sum().backward()
    assert w.grad.tolist() == [0.5, 0.0, 0.0, 0.0, 0.5]


def test_strengths_out_of_range():
    with pytest.raises(ValueError, match="prox_l1: got strength=-0.5, expected at least 0"):
        prox_l1(leaf(V), -0.5)
    with pytest.raises(ValueError, match="prox_elastic_net: got l1=nan, expected at least 0"):
        prox_elastic_net(leaf(V), np.nan, 0.5)
    with pytest.raises(ValueError, match="prox_elastic_net: got l2=-1, expected at least 0"):
        prox_elastic_net(leaf(V), 0.5, -1)


# ---- least squares, |X w - y|^2 / 2, by gradient descent

RNG = np.random.default_rng(0)
X = RNG.normal(size=(20, 6))
Q = np.linalg.qr(X)[0]  # orthonormal columns
Y = Q @ np.array([2.0, -1.5, 0.2, -0.1, 0.05, 0.7]) + 0.01 * RNG.normal(size=20)


def descended(design, lr, steps, step=lambda w: None, penalty=lambda w: 0.0):
    w = leaf(np.zeros(6))
    x, y = (tr.tensor(a, backend=w.backend) for a in (design, Y))
    optimizer = tr.optim.SGD([w], lr=lr)
    for _ in range(steps):
        optimizer.zero_grad()
        (tr.square(x @ w - y).sum() / 2 + penalty(w)).backward()
        optimizer.step()
        step(w)
    return w.numpy()


def test_lasso_with_an_orthonormal_design_is_the_soft_threshold():
    strength, lr = 0.3, 0.5
    w = descended(Q, lr, 60, step=lambda w: w.assign(prox_l1(w, lr * strength)))
    expected = soft(Q.T @ Y, strength)
    np.testing.assert_allclose(w, expected, atol=1e-14)
    np.testing.assert_array_equal(w == 0, expected == 0)
    assert (w == 0).sum() == 3


def test_elastic_net_with_an_orthonormal_design_is_the_shrunk_soft_threshold():
    l1, l2, lr = 0.3, 0.5, 0.5
    w = descended(Q, lr, 60, step=lambda w: w.assign(prox_elastic_net(w, lr * l1, lr * l2)))
    expected = soft(Q.T @ Y, l1) / (1 + 2 * l2)
    np.testing.assert_allclose(w, expected, atol=1e-14)
    np.testing.assert_array_equal(w == 0, expected == 0)


def test_lasso_with_any_design_satisfies_its_optimality_conditions():
    strength, lr = 2.0, 1 / np.linalg.norm(X, 2) ** 2
    w = descended(X, lr, 500, step=lambda w: w.assign(prox_l1(w, lr * strength)))
    slope = X.T @ (X @ w - Y)
    np.testing.assert_allclose(slope[w != 0], -strength * np.sign(w[w != 0]), rtol=1e-9)
    assert (abs(slope[w == 0]) < strength).all()
    assert 0 < (w == 0).sum() < 6


def test_a_subgradient_of_l1_never_gives_exact_zeros_but_a_proximal_step_does():  # tensorflow/playground#55
    strength, lr = 0.3, 0.1
    by_subgradient = descended(Q, lr, 300, penalty=lambda w: strength * tr.abs(w).sum())
    by_prox = descended(Q, lr, 300, step=lambda w: w.assign(prox_l1(w, lr * strength)))
    assert (by_subgradient == 0).sum() == 0
    assert (by_prox == 0).sum() == 3
    assert abs(by_subgradient[by_prox == 0]).max() < lr  # small, but not 0


@pytest.mark.parametrize("coupled", [False, True])
def test_ridge_is_its_closed_form(coupled):
    # |X w - y|^2 / 2 + strength / 2 |w|^2 has its minimum where (X^T X + strength I) w = X^T y: both with the half.
    strength = 0.5
    lr = 1 / (np.linalg.norm(X, 2) ** 2 + strength)
    if coupled:
        w = leaf(np.zeros(6))
        x, y = (tr.tensor(a, backend=w.backend) for a in (X, Y))
        optimizer = tr.optim.SGD([w], lr=lr, l2=strength)
        for _ in range(500):
            optimizer.zero_grad()
            (tr.square(x @ w - y).sum() / 2).backward()
            optimizer.step()
        found = w.numpy()
    else:
        found = descended(X, lr, 500, penalty=lambda w: tr.regularizers.l2(w, strength))
    np.testing.assert_allclose(found, np.linalg.solve(X.T @ X + strength * np.eye(6), X.T @ Y), rtol=1e-10)
