"""Quicker forms of calls: what a function of NumPy calls in the end, called at once, with a place for its result.

They are the calls that NumPy itself makes, of the same loops over the same strides, so the bits are the same.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from .recording import Instruction, Storage, View, numpy

REDUCTIONS = {"sum": "add", "prod": "multiply", "max": "maximum", "amax": "maximum", "min": "minimum", "amin": "minimum"}
MANY = 2**24
"""Up to so many each integer is a float32."""
FEW = 2**16
"""Up to so many elements a mask stands ready as bits, which take as much memory as what it masks."""
Text = Callable[[Any], str]
"""How an argument is written; a constant becomes a name."""


def form(i: Instruction) -> Callable[[Instruction, str | None, Text], list[str]] | None:
    """What writes an instruction as lines, given where its result goes (None: to a variable), or None: as it was called."""
    if i.kind not in ("call", "method") or i.writes or i.out is None:
        return None
    if reduces(i, (*REDUCTIONS, "mean")):
        return _mean if i.name == "mean" else _reduction
    if i.out.strides is None:
        return None
    if i.kind == "call" and i.name == "concatenate" and set(i.settings) <= {"axis"} and len(i.args) == 1:
        alike = all(isinstance(v, View) and v.strides is not None and v.dtype == i.out.dtype for v in i.args[0])
        return _concatenation if alike else None
    if i.kind == "call" and i.name == "einsum" and not i.settings and isinstance(i.args[0], str):
        alike = all(isinstance(v, View) and v.strides is not None and v.dtype == i.out.dtype for v in i.args[1:])
        return _einsum if alike else None
    return None


def reduces(i: Instruction, names: tuple[str, ...]) -> bool:
    """Whether it is a reduction of one array by axis, whose dtype does not depend on where the result goes."""
    if i.name not in names or len(i.args) != 1 or not set(i.settings) <= {"axis", "dtype", "keepdims"}:
        return False
    x, dtype = i.args[0], i.settings.get("dtype")
    if not isinstance(x, View) or x.strides is None or i.out is None:
        return False
    if i.name == "mean":
        return dtype is None and x.dtype == i.out.dtype and x.dtype.char in "fd" and math.prod(x.shape) > 0
    return bool(i.out.dtype == (x.dtype if dtype is None else numpy.dtype(dtype)))


def _reduced(i: Instruction, name: str, target: str | None, text: Text) -> str:
    axis, dtype, keepdims = (
        i.settings.get(key, default) for key, default in (("axis", None), ("dtype", None), ("keepdims", False))
    )
    values = [text(axis), text(dtype), target or "None", text(bool(keepdims))]
    return f"{text(getattr(numpy, name).reduce)}({text(i.args[0])}, {', '.join(values)})"


def _reduction(i: Instruction, target: str | None, text: Text) -> list[str]:
    return [f"{'' if target else _variable(i) + ' = '}{_reduced(i, REDUCTIONS[i.name], target, text)}"]


def _mean(i: Instruction, target: str | None, text: Text) -> list[str]:
    """The sum over the count, divided as NumPy does."""
    assert i.out is not None
    count = text(numpy.intp(math.prod(i.args[0].shape) // max(math.prod(i.out.shape), 1)))
    total, divide = _reduced(i, "add", target, text), text(numpy.true_divide)
    if target:
        return [total, f"{divide}({target}, {count}, {target}, casting='unsafe')"]
    if i.out.strides is None:
        return [f"{_variable(i)} = {text(i.out.dtype.type)}({total} / {count})"]
    return [f"{_variable(i)} = {total}", f"{divide}({_variable(i)}, {count}, {_variable(i)}, casting='unsafe')"]


def _concatenation(i: Instruction, target: str | None, text: Text) -> list[str]:
    """Parts that stand one behind the other already are copied in one go."""
    assert i.out is not None
    whole = _joined(i.args[0], i.out) if i.settings.get("axis", 0) is None else None
    if whole is not None and target:
        return [f"{target}[...] = {text(whole)}"]
    start = "" if target else _variable(i) + " = "
    return [f"{start}{text(numpy.concatenate)}({text([*i.args[0]])}, {text(i.settings.get('axis', 0))}, {target})"]


def _einsum(i: Instruction, target: str | None, text: Text) -> list[str]:
    start, out = ("", f", out={target}") if target else (_variable(i) + " = ", "")
    return [f"{start}{text(numpy.einsum)}({', '.join(map(text, i.args))}{out})"]


def _joined(parts: list[View], out: View) -> View | None:
    """The view of parts that stand one behind the other in a storage; None where they do not."""
    at = parts[0].offset
    if len(parts) < 2:
        return None
    for part in parts:
        if (part.storage, part.version, part.offset) != (*parts[0][:2], at) or not _contiguous(part):
            return None
        at += math.prod(part.shape) * part.dtype.itemsize
    return out._replace(storage=parts[0].storage, version=parts[0].version, offset=parts[0].offset)


def _contiguous(view: View) -> bool:
    step = view.dtype.itemsize
    for n, stride in zip(view.shape[::-1], (view.strides or ())[::-1], strict=True):
        if n != 1 and stride != step:
            return False
        step *= n
    return bool(step)


def _variable(i: Instruction) -> str:
    assert i.out is not None
    return f"t{i.out.storage}"


def exact(x: Any, dtype: Any) -> bool:
    """Whether a number beside floats of this dtype is one of them, rounded, without a warning."""
    if dtype.char not in "fd" or type(x) not in (int, float):
        return False
    limits = numpy.finfo(dtype)
    return bool(x == 0 or float(limits.tiny) <= abs(x) <= (MANY if type(x) is int else float(limits.max)))


def masked_by_bits(instructions: Iterable[Instruction], storages: list[Storage]) -> list[Instruction]:
    """The instructions with `masked(x, mask)` as `x & bits`, where the bits are made once of each mask."""
    made: list[Instruction] = []
    known: dict[Any, View] = {}
    for i in instructions:
        if not _masks(i):
            made.append(i)
            continue
        (x, mask), out = i.args, i.out
        assert out is not None
        kind = numpy.dtype(f"i{x.dtype.itemsize}")
        key = mask, out.strides, kind
        if key not in known:
            storages.append(Storage(len(storages), storages[out.storage].memory, "made"))
            known[key] = View(storages[-1].id, 0, 0, out.shape, out.strides, kind)
            ones = mask._replace(dtype=numpy.dtype("i1"))  # of which the negative of True is all ones
            made.append(replace(i, name="negative", args=(ones,), out=known[key]))
        args = x._replace(dtype=kind), known[key]
        made.append(replace(i, name="bitwise_and", args=args, out=out._replace(dtype=kind)))
    return made


def _masks(i: Instruction) -> bool:
    """Whether it is `masked` of few elements, by a mask of their shape."""
    if (i.kind, i.name, i.settings) != ("call", "masked", {}) or i.out is None or len(i.args) != 2:
        return False
    views = [each for each in i.args if isinstance(each, View) and each.strides is not None]
    if len(views) != 2 or i.out.strides is None or not 0 < math.prod(i.out.shape) <= FEW:
        return False
    x, mask = views
    alike = x.dtype == i.out.dtype and x.dtype.itemsize in (2, 4, 8) and mask.dtype.kind == "b"
    return alike and x.shape == mask.shape == i.out.shape
