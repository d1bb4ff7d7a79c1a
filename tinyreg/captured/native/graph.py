"""What has to come before what: the ops and calls of a program, by the memory that they read and write."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ...symbols import Symbol
from ..moving import mapped
from ..recording import Instruction, Storage, View, found, numpy
from . import probes
from .draws import of_words
from .loops import axes, joined
from .lowering import Number, Op, lowered
from .parts import by_parts
from .views import Span, dense, overlap, span

SCALARS = "fd?"
"""The dtypes of scalars that are made here."""
INTEGERS = "bhilqBHILQ"
"""Those of scalars that are made here of arrays: of scalars NumPy tells of overflow, which raises no flag."""
RANDOM = ("draw", "state", "put_back")


@dataclass(slots=True, eq=False)
class Node:
    """An op, or a call that stays NumPy's. before: what has to be done first; sources: what made what it reads."""

    number: int
    op: Op | None
    of: Instruction
    before: set[Node] = field(default_factory=set)
    sources: set[Node] = field(default_factory=set)
    users: list[Node] = field(default_factory=list)

    @property
    def elementwise(self) -> bool:
        """Whether it can be done wherever its values are needed."""
        return self.op is not None and self.op.axes is None

    @property
    def reads(self) -> Iterator[Span]:
        """Where it reads."""
        if self.op is None:
            values: Any = (self.of.args, self.of.settings)
            views = found(View, values) + ([self.of.out] if self.of.writes and self.of.out else [])
        else:
            values = [x.source for x in self.op.operands if isinstance(x, Number)]
            views = [*self.op.views, *found(View, values)]
        yield from map(_span, views)
        for symbol in found(Symbol, values):
            yield from ((int(n), 0, 1) for n in re.findall(r"\bt(\d+)\b", symbol.text))

    @property
    def writes(self) -> list[View]:
        """What it writes to."""
        out = self.of.out if self.op is None else self.op.out
        return [out] if out is not None else []


def _span(view: View) -> Span:
    return span(view) if view.strides is not None else (view.storage, 0, 1)


class Graph:
    """The nodes of a program in order. last: those whose values are there at the end."""

    def __init__(self, instructions: Iterable[Instruction], storages: list[Storage], constant: Iterable[int]) -> None:
        self.nodes: list[Node] = []
        self.last: set[Node] = set()
        constant = set(constant)
        made: list[tuple[Op | None, Instruction]] = []
        for i in instructions:
            if (words := of_words(i, storages)) is not None:
                made += [(None, words[0]), (words[1], i)]
                continue
            same = i.out is not None and i.out.storage in constant and not i.writes
            ops = [] if same else summable(lowered(i, storages)) or []
            made += [(op, i) for op in ops] or [(None, i)]
        self.nodes = [Node(0, op, i) for op, i in by_parts(made)]
        self._connect()

    def _connect(self) -> None:
        written: dict[int, list[tuple[Span, Node]]] = {}
        read: dict[int, list[tuple[Span, Node]]] = {}
        random: Node | None = None
        for n, node in enumerate(self.nodes):
            node.number = n
            for at in node.reads:
                node.sources |= {other for there, other in written.get(at[0], ()) if overlap(at, there)}
                read.setdefault(at[0], []).append((at, node))
            node.before |= node.sources
            for view in node.writes:
                at = _span(view)
                known, readers = written.get(at[0], []), read.get(at[0], [])
                node.before |= {other for there, other in (*known, *readers) if overlap(at, there)}
                if view.strides is not None and dense(view):
                    known, readers = _without(known, at), _without(readers, at)
                written[at[0]], read[at[0]] = [*known, (at, node)], readers
            if node.op is None and node.of.kind in RANDOM:
                node.before |= {random} if random else set()
                random = node
            node.before.discard(node)
            node.sources.discard(node)
        self.last = {node for each in written.values() for _, node in each}
        for node in self.nodes:
            for source in node.sources:
                source.users.append(node)


