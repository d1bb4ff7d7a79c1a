"""Masks of random bits: the words are drawn in machine code, and compared where they are used.

`Generator.bernoulli` takes four numbers of 16 bits from each word; where one is just as large as the bound, further random
numbers decide. The same words are drawn from the same state here.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from ...random import Generator
from ..recording import Instruction, Storage, View, numpy, pointer
from .lowering import Constant, Op

DRAWN = Generator.bernoulli.__code__
FILL = """define i64 @fill(ptr %state, ptr %next, ptr %out, i64 %n, i64 %bounds, ptr %ties, i64 %most) {
  br label %head
head:
  %k = phi i64 [ 0, %0 ], [ %k.next, %body ]
  %count = phi i64 [ 0, %0 ], [ %count.next, %body ]
  %more = icmp slt i64 %k, %n
  br i1 %more, label %body, label %end
body:
  %word = call i64 %next(ptr %state)
  %at = getelementptr i64, ptr %out, i64 %k
  store i64 %word, ptr %at
  %differ = xor i64 %word, %bounds
  %below = sub i64 %differ, 281479271743489
  %not = xor i64 %differ, -1
  %both = and i64 %below, %not
  %zero = and i64 %both, -9223231297218904064
  %tie = icmp ne i64 %zero, 0
  %full = icmp uge i64 %count, %most
  %place = select i1 %full, i64 %most, i64 %count
  %tie.at = getelementptr i64, ptr %ties, i64 %place
  store i64 %k, ptr %tie.at
  %one = zext i1 %tie to i64
  %count.next = add i64 %count, %one
  %k.next = add nuw nsw i64 %k, 1
  br label %head
end:
  ret i64 %count
}"""
"""Fills memory with words of a bit generator, and counts and notes those of which 16 bits are the bound's, which is there
four times: of what differs from it, four times 16 bits, one is zero where 1 taken from each borrows from its highest bit.
"""
FOUR_TIMES = 0x0001000100010001
SIGNATURE = ctypes.CFUNCTYPE(
    ctypes.c_int64,
    ctypes.c_void_p,
    ctypes.c_void_p,
    ctypes.c_void_p,
    ctypes.c_int64,
    ctypes.c_uint64,
    ctypes.c_void_p,
    ctypes.c_int64,
)


class BitGenerator(ctypes.Structure):
    """NumPy's `bitgen_t`."""

    _fields_ = [(name, ctypes.c_void_p) for name in ("state", "uint64", "uint32", "double", "raw")]


def of_words(i: Instruction, storages: list[Storage]) -> tuple[Instruction, Op] | None:
    """A draw as the draw of words, and the comparison that makes a mask of them; None where it is another draw."""
    code = getattr(i.args[1], "__code__", None) if i.kind == "draw" else None
    if code not in DRAWN.co_consts or i.out is None or i.out.strides is None or not all(i.out.shape):
        return None
    assert code is not None
    cells = dict(zip(code.co_freevars, (cell.cell_contents for cell in i.args[1].__closure__), strict=True))
    n, bound, rest = cells["n"], int(cells["whole"]), cells["rest"]
    if bound == 0 or i.args[2] != "bool" or i.out.strides != _contiguous(i.out.shape):
        return None
    words = numpy.empty(-(-n // 4), numpy.uint64)
    storages.append(Storage(len(storages), words, "made"))
    drawn = View(storages[-1].id, 0, 0, words.shape, words.strides, words.dtype)
    strides = tuple(2 * step for step in i.out.strides)
    parts = View(drawn.storage, 0, 0, i.out.shape, strides, numpy.dtype("u2"))
    kind = numpy.dtype("i4")
    below = Op("less", (parts, Constant(bound)), (kind, kind), i.out, None, i)
    return replace(i, name="words", args=(i.args[0], (bound, rest), n), out=drawn), below


def _contiguous(shape: tuple[int, ...]) -> tuple[int, ...]:
    steps, step = [], 1
    for n in shape[::-1]:
        steps.append(step)
        step *= n
    return tuple(steps[::-1])


def drawing(fill: Any, generator: Any, bound: int, rest: float, n: int) -> Callable[[Any, int], None]:
    """A function that draws words into an array at an address, and settles those that are just as large as the bound."""
    most = 64 + n // 2**12  # eight times as many as are to be expected, and then some
    ties = numpy.empty(most + 1, numpy.int64)
    bounds, noted = bound % 2**16 * FOUR_TIMES, pointer(ties)

    def draw(words: Any, address: int) -> None:
        bits = generator._host.bit_generator
        with bits.lock:
            source = BitGenerator.from_address(bits.ctypes.bit_generator.value)
            count = fill(source.state, source.raw, address, len(words), bounds, noted, most)
        if count and rest:
            at = ties[:count] if count <= most else numpy.arange(len(words))
            word, part = (words[at].view(numpy.uint16).reshape(-1, 4) == bound).nonzero()
            equal = 4 * at[word] + part
            below = numpy.random.Generator(bits.jumped()).random(len(equal)) < rest
            words.view(numpy.uint16)[equal[below]] = bound - 1

    return draw
