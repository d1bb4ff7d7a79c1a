"""Cases of the layers, as functions of their input and of the values of their parameters."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import hypothesis.extra.numpy as hnp
import hypothesis.strategies as st
import numpy as np

import tinyreg as tr
from tinyreg.testing import Call, Case, at
from tinyreg.testing.strategies import arrays, calls, shapes

from . import activations, dropout, elementwise, window

Pick = Callable[[Any], Any]
BATCHES = st.sampled_from([(2,), (), (3, 2), (1,), (0,)])


def _linear(weight: Any, bias: Any) -> tr.nn.Linear:
    """A layer with these in place of its parameters."""
    layer = tr.nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None, rng=tr.Generator(0))
    vars(layer).update(weight=weight, bias=bias)
    return layer


def linear(x: Any, weight: Any, bias: Any = None) -> Any:
    """`Linear` with these parameters."""
    return _linear(weight, bias)(x)


def flatten(x: Any, *, start_dim: int) -> Any:
    """`Flatten`."""
    return tr.nn.Flatten(start_dim)(x)


def sequential(x: Any, weight: Any, bias: Any, weight2: Any) -> Any:
    """`Sequential` of two layers with these parameters, and what stands between them."""
    return tr.nn.Sequential(_linear(weight, bias), tr.nn.ReLU(), tr.nn.Flatten(), _linear(weight2, None))(x)


def _numpys_linear(x: Any, weight: Any, bias: Any) -> Any:
    return x @ weight.T + (0.0 if bias is None else bias)


def _numpys_sequential(x: Any, weight: Any, bias: Any, weight2: Any) -> Any:
    hidden = np.maximum(_numpys_linear(x, weight, bias), 0.0)
    return hidden.reshape(hidden.shape[0], -1) @ weight2.T


@st.composite
def _to_linear(pick: Pick) -> Call:
    inside, outside = pick(st.sampled_from([(2, 3), (3, 1), (1, 2)]))
    bias = st.one_of(arrays((outside,)), st.none())
    return Call((pick(arrays((*pick(BATCHES), inside))), pick(arrays((outside, inside))), pick(bias)), {})


@st.composite
def _to_flatten(pick: Pick) -> Call:
    x = pick(arrays(shapes(min_dims=1)))
    return Call((x,), {"start_dim": pick(st.integers(0, x.ndim - 1))})


# Products of halves are quarters and a bias is an odd number of eighths, so no hidden value is within 1/8 of the kink. It
# moves by less than 10 times what two inputs, their weights of at most 2, and the bias move.
HALVES = st.sampled_from([1.0, 0.5, -0.5, -1.5, 2.0])
ODD_EIGHTHS = st.sampled_from([0.125, -0.125, 1.125, -0.875])


@st.composite
def _to_sequential(pick: Pick) -> Call:
    x = pick(arrays(st.sampled_from([(2, 2), (1, 2), (2, 2, 2)]), HALVES))
    hidden = 3 * (math.prod(x.shape[1:-1]))
    weight2 = pick(arrays((2, hidden)))
    return Call((x, pick(arrays((3, 2), HALVES)), pick(arrays((3,), ODD_EIGHTHS)), weight2), {})


# ---- layers around a function that has a case ------------------------------------------------------------------------


def _around(cls: type[tr.nn.Module], cases: Sequence[Case], name: str, **renamed: str) -> Case:
    """The case of a function as that of the layer which calls it: its settings are those of the layer."""

    def op(x: Any, **settings: Any) -> Any:
        return cls(**{renamed.get(key, key): value for key, value in settings.items()})(x)

    return replace(_named(cases, name), op=op, name=cls.__name__, primitive=None)


def _named(cases: Sequence[Case], name: str) -> Case:
    return next(case for case in cases if case.name == name)


def _dropping(cls: type[tr.nn.Dropout], name: str) -> Case:
    """The case of a dropout as that of its layer, in training and out of it."""

    def op(x: Any, *, p: float, training: bool, rng: int) -> Any:
        return cls(p, rng=tr.Generator(rng)).train(training)(x)

    return replace(_named(dropout.CASES, name), op=op, name=cls.__name__)


def conv2d(x: Any, weight: Any, bias: Any = None, **settings: Any) -> Any:
    """`Conv2d` with these parameters."""
    out, channels, height, width = weight.shape
    channels *= settings.get("groups", 1)
    layer = tr.nn.Conv2d(channels, out, (height, width), **settings, bias=bias is not None, rng=tr.Generator(0))
    vars(layer).update(weight=weight, bias=bias)
    return layer(x)


def embedding(index: Any, weight: Any) -> Any:
    """`Embedding` with this table, and no padding, whose gradient is not that of what it computes."""
    layer = tr.nn.Embedding(*weight.shape, rng=tr.Generator(0))
    vars(layer).update(weight=weight)
    return layer(index)


@st.composite
def _tokens(pick: Pick) -> Call:
    index = pick(
        hnp.arrays(np.int64, st.sampled_from([(3,), (2, 2), (), (0,)]), elements=st.integers(0, 3), fill=st.nothing())
    )
    return Call((index, pick(arrays((4, 2)))), {})


CASES = [
    Case(linear, _to_linear(), _numpys_linear, name="Linear", reach=math.inf),
    Case(
        flatten,
        _to_flatten(),
        lambda x, start_dim: x.reshape(*x.shape[:start_dim], math.prod(x.shape[start_dim:])),
        name="Flatten",
        reach=math.inf,
    ),
    Case(
        sequential,
        _to_sequential(),
        _numpys_sequential,
        name="Sequential",
        points=[
            at([[1.0]], [[2.0]], [-2.0], [[3.0]], gradients=[[[0.0]], [[0.0]], [0.0], [[0.0]]]),
            at([[1.0]], [[2.0]], [-1.0], [[3.0]], gradients=[[[6.0]], [[3.0]], [3.0], [[1.0]]]),
        ],
        reach=1 / 80,
    ),
    _around(tr.nn.ReLU, elementwise.CASES, "relu"),
    _around(tr.nn.LeakyReLU, activations.CASES, "leaky_relu"),
    _around(tr.nn.ELU, activations.CASES, "elu"),
    _around(tr.nn.GELU, activations.CASES, "gelu"),
    _around(tr.nn.SiLU, activations.CASES, "silu"),
    _around(tr.nn.Sigmoid, elementwise.CASES, "sigmoid"),
    _around(tr.nn.Tanh, elementwise.CASES, "tanh"),
    _around(tr.nn.Softplus, elementwise.CASES, "softplus"),
    _around(tr.nn.Softmax, activations.CASES, "softmax", axis="dim"),
    _around(tr.nn.LogSoftmax, activations.CASES, "log_softmax", axis="dim"),
    _around(tr.nn.MaxPool2d, window.CASES, "max_pool2d"),
    _around(tr.nn.AvgPool2d, window.CASES, "avg_pool2d"),
    replace(_named(window.CASES, "conv2d"), op=conv2d, name="Conv2d"),
    Case(
        lambda x: tr.nn.GlobalAvgPool2d()(x),
        calls(arrays(st.sampled_from([(2, 2, 1, 3), (1, 1, 2, 2), (0, 1, 1, 2)]))),
        lambda x: x.mean(axis=(2, 3)),
        name="GlobalAvgPool2d",
        reach=math.inf,
    ),
    Case(
        embedding,
        _tokens(),
        lambda index, weight: weight[index],
        name="Embedding",
        points=[at([1, 1, 1], [[1.0], [2.0]], gradient=[[0.0], [3.0]])],
        reach=math.inf,
    ),
    _dropping(tr.nn.Dropout, "dropout"),
    _dropping(tr.nn.SpatialDropout, "spatial_dropout"),
    _dropping(tr.nn.AlphaDropout, "alpha_dropout"),
    _dropping(tr.nn.GaussianDropout, "gaussian_dropout"),
    _dropping(tr.nn.DropPath, "drop_path"),
]
