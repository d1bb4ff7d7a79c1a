"""The table of cases: every op has its row, by family. An op without one fails the tests."""

from __future__ import annotations

from dataclasses import replace

from tinyreg.testing import Case

from . import (
    activations,
    attention,
    augment,
    conv_norms,
    dropout,
    elementwise,
    indexing,
    layers,
    linalg,
    losses,
    normalization,
    norms,
    recurrent,
    reduction,
    regularizers,
    shape,
    window,
)
from .equivalent import EQUIVALENT

MODULES = (
    elementwise,
    reduction,
    shape,
    indexing,
    linalg,
    window,
    activations,
    losses,
    regularizers,
    normalization,
    conv_norms,
    norms,
    dropout,
    layers,
    recurrent,
    attention,
    augment,
)
FAMILIES: dict[str, list[Case]] = {
    module.__name__.rpartition(".")[2]: [
        replace(case, table="cases.CASES", equivalent=EQUIVALENT.get(case.name, {})) for case in module.CASES
    ]
    for module in MODULES
}
CASES: dict[str, Case] = {case.name: case for family in FAMILIES.values() for case in family}
