"""Repetition: what one call must not do to another, before it (P15) or at the same time (P16)."""

from __future__ import annotations

from concurrent.futures import Future, wait
from typing import Any

import numpy as np

from .bits import Outcome, odd_incoming, outcome
from .contexts import second_thread
from .stepping import stepping
from .trial import Trial

REPEATS = 24  # of a primitive, in each dtype: over 4,000 in a search of 100 calls
FEW_REPEATS = 3  # of what is made of primitives, and has no memory where those have none
INTERRUPTIONS = 12  # of a call, by another one in a second thread
PATIENCE = 0.5  # seconds; who waits longer may wait for a lock that the interrupted call holds


def repeated(trial: Trial) -> None:
    """A call gives the same bits however often it is made, and what it gave stays when others are made."""
    repeats = REPEATS if trial.case.primitive or trial.case.vjp else FEW_REPEATS
    for dtype in (np.float64, np.float32):
        run = trial.run(dtype=dtype)
        g = odd_incoming(trial, run.outputs)
        first = outcome(trial, run, g)
        for k in range(repeats):
            first.check_equal(outcome(trial, trial.run(dtype=dtype), g), f"at call {k + 2} with the same arguments")
        _other(trial, dtype)
        first.check_unchanged("a later call with other arguments")


def threads(trial: Trial) -> None:
    """A call gives the same bits where another thread makes one, with other arguments, in the middle of it."""
    g = odd_incoming(trial, trial.outputs)
    expected, other = outcome(trial, trial.run(), g), _other(trial)
    steps = 0

    def count() -> None:
        nonlocal steps
        steps += 1

    if other is None:
        return
    stepping(lambda: outcome(trial, trial.run(), g), count)
    if not steps:
        return
    # Anywhere in each of so many parts of the call, so that no long part is left out.
    chosen = {int((k + part) * steps / INTERRUPTIONS) for k, part in enumerate(trial.rng(17).random(INTERRUPTIONS))}
    meanwhile: list[Future[Outcome | None]] = []
    steps = 0
    with second_thread() as hand:

        def interrupt() -> None:
            nonlocal steps
            if steps in chosen:
                meanwhile.append(hand(lambda: _other(trial)))
                if wait(meanwhile[-1:], PATIENCE).not_done:
                    chosen.clear()
            steps += 1

        seen = stepping(lambda: outcome(trial, trial.run(), g), interrupt)
    expected.check_equal(seen, "while another thread makes a call")
    for one in meanwhile:
        if (at_once := one.result()) is not None:
            other.check_equal(at_once, "in the middle of a call of another thread")


def _other(trial: Trial, dtype: Any = np.float64) -> Outcome | None:
    """Give what a call gives with other arguments of the same shapes; None where those are not in the domain."""
    second = trial.turned
    second.case = trial.case
    with np.errstate(all="ignore"):
        try:
            run = second.run(dtype=dtype)
            return outcome(second, run, odd_incoming(trial, run.outputs, 15))
        except (ValueError, np.linalg.LinAlgError):
            return None
