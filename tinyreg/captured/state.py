"""What a step can reach: the arrays that are its state, and all else that its instructions may depend on.

A walk goes from the step through closure cells, the globals that its code names, attributes, lists and dicts. Of objects
that are neither tinyreg's nor a Module it sees the attributes that the code names. What it finds stands in a fixed order,
so that two walks can be compared place by place.
"""

from __future__ import annotations

import dis
import functools
import math
import sys
import types
from collections import OrderedDict, deque
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, repeat
from operator import setitem
from typing import Any

from ..core.backend import HOMES, get
from ..core.primitive import Primitive
from ..core.tape import Leaf
from ..core.tensor import Tensor
from ..nn.module import Module
from ..nn.parameter import Parameter
from ..optim.optimizer import Optimizer
from ..optim.packing import Pack
from ..random import Generator
from .elsewhere import SOURCES
from .recording import numpy
from .refusal import CaptureError

NUMBERS = ("lr", "initial_lr", "scheduled_lr", "step")
"""What an optimizer holds under these names is a number that may change from call to call."""
LIMIT = 20_000
MANY = 4096
"""A list or dict with more elements is not looked through."""
SIMPLE = (int, float, bool, str, bytes, complex, type(None), type(Ellipsis), slice, range)
MISSING = object()
put = object.__setattr__
"""Set an attribute in any case: of a frozen dataclass too, and past what a class does then."""
WHOLE = ("_states", "_stepped_with")
"""What an optimizer holds under these names it never changes, nor what is in it; it gives them another value."""
UNSEEN = ("_data", "_lock")
"""What tinyreg's own objects hold that decides nothing."""
OWN = "tinyreg"
GLOBAL = "global "
"""The mark of a global among the names of code: `losses` in `tr.losses` is an attribute, and no global of that name."""


@dataclass(slots=True)
class Holder:
    """Something that holds values: at each key one. kind: how they are read and written; of a "set" one holds them all."""

    kind: str
    thing: Any
    keys: tuple[Any, ...]
    values: list[Any]
    path: str
    whole: bool = False  # whether it holds nothing else
    numbers: bool = False  # whether it is an optimizer's
    every: bool = False  # whether all that it holds counts, and not only what is named
    mark: str = ""  # how what code names in it is marked among all names

    @property
    def size(self) -> int:
        """How many values it holds now, those included that nobody names."""
        return len(self.thing)

    def read(self, key: Any) -> Any:
        """What stands there now."""
        if self.kind == "set":
            return self.values[0] if self.thing == self.values[0] else frozenset(self.thing)
        if self.kind == "item":
            try:
                return self.thing[key]
            except (LookupError, TypeError):
                return MISSING
        return getattr(self.thing, key, MISSING)

    def write(self, key: Any, value: Any) -> None:
        """Put a value there."""
        if self.kind == "item":
            self.thing[key] = value
        else:
            put(self.thing, key, value)

    @property
    def fixed(self) -> bool:
        """Whether nothing in it is put in another's place by a step."""
        return self.kind in ("fixed", "class", "function")

    def restored(self) -> Iterator[Any]:
        """What puts everything back as it was, as an iterator over functions of C."""
        if self.kind == "attribute":
            return map(put, repeat(self.thing), self.keys, self.values)
        if self.kind == "set":
            return chain(map(set.clear, [self.thing]), map(set.update, [self.thing], self.values))
        if isinstance(self.thing, deque):
            return chain(map(deque.clear, [self.thing]), map(deque.extend, [self.thing], [self.values]))
        if self.whole and isinstance(self.thing, list):
            return map(setitem, [self.thing], [slice(None)], [self.values])
        before = dict(zip(self.keys, self.values, strict=True))
        kind: Any = OrderedDict if isinstance(self.thing, OrderedDict) else dict
        return chain(map(kind.clear, [self.thing] if self.whole else []), map(kind.update, [self.thing], [before]))


