"""Where the elements of results stand in memory, which decides the order in which sums are added up.

NumPy writes the result of `(a * b) + c` over the temporary a * b where that is large: then it has the layout of a * b, and
otherwise that of both operands together. While a step is recorded no temporary is free, so it is found out by counting who
holds the operand, as NumPy does.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterable
from typing import Any

from .recording import Layout, Lent, Traced, View, numpy, pointer

LARGE = 2**18
"""The bytes from which on NumPy writes over a temporary."""
SIGNS = {
    "add": "+", "sub": "-", "mul": "*", "truediv": "/", "floordiv": "//", "lshift": "<<", "rshift": ">>", "and": "&",
    "or": "|", "xor": "^",
}  # fmt: skip


class Memory:
    """New memory for arrays of one layout, whose first element stands at `address`; and whether somebody holds it.

    given: makes the array of a view, for each of some views. What goes out, and all views of it, rest on `owned`, so the
    number of those that hold this says whether somebody has one of them.
    """

    def __init__(self, array: Any, views: Iterable[View] = ()) -> None:
        first = below(array)
        self.owned: Any = numpy.empty(max(extent(array), 1), numpy.uint8)
        self.address: int = pointer(self.owned) + first
        self.given: dict[View, Callable[[], Any]] = {
            view: numpy.ndarray(
                view.shape,
                view.dtype,
                *((self.owned, first + view.offset, view.strides) if all(view.shape) else ()),
            ).view
            for view in views
        }
        self.holders: Callable[[], int] = functools.partial(sys.getrefcount, self.owned)
        self.own: int = self.holders()
        """As many as there are where nobody else holds it."""

    @property
    def free(self) -> bool:
        """Whether nobody holds an array of what was given out."""
        return self.holders() == self.own


def extent(array: Any) -> int:
    """How many bytes an array takes from its first element to its last."""
    if not isinstance(array, numpy.ndarray | Layout) or not array.size:
        return 0
    return int(sum((n - 1) * abs(s) for n, s in zip(array.shape, array.strides, strict=True)) + array.itemsize)


def below(array: Any) -> int:
    """How far the first element lies behind the lowest."""
    return int(-sum(min(0, (n - 1) * s) for n, s in zip(array.shape, array.strides, strict=True)))


def place(array: Any) -> tuple[int, int]:
    """Where in memory an array begins and ends."""
    start = pointer(array) - below(array)
    return start, start + extent(array)


def array_at(lent: Lent, address: int, view: View) -> Any:
    """The array of a view whose storage begins at an address."""
    if not all(view.shape):
        return numpy.empty(view.shape, view.dtype)
    lent.__array_interface__ = {
        "data": (address + view.offset, False),
        "shape": view.shape,
        "strides": view.strides,
        "typestr": view.dtype.str,
        "version": 3,
    }
    return numpy.asarray(lent)


def is_dense(view: View) -> bool:
    """Whether NumPy's own copy of an array with the layout of a view has that layout too."""
    array = numpy.lib.stride_tricks.as_strided(numpy.empty(1, view.dtype), view.shape, view.strides)  # which is not read
    return bool(numpy.empty_like(array).strides == view.strides)


def copied(array: Any) -> Any:
    """A copy that stands in memory as the array does; of a scalar a 0-d array."""
    array = numpy.asarray(array)
    made = numpy.empty_like(array)
    if made.strides != array.strides and array.size:  # it is turned round, repeated, or has gaps
        memory = Memory(array)
        made = array_at(Lent(memory.owned), memory.address, View(0, 0, 0, array.shape, array.strides, array.dtype))
    numpy.copyto(made, array)
    return made


# ---- what is written over a temporary


def in_place_of_a_temporary(name: str, made: Any, operands: tuple[Any, Any], counts: tuple[int, int]) -> Any:
    """What an operator gave, in the layout that it has where an operand is a temporary; counts: who holds each operand."""
    if not isinstance(made, numpy.ndarray) or made.nbytes < LARGE or name not in SIGNS:
        return made
    held = [x.held if isinstance(x, Traced) else x for x in operands]
    fitting = [k for k in (0, 1) if _could_hold(held[k], made, held[1 - k]) and _elided(name, made.dtype.kind in "fc", k)]
    if all(held[k].strides == made.strides for k in fitting):  # then it makes no difference
        return made
    for k in fitting:
        if _is_temporary(counts[k], k):
            laid_out = numpy.empty_like(held[k])
            numpy.copyto(laid_out, made)
            return laid_out
    return made


def _could_hold(operand: Any, made: Any, other: Any) -> bool:
    """Whether a result could be written over an operand."""
    if not isinstance(operand, numpy.ndarray) or not (operand.flags.owndata and operand.flags.writeable):
        return False
    return operand.shape == made.shape and operand.dtype == made.dtype and numpy.shape(other) in ((), made.shape)


@functools.cache
def _elided(name: str, floats: bool, k: int) -> bool:
    """Whether this NumPy, on this system, writes the result of an operator over its first or second operand."""
    plain = numpy.ones((512, 512), "f4" if floats else "i4")
    operands = ["(plain.T + plain.T)", "plain"]
    made = eval(f" {SIGNS[name]} ".join(operands if k == 0 else operands[::-1]), {"plain": plain})
    return bool(made.strides == plain.T.strides != plain.strides)


class _Counted:
    """Counts who holds its operands."""

    def __add__(self, other: _Counted) -> tuple[int, int]:
        return sys.getrefcount(self), sys.getrefcount(other)


@functools.cache
def _counts() -> tuple[tuple[int, int], tuple[int, int]]:
    """Who holds two operands that are temporaries, and who where they have names."""
    a, b = _Counted(), _Counted()
    return _Counted() + _Counted(), a + b


def _is_temporary(count: int, k: int) -> bool:
    temporary, named = (pair[k] for pair in _counts())
    if temporary == named:
        raise RuntimeError("whether NumPy writes a large result over a temporary cannot be told on this Python")
    return count <= temporary


__all__ = ["LARGE", "Memory", "View", "array_at", "below", "copied", "extent", "in_place_of_a_temporary", "is_dense"]
