"""Cases of convolution and pooling, against loops over the windows."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import hypothesis.strategies as st
import numpy as np
from hypothesis.strategies import SearchStrategy
from numpy.typing import NDArray

import tinyreg as tr
from tinyreg.ops.correlation import correlation, depthwise, unwindow, windows
from tinyreg.ops.window import window_max, window_mean
from tinyreg.testing import Call, Case, at
from tinyreg.testing.strategies import arrays, calls

Array = NDArray[Any]
Two = tuple[int, int]


def _two(value: Any) -> Two:
    return (value, value) if isinstance(value, int) else value


def _pad(x: Array, padding: Any, value: float) -> Array:
    p, q = _two(padding)
    return np.pad(x, ((0, 0),) * (x.ndim - 2) + ((p, p), (q, q)), constant_values=value)


def _each_window(x: Array, size: Any, stride: Any, dilation: Any) -> Array:
    """The windows of x, one by one."""
    (k, m), (s, t), (d, e) = _two(size), _two(stride), _two(dilation)
    rows, columns = (x.shape[-2] - d * (k - 1) - 1) // s + 1, (x.shape[-1] - e * (m - 1) - 1) // t + 1
    y: Array = np.empty((*x.shape[:-2], rows, columns, k, m))
    for i, j in np.ndindex(rows, columns):
        y[..., i, j, :, :] = x[..., i * s : i * s + d * (k - 1) + 1 : d, j * t : j * t + e * (m - 1) + 1 : e]
    return y


def _unwindow(x: Array, shape: Two, stride: Two, dilation: Two) -> Array:
    y = np.zeros((*x.shape[:-4], *shape))
    for i, j, p, q in np.ndindex(x.shape[-4:]):
        y[..., i * stride[0] + p * dilation[0], j * stride[1] + q * dilation[1]] += x[..., i, j, p, q]
    return y


def _conv2d(
    x: Array, weight: Array, bias: Any = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1
) -> Array:
    if padding == "same":
        total = [d * (k - 1) for k, d in zip(weight.shape[-2:], _two(dilation), strict=True)]
        x = np.pad(x, ((0, 0), (0, 0), *((n // 2, n - n // 2) for n in total)))
    elif padding != "valid":
        x = _pad(x, padding, 0.0)
    y = []
    for xs, ws in zip(np.split(x, groups, axis=1), np.split(weight, groups), strict=True):
        y.append(np.einsum("ncijpq,ocpq->noij", _each_window(xs, weight.shape[-2:], stride, dilation), ws))
    return np.concatenate(y, axis=1) + (0.0 if bias is None else np.reshape(bias, (-1, 1, 1)))


def _max_pool2d(x: Array, kernel_size: Any, stride: Any, padding: Any, dilation: Any) -> Array:
    steps = kernel_size if stride is None else stride
    opened = _each_window(_pad(x, padding, -math.inf), kernel_size, steps, dilation)
    return np.asarray(np.max(opened, axis=(-2, -1)))


def _avg_pool2d(x: Array, kernel_size: Any, stride: Any, padding: Any, count_include_pad: bool) -> Array:
    steps = kernel_size if stride is None else stride
    value = 0.0 if count_include_pad else math.nan
    return np.asarray(np.nanmean(_each_window(_pad(x, padding, value), kernel_size, steps, 1), axis=(-2, -1)))


WINDOWS: list[tuple[tuple[int, ...], dict[str, Two]]] = [
    ((3, 4), {"size": (2, 3), "stride": (1, 1), "dilation": (1, 1)}),
    ((2, 4, 3), {"size": (2, 2), "stride": (2, 1), "dilation": (1, 2)}),
    ((5, 2), {"size": (2, 1), "stride": (3, 2), "dilation": (2, 1)}),
    ((0, 2, 2), {"size": (2, 1), "stride": (1, 1), "dilation": (1, 1)}),
]


def _fixed(settings: Mapping[str, Any]) -> dict[str, SearchStrategy[Any]]:
    return {name: st.just(value) for name, value in settings.items()}


def _opened() -> SearchStrategy[Call]:
    """Calls of `windows`."""
    return st.sampled_from(WINDOWS).flatmap(lambda w: calls(arrays(w[0]), **_fixed(w[1])))


def _closed() -> SearchStrategy[Call]:
    """Calls of `unwindow`."""

    def drawn(window: tuple[tuple[int, ...], dict[str, Two]]) -> SearchStrategy[Call]:
        shape, settings = window
        opened = _each_window(np.zeros(shape), **settings).shape
        found = {"shape": shape[-2:], "stride": settings["stride"], "dilation": settings["dilation"]}
        return calls(arrays(opened), **_fixed(found))

    return st.sampled_from(WINDOWS).flatmap(drawn)


def _averaged() -> SearchStrategy[Call]:
    """Calls of `window_mean`."""
    plain = [w for w in WINDOWS if w[1]["dilation"] == (1, 1)]
    plain.append(((2, 4, 5), {"size": (3, 2), "stride": (1, 3)}))
    return st.sampled_from(plain).flatmap(lambda w: calls(arrays(w[0]), **_fixed({k: w[1][k] for k in ("size", "stride")})))


CONVOLUTIONS: list[tuple[tuple[int, ...], tuple[int, ...], dict[str, Any]]] = [
    ((2, 1, 3, 3), (2, 1, 2, 2), {}),
    ((2, 2, 3, 2), (3, 2, 2, 1), {}),
    ((1, 2, 3, 2), (2, 1, 2, 1), {"groups": 2, "padding": (0, 1)}),
    ((1, 1, 4, 3), (1, 1, 2, 2), {"stride": (2, 1), "dilation": (1, 2)}),
    ((1, 2, 2, 3), (1, 2, 2, 3), {"padding": "same"}),
    ((1, 1, 3, 3), (1, 1, 2, 2), {"padding": 1, "stride": 3}),
    ((1, 2, 2, 2), (1, 2, 1, 2), {"padding": "valid"}),
    ((1, 4, 3, 4), (2, 2, 2, 2), {"groups": 2, "stride": (1, 2), "padding": (1, 0), "dilation": (2, 1)}),
    ((0, 1, 2, 2), (1, 1, 2, 2), {}),
]


def _convolutions() -> SearchStrategy[Call]:
    def drawn(convolution: tuple[tuple[int, ...], tuple[int, ...], dict[str, Any]]) -> SearchStrategy[Call]:
        x, weight, settings = convolution
        bias: SearchStrategy[Any] = st.one_of(arrays(weight[:1]), st.none())
        return calls(arrays(x), arrays(weight), bias, **_fixed(settings))

    return st.sampled_from(CONVOLUTIONS).flatmap(drawn)


IMAGES = st.sampled_from([(3, 4), (2, 3, 3), (1, 2, 3, 3), (0, 3, 3)])
POOLS = {
    "kernel_size": st.sampled_from([2, (2, 1), (1, 2)]),
    "stride": st.sampled_from([None, 1, (2, 1), 3]),
}
AROUND = {2: st.sampled_from([0, 1, (1, 0)]), (2, 1): st.sampled_from([0, (1, 0)]), (1, 2): st.sampled_from([0, (0, 1)])}


@st.composite
def _pools(pick: Any, /, **more: SearchStrategy[Any]) -> Call:
    """Calls of a pooling op on an array without equal elements."""
    settings = {name: pick(strategy) for name, strategy in POOLS.items()}
    settings["padding"] = pick(AROUND[settings["kernel_size"]])
    settings |= {name: pick(strategy) for name, strategy in more.items()}
    return Call((pick(arrays(IMAGES, unique=True)),), settings)


def _largest(x: Array, size: Two, stride: Two, dilation: Two) -> Array:
    return np.asarray(np.max(_each_window(x, size, stride, dilation), axis=(-2, -1)))


def _mean(x: Array, size: Two, stride: Two) -> Array:
    return np.asarray(np.mean(_each_window(x, size, stride, (1, 1)), axis=(-2, -1)))


def _correlations() -> SearchStrategy[Call]:
    """The convolutions that have no padding."""
    plain = [c for c in CONVOLUTIONS if not c[2].get("padding")]

    def drawn(convolution: tuple[tuple[int, ...], tuple[int, ...], dict[str, Any]]) -> SearchStrategy[Call]:
        x, weight, settings = convolution
        given = {"stride": (1, 1), "dilation": (1, 1), "groups": 1} | settings
        bias: SearchStrategy[Any] = st.one_of(arrays(weight[:1]), st.none())
        return calls(arrays(x), arrays(weight), bias, **_fixed(given))

    return st.sampled_from([*plain, ((1, 4, 2, 3), (4, 2, 2, 2), {"groups": 2})]).flatmap(drawn)


def _each_channel() -> SearchStrategy[Call]:
    """The convolutions of each channel by itself."""

    def drawn(pair: tuple[tuple[int, ...], dict[str, Any]]) -> SearchStrategy[Call]:
        x, settings = pair
        bias: SearchStrategy[Any] = st.one_of(arrays((x[1],)), st.none())
        return calls(arrays(x), arrays((x[1], 1, 2, 2)), bias, **_fixed({"stride": (1, 1), "dilation": (1, 1)} | settings))

    shapes = [
        ((2, 2, 3, 4), {}),
        ((1, 3, 4, 5), {"stride": (1, 2)}),
        ((2, 1, 5, 3), {"dilation": (2, 1)}),
        ((0, 2, 2, 2), {}),
    ]
    return st.sampled_from(shapes).flatmap(drawn)


def _depthwise(x: Array, weight: Array, bias: Any, stride: Two, dilation: Two) -> Array:
    return _conv2d(x, weight, bias, stride, 0, dilation, groups=len(weight))


CASES = [
    Case(depthwise, _each_channel(), _depthwise, reach=math.inf),
    Case(correlation, _correlations(), _conv2d, reach=math.inf),
    Case(
        window_max,
        st.sampled_from(WINDOWS).flatmap(lambda w: calls(arrays(w[0], unique=True), **_fixed(w[1]))),
        _largest,
        points=[at(np.ones((2, 2)), size=(2, 2), stride=(1, 1), dilation=(1, 1), gradient=np.full((2, 2), 0.25))],
    ),
    Case(window_mean, _averaged(), _mean, reach=math.inf),
    Case(windows, _opened(), _each_window, reach=math.inf),
    Case(unwindow, _closed(), _unwindow, reach=math.inf),
    Case(tr.conv2d, _convolutions(), _conv2d, reach=math.inf),
    Case(
        tr.max_pool2d,
        _pools(dilation=st.sampled_from([1, (2, 1)])),
        _max_pool2d,
        points=[
            at(np.ones((1, 2, 2)), kernel_size=2, gradient=np.full((1, 2, 2), 0.25)),
            at(np.ones((3, 3)), kernel_size=2, stride=1, gradient=[[0.25, 0.5, 0.25], [0.5, 1.0, 0.5], [0.25, 0.5, 0.25]]),
            at(np.ones((2, 2)), kernel_size=2, padding=1, gradient=np.ones((2, 2))),
        ],
    ),
    Case(tr.avg_pool2d, _pools(count_include_pad=st.booleans()), _avg_pool2d, reach=math.inf),
]
