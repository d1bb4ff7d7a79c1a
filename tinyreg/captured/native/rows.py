"""The function of a group of rows: what is folded along the last axis is folded in NumPy's order.

That is in pairs of blocks of at most 128 elements, each in eight parts. Extremes come out alike in any order, but for NaN
and the sign of zero, of which a run tells.
"""

from __future__ import annotations

import math
from typing import Any

from ..recording import numpy
from . import flags
from .function import Function
from .groups import Placed
from .text import Text, literal, scalar, typed
from .values import Values

BLOCK = 128
"""Up to so many elements NumPy adds in one block."""
BOOL = numpy.dtype("?")
STARTS = {"sum": -0.0, "max": -numpy.inf, "min": numpy.inf}
"""What a sum or an extreme begins with."""


class Rows(Function):
    """Row after row, each in phases: what is folded, and then what needs it."""

    def for_each(self, member: Placed, index: list[str], lanes: int) -> str:
        """The value of the row."""
        dtype = member.op.out.dtype
        value = self.text.let(f"load {scalar(dtype)}, ptr {self.each[id(member)]}")
        return self.text.repeated(value, dtype, lanes)

    def _write(self) -> None:
        (rows, n), text = self.group.sizes, self.text
        for member in self.group.members:
            if member.for_each:
                self.each[id(member)] = text.stack(scalar(member.op.out.dtype))
        with text.loop(0, rows, 1) as i:
            for phase in range(-1, max(self.phases.values()) + 1):
                sums, stores, after = self.at(phase)
                if sums:
                    self._fold(phase, sums, i, n)
                elif stores:
                    self.across(n, lambda j, lanes: self.stores(phase, [i, j], 1, lanes))  # noqa: B023
                body = Values(self, phase + 1, [i, "0"], None, 1)
                for member in after:
                    self._keep(member, body.computed(member), i)

    def _fold(self, phase: int, folded: list[Placed], i: str, n: int) -> None:
        """The sums and extremes of a row."""
        sums = [m for m in folded if m.op.name == "sum"]
        extremes = [m for m in folded if m.op.name != "sum"]
        if sums:
            for member, total in zip(sums, self._pairwise(phase, sums, i, n), strict=True):
                dtype = member.op.out.dtype
                self._keep(member, self.text.let(f"fadd {scalar(dtype)} {literal(0.0, dtype, 1)}, {total}"), i)
        if extremes:
            doubts = [Doubt(self.text, member.op.out.dtype) for member in extremes]
            for member, value, doubt in zip(
                extremes, self._block(phase, extremes, i, "0", n, doubts, stores=not sums), doubts, strict=True
            ):
                doubt.settle(value)
                self._keep(member, value, i)

    def _keep(self, member: Placed, value: str, i: str) -> None:
        """Have the value of a row ready, and store it where it is needed."""
        dtype = member.op.out.dtype
        self.text.do(f"store {scalar(dtype)} {value}, ptr {self.each[id(member)]}")
        if self.needs_store(member):
            Values(self, 0, [i, "0"], None, 1).put(member, value)

    def _pairwise(self, phase: int, sums: list[Placed], i: str, n: int) -> list[str]:
        """The sums of a row in pairs, as NumPy adds them."""
        blocks, text = _blocks(n), self.text
        if len(blocks) == 1:
            return self._block(phase, sums, i, "0", n)
        table, first = ", ".join(f"i64 {value}" for block in blocks for value in block), f"@blocks.{n}"
        text.declared.add(f"{first} = internal constant [{3 * len(blocks)} x i64] [{table}]")
        depth = 2 + math.ceil(math.log2(len(blocks)))
        stacks = [text.stack(f"[{depth} x {scalar(m.op.out.dtype)}]") for m in sums]
        top = text.stack("i64")
        text.do(f"store i64 0, ptr {top}")
        with text.loop(0, len(blocks), 1) as b:
            low, size, merges = (text.let(f"load i64, ptr {text.address(first, [(b, 24)], 8 * k)}") for k in range(3))
            count = blocks[0][1] if len({block[1] for block in blocks}) == 1 else size
            values = self._block(phase, sums, i, low, count)
            at = text.let(f"load i64, ptr {top}")
            for member, value, stack in zip(sums, values, stacks, strict=True):
                size_of = member.op.out.dtype.itemsize
                text.do(f"store {scalar(member.op.out.dtype)} {value}, ptr {text.address(stack, [(at, size_of)], 0)}")
            with text.loop(0, merges, 1) as merge:
                above = text.let(f"sub nsw i64 {at}, {merge}")
                for member, stack in zip(sums, stacks, strict=True):
                    dtype = member.op.out.dtype
                    kind = scalar(dtype)
                    right = text.address(stack, [(above, dtype.itemsize)], 0)
                    left = text.address(right, [], -dtype.itemsize)
                    pair = [text.let(f"load {kind}, ptr {p}") for p in (left, right)]
                    text.do(f"store {kind} {text.let(f'fadd {kind} {pair[0]}, {pair[1]}')}, ptr {left}")
            after = text.let(f"add i64 {text.let(f'sub i64 {at}, {merges}')}, 1")
            text.do(f"store i64 {after}, ptr {top}")
        return [text.let(f"load {scalar(m.op.out.dtype)}, ptr {s}") for m, s in zip(sums, stacks, strict=True)]

    def _block(
        self, phase: int, sums: list[Placed], i: str, low: str, n: int | str, doubts: Any = (), *, stores: bool = True
    ) -> list[str]:
        """The sums or extremes of a block of a row in eight parts, and then of what is left."""
        text = self.text
        kinds = [scalar(m.op.out.dtype) for m in sums]
        starts = [STARTS[m.op.name] for m in sums]
        totals = [literal(start, m.op.out.dtype, 1) for m, start in zip(sums, starts, strict=True)]
        whole = self.plus(low, n - n % 8) if isinstance(n, int) else ""
        end = self.plus(low, n) if isinstance(n, int) else text.let(f"add i64 {low}, {n}")
        if not whole:
            whole = text.let(f"add i64 {low}, {text.let(f'and i64 {n}, -8')}")
        if isinstance(n, str) or n >= 8:
            eights = [text.stack(f"<8 x {kind}>") for kind in kinds]
            for member, kind, eight, start in zip(sums, kinds, eights, starts, strict=True):
                text.do(f"store <8 x {kind}> {literal(start, member.op.out.dtype, 8)}, ptr {eight}")
            with text.loop(low, whole, 8) as j:
                self._add(phase, sums, eights, [i, j], 8, doubts, stores=stores)
            values = [text.let(f"load <8 x {kind}>, ptr {e}") for kind, e in zip(kinds, eights, strict=True)]
            totals = [_across(text, member, value) for member, value in zip(sums, values, strict=True)]
        if isinstance(n, int) and n % 8 == 0:
            return totals
        ends = [text.stack(kind) for kind in kinds]
        for kind, total, at in zip(kinds, totals, ends, strict=True):
            text.do(f"store {kind} {total}, ptr {at}")
        with text.loop(whole if isinstance(n, str) or n >= 8 else low, end, 1) as j:
            self._add(phase, sums, ends, [i, j], 1, doubts, stores=stores)
        return [text.let(f"load {kind}, ptr {at}") for kind, at in zip(kinds, ends, strict=True)]

    def _add(
        self, phase: int, sums: list[Placed], totals: list[str], index: list[str], lanes: int, doubts: Any, *, stores: bool
    ) -> None:
        """Add elements to sums or extremes, and store what is stored in this phase."""
        body, text = Values(self, phase, index, 1, lanes), self.text
        for k, (member, at) in enumerate(zip(sums, totals, strict=True)):
            kind = typed(member.op.out.dtype, lanes)
            before, value = text.let(f"load {kind}, ptr {at}"), body.summand(member)
            text.do(f"store {kind} {_combined(text, member, before, value, lanes)}, ptr {at}")
            if doubts:
                doubts[k].note(value, lanes)
        if stores:
            self.store_all(body, phase)


