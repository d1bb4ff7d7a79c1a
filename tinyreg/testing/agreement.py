"""When two arrays agree, and what the VJPs of a run gave: what several properties need."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..core.tape import observed
from .failure import short
from .property import BrokenError
from .run import Run, as_list
from .subject import Array


def agree(
    got: Any, expected: Any, rtol: float, what: str, argument: str = "", size: float = 0.0, floor: float = 0.0
) -> None:
    """Fail where two arrays differ by more than `rtol` of the largest element or of `size`, or in where they are finite.

    floor: how much may be left of what cancels.
    """
    got, expected = np.asarray(got), np.asarray(expected)
    if expected.dtype.kind == "f":
        size = max(size, float(np.max(np.abs(expected), where=np.isfinite(expected), initial=0.0)))
    if got.shape != expected.shape:
        raise BrokenError(f"{what}: got shape {list(got.shape)}, expected {list(expected.shape)}", argument=argument)
    if not np.allclose(got, expected, rtol=rtol, atol=rtol * size + floor, equal_nan=True):
        raise BrokenError(f"{what}: got {short(got)}, expected {short(expected)}", argument=argument)


def cancelled(*incoming: Array) -> float:
    """Give what rounding may leave of gradients that cancel, for incoming gradients of this size."""
    return 1e-14 * max((largest(part) for part in incoming), default=0.0)


def pulled_uncast(run: Run, g: Sequence[Any]) -> list[Any]:
    """Give the gradients of a run, where each VJP gives the dtype of its argument before the engine casts what it gave.

    A result that is wider than an argument, though nobody asked for its dtype, says that another argument was wider: what
    a VJP gives then is wide too, and the cast is the engine's.
    """

    def look(entry: Any, parent: Any, raw: Any, fitted: Any) -> None:
        mixed = parent.dtype not in as_list(entry.dtype) and "dtype" not in entry.settings
        if raw.dtype != parent.dtype and not mixed:
            raise BrokenError(f"dtype: the VJP of {entry.op.name} gave {raw.dtype} for an argument of {parent.dtype}")

    with observed(look):
        return run.pull(g)


def largest(values: Array) -> float:
    """Give the size of the largest element."""
    return float(np.max(np.abs(values), initial=0.0))
