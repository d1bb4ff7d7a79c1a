"""Normalization of weights: by their lengths, and by the largest singular value."""

from __future__ import annotations

from typing import Any

from .. import ops
from ..arguments import integer, number
from ..core.tape import no_grad
from ..ops.precision import matched, narrowed, widened
from ..signature import described
from .axes import checked_axes, other_axes


def weight_norm(v: Any, g: Any, *, axis: int = 0) -> Any:
    """g v / |v|: a weight by its length and its direction, for each index along `axis`.

    v: floats of any shape with at least one axis, none of its slices along `axis` all 0, where the direction is NaN. g:
    lengths, as long as v along `axis` and 1 elsewhere, so (out_features, 1) for a Linear.

    Raises `ValueError` for a g of another shape.

    Source: Salimans and Kingma, "Weight Normalization", 2016.

    >>> import tinyreg as tr
    >>> tr.normalization.weight_norm(tr.tensor([[3.0, 4.0], [0.0, 2.0]]), tr.tensor([[10.0], [1.0]]))
    tensor([[6., 8.],
            [0., 1.]])
    """
    others = other_axes(v, checked_axes("weight_norm", v, axis, "axis"))
    expected = tuple(1 if i in others else n for i, n in enumerate(v.shape))
    if getattr(g, "shape", None) != expected:
        raise ValueError(f"weight_norm: got g {described(g)} for v {described(v)}, expected shape {list(expected)}")
    wide = widened(v)
    return narrowed(matched(g, wide) * (wide / ops.norm(wide, axis=others, keepdims=True)), v)


def spectral_norm(weight: Any, u: Any = None, v: Any = None, *, axis: int = 0) -> Any:
    """weight / sigma(weight), where sigma is the largest singular value of the weight as a matrix.

    weight: floats of two or more axes; the rows of the matrix are along `axis`, its columns along all the others together.
    Without u and v sigma is exact, by a singular value decomposition. With them, vectors of unit length from
    `power_iteration`, it is u^T W v, which is sigma where they have converged. u: (rows,), v: (columns,), constants:
    gradients flow through sigma by way of the weight alone. A weight of zeros gives NaN.

    Raises `ValueError` for a weight of fewer than two axes, for one of u and v alone, and for shapes that do not fit.

    Source: Miyato et al., "Spectral Normalization for Generative Adversarial Networks", 2018.

    >>> import tinyreg as tr
    >>> tr.normalization.spectral_norm(tr.tensor([[0.0, 2.0], [4.0, 0.0]]))
    tensor([[0. , 0.5],
            [1. , 0. ]])
    """
    matrix = _as_matrix("spectral_norm", weight, axis)
    if (u is None) != (v is None):
        raise ValueError(f"spectral_norm: got {'v' if u is None else 'u'} alone, expected both, or neither")
    wide = widened(weight)
    if u is None:
        return narrowed(wide / ops.largest_singular_value(widened(matrix)), weight)
    rows, columns = matrix.shape
    if getattr(u, "shape", None) != (rows,) or getattr(v, "shape", None) != (columns,):
        raise ValueError(
            f"spectral_norm: got u {described(u)} and v {described(v)}, expected shapes [{rows}] and [{columns}] for a "
            f"weight {described(weight)} whose rows are along axis {axis}"
        )
    return narrowed(wide / (matched(u, wide) @ widened(matrix) @ matched(v, wide)), weight)


def power_iteration(weight: Any, u: Any, *, iterations: int = 1, axis: int = 0, eps: float = 1e-12) -> tuple[Any, Any]:
    """(u, v), nearer to the singular vectors of the largest singular value: v = W^T u / |W^T u|, then u = W v / |W v|.

    weight: as for `spectral_norm`. u: (rows,), of any length but 0. iterations: at least 1. eps: the least length to
    divide by. Nothing is recorded: the results are constants.

    Raises `ValueError` for fewer than one iteration and for shapes that do not fit.

    >>> import tinyreg as tr
    >>> u, v = tr.normalization.power_iteration(tr.tensor([[3.0, 0.0], [0.0, 4.0]]), tr.tensor([1.0, 1.0]), iterations=20)
    >>> u.numpy().round(4).tolist(), v.numpy().round(4).tolist()
    ([0.0, 1.0], [0.0, 1.0])
    """
    matrix = _as_matrix("power_iteration", weight, axis)
    iterations = integer("power_iteration", "iterations", iterations, least=1, expected="at least 1")
    eps = number("power_iteration", "eps", eps, least=0)
    if getattr(u, "shape", None) != matrix.shape[:1]:
        raise ValueError(f"power_iteration: got u {described(u)}, expected shape {list(matrix.shape[:1])}")
    with no_grad():
        wide = widened(matrix)
        u = matched(u, wide)
        for _ in range(iterations):
            v = u @ wide
            v = v / ops.maximum(ops.norm(v), eps)
            u = wide @ v
            u = u / ops.maximum(ops.norm(u), eps)
        return narrowed(u, weight), narrowed(v, weight)


def _as_matrix(name: str, weight: Any, axis: int) -> Any:
    """The weight with its rows along `axis` and everything else in columns."""
    if getattr(weight, "ndim", 0) < 2:
        raise ValueError(f"{name}: got weight {described(weight)}, expected at least two axes")
    (rows,) = checked_axes(name, weight, axis, "axis")
    front = ops.permute_dims(weight, axes=(rows, *other_axes(weight, (rows,)))) if rows else weight
    return ops.reshape(front, (weight.shape[rows], -1))
