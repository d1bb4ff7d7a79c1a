"""A case of one's own under the whole battery, as its users have it: in a pytest run of its own, with the options."""

import functools
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from pytest_runs import pytest_run

import tinyreg as tr
from tinyreg.testing import PROFILES, PROPERTIES, Case, search, strategies, use_backend, use_profile

ROOT = Path(__file__).parents[2]

RIGHT = """
import numpy as np
import tinyreg as tr
from tinyreg.testing import Case, at, battery, strategies

@tr.primitive
def cube(xp, x):
    return x * x * x

@cube.vjp("x")
def _(g, x):
    return 3 * g * x * x

test_cube = battery(Case(cube, strategies.elementwise(), lambda x: x**3, points=[at([0.0], gradient=[0.0])]))
"""
WRONG = RIGHT.replace("3 * g * x * x", "3 * g * x")
PAIR = """
import numpy as np
from tinyreg.testing import Case, battery, strategies

def sine(x):
    return np.sin(x)

def vjp(g, x):
    return g * np.cos(x)

test_sine = battery(Case(sine, strategies.elementwise(), np.sin, order=1, vjp=vjp))
"""


@pytest.fixture
def run(tmp_path):
    """Runs pytest on some source, with nothing of this repository but the package, and returns what it printed."""

    def run(source, *options):
        (tmp_path / "test_it.py").write_text(source)
        return pytest_run(tmp_path, "-ra", *options, "test_it.py")[1]

    return run


def named(printed, outcome):
    return re.findall(rf"::test_\w+\[([\w-]+)\] {outcome}", printed)


def test_a_right_op_passes_every_property_and_the_mutation_check(run):
    printed = run(RIGHT, "-v")
    expected = [str(which).replace(" ", "-") for which in PROPERTIES.values()]
    assert sorted(named(printed, "PASSED")) == sorted([*expected, "mutation"])
    assert named(printed, "SKIPPED") == ["backends-agree"]
    assert "no backend to compare with NumPy: cupy: " in printed


def test_a_wrong_op_fails_with_a_message_shrunk_to_scalars(run):
    printed = run(WRONG, "-v")
    assert named(printed, "FAILED") == ["numeric-first-order"]
    assert "not tried: numeric-first-order fails" in printed
    assert "cube: numeric first order FAILED   d / d x" in printed
    assert re.search(r"x = float64\[\] \S+$", printed, re.M)
    assert "reproduce: case.check(" in printed


def test_a_reference_that_differs_is_told(run):
    printed = run(RIGHT.replace("lambda x: x**3", "lambda x: x**2"), "-k", "value")
    assert "cube: value FAILED" in printed


def test_a_convention_that_differs_is_told(run):
    printed = run(RIGHT.replace("gradient=[0.0]", "gradient=[1.0]"), "-k", "special")
    assert "cube: special points FAILED   d / d x" in printed
    assert "gradient [0], by convention [1]" in printed


def test_a_pair_of_functions_of_arrays(run):
    printed = run(PAIR, "-v")
    assert named(printed, "FAILED") == []
    assert {"value", "numeric-first-order", "float32-against-float64", "mutation"} <= set(named(printed, "PASSED"))
    assert not {"fan-out", "numeric-second-order", "backends-agree"} & set(named(printed, "PASSED"))


COUNTED = """
import hypothesis.strategies as st
from tinyreg.testing import Call, Case, battery, strategies
import tinyreg as tr

calls = []
case = Case(tr.exp, strategies.elementwise().map(lambda call: calls.append(1) or call))
def test_first():
    from tinyreg.testing import PROPERTIES, run_property
    run_property(case, PROPERTIES["P1"])
    print("drew", len(calls))
"""


@pytest.mark.parametrize(("profile", "most"), [("fast", 25), ("ci", 100)])
def test_the_profile_says_how_many_examples_are_drawn(run, profile, most):
    drew = int(re.search(r"drew (\d+)", run(COUNTED, "-s", "--tinyreg-profile", profile)).group(1))
    assert most * 0.8 <= drew <= most * 1.5


def test_options_that_do_not_exist_are_told(run):
    assert "invalid choice: 'slow'" in run(RIGHT, "--tinyreg-profile", "slow")
    assert "unknown backend 'torch': expected one of 'numpy', 'cupy'" in run(RIGHT, "--tinyreg-backend", "torch")


