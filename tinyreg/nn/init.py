"""Initial values of weights, and the rule that picks them, which is `weight`.

Drawn on the host, so every backend starts from the same numbers; born on the backend in use. `rng` is a generator or a
seed, the default generator (`tr.seed`) if None, `dtype` the default dtype.
"""

from __future__ import annotations

import math
from typing import Any

from .. import ops
from ..core.backend import Array, Shape, current
from ..creation import get_default_dtype
from ..random import Generator, as_generator

RELU_LIKE = ("relu", "leaky_relu", "elu", "gelu", "silu")
SYMMETRIC = ("linear", "tanh", "sigmoid", "softmax")


def weight(shape: Shape, nonlinearity: str = "relu", *, rng: Generator | int | None = None, dtype: Any = None) -> Array:
    """The rule: `he_normal` in front of relu and its kin, which lose half of the signal, `glorot_uniform` elsewhere.

    shape: (outputs, inputs) of a linear layer, or (outputs, inputs, *kernel) of a convolution. nonlinearity: what the
    layer's result goes into: "relu", "leaky_relu", "elu", "gelu" or "silu"; or "linear" (for a last layer), "tanh",
    "sigmoid" or "softmax". (Recurrent layers start what they feed back to themselves from `orthogonal`.)

    Raises `ValueError` for another name, and for a shape without inputs.

    Source: Glorot and Bengio, "Understanding the difficulty of training deep feedforward neural networks", 2010; He et
    al., "Delving Deep into Rectifiers", 2015.

    >>> import tinyreg as tr
    >>> bool(abs(tr.nn.init.weight((2, 4), "tanh", rng=tr.Generator(0))).max() <= 1)  # sqrt(6 / (4 + 2)) is 1
    True
    """
    fan_in, fan_out = fans(shape)
    if nonlinearity in RELU_LIKE:
        return he_normal(shape, fan_in, rng=rng, dtype=dtype)
    if nonlinearity in SYMMETRIC:
        return glorot_uniform(shape, fan_in, fan_out, rng=rng, dtype=dtype)
    known = ", ".join(map(repr, (*RELU_LIKE, *SYMMETRIC)))
    raise ValueError(f"init.weight: got nonlinearity {nonlinearity!r}, expected one of {known}")


def fans(shape: Shape) -> tuple[int, int]:
    """How many inputs each output sums over, and how many outputs each input goes into.

    >>> import tinyreg as tr
    >>> tr.nn.init.fans((8, 3, 5, 5))
    (75, 200)
    """
    if len(shape) < 2:
        raise ValueError(f"init.fans: got shape {list(shape)}, expected (outputs, inputs) or (outputs, inputs, *kernel)")
    kernel = math.prod(shape[2:])
    return shape[1] * kernel, shape[0] * kernel


def he_normal(shape: Shape, fan_in: int, *, rng: Generator | int | None = None, dtype: Any = None) -> Array:
    """Normal numbers of mean 0 and variance 2 / fan_in: relu halves the second moment, and this makes up for it.

    shape: of the weight; fan_in: how many inputs each output sums over, at least 1.

    Raises `ValueError` for a fan_in below 1.

    Source: He et al., "Delving Deep into Rectifiers", 2015.

    >>> import tinyreg as tr
    >>> tr.nn.init.he_normal((3, 2), fan_in=2, rng=tr.Generator(0)).shape
    (3, 2)
    """
    _check_fan("he_normal", fan_in)
    return as_generator(rng, "he_normal").normal(0.0, math.sqrt(2 / fan_in), shape, dtype)


def glorot_uniform(
    shape: Shape, fan_in: int, fan_out: int, *, rng: Generator | int | None = None, dtype: Any = None
) -> Array:
    """Uniform numbers within sqrt(6 / (fan_in + fan_out)), of variance 2 / (fan_in + fan_out): fair to both directions.

    shape: of the weight; fan_in: how many inputs each output sums over; fan_out: how many outputs each input goes into.

    Raises `ValueError` for a fan_in below 1.

    Source: Glorot and Bengio, "Understanding the difficulty of training deep feedforward neural networks", 2010.

    >>> import tinyreg as tr
    >>> bool(abs(tr.nn.init.glorot_uniform((2, 4), 4, 2, rng=tr.Generator(0))).max() <= 1)
    True
    """
    _check_fan("glorot_uniform", fan_in)
    bound = math.sqrt(6 / (fan_in + fan_out))
    return as_generator(rng, "glorot_uniform").uniform(-bound, bound, shape, dtype)


def orthogonal(shape: Shape, *, gain: float = 1.0, rng: Generator | int | None = None, dtype: Any = None) -> Array:
    """`gain` times a random matrix with orthonormal rows, or columns where those are fewer: W W^T or W^T W is gain^2 I.

    shape: of two or more axes; all but the first together are the columns.

    Raises `ValueError` for fewer than two axes.

    Source: Saxe, McClelland and Ganguli, "Exact solutions to the nonlinear dynamics of learning in deep linear neural
    networks", 2014.

    >>> import tinyreg as tr
    >>> w = tr.nn.init.orthogonal((2, 3), rng=tr.Generator(0))
    >>> abs(w @ w.T).round(4).tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """
    if len(shape) < 2:
        raise ValueError(f"orthogonal: got shape {list(shape)}, expected at least two axes")
    rows, columns = shape[0], math.prod(shape[1:])
    long, short = max(rows, columns), min(rows, columns)
    drawn = as_generator(rng, "orthogonal").normal(shape=(long, short), dtype="float64", backend="numpy")
    q, r = ops.qr(drawn)
    q = q * ops.copysign(1.0, ops.diagonal(r))  # otherwise some matrices would be likelier than others
    matrix = gain * (q.T if rows < columns else q)
    return current().asarray(matrix.reshape(shape), dtype=dtype or get_default_dtype())


def _check_fan(name: str, fan_in: int) -> None:
    if fan_in < 1:
        raise ValueError(f"{name}: got fan_in={fan_in}, expected at least 1")
