"""The tape: what was done, in order of time, and the walk back over it.

A Tensor points at the entry that made it, and the entry at what that was made from. Nothing points forward, and there
is no global list: the tape hangs on its output and goes with it, without the garbage collector. Backward is literal:
take what is reachable and play it in reverse order of time.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any, Final, Protocol, overload

from ..switches import Context, F, Switch, apart
from . import errors
from .backend import DTYPES, FLOATS, Shape, accumulator, as_zero_dimensional, home, underflow_ignored

Gradient = Any  # an array in an ordinary backward, a Tensor under create_graph
UNKEPT: Any = object()  # in the place of a gradient that nobody asked to see

tick: Final = itertools.count().__next__
"""The next moment: the one counter by which entries are ordered."""


@dataclass(eq=False, repr=False, slots=True)
class Node:
    """A value on the tape: its shape, dtype, place in time, and the gradient where somebody asked to see it."""

    shape: Any  # of an entry with several results, a list, as dtype is
    dtype: Any
    time: int = field(init=False, default_factory=tick)
    grad: Any = field(init=False, default=UNKEPT)  # a Tensor, None, or UNKEPT


Parents = Sequence[Node | None]  # one for each argument of an op, None where no gradient is wanted
Contributions = list[tuple[int, Gradient | None]]  # the places of parents, and what they get
Roots = Sequence[tuple[Node, Gradient]]  # where a walk begins, and with what


@dataclass(eq=False, repr=False, slots=True)
class Leaf(Node):
    """Where a tape begins: one value of a Tensor that wants a gradient. A new value retires it for a new Leaf."""

    grad: Any = None
    version: int = 0
    name: str = ""
    frozen: bool = False
    retired: bool = field(init=False, default=False)

    def __str__(self) -> str:
        return f"leaf {self.name or f'{self.dtype}{list(self.shape)}'}"

    def replaced(self) -> Leaf:
        """The Leaf of the tensor's next value; when the tensor has it, this one is to be `retired`."""
        return Leaf(self.shape, self.dtype, self.grad, self.version + 1, self.name, self.frozen)


class Op(Protocol):
    """What an entry needs of its op: a name, and the way back."""

    name: str
    broadcasting: bool  # whether arguments may have been repeated to the shape of the result

    def pull(self, entry: Entry, parents: Parents, g: Any, create_graph: bool) -> Contributions:
        """Contributions and the parents they are for, given the gradient of the result.

        If it has several, a list, with None for those that nobody used.
        """


@dataclass(eq=False, repr=False, slots=True)
class Entry(Node):
    """One op that ran: its place in time, the op and its plan, its parents, what its VJPs named, the settings."""

    op: Op
    plan: Any
    parents: Parents
    saved: Any  # by name; None once the entry is freed
    settings: Any


class Result(Node):
    """One of several results of an entry."""

    __slots__ = ("index", "parents", "saved")

    def __init__(self, entry: Entry, index: int) -> None:
        super().__init__(entry.shape[index], entry.dtype[index])
        self.parents: tuple[Entry] = (entry,)
        self.index: int = index

    def hand_over(self, g: Gradient | None, table: dict[Node, Any]) -> None:
        """Put its gradient in its place among those of the entry's results."""
        if g is not None:
            (entry,) = self.parents
            together = table.setdefault(entry, [None] * len(entry.shape))
            together[self.index] = _sum(together[self.index], g)


def spoil(node: Any) -> None:
    """Let no tape be walked over a computed value that was changed in place."""
    (node.parents[0] if type(node) is Result else node).saved = None


# ---- recording -------------------------------------------------------------------------------------------------------

recording: Final = Switch("recording", True)
"""Whether ops on tensors are recorded."""

is_recording: Final = recording.get

observed: Final = Switch[Callable[..., None] | None]("observed", None)
"""Told of every contribution on the way back: the entry, the parent, the contribution as the VJP gave it, and as fitted."""

explainer: Final = Switch[Any]("explainer", None)
"""Told of every op on tensors: its name, its entry (None where nothing is recorded), parents, arguments and result."""

watch: Final = Switch[Callable[[Any], None] | None]("watch", None)
"""Told of a tensor or a generator just before its state changes: how `checkpoint` learns what to put back."""


@overload
def no_grad() -> Context: ...
@overload
def no_grad(f: F, /) -> F: ...
def no_grad(f: Any = None, /) -> Any:
    """Run ops without recording them: as a context, `with tr.no_grad():`, or as a decorator, `@tr.no_grad`.

    The body of a decorated generator function or coroutine function runs without recording too; whoever takes what a
    generator yields is not concerned. Raises `TypeError` for an asynchronous generator function.

    >>> import tinyreg as tr
    >>> w = tr.tensor(3.0, requires_grad=True)
    >>> with tr.no_grad():
    ...     (w * w).requires_grad
    False
    """
    unrecorded = Context("no_grad", functools.partial(recording, False))
    return unrecorded if f is None else unrecorded(f)


