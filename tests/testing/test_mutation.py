"""Every wrong version of every VJP fails the battery, or stands in the list of equivalent ones with its reason."""

import dataclasses

import hypothesis.strategies as st
import numpy as np
import pytest
from cases import CASES
from cases.equivalent import EQUIVALENT
from verification import PAGE, counted, helper_row, helpers, rows

import tinyreg as tr
from tinyreg.core.fused import FUSED
from tinyreg.core.primitive import REGISTRY
from tinyreg.ops.table import REAL
from tinyreg.testing import Call, Case, at, strategies, use_profile
from tinyreg.testing.mutation import check_mutants, mutants, planted, planted_in, tallied
from tinyreg.testing.mutation.check import LARGEST, Kill, kill, trials
from tinyreg.testing.mutation.check import _attempts as attempts
from tinyreg.testing.mutation.rules import ALWAYS
from tinyreg.testing.trial import Trial

HELPERS = helpers()
ON_PAGE = rows(PAGE.read_text(encoding="utf-8"))


def most(name):
    """How many mutants a case has, by the page."""
    return int(ON_PAGE[name][6].partition(" of ")[2] or 0) if name in ON_PAGE else 0


# Those of most mutants first, so that no worker is left with them at the end.
TO_MUTATE = [
    pytest.param(CASES[name], id=name)
    for name in sorted(CASES, key=most, reverse=True)
    if CASES[name].vjp or getattr(CASES[name].primitive, "rules", ())
]


def on_page(name):
    """The row of the page for a case or a function that VJPs share."""
    assert name in ON_PAGE, f"{name} has no row in {PAGE.name}: run python tests/verification.py {name}"
    return ON_PAGE[name]


@pytest.mark.parametrize("case", TO_MUTATE)
def test_every_mutant_fails(case):
    tally = check_mutants(case)
    assert tally.unsound == (), "\n".join(tally.unsound)
    assert on_page(case.name)[5] == counted(tally), f"run python tests/verification.py {case}"


@pytest.mark.parametrize("name", HELPERS)
def test_every_mutant_of_what_vjps_share_fails(name):
    helper, cases = HELPERS[name]
    tally = tallied(planted_in(helper), cases, EQUIVALENT.get(name, {}))
    assert (*tally.problems, *tally.unsound) == (), "\n".join((*tally.problems, *tally.unsound))
    assert on_page(name) == helper_row(name, tally), f"run python tests/verification.py {name}"


def test_every_primitive_with_a_derivative_is_mutated_under_its_case():
    own = {op.__name__: op for op in REGISTRY.values() if str(op.__module__).startswith("tinyreg.") and op.rules}
    assert own.keys() <= CASES.keys(), f"{', '.join(own.keys() - CASES.keys())}: give each a Case in the table of cases"
    assert [name for name, op in own.items() if CASES[name].primitive is not op or not planted(CASES[name])] == []


def test_a_name_without_a_row_says_what_to_do():
    with pytest.raises(
        AssertionError, match=r"novelty has no row in VERIFICATION.md: run python tests/verification.py novelty"
    ):
        on_page("novelty")


# ---- the rules for equivalent mutants: each fits a mutant, by `check_mutants`, and none that fails


def test_the_rules_are_for_what_there_is_and_have_reasons():
    assert EQUIVALENT.keys() <= CASES.keys() | HELPERS.keys()
    assert all(reason for rules in (*EQUIVALENT.values(), ALWAYS) for reason in rules.values())


def test_every_rule_for_all_ops_excuses_a_mutant():
    idle = set(ALWAYS)
    for param in sorted(TO_MUTATE, key=lambda param: param.values[0].name not in FUSED):
        idle -= {rule for mutant in planted(param.values[0]) for rule in idle if mutant.fits(rule)}
        if not idle:
            break
    assert idle == set()


def test_a_factor_of_one_in_a_million_is_found_in_every_derivative():
    """There is such a mutant of every VJP, and none is let pass: so `test_every_mutant_fails` sees each of them fail."""
    for param in TO_MUTATE:
        case = param.values[0]
        factors = [mutant.name for mutant in planted(case) if mutant.name.endswith("factor 1 + 1e-6")]
        assert len(factors) == len(case.primitive.rules)
        assert not any(mutant.fits(key) for mutant in planted(case) if mutant.name in factors for key in case.equivalent)


# ---- that the check itself can fail


def op(forward, broadcasting=False, nondifferentiable=(), **vjps):
    """A primitive that is not in the registry."""
    made = tr.primitive(broadcasting=broadcasting, nondifferentiable=nondifferentiable)(forward)
    REGISTRY.pop(forward.__name__)
    for name, vjp in vjps.items():
        made.vjp(name)(vjp)
    return made


