"""Cases of the norm of a convolution, against the matrix of the convolution, element by element."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import hypothesis.strategies as st
import numpy as np
from numpy.typing import NDArray

import tinyreg as tr
from tinyreg.testing import Call, Case
from tinyreg.testing.strategies import arrays

Array = NDArray[Any]
Pick = Callable[[Any], Any]


def matrix(weight: Array, input_shape: Any, stride: int, padding: Any, dilation: int, groups: int) -> Array:
    """What the convolution does to images as vectors: (outputs, inputs)."""
    out, channels, *kernel = weight.shape
    before = [dilation * (k - 1) // 2 if padding == "same" else padding for k in kernel]
    total = [dilation * (k - 1) if padding == "same" else 2 * padding for k in kernel]
    reach = [dilation * (k - 1) + 1 for k in kernel]
    rows = [(n + t - r) // stride + 1 for n, t, r in zip(input_shape, total, reach, strict=True)]
    found = np.zeros((out, *rows, channels * groups, *input_shape), dtype=weight.dtype)
    for o, i, j, c, p, q in itertools.product(*map(range, (out, *rows, channels, *kernel))):
        y, x = i * stride + p * dilation - before[0], j * stride + q * dilation - before[1]
        if 0 <= y < input_shape[0] and 0 <= x < input_shape[1]:
            found[o, i, j, o // (out // groups) * channels + c, y, x] = weight[o, c, p, q]
    return found.reshape(out * math.prod(rows), -1)


SETTINGS: list[tuple[tuple[int, ...], tuple[int, int], int, Any, int, int]] = [
    ((1, 1, 2, 2), (2, 3), 1, 1, 1, 1),
    ((2, 1, 2, 1), (3, 1), 1, 0, 1, 2),
    ((1, 2, 1, 3), (1, 4), 1, "same", 1, 1),
    ((1, 1, 3, 2), (3, 3), 2, 1, 1, 1),
    ((1, 1, 2, 1), (5, 1), 1, 0, 2, 1),
    ((2, 1, 1, 3), (1, 5), 2, 0, 1, 1),
    ((2, 1, 1, 2), (1, 5), 1, 0, 2, 2),
]
"""Shapes of the kernel and of the images, stride, padding, dilation, groups: no two parts that are equally long."""


@st.composite
def _convolutions(pick: Pick) -> tuple[Array, dict[str, Any]]:
    """A kernel without a sign, so that one image alone comes out longest, and larger for a later group."""
    shape, input_shape, *others = pick(st.sampled_from(SETTINGS))
    settings = {"input_shape": input_shape, **dict(zip(("stride", "padding", "dilation", "groups"), others, strict=True))}
    weight = pick(arrays(shape, st.sampled_from([2.0, 2.125, 2.25, 1.625, 1.5])))
    return weight * 3.0 ** (np.arange(shape[0]) * (others[-1] > 1))[:, None, None, None], settings


def _image(weight: Array, settings: dict[str, Any]) -> Array:
    """The image that comes out longest."""
    found = np.linalg.svd(matrix(weight, **settings))[2][0]
    longest: Array = np.abs(found).reshape(-1, *settings["input_shape"])
    return longest


@st.composite
def _to_normalize(pick: Pick) -> Call:
    """A kernel, without an image or with one that is near the longest."""
    weight, settings = pick(_convolutions())
    image = np.round(8 * _image(weight, settings) + 0.25) / 8 if pick(st.booleans()) else None
    return Call((weight, image), settings)


def _conv_spectral_norm(weight: Array, v: Any = None, **settings: Any) -> Array:
    k = matrix(weight, **settings)
    y: Array = weight / (np.linalg.svd(k, compute_uv=False)[0] if v is None else np.sqrt(np.sum((k @ v.ravel()) ** 2)))
    return y


@st.composite
def _to_iterate(pick: Pick) -> Call:
    weight, settings = pick(_convolutions())
    v = pick(arrays(_image(weight, settings).shape, st.sampled_from([1.0, 0.5, 2.0])))
    del settings["input_shape"]
    settings |= {"iterations": pick(st.sampled_from([1, 3])), "eps": pick(st.sampled_from([1e-12, 1e4]))}
    return Call((weight, v), settings)


def _conv_power_iteration(weight: Array, v: Array, iterations: int, eps: float, **settings: Any) -> Array:
    k, image = matrix(weight, v.shape[1:], **settings), v.ravel()
    for _ in range(iterations):
        image = k.T @ (k @ image)
        image = image / max(math.hypot(*image), eps)
    return image.reshape(v.shape)


CASES = [
    Case(tr.normalization.conv_spectral_norm, _to_normalize(), _conv_spectral_norm),
    Case(tr.normalization.conv_power_iteration, _to_iterate(), _conv_power_iteration, order=0),
]
