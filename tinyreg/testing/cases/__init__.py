"""The table of cases: every op has its row, by family. An op without one fails the tests."""

from __future__ import annotations

from dataclasses import replace

from ..case import Case
from . import composition, elementwise, indexing, layers, linalg, reduction, shape, window
from .equivalent import EQUIVALENT

FAMILIES: dict[str, list[Case]] = {
    module.__name__.rpartition(".")[2]: [replace(case, equivalent=EQUIVALENT.get(case.name, {})) for case in module.CASES]
    for module in (elementwise, reduction, shape, indexing, linalg, window, composition, layers)
}
CASES: dict[str, Case] = {case.name: case for family in FAMILIES.values() for case in family}
