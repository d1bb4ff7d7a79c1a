"""Cases of the layers that normalize, and of those that wrap another layer."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import hypothesis.strategies as st
import numpy as np
from numpy.typing import NDArray

import tinyreg as tr
from tinyreg.creation import backend_of
from tinyreg.testing import Call, Case, at
from tinyreg.testing.strategies import arrays, calls

from .dropout import SEED, dropped
from .normalization import (
    EPS,
    GROUPED,
    POSITIVE,
    affine,
    group_norm_in_numpy,
    instance_norm_in_numpy,
    normalized,
    optional,
    scales,
)

Array = NDArray[Any]
Pick = Callable[[Any], Any]
MODE = st.booleans()


def batch_norm(x: Any, weight: Any, bias: Any, *, mean: float, var: float, training: bool, frozen: bool, eps: float) -> Any:
    """`BatchNorm` with these parameters, and these running averages for every channel."""
    with tr.use(backend_of(x)):
        layer = tr.nn.BatchNorm(x.shape[1], eps, frozen=frozen).train(training)
        layer.running_mean = tr.nn.Buffer(tr.full(x.shape[1], mean, dtype=x.dtype))
        layer.running_var = tr.nn.Buffer(tr.full(x.shape[1], var, dtype=x.dtype))
    return _like(x, _with(layer, weight=weight, bias=bias)(x))


def _like(x: Any, y: Any) -> Any:
    """The array alone for an array: a layer with buffers, which are tensors, gives tensors whatever it is given."""
    return y.data if isinstance(y, tr.Tensor) and not isinstance(x, tr.Tensor) else y


def layer_norm(x: Any, weight: Any, bias: Any, *, normalized_shape: tuple[int, ...], eps: float) -> Any:
    """`LayerNorm` with these parameters."""
    return _with(tr.nn.LayerNorm(normalized_shape, eps), weight=weight, bias=bias)(x)


def rms_norm(x: Any, weight: Any, *, normalized_shape: tuple[int, ...], eps: float) -> Any:
    """`RMSNorm` with this weight."""
    return _with(tr.nn.RMSNorm(normalized_shape, eps), weight=weight)(x)


def group_norm(x: Any, num_groups: int, weight: Any = None, bias: Any = None, *, eps: float) -> Any:
    """`GroupNorm` with these parameters."""
    return _with(tr.nn.GroupNorm(num_groups, x.shape[1], eps), weight=weight, bias=bias)(x)


def instance_norm(x: Any, weight: Any = None, bias: Any = None, *, eps: float) -> Any:
    """`InstanceNorm` with these parameters."""
    return _with(tr.nn.InstanceNorm(x.shape[1], eps), weight=weight, bias=bias)(x)


def _with(layer: tr.nn.Module, **values: Any) -> tr.nn.Module:
    """A layer with these in place of its parameters."""
    vars(layer).update(values)
    return layer


def _bare(weight: Any) -> tr.nn.Linear:
    """A layer without a bias that has this in place of its weight, and a parameter for wrappers to find."""
    return tr.nn.Linear(weight.shape[1], weight.shape[0], bias=False, rng=tr.Generator(0))


class _Exp(tr.nn.Reparametrization):
    def value(self, weight: Any) -> Any:
        """exp(weight)."""
        return tr.exp(weight)


def reparametrization(x: Any, weight: Any) -> Any:
    """A layer whose weight is the exponential of this one."""
    wrapper = _Exp(_bare(weight))
    vars(wrapper.layer).update(weight=weight)
    return wrapper(x)


def weight_norm(x: Any, weight: Any, g: Any) -> Any:
    """`WeightNorm` of a `Linear` with these parameters."""
    wrapper = tr.nn.WeightNorm(_bare(weight))
    vars(wrapper).update(g=g)
    vars(wrapper.layer).update(weight=weight)
    return wrapper(x)


def spectral_norm(x: Any, weight: Any, *, exact: bool) -> Any:
    """`SpectralNorm` of a `Linear` with this weight, exact or with the vectors of a matrix of ones."""
    with tr.use(backend_of(x)):
        layer = _bare(weight)
        layer.weight = tr.nn.Parameter(tr.ones(weight.shape, dtype=x.dtype))
        wrapper = tr.nn.SpectralNorm(layer, exact=exact, rng=tr.Generator(0)).eval()
    vars(layer).update(weight=weight)
    return wrapper(x) if exact else _like(x, wrapper(x))


def drop_connect(x: Any, weight: Any, *, p: float, training: bool, rng: int) -> Any:
    """`DropConnect` of a `Linear` with this weight."""
    wrapper = tr.nn.DropConnect(_bare(weight), p, rng=tr.Generator(rng)).train(training)
    vars(wrapper.layer).update(weight=weight)
    return wrapper(x)


# ---- calls, and the same in NumPy ------------------------------------------------------------------------------------


@st.composite
def _batches(pick: Pick) -> Call:
    shape = pick(st.sampled_from([(3, 2), (2, 2, 2), (2, 1, 1, 2)]))
    given = [pick(arrays(shape)), *(pick(arrays((shape[1],))) for _ in "wb")]
    running = {"mean": pick(st.sampled_from([0.0, 1.5])), "var": pick(POSITIVE)}
    return Call(tuple(given), running | {"training": pick(MODE), "frozen": pick(MODE), "eps": pick(EPS)})


def _batch_norm(
    x: Array, weight: Array, bias: Array, mean: float, var: float, training: bool, frozen: bool, eps: float
) -> Array:
    by_batch = training and not frozen
    y = normalized(x, (0, *range(2, x.ndim)), eps) if by_batch else (x - mean) / math.sqrt(var + eps)
    return affine(y, weight, bias, (1,))


@st.composite
def _features(pick: Pick, /, parameters: int) -> Call:
    shape, last = pick(st.sampled_from([((2, 3), 1), ((2, 2, 2), 2), ((3,), 1), ((0, 2), 1)]))
    given = [pick(arrays(shape)), *(pick(arrays(shape[-last:])) for _ in range(parameters))]
    return Call(tuple(given), {"normalized_shape": shape[-last:], "eps": pick(EPS)})


def _layer_norm(x: Array, weight: Array, bias: Array, normalized_shape: tuple[int, ...], eps: float) -> Array:
    return normalized(x, tuple(range(-len(normalized_shape), 0)), eps) * weight + bias


def _rms_norm(x: Array, weight: Array, normalized_shape: tuple[int, ...], eps: float) -> Array:
    y: Array = x / np.sqrt(np.mean(x**2, axis=tuple(range(-len(normalized_shape), 0)), keepdims=True) + eps) * weight
    return y


@st.composite
def _channels(pick: Pick, /, grouped: bool) -> Call:
    shapes = GROUPED if grouped else [((2, 2, 2), 0), ((1, 2, 1, 3), 0)]
    shape, groups = pick(st.sampled_from(shapes))
    given = [pick(arrays(shape)), *[groups] * grouped, *(pick(optional(shape[1:2])) for _ in "wb")]
    return Call(tuple(given), {"eps": pick(EPS)})


def _spectral(x: Array, weight: Array, exact: bool) -> Array:
    rows, columns = weight.shape
    sigma = np.linalg.svd(weight, compute_uv=False)[0] if exact else weight.sum() / math.sqrt(rows * columns)
    y: Array = x @ (weight / sigma).T
    return y


NONZERO = st.sampled_from([1.0, -0.5, 2.25])
X, WEIGHT = arrays((2, 3)), arrays((2, 3), NONZERO)

CASES = [
    Case(
        batch_norm,
        _batches(),
        _batch_norm,
        name="BatchNorm",
        reach=1 / 4,
        scales=scales,
    ),
    Case(layer_norm, _features(2), _layer_norm, name="LayerNorm", reach=math.inf, scales=scales),
    Case(rms_norm, _features(1), _rms_norm, name="RMSNorm", reach=math.inf, scales=scales),
    Case(group_norm, _channels(True), group_norm_in_numpy, name="GroupNorm", reach=math.inf, scales=scales),
    Case(instance_norm, _channels(False), instance_norm_in_numpy, name="InstanceNorm", reach=math.inf, scales=scales),
    Case(reparametrization, calls(X, arrays((2, 3))), lambda x, w: x @ np.exp(w).T, name="Reparametrization"),
    Case(
        weight_norm,
        calls(X, WEIGHT, arrays((2, 1))),
        lambda x, w, g: x @ (g * w / np.sqrt(np.sum(w**2, axis=1, keepdims=True))).T,
        name="WeightNorm",
        points=[at([[1.0, 1.0]], [[3.0, 4.0]], [[0.0]], gradients=[[[0.0, 0.0]], [[0.0, 0.0]], [[1.4]]])],
        reach=1 / 8,
    ),
    Case(
        spectral_norm,
        calls(X, arrays((2, 3), st.sampled_from([2.0, 2.125, 2.25, 1.625, 1.5])), exact=MODE),
        _spectral,
        name="SpectralNorm",
    ),
    Case(
        drop_connect,
        calls(X, arrays((2, 3)), p=st.sampled_from([0.5, 0.0, 1.0]), training=st.booleans(), rng=SEED),
        lambda x, w, p, training, rng: x @ dropped(w, p, training, rng).T,
        name="DropConnect",
        reach=math.inf,
    ),
]