class Walk:
    """All that was found, in order."""

    def __init__(self, roots: tuple[Any, ...], *, grads: bool, names: set[str]) -> None:
        self.names: set[str] = names
        self.grads: bool = grads
        self.private: set[int] = set()  # the dicts of state that only an optimizer holds
        self.whole: set[int] = set()  # what it holds that it never changes, but gives another for
        while True:
            before = len(names)
            self.holders: list[Holder] = []
            self.index: dict[int, int] = {}
            self.leaves: list[Leaf] = []
            self.generators: list[Generator] = []
            self.sources: list[Any] = []  # of random numbers that are NumPy's
            self._visit(roots, "step", False)
            if len(names) == before:  # otherwise an object may have attributes that are named after all
                break

    def _visit(self, x: Any, path: str, numbers: bool) -> None:
        """Add what a value holds, and what that holds."""
        if id(x) in self.index:
            return
        check_backend(x)
        if isinstance(x, Leaf):
            self.leaves.append(x)
        if isinstance(x, Generator):
            self.generators.append(x)
        if isinstance(x, SOURCES):
            self.sources.append(x)
        holder = self._held(x, path, numbers)
        if holder is not None and id(x) not in self.index:  # which what it holds may have led to
            self._enter(holder, x)

    def _enter(self, holder: Holder, x: Any) -> None:
        self.index[id(x)] = len(self.holders)
        self.holders.append(holder)
        if len(self.holders) > LIMIT:
            raise CaptureError(
                f"capture: the step reaches more than {LIMIT} objects, such as {holder.path}; give it what it needs, "
                "and not what holds that"
            )
        for key, value in zip(holder.keys, holder.values, strict=True):
            label = f"{holder.path}.{key}" if isinstance(key, str) and holder.kind == "item" else holder.path
            self._visit(value, label, holder.numbers)

    def _held(self, x: Any, path: str, numbers: bool) -> Holder | None:
        """What a value holds; None where it is to be taken as it is."""
        if isinstance(x, (SIMPLE, numpy.ndarray | numpy.generic | numpy.dtype | Generator)):
            return None
        for kind, attributes in PARTS.items():
            if isinstance(x, kind):
                return _fixed([getattr(x, name) for name in attributes], x, path)
        if hasattr(type(x), "program") and hasattr(x, "_captured"):  # another captured step
            return _fixed([x._captured], x, path)
        if isinstance(x, tuple):
            return _fixed(list(x), x, path, numbers)
        if isinstance(x, list | dict | deque):
            return _elements(x, path, numbers)
        if isinstance(x, set):
            return Holder("set", x, ("elements",), [frozenset(x)], path)
        if isinstance(x, types.CellType):
            return _attributes(x, ["cell_contents"], path) if _is_full(x) else None
        if isinstance(x, Tensor):
            frozen = ["_leaf"] if getattr(x, "_leaf", None) is not None else []
            return _attributes(x, ["_array", "_node", *frozen, *(["decay"] if isinstance(x, Parameter) else [])], path)
        if isinstance(x, Leaf):
            return _attributes(x, ["grad"] * self.grads, path)
        if isinstance(x, Primitive):  # tinyreg's own are known
            return None if _is_own(x) else _fixed([x.forward, *(rule[1] for rule in x.rules)], x, path)
        if isinstance(x, types.FunctionType):
            return self._of_function(x, path)
        if isinstance(x, types.ModuleType):
            return None if _is_library(x.__name__) else self._named(vars(x), path)
        if isinstance(x, type):
            own = {} if _is_library(x.__module__ or "") else self._named_members(x)
            return Holder("class", x, tuple(own), [*own.values()], path) if own else None
        return self._of_object(x, path, numbers)

    def _of_function(self, x: types.FunctionType, path: str) -> Holder:
        """The cells of a function, and the globals and defaults that one of the reader's has."""
        for name, cell in zip(x.__code__.co_freevars, x.__closure__ or (), strict=True):
            if id(cell) not in self.index and _is_full(cell):
                self._enter(_attributes(cell, ["cell_contents"], name), cell)
        keys = ["__closure__"]
        if not _is_library(x.__module__ or ""):
            self.names |= _names(x.__code__)
            if id(x.__globals__) not in self.index:
                self._enter(self._named(x.__globals__, "", GLOBAL), x.__globals__)
            keys += CHANGEABLE
        return Holder("function", x, tuple(keys), [getattr(x, key) for key in keys], path)

    def _of_object(self, x: Any, path: str, numbers: bool) -> Holder | None:
        """The attributes of an object: all of tinyreg's own and of a Module, otherwise those that are named."""
        slots = [] if _is_own(x) else [k for k in _slots(type(x)) if k in self.names and hasattr(x, k)]
        if type(x).__module__.partition(".")[0] in ("numpy", "builtins") or not (slots or hasattr(x, "__dict__")):
            return None
        self._visit(type(x), path, False)
        values = getattr(x, "__dict__", {})
        if isinstance(x, Pack):
            self.private.add(id(x.state))
            self.whole |= {id(x.state), id(x.views)}
        if isinstance(x, Optimizer):
            self.whole |= {id(each) for name in WHOLE for each in (values.get(name), *values.get(name, ()))}
        if id(values) not in self.index:
            if _is_own(x) or isinstance(x, Module):
                keys = tuple(k for k in values if k not in UNSEEN)
                numbers = numbers or isinstance(x, Optimizer)
                self._enter(Holder("item", values, keys, [values[k] for k in keys], path, False, numbers, True), values)
            else:
                self._enter(self._named(values, path), values)
        return _attributes(x, slots, path)

    def _named(self, values: dict[str, Any], path: str, mark: str = "") -> Holder:
        keys = tuple(sorted(k for k in values if mark + k in self.names))
        return Holder("item", values, keys, [values[k] for k in keys], path, mark=mark)

    def _named_members(self, x: type) -> dict[str, Any]:
        """What a class has that code names, and what Python and a Module call unnamed."""
        unnamed = {"forward", *(["__init__"] if x.__name__ in self.names else [])}
        special = {k for k, v in vars(x).items() if k.startswith("__") and k != "__init__" and callable(v)}
        own = {k: v for k, v in vars(x).items() if k in self.names | unnamed | special}
        return {**own, "__bases__": x.__bases__} if own or x.__bases__ != (object,) else {}

    def added(self, holder: Holder) -> list[Any]:
        """The keys that it has come to hold since, of those that count."""
        if holder.kind != "item" or holder.whole:
            return []
        new = [k for k in holder.thing if k not in holder.keys and k not in UNSEEN]
        return new if holder.every else [k for k in new if holder.mark + k in self.names]

    # ---- what is compared

    def flat(self) -> list[Any]:
        """All holders, and all values at their places, in order."""
        return [*(holder.thing for holder in self.holders), *(v for holder in self.holders for v in holder.values)]

    def places(self) -> Iterator[tuple[int, Holder, Any, Any]]:
        """Each place: its number, its holder, key and value."""
        number = 0
        for holder in self.holders:
            for key, value in zip(holder.keys, holder.values, strict=True):
                yield number, holder, key, value
                number += 1

    def signature(self) -> tuple[Any, ...]:
        """What two walks have in common that lead to the same program."""
        return tuple(
            (h.kind, h.keys, tuple(self._described(h, k, v) for k, v in zip(h.keys, h.values, strict=True)))
            for h in self.holders
        )

    def _described(self, holder: Holder, key: Any, value: Any) -> Any:
        if is_number(holder, key, value):
            return "number"
        if type(value) is numpy.ndarray:
            return "array", value.dtype, value.shape, value.strides
        if id(value) in self.index:
            return "holder", self.index[id(value)]
        if holder.kind == "set":
            return "set", value
        simple = isinstance(value, (*SIMPLE, numpy.generic))
        return (type(value), repr(value)) if simple else ("object", id(value))


