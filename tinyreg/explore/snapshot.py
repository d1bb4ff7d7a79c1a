"""The tape as a value: what each entry did, from what, and what it keeps.

A snapshot holds names, shapes and numbers, but no entry: it stays as it is when the tape is walked and freed. It holds
no array either, unless it was taken inside explain(), where values and gradients are what one came for. How it looks is
another file's matter.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, overload

from ..core.backend import Array, DType, Shape, described
from ..core.primitive import Primitive
from ..core.tape import Entry, Leaf, Node, Op, Result, explainer, reach
from ..core.tensor import Tensor, incoming
from .checks import arrays_in, plain
from .dot import graph
from .record import Record
from .text import table
from .walkback import Walk

if TYPE_CHECKING:
    from pathlib import Path


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
    record: Record | None = None  # the line, the layer and the values, where it was made inside explain()


class Origin(NamedTuple):
    """A leaf: its name on this tape, shape and dtype, whether a Module holds it, and its value where that is known."""

    label: str
    shape: Shape
    dtype: DType
    parameter: bool = False
    value: Array = None


class Tape(Sequence[Row]):
    """The entries that a tensor rests on, earliest first: an immutable sequence that prints as a table."""

    __slots__ = ("_leaves", "_rows", "_walk")

    def __init__(self, rows: Sequence[Row], leaves: Sequence[Origin], walk: Walk[Input] | None = None) -> None:
        self._rows, self._leaves, self._walk = tuple(rows), tuple(leaves), walk

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

    @property
    def walk(self) -> Walk[Input] | None:
        """The way back, recorded where the tape was taken inside explain()."""
        return self._walk

    def text(self, *, limit: int | None = 40, fold: bool = True) -> str:
        """The tape as a table, with the source lines of what ran inside explain().

        One of more than `limit` entries is folded: a layer's entries to one line, then a sequence of ops that comes again
        and again to its first round, and of what is still too long the first and the last lines are shown. With
        `fold=False` only that last step is taken; with `limit=None` everything is shown.

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
        return table(self, limit, fold)

    def to_dot(self) -> str:
        r"""The tape as the source of a picture, for Graphviz: entries as boxes in their layers, leaves as ellipses.

        Parameters stand in double ellipses, and on every edge stands the shape of what goes along it. Write it to a file,
        and `dot -Tsvg tape.dot -o tape.svg` draws it.

        Source: Gansner and North, "An open graph visualization system and its applications", 2000.

        >>> import tinyreg as tr
        >>> x = tr.tensor([1.0, 2.0], requires_grad=True)
        >>> print(tr.tape(x.sum(), x=x).to_dot())
        digraph tape {
          rankdir=TB
          node [fontname="Helvetica"]
          edge [fontname="Helvetica" fontsize=9]
          "leaf 0" [shape=ellipse label="x\nfloat32[2]"]
          "#0" [shape=box label="#0 sum\nfloat32[]"]
          "leaf 0" -> "#0" [label="[2]"]
        }
        """
        return graph(self)

    def save_html(self, path: str | os.PathLike[str]) -> Path:
        """Write the tape as one page that steps forward and back through it, and return its path.

        It is one file, which needs no network. Inside `explain()` it shows values, gradients and your source. Raises
        `FileNotFoundError` where the folder is missing.

        >>> import tempfile, pathlib, tinyreg as tr
        >>> x = tr.tensor([1.0, 2.0], requires_grad=True)
        >>> with tr.explain(), tempfile.TemporaryDirectory() as folder:
        ...     tr.tape((x * x).sum()).save_html(pathlib.Path(folder) / "tape.html").name
        'tape.html'
        """
        from .page import save_html

        return save_html(self, path)

    def _repr_html_(self) -> str:
        from .page import fragment

        return fragment(self)

    def __repr__(self) -> str:
        return self.text()


