"""Boxes: cutout, and what CutMix has in common with it."""

from __future__ import annotations

from typing import Any

from ..arguments import number
from ..core.backend import Array, Backend, get, is_float
from ..core.primitive import primitive
from ..core.tensor import Tensor
from ..creation import backend_of
from ..random import Generator, as_generator
from .drawing import check_images, check_size, column


def cutout(
    images: Tensor | Array,
    size: int | float | tuple[int, int] = 0.5,
    *,
    value: float = 0.0,
    rng: Generator | int | None = None,
) -> Tensor:
    """Each image with a box around a random pixel of its own filled with `value`; what is over the edge is cut off.

    images: (N, C, height, width), floats. size: of the box, in pixels, (rows, columns) or one number for both, or as a
    share of height and width, a float from 0 to 1. So 1 is a pixel and 1.0 the whole. rng: a generator or a seed; the
    default generator if None.

    The box's middle may be any pixel, so at the edges less is erased than `size` says, as in the source.

    Raises `TypeError` for images that are not floats, and `ValueError` for other shapes and for a size that is none.

    Source: DeVries and Taylor, "Improved Regularization of Convolutional Neural Networks with Cutout", 2017.

    >>> import tinyreg as tr
    >>> tr.augment.cutout(tr.ones((1, 1, 3, 4)), 2, rng=tr.Generator(2))[0, 0]
    tensor([[1., 1., 1., 1.],
            [0., 0., 1., 1.],
            [0., 0., 1., 1.]])
    """
    check_images("cutout", images)
    n, _, *shape = images.shape
    xp = get(backend_of(images))
    rows, columns = (xp.full(n, side) for side in _sides(size, shape))
    value = number("cutout", "value", value)
    return erase(images, box(images, rows, columns, as_generator(rng, "cutout")), value=value)


def box(images: Tensor | Array, rows: Array, columns: Array, rng: Generator) -> Array:
    """Where the box of each image is, (N, 1, height, width): around a random pixel, without what is over the edge.

    rows, columns: (N,), integers: how large.
    """
    place = backend_of(images)
    inside = []
    for axis, sides in ((2, rows), (3, columns)):
        start = rng.integers(0, images.shape[axis], images.shape[0], place) - sides // 2
        at = get(place).arange(images.shape[axis])[:, None] if axis == 2 else get(place).arange(images.shape[axis])
        inside.append((at >= column(start)) & (at < column(start + sides)))
    return inside[0] & inside[1]


def _sides(size: Any, shape: list[int]) -> tuple[int, int]:
    """Rows and columns of a box, in pixels."""
    expected = "pixels, (rows, columns) or one number, or a share from 0.0 to 1.0"
    if isinstance(size, float) or is_float(size):
        share = number("cutout", "size", size, least=0, most=1, expected=expected)
        return round(share * shape[0]), round(share * shape[1])
    return check_size("cutout", size, 0, expected)


@primitive(name="cutout", nondifferentiable=("inside",), expects="a mask that broadcasts to x")
def erase(xp: Backend, x: Array, inside: Array, *, value: float = 0.0) -> Array:
    """x with `value` where the mask says so: `where` with less work.

    x: any shape; inside: booleans that broadcast to it. Derivative: the incoming gradient, 0 inside.
    """
    y = xp.array(x)
    xp.copyto(y, value, where=inside)
    return y


@erase.vjp("x")
def _(g: Any, inside: Any) -> Tensor:
    return erase(g, inside)