CHANGEABLE = ["__code__", "__defaults__", "__kwdefaults__"]
"""What of a function may be given another value."""
PARTS: dict[Any, tuple[str, ...]] = {
    types.MethodType: ("__self__", "__func__"),
    functools.partial: ("func", "args", "keywords"),
    staticmethod: ("__func__",),
    classmethod: ("__func__",),
    property: ("fget",),
    functools.cached_property: ("func",),
    type(functools.cache(len)): ("__wrapped__",),
}
"""What else calls the reader's code, and by what."""


def _elements(x: Any, path: str, numbers: bool) -> Holder:
    """What a list or a dict holds."""
    if len(x) > MANY:
        raise CaptureError(
            f"capture: {path} holds {len(x)} values, too many to look whether they changed; make it an array, or pass "
            "what the step needs"
        )
    keys = tuple(x if isinstance(x, dict) else range(len(x)))
    return Holder("item", x, keys, [x[key] for key in keys], path, True, numbers)


def _slots(kind: type) -> list[str]:
    """The names of the slots of a class."""
    named = [vars(each).get("__slots__", ()) for each in kind.__mro__]
    return [name for each in named for name in ([each] if isinstance(each, str) else each)]


def _attributes(x: Any, keys: list[str], path: str) -> Holder:
    return Holder("attribute", x, tuple(keys), [getattr(x, key) for key in keys], path)


