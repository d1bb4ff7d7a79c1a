"""Random geometry: rotate, scale and shift by interpolation; flip and crop by whole pixels."""

from __future__ import annotations

from typing import Any

from .. import ops
from ..arguments import integer
from ..core.backend import Array, Backend, Shape, described
from ..core.primitive import primitive
from ..core.tensor import Tensor
from ..creation import backend_of
from ..random import Generator, as_generator
from ..symbols import whole
from .drawing import Range, check_images, check_range, check_share, check_size, uniform
from .sampling import affine

Two = tuple[int, int]
AXES = {"horizontal": 3, "vertical": 2}


def rotate(
    images: Tensor | Array, degrees: Range = (-15.0, 15.0), *, padding: str = "zeros", rng: Generator | int | None = None
) -> Tensor:
    """Each image turned about its centre by an angle of its own, drawn from the range `degrees`.

    images: (N, C, height, width), floats; the size stays. degrees: (low, high), counterclockwise above 0. padding: what
    comes in from outside, "zeros" or the "edge" repeated. rng: a generator or a seed; the default generator if None.
    See `affine`.

    Raises `TypeError` for images that are not floats, `ValueError` for other shapes and for a range that is none.

    >>> import tinyreg as tr
    >>> image = tr.tensor([[[[0.0, 0.5], [0.0, 1.0]]]])
    >>> tr.augment.rotate(image, (90, 90)).numpy().round(2)[0, 0]
    array([[0.5, 1. ],
           [0. , 0. ]], dtype=float32)
    """
    check_images("rotate", images)
    limits = check_range("rotate", "degrees", degrees)
    return affine(images, angle=uniform(images, limits, as_generator(rng, "rotate")), padding=padding)


def scale(
    images: Tensor | Array, factors: Range = (0.9, 1.1), *, padding: str = "zeros", rng: Generator | int | None = None
) -> Tensor:
    """Each image made larger or smaller about its centre by a factor of its own, drawn from the range `factors`.

    images: (N, C, height, width), floats; the size stays. factors: (low, high), above 0; above 1 objects grow. padding:
    what comes in from outside, "zeros" or the "edge" repeated. rng: a generator or a seed; the default generator if
    None. See `affine`.

    Raises `TypeError` for images that are not floats, `ValueError` for other shapes and for a range that is none.

    >>> import tinyreg as tr
    >>> tr.augment.scale(tr.tensor([[[[0.0, 1.0, 0.0]]]]), (2, 2))[0, 0]
    tensor([[0.5, 1. , 0.5]])
    """
    check_images("scale", images)
    limits = check_range("scale", "factors", factors, least=1e-6, words=" above 0")
    return affine(images, scale=uniform(images, limits, as_generator(rng, "scale")), padding=padding)


def shift(
    images: Tensor | Array, shares: Range = (-0.1, 0.1), *, padding: str = "zeros", rng: Generator | int | None = None
) -> Tensor:
    """Each image moved down and to the right by shares of its height and width, both drawn from the range `shares`.

    images: (N, C, height, width), floats; the size stays. shares: (low, high); below 0, up and to the left. padding:
    what comes in from outside, "zeros" or the "edge" repeated. rng: a generator or a seed; the default generator if
    None. See `affine`.

    Raises `TypeError` for images that are not floats, `ValueError` for other shapes and for a range that is none.

    >>> import tinyreg as tr
    >>> tr.augment.shift(tr.tensor([[[[1.0, 0.0], [0.0, 0.0]]]]), (0.5, 0.5))[0, 0]
    tensor([[0., 0.],
            [0., 1.]])
    """
    check_images("shift", images)
    limits = check_range("shift", "shares", shares)
    down, right = uniform(images, limits, as_generator(rng, "shift"), shape=(2, images.shape[0]))
    return affine(images, down=down, right=right, padding=padding)


def flip(images: Tensor | Array, p: float = 0.5, *, axis: str = "horizontal", rng: Generator | int | None = None) -> Tensor:
    """Each image mirrored with probability p: left and right for the "horizontal" axis, top and bottom for the "vertical".

    images: (N, C, height, width), floats. rng: a generator or a seed; the default generator if None.

    Raises `TypeError` for images that are not floats, `ValueError` for other shapes, a p out of range and another axis.

    >>> import tinyreg as tr
    >>> tr.augment.flip(tr.tensor([[[[0.0, 0.5, 1.0]]]]), p=1.0)[0, 0]
    tensor([[1. , 0.5, 0. ]])
    """
    check_images("flip", images)
    p = check_share("flip", "p", p)
    if axis not in AXES:
        raise ValueError(f"flip: got axis={axis!r}, expected 'horizontal' or 'vertical'")
    chosen = as_generator(rng, "flip").bernoulli(p, images.shape[:1], backend_of(images))
    return mirror(images, chosen, axis=AXES[axis])


