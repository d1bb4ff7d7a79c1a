"""What a failure says: everything that is needed to see it again, and what kind of mistake it looks like."""

import dataclasses
import re

import numpy as np
import pytest
from cases import CASES

import tinyreg as tr
from tinyreg.core.primitive import REGISTRY
from tinyreg.ops.table import REAL
from tinyreg.testing import Case, Failure, check_gradients, run_property, strategies
from tinyreg.testing.properties import property_named


def quotient(xp, x0, x1):
    return x0 / x1


def quotient_case(x1, **details):
    """x0 / x1 with this VJP of x1."""
    made = tr.primitive(broadcasting=True)(quotient)
    REGISTRY.pop("quotient")
    made.vjp("x0")(lambda g, x1: g / x1)
    made.vjp("x1")(x1)
    return Case(made, strategies.elementwise(REAL, REAL, away_from=(0.0,)), np.divide, **details)


def failure_of(case, name="numeric first order"):
    with pytest.raises(Failure) as failure:
        run_property(case, property_named(name))
    return failure.value


def test_the_whole_message_shrunk_to_scalars():
    failure = failure_of(quotient_case(lambda g, y, x1: g * y / x1))
    estimates = re.search(r"numeric -2.625 \+- (\S+)   \(tolerance (\S+)\)", str(failure))  # not the same everywhere
    assert 0 < float(estimates.group(1)) < float(estimates.group(2)) < 1e-9
    assert str(failure).splitlines() == [
        "quotient: numeric first order FAILED   d / d x1",
        "  x0 = float64[] 1   x1 = float64[] 1",
        "  incoming 2.625",
        f"  analytic +2.625   {estimates.group()}",
        "  looks like: sign",
        "  reproduce: case.check(\"numeric first order\", tr.testing.Call((np.array(1.0, dtype='float64'), "
        "np.array(1.0, dtype='float64'), ), {}), seed=0)   # case: the Case of quotient",
    ]
    assert (failure.key, failure.argument, failure.looks_like) == ("P3", "x1", "sign")


def test_the_line_that_reproduces_it_does():
    case = quotient_case(lambda g, y, x1: g * y / x1)
    failure = failure_of(case)
    line = str(failure).rpartition("reproduce: ")[2]
    with pytest.raises(Failure) as again:
        eval(line, {"tr": tr, "np": np, "case": case})
    assert str(again.value) == str(failure)


def test_a_case_of_the_table_is_named_in_the_line(monkeypatch):
    case = CASES["multiply"]
    wrong = [((0,), lambda g, x2: g + x2, ("x2",)), ((1,), lambda g, x1: g * x1, ("x1",))]
    monkeypatch.setattr(case.op, "rules", wrong)
    case.op._plans.clear()
    try:
        failure = failure_of(dataclasses.replace(case), "linearity")
        line = str(failure_of_check(case)).rpartition("reproduce: ")[2]
    finally:
        monkeypatch.undo()
        case.op._plans.clear()
    assert "multiply: linearity FAILED   d / d x1" in str(failure)
    assert line.startswith('from cases import CASES; CASES["multiply"].check("linearity", ')
    exec(line, {"tr": tr, "np": np})  # the op is right again


def failure_of_check(case):
    with pytest.raises(Failure) as failure:
        case.check("linearity", tr.testing.Call((np.array([1.0]), np.array([2.0])), {}))
    return failure.value


def test_second_order_says_along_which_direction():
    failure = failure_of(
        quotient_case(lambda g, y, x1: -g * (y.detach() if isinstance(y, tr.Tensor) else y) / x1), "numeric second order"
    )
    lines = str(failure).splitlines()
    assert lines[0] == "quotient: numeric second order FAILED"
    assert lines[2].startswith("  incoming ")
    assert lines[3].startswith("  analytic ")
    assert lines[4].startswith("  along the direction [")


# ---- what a mistake looks like: pairs of functions of arrays, with a mistake in the vjp of the first argument