# ---- the walk back ---------------------------------------------------------------------------------------------------


def reach(roots: Iterable[Node], since: int = -1) -> list[Any]:
    """The entries that `roots` rest on, earliest first, back to the leaves and to whatever is older than `since`.

    Raises `RuntimeError` where an entry was freed or a leaf has changed: before anything is walked.
    """
    entries: list[Any] = []
    seen: set[Node | None] = {None}  # the parent of an argument that wants no gradient
    ahead: list[Any] = list(roots)
    for node in ahead:  # which grows meanwhile
        if node in seen:
            continue
        seen.add(node)
        if type(node) is Leaf:
            if node.retired:
                raise errors.outdated(node)
        elif node.time >= since:
            if type(node) is Entry and node.saved is None:
                raise errors.freed(node)
            entries.append(node)
            ahead.extend(node.parents)
    entries.sort(key=attrgetter("time"))
    return entries


def walk(
    roots: Roots, *, since: int = -1, targets: Collection[Node] = (), create_graph: bool = False, retain_graph: Any = None
) -> dict[Node, Gradient]:
    """Play the tape backwards from `roots`: the gradients of the nodes at which it ends, or of `targets` at least.

    They are gathered in a local table, so an error leaves no leaf with half of its gradient. Nothing is added in place,
    because one array may have been handed to two parents.
    """
    retain = create_graph if retain_graph is None else retain_graph
    return apart([(recording, create_graph)], _walk, roots, since, targets, create_graph, retain)


def _walk(roots: Roots, since: int, targets: Collection[Node], create_graph: bool, retain: bool) -> dict[Node, Gradient]:
    entries = reach((node for node, _ in roots), since)
    wanted = _leading_to(targets, entries) if targets else None
    table: dict[Node, Any] = {}
    observer = observed.get()
    with underflow_ignored():
        for node, g in roots:
            table[node] = _sum(table.get(node), g)
        while entries:
            entry = entries.pop()
            g = table.get(entry) if entry.grad is not UNKEPT else table.pop(entry, None)
            if type(entry) is Result:
                entry.hand_over(g, table)
            elif g is not None:  # somebody used it
                parents = entry.parents if wanted is None else [p if p in wanted else None for p in entry.parents]
                for i, raw in entry.op.pull(entry, parents, g, create_graph):
                    if (parent := parents[i]) is not None:
                        contribution = fitted(raw, parent, entry.op)
                        if observer:
                            observer(entry, parent, raw, contribution)
                        table[parent] = _sum(table[parent], contribution) if parent in table else contribution
            if not retain and type(entry) is Entry:  # a Result leads to its entry, which says that it is freed
                entry.saved, entry.parents = None, ()
    return table


def _sum(before: Gradient | None, g: Gradient) -> Gradient:
    return g if before is None else as_zero_dimensional(before + g)


def _leading_to(targets: Iterable[Node], entries: Sequence[Any]) -> set[Node]:
    """The nodes that rest on a target: a gradient reaches it only through them, so nothing else is worked out."""
    wanted = set(targets)
    for entry in entries:
        if not wanted.isdisjoint(entry.parents):
            wanted.add(entry)
    return wanted


def complete(together: list[Any], entry: Entry) -> list[Any]:
    """The gradients of all results, where nobody used one zero, or None if it is not of floats."""
    xp: Any = next(home(getattr(g, "_array", g)) for g in together if g is not None)
    each = zip(together, entry.shape, entry.dtype, strict=True)
    return [xp.zeros(s, dtype=d) if g is None and d in FLOATS else g for g, s, d in each]


def fitted(raw: Gradient, parent: Node, op: Op) -> Gradient:
    """A contribution in its parent's shape and dtype: where the op broadcast the parent, summed over its copies."""
    shape, dtype = parent.shape, getattr(raw, "dtype", None)
    if dtype is parent.dtype and raw.shape == shape != ():  # as it is most of the time
        return raw
    if dtype not in DTYPES:
        raise errors.no_gradient(op, raw, shape)
    if raw.shape != shape:
        raw = _summed(raw, shape, op)
    if raw.dtype != parent.dtype:
        raw = raw.astype(parent.dtype)
    return raw if shape else as_zero_dimensional(raw)


def _summed(raw: Gradient, shape: Shape, op: Op) -> Gradient:
    """A contribution summed over the copies that broadcasting made; `ValueError` where the op does not broadcast."""
    added = raw.ndim - len(shape)
    pairs = zip(shape, raw.shape[added:], strict=False)
    if not op.broadcasting or added < 0 or any(n not in (1, m) for n, m in pairs):
        raise errors.no_broadcast(op, raw, shape)
    axes = [*range(added), *(added + i for i, n in enumerate(shape) if n == 1)]
    return raw.sum(axis=tuple(axes), keepdims=True, dtype=accumulator(raw.dtype)).reshape(shape)
