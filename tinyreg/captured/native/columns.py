"""The function of a group of columns: row after row is added, as NumPy does, to as many columns as are near in memory."""

from __future__ import annotations

from .function import Function
from .groups import Group, Placed
from .text import in_memory, typed
from .values import Values

IN_CACHE = 2**18
"""The bytes of a group of columns that should be near when they are read again."""
WIDEST = 1024
"""So many columns are worked on at once at most."""
ON_STACK = 2**17
"""The bytes of the stack that a group takes at most."""


class Columns(Function):
    """Some columns after others, each in phases: what is added up, and then what needs it."""

    def __init__(self, group: Group, stored: list[Placed]) -> None:
        self.start: str = "0"  # the first of the columns that are worked on
        super().__init__(group, stored)

    def for_each(self, member: Placed, index: list[str], lanes: int) -> str:
        """The values of the columns at an index."""
        dtype = member.op.out.dtype
        return self.text.load(self._total(member, index[1]), dtype, lanes, dtype.itemsize)

    def _write(self) -> None:
        (rows, columns), text = self.group.sizes, self.text
        tile = self._together(rows, columns)
        for member in self.group.members:
            if member.for_each:
                self.each[id(member)] = text.stack(f"[{tile} x {in_memory(member.op.out.dtype, 1)}]")
        whole = columns - columns % tile
        with text.loop(0, whole, tile) as self.start:
            self._tile(rows, tile)
        if whole < columns:
            self.start = str(whole)
            self._tile(rows, columns - whole)

    def _tile(self, rows: int, columns: int) -> None:
        """All phases of columns that are worked on together."""
        for phase in range(-1, max(self.phases.values()) + 1):
            sums, stores, after = self.at(phase)
            if sums:
                self._add_rows(phase, sums, rows, columns)
            elif stores:
                with self.text.loop(0, rows, 1) as i:
                    self.across(columns, lambda j, lanes: self.stores(phase, [i, j], 1, lanes), self.start)  # noqa: B023
            if after or any(map(self.needs_store, sums)):
                self.across(columns, lambda j, lanes: self._for_each(phase, sums, after, j, lanes), self.start)  # noqa: B023

    def _together(self, rows: int, columns: int) -> int:
        """How many columns are worked on at once: if it can be a divisor of their number."""
        most = min(WIDEST, ON_STACK // (8 * len([m for m in self.group.members if m.for_each])))
        if max(self.phases.values()) > 0:
            most = min(most, max(IN_CACHE // (4 * rows), 64))
        if columns <= most:
            return columns
        divisor = max(n for n in range(1, most + 1) if columns % n == 0)
        return divisor if divisor >= most // 4 else most

    def _add_rows(self, phase: int, sums: list[Placed], rows: int, columns: int) -> None:
        """Add up rows, some in one go."""
        text = self.text
        for member in sums:
            size, at = member.op.out.dtype.itemsize, self.each[id(member)]
            self.text.do(f"call void @llvm.memset.p0.i64(ptr align 64 {at}, i8 0, i64 {columns * size}, i1 false)")
        text.declared.add("declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)")
        few = len([m for m in self.group.members if m.everywhere])
        unrolled = 4 if few <= 6 else 2 if few <= 14 else 1

        def add(first: str, count: int) -> None:
            indices = [self.plus(first, k) if not first.isdigit() else str(int(first) + k) for k in range(count)]

            def of(j: str, lanes: int) -> None:
                totals = [self._total(member, j) for member in sums]
                values = [
                    text.let(f"load {typed(m.op.out.dtype, lanes)}, ptr {t}, align 4")
                    for m, t in zip(sums, totals, strict=True)
                ]
                for i in indices:
                    body = Values(self, phase, [i, j], 1, lanes)
                    for k, member in enumerate(sums):
                        kind = typed(member.op.out.dtype, lanes)
                        values[k] = text.let(f"fadd {kind} {values[k]}, {body.summand(member)}")
                    self.store_all(body, phase)
                for member, total, value in zip(sums, totals, values, strict=True):
                    text.do(f"store {typed(member.op.out.dtype, lanes)} {value}, ptr {total}, align 4")

            self.across(columns, of, self.start)

        whole = rows - rows % unrolled
        if whole:
            with text.loop(0, whole, unrolled) as i:
                add(i, unrolled)
        for k in range(whole, rows):
            add(str(k), 1)

    def _total(self, member: Placed, j: str) -> str:
        """Where the value of a column is, on the stack."""
        local = self.text.let(f"sub nsw i64 {j}, {self.start}")
        return self.text.address(self.each[id(member)], [(local, member.op.out.dtype.itemsize)], 0)

    def _for_each(self, phase: int, sums: list[Placed], after: list[Placed], j: str, lanes: int) -> None:
        """The values for each column that come after a phase, and the stores of its sums."""
        body = Values(self, phase + 1, ["0", j], 1, lanes)
        for member in sums:
            if self.needs_store(member):
                body.put(member, self.for_each(member, body.index, lanes))
        for member in after:
            value, dtype = body.computed(member), member.op.out.dtype
            self.text.store(value, self._total(member, j), dtype, lanes, dtype.itemsize)
            if self.needs_store(member):
                body.put(member, value)
