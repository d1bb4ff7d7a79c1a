"""The table of cases is whole, and its cases draw every setting, empty arrays and 0-d ones; where a point cannot say it,
conventions are tested here.
"""

import functools
import inspect
import itertools
import math

import numpy as np
import pytest
from cases import CASES, FAMILIES

import tinyreg as tr
from tinyreg.core.fused import FUSED
from tinyreg.core.primitive import REGISTRY, Primitive
from tinyreg.ops.table import DOMAINS
from tinyreg.testing import PROPERTIES, Call, Case, Failure, at, strategies
from tinyreg.testing.mutation.check import _attempts as attempts
from tinyreg.testing.properties import OF_CALLS_IN_TURN
from tinyreg.testing.property import Property
from tinyreg.testing.search import each_call, use_profile


def own(registry):
    """The ops of a registry that are tinyreg's, by name."""
    return {name: op for name, op in registry.items() if str(op.__module__).startswith("tinyreg.")}


def functions(module):
    """The names of the public functions of a module or a package."""
    named = vars(module).items()
    return {
        n for n, f in named if inspect.isfunction(f) and f.__module__.startswith(module.__name__) and not n.startswith("_")
    }


def modules():
    """The modules whose public functions are compositions: those of them that there are."""
    return [getattr(tr, name) for name in ("losses", "regularizers", "normalization", "dropout") if hasattr(tr, name)]


def without_a_case():
    """What has no row in the table: primitives, fast forms, compositions, losses, regularizers, layers."""
    composed = {*tr.ops.__all__, *tr.activations.__all__, *(name for module in modules() for name in functions(module))}
    classes = (value for value in map(vars(tr.nn).get, tr.nn.__all__) if inspect.isclass(value))
    layers = {c.__name__ for c in classes if issubclass(c, tr.nn.Module) and c is not tr.nn.Module}
    chooses = {"weights"}  # among parameters, and computes nothing
    return sorted((own(REGISTRY).keys() | own(FUSED).keys() | composed | layers) - CASES.keys() - chooses)


def test_every_op_has_a_case():
    missing = without_a_case()
    hint = "give each a row in the file of its family in tests/cases, as CONTRIBUTING.md shows"
    assert missing == [], f"no case for {', '.join(missing)}: {hint}"


@pytest.mark.parametrize("make", [tr.primitive, tr.fused])
def test_an_op_without_a_case_is_found(make, monkeypatch):
    def uncased(*args):
        return args[-1]

    monkeypatch.setattr(uncased, "__module__", "tinyreg.ops.elementwise", raising=False)
    registry = REGISTRY if make is tr.primitive else FUSED
    monkeypatch.setitem(registry, "uncased", uncased)
    assert without_a_case() == ["uncased"]


@pytest.mark.parametrize(("module", "kind"), [(tr.losses, "function"), (tr.regularizers, "function"), (tr.nn, "layer")])
def test_a_composition_or_layer_without_a_case_is_found(module, kind, monkeypatch):
    if kind == "layer":
        monkeypatch.setattr(module, "__all__", [*module.__all__, "Uncased"])
        monkeypatch.setattr(module, "Uncased", type("Uncased", (tr.nn.Module,), {}), raising=False)
    else:
        uncased = lambda x: x
        uncased.__module__ = module.__name__
        monkeypatch.setattr(module, "Uncased", uncased, raising=False)
    assert without_a_case() == ["Uncased"]


def test_no_two_cases_share_a_name():
    assert len(CASES) == sum(map(len, FAMILIES.values()))


@pytest.mark.parametrize("name", sorted(own(REGISTRY)))
def test_every_argument_has_a_vjp_or_is_declared_without(name):
    op = REGISTRY[name]
    served = {op.signature.arguments[i] for rule in op.rules for i in rule[0]}
    assert served | set(op.nondifferentiable) == set(op.signature.arguments)
    assert (CASES[name].order == 0) == (not op.rules)


def test_no_case_spares_an_argument_that_has_a_gradient():
    assert [name for name, case in CASES.items() if case.fixed] == []


# ---- what the cases draw


