"""Proximal steps against what defines them, and regularized least squares against solutions in closed form."""

import numpy as np
import pytest
from leaves import leaf

import tinyreg as tr
from tinyreg.optim import Proximal, prox_elastic_net, prox_group_lasso, prox_l1

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


# ---- groups


def test_a_group_shrinks_by_the_root_of_its_size():
    assert prox_group_lasso(leaf([3.0, -4.0]), 1.0).tolist() == [2.0, -3.0]  # groups of one: the soft threshold
    pair = leaf([[3.0, 4.0]])
    np.testing.assert_allclose(prox_group_lasso(pair, 1 / np.sqrt(2)).numpy(), [[2.4, 3.2]], rtol=1e-14)
    assert prox_group_lasso(pair, 6 / np.sqrt(2)).tolist() == [[0.0, 0.0]]
    np.testing.assert_allclose(prox_group_lasso(leaf([[3.0], [4.0]]), 1 / np.sqrt(2), axis=1).numpy(), [[2.4], [3.2]])


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_prox_of_groups_is_where_its_derivative_is_zero(axis):
    v, strength = np.random.default_rng(1).normal(size=(4, 3, 2)) * [[[1]], [[0.1]], [[2]], [[0.5]]], 0.4
    u = leaf(prox_group_lasso(leaf(v), strength, axis=axis).numpy())
    (
        tr.square(u - tr.tensor(v, backend=u.backend)).sum() / 2 + tr.regularizers.group_lasso(u, strength, axis=axis)
    ).backward()
    moved = np.broadcast_to(np.any(u.numpy() != 0, axis=tuple({0, 1, 2} - {axis % 3}), keepdims=True), v.shape)
    np.testing.assert_allclose(u.grad.numpy()[moved], 0, atol=1e-14)
    assert moved.any()


def test_prox_of_groups_at_zero_at_infinity_and_in_float16():
    w = leaf([[0.0, 0.0], [np.inf, 1.0], [300.0, 400.0]], "float16")
    u = prox_group_lasso(w, 100 / np.sqrt(2))
    np.testing.assert_allclose(u.numpy(), [[0.0, 0.0], [np.inf, 1.0], [240.0, 320.0]], rtol=1e-3)
    assert u.dtype == "float16"
    w = leaf([[0.0, 0.0], [3.0, 4.0]])
    prox_group_lasso(w, 1.0).sum().backward()
    assert np.isfinite(w.grad.numpy()).all()
    with pytest.raises(ValueError, match="prox_group_lasso: got axis=2 for an array of 2 axes"):
        prox_group_lasso(w, 1.0, axis=2)
    with pytest.raises(ValueError, match="prox_group_lasso: got strength=-1, expected at least 0"):
        prox_group_lasso(w, -1)


def test_strengths_beyond_float16_are_not_infinite():
    w = leaf([60000.0, -2.0], "float16")
    np.testing.assert_allclose(prox_elastic_net(w, 1.0, 1e5).numpy(), [59999 / 200001, -1 / 200001], rtol=1e-2)
    assert prox_l1(w, 1e6).tolist() == [0.0, 0.0]


# ---- steps that fit the optimizer

DESIGN = np.random.default_rng(0).normal(size=(50, 5)) * [1.0, 2.0, 0.5, 1.0, 3.0]
TARGET = DESIGN @ [1.0, 0.1, 0.0, 0.0, 0.02] + 0.1 * np.random.default_rng(1).normal(size=50)
OPTIMIZERS = {
    "SGD": lambda ws: tr.optim.SGD(ws, 0.1),
    "momentum": lambda ws: tr.optim.SGD(ws, 0.02, momentum=0.9),
    "nesterov": lambda ws: tr.optim.SGD(ws, 0.02, momentum=0.9, nesterov=True),
    "Adam": lambda ws: tr.optim.Adam(ws, 0.02),
    "other betas": lambda ws: tr.optim.Adam(ws, 0.02, betas=(0.5, 0.9), eps=1e-3),
    "AdamW": lambda ws: tr.optim.AdamW(ws, 0.02, weight_decay=0.0),
}


