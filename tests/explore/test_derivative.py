"""The derivative that the page shows is the one that runs, and one line says it."""

import sys
from types import CodeType

import numpy as np
import pytest
from cases import CASES
from hypothesis import HealthCheck, Phase, given, settings

import tinyreg as tr
from tinyreg.core.fused import FUSED
from tinyreg.core.primitive import REGISTRY
from tinyreg.explore.derivative import formula, is_elementwise, rule, source

FEW = settings(
    max_examples=5, phases=[Phase.generate], database=None, derandomize=True, suppress_health_check=list(HealthCheck)
)
OPS = {name: op for name, op in {**REGISTRY, **FUSED}.items() if op.__module__.startswith("tinyreg.") and op.rules}


def nested(code):
    """All code in some code."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from nested(constant)


def parts(code):
    """All that a function does by name, its own variables, and its constants."""
    return code.co_names, code.co_varnames, [c for c in code.co_consts if not isinstance(c, CodeType)]


def arguments(op):
    return [i for i, name in enumerate(op.signature.arguments) if name not in op.nondifferentiable]


@pytest.mark.parametrize("name", OPS)
def test_the_source_shown_is_that_of_the_vjp_and_of_nothing_around_it(name):
    for i in arguments(OPS[name]):
        shown, runs = source(OPS[name], i), rule(OPS[name], i)
        assert shown.startswith(("lambda g", "def _", "@", f"def {runs.__name__}(")), shown
        assert parts(runs.__code__) in map(
            parts, nested(compile(f"from __future__ import annotations\n{shown}", "shown", "exec"))
        ), shown
        assert shown.count("lambda g") <= 1


@pytest.mark.parametrize("name", OPS)
def test_every_derivative_is_said_in_one_line(name):
    for i in arguments(OPS[name]):
        line = formula(OPS[name], i)
        assert line, "say it in the docstring of the VJP, or in that of the op, after 'Derivative:'"
        assert "\n" not in line
        assert "residuals" not in line
        assert "_like" not in line


@pytest.mark.parametrize("case", [case for case in CASES.values() if case.order], ids=lambda case: case.name)
def test_what_a_backward_calls_for_an_argument_is_what_is_shown_for_it(case):
    @given(case.calls)
    @FEW
    def of_a(call):
        given = [tr.tensor(a, requires_grad=True) if is_float(a) else a for a in call.arrays]
        y = case.op(*given, **call.settings)
        parts = [part for part in (y if isinstance(y, tuple | list) else [y]) if getattr(part, "requires_grad", False)]
        called = set()
        for part in parts[:1]:
            with tr.explain():
                sys.setprofile(lambda frame, event, _: called.add(frame.f_code) if event == "call" else None)
                try:
                    tape = tr.tape(part, grad=np.ones(part.shape, dtype=str(part.dtype)))
                finally:
                    sys.setprofile(None)
            for step in tape.walk.steps:
                for contribution in step.contributions:
                    vjp = rule(tape[step.entry.entry].op, contribution.argument)
                    assert vjp is None or vjp.__code__ in called, (tape[step.entry.entry].op, contribution.argument)

    of_a()


def is_float(array):
    return getattr(getattr(array, "dtype", None), "kind", "") == "f"


LINES = [
    (tr.add, 0, "∂L/∂x1 = g"),
    (tr.subtract, 1, "∂L/∂x2 = -g"),
    (tr.multiply, 1, "∂L/∂x2 = g · x1"),
    (tr.divide, 1, "∂L/∂x2 = -g / x2 · y"),
    (tr.matmul, 0, "∂L/∂x1 = g x2ᵀ"),
    (tr.matmul, 1, "∂L/∂x2 = x1ᵀ g"),
    (tr.exp, 0, "∂L/∂x = g · y"),
    (tr.log1p, 0, "∂L/∂x = g / (1 + x)"),
    (tr.asin, 0, "∂L/∂x = g / √((1 - x) · (1 + x))"),
    (tr.relu, 0, "∂L/∂x = g where y > 0, else 0"),
    (tr.mean, 0, "∂L/∂x = g / n"),
    (tr.reshape, 0, "∂L/∂x = g in the shape of x"),
    (tr.sigmoid, 0, "∂y/∂x = y (1 - y)"),  # from the docstring: the code calls a function that is not public
    (tr.inv, 0, "∂L/∂x = -yᵀ g yᵀ"),
    (tr.slogdet, 0, "∂L/∂x = g x⁻ᵀ for the g of the logarithm; the sign has no gradient"),
]


@pytest.mark.parametrize(("op", "i", "line"), LINES, ids=lambda part: getattr(part, "__name__", None))
def test_the_line_is_in_the_notation_of_the_field(op, i, line):
    assert formula(op, i) == line


def test_a_vjp_of_several_arguments_says_all_of_them_and_one_of_its_own_says_that():
    @tr.primitive
    def three(xp, a, b, c):
        return a * b + c

    @three.vjp("a", "b")
    def _(g, a, b):
        """g b for a, and g a for b. Not more."""
        return g * b, g * a

    three.vjp("c")(lambda g: g)
    REGISTRY.pop("three")
    assert [formula(three, i) for i in range(3)] == ["g b for a, and g a for b"] * 2 + ["∂L/∂c = g"]


def test_private_functions_that_a_vjp_calls_are_shown_below_it():
    shown = source(tr.maximum, 0)
    assert shown.startswith("lambda g, x1, x2: _passed(")
    assert "\n\ndef _passed(" in shown
    assert "\n\ndef _tie(" in shown
    assert shown.count("def _tie") == 1


def test_two_derivatives_on_one_line_are_told_apart():
    @tr.primitive
    def both(xp, a, b):
        return a * b * b

    # fmt: off
    both.vjp("a")(lambda g, b: g * b * b); both.vjp("b")(lambda g, a, b: 2 * g * a * b)  # noqa: E702
    # fmt: on
    REGISTRY.pop("both")
    assert source(both, 0) == "lambda g, b: g * b * b"
    assert source(both, 1) == "lambda g, a, b: 2 * g * a * b"
    assert formula(both, 1) == "∂L/∂b = 2 · g · a · b"


def test_what_has_no_notation_is_left_to_the_code():
    @tr.primitive
    def odd(xp, x):
        return x * 2

    def twice(g):
        return g + g

    @odd.vjp("x")
    def _(g):
        return twice(g)

    REGISTRY.pop("odd")
    assert formula(odd, 0) == ""
    assert "return twice(g)" in source(odd, 0)


def test_a_vjp_without_a_source_is_left_empty():
    scope = {"tr": tr}
    exec("@tr.primitive\ndef odd(xp, x):\n    return x\nodd.vjp('x')(lambda g: g)", scope)
    REGISTRY.pop("odd")
    assert source(scope["odd"], 0) == ""
    assert formula(scope["odd"], 0) == ""


# ---- the local derivative

ELEMENTWISE = [case for case in CASES.values() if case.order and is_elementwise(case.primitive or case.op)]


def test_an_op_that_only_says_that_it_works_elementwise_has_no_local_derivative():
    @tr.primitive
    def reversed_(xp, x):
        """x, elementwise."""
        return x[::-1] * 1.0

    @reversed_.vjp("x")
    def _(g):
        return tr.flip(g)

    REGISTRY.pop("reversed_")
    x = tr.tensor([1.0, 2.0], requires_grad=True)
    with tr.explain():
        tape = tr.tape((reversed_(x) * np.array([3.0, 4.0], dtype="float32")).sum())
    contributions = {tape[step.entry.entry].op.name: step.contributions for step in tape.walk.steps}
    assert contributions["reversed_"][0].local is None
    np.testing.assert_array_equal(contributions["multiply"][0].local, [3.0, 4.0])


def test_a_derivative_that_is_infinite_raises_nothing_where_the_gradient_does_not_ask_for_it():
    x = tr.tensor([0.0, 4.0], requires_grad=True)
    with np.errstate(all="raise"), tr.explain():
        tape = tr.tape(tr.where(np.array([False, True]), tr.hypot(x, 0.0), 1.0).sum(), x=x)
    assert tape.walk.error == ""


def test_ops_that_work_elementwise_are_known_from_their_docstring():
    names = {case.name for case in ELEMENTWISE}
    assert names >= {"multiply", "tanh", "softplus", "leaky_relu", "silu", "gelu", "pow", "relu"}
    assert not names & {"matmul", "softmax", "sum", "mean", "cumulative_sum", "logsumexp", "sort", "prod"}


@pytest.mark.parametrize("case", ELEMENTWISE, ids=lambda case: case.name)
def test_of_such_an_op_a_contribution_is_the_local_derivative_times_the_incoming_gradient(case):
    rng = np.random.default_rng(0)

    @given(case.calls)
    @FEW
    def of_a(call):
        given = [tr.tensor(a, requires_grad=True) if is_float(a) else a for a in call.arrays]
        with tr.explain():
            y = case.op(*given, **call.settings)
            g = rng.normal(size=y.shape).astype(str(y.dtype))
            tape = tr.tape(y, grad=g)
        for step in tape.walk.steps:
            if is_elementwise(tape[step.entry.entry].op):
                for c in step.contributions:
                    if c.local is not None:
                        np.testing.assert_allclose(c.raw, c.local * step.incoming[0], rtol=1e-6, atol=1e-12)

    of_a()
