"""Every op of the table of cases, under every property: one named test for each pair."""

import pytest
from cases import CASES

from tinyreg.testing import PROPERTIES, run_backend, run_property

PAIRS = [
    pytest.param(case, which, id=f"{case}-{str(which).replace(' ', '-')}")
    for case in CASES.values()
    for which in PROPERTIES.values()
    if which.applies(case)
]


@pytest.mark.parametrize(("case", "which"), PAIRS)
def test_op(case, which):
    run_property(case, which)


@pytest.mark.parametrize("case", [pytest.param(case, id=str(case)) for case in CASES.values()])
def test_op_agrees_with_numpy(case, other_backend):
    run_backend(case, other_backend)
