"""Checkpoints: entries that save no more than a function and its arguments, and run it again on the way back."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterable
from typing import Any

from ..structure import leaves, mapped
from ..switches import Switch, apart
from .fused import pull_through
from .primitive import P, R
from .tape import Contributions, Entry, Leaf, Parents, Result, explainer, is_recording, reach, recording, tick, watch
from .tensor import Tensor, wrap


def checkpoint(f: Callable[P, R]) -> Callable[P, R]:
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
    def run(*args: P.args, **kwargs: P.kwargs) -> Any:
        if not is_recording():
            return f(*args, **kwargs)
        since = tick()
        touched: dict[int, tuple[Any, Any]] = {}  # generators and tensors, with their state before it first changed
        outer = watch.get()

        def note(thing: Any) -> None:
            touched.setdefault(id(thing), (thing, _state(thing)))
            if outer:
                outer(thing)

        with watch(note):
            outcome = f(*args, **kwargs)
        several, results = not isinstance(outcome, Tensor), _tensors(outcome)
        roots = [r._node for r in results if r._node]
        above = itertools.chain(roots, *(entry.parents for entry in reach(roots, since)))
        parents = list(dict.fromkeys(n for n in above if n and (isinstance(n, Leaf) or n.time < since)))
        if not parents:
            return outcome
        switches = [(recording, True), *((switch, switch.get()) for switch in Switch.REPLAYED)]
        saved = {"f": f, "args": args, "kwargs": kwargs, "touched": touched, "switches": switches}
        shapes, dtypes = [r.shape for r in results], [r.dtype for r in results]
        shape, dtype = (shapes, dtypes) if several else (shapes[0], dtypes[0])
        entry = Entry(shape, dtype, _CHECKPOINT, None, parents, saved, {})
        if (listener := explainer.get()) is not None:
            arrays = tuple(r._array for r in results)
            listener("checkpoint", entry, parents, None, arrays if several else arrays[0])
        if not several:
            return wrap(results[0]._array, entry)
        made = iter([wrap(r._array, Result(entry, i)) if r._node else r for i, r in enumerate(results)])
        return mapped(lambda leaf: next(made) if isinstance(leaf, Tensor) else leaf, outcome)

    return run


def _tensors(outcome: Any) -> tuple[Tensor, ...]:
    """The Tensors in an outcome, from left to right."""
    return tuple(leaf for leaf in leaves(outcome) if isinstance(leaf, Tensor))


class _Checkpoint:
    """The op of a checkpoint's entry: its way back runs the function again and walks what that recorded."""

    name, broadcasting = "checkpoint", False

    def pull(self, entry: Entry, parents: Parents, g: Any, create_graph: bool) -> Contributions:
        """What reaches the checkpoint's parents."""
        since, saved = tick(), entry.saved
        now = [(thing, _state(thing)) for thing, _ in saved["touched"].values()]
        try:
            _put_back(saved["touched"].values())
            outcome = apart(saved["switches"], saved["f"], *saved["args"], **saved["kwargs"])
        finally:
            try:
                _put_back(now)
            except BaseException:  # Ctrl-C, perhaps after half of it
                _put_back(now)
                raise
        again = outcome if isinstance(outcome, Tensor) else _tensors(outcome)
        return pull_through(again, g, since, parents, create_graph)


_CHECKPOINT = _Checkpoint()


def _state(thing: Any) -> Any:
    return (thing._array, thing._node) if isinstance(thing, Tensor) else thing.state


def _put_back(states: Iterable[tuple[Any, Any]]) -> None:
    """Give generators and tensors the states beside them."""
    for thing, state in states:
        if isinstance(thing, Tensor):
            thing._array, thing._node = state
        else:
            thing.state = state
