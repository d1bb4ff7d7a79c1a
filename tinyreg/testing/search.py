"""The battery: every property of the table, over the calls that Hypothesis draws from a case."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import hypothesis
import hypothesis.strategies as st

from ..creation import backends
from . import contract, derivatives, values  # noqa: F401 (they put their checks into the table of properties)
from .case import Call, Case
from .differences import Verdict
from .failure import Failure
from .property import PROPERTIES, Property
from .trial import Trial

RESOLVED = 0.9  # the share of comparisons that must resolve an error of 1e-6; an op below it has not been verified

_PHASES = [phase for phase in hypothesis.Phase if phase is not hypothesis.Phase.explain]  # a Failure explains itself
_SEARCH = hypothesis.settings(deadline=None, report_multiple_bugs=False, phases=_PHASES, derandomize=False)
_SAME = hypothesis.settings(_SEARCH, derandomize=True, database=None)
PROFILES = {
    "fast": hypothesis.settings(_SAME, max_examples=25),
    "ci": hypothesis.settings(_SAME, max_examples=100),
    "deep": hypothesis.settings(_SEARCH, max_examples=2000),
}
"""How long Hypothesis searches: on every push, in CI, and before a release (there at random, with a database)."""

_chosen = "fast"
_backends: tuple[str, ...] | None = None


def use_profile(name: str) -> str:
    """Choose the profile for the tests that follow; gives the name of the one before."""
    global _chosen
    if name not in PROFILES:
        raise ValueError(f"unknown profile {name!r}: expected one of {', '.join(map(repr, PROFILES))}")
    before, _chosen = _chosen, name
    return before


def use_backend(name: str | None) -> tuple[str, ...] | None:
    """Choose the backend that P12 compares with NumPy, None for all that work; gives the choice before."""
    global _backends
    if name is not None and name not in backends():
        raise ValueError(f"unknown backend {name!r}: expected one of {', '.join(map(repr, backends()))}")
    before, _backends = _backends, None if name is None else (name,)
    return before


def each_call(case: Case, name: str, check: Callable[[Call, int], Any]) -> None:
    """Run a check over the calls that Hypothesis draws from a case; `name` keeps its examples apart from other checks'."""

    def run(call: Call, seed: int) -> None:
        check(call, seed)

    run.__name__ = run.__qualname__ = _identifier(f"{case.name}_{name}")
    PROFILES[_chosen](hypothesis.given(case.calls, st.integers(0, 2**32 - 1))(run))()


def _identifier(text: str) -> str:
    """A text as a name that Hypothesis takes: as it is, or with the numbers of the characters that no name may have."""
    if text.isidentifier():
        return text
    return "case_" + "".join(c if f"_{c}".isidentifier() else f"_{ord(c)}_" for c in text)


@dataclass
class Survey:
    """One search over a case's calls for all properties together: which were broken, and what comparisons found."""

    broken: dict[str, tuple[Call, int]] = field(default_factory=dict)
    findings: dict[str, list[Verdict]] = field(default_factory=dict)
    digits: list[float] = field(default_factory=list)


@functools.lru_cache(maxsize=8)
def survey(case: Case, profile: str) -> Survey:
    """Try every property that is not broken yet at every drawn call.

    Drawing a call takes as long as most properties do, so it is drawn once for all of them.
    """
    found = Survey()
    asked = [which for which in PROPERTIES.values() if which.at == "calls" and which.applies(case)]

    def look(call: Call, seed: int) -> None:
        trial = Trial(case, call, seed, explaining=False)
        for which in asked:
            if which.key not in found.broken:
                try:
                    findings = which.check(trial)
                except Failure:
                    found.broken[which.key] = call, seed
                else:
                    found.findings.setdefault(which.key, []).extend(finding.verdict for finding in findings)
                    found.digits += [finding.digits for finding in findings if which.key == "P3"]

    each_call(case, "survey", look)
    return found


def run_property(case: Case, which: Property) -> None:
    """Check a property at every drawn call, or at every point of the case.

    Raises `Failure` at the simplest call where it does not hold, and `AssertionError` where too few comparisons resolve
    an error of 1e-6 for the op to count as verified.
    """
    if which.at == "points":
        for point in case.points:
            which.check(Trial(case, point.call))
        return
    found = survey(case, _chosen)
    if which.key in found.broken:
        raise _simplest(case, which, *found.broken[which.key])
    verdicts = found.findings.get(which.key, [])
    if which.numeric and not verdicts:
        raise AssertionError(f"{case.name}: {which} UNRESOLVED   nothing was compared: draw arrays that have elements")
    resolved = verdicts.count(Verdict.PASS)
    if resolved < RESOLVED * len(verdicts):
        raise AssertionError(
            f"{case.name}: {which} UNRESOLVED   {resolved} of {len(verdicts)} comparisons can tell an error of 1e-6, "
            f"expected {RESOLVED:.0%}: draw values at which the function is better conditioned, or declare its scale"
        )


def _simplest(case: Case, which: Property, call: Call, seed: int) -> AssertionError:
    """The failure at the simplest call where a property does not hold, looked into once it is found: that takes longer."""
    last = call, seed

    def look(call: Call, seed: int) -> None:
        nonlocal last
        try:
            which.check(Trial(case, call, seed, explaining=False))
        except Failure:
            last = call, seed
            raise

    with contextlib.suppress(Failure, hypothesis.errors.Flaky):
        each_call(case, which.key, look)  # the simplest call that fails is the last
    try:
        which.check(Trial(case, *last))
    except Failure as failure:
        return failure
    return AssertionError(f"{case.name}: {which} failed once, and not when it was tried again")


def run_backend(case: Case, backend: str) -> None:
    """Check P12, that a backend agrees with NumPy, at every drawn call."""
    each_call(case, f"P12_{backend}", lambda call, seed: values.check_backend(Trial(case, call, seed), backend))


def ready_backends() -> list[str]:
    """The backends to compare with NumPy: those that work here, of those that were chosen."""
    return [name for name, state in _others().items() if state.startswith("ready")]


def _others() -> dict[str, str]:
    chosen = backends() if _backends is None else _backends
    return {name: state for name, state in backends().items() if name in chosen and name != "numpy"}


def _run_backends(case: Case) -> None:
    import pytest

    ready = ready_backends()
    if not ready:
        pytest.skip("no backend to compare with NumPy: " + ("; ".join(map(": ".join, _others().items())) or "only NumPy"))
    for name in ready:
        run_backend(case, name)


def battery(case: Case) -> Callable[..., None]:
    """A test for pytest that puts a case under every property, one named test each, and under the mutation check.

    >>> import tinyreg as tr
    >>> from tinyreg.testing import Case, battery, strategies
    >>> test_tanh = battery(Case(tr.tanh, strategies.elementwise()))
    """
    import pytest

    from .mutation import check_mutants

    checks: dict[str, Callable[[], Any]] = {
        str(which).replace(" ", "-"): lambda which=which: run_property(case, which)  # type: ignore[misc]
        for which in PROPERTIES.values()
        if which.applies(case)
    }
    if not case.vjp:
        checks["P12-backends-agree"] = lambda: _run_backends(case)
    if case.order:
        checks["mutation"] = lambda: check_mutants(case)

    @pytest.mark.parametrize("check", list(checks))
    def test(check: str) -> None:
        checks[check]()

    test.__name__ = f"test_{case.name}"
    return test
