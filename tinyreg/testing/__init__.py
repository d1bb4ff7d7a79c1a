"""Checks of gradients against differences, over a table of cases. Needs Hypothesis: `pip install tinyreg[testing]`."""

from . import strategies
from .battery import battery
from .case import Case
from .failure import Failure
from .properties import PROPERTIES
from .report import Report, check_gradients
from .search import PROFILES, run_backend, run_property, use_backend, use_profile
from .subject import Call, Point, at

__all__ = [
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
