"""Stepping: run a function and look about before each of its bytecodes, to see what lasts for a moment only."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any, TypeVar

T = TypeVar("T")

# Code that is not under test: the engine, these checks, and what carries them.
BESIDE = ("tinyreg.core.", "tinyreg.testing.", "tinyreg.switches", "numpy", "contextlib", "functools", "threading")


def stepping(run: Callable[[], T], look: Callable[[], Any]) -> T:
    """Run a function, and call `look` before each bytecode of the ops in it and of what they call, in this thread.

    What `look` raises would be taken for an error of the op: it should note what it sees.
    """

    def enter(frame: FrameType, event: str, arg: Any) -> Any:
        if str(frame.f_globals.get("__name__", "")).startswith(BESIDE):
            return None
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        return step

    def step(frame: FrameType, event: str, arg: Any) -> Any:
        if event == "opcode":
            look()
        return step

    before = sys.gettrace()
    sys.settrace(enter)
    try:
        return run()
    finally:
        sys.settrace(before)
