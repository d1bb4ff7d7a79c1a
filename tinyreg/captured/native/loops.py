"""Canonical loops: over which axes an op runs, slowest first, and how far apart in memory its operands are then."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from ..recording import View
from .lowering import Op


class Axis(NamedTuple):
    """How often it goes, whether it is summed over, and the bytes from one element to the next: of operands and result."""

    n: int
    summed: bool
    steps: tuple[int, ...]


def axes(op: Op) -> list[Axis]:
    """The axes of an op, without those of one element: by the result's order in memory, and of a sum by its operand's."""
    steps = [_broadcast(x, op.shape) if isinstance(x, View) else (0,) * len(op.shape) for x in op.operands]
    steps.append(_broadcast(op.out, op.shape) if op.axes is None else _reduced(op))
    first = steps[-1] if op.axes is None else steps[0]
    order = sorted((k for k in range(len(op.shape)) if op.shape[k] != 1), key=lambda k: -abs(first[k]))
    summed = op.axes or ()
    return [Axis(op.shape[k], k in summed, tuple(each[k] for each in steps)) for k in order]


def _broadcast(view: View, shape: tuple[int, ...]) -> tuple[int, ...]:
    """The steps of a view that is repeated to a shape."""
    missing = len(shape) - len(view.shape)
    steps = zip(view.shape, view.strides or (), strict=True)
    return (0,) * missing + tuple(0 if n == 1 else step for n, step in steps)


def _reduced(op: Op) -> tuple[int, ...]:
    """The steps of the result of a sum along the axes of what is summed."""
    assert op.axes is not None
    own = op.out.strides or ()
    if len(op.out.shape) == len(op.shape):
        return tuple(0 if k in op.axes else own[k] for k in range(len(op.shape)))
    rest = iter(own)
    return tuple(0 if k in op.axes else next(rest) for k in range(len(op.shape)))


def joined(loops: Iterable[Axis]) -> list[Axis]:
    """The axes with those joined that are one in memory for all operands."""
    made: list[Axis] = []
    for axis in loops:
        last = made[-1] if made else None
        if (
            last
            and last.summed == axis.summed
            and all(a == b * axis.n for a, b in zip(last.steps, axis.steps, strict=True))
        ):
            made[-1] = Axis(last.n * axis.n, axis.summed, axis.steps)
        else:
            made.append(axis)
    return made


def common(a: Sequence[int], b: Sequence[int]) -> list[int] | None:
    """The fewest axes that both can be divided into, or None; both have as many elements."""
    cuts = sorted({*_inner(a), *_inner(b)})
    if any(high % low for low, high in itertools.pairwise(cuts)):
        return None
    return [high // low for low, high in itertools.pairwise(cuts)][::-1]


def _inner(sizes: Sequence[int]) -> list[int]:
    """How many elements lie inside of each axis, and in all."""
    return [math.prod(sizes[k:]) for k in range(len(sizes) + 1)]


def divided(loops: Sequence[Axis], sizes: Sequence[int], width: int) -> list[Axis] | None:
    """The axes of an op as axes of these sizes, or None where they are not; width: how many steps an axis has."""
    made: list[Axis] = []
    rest = list(loops)
    for n in sizes[::-1]:
        if n == 1:
            made.insert(0, Axis(1, False, (0,) * width))
            continue
        taken: list[Axis] = []
        size = 1
        while size < n and rest:
            axis = rest.pop()
            if n % size:
                return None
            inner = n // size
            if axis.n > inner:  # of which only a part lies inside
                if axis.n % inner:
                    return None
                rest.append(Axis(axis.n // inner, axis.summed, tuple(s * inner for s in axis.steps)))
                axis = Axis(inner, axis.summed, axis.steps)
            taken.insert(0, axis)
            size *= axis.n
        whole = joined(taken)
        if size != n or len(whole) != 1:
            return None
        made.insert(0, whole[0])
    return made if not rest else None


def sizes(loops: Iterable[Any]) -> list[int]:
    """How often each axis goes."""
    return [axis.n for axis in loops]