def _blocks(n: int) -> list[tuple[int, int, int]]:
    """The blocks in which NumPy adds up n elements: where each begins, how long it is, and how many pairs it closes."""
    made: list[tuple[int, int, int]] = []

    def add(low: int, size: int, closes: int) -> None:
        if size <= BLOCK:
            made.append((low, size, closes))
            return
        half = size // 2 - size // 2 % 8
        add(low, half, 0)
        add(low + half, size - half, closes + 1)

    add(0, n, 0)
    return made


def _combined(text: Text, member: Placed, a: str, b: str, lanes: int) -> str:
    """Two sums or extremes as one."""
    kind = typed(member.op.out.dtype, lanes)
    if member.op.name == "sum":
        return text.let(f"fadd {kind} {a}, {b}")
    wins = text.let(f"fcmp {'ogt' if member.op.name == 'max' else 'olt'} {kind} {a}, {b}")
    return text.let(f"select {typed(numpy.dtype('?'), lanes)} {wins}, {kind} {a}, {kind} {b}")


def _across(text: Text, member: Placed, eight: str) -> str:
    """Eight parts as one, in pairs."""
    kind = scalar(member.op.out.dtype)
    halves = [
        text.let(f"shufflevector <8 x {kind}> {eight}, <8 x {kind}> poison, <4 x i32> <{mask}>")
        for mask in ("i32 0, i32 2, i32 4, i32 6", "i32 1, i32 3, i32 5, i32 7")
    ]
    four = _combined(text, member, halves[0], halves[1], 4)
    ends = [text.let(f"extractelement <4 x {kind}> {four}, i64 {k}") for k in range(4)]
    pairs = [_combined(text, member, ends[k], ends[k + 1], 1) for k in (0, 2)]
    return _combined(text, member, pairs[0], pairs[1], 1)


