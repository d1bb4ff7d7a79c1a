"""A program whose instructions are groups, where they can be."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from ..program import Program
from ..recording import Instruction, View
from . import flags
from .columns import Columns
from .function import Function
from .graph import Graph, renamed, with_scalars
from .groups import Group, Scheduler
from .rows import Rows

KINDS = {"map": Function, "rows": Rows, "columns": Columns}


@dataclass(slots=True)
class Native(Instruction):
    """A group as an instruction: args are all views that it reads and stores, and the numbers that it is given."""

    group: Any = field(default=None)
    function: Any = field(default=None)
    warned: int = field(default=0)  # of which flags of the processor NumPy would tell


class NativeProgram(Program):
    """A program with groups. Printed, each op of a group has a line, with the number of its group."""

    bits = False
    scalars: set[int]
    """Storages of NumPy's scalars that stand in memory."""
    _heading = ("line", "op", "result", "group", "memory", "bytes")

    def _arrange(self) -> None:
        self.instructions, self.scalars = with_scalars(self.instructions, self.storages)
        self.instructions = renamed(self.instructions, self.storages, set(self.begun))
        graph = Graph(self.instructions, self.storages, self.constant)
        errors = self.trace.recording.errors
        lasting = {*self.out, *self.moved.values(), *(view.storage for view in (*self.going, *self.copies))}
        self.instructions = [
            step if isinstance(step, Instruction) else _native(step, lasting, graph, errors)
            for step in Scheduler(graph).steps()
        ]

    def _planned(self) -> set[int]:
        used = {view.storage for i in groups(self.instructions) for view in i.args[0]}
        elsewhere = {*self.constant, *self.state, *(view.storage for view in self.trace.arguments)}
        return super()._planned() | (used - elsewhere)

    @staticmethod
    def _made(i: Instruction) -> list[View]:
        return i.function.written if isinstance(i, Native) else Program._made(i)

    # ---- as text

    def _counted(self) -> str:
        own = groups(self.instructions)
        runs = sum(
            a is None or not isinstance(a, Native)
            for a, b in zip([None, *self.instructions], self.instructions, strict=False)
            if isinstance(b, Native)
        )
        return f"{len(self.instructions) - len(own)} calls and {len(own)} groups in {runs} runs"

    def _rows(self, i: Instruction) -> list[tuple[str, ...]]:
        if not isinstance(i, Native):
            return [self._with_group(super()._row(i, i.name, i.out), "")]
        number = groups(self.instructions).index(i)
        rows = []
        for member in i.group.members:
            row = super()._row(member.op.of, member.op.name, member.op.out)
            row = row if i.function.needs_store(member) else (*row[:3], "", "")
            rows.append(self._with_group(row, f"{i.name} {number}"))
        return rows

    @staticmethod
    def _with_group(row: tuple[str, ...], group: str) -> tuple[str, ...]:
        return (*row[:3], group, *row[3:])


def _native(group: Group, lasting: set[int], graph: Graph, errors: dict[str, str]) -> Native:
    function = KINDS[group.kind](group, group.stored(lasting, graph.last))
    views = (*function.read, *function.written)
    numbers = tuple(number.source for number in function.numbers)
    first = group.members[0].op.of
    warned = flags.warned({**errors, **dict(first.errors)})
    return Native("native", group.kind, (views, numbers), {}, None, False, first.line, (), None, group, function, warned)


def groups(instructions: Iterable[Instruction]) -> list[Native]:
    """The groups among instructions."""
    return [i for i in instructions if isinstance(i, Native)]
