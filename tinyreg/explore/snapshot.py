"""A tape as values: what each entry did, from what, and what it saves for backward.

They hold names, shapes and numbers, but no entry: they stay as they are when the tape is walked and freed. They hold no
array either, unless they are taken inside explain(), where values and gradients are what one came for.
"""

from __future__ import annotations

import collections
import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ..core.backend import Array, described
from ..core.primitive import Primitive
from ..core.tape import Entry, Leaf, Node, Result, explainer, reach
from ..core.tensor import Tensor, incoming
from .backward import recorded_backward
from .checks import arrays_in, unwrapped
from .rows import Input, Origin, Record, Row, Saved, Walk


def snapshot(tensor: Tensor, grad: Any, names: Mapping[str, Tensor]) -> tuple[list[Row], list[Origin], Walk | None]:
    """Take the entries and the leaves that a tensor rests on, and inside explain() the backward; see `tape`."""
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
            "constant that it saves; leave that name out"
        )
    values = {leaf: array for node in nodes for leaf, array in _leaf_values(node)}
    origins = [Origin(name, leaf.shape, leaf.dtype, bool(leaf.name), values.get(leaf)) for leaf, name in leaves.items()]
    walked = explained and (tensor.size == 1 or grad is not None)
    return rows, origins, recorded_backward(tensor._node, incoming(tensor, grad)._array, sources) if walked else None


def _reached(root: Node) -> list[Any]:
    try:
        return reach([root])
    except RuntimeError as error:
        raise RuntimeError(str(error).replace("backward", "tape", 1)) from None


def _leaf_values(node: Any) -> Iterator[tuple[Leaf, Array]]:
    """The leaves that an entry made inside explain() was given, with their values."""
    if isinstance(node, Entry) and (record := _record(node)):
        pairs = zip(node.parents, record.inputs, strict=True)
        yield from ((parent, value) for parent, value in pairs if isinstance(parent, Leaf))


def _uses(nodes: Sequence[Any]) -> Iterator[tuple[Leaf, str | None, Record]]:
    """Each use of a leaf inside explain(): the leaf, the variable that held it, and what used it."""
    for node in nodes:
        if isinstance(node, Entry) and (record := _record(node)):
            for parent, name in zip(node.parents, record.names, strict=True):
                if isinstance(parent, Leaf):
                    yield parent, name, record


def _leaves(root: Node, nodes: Sequence[Any], given: Mapping[Node | None, str]) -> dict[Leaf, str]:
    """The leaves in order of use, with a name each, no two alike: two models may both have a "0.weight"."""
    variables: dict[Leaf, str] = {}
    layers: dict[Leaf, str] = {}
    for leaf, name, record in _uses(nodes):
        if name:
            variables.setdefault(leaf, name)
        if record.call and record.call.chain[0].path:
            layers.setdefault(leaf, record.call.chain[0].path)
    above = itertools.chain((root,), *(node.parents for node in nodes))
    leaves = list(dict.fromkeys(node for node in above if isinstance(node, Leaf)))
    names = [given.get(leaf) or leaf.name or variables.get(leaf) or f"leaf {i}" for i, leaf in enumerate(leaves)]
    often = collections.Counter(names)
    taken = set(given.values())
    labels: dict[Leaf, str] = {}
    for i, (leaf, name) in enumerate(zip(leaves, names, strict=True)):
        if often[name] > 1 and leaf.name and leaf in layers and leaf not in given:
            name = f"{layers[leaf]}.{name}"
        labels[leaf] = f"{name} (leaf {i})" if name in taken and leaf not in given else name
        taken.add(name)
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
    holders: dict[int, int] = {}  # the first entry that saves an array, by the array's id
    for number, node in enumerate(node for node in nodes if type(node) is Entry):
        op, record = unwrapped(node.op), _record(node)
        inputs = tuple(sources[p] if p else Input(_constant(node, i, constants)) for i, p in enumerate(node.parents))
        saved = [_saved(name, arrays, number, holders) for name, v in node.saved.items() if (arrays := list(arrays_in(v)))]
        yield Row(number, node.time, op, inputs, _settings(node), node.shape, node.dtype, tuple(saved), record)


def _record(entry: Entry) -> Record | None:
    return getattr(entry.op, "record", None)


def _constant(entry: Entry, i: int, constants: Mapping[int, str]) -> str:
    """An argument without a gradient: what is known of it is what the entry saves, or what explain() saw."""
    record, op = _record(entry), unwrapped(entry.op)
    value = entry.saved.get(op.signature.argument(i), ...) if isinstance(op, Primitive) else ...
    if record:
        value = record.inputs[i]
    if isinstance(value, int | float | None):
        return f"{value:.6g}" if type(value) is float else str(value)
    return constants.get(id(value)) or (record.names[i] if record else None) or "const"


def _settings(entry: Entry) -> dict[str, Any]:
    op = unwrapped(entry.op)
    defaults = op.signature.defaults if isinstance(op, Primitive) else {}
    return {name: value for name, value in entry.settings.items() if defaults.get(name, ...) != value}


def _saved(name: str, arrays: Sequence[Array], number: int, holders: dict[int, int]) -> Saved:
    holder = next((holders[id(array)] for array in arrays if id(array) in holders), None)
    new = {id(array): array.nbytes for array in arrays if id(array) not in holders}
    holders.update(dict.fromkeys(new, number))
    return Saved(name, sum({id(array): array.nbytes for array in arrays}.values()), sum(new.values()), holder)
