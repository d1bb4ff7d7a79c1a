"""Step 2: a tape, by hand.

In step 1 you wrote the backward yourself. A program can write it while the forward runs: each result remembers
what it was made from, and the VJP of the op that made it. These memories are the tape, and the backward plays
it in reverse.

Two things have to be right. A number that is used several times gets a part of its gradient from each use: *add*
the parts. And an op may answer only when its own result has got all of them: play in reverse order of *time*,
since whatever used a result came later.

    y = x * x + x at x = 3 is 12, its gradient 7 = 3 + 3 + 1

Before you run this: `double` adds a number to itself, ten times over. From the end to the start there are two
ways through each sum, so 1,024 ways through all ten. What is the gradient, and how many VJPs are called?

    python demos/internals/02_a_tape_by_hand.py
"""

from __future__ import annotations

import itertools
from collections.abc import Callable

clock = itertools.count()
Vjp = Callable[[float], tuple[float, ...]]


class Number:
    """A float that remembers what it was made from, when, and the VJP of the op that made it."""

    def __init__(self, value: float, parents: tuple[Number, ...] = (), vjp: Vjp = lambda g: ()) -> None:
        self.value, self.parents, self.vjp, self.time = value, parents, vjp, next(clock)

    def __add__(self, other: Number) -> Number:
        return Number(self.value + other.value, (self, other), lambda g: (g, g))

    def __mul__(self, other: Number) -> Number:
        return Number(self.value * other.value, (self, other), lambda g: (g * other.value, g * self.value))


def tape(result: Number) -> list[Number]:
    """All that a result was made from, the latest first. No recursion: a tape may be longer than Python's stack."""
    seen, ahead = set(), [result]
    while ahead:
        number = ahead.pop()
        if number not in seen:
            seen.add(number)
            ahead += number.parents
    return sorted(seen, key=lambda number: number.time, reverse=True)


def gradients(result: Number) -> dict[Number, float]:
    """How fast the result changes with every number on its tape."""
    collected = {result: 1.0}
    for number in tape(result):
        for parent, part in zip(number.parents, number.vjp(collected[number]), strict=True):
            collected[parent] = collected.get(parent, 0.0) + part
    return collected


def double(number: Number, times: int) -> Number:
    """A number added to itself, and the sum to itself, and so on."""
    for _ in range(times):
        number = number + number
    return number


x = Number(3.0)
product = x * x
y = product + x
parts = [*product.vjp(1.0), y.vjp(1.0)[1]]
print(f"y = x * x + x at x = {x.value:g} is {y.value:g}, its gradient {gradients(y)[x]:g}", end=" = ")
print(" + ".join(f"{part:g}" for part in parts))

z = double(x, 10)
ops = [number for number in tape(z) if number.parents]
print(f"doubled ten times: the gradient is {gradients(z)[x]:,.0f}, and {len(ops)} VJPs are called, one for each op")
