"""LLVM's language: values of a dtype, one or several at once, and the text of what is done with them."""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Iterator
from typing import Any

from ..recording import numpy

COMPARED = {
    "less": ("olt", "lt"), "less_equal": ("ole", "le"), "greater": ("ogt", "gt"), "greater_equal": ("oge", "ge"),
    "equal": ("oeq", "eq"), "not_equal": ("une", "ne"),
}  # fmt: skip
ARITHMETIC = {"add": "add", "subtract": "sub", "multiply": "mul", "divide": "div", "true_divide": "div"}
BITS = {"bitwise_and": "and", "bitwise_or": "or", "bitwise_xor": "xor"}
LOGIC = {"logical_and": "and", "logical_or": "or", "logical_xor": "xor"}


def scalar(dtype: Any) -> str:
    """The type of one element in a register."""
    return {"f": "float", "d": "double", "?": "i1"}.get(dtype.char, f"i{8 * dtype.itemsize}")


def typed(dtype: Any, lanes: int) -> str:
    """The type of so many elements."""
    return scalar(dtype) if lanes == 1 else f"<{lanes} x {scalar(dtype)}>"


def in_memory(dtype: Any, lanes: int) -> str:
    """The type of so many elements as they stand in memory, where a bool takes a byte."""
    return typed(numpy.dtype("u1") if dtype.char == "?" else dtype, lanes)


def literal(value: Any, dtype: Any, lanes: int) -> str:
    """A number, as often as there are lanes."""
    if dtype.kind == "f":
        one = f"0x{struct.unpack('>Q', struct.pack('>d', float(value)))[0]:016X}"
    else:
        one = str(bool(value)).lower() if dtype.char == "?" else str(int(value))
    return one if lanes == 1 else f"<{', '.join([f'{scalar(dtype)} {one}'] * lanes)}>"


