"""The table of cases is whole, conventions at kinks are as documented, and the check catches what is wrong."""

import inspect
import itertools
import math

import hypothesis.strategies as st
import numpy as np
import pytest

import tinyreg as tr
from tinyreg.core.primitive import REGISTRY
from tinyreg.testing import CASES, CHECKS, Call, Case, strategies

OWN = {name: op for name, op in REGISTRY.items() if op.__module__.startswith("tinyreg.")}
COMPOSED = {name for name in (*tr.ops.__all__, *tr.activations.__all__) if name not in OWN} | {
    name
    for module in (tr.losses, tr.regularizers)
    for name, f in vars(module).items()
    if inspect.isfunction(f) and f.__module__ == module.__name__ and not name.startswith("_")
}


@pytest.mark.parametrize("name", sorted(OWN | dict.fromkeys(COMPOSED)))
def test_every_op_has_a_case(name):
    assert name in CASES, f"{name} needs its row in tinyreg/testing/cases"


@pytest.mark.parametrize("name", sorted(OWN))
def test_every_argument_has_a_vjp_or_is_declared_without(name):
    op = OWN[name]
    served = {op.signature.arguments[i] for rule in op.rules for i in rule[0]}
    if op.rules:
        assert served | set(op.nondifferentiable) == set(op.signature.arguments)
    assert (CASES[name].order == 0) == (not op.rules)


def test_every_argument_of_a_case_is_given_a_gradient_somewhere():
    for name, op in OWN.items():
        fixed = {op.signature.argument(i) for i in CASES[name].fixed}
        assert fixed <= set(op.nondifferentiable), f"the case of {name} spares arguments that have a gradient"


# ---- conventions: at every kink the subgradient of least norm

KINKS = [
    (tr.abs, [0.0], [0.0]),
    (tr.relu, [0.0], [0.0]),
    (lambda x: tr.maximum(x, 0.0), [0.0], [0.0]),
    (lambda x: tr.minimum(0.0, x), [0.0], [0.0]),
    (lambda x: tr.clip(x, 0.0, 1.0), [0.0, 1.0], [0.0, 0.0]),
    (lambda x: tr.maximum(x, np.zeros(1)), [0.0], [0.5]),
    (lambda x: (x + tr.abs(x)) / 2, [0.0], [0.5]),
    (lambda x: tr.max(x), [2.0, 1.0, 2.0], [0.5, 0.0, 0.5]),
    (lambda x: tr.min(x), [1.0, 1.0, 1.0, 2.0], [1 / 3, 1 / 3, 1 / 3, 0.0]),
    (lambda x: tr.norm(x), [0.0, 0.0], [0.0, 0.0]),
    (lambda x: tr.norm(x, ord=1), [0.0, -2.0], [0.0, -1.0]),
    (lambda x: tr.norm(x, ord=3), [0.0, 0.0], [0.0, 0.0]),
    (lambda x: tr.norm(x, ord=math.inf), [0.0, 0.0], [0.0, 0.0]),
    (lambda x: tr.std(x), [3.0, 3.0], [0.0, 0.0]),
    (lambda x: tr.hypot(x, 0.0), [0.0], [0.0]),
    (lambda x: tr.atan2(x, 0.0), [0.0], [0.0]),
    (lambda x: x**2, [0.0], [0.0]),
    (lambda x: x**0.0, [0.0], [0.0]),
    (lambda x: x**1.0, [0.0], [1.0]),
    (lambda x: np.zeros(2) ** x, [1.0, 2.0], [0.0, 0.0]),
    (lambda x: tr.copysign(x, -1.0), [0.0], [0.0]),
    (lambda x: tr.prod(x), [0.0, 2.0, 3.0], [6.0, 0.0, 0.0]),
    (lambda x: tr.prod(x), [0.0, 0.0, 3.0], [0.0, 0.0, 0.0]),
    (lambda x: tr.logsumexp(x), [-math.inf, -math.inf], [0.0, 0.0]),
    (lambda x: tr.logaddexp(x, -math.inf), [-math.inf], [0.0]),
    (lambda x: tr.sort(x), [1.0, 1.0], [1.0, 1.0]),
]


@pytest.mark.parametrize(("f", "x", "expected"), KINKS)
def test_conventions_at_kinks(f, x, expected):
    assert tr.grad(lambda t: f(t).sum())(np.array(x)).tolist() == pytest.approx(expected)


def test_equal_arrays_share_the_gradient_of_maximum_and_minimum():
    for op in (tr.maximum, tr.minimum):
        a, b = tr.grad(lambda a, b, op=op: op(a, b).sum(), (0, 1))(np.array([1.0, 2.0]), np.array([1.0, 3.0]))
        assert a.tolist()[0] == b.tolist()[0] == 0.5


def test_where_lets_no_nan_through_from_the_branch_not_taken():
    x = np.array([-1.0, 4.0])
    y, pull = tr.vjp(lambda t: tr.where(x > 0, t, np.array([math.nan, math.inf])), x)
    assert math.isnan(y[0].item())
    assert pull(np.array([math.inf, 2.0]))[0].tolist() == [0.0, 2.0]
    safe = tr.grad(lambda t: tr.where(t > 0, tr.sqrt(tr.where(t > 0, t, 1.0)), 0.0).sum())(x)
    assert safe.tolist() == [0.0, 0.25]


