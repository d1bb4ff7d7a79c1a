"""The peak memory that training steps add to a process, over parameters and data; with and without checkpoint."""

from __future__ import annotations

from typing import Any

from . import convolution, networks, transformer
from .base import Library, Program, Settings, Workload

OF: dict[str, Any] = {"networks": networks, "convolution": convolution, "transformer": transformer}
DEEP = {"sizes": [512] * 17 + [10], "batch": 1024, "p": 0.2}


def _case(of: str, settings: Settings) -> Settings:
    """With a small network of the same kind, which sets up all that a library sets up once."""
    checkpoint = {name: value for name, value in settings.items() if name == "checkpoint"}
    return {"of": of, "case": settings, "first": {**next(iter(OF[of].SMALL.values())), **checkpoint}}


TRAINED = [case for family in OF.values() for cases in (family.CASES, family.SMALL) for case in cases]
"""The steps that are timed too."""
CASES: dict[str, Settings] = {
    **{case: _case(of, settings) for of, family in OF.items() for case, settings in family.CASES.items()},
    "16 blocks of width 512, batch 1024": _case("networks", DEEP),
    "the same, each block checkpointed": _case("networks", {**DEEP, "checkpoint": True}),
    **{case: _case("networks", settings) for case, settings in {**networks.DEPTHS, **networks.WIDTHS}.items()},
}
SMALL = {
    **{case: _case(of, settings) for of, family in OF.items() for case, settings in family.SMALL.items()},
    "checkpointed": _case("networks", {**networks.SMALL["6-8-7-4, batch 5"], "checkpoint": True}),
}


def build(library: Library, settings: Settings) -> Program:
    """A training step."""
    return library.train(OF[settings["of"]].network(**settings["case"]))


MEMORY = Workload(
    "memory",
    "the peak memory that three training steps add, over parameters and data; compiling, where a peer does, included",
    "MB",
    lambda _: 1e-6,
    CASES,
    SMALL,
    build,
    quantity="peak",
)
