"""Casts, and the one policy for float16.

float16 holds no square of more than 256 and none of less than 3e-4, and above 2048 it cannot count. So what squares, sums,
or takes several roundings works in the accumulator's dtype, float32, and rounds its result once. It lies between two casts
on the tape, so that its backward works there too. Primitives are declared `wide=True` or `Wide`; a composition is written
`narrowed(f(widened(x)), x)`. Other dtypes pass both as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Concatenate

from ..core.backend import Array, Backend, accumulator, get
from ..core.conversion import checked
from ..core.primitive import P, Primitive, R, primitive
from ..core.tensor import Tensor

__all__ = ["astype"]

SCALAR: type[Any] = get("numpy").generic
"""What NumPy makes of one element: a number, which has no backend."""


@primitive(name="astype")
def cast(xp: Backend, x: Array, /, dtype: Any) -> Array:
    """x in another float dtype. Derivative: the incoming gradient in the dtype of x. See `astype`."""
    return x.astype(dtype)


cast.vjp("x")(lambda g, x_like: cast(g, dtype=x_like.dtype))


@primitive(name="astype", nondifferentiable=True)
def discretize(xp: Backend, x: Array, /, dtype: Any) -> Array:
    """x in a dtype without gradients. See `astype`."""
    return x.astype(dtype)


def astype(x: Tensor | Array, dtype: Any) -> Tensor:
    """x in another dtype: a float dtype lets the gradient pass, in the dtype of x; another has none.

    >>> import tinyreg as tr
    >>> tr.astype(tr.tensor([1.5, 2.5]), "int64")
    tensor([1, 2])
    """
    wanted = checked(dtype, "astype: got a result that is to be")
    return (cast if wanted.kind == "f" else discretize)(x, dtype=wanted)


def widened(x: Any) -> Any:
    """x in the dtype in which its values are squared and summed: float16 as float32, anything else as it is.

    x: a Tensor or an array; a number or None has no dtype, and passes.
    """
    wider = accumulator(getattr(x, "dtype", None))
    return x if wider is None else cast(x, dtype=wider)


def narrowed(y: Tensor, like: Any) -> Tensor:
    """What was computed from `widened(like)`, in the dtype of `like` again."""
    return y if accumulator(like.dtype) is None else cast(y, dtype=like.dtype)


def matched(value: Any, like: Any) -> Any:
    """A mask, a weight or a target in the dtype of `like`, which these never decide; a number or None passes."""
    if isinstance(value, SCALAR):
        return value.item()
    return value if getattr(value, "dtype", like.dtype) == like.dtype else astype(value, like.dtype)


class Wide(Primitive[P, R]):
    """A primitive that works in the accumulator's dtype: between a cast of what is float16, and one back of its result."""

    def apply(self, values: Sequence[Any], settings: dict[str, Any]) -> Any:
        """Run the op; see `Primitive.apply`."""
        for value in values:
            if accumulator(getattr(value, "dtype", None)) is not None:
                break
        else:
            return super().apply(values, settings)
        values = self._understood(values)
        dtypes = [value.dtype for value in values if hasattr(value, "dtype")]
        y = super().apply([widened(value) for value in values], settings)
        dtype = get("numpy").result_type(*dtypes)
        return y if accumulator(dtype) is None else cast(y, dtype=dtype)


def wide(**declared: Any) -> Callable[[Callable[Concatenate[Any, P], Any]], Primitive[P, Tensor]]:
    """`primitive` for an op that squares, sums, or rounds several times: see `Wide`."""
    return lambda forward: Wide(forward, **declared)