@pytest.mark.parametrize("x", [-1e4, -800.0, -50.0, 0.0, 50.0, 800.0, 1e4])
@pytest.mark.parametrize("op", [tr.sigmoid, tr.log_sigmoid, tr.softplus, tr.tanh, tr.logsumexp, tr.erf])
def test_saturated_functions_stay_finite(op, x):
    value, slope = tr.value_and_grad(lambda t: op(t).sum())(np.array([x]))
    assert math.isfinite(value.item())
    assert math.isfinite(slope.item())
    assert tr.sigmoid(np.float64(-50.0)).item() == pytest.approx(math.exp(-50.0))


# ---- every axis and keepdims of every reduction, one by one

EVERY_AXIS = [None, *range(-3, 3), *itertools.chain(*(itertools.combinations(range(3), n) for n in (0, 1, 2, 3)))]
REDUCTIONS = [tr.sum, tr.mean, tr.max, tr.min, tr.prod, tr.var, tr.std, tr.logsumexp, tr.norm]


@pytest.mark.parametrize("op", REDUCTIONS, ids=lambda op: op.__name__)
def test_every_axis_and_keepdims(op):
    x = np.random.default_rng(0).permutation(np.linspace(-2.0, 2.0, 24)).reshape(2, 3, 4)
    case = CASES[op.__name__]
    rng = np.random.default_rng(1)
    for axis, keepdims in itertools.product(EVERY_AXIS, [False, True]):
        if axis == () and op in (tr.std, tr.norm):
            continue  # of a single element: constant, or a kink
        settings = {"axis": axis, "keepdims": keepdims} | ({"ord": 2} if op is tr.norm else {})
        for check in ("forward", "first_order"):
            CHECKS[check](case, Call((x,), settings), rng)


# ---- the check itself


def wrong_op(vjp):
    """x1^2 x2, whose VJP for x1 is `vjp(g, slope)`."""

    @tr.primitive
    def planted(xp, x1, x2):
        return x1 * x1 * x2

    planted.vjp("x1")(lambda g, x1, x2: vjp(g, 2 * x1 * x2))
    planted.vjp("x2")(lambda g, x1: g * x1 * x1)
    REGISTRY.pop("planted")
    return Case(planted, strategies.calls(st.just(np.array([0.5, -1.5, 2.0])), st.just(np.array([1.0, 2.0, -0.25]))))


PLANTED = {
    "sign": lambda g, slope: -g * slope,
    "a factor of 1 + 1e-6": lambda g, slope: g * slope * (1 + 1e-6),
    "a transposed element": lambda g, slope: tr.flip(g * slope),
    "ones for g": lambda g, slope: slope + 0 * g,
    "|g|": lambda g, slope: tr.abs(g) * slope,
    "positive g only": lambda g, slope: tr.relu(g) * slope,
    "clipped g": lambda g, slope: tr.clip(g, -1.0, 1.0) * slope,
    "zeros": lambda g, slope: 0.0 * g * slope,
}


@pytest.mark.parametrize("error", PLANTED)
def test_a_planted_error_is_caught(error):
    case = wrong_op(PLANTED[error])
    call = Call((np.array([0.5, -1.5, 2.0]), np.array([1.0, 2.0, -0.25])), {})
    with pytest.raises(AssertionError, match="planted: the gradient is wrong at .* analytic .* numeric"):
        CHECKS["first_order"](case, call, np.random.default_rng(0))
    CHECKS["first_order"](wrong_op(lambda g, slope: g * slope), call, np.random.default_rng(0))


def test_a_vjp_that_is_detached_is_caught_at_second_order():
    case = wrong_op(lambda g, slope: g * (slope.detach() if isinstance(slope, tr.Tensor) else slope))
    call = Call((np.array([0.5, -1.5, 2.0]), np.array([1.0, 2.0, -0.25])), {})
    CHECKS["first_order"](case, call, np.random.default_rng(0))
    with pytest.raises(AssertionError, match="planted, second order: the gradient is wrong"):
        CHECKS["second_order"](case, call, np.random.default_rng(0))


def test_a_vjp_that_relies_on_the_engines_cast_is_caught():
    case = wrong_op(lambda g, slope: g * slope * np.ones(3))
    call = Call((np.array([0.5, -1.5, 2.0]), np.array([1.0, 2.0, -0.25])), {})
    with pytest.raises(AssertionError, match="the VJP of planted gave float64 for float32"):
        CHECKS["float32"](case, call, np.random.default_rng(0))


def test_an_op_that_changes_its_input_or_hands_it_out_is_caught():
    @tr.primitive
    def careless(xp, x):
        x += 0.0
        return x

    REGISTRY.pop("careless")
    careless.vjp("x")(lambda g: g)
    case = Case(careless, strategies.elementwise())
    with pytest.raises(ValueError, match="read-only"):
        CHECKS["contract"](case, Call((np.ones(3),), {}), np.random.default_rng(0))
