"""What of a program can be done in a loop: instructions as ops over views, each element by itself or summed up.

An instruction that is not here stays the call of NumPy that it is.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from ...symbols import Symbol
from ..forms import reduces
from ..layouts import array_at
from ..moving import OPERATORS
from ..recording import Instruction, Lent, Storage, View, comparable, numpy, pointer
from . import probes
from .views import touch

UNARY = frozenset(
    "negative absolute fabs sqrt square reciprocal logical_not invert isfinite isnan positive".split()  # noqa: SIM905
)
BINARY = frozenset(
    """add subtract multiply divide true_divide maximum minimum less less_equal greater greater_equal equal not_equal
    logical_and logical_or logical_xor bitwise_and bitwise_or bitwise_xor""".split()  # noqa: SIM905
)
COPIES = ("astype", "copy", "ascontiguousarray", "asarray", "array")
EXTREMES = {"max": "max", "amax": "max", "min": "min", "amin": "min"}
FILLED = {"zeros": 0, "zeros_like": 0, "ones": 1, "ones_like": 1}
TYPES = "?bBhHiIlLqQfd"
"""The dtypes of elements, by their character."""
LOUD = frozenset({"raise", "call", "print", "log"})


@dataclass(slots=True, frozen=True)
class Constant:
    """A number that stands in the code."""

    value: Any


@dataclass(slots=True, frozen=True, eq=False)
class Number:
    """A number that is given at each call: the expression of a symbol, or a NumPy scalar."""

    source: Symbol | View

    @property
    def key(self) -> Any:
        """What numbers that are the same have in common."""
        return comparable(self.source)


@dataclass(slots=True, eq=False)
class Op:
    """An op on each element of its result, or a sum over axes of its operands.

    types: what each operand is converted to first; axes: those of the operands that are summed over.
    """

    name: str
    operands: tuple[View | Constant | Number, ...]
    types: tuple[Any, ...]
    out: View
    axes: tuple[int, ...] | None
    of: Instruction

    @property
    def views(self) -> list[View]:
        """The operands that stand in memory."""
        return [x for x in self.operands if isinstance(x, View)]

    @property
    def shape(self) -> tuple[int, ...]:
        """Over what it runs."""
        return self.out.shape if self.axes is None else self.views[0].shape


def lowered(i: Instruction, storages: list[Storage]) -> list[Op] | None:
    """An instruction as ops, or None; of `empty` none, since it writes nothing."""
    if i.out is None or i.out.strides is None or any(how in LOUD for _, how in i.errors):
        return None
    if i.kind == "call" and i.name in ("empty", "empty_like"):
        return []
    try:
        ops = _ops(i, storages)
    except (TypeError, ValueError, OverflowError, IndexError):
        return None
    return ops if ops is not None and all(map(_possible, ops)) else None


def _possible(op: Op) -> bool:
    """Whether all that it reads and writes is of a kind that a loop knows."""
    views = [*op.views, op.out]
    dtypes = [*(v.dtype for v in views), *op.types]
    return (
        all(math.prod(v.shape) > 0 and v.strides is not None for v in views)
        and all(t.char in TYPES and t.isnative for t in dtypes)
        and all(_converts(v.dtype, t) for v, t in zip(op.operands, op.types, strict=True) if isinstance(v, View))
        and (op.axes is None or op.out.dtype.char in "fd")
        and not any(_shifted(view, op.out) for view in op.views)
    )


def _shifted(view: View, out: View) -> bool:
    """Whether an element may be written before another is read that stands there."""
    same = (view.offset, view.shape, view.strides) == (out.offset, out.shape, out.strides)
    return not same and touch(view, out)


def _converts(old: Any, new: Any) -> bool:
    return bool(old == new or new.kind == "f" or (numpy.can_cast(old, new) and new.kind != "b"))


def _ops(i: Instruction, storages: list[Storage]) -> list[Op] | None:
    assert i.out is not None
    name, args, out, settings = i.name, i.args, i.out, set(i.settings)
    if i.kind == "operator":
        if name == "setitem":
            return _copy(i, args[2], _part(out, args[1], storages))
        if i.writes:
            return _of_ufunc(i, OPERATORS.get(name[1:]), args, out) if isinstance(args[0], View) else None
        return _of_ufunc(i, OPERATORS.get(name), args, out)
    if i.kind not in ("call", "method"):
        return None
    if i.writes:
        if name == "copyto" and not settings:
            return _copy(i, args[1], out)
        return _of_ufunc(i, name, args, out) if i.kind == "call" and settings == {"out"} else None
    if name in COPIES and args and isinstance(args[0], View) and settings <= {"dtype", "copy"}:
        return _copy(i, args[0], out)
    if name in ("reshape", "ravel", "flatten") and not settings and isinstance(args[0], View):
        return _copy(i, args[0], _turned(out, args[0])) if name == "reshape" or len(args) == 1 else None
    if reduces(i, ("sum", "mean", *EXTREMES)):
        return _sum(i, storages)
    return _of_function(i, storages) if i.kind == "call" else None


def _of_function(i: Instruction, storages: list[Storage]) -> list[Op] | None:
    """An instruction that calls a function of NumPy."""
    assert i.out is not None
    name, args, out, settings = i.name, i.args, i.out, set(i.settings)
    if name == "masked" and not settings and args[1].dtype.kind == "b" and args[0].dtype == out.dtype:
        zero = Constant(out.dtype.type(0))
        return [_op("where", (args[1], args[0], zero), (args[1].dtype, out.dtype, out.dtype), i)]
    if name == "where" and len(args) == 3 and not settings and getattr(args[0], "dtype", "") == "?":
        return [_op("where", args, (args[0].dtype, out.dtype, out.dtype), i)]
    if name in FILLED:
        return _copy(i, FILLED[name], out)
    if name in ("full", "full_like") and len(args) == 2 and isinstance(args[1], int | float):
        return _copy(i, args[1], out)
    if name in ("concatenate", "stack") and len(args) == 1 and settings <= {"axis"}:
        return _joined(i, i.settings.get("axis", 0), storages)
    if name == "einsum" and not settings and len(args) == 3:
        return _products(i)
    return _of_ufunc(i, name, args, out) if not settings else None


def _op(name: str, operands: Iterable[Any], types: Iterable[Any], i: Instruction, out: View | None = None) -> Op:
    """An op in which numbers are of the dtype that they are converted to."""
    types = tuple(types)
    assert i.out is not None
    taken = tuple(_operand(x, t) for x, t in zip(operands, types, strict=True))
    return Op(name, taken, types, out or i.out, None, i)


def _operand(x: Any, dtype: Any) -> View | Constant | Number:
    if isinstance(x, View) and x.strides is not None:
        return x
    if isinstance(x, Symbol | View):
        if dtype.kind != "f" or (isinstance(x, View) and getattr(x.dtype, "kind", "") != "f"):
            raise TypeError("a number that is given has to be a float")
        return Number(x)
    if isinstance(x, Constant):
        return x
    if not isinstance(x, int | float | numpy.generic):
        raise TypeError("neither a view nor a number")
    with numpy.errstate(all="ignore"):
        value = numpy.asarray(x, dtype)[()]
    if (isinstance(x, int) and value != x) or (isinstance(x, float) and math.isfinite(x) and not math.isfinite(value)):
        raise OverflowError("not the number itself, of which NumPy tells")
    return Constant(value)


def _of_ufunc(i: Instruction, name: str | None, args: tuple[Any, ...], out: View) -> list[Op] | None:
    """A ufunc, with the loop that NumPy would take."""
    if name not in UNARY | BINARY or len(args) != (1 if name in UNARY else 2):
        return None
    if name in ("maximum", "minimum") and not probes.second_of_zeros():
        return None
    types = _loop(name, tuple(map(_type, args)))
    if types is None or types[-1] != out.dtype:
        return None
    floats = all(t.kind == "f" for t in types[:-1])
    integers = all(t.kind in "iu" for t in types[:-1])
    logical = name.startswith(("logical", "bitwise")) or name in ("invert", "equal", "not_equal")
    arithmetic = name in (
        "add",
        "subtract",
        "multiply",
        "negative",
        "positive",
        "less",
        "less_equal",
        "greater",
        "greater_equal",
    )
    alike = len(set(types[:-1])) == 1
    if not alike or not (floats or logical or (integers and arithmetic)):
        return None
    return [_op(name, args, types[:-1], i, out)]


def _type(x: Any) -> Any:
    """What NumPy decides by: a dtype, or the type of a number."""
    if isinstance(x, View | numpy.generic):
        return x.dtype
    value = x.value if isinstance(x, Symbol) else x
    return numpy.dtype(bool) if type(value) is bool else type(value)


@functools.cache
def _loop(name: str, types: tuple[Any, ...]) -> Any:
    try:
        return getattr(numpy, name).resolve_dtypes((*types, None))
    except TypeError:
        return None


def _copy(i: Instruction, source: Any, out: View) -> list[Op] | None:
    """Each element as it is, or converted."""
    if isinstance(source, View) and source.strides is not None:
        if len(source.shape) > len(out.shape):
            extra = len(source.shape) - len(out.shape)
            source = source._replace(shape=source.shape[extra:], strides=source.strides[extra:])
        return [_op("copy", (source,), (out.dtype,), i, out)]
    return [_op("copy", (source,), (out.dtype,), i, out)] if out.dtype.kind == "f" else None


def _part(view: View, key: Any, storages: list[Storage]) -> View:
    """The view of `view[key]`, for a key that takes a part without copying."""
    keys = key if isinstance(key, tuple) else (key,)
    if not all(isinstance(k, int | slice | type(Ellipsis) | type(None)) and not isinstance(k, bool) for k in keys):
        raise TypeError("not a part")
    memory = storages[view.storage].memory
    part = array_at(Lent(memory), pointer(memory), view)[(*keys, ...)]
    return view._replace(offset=pointer(part) - pointer(memory), shape=part.shape, strides=part.strides)


def _turned(out: View, source: View) -> View:
    """Where the elements of a source go that is copied in order, as a view of its shape."""
    if out.strides != contiguous(out.shape, out.dtype):
        raise TypeError("not in order")
    return out._replace(shape=source.shape, strides=contiguous(source.shape, out.dtype))


def contiguous(shape: tuple[int, ...], dtype: Any) -> tuple[int, ...]:
    """The strides of an array in the order of its elements."""
    return tuple(math.prod(shape[k + 1 :]) * dtype.itemsize for k in range(len(shape)))


def _joined(i: Instruction, axis: int | None, storages: list[Storage]) -> list[Op] | None:
    """Each part copied to where it stands in the whole."""
    assert i.out is not None
    parts, out, at = [*i.args[0]], i.out, 0
    if not all(isinstance(v, View) and v.strides is not None and v.dtype == out.dtype for v in parts):
        return None
    ops: list[Op] = []
    for n, part in enumerate(parts):
        if i.name == "stack":
            assert axis is not None
            target = _part(out, (*(slice(None),) * (axis % len(out.shape)), n), storages)
        elif axis is None:
            size = math.prod(part.shape)
            flat = _part(out, slice(at, at + size), storages)
            target, at = (_turned(flat, part) if size else flat), at + size
        else:
            axis %= len(out.shape)
            target = _part(out, (*(slice(None),) * axis, slice(at, at + part.shape[axis])), storages)
            at += part.shape[axis]
        if math.prod(part.shape):
            ops += _copy(i, part, target) or []
    return ops


def _sum(i: Instruction, storages: list[Storage]) -> list[Op] | None:
    """A sum or an extreme, and for a mean the division by the count."""
    assert i.out is not None
    x, out, axis = i.args[0], i.out, i.settings.get("axis")
    if x.dtype != out.dtype:
        return None
    axes = tuple(range(len(x.shape))) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    axes = tuple(a % len(x.shape) for a in axes)
    if i.name != "mean":
        return [Op(EXTREMES.get(i.name, "sum"), (x,), (x.dtype,), out, axes, i)]
    memory = numpy.empty(out.shape, out.dtype)
    storages.append(Storage(len(storages), memory, "made"))
    total = View(storages[-1].id, 0, 0, memory.shape, memory.strides, memory.dtype)
    count = math.prod(x.shape) // math.prod(out.shape)
    return [
        Op("sum", (x,), (x.dtype,), total, axes, i),
        _op("divide", (total, count), (out.dtype, out.dtype), i),
    ]


def _products(i: Instruction) -> list[Op] | None:
    """A sum of products of two matrices over their rows."""
    assert i.out is not None
    text, x, y = i.args
    letters = text.replace(" ", "").split("->")[0].split(",") if isinstance(text, str) else [""]
    over_rows = (
        len(letters[0]) == 2 and letters == [letters[0]] * 2 and text.replace(" ", "").endswith("->" + letters[0][1])
    )
    if (
        not over_rows
        or not isinstance(x, View)
        or not isinstance(y, View)
        or x.shape[1] < 2
        or not probes.rounds_products()
    ):
        return None
    rows = contiguous(x.shape, x.dtype)
    if not x.dtype == y.dtype == i.out.dtype or x.shape != y.shape or not x.strides == y.strides == rows:
        return None
    return [Op("dot", (x, y), (x.dtype, y.dtype), i.out, (0,), i)]
