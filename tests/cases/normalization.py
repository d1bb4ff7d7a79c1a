"""Cases of the normalizations, against their formulas in NumPy."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import hypothesis.strategies as st
import numpy as np
from hypothesis.extra import numpy as hnp
from hypothesis.strategies import SearchStrategy
from numpy.typing import NDArray

import tinyreg as tr
from tinyreg.core.backend import get
from tinyreg.nn.fusion import batch_norm_relu
from tinyreg.normalization.norms import batch_normalized, group_normalized, layer_normalized
from tinyreg.testing import Call, Case, at
from tinyreg.testing.strategies import arrays

Array = NDArray[Any]
Pick = Callable[[Any], Any]

EPS = st.sampled_from([0.5, 0.01])
POSITIVE = st.sampled_from([1.0, 0.5, 2.25])


def scales(call: Call) -> Sequence[float]:
    """Values that lie close together are normalized over the distance sqrt(eps)."""
    return 1.0, math.sqrt(call.settings["eps"]) / 2


def normalized(x: Array, axes: Any, eps: float) -> Array:
    """(x - mean) / sqrt(var + eps) over the axes."""
    y: Array = (x - x.mean(axis=axes, keepdims=True)) / np.sqrt(x.var(axis=axes, keepdims=True) + eps)
    return y


def affine(y: Array, weight: Any, bias: Any, axes: Sequence[int]) -> Array:
    """weight y + bias, which have these axes of y."""
    shape = [n if i in axes else 1 for i, n in enumerate(y.shape)]
    y = y if weight is None else y * weight.reshape(shape)
    return y if bias is None else y + bias.reshape(shape)


def optional(shape: Sequence[int], elements: SearchStrategy[float] | None = None) -> SearchStrategy[Any]:
    """An array, or None."""
    return st.one_of(arrays(tuple(shape), elements), st.none())


# ---- of activations --------------------------------------------------------------------------------------------------

BATCHES: list[tuple[tuple[int, ...], tuple[int, ...] | None]] = [
    ((3, 2), None),
    ((2, 2, 2), None),
    ((3, 2), (0,)),
    ((2, 2, 1, 2), (0, 2, 3)),
    ((2, 3), (-1,)),
    ((2, 2, 2), (2, 0)),
]


def batch_norm(x: Any, weight: Any = None, bias: Any = None, mean: Any = None, var: Any = None, **settings: Any) -> Any:
    """`batch_norm` with its statistics as arguments, so that they get a gradient too."""
    return tr.normalization.batch_norm(x, weight, bias, mean=mean, var=var, **settings)


@st.composite
def _batches(pick: Pick) -> Call:
    shape, axes = pick(st.sampled_from(BATCHES))
    over = [i for i in range(len(shape)) if i != 1] if axes is None else [a % len(shape) for a in axes]
    channels = tuple(n for i, n in enumerate(shape) if i not in over)
    mean, var = pick(st.one_of(st.tuples(st.none(), st.none()), st.tuples(arrays(channels), arrays(channels, POSITIVE))))
    given = (pick(arrays(shape)), pick(optional(channels)), pick(optional(channels)), mean, var)
    return Call(given, {"axes": axes, "eps": pick(EPS), "return_stats": pick(st.booleans())})


def _batch_norm(
    x: Array, weight: Any, bias: Any, mean: Any, var: Any, axes: Any = None, eps: float = 1e-5, return_stats: bool = False
) -> Any:
    over = tuple(i for i in range(x.ndim) if i != 1) if axes is None else tuple(a % x.ndim for a in axes)
    kept = [i for i in range(x.ndim) if i not in over]
    mean, var = x.mean(axis=over) if mean is None else mean, x.var(axis=over) if var is None else var
    scale = np.sqrt(var + eps)
    y = affine(affine(affine(x, None, -mean, kept), 1 / scale, None, kept), weight, bias, kept)
    return (y, mean, var) if return_stats else y


@st.composite
def _features(pick: Pick, /, *parameters: str) -> Call:
    """Samples with the axes of their features, and parameters of the shape that the samples have there."""
    shapes: list[tuple[tuple[int, ...], Any]] = [((2, 3), (-1,)), ((3,), -1), ((2, 2, 2), (1, 2)), ((2, 1, 3), (-1, 0))]
    shape, axes = pick(st.sampled_from([*shapes, ((0, 2), (-1,))]))
    over = sorted(a % len(shape) for a in ((axes,) if isinstance(axes, int) else axes))
    given = [pick(optional([shape[a] for a in over])) for _ in parameters]
    return Call((pick(arrays(shape)), *given), {"axes": axes, "eps": pick(EPS)})


def _over(x: Array, axes: Any) -> tuple[int, ...]:
    return tuple(a % x.ndim for a in ((axes,) if isinstance(axes, int) else axes))


def _layer_norm(x: Array, weight: Any, bias: Any, axes: Any, eps: float) -> Array:
    return affine(normalized(x, _over(x, axes), eps), weight, bias, _over(x, axes))


def _rms_norm(x: Array, weight: Any, axes: Any, eps: float) -> Array:
    y = x / np.sqrt(np.mean(x**2, axis=_over(x, axes), keepdims=True) + eps)
    return affine(y, weight, None, _over(x, axes))


GROUPED: list[tuple[tuple[int, ...], int]] = [((2, 4), 2), ((1, 2, 3), 1), ((2, 2, 2), 2), ((0, 2), 1)]


@st.composite
def _grouped(pick: Pick) -> Call:
    shape, groups = pick(st.sampled_from(GROUPED))
    return Call((pick(arrays(shape)), groups, *(pick(optional(shape[1:2])) for _ in "wb")), {"eps": pick(EPS)})


def group_norm_in_numpy(x: Array, num_groups: int, weight: Any, bias: Any, eps: float) -> Array:
    """Group by group."""
    parts = [normalized(part, tuple(range(1, x.ndim)), eps) for part in np.split(x, num_groups, axis=1)]
    return affine(np.concatenate(parts, axis=1), weight, bias, (1,))


@st.composite
def _instances(pick: Pick) -> Call:
    shape = pick(st.sampled_from([(2, 2, 2), (1, 2, 1, 3), (0, 1, 2)]))
    return Call((pick(arrays(shape)), *(pick(optional(shape[1:2])) for _ in "wb")), {"eps": pick(EPS)})


def instance_norm_in_numpy(x: Array, weight: Any, bias: Any, eps: float) -> Array:
    """Over all positions."""
    return affine(normalized(x, tuple(range(2, x.ndim)), eps), weight, bias, (1,))


# ---- of weights ------------------------------------------------------------------------------------------------------

WEIGHTS: list[tuple[tuple[int, ...], int]] = [((2, 3), 0), ((3, 2), 1), ((2, 1, 2), -1), ((2, 2, 2), 1)]


@st.composite
def _directions(pick: Pick) -> Call:
    shape, axis = pick(st.sampled_from(WEIGHTS))
    lengths = tuple(n if i == axis % len(shape) else 1 for i, n in enumerate(shape))
    return Call((pick(arrays(shape, st.sampled_from([1.0, -0.5, 2.25]))), pick(arrays(lengths))), {"axis": axis})


def _weight_norm(v: Array, g: Array, axis: int) -> Array:
    rows = np.moveaxis(v, axis, 0)
    unit = rows / np.sqrt(np.sum(rows.reshape(len(rows), -1) ** 2, axis=1)).reshape(-1, *[1] * (v.ndim - 1))
    y: Array = g * np.moveaxis(unit, 0, axis)
    return y


def matrix(weight: Array, axis: int) -> Array:
    """The weight with its rows along `axis`."""
    return np.moveaxis(weight, axis, 0).reshape(weight.shape[axis], -1)


@st.composite
def separated(pick: Pick) -> tuple[Array, int]:
    """A weight whose largest singular value is far from the others, and the axis of its rows."""
    shape, axis = pick(st.sampled_from(WEIGHTS))
    rows = shape[axis]
    columns = math.prod(shape) // rows
    signs = st.sampled_from([1.0, -1.0])
    outer = 2 * pick(arrays((rows, 1), signs)) * pick(arrays((1, columns), signs))
    found = outer + pick(arrays((rows, columns), st.sampled_from([0.0, 0.125, 0.25, -0.375])))
    moved = np.moveaxis(shape_of(found, shape, axis), 0, axis)
    return np.ascontiguousarray(moved), axis


def shape_of(rows: Array, shape: Sequence[int], axis: int) -> Array:
    """A matrix as a weight whose rows still come first."""
    others = [n for i, n in enumerate(shape) if i != axis % len(shape)]
    return rows.reshape(shape[axis], *others)


@st.composite
def _spectral(pick: Pick) -> Call:
    """A weight, without vectors or with some for which sigma is not near 0."""
    weight, axis = pick(separated())
    if pick(st.booleans()):
        return Call((weight, None, None), {"axis": axis})
    u, _, vh = np.linalg.svd(matrix(weight, axis), full_matrices=False)
    rounded = [np.round(8 * vector) / 8 for vector in (u[:, 0], vh[0])]
    return Call((weight, *rounded), {"axis": axis})


def _spectral_norm(weight: Array, u: Any = None, v: Any = None, axis: int = 0) -> Array:
    rows = matrix(weight, axis)
    y: Array = weight / (np.linalg.svd(rows, compute_uv=False)[0] if u is None else u @ rows @ v)
    return y


@st.composite
def _iterated(pick: Pick) -> Call:
    """A weight, and a start that is not across to where it stretches most: where that goes, rounding decides."""
    weight, axis = pick(separated())
    most = np.linalg.svd(matrix(weight, axis), full_matrices=False)[0][:, 0]
    u = pick(arrays((weight.shape[axis],), st.sampled_from([1.0, 0.5, 2.0]))) * np.sign(most)
    settings = {"iterations": pick(st.sampled_from([1, 3])), "axis": axis, "eps": pick(st.sampled_from([1e-12, 100.0]))}
    return Call((weight, u), settings)


def _power_iteration(weight: Array, u: Array, iterations: int, axis: int, eps: float) -> tuple[Array, Array]:
    rows = matrix(weight, axis)
    for _ in range(iterations):
        v = rows.T @ u / max(math.hypot(*(rows.T @ u)), eps)
        u = rows @ v / max(math.hypot(*(rows @ v)), eps)
    return u, v


@st.composite
def _core(pick: Pick) -> Call:
    """Calls of what batch norm is made of: parameters have the shape of the axes that are not normalized over."""
    shape, axes = pick(st.sampled_from([((2, 3), (1,)), ((3, 2), (0,)), ((2, 2, 2), (0, 2)), ((2, 1, 3), (1, 2))]))
    others = tuple(n for i, n in enumerate(shape) if i not in axes)
    return Call((pick(arrays(shape)), *(pick(optional(others)) for _ in "wb")), {"axes": axes, "eps": pick(EPS)})


TOGETHER = [
    ((6, 3), (1,)),
    ((3, 2), (0,)),
    ((2, 2, 2), (0, 2)),
    ((2, 3, 2), (1,)),
    ((2, 1, 3), (1, 2)),
    ((0, 2), (1,)),
]


@st.composite
def _samples(pick: Pick) -> Call:
    """Calls of what layer norm is made of: axes, which the parameters have too."""
    shape, axes = pick(st.sampled_from(TOGETHER))
    along = tuple(shape[i] for i in axes)
    return Call((pick(arrays(shape)), *(pick(optional(along)) for _ in "wb")), {"axes": axes, "eps": pick(EPS)})


@st.composite
def _groups(pick: Pick) -> Call:
    """Calls of what group norm is made of."""
    shape, groups = pick(st.sampled_from([((2, 4), 2), ((2, 2, 3), 1), ((2, 2, 2), 2), ((3, 4, 1, 2), 2), ((0, 2), 1)]))
    settings = {"num_groups": groups, "eps": pick(EPS)}
    return Call((pick(arrays(shape)), *(pick(optional(shape[1:2])) for _ in "wb")), settings)


def in_blocks(op: Any) -> Callable[..., Any]:
    """A fast form with a cache so small that it works on one row after the other."""

    def run(x: Any, weight: Any = None, bias: Any = None, **settings: Any) -> Any:
        backend = get("numpy")
        before, backend.block = backend.block, 1
        try:
            return op(x, weight, bias, **settings)
        finally:
            backend.block = before

    return run


@st.composite
def _channels(pick: Pick) -> Call:
    """Calls with relu and a mask or without; with relu, biases that keep every value away from its kink."""
    call = pick(_core())
    (x, weight, bias), settings = call.arrays, {**call.settings, "relu": pick(st.booleans())}
    if settings["relu"]:
        settings["eps"] = 0.5
        bias = _away(normalized(x, settings["axes"], 0.5), weight, settings["axes"], pick(st.sampled_from([0, 1, 2])))
    mask = pick(st.one_of(st.none(), hnp.arrays(np.bool_, x.shape, fill=st.nothing())))
    return Call((x, weight, bias, mask), {**settings, "dropout": pick(st.sampled_from([0.0, 0.25, 0.5, 1.0]))})


def _away(c: Array, weight: Any, axes: Sequence[int], which: int) -> Array:
    """A bias for which values of each channel are above 0: all of them, those above the widest gap, or none."""
    kept = [i for i in range(c.ndim) if i not in axes]
    of_channels = np.moveaxis(affine(c, weight, None, kept), kept, range(len(kept)))
    shape = of_channels.shape[: len(kept)]
    margin = (1 + np.abs(np.ones(shape) if weight is None else weight)) / 4
    values = np.sort(of_channels.reshape(*shape, -1), axis=-1)
    gaps = np.diff(values, axis=-1)
    widest = np.argmax(gaps, axis=-1)[..., None]
    middle = np.take_along_axis(values, widest, axis=-1)[..., 0] + gaps.max(axis=-1) / 2
    below, above = values[..., 0] - margin, values[..., -1] + margin
    return -np.array([below, np.where(gaps.max(axis=-1) > 2 * margin, middle, below), above][which])


def _batch_norm_relu(
    x: Array, weight: Any, bias: Any, mask: Any, axes: Any, eps: float, relu: bool = False, dropout: float = 0.0
) -> tuple[Array, ...]:
    y, mean, var = _batch_norm(x, weight, bias, None, None, axes, eps, True)
    y = np.maximum(y, 0) if relu else y
    scale = 1 / (1 - dropout) if dropout < 1 else 1.0
    return y if mask is None else np.where(mask, y * scale, 0), mean, var


CASES = [
    Case(
        batch_normalized,
        _core(),
        lambda x, weight, bias, axes, eps: _batch_norm(x, weight, bias, None, None, axes, eps, True),
        private=True,
        reach=1 / 4,
        scales=scales,
    ),
    Case(
        batch_norm_relu,
        _channels(),
        _batch_norm_relu,
        points=[
            # The middle one is at the kink: its own slope, and its share in the others', is 0.
            at(
                [[1.0], [2.0], [3.0]],
                axes=(0,),
                eps=0.0,
                relu=True,
                gradient=[[(math.sqrt(1.5) / 2 - 1) / 3], [(1 - math.sqrt(1.5)) / 3], [math.sqrt(1.5) / 6 + 1]],
            ),
        ],
        private=True,
        reach=1 / 32,
        scales=scales,
    ),
    Case(
        in_blocks(layer_normalized),
        _samples(),
        lambda x, weight, bias, axes, eps: affine(normalized(x, axes, eps), weight, bias, axes),
        name="layer_normalized",
        primitive=layer_normalized,
        private=True,
        reach=math.inf,
        scales=scales,
    ),
    Case(
        in_blocks(group_normalized),
        _groups(),
        lambda x, weight, bias, num_groups, eps: group_norm_in_numpy(x, num_groups, weight, bias, eps),
        name="group_normalized",
        primitive=group_normalized,
        reach=math.inf,
        scales=scales,
    ),
    Case(
        batch_norm,
        _batches(),
        _batch_norm,
        points=[
            at([[2.0], [2.0]], axes=(0,), eps=1e-5, gradient=[[0.0], [0.0]]),
            at([[1e4 - 1e-3], [1e4 + 1e-3]], axes=(0,), eps=0.0, gradient=[[0.0], [0.0]]),
        ],
        reach=1 / 4,
        scales=scales,
    ),
    Case(
        tr.normalization.layer_norm,
        _features("weight", "bias"),
        _layer_norm,
        points=[
            at([[2.0, 2.0]], [3.0, 5.0], axes=(-1,), eps=1.0, gradients=[[[-1.0, 1.0]], [0.0, 0.0]]),
            at([[2.0]], axes=(-1,), gradient=[[0.0]]),
        ],
        reach=math.inf,
        scales=scales,
    ),
    Case(
        tr.normalization.group_norm,
        _grouped(),
        group_norm_in_numpy,
        points=[at([[2.0, 2.0, 1.0, 3.0]], 2, eps=1e-5, gradient=[[0.0, 0.0, 0.0, 0.0]])],
        reach=math.inf,
        scales=scales,
    ),
    Case(
        tr.normalization.instance_norm,
        _instances(),
        instance_norm_in_numpy,
        points=[at([[[2.0, 2.0]]], eps=1e-5, gradient=[[[0.0, 0.0]]])],
        reach=math.inf,
        scales=scales,
    ),
    Case(
        tr.normalization.rms_norm,
        _features("weight"),
        _rms_norm,
        points=[at([[0.0, 0.0]], axes=(-1,), eps=0.25, gradient=[[2.0, 2.0]])],
        reach=math.inf,
        scales=scales,
    ),
    Case(
        tr.normalization.weight_norm,
        _directions(),
        _weight_norm,
        points=[at([[3.0, 4.0]], [[0.0]], axis=0, gradients=[[[0.0, 0.0]], [[1.4]]])],
        reach=1 / 8,
    ),
    Case(
        tr.normalization.spectral_norm,
        _spectral(),
        _spectral_norm,
        points=[at([[2.0, 0.0], [0.0, 1.0]], axis=0, gradient=[[-0.25, 0.5], [0.5, 0.5]])],
    ),
    Case(tr.normalization.power_iteration, _iterated(), _power_iteration, order=0),
]