@functools.cache
def calls_of(case, profile="fast"):
    """The case's points, and the calls that are drawn from it under a profile, always the same ones."""
    found = [point.call for point in case.points]
    before = use_profile(profile)
    try:
        each_call(case, "table", lambda call, _: found.append(call))
    finally:
        use_profile(before)
    return found


def an_array(case, holds):
    """Whether something holds of an array that is drawn from a case, or stands in its points."""
    searched = (calls_of(case, profile) for profile in ("fast", "ci"))
    return any(holds(a) for calls in searched for call in calls for a in call.arrays if hasattr(a, "shape"))


def public(case):
    """The op as its users call it, where the case puts a function of its own in its place."""
    found = (getattr(module, case.name, None) for module in (tr, *modules()))
    return next((op for op in found if callable(op)), case.op)


def defaults_of(op):
    """The settings of an op, with their defaults: the keywords of a primitive, whatever may be left out of another."""
    if isinstance(op, Primitive):
        return {name: op.signature.defaults.get(name) for name in op.signature.settings}
    parameters = inspect.signature(op).parameters.values()
    found = [p for p in parameters if p.kind is p.KEYWORD_ONLY or p.default is not p.empty]
    return {p.name: None if p.default is p.empty else p.default for p in found}


def settings_of(case):
    """The settings of a case's op and of the function that stands for it."""
    return defaults_of(public(case)) | defaults_of(case.op)


def values_of(case, name):
    """The different values that the calls of a case give to a setting, or to an optional argument."""
    signature = case.op.signature.python if isinstance(case.op, Primitive) else inspect.signature(case.op)
    positions = {p: i for i, p in enumerate(signature.parameters)}
    default = settings_of(case)[name]

    def given_to(call):
        at_position = dict(enumerate(call.arrays)).get(positions.get(name), default)
        return call.settings.get(name, at_position)

    return {"None" if v is None else "array" if getattr(v, "ndim", 0) else repr(v) for v in map(given_to, calls_of(case))}


CONSTANT = {
    ("to", "backend"): "another backend may not be there; `run_backend` compares them",
    ("svd", "full_matrices"): "the full form has no derivative and is refused",
    ("discretize", "dtype"): "int64 is the only one that anything asks for",
}
SETTINGS = [
    pytest.param(case, name, id=f"{case}-{name}")
    for case in CASES.values()
    for name in settings_of(case)
    if (case.name, name) not in CONSTANT
]


@pytest.mark.parametrize(("case", "name"), SETTINGS)
def test_every_setting_takes_several_values(case, name):
    assert len(values_of(case, name)) > 1, f"draw {name} of {case} by a strategy of at least two values, or in its points"


@pytest.mark.parametrize("key", CONSTANT, ids="-".join)
def test_the_settings_that_take_one_value_are_there(key):
    assert len(values_of(CASES[key[0]], key[1])) == 1


OPTIONAL = {
    *[("clip", 1), ("clip", 2), ("conv2d", 2), ("cross_entropy", 2)],
    *[("binary_cross_entropy", 2), ("binary_cross_entropy", 3)],
    *[("batch_norm", i) for i in (1, 2, 3, 4)],
    *[("layer_norm", 1), ("layer_norm", 2), ("rms_norm", 1), ("instance_norm", 1), ("instance_norm", 2)],
    *[("group_norm", 2), ("group_norm", 3), ("spectral_norm", 1), ("spectral_norm", 2)],
    *[("Linear", 2), ("Conv2d", 2), ("GroupNorm", 2), ("InstanceNorm", 1)],
}


@pytest.mark.parametrize(("name", "position"), sorted(OPTIONAL))
def test_optional_arrays_come_and_stay_away(name, position):
    found = [call.arrays[position] is None for call in calls_of(CASES[name]) if len(call.arrays) > position]
    assert set(found) == {False, True}


NO_SCALAR = {
    "matrix_transpose": "needs two axes",
    "split": "needs an axis",
    "cut": "needs an axis",
    "unstack": "needs an axis",
    "cumulative_sum": "needs an axis",
    "shares": "of one element it is constant",
    "log_shares": "of one element it is constant",
}
EVERY_SHAPE = [case for family in ("elementwise", "reduction", "shape") for case in FAMILIES[family]]