def test_the_backend_to_compare_with_is_an_option(run):
    printed = run(RIGHT, "-k", "backends", "--tinyreg-backend", "numpy")
    assert "no backend to compare with NumPy: only NumPy" in printed


def test_the_tests_of_tinyreg_run_where_it_is_on_the_path_but_not_installed():
    """Then pytest does not know the options that tinyreg brings."""
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "no:tinyreg",
        "-p",
        "no:cacheprovider",
        "-n0",
        "--co",
        "tests/core/test_memory.py",
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_profile_and_a_backend_that_do_not_exist():
    with pytest.raises(ValueError, match="unknown profile 'slow': expected one of 'fast', 'ci', 'deep'"):
        use_profile("slow")
    with pytest.raises(ValueError, match="unknown backend 'torch': expected one of 'numpy', "):
        use_backend("torch")


def test_profile_and_backend_are_given_back():
    before = use_profile("ci")
    assert use_profile(before) == "ci"
    assert use_backend("numpy") is None
    assert use_backend(None) == ("numpy",)


def test_the_fast_profiles_are_the_same_every_time_and_deep_is_not():
    assert [(p.max_examples, p.derandomize) for p in PROFILES.values()] == [(25, True), (100, True), (2000, False)]


@pytest.mark.parametrize(
    ("profile", "op", "share"),
    [("fast", lambda x: tr.exp(x) * 2.0, 3), ("fast", tr.exp, 1), ("ci", lambda x: tr.exp(x), 1)],
)
def test_differences_are_taken_of_a_composition_at_one_call_in_three_in_the_fast_profile(profile, op, share):
    case = Case(op, strategies.calls(strategies.arrays((2,))), name="subject")
    before = use_profile(profile)
    try:
        findings = search.survey(case, profile).findings
    finally:
        use_profile(before)
    calls = -(-PROFILES[profile].max_examples // share)
    assert len(findings["P3"]) == 4 * calls  # two dense directions, and one along each element
    assert len(findings["P10"]) == 3 * calls


def test_a_call_is_drawn_once_for_all_properties_and_all_backends():
    drawn = []
    calls = strategies.elementwise().map(lambda call: [call, drawn.append(call)][0])
    case = Case(tr.exp, calls, np.exp)
    for which in PROPERTIES.values():
        if which.applies(case):
            search.run_property(case, which)
    search.run_backend(case, "standin")
    assert len(drawn) <= PROFILES["fast"].max_examples + 10  # and what Hypothesis discards


def test_a_backend_that_disagrees_is_told():
    doubled = Case(lambda x: tr.exp(x) * (2.0 if x.backend == "standin" else 1.0), strategies.elementwise(), name="doubled")
    search.run_property(doubled, PROPERTIES["P3"])
    with pytest.raises(Exception, match="value on standin: got .*2"):
        search.run_backend(doubled, "standin")


def test_a_backend_that_disagrees_at_a_call_that_is_not_drawn_again_is_told(monkeypatch):
    large = Case(lambda x: tr.exp(x) * (2.0 if x.backend == "standin" else 1.0), strategies.elementwise(), name="large")
    search.run_property(large, PROPERTIES["P3"])
    monkeypatch.setattr(search, "each_call", lambda *given: None)
    with pytest.raises(Exception, match="value on standin: got "):
        search.run_backend(large, "standin")


def test_an_op_too_ill_conditioned_to_be_verified_is_no_pass():
    """sin(1e9 x): differences cannot tell its derivative from any other."""
    case = tr.testing.Case(lambda x: tr.sin(1e9 * x), tr.testing.strategies.elementwise(), name="fast_sine")
    with pytest.raises(AssertionError, match="fast_sine: numeric first order UNRESOLVED   .* expected 90%"):
        tr.testing.run_property(case, PROPERTIES["P3"])


def test_a_case_of_nothing_is_no_pass():
    """A test that compares nothing cannot fail."""
    empty = tr.testing.strategies.calls(tr.testing.strategies.arrays((0,)))
    with pytest.raises(AssertionError, match="exp: numeric first order UNRESOLVED   nothing was compared: draw arrays"):
        tr.testing.run_property(tr.testing.Case(tr.exp, empty), PROPERTIES["P3"])


def test_a_failure_that_another_search_does_not_find_again_is_kept():
    """Only one call in hundreds fails: the search for the simplest one may meet none."""

    def vjp(g, x):
        return g * np.cos(x) * (2.0 if x.size == 1 and x[0] == 0.625 else 1.0)

    drawn = tr.testing.strategies.calls(tr.testing.strategies.arrays((1,)))
    case = tr.testing.Case(np.sin, drawn, order=1, vjp=vjp)
    broken = tr.testing.Call((np.array([0.625]),), {})
    failure = search._simplest(case, PROPERTIES["P3"], broken, 3, "")
    assert "sin: numeric first order FAILED" in str(failure)
    assert "x = float64[1] [0.625]" in str(failure) or "x0 = float64[1] [0.625]" in str(failure)


def test_a_case_of_an_order_that_there_is_not():
    with pytest.raises(ValueError, match="Case of exp: got order=3, expected 0, 1 or 2"):
        tr.testing.Case(tr.exp, tr.testing.strategies.elementwise(), order=3)
    with pytest.raises(ValueError, match="at most 1 with a vjp on arrays"):
        tr.testing.Case(tr.exp, tr.testing.strategies.elementwise(), vjp=lambda g, x: g)


class Doubling:
    def __call__(self, x):
        return 2.0 * x

    def method(self, x):
        return 2.0 * x


NAMED = {
    "<lambda>": lambda: Case(lambda x: 2.0 * x, strategies.elementwise()),
    "softplus": lambda: Case(functools.partial(tr.softplus, beta=2.0), strategies.elementwise()),
    "Doubling": lambda: Case(Doubling(), strategies.elementwise()),
    "method": lambda: Case(Doubling().method, strategies.elementwise()),
    "my exp": lambda: Case(tr.exp, strategies.elementwise(), name="my exp"),
    "2exp": lambda: Case(tr.exp, strategies.elementwise(), name="2exp"),
    "a\"b'c é²\\ \0": lambda: Case(tr.exp, strategies.elementwise(), name="a\"b'c\n\té²\\ \0"),
    "sin of a pair": lambda: Case(
        lambda x: np.sin(x), strategies.elementwise(), order=1, vjp=lambda g, x: g * np.cos(x), name="sin of a pair"
    ),
}


@pytest.mark.parametrize("name", NAMED)
def test_a_case_has_any_name_and_any_callable(name):
    case = NAMED[name]()
    assert case.name == name
    for key in ("P1", "P2", "P3"):
        search.run_property(case, PROPERTIES[key])


def test_cases_of_one_name_are_told_apart():
    right, wrong = (Case(lambda x: np.sin(x), strategies.elementwise(), order=1, vjp=vjp) for vjp in (
        lambda g, x: g * np.cos(x), lambda g, x: g * np.sin(x)
    ))  # fmt: skip
    for _ in range(2):
        search.run_property(right, PROPERTIES["P3"])
        with pytest.raises(AssertionError, match="<lambda>: numeric first order FAILED"):
            search.run_property(wrong, PROPERTIES["P3"])


def lines_of_failures(printed):
    """What pytest prints between the head of the failures and its summary."""
    return printed.partition("= FAILURES =")[2].partition("= short test summary")[0].splitlines()[1:-1]


def test_a_wrong_derivative_is_told_in_few_lines_and_none_of_tinyreg(run):
    lines = lines_of_failures(run(WRONG))
    assert len(lines) <= 15
    assert lines[1] == "cube: numeric first order FAILED   d / d x"
    assert "tinyreg/" not in "\n".join(lines)


def test_a_derivative_that_raises_is_told_once_with_its_line(run):
    printed = run(RIGHT.replace("    return 3 * g * x * x", "    raise ZeroDivisionError('of mine')"), "-v")
    assert named(printed, "FAILED") == ["one-gradient-each"]
    lines = lines_of_failures(printed)
    assert len(lines) <= 15
    assert lines[3:5] == ["  raised ZeroDivisionError: of mine", "  at test_it.py:12: raise ZeroDivisionError('of mine')"]


BLIND = RIGHT.replace("strategies.elementwise()", "calls").replace(
    "@tr.primitive",
    "calls = strategies.elementwise().map(lambda call: tr.testing.Call((call.arrays[0].reshape(-1)[:1] * 0 + 1.0,), {}))\n"
    "@tr.primitive",
)


def test_a_mutant_that_survives_says_what_to_do(run):
    printed = run(BLIND, "-k", "mutation")
    assert re.search(r"^  x: reversed passes", printed, re.M)
    assert "what to do: for one that passes, give the case a point, or a strategy" in printed