def tape(tensor: Tensor, /, *, grad: Any = None, **names: Tensor) -> Tape:
    """The entries that a tensor rests on, in order of time: what ran, on what, and what the way back keeps.

    Print it. A leaf goes by the name that it is given here as a keyword, or has as a parameter of a Module or, inside
    `explain()`, as a variable, and otherwise as `leaf 0`, `leaf 1`, ...; an argument without a gradient as a name given
    here, its variable or number, or `const`. The result is a snapshot: it holds nothing of the tape itself, and no array.

    Inside `explain()` it does hold arrays: every value, and every gradient of a backward from this tensor, which is
    walked for that; no leaf's `.grad` is touched, and the tape is not freed. `grad` is the incoming gradient, of the
    tensor's shape; a tensor of one element needs none, and without one no backward from a larger tensor is recorded.

    Raises `RuntimeError` where nothing was recorded, the tape was freed by a backward, or a leaf has changed since, and
    for a `grad` outside explain(); `TypeError` for a name given to anything but a Tensor, and `ValueError` for one that is
    not on the tape.

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
    explained = explainer.get() is not None
    if grad is not None and not explained:
        raise RuntimeError("tape: got grad outside explain(), expected it inside: only there a backward is recorded")
    nodes = _reached(tensor._node)
    leaves = _leaves(tensor._node, nodes, {value._node: name for name, value in names.items()})
    sources = _sources(nodes, leaves)
    constants = {id(value._array): name for name, value in names.items() if value._node is None}
    rows = list(_rows(nodes, sources, constants))
    used = {source.label for row in rows for source in row.inputs} | set(leaves.values())
    if absent := [name for name in names if name not in used]:
        raise ValueError(
            f"tape: got {described(names[absent[0]])} as {absent[0]}, expected a leaf that the tape rests on, or a "
            "constant that it keeps; leave that name out"
        )
    values = {leaf: array for leaf, _, array in _explained_leaves(nodes)}
    origins = [Origin(name, leaf.shape, leaf.dtype, bool(leaf.name), values.get(leaf)) for leaf, name in leaves.items()]
    walked = explained and (tensor.size == 1 or grad is not None)
    return Tape(rows, origins, Walk(tensor._node, incoming(tensor, grad)._array, sources) if walked else None)


def _reached(root: Node) -> list[Any]:
    try:
        return reach([root])
    except RuntimeError as error:
        raise RuntimeError(str(error).replace("backward", "tape", 1)) from None


def _explained_leaves(nodes: Sequence[Any]) -> Iterator[tuple[Leaf, str | None, Array]]:
    """Each use of a leaf inside explain(): the leaf, the variable that held it, and its value."""
    for node in nodes:
        if isinstance(node, Entry) and (record := _record(node)):
            for parent, name, value in zip(node.parents, record.names, record.inputs, strict=True):
                if isinstance(parent, Leaf):
                    yield parent, name, value


def _leaves(root: Node, nodes: Sequence[Any], given: Mapping[Node | None, str]) -> dict[Leaf, str]:
    """The leaves in order of use, with a name each, no two alike: two models may both have a "0.weight"."""
    labels: dict[Leaf, str] = {}
    taken = set(given.values())
    variables: dict[Leaf, str] = {}
    for leaf, name, _ in _explained_leaves(nodes):
        if name:
            variables.setdefault(leaf, name)
    above = itertools.chain((root,), *(node.parents for node in nodes))
    for i, leaf in enumerate(dict.fromkeys(node for node in above if isinstance(node, Leaf))):
        label = given.get(leaf) or leaf.name or variables.get(leaf) or f"leaf {i}"
        labels[leaf] = f"{label} (leaf {i})" if label in taken and leaf not in given else label
        taken.add(label)
    return labels


def _sources(nodes: Sequence[Any], leaves: Mapping[Leaf, str]) -> dict[Node, Input]:
    """What each node is called as an input."""
    sources: dict[Node, Input] = {leaf: Input(label, leaf=i) for i, (leaf, label) in enumerate(leaves.items())}
    number = itertools.count()
    for node in nodes:
        if type(node) is Result:
            made = sources[node.parents[0]]
            sources[node] = Input(f"{made.label}.{node.index}", made.entry, node.index)
        else:
            sources[node] = Input(f"#{(n := next(number))}", n)
    return sources


def _rows(nodes: Sequence[Any], sources: Mapping[Node, Input], constants: Mapping[int, str]) -> Iterator[Row]:
    holders: dict[int, int] = {}  # the first entry that keeps an array, by the array's id
    for number, node in enumerate(node for node in nodes if type(node) is Entry):
        op, record = plain(node.op), _record(node)
        inputs = tuple(sources[p] if p else Input(_constant(node, i, constants)) for i, p in enumerate(node.parents))
        kept = [_kept(name, arrays, number, holders) for name, v in node.saved.items() if (arrays := list(arrays_in(v)))]
        yield Row(number, node.time, op, inputs, _settings(node), node.shape, node.dtype, tuple(kept), record)


def _record(entry: Entry) -> Record | None:
    return getattr(entry.op, "record", None)


def _constant(entry: Entry, i: int, constants: Mapping[int, str]) -> str:
    """An argument without a gradient: what is known of it is what the entry keeps, or what explain() saw."""
    record, op = _record(entry), plain(entry.op)
    value = entry.saved.get(op.signature.argument(i), ...) if isinstance(op, Primitive) else ...
    if record:
        value = record.inputs[i]
    if isinstance(value, int | float | None):
        return f"{value:.6g}" if type(value) is float else str(value)
    return constants.get(id(value)) or (record.names[i] if record else None) or "const"


def _settings(entry: Entry) -> dict[str, Any]:
    op = plain(entry.op)
    defaults = op.signature.defaults if isinstance(op, Primitive) else {}
    return {name: value for name, value in entry.settings.items() if defaults.get(name, ...) != value}


def _kept(name: str, arrays: Sequence[Array], number: int, holders: dict[int, int]) -> Kept:
    holder = next((holders[id(array)] for array in arrays if id(array) in holders), None)
    new = {id(array): array.nbytes for array in arrays if id(array) not in holders}
    holders.update(dict.fromkeys(new, number))
    return Kept(name, sum({id(array): array.nbytes for array in arrays}.values()), sum(new.values()), holder)
