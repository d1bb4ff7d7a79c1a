"""Activations: values and gradients against formulas in NumPy, and the awkward points."""

import math

import numpy as np
import pytest

import tinyreg as tr

pytestmark = pytest.mark.usefixtures("backend")


def tensor(values, dtype="float64", requires_grad=False):
    here = tr.zeros(0).backend
    return tr.tensor(np.asarray(values), dtype=dtype, backend=here, requires_grad=requires_grad)


def gradient(f, x, g):
    leaf = tensor(x, requires_grad=True)
    f(leaf).backward(tensor(g))
    return leaf.grad.numpy()


X = np.array([[-2.0, 0.5, 1.5], [3.0, -0.25, 0.75]])
G = np.array([[0.3, -1.7, 2.0], [-0.4, 1.1, 0.9]])
PHI = np.vectorize(lambda x: (1 + math.erf(x / math.sqrt(2))) / 2)


def tanh_gelu(x):
    return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))


def tanh_gelu_slope(x):
    u = np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)
    return 0.5 * (1 + np.tanh(u)) + 0.5 * x / np.cosh(u) ** 2 * np.sqrt(2 / np.pi) * (1 + 3 * 0.044715 * x**2)


ELEMENTWISE = {
    "gelu": (tr.gelu, lambda x: x * PHI(x), lambda x: PHI(x) + x * np.exp(-x * x / 2) / np.sqrt(2 * np.pi)),
    "gelu tanh": (lambda x: tr.gelu(x, approximate="tanh"), tanh_gelu, tanh_gelu_slope),
    "silu": (tr.silu, lambda x: x / (1 + np.exp(-x)), lambda x: (1 + np.exp(-x) * (1 + x)) / (1 + np.exp(-x)) ** 2),
    "leaky_relu": (
        lambda x: tr.leaky_relu(x, 0.2),
        lambda x: np.where(x > 0, x, 0.2 * x),
        lambda x: np.where(x > 0, 1, 0.2),
    ),
    "elu": (
        lambda x: tr.elu(x, alpha=0.7),
        lambda x: np.where(x > 0, x, 0.7 * (np.exp(x) - 1)),
        lambda x: np.where(x > 0, 1, 0.7 * np.exp(x)),
    ),
}


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_elementwise_value_and_gradient(name):
    f, value, slope = ELEMENTWISE[name]
    np.testing.assert_allclose(f(tensor(X)).numpy(), value(X), rtol=1e-14)
    np.testing.assert_allclose(gradient(f, X, G), G * slope(X), rtol=1e-14)


@pytest.mark.parametrize("axis", [0, 1, -1, -2])
def test_softmax_and_log_softmax(axis):
    e = np.exp(X)
    p = e / e.sum(axis=axis, keepdims=True)
    np.testing.assert_allclose(tr.softmax(tensor(X), axis=axis).numpy(), p, rtol=1e-14)
    np.testing.assert_allclose(tr.log_softmax(tensor(X), axis=axis).numpy(), np.log(p), rtol=1e-13)
    expected = p * (G - (G * p).sum(axis=axis, keepdims=True))
    np.testing.assert_allclose(gradient(lambda x: tr.softmax(x, axis=axis), X, G), expected, rtol=1e-13, atol=1e-16)
    expected = G - p * G.sum(axis=axis, keepdims=True)
    np.testing.assert_allclose(gradient(lambda x: tr.log_softmax(x, axis=axis), X, G), expected, rtol=1e-13)


def test_softmax_takes_the_largest_of_each_row_and_not_of_the_array():
    x = tensor([[1e4, 1e4 - 1], [-1e4, -1e4 - 1]])
    p = 1 / (1 + math.exp(-1))
    np.testing.assert_allclose(tr.softmax(x).numpy(), [[p, 1 - p]] * 2, rtol=1e-14)
    np.testing.assert_allclose(tr.log_softmax(x).numpy(), np.log([[p, 1 - p]] * 2), rtol=1e-14)


def test_softmax_is_exact_at_large_float32_logits():
    x = tensor([1e4, 1e4 - 0.5], dtype="float32")
    p = 1 / (1 + math.exp(-0.5))
    np.testing.assert_allclose(tr.softmax(x).numpy(), [p, 1 - p], rtol=1e-6)
    np.testing.assert_allclose(tr.log_softmax(x).numpy(), np.log([p, 1 - p]), rtol=1e-6)


def test_a_masked_logit_gets_no_share_and_no_gradient():
    x = [0.0, -np.inf, 0.0]
    np.testing.assert_array_equal(tr.softmax(tensor(x)).numpy(), [0.5, 0.0, 0.5])
    np.testing.assert_allclose(gradient(tr.softmax, x, [1.0, 5.0, 0.0]), [0.25, 0.0, -0.25])


def test_softmax_has_a_second_derivative():
    def f(x):
        return (tr.softmax(x) * tensor([1.0, -2.0, 0.5])).sum()

    x = tensor([0.3, -0.2, 0.9])
    h = 1e-5
    step = np.eye(3) * h
    numeric = [
        (tr.grad(f)(tensor(x.numpy() + s)).numpy() - tr.grad(f)(tensor(x.numpy() - s)).numpy()) / (2 * h) for s in step
    ]
    np.testing.assert_allclose(tr.hessian(f)(x).numpy(), numeric, rtol=1e-6, atol=1e-9)


def test_conventions_at_zero():
    one = [1.0]
    assert gradient(lambda x: tr.leaky_relu(x, 0.2), [0.0], one) == [0.2]
    assert gradient(tr.elu, [0.0], one) == [1.0]
    assert gradient(lambda x: tr.elu(x, alpha=0.5), [0.0], one) == [0.5]


def test_elu_does_not_overflow_in_the_branch_not_taken():
    np.testing.assert_array_equal(tr.elu(tensor([1e4, -1e4])).numpy(), [1e4, -1.0])
    np.testing.assert_array_equal(gradient(tr.elu, [1e4, -1e4], [1.0, 1.0]), [1.0, 0.0])


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_dtype_is_kept(dtype):
    for f in (tr.softmax, tr.log_softmax, tr.gelu, tr.silu, tr.leaky_relu, tr.elu):
        x = tensor(X, dtype=dtype, requires_grad=True)
        y = f(x)
        assert y.dtype == dtype
        y.sum().backward()
        assert x.grad.dtype == dtype


def test_arrays_give_arrays():
    x = tensor(X).data
    for f in (tr.softmax, tr.log_softmax, tr.gelu, tr.silu, tr.leaky_relu, tr.elu):
        assert type(f(x)) is type(x)


def test_unknown_approximation():
    with pytest.raises(ValueError, match="gelu: got .* expected approximate='none' or 'tanh'. got approximate='erf'"):
        tr.gelu(tensor(X), approximate="erf")


@pytest.mark.parametrize(
    "f", [tr.sigmoid, tr.log_sigmoid, tr.softplus, tr.tanh, tr.erf, tr.relu, tr.gelu, tr.silu, tr.leaky_relu, tr.elu]
)
@pytest.mark.parametrize("value", [1.5, -1.5])
def test_a_plain_number_gives_an_array_of_its_value(f, value):
    with tr.use(tr.zeros(0).backend):
        y = f(value)
    assert y.shape == ()
    assert float(y) == pytest.approx(f(tensor([value])).numpy()[0])
