"""Cases of augmentation: what is differentiable in more than the obvious way. Places stay away from the pixels' own."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import hypothesis.strategies as st
import numpy as np
from hypothesis.strategies import SearchStrategy
from numpy.typing import NDArray

import tinyreg as tr
from tinyreg import augment
from tinyreg.augment.erasing import erase
from tinyreg.augment.geometry import cut_out, mirror, put_back
from tinyreg.testing import Call, Case, at
from tinyreg.testing.strategies import arrays, calls

Array = NDArray[Any]
Pick = Callable[[Any], Any]

PADDING = st.sampled_from(["zeros", "edge"])
GREY = (0.2989, 0.587, 0.114)


def _sample(images: Array, rows: Array, columns: Array, padding: str) -> Array:
    """Every pixel weighted by how near it is, place by place."""
    n, channels, height, width = images.shape
    if padding == "edge":
        rows, columns = np.clip(rows, 0, height - 1), np.clip(columns, 0, width - 1)
    y = np.zeros((n, channels, *rows.shape[1:]))
    for i, p, q in np.ndindex(rows.shape):
        near_row = np.maximum(0, 1 - np.abs(np.arange(height) - rows[i, p, q]))
        near_column = np.maximum(0, 1 - np.abs(np.arange(width) - columns[i, p, q]))
        y[i, :, p, q] = near_row @ images[i] @ near_column
    return y


def _places(images: Array, angle: Any, scale: Any, down: Any, right: Any) -> tuple[Array, Array]:
    """Where each pixel of the result comes from, by the matrix that undoes what is to be done."""
    n, _, height, width = images.shape
    places = np.empty((2, n, height, width))
    for i, p, q in np.ndindex(n, height, width):
        a, s, dy, dx = (np.broadcast_to(v, n)[i] for v in (angle, scale, down, right))
        cos, sin = math.cos(math.radians(a)), math.sin(math.radians(a))
        turned = np.array([[cos, -sin], [sin, cos]])  # of (down, right), counterclockwise as one looks at it
        middle = np.array([(height - 1) / 2, (width - 1) / 2])
        from_middle = np.array([p, q]) - middle - [dy * height, dx * width]
        places[:, i, p, q] = np.linalg.solve(s * turned, from_middle) + middle
    return places[0], places[1]


def _affine(
    images: Array, angle: Any = 0.0, scale: Any = 1.0, down: Any = 0.0, right: Any = 0.0, padding: str = "zeros"
) -> Array:
    return _sample(images, *_places(images, angle, scale, down, right), padding)


def _between(limit: int, shape: tuple[int, ...]) -> SearchStrategy[Array]:
    """Places between pixels, and outside on both sides."""
    return arrays(shape, st.sampled_from([k + share for k in range(-2, limit + 1) for share in (0.25, 0.5, 0.625)]))


@st.composite
def _samples(pick: Pick) -> Call:
    n, channels, height, width = pick(st.sampled_from([(1, 1, 2, 3), (2, 1, 3, 2), (1, 2, 1, 2), (0, 1, 2, 2)]))
    shape = (n, *pick(st.sampled_from([(1, 2), (2, 1)])))
    places = pick(_between(height, shape)), pick(_between(width, shape))
    return Call((pick(arrays((n, channels, height, width))), *places), {"padding": pick(PADDING)})


NEAR = 0.05  # how far every place stays from a pixel's own


@st.composite
def _affines(pick: Pick) -> Call:
    shape = pick(st.sampled_from([(1, 1, 2, 3), (2, 1, 3, 2), (1, 2, 2, 2)]))

    def each(*values: float) -> Any:
        drawn = [pick(st.sampled_from(values)) for _ in range(shape[0])]
        return pick(st.sampled_from([np.array(drawn), drawn[0]]))

    settings = each(20.0, -35.0, 130.0), each(0.75, 1.125, 1.5), each(0.11, -0.2), each(0.07, -0.15)
    images = pick(arrays(shape))
    places = np.stack(_places(images, *settings))
    if np.abs(places - np.round(places)).min() < NEAR:
        settings = each(27.0), each(1.25), each(0.17), each(-0.13)
    return Call((images, *settings), {"padding": pick(PADDING)})


@st.composite
def _cuts(pick: Pick, back: bool) -> Call:
    """Calls of `cut_out`, or of `put_back`."""
    n, height, width = pick(st.sampled_from([(2, 3, 2), (1, 2, 4), (0, 2, 2), (3, 2, 3)]))
    size = pick(st.integers(1, height)), pick(st.integers(1, width))
    corner = [
        np.array([pick(st.integers(0, whole - part)) for _ in range(n)], dtype=np.int64)
        for whole, part in zip((height, width), size, strict=True)
    ]
    inside = size if back else (height, width)
    return Call((pick(arrays((n, 2, *inside))), *corner), {"shape": (height, width)} if back else {"size": size})


def _cut_out(x: Array, top: Array, left: Array, size: tuple[int, int]) -> Array:
    y: Array = np.empty((*x.shape[:2], *size))
    for i, (t, j) in enumerate(zip(top, left, strict=True)):
        y[i] = x[i, :, t : t + size[0], j : j + size[1]]
    return y


def _put_back(x: Array, top: Array, left: Array, shape: tuple[int, int]) -> Array:
    y = np.zeros((*x.shape[:2], *shape))
    for i, (t, j) in enumerate(zip(top, left, strict=True)):
        y[i, :, t : t + x.shape[2], j : j + x.shape[3]] = x[i]
    return y


@st.composite
def _mirrored(pick: Pick) -> Call:
    shape = pick(st.sampled_from([(2, 1, 2, 3), (3, 2, 1, 2), (1, 1, 3, 2), (0, 1, 2, 2)]))
    chosen = np.array([pick(st.booleans()) for _ in range(shape[0])], dtype=bool)
    return Call((pick(arrays(shape)), chosen), {"axis": pick(st.sampled_from([2, 3]))})


def _mirror(x: Array, chosen: Array, axis: int) -> Array:
    backwards = x[:, :, ::-1] if axis == 2 else x[:, :, :, ::-1]
    return np.asarray(np.where(chosen[:, None, None, None], backwards, x))


@st.composite
def _erased(pick: Pick) -> Call:
    shape, of_mask = pick(
        st.sampled_from([((2, 3), (2, 3)), ((2, 1, 2, 2), (2, 1, 2, 2)), ((2, 3, 1), (2, 1, 1)), ((0, 2), (2,))])
    )
    inside = np.array([pick(st.booleans()) for _ in range(math.prod(of_mask))], dtype=bool).reshape(of_mask)
    return Call((pick(arrays(shape)), inside), {"value": pick(st.sampled_from([0.0, 0.5]))})


# ---- colours and blur, by a fixed amount -----------------------------------------------------------------------------


def fixed(f: Callable[..., Any], setting: str) -> Callable[..., Any]:
    """A random change as a function of its amount, which every sample gets."""

    def op(images: Any, *, amount: float) -> Any:
        return f(images, **{setting: (amount, amount)}, rng=tr.Generator(0))

    op.__name__ = f.__name__
    return op


def _pictures(*shapes: tuple[int, ...]) -> SearchStrategy[Array]:
    return arrays(st.sampled_from(shapes), st.sampled_from([0.5, 0.25, 0.375, 0.625, 0.75]))


def _grey(x: Array) -> Array:
    return x if x.shape[1] == 1 else np.asarray(np.tensordot(x, np.array(GREY), (1, 0)))[:, None]


def _contrast(x: Array, amount: float) -> Array:
    y: Array = amount * x + (1 - amount) * np.mean(_grey(x), axis=(1, 2, 3), keepdims=True)
    return y


def _blur(x: Array, amount: float) -> Array:
    reach = int(4 * amount + 0.5)
    taps = np.exp(-(np.arange(-reach, reach + 1) ** 2) / (2 * amount**2))
    padded = np.pad(x, ((0, 0), (0, 0), (reach, reach), (reach, reach)), mode="symmetric")
    y = np.zeros_like(x)
    for i, j in np.ndindex(2 * reach + 1, 2 * reach + 1):
        y += taps[i] * taps[j] * padded[:, :, i : i + x.shape[2], j : j + x.shape[3]]
    return np.asarray(y / taps.sum() ** 2)


COLOURED = _pictures((2, 3, 1, 2), (1, 3, 2, 2), (0, 3, 1, 1), (1, 1, 2, 1))
BELOW_ONE = st.sampled_from([0.5, 0.75])

CASES = [
    Case(augment.sample, _samples(), _sample),
    Case(augment.affine, _affines(), _affine, reach=1 / 64),
    Case(
        erase,
        _erased(),
        lambda x, inside, value: np.where(inside, value, x),
        points=[at([math.inf, 1.0], [True, False], gradient=[0.0, 1.0])],
        reach=math.inf,
    ),
    Case(mirror, _mirrored(), _mirror, reach=math.inf),
    Case(cut_out, _cuts(back=False), _cut_out, reach=math.inf),
    Case(put_back, _cuts(back=True), _put_back, reach=math.inf),
    Case(
        fixed(augment.brightness, "factors"),
        calls(COLOURED, amount=BELOW_ONE),
        lambda x, amount: amount * x,
        points=[at([[[[0.75, 0.25]]]], amount=2.0, gradient=[[[[0.0, 2.0]]]])],
    ),
    Case(fixed(augment.contrast, "factors"), calls(COLOURED, amount=BELOW_ONE), _contrast),
    Case(
        fixed(augment.saturation, "factors"),
        calls(COLOURED, amount=BELOW_ONE),
        lambda x, amount: amount * x + (1 - amount) * _grey(x) if x.shape[1] == 3 else x,
    ),
    Case(
        fixed(augment.gaussian_blur, "sigmas"),
        calls(_pictures((2, 1, 2, 3), (1, 2, 3, 1), (0, 1, 2, 2)), amount=st.sampled_from([0.5, 0.75])),
        _blur,
        reach=math.inf,
    ),
]
