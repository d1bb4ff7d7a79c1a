"""What a tape is, once it has been taken: its entries and leaves as values. Nothing here draws."""

from __future__ import annotations

import linecache
import os
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, overload

from ..core.backend import Array, DType, Shape
from ..core.tape import Op
from ..messages import printable
from ..pages import LONGEST, cell

# ---- what explain() notes of an op


class Line(NamedTuple):
    """A line of the reader's code."""

    path: str
    number: int

    def __str__(self) -> str:
        return f"{printable(cell(self.path) or os.path.basename(self.path), LONGEST)}:{self.number}"

    @property
    def source(self) -> str:
        """The line itself; empty where it cannot be had."""
        return printable(linecache.getline(self.path, self.number).strip(), LONGEST)


class Call:
    """One call of a layer: its path from the outermost Module, its class, and the call that it stands in."""

    __slots__ = ("kind", "parent", "path")
    kind: str
    parent: Call | None
    path: str

    def __init__(self, path: str, kind: str, parent: Call | None) -> None:
        self.path, self.kind, self.parent = path, kind, parent

    def __str__(self) -> str:
        return printable(f"{self.path} ({self.kind})" if self.path else self.kind, LONGEST)

    @property
    def chain(self) -> tuple[Call, ...]:
        """The calls that this one stands in, outermost first, and itself."""
        return (*(self.parent.chain if self.parent else ()), self)


class Record:
    """One op that ran inside explain(), whether it was put on the tape or not."""

    __slots__ = ("call", "given", "inputs", "line", "made_by", "name", "names", "result", "sources", "state", "wants")
    call: Call | None
    inputs: Sequence[Any]
    line: Line
    name: str
    names: Sequence[str | None]
    state: str

    def __init__(
        self, name: str, line: Line, call: Call | None, inputs: Sequence[Any], names: Sequence[str | None]
    ) -> None:
        self.name, self.line, self.call, self.inputs, self.names = name, line, call, inputs, names
        self.result: Any = None  # an array, or a tuple of them
        self.sources: list[int | None] = []  # of each argument: the time of its leaf, or of the op that made it
        self.made_by: list[str] = []  # of each argument: the op that made it
        self.wants: list[bool] = []  # of each argument: whether it wants a gradient
        self.state = "nondifferentiable"  # "recorded", or why it is not: that, or "no_grad" where recording was off
        self.given: set[int] = set()  # the arguments that a backward has given a gradient

    @property
    def text(self) -> str:
        """The op as it was called, as far as names are known."""
        return printable(f"{self.name}({', '.join(map(self.label, range(len(self.inputs))))})", LONGEST)

    def label(self, i: int) -> str:
        """An argument: its name, its value where that is a number, the op that made it, or only that it is there."""
        value = self.inputs[i]
        if self.names[i]:
            return printable(str(self.names[i]), LONGEST)
        if isinstance(value, int | float | None):
            return f"{value:.6g}" if type(value) is float else str(value)
        return f"{printable(self.made_by[i], LONGEST)}(...)" if self.made_by[i] else "..." if self.wants[i] else "const"


# ---- an entry and a leaf


class Input(NamedTuple):
    """Where an argument came from: the number of an entry and which of its results, or of a leaf; neither: a constant."""

    label: str
    entry: int | None = None
    result: int = 0
    leaf: int | None = None

    @property
    def is_constant(self) -> bool:
        """Whether it is not on the tape."""
        return self.entry is None and self.leaf is None


class Saved(NamedTuple):
    """What an entry saves for backward under one name: its bytes, and how many of them nothing before it has saved."""

    name: str
    nbytes: int
    counted: int
    holder: int | None  # the entry that has saved an array of it already


class Row(NamedTuple):
    """One entry: its number on this tape, its place in time, and what it did."""

    number: int
    time: int
    op: Op
    inputs: tuple[Input, ...]
    settings: Mapping[str, Any]  # those that are not at their default
    shape: Any  # of the result; where there are several, a list of shapes
    dtype: Any
    saved: tuple[Saved, ...]
    record: Record | None = None  # the line, the layer and the values, where it was made inside explain()


class Origin(NamedTuple):
    """A leaf: its name on this tape, shape and dtype, whether a Module holds it, and its value where that is known."""

    label: str
    shape: Shape
    dtype: DType
    parameter: bool = False
    value: Array = None


# ---- the backward


class Contribution(NamedTuple):
    """What an entry gives to one argument: as its VJP gave it, with broadcasting undone, and the parent's sum so far.

    local: of an op that works elementwise the derivative itself, which is what its VJP gives for an incoming gradient of 1.
    """

    argument: int
    to: Input
    raw: Array
    fitted: Array
    total: Array
    local: Array = None


class Step(NamedTuple):
    """An entry that is walked, the incoming gradient of each of its results, and its contributions."""

    entry: Input
    incoming: tuple[Array | None, ...]
    contributions: list[Contribution]


class Walk(NamedTuple):
    """The steps of a backward, and the gradient that each value came to; where a VJP raised, what it raised."""

    steps: list[Step]
    gradients: Mapping[Input, Array]
    error: str = ""


# ---- all of it


class Rows(Sequence[Row]):
    """The entries that a tensor rests on, earliest first: immutable."""

    __slots__ = ("_leaves", "_rows", "_walk")

    def __init__(self, rows: Sequence[Row], leaves: Sequence[Origin], walk: Walk | None = None) -> None:
        self._rows, self._leaves, self._walk = tuple(rows), tuple(leaves), walk

    @property
    def leaves(self) -> tuple[Origin, ...]:
        """The leaves that the tape begins with, in order of use."""
        return self._leaves

    @property
    def walk(self) -> Walk | None:
        """The backward, recorded where the tape was taken inside explain()."""
        return self._walk

    @property
    def nbytes(self) -> int:
        """The bytes of all arrays that the entries save; an array that is saved twice is counted once."""
        return nbytes(self)

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, i: int) -> Row: ...
    @overload
    def __getitem__(self, i: slice) -> tuple[Row, ...]: ...
    def __getitem__(self, i: int | slice) -> Row | tuple[Row, ...]:
        return self._rows[i]


def results(row: Row) -> list[tuple[Any, Any]]:
    """Dtype and shape of each result."""
    return list(zip(row.dtype, row.shape, strict=True)) if isinstance(row.dtype, list) else [(row.dtype, row.shape)]


def nbytes(rows: Sequence[Row]) -> int:
    """The bytes that entries save and nothing before them does."""
    return sum(saved.counted for row in rows for saved in row.saved)
