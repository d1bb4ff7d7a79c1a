"""The NumPy executor: a program as one straight-line function, with ufuncs that write into planned memory.

The function is written once. It is bound to memory as often as the state moves: what a step gives the state goes to memory
that nobody holds, so that whoever keeps an old value keeps it, and in the end to two places in turns.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import chain, groupby, repeat
from math import sqrt
from typing import Any

from ..core.backend import get
from ..core.tensor import wrap
from ..interrupts import uninterrupted
from ..symbols import Symbol, literal
from .forms import exact, form
from .layouts import Memory, array_at, below, copied, is_dense
from .moving import OPERATORS
from .program import Program, ufunc
from .recording import Instruction, Lent, View, numpy, pointer
from .refusal import ChangedError, WarnedError
from .state import put


@dataclass(slots=True, eq=False)
class Where:
    """Where each storage of the state stands: its address, and the id of the array whose memory it is."""

    addresses: dict[int, int]
    owners: dict[int, int]


@dataclass(slots=True)
class Turn:
    """The function of a program from one place of the state to another, and who may hold the memory that it gives out."""

    run: Callable[..., Any]
    holders: list[Callable[[], int]]
    own: list[int]
    bound: list[Any]


class Executor:
    """The function of a program, and the memory that it is bound to."""

    def __init__(self, program: Program) -> None:
        self.program: Program = program
        self.fixed: dict[str, Any] = {}  # what the lines name
        self.names: dict[Any, str] = {}  # of views in memory that is known beforehand
        self.arguments: list[View] = program.trace.arguments
        self.bound: list[str] = []
        self.source: str = ""
        self._arguments: dict[int, Memory] = {}
        self._memories: dict[int, list[Memory]] = {storage: [] for storage in program.out}
        self._wheres: dict[tuple[int, ...], Where] = {}
        self._turns: dict[Where, list[Turn]] = {}
        self._addresses = self._fixed_addresses()
        self._make = self._compiled()

    # ---- memory

    def _fixed_addresses(self) -> dict[int, int]:
        """Where storages stand that never move: blocks, constants, and copies of the arguments."""
        program, at = self.program, dict[int, int]()
        for storage, block in program.block_of.items():
            at[storage] = pointer(block.memory) + below(program.storages[storage].memory)
        for storage, array in program.constant.items():
            at[storage] = pointer(array)
        for view in self.arguments:
            if view.storage not in at:
                self._arguments[view.storage] = Memory(program.storages[view.storage].memory)
                at[view.storage] = self._arguments[view.storage].address
        return at

    def turn(self, where: Where) -> Turn:
        """What replays from where the state stands, into memory that nobody holds."""
        for turn in self._turns.get(where, ()):
            if [holders() for holders in turn.holders] == turn.own:
                return turn
        return self._new_turn(where)

    def where(self, addresses: dict[int, int], owners: dict[int, int]) -> Where:
        """Where the state stands, as one object for the same addresses and owners."""
        key = (*addresses.values(), *owners.values())
        return self._wheres.setdefault(key, Where(addresses, owners))

    def _new_turn(self, where: Where) -> Turn:
        if len(self._turns) > 8:
            self._forget()
        out: dict[int, Memory] = {}
        for storage, memories in self._memories.items():
            free = [m for m in memories if m.free and m.address not in where.addresses.values()]
            if not free:
                views = {view for view in self.program.going if view.storage == storage}
                free = [Memory(self.program.storages[storage].memory, views)]
                memories.append(free[0])
                if len(memories) > 4:  # somebody holds one after the other
                    del memories[0]
                    self._forget()
            out[storage] = free[0]
        after = where if not self.program.regular else self._after(where, out)
        addresses = {**self._addresses, **where.addresses, **{s: m.address for s, m in out.items()}}
        arrays = [array_at(Lent(None), addresses[place[0]], View(place[0], 0, *place[1:])) for place in self.names]
        given = [out[view.storage].given[view] for view in self.program.going if view.storage in out]
        given_out = [*out.values()]
        bound = self._bound(addresses)
        run = self._make(after, *given, *arrays, *bound)
        turn = Turn(run, [m.holders for m in given_out], [m.own for m in given_out], bound)
        self._turns[where] = [*self._turns.get(where, ())[-2:], turn]
        return turn

    def _bound(self, addresses: dict[int, int]) -> list[Any]:
        """What else the function is given that depends on where the state stands: the values of `bound`."""
        return []

    def _after(self, where: Where, out: dict[int, Memory]) -> Where:
        """Where the state stands after a replay."""
        addresses, owners = {**where.addresses}, {**where.owners}
        for storage, (at, further) in self.program.moves.items():
            addresses[storage] = (out[at].address if at in out else where.addresses[at]) + further
            owners[storage] = id(out[at].owned) if at in out else where.owners[at]
        return self.where(addresses, owners)

    def _forget(self) -> None:
        """Let go of memory that was used once."""
        self._turns.clear()
        self._wheres.clear()

    # ---- the function

    def _compiled(self) -> Callable[..., Any]:
        trace = self.program.trace
        self.fixed |= {
            "numpy": numpy, "xp": get("numpy"), "operator": operator, "root": sqrt, "magnitude": abs, "wrap": wrap,
            "Changed": ChangedError, "Warned": WarnedError, "K": trace.writer.constants, "copied": copied, "float": float,
            "errstate": numpy.errstate, "array_at": array_at, "setitem": operator.setitem, "put": put,
            "repeat": repeat, "chain": chain, "uninterrupted": uninterrupted,
        }  # fmt: skip
        parameters = [f"p{k}" for k in range(len(self.arguments))] + [f"n{k}" for k in range(len(trace.numbers))]
        body = [
            "try:",
            *(f"    {line}" for line in self._computing()),
            "except Exception as error:",
            "    raise Changed from error",
            f"uninterrupted({self._committing()})",
            "return result",
        ]
        text = [f"def run({', '.join(['E', 'expose', 'where', 'done', *parameters])}):", *(f"    {line}" for line in body)]
        given = [f"g{k}" for k, view in enumerate(self.program.going) if view.storage in self.program.out]
        source = [
            f"def make({', '.join(['after', *given, *self.names.values(), *self.bound])}):",
            *(f"    {line}" for line in text),
            "    return run",
        ]
        self.source = "\n".join(source)
        scope = dict(self.fixed)
        exec(compile(self.source, "<tinyreg capture>", "exec"), scope)
        make: Callable[..., Any] = scope["make"]
        return make

    def _computing(self) -> list[str]:
        """The lines that work out everything, and change nothing."""
        program, trace = self.program, self.program.trace
        lines = [f"{self._name(v)}[...] = p{k}" for k, v in enumerate(self.arguments) if self._used(v.storage)]
        lines += ["{1}[...] = {0}".format(*self._whole(s)) for s in program.begun]
        for errors, instructions in groupby(program.instructions, lambda i: i.errors):
            inside = self._all_lines(instructions)
            if errors and inside:
                lines.append(f"with errstate({', '.join(f'{k}={v!r}' for k, v in errors)}):")
                inside = [f"    {line}" for line in inside]
            lines += inside
        lines += [f"r{k} = {self._copy(v)}" for k, v in enumerate(program.copies)]
        lines += [
            f"x{k} = {f'g{k}()' if view.storage in program.out else f'expose({k})'}" for k, view in enumerate(program.going)
        ]
        return [*lines, *trace.writer.making, f"result = {trace.result}"]

    def _copy(self, view: View) -> str:
        """A result as a new array that stands in memory as it does."""
        if view.strides is None:
            return self._ref(view)
        return f"{self._ref(view)}.copy('K')" if is_dense(view) else f"copied({self._ref(view)})"

    def _committing(self) -> str:
        """What changes the state: an iterator over functions of C that neither fail nor ask for memory."""
        program = self.program
        written = [self._whole(s) for s in program.returning]
        slots = [(str(slot), value) for slot, value in program.read_slots()] + [("0", "None")] * (not program.regular)
        changes = [
            f"map(setitem, {_tuple(a for a, _ in written)}, repeat(...), {_tuple(b for _, b in written)})"
            if written
            else "",
            _mapped("put", *zip(*program.attributes, strict=True)) if program.attributes else "",
            _mapped("setitem", *zip(*program.items, strict=True)) if program.items else "",
            f"map(setitem, repeat(E), {', '.join(map(_tuple, zip(*slots, strict=True)))})" if slots else "",
            "map(setitem, (where, done), (0, 0), (after, True))",
        ]
        return f"chain({', '.join(filter(None, changes))})"

    def _whole(self, storage: int) -> tuple[str, str]:
        """The variables of all of a storage of the state, and of the memory where its next values stand."""
        memory = self.program.storages[storage].memory
        old = View(storage, 0, 0, memory.shape, memory.strides, memory.dtype)
        return self._name(old), self._name(old._replace(storage=self.program.moved[storage]))

    def _used(self, storage: int) -> bool:
        return any(view.storage == storage for view in self.program._all_views())

    def _name(self, view: View) -> str:
        """The variable of a view in memory that is known beforehand."""
        return self.names.setdefault(view.place, f"a{len(self.names)}")

    def _ref(self, view: View) -> str:
        known = view.storage in self._addresses or view.storage in self.program.state or view.storage in self.program.out
        return self._name(view) if known else f"t{view.storage}"

    def _constant(self, value: Any) -> str:
        name = f"c{len(self.fixed)}"
        self.fixed[name] = value
        return name

    def _text(self, value: Any) -> str:
        """An argument as Python."""
        if isinstance(value, View):
            return self._ref(value)
        if isinstance(value, Symbol) or type(value) in (int, float, bool, type(None), str):
            return literal(value)
        if type(value) is tuple:
            return f"({''.join(self._text(v) + ', ' for v in value)})"
        if type(value) is list:
            return f"[{', '.join(map(self._text, value))}]"
        return self._constant(value)

    def _all_lines(self, instructions: Iterable[Instruction]) -> list[str]:
        return [line for i in instructions for line in self._lines(i)]

    def _lines(self, i: Instruction) -> list[str]:
        """An instruction as Python."""
        args = [self._text(a) for a in i.args] if i.kind not in ("draw", "state", "put_back") else []
        settings = "".join(f", {k}={self._text(v)}" for k, v in i.settings.items())
        if i.kind == "check":
            return [f"if bool({args[0]}) is not {args[1]}: raise Changed"]
        if i.kind == "state":
            return [f"s{i.args[1]} = {self._constant(i.f)}.state"]
        if i.kind == "put_back":
            return [f"{self._constant(i.f)}.state = s{i.args[1]}"]
        assert i.out is not None
        if i.writes:
            return [self._writing(i, args, settings)]
        if i.out.storage in self.program.constant:
            return []
        known = i.out.storage in self.program.planned
        target = self._ref(i.out)
        goal = f"{target}[...]" if known else target
        if i.kind == "part":
            return [f"{goal} = {args[0]}[{args[1]}]"]
        if i.kind == "draw":
            call = f"{self._constant(i.args[1])}({self._constant(i.f)}._host)"
            return [f"{target}[...] = {call}"]
        if i.kind == "constant":
            return [f"{goal} = copied({self._constant(i.f)})"]
        if i.kind == "number":
            return [f"{target} = float({args[0]})"]
        if known and (name := ufunc(i)):
            return [f"{self._ufunc(name)}({', '.join(self._operands(i))}, out={target})"]
        if known and i.name in ("empty", "empty_like"):
            return []
        if (write := form(i)) is not None:
            return write(i, target if known else None, self._text)
        if known and i.name in ("astype", "copy"):
            return [f"{target}[...] = {args[0]}"]
        call = f"{self._callee(i, args)}{settings})"
        return [f"{goal} = {call}"]

    def _ufunc(self, name: str) -> str:
        self.fixed[name] = getattr(numpy, name)
        return name

    def _operands(self, i: Instruction) -> list[str]:
        """The arguments of a ufunc, where numbers are arrays already, which NumPy makes of them at each call."""
        dtypes = {a.dtype for a in i.args if isinstance(a, View)}
        dtype = dtypes.pop() if len(dtypes) == 1 else None
        return [
            self._constant(numpy.asarray(a, dtype)) if dtype is not None and exact(a, dtype) else self._text(a)
            for a in i.args
        ]

    def _callee(self, i: Instruction, args: list[str]) -> str:
        if i.kind == "method":
            return f"{args[0]}.{i.name}({', '.join(args[1:])}" if args[1:] else f"{args[0]}.{i.name}(*()"
        f = getattr(operator, f"{i.name}_" if i.name in ("and", "or") else i.name) if i.kind == "operator" else i.f
        return f"{self._constant(f)}({', '.join(args)}"

    def _writing(self, i: Instruction, args: list[str], settings: str) -> str:
        if i.kind == "at":
            return f"{self._constant(getattr(numpy, i.name).at)}({', '.join(args)})"
        if i.kind == "operator":
            name = OPERATORS.get(i.name[1:])  # of `x += y`: setitem and imatmul have none
            if name is None or i.name == "imatmul" or not isinstance(i.args[0], View):
                return f"{self._constant(getattr(operator, i.name))}({', '.join(args)})"
            return f"{self._ufunc(name)}({', '.join(self._operands(i))}, out={args[0]})"
        f = functools.reduce(getattr, i.name.split("."), get("numpy"))
        if i.kind == "method":
            return f"{args[0]}.{i.name}({', '.join(args[1:])}{settings})".replace("(, ", "(")
        return f"{self._constant(f)}({', '.join(args)}{settings})"


def _tuple(values: Iterable[str]) -> str:
    return f"({''.join(f'{value}, ' for value in values)})"


def _mapped(f: str, *arguments: Iterable[str]) -> str:
    return f"map({f}, {', '.join(map(_tuple, arguments))})"
