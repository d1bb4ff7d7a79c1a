"""Affine sampling: images read at places between their pixels, differentiable in the images and in the places."""

from __future__ import annotations

import math
from typing import Any

from .. import ops
from ..arguments import number
from ..core.backend import Array, Backend, described, get
from ..core.fused import fused
from ..core.tensor import Tensor
from ..creation import backend_of
from ..labels import holds
from ..transforms import vjp
from .drawing import LARGEST, accumulated, check_images, is_array

PADDINGS = ("zeros", "edge")
BLOCK = 1 << 16
"""About how many places the fast form reads at a time, so that what it works on stays in the processor's cache."""


@fused(expects="images (N, C, height, width), and rows and columns (N, h, w)")
def sample(images: Tensor | Array, rows: Tensor | Array, columns: Tensor | Array, *, padding: str = "zeros") -> Tensor:
    """images[n, c, rows[n], columns[n]] at places between pixels: the mean of the four around, nearer ones counting more.

    images: (N, C, height, width), floats. rows, columns: (N, h, w), floats, in pixels: 0 is the centre of the first.
    padding: what lies outside, "zeros" or the nearest pixel of the "edge". The result: (N, C, h, w). Derivative in a
    place: the difference of the pixels on either side of it; where it is a pixel's own place, of that pixel and the
    next. What has a share of 0 does not enter, even if it is NaN.

    >>> import tinyreg as tr
    >>> from tinyreg.augment import sample
    >>> image = tr.tensor([[[[0.0, 1.0], [0.5, 0.5]]]])
    >>> sample(image, tr.tensor([[[0.0, 1.0]]]), tr.tensor([[[0.25, 2.0]]]))
    tensor([[[[0.25, 0.  ]]]])
    """
    height, width = images.shape[-2:]
    border = int(padding == "zeros")  # a pixel further out there is nothing but zeros
    rows, columns = ops.clip(rows, -border, height - 1 + border), ops.clip(columns, -border, width - 1 + border)
    top, left = ops.floor(rows), ops.floor(columns)
    down, right = (ops.expand_dims(share, axis=1) for share in (rows - top, columns - left))

    def across(row: Any) -> Any:
        return _towards(_pixels(images, row, left), _pixels(images, row, left + 1), right)

    return ops.astype(_towards(across(top), across(top + 1), down), images.dtype)


def _towards(first: Any, second: Any, share: Any) -> Any:
    """first + share * (second - first), where a second one with a share of 0 does not enter, even if it is NaN."""
    difference = second - first
    lost = ops.logical_and(share == 0, ops.logical_not(ops.isfinite(difference)))
    return first + share * ops.where(lost, 0.0, difference)


def _pixels(images: Any, rows: Any, columns: Any) -> Any:
    """images[n, c, rows[n], columns[n]] at whole numbers; 0 outside."""
    n, channels, height, width = images.shape
    row, column = ops.clip(rows, 0, height - 1), ops.clip(columns, 0, width - 1)
    inside = (row == rows) & (column == columns)
    place = ops.astype(row, "int64") * width + ops.astype(column, "int64")
    first = get(backend_of(images)).arange(n * channels).reshape(n, channels, 1, 1) * (height * width)
    pixels = ops.getitem(ops.reshape(images, (-1,)), first + ops.expand_dims(place, axis=1))
    return ops.where(ops.expand_dims(inside, axis=1), pixels, 0.0)


@sample.fast
def _(xp: Backend, images: Array, rows: Array, columns: Array, *, padding: str) -> tuple[Array, None]:
    return _sampled(xp, images, rows, columns, padding), None


