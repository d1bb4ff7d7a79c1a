"""The way back of a tape, as the engine walks it: each contribution that it tells an observer of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Generic, NamedTuple, TypeVar

from ..core.backend import Array, as_zero_dimensional
from ..core.tape import Entry, Node, Result, explainer, observed, walk
from .checks import plain

Place = TypeVar("Place")  # how the caller names a node; a Walk holds no node


class Contribution(NamedTuple, Generic[Place]):
    """What an entry hands to one argument: as its VJP gave it, with broadcasting undone, and the parent's sum so far."""

    argument: int
    to: Place
    raw: Array
    fitted: Array
    total: Array


class Step(NamedTuple, Generic[Place]):
    """An entry that is walked, the incoming gradient of each of its results, and what it hands on."""

    entry: Place
    incoming: tuple[Array | None, ...]
    contributions: list[Contribution[Place]]


class Walk(Generic[Place]):
    """The steps of a backward from a root with the incoming gradient g, and the gradient that each node came to.

    It is the engine's own walk, watched; no leaf's `.grad` is touched, and the tape is not freed. Where a VJP raises, the
    steps before it are there, and `error` says what was raised.
    """

    def __init__(self, root: Node, g: Array, places: Mapping[Node, Place]) -> None:
        self.steps: list[Step[Place]] = []
        self.error = ""
        gradients: dict[Node, Array] = {root: g}
        arguments: Iterator[int] = iter(())

        def note(entry: Entry, parent: Node, raw: Array, fitted: Array) -> None:
            nonlocal arguments
            if entry not in places:  # inside a checkpoint, which runs again
                return
            if not self.steps or self.steps[-1].entry != places[entry]:
                self.steps.append(Step(places[entry], _incoming(entry, gradients), []))
                arguments = _arguments(entry)
            before = gradients.get(parent)
            gradients[parent] = total = fitted if before is None else as_zero_dimensional(before + fitted)
            argument = next(i for i in arguments if entry.parents[i] is parent)
            self.steps[-1].contributions.append(Contribution(argument, places[parent], raw, fitted, total))

        try:
            with explainer(None), observed(note):
                walk([(root, g)], retain_graph=True)
        except Exception as error:
            self.error = f"{type(error).__name__}: {error}"
        self.gradients = {places[node]: gradient for node, gradient in gradients.items()}


def _incoming(entry: Entry, gradients: Mapping[Node, Any]) -> tuple[Array | None, ...]:
    if not isinstance(entry.dtype, list):
        return (gradients[entry],)
    given = {n.index: g for n, g in gradients.items() if isinstance(n, Result) and n.parents[0] is entry}
    return tuple(given.get(i) for i in range(len(entry.shape)))


def _arguments(entry: Entry) -> Iterator[int]:
    """The arguments in the order in which the entry's op hands something to them."""
    if not hasattr(plain(entry.op), "signature") or entry.plan is None:
        return iter(range(len(entry.parents)))
    first = plain(entry.op).signature.first
    operands = range(first, len(entry.parents))
    return (i for place in entry.plan.order for i in (operands if place == first else (place,)))
