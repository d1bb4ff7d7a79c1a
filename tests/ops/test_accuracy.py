"""Every elementwise op and reduction is right to a few units of the last place, at every size and in every dtype."""

import math

import numpy as np
import pytest
from accurate import ROWS, errors, magnitudes, mp, mpf

import tinyreg as tr

DTYPES = ["float64", "float32", "float16"]
ALLOWED = {"float64": 5, "float32": 5, "float16": 2}
"""Units of the last place: the array library's own functions have up to 3 in float32, and a slope takes one or two."""

pytestmark = pytest.mark.filterwarnings("ignore:overflow encountered")  # what is too large for a dtype is inf in the end


@pytest.fixture
def rng(request):
    """A generator of further arguments, in the deep search only."""
    return np.random.default_rng(0) if request.config.getoption("--profile") == "deep" else None


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ROWS)
def test_value_and_slope_are_right_to_a_few_units_of_the_last_place(name, dtype, rng):
    row = ROWS[name]
    sizes = magnitudes(dtype, rng)
    x = np.concatenate([-sizes[::-1], sizes])
    x = x[row.domain(x.astype(np.float64))]
    leaf = tr.tensor(x, requires_grad=True)
    y = row.f(leaf)
    y.backward(tr.ones(y.shape, dtype=dtype))
    exact = [mpf(float(a)) for a in x]
    allowed = np.array([ALLOWED[dtype] + float(row.strain(a)) for a in exact])
    values = errors(y.numpy(), [row.value(a) for a in exact], dtype, [0] * len(x))
    slopes = errors(leaf.grad.numpy(), [row.slope(a) for a in exact], dtype, [row.size(a) for a in exact])
    beyond = np.isinf(y.numpy()) & np.isinf(leaf.grad.numpy())  # a slope may be worked out from a result
    slopes = np.where(beyond, 0, slopes)
    wrong = [(float(a), v, s) for a, v, s, most in zip(x, values, slopes, allowed, strict=True) if max(v, s) > most]
    assert not wrong, f"at, units in the value, units in the slope: {wrong[:5]}"


# ---- of two arguments

SIZES = [1e-37, 1e-20, 1e-4, 0.5, 1.0, 1.5, 3.0, 20.0, 100.0, 3e3, 1e7, 1e7 + 1, 1e18, 1e30]


def _share(a, b):
    return 1 / (1 + mp.exp(b - a)) if abs(b - a) < 1e6 else mpf(a > b)


def _logaddexp(a, b):
    return max(a, b) + (mp.log1p(mp.exp(-abs(a - b))) if abs(a - b) < 1e6 else 0)