class Doubt:
    """Whether the bits of an extreme depend on the order: where there is NaN, or 0.0 and -0.0. Then the run says so."""

    def __init__(self, text: Text, dtype: Any) -> None:
        self.text: Text = text
        self.dtype: Any = dtype
        self._seen = {lanes: [text.stack(typed(BOOL, lanes)) for _ in range(3)] for lanes in (8, 1)}
        for lanes, places in self._seen.items():
            for at in places:
                text.do(f"store {typed(BOOL, lanes)} {literal(0, BOOL, lanes)}, ptr {at}")

    def note(self, value: str, lanes: int) -> None:
        """Look at elements."""
        text, kind = self.text, typed(self.dtype, lanes)
        whole = numpy.dtype(f"i{self.dtype.itemsize}")
        bits = text.let(f"bitcast {kind} {value} to {typed(whole, lanes)}")
        lowest = literal(numpy.iinfo(whole).min, whole, lanes)
        tests = [
            f"fcmp uno {kind} {value}, {value}",
            f"icmp eq {typed(whole, lanes)} {bits}, {literal(0, whole, lanes)}",
            f"icmp eq {typed(whole, lanes)} {bits}, {lowest}",
        ]
        for test, at in zip(tests, self._seen[lanes], strict=True):
            before = text.let(f"load {typed(BOOL, lanes)}, ptr {at}")
            text.do(
                f"store {typed(BOOL, lanes)} {text.let(f'or {typed(BOOL, lanes)} {before}, {text.let(test)}')}, ptr {at}"
            )

    def settle(self, extreme: str) -> None:
        """Say where the result is in doubt."""
        text = self.text
        seen = []
        for eight, one in zip(self._seen[8], self._seen[1], strict=True):
            bits = text.let(f"bitcast <8 x i1> {text.let(f'load <8 x i1>, ptr {eight}')} to i8")
            seen.append(text.let(f"or i1 {text.let(f'icmp ne i8 {bits}, 0')}, {text.let(f'load i1, ptr {one}')}"))
        zero = text.let(f"fcmp oeq {scalar(self.dtype)} {extreme}, {literal(0.0, self.dtype, 1)}")
        both = text.let(f"and i1 {text.let(f'and i1 {seen[1]}, {seen[2]}')}, {zero}")
        doubt = text.let(f"select i1 {text.let(f'or i1 {both}, {seen[0]}')}, i32 {flags.DOUBT}, i32 0")
        before = text.let("load i32, ptr @doubt")
        text.do(f"store i32 {text.let(f'or i32 {before}, {doubt}')}, ptr @doubt")
