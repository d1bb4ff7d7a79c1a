"""The battery: a test for pytest that asks everything of one case."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .case import Case
from .mutation import check_mutants
from .properties import PROPERTIES
from .search import first_broken, other_backends, ready_backends, run_backend, run_property


def battery(case: Case) -> Callable[..., None]:
    """Make a test for pytest that puts a case under every property, one named test each, and under the mutation check.

    Where a VJP raises, gives no gradient or a wrong one, that is said, and what rests on it is skipped.

    >>> import tinyreg as tr
    >>> from tinyreg.testing import Case, battery, strategies
    >>> test_tanh = battery(Case(tr.tanh, strategies.elementwise()))
    """
    import pytest

    checks: dict[str, Callable[[], Any]] = {
        str(which).replace(" ", "-"): lambda which=which: run_property(case, which)  # type: ignore[misc]
        for which in PROPERTIES.values()
        if which.applies(case)
    }
    if not case.vjp:
        checks["backends-agree"] = lambda: _run_backends(case)
    if case.order:
        checks["mutation"] = lambda: check_mutants(case)

    @pytest.mark.parametrize("check", list(checks))
    def test(check: str) -> None:
        named = list(checks)
        first = str(first_broken(case) or "").replace(" ", "-")
        if first and named.index(first) < named.index(check):
            pytest.skip(f"not tried: {first} fails")
        try:
            checks[check]()
        except AssertionError as failure:
            said = str(failure)
        else:
            return
        pytest.fail(said, pytrace=False)  # all that helps: no line of tinyreg's would

    test.__name__ = f"test_{case.name}"
    return test


def _run_backends(case: Case) -> None:
    import pytest

    ready = ready_backends()
    if not ready:
        states = "; ".join(map(": ".join, other_backends().items()))
        pytest.skip(f"no backend to compare with NumPy: {states or 'only NumPy'}")
    for name in ready:
        run_backend(case, name)