TWO = {
    "logaddexp": (
        tr.logaddexp,
        _logaddexp,
        _share,
        lambda a, b: _share(b, a),
        lambda a, b: abs(a - b) if abs(a - b) < 2000 else 0,
    ),
    "hypot": (
        tr.hypot,
        lambda a, b: mp.sqrt(a * a + b * b),
        lambda a, b: a / mp.sqrt(a * a + b * b),
        lambda a, b: b / mp.sqrt(a * a + b * b),
        lambda a, b: 0,
    ),
    "atan2": (tr.atan2, mp.atan2, lambda a, b: b / (a * a + b * b), lambda a, b: -a / (a * a + b * b), lambda a, b: 0),
    "divide": (tr.divide, lambda a, b: a / b, lambda a, b: 1 / b, lambda a, b: -a / b**2, lambda a, b: 0),
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", TWO)
def test_values_and_slopes_of_two_arguments_are_right_to_a_few_units_of_the_last_place(name, dtype):
    f, value, first, second, strain = TWO[name]
    line = np.array(SIZES)[(np.array(SIZES) > np.finfo(dtype).tiny) & (np.array(SIZES) < np.finfo(dtype).max)].astype(dtype)
    line = np.concatenate([-line, line])
    a, b = (grid.ravel() for grid in np.meshgrid(line, line))
    leaves = [tr.tensor(x, requires_grad=True) for x in (a, b)]
    y = f(*leaves)
    y.backward(tr.ones(y.shape, dtype=dtype))
    exact = [(mpf(float(p)), mpf(float(q))) for p, q in zip(a, b, strict=True)]
    allowed = [ALLOWED[dtype] + float(strain(p, q)) for p, q in exact]
    for got, right in ((y.numpy(), value), (leaves[0].grad.numpy(), first), (leaves[1].grad.numpy(), second)):
        sizes = [max(abs(p), abs(q)) if name == "logaddexp" and right is value else 0 for p, q in exact]  # it cancels
        found = errors(got, [right(p, q) for p, q in exact], dtype, sizes)
        wrong = [(p, q, u) for p, q, u, most in zip(a, b, found, allowed, strict=True) if u > most]
        assert not wrong, f"at, and units: {wrong[:5]}"


# ---- at infinity

AT_INFINITY = {  # values and slopes at -inf and inf
    "expm1": ([-1, math.inf], [0, math.inf]),
    "atan": ([-math.pi / 2, math.pi / 2], [0, 0]),
    "tanh": ([-1, 1], [0, 0]),
    "asinh": ([-math.inf, math.inf], [0, 0]),
    "erf": ([-1, 1], [0, 0]),
    "ndtr": ([0, 1], [0, 0]),
    "gaussian": ([0, 0], [0, 0]),
    "logistic": ([0, 0], [0, 0]),
    "sigmoid": ([0, 1], [0, 0]),
    "log_sigmoid": ([-math.inf, 0], [1, 0]),
    "softplus": ([0, math.inf], [0, 1]),
    "softplus, beta": ([0, math.inf], [0, 1]),
    "silu": ([0, math.inf], [0, 1]),
    "gelu": ([0, math.inf], [0, 1]),
    "gelu, tanh": ([0, math.inf], [0, 1]),
    "elu": ([-0.5, math.inf], [0, 1]),
    "leaky_relu": ([-math.inf, math.inf], [0.25, 1]),
    "reciprocal": ([0, 0], [0, 0]),
    "square": ([math.inf, math.inf], [-math.inf, math.inf]),
    "3 / x": ([0, 0], [0, 0]),
    "2.5 pow": ([0, math.inf], [0, math.inf]),
    "hypot": ([math.inf, math.inf], [-1, 1]),
    "atan2, above": ([-math.pi / 2, math.pi / 2], [0, 0]),
    "atan2, below": ([math.pi, 0], [0, 0]),
    "logaddexp": ([0, math.inf], [0, 1]),
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", AT_INFINITY)
def test_what_has_a_limit_at_infinity_takes_it(name, dtype):
    x = tr.tensor([-math.inf, math.inf], dtype=dtype, requires_grad=True)
    y = ROWS[name].f(x)
    y.backward(tr.ones(2, dtype=dtype))
    value, slope = AT_INFINITY[name]
    np.testing.assert_allclose(y.numpy(), np.array(value, dtype), rtol=np.finfo(dtype).eps)
    np.testing.assert_allclose(x.grad.numpy(), np.array(slope, dtype), rtol=np.finfo(dtype).eps)


@pytest.mark.parametrize(
    ("f", "x", "value", "slope"),
    [
        (tr.logsumexp, [math.inf, 0.0], math.inf, [1, 0]),
        (tr.logsumexp, [math.inf, math.inf], math.inf, [0.5, 0.5]),
        (tr.logsumexp, [-math.inf, -math.inf], -math.inf, [0, 0]),
        (tr.softmax, [math.inf, 0.0], [1, 0], [0, 0]),
        (tr.softmax, [-math.inf, 0.0], [0, 1], [0, 0]),
        (tr.norm, [-math.inf, 1.0], math.inf, [-1, 0]),
        (lambda x: tr.norm(x, 3), [-math.inf, 1.0], math.inf, [-1, 0]),
        (lambda x: tr.pow(x, tr.tensor([-math.inf, -math.inf])), [2.0, 3.0], [0, 0], [0, 0]),
        (lambda x: tr.pow(math.inf, x), [-1.0, -2.0], [0, 0], [0, 0]),
        (lambda x: tr.pow(0.0, x), [-1.0, 2.0], [math.inf, 0], [-math.inf, 0]),
        (lambda x: tr.pow(tr.tensor([math.inf, 0.0]), x), [-1.0, -2.0], [0, math.inf], [0, -math.inf]),
        (lambda x: tr.atan2(x, tr.tensor([math.inf, -math.inf])), [math.inf, 1.0], [math.pi / 4, math.pi], [0, 0]),
    ],
)
@pytest.mark.filterwarnings("ignore:divide by zero")
def test_infinite_elements_leave_no_nan(f, x, value, slope):
    x = tr.tensor(x, requires_grad=True)
    y = f(x)
    y.backward(tr.ones(y.shape))
    np.testing.assert_allclose(y.numpy(), np.array(value, "float32"), rtol=1e-6, atol=1e-30)
    np.testing.assert_allclose(x.grad.numpy(), np.array(slope, "float32"), rtol=1e-6, atol=1e-30)


# ---- reductions

ROWS_OF_NUMBERS = {
    "close and far out": [1e7, 1e7, 1e7 + 1],
    "large": [1e4, 1e4 + 8, 1e4 - 24],
    "far below 0": [-800.0, -800.5, -801.0],
    "of every size": [3.0, -2.0, 0.5, 1e-3, 20.0],
    "squares beyond float16": [300.0, -400.0, 500.0],
    "squares below float16": [1e-4, 2e-4, -3e-4],
    "almost float16's largest": [6e4, -5e4, 4e4],
    "more than float16 counts": [*[1.0] * 3000, 2.0],
    "a narrow spread": [1.0, 1.0009765625, 1.001953125, 1.0],
}


def _mean(x):
    return sum(x) / len(x)


def _centred(x):
    mean = _mean(x)
    return [a - mean for a in x]


def _variance(x):
    return sum(c * c for c in _centred(x)) / len(x)


def _divided(x, by):
    return [a / by for a in x]


def _top(x):
    largest = max(x)
    return [mp.exp(a - largest) for a in x]


def _shares(x):
    return _divided(_top(x), sum(_top(x)))


REDUCTIONS = {  # the value; its gradient; whether what is rounded on the way is magnified
    "sum": (tr.sum, sum, lambda x: [mpf(1)] * len(x), False),
    "mean": (tr.mean, _mean, lambda x: [mpf(1) / len(x)] * len(x), False),
    "var": (tr.var, _variance, lambda x: _divided(_centred(x), mpf(len(x)) / 2), False),
    "std": (
        tr.std,
        lambda x: mp.sqrt(_variance(x)),
        lambda x: _divided(_centred(x), len(x) * mp.sqrt(_variance(x))),
        False,
    ),
    "norm": (tr.norm, mp.norm, lambda x: _divided(x, mp.norm(x)), False),
    "norm 1": (lambda x: tr.norm(x, 1), lambda x: mp.norm(x, 1), lambda x: [mp.sign(a) for a in x], False),
    "norm 3": (
        lambda x: tr.norm(x, 3),
        lambda x: mp.norm(x, 3),
        lambda x: _divided([a * abs(a) for a in x], mp.norm(x, 3) ** 2),
        False,
    ),
    "logsumexp": (tr.logsumexp, lambda x: max(x) + mp.log(sum(_top(x))), _shares, True),
}


@pytest.mark.parametrize("numbers", ROWS_OF_NUMBERS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", REDUCTIONS)
def test_reductions_are_right_to_a_few_units_of_the_last_place(name, dtype, numbers):
    f, value, gradient, strained = REDUCTIONS[name]
    with np.errstate(over="ignore"):
        x = np.array(ROWS_OF_NUMBERS[numbers]).astype(dtype)
    if not np.isfinite(x).all():
        pytest.skip("float16 has no such numbers")
    leaf = tr.tensor(x, requires_grad=True)
    y = f(leaf)
    y.backward()
    exact = [mpf(float(a)) for a in x]
    size = _mean([abs(a) for a in exact]) if name == "mean" else sum(map(abs, exact)) if name == "sum" else 0
    (units,) = errors([y.item()], [value(exact)], dtype, [size])
    assert units <= ALLOWED[dtype]
    strain = min(float(max(exact) - min(exact)), 100) if strained else 0
    cancelled = abs(_mean(exact)) / 2**8 / len(x) if name in ("var", "std") else 0
    assert max(errors(leaf.grad.numpy(), gradient(exact), dtype, [cancelled] * len(x))) <= ALLOWED[dtype] + strain


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_gradient_through_a_mean_of_more_than_float16_can_count(dtype):
    x = tr.tensor(np.ones(2**17), dtype=dtype, requires_grad=True)
    tr.mean(x).backward(tr.tensor(2.0**10, dtype=dtype))
    assert set(x.grad.tolist()) == {2.0**-7}


@pytest.mark.parametrize("op", [tr.max, tr.min])
def test_more_ties_than_float16_can_count_share_the_gradient(op):
    x = tr.tensor(np.ones(2**12 + 4), dtype="float16", requires_grad=True)
    op(x).backward(tr.tensor(4100.0, dtype="float16"))
    assert set(x.grad.tolist()) == {1.0}


@pytest.mark.parametrize("n", [0, 1, 2, 3, 7, 64, 65])
def test_the_gradient_of_a_product_is_that_of_the_others_also_beside_zeros(n):
    rng = np.random.default_rng(n)
    values = rng.choice([0.0, 1.5, -2.0, 0.5, 3.0], (2, n), p=[0.04, 0.24, 0.24, 0.24, 0.24])
    x = tr.tensor(values, dtype="float64", requires_grad=True)
    tr.prod(x, axis=1).backward(tr.tensor([1.0, -2.0], dtype="float64"))
    right = [[g * np.prod(np.delete(row, i)) for i in range(n)] for g, row in zip((1.0, -2.0), values, strict=True)]
    np.testing.assert_allclose(x.grad.numpy(), np.reshape(right, (2, n)), rtol=1e-14)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("ord", "right"), [("fro", 500.0), ("nuc", 700.0), (2, 400.0), (1, 400.0), (math.inf, 400.0)])
def test_norms_of_matrices_in_every_dtype(ord, right, dtype):
    x = tr.tensor([[0.0, 400.0], [300.0, 0.0]], dtype=dtype, requires_grad=True)
    y = tr.matrix_norm(x, ord)
    y.backward()
    assert (y.dtype, x.grad.dtype) == (dtype, dtype)
    assert y.item() == pytest.approx(right, rel=1e-3)
    assert np.isfinite(x.grad.numpy()).all()


# ---- too few values


@pytest.mark.parametrize("op", [tr.var, tr.std])
@pytest.mark.parametrize(("shape", "correction"), [(1, 1), (0, 0), (2, 3)])
def test_too_few_values_have_a_variance_of_nan_and_a_gradient_of_nan(op, shape, correction):
    x = tr.ones(shape, requires_grad=True)
    with pytest.warns(RuntimeWarning, match=f"got {shape} values? and correction={correction}: too few") as caught:
        y = op(x, correction=correction)
    assert caught[0].filename == __file__
    y.backward()
    assert math.isnan(y.item())
    assert np.isnan(x.grad.numpy()).all()
