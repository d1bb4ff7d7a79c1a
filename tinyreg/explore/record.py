"""What `tr.explain()` notes of every op: the reader's line, the layer, the names of what went in, and the values."""

from __future__ import annotations

import inspect
import sys
import threading
from collections.abc import Iterator, Sequence
from types import FrameType, ModuleType
from typing import Any, NamedTuple

from ..callers import is_own
from ..core.backend import Array
from ..core.tape import Leaf, Node, Parents, Result, is_recording, tick
from ..core.tensor import Tensor
from ..nn.module import Module
from .rows import Call, Line, Record

LAYER_CALL = Module.__call__.__code__

MOST_PARTS = 1000  # of a list that is looked through for a layer

FRAMES_HOLD_A_COPY = sys.implementation.name == "cpython" and sys.version_info < (3, 13)
NOBODY_ELSE = 3  # references to such a copy: the frame's, that of the variable `asked`, and getrefcount's own


class Use(NamedTuple):
    """A leaf that was used inside explain(): what it is called, its value, and the line that used it first."""

    leaf: Leaf
    name: str | None
    array: Array
    line: Line


class Running(NamedTuple):
    """A layer that is running, the dict of its keyword arguments, new for every call, and the frame that called it."""

    module: Module
    token: Any
    caller: FrameType | None


class Log:
    """All that ran inside explain(), by time, for as long as it lasts: so a path that was cut can be followed."""

    def __init__(self) -> None:
        self.records: dict[int, Record] = {}
        self.leaves: dict[int, Use] = {}
        self.latest: Any = None  # the last entry, from which the tape up to here can be had
        self._makers: dict[int, int] = {}  # the time of what made an array, by the id of that, which its record holds
        self._running = threading.local()  # the calls of layers; a context may be copied to other threads
        self._paths: dict[Module, dict[Module, str]] = {}

    def add(self, name: str, entry: Any, parents: Parents, arrays: Sequence[Any] | None, result: Any) -> Record:
        """Note an op that has just run."""
        user, layers = _position()
        values = [self._value(p) for p in parents] if arrays is None else arrays[: len(parents)]
        names = _names(user, values)
        record = Record(name, Line(user.f_code.co_filename, user.f_lineno), self._call(layers), values, names)
        record.result, record.state = result, "recorded" if entry else "nondifferentiable" if is_recording() else "no_grad"
        for parent, value, known in zip(parents, values, names, strict=True):
            if isinstance(parent, Leaf):
                used = self.leaves.setdefault(parent.time, Use(parent, known, value, record.line))
                if known and not used.name:
                    self.leaves[parent.time] = used._replace(name=known)
            record.sources.append(owner(parent).time if parent else self._maker(value))
            record.wants.append(parent is not None)
            maker = self.records.get(record.sources[-1]) if parent and record.sources[-1] is not None else None
            record.made_by.append(maker.name if maker else "")
        moment = entry.time if entry else tick()
        self.records[moment] = record
        self.latest = entry or self.latest
        self._makers |= {id(array): moment for array in (result if type(result) is tuple else (result,))}
        return record

    def _value(self, node: Node | None) -> Any:
        if isinstance(node, Leaf):
            return self.leaves[node.time].array if node.time in self.leaves else None
        record = self.records.get(owner(node).time) if node else None
        result = record.result if record else None
        return result[node.index] if isinstance(node, Result) and result else result

    def _maker(self, value: Any) -> int | None:
        """What made an array: itself, or the array that it is a view of."""
        made = self._makers.get(id(value))
        return self._makers.get(id(getattr(value, "base", None))) if made is None and hasattr(value, "shape") else made

    def _call(self, layers: Sequence[Running]) -> Call | None:
        """The innermost layer that is running: the calls that were running at the last op go on where they still are."""
        calls: list[tuple[Any, Call]] = self._running.__dict__.setdefault("calls", [])
        same = 0
        while same < min(len(layers), len(calls)) and layers[same].token is calls[same][0]:
            same += 1
        del calls[same:]
        for module, token, caller in layers[same:]:
            path = self._path(layers[0].module, module) or _held(module, caller)
            calls.append((token, Call(path, type(module).__name__, calls[-1][1] if calls else None)))
        return calls[-1][1] if calls else None

    def _path(self, outermost: Module, module: Module) -> str:
        known = self._paths.get(outermost, {})
        if module not in known:
            known = self._paths[outermost] = dict(reversed(list(_paths(outermost, ""))))  # of two paths the first
        return known.get(module, "")


