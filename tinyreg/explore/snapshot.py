"""The tape as a value: what each entry did, from what, and what it keeps.

A snapshot holds names, shapes and numbers, but no array and no entry: looking at a tape keeps nothing alive, and the
snapshot stays as it is when the tape is walked and freed. How it looks is another file's matter.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, overload

from ..core.backend import Array, DType, Shape
from ..core.primitive import Primitive
from ..core.tape import Entry, Leaf, Node, Op, Result, reach
from ..core.tensor import Tensor
from ..signature import described
from .text import table


class Input(NamedTuple):
    """Where an argument came from: the number of an entry, or None for a leaf or a constant."""

    label: str
    entry: int | None = None


class Kept(NamedTuple):
    """What an entry keeps under one name: its bytes, and how many of them nothing before it keeps already."""

    name: str
    nbytes: int
    counted: int
    holder: int | None  # the entry that keeps an array of it already


class Row(NamedTuple):
    """One entry: its number on this tape, its place in time, and what it did."""

    number: int
    time: int
    op: Op
    inputs: tuple[Input, ...]
    settings: Mapping[str, Any]  # those that are not at their default
    shape: Any  # of the result; where there are several, a list of shapes
    dtype: Any
    kept: tuple[Kept, ...]


class Origin(NamedTuple):
    """A leaf: its name on this tape, shape and dtype."""

    label: str
    shape: Shape
    dtype: DType


class Tape(Sequence[Row]):
    """The entries that a tensor rests on, earliest first: an immutable sequence that prints as a table."""

    __slots__ = ("_leaves", "_rows")

    def __init__(self, rows: Sequence[Row], leaves: Sequence[Origin]) -> None:
        self._rows, self._leaves = tuple(rows), tuple(leaves)

    @property
    def leaves(self) -> tuple[Origin, ...]:
        """The leaves that the tape begins with, in order of use."""
        return self._leaves

    @property
    def nbytes(self) -> int:
        """The bytes of all arrays that the entries keep; an array that is kept twice is counted once."""
        return sum(kept.counted for row in self for kept in row.kept)

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, i: int) -> Row: ...
    @overload
    def __getitem__(self, i: slice) -> tuple[Row, ...]: ...
    def __getitem__(self, i: int | slice) -> Row | tuple[Row, ...]:
        return self._rows[i]

    def text(self, *, limit: int | None = 40) -> str:
        """The tape as a table. Of more than `limit` entries the first and the last are shown; with None all are.

        >>> import tinyreg as tr
        >>> x = tr.tensor([1.0, 2.0], requires_grad=True)
        >>> print(tr.tape((x * x + 1.0).sum(), x=x).text())
        entry  op and inputs   result      keeps        bytes
        #0     multiply(x, x)  float32[2]  x1, x2 (#0)      8
        #1     add(#0, const)  float32[2]
        #2     sum(#1)         float32[]
        -----------------------------------------------------
        3 entries, 1 leaf, 8 bytes kept
        (#n): kept by entry #n already, and counted there
        leaves: x float32[2]
        """
        return table(self, limit)

    def __repr__(self) -> str:
        return self.text()


def tape(tensor: Tensor, /, **names: Tensor) -> Tape:
    """The entries that a tensor rests on, in order of time: what ran, on what, and what the way back keeps.

    Print it. A leaf goes by the name that it is given here as a keyword, or has as a parameter of a Module, and
    otherwise as `leaf 0`, `leaf 1`, ...; an argument without a gradient as a name given here, its number, or `const`.
    The result is a snapshot: it holds no array and nothing of the tape itself.

    Raises `RuntimeError` where nothing was recorded, the tape was freed by a backward, or a leaf has changed since;
    `TypeError` for a name given to anything but a Tensor, and `ValueError` for one that is not on the tape.

    >>> import tinyreg as tr
    >>> w = tr.tensor([[1.0], [2.0]], requires_grad=True)
    >>> x = tr.ones((3, 2))
    >>> [entry.op.name for entry in tr.tape((x @ w).sum(), w=w, x=x)]
    ['matmul', 'sum']
    """
    for name, value in {"the tensor": tensor, **names}.items():
        if not isinstance(value, Tensor):
            raise TypeError(f"tape: got {described(value):.80} as {name}, expected a Tensor")
    if tensor._node is None:
        raise RuntimeError(
            f"tape: {described(tensor)} has none: it was not computed from a tensor that requires a gradient, or "
            "recording was off (tr.no_grad); create its leaves with requires_grad=True"
        )
    nodes = _reached(tensor._node)
    leaves = _leaves(tensor._node, nodes, {value._node: name for name, value in names.items()})
    constants = {id(value._array): name for name, value in names.items() if value._node is None}
    rows = list(_rows(nodes, leaves, constants))
    used = {source.label for row in rows for source in row.inputs} | set(leaves.values())
    if absent := [name for name in names if name not in used]:
        raise ValueError(
            f"tape: got {described(names[absent[0]])} as {absent[0]}, expected a leaf that the tape rests on, or a "
            "constant that it keeps; leave that name out"
        )
    return Tape(rows, [Origin(label, leaf.shape, leaf.dtype) for leaf, label in leaves.items()])


def _reached(root: Node) -> list[Any]:
    try:
        return reach([root])
    except RuntimeError as error:
        raise RuntimeError(str(error).replace("backward", "tape", 1)) from None


def _leaves(root: Node, nodes: Sequence[Any], given: Mapping[Node | None, str]) -> dict[Leaf, str]:
    """The leaves in order of use, with a name each, no two alike: two models may both have a "0.weight"."""
    labels: dict[Leaf, str] = {}
    taken = set(given.values())
    above = itertools.chain((root,), *(node.parents for node in nodes))
    for i, leaf in enumerate(dict.fromkeys(node for node in above if isinstance(node, Leaf))):
        label = given.get(leaf) or leaf.name or f"leaf {i}"
        labels[leaf] = f"{label} (leaf {i})" if label in taken and leaf not in given else label
        taken.add(label)
    return labels


def _rows(nodes: Sequence[Any], leaves: Mapping[Leaf, str], constants: Mapping[int, str]) -> Iterator[Row]:
    sources: dict[Node, Input] = {leaf: Input(label) for leaf, label in leaves.items()}
    holders: dict[int, int] = {}  # the first entry that keeps an array, by the array's id
    number = 0
    for node in nodes:
        if type(node) is Result:
            made = sources[node.parents[0]]
            sources[node] = Input(f"{made.label}.{node.index}", made.entry)
            continue
        sources[node] = Input(f"#{number}", number)
        inputs = [sources[p] if p else Input(_constant(node, i, constants)) for i, p in enumerate(node.parents)]
        kept = [_kept(name, arrays, number, holders) for name, v in node.kept.items() if (arrays := list(_arrays(v)))]
        yield Row(number, node.time, node.op, tuple(inputs), _settings(node), node.shape, node.dtype, tuple(kept))
        number += 1


def _constant(entry: Entry, i: int, constants: Mapping[int, str]) -> str:
    """An argument without a gradient: all that is known of it is what the entry keeps."""
    value = entry.kept.get(entry.op.signature.argument(i), ...) if isinstance(entry.op, Primitive) else ...
    if isinstance(value, int | float | None):
        return f"{value:.6g}" if type(value) is float else str(value)
    return constants.get(id(value), "const")


def _settings(entry: Entry) -> dict[str, Any]:
    defaults = entry.op.signature.defaults if isinstance(entry.op, Primitive) else {}
    return {name: value for name, value in entry.settings.items() if defaults.get(name, ...) != value}


def _arrays(value: Any) -> Iterator[Array]:
    """The arrays in what an entry keeps: alone, or in tuples, lists, dicts and Tensors."""
    if isinstance(value, Tensor):
        yield value._array
    elif isinstance(value, tuple | list | dict):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _arrays(part)
    elif hasattr(value, "nbytes"):
        yield value


def _kept(name: str, arrays: Sequence[Array], number: int, holders: dict[int, int]) -> Kept:
    holder = next((holders[id(array)] for array in arrays if id(array) in holders), None)
    new = {id(array): array.nbytes for array in arrays if id(array) not in holders}
    holders.update(dict.fromkeys(new, number))
    return Kept(name, sum({id(array): array.nbytes for array in arrays}.values()), sum(new.values()), holder)
