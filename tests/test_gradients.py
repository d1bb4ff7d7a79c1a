"""Every op of the table of cases, under every check: one named test for each pair."""

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from tinyreg.testing import CASES, CHECKS, check_backend

PAIRS = [
    pytest.param(case, check, id=f"{case}-{name}")
    for case in CASES.values()
    for name, check in CHECKS.items()
    if case.order >= {"forward": 0, "second_order": 2}.get(name, 1)
]


@pytest.mark.parametrize(("case", "check"), PAIRS)
def test_op(case, check):
    @given(case.calls, st.integers(0, 2**32 - 1))
    def run(call, seed):
        check(case, call, np.random.default_rng(seed))

    run()


@pytest.mark.parametrize("case", [pytest.param(case, id=str(case)) for case in CASES.values()])
def test_op_agrees_with_numpy(case, other_backend):
    @given(case.calls, st.integers(0, 2**32 - 1))
    def run(call, seed):
        check_backend(case, call, np.random.default_rng(seed), other_backend)

    run()