def owner(node: Any) -> Node:
    """The entry of one of several results; any other node itself."""
    return node.parents[0] if type(node) is Result else node


def _position() -> tuple[FrameType, list[Running]]:
    """The innermost frame of the reader's code, and the layers that are running, outermost first."""
    frame: FrameType | None = sys._getframe(1)
    outermost: Any = None
    user, layers = None, []
    while frame:
        outermost = frame
        if frame.f_code is LAYER_CALL:
            inside = _variables(frame)
            layers.append(Running(inside["self"], inside["kwargs"], frame.f_back))
        elif user is None and not is_own(frame):
            user = frame
        frame = frame.f_back
    return user or outermost, layers[::-1]


def _names(frame: FrameType, values: Sequence[Any]) -> list[str | None]:
    """Of each value, the variable of this code that holds it or its tensor."""
    code, local = frame.f_code, _variables(frame)
    names: dict[int, str] = {}
    for name in (*code.co_varnames, *code.co_cellvars, *code.co_freevars, *code.co_names):
        value = local.get(name, frame.f_globals.get(name)) if name != "_" else None
        if issubclass(type(value), Tensor) or hasattr(type(value), "__array__"):  # the reader's objects are not asked
            names.setdefault(id(getattr(value, "_array", value)), name)
    return [names.get(id(value)) if hasattr(value, "shape") else None for value in values]


def _held(module: Module, caller: FrameType | None) -> str:
    """What the code that calls a layer calls it: a variable, or what a variable holds as an attribute or in a list."""
    while caller and is_own(caller):
        caller = caller.f_back
    if caller is None:
        return ""
    variables = {name: value for name, value in _variables(caller).items() if not name.startswith("_")}
    variables |= {name: caller.f_globals[name] for name in caller.f_code.co_names if name in caller.f_globals}
    places = [variables.items(), *(_parts(name, value) for name, value in variables.items())]
    return next((name for place in places for name, value in place if value is module), "")


def _parts(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """What stands in a list, a dict or an object, by what one would write for it; an object's lists too."""
    if type(value) in (list, tuple, dict):
        if len(value) <= MOST_PARTS:
            pairs = value.items() if type(value) is dict else enumerate(value)
            yield from ((f"{name}[{key!r:.40}]", part) for key, part in pairs)
    elif issubclass(type(value), Module):
        yield from ((_member(name, path), inside) for path, inside in value.named_modules() if path)
    elif not issubclass(type(value), ModuleType | type):
        for attribute, part in _attributes(value).items():
            yield _member(name, attribute), part
            if type(part) in (list, tuple, dict):
                yield from _parts(_member(name, attribute), part)


def _member(name: str, attribute: str) -> str:
    return attribute if name == "self" else f"{name}.{attribute}"


def _attributes(value: Any) -> dict[str, Any]:
    try:
        return dict(object.__getattribute__(value, "__dict__"))
    except AttributeError:
        return {}


def _variables(frame: FrameType) -> dict[str, Any]:
    """Copy a frame's variables.

    The frame of a function goes on holding the dict that `f_locals` gives, and with it every value, which would live for
    longer than the variables do: so the dict is emptied. But where the function has called locals(), it holds the same
    dict, and that is left alone. A module's or a class's variables are the dict itself.
    """
    asked = frame.f_locals
    variables = dict(asked)
    if FRAMES_HOLD_A_COPY and frame.f_code.co_flags & inspect.CO_OPTIMIZED and sys.getrefcount(asked) <= NOBODY_ELSE:
        asked.clear()
    return variables


def _paths(module: Module, path: str) -> Iterator[tuple[Module, str]]:
    """A module and all inside it, each with the path to it."""
    for name, inside in module.named_modules():
        yield inside, ".".join(part for part in (path, name) if part)
