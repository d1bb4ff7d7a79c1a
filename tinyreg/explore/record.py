"""What `tr.explain()` notes of every op: the reader's line, the layer, the names of what went in, and the values."""

from __future__ import annotations

import inspect
import linecache
import os
import sys
import threading
from collections.abc import Iterator, Sequence
from types import FrameType
from typing import Any, NamedTuple

from ..core.backend import Array
from ..core.tape import Leaf, Node, Parents, Result, is_recording, tick
from ..core.tensor import Tensor
from ..nn.module import Module

PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
STANDARD = os.path.dirname(os.__file__) + os.sep  # functools and the like, by which the package calls itself
LAYER_CALL = Module.__call__.__code__


class Line(NamedTuple):
    """A line of the reader's code."""

    path: str
    number: int

    def __str__(self) -> str:
        return f"{os.path.basename(self.path)}:{self.number}"

    @property
    def source(self) -> str:
        """The line itself; empty where it cannot be had."""
        return linecache.getline(self.path, self.number).strip()


class Call:
    """One call of a layer: its path from the outermost Module, its class, and the call that it stands in."""

    __slots__ = ("kind", "parent", "path")

    def __init__(self, path: str, kind: str, parent: Call | None) -> None:
        self.path, self.kind, self.parent = path, kind, parent

    def __str__(self) -> str:
        return f"{self.path} ({self.kind})" if self.path else self.kind

    @property
    def chain(self) -> tuple[Call, ...]:
        """The calls that this one stands in, outermost first, and itself."""
        return (*(self.parent.chain if self.parent else ()), self)


class Record:
    """One op that ran inside explain(), whether it was put on the tape or not."""

    __slots__ = ("call", "given", "inputs", "line", "made_by", "name", "names", "result", "sources", "state", "wants")

    def __init__(
        self, name: str, line: Line, call: Call | None, inputs: Sequence[Any], names: Sequence[str | None]
    ) -> None:
        self.name, self.line, self.call, self.inputs, self.names = name, line, call, inputs, names
        self.result: Any = None  # an array, or a tuple of them
        self.sources: list[int | None] = []  # of each argument: the time of its leaf, or of the op that made it
        self.made_by: list[str] = []  # of each argument: the op that made it
        self.wants: list[bool] = []  # of each argument: whether it wants a gradient
        self.state = "plain"  # "recorded", or why it is not: "no_grad", or "plain" where nothing was to be recorded
        self.given: set[int] = set()  # the arguments to which a backward has handed a gradient

    @property
    def text(self) -> str:
        """The op as it was called, as far as names are known."""
        return f"{self.name}({', '.join(map(self.label, range(len(self.inputs))))})"

    def label(self, i: int) -> str:
        """An argument: its name, its value where that is a number, the op that made it, or only that it is there."""
        value = self.inputs[i]
        if self.names[i]:
            return str(self.names[i])
        if isinstance(value, int | float | None):
            return f"{value:.6g}" if type(value) is float else str(value)
        return f"{self.made_by[i]}(...)" if self.made_by[i] else "..." if self.wants[i] else "const"


class Use(NamedTuple):
    """A leaf that was used inside explain(): what it is called, its value, and the line that used it first."""

    leaf: Leaf
    name: str | None
    array: Array
    line: Line


class Log:
    """All that ran inside explain(), by time: kept while it lasts, so that a path that was cut can be followed."""

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
        record.result, record.state = result, "recorded" if entry else "plain" if is_recording() else "no_grad"
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

    def _call(self, layers: Sequence[tuple[Module, Any]]) -> Call | None:
        """The innermost layer that is running: the calls that were running at the last op go on where they still are."""
        calls: list[tuple[Any, Call]] = self._running.__dict__.setdefault("calls", [])
        same = 0
        while same < min(len(layers), len(calls)) and layers[same][1] is calls[same][0]:
            same += 1
        del calls[same:]
        for module, token in layers[same:]:
            path = self._path(layers[0][0], module)
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


def _position() -> tuple[FrameType, list[tuple[Module, Any]]]:
    """The innermost frame of the reader's code, and the layers that are running, outermost first.

    With each layer comes the dict of its keyword arguments: a new one for every call, which tells two calls apart.
    """
    frame: FrameType | None = sys._getframe(1)
    outermost: Any = None
    user, layers = None, []
    while frame:
        outermost = frame
        if frame.f_code is LAYER_CALL:
            inside = _variables(frame)
            layers.append((inside["self"], inside["kwargs"]))
        elif user is None and not _is_own(frame):
            user = frame
        frame = frame.f_back
    return user or outermost, layers[::-1]


def _is_own(frame: FrameType) -> bool:
    """Whether a frame is tinyreg's own, also of what it wrote itself, or Python's."""
    path = frame.f_code.co_filename
    if path.startswith(STANDARD):
        return "-packages" + os.sep not in path
    return path.startswith((PACKAGE, "<tinyreg "))


def _names(frame: FrameType, values: Sequence[Any]) -> list[str | None]:
    """Of each value, the variable of this code that holds it or its tensor."""
    code, local = frame.f_code, _variables(frame)
    found: dict[int, str] = {}
    for name in (*code.co_varnames, *code.co_cellvars, *code.co_freevars, *code.co_names):
        value = local.get(name, frame.f_globals.get(name)) if name != "_" else None
        if isinstance(value, Tensor) or hasattr(value, "__array__"):
            found.setdefault(id(getattr(value, "_array", value)), name)
    return [found.get(id(value)) if hasattr(value, "shape") else None for value in values]


def _variables(frame: FrameType) -> dict[str, Any]:
    """A copy of a frame's variables.

    Up to Python 3.12 a function's frame would go on holding the dict that was asked for, and every value in it; so that
    is emptied, unless the function has asked for it too, with locals().
    """
    asked = frame.f_locals
    variables = dict(asked)
    if type(asked) is dict and frame.f_code.co_flags & inspect.CO_OPTIMIZED and sys.getrefcount(asked) <= 3:
        asked.clear()
    return variables


def _paths(module: Module, path: str) -> Iterator[tuple[Module, str]]:
    """A module and all inside it, each with the path to it."""
    for name, found in module.named_modules():
        yield found, ".".join(part for part in (path, name) if part)
