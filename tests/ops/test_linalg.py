"""Linear algebra, form by form: every einsum, singular matrices, norms at zero, and what has no answer."""

import math

import numpy as np
import pytest
from cases import CASES
from cases.linalg import EINSUMS, SYSTEMS

import tinyreg as tr
from tinyreg.testing import PROPERTIES, Call


def random(*shape):
    return np.random.default_rng(0).uniform(-1.5, 1.5, shape)


def check_all(name, arrays, but=(), **settings):
    for which in PROPERTIES.values():
        if which.at == "calls" and which.applies(CASES[name]) and which.name not in but:
            CASES[name].check(which.key, Call(tuple(arrays), settings), seed=1)


@pytest.mark.parametrize(("subscripts", "shapes"), EINSUMS, ids=lambda value: str(value).replace(" ", ""))
def test_every_form_of_einsum(subscripts, shapes):
    check_all("einsum", [random(*shape) for shape in shapes], subscripts=subscripts)


def test_einsum_sums_over_an_ellipsis_that_the_result_leaves_out():
    x = random(2, 3, 2)
    np.testing.assert_allclose(tr.einsum("i...->i", x), x.sum(axis=(1, 2)))


@pytest.mark.parametrize(("a", "b"), SYSTEMS, ids=str)
def test_every_form_of_solve(a, b):
    check_all("solve", [random(*a) + 3 * np.eye(a[-1]), random(*b)])


SINGULAR = [
    np.zeros((2, 2)),
    np.zeros((3, 3)),
    np.ones((3, 3)),
    np.array([[1.0, 2.0], [2.0, 4.0]]),
    np.diag([1.0, 2.0, 0.0]),
    np.diag([1.0, 0.0, 0.0]),
    np.diag([1.0, 1.0, 0.0]),
    -np.eye(3),
]


@pytest.mark.parametrize("x", SINGULAR, ids=lambda x: str(x.tolist()))
def test_det_has_its_derivatives_at_singular_matrices_and_at_equal_singular_values(x):
    check_all("det", [x], but=["numeric third order"])  # which needs singular values that differ


@pytest.mark.parametrize("ord", ["fro", "nuc", 2, 1, math.inf])
def test_norms_have_gradient_zero_at_a_matrix_of_zeros(ord, backend):
    gradient = tr.grad(lambda x: tr.matrix_norm(x, ord))(tr.zeros((2, 3)))
    assert gradient.tolist() == [[0.0] * 3] * 2


def test_equal_singular_values_share_the_gradient_of_the_largest(backend):
    gradient = tr.grad(tr.largest_singular_value)(tr.tensor([[2.0, 0.0], [0.0, -2.0]]))
    assert gradient.tolist() == [[0.5, 0.0], [0.0, -0.5]]


def test_factors_give_back_the_matrix(backend):
    x = tr.tensor(random(2, 3, 3), dtype="float64")
    positive = x @ x.mT + tr.tensor(np.eye(3))
    u, s, vh = tr.svd(x)
    q, r = tr.qr(x)
    w, v = tr.eigh(positive)
    lower, upper = tr.cholesky(positive), tr.cholesky(positive, upper=True)
    for product, whole in (
        ((u * s[..., None, :]) @ vh, x),
        (q @ r, x),
        ((v * w[..., None, :]) @ v.mT, positive),
        (lower @ lower.mT, positive),
        (upper.mT @ upper, positive),
    ):
        np.testing.assert_allclose(product.numpy(), whole.numpy(), rtol=1e-12, atol=1e-12)


ERRORS = [
    (lambda: tr.inv(tr.zeros((2, 2))), r"inv: got x float32\[2, 2\] on \w+; expected square matrices .* not singular"),
    (lambda: tr.inv(tr.ones((2, 3))), r"inv: got x float32\[2, 3\] on \w+; expected square matrices"),
    (lambda: tr.solve(tr.zeros((2, 2)), tr.ones(2)), r"solve: got a float32\[2, 2\], b float32\[2\].* not singular"),
    (lambda: tr.solve(tr.ones((2, 2)), tr.ones(3)), r"solve: got .* b float32\[3\].* as many rows in b"),
    (lambda: tr.cholesky(-tr.ones((2, 2))), r"cholesky: got x float32\[2, 2\].* positive definite"),
    (lambda: tr.qr(tr.ones((2, 3))), r"qr: got x float32\[2, 3\].* at least as many rows as columns"),
    (lambda: tr.svd(tr.ones((2, 2)), full_matrices=True), r"svd: .* leave full_matrices out"),
    (lambda: tr.grad(lambda x: tr.slogdet(x)[1])(tr.zeros((2, 2))), r"inv: got .* not singular"),
    (lambda: tr.matrix_norm(tr.ones((2, 2)), 3), r"matrix_norm: got ord 3, expected one of 'fro', 'nuc', 2, 1, inf"),
    (lambda: tr.matrix_norm(tr.ones(2)), r"matrix_norm: got shape \[2\], expected at least two axes"),
    (lambda: tr.diagonal(tr.ones(2)), r"diagonal: got .* expected at least two axes"),
    (lambda: tr.tril(tr.ones(2)), r"tril: got .* expected at least two axes"),
    (
        lambda: tr.outer(tr.ones((2, 2)), tr.ones(2)),
        r"outer: got shapes \[2, 2\] and \[2\], expected two arrays of one axis",
    ),
    (lambda: tr.einsum("ij,jk", tr.ones((2, 2))), r"einsum: got 'ij,jk' for 1 operands, expected a term for each"),
    (lambda: tr.einsum("i", tr.ones((2, 2))), r"einsum: got 'i' for an operand of 2 axes, expected a letter for each"),
    (lambda: tr.einsum("i,i", tr.ones(2), tr.ones(3)), r"einsum: got .* equal lengths where letters are equal"),
    (lambda: tr.einsum("i->j", tr.ones(2)), r"einsum: got xs float32\[2\]"),
]


