"""A tape run again: with another value of a leaf, or by the definitions of what ran in a fast form.

The same ops run, on the data, masks and settings that were recorded: what Python did between them is not asked again.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

from ..core.backend import Array, is_float
from ..core.fused import Fused
from ..core.primitive import Primitive
from ..core.tape import Leaf, explainer, no_grad
from ..core.tensor import wrap
from .explain import Observer
from .record import Log
from .rows import Call, Row, Rows
from .snapshot import snapshot

# ---- what if a number were another

NUDGES = (-1.0, -0.1, -0.01, 0.01, 0.1, 1.0)
MOST_OPS = 30_000  # that are run again for one page
MOST_ELEMENTS = 10_000_000  # that these may give


class Nudged(NamedTuple):
    """An element of a leaf, its gradient, and how the loss changes with each of the `NUDGES`; NaN where it fails."""

    leaf: int
    element: int
    gradient: float
    changes: list[float]


def nudged(tape: Rows) -> list[Nudged]:
    """What elements of the leaves do to the loss: all of them if there is time, or those of the largest gradients."""
    if not _can_run(tape) or isinstance(tape[-1].dtype, list) or _size(tape[-1]) != 1:
        return []
    if tape.walk is None or not tape.walk.steps or tape.walk.error:
        return []
    runs = min(MOST_OPS // len(tape), MOST_ELEMENTS // max(1, sum(map(_size, tape))))
    gradients = {where.leaf: g for where, g in tape.walk.gradients.items() if where.leaf is not None}
    values = [leaf.value for leaf in tape.leaves]
    share = runs // (len(NUDGES) * len(gradients))  # a backward that came to its end has reached one
    chosen = [(leaf, i) for leaf in sorted(gradients) for i in _largest(gradients[leaf], share)]
    before = _loss(tape, values)
    return [
        Nudged(leaf, i, _number(gradients[leaf], i), [_loss(tape, _moved(values, leaf, i, by)) - before for by in NUDGES])
        for leaf, i in chosen
    ]


def _can_run(tape: Rows) -> bool:
    values_known = all(is_float(leaf.value) for leaf in tape.leaves)
    return values_known and len(tape) > 0 and all(row.record and isinstance(row.op, Primitive) for row in tape)


def _size(row: Row) -> int:
    return math.prod(row.shape) if not isinstance(row.dtype, list) else sum(map(math.prod, row.shape))


def _largest(g: Array, n: int) -> list[int]:
    """The places of the n elements of the largest size, in order."""
    sizes = abs(g).reshape(-1)
    return sorted(sizes.argsort()[::-1][:n].tolist())


def _number(array: Array, i: int) -> float:
    return float(array.reshape(-1)[i])


def _moved(values: Sequence[Array], leaf: int, i: int, by: float) -> list[Array]:
    other = values[leaf].copy()
    other.reshape(-1)[i] += by
    return [other if k == leaf else value for k, value in enumerate(values)]


def _loss(tape: Rows, values: Sequence[Array]) -> float:
    with no_grad(), explainer(None), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return _number(run(tape, values), 0)
        except (ArithmeticError, ValueError):
            return math.nan


def run(tape: Rows, leaves: Sequence[Any], observer: Any = None) -> Any:
    """Run the ops of a tape again, and give the result of the last. observer: is told of each row before it runs."""
    made: list[Any] = []
    for row in tape:
        if observer:
            observer.row = row
        arguments = [
            value
            if source.is_constant
            else leaves[source.leaf]
            if source.leaf is not None
            else made[source.entry or 0][source.result]
            for source, value in zip(row.inputs, row.record.inputs if row.record else (), strict=True)
        ]
        op: Any = row.op
        y = op(*arguments, **row.settings)
        made.append(y if isinstance(y, tuple) else (y,))
    return made[-1][0] if len(made[-1]) == 1 else made[-1]


# ---- by definitions


class _OfRows(Observer):
    """Notes what runs by a definition as of the row that it stands for: its line, and its layer with one more inside."""

    row: Row

    def __init__(self, tape: Rows) -> None:
        super().__init__(True, Log())
        self._calls: dict[int, Call | None] = {}
        given = [pair for row in tape if row.record for pair in zip(row.inputs, row.record.inputs, strict=True)]
        self._constants = {id(value): source.label for source, value in given if source.is_constant}

    def __call__(self, name: str, entry: Any, parents: Any, arrays: Any, result: Any) -> None:
        super().__call__(name, entry, parents, arrays, result)
        record = self.log.records[next(reversed(self.log.records))]
        known: Any = self.row.record
        if self.row.number not in self._calls:
            inner = isinstance(self.row.op, Fused) and Call("", f"{self.row.op.name}, by its definition", known.call)
            self._calls[self.row.number] = inner or known.call
        record.line, record.call = known.line, self._calls[self.row.number]
        record.names = [
            self._constants.get(id(value), "const") if hasattr(value, "shape") else None for value in record.inputs
        ]


def by_definition(tape: Rows) -> Rows | None:
    """The tape as it would be with definitions in place of fast forms; None where it has none, or cannot be run again."""
    fast = any(isinstance(row.op, Fused) for row in tape)
    if not (fast and _can_run(tape)) or tape.walk is None or not tape.walk.steps or tape.walk.error:
        return None
    leaves = [
        wrap(leaf.value, Leaf(leaf.shape, leaf.dtype, name=leaf.label if leaf.parameter else "")) for leaf in tape.leaves
    ]
    names = {leaf.label: tensor for leaf, tensor in zip(tape.leaves, leaves, strict=True) if not leaf.parameter}
    observer = _OfRows(tape)
    with explainer(observer), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            y = run(tape, leaves, observer)
            incoming = tape.walk.steps[0].incoming
            at = next(i for i, g in enumerate(incoming) if g is not None)
            return Rows(*snapshot(y[at] if isinstance(y, tuple) else y, incoming[at], names))
        except (ArithmeticError, ValueError, TypeError, RuntimeError):
            return None
