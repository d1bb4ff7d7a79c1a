"""Random brightness, contrast and saturation, as torchvision defines them: a mixture with black, with grey, without colour.

Each works on images in [0, 1] with factors around 1, and clips its result to [0, 1].
"""

from __future__ import annotations

from typing import Any

from .. import ops
from ..core.backend import Array, described, get
from ..core.tensor import Tensor
from ..creation import backend_of
from ..random import Generator, as_generator
from .drawing import Range, check_images, check_range, check_values, column, uniform

GREY = (0.2989, 0.587, 0.114)
"""What red, green and blue count for in how light a colour looks (ITU-R BT.601, to the digits that torchvision has)."""


def brightness(images: Tensor | Array, factors: Range = (0.8, 1.2), *, rng: Generator | int | None = None) -> Tensor:
    """factor * images, clipped to [0, 1], with a factor for each image, drawn from the range `factors`.

    images: (N, C, height, width), floats in [0, 1]. factors: (low, high), at least 0; 0 is black, 1 the image itself.
    rng: a generator or a seed; the default generator if None.

    Raises `TypeError` for images that are not floats, `ValueError` for other shapes, for values out of [0, 1], and for
    a range that is none.

    >>> import tinyreg as tr
    >>> tr.augment.brightness(tr.tensor([[[[0.25, 0.75]]]]), (2, 2))[0, 0]
    tensor([[0.5, 1. ]])
    """
    factor = _factor("brightness", images, factors, rng)
    return ops.clip(images * factor, 0.0, 1.0)


def contrast(images: Tensor | Array, factors: Range = (0.8, 1.2), *, rng: Generator | int | None = None) -> Tensor:
    """factor * images + (1 - factor) * mean, clipped to [0, 1], where the mean is that of the image in grey.

    images: (N, 1 or 3, height, width), floats in [0, 1]. factors: (low, high), at least 0, a factor for each image; 0
    is plain grey, 1 the image itself. rng: a generator or a seed; the default generator if None.

    Raises `TypeError` for images that are not floats, `ValueError` for other shapes, for values out of [0, 1], and for
    a range that is none.

    >>> import tinyreg as tr
    >>> tr.augment.contrast(tr.tensor([[[[0.25, 0.75]]]]), (0.5, 0.5))[0, 0]
    tensor([[0.375, 0.625]])
    """
    factor = _factor("contrast", images, factors, rng)
    mean = ops.mean(_grey("contrast", images), axis=(1, 2, 3), keepdims=True)
    return _mixed(images, mean, factor)


def saturation(images: Tensor | Array, factors: Range = (0.8, 1.2), *, rng: Generator | int | None = None) -> Tensor:
    """factor * images + (1 - factor) * grey, clipped to [0, 1]: a factor of 0 takes all colour out.

    images: (N, 1 or 3, height, width), floats in [0, 1]; those of one channel stay as they are. factors: (low, high),
    at least 0, a factor for each image. rng: a generator or a seed; the default generator if None.

    Raises `TypeError` for images that are not floats, `ValueError` for other shapes, for values out of [0, 1], and for
    a range that is none.

    >>> import tinyreg as tr
    >>> tr.augment.saturation(tr.tensor([[[[1.0]], [[0.0]], [[0.0]]]]), (0, 0))[0, :, 0, 0]
    tensor([0.2989, 0.2989, 0.2989])
    """
    factor = _factor("saturation", images, factors, rng)
    return _mixed(images, _grey("saturation", images), factor)


def _factor(name: str, images: Any, factors: Range, rng: Generator | int | None) -> Any:
    """A factor for each image, in its dtype."""
    check_images(name, images)
    limits = check_range(name, "factors", factors, least=0, words=" of at least 0")
    check_values(name, images)
    return column(uniform(images, limits, as_generator(rng, name)).astype(images.dtype, copy=False))


def _grey(name: str, images: Any) -> Any:
    """How light each pixel is, (N, 1, height, width)."""
    if images.shape[1] == 1:
        return images
    if images.shape[1] != len(GREY):
        raise ValueError(f"{name}: got images {described(images)}, expected 1 channel, or 3: red, green and blue")
    weights = get(backend_of(images)).asarray(GREY, dtype=images.dtype)
    return ops.sum(images * weights.reshape(3, 1, 1), axis=1, keepdims=True)


def _mixed(images: Any, other: Any, factor: Any) -> Tensor:
    return ops.clip(other + factor * (images - other), 0.0, 1.0)
