"""Normalization of weights: by their lengths, and by the largest singular value."""

from __future__ import annotations

from typing import Any

from .. import ops
from ..arguments import integer, number
from ..core.backend import Array, described, get
from ..core.tape import no_grad
from ..core.tensor import Tensor
from ..creation import backend_of
from ..hints import with_axis
from ..ops.precision import matched, narrowed, widened
from ..ops.window import Pair, conv2d
from ..transforms import vjp
from .inputs import checked_axes, other_axes


@with_axis
def weight_norm(v: Tensor | Array, g: Tensor | Array, *, axis: int = 0) -> Tensor:
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
    normalized: Tensor = narrowed(matched(g, wide) * (wide / ops.norm(wide, axis=others, keepdims=True)), v)
    return normalized


@with_axis
def spectral_norm(
    weight: Tensor | Array, u: Tensor | Array | None = None, v: Tensor | Array | None = None, *, axis: int = 0
) -> Tensor:
    """weight / sigma(weight), where sigma is the largest singular value of the weight as a matrix.

    weight: floats of two or more axes; the rows of the matrix are along `axis`, its columns along all the others together.
    Without u and v sigma is exact, by a singular value decomposition. With them, vectors of unit length from
    `power_iteration`, it is u^T W v, which is sigma where they have converged. u: (rows,), v: (columns,), constants:
    gradients flow through sigma by way of the weight alone. A weight of zeros gives NaN.

    What becomes 1 is the norm of the matrix, and so of a Linear. A convolution with such a kernel can be longer by the
    square root of how many windows an element is in: up to 3 for a 3 x 3 kernel at stride 1. See `conv_spectral_norm`.

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
        exact: Tensor = narrowed(wide / ops.largest_singular_value(widened(matrix)), weight)
        return exact
    rows, columns = matrix.shape
    if getattr(u, "shape", None) != (rows,) or getattr(v, "shape", None) != (columns,):
        raise ValueError(
            f"spectral_norm: got u {described(u)} and v {described(v)}, expected shapes [{rows}] and [{columns}] for a "
            f"weight {described(weight)} whose rows are along axis {axis}"
        )
    iterated: Tensor = narrowed(wide / (matched(u, wide) @ matrix @ matched(v, wide)), weight)
    return iterated


@with_axis
def power_iteration(
    weight: Tensor | Array, u: Tensor | Array, *, iterations: int = 1, axis: int = 0, eps: float = 1e-12
) -> tuple[Tensor, Tensor]:
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


def conv_spectral_norm(
    weight: Tensor | Array,
    v: Tensor | Array | None = None,
    *,
    input_shape: tuple[int, int],
    stride: Pair = 1,
    padding: Pair | str = 0,
    dilation: Pair = 1,
    groups: int = 1,
) -> Tensor:
    """weight / sigma, where sigma is the norm of the convolution itself: the most by which it makes an image longer.

    weight: floats, (O, C / groups, kernel height, kernel width). input_shape: (height, width) of the images, C channels
    each; smaller ones come out no longer. stride, padding, dilation, groups: of the convolution. Without v sigma is exact,
    the largest singular value of a matrix of C height width columns, which is for small images. With v, an image of unit
    length from `conv_power_iteration`, it is |conv2d(v)|: sigma where v has converged, otherwise less. v: (C, height,
    width), a constant: gradients flow through sigma by way of the weight alone. A weight of zeros gives NaN.

    Raises `ValueError` for shapes that do not fit.

    Source: Gouk et al., "Regularisation of Neural Networks by Enforcing Lipschitz Continuity", 2018; Ryu et al.,
    "Plug-and-Play Methods Provably Converge with Properly Trained Denoisers", 2019.

    >>> import tinyreg as tr
    >>> kernel = tr.ones((1, 1, 3, 3))
    >>> w = tr.normalization.conv_spectral_norm(kernel, input_shape=(8, 8), padding=1)
    >>> round(w[0, 0, 0, 0].item(), 3), round(tr.normalization.spectral_norm(kernel)[0, 0, 0, 0].item(), 3)
    (0.121, 0.333)
    """
    shape = image_shape("conv_spectral_norm", weight, input_shape, groups)
    settings: Any = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    wide = widened(weight)
    if v is None:
        count = shape[0] * shape[1] * shape[2]
        units = get(backend_of(weight)).eye(count, dtype=wide.dtype).reshape((count, *shape))
        sigma = ops.largest_singular_value(ops.reshape(conv2d(units, wide, **settings), (count, -1)))
    else:
        _expect_image("conv_spectral_norm", v, shape)
        sigma = ops.norm(conv2d(matched(v, wide)[None], wide, **settings))
    normalized: Tensor = narrowed(wide / sigma, weight)
    return normalized


def conv_power_iteration(
    weight: Tensor | Array,
    v: Tensor | Array,
    *,
    iterations: int = 1,
    stride: Pair = 1,
    padding: Pair | str = 0,
    dilation: Pair = 1,
    groups: int = 1,
    eps: float = 1e-12,
) -> Tensor:
    """v, nearer to the image that a convolution K makes longest: v = K^T K v / |K^T K v|.

    weight, stride, padding, dilation, groups: as for `conv_spectral_norm`. v: (C, height, width), of any length but 0.
    iterations: at least 1. eps: the least length to divide by. Nothing is recorded: the result is a constant.

    Raises `ValueError` for fewer than one iteration and for shapes that do not fit.

    >>> import tinyreg as tr
    >>> v = tr.normalization.conv_power_iteration(tr.ones((1, 1, 1, 2)), tr.tensor([[[1.0, 0.0, 0.0]]]), iterations=20)
    >>> [round(x, 3) for x in v.flatten().tolist()]
    [0.408, 0.816, 0.408]
    """
    iterations = integer("conv_power_iteration", "iterations", iterations, least=1)
    if getattr(v, "ndim", None) != 3:
        raise ValueError(f"conv_power_iteration: got v {described(v)}, expected an image, (C, height, width)")
    _expect_image("conv_power_iteration", v, image_shape("conv_power_iteration", weight, v.shape[1:], groups))
    settings: Any = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    kernel, start = (x.detach() if isinstance(x, Tensor) else x for x in (weight, v[None]))
    kernel = widened(kernel)
    image = matched(start, kernel)
    for _ in range(iterations):
        y, pull = vjp(lambda x: conv2d(x, kernel, **settings), image)
        (image,) = pull(y)
        image = image / ops.maximum(ops.norm(image), eps)
    image = narrowed(image[0], weight)
    iterated: Tensor = image if isinstance(v, Tensor) else image.data
    return iterated


def image_shape(name: str, weight: Any, input_shape: Any, groups: int) -> tuple[int, ...]:
    """The shape of the images that a convolution takes."""
    if not isinstance(input_shape, tuple | list):
        raise TypeError(f"{name}: got input_shape={input_shape!r}, expected (height, width)")
    if weight.ndim != 4 or len(input_shape) != 2:
        raise ValueError(
            f"{name}: got weight {described(weight)} for images of shape {list(input_shape)}, expected (O, C / groups, "
            "kernel height, kernel width) and (height, width)"
        )
    height, width = (integer(name, "input_shape", n, least=1) for n in input_shape)
    return weight.shape[1] * groups, height, width


def _expect_image(name: str, v: Any, shape: tuple[int, ...]) -> None:
    if v.shape != shape:
        raise ValueError(f"{name}: got v {described(v)}, expected shape {list(shape)}")


def _as_matrix(name: str, weight: Any, axis: int) -> Tensor:
    """The weight with its rows along `axis` and everything else in columns."""
    if getattr(weight, "ndim", 0) < 2:
        raise ValueError(f"{name}: got weight {described(weight)}, expected at least two axes")
    (rows,) = checked_axes(name, weight, axis, "axis")
    front = ops.permute_dims(weight, axes=(rows, *other_axes(weight, (rows,)))) if rows else weight
    return ops.reshape(front, (weight.shape[rows], -1))
