"""Runs a program with groups: neighbouring groups are one call of machine code, which finds all memory in a table."""

from __future__ import annotations

import ctypes
from collections.abc import Iterable
from itertools import groupby
from typing import Any

from ..executor import Executor
from ..recording import Instruction, View
from . import flags
from .compile import ATTRIBUTES, Engine, binding
from .draws import FILL, SIGNATURE, drawing
from .program import Native, NativeProgram, groups

NUMBERS = 0
"""The place of the numbers in the table; those of storages follow."""


class NativeExecutor(Executor):
    """The executor of a `NativeProgram`."""

    program: NativeProgram

    def _compiled(self) -> Any:
        used = {storage: None for i in groups(self.program.instructions) for storage in i.function.storages}
        self.places: dict[int, int] = {storage: 1 + k for k, storage in enumerate(used)}
        self.numbers: Any = (ctypes.c_double * max(1, sum(len(i.args[1]) for i in groups(self.program.instructions))))()
        self.bound = ["table", "memory"]
        self.fixed["numbers"] = self.numbers
        self._given = 0  # numbers
        self._kernels: dict[str, str] = {}
        self._declared: dict[str, None] = {}
        self._runs: list[list[str]] = []
        self._engine = Engine(binding())
        self._fill: list[Any] = []
        return super()._compiled()

    def _computing(self) -> list[str]:
        lines = super()._computing()
        if self._runs:
            names = [f"run{n}" for n in range(len(self._runs))]
            self.fixed |= zip(names, self._engine.functions(self._text_of_all(), names), strict=True)
        return lines

    def _text_of_all(self) -> str:
        """The module: a function for each group that differs, and one for each run of groups."""
        runs = [
            "\n".join([f"define i32 @run{n}(ptr %table) {{", *flags.CLEARED, *lines, *flags.RETURNED, "}"])
            for n, lines in enumerate(self._runs)
        ]
        kernels = [f"define internal void {name}{body}" for body, name in self._kernels.items()]
        return "\n\n".join([*flags.DECLARED, *self._declared, *kernels, *runs, ATTRIBUTES])

    def _bound(self, addresses: dict[int, int]) -> list[Any]:
        table = (ctypes.c_void_p * (1 + len(self.places)))()
        table[NUMBERS] = ctypes.addressof(self.numbers)
        for storage, place in self.places.items():
            table[place] = addresses[storage]
        return [ctypes.addressof(table), table]

    def _all_lines(self, instructions: Iterable[Instruction]) -> list[str]:
        lines: list[str] = []
        for warned, each in groupby(instructions, lambda i: i.warned if isinstance(i, Native) else None):
            if warned is None:
                lines += super()._all_lines(each)
                continue
            self._runs.append([])
            for i in each:
                lines += self._add(i)
            call = f"run{len(self._runs) - 1}(table)"
            lines.append(f"if {call} & {warned}: raise Warned" if warned else call)
        return lines

    def _lines(self, i: Instruction) -> list[str]:
        if i.name != "words":
            return super()._lines(i)
        assert i.out is not None
        if not self._fill:
            self._fill = self._engine.functions(FILL, ["fill"], SIGNATURE)
        bound, rest = i.args[1]
        draw = drawing(self._fill[0], i.f, bound, rest, i.args[2])
        return [f"{self._constant(draw)}({self._ref(i.out)}, {self._addresses[i.out.storage]})"]

    def _ref(self, view: View) -> str:
        if view.strides is None and view.storage in self.program.scalars:
            return f"{self._name(view._replace(strides=()))}[()]"
        return super()._ref(view)

    def _add(self, i: Any) -> list[str]:
        """Add the call of a group to a run; the lines that give it its numbers."""
        function, run = i.function, self._runs[-1]
        kernel = self._kernels.setdefault(function.body(), f"@kernel{len(self._kernels)}")
        self._declared |= dict.fromkeys(sorted(function.text.declared))
        arguments, n = [], len(run)
        for k, storage in enumerate(function.storages):
            run += _pointer(f"%a{n}.{k}", self.places[storage], function.bases[storage])
            arguments.append(f"ptr %a{n}.{k}")
        run += _pointer(f"%n{n}", NUMBERS, 8 * self._given)
        run.append(f"  call void {kernel}({', '.join([*arguments, f'ptr %n{n}'])})")
        lines = [f"numbers[{self._given + k}] = {self._text(x)}" for k, x in enumerate(i.args[1])]
        self._given += len(lines)
        return lines


def _pointer(name: str, place: int, offset: int) -> list[str]:
    """The lines that take a pointer from the table."""
    return [
        f"  {name}.at = getelementptr i8, ptr %table, i64 {8 * place}",
        f"  {name}.from = load ptr, ptr {name}.at",
        f"  {name} = getelementptr i8, ptr {name}.from, i64 {offset}",
    ]
