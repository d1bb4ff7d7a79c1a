"""Entries whose way back runs a function again: checkpoints, and fast forms beside their definitions."""

from __future__ import annotations

import contextlib
import contextvars
import functools
import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar, overload

from .core.backend import watch
from .core.primitive import Primitive
from .core.tape import Entry, Gradient, Leaf, Parents, Result, explainer, is_recording, reach, record, recording, tick, walk
from .core.tensor import Tensor, wrap


def pull_through(
    outcome: Any, g: Any, since: int, parents: Parents, create_graph: bool
) -> list[tuple[int, Gradient | None]]:
    """What reaches `parents` from an outcome that was just computed again, on a tape that began at `since`.

    A parent that stands there twice is handed everything at once, so that nothing counts double.
    """
    several = isinstance(outcome, tuple)
    pairs = zip(outcome, g, strict=True) if several else [(outcome, g)]
    roots = [(r._node, gr) for r, gr in pairs if gr is not None and isinstance(r, Tensor) and r._node]
    targets = [parent for parent in parents if parent]
    table = walk(roots, since=since, targets=targets, create_graph=create_graph)
    places = {parent: i for i, parent in enumerate(parents) if parent}
    return [(i, table[parent]) for parent, i in places.items() if table.get(parent) is not None]


# ---- checkpoint ------------------------------------------------------------------------------------------------------

SETTINGS: list[contextvars.ContextVar[Any]] = []
"""Context variables that decide what a function computes, such as the mode of a model; rooms further up add theirs."""


def checkpoint(f: Callable[..., Any]) -> Callable[..., Any]:
    """f with its inside off the tape: it keeps its arguments, and runs again when the walk back comes to it.

    Time for memory: what the ops inside f would have kept is not kept. The second run finds generators, buffers and the
    modes of a context as the first one found them, and leaves them as they are by then. f may close over parameters. It
    returns a Tensor, or Tensors in tuples, lists and dicts, also nested: they come back in the same places, each with its
    gradient, which is zero where nobody used it. Whatever else it returns is handed on as it is.

    Source: Chen et al., "Training Deep Nets with Sublinear Memory Cost", 2016.

    >>> import tinyreg as tr
    >>> x = tr.tensor([1.0, 2.0], requires_grad=True)
    >>> tr.checkpoint(lambda x: (x * x).sum())(x).backward()
    >>> x.grad
    tensor([2., 4.])
    >>> y, (h, c) = tr.checkpoint(tr.nn.LSTM(2, 3))(tr.ones((5, 1, 2)))
    >>> y.shape, h.shape, c.shape
    ((5, 1, 3), (1, 1, 3), (1, 1, 3))
    """
    if not callable(f):
        raise TypeError(f"checkpoint: got {f!r:.80}, expected a function; call what it returns with the arguments")

    @functools.wraps(f)
    def run(*args: Any, **kwargs: Any) -> Any:
        if not is_recording():
            return f(*args, **kwargs)
        since = tick()
        touched: dict[int, tuple[Any, Any]] = {}
        with _noting(touched):
            outcome = f(*args, **kwargs)
        several, results = not isinstance(outcome, Tensor), _tensors(outcome)
        roots = [r._node for r in results if r._node]
        inside = reach(roots, since)
        above = itertools.chain(roots, *(entry.parents for entry in inside))
        parents = list(dict.fromkeys(n for n in above if n and (isinstance(n, Leaf) or n.time < since)))
        if not parents:
            return outcome
        context = [(variable, variable.get()) for variable in SETTINGS]
        kept = {"f": f, "args": args, "kwargs": kwargs, "touched": touched, "context": context}
        shapes, dtypes = [r.shape for r in results], [r.dtype for r in results]
        shape, dtype = (shapes, dtypes) if several else (shapes[0], dtypes[0])
        entry = record(_CHECKPOINT, None, parents, kept, {}, shape, dtype)
        if (listener := explainer.get()) is not None:
            arrays = tuple(r._array for r in results)
            listener("checkpoint", entry, parents, None, arrays if several else arrays[0])
        if not several:
            return wrap(outcome._array, entry)
        made = (wrap(r._array, Result(entry, i)) if r._node else r for i, r in enumerate(results))
        return _with_tensors(outcome, made)

    return run


def _tensors(outcome: Any) -> tuple[Tensor, ...]:
    """The Tensors in an outcome, from left to right."""
    if isinstance(outcome, Tensor):
        return (outcome,)
    if type(outcome) is dict:
        outcome = outcome.values()
    elif not isinstance(outcome, tuple | list):
        return ()
    return tuple(tensor for part in outcome for tensor in _tensors(part))


def _with_tensors(outcome: Any, made: Iterator[Tensor]) -> Any:
    """An outcome with others in the places of its Tensors."""
    if isinstance(outcome, Tensor):
        return next(made)
    if type(outcome) is dict:
        return {key: _with_tensors(part, made) for key, part in outcome.items()}
    if not isinstance(outcome, tuple | list):
        return outcome
    parts = [_with_tensors(part, made) for part in outcome]
    return type(outcome)(*parts) if hasattr(outcome, "_fields") else type(outcome)(parts)  # _fields: a named tuple


