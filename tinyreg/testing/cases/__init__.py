"""The table of cases: every op has its row, by family. An op without one fails the tests."""

from __future__ import annotations

from ..case import Case
from . import composition, elementwise, indexing, linalg, reduction, shape, window

FAMILIES = (elementwise, reduction, shape, indexing, linalg, window, composition)
CASES: dict[str, Case] = {case.name: case for family in FAMILIES for case in family.CASES}
