"""A program whose instructions are groups, where they can be."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from ..program import Call, Program
from ..recording import Instruction, View
from . import flags
from .columns import Columns
from .function import Function
from .graph import Graph, renamed, with_scalars
from .groups import Group, Placed, Scheduler
from .lowering import Number
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

    # ---- to be read

    def counted(self) -> str:
        """How many calls and groups there are."""
        own = groups(self.instructions)
        runs = sum(
            a is None or not isinstance(a, Native)
            for a, b in zip([None, *self.instructions], self.instructions, strict=False)
            if isinstance(b, Native)
        )
        return f"{len(self.instructions) - len(own)} calls and {len(own)} groups in {runs} runs"

    def calls(self, i: Instruction) -> list[Call]:
        """The lines of an instruction: of a group, one for each op."""
        if not isinstance(i, Native):
            return super().calls(i)
        name = f"{i.name} {next(n for n, each in enumerate(groups(self.instructions)) if each is i)}"
        return [self._member(i, member, name) for member in i.group.members]

    @staticmethod
    def _member(i: Native, member: Placed, group: str) -> Call:
        """The line of an op in a group; what the group hands on is not read from memory."""
        numbers = [x.source for x in member.op.operands if isinstance(x, Number) and isinstance(x.source, View)]
        reads = [view for view, _ in member.read() if i.group.source(member, view) is None]
        op = member.op
        return Call(op.name, op.out, op.of, [*reads, *numbers], i.function.needs_store(member), group)

    def _row(self, call: Call) -> tuple[str, ...]:
        row = super()._row(call)
        return (*row[:3], call.group, *row[3:])


def _native(group: Group, lasting: set[int], graph: Graph, errors: dict[str, str]) -> Native:
    function = KINDS[group.kind](group, group.stored(lasting, graph.last))
    views = (*function.read, *function.written)
    numbers = tuple(number.source for number in function.numbers)
    first = group.members[0].op.of
    warned = flags.warned({**errors, **dict(first.errors)})
    own: Any = {"group": group, "function": function, "warned": warned}
    return Native("native", group.kind, (views, numbers), {}, None, False, first.line, (), **own)


def groups(instructions: Iterable[Instruction]) -> list[Native]:
    """The groups among instructions."""
    return [i for i in instructions if isinstance(i, Native)]
