"""What every loss asks of its arguments, and how it ends: the checks, the reduction, and what may enter a product."""

from __future__ import annotations

from typing import Literal

from .. import ops
from ..arguments import number
from ..core.backend import Array, described, is_float
from ..core.tensor import Tensor
from ..labels import kind_of
from ..messages import explained
from ..ops.precision import matched, narrowed, widened

Reduction = Literal["mean", "sum", "none"]
"""What becomes of the losses of all elements, or of all rows: their mean, their sum, or nothing."""


def matched_pair(
    loss: str, prediction: Tensor | Array, target: Tensor | Array, reduction: Reduction
) -> tuple[Tensor, Tensor]:
    """Check a prediction and its target, and give both in the dtype in which the loss is worked out."""
    check_reduction(loss, reduction)
    check_arrays(loss, prediction=prediction, target=target)
    if getattr(prediction, "shape", ()) != getattr(target, "shape", ()):
        raise ValueError(
            explained(
                loss,
                "prediction and target differ in shape, and a loss does not broadcast",
                got=f"prediction {described(prediction)} and target {described(target)}",
                expected="one shape",
                remedy="target.reshape(prediction.shape), where that is what you mean",
            )
        )
    if not is_float(prediction):
        raise TypeError(f"{loss}: got prediction {described(prediction)}, expected floats; use tr.tensor or astype")
    wide = widened(prediction)
    return wide, matched(target, wide)


def check_arrays(loss: str, **values: object) -> None:
    """Refuse what is neither a tensor nor an array nor a number."""
    for name, value in values.items():
        if not isinstance(value, int | float) and kind_of(value) is None:
            raise TypeError(f"{loss}: got {name} {value!r:.80}, expected a tensor or an array: tr.tensor(...)")


def check_broadcast(loss: str, name: str, value: Tensor | Array | None, like: Tensor) -> None:
    """Refuse a weight that cannot be repeated to the shape of the losses: they must not grow by it."""
    if value is not None:
        check_arrays(loss, **{name: value})
    shape = getattr(value, "shape", ())
    repeats = all(n in (1, m) for n, m in zip(shape[::-1], like.shape[::-1], strict=False))
    if len(shape) > like.ndim or not repeats:
        raise ValueError(
            explained(
                loss,
                f"{name} does not broadcast to the losses",
                got=f"{name} {described(value)} for logits {described(like)}",
                expected="a shape that can be repeated to that of the logits",
                remedy=f"{name}.reshape(...) with a 1 for each axis along which it is the same",
            )
        )


def check_reduction(loss: str, reduction: str) -> None:
    """Refuse any other word for a reduction."""
    if reduction not in ("mean", "sum", "none"):
        raise ValueError(f"{loss}: got reduction={reduction!r}, expected 'mean', 'sum' or 'none'")


def above_0(loss: str, name: str, value: float) -> float:
    """A number above 0, as Python's."""
    python = number(loss, name, value, least=0, expected="more than 0")
    if not python:
        raise ValueError(f"{loss}: got {name}={value}, expected more than 0")
    return python


def entering(x: Tensor, share: Tensor | float) -> Tensor:
    """What may enter a product with `share`: x, but 0 in place of NaN and infinities where the share is 0."""
    return ops.where(ops.logical_or(share != 0, ops.isfinite(x)), x, 0.0)


def reduced(losses: Tensor, reduction: str, share: Tensor | None = None) -> Tensor:
    """The losses, their sum, or their mean, in which row i counts `share[i]` of a row; a mean over nothing is 0."""
    if reduction == "none":
        return losses
    summed = reduction == "sum" or not losses.size
    loss: Tensor = ops.sum(losses) if summed else ops.mean(losses)
    if summed or share is None:
        return loss
    total = ops.mean(share)
    return ops.divide(loss, ops.where(total == 0, 1.0, total))


def rounded(loss: Tensor, like: Tensor | Array) -> Tensor:
    """A loss that was worked out in a wider dtype, in the dtype of the prediction."""
    return narrowed(loss, like)
