"""Checks of gradients against differences, over a table of cases. Needs Hypothesis: `pip install tinyreg[test]`."""

from .case import Call, Case
from .cases import CASES
from .check import CHECKS, check_backend

__all__ = ["CASES", "CHECKS", "Call", "Case", "check_backend"]