def crop(images: Tensor | Array, size: int | Two, *, padding: int = 0, rng: Generator | int | None = None) -> Tensor:
    """A part of each image, of `size` pixels, from a place of its own; `padding` zeros are put around the images first.

    images: (N, C, height, width), floats. size: (rows, columns), or one number for both. padding: pixels on each side;
    with size 32, images of 32 by 32 and padding 4, the usual augmentation of CIFAR. rng: a generator or a seed; the
    default generator if None.

    Raises `TypeError` for images that are not floats, and `ValueError` for other shapes, for a size or a padding that
    are not whole numbers, and for a size larger than the padded images.

    >>> import tinyreg as tr
    >>> tr.augment.crop(tr.tensor([[[[0.0, 0.25, 0.5, 0.75]]]]), (1, 2), rng=tr.Generator(0))[0, 0]
    tensor([[0.5 , 0.75]])
    """
    check_images("crop", images)
    height, width = check_size("crop", size, 1, "(rows, columns) or one number, whole and above 0")
    padding = integer("crop", "padding", padding, least=0, expected="a whole number of pixels of at least 0")
    n, _, *inside = images.shape
    free = inside[0] + 2 * padding - height, inside[1] + 2 * padding - width
    if min(free) < 0:
        raise ValueError(
            f"crop: got size={size} for images {described(images)} with padding={padding}, expected at most "
            f"{inside[0] + 2 * padding} by {inside[1] + 2 * padding}; use more padding"
        )
    rng, place = as_generator(rng, "crop"), backend_of(images)
    corner = [rng.integers(0, room + 1, n, place) for room in free]
    if padding:
        images = ops.pad(images, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    return cut_out(images, *corner, size=(height, width))


# ---- primitives: single images mirrored, a part of each image and its gradient -----------------------------------------


@primitive(name="flip", nondifferentiable=("chosen",), expects="images and, for each, whether it is mirrored")
@whole
def mirror(xp: Backend, x: Array, chosen: Array, *, axis: int) -> Array:
    """x with the samples that are chosen in reverse order along `axis`: `where` with less work.

    x: (N, ...); chosen: (N,), booleans. Derivative: the incoming gradient, mirrored alike.
    """
    y = xp.array(x)
    y[chosen] = xp.flip(x[chosen], axis=axis)
    return y


@mirror.vjp("x")
def _(g: Any, chosen: Any, axis: int) -> Tensor:
    return mirror(g, chosen, axis=axis)


def _parts(xp: Backend, x: Array, size: Shape) -> Array:
    """A view with every part of that size: (N, rows, columns, C, *size), by the place of its first pixel."""
    n, channels, height, width = x.shape
    shape = (n, height - size[0] + 1, width - size[1] + 1, channels, *size)
    strides = (x.strides[0], x.strides[2], x.strides[3], *x.strides[1:])
    return xp.lib.stride_tricks.as_strided(x, shape=shape, strides=strides)


@primitive(
    name="crop",
    nondifferentiable=("top", "left"),
    expects="images and, for each, the row and column of a part that fits",
)
def cut_out(xp: Backend, x: Array, top: Array, left: Array, *, size: Two) -> Array:
    """x[n, :, top[n] : top[n] + size[0], left[n] : left[n] + size[1]] for each sample n.

    x: (N, C, height, width); top, left: (N,), integers, which are not checked. Derivative: the incoming gradient in its
    place, 0 around it.
    """
    return _parts(xp, x, size)[xp.arange(x.shape[0]), top, left]


@primitive(name="pad", nondifferentiable=("top", "left"))
def put_back(xp: Backend, x: Array, top: Array, left: Array, *, shape: Two) -> Array:
    """Zeros of height and width `shape` with x in the place from which `cut_out` took it: the gradient of that."""
    y = xp.zeros((*x.shape[:2], *shape), dtype=x.dtype)
    _parts(xp, y, x.shape[2:])[xp.arange(x.shape[0]), top, left] = x
    return y


@cut_out.vjp("x")
def _(g: Any, x_like: Any, top: Any, left: Any) -> Any:
    return put_back(g, top, left, shape=x_like.shape[2:])


@put_back.vjp("x")
def _(g: Any, x_like: Any, top: Any, left: Any) -> Any:
    """g cut out of the same place."""
    return cut_out(g, top, left, size=x_like.shape[2:])
