"""A recording: the calls of the array library that one run of a step made, over storages and their versions.

A storage is a piece of memory, as NumPy allocated it. What an instruction reads or writes is a view: a place in a storage
at a version. A call whose result shares memory with an argument is no instruction, but another view.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import repeat
from typing import Any, NamedTuple, TypeVar

from ..core.backend import Array, get
from ..symbols import Symbol, literal
from . import refusal

T = TypeVar("T")

numpy: Any = get("numpy").module
FEW = 8
"""Up to so many elements of a constant are shown."""


class Layout(NamedTuple):
    """What an array is like that is not there any more."""

    shape: tuple[int, ...]
    strides: tuple[int, ...]
    dtype: Any
    size: int
    itemsize: int
    nbytes: int

    @classmethod
    def of(cls, array: Array) -> Layout:
        """That of an array."""
        return cls(*(getattr(array, name) for name in cls._fields))


class Storage:
    """A piece of memory, or its layout. origin: "state", "argument" or "made" by an instruction."""

    __slots__ = ("id", "memory", "origin", "pointer", "saved", "version")

    def __init__(self, number: int, memory: Array, origin: str) -> None:
        self.id: int = number
        self.memory: Array = memory
        self.origin: str = origin
        self.version: int = 0
        self.saved: bool = False  # whether the values before the step are saved, since it writes to a state in place
        self.pointer: int = pointer(memory)

    def let_go(self) -> None:
        """Let go of the memory; what it is like remains."""
        if isinstance(self.memory, numpy.ndarray):
            self.memory = Layout.of(self.memory)


class View(NamedTuple):
    """What an instruction reads or writes: a place in a storage, at a version. Without strides: a NumPy scalar."""

    storage: int
    version: int
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...] | None
    dtype: Any

    @property
    def place(self) -> tuple[Any, ...]:
        """Where it is, whenever."""
        return (self.storage, *self[2:])


@dataclass(slots=True)
class Instruction:
    """One call: what is called, on what, and what it gives. writes: whether it writes to `out`, which was there before."""

    kind: str  # "call" of a function of the backend, a "method" of arrays, an "operator", or one of this room's own
    name: str
    args: tuple[Any, ...]
    settings: dict[str, Any]
    out: View | None
    writes: bool
    line: tuple[str, int]
    errors: tuple[tuple[str, str], ...]  # how NumPy treats overflow and the like here, where that is not as outside
    f: Any = field(default=None)
    origin: refusal.Origin = refusal.NOWHERE

    def key(self) -> tuple[Any, ...]:
        """What has to be the same in two recordings of a step."""
        args = tuple(map(comparable, self.args)), tuple((k, comparable(v)) for k, v in self.settings.items())
        return self.kind, self.name, args, self.out, self.writes


def comparable(value: Any) -> Any:
    """An argument as something to compare and to print: numbers by their digits, so that NaN is NaN and -0.0 is not 0.0."""
    if isinstance(value, View):
        return value
    if isinstance(value, Symbol):
        return f"number {value.text}"
    if isinstance(value, tuple | list):
        return (type(value).__name__, *map(comparable, value))
    if isinstance(value, dict):
        return ("dict", *((k, comparable(v)) for k, v in value.items()))
    if callable(value) and hasattr(value, "__code__"):  # how random numbers are drawn
        cells = [cell.cell_contents for cell in value.__closure__ or ()]
        return (value.__code__.co_code, *map(comparable, (value.__code__.co_consts, value.__defaults__ or (), cells)))
    return type(value).__name__, repr(value)


def pointer(array: Array) -> int:
    """The address of the first element."""
    if not isinstance(array, numpy.ndarray):
        return 0
    address: int = array.__array_interface__["data"][0]
    return address


class Lent:
    """Memory at an address, as NumPy asks for it: what arrays rest on that a replay gives out."""

    __slots__ = ("__array_interface__", "owned")
    __array_interface__: Any

    def __init__(self, owned: Any) -> None:
        self.owned: Any = owned


def owner(array: Array) -> Array:
    """The array whose memory an array is a part of."""
    while isinstance(array.base, numpy.ndarray) or (isinstance(array.base, Lent) and array.base.owned is not None):
        array = array.base.owned if isinstance(array.base, Lent) else array.base
    return array


class Traced:
    """An array of a recorded step: its value now, and where it stands. Everything else is in `arrays`."""

    __slots__ = ("__weakref__", "held", "storage")

    def __init__(self, held: Any, storage: Storage) -> None:
        self.held: Any = held
        self.storage: Storage = storage


class Recording:
    """What one run of a step did."""

    def __init__(self, generators: set[int], array: Callable[[Array, Storage], Traced]) -> None:
        self.array: Callable[[Array, Storage], Traced] = array
        self.storages: list[Storage] = []
        self.instructions: list[Instruction] = []
        self.generators: set[int] = generators  # those that were there before the step
        self.states: list[Any] = []  # of generators, which stay alive so that each keeps its id
        self.written: tuple[list[Array], list[Array]] = [], []  # states that were written to, and their values before
        self.drawing: bool = False  # from a Generator, which may have to begin others
        self.errors: dict[str, str] = numpy.geterr()  # how NumPy treats overflow and the like around the step

    # ---- what an instruction is made of

    def storage(self, memory: Array, origin: str) -> Storage:
        """A new storage."""
        made = Storage(len(self.storages), memory, origin)
        self.storages.append(made)
        return made

    def view(self, traced: Traced) -> View:
        """Where an array stands now."""
        held, storage = traced.held, traced.storage
        if self.storages[storage.id : storage.id + 1] != [storage]:
            raise self.refused("an array of an earlier recording is used", "keep results only where the step returns them")
        if not isinstance(held, numpy.ndarray):
            return View(storage.id, storage.version, 0, (), None, held.dtype)
        offset = pointer(held) - storage.pointer if held.size else 0
        return View(storage.id, storage.version, offset, held.shape, held.strides, held.dtype)

    def mapped(self, value: Any) -> Any:
        """Arguments with views in place of arrays."""
        if isinstance(value, Traced):
            return self.view(value)
        if type(value) in (tuple, list):
            return type(value)(map(self.mapped, value))
        if type(value) is dict:
            return {k: self.mapped(v) for k, v in value.items()}
        if isinstance(value, numpy.ndarray):
            raise self.refused(
                f"the step uses an array {value.dtype}{list(value.shape)} that is neither its argument nor its state",
                "pass it in, or make it before the step; draw random numbers from a tr.Generator",
            )
        return value

    def refused(self, what: str, remedy: str) -> refusal.CaptureError:
        """The error for what the step did just now."""
        return refusal.refusal(what, remedy)

    # ---- instructions

    def add(
        self, kind: str, name: str, args: tuple[Any, ...], settings: dict[str, Any], out: View | None, *, f: Any = None
    ) -> None:
        """Append an instruction that makes its result."""
        errors = tuple([(k, v) for k, v in numpy.geterr().items() if v != self.errors[k]])
        line, origin = refusal.whence()
        self.instructions.append(Instruction(kind, name, args, settings, out, False, line, errors, f, origin))

    def call(self, kind: str, name: str, f: Callable[..., Any], args: tuple[Any, ...], settings: dict[str, Any]) -> Any:
        """Run a call that makes its results, and append it, unless what it gives is a view."""
        mapped_args, mapped_settings = self.mapped(args), self.mapped(settings)
        made = f(*held(args), **held(settings))
        if isinstance(made, tuple):
            several = self.storage(numpy.empty(0), "made")
            self.add(kind, name, mapped_args, mapped_settings, self.view(Traced(several.memory, several)), f=f)
            whole = View(several.id, 0, 0, (), None, "tuple")
            self.instructions[-1].out = whole
            parts = [Traced(part, self.storage(part, "made")) for part in made]
            for i, part in enumerate(parts):
                self.add("part", name, (whole, i), {}, self.view(part))
            return tuple(parts)
        sources = found(Traced, (args, settings))
        for source in sources:
            if made is source.held:
                return source
            memory = source.storage.memory
            arrays = isinstance(made, numpy.ndarray) and isinstance(memory, numpy.ndarray)
            if arrays and made.size and numpy.may_share_memory(made, memory):
                return Traced(made, source.storage)
        traced = Traced(made, self.storage(made, "made"))
        own = None if kind == "operator" else f  # which holds the operands
        self.add(kind, name, mapped_args, mapped_settings, self.view(traced), f=own)
        return traced

    def write(self, kind: str, name: str, f: Callable[[], Any], args: Any, settings: Any, target: Traced) -> Traced:
        """Run a call that writes to an array that was there before, and append it."""
        mapped_args, mapped_settings = self.mapped(args), self.mapped(settings)
        storage = target.storage
        if storage.origin == "argument":
            raise self.refused("the step writes to its argument", "copy it first, or write to a new array")
        if not isinstance(target.held, numpy.ndarray):
            raise self.refused("the step writes to a NumPy scalar", "make it an array first")
        if storage.origin == "state" and not storage.saved:
            before, storage.saved = storage.memory.copy(), True
            self.written[1].append(before)
            self.written[0].append(storage.memory)
        f()
        storage.version += 1
        self.add(kind, name, mapped_args, mapped_settings, self.view(target))
        self.instructions[-1].writes = True
        return target

    def constant(self, array: Array) -> Traced:
        """An array that is the same at every call, as far as two recordings can tell."""
        traced = self.array(array, self.storage(array, "made"))
        digest = hashlib.blake2b(array.tobytes(), digest_size=16).hexdigest()
        shown = str(array.tolist()) if array.size <= FEW else digest
        self.add(
            "constant", "constant", (shown, str(array.dtype), array.shape), {}, self.view(traced), f=array.copy(order="K")
        )
        return traced

    # ---- what is asked of values

    def check(self, value: Traced | Symbol, outcome: bool) -> None:
        """A branch was taken by a value: a replay looks whether it would be taken again."""
        args = (self.view(value) if isinstance(value, Traced) else value, outcome)
        self.add("check", "bool", args, {}, None)

    def number(self, x: Any) -> Any:
        """The number in an array of one element, as a symbol."""
        if not isinstance(x, Traced):
            return float(x)
        storage = self.storage(numpy.float64(float(x.held)), "made")
        view = View(storage.id, 0, 0, (), None, "number")
        self.add("number", "float", (self.view(x),), {}, view)
        return Symbol(float(x.held), f"t{storage.id}")

    # ---- random numbers

    def draw(self, generator: Any, draw: Callable[[Any], Any], dtype: Any) -> Traced:
        """Numbers that a generator draws: a replay draws the next ones."""
        host, self.drawing = generator._host, True
        made = numpy.asarray(draw(host), dtype=dtype)
        self.drawing = False
        if id(generator) not in self.generators:  # which the step made anew, as it does at each call
            return self.constant(made)
        traced = self.array(made, self.storage(made, "made"))
        self.add("draw", "draw", (id(generator), draw, str(dtype)), {}, self.view(traced), f=generator)
        return traced

    def looked_at(self, generator: Any, state: Any) -> None:
        """The state of a generator was asked for, to be put back later."""
        if id(generator) not in self.generators:
            return
        self.add("state", "state", (id(generator), len(self.states)), {}, None, f=generator)
        self.states.append(state)

    def put_back(self, generator: Any, state: Any) -> None:
        """A generator was given a state that was asked for."""
        if id(generator) not in self.generators:
            return
        at = next((i for i, known in reversed([*enumerate(self.states)]) if known is state), None)
        if at is None:
            raise self.refused("a generator is given a state from before the step", "do that outside of the step")
        self.add("put_back", "put_back", (id(generator), at), {}, None, f=generator)


def rewinding(generators: Iterable[Any]) -> Iterator[Any]:
    """What gives generators the state that they have now, as an iterator over functions of C."""
    bits = [generator._host.bit_generator for generator in generators]
    return map(setattr, bits, repeat("state"), [each.state for each in bits])


def held(value: Any) -> Any:
    """Arguments with the values in place of arrays and symbols."""
    if isinstance(value, Traced):
        return value.held
    if isinstance(value, Symbol):
        return value.value
    if type(value) in (tuple, list):
        return type(value)(map(held, value))
    if type(value) is dict:
        return {k: held(v) for k, v in value.items()}
    return value


def typed(view: View | None) -> str:
    """The dtype and the shape of an array; of a number nothing."""
    return "" if view is None or view.strides is None else f"{view.dtype}{list(view.shape)}"


def found(kind: type[T], value: Any) -> list[T]:
    """The values of a kind in arguments: arrays, or views and symbols of an instruction."""
    if isinstance(value, kind):
        return [value]
    if isinstance(value, dict):
        value = [*value.values()]
    return [one for each in value for one in found(kind, each)] if isinstance(value, tuple | list) else []


__all__ = ["Instruction", "Recording", "Storage", "Symbol", "Traced", "View", "literal"]
