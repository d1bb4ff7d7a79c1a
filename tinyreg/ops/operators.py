"""Which op each operator and method of Tensor is: one table, from which Tensor gets them, and a type checker knows them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, Final

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


# Of a type are those that a checker asks for before it has read the ops, or takes for what `object` has; what Python's
# `sum`, `max` and `abs` need is written out, since to pyright no variable is such a method.
class Methods:
    """The operators and methods of Tensor, a row each. Tensor has this for a base to type checkers only: see `bind`."""

    if TYPE_CHECKING:

        def __add__(self, other: Any) -> Tensor: ...
        def __radd__(self, other: Any) -> Tensor: ...
        def __lt__(self, other: Any) -> Tensor: ...
        def __gt__(self, other: Any) -> Tensor: ...
        def __abs__(self) -> Tensor: ...

    else:
        __add__ = _method(e.add)
        __radd__ = _reflected(e.add)
        __lt__ = _comparison(e.less)
        __gt__ = _comparison(e.greater)
        __abs__ = _method(e.abs)

    __sub__: Final = _method(e.subtract)
    __mul__: ClassVar[Operator] = _method(e.multiply)
    __truediv__: Final = _method(e.divide)
    __floordiv__: Final = _method(e.floor_divide)
    __mod__: Final = _method(e.remainder)
    __pow__: Final = _method(transcendental.pow)
    __matmul__: Final = _method(linalg.matmul)
    __and__: Final = _method(e.bitwise_and)
    __or__: Final = _method(e.bitwise_or)
    __xor__: Final = _method(e.bitwise_xor)

    __rsub__: Final = _reflected(e.subtract)
    __rmul__: ClassVar[Operator] = _reflected(e.multiply)
    __rtruediv__: Final = _reflected(e.divide)
    __rfloordiv__: Final = _reflected(e.floor_divide)
    __rmod__: Final = _reflected(e.remainder)
    __rpow__: Final = _reflected(transcendental.pow)
    __rmatmul__: Final = _reflected(linalg.matmul)
    __rand__: Final = _reflected(e.bitwise_and)
    __ror__: Final = _reflected(e.bitwise_or)
    __rxor__: Final = _reflected(e.bitwise_xor)

    __eq__: ClassVar[Operator] = _comparison(e.equal)  # type: ignore[assignment]
    __ne__: ClassVar[Operator] = _comparison(e.not_equal)  # type: ignore[assignment]
    __le__: Final = _comparison(e.less_equal)
    __ge__: Final = _comparison(e.greater_equal)
    __hash__: ClassVar[Callable[[Any], int]] = object.__hash__  # by identity: == is elementwise

    __neg__: Final = _method(e.negative)
    __pos__: Final = _method(e.positive)
    __invert__: Final = _method(e.bitwise_invert)
    __getitem__: Final = indexing.getitem

    abs: Final = _method(e.abs)
    clip: Final = e.clip
    round: Final = _method(e.round)
    sqrt: Final = _method(e.sqrt)
    to: Final = _method(e.to)
    exp: Final = _method(transcendental.exp)
    log: Final = _method(transcendental.log)
    logsumexp: Final = _method(exponential.logsumexp)
    astype: Final = precision.astype
    sum: Final = _method(reduction.sum)
    mean: Final = _method(reduction.mean)
    prod: Final = _method(reduction.prod)
    cumulative_sum: Final = _method(reduction.cumulative_sum)
    max: Final = _method(reduction.max)
    min: Final = _method(reduction.min)
    argmax: Final = _method(reduction.argmax)
    argmin: Final = _method(reduction.argmin)
    var: Final = _method(reduction.var)
    std: Final = _method(reduction.std)
    norm: Final = reduction.norm
    all: Final = _method(reduction.all)
    any: Final = _method(reduction.any)
    reshape: Final = shape.reshape_method
    flatten: Final = shape.flatten
    ravel: Final = shape.flatten
    expand_dims: Final = _method(shape.expand_dims)
    squeeze: Final = _method(shape.squeeze)
    unstack: Final = _method(shape.unstack)
    flip: Final = _method(shape.flip)
    permute_dims: Final = _method(shape.permute_dims)
    transpose: Final = shape.transpose_method
    diagonal: Final = linalg.diagonal
    trace: Final = linalg.trace
    sort: Final = indexing.sort
    take: Final = indexing.take
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
