"""A program: the instructions that count, and where in memory each result stands."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from ..symbols import Symbol
from .forms import form, masked_by_bits
from .layouts import extent
from .moving import OPERATORS, Moving
from .recording import Instruction, Storage, View, comparable, found, numpy, typed
from .refusal import CaptureError
from .tracing import Trace

ALWAYS = ("check", "draw", "state", "put_back")
CONSTANT = {"arange", "zeros", "ones", "full", "eye", "asarray", "array"}
ALIGNED = 64


class Block:
    """Memory that results share whose lives do not overlap."""

    def __init__(self, number: int, size: int) -> None:
        self.number: int = number
        self.size: int = size
        self.memory: Any = numpy.empty(size, numpy.uint8)


class Call(NamedTuple):
    """A line of a program: what is called, and whether its result stands in memory then. group: its kind and number."""

    name: str
    out: View | None
    of: Instruction
    reads: list[View]
    stands: bool = True
    group: str = ""


class Program:
    """What a captured step does, as it is replayed. Print it: a line for each call, and the totals.

    Each line has the line of the source, the op of the array library, the dtype and shape of its result, and where that
    stands: in a block of memory that results share, in `state`, in memory that goes `out`, or in an array of its own.
    """

    bits: bool = True
    """Whether masks are made ready as bits, for NumPy."""

    def __init__(self, trace: Trace) -> None:
        writer = trace.writer
        self.trace: Trace = trace
        self.storages: list[Storage] = [*trace.recording.storages]
        self.state: dict[int, Any] = {state.storage: state for state in trace.states}
        self.going: list[View] = [view for _, view in writer.arrays.values()]
        self.copies: list[View] = trace.copies
        self.items: list[tuple[str, str, str]] = [*writer.items]
        self.attributes: list[tuple[str, str, str]] = [*writer.attributes]
        self.slots: list[tuple[int, str]] = [*writer.slots]
        self.instructions: list[Instruction] = self._live()
        if self.bits:
            self.instructions = masked_by_bits(self.instructions, self.storages)
        self._refuse_gradients()
        self.moved: dict[int, int] = {}  # of a state that is written to in place, where its next values stand
        self.begun: list[int] = []  # those of them that begin as a copy
        self.returning: list[int] = []  # those that are copied to their place in the end; the others are the state then
        self._move()
        self.moves: dict[int, tuple[int, int]] = self._moves()
        self.regular: bool = (
            writer.regular and None not in self.moves.values()
        )  # else it has to be looked for what stands where
        self.out: list[int] = sorted({v.storage for v in self.going} - set(self.state))
        self.constant: dict[int, Any] = self._constants()
        self._arrange()
        self.planned: set[int] = self._planned()
        self.blocks: list[Block] = []
        self.block_of: dict[int, Block] = {}
        self.lives: dict[int, tuple[int, int]] = {}  # of each storage in a block or that goes out, by instructions
        self._place()

    # ---- which instructions count

    def _live(self) -> list[Instruction]:
        """Those whose result, in the end, is returned or becomes state; all checks, and all random numbers."""
        trace = self.trace
        values = [each[-1] for changes in (self.attributes, self.items, self.slots) for each in changes]
        text = " ".join([*trace.writer.making, *values, trace.result])
        live = {view.storage for view in (*self.going, *trace.copies)} | _named(text)
        kept = []
        for i in reversed(trace.recording.instructions):
            written = i.writes and i.out is not None and i.out.storage in self.state
            if i.kind in ALWAYS or written or (i.out is not None and i.out.storage in live):
                kept.append(i)
                arguments = (i.args, i.settings)
                live |= {view.storage for view in found(View, arguments)}
                live |= _named(" ".join(s.text for s in found(Symbol, arguments)))
        return kept[::-1]

    def _refuse_gradients(self) -> None:
        """Refuse to add to gradients from before the step where they are not kept."""
        used = {view.storage for i in self.instructions for view in found(View, (i.args, i.settings))}
        if self.trace.gradients & (used | {view.storage for view in (*self.going, *self.copies)}):
            raise CaptureError(
                "capture: the step adds to the gradients of the call before; begin it with zero_grad(), or pass "
                "keep_grads=True to capture"
            )

    def _move(self) -> None:
        """Have what is written to the state in place go to other memory."""
        holders = {number: (holder, key) for number, holder, key, _ in self.trace.walk.places()}
        written = {i.out.storage: None for i in self.instructions if i.writes and i.out and i.out.storage in self.state}
        for storage in written:
            old = self.storages[storage]
            moving = Moving(old, Storage(len(self.storages), old.memory, "made"))
            self.storages.append(moving.new)
            self.instructions, copied = moving.moved(self.instructions)
            self.moved[storage] = moving.new.id
            self.begun += [storage] * copied
            self.copies = [moving.at_end(view) for view in self.copies]
            places = [(number, view, *holders[number]) for number, view in self.state[storage].places]
            if all(id(holder.thing) in self.trace.walk.private for _, _, holder, _ in places):
                self.going = [moving.at_end(view) for view in self.going]
                self._stay(places, moving)
            else:
                self.returning.append(storage)

    def _stay(self, places: list[Any], moving: Moving) -> None:
        """Put arrays of the new memory in the places of the old ones."""
        put = {slot for slot, _ in self.slots}
        for number, view, holder, key in places:
            if self.trace.writer.first + number not in put:
                self.going.append(moving.at_end(view))
                thing = f"E[{self.trace.walk.index[id(holder.thing)]}]"
                self.items.append((thing, repr(key), f"x{len(self.going) - 1}"))
                self.slots.append((self.trace.writer.first + number, f"x{len(self.going) - 1}"))

    def _moves(self) -> dict[int, Any]:
        """Where each storage of the state stands after a step: in which storage, how much further; None if in several."""
        first, moves = self.trace.writer.first, dict[int, Any]()
        named = {slot - first: re.fullmatch(r"x(\d+)", value) for slot, value in self.slots}
        after = {number: self.going[int(name[1])] for number, name in named.items() if name}
        for storage, state in self.state.items():
            views = [after.get(number) for number, _ in state.places]
            pairs = zip(views, state.places, strict=True)
            moved = {(new.storage, new.offset - old.offset) for new, (_, old) in pairs if new is not None}
            if moved:
                moves[storage] = moved.pop() if len(moved) == 1 and None not in views else None
        return moves

    def read_slots(self) -> list[tuple[int, str]]:
        """The slots that somebody reads: a guard, a line that names a holder, or what looks where the state stands."""
        trace = self.trace
        anchors = {trace.writer.first + state.places[0][0] for state in trace.states}
        unread = {trace.writer.first + n for n, holder, _, _ in trace.walk.places() if id(holder.thing) in trace.walk.whole}
        return [(slot, value) for slot, value in self.slots if slot not in unread - anchors]

    def _arrange(self) -> None:
        """Put the instructions in an order that suits the executor."""

    # ---- where results stand

    @staticmethod
    def _made(i: Instruction) -> list[View]:
        """What is in memory after an instruction."""
        return [] if i.out is None else [i.out]

    def _constants(self) -> dict[int, Any]:
        """Results that are the same at every call."""
        written = {i.out.storage for i in self.instructions if i.writes and i.out} | set(self.out)
        made: dict[int, Any] = {}
        for i in self.instructions:
            plain = not found(View, (i.args, i.settings)) and not found(Symbol, (i.args, i.settings))
            same = i.kind == "constant" or (i.kind == "call" and i.name in CONSTANT and plain)
            if same and i.out and i.out.storage not in written:
                made[i.out.storage] = self.storages[i.out.storage].memory.copy(order="K")
        return made

    def _planned(self) -> set[int]:
        """The storages with a place in memory that is known beforehand, of those that instructions make."""
        places: dict[int, set[Any]] = {}
        for view in self._all_views():
            places.setdefault(view.storage, set()).add(view.place)
        planned = {*self.out, *self.moved.values()}
        for i in self.instructions:
            if i.out is None or i.out.strides is None or i.writes or i.out.storage in self.constant:
                continue
            several = len(places[i.out.storage]) > 1 or i.kind == "draw"
            if (
                several
                or ufunc(i) is not None
                or form(i) is not None
                or i.name in ("astype", "copy", "empty", "empty_like")
            ):
                planned.add(i.out.storage)
        return planned

    def _all_views(self) -> Iterable[View]:
        for i in self.instructions:
            yield from found(View, (i.args, i.settings))
            if i.out is not None:
                yield i.out
        yield from self.going
        yield from self.copies

    def _place(self) -> None:
        """Give each planned storage a block of memory from its first instruction to its last."""
        order = self.instructions
        last: dict[int, int] = {}
        for n, i in enumerate(order):
            for view in (*found(View, (i.args, i.settings)), *([i.out] if i.out else [])):
                last[view.storage] = n
        lasting = [*(view.storage for view in self.copies), *(self.moved[storage] for storage in self.returning)]
        last |= dict.fromkeys([*lasting, *self.out], len(order))
        ending: dict[int, list[int]] = {}
        for storage, n in last.items():
            ending.setdefault(n, []).append(storage)
        free: list[Block] = []

        def begin(storage: int, n: int) -> None:
            if storage in self.planned and storage not in self.lives:
                self.lives[storage] = n, last.get(storage, n)
                if storage not in self.out:
                    self.block_of[storage] = self._block(free, extent(self.storages[storage].memory))

        for storage in self.begun:
            begin(self.moved[storage], 0)
        for n, i in enumerate(order):
            for view in self._made(i):
                begin(view.storage, n)
            free += [self.block_of[storage] for storage in ending.get(n, ()) if storage in self.block_of]

    def _block(self, free: list[Block], size: int) -> Block:
        """The smallest free block that is large enough, or a new one."""
        size = -(-size // ALIGNED) * ALIGNED or ALIGNED
        fitting = sorted((b for b in free if size <= b.size <= 4 * size), key=lambda b: b.size)
        if fitting:
            free.remove(fitting[0])
            return fitting[0]
        self.blocks.append(Block(len(self.blocks), size))
        return self.blocks[-1]

    def let_go(self) -> None:
        """Let go of the arrays of the recording but for constants: from now on layouts are all that is needed."""
        for storage in self.storages:
            if storage.id not in self.constant:
                storage.let_go()

    # ---- to be read

    def __repr__(self) -> str:
        rows = [self._heading, *(self._row(call) for i in self.instructions for call in self.calls(i))]
        widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
        lines = ["  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows]
        shared, out_bytes = sum(b.size for b in self.blocks), sum(extent(self.storages[s].memory) for s in self.out)
        total = (
            f"{self.counted()} of {len(self.trace.recording.instructions)} recorded; {len(self.blocks)} blocks of "
            f"{shared} bytes, {out_bytes} bytes go out"
        )
        return "\n".join([*lines, total])

    def save_html(self, path: str | os.PathLike[str], *, title: str = "") -> Path:
        """Write the program as a page beside its source, and return its path: what runs, in which loop and which memory.

        It is one file, which needs no network. title: of the page; the step's name if not said. Raises `TypeError` for a
        title that is no text, and `OSError` where the folder is missing or cannot be written.

        >>> import tempfile, pathlib, tinyreg as tr
        >>> step = tr.capture(lambda x: (x * x).sum())
        >>> for _ in range(4):
        ...     y = step(tr.ones(3))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     step.program.save_html(pathlib.Path(folder) / "program.html", title="Squares").name
        'program.html'
        """
        from .page import save_html  # here, since it loads what no replay has need of

        return save_html(self, path, title)

    _heading: tuple[str, ...] = ("line", "op", "result", "memory", "bytes")

    def counted(self) -> str:
        """How many calls there are."""
        return f"{len(self.instructions)} calls"

    def calls(self, i: Instruction) -> list[Call]:
        """The lines of an instruction."""
        return [Call(i.name, i.out, i, found(View, (i.args, i.settings)))]

    def _row(self, call: Call) -> tuple[str, ...]:
        file = call.of.line[0].replace("\\", "/").rpartition("/")[2]
        size = self.nbytes(call.out) if call.stands else 0
        where = self.where(call.out) if call.stands else ""
        return f"{file}:{call.of.line[1]}", call.name, typed(call.out), where, str(size) if size else ""

    def nbytes(self, out: View | None) -> int:
        """How many bytes the memory takes in which a result stands."""
        return 0 if out is None or out.strides is None else self.storages[out.storage].memory.nbytes

    def where(self, out: View | None) -> str:
        """In what memory a result stands."""
        if out is None:
            return ""
        storage = out.storage
        if storage in self.moved.values():
            return "state"
        if storage in self.out:
            return "out"
        block = self.block_of.get(storage)
        return f"block {block.number}" if block else "constant" if storage in self.constant else "own"


def _named(text: str) -> set[int]:
    """The storages of numbers that an expression names."""
    return {int(n) for n in re.findall(r"\bt(\d+)\b", text)}


def ufunc(i: Instruction) -> str | None:
    """The ufunc that writes the result of an instruction where it is told to, with the same bits; None if none does."""
    if i.out is None or i.out.strides is None or i.writes:
        return None
    name = OPERATORS.get(i.name) if i.kind == "operator" else i.name if i.kind == "call" else None
    if name is None or not isinstance(getattr(numpy, name, None), numpy.ufunc):
        return None
    if name == "matmul" and i.out.dtype == numpy.float16:
        return None  # which goes by way of float32
    arrays = [a for a in i.args if isinstance(a, View)]
    fitting = all(isinstance(a, View | Symbol | int | float) for a in i.args)
    return name if arrays and fitting and all(a.strides is not None for a in arrays) and not i.settings else None


__all__ = ["Call", "Program", "comparable", "ufunc"]
