"""Dropout and its kin: noise in training that leaves the mean as it is. A mask is drawn, then an op applies it.

`p` is the share that is dropped. `training` has no default, so that nothing is dropped unasked. `rng` is a `tr.Generator`,
the default one (`tr.seed`) if None, or a seed, which gives the same mask at every call. Where nothing is to be dropped, out
of training or for p = 0, the argument itself comes back and nothing is drawn. Masks are applied with `where`: an infinite
activation that is dropped is 0, not NaN.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from . import ops
from .arguments import number
from .core.backend import Array, accumulator, described, is_float
from .core.tensor import Tensor
from .creation import backend_of
from .ops.elementwise import masked
from .ops.precision import narrowed, widened
from .random import Generator, as_generator

__all__ = ["alpha_dropout", "drop_connect", "drop_path", "dropout", "gaussian_dropout", "spatial_dropout"]

ALPHA = -1.7580993408473766  # what selu tends to for large negative x
"""The value that `alpha_dropout` gives to what it drops."""
SHARE = "a share from 0 to 1: how much is dropped"


def dropout(x: Tensor | Array, p: float, *, training: bool, rng: Generator | int | None = None) -> Tensor:
    """mask * x / (1 - p), where each element of the mask is 0 with probability p, otherwise 1: inverted dropout.

    x: floats of any shape, each element dropped by itself. p: in [0, 1]; for p = 1 everything is 0. The mean stays what it
    was, so out of training x is left as it is.

    Raises `ValueError` for p out of range, and `TypeError` for an x that is not of floats.

    Source: Srivastava et al., "Dropout: A Simple Way to Prevent Neural Networks from Overfitting", 2014.

    >>> import tinyreg as tr
    >>> tr.dropout.dropout(tr.ones(5), 0.5, training=True, rng=tr.Generator(2))
    tensor([2., 0., 2., 2., 2.])
    >>> tr.dropout.dropout(tr.ones(5), 0.5, training=False)
    tensor([1., 1., 1., 1., 1.])
    """
    return _dropped("dropout", x, p, None, training, rng)


def spatial_dropout(x: Tensor | Array, p: float, *, training: bool, rng: Generator | int | None = None) -> Tensor:
    """`dropout` of whole channels: the mask has one element for each sample and channel.

    x: (N, C, ...), floats; neighbours in a feature map say much the same, so dropping them one by one would drop little.
    p: in [0, 1]. PyTorch calls it Dropout1d, 2d and 3d.

    Raises `ValueError` for p out of range and for an x of fewer than two axes.

    Source: Tompson et al., "Efficient Object Localization Using Convolutional Networks", 2015.

    >>> import tinyreg as tr
    >>> tr.dropout.spatial_dropout(tr.ones((1, 4, 2)), 0.5, training=True, rng=tr.Generator(2))
    tensor([[[2., 2.],
             [0., 0.],
             [2., 2.],
             [2., 2.]]])
    """
    if getattr(x, "ndim", 0) < 2:
        raise ValueError(f"spatial_dropout: got x {described(x)}, expected (N, C, ...)")
    return _dropped("spatial_dropout", x, p, 2, training, rng)


def drop_path(x: Tensor | Array, p: float, *, training: bool, rng: Generator | int | None = None) -> Tensor:
    """`dropout` of whole samples: the mask has one element for each. Also called stochastic depth.

    x: (N, ...), floats: what a residual branch adds, so that `h + drop_path(f(h), ...)` skips the branch for some samples.
    p: in [0, 1].

    Raises `ValueError` for p out of range and for an x of no axes.

    Source: Huang et al., "Deep Networks with Stochastic Depth", 2016.

    >>> import tinyreg as tr
    >>> tr.dropout.drop_path(tr.ones((4, 2)), 0.5, training=True, rng=tr.Generator(2))
    tensor([[2., 2.],
            [0., 0.],
            [2., 2.],
            [2., 2.]])
    """
    if not getattr(x, "ndim", 0):
        raise ValueError(f"drop_path: got x {described(x)}, expected (N, ...)")
    return _dropped("drop_path", x, p, 1, training, rng)


def drop_connect(weight: Tensor | Array, p: float, *, training: bool, rng: Generator | int | None = None) -> Tensor:
    """`dropout` of the connections of a layer: mask * weight / (1 - p), one mask for the whole batch.

    weight: floats of any shape. p: in [0, 1]. Out of training the weight is left as it is, which is its mean over masks
    (the source draws from a normal distribution there).

    Raises `ValueError` for p out of range.

    Source: Wan et al., "Regularization of Neural Networks using DropConnect", 2013.

    >>> import tinyreg as tr
    >>> tr.dropout.drop_connect(tr.ones((2, 2)), 0.5, training=True, rng=tr.Generator(2))
    tensor([[2., 0.],
            [2., 2.]])
    """
    return _dropped("drop_connect", weight, p, None, training, rng)


def alpha_dropout(x: Tensor | Array, p: float, *, training: bool, rng: Generator | int | None = None) -> Tensor:
    """a where(mask, x, alpha) + b: dropout for networks of selu, which keeps a mean of 0 and a variance of 1.

    Dropped elements become alpha = -1.7581, the value that selu tends to; with q = 1 - p,
    a = (q + alpha^2 q p)^(-1/2) and b = -a p alpha. x: floats of any shape. p: in [0, 1]; for p = 1 everything is 0.

    Raises `ValueError` for p out of range.

    Source: Klambauer et al., "Self-Normalizing Neural Networks", 2017.

    >>> import tinyreg as tr
    >>> tr.dropout.alpha_dropout(tr.zeros(5), 0.5, training=True, rng=tr.Generator(2)).numpy().round(4)
    array([ 0.7792, -0.7792,  0.7792,  0.7792,  0.7792], dtype=float32)
    """
    if not (p := _share("alpha_dropout", x, p, training)):
        return x
    mask = Mask.drawn("alpha_dropout", x, p, rng).array
    if p == 1:
        return ops.where(mask, x, 0.0)
    a = (1 - p + ALPHA**2 * p * (1 - p)) ** -0.5
    y = widened(x)
    return narrowed(ops.where(mask, a * y - a * p * ALPHA, a * ALPHA * (1 - p)), x)


def gaussian_dropout(x: Tensor | Array, p: float, *, training: bool, rng: Generator | int | None = None) -> Tensor:
    """x * noise, where the noise is normal, of mean 1 and variance p / (1 - p), as that of `dropout`.

    x: floats of any shape. p: in [0, 1).

    Raises `ValueError` for p out of range.

    Source: Srivastava et al., "Dropout: A Simple Way to Prevent Neural Networks from Overfitting", 2014, section 10.

    >>> import tinyreg as tr
    >>> tr.dropout.gaussian_dropout(tr.ones(2), 0.5, training=True, rng=tr.Generator(2)).numpy().round(3)
    array([1.189, 0.477], dtype=float32)
    """
    if p == 1:
        raise ValueError("gaussian_dropout: got p=1, expected a share from 0 to below 1: the noise would be infinite")
    if not (p := _share("gaussian_dropout", x, p, training)):
        return x
    std, dtype = math.sqrt(p / (1 - p)), accumulator(x.dtype) or x.dtype
    noise = as_generator(rng, "gaussian_dropout").normal(1.0, std, x.shape, dtype, backend_of(x))
    return narrowed(widened(x) * noise, x)


# ---- masks -----------------------------------------------------------------------------------------------------------


class Mask(NamedTuple):
    """What a dropout leaves: booleans that broadcast to its argument, drawn with a share p to be dropped."""

    array: Any
    p: float

    @staticmethod
    def scale_of(p: float) -> float:
        """By how much larger what stays becomes where a share p is dropped."""
        return 1.0 if p == 1 else 1 / (1 - p)

    @property
    def scale(self) -> float:
        """By how much larger what stays becomes."""
        return self.scale_of(self.p)

    @classmethod
    def drawn(cls, where: str, x: Any, p: float, rng: Generator | int | None, own: int | None = None) -> Mask:
        """Draw a mask for x, with the first `own` axes of x or with all of them; `where` is what an error names."""
        shape = x.shape if own is None else (*x.shape[:own], *[1] * (x.ndim - own))
        return cls(as_generator(rng, where).bernoulli(1 - p, shape, backend_of(x)), p)


_MASKED = {"dropout": masked} | {name: masked.named(name) for name in ("spatial_dropout", "drop_path", "drop_connect")}


def _dropped(
    name: str, x: Tensor | Array, p: float, own: int | None, training: bool, rng: Generator | int | None
) -> Tensor:
    """x with zeros where a mask says so, the rest larger by as much; the mask has the first `own` axes of x, or all."""
    if not (p := _share(name, x, p, training)):
        return x
    mask = Mask.drawn(name, x, p, rng, own)
    return _MASKED[name](x, mask.array, scale=mask.scale)


def _share(name: str, x: Any, p: float, training: bool) -> float:
    """How much is to be dropped: p in training, otherwise nothing."""
    p = number(name, "p", p, least=0, most=1, expected=SHARE)
    if not is_float(x):
        raise TypeError(f"{name}: got {described(x)}, expected floats")
    return p if training else 0
