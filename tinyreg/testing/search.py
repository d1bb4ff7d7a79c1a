"""The search: properties over the calls that Hypothesis draws from a case, and for how long."""

from __future__ import annotations

import contextlib
import functools
import itertools
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import hypothesis
import hypothesis.strategies as st
from hypothesis import core

from ..creation import backends
from . import values
from .differences import Verdict
from .drawing import by_seed
from .failure import Failure
from .properties import FOUNDATIONS, PROPERTIES
from .property import Property
from .subject import Call, Subject
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
"""How long Hypothesis searches: on every push, in CI, and before a release (there at random, with a database).

With Hypothesis's own `--hypothesis-seed` each of them draws other calls, the same ones again for the same seed.

In the fast profile differences are taken of a composition at one call in three: the VJPs that it is made of have cases of
their own. All else is asked of it at every call.
"""

DISTINCT = 5  # calls of one search: what Hypothesis draws after them are mostly the same shapes and settings again

ONE_IN = {"fast": 3}  # calls of a composition

_chosen = "fast"
_backends: tuple[str, ...] | None = None


def use_profile(name: str) -> str:
    """Choose the profile for the tests that follow; give the name of the one before."""
    global _chosen
    if name not in PROFILES:
        raise ValueError(f"unknown profile {name!r}: expected one of {', '.join(map(repr, PROFILES))}")
    before, _chosen = _chosen, name
    return before


def profile() -> str:
    """The name of the profile in use."""
    return _chosen


def use_backend(name: str | None) -> tuple[str, ...] | None:
    """Choose the backend to compare with NumPy, None for all that work; give the choice before."""
    global _backends
    if name is not None and name not in backends():
        raise ValueError(f"unknown backend {name!r}: expected one of {', '.join(map(repr, backends()))}")
    before, _backends = _backends, None if name is None else (name,)
    return before


def each_call(case: Subject, name: str, check: Callable[[Call, int], Any]) -> None:
    """Run a check over the calls that Hypothesis draws from a case; `name` keeps its examples apart from other checks'."""
    examples = PROFILES[_chosen].max_examples
    for start in range(0, examples, DISTINCT):
        _search(case, f"{name}_{start}", min(DISTINCT, examples - start), check)


def _search(case: Subject, name: str, examples: int, check: Callable[[Call, int], Any]) -> None:
    def run(call: Call, seed: int) -> None:
        check(call, seed)

    run.__name__ = run.__qualname__ = _identifier(f"{case.name}_{name}")
    chosen = hypothesis.settings(PROFILES[_chosen], max_examples=examples)
    test = chosen(hypothesis.given(case.calls, st.integers(0, 2**32 - 1))(run))
    seed = core.global_force_seed  # by --hypothesis-seed
    if chosen.derandomize or seed is not None:  # by the name too, since to Hypothesis all of these are one function
        text = run.__name__ if seed is None else f"{run.__name__} {seed}"
        test = hypothesis.seed(zlib.crc32(text.encode()))(test)
    with by_seed():
        test()


def _identifier(text: str) -> str:
    """Give a text as a name that Hypothesis takes: as it is, or with numbers for the characters that no name may have."""
    if text.isidentifier():
        return text
    return "case_" + "".join(c if f"_{c}".isidentifier() else f"_{ord(c)}_" for c in text)


@dataclass
class Survey:
    """One search over a case's calls for all properties and backends together: the findings of comparisons, what broke.

    backends: those that were compared with NumPy.
    """

    backends: tuple[str, ...] = ()
    broken: dict[str, tuple[Call, int, str]] = field(default_factory=dict)
    findings: dict[str, list[Verdict]] = field(default_factory=dict)
    digits: list[float] = field(default_factory=list)