def product(xp, x1, x2):
    return x1 * x2


def product_case(**details):
    made = op(product, broadcasting=True, x1=lambda g, x2: g * x2, x2=lambda g, x1: g * x1)
    return Case(made, strategies.elementwise(REAL, REAL), np.multiply, **details)


def test_a_case_that_cannot_tell_is_told_so():
    """Where x is never but 1, nobody sees that a factor is missing or that it is divided by."""
    ones = strategies.arrays((2,), st.just(1.0))
    case = Case(op(product, x1=lambda g, x2: g * x2, x2=lambda g, x1: g * x1), strategies.calls(ones, ones), order=1)
    with pytest.raises(AssertionError) as failure:
        check_mutants(case)
    lines = str(failure.value).splitlines()
    assert lines[0].startswith("product: ")
    assert "  x1: `g * x2` -> `g / x2` passes   g / x2" in lines
    assert "  x2: `g * x1` -> `g` passes   g" in lines


def test_every_mutant_of_a_small_op_fails():
    tally = check_mutants(product_case())
    assert tally.mutants > 60
    assert tally.killed == tally.mutants


def test_an_equivalent_mutant_that_fails_or_does_not_exist_is_told():
    case = product_case(equivalent={"x1: sign": "not so", "x9: sign": "there is no x9"})
    with pytest.raises(AssertionError) as failure:
        check_mutants(case)
    assert str(failure.value).splitlines()[1:] == [
        "  x1: sign is listed as equivalent but fails the battery: take it off the list",
        "  x9: sign is listed as equivalent but there is no such mutant",
    ]


def test_a_rule_that_fits_a_mutant_that_fails_is_told():
    case = product_case(equivalent={"g * A -> g / A": "not so", "g + A -> g": "there is no sum", "x1: g * A -> A": "no"})
    with pytest.raises(AssertionError) as failure:
        check_mutants(case)
    fails = "which fails the battery: narrow the rule"
    assert sorted(str(failure.value).splitlines()[1:]) == [
        f"  g * A -> g / A is listed as equivalent but fits x1: `g * x2` -> `g / x2`, {fails}",
        f"  g * A -> g / A is listed as equivalent but fits x2: `g * x1` -> `g / x1`, {fails}",
        "  g + A -> g is listed as equivalent but there is no such mutant",
        f"  x1: g * A -> A is listed as equivalent but fits x1: `g * x2` -> `x2`, {fails}",
    ]


def test_a_rule_for_all_ops_that_fits_a_mutant_that_fails_is_told(monkeypatch):
    monkeypatch.setitem(ALWAYS, "g * A -> A", "not so")
    tally = check_mutants(product_case())
    assert tally.problems == ()
    assert [line.partition(" but ")[0] for line in tally.unsound] == ["  g * A -> A is always equivalent"] * 2


def test_a_rule_lets_pass_what_it_fits():
    drawn = strategies.arrays((2,), st.just(1.0))
    made = op(product, x1=lambda g, x2: g * x2, nondifferentiable=("x2",))
    rules = {"g * x2 -> g / x2": "x2 is 1", "g * A -> g": "x2 is 1", "x2 -> g": "no such change"}
    with pytest.raises(AssertionError) as failure:
        check_mutants(Case(made, strategies.calls(drawn, drawn), order=1, fixed=(1,), equivalent=rules))
    text = str(failure.value)
    assert "`g * x2` -> `g / x2` passes" not in text
    assert "`g * x2` -> `g` passes" not in text


def test_an_equivalent_mutant_is_let_pass_and_counted():
    made = op(lambda xp, x: xp.maximum(x, 0), x=lambda g, x: tr.where(tr.greater(x, 0.0), g, 0.0))
    drawn = strategies.elementwise(away_from=(0.0,))
    points = [at([0.0, 1.0], gradient=[0.0, 1.0])]
    tally = check_mutants(
        Case(made, drawn, points=points, name="ramp", equivalent={"x: detached arguments": "no gradient"})
    )
    assert tally.equivalent == ("x: detached arguments",)
    assert tally.killed == tally.mutants - 1


def test_an_excused_mutant_is_tried_on_fewer_calls_in_the_fast_profile_alone(monkeypatch):
    points = [at([0.0, -1.0], gradient=[0.0, -1.0])]
    case = Case(
        tr.abs, strategies.elementwise(away_from=(0.0,)), points=points, equivalent={"detached arguments": "a sign"}
    )
    tried = {"fast": 0, "ci": 0}
    for name in tried:

        def seen(self, case, name=name, seen=Kill.seen):
            tried[name] += 1
            return seen(self, case)

        with monkeypatch.context() as patch:
            patch.setattr(Kill, "seen", seen)
            before = use_profile(name)
            try:
                assert check_mutants(case).equivalent == ("x: detached arguments",)
            finally:
                use_profile(before)
    assert tried["fast"] < tried["ci"] / 2


