"""Arrays that are put together of parts, as an optimizer puts its small parameters together to one flat array.

What is done to each element of such an array is done part by part: then all that is done to a part is one loop, which
begins where the part stands, and ends where it goes. The whole need not be there in between.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import pairwise

from ..recording import Instruction, View
from .lowering import Op, contiguous

LEAST = 1024
"""So many elements parts have at least on average: a loop for each of smaller ones costs more than it saves."""
Cuts = dict[int, set[int]]
"""Where the storages are cut, in bytes."""


def by_parts(ops: Sequence[tuple[Op | None, Instruction]]) -> list[tuple[Op | None, Instruction]]:
    """The ops and calls of a program in order, where ops over arrays of parts are an op for each part."""
    cuts = _borders(ops)
    flat = [op for op, _ in ops if op is not None and _is_flat(op)] if cuts else []
    grown = True
    while grown:
        grown = False
        for op in flat:
            for view in _views(op):
                known = cuts.setdefault(view.storage, set())
                new = {view.offset + place * view.dtype.itemsize for place in _places(op, cuts)} - known
                known |= new
                grown |= bool(new)
    divided = {id(op): _divided(op, _places(op, cuts)) for op in flat}
    return [(part, i) for op, i in ops for part in divided.get(id(op), [op])]


def _borders(ops: Iterable[tuple[Op | None, Instruction]]) -> Cuts:
    """Where parts begin and end, in the wholes that are put together of them, and in what they are parts of."""
    of: dict[int, list[Op]] = {}
    for op, i in ops:
        if op is not None and i.name == "concatenate":
            of.setdefault(id(i), []).append(op)
    cuts: Cuts = {}
    for parts in of.values():
        if len(parts) > 1 and sum(math.prod(op.shape) for op in parts) >= LEAST * len(parts):
            for view in (view for op in parts if _is_flat(op) for view in _views(op)):
                size = math.prod(view.shape) * view.dtype.itemsize
                cuts.setdefault(view.storage, set()).update((view.offset, view.offset + size))
    return cuts


def _is_flat(op: Op) -> bool:
    """Whether an op goes through all that it reads and writes in the order of memory."""
    whole = [op.out, *(view for view in op.views if math.prod(view.shape) > 1)]
    in_order = all(view.shape == op.shape and view.strides == contiguous(view.shape, view.dtype) for view in whole)
    return op.axes is None and in_order


def _views(op: Op) -> list[View]:
    """The arrays that a flat op goes through."""
    return [view for view in (*op.views, op.out) if view.shape == op.shape]


def _places(op: Op, cuts: Cuts) -> list[int]:
    """Between which elements a flat op is to be cut."""
    n, places = math.prod(op.shape), set[int]()
    for view in _views(op):
        size = view.dtype.itemsize
        inside = (cut - view.offset for cut in cuts.get(view.storage, ()))
        places.update(at // size for at in inside if 0 < at < n * size and at % size == 0)
    return sorted(places)


def _divided(op: Op, places: Sequence[int]) -> list[Op]:
    """A flat op as an op for each part."""
    if not places:
        return [op]

    def part(x: object, start: int, end: int) -> object:
        if not isinstance(x, View):
            return x
        if x.shape != op.shape:  # one number, for all
            return x._replace(shape=(), strides=())
        size = x.dtype.itemsize
        return x._replace(offset=x.offset + start * size, shape=(end - start,), strides=(size,))

    parts = []
    for start, end in pairwise([0, *places, math.prod(op.shape)]):
        operands = tuple(part(x, start, end) for x in op.operands)
        parts.append(Op(op.name, operands, op.types, part(op.out, start, end), None, op.of))  # type: ignore[arg-type]
    return parts