def _fixed(values: list[Any], x: Any, path: str, numbers: bool = False) -> Holder:
    return Holder("fixed", x, tuple(range(len(values))), values, path, False, numbers)


def _is_full(cell: types.CellType) -> bool:
    try:
        cell.cell_contents  # noqa: B018
    except ValueError:
        return False
    return True


def _is_own(x: Any) -> bool:
    """Whether it is tinyreg's, or an object of a class of tinyreg's."""
    module = x.__module__ if isinstance(x, Primitive) else type(x).__module__
    return (module or "").partition(".")[0] == OWN


def _is_library(module: str) -> bool:
    """Whether a module is tinyreg's, NumPy's or Python's own."""
    top = module.partition(".")[0]
    return top in (OWN, "numpy", "builtins") or top in sys.stdlib_module_names


@functools.lru_cache(maxsize=1024)
def _names(code: types.CodeType) -> frozenset[str]:
    """What code names, and that inside of it too: globals with their mark; text, as for `getattr`, with and without."""
    inner = [c for c in code.co_consts if isinstance(c, types.CodeType)]
    texts = {c for c in code.co_consts if isinstance(c, str) and c.isidentifier()}
    called = {i.argval for i in dis.get_instructions(code) if "GLOBAL" in i.opname or i.opname.endswith("_NAME")}
    marked = {GLOBAL + name for name in called | texts}
    return frozenset({*code.co_names, *texts, *marked, *(name for c in inner for name in _names(c))})


def is_number(holder: Holder, key: Any, value: Any) -> bool:
    """Whether at a place stands a number that may change from call to call."""
    return holder.numbers and holder.whole and key in NUMBERS and type(value) in (int, float) and 0 <= value < math.inf


def varying(a: Walk, b: Walk) -> str:
    """The first place where two walks differ."""
    for (_, one, key, was), (_, other, _, now) in zip(a.places(), b.places(), strict=False):
        if one.keys != other.keys or a._described(one, key, was) != b._described(other, key, now):
            return f"{one.path}.{key}".strip(".") + f" ({was!r:.40}, then {now!r:.40})"
    return "how much it holds"


def check_backend(value: Any) -> None:
    """`CaptureError` for an array of another backend."""
    home = HOMES.get(type(value))
    if home is not None and home is not get("numpy"):
        raise CaptureError(
            f"capture: got an array on {home.name}, expected NumPy's: the executor 'numpy' replays on no other backend; "
            "move the model and its data, or call the step itself"
        )