class Text:
    """The text of a function, line by line."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.entry: list[str] = []  # what stands before all else: memory on the stack
        self.declared: set[str] = set()
        self._names = 0

    def name(self) -> str:
        """A new name."""
        self._names += 1
        return f"%v{self._names}"

    def do(self, line: str) -> None:
        """Append a line."""
        self.lines.append(f"  {line}")

    def let(self, value: str) -> str:
        """Append a line that makes a value; returns its name."""
        name = self.name()
        self.do(f"{name} = {value}")
        return name

    def stack(self, kind: str) -> str:
        """Memory on the stack."""
        name = self.name()
        self.entry.append(f"  {name} = alloca {kind}, align 64")
        return name

    @contextlib.contextmanager
    def loop(self, start: Any, stop: Any, step: int) -> Iterator[str]:
        """What is appended within is done for each number from start, as long as it is below stop."""
        counter, label = self.stack("i64"), self.name()[1:]
        self.do(f"store i64 {start}, ptr {counter}")
        self.do(f"br label %{label}.head")
        self.lines.append(f"{label}.head:")
        at = self.let(f"load i64, ptr {counter}")
        more = self.let(f"icmp slt i64 {at}, {stop}")
        self.do(f"br i1 {more}, label %{label}.body, label %{label}.end")
        self.lines.append(f"{label}.body:")
        yield at
        following = self.let(f"add nuw nsw i64 {at}, {step}")
        self.do(f"store i64 {following}, ptr {counter}")
        self.do(f"br label %{label}.head")
        self.lines.append(f"{label}.end:")

    # ---- memory

    def address(self, base: str, terms: list[tuple[str, int]], offset: int) -> str:
        """A pointer so many bytes further; terms: each an index and its step."""
        at = base if not offset else self.let(f"getelementptr i8, ptr {base}, i64 {offset}")
        for index, step in terms:
            if step and index != "0":
                at = self.let(f"getelementptr i8, ptr {at}, i64 {self.times(index, step)}")
        return at

    def times(self, index: str, step: int) -> str:
        """An index times a step."""
        return self.let(f"mul nsw i64 {index}, {step}") if not index.isdigit() else str(int(index) * step)

    def load(self, at: str, dtype: Any, lanes: int, step: int) -> str:
        """Elements from memory, so many bytes apart; one that is repeated where step is 0."""
        if lanes == 1 or step == dtype.itemsize:
            kind = in_memory(dtype, lanes)
            value = self.let(f"load {kind}, ptr {at}, align {dtype.itemsize}")
            return (
                value if dtype.char != "?" else self.let(f"icmp ne {kind} {value}, {literal(0, numpy.dtype('u1'), lanes)}")
            )
        if step == 0:
            return self.repeated(self.load(at, dtype, 1, 0), dtype, lanes)
        value = "poison"
        for k in range(lanes):
            one = self.load(self.address(at, [], k * step), dtype, 1, 0)
            value = self.let(f"insertelement {typed(dtype, lanes)} {value}, {scalar(dtype)} {one}, i64 {k}")
        return value

    def store(self, value: str, at: str, dtype: Any, lanes: int, step: int) -> None:
        """Elements to memory, so many bytes apart."""
        if lanes > 1 and step != dtype.itemsize:
            for k in range(lanes):
                one = self.let(f"extractelement {typed(dtype, lanes)} {value}, i64 {k}")
                self.store(one, self.address(at, [], k * step), dtype, 1, 0)
            return
        kind = in_memory(dtype, lanes)
        if dtype.char == "?":
            value = self.let(f"zext {typed(dtype, lanes)} {value} to {kind}")
        self.do(f"store {kind} {value}, ptr {at}, align {dtype.itemsize}")

    def repeated(self, value: str, dtype: Any, lanes: int) -> str:
        """A value in all lanes."""
        if lanes == 1:
            return value
        kind = typed(dtype, lanes)
        first = self.let(f"insertelement {kind} poison, {scalar(dtype)} {value}, i64 0")
        return self.let(f"shufflevector {kind} {first}, {kind} poison, <{lanes} x i32> zeroinitializer")

    # ---- arithmetic

    def converted(self, value: str, old: Any, new: Any, lanes: int) -> str:
        """A value as another dtype, which can hold it, or as floats."""
        if old == new or scalar(old) == scalar(new) != "i1":
            return value
        sign = "s" if old.kind == "i" else "u"
        if new.kind == "f":
            how = f"{sign}itofp" if old.kind != "f" else "fpext" if new.itemsize > old.itemsize else "fptrunc"
        else:
            how = f"{sign.replace('u', 'z')}ext"
        return self.let(f"{how} {typed(old, lanes)} {value} to {typed(new, lanes)}")

    def intrinsic(self, name: str, value: str, dtype: Any, lanes: int) -> str:
        """One of LLVM's own functions of one value."""
        kind = typed(dtype, lanes)
        short = f"f{8 * dtype.itemsize}"
        full = f"@llvm.{name}.{short if lanes == 1 else f'v{lanes}{short}'}"
        self.declared.add(f"declare {kind} {full}({kind})")
        return self.let(f"call {kind} {full}({kind} {value})")

    def applied(self, name: str, args: list[str], dtypes: list[Any], lanes: int) -> str:
        """What an op makes of its operands, which have been converted."""
        dtype = dtypes[-1]
        kind, floats = typed(dtype, lanes), dtype.kind == "f"
        if name in COMPARED:
            return self._compared(name, args, dtype, lanes)
        if name in ARITHMETIC:
            return self.let(f"{'f' if floats else ''}{ARITHMETIC[name]} {kind} {args[0]}, {args[1]}")
        if name in BITS:
            return self.let(f"{BITS[name]} {kind} {args[0]}, {args[1]}")
        if name in LOGIC:
            first, second = (self._truth(x, d, lanes) for x, d in zip(args, dtypes, strict=True))
            return self.let(f"{LOGIC[name]} {typed(numpy.dtype('?'), lanes)} {first}, {second}")
        if name in ("maximum", "minimum"):
            return self._chosen("ogt" if name == "maximum" else "olt", args, kind, lanes)
        if name == "where":
            return self.let(f"select {typed(dtypes[0], lanes)} {args[0]}, {kind} {args[1]}, {kind} {args[2]}")
        return self._of_one(name, args[0], dtype, lanes)

    def _of_one(self, name: str, x: str, dtype: Any, lanes: int) -> str:
        kind, floats = typed(dtype, lanes), dtype.kind == "f"
        if name == "negative":
            return self.let(f"fneg {kind} {x}" if floats else f"sub {kind} {literal(0, dtype, lanes)}, {x}")
        if name in ("absolute", "fabs"):
            return self.intrinsic("fabs", x, dtype, lanes)
        if name == "sqrt":
            return self.intrinsic("sqrt", x, dtype, lanes)
        if name == "square":
            return self.let(f"fmul {kind} {x}, {x}")
        if name == "reciprocal":
            return self.let(f"fdiv {kind} {literal(1, dtype, lanes)}, {x}")
        if name == "logical_not":
            bits = typed(numpy.dtype("?"), lanes)
            return self.let(f"xor {bits} {self._truth(x, dtype, lanes)}, {literal(1, numpy.dtype('?'), lanes)}")
        if name == "invert":
            return self.let(f"xor {kind} {x}, {literal(1 if dtype.char == '?' else -1, dtype, lanes)}")
        if name == "isnan":
            return self.let(f"fcmp uno {kind} {x}, {x}")
        if name == "isfinite":
            return self.let(
                f"fcmp olt {kind} {self.intrinsic('fabs', x, dtype, lanes)}, {literal(numpy.inf, dtype, lanes)}"
            )
        return x  # positive, copy

    def _compared(self, name: str, args: list[str], dtype: Any, lanes: int) -> str:
        of_floats, of_integers = COMPARED[name]
        sign = "" if of_integers in ("eq", "ne") else "s" if dtype.kind == "i" else "u"
        how = f"fcmp {of_floats}" if dtype.kind == "f" else f"icmp {sign}{of_integers}"
        return self.let(f"{how} {typed(dtype, lanes)} {args[0]}, {args[1]}")

    def _chosen(self, order: str, args: list[str], kind: str, lanes: int) -> str:
        """The first where it comes first in an order or is NaN, else the second."""
        bits = typed(numpy.dtype("?"), lanes)
        wins, is_nan = (self.let(f"fcmp {how} {kind} {args[0]}, {x}") for how, x in ((order, args[1]), ("uno", args[0])))
        return self.let(f"select {bits} {self.let(f'or {bits} {wins}, {is_nan}')}, {kind} {args[0]}, {kind} {args[1]}")

    def _truth(self, x: str, dtype: Any, lanes: int) -> str:
        if dtype.char == "?":
            return x
        how = "fcmp une" if dtype.kind == "f" else "icmp ne"
        return self.let(f"{how} {typed(dtype, lanes)} {x}, {literal(0, dtype, lanes)}")