def _sampled(xp: Backend, images: Array, rows: Array, columns: Array, padding: str) -> Array:
    n, height, width = rows.shape
    y = xp.empty((n, images.shape[1], height, width), dtype=images.dtype)
    step = max(1, BLOCK // max(1, height * width))
    for start in range(0, n, step):
        part = slice(start, start + step)
        _sample_block(xp, y[part], images[part], rows[part], columns[part], padding)
    return y


def _sample_block(xp: Backend, y: Array, images: Array, rows: Array, columns: Array, padding: str) -> None:
    """Write samples into y: one index for all channels and corners, which read the padded images from other beginnings."""
    n, channels, height, width = images.shape
    dtype, border = accumulated(images.dtype), int(padding == "zeros")
    tall, wide = height + 2 * border + 1, width + 2 * border + 1  # one more, where a place on the border has its next
    padded = xp.zeros((n, channels, tall, wide), dtype=dtype)
    padded[:, :, border : border + height, border : border + width] = images

    rows, columns = xp.clip(rows, -border, height - 1 + border), xp.clip(columns, -border, width - 1 + border)
    top, left = xp.floor(rows), xp.floor(columns)
    down, right = (rows - top).astype(dtype, copy=False), (columns - left).astype(dtype, copy=False)
    whole = xp.int32 if tall * wide < 1 << 31 else xp.int64  # NumPy makes the short ones of floats in a third of the time
    index = (top.astype(whole) * wide + left.astype(whole)).astype(xp.int64)
    index += (xp.arange(n) * (channels * tall * wide) + border * (wide + 1))[:, None, None]
    flat = padded.reshape(-1)
    on_column, on_row = right == 0, down == 0

    def across(begin: int) -> Array:
        before, after = xp.take(flat[begin:], index), xp.take(flat[begin + 1 :], index)
        after -= before
        xp.copyto(after, 0, where=on_column)  # or 0 times what is not finite is NaN
        after *= right
        after += before
        return after

    for c in range(channels):
        above, below = across(c * tall * wide), across(c * tall * wide + wide)
        below -= above
        xp.copyto(below, 0, where=on_row)
        below *= down
        xp.add(above, below, out=y[:, c])


@sample.backward
def _(g: Any, images: Any, rows: Any, columns: Any, padding: str, wanted: tuple[int, ...]) -> tuple[Any, ...]:
    """The backward of the definition, run again: g times the weight of each pixel for images, times slopes for places."""
    given = [images, rows, columns]

    def of_wanted(*values: Any) -> Any:
        return sample.definition(*[values[wanted.index(i)] if i in wanted else given[i] for i in range(3)], padding=padding)

    _, pull = vjp(of_wanted, *[given[i] for i in wanted])
    gradients = dict(zip(wanted, pull(g), strict=True))
    return tuple(gradients[i].data if i in gradients else None for i in range(3))


def affine(
    images: Tensor | Array,
    angle: Tensor | Array | float = 0.0,
    scale: Tensor | Array | float = 1.0,
    down: Tensor | Array | float = 0.0,
    right: Tensor | Array | float = 0.0,
    *,
    padding: str = "zeros",
) -> Tensor:
    """Each image turned about its centre by `angle`, made `scale` times as large, then moved `down` and to the `right`.

    images: (N, C, height, width), floats. angle, scale, down, right: a number, or one for each sample, (N,), in which
    the result is differentiable, as it is in the images. angle: in degrees, counterclockwise where it is above 0, as in
    `scipy.ndimage.rotate` and torchvision's `rotate`. scale: above 0; above 1 objects grow. down, right: as shares of
    height and width; below 0, up and to the left. padding: what comes in from outside, "zeros" or the "edge" repeated.

    Interpolation is bilinear (see `sample`), and the size stays. Values outside of [0, 1] are as good as others here.

    Raises `TypeError` for images that are not floats, and `ValueError` for other shapes and for a scale not above 0.

    >>> import tinyreg as tr
    >>> image = tr.tensor([[[[1.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 0.0]]]])
    >>> tr.augment.affine(image, angle=90.0).numpy().round(2)[0, 0]
    array([[0., 0., 0.],
           [0., 0., 0.],
           [1., 1., 0.]], dtype=float32)
    >>> tr.augment.affine(image, right=1 / 3)[0, 0]
    tensor([[0., 1., 0.],
            [0., 1., 0.],
            [0., 0., 0.]])
    """
    check_images("affine", images)
    if padding not in PADDINGS:
        raise ValueError(f"affine: got padding={padding!r}, expected 'zeros' or 'edge'")
    turn, size, dy, dx = (
        _each(name, value, images) for name, value in (("angle", angle), ("scale", scale), ("down", down), ("right", right))
    )
    if not holds(size > 0):
        raise ValueError(f"affine: got scale={described(scale)}, expected sizes above 0 throughout")
    height, width = images.shape[2:]
    xp, dtype = get(backend_of(images)), size.dtype
    middle = (height - 1) / 2, (width - 1) / 2
    y = (xp.arange(height, dtype=dtype) - middle[0])[:, None] - dy * height  # of the result's pixels, from the centre
    x = xp.arange(width, dtype=dtype) - middle[1] - dx * width
    radians = turn * (math.pi / 180)
    cos, sin = ops.cos(radians) / size, ops.sin(radians) / size
    return sample(images, cos * y + (sin * x + middle[0]), cos * x + middle[1] - sin * y, padding=padding)


def _each(name: str, value: Any, images: Any) -> Any:
    """A number for each sample, as (N, 1, 1)."""
    n, dtype = images.shape[0], accumulated(images.dtype)
    if not is_array(value):
        value = number("affine", name, value, least=-LARGEST, most=LARGEST)
        return get(backend_of(images)).full((n, 1, 1), value, dtype=dtype)
    if value.shape not in ((), (n,)):
        raise ValueError(
            f"affine: got {name} {described(value)} for images {described(images)}, expected one for each: [{n}]"
        )
    if not holds(ops.isfinite(value)):
        raise ValueError(f"affine: got {name} {described(value)} with NaN or infinity, expected numbers")
    return ops.broadcast_to(ops.reshape(ops.astype(value, dtype), (-1, 1, 1)), (n, 1, 1))
