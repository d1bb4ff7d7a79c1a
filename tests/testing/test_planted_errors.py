"""Errors that other libraries' own checks are known to pass, planted here, and caught.

Sources: PyTorch 2.13 gradcheck, JAX 0.10 check_grads, HIPS autograd 1.9 check_grads, the test suites of MyGrad 2.5 and
autograd, Chainer's FunctionTestCase, tinygrad's test_ops; and public reports that name the issue.
"""

import re

import numpy as np
import pytest
from planted import op

import tinyreg as tr
from tinyreg.core.fused import FUSED
from tinyreg.testing import PROPERTIES, Case, Failure, at, run_property, strategies
from tinyreg.testing.properties import property_named


def square_product(xp, x1, x2):
    return x1 * x1 * x2


def planted(error, shape=(3,)):
    """x1^2 x2 with an error in the VJP of x1, which is given g and the slope."""
    made = op(square_product, x1=lambda g, x1, x2: error(g, 2 * x1 * x2), x2=lambda g, x1: g * x1 * x1)
    return Case(made, strategies.calls(strategies.arrays(shape), strategies.arrays(shape)), lambda a, b: a * a * b)


def fails(case, name):
    with pytest.raises(Failure, match=f"{case.name}: {name} ") as failure:
        run_property(case, property_named(name))
    return str(failure.value)


# ---- PyTorch's incoming gradients are positive and at most 1, and its relative tolerance is 1e-3

PASSED_BY_PYTORCH = {
    "|g|": lambda g, slope: tr.abs(g) * slope,
    "relu(g)": lambda g, slope: tr.relu(g) * slope,
    "clip(g)": lambda g, slope: tr.clip(g, -1.0, 1.0) * slope,
    "1 + 9e-4": lambda g, slope: g * slope * (1 + 9e-4),
}


@pytest.mark.parametrize("error", PASSED_BY_PYTORCH)
def test_what_pytorch_passes(error):
    fails(planted(PASSED_BY_PYTORCH[error]), "numeric first order")


# ---- JAX: an error of 1e-5, and the kinds of |g| on inputs of one element

PASSED_BY_JAX = PASSED_BY_PYTORCH | {"1 + 1e-5": lambda g, slope: g * slope * (1 + 1e-5)}


@pytest.mark.parametrize("error", PASSED_BY_JAX)
def test_what_jax_passes_on_one_element(error):
    fails(planted(PASSED_BY_JAX[error], shape=(1,)), "numeric first order")


def test_an_error_of_one_in_a_million_in_any_smooth_vjp():
    message = fails(planted(lambda g, slope: g * slope * (1 + 1e-6)), "numeric first order")
    assert "looks like: factor 1 + 1e-06" in message


# ---- HIPS autograd checks argument 0 only; MyGrad's and autograd's suites miss dtypes, layouts, empty arrays, second calls


def test_what_hips_autograd_passes_an_error_in_the_second_argument():
    made = op(square_product, x1=lambda g, x1, x2: 2 * g * x1 * x2, x2=lambda g, x1: g * x1)
    case = Case(made, strategies.calls(strategies.arrays((3,)), strategies.arrays((3,))))
    assert "d / d x2" in fails(case, "numeric first order")


def test_a_float64_gradient_for_float32():
    message = fails(planted(lambda g, slope: g * slope * np.ones(3)), "float32 against float64")
    assert "the VJP of square_product gave float64 for an argument of float32" in message


def double(xp, x):
    return x + x


def test_a_wrong_result_for_fortran_order():
    made = op(double, x=lambda g: 2 * (g if isinstance(g, tr.Tensor) else g.ravel(order="K").reshape(g.shape)))
    fails(Case(made, strategies.elementwise()), "layouts")


def test_a_crash_on_an_empty_array():
    made = op(double, x=lambda g: 2 * g * (tr.max(g) / tr.max(g)))
    message = fails(Case(made, strategies.elementwise()), "numeric first order")
    assert re.search(r"raised ValueError: max: got x float64\[(\d+, )*0\b", message)


def test_another_gradient_at_the_second_call():
    calls = []

    def forgetful(g):
        calls.append(g)
        return 2 * g if len(calls) % 2 else g + g * 2

    fails(Case(op(double, x=forgetful), strategies.elementwise()), "purity")


def test_a_cache_by_shape():
    cache = {}
    case = Case(
        op(square_product, x1=lambda g, x1, x2: cache.setdefault(x1.shape, 2 * x1 * x2) * g, x2=lambda g, x1: g * x1 * x1),
        strategies.calls(strategies.arrays((3,)), strategies.arrays((3,))),
    )
    fails(case, "two inputs of one shape")


