"""Which op each operator and method of Tensor is: the tables, and their binding."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..core.backend import HOMES
from ..core.primitive import REGISTRY, Primitive
from ..core.tensor import Tensor
from . import elementwise as e
from . import exponential, indexing, linalg, precision, reduction, shape, transcendental

BINARY = {
    "add": e.add,
    "sub": e.subtract,
    "mul": e.multiply,
    "truediv": e.divide,
    "floordiv": e.floor_divide,
    "mod": e.remainder,
    "pow": transcendental.pow,
    "matmul": linalg.matmul,
    "and": e.bitwise_and,
    "or": e.bitwise_or,
    "xor": e.bitwise_xor,
}
COMPARISONS = {
    "eq": e.equal,
    "ne": e.not_equal,
    "lt": e.less,
    "le": e.less_equal,
    "gt": e.greater,
    "ge": e.greater_equal,
}
UNARY = {"neg": e.negative, "pos": e.positive, "abs": e.abs, "invert": e.bitwise_invert}
METHODS: dict[str, Callable[..., Any]] = {
    "abs": e.abs,
    "astype": precision.astype,
    "clip": e.clip,
    "exp": transcendental.exp,
    "log": transcendental.log,
    "round": e.round,
    "sqrt": e.sqrt,
    "to": e.to,
    "all": reduction.all,
    "any": reduction.any,
    "argmax": reduction.argmax,
    "argmin": reduction.argmin,
    "cumulative_sum": reduction.cumulative_sum,
    "logsumexp": exponential.logsumexp,
    "max": reduction.max,
    "mean": reduction.mean,
    "min": reduction.min,
    "norm": reduction.norm,
    "prod": reduction.prod,
    "std": reduction.std,
    "sum": reduction.sum,
    "var": reduction.var,
    "expand_dims": shape.expand_dims,
    "flatten": shape.flatten,
    "flip": shape.flip,
    "permute_dims": shape.permute_dims,
    "ravel": shape.flatten,
    "reshape": shape.reshape_method,
    "squeeze": shape.squeeze,
    "transpose": shape.transpose_method,
    "unstack": shape.unstack,
    "diagonal": linalg.diagonal,
    "trace": linalg.trace,
    "sort": indexing.sort,
    "take": indexing.take,
}


def _function(op: Callable[..., Any]) -> Callable[..., Any]:
    """The function that a call of the op comes to: as an attribute of Tensor it is a method, which an op is not."""
    return op.__call__ if isinstance(op, Primitive) else op


def _reflected(op: Callable[..., Any]) -> Callable[..., Any]:
    call = _function(op)
    return lambda self, other: call(other, self)


def _comparison(op: Callable[..., Any]) -> Callable[..., Any]:
    """Elementwise among numbers; with anything else Python's own answer, so that `tensor == None` is False."""

    def compare(self: Tensor, other: Any) -> Any:
        comparable = isinstance(other, Tensor) or hasattr(other, "dtype") or (other is not None and type(other) in HOMES)
        return op(self, other) if comparable else NotImplemented

    return compare


UFUNCS = {{"pow": "power"}.get(op.name, op.name): op for op in [*BINARY.values(), *COMPARISONS.values()]}
"""NumPy's function behind each operator with two sides, by its name, and the op."""


def _ufunc(self: Tensor, ufunc: Any, method: str, *inputs: Any, out: Any = (None,), **settings: Any) -> Any:
    """An operator with an array of NumPy on its left; any other function of NumPy is told what to use instead."""
    name: str = ufunc.__name__
    if (
        method == "__call__" and name in UFUNCS and (out[0] is None or out[0] is inputs[0]) and not settings
    ):  # out: array += tensor
        return UFUNCS[name](*inputs)
    raise TypeError(f"np.{name} got a Tensor, expected arrays; use {f'tr.{name}(x)' if name in REGISTRY else '.numpy()'}")


class _Ufunc:
    """NumPy looks at the class of an operand, and finds a function; CuPy at the operand, whose None lets it decide."""

    def __get__(self, instance: Any, owner: Any) -> Any:
        return _ufunc if instance is None else None


def bind() -> None:
    """Give Tensor its operators and methods."""
    for name, op in BINARY.items():
        setattr(Tensor, f"__{name}__", _function(op))
        setattr(Tensor, f"__r{name}__", _reflected(op))
    for name, op in COMPARISONS.items():
        setattr(Tensor, f"__{name}__", _comparison(op))
    for name, op in UNARY.items():
        setattr(Tensor, f"__{name}__", _function(op))
    for name, method in METHODS.items():
        setattr(Tensor, name, _function(method))
    Tensor.__array_ufunc__ = _Ufunc()
    Tensor.__getitem__ = indexing.getitem  # type: ignore[assignment]
    Tensor.T = property(shape.transpose_method, doc="The axes in reverse order.")  # type: ignore[assignment]
    Tensor.mT = property(shape.matrix_transpose, doc="The last two axes swapped.")  # type: ignore[assignment]