def rested(make, steps=800, **strengths):
    """Least squares (over 2 N) by an optimizer and the proximal steps that fit it; the weights stand as two tensors."""
    a, b = leaf(np.zeros(2)), leaf(np.zeros(3))
    x, y = (tr.tensor(part, backend=a.backend) for part in (DESIGN, TARGET))
    optimizer, proximal = make([a, b]), Proximal([a, b], **strengths)
    for _ in range(steps):
        optimizer.zero_grad()
        (tr.square(x @ tr.concat(a, b, axis=0) - y).sum() / 100).backward()
        optimizer.step()
        proximal.step(optimizer)
    return np.concatenate([a.numpy(), b.numpy()])


@pytest.mark.parametrize("make", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_lasso_is_that_of_scikit_learn(make):
    linear_model = pytest.importorskip("sklearn.linear_model")
    expected = linear_model.Lasso(alpha=0.4, fit_intercept=False, tol=1e-14, max_iter=10**6).fit(DESIGN, TARGET).coef_
    found = rested(make, l1=0.4)
    np.testing.assert_allclose(found, expected, atol=1e-8)
    np.testing.assert_array_equal(found == 0, expected == 0)
    assert 0 < (found == 0).sum() < 5


@pytest.mark.parametrize("name", ["momentum", "Adam"])
def test_the_elastic_net_is_that_of_scikit_learn(name):
    linear_model = pytest.importorskip("sklearn.linear_model")
    net = linear_model.ElasticNet(alpha=0.4, l1_ratio=0.5, fit_intercept=False, tol=1e-14, max_iter=10**6)
    found = rested(OPTIMIZERS[name], l1=0.2, l2=0.1)  # scikit-learn's l2 has the half
    np.testing.assert_allclose(found, net.fit(DESIGN, TARGET).coef_, atol=1e-8)


@pytest.mark.parametrize("name", ["SGD", "momentum", "nesterov"])
def test_groups_of_weights_are_at_the_minimum_of_the_penalized_loss(name):
    def loss(a, b):
        fit = tr.square(
            tr.tensor(DESIGN, backend=a.backend) @ tr.concat(a, b, axis=0) - tr.tensor(TARGET, backend=a.backend)
        )
        return fit.sum() / 100 + tr.regularizers.group_lasso([a, b], 0.4)

    found = rested(OPTIMIZERS[name], group_lasso=0.4)
    a, b = leaf(found[:2]), leaf(found[2:])
    loss(a, b).backward()
    slopes = np.concatenate([a.grad.numpy(), b.grad.numpy()])
    np.testing.assert_allclose(slopes[found != 0], 0, atol=1e-10)
    assert 0 < (found == 0).sum() < 5


def test_fit_takes_it_as_a_callback_and_leaves_biases_alone():
    model = tr.nn.Linear(5, 1, rng=tr.Generator(0))
    backend = model.weight.backend
    x, y = (tr.tensor(part, dtype="float32", backend=backend) for part in (DESIGN, TARGET[:, None]))
    proximal = Proximal(model, l1=np.float32(0.4))
    assert [id(p) for p in proximal.parameters] == [id(model.weight)]
    optimizer = tr.optim.Adam(model.parameters(), lr=0.02)
    tr.training.fit(
        model,
        (x, y),
        loss=lambda output, target: tr.losses.mse(output, target) / 2,
        optimizer=optimizer,
        epochs=300,
        batch_size=50,
        callbacks=[proximal],
        progress=False,
    )
    assert (model.weight.numpy() == 0).sum() == 2


def test_the_rate_that_counts_is_that_of_the_step():
    w = leaf([1.0])
    optimizer, proximal = tr.optim.SGD([w], lr=0.5), Proximal([w], l1=0.5)
    w.grad = tr.zeros_like(w)
    optimizer.step()
    optimizer.lr = 0.0
    proximal.step(optimizer)
    assert w.tolist() == [0.75]


def test_what_did_not_move_is_left_alone():
    w, unused = leaf([1.0]), leaf([1.0])
    optimizer, proximal = tr.optim.Adam([w, unused], lr=0.5), Proximal([w, unused], l1=0.5)
    proximal.step(optimizer)
    assert w.tolist() == [1.0]
    w.grad = tr.ones_like(w)
    optimizer.step()
    optimizer.zero_grad()
    proximal.step(optimizer)
    assert w.item() == pytest.approx(0.25)
    assert unused.tolist() == [1.0]


def test_optimizers_that_do_not_fit_are_refused():
    class Signs(tr.optim.SGD):
        def direction(self, xp, g, state, settings):
            return xp.sign(g)

    w, other = leaf([1.0]), leaf([[1.0]])
    w.grad, other.grad = tr.ones_like(w), tr.ones_like(other)
    for optimizer, error, text in (
        (Signs([w], lr=0.1), TypeError, "Signs does not say how far its steps go; expected SGD, Adam or AdamW"),
        (tr.optim.SGD([w], lr=0.1, momentum=1.0), ValueError, "got momentum=1.0, expected below 1"),
        (tr.optim.SGD([other], lr=0.1), ValueError, "got an optimizer without 1 of 1 weights, the first"),
        (None, TypeError, "Proximal: got None, expected an optimizer"),
    ):
        if optimizer:
            optimizer.step()
        before = w.numpy()
        with pytest.raises(error, match=text):
            Proximal([w], l1=0.1).step(optimizer)
        np.testing.assert_array_equal(w.numpy(), before)
    adam = tr.optim.Adam([w, other])
    adam.step()
    before = w.numpy(), other.numpy()
    with pytest.raises(ValueError, match="got group_lasso after an optimizer whose step differs by element, expected SGD"):
        Proximal([w, other], group_lasso=0.1).step(adam)
    np.testing.assert_array_equal(w.numpy(), before[0])
    for settings, text in (
        ({"l1": -1}, "Proximal: got l1=-1"),
        ({"group_lasso": 1, "axis": 1}, "Proximal: got axis=1 for an"),
    ):
        with pytest.raises(ValueError, match=text):
            Proximal([w], **settings)


def test_weights_of_several_groups_and_dtypes_go_as_far_as_their_own_steps():
    ws = [leaf([1.0, -1.0]), leaf([1.0, -1.0], "float32"), leaf([1.0, -1.0])]
    optimizer = tr.optim.SGD([{"params": ws[:2], "lr": 0.125}, {"params": ws[2:]}], lr=0.5)
    for w in ws:
        w.grad = tr.zeros_like(w)
    optimizer.step()
    Proximal(ws, l1=0.5).step(optimizer)
    assert [w.tolist() for w in ws] == [[0.9375, -0.9375], [0.9375, -0.9375], [0.75, -0.75]]


# ---- what it is given, and what comes back


@pytest.mark.parametrize(
    ("prox", "name"),
    [
        (lambda w: prox_l1(w, 0.5), "prox_l1"),
        (lambda w: prox_elastic_net(w, 0.5, 0.5), "prox_elastic_net"),
        (lambda w: prox_group_lasso(w, 0.5), "prox_group_lasso"),
    ],
    ids=["l1", "elastic net", "groups"],
)
def test_what_is_no_array_is_refused_by_name(prox, name):
    with pytest.raises(TypeError, match=f"{name}: got "):
        prox([[1.0, 2.0]])


def test_float16_is_rounded_once():
    v = np.random.default_rng(0).normal(size=(40, 30)).astype("float16")
    wide = v.astype("float64")
    sizes = np.linalg.norm(wide, axis=1, keepdims=True)
    exact = wide * np.maximum(0, 1 - 0.7 * np.sqrt(30) / sizes)
    half = 0.502 * np.spacing(np.abs(exact).astype("float16")).astype("float64")
    assert (np.abs(prox_group_lasso(tr.tensor(v), 0.7).numpy() - exact) <= half).all()
    w = leaf(v, "float16")
    w.grad = tr.zeros_like(w)
    optimizer = tr.optim.SGD([w], lr=1.0)
    optimizer.step()
    Proximal([w], group_lasso=0.7).step(optimizer)
    assert w.dtype == "float16"
    assert (np.abs(w.numpy() - exact) <= half).all()


def test_groups_that_are_zero_stay_so_at_a_strength_of_zero():
    assert prox_group_lasso(tr.zeros((2, 3)), 0.0).tolist() == [[0.0] * 3] * 2
    np.testing.assert_array_equal(prox_group_lasso(tr.tensor([1.0, -2.0, 0.0]), 0.5).numpy(), [0.5, -1.5, 0.0])


def moved_by(w, **strengths):
    """What a proximal step makes of values that the optimizer leaves where they are."""
    w = leaf(w)
    w.grad = tr.zeros_like(w)
    optimizer = tr.optim.SGD([w], lr=0.5)
    optimizer.step()
    Proximal([w], **strengths).step(optimizer)
    return w.numpy()


def test_a_strength_of_zero_leaves_every_bit():
    w = np.array([[-0.0, np.nan], [1.0, -2.0], [-0.0, -0.0]])
    assert moved_by(w).tobytes() == w.tobytes()
    found = moved_by([[np.nan, 1.0]], l1=0.5)
    assert found[0, 1] == 0.75
    assert np.signbit(moved_by([[-0.0, 3.0]], group_lasso=0.1)[0, 0])


def test_groups_along_the_last_axis_are_counted_from_the_end_too():
    w = np.arange(6.0).reshape(2, 3)
    np.testing.assert_array_equal(moved_by(w, group_lasso=0.3, axis=-1), moved_by(w, group_lasso=0.3, axis=1))
    assert (moved_by(w, group_lasso=0.3, axis=-1) != moved_by(w, group_lasso=0.3)).any()


def test_a_number_stays_a_tensor():
    w = leaf(3.0)
    w.grad = tr.zeros_like(w)
    optimizer = tr.optim.SGD([w], lr=0.5)
    optimizer.step()
    Proximal([w], l2=1.0).step(optimizer)
    assert w.backend == w.grad.backend
    assert w.item() == 1.5


def test_all_weights_of_a_model_are_taken_and_looked_at():
    model = tr.nn.Sequential(tr.nn.Linear(2, 3), tr.nn.Linear(3, 1))
    assert [id(p) for p in Proximal(model, l1=0.5).parameters] == [id(model[0].weight), id(model[1].weight)]
    with pytest.raises(ValueError, match="axis"):
        Proximal([leaf([[1.0]]), leaf([1.0])], group_lasso=0.5, axis=1)
    Proximal([leaf([1.0])], l1=0.5, axis=1)  # there are no groups
    a, b = leaf([1.0]), leaf([2.0])
    with pytest.raises(ValueError, match="without 1 of 2 weights"):
        Proximal([a, b], l1=0.5).step(tr.optim.SGD([a], lr=0.5))


def test_fit_refuses_an_optimizer_that_does_not_fit_before_the_first_batch():
    class Signs(tr.optim.SGD):
        def direction(self, xp, g, state, settings):
            return xp.sign(g)

    model = tr.nn.Linear(2, 1)
    x, y = tr.zeros((4, 2)), tr.zeros((4, 1))
    called = []
    of_biases = tr.optim.SGD([model.bias], lr=0.5)
    for optimizer, error in ((of_biases, ValueError), (Signs(model.parameters(), lr=0.5), TypeError)):
        with pytest.raises(error):
            tr.training.fit(
                model,
                (x, y),
                loss=lambda output, target: called.append(1) or tr.losses.mse(output, target),
                optimizer=optimizer,
                epochs=1,
                callbacks=[Proximal(model, l1=0.5)],
                progress=False,
            )
    assert called == []
