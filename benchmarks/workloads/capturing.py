"""What it costs to make a program of a training step, and what a call of one costs beside its arithmetic."""

from __future__ import annotations

from typing import Any

from ..peers import PEERS
from . import memory
from .base import Program, Settings, Workload, microseconds, milliseconds

CASES = {case: settings for case, settings in memory.CASES.items() if case in memory.TRAINED}
SMALL = {case: settings for case, settings in memory.SMALL.items() if case in memory.TRAINED}


WITHOUT = {name: "there is no program" for name in PEERS if "captured" not in name}


def idle(library: Any, settings: Settings) -> Program:
    """A call of a program that does nothing."""
    program: Program = library.idle(memory.build(library, settings))
    return program


FIRST = Workload(
    "first call",
    "the first training step of a fresh process",
    "ms",
    milliseconds,
    CASES,
    SMALL,
    memory.build,
    quantity="first",
)
COMPILING = Workload(
    "compiling",
    "what the first three training steps of a fresh process take beyond three later ones; no code is in a cache",
    "ms",
    milliseconds,
    CASES,
    SMALL,
    memory.build,
    quantity="compiling",
)
LATER = Workload(
    "memory later",
    "the peak memory of later steps, over parameters and data; without what recording and compiling took for a while",
    "MB",
    lambda _: 1e-6,
    CASES,
    SMALL,
    memory.build,
    quantity="later",
)
ARENA = Workload(
    "arena",
    "the memory that a program plans: blocks that results share, and what goes out, once",
    "MB",
    lambda _: 1e-6,
    CASES,
    SMALL,
    memory.build,
    quantity="arena",
    without=WITHOUT,
)
OVERHEAD = Workload(
    "overhead",
    "a call of a captured step up to its first instruction: what kind it is, guards, and finding its memory",
    "us a call",
    microseconds,
    CASES,
    SMALL,
    idle,
    without=WITHOUT,
)