X, W = np.array([[0.5, -1.5], [2.0, 1.25]]), np.array([[1.5, 0.75], [-0.5, 2.5]])


def looks_like(f, vjp, *inputs):
    (failure,) = [text for text in check_gradients(f, *inputs, vjp=vjp).failures if ": numeric first order " in text]
    (line,) = [line.strip() for line in failure.splitlines() if "looks like: " in line]
    return line.removeprefix("looks like: ")


MISTAKES = {
    "sign": lambda g, x, w: -g * 3 * x * x * w,
    "factor 2": lambda g, x, w: 2 * g * 3 * x * x * w,
    "factor 1/3": lambda g, x, w: g * x * x * w,
    "factor 1 + 1e-06": lambda g, x, w: (1 + 1e-6) * g * 3 * x * x * w,
    "factor 1 - 1e-03": lambda g, x, w: (1 - 1e-3) * g * 3 * x * x * w,
    "zeros: the gradient is cut off": lambda g, x, w: 0 * g,
    "missing factor x": lambda g, x, w: g * 3 * x * w,
    "missing factor w": lambda g, x, w: g * 3 * x * x,
    "extra factor w": lambda g, x, w: g * 3 * x * x * w * w,
    "missing factor x^2": lambda g, x, w: g * 3 * w,
    "transposed": lambda g, x, w: (g * 3 * x * x * w).T,
    "reversed along axis 0": lambda g, x, w: (g * 3 * x * x * w)[::-1],
    "ones for g": lambda g, x, w: 3 * x * x * w,
    "|g| for g": lambda g, x, w: np.abs(g) * 3 * x * x * w,
    "relu(g) for g: negative incoming gradients are dropped": lambda g, x, w: np.maximum(g, 0) * 3 * x * x * w,
    "clip(g, -1, 1) for g": lambda g, x, w: np.clip(g, -1, 1) * 3 * x * x * w,
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_what_a_mistake_looks_like(mistake):
    wrong = MISTAKES[mistake]
    assert looks_like(lambda x, w: x**3 * w, lambda g, x, w: (wrong(g, x, w), g * x**3), X * (1 / 3 + 1), W) == mistake


def test_a_mistake_like_no_other_is_not_named():
    report = check_gradients(np.sin, X, vjp=lambda g, x: g * np.cos(x) ** 3)
    assert "numeric first order FAILED" in str(report)
    assert "looks like" not in str(report)


def test_a_gradient_in_float32_is_told():
    report = check_gradients(np.sin, X, vjp=lambda g, x: (g * np.cos(x)).astype(np.float32).astype(np.float64))
    (failure,) = report.failures
    assert "numeric first order FAILED" in failure
    assert "looks like: computed in float32" in failure


def test_an_unsummed_broadcast_is_told_once():
    report = check_gradients(lambda x, b: x + b, X, [1.0, 2.0], vjp=lambda g, x, b: (g, g))
    expected = "a gradient of shape [2, 2] for b, expected [2], the shape of its argument; sum it over what was broadcast"
    assert str(report).count(expected) == 1


def test_numbers_are_those_of_the_element_whatever_the_scale_of_the_inputs():
    (failure,) = check_gradients(np.square, [300.0], vjp=lambda g, x: g * x, seed=3).failures
    numeric = float(failure.partition("   numeric ")[2].split()[0])
    incoming = float(failure.partition("incoming [")[2].partition("]")[0])
    assert numeric == pytest.approx(600 * incoming)


def test_one_element_names_a_mistake_only_where_it_is_the_same_nearby():
    def said(x, vjp):
        return str(check_gradients(lambda x: x**3, x, vjp=vjp))

    assert "looks like: factor 2/3" in said([1.0], lambda g, x: 2 * g * x**2)
    assert "looks like: missing factor x" in said([1.5], lambda g, x: 3 * g * x)
    odd = said([1.5], lambda g, x: 3 * g * x**2 * (2 + (x - 1.5) ** 2))  # twice the gradient there, and nowhere else
    assert "FAILED" in odd
    assert "looks like" not in odd
