"""What a trial gives, bit for bit: results and gradients that some circumstance must not change."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .failure import short
from .property import BrokenError
from .run import Run
from .trial import Trial


class Outcome:
    """The results of one run and the gradients that it gave, with their bits as they were then.

    The arrays are those that the run gave, not copies: what changes them later is seen by `check_unchanged`.
    """

    def __init__(self, trial: Trial, results: Sequence[Any], gradients: Sequence[Any] = ()) -> None:
        self.names: list[str] = [f"result {i}" if len(results) > 1 else "the result" for i in range(len(results))]
        self.arguments: list[str] = [
            *[""] * len(results),
            *(trial.case.argument(i) for i in trial.wanted[: len(gradients)]),
        ]
        self.names += ["the gradient"] * len(gradients)
        self.arrays: list[Any] = [*results, *gradients]
        self.bits: list[Any] = list(map(bits, self.arrays))

    def check_equal(self, other: Outcome, where: str) -> None:
        """Fail where another outcome, which may be of results alone, is not the same to the last bit."""
        for name, argument, mine, theirs, array, was in zip(
            self.names, self.arguments, self.bits, other.bits, other.arrays, self.arrays, strict=False
        ):
            if mine != theirs:
                raise BrokenError(f"{where} {name} is {described(array)}, otherwise {described(was)}", argument=argument)

    def finite(self) -> bool:
        """Whether there is no NaN and no infinity in it."""
        return all(np.all(np.isfinite(a)) for a in self.arrays if getattr(a, "dtype", np.dtype(bool)).kind == "f")

    def check_unchanged(self, by: str) -> None:
        """Fail where an array is no longer what it was."""
        for name, argument, array, before in zip(self.names, self.arguments, self.arrays, self.bits, strict=True):
            if bits(array) != before:
                raise BrokenError(f"{by} changed {name} to {short(array)}", argument=argument)


def outcome(trial: Trial, run: Run, g: Sequence[Any]) -> Outcome:
    """Give what a run of a trial gives."""
    return Outcome(trial, run.results, run.pull(g))


def odd_incoming(trial: Trial, like: Sequence[Any], purpose: int = 14) -> list[Any]:
    """Draw incoming gradients, for results, with digits down to the last: a rounding on the way would show in them."""
    rng = trial.rng(purpose)
    return [(rng.uniform(0.5, 3.0, y.shape) * rng.choice([-1.0, 1.0], y.shape)).astype(y.dtype) for y in like]


def bits(value: Any) -> Any:
    """Give all that tells one array from another: dtype, shape and bytes."""
    return (value.dtype.str, value.shape, value.tobytes()) if hasattr(value, "tobytes") else repr(value)


def described(value: Any) -> str:
    """Give an array with its dtype, and all of its digits, which may be all in which it differs."""
    if not hasattr(value, "dtype"):
        return repr(value)
    with np.printoptions(threshold=24, edgeitems=2, linewidth=1000, floatmode="unique"):
        return f"{value.dtype} {' '.join(np.array2string(np.asarray(value), separator=', ').split())}"
