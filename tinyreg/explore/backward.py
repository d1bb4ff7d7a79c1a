"""The backward of a tape, step by step: the engine's own walk, observed."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

from ..core.backend import Array, as_zero_dimensional, get, home
from ..core.tape import Entry, Node, Result, explainer, observed, walk
from .checks import unwrapped
from .derivative import is_elementwise
from .rows import Contribution, Input, Step, Walk

MOST_LOCAL = 1000  # entries and leaves of a tape for which local derivatives are worked out too


def recorded_backward(root: Node, g: Array, places: Mapping[Node, Input]) -> Walk:
    """Walk from a root with the incoming gradient g, and note each step and the gradient that each node gets.

    No leaf's `.grad` is touched, and the tape is not freed. Where a VJP raises, the
    steps before it are there. places: how each node is called, since a Walk holds none.
    """
    steps: list[Step] = []
    gradients: dict[Node, Array] = {root: g}
    arguments: Iterator[int] = iter(())
    local: Mapping[int, Array] = {}
    error = ""

    def note(entry: Entry, parent: Node, raw: Array, fitted: Array) -> None:
        nonlocal arguments, local
        if entry not in places:  # inside a checkpoint, which runs again
            return
        if not steps or steps[-1].entry != places[entry]:
            steps.append(Step(places[entry], _incoming(entry, gradients), []))
            arguments = _arguments(entry)
            local = _local(entry, steps[-1].incoming[0]) if len(places) <= MOST_LOCAL else {}
        before = gradients.get(parent)
        gradients[parent] = total = fitted if before is None else as_zero_dimensional(before + fitted)
        argument = next(i for i in arguments if entry.parents[i] is parent)
        derivative = _agreeing(local.get(argument), steps[-1].incoming[0], raw)
        steps[-1].contributions.append(Contribution(argument, places[parent], raw, fitted, total, derivative))

    try:
        with explainer(None), observed(note):
            walk([(root, g)], retain_graph=True)
    except Exception as raised:
        error = f"{type(raised).__name__}: {raised}"
    return Walk(steps, {places[node]: gradient for node, gradient in gradients.items()}, error)


def _incoming(entry: Entry, gradients: Mapping[Node, Any]) -> tuple[Array | None, ...]:
    if not isinstance(entry.dtype, list):
        return (gradients[entry],)
    given = {n.index: g for n, g in gradients.items() if isinstance(n, Result) and n.parents[0] is entry}
    return tuple(given.get(i) for i in range(len(entry.shape)))


def _local(entry: Entry, g: Array) -> Mapping[int, Array]:
    """The local derivatives of an op that works elementwise: what its VJPs give for an incoming gradient of 1."""
    op, where = unwrapped(entry.op), home(g)
    if where is None or isinstance(entry.dtype, list) or not is_elementwise(op):
        return {}
    with get("numpy").errstate(all="ignore"), contextlib.suppress(ArithmeticError):
        pulled = op.pull(entry, entry.parents, where.ones_like(g), False)
        return {i: local for i, local in pulled if local is not None and local.shape == g.shape}
    return {}


def _agreeing(local: Array, g: Array, raw: Array) -> Array:
    """The local derivative where a contribution is the product of it with g, as it is of all that works elementwise."""
    if local is None:
        return None
    with get("numpy").errstate(all="ignore"):
        where: Any = home(g)
        return local if bool(where.allclose(raw, local * g, rtol=1e-3, equal_nan=True)) else None


def _arguments(entry: Entry) -> Iterator[int]:
    """The arguments in the order in which the entry's op gives them their contributions."""
    if not hasattr(unwrapped(entry.op), "signature") or entry.plan is None:
        return iter(range(len(entry.parents)))
    first = unwrapped(entry.op).signature.first
    operands = range(first, len(entry.parents))
    order = [i for i, _ in entry.plan.alone] + [i for positions, _, _ in entry.plan.together for i in positions]
    return (i for place in order for i in (operands if place == first else (place,)))