# ---- tutorials and tinygrad sum the output: a softmax or a batch norm whose backward is zero passes


def softmax(xp, x):
    e = xp.exp(x - xp.max(x, axis=-1, keepdims=True))
    return e / xp.sum(e, axis=-1, keepdims=True)


def batch_norm(xp, x):
    centred = x - xp.mean(x, axis=0)
    return centred / xp.sqrt(xp.mean(centred * centred, axis=0) + 1e-5)


@pytest.mark.parametrize("forward", [softmax, batch_norm])
def test_a_backward_of_zeros_behind_a_sum_that_is_constant(forward):
    case = Case(op(forward, x=lambda g: 0.0 * g), strategies.calls(strategies.arrays((3, 2), unique=True)))
    assert "looks like: zeros" in fails(case, "numeric first order")


# ---- public reports


def test_a_random_projection_does_not_hide_a_wrong_element():
    """pytorch#59615."""

    def one_wrong(g, x):
        factors = np.where(np.arange(x.shape[0]) == 2, 2.0, 1.0)
        return 2 * g * x * factors

    def squared(xp, x):
        return x * x

    fails(Case(op(squared, x=one_wrong), strategies.calls(strategies.arrays((4,)))), "numeric first order")


def test_a_function_that_draws_a_new_mask_at_each_call_is_named():
    """pytorch#114333."""
    rng = np.random.default_rng(0)

    def masked(x):
        return tr.where(rng.random(x.shape) < 0.5, x, 0.0)

    message = fails(
        Case(masked, strategies.calls(strategies.arrays((9,), strategies.values(away_from=(0.0,))))), "numeric first order"
    )
    assert "other values when it is run again" in message


def test_batch_norm_whose_backward_uses_a_stored_array_is_wrong_at_second_order():
    """DeZero."""
    made = op(
        square_product,
        x1=lambda g, x1, x2: 2 * g * (x1.detach() if isinstance(x1, tr.Tensor) else x1) * x2,
        x2=lambda g, x1: g * x1 * x1,
    )
    case = Case(made, strategies.calls(strategies.arrays((3,)), strategies.arrays((3,))))
    run_property(case, PROPERTIES["P3"])
    fails(case, "numeric second order")


def test_two_ties_that_both_take_the_whole_gradient():
    """Theano#4568, onnxruntime#7217: (1, 1) is no subgradient of max."""
    made = op(lambda xp, x: xp.max(x), x=lambda g, x, y: g * tr.astype(tr.equal(x, y), x.dtype))
    case = Case(made, strategies.calls(strategies.arrays((3,), unique=True)), name="max", points=[at([1.0, 1.0, 0.0])])
    run_property(case, PROPERTIES["P3"])
    assert "outside of the one-sided derivatives" in fails(case, "special points")


def test_a_gradient_that_is_not_finite_where_the_function_is():
    """HIPS#151: norm at 0."""
    made = op(lambda xp, x: xp.sqrt(xp.sum(x * x)), x=lambda g, x, y: g * x / y)
    positive = strategies.values(away_from=(0.0,))
    case = Case(made, strategies.calls(strategies.arrays((2,), positive)), name="norm", points=[at([0.0, 0.0])])
    with np.errstate(invalid="ignore"):
        assert "the gradient is not finite" in fails(case, "special points")


@pytest.mark.parametrize(
    ("where_one_is_unused", "said"),
    [(lambda x: 0.0 * x, "from each result alone: "), (lambda x: None, "a VJP returned None, expected a gradient")],
    ids=["zeros", "nothing"],
)
def test_a_fast_form_that_is_wrong_only_where_a_result_is_not_used(where_one_is_unused, said):
    """It is given None for that result, as PyTorch's Function after `set_materialize_grads(False)`."""

    @tr.fused
    def twice_and_thrice(x):
        return 2.0 * x, 3.0 * x

    twice_and_thrice.fast(lambda xp, x: ((2.0 * x, 3.0 * x), None))
    twice_and_thrice.backward(
        lambda g, x: where_one_is_unused(x) if any(part is None for part in g) else 2.0 * g[0] + 3.0 * g[1]
    )
    del FUSED["twice_and_thrice"]
    message = fails(Case(twice_and_thrice, strategies.elementwise()), "linearity")
    assert said in message


def test_an_op_that_changes_its_input():
    def careless(xp, x):
        x += 1.0
        return x

    message = fails(Case(op(careless, x=lambda g: g), strategies.elementwise()), "purity")
    assert "read-only" in message
