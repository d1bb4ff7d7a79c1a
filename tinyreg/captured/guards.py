"""Whether a program still fits: all that it rests on is looked at, in one function that is written for it."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import CodeType
from typing import Any

from ..interrupts import uninterrupted
from .executor import Executor, Where
from .layouts import array_at
from .program import Program
from .recording import Lent, owner, pointer, rewinding
from .refusal import ChangedError
from .state import CHANGEABLE, Walk, is_number
from .tracing import signature_of


@dataclass(slots=True)
class Standing:
    """Where everything stands that a program rests on: what a walk found, and the memory of the state."""

    flat: list[Any]
    first: int  # the slot of the first value, after all holders
    leaves: list[int]  # the slots of leaves that have no gradient between calls
    where: list[Where]  # the one where the state stands now
    look: Callable[[list[Any]], bool]


class Variant:
    """A program for one kind of call and one state of all that the step rests on."""

    def __init__(self, kind: Any, program: Program, executor: Executor, keep_grads: bool) -> None:
        self.kind: Any = kind
        self.program: Program = program
        self.executor: Executor = executor
        self.replays: int = 0
        self.warned: int = 0  # how often machine code left a call to the step, because of what NumPy tells of
        self._keep_grads = keep_grads
        trace = program.trace
        self._numbers = [self._place(n) for n in trace.numbers]
        drawn = {id(i.f): i.f for i in program.instructions if i.kind in ("draw", "state", "put_back")}
        self._generators = [*drawn.values()]
        # Of each storage of the state the place of its first array, and of all others how far they are from it.
        self._anchors = {s.storage: s.places for s in trace.states}
        self._standing: Standing | None = None

    def by_numpy(self) -> Variant:
        """The same recording, replayed by NumPy."""
        program = Program(self.program.trace)
        made = Variant(self.kind, program, Executor(program), self._keep_grads)
        made.replays = self.replays
        return made

    def _place(self, number: int) -> tuple[int, Any]:
        """The number of the holder of a place, and its key."""
        _, holder, key, _ = next(place for place in self.program.trace.walk.places() if place[0] == number)
        return self.program.trace.walk.index[id(holder.thing)], key

    # ---- does it fit

    def adopt(self, walk: Walk) -> None:
        """Take over where everything stands now: all that was found in the same order."""
        trace, flat, first = self.program.trace, walk.flat(), len(walk.holders)
        heads = zip(walk.leaves, trace.had, trace.touched, strict=True)
        leaves = [walk.index[id(leaf)] for leaf, had, touched in heads if touched and not had]
        anchored = {storage: (flat[first + places[0][0]], places[0][1]) for storage, places in self._anchors.items()}
        addresses = {storage: pointer(array) - view.offset for storage, (array, view) in anchored.items()}
        owners = {storage: id(owner(array)) for storage, (array, _) in anchored.items()}
        unread = {slot for slot, _ in self.program.slots} - {slot for slot, _ in self.program.read_slots()}
        for slot in unread:
            flat[slot] = None  # which would hold on to what stands there now
        self._standing = Standing(
            flat,
            first,
            leaves,
            [self.executor.where(addresses, owners)],
            _looking(walk, {slot for slot, _ in self.program.slots}),
        )

    def fits(self, walk: Walk) -> bool:
        """Whether a walk found what the program was recorded with."""
        trace = self.program.trace
        if signature_of(walk) != trace.signature or len(walk.leaves) != len(trace.had):
            return False
        heads = zip(walk.leaves, trace.had, trace.touched, strict=True)
        if not self._keep_grads and not all(had or not touched or leaf.grad is None for leaf, had, touched in heads):
            return False
        values = [value for _, _, _, value in walk.places()]
        for places in self._anchors.values():
            starts = {pointer(values[n]) - view.offset for n, view in places if values[n].size}
            if len(starts) > 1:
                return False
        return True

    def unchanged(self) -> bool:
        """Whether everything is as it was after the last call."""
        standing = self._standing
        if standing is None or not standing.look(standing.flat):
            return False
        flat = standing.flat
        return self._keep_grads or not [at for at in standing.leaves if flat[at].grad is not None]

    # ---- a replay

    def replay(self, arrays: Sequence[Any]) -> Any:
        """Run the program, which changes nothing before its end; `ChangedError` where a check comes out otherwise."""
        standing, executor = self._standing, self.executor
        assert standing is not None
        flat, first, where = standing.flat, standing.first, standing.where[0]
        if [array for array in arrays if id(owner(array)) in where.owners.values()]:
            raise ChangedError  # an argument that is the state too would have to follow it
        turn = executor.turn(where)

        def expose(k: int) -> Any:
            view = self.program.going[k]
            anchor = first + self._anchors[view.storage][0][0]
            return array_at(Lent(flat[anchor]), where.addresses[view.storage], view)

        numbers = [flat[at][key] for at, key in self._numbers]
        restoring = rewinding(self._generators)
        done = [False]
        try:
            result = turn.run(flat, expose, standing.where, done, *arrays, *numbers)
        except BaseException:
            if not done[0]:
                uninterrupted(restoring)
            raise
        self.replays += 1
        return result


def fitting(variants: Sequence[Variant], kind: Any, walk: Walk) -> Variant | None:
    """The program that a walk fits."""
    found = [v for v in variants if v.kind == kind and v.fits(walk)]
    return found[0] if found else None


def _looking(walk: Walk, moving: set[int]) -> Callable[[list[Any]], bool]:
    """A function that says whether everything that a walk found still stands there.

    moving: the slots that a replay gives other values; all others are globals of the function, which are quicker to get.
    """
    flat = walk.flat()
    scope: dict[str, Any] = {"NUMBERS": (int, float), "inf": math.inf, "first": flat[0]}

    def there(slot: int) -> str:
        return f"E[{slot}]" if slot in moving else _constant(flat[slot], f"s{slot}", scope)

    tests = ["E[0] is first"]
    slot = len(walk.holders)
    for at, holder in enumerate(walk.holders):
        thing = there(at)
        if id(holder.thing) in walk.whole:
            slot += len(holder.keys)
            continue
        if holder.kind == "item":
            tests.append(f"len({thing}) == {holder.size}")
        for key, value in zip(holder.keys, holder.values, strict=True):
            name = repr(key) if isinstance(key, str | int) else _constant(key, f"k{slot}", scope)
            if is_number(holder, key, value):
                tests.append(f"type(v := {thing}[{name}]) in NUMBERS and 0 <= v < inf")
            elif holder.kind == "item":
                tests.append(f"{thing}[{name}] is {there(slot)}")
            elif holder.kind == "set":
                tests.append(f"{thing} == {there(slot)}")
            elif holder.kind == "attribute" or key in CHANGEABLE:
                tests.append(f"{thing}.{key} is {there(slot)}")
            elif holder.kind == "class" and key != "__bases__":
                tests.append(f"{thing}.__dict__[{name}] is {there(slot)}")
            slot += 1
    lines = [
        "def look(E):",
        "    try:",
        f"        return {' and '.join(tests)}",
        "    except (LookupError, AttributeError):",
    ]
    exec(_compiled("\n".join([*lines, "        return False"])), scope)
    look: Callable[[list[Any]], bool] = scope.pop("look")  # which would hold itself, and all that it names
    return look


@functools.lru_cache(maxsize=32)
def _compiled(source: str) -> CodeType:
    """The code of a source: two programs of one step that take turns look for the same, and compiling takes longest."""
    return compile(source, "<tinyreg capture>", "exec")


def _constant(value: Any, name: str, scope: dict[str, Any]) -> str:
    scope[name] = value
    return name
