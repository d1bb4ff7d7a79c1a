"""Groups: ops that run in one loop, so that what only they need is never stored.

A "map" has elements that do not need one another. In "rows" each sum is over the last axis, in "columns" over the first;
what comes out of a sum is a value for each row or column, which further ops in the group may use.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from ..recording import Instruction, View
from .graph import Graph, Node, users
from .loops import Axis, axes, common, divided, joined, sizes
from .lowering import Op
from .views import touch

MOST = 48
"""So many ops are in a group at most: the time to compile grows with their number."""
Steps = tuple[int, ...]


@dataclass(slots=True)
class Placed:
    """An op in a group: whether it runs over all axes or only over those that are not summed, and its steps along each."""

    node: Node
    everywhere: bool
    steps: list[Steps]  # of each operand and the result

    @property
    def op(self) -> Op:
        """What it does."""
        assert self.node.op is not None
        return self.node.op

    def read(self) -> Iterator[tuple[View, Steps]]:
        """The views that it reads, with their steps."""
        yield from ((x, s) for x, s in zip(self.op.operands, self.steps[:-1], strict=True) if isinstance(x, View))

    @property
    def for_each(self) -> bool:
        """Whether it gives a value for each row or column."""
        return self.op.axes is not None or not self.everywhere


class Group:
    """Ops in one loop over some axes."""

    def __init__(self, kind: str, over: list[int]) -> None:
        self.kind: str = kind
        self.sizes: list[int] = over
        self.members: list[Placed] = []

    @property
    def summed(self) -> int:
        """Which axis is summed over."""
        return 0 if self.kind == "columns" else 1

    # ---- who fits

    def take(self, nodes: Iterable[Node]) -> bool:
        """Take all of some nodes in, or none."""
        before = self.sizes, [*self.members]
        for node in nodes:
            if not self._take(node):
                self.sizes, self.members = before
                return False
        return True

    def _take(self, node: Node) -> bool:
        op = node.op
        if op is None or len(self.members) >= MOST:
            return False
        if self.members and self.members[0].node.of.errors != node.of.errors:
            return False
        if self.kind == "map" and op.axes is None:
            refined = common(self.sizes, sizes(joined(axes(op)))) if math.prod(self.sizes) == math.prod(op.shape) else None
            if refined is None:
                return False
            if refined != self.sizes:
                again = [self._placed(member.node, refined) for member in self.members]
                if None in again:
                    return False
                self.members = [member for member in again if member is not None]
                self.sizes = refined
        placed = self._placed(node, self.sizes)
        if placed is None or not self._agrees(placed):
            return False
        self.members.append(placed)
        return True

    def _placed(self, node: Node, over: list[int]) -> Placed | None:
        op = node.op
        assert op is not None
        loops, count = axes(op), math.prod(op.shape)
        if op.axes is not None:
            whole = joined(loops)
            if len(whole) == 1:  # all of it, which is one row
                whole.insert(0, Axis(1, False, (0,) * len(whole[0].steps)))
            fits = self.kind != "map" and sizes(whole) == over and whole[self.summed].summed
            return Placed(node, True, _steps(whole, len(op.operands) + 1)) if fits else None
        if count == math.prod(over):
            made = divided(loops, over, len(op.operands) + 1)
            return Placed(node, True, _steps(made, len(op.operands) + 1)) if made is not None else None
        rest = over[1 - self.summed]
        if self.kind == "map" or count != rest:
            return None
        made = divided(loops, [rest], len(op.operands) + 1)
        if made is None:
            return None
        made.insert(self.summed, Axis(1, False, (0,) * (len(op.operands) + 1)))
        return Placed(node, False, _steps(made, len(op.operands) + 1))

    def _agrees(self, new: Placed) -> bool:
        """Whether it reads what the group makes where that was made, and writes over nothing that is still read."""
        for view, steps in new.read():
            made = [m for m in self.members if touch(m.op.out, view)]
            if made and not self._passes(made[-1], new, view, steps):
                return False
        out, steps = new.op.out, new.steps[-1]
        for member in self.members:
            there = [(v, s) for v, s in (*member.read(), (member.op.out, member.steps[-1])) if touch(v, out)]
            same = all((v.offset, v.dtype, s) == (out.offset, out.dtype, steps) for v, s in there)
            if there and not (self.kind == "map" and same):
                return False
        return True

    def _passes(self, member: Placed, new: Placed, view: View, steps: Steps) -> bool:
        """Whether a value is used at the element that it was made for."""
        made = member.steps[-1]
        if (view.offset, view.dtype) != (member.op.out.offset, member.op.out.dtype):
            return False
        if not member.for_each:
            return new.everywhere and steps == made
        rest = 1 - self.summed
        return steps[rest] == made[rest] and steps[self.summed] == 0

    # ---- what it is then

    def source(self, member: Placed, view: View) -> Placed | None:
        """The member whose value another reads, before it."""
        made = [m for m in self.members[: self.members.index(member)] if touch(m.op.out, view)]
        return made[-1] if made else None

    def stored(self, lasting: set[int], last: set[Node]) -> list[Placed]:
        """The members whose values are needed after it."""
        inside = {member.node for member in self.members}
        return [
            m
            for m in self.members
            if not inside.issuperset(m.node.users) or (m.op.out.storage in lasting and m.node in last)
        ]


def _steps(loops: Sequence[Axis], width: int) -> list[Steps]:
    return [tuple(axis.steps[k] for axis in loops) for k in range(width)]


# ---- the order


@dataclass
class Scheduler:
    """Puts nodes in an order that their dependencies allow, ops that can run together in groups."""

    graph: Graph
    done: set[Node] = field(default_factory=set)

    def steps(self) -> list[Group | Instruction]:
        """The groups, and the calls that stay."""
        todo, made = [*self.graph.nodes], list[Group | Instruction]()
        while todo:
            ready = [node for node in todo if node.op is None and node.before <= self.done]
            if ready:
                made += [node.of for node in ready]
                self.done |= {*ready}
            else:
                group = self._group(self._first(todo))
                self.done |= {member.node for member in group.members}
                made.append(group)
            todo = [node for node in todo if node not in self.done]
        return made

    def _first(self, todo: list[Node]) -> Node:
        """Where to begin a group: with a sum, or else with what a call waits for."""
        for wanted in ([n for n in todo if n.op is not None and n.op.axes is not None], [n for n in todo if n.op is None]):
            for node in wanted:
                needed = self._needed(node, set())
                if needed is not None and (node.op is None or _begun(node).take([*needed, node])):
                    return node if node.op is not None else needed[0]
        return next(node for node in todo if node.before <= self.done)

    def _needed(self, node: Node, inside: set[Node]) -> list[Node] | None:
        """What has to be done before a node, where all of it is elementwise."""
        needed, waiting = set[Node](), [node]
        while waiting:
            for before in waiting.pop().before:
                if before in self.done or before in inside or before in needed:
                    continue
                if not before.elementwise or len(needed) > MOST:
                    return None
                needed.add(before)
                waiting.append(before)
        return sorted(needed, key=lambda each: each.number)

    def _group(self, seed: Node) -> Group:
        group = _begun(seed)
        if not group.take([*(self._needed(seed, set()) or ()), seed]):
            raise AssertionError("a group that does not fit its first op")
        inside = {member.node for member in group.members}
        tried: dict[Node, int] = {}
        grown = True
        while grown:
            grown = False
            for node in self._near(inside):
                if node in inside or tried.get(node) == len(inside):
                    continue
                tried[node] = len(inside)
                needed = self._needed(node, inside)
                if needed is not None and group.take([*needed, node]):
                    inside |= {*needed, node}
                    grown = True
        group.members.sort(key=lambda member: member.node.number)
        return group

    def _near(self, inside: set[Node]) -> list[Node]:
        """Nodes that read what is made in a group, and sums of what is read there."""
        sources = {source for node in inside for source in node.sources}
        beside = [node for node in users(sources) if node.op is not None and node.op.axes is not None]
        return [node for node in (*users(inside), *beside) if node.op is not None and node not in self.done]


def _begun(seed: Node) -> Group:
    """An empty group for a first op."""
    assert seed.op is not None
    whole = joined(axes(seed.op))
    if seed.op.axes is None:
        return Group("map", sizes(whole))
    if len(whole) == 1:
        return Group("rows", [1, whole[0].n])
    return Group("columns" if whole[0].summed else "rows", sizes(whole))