@pytest.mark.parametrize("case", EVERY_SHAPE, ids=str)
def test_empty_arrays_and_scalars_are_drawn(case):
    assert an_array(case, lambda a: a.size == 0)
    assert an_array(case, lambda a: a.ndim == 0) == (case.name not in NO_SCALAR)


OUTSIDE = {name for name, domains in DOMAINS.items() if not any(d.low < 0 < d.high for d in domains)}
DIVIDING = {"divide"}  # whose domain is no interval
COLOURS = {*["brightness", "contrast", "saturation", "gaussian_blur"]}  # which begin at 0, where they are cut off
SEPARATED = {*["cholesky", "eigh", "inv", "qr", "slogdet", "svd"]}  # whose elements are not near 0, see `linalg.separated`


@pytest.mark.parametrize("case", [case for case in CASES.values() if case.order], ids=str)
def test_zero_is_drawn_unless_it_is_outside_of_the_domain(case):
    there = an_array(case, lambda a: a.dtype == np.float64 and bool(np.any(a == 0)))
    assert there == (case.name not in OUTSIDE | DIVIDING | SEPARATED | COLOURS)


# ---- conventions that no single op shows: at every kink the subgradient of least norm

KINKS = [
    (lambda x: (x + tr.abs(x)) / 2, [0.0], [0.5]),
    (lambda x: tr.maximum(x, np.zeros(1)), [0.0], [0.5]),
    (lambda x: tr.maximum(np.zeros(1), x), [0.0], [0.5]),
    (lambda x: tr.hypot(x, 0.0), [0.0], [0.0]),
    (lambda x: tr.atan2(x, 0.0), [0.0], [0.0]),
    (lambda x: x**2, [0.0], [0.0]),
    (lambda x: np.zeros(2) ** x, [1.0, 2.0], [0.0, 0.0]),
]


@pytest.mark.parametrize(("f", "x", "expected"), KINKS)
def test_conventions_at_kinks(f, x, expected):
    assert tr.grad(lambda t: f(t).sum())(np.array(x)).tolist() == pytest.approx(expected)


def test_a_negative_plain_base_has_no_derivative_in_the_exponent():
    x = tr.tensor(np.array([2.0, 1.0]), requires_grad=True)
    (-2.0) ** x
    assert np.isnan(tr.grad(lambda t: ((-2.0) ** t).sum())(x).data).all()
    assert tr.grad(lambda t: (0.0**t).sum())(x).tolist() == [0.0, 0.0]


def test_where_lets_no_nan_through_from_the_branch_not_taken():
    x = np.array([-1.0, 4.0])
    y, pull = tr.vjp(lambda t: tr.where(x > 0, t, np.array([math.nan, math.inf])), x)
    assert math.isnan(y[0].item())
    assert pull(np.array([math.inf, 2.0]))[0].tolist() == [0.0, 2.0]
    safe = tr.grad(lambda t: tr.where(t > 0, tr.sqrt(tr.where(t > 0, t, 1.0)), 0.0).sum())(x)
    assert safe.tolist() == [0.0, 0.25]


@pytest.mark.parametrize("x", [-1e4, -800.0, -50.0, 0.0, 50.0, 800.0, 1e4])
@pytest.mark.parametrize("op", [tr.sigmoid, tr.log_sigmoid, tr.softplus, tr.tanh, tr.logsumexp, tr.erf])
def test_values_of_saturated_functions_stay_finite(op, x):
    assert math.isfinite(op(np.array([x])).sum())


def test_a_small_sigmoid_keeps_its_digits():
    assert tr.sigmoid(np.float64(-50.0)).item() == pytest.approx(math.exp(-50.0))


@pytest.mark.parametrize("case", [case for case in CASES.values() if case.points and case.order], ids=str)
def test_every_point_declares_a_gradient_for_each_argument_that_has_one(case):
    for point in case.points:
        assert point.gradients is not None
        assert [g.shape for g in point.gradients] == [point.call.arrays[i].shape for i in case.wanted(point.call)]