class _Checkpoint:
    """The op of a checkpoint's entry: its way back runs the function again and walks what that recorded."""

    name, broadcasting = "checkpoint", False

    def pull(self, entry: Entry, parents: Parents, g: Any, create_graph: bool) -> list[tuple[int, Gradient | None]]:
        """What reaches the checkpoint's parents."""
        since, kept = tick(), entry.kept
        with recording(True), _within(kept["context"]), _as_found(kept["touched"]):
            outcome = kept["f"](*kept["args"], **kept["kwargs"])
        again = outcome if isinstance(outcome, Tensor) else _tensors(outcome)
        return pull_through(again, g, since, parents, create_graph)


_CHECKPOINT = _Checkpoint()


@contextlib.contextmanager
def _noting(touched: dict[int, tuple[Any, Any]]) -> Iterator[None]:
    """Note the state of generators and tensors just before it first changes."""
    outer = watch.get()

    def note(thing: Any) -> None:
        touched.setdefault(id(thing), (thing, _state(thing)))
        if outer:
            outer(thing)

    token = watch.set(note)
    try:
        yield
    finally:
        watch.reset(token)


@contextlib.contextmanager
def _as_found(touched: dict[int, tuple[Any, Any]]) -> Iterator[None]:
    """Put what a first run changed back to where it found it, and afterwards to where it is now."""
    now = [(thing, _state(thing)) for thing, _ in touched.values()]
    try:
        for thing, state in touched.values():
            _restore(thing, state)
        yield
    finally:
        for thing, state in now:
            _restore(thing, state)


@contextlib.contextmanager
def _within(context: list[tuple[contextvars.ContextVar[Any], Any]]) -> Iterator[None]:
    """Context variables as they were."""
    tokens = [(variable, variable.set(value)) for variable, value in context]
    try:
        yield
    finally:
        for variable, token in tokens:
            variable.reset(token)


def _state(thing: Any) -> Any:
    return (thing._array, thing._node) if isinstance(thing, Tensor) else thing.state


def _restore(thing: Any, state: Any) -> None:
    if isinstance(thing, Tensor):
        thing._array, thing._node = state
    else:
        thing.state = state


# ---- fast forms ------------------------------------------------------------------------------------------------------


F = TypeVar("F", bound=Callable[..., Any])
FUSED: dict[str, Primitive] = {}


class Fused(Primitive):
    """A composition with a fast form: one entry and a backward of its own, beside the definition that both must equal.

    An ordinary backward runs the fast one. Under `create_graph` the definition is run again on the tape and
    differentiated, so a second derivative needs no code of its own.
    """

    registry, skip = FUSED, 0
    offers = frozenset({"xp", "wanted"})

    def __init__(
        self, definition: Callable[..., Any], name: str = "", nondifferentiable: Sequence[str] = (), expects: str = ""
    ) -> None:
        super().__init__(
            definition, name=name, nondifferentiable=nondifferentiable, residuals=("residuals",), expects=expects
        )
        self.definition = definition
        self.always_kept = self.signature.arguments  # the definition needs them
        self._check = lambda names, arrays: None  # residuals may be anything: second derivatives come from the definition

    def fast(self, forward: F) -> F:
        """Declare the fast forward, `f(xp, arrays..., *, settings...)`: the result, and whatever the backward needs."""
        self.forward = forward
        return forward

    def backward(self, f: F) -> F:
        """Declare the fast backward: the VJP of every differentiable argument at once, which only ever gets arrays.

        It names what it needs, as a VJP does: g first, then arguments, settings, `residuals` (what the forward returned
        beside the result), `xp`, and `wanted` (the positions of the arguments that want a gradient). Of several results g
        is a list, with None for those that nobody used. It returns the gradient of the argument, or a tuple for several
        (None where it is not wanted), in arrays that nobody else holds.
        """
        return self.vjp(*(name for name in self.signature.arguments if name not in self.nondifferentiable))(f)

    @property
    def __call__(self) -> Callable[..., Any]:
        """The fast form where there is one, otherwise the definition."""
        listener = explainer.get()
        return self.definition if not self.rules or (listener is not None and listener.definitions) else self._call

    def pull(self, entry: Entry, parents: Parents, g: Any, create_graph: bool) -> list[tuple[int, Gradient | None]]:
        """By the fast backward, or under `create_graph` by the definition, run again."""
        if not create_graph:
            return entry.plan.pull(g, entry.kept, parents)  # type: ignore[no-any-return]
        since, kept = tick(), self._lifted(entry)
        outcome = self.definition(*[kept[name] for name in self.signature.arguments], **entry.settings)
        return pull_through(outcome, g, since, parents, create_graph)


@overload
def fused(definition: Callable[..., Any], /) -> Fused: ...
@overload
def fused(**declared: Any) -> Callable[[Callable[..., Any]], Fused]: ...
def fused(definition: Any = None, **declared: Any) -> Any:
    """Give a composition a fast form beside its definition: `@fused` on the definition, then `.fast` and `.backward`.

    Until both are declared, it is its definition, which stays at hand as `.definition`.

    >>> import tinyreg as tr
    >>> @tr.fused
    ... def half_square(x):
    ...     return 0.5 * (x * x)
    >>> @half_square.fast
    ... def _(xp, x):
    ...     return 0.5 * x * x, None
    >>> @half_square.backward
    ... def _(g, x):
    ...     return g * x
    >>> x = tr.tensor(3.0, requires_grad=True)
    >>> half_square(x).backward()
    >>> x.grad
    tensor(3.)
    """
    return Fused(definition, **declared) if definition else lambda f: Fused(f, **declared)
