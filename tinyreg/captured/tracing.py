"""One run of a step that is recorded: an ordinary run, with arrays in the places of the state that record."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain, repeat
from operator import setitem
from typing import Any

from .. import random
from ..core.backend import chosen_for_context
from ..core.tape import Entry, Leaf
from ..core.tensor import Tensor, wrap
from ..interrupts import uninterrupted
from ..random import Generator
from ..switches import apart
from ..symbols import Symbol, tracing
from .arrays import TracedArray
from .effects import Writer
from .elsewhere import Elsewhere
from .layouts import copied, place
from .recording import Instruction, Recording, Storage, Traced, View, comparable, held, numpy, owner, rewinding
from .refusal import CaptureError, shown
from .state import Walk, is_number, put


@dataclass(slots=True)
class State:
    """A storage that stands in the state: the places of its arrays, by number, each with its view."""

    storage: int
    places: list[tuple[int, View]]


@dataclass(slots=True)
class Trace:
    """What one run did, as instructions and as effects."""

    walk: Walk
    signature: Any
    recording: Recording
    states: list[State]
    arguments: list[View]
    numbers: list[int]  # the places of numbers that are inputs
    gradients: set[int]  # storages of gradients that were there before
    had: tuple[bool, ...]  # which leaves had a gradient
    touched: tuple[bool, ...]  # which leaves have another, or another value
    writer: Writer
    copies: list[View]
    result: str
    outcome: Any

    def key(self) -> tuple[Any, ...]:
        """What has to be the same in two runs."""
        return (*self.writer.key(), self.copies, self.result, self.numbers)

    def let_go(self) -> Any:
        """What the run returned. Its arrays, and those that it found, are let go of, but for what makes a program."""
        outcome, self.outcome = self.outcome, None
        for before in self.recording.written:
            before.clear()
        self.writer.arrays = {key: (None, view) for key, (_, view) in self.writer.arrays.items()}
        for holder in self.walk.holders:
            holder.values = [None if type(value) is numpy.ndarray else value for value in holder.values]
        for leaf in self.walk.leaves:
            leaf.grad = None if leaf.retired else leaf.grad
        return outcome


def signature_of(walk: Walk) -> Any:
    """The signature of a walk, and how the arrays of the state share memory."""
    places = [(n, v) for n, h, _, v in walk.places() if type(v) is numpy.ndarray and not h.fixed]
    owners: dict[int, int] = {}
    shared = []
    for _, array in places:
        root = owner(array)
        shared.append(owners.setdefault(id(root), len(owners)))
    return walk.signature(), tuple(shared)


def trace(step: Callable[..., Any], walk: Walk, args: tuple[Any, ...], kwargs: dict[str, Any], keep_grads: bool) -> Trace:
    """Run a step once and record it. Raises what the step raises, and then the state is as it was."""
    generators = [random.default_generator, *walk.generators]
    recording = Recording(set(map(id, generators)), TracedArray)
    signature = signature_of(walk)
    elsewhere = Elsewhere(walk.sources)
    run = _Run(step, walk, recording, keep_grads)
    restoring = chain(_restoring(walk, recording, generators), elsewhere.restored())
    try:
        return run(args, kwargs, signature, elsewhere)
    except BaseException:
        uninterrupted(restoring)
        raise


def _restoring(walk: Walk, recording: Recording, generators: list[Generator]) -> Iterator[Any]:
    """What puts everything back as it is now, as an iterator over functions of C: no Ctrl-C comes in between."""
    leaves = [(leaf, name, getattr(leaf, name)) for leaf in walk.leaves for name in ("grad", "retired")]
    return chain(
        chain.from_iterable([holder.restored() for holder in walk.holders if not holder.fixed]),
        map(setitem, recording.written[0], repeat(...), recording.written[1]),
        map(put, *zip(*leaves, strict=True)) if leaves else (),
        rewinding(generators),
    )


class _Run:
    def __init__(self, step: Callable[..., Any], walk: Walk, recording: Recording, keep_grads: bool) -> None:
        self.step, self.walk, self.recording, self.keep_grads = step, walk, recording, keep_grads
        self.put: dict[int, Any] = {}  # by the number of the place

    def __call__(self, args: Any, kwargs: Any, signature: Any, elsewhere: Elsewhere) -> Trace:
        walk, recording = self.walk, self.recording
        states, numbers = self._enter_state()
        had = tuple(leaf.grad is not None for leaf in walk.leaves)
        gradients = self._enter_gradients()
        entered = [leaf.grad for leaf in walk.leaves]
        arguments: list[View] = []
        args, kwargs = self._enter((args, kwargs), arguments)
        switches = [(chosen_for_context, "traced"), (tracing, recording)]
        outcome = elsewhere.watching(lambda: apart(switches, self.step, *args, **kwargs))
        writer, copies = Writer(recording, walk, self.keep_grads), list[View]()
        result = writer.result(outcome, copies)
        touched = self._leave(writer, entered)
        outcome = _concrete(outcome, {}, detach=True)
        return Trace(
            walk, signature, recording, states, arguments, numbers, gradients, had, touched, writer, copies, result, outcome
        )

    # ---- before

    def _enter_state(self) -> tuple[list[State], list[int]]:
        """Put arrays that record, and symbols, into all places of the state."""
        storages: dict[int, State] = {}
        arrays: dict[int, TracedArray] = {}
        numbers: list[int] = []
        for number, holder, key, value in self.walk.places():
            if is_number(holder, key, value):
                self.put[number] = Symbol(value, f"n{len(numbers)}")
                numbers.append(number)
            elif type(value) is numpy.ndarray and not holder.fixed:
                root = owner(value)
                if id(root) not in storages:
                    storages[id(root)] = State(self.recording.storage(root, "state").id, [])
                state = storages[id(root)]
                made = arrays.setdefault(id(value), TracedArray(value, self.recording.storages[state.storage]))
                state.places.append((number, self.recording.view(made)))
                self.put[number] = made
        for number, holder, key, _ in self.walk.places():
            if number in self.put:
                holder.write(key, self.put[number])
        return [*storages.values()], numbers

    def _enter_gradients(self) -> set[int]:
        """Put arrays that record into the gradients that are there, where they are not to be kept."""
        entered = set()
        for leaf in () if self.keep_grads else self.walk.leaves:
            if leaf.grad is not None:
                storage = self.recording.storage(leaf.grad._array, "state")
                leaf.grad = wrap(TracedArray(leaf.grad._array, storage))
                entered.add(storage.id)
        return entered

    def _enter(self, value: Any, views: list[View]) -> Any:
        """Arguments with arrays that record."""
        if isinstance(value, Tensor) and id(value) not in self.walk.index:
            return wrap(self._enter(value._array, views))
        if type(value) is numpy.ndarray:
            traced = TracedArray(value, self._storage_of(value))
            views.append(self.recording.view(traced))
            return traced
        if type(value) in (tuple, list):
            return type(value)([self._enter(each, views) for each in value])
        return {k: self._enter(v, views) for k, v in value.items()} if type(value) is dict else value

    def _storage_of(self, argument: Any) -> Storage:
        """The storage of an argument, which those share that begin and end alike."""
        for storage in self.recording.storages:
            if storage.origin == "state" and numpy.may_share_memory(storage.memory, argument):
                raise CaptureError(
                    f"capture: the step is given an array {argument.dtype}{list(argument.shape)} that it also reaches by "
                    "itself; pass a copy, or let it take the array from there"
                )
        alike = (s for s in self.recording.storages if s.origin == "argument" and place(s.memory) == place(argument))
        return next(alike, None) or self.recording.storage(argument, "argument")

    # ---- after

    def _refuse_additions(self) -> None:
        """Refuse a step that makes places which were not there before, or takes some away."""
        for holder in self.walk.holders:
            if holder.whole and holder.size != len(holder.keys):
                raise CaptureError(
                    f"capture: the step changes how many values {holder.path} holds, from {len(holder.keys)} to "
                    f"{holder.size}, and a replay runs no Python; return the values instead"
                )
            added = self.walk.added(holder)
            if added:
                raise CaptureError(
                    f"capture: the step makes {f'{holder.path}.{added[0]}'.strip('.')}, which was not there before, and a "
                    "replay runs no Python; make it before the step"
                )

    def _leave(self, writer: Writer, entered: list[Any]) -> tuple[bool, ...]:
        """Find what has changed, and put plain arrays and numbers everywhere."""
        changed = []
        self._refuse_additions()
        for number, holder, key, was in self.walk.places():
            now = holder.read(key) if not holder.fixed else was
            if now is self.put.get(number, was):
                if number in self.put:
                    changed.append((holder, key, was))
                continue
            if not (isinstance(now, int | float | str) and type(now) is type(was) and repr(now) == repr(was)):
                writer.place(number, holder, key, was, now)
                changed.append((holder, key, now))
        memo: dict[int, Any] = {}
        for holder, key, value in changed:
            holder.write(key, _concrete(value, memo))
        nodes = [h.thing._node for h in self.walk.holders if isinstance(h.thing, Tensor)]
        touched = []
        for leaf, grad in zip(self.walk.leaves, entered, strict=True):
            stays = any(node is leaf for node in nodes)
            if stays and leaf.grad is not grad and leaf.grad is not None and not self.keep_grads:
                raise CaptureError(
                    f"capture: the step leaves a gradient in {leaf}, which it does not move, and .grad is None after a "
                    "captured step; pass keep_grads=True to capture"
                )
            touched.append(not stays or leaf.grad is not grad)
            if stays and touched[-1] and not self.keep_grads:
                writer.attributes.append((f"E[{self.walk.index[id(leaf)]}]", "'grad'", "None"))
        for node in (*nodes, *self.walk.leaves):
            if isinstance(node, Leaf):
                _concrete(node, memo)
        return tuple(touched)


def _concrete(value: Any, memo: dict[int, Any], *, detach: bool = False) -> Any:
    """A value with plain arrays and numbers inside."""
    if isinstance(value, Traced | Symbol):
        if id(value) not in memo:
            plain = held(value)
            memo[id(value)] = copied(plain) if detach and isinstance(plain, numpy.ndarray) else plain
            memo[-id(value)] = value  # which keeps it alive, and its id
        return memo[id(value)]
    if isinstance(value, Tensor):
        if detach:
            known = not isinstance(value._array, Traced)
            return value if known else wrap(numpy.asarray(_concrete(value._array, memo, detach=True)))
        value._array = _concrete(value._array, memo)
    elif isinstance(value, Leaf) and isinstance(value.grad, Tensor):
        if isinstance(value.grad._node, Entry):
            raise CaptureError("capture: the step leaves gradients with a tape (create_graph=True); use tr.grad instead")
        _concrete(value.grad, memo)
    elif type(value) in (list, dict) and not detach:
        for key in value if isinstance(value, dict) else range(len(value)):
            value[key] = _concrete(value[key], memo)
    elif isinstance(value, list | tuple | dict):
        each = value.items() if isinstance(value, dict) else enumerate(value)
        parts = {k: _concrete(v, memo, detach=detach) for k, v in each}
        if isinstance(value, dict):
            return parts
        return type(value)(*parts.values()) if hasattr(value, "_fields") else type(value)(parts.values())
    return value


def difference(a: Trace, b: Trace) -> str:
    """What two runs of a step did otherwise, with the line that did it; empty where there is nothing."""
    for one, other in zip(a.recording.instructions, b.recording.instructions, strict=False):
        if one.key() != other.key():
            return f"in {shown(other.line)}: {_told(one)} first, {_told(other)} then"
    counts = [len(t.recording.instructions) for t in (a, b)]
    if counts[0] != counts[1]:
        return f"{counts[0]} calls of the array library first, {counts[1]} then"
    for one, other in zip(a.key(), b.key(), strict=True):
        if one != other:
            return f"what it returns or changes: {one!r:.100} first, {other!r:.100} then"
    return (
        "" if (a.had, a.gradients, a.touched) == (b.had, b.gradients, b.touched) else "which gradients there were before it"
    )


def _told(instruction: Instruction) -> str:
    """An instruction as an error shows it."""
    args = [a for a in comparable(instruction.args)[1:] if not isinstance(a, View)]
    return f"{instruction.name}({', '.join(a[1] if isinstance(a, tuple) and len(a) == 2 else str(a) for a in args):.120})"