def test_what_another_mutant_failed_comes_early_and_no_check_comes_twice():
    case = product_case()
    usual = [(one.key, id(one.trial)) for one in attempts(case) if one.key != "P12"]
    *_, last = attempts(case)
    early = [(one.key, id(one.trial)) for one in attempts(case, before=[last]) if one.key != "P12"]
    assert early.index((last.key, id(last.trial))) == LARGEST
    assert sorted(early) == sorted(usual)
    assert last not in attempts(case, few=True, before=[last])
    assert last not in attempts(product_case(), before=[last])


def test_an_op_that_is_wrong_itself_shows_nothing_about_its_mutants():
    made = op(product, x1=lambda g, x2: 2 * g * x2, x2=lambda g, x1: g * x1)
    case = Case(made, strategies.calls(strategies.arrays((3,)), strategies.arrays((3,))))
    with pytest.raises(AssertionError, match="without a mutant: product: numeric first order FAILED   d / d x1"):
        check_mutants(case)


def test_a_mutant_that_changes_its_arguments_leaves_nothing_behind():
    case = product_case()
    (careless,) = [m for m in planted(case) if m.name == "x2: arguments changed in place"]
    assert kill(case, careless)
    assert check_mutants(case).problems == ()


def test_the_op_is_itself_again_afterwards():
    case = product_case()
    rules = list(case.op.rules)
    check_mutants(case)
    assert case.op.rules == rules


def sine(x):
    return np.sin(x)


def sines_vjp(g, x):
    return g * np.cos(x)


def test_mutants_of_a_pair():
    tally = check_mutants(Case(sine, strategies.elementwise(), np.sin, order=1, vjp=sines_vjp))
    assert tally.mutants == tally.killed > 20
    found = [mutant.line for mutant in mutants(sines_vjp)]
    assert "return g / np.cos(x)" in found


def test_mutants_of_a_fast_form_in_its_forward_and_its_backward():
    @tr.fused
    def half_square(x, w):
        return (x * x * w).sum() * 0.5

    FUSED.pop("half_square")

    @half_square.fast
    def _(xp, x, w):
        return 0.5 * xp.sum(x * x * w), None

    @half_square.backward
    def _(g, x, w, wanted):
        return (g * x * w, g * x * x * 0.5)

    drawn = strategies.calls(strategies.arrays((3,)), strategies.arrays((3,)))
    case = Case(half_square, drawn, lambda x, w: np.sum(x * x * w) / 2)
    tally = check_mutants(case)
    assert tally.mutants == tally.killed
    for trial in trials(case)[0]:  # whose differences are those of the right forward, also where a wrong one failed first
        right = Trial(case, trial.call, trial.seed).probe.first
        slopes = [[sample.slope for sample in line.samples] for line in trial.probe.first.closer]
        assert slopes == [[sample.slope for sample in line.samples] for line in right.closer]
    names = [mutant.name for mutant in planted(case)]
    assert "fast form: `0.5` -> `0.505`" in names
    assert "x, w: detached g" not in names  # a fast backward is never differentiated
    assert "x, w: `g * x` -> `g / x`" in names


def test_a_case_of_a_function_around_a_primitive_mutates_that():
    cube = op(lambda xp, x: x * x * x, x=lambda g, x: 3 * g * x * x)
    around = Case(lambda x: cube(x) + x, strategies.elementwise(), name="around")
    assert planted(around) == []
    inside = dataclasses.replace(around, primitive=cube)
    assert check_mutants(inside).killed == len(planted(inside)) > 30


def test_mutants_that_are_the_right_derivative_of_a_scalar_are_no_mutants_of_it():
    total = op(lambda xp, x: xp.sum(x * x), x=lambda g, x: 2 * g * x)
    case = Case(total, strategies.calls(strategies.arrays((2, 3))), name="total")
    assert {m.name for m in planted(case)} >= {"x: the mean of g", "x: g in memory order"}
    tally = check_mutants(case)
    assert tally.killed == tally.mutants == len(planted(case)) - 2


def test_a_composition_has_no_mutants():
    assert check_mutants(CASES["softmax"]).mutants == 0


def test_trials_cover_every_kind_of_call_and_cannot_be_written_to():
    drawn, points = trials(CASES["matmul"])
    assert {(t.call.arrays[0].ndim, t.call.arrays[1].ndim) for t in drawn} >= {
        (1, 1),
        (1, 2),
        (2, 1),
        (2, 2),
        (3, 1),
        (1, 3),
    }
    assert points == []
    assert not any(a.flags.writeable for t in drawn for a in t.call.arrays)
    assert isinstance(drawn[0].call, Call)
