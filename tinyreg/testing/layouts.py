"""Layouts: how the elements of an array may lie in memory, drawn at random.

An axis may come anywhere in the order of memory, run backwards, leave gaps, or repeat one element; the whole may be off the
grid on which a processor likes its numbers, and locked.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from .subject import Array

STEPS = (1, 1, -1, -1, 2, -2, 3, 0, 0)  # in elements of the axis itself


class Layout(NamedTuple):
    """Where the elements of an array lie.

    order: the axes, from the slowest to the fastest in memory. steps: along each axis, from one element to the next; a
    negative one runs backwards, one above 1 leaves gaps, 0 repeats the first element. aligned: whether elements begin at
    multiples of their size. locked: whether the array cannot be written to.
    """

    order: tuple[int, ...]
    steps: tuple[int, ...]
    aligned: bool = True
    locked: bool = False

    def __str__(self) -> str:
        text = f"memory order {list(self.order)}, steps {list(self.steps)}"
        return text + ", misaligned" * (not self.aligned) + ", read-only" * self.locked

    def of(self, a: Array) -> Array:
        """Give an array with the elements of another one in this layout; along a step of 0, its first."""
        repeated = [k for k, step in enumerate(self.steps) if not step and a.shape[k]]
        once = a[tuple(slice(0, 1) if k in repeated else slice(None) for k in range(a.ndim))]
        steps = [abs(step) or 1 for step in self.steps]
        wide = [once.shape[k] * steps[k] for k in self.order]
        memory = np.full(math.prod(wide) * a.itemsize + 1, 0xFF, dtype=np.uint8)  # NaN, for what is not an element
        start = 0 if self.aligned else 1
        whole = memory[start : start + math.prod(wide) * a.itemsize].view(a.dtype).reshape(wide)
        ways = [slice(None, None, steps[k] if self.steps[k] >= 0 else -steps[k]) for k in self.order]
        laid = whole[tuple(ways)].transpose(np.argsort(self.order)) if a.ndim else whole
        laid[...] = once
        given = np.broadcast_to(laid, a.shape) if repeated else laid
        if self.locked:
            given.flags.writeable = False
        return given


def drawn(rng: np.random.Generator, ndim: int) -> Layout:
    """Draw a layout for an array of so many axes."""
    ordered, dense, aligned, locked = rng.random(4) < (0.4, 0.4, 0.75, 0.5)  # each comes alone too
    order = np.arange(ndim) if ordered else rng.choice([np.arange(ndim)[::-1], rng.permutation(ndim)])
    steps = (1,) * ndim if dense else rng.choice(STEPS, ndim)
    return Layout(tuple(map(int, order)), tuple(map(int, steps)), bool(aligned), bool(locked))


def relaid(rng: np.random.Generator, value: Any) -> tuple[Any, str]:
    """Give an array in a layout that is drawn, with the layout in words; anything else as it is."""
    if not isinstance(value, np.ndarray):
        return value, "as it is"
    layout = drawn(rng, value.ndim)
    return layout.of(value), str(layout)


def contiguous(value: Any) -> Any:
    """Give an array with the same elements in C order; anything else as it is."""
    return value.copy(order="C") if isinstance(value, np.ndarray) else value