@pytest.mark.parametrize(("call", "text"), ERRORS, ids=[text.replace("\\", "") for _, text in ERRORS])
def test_what_has_no_answer_is_a_value_error(call, text, backend):
    with pytest.raises(ValueError, match=text):
        call()


def test_einsum_takes_its_subscripts_first():
    with pytest.raises(TypeError, match=r"einsum: got Tensor for the subscripts, expected text such as 'ij,jk->ik'"):
        tr.einsum(tr.ones(2), tr.ones(2))


# ---- float16

HALVES = {
    "matmul": (lambda x, w: tr.matmul(x, w), (40, 3000), (3000, 2)),
    "a stack": (lambda x, w: tr.matmul(x, w), (2, 3, 3000), (3000, 2)),
    "stacks": (lambda x, w: tr.matmul(x, w), (2, 3, 3000), (2, 3000, 4)),
    "linear": (lambda x, w: tr.linear(x, w), (2, 3, 3000), (4, 3000)),
    "einsum": (lambda x, w: tr.einsum("ij,kj->ik", x, w), (3, 3000), (4, 3000)),
    "einsum of three": (lambda x, w: tr.einsum("ij,kj,j->ik", x, w, w[0]), (3, 300), (4, 300)),
    "conv2d": (lambda x, w: tr.conv2d(x, w), (2, 300, 3, 3), (2, 300, 3, 3)),
    "depthwise": (lambda x, w: tr.conv2d(x, w, groups=2), (2, 2, 60, 60), (2, 1, 50, 50)),
    "avg_pool2d": (lambda x, w: tr.avg_pool2d(x, 60) + 0 * w, (1, 60, 60), (1, 1, 1)),
}


@pytest.mark.parametrize(("product", "a", "b"), HALVES.values(), ids=HALVES)
def test_products_of_float16_are_added_up_in_float32_and_rounded_once(product, a, b, backend):
    place = tr.zeros(0).backend
    x, w = (tr.tensor(0.5 + abs(random(*s)), dtype="float16", backend=place, requires_grad=True) for s in (a, b))
    wide = [tr.tensor(v.numpy().astype("float32"), backend=place, requires_grad=True) for v in (x, w)]
    y, right = product(x, w), product(*wide)
    y.backward(tr.ones_like(y))
    right.backward(tr.ones_like(right))
    for found, expected in ((y, right), (x.grad, wide[0].grad), (w.grad, wide[1].grad)):
        assert found.dtype == np.float16
        np.testing.assert_allclose(found.numpy(), expected.numpy(), rtol=2e-3)


def test_a_bias_of_float16_gathers_more_than_2048_rows(backend):
    bias = tr.zeros(2, dtype="float16", requires_grad=True)
    tr.linear(tr.ones((5000, 1), dtype="float16"), tr.ones((2, 1), dtype="float16"), bias).backward(
        tr.ones((5000, 2), dtype="float16")
    )
    assert bias.grad.tolist() == [5000, 5000]
    for groups in (1, 2):
        bias.grad = None
        y = tr.conv2d(
            tr.ones((1, 2, 50, 100), dtype="float16"), tr.ones((2, 2 // groups, 1, 1), dtype="float16"), bias, groups=groups
        )
        y.backward(tr.ones_like(y))
        assert bias.grad.tolist() == [5000, 5000]


def test_float16_is_multiplied_by_blas(monkeypatch):
    seen = []
    multiply = np.matmul
    monkeypatch.setattr("tinyreg.core.backend.np.matmul", lambda *xs, **more: seen.append(more) or multiply(*xs, **more))
    x = tr.ones((3, 3), dtype="float16", requires_grad=True)
    tr.linear(x @ x, x).sum().backward()
    assert seen
    assert all(more == {"dtype": np.float32} for more in seen)


def test_an_inverse_of_what_is_not_finite_is_nan_throughout_and_so_is_the_gradient_of_slogdet():
    x = np.array([[2.9, np.inf, 0.25], [-0.06, 6.25, -0.25], [0.06, -0.25, 8.9]])
    both = np.stack([np.eye(3), x])
    assert np.isnan(tr.inv(both)[1]).all()
    assert np.array_equal(tr.inv(both)[0], np.eye(3))
    assert tr.isnan(tr.grad(lambda x: tr.slogdet(x)[1])(tr.tensor(x))).numpy().all()


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan])
@pytest.mark.parametrize("f", [tr.svd, tr.svdvals, tr.eigh, tr.grad(tr.det), tr.largest_singular_value, tr.matrix_norm])
def test_decompositions_refuse_what_is_not_finite_where_they_might_never_end(f, value):
    x = np.zeros((2, 3, 3))
    x[1, 0, 0] = value
    with np.errstate(all="ignore"), pytest.raises(ValueError, match="There are infinities or NaN in x"):
        f(tr.tensor(x)[1], ord="nuc") if f is tr.matrix_norm else f(tr.tensor(x)[1])
