"""The values of a group's members at one place of its loops, as LLVM's text."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from ..recording import View, numpy
from .groups import Placed, Steps
from .lowering import Constant, Number
from .text import Text, literal, typed

if TYPE_CHECKING:
    from .function import Function

DOUBLE = numpy.dtype("f8")


class Values:
    """The values of a group's members at one place of its loops, or at several side by side."""

    def __init__(self, function: Function, phase: int, index: list[str], along: int | None, lanes: int) -> None:
        self.function: Function = function
        self.text: Text = function.text
        self.phase: int = phase
        self.index: list[str] = index
        self.along: int | None = along
        self.lanes: int = lanes
        self._known: dict[int, str] = {}
        self._loaded: dict[Any, str] = {}

    def put(self, member: Placed, value: str) -> None:
        """Store what a member has come to."""
        out, steps = member.op.out, member.steps[-1]
        self.text.store(value, self._address(out, steps), out.dtype, self.lanes, self._step(steps))

    def value(self, member: Placed) -> str:
        """The value of a member that runs over everything: computed, or read where it was stored in an earlier phase."""
        if id(member) not in self._known:
            function = self.function
            earlier = function.group.kind != "map" and function.phases[id(member)] < self.phase
            if earlier and function.needs_store(member):
                self._known[id(member)] = self._load(member.op.out, member.steps[-1])
            else:
                self._known[id(member)] = self.computed(member)
        return self._known[id(member)]

    def computed(self, member: Placed) -> str:
        """What a member makes of its operands."""
        args = [self._operand(member, k) for k in range(len(member.op.operands))]
        return self.text.applied(member.op.name, args, [*member.op.types], self.lanes)

    def summand(self, member: Placed) -> str:
        """What a sum adds."""
        args = [self._operand(member, k) for k in range(len(member.op.operands))]
        if member.op.name != "dot":
            return args[0]
        return self.text.let(f"fmul {typed(member.op.out.dtype, self.lanes)} {args[0]}, {args[1]}")

    def _operand(self, member: Placed, k: int) -> str:
        """An operand of a member, as the op takes it."""
        x, wanted, steps = member.op.operands[k], member.op.types[k], member.steps[k]
        if isinstance(x, Constant):
            return literal(x.value, wanted, self.lanes)
        if isinstance(x, Number):
            at = self.text.address("%numbers", [], 8 * self.function.number(x))
            value = self.text.let(f"load double, ptr {at}")
            return self.text.repeated(self.text.converted(value, DOUBLE, wanted, 1), wanted, self.lanes)
        source = self.function.group.source(member, x)
        if source is None:
            value = self._load(x, steps)
        else:
            value = self.function.for_each(source, self.index, self.lanes) if source.for_each else self.value(source)
        return self.text.converted(value, x.dtype, wanted, self.lanes)

    def _load(self, view: View, steps: Steps) -> str:
        key = view.storage, view.offset, view.dtype, steps
        if key not in self._loaded:
            self._loaded[key] = self.text.load(self._address(view, steps), view.dtype, self.lanes, self._step(steps))
        return self._loaded[key]

    def _step(self, steps: Steps) -> int:
        return steps[self.along] if self.along is not None else 0

    def _address(self, view: View, steps: Iterable[int]) -> str:
        pointer, offset = self.function.base(view)
        return self.text.address(pointer, [*zip(self.index, steps, strict=True)], offset)
