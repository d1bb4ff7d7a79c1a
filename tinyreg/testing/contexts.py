"""Contexts: where an op may run without its value or its gradient changing by one bit (P14)."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np

from ..core.checkpoint import checkpoint
from ..core.tape import no_grad
from ..core.tensor import Tensor
from ..creation import backends, get_default_dtype, set_default_dtype, use
from ..explore.explain import explain
from ..switches import Switch
from .agreement import agree, cancelled
from .bits import Outcome, odd_incoming, outcome
from .property import BrokenError
from .run import OpRun, Run, run
from .trial import Trial

T = TypeVar("T")

Context = Callable[[Trial, Sequence[Any], Any], Outcome]  # of a trial, incoming gradients and a dtype


@contextlib.contextmanager
def default_dtype(name: str) -> Iterator[None]:
    """Make new data of another dtype."""
    before = get_default_dtype()
    set_default_dtype(name)
    try:
        yield
    finally:
        set_default_dtype(before)


@contextlib.contextmanager
def second_thread() -> Iterator[Callable[[Callable[[], T]], Future[T]]]:
    """Give a thread that functions can be handed to, with the modes of this one that decide what is computed."""
    modes = [(switch, switch.get()) for switch in Switch.REPLAYED]

    def within(f: Callable[[], T]) -> T:
        with contextlib.ExitStack() as entered, np.errstate(all="ignore"):
            for switch, value in modes:
                entered.enter_context(switch(value))
            return f()

    with ThreadPoolExecutor(1) as pool:
        yield lambda f: pool.submit(within, f)


def _within(make: Callable[[], Any]) -> Context:
    """Forward and backward inside a context manager."""

    def look(trial: Trial, g: Sequence[Any], dtype: Any) -> Outcome:
        with make():
            return outcome(trial, trial.run(dtype=dtype), g)

    return look


def _unrecorded(trial: Trial, g: Sequence[Any], dtype: Any) -> Outcome:
    with no_grad():
        return Outcome(trial, trial.run(dtype=dtype).results)


def _in_a_checkpoint(trial: Trial, g: Sequence[Any], dtype: Any) -> Outcome:
    case = dataclasses.replace(trial.case, op=checkpoint(trial.case.op))
    return outcome(trial, run(case, trial.call, trial.wanted, dtype), g)


def _elsewhere(trial: Trial, g: Sequence[Any], dtype: Any) -> Outcome:
    with second_thread() as hand:
        return hand(lambda: outcome(trial, trial.run(dtype=dtype), g)).result()


OF_FUNCTIONS: dict[str, Context] = {"in a second thread": _elsewhere}
OF_OPS: dict[str, Context] = {
    "inside no_grad": _unrecorded,
    "with float64 as the default dtype": _within(functools.partial(default_dtype, "float64")),
    "with float16 as the default dtype": _within(functools.partial(default_dtype, "float16")),
    "under explain": _within(explain),
    "inside a checkpoint": _in_a_checkpoint,
}


def contexts(trial: Trial) -> None:
    """Value and gradient are the same bits in whichever context the op runs, in float64 and in float32."""
    for dtype in (np.float64, np.float32):
        plain = trial.run(dtype=dtype)
        g = odd_incoming(trial, plain.outputs)
        expected = outcome(trial, plain, g)
        for name, look in _asked(plain, expected).items():
            try:
                seen = look(trial, g, dtype)
            except Exception as error:
                raise BrokenError(f"{name}: raised {type(error).__name__}: {error}") from error
            expected.check_equal(seen, name)
    if trial.case.order > 1:
        _check_create_graph(trial)


def _asked(plain: Run, expected: Outcome) -> dict[str, Context]:
    """Give the contexts that make sense for a run."""
    if not isinstance(plain, OpRun):
        return OF_FUNCTIONS
    others = [name for name, state in backends().items() if state.startswith("ready") and name != "numpy"]
    asked = OF_FUNCTIONS | OF_OPS | {f"with {name} in use": _within(functools.partial(use, name)) for name in others}
    if not expected.finite():
        del asked["under explain"]  # which raises where something is not finite
    return asked


def _check_create_graph(trial: Trial) -> None:
    """A gradient that is recorded, to be differentiated again, is the ordinary one but for rounding."""
    g = trial.incoming()
    run = OpRun(trial.case, trial.call, trial.wanted)
    recorded = run.pull([Tensor(part) for part in g], create_graph=True)
    for i, one, other in zip(trial.wanted, recorded, trial.run().pull(g), strict=True):
        if one is not None or other is not None:
            one, other = (None if part is None else getattr(part, "data", part) for part in (one, other))
            argument = trial.case.argument(i)
            agree(one, other, 1e-9, "the gradient under create_graph", argument, floor=cancelled(*g))