def test_a_point_with_another_gradient_fails():
    wrong = Case(tr.relu, strategies.elementwise(), points=[at([0.0, 2.0], gradient=[0.5, 1.0])])
    with pytest.raises(Failure, match=r"relu: special points .*\n.*\n  gradient \[0, 1\], by convention \[0.5, 1\]"):
        wrong.check("special points", wrong.points[0].call)


# ---- every axis and keepdims of every reduction, one by one

EVERY_AXIS = [None, *range(-3, 3), *itertools.chain(*(itertools.combinations(range(3), n) for n in (0, 1, 2, 3)))]
REDUCTIONS = [tr.sum, tr.mean, tr.max, tr.min, tr.prod, tr.var, tr.std, tr.logsumexp, tr.norm]


@pytest.mark.parametrize("op", REDUCTIONS, ids=lambda op: op.__name__)
def test_every_axis_and_keepdims(op):
    x = np.random.default_rng(0).permutation(np.linspace(-2.0, 2.0, 24)).reshape(2, 3, 4)
    case = CASES[op.__name__]
    for axis, keepdims in itertools.product(EVERY_AXIS, [False, True]):
        if axis == () and op in (tr.std, tr.norm):
            continue  # of a single element: constant, or a kink
        given_ = {"axis": axis, "keepdims": keepdims} | ({"ord": 2} if op is tr.norm else {})
        for name in ("value", "numeric first order"):
            case.check(name, Call((x,), given_), seed=1)


# ---- properties: one list, from which everything that asks them takes its own


def test_the_properties_have_their_keys_and_names_of_their_own():
    assert list(PROPERTIES) == [f"P{n}" for n in range(1, 26) if n != 12]
    assert len({which.name for which in PROPERTIES.values()}) == len(PROPERTIES)


def test_every_property_that_applies_is_tried_on_a_mutant_but_those_of_no_formula():
    of_no_formula = {"P14", "P15", "P16", "P17", "P18", "P19", "P20", "P25"}
    assert {key for key, which in PROPERTIES.items() if which.turn is None} == of_no_formula
    for name in ("multiply", "relu", "cross_entropy", "equal"):
        case = CASES[name]
        applies = {key for key, which in PROPERTIES.items() if which.applies(case)} - of_no_formula
        assert {attempt.key for attempt in attempts(case)} - {"P12"} == applies


def test_a_report_asks_every_property_that_needs_no_more_than_a_call():
    asked = [outcome.name for outcome in tr.testing.check_gradients(tr.exp, [0.5]).checked]
    needs_more = {"value", "two inputs of one shape", "special points", "fast form equals definition"}
    needs_more |= {"contexts", "threads", "nothing written", "numeric third order", "captured equals eager"}
    needs_more |= {"spellings of settings", "infinities and NaN", "limits", "magnitudes"}
    assert asked == [which.name for which in PROPERTIES.values() if which.name not in needs_more]


def test_a_thorough_report_asks_every_property_that_needs_no_reference():
    asked = [outcome.name for outcome in tr.testing.check_gradients(tr.exp, [0.5], thorough=True).checked]
    needs_more = {"value", "special points", "fast form equals definition"}
    assert asked == [which.name for which in PROPERTIES.values() if which.name not in needs_more]


def test_a_property_that_is_new_is_asked_by_default():
    new = Property("P99", "new", lambda trial: None)
    assert new.applies(CASES["exp"])
    assert new.anywhere
    assert new.turn > max(which.turn for which in OF_CALLS_IN_TURN)


@pytest.mark.parametrize("which", ["P4", "linearity"])
def test_a_property_goes_by_its_key_and_by_its_name(which):
    CASES["exp"].check(which, Call((np.array([0.5]),), {}))


def test_a_property_that_there_is_not():
    with pytest.raises(ValueError, match="got the property 'P99', expected one of 'value', 'one gradient each', "):
        CASES["exp"].check("P99", Call((np.array([0.5]),), {}))


# ---- what composes holds no derivative


def test_no_primitive_stands_among_the_compositions():
    composing = {module.__name__ for module in modules()} | {tr.activations.__name__}
    assert {op.__module__ for op in own(REGISTRY).values()} & composing == set()
    assert all(op.definition is not None for op in own(FUSED).values())