@functools.lru_cache(maxsize=8)
def survey(case: Subject, profile: str) -> Survey:
    """Try every property that is not broken yet at every drawn call, and every backend.

    Drawing a call takes as long as most properties do, so it is drawn once for all of them.
    """
    seen = Survey(() if case.vjp else tuple(ready_backends()))
    asked = [which for which in PROPERTIES.values() if which.at == "calls" and which.applies(case)]
    one_in = ONE_IN.get(profile, 1) if case.primitive is None and case.vjp is None else 1
    drawn = itertools.count()

    def look(call: Call, seed: int) -> None:
        trial = Trial(case, call, seed, explaining=False)
        n = next(drawn)
        for which in asked:
            every, apart = which.every if profile in ONE_IN else 1, one_in if which.costly else 1
            in_turn = n % (every * apart) == every // 2 * apart  # not at the first calls, which are the simplest
            if in_turn and which.key not in seen.broken:
                try:
                    findings = which.check(trial)
                except Failure as failure:
                    seen.broken[which.key] = call, seed, str(failure)
                else:
                    seen.findings.setdefault(which.key, []).extend(finding.verdict for finding in findings)
                    seen.digits += [finding.digits for finding in findings if which.key == "P3"]
        for name in seen.backends:
            if name not in seen.broken:
                try:
                    values.check_backend(trial, name)
                except Exception as failure:
                    seen.broken[name] = call, seed, str(failure)

    each_call(case, "survey", look)
    return seen


def run_property(case: Subject, which: Property) -> None:
    """Check a property at every drawn call, or at every point of the case.

    Raises `Failure` at the simplest call where it does not hold, and `AssertionError` where too few comparisons resolve
    an error of 1e-6 for the op to count as verified.
    """
    if which.at == "points":
        for point in case.points:
            which.check(Trial(case, point.call))
        return
    seen = survey(case, _chosen)
    if which.key in seen.broken:
        raise _simplest(case, which, *seen.broken[which.key])
    verdicts = seen.findings.get(which.key, [])
    if which.numeric and not verdicts:
        raise AssertionError(f"{case.name}: {which} UNRESOLVED   nothing was compared: draw arrays that have elements")
    resolved = verdicts.count(Verdict.PASS)
    if resolved < RESOLVED * len(verdicts):
        raise AssertionError(
            f"{case.name}: {which} UNRESOLVED   {resolved} of {len(verdicts)} comparisons can tell an error of 1e-6, "
            f"expected {RESOLVED:.0%}: draw values at which the function is better conditioned, or declare its scale"
        )


def _simplest(case: Subject, which: Property, call: Call, seed: int, text: str) -> AssertionError:
    """Find the simplest call where a property does not hold, and give its failure, looked into: that takes longer.

    text: the failure as it was seen first, for one that does not come again.
    """
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
    return AssertionError(f"{case.name}: {which} failed once, and not when it was tried again\n{text}")


def first_broken(case: Subject) -> Property | None:
    """Give the property on which others rest that fails first, or None: after it the others say nothing new."""
    broken = survey(case, _chosen).broken
    return next((which for which in FOUNDATIONS if which.key in broken), None)


def run_backend(case: Subject, backend: str) -> None:
    """Check that a backend agrees with NumPy, at every drawn call."""
    seen = survey(case, _chosen)
    if backend in seen.backends and backend not in seen.broken:
        return
    each_call(case, f"P12_{backend}", lambda call, seed: values.check_backend(Trial(case, call, seed), backend))
    if backend in seen.broken:  # at a call that this search has not come to
        call, seed, text = seen.broken[backend]
        values.check_backend(Trial(case, call, seed), backend)
        raise AssertionError(f"{case.name}: {backend} disagreed with NumPy once, and not when it was tried again\n{text}")


def ready_backends() -> list[str]:
    """Give the backends to compare with NumPy: those that work here, of those that were chosen."""
    return [name for name, state in other_backends().items() if state.startswith("ready")]


def other_backends() -> dict[str, str]:
    """Give the chosen backends but NumPy, each with its state."""
    chosen = backends() if _backends is None else _backends
    return {name: state for name, state in backends().items() if name in chosen and name != "numpy"}
