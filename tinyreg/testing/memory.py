"""Memory: whose it is, and what is in it.

What an op was given stays as it is at every moment (P17), what it gives is its receiver's (P18), and what it takes anew
holds nothing that counts (P19).
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from ..core.backend import get
from .bits import Outcome, bits, odd_incoming, outcome
from .failure import short
from .property import BrokenError
from .run import OpRun, Run
from .stepping import stepping
from .subject import Array, Call
from .trial import Trial

HELD = 8  # how many freed arrays of a size NumPy holds for the next ones, and one more

# ---- nothing written -------------------------------------------------------------------------------------------------


def nothing_written(trial: Trial) -> None:
    """Neither arguments nor results nor incoming gradients are written to, not even to be put back.

    They can be written to here. They are looked at before every bytecode of the op.
    """
    call, g = _copy(trial.call), [part.copy() for part in trial.incoming()]
    watched = {id(a): (a, bits(a), trial.case.argument(i)) for i, a in enumerate(call.arrays) if isinstance(a, np.ndarray)}
    changed: list[BrokenError] = []

    def look() -> None:
        if not changed:
            for array, before, argument in watched.values():
                if bits(array) != before:
                    changed.append(BrokenError(f"written to, if only for a moment: {short(array)}", argument=argument))

    def forward_and_back() -> None:
        run = trial.run(call)
        watched.update({id(a): (a, bits(a), "") for a in (*run.outputs, *g)})
        run.pull(g)

    stepping(forward_and_back, look)
    if changed:
        raise changed[0]


def _copy(call: Call) -> Call:
    return Call(tuple(a.copy() if isinstance(a, np.ndarray) else a for a in call.arrays), call.settings)


# ---- own gradients ---------------------------------------------------------------------------------------------------


def own_gradients(trial: Trial) -> None:
    """A gradient may be written to by who gets it: nothing else changes, neither arguments, results nor later gradients.

    So a VJP may hand on g, which the engine copies where it has to, but nothing that was saved or that it holds on to. An
    incoming gradient of ones is tried too, for which there may be a shorter way.
    """
    for incoming in (trial.incoming(), [np.ones_like(part) for part in trial.outputs]):
        call = _copy(trial.call)
        run = trial.run(call)
        given = Outcome(trial, [*(a for a in call.arrays if isinstance(a, np.ndarray)), *run.results])
        got = _received(run, incoming)
        first = Outcome(trial, [], got)
        for gradient in got:
            if gradient is not None and gradient.flags.writeable:
                gradient[...] = np.nan
        if given.bits != list(map(bits, given.arrays)):
            raise BrokenError("writing to a gradient writes to an argument or a result too")
        first.check_equal(Outcome(trial, [], _received(run, incoming)), "after the first gradient was written to")


def _received(run: Run, g: Sequence[Array]) -> list[Any]:
    """Give what every leaf, or every argument of a pair, gets for copies of incoming gradients."""
    g = [part.copy() for part in g]
    if not isinstance(run, OpRun):
        return run.pull(g)
    for leaf in run.leaves:
        leaf.grad = None
    for end, part in zip(run.ends, g, strict=True):
        end.backward(part, retain_graph=True)
    return [None if leaf.grad is None else leaf.grad.data for leaf in run.leaves]


# ---- fresh memory ----------------------------------------------------------------------------------------------------


def fresh_memory(trial: Trial) -> None:
    """Value and gradient are the same bits whatever lies in memory that was not written to yet."""
    run, g = trial.run(), odd_incoming(trial, trial.outputs)
    expected = outcome(trial, run, g)
    sizes = {n * a.size for a in (*trial.leaves, *trial.outputs) for n in (1, 4, 8)}
    for junk in (0xFF, 0x40):
        with _littered(junk, sizes):
            seen = outcome(trial, trial.run(), g)
        expected.check_equal(seen, "in memory that holds something else already")


@contextlib.contextmanager
def _littered(junk: int, sizes: set[int]) -> Iterator[None]:
    """Fill what `empty` and `empty_like` give with a byte, and what NumPy holds ready for arrays of these sizes."""
    made = get("numpy").__dict__
    names = ("empty", "empty_like")
    before = {name: getattr(np, name) for name in names}
    held = {name: made.pop(name, None) for name in names}
    for name in names:
        setattr(np, name, _filling(before[name], junk))
    [np.full(n, junk, np.uint8) for n in sizes for _ in range(HELD)].clear()  # what is allocated next holds it
    try:
        yield
    finally:
        for name in names:
            setattr(np, name, before[name])
            made.pop(name, None)
            if held[name] is not None:
                made[name] = held[name]


def _filling(allocate: Callable[..., Array], junk: int) -> Callable[..., Array]:
    def filled(*args: Any, **kwargs: Any) -> Array:
        array = allocate(*args, **kwargs)
        if array.dtype.kind in "biuf":
            array[...] = np.full(array.dtype.itemsize, junk, np.uint8).view(array.dtype)[0]
        return array

    return filled
