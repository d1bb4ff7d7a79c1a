"""The function of a group: its loops over the elements, in LLVM's language. Here those of maps."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from ..recording import View
from .groups import Group, Placed
from .lowering import Number
from .text import Text
from .values import Values

WIDTH = 64
"""The bytes that are worked on at once."""
FEWEST = 4
"""So many elements are worked on at once at least, or one alone: a processor fills up fewer, and raises flags for those."""


class Function:
    """The text of a group's function. storages: those that it is given pointers of, with the offset that each has."""

    def __init__(self, group: Group, stored: list[Placed]) -> None:
        self.group: Group = group
        self.text: Text = Text()
        self.stored: set[int] = {id(member) for member in stored}
        self.phases: dict[int, int] = _phases(group)
        self.each: dict[int, str] = {}  # memory on the stack, of values for each row or column
        self.numbers: list[Number] = []
        self.read: list[View] = [v for m in group.members for v, _ in m.read() if group.source(m, v) is None]
        self.written: list[View] = [m.op.out for m in stored]
        self.bases: dict[int, int] = {}
        for view in (*self.read, *self.written):
            self.bases[view.storage] = min(view.offset, self.bases.get(view.storage, view.offset))
        self.storages: list[int] = [*self.bases]
        self.together: int = _lanes([v.dtype for m in group.members for v in (*m.op.views, m.op.out)])
        self._write()

    def body(self) -> str:
        """Everything after the function's name."""
        parameters = [*(f"ptr noalias %p{k}" for k in range(len(self.storages))), "ptr noalias %numbers"]
        lines = [f"({', '.join(parameters)}) #0 {{", *self.text.entry, *self.text.lines, "  ret void", "}"]
        return "\n".join(lines)

    def base(self, view: View) -> tuple[str, int]:
        """The pointer of a view's storage, and how far behind it the view begins."""
        return f"%p{self.storages.index(view.storage)}", view.offset - self.bases[view.storage]

    def number(self, number: Number) -> int:
        """Which of the numbers that are given it is."""
        keys = [each.key for each in self.numbers]
        if number.key not in keys:
            self.numbers.append(number)
            return len(keys)
        return keys.index(number.key)

    def needs_store(self, member: Placed) -> bool:
        """Whether a value is needed after the group."""
        return id(member) in self.stored

    def for_each(self, member: Placed, index: list[str], lanes: int) -> str:
        """The value of a row or column, in all lanes that it is of."""
        raise NotImplementedError

    # ---- maps

    def _write(self) -> None:
        sizes = self.group.sizes
        outer, inner = sizes[:-1], sizes[-1] if sizes else 1

        def nest(index: list[str], left: list[int]) -> None:
            if left:
                with self.text.loop(0, left[0], 1) as i:
                    nest([*index, i], left[1:])
            else:
                along = len(sizes) - 1 if sizes else None
                self.across(inner, lambda j, lanes: self.stores(-1, [*index, j][: len(sizes)], along, lanes))

        nest([], outer)

    def across(self, n: int, f: Callable[[str, int], None], start: str = "0") -> None:
        """f of so many elements: as many at once as can be, then what is left."""
        at, lanes = 0, self.together
        if n >= lanes:
            whole = n - n % lanes
            with self.text.loop(start, whole if start == "0" else self.plus(start, whole), lanes) as j:
                f(j, lanes)
            at = whole
        while at < n:
            while lanes > n - at:
                lanes = lanes // 2 if lanes > FEWEST else 1
            f(str(at) if start == "0" else self.plus(start, at), lanes)
            at += lanes

    def plus(self, start: str, n: int) -> str:
        """An index so much further."""
        return start if not n else self.text.let(f"add nsw i64 {start}, {n}")

    def stores(self, phase: int, index: list[str], along: int | None, lanes: int) -> None:
        """Store what is needed after the group, of a phase."""
        self.store_all(Values(self, phase, index, along, lanes), phase)

    def store_all(self, body: Values, phase: int) -> None:
        """Work out all that is stored in a phase, and then store it: something may be read where another is stored."""
        stored = [m for m in self.group.members if self._stores_in(m) and self._in(m, phase)]
        for member, value in [(m, body.value(m)) for m in stored]:
            body.put(member, value)

    def _stores_in(self, member: Placed) -> bool:
        return self.needs_store(member) and member.everywhere and member.op.axes is None

    def _in(self, member: Placed, phase: int) -> bool:
        return self.phases[id(member)] == phase or self.group.kind == "map"

    def at(self, phase: int) -> tuple[list[Placed], bool, list[Placed]]:
        """In a phase: the sums; whether anything is stored; and the values for each row or column that come after it."""
        own = [m for m in self.group.members if self.phases[id(m)] == phase]
        stores = any(map(self._stores_in, own))
        return [m for m in own if m.op.axes is not None], stores, [m for m in own if not m.everywhere]


def _lanes(dtypes: Iterable[Any]) -> int:
    """How many elements are worked on at once."""
    return WIDTH // max(4, *(int(dtype.itemsize) for dtype in dtypes))


def _phases(group: Group) -> dict[int, int]:
    """When each member's turn comes in a row or a group of columns: after the sums that it needs."""
    phases: dict[int, int] = {}
    for member in group.members:
        phase = 0 if member.everywhere else -1
        for view, _ in member.read():
            source = group.source(member, view)
            if source is not None:
                phase = max(phase, phases[id(source)] + (source.for_each and member.everywhere))
        phases[id(member)] = phase
    return phases
