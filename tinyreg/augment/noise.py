"""Gaussian noise and Gaussian blur."""

from __future__ import annotations

from .. import ops
from ..arguments import number
from ..core.backend import Array, Backend, get
from ..core.tensor import Tensor
from ..creation import backend_of
from ..random import Generator, as_generator
from ..symbols import whole
from .drawing import LARGEST, Range, check_images, check_range, check_values, uniform

REACH = 4.0
"""How many standard deviations of a blur are summed over."""


def gaussian_noise(images: Tensor | Array, std: float = 0.05, *, rng: Generator | int | None = None) -> Tensor:
    """images + std * z, clipped to [0, 1], with a standard normal z for each element.

    images: (N, C, height, width), floats in [0, 1]. std: at least 0, in the units of the images. rng: the default
    generator if None.

    Raises `TypeError` for images that are not floats, `ValueError` for other shapes, for values out of [0, 1], and for
    a negative std.

    >>> import tinyreg as tr
    >>> tr.augment.gaussian_noise(tr.tensor([[[[0.25, 0.75]]]]), 0.1, rng=tr.Generator(0)).numpy().round(3)[0, 0]
    array([[0.263, 0.737]], dtype=float32)
    """
    check_images("gaussian_noise", images)
    std = number("gaussian_noise", "std", std, least=0, most=LARGEST, expected="a number of at least 0")
    check_values("gaussian_noise", images)
    noise = as_generator(rng, "gaussian_noise").normal(0.0, std, images.shape, images.dtype, backend_of(images))
    return ops.clip(images + noise, 0.0, 1.0)


def gaussian_blur(images: Tensor | Array, sigmas: Range = (0.1, 2.0), *, rng: Generator | int | None = None) -> Tensor:
    """Each image convolved with exp(-d^2 / (2 sigma^2)), normalized, with a sigma of its own from the range `sigmas`.

    images: (N, C, height, width), floats. sigmas: (low, high), above 0, in pixels. The sum goes over 4 sigma to each
    side, and the image is mirrored at its edges (d c b a | a b c d | d c b a): the defaults of
    `scipy.ndimage.gaussian_filter`. rng: a generator or a seed; the default generator if None.

    Rows and columns are blurred one after the other, each by a product with a matrix that holds the mirrored ends. So a
    pixel that is not finite spreads over its whole image.

    Raises `TypeError` for images that are not floats, `ValueError` for other shapes and for a range that is none.

    >>> import tinyreg as tr
    >>> tr.augment.gaussian_blur(tr.tensor([[[[0.0, 0.0, 1.0, 0.0, 0.0]]]]), (0.5, 0.5)).numpy().round(3)[0, 0]
    array([[0.   , 0.106, 0.787, 0.106, 0.   ]], dtype=float32)
    """
    check_images("gaussian_blur", images)
    limits = check_range("gaussian_blur", "sigmas", sigmas, least=1e-6, words=" above 0")
    xp = get(backend_of(images))
    sigma = uniform(images, limits, as_generator(rng, "gaussian_blur"))
    down, across = (_blurring(xp, sigma, n).astype(images.dtype, copy=False)[:, None] for n in images.shape[2:])
    return ops.matmul(down @ images, ops.matrix_transpose(across))


@whole
def _blurring(xp: Backend, sigma: Array, n: int) -> Array:
    """Matrices (N, n, n) that blur a line of n pixels, one for each sigma."""
    reach = int(REACH * float(sigma.max()) + 0.5) if sigma.size else 0
    steps = xp.arange(-reach, reach + 1)
    distance = abs(steps).astype(sigma.dtype)
    own = xp.floor(REACH * sigma + 0.5)[:, None]
    weights = xp.where(distance <= own, xp.exp(-0.5 * (distance / sigma[:, None]) ** 2), 0).astype(sigma.dtype)
    weights /= weights.sum(axis=1, keepdims=True)
    place = (xp.arange(n) + steps[:, None]) % (2 * n)
    mirrored = xp.minimum(place, 2 * n - 1 - place)
    taps = (mirrored[:, :, None] == xp.arange(n)).astype(sigma.dtype)  # of a step: which pixel each reads
    return (weights @ taps.reshape(len(steps), n * n)).reshape(len(sigma), n, n)
