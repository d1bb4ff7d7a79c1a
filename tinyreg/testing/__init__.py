"""Checks of gradients against differences, over a table of cases. Needs Hypothesis: `pip install tinyreg[test]`."""

from . import strategies
from .case import Call, Case, Point, at
from .cases import CASES
from .failure import Failure
from .property import PROPERTIES
from .report import Report, check_gradients
from .search import PROFILES, battery, run_backend, run_property, use_backend, use_profile

__all__ = [
    "CASES",
    "PROFILES",
    "PROPERTIES",
    "Call",
    "Case",
    "Failure",
    "Point",
    "Report",
    "at",
    "battery",
    "check_gradients",
    "run_backend",
    "run_property",
    "strategies",
    "use_backend",
    "use_profile",
]


def __dir__() -> list[str]:
    return sorted(__all__)