def _without(known: list[tuple[Span, Node]], at: Span) -> list[tuple[Span, Node]]:
    """Those that are not written over."""
    return [(there, node) for there, node in known if there[1] < at[1] or at[2] < there[2]]


def summable(ops: list[Op] | None) -> list[Op] | None:
    """The ops, where the sums among them run over axes that are one in memory, first or last, as NumPy adds them up."""
    for op in ops or ():
        if op.axes is None:
            continue
        loops = axes(op)
        whole = joined(loops)
        one = [axis.summed for axis in whole] in ([True], [False, True], [True, False])
        forward = all(step > 0 for axis in loops for step in axis.steps[:-1])
        if not one or not forward or (whole[-1].summed and whole[-1].n > probes.longest_sum()):
            return None
        in_rows = whole[-1].summed
        if (op.name == "dot" and in_rows) or (op.name in ("max", "min") and not in_rows):
            return None
    return ops


def renamed(instructions: Sequence[Instruction], storages: list[Storage], begun: Iterable[int]) -> list[Instruction]:
    """The instructions, where each write over all of an array that is done here goes to memory of its own.

    Then every value is written once, as far as can be, and none has to be read before another is written over it.
    """
    written: dict[int, list[int]] = {}
    for n, i in enumerate(instructions):
        if i.writes and i.out is not None and i.out.storage not in begun and _everywhere(i, storages):
            written.setdefault(i.out.storage, []).append(n)
    now = {storage: _another(storage, storages) for storage in written}
    made: list[Instruction] = []

    def current(view: View) -> View:
        return view._replace(storage=now.get(view.storage, view.storage))

    for n, i in enumerate(instructions):
        args, settings = mapped(i.args, current), mapped(i.settings, current)
        if i.out is not None and i.writes and n in written.get(i.out.storage, ()):
            last = n == written[i.out.storage][-1]
            now[i.out.storage] = i.out.storage if last else _another(i.out.storage, storages)
        made.append(replace(i, args=args, settings=settings, out=i.out and current(i.out)))
    return made


def with_scalars(instructions: Iterable[Instruction], storages: list[Storage]) -> tuple[list[Instruction], set[int]]:
    """The instructions, where NumPy's scalars that can be made here stand in memory; and the storages of those."""
    made: list[Instruction] = []
    here: set[int] = set()

    def standing(view: View) -> View:
        return view._replace(strides=()) if view.strides is None and view.storage in here else view

    for i in instructions:
        args, settings = mapped(i.args, standing), mapped(i.settings, standing)
        views = found(View, i.args)
        known = SCALARS if any(view.strides is None for view in views) else SCALARS + INTEGERS
        scalar = i.out is not None and i.out.strides is None and getattr(i.out.dtype, "char", " ") in known
        new = replace(i, args=args, settings=settings, out=i.out._replace(strides=()) if scalar and i.out else i.out)
        if not summable(lowered(new, storages)):
            made.append(i)
            continue
        made.append(new)
        if scalar and i.out:
            here.add(i.out.storage)
            storages[i.out.storage] = Storage(i.out.storage, numpy.empty((), i.out.dtype), "made")
    return made, here


def _everywhere(i: Instruction, storages: list[Storage]) -> bool:
    assert i.out is not None
    ops = lowered(i, storages)
    return bool(ops) and all(dense(op.out) and _size(op.out) == storages[op.out.storage].memory.nbytes for op in ops or ())


def _size(view: View) -> int:
    _, low, high = span(view)
    return high - low


def _another(storage: int, storages: list[Storage]) -> int:
    storages.append(Storage(len(storages), storages[storage].memory, "made"))
    return len(storages) - 1


def users(nodes: Iterable[Node]) -> list[Node]:
    """Those that read what nodes made, in order."""
    return sorted({*itertools.chain.from_iterable(node.users for node in nodes)}, key=lambda node: node.number)
