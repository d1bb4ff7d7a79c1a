"""State that a step writes to in place: what it writes goes to new memory, so that until the end nothing has changed.

A write to a part of a state, such as `v *= 0.9`, becomes a call that reads the state and writes to the new memory, where
all that comes later finds it. Where a part is changed in another way, or not all of it, the new memory begins as a copy.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from .layouts import extent
from .recording import Instruction, Storage, View, numpy

OPERATORS = {
    "add": "add", "sub": "subtract", "mul": "multiply", "truediv": "divide", "matmul": "matmul", "eq": "equal",
    "ne": "not_equal", "lt": "less", "le": "less_equal", "gt": "greater", "ge": "greater_equal", "neg": "negative",
    "and": "bitwise_and", "or": "bitwise_or", "xor": "bitwise_xor", "invert": "invert", "abs": "absolute",
    "floordiv": "floor_divide", "mod": "remainder", "lshift": "left_shift", "rshift": "right_shift",
}  # fmt: skip
"""Operators that are ufuncs of arrays. Of `**` NumPy makes other calls where the exponent is a number."""
Span = tuple[int, int]


class UnclearError(Exception):
    """It cannot be told from the instructions whether something is read as it was, or as it is."""


class Moving:
    """One storage, on its way to its new memory: which of its bytes stand there."""

    def __init__(self, old: Storage, new: Storage) -> None:
        self.old: Storage = old
        self.new: Storage = new
        self.spans: list[Span] = []

    def moved(self, instructions: Sequence[Instruction]) -> tuple[list[Instruction], bool]:
        """The instructions with the new memory in them, and whether it begins as a copy."""
        try:
            made = [self._instruction(i) for i in instructions]
            if not self._covers((0, extent(self.old.memory))):
                raise UnclearError
        except UnclearError:
            return [self._everywhere(i) for i in instructions], True
        return made, False

    def _everywhere(self, i: Instruction) -> Instruction:
        args, settings = (mapped(x, lambda view: self.at_end(view)) for x in (i.args, i.settings))
        return replace(i, args=args, settings=settings, out=i.out and self.at_end(i.out))

    def at_end(self, view: View) -> View:
        """The view in the new memory of what was a view of the old."""
        return view._replace(storage=self.new.id) if view.storage == self.old.id else view

    def _instruction(self, i: Instruction) -> Instruction:
        if i.out is None or i.out.storage != self.old.id:
            args, settings = (mapped(x, self._read) for x in (i.args, i.settings))
            return replace(i, args=args, settings=settings)
        span, there = _span(i.out), self._covers(_span(i.out))
        if not there and not _whole(i):
            raise UnclearError
        out = self.at_end(i.out)
        args = mapped(i.args, self._read)
        settings = {k: out if k == "out" else mapped(v, self._read) for k, v in i.settings.items()}
        self._add(span)
        if there or i.kind == "call" or i.name == "setitem":
            target = [out] if i.name in ("setitem", "copyto") else []  # which is written to, and not read
            return replace(i, args=(*target, *args[len(target) :]), settings=settings, out=out)
        return replace(i, kind="call", name=OPERATORS[i.name[1:]], args=args, out=out, writes=False)

    def _read(self, view: View) -> View:
        if view.storage != self.old.id or view.strides is None:
            return view
        span = _span(view, whole=False)
        if self._covers(span):
            return self.at_end(view)
        if any(low < span[1] and span[0] < high for low, high in self.spans):
            raise UnclearError
        return view

    def _covers(self, span: Span) -> bool:
        return any(low <= span[0] and span[1] <= high for low, high in self.spans)

    def _add(self, span: Span) -> None:
        """Join a span with those that it touches."""
        touched = [s for s in self.spans if s[0] <= span[1] and span[0] <= s[1]]
        self.spans = [s for s in self.spans if s not in touched]
        self.spans.append((min(s[0] for s in (*touched, span)), max(s[1] for s in (*touched, span))))


def _span(view: View, *, whole: bool = True) -> Span:
    """From where to where the bytes of a view stand, counted from the first element of the storage."""
    size = math.prod(view.shape) * view.dtype.itemsize
    steps = [(n - 1) * step for n, step in zip(view.shape, view.strides or (), strict=True)] if size else []
    low, high = (sum(step for step in steps if (step < 0) is negative) for negative in (True, False))
    if whole and size != high - low + view.dtype.itemsize:
        raise UnclearError  # since it has gaps
    return view.offset + low, view.offset + high + view.dtype.itemsize


def _whole(i: Instruction) -> bool:
    """Whether an instruction writes to all of its result, and reads of it only where it names it."""
    if i.kind == "operator":
        everything = i.name == "setitem" and i.args[1] is Ellipsis
        return everything or (i.name[1:] in OPERATORS and i.name != "imatmul" and isinstance(i.args[0], View))
    is_ufunc = isinstance(getattr(numpy, i.name, None), numpy.ufunc) and set(i.settings) == {"out"}
    return i.kind == "call" and (is_ufunc or (i.name == "copyto" and not i.settings))


def mapped(value: Any, f: Any) -> Any:
    """Arguments of an instruction with f of each view."""
    if isinstance(value, View):
        return f(value)
    if type(value) in (tuple, list):
        return type(value)([mapped(each, f) for each in value])
    return {k: mapped(v, f) for k, v in value.items()} if type(value) is dict else value
