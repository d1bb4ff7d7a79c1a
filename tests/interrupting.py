"""Ctrl-C at any bytecode of a call, and failures of any call that the library makes within it.

A Ctrl-C that arrives during the n-th bytecode is raised where Python raises it: after a call, at the start of a function,
at the end of a turn of a loop. So the signal is set, by a function of C that tracing calls, and the interpreter does the
rest. A failure is raised in the place of the n-th call, as where memory is short.
"""

from __future__ import annotations

import ast
import ctypes
import dis
import functools
import itertools
import random
import signal
import sys
from pathlib import Path
from types import SimpleNamespace

import tinyreg as tr

PACKAGE = str(Path(tr.__file__).parent)
CALLS = {code for name, code in dis.opmap.items() if name in ("CALL", "CALL_FUNCTION_EX", "CALL_KW")}
LEAVING = ["None"] * 3  # what `with` loads before it calls an exit, which does not fail

_c = ctypes.PyDLL(None)
_nothing = _c["Py_IsInitialized"]  # any function that changes nothing
_press = _c["PyErr_SetInterrupt"]
_nothing.argtypes = _press.argtypes = [ctypes.py_object] * 3  # as tracing calls it
_nothing.restype = None
_press.restype = functools.partial(getattr, SimpleNamespace(then=_nothing), "then")  # what is to trace from then on


def interrupted(call, n):
    """Run a call with a Ctrl-C at its n-th bytecode: whether it was interrupted, and how many bytecodes it came to."""

    def at(frame, count):
        return _press if count == n else None

    return _traced(call, at, lambda code: True, KeyboardInterrupt)


def failing(call, n):
    """Run a call where the n-th call that the library itself makes raises MemoryError: whether it did, and how many."""

    def at(frame, count):
        if count == n:
            sys.settrace(None)
            raise MemoryError("planted")

    return _traced(call, at, _fallible, MemoryError)


@functools.cache
def _fallible(code):
    """Where a call may fail: the places of those in the library's own code, but for what cleans up."""
    if not code.co_filename.startswith(PACKAGE) or code.co_name == "__exit__":
        return frozenset()
    steps = [step for step in dis.get_instructions(code) if step.opname != "PRECALL"]
    lines = itertools.accumulate((step.starts_line for step in steps), lambda before, line: line or before)
    leaving = [[step.argrepr for step in steps[max(k - 3, 0) : k]] == LEAVING for k in range(len(steps))]
    cleaning = _cleaning(code.co_filename)
    triples = zip(steps, leaving, lines, strict=True)
    return frozenset(s.offset for s, leaves, line in triples if s.opcode in CALLS and not leaves and line not in cleaning)


@functools.cache
def _cleaning(path):
    """The lines of a file that clean up: what stands under `finally`, and under `except BaseException`."""
    found = set()
    for node in ast.walk(ast.parse(Path(path).read_text())):
        handlers = [h for h in getattr(node, "handlers", ()) if getattr(h.type, "id", "") == "BaseException"]
        for step in [*getattr(node, "finalbody", ()), *(step for handler in handlers for step in handler.body)]:
            found |= {*range(step.lineno, step.end_lineno + 1)}
    return found


def _traced(call, at, where, error):
    count = 0

    def pressed(*_):
        sys.settrace(None)
        raise KeyboardInterrupt

    def begin(frame, event, arg):
        places = where(frame.f_code)
        if not places:
            return None
        frame.f_trace_opcodes, frame.f_trace_lines = True, False

        def step(frame, event, arg):
            nonlocal count
            if event == "opcode" and (places is True or frame.f_lasti in places):
                count += 1
                return at(frame, count) or step
            return step

        return step

    before = signal.signal(signal.SIGINT, pressed)
    try:
        sys.settrace(begin)
        try:
            call()
        finally:
            sys.settrace(None)
    except error:
        return True, count
    finally:
        sys.settrace(None)
        handler = signal.signal(signal.SIGINT, before)
        assert handler is pressed, "Ctrl-C is left to another handler"
    return False, count


def moments(call, how, most, seed=0):
    """At which bytecodes, or calls, to interrupt it: a sample of at most so many, or all of them."""
    _, count = how(call, 0)
    chosen = range(1, count + 1)
    return chosen if most is None or count <= most else sorted(random.Random(seed).sample(chosen, most))
