"""Checks of gradients against differences, over a table of cases. Needs Hypothesis: `pip install tinyreg[test]`."""

from . import strategies
from .case import Call, Case
from .cases import CASES
from .check import CHECKS, check_backend
from .report import Report, check_gradients

__all__ = ["CASES", "CHECKS", "Call", "Case", "Report", "check_backend", "check_gradients", "strategies"]
