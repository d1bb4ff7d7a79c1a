"""Which op each operator and method of Tensor is: one table, from which Tensor gets them, and a type checker knows them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from ..core.backend import HOMES
from ..core.primitive import REGISTRY, P, Primitive, R
from ..core.tensor import Tensor
from . import elementwise as e
from . import exponential, indexing, linalg, precision, reduction, shape, transcendental

__all__ = ["Methods", "bind"]

Operator = Callable[[Any, Any], Tensor]
UFUNCS: dict[str, Callable[..., Any]] = {}
"""NumPy's function behind each operator with two sides, by its name, and the op."""


def _of_numpy(op: Primitive[..., Any]) -> None:
    UFUNCS[{"pow": "power"}.get(op.name, op.name)] = op


def _method(op: Primitive[P, R]) -> Callable[P, R]:
    """The function that a call of the op comes to, which is quicker than the op."""
    return op.call


def _reflected(op: Primitive[..., Tensor]) -> Operator:
    """The op with its sides swapped."""
    _of_numpy(op)
    call = op.call
    return lambda self, other: call(other, self)


def _comparison(op: Primitive[..., Tensor]) -> Operator:
    """Elementwise among numbers; with anything else Python's own answer, so that `tensor == None` is False."""

    def compare(self: Tensor, other: Any) -> Any:
        comparable = isinstance(other, Tensor) or hasattr(other, "dtype") or (other is not None and type(other) in HOMES)
        return op(self, other) if comparable else NotImplemented

    _of_numpy(op)
    return compare


# Declared are those that a checker asks for before it has read the ops, or takes for what `object` has; a declared one
# is no method to pyright, where it looks for what `sum` and `max` need.
class Methods:
    """The operators and methods of Tensor, a row each. Tensor has this for a base to type checkers only: see `bind`."""

    __add__ = _method(e.add)
    __sub__ = _method(e.subtract)
    __mul__: ClassVar[Operator] = _method(e.multiply)
    __truediv__ = _method(e.divide)
    __floordiv__ = _method(e.floor_divide)
    __mod__ = _method(e.remainder)
    __pow__ = _method(transcendental.pow)
    __matmul__ = _method(linalg.matmul)
    __and__ = _method(e.bitwise_and)
    __or__ = _method(e.bitwise_or)
    __xor__ = _method(e.bitwise_xor)

    __radd__ = _reflected(e.add)
    __rsub__ = _reflected(e.subtract)
    __rmul__: ClassVar[Operator] = _reflected(e.multiply)
    __rtruediv__ = _reflected(e.divide)
    __rfloordiv__ = _reflected(e.floor_divide)
    __rmod__ = _reflected(e.remainder)
    __rpow__ = _reflected(transcendental.pow)
    __rmatmul__ = _reflected(linalg.matmul)
    __rand__ = _reflected(e.bitwise_and)
    __ror__ = _reflected(e.bitwise_or)
    __rxor__ = _reflected(e.bitwise_xor)

    __eq__: ClassVar[Operator] = _comparison(e.equal)  # type: ignore[assignment]
    __ne__: ClassVar[Operator] = _comparison(e.not_equal)  # type: ignore[assignment]
    __lt__ = _comparison(e.less)
    __le__ = _comparison(e.less_equal)
    __gt__ = _comparison(e.greater)
    __ge__ = _comparison(e.greater_equal)
    __hash__ = object.__hash__  # by identity: == is elementwise

    __neg__ = _method(e.negative)
    __pos__ = _method(e.positive)
    __abs__ = _method(e.abs)
    __invert__ = _method(e.bitwise_invert)
    __getitem__ = indexing.getitem

    abs = _method(e.abs)
    clip = e.clip
    round = _method(e.round)
    sqrt = _method(e.sqrt)
    to = _method(e.to)
    exp = _method(transcendental.exp)
    log = _method(transcendental.log)
    logsumexp = _method(exponential.logsumexp)
    astype = precision.astype
    sum = _method(reduction.sum)
    mean = _method(reduction.mean)
    prod = _method(reduction.prod)
    cumulative_sum = _method(reduction.cumulative_sum)
    max = _method(reduction.max)
    min = _method(reduction.min)
    argmax = _method(reduction.argmax)
    argmin = _method(reduction.argmin)
    var = _method(reduction.var)
    std = _method(reduction.std)
    norm = reduction.norm
    all = _method(reduction.all)
    any = _method(reduction.any)
    reshape = shape.reshape_method
    flatten = shape.flatten
    ravel = shape.flatten
    expand_dims = _method(shape.expand_dims)
    squeeze = _method(shape.squeeze)
    unstack = _method(shape.unstack)
    flip = _method(shape.flip)
    permute_dims = _method(shape.permute_dims)
    transpose = shape.transpose_method
    diagonal = linalg.diagonal
    trace = linalg.trace
    sort = indexing.sort
    take = indexing.take
    T: Tensor = property(shape.transpose_method, doc="The axes in reverse order.")  # type: ignore[assignment]
    mT: Tensor = property(shape.matrix_transpose, doc="The last two axes swapped.")  # type: ignore[assignment]  # noqa: N815


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
    for name, method in vars(Methods).items():
        if callable(method) or isinstance(method, property):
            setattr(Tensor, name, method)
    Tensor.__array_ufunc__ = _Ufunc()
